//! A scheduled run makes no unnecessary call. Some of its calls are concurrent; nothing is written before they succeeded.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::SignedDuration;
use lastpass_harness::{Answer, Error, Fault, Function, Gate, Installation, Invocation, Rule, System, now};
use lastpass_simulator::{CompanySize, Event, World};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::stage::{
    ago, another_cluster, collect, company, complete, is_cluster_info, number, plan, repair, spoil, twins,
};

/// Longest time until a process is frozen on a busy machine.
const FREEZE_LIMIT: Duration = Duration::from_secs(10);
/// How long the tests wait for a call that must not be made.
const QUIET_TIME: Duration = Duration::from_secs(2);

/// Returns an installation whose function has made its first run.
async fn warm(name: &str, seed: u64) -> Result<Option<(Installation, Function)>, Error> {
    warm_with(name, company(seed, 50, 2)).await
}

async fn warm_with(name: &str, world: World) -> Result<Option<(Installation, Function)>, Error> {
    let Some((services, plan)) = plan(name).await else { return Ok(None) };
    let installation = plan.world(world).make(&services).await?;
    let mut function = installation.function();
    complete(&mut function, collect("event_report")).await?;
    installation.calls.clear_records();
    Ok(Some((installation, function)))
}

/// Adds `count` events of a minute ago.
fn happen(installation: &Installation, count: usize) {
    let instant = ago(SignedDuration::from_mins(1));
    let event = |number| Event::at(instant).by(format!("user{number}@example.com")).doing("Log in");
    installation.simulator.push_events((0..count).map(event));
}

/// Returns the calls since the last restart of the record, each as its system and the last part of its operation, sorted.
fn calls(installation: &Installation) -> Vec<String> {
    let name = |system: System, operation: &str| {
        let api = operation.rsplit('/').find(|part| !part.is_empty()).unwrap_or_default();
        let api = if operation.contains("_resolve/index") { "_resolve" } else { api };
        format!("{system:?} {api}")
    };
    let mut calls: Vec<String> =
        installation.calls.records().iter().map(|call| name(call.system, &call.operation)).collect();
    calls.sort();
    calls
}

#[tokio::test]
async fn a_warm_run_makes_no_unnecessary_call() -> Result<(), Error> {
    let Some((installation, mut function)) = warm("warm", 501).await? else { return Ok(()) };
    // The backing indices are listed while LastPass answers. If it answered first, that call would be given up.
    installation.calls.add(Rule::on(System::LastPass, "", Fault::Delay(Duration::from_millis(500))));
    let least = ["DynamoDb UpdateItem", "DynamoDb UpdateItem", "LastPass reporting"];
    let concurrent = ["Elasticsearch GET ", "Elasticsearch _resolve"];
    // Events that were read are looked up, even if an earlier run delivered all of them.
    let reading_back = ["Elasticsearch _mget", "Elasticsearch _resolve"];
    for new in [0, 20, 500, 0] {
        installation.calls.clear_records();
        happen(&installation, new);
        let answer = complete(&mut function, collect("event_report")).await?;
        assert_eq!(number(&answer, "created"), new as u64, "{answer}");
        let mut expected: Vec<&str> = least.into_iter().chain(concurrent).collect();
        if number(&answer, "fetched") > 0 {
            expected.extend(reading_back);
        }
        if new > 0 {
            expected.push("Elasticsearch _bulk");
        }
        expected.sort_unstable();
        assert_eq!(calls(&installation), expected, "{new} new events");
    }
    Ok(())
}

