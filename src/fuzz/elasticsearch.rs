//! Answers of Elasticsearch to a bulk, or of what stands before it.

use serde_json::{Value, json};

use super::{Ended, check_silence, check_text};
use crate::elastic::fuzz::{Judged, judge_bulk};

const IDS: [&str; 3] = ["a0", "a1", "a2"];

/// What a reason may echo of a record: never part of an error.
const RECORD: &str = "ann@example.com";

/// A status in digits, then the body.
pub(super) fn play(input: &[u8]) -> Ended {
    let digits = input.get(..3).and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|it| it.parse().ok());
    let status = digits.filter(|status| (200..600).contains(status)).unwrap_or(200);
    let body = input.get(3..).unwrap_or_default();
    match judge_bulk(status, body, &IDS) {
        Err(error) => {
            let text = error.to_string();
            check_text(&text, &["API key", "next run", "setup", "remedy", "index", "Elasticsearch"]);
            check_silence(&format!("{text} {error:?}"));
            assert!(!text.contains(RECORD), "a record is in: {text}");
            Ended::Refused
        }
        Ok(Judged::Settled { there, dead, again }) => {
            assert_eq!(there + dead + again, IDS.len());
            if there > 0 {
                // Nothing but a status that says so counts as written.
                let text = String::from_utf8_lossy(body);
                assert!(status == 200 && (text.contains("201") || text.contains("409")), "{text}");
            }
            if dead > 0 { Ended::DeadLetter } else { Ended::Taken }
        }
        Ok(Judged::TooLarge) => Ended::Taken,
    }
}

fn items(of: &[(u16, Option<&str>)]) -> Value {
    let item = |(id, (status, error_type)): (&str, &(u16, Option<&str>))| {
        let mut item =
            json!({"_index": ".ds-logs-lastpass.user-default-2026.11.23-000001", "_id": id, "status": status});
        if let Some(error_type) = error_type {
            let reason = format!("failed to parse field [user.email] of type [long]: '{RECORD}'");
            let cause =
                json!({"type": "illegal_argument_exception", "reason": format!("For input string: \"{RECORD}\"")});
            item["error"] = json!({"type": error_type, "reason": reason, "caused_by": cause});
        }
        json!({"create": item})
    };
    json!({"errors": true, "took": 3, "items": IDS.into_iter().zip(of).map(item).collect::<Vec<_>>()})
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (status, error_type) in [
        (201, None),
        (409, Some("version_conflict_engine_exception")),
        (429, Some("es_rejected_execution_exception")),
        (503, Some("unavailable_shards_exception")),
        (400, Some("document_parsing_exception")),
        (400, Some("illegal_argument_exception")),
        (400, Some("validation_exception")),
        (413, Some("too_large")),
        (401, Some("security_exception")),
        (403, Some("security_exception")),
        (403, Some("cluster_block_exception")),
        (404, Some("index_not_found_exception")),
    ] {
        seeds.push((200, items(&[(201, None), (status, error_type), (201, None)]).to_string()));
        seeds.push((200, items(&[(status, error_type); 3]).to_string()));
        let reason = format!("no, because of {RECORD}");
        let refusal = json!({"error": {"type": error_type, "reason": reason}, "status": status});
        seeds.push((status, refusal.to_string()));
    }
    let mut stored = items(&[(201, None); 3]);
    stored["items"][1]["create"]["failure_store"] = "used".into();
    seeds.push((200, stored.to_string()));
    let echo = format!("'F' '{RECORD}'");
    seeds.push((
        400,
        json!({"error": {"type": echo, "license.expired.feature": "security"}, "status": 400}).to_string(),
    ));
    seeds.push((403, json!({"error": {"type": "security_exception", "license.expired.feature": "ml"}}).to_string()));
    let credentials = "API key: unable to find apikey with id ZnV6ei1rZXktaWRlbnRpdHk6";
    let refused = json!({"type": "security_exception", "additional_unsuccessful_credentials": credentials});
    seeds.push((401, json!({"error": refused, "status": 401}).to_string()));
    seeds.push((404, r#"{"statusCode":404,"error":"Not Found","message":"Not Found"}"#.to_owned()));
    seeds.push((400, r#"{"error":"no handler found for uri [/_bulk]","status":400}"#.to_owned()));
    seeds.push((502, "<html>Bad gateway</html>".to_owned()));
    seeds.push((307, String::new()));
    seeds.into_iter().map(|(status, body)| format!("{status}{body}").into_bytes()).collect()
}
