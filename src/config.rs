//! Reads the settings from the environment.
//!
//! This module knows nothing of the clients. All settings are checked before the first client is built, and all faults
//! are reported at once. The faults are kept, and each invocation returns them as `Config.Invalid`, because a process
//! that exits during start-up cannot report them to Lambda.

use jiff::SignedDuration;
use tracing::level_filters::LevelFilter;

use crate::{
    document::Namespace,
    endpoint::{self, Endpoint, LASTPASS_URL, LastPassUrl},
    http,
    lastpass::time::ApiZone,
    redact::Quoted,
};

/// Default of `LASTPASS_TIME_ZONE`. Source: LASTPASS_API.md, "reporting".
const LASTPASS_TIME_ZONE: &str = "US/Eastern";
/// Default of `LASTPASS_USER_TIME_ZONE`. Source: Elastic's integration, which reads the dates of users as UTC.
const LASTPASS_USER_TIME_ZONE: &str = "UTC";
/// Most characters of `LASTPASS_API_USER`. Chosen: enough for a name.
const LONGEST_API_USER: usize = 64;
/// Default of `NAMESPACE`. Source: Elastic's own default.
const NAMESPACE: &str = "default";
/// Default of `INITIAL_LOOKBACK`. Chosen: the default of Elastic's integration. A backfill can read more.
const INITIAL_LOOKBACK: &str = "24h";
/// Default of `OVERLAP`. Chosen: events are known to appear minutes late.
const OVERLAP: &str = "15m";
/// Longest `OVERLAP`. Chosen: every run reads it again.
const LONGEST_OVERLAP: SignedDuration = SignedDuration::from_hours(24);
/// Longest `INITIAL_LOOKBACK`. Source: LASTPASS_API.md, "reporting": the retention is about a year.
const LONGEST_LOOKBACK: SignedDuration = SignedDuration::from_hours(400 * 24);

/// The validated settings of the function.
#[derive(Debug, Clone)]
pub struct Config {
    /// `SECRET_ARN` or `SECRET_PREFIX`: the location of the credentials.
    pub secret: SecretSource,
    /// `CHECKPOINT_TABLE`: the DynamoDB table.
    pub checkpoint_table: String,
    /// `ELASTICSEARCH_URL` or `ELASTIC_CLOUD_ID`: the address of the cluster.
    pub elasticsearch: Endpoint,
    /// `ELASTICSEARCH_CA`: the certificates of a self-managed cluster's own authority, as PEM.
    pub elasticsearch_ca: Option<String>,
    /// `OTHER_LASTPASS_URL` or `LASTPASS_URL`: the address of the Enterprise API.
    pub lastpass_url: LastPassUrl,
    /// `LASTPASS_TIME_ZONE`: the zone in which the API writes times.
    pub zone: ApiZone,
    /// `LASTPASS_USER_TIME_ZONE`: the zone in which the API writes the dates of users.
    pub user_zone: ApiZone,
    /// `LASTPASS_API_USER`: the user name that requests for the event report contain.
    pub lastpass_api_user: Option<String>,
    /// `NAMESPACE`: the namespace of the data streams.
    pub namespace: Namespace,
    /// `INITIAL_LOOKBACK`: how far back the first run reads. It always reads at least 26 hours.
    pub initial_lookback: SignedDuration,
    /// `OVERLAP`: how far before its watermark every run reads again, for late events.
    pub overlap: SignedDuration,
    /// `TAGS`: the tags of every document.
    pub tags: Vec<String>,
    /// `PRESERVE_ORIGINAL_EVENT`: whether documents keep the record in `event.original`.
    pub preserve_original_event: bool,
    /// `PRESERVE_DUPLICATE_CUSTOM_FIELDS`: whether documents keep `lastpass.*` fields that are copied to an ECS field.
    pub preserve_duplicate_custom_fields: bool,
    /// `SNAPSHOT_CHANGES`: whether each snapshot is compared with the one before it.
    pub snapshot_changes: bool,
}

/// The location of the credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// The secret with this ARN. The deployment reads one account.
    Arn(String),
    /// The secret `<prefix>/<account>` of each account that a request names.
    Prefix(String),
}

/// Settings that cannot be used, with all their faults.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the function's settings are not valid: {}. Correct the parameters of its CloudFormation stack, which sets these environment variables; docs/settings.md explains each", faults.join("; "))]
pub struct Invalid {
    faults: Vec<String>,
}

