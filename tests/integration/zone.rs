//! The live run proves the zone by the events of its own requests before it delivers anything.

use jiff::{SignedDuration, tz::TimeZone};
use lastpass_harness::{Error, Function, Installation, Outcome, now};
use lastpass_simulator::{Clock, Event, Quirks, World};
use serde_json::Value;

use crate::stage::{collect, company, number, plan};

/// Creates an account in `zone` whose requests become events `late_seconds` later, read with the zone setting `set`.
async fn prepare(
    (zone, set): (&str, &str),
    late_seconds: u32,
    world: World,
) -> Result<Option<(Installation, Function)>, Error> {
    let Some((services, plan)) = plan("zone").await else { return Ok(None) };
    let time_zone = TimeZone::get(zone).expect("a zone");
    let quirks = Quirks { time_zone, reporting_events_late_seconds: late_seconds, ..Quirks::default() };
    let plan = plan.world(world).quirks(quirks).reporting_events().variable("LASTPASS_TIME_ZONE", set);
    let installation = plan.make(&services).await?;
    let function = installation.function();
    Ok(Some((installation, function)))
}

async fn run(function: &mut Function) -> Result<Outcome, Error> {
    function.invoke(lastpass_harness::Invocation::new(collect("event_report"))).await
}

fn assert_wrong(outcome: &Outcome, words: &[&str]) {
    let Outcome::Error { error_type, error_message } = outcome else { panic!("{outcome:?}") };
    assert_eq!(error_type, "LastPass.WrongTimeZone", "{error_message}");
    for word in words.iter().chain(&["LASTPASS_TIME_ZONE", "the checkpoint is unchanged"]) {
        assert!(error_message.contains(word), "{word:?} is not in: {error_message}");
    }
}

fn answer(outcome: Outcome) -> Value {
    match outcome {
        Outcome::Answer(answer) => answer,
        other => panic!("{other:?}"),
    }
}

/// Sets the clocks of LastPass and the function this far ahead of the machine's clock.
async fn set_clocks(installation: &Installation, function: &mut Function, ahead: SignedDuration) {
    installation.simulator.set_clock(Clock::OffsetSeconds(ahead.as_secs()));
    function.set_clock(ahead).await;
}

/// Asserts that no document and no position is stored.
async fn assert_untouched(installation: &Installation) -> Result<(), Error> {
    assert_eq!(installation.documents("event_report").await?.len(), 0);
    let checkpoints = installation.checkpoints().await?;
    assert!(checkpoints.values().all(|item| !item.contains_key("watermark")), "{checkpoints:?}");
    Ok(())
}

#[tokio::test]
async fn the_first_run_finds_a_wrong_zone_in_either_direction_and_stores_nothing() -> Result<(), Error> {
    for (zone, set, words) in [
        ("US/Pacific", "US/Eastern", ["3 hours behind US/Eastern", "US/Pacific"]),
        ("US/Eastern", "US/Pacific", ["3 hours ahead of US/Pacific", "US/Eastern"]),
        ("Asia/Kolkata", "Asia/Kathmandu", ["15 minutes behind Asia/Kathmandu: UTC+5:30", "Asia/Kolkata"]),
        ("Asia/Kathmandu", "Asia/Kolkata", ["15 minutes ahead of Asia/Kolkata: UTC+5:45", "Asia/Kathmandu"]),
    ] {
        let Some((installation, mut function)) = prepare((zone, set), 0, company(41, 200, 3)).await? else {
            return Ok(());
        };
        for _ in 0..2 {
            assert_wrong(&run(&mut function).await?, &words);
            assert_untouched(&installation).await?;
        }
        function.set("LASTPASS_TIME_ZONE", zone).await;
        for _ in 0..2 {
            assert_eq!(answer(run(&mut function).await?)["status"], "complete");
        }
        let held = installation.compare_events().await?;
        assert!(held.is_exact() && held.documents > 200, "{held}");
    }
    Ok(())
}

