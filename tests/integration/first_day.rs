//! The first day: an account number, namespace or URL is mistyped and then corrected in the same place. A checkpoint is
//! bound only after a page was acknowledged, so no reset is needed.

use std::time::Duration;

use jiff::SignedDuration;
use lastpass_harness::{Answer, Error, Fault, Function, Installation, Invocation, Moment, Rule, System, check_of};
use lastpass_simulator::{Event, Quirks};
use serde_json::{Value, json};

use crate::stage::{SHORT, ago, assert_accounted, collect, company, complete, message, plan, spoil};

const STREAMS: [&str; 3] = ["event_report", "user", "detailed_shared_folder"];
const EVENTS: usize = 120;

fn backfill() -> Value {
    let (from, to) = (ago(SignedDuration::from_hours(300)), ago(SignedDuration::from_hours(-1)));
    let day = |at: jiff::Timestamp| at.to_string()[..10].to_owned();
    json!({"action": "backfill", "stream": "event_report", "from": day(from), "to": day(to + SignedDuration::from_hours(24))})
}

fn planned() -> Value {
    let Value::Object(mut range) = backfill() else { unreachable!("an object") };
    range.insert("action".to_owned(), "plan".into());
    Value::Object(range)
}

fn redrive() -> Value {
    json!({"action": "redrive", "stream": "event_report"})
}

/// Returns all requests that a schedule or a user sends.
fn everything() -> Vec<Value> {
    STREAMS.iter().map(|stream| collect(stream)).chain([backfill(), planned(), redrive()]).collect()
}

/// Returns the message of the check that compares destinations. It must have passed.
async fn destination(function: &mut Function) -> Result<String, Error> {
    let answer = function.ask(json!({"action": "check"})).await?;
    assert_eq!(check_of(&answer, "checkpoint_destination")["status"], "ok", "{answer}");
    Ok(message(&answer, "checkpoint_destination").to_owned())
}

/// Asserts that all streams, the backfill, the plan and the redrive work without a reset, and that nothing is missing
/// or doubled.
async fn assert_works_without_reset(installation: &Installation, function: &mut Function) -> Result<(), Error> {
    let message = destination(function).await?;
    assert!(message.contains("no checkpoint is bound"), "{message}");
    let resumed = complete(function, json!({"action": "resume"})).await?;
    assert!(resumed["resumed"].as_array().is_some_and(|all| all.len() >= 2), "the snapshots at least: {resumed}");
    for request in everything() {
        let answer = complete(function, request).await?;
        if answer["action"] != "plan" {
            assert_accounted(&answer);
        }
    }
    let held = installation.compare_events().await?;
    assert!(held.is_exact() && held.truth >= EVENTS, "{held}");
    // The resumed snapshot and the current one.
    let snapshots = |documents: Vec<lastpass_harness::StoredDocument>| {
        let times = documents.iter().filter_map(|document| document.text("@timestamp").map(str::to_owned));
        times.collect::<std::collections::BTreeSet<_>>().len()
    };
    for stream in ["user", "detailed_shared_folder"] {
        let taken = snapshots(installation.documents(stream).await?);
        assert!((1..=2).contains(&taken), "{stream}: {taken}");
    }
    let message = destination(function).await?;
    assert!(message.contains("belong to"), "{message}");
    let status = function.ask(json!({"action": "status"})).await?;
    assert_eq!(status["unreadable"], json!([]), "{status}");
    assert_eq!(status["dead_letters"], 0, "{status}");
    Ok(())
}

