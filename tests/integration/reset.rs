//! A watermark set by hand, and a changed destination.

use jiff::{SignedDuration, Timestamp};
use lastpass_harness::{Answer, Error, Fault, Gate, Installation, Invocation, Rule, System};
use lastpass_simulator::Quirks;
use serde_json::{Value, json};

use crate::stage::{
    SHORT, ago, another_cluster, assert_accounted, collect, company, complete, number, plan, slow_pages,
};

fn reset(stream: &str, to: impl ToString) -> Value {
    json!({"action": "reset", "stream": stream, "to": to.to_string()})
}

/// Asserts that the message contains these words.
fn assert_says(answer: &Value, words: &[&str]) {
    let message = answer["message"].as_str().unwrap_or_default();
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {answer}");
    }
}

#[tokio::test]
async fn a_watermark_set_back_reads_events_again_and_doubles_none() -> Result<(), Error> {
    let Some((services, plan)) = plan("reset").await else { return Ok(()) };
    let installation = plan.world(company(91, 300, 10)).make(&services).await?;
    let mut function = installation.function();
    let first = complete(&mut function, collect("event_report")).await?;

    let to = ago(SignedDuration::from_hours(5 * 24));
    let answer = complete(&mut function, reset("event_report", to)).await?;
    assert_eq!((&answer["action"], &answer["stream"]), (&json!("reset"), &json!("event_report")), "{answer}");
    assert_eq!((&answer["before"], &answer["after"]), (&first["checkpoint"], &json!(to)), "{answer}");
    assert_eq!(answer["lease_expires"], Value::Null, "{answer}");
    assert_says(&answer, &[&to.to_string(), "`_id`", "`duplicates`"]);
    assert_eq!(installation.watermark("event_report").await?, Some(to.to_string()));

    let again = complete(&mut function, collect("event_report")).await?;
    assert_accounted(&again);
    let since = installation.simulator.truth_events().iter().filter(|event| event.instant >= to).count() as u64;
    assert!(since > 50 && number(&again, "duplicates") >= since, "{since} {again}");
    assert_eq!(number(&again, "created"), 0, "{again}");
    let held = installation.compare_events().await?;
    assert!(held.is_exact() && held.truth == 300, "{held}");
    Ok(())
}

#[tokio::test]
async fn events_before_a_watermark_set_forward_need_a_backfill() -> Result<(), Error> {
    let Some((services, plan)) = plan("reset_forward").await else { return Ok(()) };
    let installation = plan.world(company(92, 300, 10)).make(&services).await?;
    let mut function = installation.function();
    let long_ago = ago(SignedDuration::from_hours(11 * 24));
    complete(&mut function, reset("event_report", long_ago)).await?;
    let to = ago(SignedDuration::from_hours(1));
    let answer = complete(&mut function, reset("event_report", to)).await?;
    assert_eq!((&answer["before"], &answer["after"]), (&json!(long_ago), &json!(to)), "{answer}");
    let (_, asked) = answer["message"].as_str().unwrap_or_default().split_once("send ").expect("what to send");
    let backfill: Value = serde_json::from_str(asked.split_inclusive('}').next().unwrap_or_default()).expect("JSON");

    complete(&mut function, collect("event_report")).await?;
    let held = installation.compare_events().await?;
    assert!(held.lost.len() > 50 && held.doubled.is_empty(), "{held}");
    complete(&mut function, backfill).await?;
    let held = installation.compare_events().await?;
    assert!(held.is_exact() && held.truth == 300, "{held}");
    Ok(())
}

#[tokio::test]
async fn a_reset_forgets_unfinished_work_and_begins_before_a_repeated_hour() -> Result<(), Error> {
    let Some((services, plan)) = plan("reset_unfinished").await else { return Ok(()) };
    let quirks = Quirks { page_size: 30, ..Quirks::default() };
    let installation = plan.world(company(93, 300, 10)).quirks(quirks).make(&services).await?;
    installation.calls.add(slow_pages());
    let mut function = installation.function();
    let first = function.invoke(Invocation::new(collect("event_report")).with_timeout(SHORT)).await?.answer()?;
    assert_eq!(first["status"], "partial", "{first}");
    installation.calls.clear();

    let answer = complete(&mut function, reset("event_report", "2025-11-02T06:30:00Z")).await?;
    assert_eq!(answer["after"], "2025-11-02T05:00:00Z", "{answer}");
    let item = installation.checkpoints().await?.remove("stream#event_report").expect("the checkpoint");
    assert!(!item.contains_key("unfinished") && !item.contains_key("lease"), "{item:?}");
    complete(&mut function, collect("event_report")).await?;
    let held = installation.compare_events().await?;
    assert!(held.is_exact() && held.truth == 300, "{held}");
    Ok(())
}

