//! Work that a deadline interrupted continues without manual action.

use jiff::{SignedDuration, Timestamp};
use lastpass_harness::{Answer, Call, Error, Fault, Function, Installation, Invocation, Rule, System};
use lastpass_simulator::{CompanySize, Quirks, World};
use serde_json::{Value, json};

use crate::stage::{SHORT, ago, company, complete, number, plan, slow_pages, twins, until_complete};

/// A backfill of 400 events that a deadline interrupted.
struct Interrupted {
    installation: Installation,
    function: Function,
    /// Its answer.
    first: Value,
    /// The key of its checkpoint.
    item: String,
}

async fn interrupted_backfill(name: &str, seed: u64, to: Timestamp) -> Result<Option<Interrupted>, Error> {
    let Some((services, plan)) = plan(name).await else { return Ok(None) };
    let quirks = Quirks { page_size: 30, ..Quirks::default() };
    let installation = plan.world(company(seed, 400, 10)).quirks(quirks).make(&services).await?;
    installation.calls.add(slow_pages());
    let mut function = installation.function();
    let from = ago(SignedDuration::from_hours(264));
    let request = json!({"action": "backfill", "stream": "event_report", "from": from, "to": to});
    let first = function.invoke(Invocation::new(request).with_timeout(SHORT)).await?.answer()?;
    assert_eq!(first["status"], "partial", "{first}");
    let item = format!("backfill#event_report#{from}#{to}");
    Ok(Some(Interrupted { installation, function, first, item }))
}

#[tokio::test]
async fn an_unfinished_backfill_is_continued() -> Result<(), Error> {
    let end = ago(SignedDuration::from_hours(-1));
    let Some(Interrupted { installation, mut function, first, .. }) = interrupted_backfill("resume", 51, end).await?
    else {
        return Ok(());
    };

    let resume = Invocation::new(json!({"action": "resume"})).with_timeout(SHORT);
    let answers = until_complete(&mut function, &resume).await?;
    let resumed = answers.iter().flat_map(|answer| answer["resumed"].as_array().cloned().unwrap_or_default());
    let created: u64 = resumed.map(|answer| number(&answer, "created")).sum();
    let held = installation.compare_events().await?;
    assert!(held.is_exact() && held.truth == 400, "{held}");
    assert_eq!(created + number(&first, "created"), 400);
    // Nothing is left.
    let nothing = function.ask(json!({"action": "resume"})).await?;
    assert_eq!((&nothing["status"], &nothing["resumed"]), (&json!("complete"), &json!([])), "{nothing}");
    Ok(())
}

/// This is how an operator cancels a backfill.
#[tokio::test]
async fn an_unfinished_backfill_whose_item_was_deleted_is_not_continued() -> Result<(), Error> {
    let end = ago(SignedDuration::from_hours(1));
    let Some(Interrupted { installation, mut function, first, item }) =
        interrupted_backfill("resume_deleted", 54, end).await?
    else {
        return Ok(());
    };
    assert!(installation.checkpoints().await?.contains_key(&item), "{item}");
    installation.services.aws.delete_item(&installation.table, &item).await?;

    let requests = installation.simulator.requests().len();
    let resumed = complete(&mut function, json!({"action": "resume"})).await?;
    assert_eq!(resumed["resumed"], json!([]), "{resumed}");
    assert_eq!(installation.simulator.requests().len(), requests);
    assert_eq!(installation.documents("event_report").await?.len() as u64, number(&first, "created"));
    let status = function.ask(json!({"action": "status"})).await?;
    assert_eq!(status["backfills"], json!([]), "{status}");
    Ok(())
}

#[tokio::test]
async fn an_unfinished_snapshot_is_continued_with_its_own_scheduled_time() -> Result<(), Error> {
    let Some((services, plan)) = plan("resume_users").await else { return Ok(()) };
    let size = CompanySize { events: 0, users: 100, folders: 1, ..CompanySize::default() };
    let quirks = Quirks { user_page_cap: 9, ..Quirks::default() };
    let world = World::company(52, &size, lastpass_harness::now());
    let installation = plan.world(world).quirks(quirks).make(&services).await?;
    installation.calls.add(slow_pages());
    let mut function = installation.function();
    let scheduled_time = "2025-06-01T00:00:00Z";
    let request = json!({"action": "collect", "stream": "user", "scheduled_time": scheduled_time});
    let first = function.invoke(Invocation::new(request).with_timeout(SHORT)).await?.answer()?;
    assert_eq!(first["status"], "partial", "{first}");

    let resume = Invocation::new(json!({"action": "resume"})).with_timeout(SHORT);
    until_complete(&mut function, &resume).await?;
    let users = installation.compare_users().await?;
    assert!(users.is_exact() && users.truth == 100, "{users}");
    assert_eq!(installation.watermark("user").await?.as_deref(), Some(scheduled_time));
    Ok(())
}

/// The run completes the backfill, but cannot remove it from the list of the unfinished ones.
#[tokio::test]
async fn a_complete_backfill_that_is_still_listed_is_not_read_again() -> Result<(), Error> {
    let Some((services, plan)) = plan("resume_listed").await else { return Ok(()) };
    let installation = plan.world(company(53, 100, 2)).make(&services).await?;
    let mut function = installation.function();
    let is_removal =
        |call: &Call| call.system == System::DynamoDb && String::from_utf8_lossy(&call.body).contains("DELETE #name");
    let denied = json!({"__type": "AccessDeniedException", "message": "no"});
    installation.calls.add(Rule::when(is_removal, Fault::Answer(Answer::json(400, &denied))));
    // The range reaches into the future, so that its events are not complete.
    let (from, to) = (ago(SignedDuration::from_hours(72)), ago(SignedDuration::from_hours(-1)));
    let mut request = json!({"action": "backfill", "stream": "event_report", "from": from, "to": to, "alert": true});
    let (error_type, text) = function.expect_error(request.clone()).await?;
    assert_eq!(error_type, "Checkpoint.Forbidden", "{text}");
    installation.calls.clear();

    installation.simulator.push_events(twins(ago(SignedDuration::from_mins(1)), 2));
    let answer = complete(&mut function, json!({"action": "resume"})).await?;
    assert_eq!(answer["resumed"][0]["reason"], "already_complete", "{answer}");
    assert_eq!(installation.documents("event_report").await?.len(), 100);
    let nothing = complete(&mut function, json!({"action": "resume"})).await?;
    assert_eq!(nothing["resumed"], json!([]), "{nothing}");

    request["skip_completed"] = true.into();
    assert_eq!(number(&complete(&mut function, request).await?, "created"), 2);
    let documents = installation.documents("event_report").await?;
    assert!(documents.iter().all(|document| document.get("event.ingested").is_some()), "{documents:?}");
    Ok(())
}
