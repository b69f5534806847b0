//! Several accounts in one deployment, each with its own secret, checkpoints, namespace and organisation.

use jiff::SignedDuration;
use lastpass_harness::{Error, Function, Installation, Invocation, compare_events, unique};
use lastpass_simulator::Quirks;
use serde_json::{Value, json};

use crate::stage::{SHORT, ago, assert_accounted, collect, company, message, number, plan, slow_pages};

const EVENTS: usize = 300;

/// An installation whose function has several accounts, and their secrets.
struct Accounts {
    installation: Installation,
    prefix: String,
}

impl Accounts {
    /// `None` if the services are not available.
    async fn make(name: &str) -> Result<Option<Self>, Error> {
        let Some((services, plan)) = plan(name).await else { return Ok(None) };
        let prefix = unique("lastpass");
        let installation = plan
            .world(company(71, EVENTS, 10))
            .quirks(Quirks { page_size: 40, ..Quirks::default() })
            .variable("SECRET_ARN", "")
            .variable("SECRET_PREFIX", &prefix)
            .make(&services)
            .await?;
        Ok(Some(Self { installation, prefix }))
    }

    /// Creates the secret of an account: the secret of the installation with another namespace and `fields`.
    async fn add(&mut self, account: &str, fields: Value) -> Result<(), Error> {
        let mut secret = self.installation.credentials.clone();
        secret["namespace"] = self.namespace(account).into();
        for (name, value) in fields.as_object().expect("fields") {
            secret[name] = value.clone();
        }
        let name = format!("{}/{account}", self.prefix);
        self.installation.another_secret(&name, &secret.to_string()).await
    }

    fn namespace(&self, account: &str) -> String {
        format!("{}_{account}", self.installation.namespace)
    }

    fn data_stream(&self, account: &str) -> String {
        format!("logs-lastpass.event_report-{}", self.namespace(account))
    }

    /// Asserts that the account's data stream has each LastPass event once. Returns the sources of its documents.
    async fn assert_exact(&self, account: &str) -> Result<Vec<Value>, Error> {
        let documents = self.installation.services.elasticsearch.documents(&self.data_stream(account)).await?;
        let held = compare_events(&self.installation.simulator.truth_events(), &documents);
        assert!(held.is_exact() && held.truth == EVENTS, "{account}: {held}");
        Ok(documents.into_iter().map(|document| document.source).collect())
    }

    async fn remove(self, accounts: &[&str]) -> Result<(), Error> {
        for account in accounts {
            self.installation.services.elasticsearch.empty(&self.data_stream(account)).await?;
        }
        self.installation.remove().await
    }
}

/// Adds an account to a request.
fn of(account: &str, mut request: Value) -> Value {
    request["account"] = account.into();
    request
}

async fn refused(function: &mut Function, request: Value, error_type: &str) -> Result<String, Error> {
    let (found, text) = function.invoke(Invocation::new(request)).await?.error()?;
    assert_eq!(found, error_type, "{text}");
    Ok(text)
}

#[tokio::test]
async fn each_account_has_its_own_documents_and_checkpoints_and_none_touches_another() -> Result<(), Error> {
    let Some(mut accounts) = Accounts::make("accounts").await? else { return Ok(()) };
    let own = json!({"organization_id": "O-17", "organization_name": "Globex GmbH", "time_zone": "America/New_York"});
    accounts.add("globex", own).await?;
    accounts.add("acme.eu", json!({})).await?;
    accounts.add("dead", json!({"provisioning_hash": "00112233445566778899aabbccddeeff"})).await?;
    let mut function = accounts.installation.function();

    let text = refused(&mut function, of("dead", collect("event_report")), "LastPass.Unauthorized").await?;
    assert!(text.starts_with("account dead: LastPass refused"), "{text}");
    for account in ["globex", "acme.eu"] {
        let answer = function.ask(of(account, collect("event_report"))).await?;
        assert_accounted(&answer);
        assert_eq!(number(&answer, "created"), EVENTS as u64, "{answer}");
        let fields: Vec<_> = answer.as_object().expect("an object").iter().take(2).collect();
        assert_eq!(fields, [(&"action".to_owned(), &json!("collect")), (&"account".to_owned(), &json!(account))]);
    }
    for (account, organization, zone) in [
        ("globex", json!({"id": "O-17", "name": "Globex GmbH"}), "America/New_York"),
        ("acme.eu", json!({"name": "acme.eu"}), "US/Eastern"),
    ] {
        for document in accounts.assert_exact(account).await? {
            assert_eq!((&document["organization"], &document["event"]["timezone"]), (&organization, &json!(zone)));
            assert_eq!(document["data_stream"]["namespace"], json!(accounts.namespace(account)));
        }
    }
    let keys: Vec<_> = accounts.installation.checkpoints().await?.into_keys().collect();
    let expected = ["acme.eu", "dead", "globex"].map(|account| format!("account#{account}#stream#event_report"));
    assert_eq!(keys, expected);

    let status = function.ask(json!({"action": "status"})).await?;
    let last = |account: &str| status["accounts"][account]["streams"]["event_report"]["last_run"]["status"].clone();
    assert_eq!(["acme.eu", "dead", "globex"].map(last), [json!("complete"), json!("failed"), json!("complete")]);
    let one = function.ask(of("globex", json!({"action": "status"}))).await?;
    assert_eq!(without_lag(&one["streams"]), without_lag(&status["accounts"]["globex"]["streams"]));
    assert_eq!((&one["account"], &one["dead_letters"]), (&json!("globex"), &json!(0)), "{one}");
    accounts.remove(&["globex", "acme.eu"]).await
}

