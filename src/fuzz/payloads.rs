//! What a user writes: the payload, the secret, the settings.

use std::collections::HashMap;

use secrecy::SecretString;
use serde_json::{Value, json};

use super::{Ended, HASH, KEY, check_silence, check_text_for_user, records::at};
use crate::{
    config::{self, Config},
    request::{Action, Backfill, Request, Window},
    secrets::Credentials,
};

pub(super) fn play_request(input: &[u8]) -> Ended {
    // What isn't JSON is refused by Lambda.
    let Ok(payload) = serde_json::from_slice::<Value>(input) else { return Ended::Refused };
    let now = at("2025-07-01T00:00:00Z");
    match Request::parse(&payload, now) {
        Ok(request) => {
            assert_eq!(Request::parse(&payload, now), Ok(request.clone()));
            assert!(payload.get("action").is_none_or(|action| action.is_null() || action == request.action.as_str()));
            if let Action::Backfill(Backfill { from, to, .. }) | Action::Plan(Window { from, to }) = request.action {
                assert!(from < to);
            }
            Ended::Taken
        }
        Err(error) => {
            let text = error.to_string();
            check_text_for_user(&text, &["`", "there is no", "JSON object", "can't be filled back"]);
            Ended::Refused
        }
    }
}

pub(super) fn request_seeds() -> Vec<Vec<u8>> {
    let payloads = [
        include_str!("../../events/collect-event-report.json"),
        include_str!("../../events/collect-user.json"),
        include_str!("../../events/backfill.json"),
        include_str!("../../events/plan.json"),
        include_str!("../../events/resume.json"),
        include_str!("../../events/reset.json"),
        include_str!("../../events/redrive.json"),
        include_str!("../../events/setup.json"),
        include_str!("../../events/check.json"),
        r#"{"stream":"event_report","scheduled_time":"2025-06-30T12:00:00Z"}"#,
        r#"{"action":"backfill","stream":"event_report","from":"2025-01-01","to":"2025-02-01T00:00:00+02:00","alert":true,"skip_completed":false}"#,
        r#"{"action":"setup","retention":"365d"}"#,
    ];
    payloads.map(|payload| payload.as_bytes().to_vec()).to_vec()
}

pub(super) fn play_secret(input: &[u8]) -> Ended {
    let document = SecretString::from(String::from_utf8_lossy(input).into_owned());
    match Credentials::parse(&document, "arn:aws:secretsmanager:eu-west-1:123456789012:secret:lastpass-a1B2c3") {
        Ok(credentials) => {
            let printed = format!("{credentials:?}");
            check_silence(&printed);
            assert!(credentials.account_number.as_str().bytes().all(|byte| byte.is_ascii_digit()));
            Ended::Taken
        }
        Err(error) => {
            let things = ["account_number", "provisioning_hash", "elastic_api_key", "elastic_setup_api_key", "JSON"];
            check_text_for_user(&error.to_string(), &things);
            check_silence(&format!("{error} {error:?}"));
            Ended::Refused
        }
    }
}

pub(super) fn secret_seeds() -> Vec<Vec<u8>> {
    let whole = json!({"account_number": "1234567", "provisioning_hash": HASH, "elastic_api_key": KEY});
    let mut with_setup = whole.clone();
    with_setup["elastic_setup_api_key"] = KEY.into();
    with_setup["account_number"] = 1_234_567.into();
    let mut unfilled = whole.clone();
    unfilled["elastic_api_key"] = "REPLACE_ME".into();
    let mut id_and_key = whole.clone();
    id_and_key["elastic_api_key"] = "fuzz-key-identity:fuzz-key-that-is-secret".into();
    let texts =
        [whole.to_string(), with_setup.to_string(), unfilled.to_string(), id_and_key.to_string(), HASH.to_owned()];
    texts.map(String::into_bytes).to_vec()
}

/// The settings that texts may name.
const SETTINGS: [&str; 17] = [
    "SECRET_ARN",
    "CHECKPOINT_TABLE",
    "ELASTICSEARCH_URL",
    "ELASTIC_CLOUD_ID",
    "ELASTICSEARCH_CA",
    "LASTPASS_URL",
    "OTHER_LASTPASS_URL",
    "LASTPASS_TIME_ZONE",
    "LASTPASS_USER_TIME_ZONE",
    "LASTPASS_API_USER",
    "NAMESPACE",
    "INITIAL_LOOKBACK",
    "OVERLAP",
    "TAGS",
    "PRESERVE_ORIGINAL_EVENT",
    "PRESERVE_DUPLICATE_CUSTOM_FIELDS",
    "LOG_LEVEL",
];