impl From<http::Error> for Invalid {
    fn from(error: http::Error) -> Self {
        Self { faults: vec![error.to_string()] }
    }
}

impl Config {
    /// Reads the settings through `variable`, which returns the value of an environment variable.
    ///
    /// # Errors
    /// [`Invalid`], with all faults.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Invalid> {
        let mut reader = Reader { variable, faults: Vec::new() };
        let secret = reader.secret();
        let checkpoint_table = reader.required("CHECKPOINT_TABLE", "set it to the name of the DynamoDB table");
        let elasticsearch = reader.elasticsearch();
        let elasticsearch_ca = reader.certificates("ELASTICSEARCH_CA");
        let lastpass_url = reader.lastpass_url();
        let zone = reader.or_default("LASTPASS_TIME_ZONE", LASTPASS_TIME_ZONE);
        let zone = reader.checked("LASTPASS_TIME_ZONE", ApiZone::new(&zone));
        let user_zone = reader.or_default("LASTPASS_USER_TIME_ZONE", LASTPASS_USER_TIME_ZONE);
        let user_zone = reader.checked("LASTPASS_USER_TIME_ZONE", ApiZone::new(&user_zone));
        let lastpass_api_user = reader.api_user();
        let namespace = reader.or_default("NAMESPACE", NAMESPACE);
        let namespace = reader.checked("NAMESPACE", Namespace::new(&namespace));
        let initial_lookback = reader.duration("INITIAL_LOOKBACK", INITIAL_LOOKBACK, LONGEST_LOOKBACK);
        let overlap = reader.duration("OVERLAP", OVERLAP, LONGEST_OVERLAP);
        let tags = reader.tags();
        let preserve_original_event = reader.flag("PRESERVE_ORIGINAL_EVENT", false);
        let preserve_duplicate_custom_fields = reader.flag("PRESERVE_DUPLICATE_CUSTOM_FIELDS", false);
        let snapshot_changes = reader.flag("SNAPSHOT_CHANGES", true);
        if let Err(fault) = log_level(&reader.variable) {
            reader.faults.push(fault);
        }
        match (secret, elasticsearch, lastpass_url, zone.zip(user_zone), namespace) {
            (Some(secret), Some(elasticsearch), Some(lastpass_url), Some((zone, user_zone)), Some(namespace))
                if reader.faults.is_empty() =>
            {
                Ok(Self {
                    secret,
                    checkpoint_table,
                    elasticsearch,
                    elasticsearch_ca,
                    lastpass_url,
                    zone,
                    user_zone,
                    lastpass_api_user,
                    namespace,
                    initial_lookback,
                    overlap,
                    tags,
                    preserve_original_event,
                    preserve_duplicate_custom_fields,
                    snapshot_changes,
                })
            }
            _ => Err(Invalid { faults: reader.faults }),
        }
    }
}

/// Reads `LOG_LEVEL`, the level from which messages are logged.
///
/// # Errors
/// The fault as text. The default level then applies.
pub fn log_level(variable: impl Fn(&str) -> Option<String>) -> Result<LevelFilter, String> {
    match variable("LOG_LEVEL").unwrap_or_default().trim().to_lowercase().as_str() {
        "" | "info" => Ok(LevelFilter::INFO),
        "error" => Ok(LevelFilter::ERROR),
        "warn" => Ok(LevelFilter::WARN),
        "debug" => Ok(LevelFilter::DEBUG),
        "trace" => Ok(LevelFilter::TRACE),
        other => Err(format!("LOG_LEVEL is {}: use error, warn, info or debug", Quoted(other))),
    }
}

struct Reader<V> {
    variable: V,
    faults: Vec<String>,
}

impl<V: Fn(&str) -> Option<String>> Reader<V> {
    /// Returns the value of a variable. An empty value counts as unset.
    fn optional(&self, name: &str) -> Option<String> {
        (self.variable)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn required(&mut self, name: &str, meaning: &str) -> String {
        self.optional(name).unwrap_or_else(|| {
            self.faults.push(format!("{name} is not set: {meaning}"));
            String::new()
        })
    }

    fn or_default(&self, name: &str, default: &str) -> String {
        self.optional(name).unwrap_or_else(|| default.to_owned())
    }

    fn checked<T, E: std::fmt::Display>(&mut self, name: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|fault| self.faults.push(format!("{name}: {fault}"))).ok()
    }

