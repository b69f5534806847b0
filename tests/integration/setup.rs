//! Before and after `setup`, and with a secret that is not filled in yet.

use lastpass_harness::{DATA_STREAMS, Error};
use serde_json::{Value, json};

use crate::stage::{SETTING_UP, collect, company, complete, plan, seen_at_set_up, skip};

#[tokio::test]
async fn collect_before_setup_is_skipped_and_says_why() -> Result<(), Error> {
    let Some(seen) = seen_at_set_up().await else { return Ok(()) };
    let Some(answer) = &seen.collect_before else {
        skip("the cluster was set up by an earlier run; start a fresh one");
        return Ok(());
    };
    assert_eq!((&answer["status"], &answer["reason"]), (&json!("skipped"), &json!("setup_required")), "{answer}");
    assert_eq!(answer["fetched"], 0, "{answer}");
    Ok(())
}

#[tokio::test]
async fn setup_installs_templates_that_win_over_the_integrations() -> Result<(), Error> {
    let Some((services, _)) = plan("setup").await else { return Ok(()) };
    let Some(seen) = seen_at_set_up().await else { return Ok(()) };
    let installed = seen.setup["installed"].as_array().expect("a list");
    assert!(seen.setup["status"] == "complete" && !installed.is_empty(), "{}", seen.setup);
    for stream in DATA_STREAMS {
        let name = format!("lastpass-elastic.{stream}");
        let path = format!("/_index_template/{name}");
        let answer = services.elasticsearch.request("GET".parse().expect("GET"), &path, None).await?;
        let template = &answer["index_templates"][0]["index_template"];
        assert_eq!(template["priority"], 350, "{name}: {answer}");
        assert!(template["_meta"]["lastpass_elastic"]["version"].is_number(), "{name}: {answer}");
        assert_eq!(template["index_patterns"], json!([format!("logs-lastpass.{stream}-*")]), "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_second_setup_changes_nothing_for_streams_that_exist() -> Result<(), Error> {
    let Some((services, plan)) = plan("twice").await else { return Ok(()) };
    let installation = plan.world(company(41, 50, 5)).make(&services).await?;
    let mut function = installation.function();
    function.ask(collect("event_report")).await?;
    let data_stream = installation.data_stream("event_report");
    let before = services.elasticsearch.backing_indices(&data_stream).await?;
    let setting_up = SETTING_UP.lock().await;
    let answer = function.ask(json!({"action": "setup"})).await?;
    drop(setting_up);
    assert_eq!(answer["status"], "complete", "{answer}");
    assert_eq!(services.elasticsearch.backing_indices(&data_stream).await?, before);
    assert!(installation.compare_events().await?.is_exact());
    Ok(())
}

#[tokio::test]
async fn a_secret_with_the_placeholder_is_no_fault() -> Result<(), Error> {
    let Some((services, plan)) = plan("placeholder").await else { return Ok(()) };
    let installation = plan.world(company(42, 50, 5)).make(&services).await?;
    let real = installation.credentials.clone();
    // The placeholder that the template creates.
    let mut placeholder = real.clone();
    for field in ["account_number", "provisioning_hash", "elastic_api_key"] {
        placeholder[field] = "REPLACE_ME".into();
    }
    placeholder.as_object_mut().expect("an object").shift_remove("elastic_setup_api_key");
    installation.put_secret(&placeholder.to_string()).await?;
    let mut function = installation.function();
    for request in [collect("event_report"), collect("user")] {
        let answer = function.ask(request).await?;
        assert_eq!((&answer["status"], &answer["reason"]), (&json!("skipped"), &json!("setup_required")), "{answer}");
    }
    // There is nothing to resume, so the secret is not needed.
    assert_eq!(complete(&mut function, json!({"action": "resume"})).await?["resumed"], json!([]));
    assert!(installation.checkpoints().await?.is_empty());
    assert_eq!(installation.simulator.requests().len(), 0);

    // After the secret is filled in, the same sandbox works.
    installation.put_secret(&real.to_string()).await?;
    let answer = function.ask(collect("event_report")).await?;
    assert_eq!((&answer["status"], &answer["reason"]), (&json!("complete"), &Value::Null), "{answer}");
    assert!(installation.compare_events().await?.is_exact());
    Ok(())
}
