//! Wrong settings.

use super::{Says, case, review};
use crate::config::Config;

/// A whole set, of which a case changes a few.
const WHOLE: [(&str, &str); 3] = [
    ("SECRET_ARN", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:lastpass-a1B2c3"),
    ("CHECKPOINT_TABLE", "lastpass-Checkpoints-1ABC"),
    ("ELASTICSEARCH_URL", "https://es.example:9243"),
];

/// What is wrong, the settings that make it so, and what the text must say.
type Wrong<'a> = (&'a str, &'a [(&'a str, &'a str)], Says);

#[test]
fn wrong_settings() {
    let pem =
        |inside: &str| format!("-----BEGIN CERTIFICATE-----\\n{inside}\\n-----END CERTIFICATE-----").leak() as &str;
    let long = "n".repeat(101).leak() as &str;
    let kibana_only = "name:ZXUtd2VzdC0xLmF3cy5mb3VuZC5pbyQkZGVm";
    let table: &[Wrong<'_>] = &[
        ("no secret", &[("SECRET_ARN", "")], &["SECRET_ARN", "parameters"]),
        ("a secret of blanks", &[("SECRET_ARN", "  ")], &["SECRET_ARN"]),
        (
            "one secret and many",
            &[("SECRET_PREFIX", "lastpass")],
            &["SECRET_ARN and SECRET_PREFIX are both set", "keep one"],
        ),
        ("a prefix with its slash", &[("SECRET_ARN", ""), ("SECRET_PREFIX", "lastpass/")], &["SECRET_PREFIX", "slash"]),
        (
            "an ARN as prefix",
            &[("SECRET_ARN", ""), ("SECRET_PREFIX", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:lastpass")],
            &["SECRET_PREFIX", "letters, digits"],
        ),
        ("no table", &[("CHECKPOINT_TABLE", "")], &["CHECKPOINT_TABLE"]),
        ("no cluster", &[("ELASTICSEARCH_URL", "")], &["ELASTICSEARCH_URL", "ELASTIC_CLOUD_ID", "Elastic Cloud"]),
        ("two clusters", &[("ELASTIC_CLOUD_ID", "a:b")], &["both set", "keep one"]),
        ("a host without a scheme", &[("ELASTICSEARCH_URL", "es.example:9243")], &["ELASTICSEARCH_URL", "https://"]),
        ("a host alone", &[("ELASTICSEARCH_URL", "es.example")], &["ELASTICSEARCH_URL", "https://host:port"]),
        (
            "a URL in quotes",
            &[("ELASTICSEARCH_URL", "\"https://es.example\"")],
            &["ELASTICSEARCH_URL", "https://host:port"],
        ),
        ("two URLs", &[("ELASTICSEARCH_URL", "https://a.example https://b.example")], &["ELASTICSEARCH_URL"]),
        ("plain http", &[("ELASTICSEARCH_URL", "http://es.example:9200")], &["ELASTICSEARCH_URL", "https://"]),
        (
            "plain http to a private address",
            &[("ELASTICSEARCH_URL", "http://10.0.0.7:9200")],
            &["ELASTICSEARCH_URL", "loopback"],
        ),
        ("another scheme", &[("ELASTICSEARCH_URL", "tcp://es.example:9300")], &["ELASTICSEARCH_URL", "https://"]),
        ("a scheme without a host", &[("ELASTICSEARCH_URL", "https://")], &["ELASTICSEARCH_URL"]),
        ("a port out of range", &[("ELASTICSEARCH_URL", "https://es.example:92430")], &["ELASTICSEARCH_URL"]),
        (
            "a password in the URL",
            &[("ELASTICSEARCH_URL", "https://elastic:pw@es.example")],
            &["ELASTICSEARCH_URL", "user name or password", "`elastic_api_key`"],
        ),
        (
            "a user in the URL",
            &[("ELASTICSEARCH_URL", "https://elastic@es.example")],
            &["ELASTICSEARCH_URL", "user name or password"],
        ),
        ("a query in the URL", &[("ELASTICSEARCH_URL", "https://es.example/?pretty")], &["ELASTICSEARCH_URL", "?"]),
        (
            "a fragment in the URL, as of Kibana's pages",
            &[("ELASTICSEARCH_URL", "https://kb.example/app/home#/")],
            &["ELASTICSEARCH_URL", "#"],
        ),
        (
            "a Cloud ID that is a URL",
            &[("ELASTICSEARCH_URL", ""), ("ELASTIC_CLOUD_ID", "https://es.example:443")],
            &["ELASTIC_CLOUD_ID", "deployment's page"],
        ),
        (
            "a Cloud ID that was cut",
            &[("ELASTICSEARCH_URL", ""), ("ELASTIC_CLOUD_ID", "security:ZXUtd2Vzd")],
            &["ELASTIC_CLOUD_ID"],
        ),
        (
            "a Cloud ID of its name alone",
            &[("ELASTICSEARCH_URL", ""), ("ELASTIC_CLOUD_ID", "security:")],
            &["ELASTIC_CLOUD_ID"],
        ),
        (
            "a Cloud ID without Elasticsearch",
            &[("ELASTICSEARCH_URL", ""), ("ELASTIC_CLOUD_ID", kibana_only)],
            &["ELASTIC_CLOUD_ID", "ELASTICSEARCH_URL"],
        ),
        (
            "a Cloud ID that is a deployment's id",
            &[("ELASTICSEARCH_URL", ""), ("ELASTIC_CLOUD_ID", "f7ac1dc62b4f4a3c9b1e")],
            &["ELASTIC_CLOUD_ID"],
        ),
        ("a CA that is a file's name", &[("ELASTICSEARCH_CA", "/etc/ssl/http_ca.crt")], &["ELASTICSEARCH_CA", "PEM"]),
        (
            "a CA that is base64 alone",
            &[("ELASTICSEARCH_CA", "MIIDSjCCAjKgAwIBAgIVAJ")],
            &["ELASTICSEARCH_CA", "-----BEGIN CERTIFICATE-----"],
        ),
        (
            "a CA with nothing inside",
            &[("ELASTICSEARCH_CA", "-----BEGIN CERTIFICATE-----")],
            &["ELASTICSEARCH_CA", "PEM"],
        ),
        ("a CA that is no base64", &[("ELASTICSEARCH_CA", pem("§§§"))], &["ELASTICSEARCH_CA", "PEM"]),
        (
            "a CA that is a key",
            &[("ELASTICSEARCH_CA", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----")],
            &["ELASTICSEARCH_CA", "certificate"],
        ),
        (
            "LastPass without a scheme",
            &[("LASTPASS_URL", "lastpass.com")],
            &["LASTPASS_URL", "https://lastpass.com/enterpriseapi.php", "lastpass.eu"],
        ),
        (
            "LastPass by plain http",
            &[("LASTPASS_URL", "http://lastpass.com/enterpriseapi.php")],
            &["LASTPASS_URL", "https://"],
        ),
        ("LastPass by another scheme", &[("LASTPASS_URL", "ftp://lastpass.com/")], &["LASTPASS_URL", "https://"]),
        (
            "LastPass with a password",
            &[("LASTPASS_URL", "https://a:b@lastpass.com/")],
            &["LASTPASS_URL", "belong in the secret"],
        ),
        (
            "LastPass with credentials in the query",
            &[("LASTPASS_URL", "https://lastpass.com/enterpriseapi.php?cid=7&provhash=x")],
            &["LASTPASS_URL", "what follows the ?"],
        ),
        (
            "LastPass at another host",
            &[("LASTPASS_URL", "https://lastpass.com.evil.example/enterpriseapi.php")],
            &[
                "LASTPASS_URL",
                "https://lastpass.com/enterpriseapi.php",
                "lastpass.eu",
                "OTHER_LASTPASS_URL",
                "provisioning hash",
            ],
        ),
        (
            "another host by plain http",
            &[("OTHER_LASTPASS_URL", "http://gateway.example/enterpriseapi.php")],
            &["OTHER_LASTPASS_URL", "https://"],
        ),
        ("LastPass in quotes", &[("LASTPASS_URL", "'https://lastpass.com/'")], &["LASTPASS_URL"]),
        (
            "a zone that isn't",
            &[("LASTPASS_TIME_ZONE", "Mars/Olympus")],
            &["LASTPASS_TIME_ZONE", "US/Eastern", "Mars/Olympus"],
        ),
        ("a zone by its abbreviation", &[("LASTPASS_TIME_ZONE", "CEST")], &["LASTPASS_TIME_ZONE", "Europe/Berlin"]),
        (
            "a zone of users that isn't one",
            &[("LASTPASS_USER_TIME_ZONE", "Berlin")],
            &["LASTPASS_USER_TIME_ZONE", "Europe/Berlin"],
        ),
        (
            "a user of the API with a quote in it",
            &[("LASTPASS_API_USER", "a\"b")],
            &["LASTPASS_API_USER", "letters, digits"],
        ),
        ("a zone with a blank in it", &[("LASTPASS_TIME_ZONE", "US Eastern")], &["LASTPASS_TIME_ZONE"]),
        ("an offset of hours alone", &[("LASTPASS_TIME_ZONE", "+2")], &["LASTPASS_TIME_ZONE", "+02:00"]),
        ("an offset that no zone has", &[("LASTPASS_TIME_ZONE", "+99:00")], &["LASTPASS_TIME_ZONE"]),
        (
            "an API key as zone",
            &[("LASTPASS_TIME_ZONE", "VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHA=")],
            &["LASTPASS_TIME_ZONE", "(36 characters)"],
        ),
        ("a namespace with a hyphen", &[("NAMESPACE", "prod-eu")], &["NAMESPACE", "\"prod-eu\"", "-"]),
        ("a namespace in capitals", &[("NAMESPACE", "Prod")], &["NAMESPACE", "lower case"]),
        ("a namespace with a blank", &[("NAMESPACE", "my team")], &["NAMESPACE", "white space"]),
        ("a namespace with a star", &[("NAMESPACE", "*")], &["NAMESPACE"]),
        ("a namespace that is too long", &[("NAMESPACE", long)], &["NAMESPACE", "100 bytes"]),
        ("a lookback without a unit", &[("INITIAL_LOOKBACK", "24")], &["INITIAL_LOOKBACK", "24h"]),
        ("a lookback in weeks", &[("INITIAL_LOOKBACK", "2w")], &["INITIAL_LOOKBACK", "7d"]),
        ("a lookback before today", &[("INITIAL_LOOKBACK", "-1h")], &["INITIAL_LOOKBACK"]),
        (
            "a lookback longer than the retention",
            &[("INITIAL_LOOKBACK", "401d")],
            &["INITIAL_LOOKBACK", "at most 400d"],
        ),
        ("a lookback as ISO 8601", &[("INITIAL_LOOKBACK", "P1D")], &["INITIAL_LOOKBACK", "24h"]),
        ("a lookback of a fraction", &[("INITIAL_LOOKBACK", "1.5h")], &["INITIAL_LOOKBACK", "15m"]),
        ("a lookback beyond all numbers", &[("INITIAL_LOOKBACK", "99999999999d")], &["INITIAL_LOOKBACK"]),
        ("an overlap in words", &[("OVERLAP", "soon")], &["OVERLAP", "15m"]),
        ("an overlap of more than a day", &[("OVERLAP", "25h")], &["OVERLAP", "at most 1d"]),
        ("an overlap of a unit alone", &[("OVERLAP", "m")], &["OVERLAP", "15m"]),
        ("a flag in words", &[("PRESERVE_ORIGINAL_EVENT", "yes")], &["PRESERVE_ORIGINAL_EVENT", "true or false"]),
        (
            "a flag as number",
            &[("PRESERVE_DUPLICATE_CUSTOM_FIELDS", "1")],
            &["PRESERVE_DUPLICATE_CUSTOM_FIELDS", "true or false"],
        ),
        ("a log level that isn't", &[("LOG_LEVEL", "verbose")], &["LOG_LEVEL", "error, warn, info or debug"]),
        ("a log level with a target", &[("LOG_LEVEL", "lastpass=debug")], &["LOG_LEVEL"]),
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
            &[
                "SECRET_ARN",
                "CHECKPOINT_TABLE",
                "ELASTICSEARCH_URL",
                "OVERLAP",
                "NAMESPACE",
                "LOG_LEVEL",
                "LASTPASS_TIME_ZONE",
                "LASTPASS_URL",
            ],
        ),
    ];
    let cases: Vec<_> = table
        .iter()
        .map(|(what, changes, says)| {
            let variable = |name: &str| {
                let changed = changes.iter().find(|(changed, _)| *changed == name);
                changed.or_else(|| WHOLE.iter().find(|(known, _)| *known == name)).map(|(_, value)| (*value).to_owned())
            };
            let mut says = says.to_vec();
            says.push("docs/settings.md explains each");
            case(*what, Config::read(variable).expect_err(what), "Config.Invalid", &says)
        })
        .collect();
    review("settings", &cases);
}
