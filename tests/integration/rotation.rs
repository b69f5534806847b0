//! A new provisioning hash or API key in the secret takes effect without any other action.

use std::time::Duration;

use lastpass_harness::{
    Answer, ApiKey, Error, Fault, Function, Gate, Installation, Invocation, Rule, System, check_of, now,
};
use lastpass_simulator::{Command, ProvisioningHash, Quirks, UnauthorizedForm};
use serde_json::{Value, json};

use crate::stage::{assert_accounted, collect, company, next_snapshot, number, plan};

const EVENTS: usize = 400;
const PAGE: usize = 110;
const NEW_HASH: &str = "00112233445566778899aabbccddeeff";

/// Returns an installation with several pages of events, and a sandbox that has cached the secret.
async fn warm(name: &str) -> Result<Option<(Installation, Function)>, Error> {
    let Some((services, plan)) = plan(name).await else { return Ok(None) };
    let quirks = Quirks { page_size: PAGE, ..Quirks::default() };
    let installation = plan.world(company(91, EVENTS, 10)).quirks(quirks).make(&services).await?;
    let mut function = installation.function();
    let answer = function.ask(collect("user")).await?;
    assert_eq!(answer["status"], "complete", "{answer}");
    Ok(Some((installation, function)))
}

/// Makes LastPass accept only the new hash after the n-th page from now on.
fn rotate_hash_after_page(installation: &Installation, nth: u64) {
    installation.simulator.after_page(Command::Reporting, nth, |world| {
        world.provisioning_hash = ProvisioningHash::new(NEW_HASH);
    });
}

/// Invokes the function, and invalidates a key while its n-th bulk (from 0) waits.
async fn invoke_and_invalidate_key(
    installation: &Installation,
    function: &mut Function,
    invocation: Invocation,
    (nth, key): (u64, &ApiKey),
) -> Result<lastpass_harness::Outcome, Error> {
    let gate = Gate::closed();
    installation
        .calls
        .add(Rule::on(System::Elasticsearch, "event_report-", Fault::Hold(gate.clone())).after(nth).times(1));
    let rotate = async {
        gate.reached().await;
        installation.services.elasticsearch.invalidate_key(key).await?;
        gate.open();
        Ok::<_, Error>(())
    };
    let (outcome, rotated) = tokio::join!(function.invoke(invocation), rotate);
    rotated?;
    outcome
}

/// Asserts that one invocation read everything and counts everything.
async fn assert_whole(installation: &Installation, answer: &Value) -> Result<(), Error> {
    assert_eq!((&answer["status"], &answer["reason"]), (&json!("complete"), &Value::Null), "{answer}");
    assert_accounted(answer);
    assert_eq!(number(answer, "created"), EVENTS as u64, "both halves of the invocation count: {answer}");
    let requests = |system, operation| installation.calls.count_of(system, operation) as u64;
    assert_eq!(number(answer, "lastpass_requests"), requests(System::LastPass, "reporting"), "{answer}");
    assert_eq!(
        number(answer, "bulk_requests"),
        requests(System::Elasticsearch, &format!("{}/_bulk", installation.data_stream("event_report"))),
        "{answer}"
    );
    let held = installation.compare_events().await?;
    assert!(held.is_exact() && held.truth == EVENTS, "{held}");
    let item = &installation.checkpoints().await?["stream#event_report"];
    assert!(!item.contains_key("lease") && !item.contains_key("unfinished"), "{item:?}");
    Ok(())
}

fn event_report() -> Invocation {
    Invocation::new(collect("event_report"))
}

#[tokio::test]
async fn the_hash_is_rotated_between_two_pages() -> Result<(), Error> {
    let Some((installation, mut function)) = warm("hash_page").await? else { return Ok(()) };
    installation.put_credential("provisioning_hash", Some(NEW_HASH)).await?;
    rotate_hash_after_page(&installation, 2);
    let answer = function.invoke(event_report()).await?.answer()?;
    assert_whole(&installation, &answer).await
}

#[tokio::test]
async fn the_api_key_is_rotated_between_two_calls_of_any_kind() -> Result<(), Error> {
    // The calls are lists of the backing indices, bulk requests, and lookups. The first list is left out, because the run does
    // not wait for it. So is the list after the first bulk request, because without it the documents of that request count as
    // duplicates.
    for nth in [1, 2, 4, 5, 8] {
        let Some((mut installation, mut function)) = warm("key_call").await? else { return Ok(()) };
        let new = installation.another_key().await?;
        installation.put_credential("elastic_api_key", Some(&new.encoded)).await?;
        let rotated = (nth, &installation.writer);
        let outcome = invoke_and_invalidate_key(&installation, &mut function, event_report(), rotated).await?;
        assert_whole(&installation, &outcome.answer()?).await?;
    }
    Ok(())
}