    fn secret(&mut self) -> Option<SecretSource> {
        self.one_of(
            ("SECRET_ARN", |arn| Ok(SecretSource::Arn(arn.to_owned()))),
            ("SECRET_PREFIX", |prefix| {
                if is_secret_prefix(prefix) {
                    return Ok(SecretSource::Prefix(prefix.to_owned()));
                }
                Err(format!(
                    "SECRET_PREFIX is {}: use letters, digits and /_+=.@-, without a slash at the end; the secret of an \
                     account is the prefix, a slash and the account's name",
                    Quoted(prefix)
                ))
            }),
            "set the ARN of the secret with the credentials, or, for several accounts, the prefix of the names of their \
             secrets",
        )
    }

    fn elasticsearch(&mut self) -> Option<Endpoint> {
        self.one_of(
            ("ELASTICSEARCH_URL", Endpoint::from_url),
            ("ELASTIC_CLOUD_ID", Endpoint::from_cloud_id),
            "set one, from the deployment's page in Elastic Cloud",
        )
    }

    /// Reads the one of two settings that is set. Both or neither is a fault.
    fn one_of<T, E: std::fmt::Display>(
        &mut self,
        (first, read_first): (&str, impl Fn(&str) -> Result<T, E>),
        (second, read_second): (&str, impl Fn(&str) -> Result<T, E>),
        remedy: &str,
    ) -> Option<T> {
        let fault = match (self.optional(first), self.optional(second)) {
            (Some(value), None) => return self.named(read_first(&value)),
            (None, Some(value)) => return self.named(read_second(&value)),
            (None, None) => format!("neither {first} nor {second} is set: {remedy}"),
            (Some(_), Some(_)) => format!("{first} and {second} are both set: keep one"),
        };
        self.faults.push(fault);
        None
    }

    /// Records a fault whose text already names the setting.
    fn named<T, E: std::fmt::Display>(&mut self, value: Result<T, E>) -> Option<T> {
        value.map_err(|fault| self.faults.push(fault.to_string())).ok()
    }

    /// Reads certificates as PEM. A line end may be written as `\n`, because a console field has only one line.
    fn certificates(&mut self, name: &str) -> Option<String> {
        let pem = self.optional(name)?.replace("\\n", "\n");
        self.checked(name, http::authorities(&pem)).map(|_| pem)
    }

    /// Reads the address that receives the account number and the provisioning hash. `LASTPASS_URL` accepts only
    /// LastPass itself and loopback addresses, because a person who may change settings may not be allowed to read the
    /// secret. Another host needs a separate setting, which a review notices.
    fn lastpass_url(&mut self) -> Option<LastPassUrl> {
        let text = self.or_default("LASTPASS_URL", LASTPASS_URL);
        let url = self.named(endpoint::lastpass_url("LASTPASS_URL", &text))?;
        match self.optional("OTHER_LASTPASS_URL") {
            Some(other) => self.named(endpoint::other_lastpass_url("OTHER_LASTPASS_URL", &other)),
            None => Some(url),
        }
    }

    /// Reads the API user. A fault may quote the name, because it is part of the account's events and not confidential.
    fn api_user(&mut self) -> Option<String> {
        let user = self.optional("LASTPASS_API_USER")?;
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || " ._@+-".contains(c);
        if user.len() > LONGEST_API_USER || !user.chars().all(is_allowed) {
            self.faults.push(format!(
                "LASTPASS_API_USER is {}: use up to {LONGEST_API_USER} letters, digits, spaces and ._@+-",
                Quoted(&user)
            ));
            return None;
        }
        Some(user)
    }

    fn duration(&mut self, name: &str, default: &str, longest: SignedDuration) -> SignedDuration {
        let text = self.or_default(name, default);
        match parse_duration(&text) {
            Some(duration) if duration <= longest => duration,
            Some(_) => {
                let longest_days = longest.as_hours() / 24;
                self.faults.push(format!("{name} is {}: the maximum is {longest_days}d", Quoted(&text)));
                longest
            }
            None => {
                self.faults.push(format!(
                    "{name} is {}, not a duration: use a whole number with s, m, h or d, such as 15m or 24h",
                    Quoted(&text)
                ));
                longest
            }
        }
    }

    fn tags(&self) -> Vec<String> {
        let tags = self.optional("TAGS").unwrap_or_default();
        tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
    }

    fn flag(&mut self, name: &str, default: bool) -> bool {
        match self.or_default(name, if default { "true" } else { "false" }).to_lowercase().as_str() {
            "true" => true,
            "false" => false,
            other => {
                self.faults.push(format!("{name} is {}: use true or false", Quoted(other)));
                false
            }
        }
    }
}

