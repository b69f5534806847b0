//! Invalid user input: payloads and secrets.

use secrecy::SecretString;
use serde_json::Value;

use super::{case, review};
use crate::{request::Request, secrets::Credentials};

#[test]
fn wrong_payloads() {
    let many = r#"{"stream":"user","a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7}"#;
    let table: &[(&str, &str)] = &[
        ("a list", "[]"),
        ("a text", r#""collect""#),
        ("nothing", "null"),
        ("a number", "7"),
        ("an empty payload", "{}"),
        ("an unknown action", r#"{"action":"explode"}"#),
        ("an action in capitals", r#"{"action":"Collect","stream":"user"}"#),
        ("an action that is a number", r#"{"action":1}"#),
        ("an action that is a list", r#"{"action":["check"]}"#),
        ("an empty action", r#"{"action":""}"#),
        ("an unknown stream", r#"{"stream":"users"}"#),
        ("a stream by its dataset", r#"{"stream":"lastpass.user"}"#),
        ("a stream that is a flag", r#"{"stream":true}"#),
        ("a stream that is an object", r#"{"stream":{}}"#),
        ("no stream", r#"{"stream":null}"#),
        ("an account's name with a slash", r#"{"action":"check","account":"lastpass/globex"}"#),
        ("an account's number", r#"{"action":"check","account":1234567}"#),
        ("a field of another spelling", r#"{"stream":"user","scheduledTime":"2025-01-01"}"#),
        ("many unknown fields", many),
        ("a secret as a field", r#"{"stream":"user","VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHA=":1}"#),
        ("a schedule's time that isn't one", r#"{"stream":"user","scheduled_time":"now"}"#),
        ("a schedule's time without a zone", r#"{"stream":"user","scheduled_time":"2025-01-31T12:00:00"}"#),
        ("a schedule's time as number", r#"{"stream":"user","scheduled_time":1735689600}"#),
        ("a schedule's time for check", r#"{"action":"check","scheduled_time":"2025-01-01"}"#),
        ("a stream for status", r#"{"action":"status","stream":"user"}"#),
        ("a stream for resume", r#"{"action":"resume","stream":"user"}"#),
        ("a retention for collect", r#"{"stream":"user","retention":"365d"}"#),
        ("a backfill without a range", r#"{"action":"backfill","stream":"event_report"}"#),
        ("a backfill without an end", r#"{"action":"backfill","stream":"event_report","from":"2025-01-01"}"#),
        ("a backfill of users", r#"{"action":"backfill","stream":"user","from":"2025-01-01","to":"2025-01-02"}"#),
        (
            "a backfill of folders",
            r#"{"action":"backfill","stream":"detailed_shared_folder","from":"2025-01-01","to":"2025-01-02"}"#,
        ),
        (
            "a backfill the wrong way round",
            r#"{"action":"backfill","stream":"event_report","from":"2025-01-02","to":"2025-01-01"}"#,
        ),
        (
            "a backfill of nothing",
            r#"{"action":"backfill","stream":"event_report","from":"2025-01-01","to":"2025-01-01"}"#,
        ),
        ("a backfill of a month", r#"{"action":"backfill","stream":"event_report","from":"2025-01","to":"2025-02"}"#),
        (
            "a day that does not exist",
            r#"{"action":"backfill","stream":"event_report","from":"2025-02-30","to":"2025-03-02"}"#,
        ),
        ("a German date", r#"{"action":"backfill","stream":"event_report","from":"01.02.2025","to":"2025-03-02"}"#),
        (
            "a flag that is a text",
            r#"{"action":"backfill","stream":"event_report","from":"2025-01-01","to":"2025-01-02","alert":"true"}"#,
        ),
        (
            "another flag that is a number",
            r#"{"action":"backfill","stream":"event_report","from":"2025-01-01","to":"2025-01-02","skip_completed":1}"#,
        ),
        ("a reset without a time", r#"{"action":"reset","stream":"user"}"#),
        ("a reset into the future", r#"{"action":"reset","stream":"user","to":"2030-01-01"}"#),
        ("a reset with a beginning", r#"{"action":"reset","stream":"user","from":"2025-01-01","to":"2025-01-02"}"#),
        ("a reset of everything", r#"{"action":"reset","to":"2025-01-01"}"#),
        ("a redrive of everything", r#"{"action":"redrive"}"#),
        ("a redrive of the dead letters", r#"{"action":"redrive","stream":"dead_letter"}"#),
        ("a retention in words", r#"{"action":"setup","retention":"forever"}"#),
        ("a retention of years", r#"{"action":"setup","retention":"1y"}"#),
        ("a retention of nothing", r#"{"action":"setup","retention":"0d"}"#),
        ("a retention that is a number", r#"{"action":"setup","retention":365}"#),
        ("a stream for setup", r#"{"action":"setup","stream":"user"}"#),
        ("a take-over in words", r#"{"action":"setup","take_over":"yes"}"#),
        ("a take-over by a check", r#"{"action":"check","take_over":true}"#),
        ("several faults", r#"{"action":"reset","stream":"groups","to":7,"force":true}"#),
    ];
    let now = "2025-07-01T00:00:00Z".parse().expect("a time");
    let cases: Vec<_> = table
        .iter()
        .map(|(what, payload)| {
            let payload: Value = serde_json::from_str(payload).expect("a payload");
            case(*what, Request::parse(&payload, now).expect_err(what), "Request.Invalid")
        })
        .collect();
    review("payloads", &cases);
}

#[test]
fn wrong_secrets() {
    const HASH: &str = "f00dfeedf00dfeedf00dfeedf00dfeed";
    const KEY: &str = "VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw==";
    let with = |name: &str, value: &str| {
        let mut fields = vec![
            ("account_number", "\"1234567\"".to_owned()),
            ("provisioning_hash", format!("\"{HASH}\"")),
            ("elastic_api_key", format!("\"{KEY}\"")),
        ];
        fields.retain(|(known, _)| *known != name);
        if !value.is_empty() {
            fields.push((name, value.to_owned()));
        }
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", fields.join(","))
    };
    let whole = with("", "");
    let table: Vec<(&str, String)> = vec![
        ("empty", String::new()),
        ("blanks", "  \n".to_owned()),
        ("only the hash", HASH.to_owned()),
        ("only the key, in quotes", format!("\"{KEY}\"")),
        ("lines of names and values", format!("account_number=1234567\nprovisioning_hash={HASH}")),
        ("YAML", format!("account_number: 1234567\nprovisioning_hash: {HASH}")),
        ("a list", format!("[\"1234567\",\"{HASH}\"]")),
        ("JSON in single quotes", format!("'{whole}'")),
        ("JSON with single quotes inside", whole.replace('"', "'")),
        ("typographic quotes", whole.replace('"', "”")),
        ("a comma too many", whole.replace('}', ",}")),
        ("a comma too few", whole.replacen(',', "\n", 1)),
        ("cut in the middle", whole[..whole.len() / 2].to_owned()),
        ("a line end within the hash", whole.replace("f00dfeedf00d", "f00dfeed\nf00d")),
        ("no fields", "{}".to_owned()),
        ("fields of other names", "{\"cid\":\"1\",\"provhash\":\"2\"}".to_owned()),
        ("fields one level down", format!("{{\"lastpass\":{whole}}}")),
        ("no account number", with("account_number", "")),
        ("an empty account number", with("account_number", "\"\"")),
        ("an account number of letters", with("account_number", "\"CID-7\"")),
        ("an account number with a fraction", with("account_number", "1234567.0")),
        ("a negative account number", with("account_number", "-7")),
        ("an account number with groups", with("account_number", "\"1,234,567\"")),
        ("an account number that is too long", with("account_number", "\"123456789012345678901\"")),
        ("an account number in a list", with("account_number", "[1234567]")),
        ("no hash", with("provisioning_hash", "")),
        ("a hash that is null", with("provisioning_hash", "null")),
        ("a hash that is a flag", with("provisioning_hash", "true")),
        ("a hash pasted with its quotes", with("provisioning_hash", "\"\\\"f00dfeed\\\"\"")),
        ("a hash pasted twice", with("provisioning_hash", "\"f00d feed\"")),
        ("no API key", with("elastic_api_key", "")),
        ("an API key as id:key", with("elastic_api_key", "\"VuaCfGcBCdbkQm-e5aOx:ui2lp2axTNmsyakw9tvNnw\"")),
        ("an API key as a header", with("elastic_api_key", "\"ApiKey VnVhQ2Z\"")),
        ("an API key pasted with its quotes", with("elastic_api_key", "\"'VnVhQ2Z'\"")),
        (
            "an API key as Elasticsearch answers it",
            with("elastic_api_key", "{\"id\":\"a\",\"api_key\":\"b\",\"encoded\":\"c\"}"),
        ),
        ("an API key with a line end in it", with("elastic_api_key", "\"VnVh\\nQ2Z\"")),
        ("an API key of other letters", with("elastic_api_key", "\"VnVhQ2Zä\"")),
        ("a setup key as id:key", with("elastic_setup_api_key", "\"id:key\"")),
        ("a setup key that is a number", with("elastic_setup_api_key", "1.5")),
        ("a namespace in capitals", with("namespace", "\"Globex\"")),
        ("a time zone that isn't one", with("time_zone", "\"Berlin\"")),
        ("a time zone of users that isn't one", with("user_time_zone", "\"Berlin\"")),
        ("an organisation in a list", with("organization_id", "[\"7\"]")),
        ("everything wrong", r#"{"account_number":"x","provisioning_hash":"","elastic_api_key":[]}"#.to_owned()),
        (
            "the placeholder everywhere",
            r#"{"account_number":"REPLACE_ME","provisioning_hash":"REPLACE_ME","elastic_api_key":"REPLACE_ME"}"#
                .to_owned(),
        ),
        ("the placeholder in one field", with("elastic_api_key", "\"REPLACE_ME\"")),
    ];
    let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:lastpass-a1B2c3";
    let cases: Vec<_> = table
        .into_iter()
        .map(|(what, document)| {
            let error = Credentials::parse(&SecretString::from(document), arn).expect_err(what);
            let case = case(what, error, "Secret.Invalid");
            assert!(
                !case.error.with_causes().contains("f00dfeed") && !format!("{:?}", case.error).contains("f00dfeed")
            );
            case
        })
        .collect();
    review("secrets", &cases);
}