#[tokio::test]
async fn the_events_of_requests_are_delivered_once_and_a_right_zone_needs_one_more_request() -> Result<(), Error> {
    let Some((installation, mut function)) = prepare(("US/Eastern", "US/Eastern"), 0, company(42, 50, 2)).await? else {
        return Ok(());
    };
    let first = answer(run(&mut function).await?);
    assert_eq!((number(&first, "created"), number(&first, "lastpass_requests")), (50, 2), "{first}");
    let second = answer(run(&mut function).await?);
    // The events of the first run's requests. Later runs of a day need no additional requests.
    assert_eq!((number(&second, "created"), number(&second, "lastpass_requests")), (2, 1), "{second}");
    let third = answer(run(&mut function).await?);
    assert_eq!((number(&third, "created"), number(&third, "duplicates")), (1, number(&second, "fetched")), "{third}");
    let held = installation.compare_events().await?;
    assert!(held.is_exact() && (held.documents, held.polls_to_come) == (53, 1), "{held}");
    Ok(())
}

#[tokio::test]
async fn a_zone_that_becomes_wrong_is_found_within_a_day() -> Result<(), Error> {
    let Some((installation, mut function)) = prepare(("US/Eastern", "US/Eastern"), 0, company(43, 50, 2)).await? else {
        return Ok(());
    };
    assert_eq!(answer(run(&mut function).await?)["status"], "complete");
    // The account's zone changes, and a day without events passes.
    let quirks = Quirks { time_zone: TimeZone::get("US/Pacific").expect("a zone"), ..installation.simulator.quirks() };
    installation.simulator.set_quirks(quirks);
    set_clocks(&installation, &mut function, SignedDuration::from_hours(25)).await;
    let before = installation.documents("event_report").await?.len();
    for _ in 0..2 {
        assert_wrong(&run(&mut function).await?, &["3 hours behind US/Eastern"]);
    }
    assert_eq!(installation.documents("event_report").await?.len(), before);
    Ok(())
}

#[tokio::test]
async fn events_that_appear_minutes_late_prove_the_zone_in_a_later_run() -> Result<(), Error> {
    for (zone, set, words) in [
        ("US/Pacific", "US/Eastern", ["3 hours behind US/Eastern", "US/Pacific"]),
        ("Asia/Kolkata", "Asia/Kathmandu", ["15 minutes behind", "UTC+5:30"]),
    ] {
        let Some((installation, mut function)) = prepare((zone, set), 240, World::default()).await? else {
            return Ok(());
        };
        let first = answer(run(&mut function).await?);
        assert_eq!((first["status"].as_str(), number(&first, "created")), (Some("complete"), 0), "{first}");
        // The error remains, even after the time by which an event may be late.
        for minutes in [5, 10, 60] {
            set_clocks(&installation, &mut function, SignedDuration::from_mins(minutes)).await;
            assert_wrong(&run(&mut function).await?, &words);
            assert_eq!(installation.documents("event_report").await?.len(), 0);
        }
        let check = function.ask(serde_json::json!({"action": "check"})).await?;
        assert!(check.to_string().contains(words[0]), "{check}");
        function.set("LASTPASS_TIME_ZONE", zone).await;
        assert_eq!(answer(run(&mut function).await?)["status"], "complete");
        assert!(installation.compare_events().await?.is_exact());
    }
    Ok(())
}

#[tokio::test]
async fn a_zone_without_proof_is_no_failure() -> Result<(), Error> {
    // An account without such events, one in which others constantly request the report, and one that shows them hours
    // late.
    for (has_events, is_dense, late_seconds) in [(false, false, 0), (true, true, 0), (true, false, 20_000)] {
        for (zone, set) in [("US/Eastern", "US/Eastern"), ("US/Pacific", "US/Eastern")] {
            let mut world = World::default();
            if is_dense {
                let begin = now() - SignedDuration::from_hours(1);
                let others = (0..3_900).map(|second| begin + SignedDuration::from_secs(second));
                world.events.extend(others.map(|at| Event::at(at).doing("Reporting").appearing(at)));
            }
            let Some((installation, mut function)) = prepare((zone, set), late_seconds, world).await? else {
                return Ok(());
            };
            let quirks = Quirks { reporting_events: has_events, ..installation.simulator.quirks() };
            installation.simulator.set_quirks(quirks);
            for minutes in [0, 5] {
                set_clocks(&installation, &mut function, SignedDuration::from_mins(minutes)).await;
                let answer = answer(run(&mut function).await?);
                assert_eq!(answer["status"], "complete", "{answer}");
                assert!(number(&answer, "lastpass_requests") <= 5, "{answer}");
            }
        }
    }
    Ok(())
}
