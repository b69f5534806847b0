//! Invalid settings.

use super::{case, review};
use crate::config::Config;

/// A complete set of settings. Each case changes some of them.
const WHOLE: [(&str, &str); 3] = [
    ("SECRET_ARN", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:lastpass-a1B2c3"),
    ("CHECKPOINT_TABLE", "lastpass-Checkpoints-1ABC"),
    ("ELASTICSEARCH_URL", "https://es.example:9243"),
];

/// The description and the invalid settings.
type Wrong<'a> = (&'a str, &'a [(&'a str, &'a str)]);

#[test]
fn wrong_settings() {
    let pem =
        |inside: &str| format!("-----BEGIN CERTIFICATE-----\\n{inside}\\n-----END CERTIFICATE-----").leak() as &str;
    let long = "n".repeat(101).leak() as &str;
    let kibana_only = "name:ZXUtd2VzdC0xLmF3cy5mb3VuZC5pbyQkZGVm";
    let table: &[Wrong<'_>] = &[
        ("no secret", &[("SECRET_ARN", "")]),
        ("a secret of blanks", &[("SECRET_ARN", "  ")]),
        ("one secret and many", &[("SECRET_PREFIX", "lastpass")]),
        ("a prefix with its slash", &[("SECRET_ARN", ""), ("SECRET_PREFIX", "lastpass/")]),
        (
            "an ARN as prefix",
            &[("SECRET_ARN", ""), ("SECRET_PREFIX", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:lastpass")],
        ),
        ("no table", &[("CHECKPOINT_TABLE", "")]),
        ("no cluster", &[("ELASTICSEARCH_URL", "")]),
        ("two clusters", &[("ELASTIC_CLOUD_ID", "a:b")]),
        ("a host without a scheme", &[("ELASTICSEARCH_URL", "es.example:9243")]),
        ("only a host", &[("ELASTICSEARCH_URL", "es.example")]),
        ("a URL in quotes", &[("ELASTICSEARCH_URL", "\"https://es.example\"")]),
        ("two URLs", &[("ELASTICSEARCH_URL", "https://a.example https://b.example")]),
        ("plain http", &[("ELASTICSEARCH_URL", "http://es.example:9200")]),
        ("plain http to a private address", &[("ELASTICSEARCH_URL", "http://10.0.0.7:9200")]),
        ("another scheme", &[("ELASTICSEARCH_URL", "tcp://es.example:9300")]),
        ("a scheme without a host", &[("ELASTICSEARCH_URL", "https://")]),
        ("a port out of range", &[("ELASTICSEARCH_URL", "https://es.example:92430")]),
        ("a password in the URL", &[("ELASTICSEARCH_URL", "https://elastic:pw@es.example")]),
        ("a user in the URL", &[("ELASTICSEARCH_URL", "https://elastic@es.example")]),
        ("a query in the URL", &[("ELASTICSEARCH_URL", "https://es.example/?pretty")]),
        ("a fragment in the URL, as of Kibana's pages", &[("ELASTICSEARCH_URL", "https://kb.example/app/home#/")]),
        ("a Cloud ID that is a URL", &[("ELASTICSEARCH_URL", ""), ("ELASTIC_CLOUD_ID", "https://es.example:443")]),
        ("a Cloud ID that was cut", &[("ELASTICSEARCH_URL", ""), ("ELASTIC_CLOUD_ID", "security:ZXUtd2Vzd")]),
        ("only the name of a Cloud ID", &[("ELASTICSEARCH_URL", ""), ("ELASTIC_CLOUD_ID", "security:")]),
        ("a Cloud ID without Elasticsearch", &[("ELASTICSEARCH_URL", ""), ("ELASTIC_CLOUD_ID", kibana_only)]),
        (
            "a Cloud ID that is a deployment's id",
            &[("ELASTICSEARCH_URL", ""), ("ELASTIC_CLOUD_ID", "f7ac1dc62b4f4a3c9b1e")],
        ),
        ("a CA that is a file's name", &[("ELASTICSEARCH_CA", "/etc/ssl/http_ca.crt")]),
        ("a CA that is only Base64", &[("ELASTICSEARCH_CA", "MIIDSjCCAjKgAwIBAgIVAJ")]),
        ("a CA with nothing inside", &[("ELASTICSEARCH_CA", "-----BEGIN CERTIFICATE-----")]),
        ("a CA that is no base64", &[("ELASTICSEARCH_CA", pem("§§§"))]),
        (
            "a CA whose certificate cannot be read",
            &[("ELASTICSEARCH_CA", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----")],
        ),
        ("a CA that is a key", &[("ELASTICSEARCH_CA", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----")]),
        ("LastPass without a scheme", &[("LASTPASS_URL", "lastpass.com")]),
        ("LastPass by plain http", &[("LASTPASS_URL", "http://lastpass.com/enterpriseapi.php")]),
        ("LastPass by another scheme", &[("LASTPASS_URL", "ftp://lastpass.com/")]),
        ("LastPass with a password", &[("LASTPASS_URL", "https://a:b@lastpass.com/")]),
        (
            "LastPass with credentials in the query",
            &[("LASTPASS_URL", "https://lastpass.com/enterpriseapi.php?cid=7&provhash=x")],
        ),
        ("LastPass at another host", &[("LASTPASS_URL", "https://lastpass.com.evil.example/enterpriseapi.php")]),
        ("another host by plain http", &[("OTHER_LASTPASS_URL", "http://gateway.example/enterpriseapi.php")]),
        ("LastPass in quotes", &[("LASTPASS_URL", "'https://lastpass.com/'")]),
        ("a zone that does not exist", &[("LASTPASS_TIME_ZONE", "Mars/Olympus")]),
        ("a zone by its abbreviation", &[("LASTPASS_TIME_ZONE", "CEST")]),
        ("a zone of users that isn't one", &[("LASTPASS_USER_TIME_ZONE", "Berlin")]),
        ("a user of the API with a quote in it", &[("LASTPASS_API_USER", "a\"b")]),
        ("a zone with a blank in it", &[("LASTPASS_TIME_ZONE", "US Eastern")]),
        ("an offset with only hours", &[("LASTPASS_TIME_ZONE", "+2")]),
        ("an offset that no zone has", &[("LASTPASS_TIME_ZONE", "+99:00")]),
        ("an API key as zone", &[("LASTPASS_TIME_ZONE", "VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHA=")]),
        ("a namespace with a hyphen", &[("NAMESPACE", "prod-eu")]),
        ("a namespace in capitals", &[("NAMESPACE", "Prod")]),
        ("a namespace with a blank", &[("NAMESPACE", "my team")]),
        ("a namespace with a star", &[("NAMESPACE", "*")]),
        ("a namespace that is too long", &[("NAMESPACE", long)]),
        ("a lookback without a unit", &[("INITIAL_LOOKBACK", "24")]),
        ("a lookback in weeks", &[("INITIAL_LOOKBACK", "2w")]),
        ("a lookback before today", &[("INITIAL_LOOKBACK", "-1h")]),
        ("a lookback longer than the retention", &[("INITIAL_LOOKBACK", "401d")]),
        ("a lookback as ISO 8601", &[("INITIAL_LOOKBACK", "P1D")]),
        ("a lookback of a fraction", &[("INITIAL_LOOKBACK", "1.5h")]),
        ("a lookback with too large a number", &[("INITIAL_LOOKBACK", "99999999999d")]),
        ("an overlap in words", &[("OVERLAP", "soon")]),
        ("an overlap of more than a day", &[("OVERLAP", "25h")]),
        ("an overlap with only a unit", &[("OVERLAP", "m")]),
        ("a flag in words", &[("PRESERVE_ORIGINAL_EVENT", "yes")]),
        ("a flag as number", &[("PRESERVE_DUPLICATE_CUSTOM_FIELDS", "1")]),
        ("a log level that does not exist", &[("LOG_LEVEL", "verbose")]),
        ("a log level with a target", &[("LOG_LEVEL", "lastpass=debug")]),
        (
            "everything at once",
            &[
                ("SECRET_ARN", ""),
                ("CHECKPOINT_TABLE", ""),
                ("ELASTICSEARCH_URL", ""),
                ("OVERLAP", "x"),
                ("NAMESPACE", "A"),
                ("LOG_LEVEL", "loud"),
                ("LASTPASS_TIME_ZONE", "x"),
                ("LASTPASS_URL", "x"),
            ],
        ),
    ];
    let cases: Vec<_> = table
        .iter()
        .map(|(what, changes)| {
            let variable = |name: &str| {
                let changed = changes.iter().find(|(changed, _)| *changed == name);
                changed.or_else(|| WHOLE.iter().find(|(known, _)| *known == name)).map(|(_, value)| (*value).to_owned())
            };
            case(*what, Config::read(variable).expect_err(what), "Config.Invalid")
        })
        .collect();
    review("settings", &cases);
}