#[tokio::test]
async fn both_are_rotated_in_one_run() -> Result<(), Error> {
    let Some((mut installation, mut function)) = warm("hash_and_key").await? else { return Ok(()) };
    let new = installation.another_key().await?;
    // The new hash is stored first. The refusal of the old one makes the function read the secret again.
    installation.put_credential("provisioning_hash", Some(NEW_HASH)).await?;
    rotate_hash_after_page(&installation, 1);
    let gate = Gate::closed();
    let third = Rule::on(System::LastPass, "reporting", Fault::Hold(gate.clone())).after(3).times(1);
    installation.calls.add(third);
    let mut both = installation.credentials.clone();
    both["provisioning_hash"] = NEW_HASH.into();
    both["elastic_api_key"] = new.encoded.clone().into();
    let rotate = async {
        gate.reached().await;
        installation.put_secret(&both.to_string()).await?;
        installation.services.elasticsearch.invalidate_key(&installation.writer).await?;
        gate.open();
        Ok::<_, Error>(())
    };
    let (outcome, rotated) = tokio::join!(function.invoke(event_report()), rotate);
    rotated?;
    assert_whole(&installation, &outcome?.answer()?).await
}

/// The refusal comes first, the new secret later. The error names the remedy, and Lambda's retry or the next run
/// continues.
#[tokio::test]
async fn the_secret_is_changed_only_after_the_refusal() -> Result<(), Error> {
    let Some((mut installation, mut function)) = warm("late").await? else { return Ok(()) };
    rotate_hash_after_page(&installation, 1);
    let first = event_report();
    let (error_type, text) = function.invoke(first.clone()).await?.error()?;
    assert_eq!(error_type, "LastPass.Unauthorized", "{text}");
    assert!(text.contains("`provisioning_hash`") && text.contains("SECRET_ARN"), "{text}");
    let delivered = installation.documents("event_report").await?.len();
    assert!((1..EVENTS).contains(&delivered), "{delivered}");

    installation.put_credential("provisioning_hash", Some(NEW_HASH)).await?;
    let new = installation.another_key().await?;
    let (error_type, text) =
        invoke_and_invalidate_key(&installation, &mut function, first, (3, &installation.writer)).await?.error()?;
    assert_eq!(error_type, "Elasticsearch.Unauthorized", "{text}");
    assert!(text.contains("`elastic_api_key`") && text.contains("Kibana"), "{text}");

    let mut both = installation.credentials.clone();
    both["provisioning_hash"] = NEW_HASH.into();
    both["elastic_api_key"] = new.encoded.into();
    installation.put_secret(&both.to_string()).await?;
    let answer = function.ask(collect("event_report")).await?;
    assert_eq!((&answer["status"], &answer["reason"]), (&json!("complete"), &Value::Null), "{answer}");
    assert_accounted(&answer);
    let held = installation.compare_events().await?;
    assert!(held.is_exact() && held.truth == EVENTS, "{held}");
    Ok(())
}

/// LastPass rejects credentials with HTTP 200 and XML. They are not sent again, whatever the form of the response.
#[tokio::test]
async fn rejected_credentials_are_not_sent_again() -> Result<(), Error> {
    for unauthorized_form in
        [UnauthorizedForm::Xml, UnauthorizedForm::XmlWithoutDeclaration, UnauthorizedForm::Json, UnauthorizedForm::Text]
    {
        let Some((mut installation, mut function)) = warm("refused").await? else { return Ok(()) };
        let quirks =
            Quirks { unauthorized_form, before_answers: "\u{feff}".to_owned(), page_size: PAGE, ..Quirks::default() };
        installation.simulator.set_quirks(quirks);
        installation.simulator.set_provisioning_hash(NEW_HASH);
        let calls = installation.calls.clone();
        let requests = || calls.count_of(System::LastPass, "") as u64;
        // Another API key in the secret does not change the hash.
        let new = installation.another_key().await?;
        installation.put_credential("elastic_api_key", Some(&new.encoded)).await?;
        let before = requests();
        let (error_type, text) = function.expect_error(collect("event_report")).await?;
        assert_eq!(
            (error_type.as_str(), requests() - before),
            ("LastPass.Unauthorized", 1),
            "{unauthorized_form:?}: {text}"
        );
        assert!(text.contains("`provisioning_hash`") && text.contains("Authorization Error"), "{text}");
        let answer = function.ask(json!({"action": "check"})).await?;
        let check = check_of(&answer, "lastpass_event_report");
        assert_eq!((check["status"].as_str(), requests() - before), (Some("failed"), 2), "{answer}");
        assert!(check["message"].as_str().expect("a message").contains("`provisioning_hash`"), "{check}");

        // The sandbox caches the secret with the old hash, which LastPass rejects. The same run continues.
        installation.put_credential("provisioning_hash", Some(NEW_HASH)).await?;
        let before = requests();
        let answer = function.invoke(event_report()).await?.answer()?;
        assert_eq!((&answer["status"], number(&answer, "created")), (&json!("complete"), EVENTS as u64), "{answer}");
        assert_eq!(number(&answer, "lastpass_requests"), requests() - before, "{answer}");
        let held = installation.compare_events().await?;
        assert!(held.is_exact() && held.documents == EVENTS, "{held}");
    }
    Ok(())
}

