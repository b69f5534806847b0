//! Backfills: beyond the live watermark, twice, and with other ranges.

use jiff::{SignedDuration, Timestamp};
use lastpass_harness::Error;
use lastpass_simulator::{Event, Quirks, World};
use serde_json::{Value, json};

use crate::stage::{ago, collect, company, complete, number, plan, twins};

fn backfill(from: Timestamp, to: Timestamp) -> Value {
    json!({"action": "backfill", "stream": "event_report", "from": from, "to": to})
}

#[tokio::test]
async fn a_backfill_stores_its_range_and_a_second_one_adds_nothing() -> Result<(), Error> {
    let Some((services, plan)) = plan("range").await else { return Ok(()) };
    let installation = plan.world(company(3, 2_000, 20)).make(&services).await?;
    let mut function = installation.function();
    let (from, to) = (ago(SignedDuration::from_hours(15 * 24)), ago(SignedDuration::from_hours(5 * 24)));

    let first = complete(&mut function, backfill(from, to)).await?;
    let held = installation.compare_events_in(from, to).await?;
    assert!(held.is_exact() && held.truth > 500, "{held}");
    assert_eq!(number(&first, "created"), held.truth as u64, "{first}");

    let again = complete(&mut function, backfill(from, to)).await?;
    assert_eq!((number(&again, "created"), number(&again, "duplicates")), (0, held.truth as u64), "{again}");

    let mut skipped = backfill(from, to);
    skipped["skip_completed"] = true.into();
    let skipped = complete(&mut function, skipped).await?;
    assert_eq!(number(&skipped, "lastpass_requests"), 0, "{skipped}");
    assert!(installation.compare_events_in(from, to).await?.is_exact());
    Ok(())
}

#[tokio::test]
async fn a_complete_backfill_that_reached_into_the_future_is_read_again() -> Result<(), Error> {
    let Some((services, plan)) = plan("future").await else { return Ok(()) };
    let installation = plan.world(company(7, 100, 2)).make(&services).await?;
    let mut function = installation.function();
    let mut request = backfill(ago(SignedDuration::from_hours(72)), ago(SignedDuration::from_hours(-1)));
    request["skip_completed"] = true.into();
    assert_eq!(number(&complete(&mut function, request.clone()).await?, "created"), 100);
    installation.simulator.push_events(twins(ago(SignedDuration::from_mins(1)), 2));
    assert_eq!(number(&complete(&mut function, request).await?, "created"), 2);
    let held = installation.compare_events().await?;
    assert!(held.is_exact() && held.truth == 102, "{held}");
    Ok(())
}

#[tokio::test]
async fn ranges_that_overlap_each_other_and_the_live_watermark_double_nothing() -> Result<(), Error> {
    let Some((services, plan)) = plan("cuts").await else { return Ok(()) };
    let quirks = Quirks { page_size: 150, ..Quirks::default() };
    let installation =
        plan.world(company(4, 1_500, 10)).quirks(quirks).variable("INITIAL_LOOKBACK", "3d").make(&services).await?;
    let mut function = installation.function();
    complete(&mut function, backfill(ago(SignedDuration::from_hours(100)), ago(SignedDuration::from_hours(40))))
        .await?;
    complete(&mut function, collect("event_report")).await?;
    let all = ago(SignedDuration::from_hours(11 * 24));
    complete(&mut function, backfill(all, ago(SignedDuration::from_hours(-1)))).await?;
    complete(&mut function, backfill(ago(SignedDuration::from_hours(77)), ago(SignedDuration::from_hours(1)))).await?;
    let held = installation.compare_events().await?;
    assert!(held.is_exact() && held.truth == 1_500, "{held}");
    Ok(())
}

#[tokio::test]
async fn a_rollover_between_two_readings_doubles_nothing() -> Result<(), Error> {
    let Some((services, plan)) = plan("rollover").await else { return Ok(()) };
    let installation = plan.world(company(5, 600, 10)).make(&services).await?;
    let mut function = installation.function();
    complete(&mut function, collect("event_report")).await?;
    let data_stream = installation.data_stream("event_report");
    services.elasticsearch.roll_over(&data_stream).await?;
    let (from, to) = (ago(SignedDuration::from_hours(11 * 24)), ago(SignedDuration::from_hours(1)));
    let again = complete(&mut function, backfill(from, to)).await?;
    assert_eq!(number(&again, "created"), 0, "{again}");
    assert_eq!(services.elasticsearch.backing_indices(&data_stream).await?.len(), 2);
    let held = installation.compare_events().await?;
    assert!(held.is_exact() && held.truth == 600, "{held}");
    Ok(())
}

#[tokio::test]
async fn a_backfill_raises_alerts_only_on_request() -> Result<(), Error> {
    let Some((services, plan)) = plan("alert").await else { return Ok(()) };
    let installation = plan.world(company(6, 200, 10)).make(&services).await?;
    let mut function = installation.function();
    let (early, middle, late) = (
        ago(SignedDuration::from_hours(264)),
        ago(SignedDuration::from_hours(120)),
        ago(SignedDuration::from_hours(1)),
    );
    complete(&mut function, backfill(early, middle)).await?;
    let documents = installation.documents("event_report").await?;
    assert!(!documents.is_empty() && documents.iter().all(|document| document.get("event.ingested").is_none()));
    let mut alerting = backfill(middle, late);
    alerting["alert"] = true.into();
    complete(&mut function, alerting).await?;
    let is_after = |text: &str| text.parse::<Timestamp>().is_ok_and(|instant| instant >= middle);
    for document in installation.documents("event_report").await? {
        let alerts = document.text("@timestamp").is_some_and(is_after);
        assert_eq!(document.get("event.ingested").is_some(), alerts, "{document:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_range_that_begins_before_the_retention_of_lastpass_is_complete() -> Result<(), Error> {
    let Some((services, plan)) = plan("retention").await else { return Ok(()) };
    let quirks = Quirks { retention_days: Some(30), ..Quirks::default() };
    // At noon of a day, so that no event reaches its 30 days during the test.
    let noons = (0..60).map(|day| ago(SignedDuration::from_hours(24 * day + 12)));
    let events = noons.map(|noon| Event::at(noon).by("ann@example.com").doing("Log in"));
    let installation = plan.world(World::of_events(events)).quirks(quirks).make(&services).await?;
    let mut function = installation.function();
    let (from, to) = (ago(SignedDuration::from_hours(24 * 60)), ago(SignedDuration::ZERO));

    let planned = complete(&mut function, json!({"action": "plan", "from": from, "to": to})).await?;
    assert_eq!(planned["slices"], json!([{"from": from, "to": to}]), "{planned}");
    assert_eq!(number(&planned, "lastpass_requests"), 1, "{planned}");
    let answer = complete(&mut function, backfill(from, to)).await?;
    assert_eq!((number(&answer, "created"), number(&answer, "lastpass_requests")), (30, 1), "{answer}");
    let held = installation.compare_events_in(ago(SignedDuration::from_hours(24 * 30)), to).await?;
    assert!(held.is_exact() && held.truth == 30, "{held}");
    Ok(())
}
