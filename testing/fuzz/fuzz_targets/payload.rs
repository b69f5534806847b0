//! The payload of an invocation: it becomes a request, or an error that names the invalid part.
#![no_main]

use jiff::Timestamp;
use lastpass_elastic::request::{Action, Backfill, Request, Work};
use lastpass_fuzz::check_text;
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::Value;

/// What the text of an error names: the invalid part of the payload.
const PARTS: [&str; 5] = ["`", "JSON object", "unknown action \"", "unknown stream \"", "unknown field \""];

fuzz_target!(|input: &[u8]| -> Corpus {
    // Lambda itself rejects a payload that is not JSON.
    let Ok(payload) = serde_json::from_slice::<Value>(input) else { return Corpus::Reject };
    let now: Timestamp = "2025-07-01T00:00:00Z".parse().expect("a time");
    match Request::parse(&payload, now) {
        Ok(request) => {
            assert_eq!(Request::parse(&payload, now), Ok(request.clone()));
            let action = payload.get("action").filter(|action| !action.is_null());
            assert!(action.is_none_or(|action| action == request.action.as_str()));
            if let Action::Work(Work::Backfill(Backfill { window, .. }) | Work::Plan(window)) = request.action {
                assert!(window.from < window.to);
            }
        }
        Err(error) => check_text(&error.to_string(), &PARTS),
    }
    Corpus::Keep
});
