//! The environment of the function, as an object of variables: it becomes settings, or an error that names each invalid one.

use std::collections::HashMap;

use super::{check_no_secret, check_text, config};

/// The settings that an error may name.
const SETTINGS: [&str; 19] = [
    "SECRET_ARN",
    "SECRET_PREFIX",
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
    "SNAPSHOT_CHANGES",
    "LOG_LEVEL",
];

/// Checks one input. Returns whether its settings are valid. Returns `None` if it is not an object of texts.
pub fn check(input: &[u8]) -> Option<bool> {
    let settings: HashMap<String, String> = serde_json::from_slice(input).ok()?;
    match config(&settings) {
        Ok(config) => {
            assert!(!config.elasticsearch.host().is_empty());
            let url = config.lastpass_url.as_url();
            assert!(url.host().is_some() && url.username().is_empty() && url.password().is_none(), "{url}");
            assert!(url.query().is_none() && url.fragment().is_none(), "{url}");
            Some(true)
        }
        Err(error) => {
            check_text(&error.to_string(), &SETTINGS);
            check_no_secret(&error.to_string());
            Some(false)
        }
    }
}