#[tokio::test]
async fn a_stream_is_not_reset_during_a_run_or_into_the_future() -> Result<(), Error> {
    let Some((services, plan)) = plan("reset_busy").await else { return Ok(()) };
    let installation = plan.world(company(94, 100, 5)).make(&services).await?;
    let (mut one, mut other) = (installation.function(), installation.function());
    let read = complete(&mut one, collect("event_report")).await?;
    let gate = Gate::closed();
    installation.calls.add(Rule::on(System::LastPass, "reporting", Fault::Hold(gate.clone())).times(1));
    let at_work = async { one.invoke(Invocation::new(collect("event_report"))).await?.answer() };
    let meanwhile = async {
        gate.reached().await;
        let answer = other.ask(reset("event_report", "2025-01-01")).await;
        gate.open();
        answer
    };
    let (worked, skipped) = tokio::join!(at_work, meanwhile);
    let (worked, skipped) = (worked?, skipped?);
    assert_eq!((&skipped["status"], &worked["status"]), (&json!("skipped"), &json!("complete")), "{skipped} {worked}");
    assert_eq!((&skipped["before"], &skipped["after"]), (&read["checkpoint"], &read["checkpoint"]), "{skipped}");
    let expires: Timestamp = skipped["lease_expires"].as_str().unwrap_or_default().parse().expect("a time");
    assert!(expires > lastpass_harness::now(), "{skipped}");
    assert_says(&skipped, &["send this again after `lease_expires`"]);

    let (error_type, text) = other.expect_error(reset("event_report", ago(SignedDuration::from_hours(-1)))).await?;
    assert_eq!(error_type, "Request.Invalid", "{text}");
    assert!(text.contains("is in the future"), "{text}");
    assert_eq!(installation.watermark("event_report").await?.as_deref(), worked["checkpoint"].as_str());
    Ok(())
}

#[tokio::test]
async fn a_snapshot_taken_again_after_a_reset_adds_nothing() -> Result<(), Error> {
    let Some((services, plan)) = plan("reset_users").await else { return Ok(()) };
    let installation = plan.world(company(95, 0, 5)).make(&services).await?;
    let mut function = installation.function();
    let at = |time: &str| json!({"action": "collect", "stream": "user", "scheduled_time": time});
    let first = complete(&mut function, at("2025-06-02T00:00:00Z")).await?;
    let users = number(&first, "created");
    assert!(users > 0, "{first}");

    let answer = complete(&mut function, reset("user", "2025-06-01")).await?;
    assert_eq!(answer["after"], "2025-06-01T00:00:00Z", "{answer}");
    assert_says(&answer, &["later than 2025-06-01T00:00:00Z"]);
    // Everything before that time counts as read.
    assert_eq!(number(&complete(&mut function, at("2025-06-01T00:00:00Z")).await?, "fetched"), 0);
    let again = complete(&mut function, at("2025-06-02T00:00:00Z")).await?;
    assert_eq!((number(&again, "created"), number(&again, "duplicates")), (0, users), "{again}");
    assert!(installation.compare_users().await?.is_exact());
    Ok(())
}

