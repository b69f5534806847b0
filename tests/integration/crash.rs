//! The function is killed or runs out of time at any point. Nothing is lost or doubled.

use std::time::{Duration, Instant};

use lastpass_harness::{Answer, Error, Fault, Installation, Invocation, Moment, Rule, System};
use lastpass_simulator::Quirks;
use serde_json::json;

use crate::stage::{SHORT, collect, company, expire_the_lease, number, plan, slow_pages, until_complete};

const EVENTS: usize = 400;

async fn installation() -> Result<Option<Installation>, Error> {
    let Some((services, plan)) = plan("crash").await else { return Ok(None) };
    let quirks = Quirks { page_size: 110, ..Quirks::default() };
    Ok(Some(plan.world(company(21, EVENTS, 10)).quirks(quirks).make(&services).await?))
}

async fn assert_whole(installation: &Installation, what: &str) -> Result<(), Error> {
    let held = installation.compare_events().await?;
    assert!(held.is_exact() && held.truth == EVENTS, "{what}: {held}");
    Ok(())
}

/// Kills a run at one of its bulks or checkpoint writes. Lambda's retry follows immediately.
async fn killed_then_retried(kill_at: u64, moment: Moment) -> Result<(), Error> {
    let Some(installation) = installation().await? else { return Ok(()) };
    let mut function = installation.function();
    let is_write = |call: &lastpass_harness::Call| {
        call.operation.ends_with("_bulk") || (call.system == System::DynamoDb && call.operation != "GetItem")
    };
    let kill = Rule::when(is_write, Fault::Kill(function.killer(), moment)).after(kill_at).times(1);
    installation.calls.add(kill);
    let invocation = Invocation::new(collect("event_report"));
    let what = format!("killed {moment:?} write {kill_at}");
    let killed = function.invoke(invocation.clone()).await?;
    assert!(killed.is_dead(), "{what}: {killed:?}");

    let retried = function.invoke(invocation).await?.answer()?;
    assert_eq!(retried["status"], "complete", "{what}: {retried}");
    assert_whole(&installation, &what).await?;
    let again = function.ask(collect("event_report")).await?;
    assert_eq!(number(&again, "created"), 0, "{what}: {again}");
    Ok(())
}

#[tokio::test]
async fn killed_before_a_write_and_retried_at_once() -> Result<(), Error> {
    if plan("crash").await.is_none() {
        return Ok(());
    }
    for kill_at in 0..6 {
        killed_then_retried(kill_at, Moment::Before).await?;
    }
    Ok(())
}

#[tokio::test]
async fn killed_after_a_write_and_retried_at_once() -> Result<(), Error> {
    if plan("crash").await.is_none() {
        return Ok(());
    }
    for kill_at in 0..6 {
        killed_then_retried(kill_at, Moment::After).await?;
    }
    Ok(())
}

#[tokio::test]
async fn another_invocation_takes_over_once_the_lease_has_expired() -> Result<(), Error> {
    let Some(installation) = installation().await? else { return Ok(()) };
    let mut function = installation.function();
    let kill = Fault::Kill(function.killer(), Moment::After);
    installation.calls.add(Rule::on(System::Elasticsearch, "_bulk", kill).after(1).times(1));
    assert!(function.invoke(Invocation::new(collect("event_report"))).await?.is_dead());

    let early = function.ask(collect("event_report")).await?;
    assert_eq!((&early["status"], &early["reason"]), (&"skipped".into(), &"lease_held".into()), "{early}");
    assert!(early["lease_expires"].is_string(), "{early}");

    expire_the_lease(&installation).await?;
    let other = function.ask(collect("event_report")).await?;
    assert_eq!(other["status"], "complete", "{other}");
    assert_whole(&installation, "another request id").await
}

#[tokio::test]
async fn a_refused_page_in_the_middle_is_not_skipped() -> Result<(), Error> {
    let Some(installation) = installation().await? else { return Ok(()) };
    let mut function = installation.function();
    let refusal = json!({"error": {"type": "security_exception"}, "status": 403});
    let refused = Fault::Answer(Answer::json(403, &refusal));
    installation.calls.add(Rule::on(System::Elasticsearch, "_bulk", refused).after(1).times(1));
    let (error_type, text) = function.expect_error(collect("event_report")).await?;
    assert_eq!(error_type, "Elasticsearch.Forbidden", "{text}");
    assert_eq!(installation.watermark("event_report").await?, None);

    let answer = function.ask(collect("event_report")).await?;
    assert_eq!(answer["status"], "complete", "{answer}");
    assert_whole(&installation, "a refused page").await
}

#[tokio::test]
async fn a_checkpoint_table_that_never_responds_ends_the_run_in_time() -> Result<(), Error> {
    let Some(installation) = installation().await? else { return Ok(()) };
    let mut function = installation.function();
    installation.calls.add(Rule::on(System::DynamoDb, "UpdateItem", Fault::Silence).after(2).times(20));
    let invocation = Invocation::new(collect("event_report")).with_timeout(Duration::from_secs(8));
    let outcome = function.invoke(invocation.clone()).await?;
    // The function returned this error before Lambda's timeout.
    let (error_type, text) = outcome.error()?;
    assert_eq!(error_type, "Checkpoint.Unreachable", "{text}");
    installation.calls.clear();
    let retried = function.invoke(Invocation { timeout: Duration::from_secs(30), ..invocation }).await?.answer()?;
    assert_eq!(retried["status"], "complete", "{retried}");
    assert_whole(&installation, "a silent checkpoint").await
}

#[tokio::test]
async fn a_window_too_large_for_its_timeout_ends_partial_in_time_and_is_finished_later() -> Result<(), Error> {
    let Some((services, plan)) = plan("large").await else { return Ok(()) };
    let quirks = Quirks { page_size: 30, ..Quirks::default() };
    let installation = plan.world(company(22, EVENTS, 10)).quirks(quirks).make(&services).await?;
    installation.calls.add(slow_pages());
    let mut function = installation.function();
    let invocation = Invocation::new(collect("event_report")).with_timeout(SHORT);

    let begun = Instant::now();
    let first = function.invoke(invocation.clone()).await?.answer()?;
    assert_eq!(first["status"], "partial", "{first}");
    assert!(begun.elapsed() < SHORT, "{:?}", begun.elapsed());
    assert!(number(&first, "created") > 0, "{first}");
    assert_eq!(installation.watermark("event_report").await?, None, "nothing is passed over before it was read");

    let rest = until_complete(&mut function, &invocation).await?;
    assert_whole(&installation, "in parts").await?;
    let created: u64 = rest.iter().chain([&first]).map(|answer| number(answer, "created")).sum();
    assert_eq!(created, EVENTS as u64, "each was new once");
    Ok(())
}