/// The function is frozen between its runs. Meanwhile the services close its connections.
#[tokio::test]
async fn a_run_after_a_freeze_needs_no_retry() -> Result<(), Error> {
    let Some((installation, mut function)) = warm("freeze", 502).await? else { return Ok(()) };
    for new in [20, 0] {
        timeout(FREEZE_LIMIT, function.frozen()).await.expect("the process is frozen");
        installation.close_connections().await;
        happen(&installation, new);
        let answer = complete(&mut function, collect("event_report")).await?;
        assert_eq!(number(&answer, "created"), new as u64, "{answer}");
    }
    function.stop().await;
    let retries: Vec<String> =
        function.output().lines().into_iter().filter(|line| line.contains("; retrying")).collect();
    assert_eq!(retries, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn resume_without_work_makes_one_call_to_dynamodb() -> Result<(), Error> {
    let Some((installation, mut function)) = warm("nothing_to_resume", 502).await? else { return Ok(()) };
    let (from, to) = (ago(SignedDuration::from_hours(40)), ago(SignedDuration::from_hours(20)));
    complete(&mut function, json!({"action": "backfill", "stream": "event_report", "from": from, "to": to})).await?;
    for mut function in [function, installation.function()] {
        installation.calls.clear_records();
        let answer = complete(&mut function, json!({"action": "resume"})).await?;
        assert_eq!(answer["resumed"], json!([]), "{answer}");
        assert_eq!(calls(&installation), ["DynamoDb BatchGetItem"]);
    }
    Ok(())
}

#[tokio::test]
async fn a_deleted_backfill_costs_resume_calls_to_dynamodb_only() -> Result<(), Error> {
    let Some((installation, mut function)) = warm("deleted_backfills", 507).await? else { return Ok(()) };
    // As if somebody had deleted the items of that many unfinished backfills: more than one call can read.
    let pk = |number| format!("backfill#event_report#2024-01-01T00:00:00Z#2024-01-02T00:00:00.{number:03}Z");
    let keys = AttributeValue::Ss((0..150).map(pk).collect());
    let aws = &installation.services.aws;
    aws.set_attribute(&installation.table, "unfinished_backfills", "keys", keys).await?;
    let answer = complete(&mut function, json!({"action": "resume"})).await?;
    assert_eq!(answer["resumed"], json!([]), "{answer}");
    assert_eq!(calls(&installation), ["DynamoDb BatchGetItem"; 3]);
    Ok(())
}

/// Makes a request whose cluster info is held back. Returns the answer, and how often LastPass was read, documents were
/// written and a checkpoint was saved meanwhile.
async fn hold_cluster_info(
    installation: &Installation,
    function: &mut Function,
    request: Value,
) -> Result<(Value, [usize; 3]), Error> {
    let gate = Gate::closed();
    installation.calls.clear_records();
    installation.calls.add(Rule::when(is_cluster_info, Fault::Hold(gate.clone())).times(1));
    let run = async { function.invoke(Invocation::new(request)).await?.answer() };
    let meanwhile = async {
        gate.reached().await;
        tokio::time::sleep(QUIET_TIME).await;
        let counts =
            [(System::LastPass, "reporting"), (System::Elasticsearch, "_bulk"), (System::DynamoDb, "UpdateItem")]
                .map(|(system, operation)| installation.calls.count_of(system, operation));
        gate.open();
        counts
    };
    let (answer, counts) = tokio::join!(run, meanwhile);
    Ok((answer?, counts))
}

#[tokio::test]
async fn nothing_is_written_before_the_cluster_is_known() -> Result<(), Error> {
    let Some((installation, mut function)) = warm("unknown_cluster", 503).await? else { return Ok(()) };
    happen(&installation, 20);
    let (answer, [read, written, saved]) =
        hold_cluster_info(&installation, &mut function, collect("event_report")).await?;
    assert_eq!([read, written, saved], [1, 0, 1], "LastPass was asked, and only the lease was taken: {answer}");
    assert_eq!((&answer["status"], number(&answer, "created")), (&json!("complete"), 20), "{answer}");
    Ok(())
}

/// A comparison delivers its changes, and a repeated redrive its documents, before either saves its position.
#[tokio::test]
async fn neither_changes_nor_redriven_documents_are_written_before_the_cluster_is_known() -> Result<(), Error> {
    let size = CompanySize { events: 50, users: 12, folders: 3, max_folder_users: 5, ..CompanySize::default() };
    let world = World::company(508, &size, now());
    let Some((installation, mut function)) = warm_with("unknown_cluster_again", world).await? else { return Ok(()) };
    assert!((1..20).contains(&installation.simulator.folder_documents()), "few enough to become dead letters");
    let refusal = json!({"error": {"type": "illegal_argument_exception", "reason": "no"}, "status": 400});
    let refuse = |operation| Rule::on(System::Elasticsearch, operation, Fault::Answer(Answer::json(400, &refusal)));
    let [first, second] = [9, 8].map(|minutes| {
        let scheduled_time = ago(SignedDuration::from_mins(minutes)).to_string();
        json!({"action": "collect", "stream": "user", "scheduled_time": scheduled_time})
    });
    complete(&mut function, first).await?;
    installation.simulator.with_world(|world| world.turn_over(7, 40));
    installation.calls.add(refuse("lastpass.change"));
    function.expect_error(second.clone()).await?;
    installation.calls.clear();
    let (answer, [_, written, saved]) = hold_cluster_info(&installation, &mut function, second).await?;
    assert_eq!([written, saved], [0, 1], "only the lease was taken: {answer}");
    assert_eq!(answer["changes"]["status"], "complete", "{answer}");
    assert!(number(&answer["changes"], "changes") > 0, "{answer}");

    spoil(&installation, "detailed_shared_folder", "lastpass.detailed_shared_folder.name").await?;
    let letters = complete(&mut function, collect("detailed_shared_folder")).await?;
    assert!(number(&letters, "dead_letters") > 0, "{letters}");
    repair(&installation, "detailed_shared_folder").await?;
    // A search finds recent documents only after a refresh.
    installation.documents("dead_letter").await?;
    let redrive = json!({"action": "redrive", "stream": "detailed_shared_folder"});
    installation.calls.add(refuse("_bulk"));
    function.expect_error(redrive.clone()).await?;
    installation.calls.clear();
    let (answer, [_, written, saved]) = hold_cluster_info(&installation, &mut function, redrive).await?;
    assert_eq!([written, saved], [0, 1], "only the lease was taken: {answer}");
    assert_eq!(number(&answer, "created"), number(&letters, "dead_letters"), "{answer}");
    Ok(())
}

/// Makes a run fail by `rule`, and asserts that its watermark stays and that the next run delivers the events. Returns the
/// type and text of its error, and how many bulk requests it sent.
async fn fail_once(
    installation: &Installation,
    function: &mut Function,
    rule: Rule,
) -> Result<(String, String, usize), Error> {
    happen(installation, 20);
    let before = installation.watermark("event_report").await?;
    installation.calls.add(rule);
    let invocation = Invocation::new(collect("event_report")).with_timeout(Duration::from_secs(10));
    let (error_type, message) = function.invoke(invocation).await?.error()?;
    let bulk_requests = installation.calls.count_of(System::Elasticsearch, "_bulk");
    assert_eq!(installation.watermark("event_report").await?, before);
    installation.calls.clear();
    // Also shows that the lease was released.
    let answer = complete(function, collect("event_report")).await?;
    assert_eq!(number(&answer, "created"), 20, "{answer}");
    Ok((error_type, message, bulk_requests))
}

#[tokio::test]
async fn another_cluster_at_the_same_address_is_found_before_anything_is_written() -> Result<(), Error> {
    let Some((installation, mut function)) = warm("replaced_cluster", 504).await? else { return Ok(()) };
    let (error_type, message, bulk_requests) = fail_once(&installation, &mut function, another_cluster()).await?;
    assert_eq!((error_type.as_str(), bulk_requests), ("Checkpoint.DestinationChanged", 0), "{message}");
    Ok(())
}

#[tokio::test]
async fn an_unavailable_cluster_fails_the_run_and_loses_nothing() -> Result<(), Error> {
    let Some((installation, mut function)) = warm("cluster_away", 505).await? else { return Ok(()) };
    let away = Rule::when(|call| call.system == System::Elasticsearch, Fault::Answer(Answer::html(503)));
    let (error_type, message, _) = fail_once(&installation, &mut function, away).await?;
    assert!(error_type.starts_with("Elasticsearch."), "{error_type}: {message}");
    Ok(())
}

#[tokio::test]
async fn documents_in_an_index_created_after_the_listing_are_found() -> Result<(), Error> {
    let Some((installation, mut function)) = warm("new_index", 506).await? else { return Ok(()) };
    let instant = ago(SignedDuration::from_mins(2));
    installation.simulator.push_events(twins(instant, 3));
    let gate = Gate::closed();
    installation.calls.add(Rule::on(System::LastPass, "reporting", Fault::Hold(gate.clone())).times(1));
    let run = async { function.invoke(Invocation::new(collect("event_report"))).await?.answer() };
    let mut other = installation.function();
    let meanwhile = async {
        gate.reached().await;
        // The run has listed the indices by now. Another run writes the same events into the next index.
        tokio::time::sleep(QUIET_TIME).await;
        let listed = installation.calls.count_of(System::Elasticsearch, "_resolve");
        installation.services.elasticsearch.roll_over(&installation.data_stream("event_report")).await?;
        let to = instant + SignedDuration::from_secs(1);
        let backfill = json!({"action": "backfill", "stream": "event_report", "from": instant, "to": to});
        let answer = complete(&mut other, backfill).await?;
        // The write index would reject its own documents as duplicates, so they must be in the index before it.
        installation.services.elasticsearch.roll_over(&installation.data_stream("event_report")).await?;
        gate.open();
        Ok::<_, Error>((listed, answer))
    };
    let (answer, meanwhile) = tokio::join!(run, meanwhile);
    let (answer, (listed, backfilled)) = (answer?, meanwhile?);
    assert_eq!((listed, number(&backfilled, "created")), (1, 3), "{backfilled}");
    assert_eq!((number(&answer, "created"), number(&answer, "duplicates") >= 3), (0, true), "{answer}");
    let held = installation.compare_events().await?;
    assert!(held.is_exact(), "{held}");
    Ok(())
}
