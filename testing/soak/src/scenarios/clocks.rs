//! Wrong clocks, clock changes and wrong time zones.

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use lastpass_harness::{Error, Invocation, Outcome, check_of, now};
use lastpass_simulator::{Event, Quirks, World};

use crate::scenarios::lastpass::live_runs;
use crate::stage::{CALM, Context, backfill, collect_events};
use crate::tally::Tally;
use crate::worlds::{ZONES, event, late_events, pick, quirks, quirks_in, repeating, seconds, whole_second};

/// The time around a clock change in which events happen.
const AROUND: SignedDuration = SignedDuration::from_hours(3);

pub async fn wrong_clock(context: Context) -> Result<Tally, Error> {
    let mut rng = context.rng();
    let from = whole_second(now() - SignedDuration::from_hours(5));
    let to = from + SignedDuration::from_hours(3);
    let page_size = *pick(&mut rng, &[10, 30, 10_000]);
    let events = late_events(&mut rng, from - SignedDuration::from_hours(1), to, 150);
    let mut stage = context.stage(World::of_events(events), quirks(&mut rng, page_size)).await?;
    let error = SignedDuration::from_mins(if context.seed.is_multiple_of(2) { 2 } else { -2 });
    live_runs(&mut stage, &mut rng, (from, to), error).await?;
    stage.set_now(to + SignedDuration::from_mins(20));
    stage.finish().await
}

/// Returns a year's clock changes of a zone. For a zone without any, returns those of another zone.
fn changes(zone: &str) -> Vec<Timestamp> {
    let time = |text: &str| text.parse::<Timestamp>().unwrap_or(Timestamp::UNIX_EPOCH);
    let begin = time("2025-01-01T00:00:00Z");
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let changes: Vec<Timestamp> = zone.following(begin).take(2).map(|change| change.timestamp()).collect();
    if changes.is_empty() { vec![time("2025-03-09T07:00:00Z"), time("2025-11-02T06:00:00Z")] } else { changes }
}

/// Returns the zone and clock change of a seed. Successive seeds cover all of them.
fn zone_and_change(seed: u64) -> (&'static str, Timestamp) {
    let all: Vec<_> =
        ZONES.iter().flat_map(|zone| changes(zone).into_iter().map(move |change| (*zone, change))).collect();
    all[usize::try_from(seed).unwrap_or_default() % all.len()]
}

/// Returns both passes of the repeated hour at a clock change, if the change repeats an hour.
fn repeated_hour(zone: &str, change: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let zone = TimeZone::get(zone).ok()?;
    let offset = |at: Timestamp| zone.to_offset(at).seconds();
    let back = SignedDuration::from_secs((offset(change - SignedDuration::from_secs(1)) - offset(change)).into());
    back.is_positive().then(|| (change - back, change + back))
}

pub async fn live_clock_change(context: Context) -> Result<Tally, Error> {
    let mut rng = context.rng();
    let (zone, change) = zone_and_change(context.seed);
    let (from, to) = (change - AROUND, change + AROUND);
    let events = late_events(&mut rng, from, to, 250);
    let page_size = *pick(&mut rng, &[25, 80, 10_000]);
    let quirks = quirks_in(&mut rng, page_size, zone);
    let mut stage = context.stage(World::of_events(events), repeating(&mut rng, quirks)).await?;
    stage.begin = from;
    stage.repeated_hour = repeated_hour(zone, change);
    live_runs(&mut stage, &mut rng, (change - SignedDuration::from_mins(100), to), SignedDuration::ZERO).await?;
    stage.set_now(to + SignedDuration::from_mins(20));
    stage.finish().await
}

/// Returns events around a clock change, with equal events at one wall time: in both passes and within a second.
fn around(rng: &mut Rng, change: Timestamp) -> Vec<Event> {
    let mut events = Vec::new();
    while events.len() < 250 {
        let instant = whole_second(change + seconds(rng, -AROUND.as_secs()..AROUND.as_secs()));
        let once = event(rng, instant);
        if rng.u8(..3) == 0 {
            events.push(Event {
                instant: instant + SignedDuration::from_hours(1),
                appears_at: instant,
                ..once.clone()
            });
        }
        events.extend(std::iter::repeat_n(once, if rng.u8(..4) == 0 { 2 } else { 1 }));
    }
    events
}

pub async fn backfilled_clock_change(context: Context) -> Result<Tally, Error> {
    let mut rng = context.rng();
    let (zone, change) = zone_and_change(context.seed);
    // Smaller than a repeated hour, about as large, and larger than both passes.
    let page_size = *pick(&mut rng, &[7, 40, 55, 10_000]);
    let world = World::of_events(around(&mut rng, change));
    let quirks = quirks_in(&mut rng, page_size, zone);
    let mut stage = context.stage(world, repeating(&mut rng, quirks)).await?;
    let day = SignedDuration::from_hours(24);
    stage.begin = change - day;
    let mut function = stage.function().await;
    // The ranges begin and end inside the change. They are requested in any order, some of them twice.
    let mut cuts: Vec<Timestamp> = (0..4).map(|_| whole_second(change + seconds(&mut rng, -7_200..7_200))).collect();
    cuts.extend([change - day, change, change + day]);
    cuts.sort();
    cuts.dedup();
    let mut ranges: Vec<(Timestamp, Timestamp)> = cuts.windows(2).map(|ends| (ends[0], ends[1])).collect();
    ranges.push((change - SignedDuration::from_hours(1), change + SignedDuration::from_hours(1)));
    rng.shuffle(&mut ranges);
    for (from, to) in ranges {
        let invocation = Invocation::new(backfill(from, to)).with_timeout(CALM);
        stage.until_complete(&mut function, &invocation).await?;
    }
    let held = stage.compare_events().await?;
    stage.tally.compare(&held);
    stage.end().await
}

