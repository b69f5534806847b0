//! The JSON in Secrets Manager: it becomes credentials, or an error that names each invalid field and quotes no secret.

use std::{collections::HashMap, sync::LazyLock};

use lastpass_elastic::{collect::Preview, config::Config};
use secrecy::SecretString;

use super::{check_no_secret, check_text, config};

const FIELDS: [&str; 5] = ["account_number", "provisioning_hash", "elastic_api_key", "elastic_setup_api_key", "JSON"];

static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let settings = [
        ("SECRET_ARN", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:lastpass-a1B2c3"),
        ("CHECKPOINT_TABLE", "checkpoints"),
        ("ELASTICSEARCH_URL", "https://es.example"),
    ];
    let settings: HashMap<_, _> = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    config(&settings).expect("the settings are valid")
});

/// Checks one input. Returns whether it holds credentials.
pub fn check(input: &[u8]) -> bool {
    let secret = SecretString::from(String::from_utf8_lossy(input).into_owned());
    let Err(error) = Preview::new(&CONFIG, &secret, "lastpass-a1B2c3") else { return true };
    check_text(&error.with_causes(), &FIELDS);
    check_no_secret(&format!("{} {error:?}", error.with_causes()));
    false
}
