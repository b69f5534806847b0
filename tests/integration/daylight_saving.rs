//! The repeated hour and the skipped hour of a clock change.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use lastpass_harness::Error;
use lastpass_simulator::{Event, NextIs, Order, Pass, Quirks, Repeats, World};
use serde_json::json;

use crate::stage::{assert_accounted, number, plan};

/// A zone and the time of a clock change.
const CHANGES: [(&str, &str); 7] = [
    ("America/New_York", "2025-11-02T06:00:00Z"),
    ("America/New_York", "2025-03-09T07:00:00Z"),
    ("Europe/London", "2025-10-26T01:00:00Z"),
    ("Europe/London", "2025-03-30T01:00:00Z"),
    ("Australia/Lord_Howe", "2025-04-05T15:00:00Z"),
    ("Australia/Lord_Howe", "2025-10-04T15:30:00Z"),
    ("UTC", "2025-11-02T06:00:00Z"),
];

/// Returns events around `change`: one of three actions every half minute, so that most wall times of a repeated hour
/// have an equal event in the other pass.
fn around(change: Timestamp) -> World {
    let actions = ["Log in", "Failed Login Attempt", "Open secure note"];
    let events = (-180..180_i64).map(|step| {
        let action = actions[usize::try_from(step.rem_euclid(3)).expect("a small number")];
        Event::at(change + SignedDuration::from_secs(step * 30)).by("ann@example.com").doing(action)
    });
    World::of_events(events)
}

#[tokio::test]
async fn a_backfill_over_a_change_of_the_clock_holds_every_event_once_at_its_instant() -> Result<(), Error> {
    for (zone, change) in CHANGES {
        let change: Timestamp = change.parse().expect("a time");
        // Pages smaller than a repeated hour, and larger than both passes; bounds interpreted in either pass.
        for (page_size, order, repeated_hour) in
            [(40, Order::Descending, Pass::First), (10_000, Order::Ascending, Pass::Second)]
        {
            let Some((services, plan)) = plan("clock").await else { return Ok(()) };
            let time_zone = TimeZone::get(zone).expect("a zone");
            let quirks = Quirks { time_zone, page_size, order, repeated_hour, ..Quirks::default() };
            let installation =
                plan.world(around(change)).quirks(quirks).variable("LASTPASS_TIME_ZONE", zone).make(&services).await?;
            let mut function = installation.function();
            let (from, to) = (change - SignedDuration::from_hours(2), change + SignedDuration::from_hours(2));
            // Two ranges that meet inside the repeated hour.
            for (from, to) in [(change, to), (from, change)] {
                let request = json!({"action": "backfill", "stream": "event_report", "from": from, "to": to});
                let answer = function.ask(request).await?;
                assert_eq!(answer["status"], "complete", "{answer}");
                assert_accounted(&answer);
                assert_eq!(number(&answer, "dead_letters"), 0, "{answer}");
            }
            let held = installation.compare_events().await?;
            let case = format!("{zone} {change} {page_size}: {held}");
            assert!(held.is_exact() && held.truth == 360, "{case}");
            // The order of the events reveals the pass.
            assert_eq!(held.ambiguous_time, 0, "{case}");
        }
    }
    Ok(())
}

/// Returns 900 equal events between 02:00 and 12:00 UTC. 400 of them are in the repeated hour, 05:00 to 07:00: four in
/// a second, at the same wall times in both passes.
fn busy_night() -> World {
    let at = |text: &str, seconds: i64| text.parse::<Timestamp>().expect("a time") + SignedDuration::from_secs(seconds);
    let in_fold = (0..400_i64).map(|number| at("2025-11-02T05:00:00Z", number / 4 * 72));
    let before = (0..100_i64).map(|number| at("2025-11-02T02:00:00Z", number * 100));
    let after = (0..400_i64).map(|number| at("2025-11-02T07:00:00Z", number * 40));
    let events = in_fold.chain(before).chain(after);
    World::of_events(events.map(|instant| Event::at(instant).by("ann@example.com").doing("Log in")))
}

#[tokio::test]
async fn a_repeated_hour_larger_than_a_page_is_counted_once_whatever_next_repeats() -> Result<(), Error> {
    for (next_is, next_repeats) in [
        (NextIs::FirstLeft, Repeats::BoundarySecond),
        (NextIs::LastReturned, Repeats::BoundarySecond),
        (NextIs::LastReturned, Repeats::LastEvent),
        (NextIs::LastReturned, Repeats::Nothing),
        (NextIs::FirstLeft, Repeats::Events(1)),
    ] {
        for (page_size, order) in [(97, Order::Descending), (97, Order::Shuffled(3)), (230, Order::DescendingByTime)] {
            let Some((services, plan)) = plan("clock_next").await else { return Ok(()) };
            let quirks = Quirks { page_size, order, next_is, next_repeats, ..Quirks::default() };
            let installation = plan.world(busy_night()).quirks(quirks).make(&services).await?;
            let mut function = installation.function();
            let (from, to) = ("2025-11-02T02:00:00Z", "2025-11-02T12:00:00Z");
            let answer =
                function.ask(json!({"action": "backfill", "stream": "event_report", "from": from, "to": to})).await?;
            assert_eq!(answer["status"], "complete", "{answer}");
            assert_accounted(&answer);
            let held = installation.compare_events().await?;
            let case = format!("{next_is:?} {next_repeats:?} {page_size} {order:?}: {held}");
            assert!(held.is_exact() && held.truth == 900, "{case}");
            assert_eq!(number(&answer, "fetched"), 900, "{case}");
        }
    }
    Ok(())
}
