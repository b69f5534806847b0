//! A serverless project: it rejects APIs, settings and privileges that a cluster has, and reports version 8.11.0.

use jiff::SignedDuration;
use lastpass_harness::{Answer, Error, Fault, Function, Installation, Node, Rule, System, serverless_rules};
use serde_json::json;

use crate::stage::{
    ago, bootstrap, collect, company, complete, message, next_snapshot, number, own_node, plan, repair, spoil,
};

/// Uses a separate node, because the retention applies to all tests.
async fn stage_of_its_own() -> Result<Option<(Node, Installation, Function)>, Error> {
    let Some((node, services)) = own_node().await? else { return Ok(None) };
    let plan = Installation::plan("serverless", bootstrap()).variable("INITIAL_LOOKBACK", "40d");
    let installation = plan.world(company(151, 120, 5)).make(&services).await?;
    let function = installation.function();
    Ok(Some((node, installation, function)))
}

async fn stage(name: &str) -> Result<Option<(Installation, Function)>, Error> {
    let Some((services, plan)) = plan(name).await else { return Ok(None) };
    let installation = plan.world(company(151, 120, 5)).make(&services).await?;
    let function = installation.function();
    Ok(Some((installation, function)))
}

#[tokio::test]
async fn everything_works_on_a_serverless_project() -> Result<(), Error> {
    let Some((_node, installation, mut function)) = stage_of_its_own().await? else { return Ok(()) };
    serverless_rules().into_iter().for_each(|rule| installation.calls.add(rule));
    complete(&mut function, json!({"action": "setup", "retention": "365d"})).await?;
    for stream in ["event_report", "user", "detailed_shared_folder"] {
        complete(&mut function, collect(stream)).await?;
    }
    complete(&mut function, json!({"action": "setup", "retention": "90d"})).await?;
    for stream in ["event_report", "user", "detailed_shared_folder"] {
        let updates = format!("PUT /_data_stream/{}/_lifecycle", installation.data_stream(stream));
        assert_eq!(
            installation.calls.count_of(System::Elasticsearch, &updates),
            1,
            "existing data streams are updated"
        );
    }
    assert!(installation.compare_events().await?.is_exact());

    let answer = function.ask(json!({"action": "check"})).await?;
    assert_eq!(answer["status"], "ok", "{answer}");
    assert!(message(&answer, "elasticsearch").contains("8.11.0 (serverless)"), "{answer}");
    assert!(message(&answer, "elasticsearch_excess_rights").contains("no privileges beyond"), "{answer}");

    let (from, to) = (ago(SignedDuration::from_hours(6 * 24)), ago(SignedDuration::ZERO));
    let range = json!({"action": "backfill", "stream": "event_report", "from": from, "to": to});
    assert_eq!(number(&complete(&mut function, range).await?, "created"), 0);
    // So few users that the run does not take their refusal for a fault of the mapping.
    installation.simulator.with_world(|world| {
        let keys: Vec<String> = world.users.iter().skip(15).map(|(key, _)| key.to_owned()).collect();
        keys.iter().for_each(|key| assert!(world.users.remove(key)));
    });
    spoil(&installation, "user", "user.full_name").await?;
    installation.services.elasticsearch.roll_over(&installation.data_stream("user")).await?;
    let second = complete(&mut function, next_snapshot("user")).await?;
    let letters = number(&second, "dead_letters");
    assert!((1..=15).contains(&letters), "{second}");
    assert_eq!(second["changes"]["status"], "complete", "{second}");
    repair(&installation, "user").await?;
    let redriven = complete(&mut function, json!({"action": "redrive", "stream": "user"})).await?;
    assert_eq!(number(&redriven, "created"), letters, "{redriven}");
    assert_eq!(function.ask(json!({"action": "status"})).await?["action"], "status");

    // The function used only APIs that a project has.
    let refused: Vec<String> = installation
        .calls
        .records()
        .into_iter()
        .filter(|call| {
            call.system == System::Elasticsearch && call.fault && call.status.is_none_or(|status| status >= 400)
        })
        .map(|call| format!("{} {:?}", call.operation, call.status))
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn a_key_of_a_serverless_project_with_too_many_privileges_is_found() -> Result<(), Error> {
    let Some((installation, mut function)) = stage("serverless_excess").await? else { return Ok(()) };
    serverless_rules().into_iter().for_each(|rule| installation.calls.add(rule));
    let role = json!({"cluster": ["all"], "indices": [{"names": ["*"], "privileges": ["all"]}]});
    let key = installation.services.elasticsearch.create_key("too much", &role).await?;
    installation.put_credential("elastic_api_key", Some(&key.encoded)).await?;
    let answer = function.ask(json!({"action": "check"})).await?;
    let text = message(&answer, "elasticsearch_excess_rights");
    assert!(answer["status"] == "failed" && text.contains("manage_security"), "{text}");
    installation.services.elasticsearch.invalidate_key(&key).await
}

/// As with a later version that has removed a privilege, or a project that supports fewer than today.
#[tokio::test]
async fn privileges_that_cannot_be_checked_are_no_failure() -> Result<(), Error> {
    let Some((installation, mut function)) = stage("serverless_unknown").await? else { return Ok(()) };
    let reason = "Validation Failed: 1: unknown cluster privilege [manage_ilm];";
    let error = json!({"type": "action_request_validation_exception", "reason": reason});
    let answer = Answer::json(400, &json!({"error": error, "status": 400}));
    installation.calls.add(Rule::on(System::Elasticsearch, "_has_privileges", Fault::Answer(answer)));
    let answer = function.ask(json!({"action": "check"})).await?;
    assert_eq!(answer["status"], "ok", "{answer}");
    for name in ["elasticsearch_rights", "elasticsearch_excess_rights", "elasticsearch_setup_rights"] {
        assert!(message(&answer, name).contains("cannot be checked"), "{answer}");
    }
    Ok(())
}
