//! `status` reports the progress of everything, even during a failure.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::SignedDuration;
use lastpass_harness::{Answer, Error, Fault, Invocation, Rule, System};
use lastpass_simulator::Quirks;
use serde_json::{Value, json};

use crate::stage::{SHORT, ago, collect, company, number, plan, slow_pages, spoil};

#[tokio::test]
async fn status_shows_the_progress_of_every_stream_and_backfill() -> Result<(), Error> {
    let Some((services, plan)) = plan("status").await else { return Ok(()) };
    let quirks = Quirks { page_size: 30, ..Quirks::default() };
    let installation = plan.world(company(111, 200, 10)).quirks(quirks).make(&services).await?;
    let mut function = installation.function();
    let ask = json!({"action": "status"});

    // Nothing has been read yet.
    let status = function.ask(ask.clone()).await?;
    assert_eq!(
        status["streams"]["user"],
        json!({
            "watermark": null, "lag_seconds": null, "unfinished": null, "lease_expires": null, "last_run": null,
        })
    );
    for list in ["backfills", "redrives", "unreadable"] {
        assert_eq!(status[list], json!([]), "{status}");
    }
    assert_eq!(status["dead_letters"], 0, "{status}");

    // A run that succeeded, one that failed, and a backfill that was interrupted.
    let answer = function.ask(collect("user")).await?;
    installation.calls.add(Rule::on(
        System::LastPass,
        "getdetailedsfdata",
        Fault::Answer(Answer::json(400, &json!({}))),
    ));
    let (error_type, _) = function.expect_error(collect("detailed_shared_folder")).await?;
    installation.calls.clear();
    installation.calls.add(slow_pages());
    let (from, to) = (ago(SignedDuration::from_hours(264)), ago(SignedDuration::from_hours(-1)));
    let request = json!({"action": "backfill", "stream": "event_report", "from": from, "to": to});
    let cut = function.invoke(Invocation::new(request).with_timeout(SHORT)).await?.answer()?;
    assert_eq!(cut["status"], "partial", "{cut}");
    installation.calls.clear();

    let status = function.ask(ask.clone()).await?;
    let user = &status["streams"]["user"];
    assert_eq!(
        (&user["watermark"], &user["last_run"]["status"]),
        (&answer["checkpoint"], &json!("complete")),
        "{status}"
    );
    assert!(user["last_run"]["error_type"].is_null() && number(user, "lag_seconds") < 120, "{status}");
    for name in ["fetched", "created", "duplicates", "dead_letters", "late"] {
        assert_eq!(user["last_run"][name], answer[name], "{name} in {status}");
    }
    let folders = &status["streams"]["detailed_shared_folder"];
    assert_eq!(folders["last_run"]["status"], "failed", "{status}");
    assert_eq!(folders["last_run"]["error_type"], error_type, "{status}");
    assert_eq!(folders["watermark"], Value::Null, "{status}");
    let [backfill] = &status["backfills"].as_array().expect("backfills")[..] else { panic!("one backfill: {status}") };
    assert_eq!((&backfill["status"], &backfill["position"]), (&json!("unfinished"), &cut["checkpoint"]), "{status}");
    assert_eq!(backfill["from"], from.to_string(), "{status}");
    assert_eq!(backfill["last_run"]["status"], "partial", "{status}");
    Ok(())
}

#[tokio::test]
async fn status_counts_dead_letters_and_names_damaged_checkpoints() -> Result<(), Error> {
    let Some((services, plan)) = plan("status_waits").await else { return Ok(()) };
    let installation = plan.world(company(112, 12, 3)).make(&services).await?;
    spoil(&installation, "event_report", "event.action").await?;
    let mut function = installation.function();
    function.ask(collect("event_report")).await?;
    installation.documents("dead_letter").await?;
    let status = function.ask(json!({"action": "status"})).await?;
    assert_eq!(status["dead_letters"], 12, "{status}");

    // Elasticsearch is unavailable and a checkpoint is damaged. The rest is reported.
    let aws = &installation.services.aws;
    aws.set_attribute(&installation.table, "stream#user", "version", AttributeValue::S("x".to_owned())).await?;
    installation.calls.add(Rule::on(System::Elasticsearch, "", Fault::Answer(Answer::html(502))));
    let looking = Invocation::new(json!({"action": "status"})).with_timeout(SHORT);
    let status = function.invoke(looking).await?.answer()?;
    assert_eq!(status["dead_letters"], Value::Null, "{status}");
    let [unreadable] = &status["unreadable"].as_array().expect("texts")[..] else { panic!("one text: {status}") };
    assert!(unreadable.as_str().is_some_and(|text| text.contains("stream#user")), "{status}");
    assert_eq!(status["streams"]["event_report"]["last_run"]["status"], "complete", "{status}");
    Ok(())
}