/// The zone of LastPass and the wrong setting.
const WRONG: [(&str, &str); 5] = [
    ("America/Los_Angeles", "US/Eastern"),
    ("America/New_York", "America/Los_Angeles"),
    ("Europe/London", "America/New_York"),
    ("America/Los_Angeles", "Asia/Tokyo"),
    ("Asia/Kathmandu", "Asia/Kolkata"),
];
/// Zones whose setting is wrong by an offset: up to 48 quarters of an hour in either direction.
const RIGHT: [&str; 4] = ["America/New_York", "Asia/Kathmandu", "UTC", "Australia/Lord_Howe"];
const MOST_QUARTERS: i32 = 48;
/// The most runs, 5 minutes apart, until a wrong zone must be found if request events appear minutes late.
const MOST_RUNS: usize = 3;
/// The number of further runs that must report the wrong zone.
const MORE_RUNS: usize = 2;

/// Returns a zone and a wrong setting for it. Successive seeds give a zone name, and an offset in each direction.
fn right_and_wrong(rng: &mut Rng, seed: u64) -> (&'static str, String) {
    if seed.is_multiple_of(3) {
        let (right, wrong) = *pick(rng, &WRONG);
        return (right, wrong.to_owned());
    }
    let right = *pick(rng, &RIGHT);
    let offset = TimeZone::get(right).unwrap_or(TimeZone::UTC).to_offset(now()).seconds() / 60;
    let apart = 15 * rng.i32(1..=MOST_QUARTERS);
    let wrong = if seed % 3 == 1 { offset - apart } else { offset + apart };
    let sign = if wrong < 0 { '-' } else { '+' };
    (right, format!("{sign}{:02}:{:02}", wrong.abs() / 60, wrong.abs() % 60))
}

pub async fn wrong_zone(context: Context) -> Result<Tally, Error> {
    let mut rng = context.rng();
    let (right, wrong) = right_and_wrong(&mut rng, context.seed);
    // If request events appear late, the first run cannot notice the wrong zone. The account therefore has no events
    // that it could deliver.
    let late_seconds = *pick(&mut rng, &[0, 0, 60, 200]);
    let is_busy = late_seconds == 0 && rng.bool();
    let recent = now() - SignedDuration::from_hours(20);
    let events: Vec<Event> = (0..if is_busy { 200 } else { 0 })
        .map(|_| {
            let instant = whole_second(recent + seconds(&mut rng, 0..71_000));
            event(&mut rng, instant)
        })
        .collect();
    let page_size = *pick(&mut rng, &[15, 10_000]);
    let quirks = Quirks { reporting_events_late_seconds: late_seconds, ..quirks_in(&mut rng, page_size, right) };
    let mut stage = context.stage_with(World::of_events(events), quirks, &[("LASTPASS_TIME_ZONE", &wrong)]).await?;
    let mut function = stage.function().await;
    stage.accepted = vec!["LastPass.WrongTimeZone"];
    let (mut runs, mut reports) = (0, 0);
    while reports <= MORE_RUNS && runs < MOST_RUNS + MORE_RUNS {
        if runs > 0 {
            stage.set_now(stage.now() + SignedDuration::from_mins(5));
            function.set_clock(stage.ahead()).await;
        }
        runs += 1;
        let outcome = stage.invoke(&mut function, Invocation::new(collect_events()).with_timeout(CALM)).await?;
        let is_reported = matches!(&outcome, Outcome::Error { error_type, error_message }
            if error_type == "LastPass.WrongTimeZone" && error_message.contains("LASTPASS_TIME_ZONE"));
        reports += usize::from(is_reported);
        let may_be_unknown = late_seconds > 0 && reports == 0 && runs < MOST_RUNS;
        stage
            .tally
            .expect(is_reported || may_be_unknown, || format!("run {runs}, {wrong} set for {right}: {outcome:?}"));
    }
    if late_seconds == 0 {
        let check = function.ask(serde_json::json!({"action": "check"})).await?;
        let zone = check_of(&check, "lastpass_time_zone");
        let is_named = zone["status"] == "failed" && zone["message"].as_str().is_some_and(|text| text.contains(&wrong));
        stage.tally.expect(is_named, || format!("{wrong} set for {right}: {check}"));
    }
    let delivered = stage.events().await?.len();
    stage.tally.expect(delivered == 0, || format!("{delivered} events were delivered at a wrong instant"));
    function.set("LASTPASS_TIME_ZONE", right).await;
    stage.accepted.clear();
    stage.until_complete(&mut function, &Invocation::new(collect_events()).with_timeout(CALM)).await?;
    let held = stage.compare_events().await?;
    stage.tally.compare(&held);
    stage.end().await
}
