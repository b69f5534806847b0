//! Reads responses of Elasticsearch: status, body, and the error in it.
//!
//! Error bodies are read with the official client's [`Exception`]. Names in them are checked before an error text repeats
//! them, because a proxy may put anything there.

use std::time::Duration;

use elasticsearch::http::StatusCode;
use elasticsearch::http::response::Exception;
use serde_json::Value;

use super::cause::KeyFault;
use super::operation::Operation;
use crate::document::DocId;

/// A response, whatever its status.
pub(super) struct Response {
    pub(super) operation: Operation,
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Vec<u8>,
}

impl Response {
    /// Returns the body as text. None if it is not UTF-8, as JSON is.
    pub(super) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok()
    }

    /// Returns whether the body says the same of each document, in the order of `ids`, and nothing else: whether it is
    /// `begin`, the IDs with `between` between them, and `end`.
    ///
    /// Comparing a response about thousands of documents takes a small part of the time of parsing it
    /// (docs/performance.md). An ID that JSON escapes is never equal, so that its response is parsed.
    pub(super) fn is_about_each<'i>(
        &self,
        ids: impl Iterator<Item = &'i DocId>,
        [begin, between, end]: [&str; 3],
    ) -> bool {
        let mut rest = self.text();
        let mut before = begin;
        for id in ids {
            rest = rest.and_then(|rest| rest.strip_prefix(before)?.strip_prefix(id.as_str()));
            before = between;
        }
        rest == Some(end)
    }

    /// Returns the error in the body. None if the body is not an error of Elasticsearch.
    pub(super) fn error(&self) -> Option<ResponseError> {
        let error = ResponseError(serde_json::from_slice(&self.body).ok()?);
        (error.0.error().ty().is_some() || error.is_text()).then_some(error)
    }

    /// Returns the `error.type`, or a word for a response without one.
    pub(super) fn error_type(&self) -> String {
        match self.error() {
            Some(error) if error.is_text() => "no_handler".to_owned(),
            Some(error) => error.error_type(),
            None => NO_ERROR_TYPE.to_owned(),
        }
    }

    /// Returns what is wrong with a rejected API key. Elasticsearch describes it in words, without a code.
    pub(super) fn key_fault(&self) -> KeyFault {
        const WORDS: &[(&str, KeyFault)] = &[
            ("is expired", KeyFault::Expired),
            ("has been invalidated", KeyFault::Invalidated),
            ("unable to find apikey", KeyFault::NoSuchKey),
            ("invalid credentials for API key", KeyFault::WrongSecret),
            ("invalid ApiKey value", KeyFault::NotEncoded),
            ("Illegal base64", KeyFault::NotEncoded),
        ];
        let error = self.error();
        let Some(text) = error.as_ref().and_then(|error| error.detail("additional_unsuccessful_credentials")) else {
            return KeyFault::Unknown;
        };
        WORDS.iter().find(|(words, _)| text.contains(words)).map_or(KeyFault::Unknown, |(_, fault)| *fault)
    }

    /// Returns the feature that the cluster's licence does not cover, if that is the reason of a refusal.
    pub(super) fn expired_feature(&self) -> Option<String> {
        let error = self.error()?;
        let feature = error.detail("license.expired.feature")?;
        Some(if is_name(feature) { feature.to_owned() } else { "unnamed".to_owned() })
    }

    /// Returns whether this is an error of Kibana: it has a `statusCode` where Elasticsearch's errors have a `status`.
    pub(super) fn is_from_kibana(&self) -> bool {
        !self.status.is_success() && self.body_matches(|body| body["statusCode"].is_u64() && body["error"].is_string())
    }

    /// Returns whether this is a list of index templates, which has the status 404 and no `error` if it is empty.
    pub(super) fn lists_templates(&self) -> bool {
        self.body_matches(|body| body["index_templates"].is_array())
    }

    fn body_matches(&self, matches: impl Fn(&Value) -> bool) -> bool {
        serde_json::from_slice(&self.body).is_ok_and(|body| matches(&body))
    }
}

