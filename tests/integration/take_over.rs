//! The function beside Elastic's integration: a takeover must be requested, and an agent that continues writing is
//! reported.
//!
//! Uses a separate node, because `setup` checks every data stream.

use jiff::{SignedDuration, Timestamp};
use lastpass_harness::{Elasticsearch, Error, Function, Installation, Method, Node, check_of, now};
use serde_json::{Value, json};

use crate::stage::{bootstrap, collect, company, own_node};

async fn stage() -> Result<Option<(Node, Installation, Function)>, Error> {
    let Some((node, services)) = own_node().await? else { return Ok(None) };
    let plan = Installation::plan("take_over", bootstrap()).variable("INITIAL_LOOKBACK", "40d");
    let installation = plan.world(company(141, 40, 3)).make(&services).await?;
    let function = installation.function();
    Ok(Some((node, installation, function)))
}

/// Installs the assets that Fleet installs for the integration's audit events.
async fn install_integration(elasticsearch: &Elasticsearch) -> Result<(), Error> {
    let meta = json!({"package": {"name": "lastpass"}, "managed_by": "fleet", "managed": true});
    let template = json!({
        "index_patterns": ["logs-lastpass.event_report-*"],
        "priority": 200,
        "data_stream": {},
        "template": {"mappings": {"_meta": meta, "properties": {"@timestamp": {"type": "date"}}}},
        "_meta": meta,
    });
    elasticsearch.request(Method::PUT, "/_index_template/logs-lastpass.event_report", Some(&template)).await.map(drop)
}

/// Returns a document as an agent sends it, before a pipeline has parsed it.
fn of_agent(at: Timestamp) -> Value {
    json!({
        "@timestamp": at,
        "agent": {"id": "5a5f…", "name": "collector-1", "type": "filebeat", "version": "8.19.0"},
        "elastic_agent": {"id": "5a5f…", "version": "8.19.0", "snapshot": false},
        "data_stream": {"type": "logs", "dataset": "lastpass.event_report"},
        "message": "{\"Time\":\"2026-01-01 00:00:00\"}",
    })
}

async fn write(elasticsearch: &Elasticsearch, data_stream: &str, document: &Value) -> Result<(), Error> {
    elasticsearch.request(Method::POST, &format!("/{data_stream}/_doc?refresh=true"), Some(document)).await.map(drop)
}

fn message<'a>(answer: &'a Value, name: &str) -> (&'a str, &'a str) {
    let check = check_of(answer, name);
    (check["status"].as_str().expect("a status"), check["message"].as_str().expect("a message"))
}

#[tokio::test]
async fn a_data_stream_of_an_agent_is_taken_over_only_on_request() -> Result<(), Error> {
    let Some((_node, installation, mut function)) = stage().await? else { return Ok(()) };
    let elasticsearch = &installation.services.elasticsearch;
    install_integration(elasticsearch).await?;
    let ours = installation.data_stream("event_report");
    let team_b = "logs-lastpass.event_report-team_b";
    for data_stream in [ours.as_str(), team_b] {
        write(elasticsearch, data_stream, &of_agent(now())).await?;
    }

    for request in [json!({"action": "setup"}), json!({"action": "setup", "take_over": false})] {
        let (error_type, text) = function.expect_error(request).await?;
        assert_eq!(error_type, "Elasticsearch.Refused", "{text}");
        for word in [ours.as_str(), team_b, "Fleet", "logs-lastpass.event_report", "unparsed", "\"take_over\": true"] {
            assert!(text.contains(word), "{word} is not in: {text}");
        }
    }
    let (status, templates) =
        elasticsearch.try_request(Method::GET, "/_index_template/lastpass-elastic.*", None).await?;
    assert!(status == 404 || templates["index_templates"] == json!([]), "nothing was installed: {templates}");
    assert_eq!(elasticsearch.backing_indices(&ours).await?.len(), 1);
    let answer = function.ask(collect("event_report")).await?;
    assert_eq!((&answer["status"], &answer["reason"]), (&json!("skipped"), &json!("setup_required")), "{answer}");
    let answer = function.ask(json!({"action": "check"})).await?;
    let (status, text) = message(&answer, "index_templates");
    assert!(status == "failed" && text.contains("take_over") && text.contains("Fleet"), "{text}");
    assert_eq!(message(&answer, "other_writers").0, "failed", "{answer}");

    let answer = function.ask(json!({"action": "setup", "take_over": true})).await?;
    assert_eq!(answer["status"], "complete", "{answer}");
    for data_stream in [ours.as_str(), team_b] {
        assert_eq!(elasticsearch.backing_indices(data_stream).await?.len(), 2, "{data_stream}");
    }
    let answer = function.ask(collect("event_report")).await?;
    assert_eq!((&answer["status"], &answer["created"]), (&json!("complete"), &json!(40)), "{answer}");
    // The agent's earlier documents are not reported, and the data stream that was taken over is ours.
    let answer = function.ask(json!({"action": "check"})).await?;
    assert_eq!(answer["status"], "ok", "{answer}");
    assert_eq!(function.ask(json!({"action": "setup"})).await?["status"], "complete");
    Ok(())
}

