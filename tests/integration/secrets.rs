//! The secret in the emulator's Secrets Manager.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::Builder;
use aws_sdk_secretsmanager::primitives::Blob;
use jiff::{SignedDuration, Timestamp};
use lastpass_elastic::clock::Deadline;
use lastpass_elastic::secrets::{Credentials, Error, Secrets};
use lastpass_harness::unique;
use secrecy::ExposeSecret;

use crate::aws_emulator;
use crate::aws_faults::{Fault, Proxy};

const GET: &str = "GetSecretValue";
const HASH: &str = "f00dfeedf00dfeed";
/// base64 of `VuaCfGcBCdbkQm-e5aOx:ui2lp2axTNmsyakw9tvNnw`.
const API_KEY: &str = "VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw==";

/// A separate secret behind a proxy.
struct Stored {
    client: Client,
    arn: String,
    proxy: Proxy,
    config: SdkConfig,
}

impl Stored {
    /// `None` if there is no emulator.
    async fn make(document: &str) -> Option<Self> {
        let config = aws_emulator::config().await?;
        let client = Client::new(&config);
        let name = unique("secret");
        let made = client.create_secret().name(name).secret_string(document).send().await.unwrap();
        let proxy = Proxy::start(&config).await;
        Some(Self { client, arn: made.arn.unwrap(), proxy, config })
    }

    fn secrets(&self) -> OneSecret {
        self.secrets_of(&self.arn)
    }

    fn secrets_of(&self, secret_id: &str) -> OneSecret {
        let config = Builder::from(&self.config).endpoint_url(&self.proxy.url);
        OneSecret { secrets: Secrets::new(&Client::from_conf(config.build())), secret_id: secret_id.to_owned() }
    }

    async fn put(&self, document: &str) {
        self.client.put_secret_value().secret_id(&self.arn).secret_string(document).send().await.unwrap();
    }
}

/// The known state of one secret.
#[derive(Debug)]
struct OneSecret {
    secrets: Secrets,
    secret_id: String,
}

impl OneSecret {
    async fn get(&self, now: Timestamp, deadline: Deadline) -> Result<Arc<Credentials>, Error> {
        self.secrets.secret(&self.secret_id, deadline).get(now).await
    }

    async fn reload(&self, now: Timestamp, deadline: Deadline) -> Result<Arc<Credentials>, Error> {
        self.secrets.secret(&self.secret_id, deadline).reload(now).await
    }
}