/// Returns whether a text can be the prefix of secret names. The longest name has 512 characters, of which the account
/// has up to 64 and the slash one.
///
/// Source: <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html>
fn is_secret_prefix(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+=.@-".contains(&byte);
    text.len() <= 512 - 65 && !text.ends_with('/') && text.bytes().all(is_allowed)
}

/// Parses a whole number with its unit: `s`, `m`, `h` or `d`.
fn parse_duration(text: &str) -> Option<SignedDuration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let number: u32 = number.bytes().all(|b| b.is_ascii_digit()).then(|| number.parse().ok())??;
    Some(SignedDuration::from_secs(i64::from(number) * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, Invalid> {
        let variables: std::collections::HashMap<String, String> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::read(|name| variables.get(name).cloned())
    }

    const NEEDED: [(&str, &str); 3] = [
        ("SECRET_ARN", "arn:aws:secretsmanager:us-east-1:000000000000:secret:lastpass"),
        ("CHECKPOINT_TABLE", "checkpoints"),
        ("ELASTICSEARCH_URL", "https://es.example:9243"),
    ];

    fn fault(name: &str, value: &str) -> String {
        let mut pairs = NEEDED.to_vec();
        pairs.retain(|(other, _)| *other != name);
        pairs.push((name, value));
        read(&pairs).expect_err("a fault").to_string()
    }

    #[test]
    fn a_setting_that_is_not_set_has_its_default() {
        let mut pairs = NEEDED.to_vec();
        pairs.push(("OVERLAP", ""));
        let config = read(&pairs).expect("settings");
        assert_eq!(config.overlap, SignedDuration::from_mins(15));
        assert_eq!(config.initial_lookback, SignedDuration::from_hours(24));
        assert_eq!((config.zone.name(), config.namespace.as_str()), ("US/Eastern", "default"));
        assert_eq!((config.user_zone.name(), config.lastpass_api_user), ("UTC", None));
        assert!(config.tags.is_empty());
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let text = read(&[("OVERLAP", "soon"), ("LASTPASS_TIME_ZONE", "Mars"), ("LOG_LEVEL", "loud")])
            .expect_err("faults")
            .to_string();
        for name in [
            "SECRET_ARN",
            "SECRET_PREFIX",
            "CHECKPOINT_TABLE",
            "ELASTIC_CLOUD_ID",
            "OVERLAP",
            "LASTPASS_TIME_ZONE",
            "LOG_LEVEL",
        ] {
            assert!(text.contains(name), "{name} in {text}");
        }
    }

    #[test]
    fn a_wrong_setting_is_refused_with_its_name() {
        for (name, value) in [
            ("OVERLAP", "25h"),
            ("INITIAL_LOOKBACK", "401d"),
            ("INITIAL_LOOKBACK", "-1h"),
            ("NAMESPACE", "a-b"),
            ("LASTPASS_URL", "http://lastpass.com/"),
            ("LASTPASS_URL", "https://a:b@lastpass.com/"),
            ("LASTPASS_URL", "lastpass"),
            ("LASTPASS_URL", "https://lastpass.com/enterpriseapi.php?provhash=x"),
            ("ELASTICSEARCH_URL", "http://es.example:9200"),
            ("ELASTIC_CLOUD_ID", "x:y"),
            ("ELASTICSEARCH_CA", "PEM"),
            ("PRESERVE_ORIGINAL_EVENT", "yes"),
            ("LASTPASS_USER_TIME_ZONE", "Mars"),
            ("LASTPASS_API_USER", "a\"b"),
            ("LASTPASS_API_USER", "a name that has many more letters than anybody would give to one program"),
        ] {
            assert!(fault(name, value).contains(name), "{name}={value}");
        }
    }

    #[test]
    fn the_credentials_are_in_one_secret_or_in_secrets_with_a_prefix() {
        let secret = |arn, prefix| {
            let mut pairs = NEEDED.to_vec();
            pairs[0] = ("SECRET_ARN", arn);
            pairs.push(("SECRET_PREFIX", prefix));
            read(&pairs).map(|config| config.secret)
        };
        assert_eq!(secret("arn:secret", ""), Ok(SecretSource::Arn("arn:secret".to_owned())));
        assert_eq!(secret(" ", "prod/lastpass"), Ok(SecretSource::Prefix("prod/lastpass".to_owned())));
        for (arn, prefix) in [("arn:secret", "lastpass"), ("", ""), ("", "lastpass/"), ("", "last pass"), ("", "arn:x")]
        {
            let text = secret(arn, prefix).expect_err("a fault").to_string();
            assert!(text.contains("SECRET_PREFIX"), "{text}");
        }
    }

    /// Reads both settings. Returns the address that requests use: the second one, if it is set.
    fn lastpass_url(lastpass: &str, other: &str) -> Result<String, Invalid> {
        let mut pairs = NEEDED.to_vec();
        pairs.extend([("LASTPASS_URL", lastpass), ("OTHER_LASTPASS_URL", other)]);
        read(&pairs).map(|config| config.lastpass_url.as_url().to_string())
    }

    #[test]
    fn lastpass_url_accepts_only_lastpass_and_loopback_addresses() {
        for url in [
            "https://lastpass.com/enterpriseapi.php",
            "https://lastpass.eu/enterpriseapi.php",
            "https://LastPass.COM/enterpriseapi.php",
            "https://lastpass.com:443/enterpriseapi.php",
            "https://lastpass.com",
            "https://localhost:8443/enterpriseapi.php",
            "http://[::1]:8080/enterpriseapi.php",
        ] {
            assert!(lastpass_url(url, "").is_ok(), "{url}");
        }
        for url in [
            "https://lastpass.com.evil.example/enterpriseapi.php",
            "https://lastpass.eu.evil.example/",
            "https://evil-lastpass.com/enterpriseapi.php",
            "https://evillastpass.com/enterpriseapi.php",
            "https://www.lastpass.com/enterpriseapi.php",
            "https://lastpass.com@evil.example/enterpriseapi.php",
            "https://lastpass.com:x@evil.example/enterpriseapi.php",
            "https://lastpass.com%2eevil.example/",
            "https://evil.example\\@lastpass.com/",
            "https://evil.example/lastpass.com/enterpriseapi.php",
            "https://evil.example:443/https://lastpass.com/enterpriseapi.php",
            "https://lastpass.com:8443/enterpriseapi.php",
            "https://lastpass.com./enterpriseapi.php",
            "https://l\u{430}stpass.com/enterpriseapi.php",
            "https://xn--lstpass-4nf.com/enterpriseapi.php",
            "https://lastpass.co/enterpriseapi.php",
            "https://lastpass.c\u{43e}m/enterpriseapi.php",
            "https://lastpass/enterpriseapi.php",
            "https://10.0.0.1/enterpriseapi.php",
            "https://169.254.169.254/",
            "https://localhost.evil.example/",
            "https://127.0.0.1.evil.example/",
            "http://lastpass.com/enterpriseapi.php",
            "http://127.0.0.1.evil.example/",
            "ftp://lastpass.com/",
        ] {
            let text = lastpass_url(url, "").expect_err(url).to_string();
            assert!(text.contains("LASTPASS_URL") && !text.contains("evil"), "{url}: {text}");
        }
    }

    #[test]
    fn another_host_needs_its_own_setting() {
        let gateway = "https://gateway.example/enterpriseapi.php";
        let text = lastpass_url(gateway, "").expect_err("a fault").to_string();
        assert!(text.contains("OTHER_LASTPASS_URL"), "{text}");
        assert_eq!(lastpass_url("", gateway), Ok(gateway.to_owned()));
        assert_eq!(lastpass_url("https://lastpass.eu/enterpriseapi.php", gateway), Ok(gateway.to_owned()));
        assert_eq!(lastpass_url("", " "), Ok(LASTPASS_URL.to_owned()));
        for url in [
            "http://gateway.example/enterpriseapi.php",
            "https://me:secret@gateway.example/",
            "https://gateway.example/?provhash=x",
            "gateway.example",
            "true",
        ] {
            let text = lastpass_url("", url).expect_err(url).to_string();
            assert!(text.contains("OTHER_LASTPASS_URL") && !text.contains("secret@"), "{url}: {text}");
        }
        // A wrong LASTPASS_URL is a fault even if the other setting is valid.
        let both = lastpass_url("https://evil.example/", gateway).expect_err("a fault").to_string();
        assert!(both.contains("LASTPASS_URL"), "{both}");
    }

    #[test]
    fn a_loopback_address_needs_no_tls() {
        let mut pairs = NEEDED.to_vec();
        pairs.push(("LASTPASS_URL", "http://127.0.0.1:8080/enterpriseapi.php"));
        assert!(read(&pairs).is_ok());
    }
}