/// An object of variables, or lines of `NAME=value` ended by zeros.
pub(super) fn play_settings(input: &[u8]) -> Ended {
    let variables: HashMap<String, String> = match serde_json::from_slice(input) {
        Ok(Value::Object(fields)) => fields
            .into_iter()
            .map(|(name, value)| (name, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect(),
        _ => {
            let text = String::from_utf8_lossy(input);
            text.split('\0')
                .filter_map(|line| line.split_once('='))
                .map(|(name, value)| (name.into(), value.into()))
                .collect()
        }
    };
    let variable = |name: &str| variables.get(name).cloned();
    match Config::read(variable) {
        Ok(config) => {
            assert!(!config.elasticsearch.host().is_empty() && config.lastpass_url.host().is_some());
            assert!(config::log_level(variable).is_ok());
            let url = &config.lastpass_url;
            let is_bare = url.username().is_empty() && url.password().is_none();
            assert!(is_bare && url.query().is_none() && url.fragment().is_none(), "{url}");
            Ended::Taken
        }
        Err(error) => {
            check_text_for_user(&error.to_string(), &SETTINGS);
            Ended::Refused
        }
    }
}

pub(super) fn settings_seeds() -> Vec<Vec<u8>> {
    let whole = json!({
        "SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:lastpass-a1B2c3",
        "CHECKPOINT_TABLE": "checkpoints",
        "ELASTICSEARCH_URL": "https://my-project.es.eu-west-1.aws.elastic.cloud:443",
        "LASTPASS_URL": "https://lastpass.eu/enterpriseapi.php",
        "LASTPASS_TIME_ZONE": "Europe/Berlin",
        "LASTPASS_USER_TIME_ZONE": "US/Eastern",
        "LASTPASS_API_USER": "siem",
        "NAMESPACE": "prod",
        "INITIAL_LOOKBACK": "7d",
        "OVERLAP": "1h",
        "TAGS": "forwarded,lastpass",
        "PRESERVE_ORIGINAL_EVENT": "true",
        "PRESERVE_DUPLICATE_CUSTOM_FIELDS": "FALSE",
        "LOG_LEVEL": "debug",
    });
    let with = |changes: &[(&str, &str)]| {
        let mut settings = whole.clone();
        for (name, value) in changes {
            settings[*name] = (*value).into();
        }
        settings.to_string().into_bytes()
    };
    let cloud_id = "security:ZXUtd2VzdC0xLmF3cy5mb3VuZC5pbzo5MjQzJGFiYyRkZWY=";
    vec![
        with(&[]),
        with(&[("ELASTICSEARCH_URL", ""), ("ELASTIC_CLOUD_ID", cloud_id)]),
        with(&[("ELASTICSEARCH_URL", &format!("https://elastic:{HASH}@es.example:9200/?key={KEY}"))]),
        with(&[("LASTPASS_URL", &format!("https://{HASH}@lastpass.com/{HASH}#{KEY}"))]),
        with(&[("LASTPASS_URL", &format!("https://{HASH}.example/"))]),
        with(&[("OTHER_LASTPASS_URL", &format!("https://gateway.example/{HASH}?{KEY}"))]),
        with(&[("ELASTICSEARCH_CA", "-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----")]),
        with(&[("ELASTICSEARCH_CA", &format!("-----BEGIN PRIVATE KEY-----\n{KEY}\n-----END PRIVATE KEY-----"))]),
        with(&[("LASTPASS_TIME_ZONE", "+02:00")]),
        with(&[("LASTPASS_API_USER", HASH), ("LASTPASS_USER_TIME_ZONE", KEY)]),
        b"NAMESPACE=default\0OVERLAP=15m\0SECRET_ARN=a\0CHECKPOINT_TABLE=b\0ELASTICSEARCH_URL=http://127.0.0.1:9200"
            .to_vec(),
    ]
}
