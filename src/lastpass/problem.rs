//! Classifies unexpected responses: a refusal, throttling, or a body that the API did not send.

use serde_json::Value;

use super::markup::{self, Markup};

/// The reason why a body is not the expected response.
#[derive(Debug, PartialEq, Eq)]
pub enum Problem {
    /// The body is not the API's JSON, but that of a proxy or a maintenance page. Holds the problem, never the body.
    NotTheApi(&'static str),
    /// The API refused (`"status": "FAIL"`).
    Fail {
        /// The reason that it gave.
        reason: String,
    },
    /// The API reported too many requests.
    Throttled,
}

pub(super) const CUT: Problem = Problem::NotTheApi("it is not JSON, or is cut off");
const TEXT: Problem = Problem::NotTheApi("it is not a JSON object");
pub(super) const LIST: Problem = Problem::NotTheApi("it is a list");

/// Classifies a response in markup.
pub(super) fn judge_markup(response: &str) -> Problem {
    match markup::read(response) {
        Markup::Html => Problem::NotTheApi("it is an HTML page"),
        Markup::Xml { said, .. } if reports_throttling(&said) => Problem::Throttled,
        Markup::Xml { is_lastpass: true, said } if !said.is_empty() && !is_good_word(&said) => {
            Problem::Fail { reason: said }
        }
        Markup::Xml { said, .. } if is_refusal(&said) => Problem::Fail { reason: said },
        Markup::Xml { .. } => Problem::NotTheApi("it is XML, but not a refusal"),
    }
}

/// Classifies a response in plain text.
pub(super) fn judge_text(response: &str) -> Problem {
    /// Longest text that is examined. Chosen: a sentence. A longer text is a page of something else.
    const LONGEST: usize = 300;
    let said = response.trim().trim_matches('"');
    if said.len() > LONGEST {
        TEXT
    } else if reports_throttling(said) {
        Problem::Throttled
    } else if is_refusal(said) {
        Problem::Fail { reason: said.to_owned() }
    } else {
        TEXT
    }
}

/// Returns whether a status word means success.
pub(super) fn is_good_word(word: &str) -> bool {
    ["ok", "success"].contains(&word.trim().to_lowercase().as_str())
}

/// Returns whether a text says that there were too many requests.
pub(super) fn reports_throttling(text: &str) -> bool {
    const WORDS: &[&str] = &["too many", "rate limit", "rate-limit", "ratelimit", "rate_limit", "throttl", "slow down"];
    let text = text.to_lowercase();
    WORDS.iter().any(|word| text.contains(word)) || text.split(|c: char| !c.is_alphanumeric()).any(|word| word == "429")
}

/// Returns whether a text of unknown origin is LastPass's refusal of the credentials.
pub(super) fn is_refusal(text: &str) -> bool {
    const WORDS: &[&str] =
        &["authoriz", "authoris", "authentic", "provhash", "provisioning hash", "invalid hash", "account number"];
    let text = text.to_lowercase();
    WORDS.iter().any(|word| text.contains(word)) && !text.contains("proxy")
}

/// Returns whether a value is `false` or 0, also as text.
pub(super) fn is_false(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => ["false", "0"].contains(&text.to_lowercase().as_str()),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

const ERRORS: &[&str] = &["error", "errors"];
const MESSAGES: &[&str] = &["message", "msg", "rc", "reason", "detail", "details", "description", "error_description"];
/// Fields that may hold a nested response in place of records.
const WRAPPERS: &[&str] = &["data", "lastpass", "response", "result"];

/// Returns the name of a field without the prefix that some systems add, in lower case.
fn plain(name: &str) -> String {
    name.trim_start_matches(['@', '-', '_', '$']).to_lowercase()
}

/// Returns whether the field with this name may hold a reason.
pub(super) fn may_hold_reason(name: &str) -> bool {
    let name = plain(name);
    [ERRORS, MESSAGES, WRAPPERS].iter().any(|names| names.contains(&name.as_str()))
}

/// The reasons that a response gives.
#[derive(Debug, Default)]
pub(super) struct Reasons {
    /// From `error` and similar fields: something failed.
    pub(super) errors: Vec<String>,
    /// From `message` and similar fields, which may hold any text.
    pub(super) messages: Vec<String>,
}

impl Reasons {
    /// Takes the reasons in a field: a text, or a list or map of texts.
    pub(super) fn take(&mut self, name: &str, value: &Value, depth: usize) {
        /// Chosen: a list in a map.
        const DEEPEST: usize = 2;
        let name = plain(name);
        if ERRORS.contains(&name.as_str()) {
            texts(value, &mut self.errors);
        } else if MESSAGES.contains(&name.as_str()) {
            texts(value, &mut self.messages);
        } else if let Value::Object(fields) = value
            && WRAPPERS.contains(&name.as_str())
            && depth < DEEPEST
        {
            fields.iter().for_each(|(name, value)| self.take(name, value, depth + 1));
        }
    }
}

fn texts(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Null => {}
        // PHP writes an absent error also as a flag or a count.
        _ if is_false(value) => {}
        Value::String(text) if text.trim().is_empty() => {}
        Value::String(text) => into.push(text.clone()),
        Value::Bool(_) | Value::Number(_) => into.push(value.to_string()),
        Value::Array(list) => list.iter().for_each(|value| texts(value, into)),
        Value::Object(map) => map.values().for_each(|value| texts(value, into)),
    }
}