async fn assert_all_refused(function: &mut Function, requests: Vec<Value>, expected: &str) -> Result<(), Error> {
    for request in requests {
        let (error_type, text) = function.expect_error(request.clone()).await?;
        assert_eq!(error_type, expected, "{request}: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn a_mistyped_account_number_is_corrected_in_the_secret_only() -> Result<(), Error> {
    let Some((services, plan)) = plan("first_number").await else { return Ok(()) };
    let installation = plan.world(company(191, EVENTS, 9)).make(&services).await?;
    let right = installation.credentials["account_number"].as_str().expect("a number").to_owned();
    installation.put_credential("account_number", Some("7654312")).await?;
    let mut function = installation.function();
    for _ in 0..2 {
        let mut refused = everything();
        refused.retain(|request| request["action"] != "redrive");
        assert_all_refused(&mut function, refused, "LastPass.Unauthorized").await?;
    }
    let status = function.ask(json!({"action": "status"})).await?;
    assert_eq!(status["unreadable"], json!([]), "{status}");
    assert_eq!(status["streams"]["user"]["last_run"]["error_type"], "LastPass.Unauthorized", "{status}");
    assert!(destination(&mut function).await.is_ok());

    installation.put_credential("account_number", Some(&right)).await?;
    assert_works_without_reset(&installation, &mut installation.function()).await
}

/// The API key has privileges for one namespace only. Rejected documents were not acknowledged.
#[tokio::test]
async fn a_mistyped_namespace_is_corrected_in_the_settings_only() -> Result<(), Error> {
    let Some((services, plan)) = plan("first_namespace").await else { return Ok(()) };
    let mut installation = plan.world(company(192, EVENTS, 9)).make(&services).await?;
    let right = installation.namespace.clone();
    let key = installation.narrow_key().await?;
    installation.put_credential("elastic_api_key", Some(&key.encoded)).await?;
    let mut function = installation.function();
    function.set("NAMESPACE", &format!("{right}x")).await;
    let mut refused = everything();
    // A plan only calls LastPass, and a search in a missing data stream finds no dead letter.
    refused.retain(|request| !["plan", "redrive"].contains(&request["action"].as_str().expect("an action")));
    assert_all_refused(&mut function, refused, "Elasticsearch.Forbidden").await?;
    complete(&mut function, planned()).await?;
    complete(&mut function, redrive()).await?;

    function.set("NAMESPACE", &right).await;
    assert_works_without_reset(&installation, &mut function).await
}

/// The secret's own `namespace`, which overrides the setting, is mistyped.
#[tokio::test]
async fn a_mistyped_namespace_is_corrected_in_the_secret_only() -> Result<(), Error> {
    let Some((services, plan)) = plan("first_profile").await else { return Ok(()) };
    let mut installation = plan.world(company(193, EVENTS, 9)).make(&services).await?;
    let right = installation.namespace.clone();
    let key = installation.narrow_key().await?;
    let mut secret = installation.credentials.clone();
    secret["elastic_api_key"] = key.encoded.into();
    secret["namespace"] = format!("{right}x").into();
    installation.put_secret(&secret.to_string()).await?;
    let mut function = installation.function();
    assert_all_refused(&mut function, STREAMS.map(collect).into(), "Elasticsearch.Forbidden").await?;
    secret["namespace"] = right.into();
    installation.put_secret(&secret.to_string()).await?;
    assert_works_without_reset(&installation, &mut installation.function()).await
}

/// The cluster responds to every request but accepts no document.
#[tokio::test]
async fn the_url_of_another_cluster_is_corrected_in_the_settings_only() -> Result<(), Error> {
    let Some((services, plan)) = plan("first_url").await else { return Ok(()) };
    let installation = plan.world(company(194, EVENTS, 9)).make(&services).await?;
    let right = installation.variable("ELASTICSEARCH_URL").to_owned();
    let mut function = installation.function();
    function.set("ELASTICSEARCH_URL", &right.replace("127.0.0.1", "localhost")).await;
    let full = Answer::json(403, &json!({"error": {"type": "cluster_block_exception"}, "status": 403}));
    installation.calls.add(Rule::on(System::Elasticsearch, "_bulk", Fault::Answer(full)));
    let mut refused: Vec<Value> = STREAMS.map(collect).into();
    refused.push(backfill());
    assert_all_refused(&mut function, refused, "Elasticsearch.Refused").await?;
    installation.calls.clear();

    function.set("ELASTICSEARCH_URL", &right).await;
    assert_works_without_reset(&installation, &mut function).await
}

#[tokio::test]
async fn a_wrong_zone_is_corrected_in_the_settings_only() -> Result<(), Error> {
    let Some((services, plan)) = plan("first_zone").await else { return Ok(()) };
    let mut world = company(195, EVENTS, 9);
    world.events.extend([Event::at(ago(SignedDuration::from_secs(90))).by("ann@example.com").doing("Log in")]);
    let installation = plan.world(world).make(&services).await?;
    let mut function = installation.function();
    function.set("LASTPASS_TIME_ZONE", "America/Los_Angeles").await;
    assert_all_refused(&mut function, vec![collect("event_report")], "LastPass.WrongTimeZone").await?;
    function.set("LASTPASS_TIME_ZONE", "US/Eastern").await;
    for request in everything() {
        complete(&mut function, request).await?;
    }
    let held = installation.compare_events().await?;
    assert!(held.is_exact(), "{held}");
    Ok(())
}

/// The page was acknowledged at the wrong destination, but no checkpoint was saved. Nothing is bound, and the right
/// destination receives everything.
#[tokio::test]
async fn an_acknowledged_page_without_a_saved_position_binds_nothing_and_loses_nothing() -> Result<(), Error> {
    let Some((services, plan)) = plan("first_lost").await else { return Ok(()) };
    let installation = plan.world(company(196, EVENTS, 9)).make(&services).await?;
    let right = installation.namespace.clone();
    let mut function = installation.function();
    function.set("NAMESPACE", &format!("{right}x")).await;
    for request in STREAMS.map(collect) {
        let killed = Fault::Kill(function.killer(), Moment::After);
        installation.calls.add(Rule::on(System::Elasticsearch, "_bulk", killed).times(1));
        let outcome = function.invoke(Invocation::new(request)).await?;
        assert!(outcome.is_dead(), "{outcome:?}");
    }
    installation.calls.clear();
    installation.expire_leases().await?;
    function.set("NAMESPACE", &right).await;
    assert_works_without_reset(&installation, &mut function).await
}

/// The first acknowledged page binds the checkpoint, even if its run is cut short right after it.
#[tokio::test]
async fn the_first_acknowledged_page_binds() -> Result<(), Error> {
    let Some((services, plan)) = plan("first_page").await else { return Ok(()) };
    let quirks = Quirks { page_size: 15, user_page_cap: 2, ..Quirks::default() };
    let installation = plan.world(company(197, EVENTS, 9)).quirks(quirks).make(&services).await?;
    let mut function = installation.function();
    // The next page is fetched during its delivery, and the one after that once its position was saved. The first live
    // run sends three more requests after its first page to prove the zone.
    for (request, command, pages) in
        [(collect("event_report"), "reporting", 5), (collect("user"), "getuserdata", 1), (backfill(), "reporting", 2)]
    {
        let killed = Fault::Kill(function.killer(), Moment::Before);
        installation.calls.add(Rule::on(System::LastPass, command, killed).after(pages).times(1));
        let outcome = function.invoke(Invocation::new(request)).await?;
        assert!(outcome.is_dead(), "{outcome:?}");
        installation.calls.clear();
    }
    installation.expire_leases().await?;
    complete(&mut function, collect("detailed_shared_folder")).await?;

    let right = installation.namespace.clone();
    function.set("NAMESPACE", &format!("{right}x")).await;
    let mut refused: Vec<Value> = STREAMS.map(collect).into();
    refused.push(backfill());
    assert_all_refused(&mut function, refused, "Checkpoint.DestinationChanged").await?;
    function.set("NAMESPACE", &right).await;
    for request in everything() {
        complete(&mut function, request).await?;
    }
    assert!(installation.compare_events().await?.is_exact());
    Ok(())
}

/// A redrive that delivered a page and was cut short is bound to that destination.
#[tokio::test]
async fn a_redrive_is_bound_by_its_first_page() -> Result<(), Error> {
    let Some((services, plan)) = plan("first_redrive").await else { return Ok(()) };
    // Pages small enough to become dead letters completely.
    let quirks = Quirks { page_size: 15, ..Quirks::default() };
    let installation = plan.world(company(198, 60, 3)).quirks(quirks).make(&services).await?;
    spoil(&installation, "event_report", "event.action").await?;
    let mut function = installation.function();
    complete(&mut function, collect("event_report")).await?;
    let letters = installation.documents("dead_letter").await?.len();
    assert_eq!(letters, 60);
    let right = installation.namespace.clone();
    let bulk = format!("{}/_bulk", installation.data_stream("event_report"));

    // Killed before anything was delivered, so nothing is bound.
    let killed = Fault::Kill(function.killer(), Moment::Before);
    installation.calls.add(Rule::on(System::Elasticsearch, &bulk, killed).times(1));
    assert!(function.invoke(Invocation::new(redrive())).await?.is_dead());
    installation.calls.clear();
    installation.expire_leases().await?;
    let item = &installation.checkpoints().await?["redrive#event_report"];
    assert!(item.contains_key("unfinished"), "{item:?}");
    function.set("NAMESPACE", &format!("{right}x")).await;
    complete(&mut function, redrive()).await?;

    function.set("NAMESPACE", &right).await;
    installation.calls.add(Rule::on(System::Elasticsearch, &bulk, Fault::Delay(Duration::from_millis(2_500))));
    let cut = function.invoke(Invocation::new(redrive()).with_timeout(SHORT)).await?.answer()?;
    assert_eq!(cut["status"], "partial", "{cut}");
    installation.calls.clear();
    function.set("NAMESPACE", &format!("{right}x")).await;
    assert_all_refused(&mut function, vec![redrive()], "Checkpoint.DestinationChanged").await?;
    function.set("NAMESPACE", &right).await;
    complete(&mut function, redrive()).await?;
    Ok(())
}

async fn secret_reads(installation: &Installation) -> usize {
    installation.calls.count_of(System::SecretsManager, "GetSecretValue")
}

/// A sandbox caches the secret for a quarter of an hour. If its checkpoint belongs to another account, it reads the
/// secret again.
#[tokio::test]
async fn a_corrected_number_or_namespace_takes_effect_at_once() -> Result<(), Error> {
    let Some((services, plan)) = plan("set_back").await else { return Ok(()) };
    let installation = plan.world(company(199, EVENTS, 9)).make(&services).await?;
    for stream in STREAMS {
        complete(&mut installation.function(), collect(stream)).await?;
    }
    let namespace = installation.namespace.clone();
    for (field, wrong) in [("account_number", "7654312".to_owned()), ("namespace", format!("{namespace}x"))] {
        let mut secret = installation.credentials.clone();
        secret[field] = wrong.into();
        installation.put_secret(&secret.to_string()).await?;
        let mut function = installation.function();
        assert_all_refused(&mut function, STREAMS.map(collect).into(), "Checkpoint.DestinationChanged").await?;

        installation.put_secret(&installation.credentials.to_string()).await?;
        let before = secret_reads(&installation).await;
        for stream in STREAMS {
            let answer = complete(&mut function, collect(stream)).await?;
            assert_accounted(&answer);
        }
        assert_eq!(secret_reads(&installation).await, before + 1, "{field}: it is kept again");
    }
    Ok(())
}

#[tokio::test]
async fn a_corrected_zone_in_the_secret_takes_effect_at_once() -> Result<(), Error> {
    let Some((services, plan)) = plan("zone_back").await else { return Ok(()) };
    let mut world = company(200, EVENTS, 9);
    world.events.extend([Event::at(ago(SignedDuration::from_secs(90))).by("ann@example.com").doing("Log in")]);
    let installation = plan.world(world).make(&services).await?;
    let mut secret = installation.credentials.clone();
    secret["time_zone"] = "America/Los_Angeles".into();
    installation.put_secret(&secret.to_string()).await?;
    let mut function = installation.function();
    assert_all_refused(&mut function, vec![collect("event_report")], "LastPass.WrongTimeZone").await?;
    secret["time_zone"] = "US/Eastern".into();
    installation.put_secret(&secret.to_string()).await?;
    complete(&mut function, collect("event_report")).await?;
    let held = installation.compare_events().await?;
    assert!(held.is_exact(), "{held}");
    Ok(())
}