#[tokio::test]
async fn a_missing_or_unknown_account_is_named() -> Result<(), Error> {
    let Some(mut accounts) = Accounts::make("no_account").await? else { return Ok(()) };
    let mut function = accounts.installation.function();
    let text = refused(&mut function, collect("user"), "Request.Invalid").await?;
    assert!(text.contains("`account` is missing") && text.contains("SECRET_PREFIX"), "{text}");
    let text = refused(&mut function, of("nobody", collect("user")), "Secret.Unreachable").await?;
    assert!(text.starts_with("account nobody: ") && text.contains(&format!("{}/nobody", accounts.prefix)), "{text}");
    let check = function.ask(json!({"action": "check"})).await?;
    assert!(check["status"] == "failed" && message(&check, "secret").contains("`account` is missing"), "{check}");
    accounts.add("globex", json!({})).await?;
    let check = function.ask(of("globex", json!({"action": "check"}))).await?;
    assert_eq!(check["account"], "globex", "{check}");
    assert!(check["checks"].to_string().contains(&accounts.namespace("globex")), "{check}");
    let status = function.ask(json!({"action": "status"})).await?;
    assert_eq!((&status["accounts"], &status["dead_letters"]), (&json!({}), &Value::Null), "nothing was read yet");

    // Without a prefix, the deployment has one account.
    function.set("SECRET_PREFIX", "").await;
    function.set("SECRET_ARN", &accounts.installation.secret_arn).await;
    let text = refused(&mut function, of("globex", collect("user")), "Request.Invalid").await?;
    assert!(text.contains("SECRET_ARN") && text.contains("omit `account`"), "{text}");
    accounts.remove(&["globex"]).await
}

#[tokio::test]
async fn resume_continues_the_work_of_its_own_account_only() -> Result<(), Error> {
    let Some(mut accounts) = Accounts::make("resumed").await? else { return Ok(()) };
    for account in ["globex", "acme"] {
        accounts.add(account, json!({})).await?;
    }
    let mut function = accounts.installation.function();
    accounts.installation.calls.add(slow_pages());
    let (from, to) = (ago(SignedDuration::from_hours(24 * 11)), ago(SignedDuration::from_hours(0)));
    let request = json!({"action": "backfill", "stream": "event_report", "from": from, "to": to});
    let cut = function.invoke(Invocation::new(of("globex", request)).with_timeout(SHORT)).await?.answer()?;
    assert_eq!(cut["status"], "partial", "{cut}");
    accounts.installation.calls.clear();

    let others = function.ask(of("acme", json!({"action": "resume"}))).await?;
    assert_eq!((&others["resumed"], &others["account"]), (&json!([]), &json!("acme")), "{others}");
    let resumed = function.ask(of("globex", json!({"action": "resume"}))).await?;
    assert_eq!(resumed["resumed"].as_array().map(Vec::len), Some(1), "{resumed}");
    accounts.assert_exact("globex").await?;
    accounts.remove(&["globex", "acme"]).await
}

/// The streams of a `status` without `lag_seconds`, which differs between two calls.
fn without_lag(streams: &Value) -> Value {
    let mut streams = streams.clone();
    for stream in streams.as_object_mut().expect("an object").values_mut() {
        stream.as_object_mut().expect("an object").shift_remove("lag_seconds").expect("a lag");
    }
    streams
}
