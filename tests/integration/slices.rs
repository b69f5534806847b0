//! A long range, split into slices that can be backfilled in parallel.

use std::{collections::HashSet, time::Duration};

use jiff::{SignedDuration, Timestamp};
use lastpass_harness::{Error, Fault, Function, Installation, Invocation, Rule, System};
use serde_json::{Value, json};

use crate::stage::{ago, company, number, plan, until_complete};

/// More events than three slices hold.
const EVENTS: usize = 170_000;
const DAYS: u32 = 30;

fn split(from: Timestamp, to: Timestamp) -> Invocation {
    Invocation::new(json!({"action": "plan", "from": from, "to": to}))
}

fn range() -> (Timestamp, Timestamp) {
    (ago(SignedDuration::from_hours(24 * 31)), ago(SignedDuration::from_hours(-1)))
}

fn ends(slice: &Value) -> (Timestamp, Timestamp) {
    let end = |name: &str| slice[name].as_str().and_then(|text| text.parse().ok()).expect("a time");
    (end("from"), end("to"))
}

/// Asserts that the slices cover the range without gaps, newest first.
fn assert_whole(answer: &Value, (from, to): (Timestamp, Timestamp)) {
    let slices: Vec<_> = answer["slices"].as_array().expect("slices").iter().map(ends).collect();
    let (oldest, newest) = (slices.last().expect("a slice"), slices[0]);
    assert_eq!((oldest.0, newest.1), (from, to), "{answer}");
    assert!(slices.windows(2).all(|pair| pair[0].0 == pair[1].1), "{answer}");
    assert!(slices.iter().all(|(from, to)| from < to), "{answer}");
}

/// Returns the number of events in each slice.
fn events_per_slice(installation: &Installation, answer: &Value) -> Vec<usize> {
    let events = installation.simulator.truth_events();
    let count = |(from, to)| events.iter().filter(|event| (from..to).contains(&event.instant)).count();
    answer["slices"].as_array().expect("slices").iter().map(ends).map(count).collect()
}

async fn complete(function: &mut Function, invocation: Invocation) -> Result<Value, Error> {
    let answer = function.invoke(invocation).await?.answer()?;
    assert_eq!(answer["status"], "complete", "{answer}");
    Ok(answer)
}

#[tokio::test]
async fn a_range_is_split_by_its_events_and_a_second_plan_is_the_same() -> Result<(), Error> {
    let Some((services, plan)) = plan("split").await else { return Ok(()) };
    let installation = plan.world(company(61, EVENTS, DAYS)).make(&services).await?;
    let mut function = installation.function();
    let (from, to) = range();

    let first = complete(&mut function, split(from, to)).await?;
    assert_whole(&first, (from, to));
    let events_per_slice = events_per_slice(&installation, &first);
    assert_eq!(events_per_slice.iter().sum::<usize>(), EVENTS, "{events_per_slice:?}");
    // The oldest slice holds the rest.
    assert!(
        events_per_slice.len() >= 3
            && events_per_slice[..events_per_slice.len() - 1].iter().all(|events| (25_000..100_000).contains(events)),
        "{events_per_slice:?}"
    );
    assert_eq!(number(&first, "lastpass_requests"), events_per_slice.len() as u64, "{first}");
    assert_eq!(installation.services.elasticsearch.count(&installation.data_stream("event_report")).await?, 0);

    let again = complete(&mut installation.function(), split(from, to)).await?;
    assert_eq!((&again["slices"], number(&again, "lastpass_requests")), (&first["slices"], 0), "{again}");
    let status = function.ask(json!({"action": "status"})).await?;
    let backfills = status["backfills"].as_array().expect("backfills");
    assert_eq!(backfills.len(), 1, "{status}");
    assert_eq!(
        (&backfills[0]["status"], &backfills[0]["slices"]["total"]),
        (&json!("planned"), &json!(events_per_slice.len()))
    );
    Ok(())
}

#[tokio::test]
async fn an_interrupted_plan_continues_from_its_position() -> Result<(), Error> {
    let Some((services, plan)) = plan("cut_plan").await else { return Ok(()) };
    let installation = plan.world(company(62, EVENTS, DAYS)).make(&services).await?;
    let mut function = installation.function();
    let (from, to) = range();
    let whole = complete(&mut function, split(from, to)).await?;
    installation.start_over().await?;

    let slow = Rule::on(System::LastPass, "reporting", Fault::Delay(Duration::from_millis(4_400)));
    installation.calls.add(slow);
    let answers = until_complete(&mut function, &split(from, to).with_timeout(Duration::from_secs(12))).await?;
    assert!(answers.len() >= 2 && answers[0]["status"] == "partial", "{answers:?}");
    let last = answers.last().expect("an answer");
    assert_eq!(last["slices"], whole["slices"]);
    let known: HashSet<_> = answers[0]["slices"].as_array().expect("slices").iter().map(ends).collect();
    assert!(!known.is_empty(), "{}", answers[0]);
    let requests: u64 = answers.iter().map(|answer| number(answer, "lastpass_requests")).sum();
    // Each slice is measured once, and again if the deadline came during its measurement.
    let slices = last["slices"].as_array().expect("slices").len();
    assert!(requests <= (slices + answers.len() - 1) as u64, "{requests}: {answers:?}");
    Ok(())
}

#[tokio::test]
async fn a_range_of_at_most_one_page_is_one_slice() -> Result<(), Error> {
    let Some((services, plan)) = plan("one_slice").await else { return Ok(()) };
    let installation = plan.world(company(63, 500, 5)).make(&services).await?;
    let mut function = installation.function();
    for (from, to, requests) in [
        (ago(SignedDuration::from_hours(24 * 300)), ago(SignedDuration::from_hours(-1)), 1),
        (ago(SignedDuration::from_hours(24 * 300)), ago(SignedDuration::from_hours(24 * 200)), 1),
        // The future has no events to request.
        (ago(SignedDuration::from_hours(-48)), ago(SignedDuration::from_hours(-72)), 0),
    ] {
        let answer = complete(&mut function, split(from, to)).await?;
        assert_whole(&answer, (from, to));
        assert_eq!(answer["slices"].as_array().map(Vec::len), Some(1), "{answer}");
        assert_eq!(number(&answer, "lastpass_requests"), requests, "{answer}");
    }
    Ok(())
}