fn document(hash: &str) -> String {
    format!(r#"{{"account_number": "1234567", "provisioning_hash": "{hash}", "elastic_api_key": "{API_KEY}"}}"#)
}

fn later(minutes: i64) -> Timestamp {
    "2024-05-01T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

/// Creates a secret with the content `$document`, or returns from the test if there is no emulator.
macro_rules! stored {
    ($document:expr) => {
        match Stored::make($document).await {
            Some(stored) => stored,
            None => return,
        }
    };
}

#[tokio::test]
async fn the_secret_is_read_once_in_a_quarter_of_an_hour() {
    let stored = stored!(&document(HASH));
    let secrets = stored.secrets();
    let first = secrets.get(later(0), soon()).await.unwrap();
    assert_eq!(first.account_number.as_str(), "1234567");
    assert_eq!(first.provisioning_hash.expose_secret(), HASH);
    assert_eq!(first.elastic_api_key.expose_secret(), API_KEY);

    stored.put(&document("rotated")).await;
    let kept = secrets.get(later(14), soon()).await.unwrap();
    assert!(Arc::ptr_eq(&first, &kept));
    assert_eq!(stored.proxy.count(GET), 1);
    let read_again = secrets.get(later(15), soon()).await.unwrap();
    assert_eq!(read_again.provisioning_hash.expose_secret(), "rotated");
    assert_eq!(stored.proxy.count(GET), 2);
}

#[tokio::test]
async fn a_reload_reads_the_secret_again_at_once() {
    let stored = stored!(&document(HASH));
    let secrets = stored.secrets();
    secrets.get(later(0), soon()).await.unwrap();
    stored.put(&document("rotated")).await;
    assert_eq!(secrets.reload(later(1), soon()).await.unwrap().provisioning_hash.expose_secret(), "rotated");
    assert_eq!(secrets.get(later(2), soon()).await.unwrap().provisioning_hash.expose_secret(), "rotated");
    assert_eq!(stored.proxy.count(GET), 2);
}

#[tokio::test]
async fn each_secret_is_cached_separately() {
    let stored = stored!(&document(HASH));
    let name = unique("secret");
    stored.client.create_secret().name(&name).secret_string(document("other")).send().await.unwrap();
    let OneSecret { secrets, secret_id } = stored.secrets();
    for (secret_id, hash) in [(&secret_id, HASH), (&name, "other"), (&secret_id, HASH), (&name, "other")] {
        let credentials = secrets.secret(secret_id, soon()).get(later(0)).await.unwrap();
        assert_eq!(credentials.provisioning_hash.expose_secret(), hash);
    }
    assert_eq!(stored.proxy.count(GET), 2);
}

#[tokio::test]
async fn rejected_credentials_are_not_used_again_if_the_reload_fails() {
    let stored = stored!(&document(HASH));
    let secrets = stored.secrets();
    secrets.get(later(0), soon()).await.unwrap();
    stored.put("{").await;
    assert!(secrets.reload(later(1), soon()).await.is_err());
    assert!(secrets.get(later(2), soon()).await.is_err());
    stored.put(&document("repaired")).await;
    assert_eq!(secrets.get(later(2), soon()).await.unwrap().provisioning_hash.expose_secret(), "repaired");
}

#[tokio::test]
async fn a_placeholder_secret_is_recognized_until_it_is_filled_in() {
    let placeholder =
        r#"{"account_number":"REPLACE_ME","provisioning_hash":"REPLACE_ME","elastic_api_key":"REPLACE_ME"}"#;
    let stored = stored!(placeholder);
    let secrets = stored.secrets();
    let error = secrets.get(later(0), soon()).await.unwrap_err();
    assert!(matches!(error, Error::Placeholder { .. }), "{error}");
    stored.put(&document(HASH)).await;
    secrets.get(later(0), soon()).await.unwrap();
}

#[tokio::test]
async fn a_binary_secret_is_refused() {
    let stored = stored!(&document(HASH));
    let put = stored.client.put_secret_value().secret_id(&stored.arn);
    put.secret_binary(Blob::new(document(HASH))).send().await.unwrap();
    let error = stored.secrets().get(later(0), soon()).await.unwrap_err();
    assert_eq!(error.error_type(), "Secret.Invalid");
    assert!(error.to_string().contains("binary"), "{error}");
}

#[tokio::test]
async fn a_missing_secret_is_named() {
    let stored = stored!(&document(HASH));
    let error = stored.secrets_of("no-such-secret").get(later(0), soon()).await.unwrap_err();
    assert!(matches!(&error, Error::Missing { secret_id, .. } if secret_id == "no-such-secret"), "{error:?}");
    assert_eq!(stored.proxy.count(GET), 1);
}

#[tokio::test]
async fn temporary_faults_are_retried() {
    let stored = stored!(&document(HASH));
    let throttled = Fault::Answer { status: 400, code: "ThrottlingException", message: "slow down" };
    let broken = Fault::Answer { status: 500, code: "InternalServiceError", message: "sorry" };
    stored.proxy.order(GET, [throttled, broken, Fault::CutBefore, Fault::CutAfter, Fault::CutInAnswer, Fault::Page]);
    stored.secrets().get(later(0), soon()).await.unwrap();
    assert_eq!(stored.proxy.count(GET), 7);
}

#[tokio::test]
async fn a_permission_missing_for_secret_or_key_is_reported_without_a_retry() {
    let stored = stored!(&document(HASH));
    let denied = |message| Fault::Answer { status: 400, code: "AccessDeniedException", message };
    for (message, text) in [
        ("User: x is not authorized to perform: secretsmanager:GetSecretValue", "secretsmanager:GetSecretValue"),
        ("Access to KMS is not allowed", "KmsKeyArn"),
    ] {
        let seen = stored.proxy.count(GET);
        stored.proxy.order(GET, [denied(message)]);
        let error = stored.secrets().get(later(0), soon()).await.unwrap_err();
        assert_eq!(error.error_type(), "Secret.Forbidden");
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(stored.proxy.count(GET), seen + 1);
    }
}

/// Captures the log of the test's thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_secret_is_not_printed_at_any_log_level() {
    let stored = stored!(&document(HASH));
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::level_filters::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // Each test has its own thread and runtime, so this captures its whole log. With only one subscriber, tracing would
    // cache the interest of whichever thread reaches a log statement first, possibly another test's.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let guard = tracing::subscriber::set_default(subscriber);
    let secrets = stored.secrets();
    stored.proxy.order(GET, [Fault::CutInAnswer]);
    let credentials = secrets.get(later(0), soon()).await.unwrap();
    let mut printed = format!("{credentials:?} {secrets:?}");
    stored.put(&document(HASH).replace(API_KEY, "s3cr3t").replace('}', ",}")).await;
    let error = secrets.reload(later(0), soon()).await.unwrap_err();
    printed.push_str(&format!("{error} {error:?}"));
    for fault in [Fault::CutInAnswer, Fault::Garbled] {
        stored.proxy.order(GET, [fault; 5]);
        let error = secrets.reload(later(0), Deadline::after(Duration::from_millis(300))).await.unwrap_err();
        printed.push_str(&format!("{error} {error:?} {:?}", std::error::Error::source(&error)));
    }
    drop(guard);

    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("AWS call failed; retrying") && logged.contains("TRACE"), "the log was not caught");
    for secret in [HASH, API_KEY, "s3cr3t"] {
        assert!(!printed.contains(secret), "{printed}");
        assert!(!logged.contains(secret), "{}", logged.lines().find(|line| line.contains(secret)).unwrap());
    }
}
