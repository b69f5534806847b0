//! The payload of an invocation: it becomes a request, or an error that names the invalid part.

use jiff::Timestamp;
use lastpass_elastic::request::{Action, Backfill, Request, Work};
use serde_json::Value;

use super::check_text;

/// What the text of an error names: the invalid part of the payload.
const PARTS: [&str; 5] = ["`", "JSON object", "unknown action \"", "unknown stream \"", "unknown field \""];

/// Checks one input. Returns whether it is a request. Returns `None` if it is not JSON, because Lambda rejects anything else.
pub fn check(input: &[u8]) -> Option<bool> {
    let payload: Value = serde_json::from_slice(input).ok()?;
    let now: Timestamp = "2025-07-01T00:00:00Z".parse().expect("a time");
    match Request::parse(&payload, now) {
        Ok(request) => {
            assert_eq!(Request::parse(&payload, now), Ok(request.clone()));
            let action = payload.get("action").filter(|action| !action.is_null());
            assert!(action.is_none_or(|action| action == request.action.as_str()));
            if let Action::Work(Work::Backfill(Backfill { window, .. }) | Work::Plan(window)) = request.action {
                assert!(window.from < window.to);
            }
            Some(true)
        }
        Err(error) => {
            check_text(&error.to_string(), &PARTS);
            Some(false)
        }
    }
}
