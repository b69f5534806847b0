//! What users write: payloads and secrets.

use secrecy::SecretString;
use serde_json::Value;

use super::{case, review};
use crate::{request::Request, secrets::Credentials};

#[test]
fn wrong_payloads() {
    let many = r#"{"stream":"user","a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7}"#;
    let table: &[(&str, &str, &[&'static str])] = &[
        ("a list", "[]", &["a list, not a JSON object"]),
        ("a text", r#""collect""#, &["a text, not a JSON object"]),
        ("nothing", "null", &["null, not a JSON object"]),
        ("a number", "7", &["a number, not a JSON object"]),
        ("an empty payload", "{}", &["`stream` is missing", "event_report, user, detailed_shared_folder"]),
        ("an unknown action", r#"{"action":"explode"}"#, &["\"explode\"", "collect, backfill, plan, resume"]),
        ("an action in capitals", r#"{"action":"Collect","stream":"user"}"#, &["\"Collect\"", "collect"]),
        ("an action that is a number", r#"{"action":1}"#, &["`action` is a number"]),
        ("an action that is a list", r#"{"action":["check"]}"#, &["`action` is a list"]),
        ("an empty action", r#"{"action":""}"#, &["no action \"\""]),
        ("an unknown stream", r#"{"stream":"users"}"#, &["\"users\"", "event_report, user, detailed_shared_folder"]),
        ("a stream by its dataset", r#"{"stream":"lastpass.user"}"#, &["\"lastpass.user\"", "user"]),
        ("a stream that is a flag", r#"{"stream":true}"#, &["`stream` is true or false"]),
        ("a stream that is an object", r#"{"stream":{}}"#, &["`stream` is an object"]),
        ("no stream", r#"{"stream":null}"#, &["`stream` is missing"]),
        (
            "an account's name with a slash",
            r#"{"action":"check","account":"lastpass/globex"}"#,
            &["`account`", "\"lastpass/globex\"", "letters, digits"],
        ),
        ("an account's number", r#"{"action":"check","account":1234567}"#, &["`account` is a number, not a text"]),
        (
            "a field of another spelling",
            r#"{"stream":"user","scheduledTime":"2025-01-01"}"#,
            &["\"scheduledTime\"", "scheduled_time"],
        ),
        ("many unknown fields", many, &["no field \"a\" here", "2 more such fields"]),
        ("a secret as a field", r#"{"stream":"user","VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHA=":1}"#, &["(36 characters)"]),
        (
            "a schedule's time that isn't one",
            r#"{"stream":"user","scheduled_time":"now"}"#,
            &["`scheduled_time`", "2025-01-31T12:00:00Z"],
        ),
        (
            "a schedule's time without a zone",
            r#"{"stream":"user","scheduled_time":"2025-01-31T12:00:00"}"#,
            &["`scheduled_time`", "2025-01-31T12:00:00Z"],
        ),
        (
            "a schedule's time as number",
            r#"{"stream":"user","scheduled_time":1735689600}"#,
            &["`scheduled_time` is a number"],
        ),
        (
            "a schedule's time for check",
            r#"{"action":"check","scheduled_time":"2025-01-01"}"#,
            &["no field \"scheduled_time\" here: use action"],
        ),
        ("a stream for status", r#"{"action":"status","stream":"user"}"#, &["no field \"stream\" here: use action"]),
        (
            "a stream for resume",
            r#"{"action":"resume","stream":"user"}"#,
            &["no field \"stream\" here", "scheduled_time"],
        ),
        ("a retention for collect", r#"{"stream":"user","retention":"365d"}"#, &["no field \"retention\" here"]),
        (
            "a backfill without a range",
            r#"{"action":"backfill","stream":"event_report"}"#,
            &["`from` is missing", "`to` is missing"],
        ),
        (
            "a backfill without an end",
            r#"{"action":"backfill","stream":"event_report","from":"2025-01-01"}"#,
            &["`to` is missing", "2025-01-31T12:00:00Z or a date"],
        ),
        (
            "a backfill of users",
            r#"{"action":"backfill","stream":"user","from":"2025-01-01","to":"2025-01-02"}"#,
            &["user can't be filled back", "event_report"],
        ),
        (
            "a backfill of folders",
            r#"{"action":"backfill","stream":"detailed_shared_folder","from":"2025-01-01","to":"2025-01-02"}"#,
            &["can't be filled back"],
        ),
        (
            "a backfill the wrong way round",
            r#"{"action":"backfill","stream":"event_report","from":"2025-01-02","to":"2025-01-01"}"#,
            &["`from`", "not before `to`"],
        ),
        (
            "a backfill of nothing",
            r#"{"action":"backfill","stream":"event_report","from":"2025-01-01","to":"2025-01-01"}"#,
            &["not before `to`", "exclusive"],
        ),
        (
            "a backfill of a month",
            r#"{"action":"backfill","stream":"event_report","from":"2025-01","to":"2025-02"}"#,
            &["`from` is \"2025-01\"", "2025-01-31"],
        ),
        (
            "a day that isn't",
            r#"{"action":"backfill","stream":"event_report","from":"2025-02-30","to":"2025-03-02"}"#,
            &["`from` is \"2025-02-30\""],
        ),
        (
            "a German date",
            r#"{"action":"backfill","stream":"event_report","from":"01.02.2025","to":"2025-03-02"}"#,
            &["`from` is \"01.02.2025\"", "2025-01-31"],
        ),
        (
            "a flag that is a text",
            r#"{"action":"backfill","stream":"event_report","from":"2025-01-01","to":"2025-01-02","alert":"true"}"#,
            &["`alert` is a text, not true or false"],
        ),
        (
            "another flag that is a number",
            r#"{"action":"backfill","stream":"event_report","from":"2025-01-01","to":"2025-01-02","skip_completed":1}"#,
            &["`skip_completed` is a number"],
        ),
        ("a reset without a time", r#"{"action":"reset","stream":"user"}"#, &["`to` is missing"]),
        (
            "a reset into the future",
            r#"{"action":"reset","stream":"user","to":"2030-01-01"}"#,
            &["`to`", "lies in the future"],
        ),
        (
            "a reset with a beginning",
            r#"{"action":"reset","stream":"user","from":"2025-01-01","to":"2025-01-02"}"#,
            &["no field \"from\" here: use action, stream, to"],
        ),
        ("a reset of everything", r#"{"action":"reset","to":"2025-01-01"}"#, &["`stream` is missing"]),
        ("a redrive of everything", r#"{"action":"redrive"}"#, &["`stream` is missing"]),
        (
            "a redrive of the dead letters",
            r#"{"action":"redrive","stream":"dead_letter"}"#,
            &["\"dead_letter\"", "event_report, user"],
        ),
        ("a retention in words", r#"{"action":"setup","retention":"forever"}"#, &["`retention`", "365d"]),
        ("a retention of years", r#"{"action":"setup","retention":"1y"}"#, &["`retention`", "365d"]),
        ("a retention of nothing", r#"{"action":"setup","retention":"0d"}"#, &["`retention`", "365d"]),
        ("a retention that is a number", r#"{"action":"setup","retention":365}"#, &["`retention` is a number"]),
        (
            "a stream for setup",
            r#"{"action":"setup","stream":"user"}"#,
            &["no field \"stream\" here: use action, retention"],
        ),
        (
            "a take-over in words",
            r#"{"action":"setup","take_over":"yes"}"#,
            &["`take_over` is a text, not true or false"],
        ),
        (
            "a take-over by a check",
            r#"{"action":"check","take_over":true}"#,
            &["no field \"take_over\" here: use action, account"],
        ),
        (
            "several faults",
            r#"{"action":"reset","stream":"groups","to":7,"force":true}"#,
            &["\"groups\"", "`to` is a number", "\"force\""],
        ),
    ];
    let now = "2025-07-01T00:00:00Z".parse().expect("a time");
    let cases: Vec<_> = table
        .iter()
        .map(|(what, payload, says)| {
            let payload: Value = serde_json::from_str(payload).expect("a payload");
            let mut says = says.to_vec();
            says.push("events/");
            case(*what, Request::parse(&payload, now).expect_err(what), "Request.Invalid", &says)
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
    let table: Vec<(&str, String, &[&'static str])> = vec![
        ("empty", String::new(), &["JSON object", "`account_number`"]),
        ("blanks", "  \n".to_owned(), &["JSON object"]),
        ("the hash alone", HASH.to_owned(), &["JSON object", "`provisioning_hash`", "not a text"]),
        ("the key alone, in quotes", format!("\"{KEY}\""), &["JSON object", "`elastic_api_key`"]),
        ("lines of names and values", format!("account_number=1234567\nprovisioning_hash={HASH}"), &["JSON object"]),
        ("YAML", format!("account_number: 1234567\nprovisioning_hash: {HASH}"), &["JSON object"]),
        ("a list", format!("[\"1234567\",\"{HASH}\"]"), &["JSON object"]),
        ("JSON in single quotes", format!("'{whole}'"), &["JSON object"]),
        ("JSON with single quotes inside", whole.replace('"', "'"), &["isn't valid JSON", "line 1, column 2"]),
        ("typographic quotes", whole.replace('"', "”"), &["isn't valid JSON", "straight ones"]),
        ("a comma too many", whole.replace('}', ",}"), &["isn't valid JSON", "commas"]),
        ("a comma too few", whole.replacen(',', "\n", 1), &["isn't valid JSON", "line 2"]),
        ("cut in the middle", whole[..whole.len() / 2].to_owned(), &["isn't valid JSON"]),
        (
            "a line end within the hash",
            whole.replace("f00dfeedf00d", "f00dfeed\nf00d"),
            &["isn't valid JSON", "line 2"],
        ),
        (
            "no fields",
            "{}".to_owned(),
            &[
                "`account_number` is missing",
                "`provisioning_hash` is missing",
                "`elastic_api_key` is missing",
                "Dashboard",
                "Advanced > Enterprise API",
                "Stack Management > API keys",
            ],
        ),
        (
            "fields of other names",
            "{\"cid\":\"1\",\"provhash\":\"2\"}".to_owned(),
            &["`account_number`", "`provisioning_hash`", "`elastic_api_key`"],
        ),
        ("fields one level down", format!("{{\"lastpass\":{whole}}}"), &["`account_number` is missing"]),
        ("no account number", with("account_number", ""), &["`account_number` is missing", "Dashboard"]),
        ("an empty account number", with("account_number", "\"\""), &["`account_number` is missing or empty"]),
        (
            "an account number of letters",
            with("account_number", "\"CID-7\""),
            &["`account_number` must be 1 to 20 digits"],
        ),
        (
            "an account number with a fraction",
            with("account_number", "1234567.0"),
            &["`account_number` must be a text"],
        ),
        ("a negative account number", with("account_number", "-7"), &["`account_number` must be a text"]),
        (
            "an account number with groups",
            with("account_number", "\"1,234,567\""),
            &["`account_number` must be 1 to 20 digits"],
        ),
        (
            "an account number that is too long",
            with("account_number", "\"123456789012345678901\""),
            &["1 to 20 digits"],
        ),
        ("an account number in a list", with("account_number", "[1234567]"), &["`account_number` must be a text"]),
        ("no hash", with("provisioning_hash", ""), &["`provisioning_hash` is missing", "Advanced > Enterprise API"]),
        ("a hash that is null", with("provisioning_hash", "null"), &["`provisioning_hash` is missing"]),
        ("a hash that is a flag", with("provisioning_hash", "true"), &["`provisioning_hash` must be a text"]),
        (
            "a hash pasted with its quotes",
            with("provisioning_hash", "\"\\\"f00dfeed\\\"\""),
            &["`provisioning_hash` holds white space, quotes", "paste it alone"],
        ),
        ("a hash pasted twice", with("provisioning_hash", "\"f00d feed\""), &["`provisioning_hash` holds white space"]),
        ("no API key", with("elastic_api_key", ""), &["`elastic_api_key` is missing", "Kibana", "`Encoded`"]),
        (
            "an API key as id:key",
            with("elastic_api_key", "\"VuaCfGcBCdbkQm-e5aOx:ui2lp2axTNmsyakw9tvNnw\""),
            &["`elastic_api_key` looks like `id:key`", "encoded form"],
        ),
        (
            "an API key as a header",
            with("elastic_api_key", "\"ApiKey VnVhQ2Z\""),
            &["`elastic_api_key` isn't an encoded API key", "without `ApiKey`"],
        ),
        (
            "an API key pasted with its quotes",
            with("elastic_api_key", "\"'VnVhQ2Z'\""),
            &["`elastic_api_key` isn't an encoded API key", "without quotes"],
        ),
        (
            "an API key as Elasticsearch answers it",
            with("elastic_api_key", "{\"id\":\"a\",\"api_key\":\"b\",\"encoded\":\"c\"}"),
            &["`elastic_api_key` must be a text", "`Encoded`"],
        ),
        (
            "an API key with a line end in it",
            with("elastic_api_key", "\"VnVh\\nQ2Z\""),
            &["`elastic_api_key` isn't an encoded API key"],
        ),
        (
            "an API key of other letters",
            with("elastic_api_key", "\"VnVhQ2Zä\""),
            &["`elastic_api_key` isn't an encoded API key"],
        ),
        (
            "a setup key as id:key",
            with("elastic_setup_api_key", "\"id:key\""),
            &["`elastic_setup_api_key` looks like `id:key`"],
        ),
        (
            "a setup key that is a number",
            with("elastic_setup_api_key", "1.5"),
            &["`elastic_setup_api_key` must be a text"],
        ),
        (
            "a namespace in capitals",
            with("namespace", "\"Globex\""),
            &["`namespace` must be 1 to 100 bytes", "lower case", "docs/accounts.md"],
        ),
        ("a time zone that isn't one", with("time_zone", "\"Berlin\""), &["`time_zone` must be", "Europe/Berlin"]),
        (
            "a time zone of users that isn't one",
            with("user_time_zone", "\"Berlin\""),
            &["`user_time_zone` must be", "Europe/Berlin"],
        ),
        ("an organisation in a list", with("organization_id", "[\"7\"]"), &["`organization_id` must be a text"]),
        (
            "everything wrong",
            r#"{"account_number":"x","provisioning_hash":"","elastic_api_key":[]}"#.to_owned(),
            &["`account_number`", "`provisioning_hash`", "`elastic_api_key`"],
        ),
        (
            "the placeholder everywhere",
            r#"{"account_number":"REPLACE_ME","provisioning_hash":"REPLACE_ME","elastic_api_key":"REPLACE_ME"}"#
                .to_owned(),
            &["placeholder REPLACE_ME", "`account_number`, `provisioning_hash`, `elastic_api_key`", "then run `setup`"],
        ),
        (
            "the placeholder in one field",
            with("elastic_api_key", "\"REPLACE_ME\""),
            &["placeholder REPLACE_ME in `elastic_api_key`"],
        ),
    ];
    let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:lastpass-a1B2c3";
    let cases: Vec<_> = table
        .into_iter()
        .map(|(what, document, says)| {
            let error = Credentials::parse(&SecretString::from(document), arn).expect_err(what);
            let mut says = says.to_vec();
            says.extend(["Secrets Manager console", "put-secret-value", "secret:lastpass-a1B2c3"]);
            let case = case(what, error, "Secret.Invalid", &says);
            assert!(
                !case.error.with_causes().contains("f00dfeed") && !format!("{:?}", case.error).contains("f00dfeed")
            );
            case
        })
        .collect();
    review("secrets", &cases);
}
