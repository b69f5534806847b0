//! The JSON payload of an invocation of the function.

use std::{fs, io};

use serde_json::Value;

use crate::failure::Failure;

/// An unusable payload of `invoke`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The argument is neither JSON nor a readable file.
    #[error(
        "the payload is neither JSON nor the path of a readable file ({0}): put JSON in single quotes, as in '{{\"action\":\"status\"}}'"
    )]
    Unreadable(io::Error),
    /// The argument, the file or standard input holds invalid JSON.
    #[error("the payload is not valid JSON: {0}")]
    NotJson(serde_json::Error),
}

impl Failure for Error {
    fn error_type(&self) -> &str {
        "Usage.Invalid"
    }
}

/// Reads the payload of `invoke`: JSON, the path of a JSON file, or `-` for standard input.
pub fn read(argument: &str) -> Result<Value, Error> {
    let text = if argument == "-" {
        io::read_to_string(io::stdin()).map_err(Error::Unreadable)?
    } else if argument.trim_start().starts_with(['{', '[', '"']) {
        argument.to_owned()
    } else {
        fs::read_to_string(argument).map_err(Error::Unreadable)?
    };
    serde_json::from_str(&text).map_err(Error::NotJson)
}

/// Adds the account to a payload or an answer; `None` leaves it unchanged.
pub fn with_account(payload: &Value, account: Option<&str>) -> Value {
    let mut payload = payload.clone();
    if let (Value::Object(fields), Some(account)) = (&mut payload, account) {
        fields.insert("account".to_owned(), account.into());
    }
    payload
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_payload_is_json_or_a_file() {
        assert_eq!(read(" {\"action\":\"status\"}").expect("JSON"), json!({"action": "status"}));
        let text = read("no/such/file.json").expect_err("no file").to_string();
        assert!(text.contains("neither JSON nor the path") && text.contains("'{\"action\":\"status\"}'"), "{text}");
        for text in ["{action: status}", "[", "{\"action\":"] {
            assert!(matches!(read(text), Err(Error::NotJson(_))), "{text}");
        }
    }

    #[test]
    fn the_account_is_added_to_a_payload() {
        let payload = json!({"action": "check"});
        assert_eq!(with_account(&payload, None), payload);
        assert_eq!(with_account(&payload, Some("acme")), json!({"action": "check", "account": "acme"}));
    }
}