/// Begins the next snapshots while LastPass fails, in this order.
async fn leave_snapshots_unfinished(
    installation: &Installation,
    function: &mut Function,
    streams: [&str; 2],
) -> Result<(), Error> {
    installation.calls.add(Rule::on(System::LastPass, "", Fault::Answer(Answer::json(400, &json!({})))));
    for stream in streams {
        // `warm` has read the current one.
        function.expect_error(next_snapshot(stream)).await?;
    }
    installation.calls.clear();
    Ok(())
}

#[tokio::test]
async fn resume_sends_a_rejected_hash_only_once() -> Result<(), Error> {
    let Some((installation, mut function)) = warm("refused_resume").await? else { return Ok(()) };
    leave_snapshots_unfinished(&installation, &mut function, ["user", "detailed_shared_folder"]).await?;
    installation.simulator.set_provisioning_hash(NEW_HASH);
    let before = installation.calls.count_of(System::LastPass, "");
    let (error_type, text) = function.expect_error(json!({"action": "resume"})).await?;
    let requests = installation.calls.count_of(System::LastPass, "") - before;
    assert_eq!((error_type.as_str(), requests), ("LastPass.Unauthorized", 1), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_command_that_is_not_permitted_stops_no_other_command() -> Result<(), Error> {
    let Some((installation, mut function)) = warm("not_permitted").await? else { return Ok(()) };
    leave_snapshots_unfinished(&installation, &mut function, ["detailed_shared_folder", "user"]).await?;
    let refusal = json!({"status": "FAIL", "error": ["You do not have permission for this report"]});
    let refusal = Fault::Answer(Answer::json(200, &refusal));
    installation.calls.add(Rule::on(System::LastPass, "getdetailedsfdata", refusal));
    let before = installation.calls.count_of(System::LastPass, "getuserdata");
    let (error_type, text) = function.expect_error(json!({"action": "resume"})).await?;
    assert_eq!(error_type, "LastPass.Unauthorized", "{text}");
    assert!(installation.calls.count_of(System::LastPass, "getuserdata") > before, "{text}");
    Ok(())
}

/// A sandbox reads the secret once in 15 minutes. Until then the old key must be valid or be rejected.
#[tokio::test]
async fn a_new_key_is_used_within_15_minutes_while_the_old_one_is_valid() -> Result<(), Error> {
    // No faster, because each second of a busy machine counts as this many seconds of the function's timeouts.
    const TIMES: u32 = 10;
    const QUARTER: Duration = Duration::from_secs(15 * 60);
    let run = |stream| Invocation::new(collect(stream)).with_timeout(QUARTER);
    let Some((mut installation, mut function)) = warm("overlap").await? else { return Ok(()) };
    // On the machine's clock, because Elasticsearch takes its time to create an index.
    function.ask(collect("event_report")).await?;
    function.set_fast_clock(now(), TIMES).await;
    function.invoke(run("user")).await?.answer()?;
    let read_by = function.now();
    let new = installation.another_key().await?;
    let read = || installation.calls.count_of(System::SecretsManager, "GetSecretValue");
    let at_first = read();
    installation.put_credential("elastic_api_key", Some(&new.encoded)).await?;
    function.invoke(run("event_report")).await?.answer()?;
    assert_eq!(read(), at_first, "it is kept");

    let left = QUARTER.saturating_sub(function.now().duration_since(read_by).unsigned_abs());
    tokio::time::sleep(left / TIMES).await;
    function.invoke(run("event_report")).await?.answer()?;
    assert_eq!(read(), at_first + 1, "it is read again");
    installation.services.elasticsearch.invalidate_key(&installation.writer).await?;
    let answer = function.invoke(run("event_report")).await?.answer()?;
    assert_eq!((&answer["status"], read()), (&json!("complete"), at_first + 1), "the new key was in use: {answer}");
    Ok(())
}