#[tokio::test]
async fn an_agent_that_continues_writing_is_found_in_every_namespace() -> Result<(), Error> {
    let Some((_node, installation, mut function)) = stage().await? else { return Ok(()) };
    let elasticsearch = &installation.services.elasticsearch;
    // Assets of the integration without its data streams, such as dashboards, are no reason to fail.
    install_integration(elasticsearch).await?;
    assert_eq!(function.ask(json!({"action": "setup"})).await?["status"], "complete");
    function.ask(collect("event_report")).await?;
    let team_b = "logs-lastpass.user-team_b";
    write(elasticsearch, team_b, &of_agent(now() - SignedDuration::from_hours(50))).await?;
    let answer = function.ask(json!({"action": "check"})).await?;
    assert_eq!(answer["status"], "ok", "it was stopped days ago: {answer}");

    write(elasticsearch, team_b, &of_agent(now())).await?;
    let answer = function.ask(json!({"action": "check"})).await?;
    let (status, text) = message(&answer, "other_writers");
    assert!(status == "failed" && text.contains(team_b) && text.contains("1 documents"), "{text}");
    assert!(text.contains("docs/from-elastics-integration.md"), "{text}");

    // If its own template overrides ours, the integration may continue.
    let meta = json!({"package": {"name": "lastpass"}, "managed_by": "fleet"});
    let template = json!({
        "index_patterns": [team_b],
        "priority": 400,
        "data_stream": {},
        "template": {"mappings": {"_meta": meta, "properties": {"@timestamp": {"type": "date"}}}},
    });
    elasticsearch.request(Method::PUT, "/_index_template/of-team-b", Some(&template)).await?;
    elasticsearch.roll_over(team_b).await?;
    write(elasticsearch, team_b, &of_agent(now())).await?;
    let indices = elasticsearch.backing_indices(team_b).await?;
    assert_eq!(function.ask(json!({"action": "setup"})).await?["status"], "complete");
    assert_eq!(elasticsearch.backing_indices(team_b).await?, indices, "it was left alone");
    let answer = function.ask(json!({"action": "check"})).await?;
    assert_eq!(answer["status"], "ok", "{answer}");
    elasticsearch.request(Method::DELETE, "/_index_template/of-team-b", None).await?;
    let answer = function.ask(json!({"action": "check"})).await?;
    assert_eq!(message(&answer, "other_writers").0, "failed", "{answer}");

    // Another writer than an agent, in the function's own namespace.
    let ours = installation.data_stream("event_report");
    write(elasticsearch, &ours, &json!({"@timestamp": now(), "message": "by Logstash"})).await?;
    let answer = function.ask(json!({"action": "check"})).await?;
    let (_, text) = message(&answer, "other_writers");
    assert!(text.contains(&ours) && text.contains(team_b) && text.contains("2 documents"), "{text}");
    Ok(())
}