/// The error in a response.
pub(super) struct ResponseError(Exception);

impl ResponseError {
    /// Returns whether the error is only a text, as it is if no API of Elasticsearch has that path.
    pub(super) fn is_text(&self) -> bool {
        let error = self.0.error();
        error.ty().is_none() && error.reason().is_some() && error.additional_details().is_empty()
    }

    /// Returns the `error.type`, if it looks like one.
    pub(super) fn error_type(&self) -> String {
        read_error_type(self.0.error().ty())
    }

    /// Returns Elasticsearch's explanation. It may contain parts of what was sent.
    pub(super) fn reason(&self) -> Option<&str> {
        self.0.error().reason()
    }

    /// Returns the text of another field of the error.
    pub(super) fn detail(&self, name: &str) -> Option<&str> {
        self.0.error().additional_details().get(name).and_then(Value::as_str)
    }
}

/// The word for an error without `error.type`.
const NO_ERROR_TYPE: &str = "no_error_type";

/// Returns an `error.type` for error texts. A text that does not look like one is not repeated: something else than
/// Elasticsearch may have written it.
pub(super) fn read_error_type(error_type: Option<&str>) -> String {
    match error_type {
        Some(name) if is_name(name) => name.to_owned(),
        Some(_) => "unreadable_error_type".to_owned(),
        None => NO_ERROR_TYPE.to_owned(),
    }
}

/// Returns whether a text looks like Elasticsearch's names of errors and features.
fn is_name(text: &str) -> bool {
    /// Chosen: twice the length of the longest name that Elasticsearch has.
    const MAX_CHARS: usize = 100;
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    (1..=MAX_CHARS).contains(&text.len()) && text.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(body: &str) -> Response {
        Response {
            operation: Operation::Write,
            status: StatusCode::BAD_REQUEST,
            retry_after: None,
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn an_error_is_recognized_only_in_the_form_of_elasticsearch() {
        let typed = r#"{"error":{"root_cause":[{"type":"x_exception","reason":"r"}],"type":"x_exception","reason":"r","header":{"WWW-Authenticate":["ApiKey"]}},"status":400}"#;
        assert_eq!(response(typed).error_type(), "x_exception");
        assert_eq!(response(r#"{"error":"no handler found for uri [/x]","status":400}"#).error_type(), "no_handler");
        for other in [
            "",
            "<html>",
            "{}",
            r#"{"error":null}"#,
            r#"{"error":{}}"#,
            r#"{"error":{"code":403,"message":"Forbidden"}}"#,
            r#"{"error":{"code":403,"reason":"Forbidden"}}"#,
            r#"{"error":{"type":7}}"#,
        ] {
            assert!(response(other).error().is_none(), "{other}");
        }
    }

    #[test]
    fn a_response_is_about_each_document_only_as_a_whole() {
        let ids = ["x", "y"].map(|id| DocId(id.to_owned()));
        let is_about_each = |body: &str| response(body).is_about_each(ids.iter(), ["[<", ">,<", ">]"]);
        assert!(is_about_each("[<x>,<y>]"));
        for other in ["", "[<x>]", "[<y>,<x>]", "[<x>,<y>,<z>]", "[<x>,<y>", "[<x>,<y>] ", "[<x>, <y>]", "[<x>,<yy>]"] {
            assert!(!is_about_each(other), "{other}");
        }
    }

    #[test]
    fn an_unreadable_error_type_is_not_quoted() {
        let error_type = |text: &str| response(&serde_json::json!({"error": {"type": text}}).to_string()).error_type();
        assert_eq!(error_type("security_exception"), "security_exception");
        for text in ["ann@example.com", "a\nb", "", "Exception of secret", &"x".repeat(200)] {
            assert_eq!(error_type(text), "unreadable_error_type");
        }
    }
}
