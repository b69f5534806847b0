//! The two roles are sufficient, errors name missing privileges, and no secret is printed.

use lastpass_harness::Error;
use serde_json::json;

use crate::stage::{SETTING_UP, collect, company, number, plan};

#[tokio::test]
async fn the_writer_role_collects_all_streams_and_the_installer_role_sets_up() -> Result<(), Error> {
    let Some((services, plan)) = plan("roles").await else { return Ok(()) };
    let installation = plan.world(company(61, 200, 5)).make(&services).await?;
    let mut function = installation.function();
    let setting_up = SETTING_UP.lock().await;
    let setup = function.ask(json!({"action": "setup"})).await?;
    drop(setting_up);
    assert_eq!(setup["status"], "complete", "{setup}");

    // Remove the installer's key afterwards, as the README says.
    installation.put_credential("elastic_setup_api_key", None).await?;
    services.elasticsearch.invalidate_key(&installation.installer).await?;
    function.stop().await;
    let mut answers = vec![setup];
    for stream in ["event_report", "user", "detailed_shared_folder"] {
        let answer = function.ask(collect(stream)).await?;
        assert_eq!(answer["status"], "complete", "{answer}");
        assert!(number(&answer, "created") > 0, "{answer}");
        answers.push(answer);
    }
    for action in ["check", "status", "resume"] {
        answers.push(function.ask(json!({"action": action})).await?);
    }
    assert_eq!(answers[4]["status"], "ok", "{}", answers[4]);

    installation.look_at_all().await
}

#[tokio::test]
async fn setup_with_the_writers_key_names_what_it_lacks() -> Result<(), Error> {
    let Some((services, plan)) = plan("writer_setup").await else { return Ok(()) };
    let installation = plan.make(&services).await?;
    installation.put_credential("elastic_setup_api_key", None).await?;
    let mut function = installation.function();
    let _setting_up = SETTING_UP.lock().await;
    let (error_type, text) = function.expect_error(json!({"action": "setup"})).await?;
    assert_eq!(error_type, "Elasticsearch.Forbidden", "{text}");
    assert!(text.contains("elastic_setup_api_key"), "{text}");
    assert!(text.contains("the installer role"), "{text}");
    Ok(())
}

#[tokio::test]
async fn the_hash_rotated_while_the_sandbox_is_warm_is_read_again() -> Result<(), Error> {
    let Some((services, plan)) = plan("rotated").await else { return Ok(()) };
    let installation = plan.world(company(62, 100, 5)).make(&services).await?;
    let mut function = installation.function();
    function.ask(collect("event_report")).await?;
    installation.simulator.set_provisioning_hash("rotated-hash");
    installation.put_credential("provisioning_hash", Some("rotated-hash")).await?;
    let answer = function.ask(collect("user")).await?;
    assert_eq!(answer["status"], "complete", "{answer}");
    assert!(installation.compare_users().await?.is_exact());
    Ok(())
}

#[tokio::test]
async fn the_api_key_rotated_while_the_sandbox_is_warm_is_read_again() -> Result<(), Error> {
    let Some((services, plan)) = plan("rotated_key").await else { return Ok(()) };
    let mut installation = plan.world(company(63, 100, 5)).make(&services).await?;
    let mut function = installation.function();
    function.ask(collect("event_report")).await?;
    let new = installation.another_key().await?;
    installation.put_credential("elastic_api_key", Some(&new.encoded)).await?;
    services.elasticsearch.invalidate_key(&installation.writer).await?;
    let answer = function.ask(collect("user")).await?;
    assert_eq!(answer["status"], "complete", "{answer}");
    assert!(installation.compare_users().await?.is_exact());
    Ok(())
}