#[tokio::test]
async fn confirming_another_namespace_abandons_unfinished_work_for_the_former_one() -> Result<(), Error> {
    let Some((services, plan)) = plan("reset_namespace").await else { return Ok(()) };
    let quirks = Quirks { page_size: 30, ..Quirks::default() };
    let installation = plan.world(company(96, 300, 10)).quirks(quirks).make(&services).await?;
    let mut function = installation.function();
    let read = complete(&mut function, collect("event_report")).await?;
    let (from, to) = (ago(SignedDuration::from_hours(264)), ago(SignedDuration::from_hours(-1)));
    let backfill = json!({"action": "backfill", "stream": "event_report", "from": from, "to": to});
    installation.calls.add(slow_pages());
    let cut = function.invoke(Invocation::new(backfill.clone()).with_timeout(SHORT)).await?.answer()?;
    assert_eq!(cut["status"], "partial", "{cut}");
    installation.calls.clear();

    let new = format!("{}_new", installation.namespace);
    function.set("NAMESPACE", &new).await;
    for request in [collect("event_report"), backfill.clone(), json!({"action": "resume"})] {
        let (error_type, text) = function.expect_error(request).await?;
        assert_eq!(error_type, "Checkpoint.DestinationChanged", "{text}");
        let confirm = "{\"action\": \"reset\", \"stream\": \"event_report\", \"to\": \"...\"}";
        for word in ["restore the former settings", "second stack", confirm] {
            assert!(text.contains(word), "{word:?} is not in: {text}");
        }
    }

    let since = ago(SignedDuration::from_hours(5 * 24));
    let answer = complete(&mut function, reset("event_report", since)).await?;
    assert_eq!(answer["before"], read["checkpoint"], "{answer}");
    assert_says(&answer, &["1 unfinished backfill", "send it again", &new]);
    let nothing = function.ask(json!({"action": "resume"})).await?;
    assert_eq!((&nothing["status"], &nothing["resumed"]), (&json!("complete"), &json!([])), "{nothing}");
    let status = function.ask(json!({"action": "status"})).await?;
    assert_eq!(status["backfills"], json!([]), "what was given up is no work that is left: {status}");

    complete(&mut function, collect("event_report")).await?;
    let there = services.elasticsearch.documents(&format!("logs-lastpass.event_report-{new}")).await?;
    let truth = installation.simulator.truth_events();
    let wanted = truth.iter().filter(|event| event.instant >= since).count();
    assert!(there.len() >= wanted && there.len() < 300, "{} {wanted}", there.len());
    complete(&mut function, backfill).await?;
    let there = services.elasticsearch.documents(&format!("logs-lastpass.event_report-{new}")).await?;
    let held = lastpass_harness::compare_events(&truth, &there);
    assert!(held.is_exact() && held.truth == 300, "{held}");
    Ok(())
}

async fn stored_uuid(installation: &Installation) -> Result<Option<String>, Error> {
    let item = installation.checkpoints().await?.remove("stream#event_report").expect("the checkpoint");
    let destination = item["destination"].as_m().expect("a map").clone();
    Ok(destination.get("cluster_uuid").and_then(|uuid| uuid.as_s().ok().cloned()))
}

#[tokio::test]
async fn another_cluster_under_the_same_host_is_noticed_by_a_warm_sandbox_and_confirmed() -> Result<(), Error> {
    let Some((services, plan)) = plan("reset_cluster").await else { return Ok(()) };
    let installation = plan.world(company(97, 100, 5)).make(&services).await?;
    let mut function = installation.function();
    complete(&mut function, collect("event_report")).await?;
    let uuid = stored_uuid(&installation).await?.expect("the cluster's UUID");
    installation.calls.clear_records();
    complete(&mut function, collect("event_report")).await?;
    let templates = "/_index_template/";
    assert_eq!(installation.calls.count_of(System::Elasticsearch, templates), 0, "they were seen in this cluster");

    // The other cluster is empty.
    installation.calls.add(another_cluster());
    let none = Answer::json(404, &json!({"index_templates": []}));
    installation.calls.add(Rule::on(System::Elasticsearch, templates, Fault::Answer(none)));
    let skipped = function.ask(collect("event_report")).await?;
    assert_eq!((&skipped["status"], &skipped["reason"]), (&json!("skipped"), &json!("setup_required")), "{skipped}");
    installation.calls.clear();

    // The other cluster was set up.
    installation.calls.add(another_cluster());
    let watermark = installation.watermark("event_report").await?;
    let (error_type, text) = function.expect_error(collect("event_report")).await?;
    assert_eq!(error_type, "Checkpoint.DestinationChanged", "{text}");
    let words = [
        "another cluster now responds at this host",
        "another-cluster",
        &uuid,
        "\"action\": \"reset\"",
        "second stack",
    ];
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
    assert_eq!(installation.watermark("event_report").await?, watermark);
    let since = ago(SignedDuration::from_hours(24));
    let answer = complete(&mut function, reset("event_report", since)).await?;
    assert_says(&answer, &["the cluster that now responds at", "is confirmed"]);
    assert_eq!(stored_uuid(&installation).await?.as_deref(), Some("another-cluster"));
    complete(&mut function, collect("event_report")).await?;

    installation.calls.clear();
    let (_, text) = function.expect_error(collect("event_report")).await?;
    assert!(text.contains("another cluster now responds at this host"), "{text}");
    Ok(())
}
