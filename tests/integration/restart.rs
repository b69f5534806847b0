//! Elasticsearch is restarted during a run. No manual action is needed.

use std::time::Duration;

use lastpass_harness::{Error, Fault, Function, Installation, Invocation, Node, Outcome, Rule, System};
use lastpass_simulator::Quirks;
use serde_json::{Value, json};

use crate::stage::{assert_accounted, bootstrap, collect, company, number, own_node};

const EVENTS: usize = 400;
/// Time until the node is started again: longer than the function retries a cluster that has not responded yet.
const AWAY: Duration = Duration::from_secs(30);
/// Long enough for a node that starts on a busy machine.
const LONG: Duration = Duration::from_secs(180);

/// Returns a separate node after `setup`, and an installation with many pages on it.
async fn stage() -> Result<Option<(Node, Installation, Function)>, Error> {
    let Some((node, services)) = own_node().await? else { return Ok(None) };
    let quirks = Quirks { page_size: 25, ..Quirks::default() };
    let plan = Installation::plan("restart", bootstrap()).variable("INITIAL_LOOKBACK", "40d");
    let plan = plan.variable("LOG_LEVEL", "trace").world(company(97, EVENTS, 10)).quirks(quirks);
    let installation = plan.make(&services).await?;
    let mut function = installation.function();
    let setup = function.ask(json!({"action": "setup"})).await?;
    assert_eq!(setup["status"], "complete", "{setup}");
    // Pages take a realistic time, so that the run lasts for a while.
    installation.calls.add(Rule::on(System::LastPass, "", Fault::Delay(Duration::from_millis(300))));
    Ok(Some((node, installation, function)))
}

/// Waits until the run has sent this number of bulks.
async fn bulks(installation: &Installation, count: usize) {
    while installation.calls.count_of(System::Elasticsearch, "_bulk") < count {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn assert_whole(installation: &Installation, answers: &[Value]) -> Result<(), Error> {
    answers.iter().for_each(assert_accounted);
    let held = installation.compare_events().await?;
    assert!(held.is_exact() && held.truth == EVENTS, "{held}");
    let created: u64 = answers.iter().map(|answer| number(answer, "created")).sum();
    assert!(created <= EVENTS as u64, "{created}: {answers:?}");
    Ok(())
}

/// Returns the invocation that the schedule sends and that Lambda retries.
fn event_report(timeout: Duration) -> Invocation {
    Invocation::new(collect("event_report")).with_timeout(timeout)
}

#[tokio::test]
async fn a_run_waits_for_a_node_that_is_stopped_and_started_again() -> Result<(), Error> {
    let Some((mut node, mut installation, mut function)) = stage().await? else { return Ok(()) };
    let restart = async {
        bulks(&installation, 3).await;
        node.stop().await?;
        tokio::time::sleep(AWAY).await;
        node.start_again().await?;
        installation.move_elasticsearch(node.elasticsearch())
    };
    let (outcome, restarted) = tokio::join!(function.invoke(event_report(LONG)), restart);
    restarted?;
    let answer = outcome?.answer()?;
    assert_eq!((&answer["status"], &answer["reason"]), (&json!("complete"), &Value::Null), "{answer}");
    assert_whole(&installation, std::slice::from_ref(&answer)).await?;
    assert_eq!(number(&answer, "created") + number(&answer, "duplicates"), number(&answer, "fetched"));
    Ok(())
}

#[tokio::test]
async fn a_node_that_dies_and_stays_away_for_longer_than_a_run() -> Result<(), Error> {
    let Some((mut node, mut installation, mut function)) = stage().await? else { return Ok(()) };
    let cut = async {
        bulks(&installation, 3).await;
        node.kill().await
    };
    let (outcome, killed) = tokio::join!(function.invoke(event_report(Duration::from_secs(15))), cut);
    killed?;
    let mut answers = Vec::new();
    match outcome? {
        Outcome::Answer(answer) if answer["status"] == "partial" => answers.push(answer),
        Outcome::Error { error_type, error_message } => {
            assert_eq!(error_type, "Elasticsearch.Unreachable", "{error_message}");
            assert!(error_message.contains("next run"), "{error_message}");
        }
        other => panic!("{other:?}"),
    }
    let (error_type, text) = function.invoke(event_report(Duration::from_secs(10))).await?.error()?;
    assert_eq!(error_type, "Elasticsearch.Unreachable", "{text}");

    node.start_again().await?;
    installation.move_elasticsearch(node.elasticsearch())?;
    // No lease and nothing else blocks the next invocation.
    let answer = function.invoke(event_report(LONG)).await?.answer()?;
    assert_eq!((&answer["status"], &answer["reason"]), (&json!("complete"), &Value::Null), "{answer}");
    answers.push(answer);
    assert_whole(&installation, &answers).await
}
