//! The function of a stack, invoked.

use std::{
    fs,
    io::{self, Read as _},
};

use aws_sdk_lambda::primitives::Blob;
use serde_json::Value;

use crate::{
    aws::{Aws, Call, Fault},
    error::Error as CliError,
};

/// How the names of the errors begin that the function itself gives. docs/errors.md.
const OWN_ERRORS: [&str; 6] = ["Request.", "Config.", "Secret.", "Checkpoint.", "LastPass.", "Elasticsearch."];
const INVOKE: &str = "lambda:InvokeFunction";

/// The function of a stack.
pub struct Function {
    client: aws_sdk_lambda::Client,
    name: String,
    region: String,
}

/// The function answered with an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Its `errorType`.
    pub error_type: String,
    /// Its `errorMessage`, which says what mends it.
    pub message: String,
}

/// A payload of `invoke` that isn't one.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPayload {
    /// No JSON, and no file.
    #[error(
        "the payload is neither JSON nor the path of a file that can be read ({source}): write it in single quotes, as in '{{\"action\":\"status\"}}'"
    )]
    Unreadable {
        /// Why the file can't be read.
        source: io::Error,
    },
    /// The file, or standard input, holds something else.
    #[error("the payload isn't valid JSON: {0}")]
    NotJson(serde_json::Error),
}

/// Reads the payload of `invoke`: JSON, a file that holds it, or `-` for standard input.
///
/// # Errors
/// [`InvalidPayload`].
pub fn read_payload(text: &str) -> Result<Value, InvalidPayload> {
    let unreadable = |source| InvalidPayload::Unreadable { source };
    let document = if text == "-" {
        let mut document = String::new();
        io::stdin().read_to_string(&mut document).map_err(unreadable)?;
        document
    } else if text.trim_start().starts_with(['{', '[', '"']) {
        text.to_owned()
    } else {
        fs::read_to_string(text).map_err(unreadable)?
    };
    serde_json::from_str(&document).map_err(InvalidPayload::NotJson)
}

/// A payload, or a document, for an account.
pub fn for_account(payload: &Value, account: Option<&str>) -> Value {
    let mut payload = payload.clone();
    if let (Value::Object(fields), Some(account)) = (&mut payload, account) {
        fields.insert("account".to_owned(), account.into());
    }
    payload
}

impl Function {
    /// The function `name`.
    pub fn new(aws: &Aws, name: String) -> Self {
        Self { client: aws.lambda(), name, region: aws.region().to_owned() }
    }

    /// Invokes it and waits for its answer.
    ///
    /// # Errors
    /// [`Error`] where the function fails, [`Fault`] where it can't be invoked.
    pub async fn invoke(&self, payload: &Value) -> Result<Value, CliError> {
        let request = self.client.invoke().function_name(&self.name).payload(Blob::new(payload.to_string()));
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return Err(Fault::of(&error, Call::new(INVOKE, &self.name), &self.region).into()),
        };
        let body = answer.payload.map(Blob::into_inner).unwrap_or_default();
        let answered = serde_json::from_slice(&body);
        match (answer.function_error, answered) {
            (None, Ok(answered)) => Ok(answered),
            (None, Err(_)) => Err(self.failed("Function.BadAnswer", "what it answered is not JSON").into()),
            (Some(kind), answered) => {
                let answered: Value = answered.unwrap_or_else(|_| String::from_utf8_lossy(&body).into());
                let (error_type, message) = (&answered["errorType"], &answered["errorMessage"]);
                let message = message.as_str().map_or_else(|| answered.to_string(), str::to_owned);
                Err(self.failed(error_type.as_str().unwrap_or(&kind), &message).into())
            }
        }
    }

    /// Its error. The function's own say what mends them; where Lambda ended a run, the log tells more.
    fn failed(&self, error_type: &str, message: &str) -> Error {
        let is_its_own = OWN_ERRORS.iter().any(|system| error_type.starts_with(system));
        let hint =
            if is_its_own { String::new() } else { format!(" (its log group /aws/lambda/{} tells more)", self.name) };
        Error { error_type: error_type.to_owned(), message: format!("{message}{hint}") }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_payload_is_json_or_a_file() {
        assert_eq!(read_payload(" {\"action\":\"status\"}").expect("JSON"), json!({"action": "status"}));
        let text = read_payload("no/such/file.json").expect_err("no file").to_string();
        assert!(text.contains("neither JSON nor the path") && text.contains("'{\"action\":\"status\"}'"), "{text}");
        for text in ["{action: status}", "[", "{\"action\":"] {
            assert!(matches!(read_payload(text), Err(InvalidPayload::NotJson(_))), "{text}");
        }
    }

    #[test]
    fn a_payload_takes_up_its_account() {
        let payload = json!({"action": "check"});
        assert_eq!(for_account(&payload, None), payload);
        assert_eq!(for_account(&payload, Some("acme")), json!({"action": "check", "account": "acme"}));
    }
}
