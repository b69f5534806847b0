//! Answers as people read them.

use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;
use serde_json::Value;

use crate::when;

/// An answer, or the error that one of several accounts gave, for a terminal of `width` columns; as wide as it has to be
/// where there is none.
pub fn of_answer(answer: &Value, width: Option<u16>) -> String {
    let account = answer["account"].as_str().map_or_else(String::new, |account| format!("account {account}\n"));
    let body = if let Some(message) = answer["error"]["message"].as_str() {
        format!("error: {}: {message}", answer["error"]["type"].as_str().unwrap_or_default())
    } else {
        match answer["action"].as_str() {
            Some("check") => check(answer, width),
            Some("status") => status(answer, width),
            Some("backfill") if answer["failed"].is_array() => backfill(answer, width),
            _ => fields(answer, width),
        }
    };
    let zone = if has_time(answer) { "\n\ntimes are UTC" } else { "" };
    format!("{account}{body}{zone}")
}

/// Whether a time stands in it that is shown as one.
fn has_time(value: &Value) -> bool {
    match value {
        Value::String(text) => text.parse::<Timestamp>().is_ok(),
        Value::Array(entries) => entries.iter().any(has_time),
        Value::Object(fields) => fields.values().any(has_time),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(header);
    table
}

fn shown(table: &mut Table, width: Option<u16>) -> String {
    if let Some(width) = width {
        table.set_width(width);
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// One value in a cell: a time in UTC, a number with its thousands, nothing for null.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.parse::<Timestamp>().map_or_else(|_| text.clone(), when::minute),
        Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), thousands),
        other => other.to_string(),
    }
}

/// A number with a comma after each thousand.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn check(answer: &Value, width: Option<u16>) -> String {
    let mut checks = table(&["check", "status", "message"]);
    for check in list(&answer["checks"]) {
        checks.add_row(["name", "status", "message"].map(|name| cell(&check[name])));
    }
    shown(&mut checks, width)
}

fn status(answer: &Value, width: Option<u16>) -> String {
    let mut parts = Vec::new();
    match answer["accounts"].as_object() {
        Some(accounts) if accounts.is_empty() => parts.push("no account was read yet".to_owned()),
        Some(accounts) => {
            for (account, status) in accounts {
                parts.push(format!("account {account}"));
                parts.extend(status_of_account(status, width));
            }
        }
        None => parts.extend(status_of_account(answer, width)),
    }
    parts.extend(list(&answer["unreadable"]).iter().map(|why| format!("unreadable: {}", cell(why))));
    if let Some(dead_letters) = answer["dead_letters"].as_u64() {
        parts.push(format!("dead letters that wait: {}", thousands(dead_letters)));
    }
    parts.join("\n\n")
}

fn status_of_account(status: &Value, width: Option<u16>) -> Vec<String> {
    let mut parts = Vec::new();
    let mut streams = table(&["stream", "read up to", "behind", "last run", "ended", "created", "error"]);
    if let Some(all) = status["streams"].as_object() {
        for (name, stream) in all {
            let run = &stream["last_run"];
            let behind = stream["lag_seconds"].as_i64().map_or_else(|| "-".to_owned(), when::span);
            streams.add_row([
                name.clone(),
                cell(&stream["watermark"]),
                behind,
                cell(&run["status"]),
                cell(&run["finished_at"]),
                cell(&run["created"]),
                cell(&run["error_type"]),
            ]);
        }
    }
    parts.push(shown(&mut streams, width));
    if !list(&status["backfills"]).is_empty() {
        let mut backfills = table(&["backfill from", "to", "status", "events", "slices", "last error"]);
        for backfill in list(&status["backfills"]) {
            let slices = &backfill["slices"];
            let slices = match (slices["complete"].as_u64(), slices["total"].as_u64()) {
                (Some(complete), Some(total)) => format!("{complete} of {total}"),
                _ => "-".to_owned(),
            };
            backfills.add_row([
                cell(&backfill["from"]),
                cell(&backfill["to"]),
                cell(&backfill["status"]),
                cell(&backfill["events"]),
                slices,
                cell(&backfill["last_run"]["error_type"]),
            ]);
        }
        parts.push(shown(&mut backfills, width));
    }
    for redrive in list(&status["redrives"]) {
        parts.push(format!("redrive of {} at {}", cell(&redrive["stream"]), cell(&redrive["position"])));
    }
    parts
}

fn backfill(answer: &Value, width: Option<u16>) -> String {
    const COUNTED: [&str; 6] = ["slices", "fetched", "created", "duplicates", "dead_letters", "lastpass_requests"];
    let mut counts = table(&[&["status"], COUNTED.as_slice()].concat());
    counts.add_row(std::iter::once("status").chain(COUNTED).map(|name| cell(&answer[name])));
    let mut text = shown(&mut counts, width);
    if !list(&answer["failed"]).is_empty() {
        let mut failed = table(&["failed slice from", "to", "error", "message"]);
        for slice in list(&answer["failed"]) {
            failed.add_row(["from", "to", "error_type", "message"].map(|name| cell(&slice[name])));
        }
        text.push_str("\n\n");
        text.push_str(&shown(&mut failed, width));
    }
    text
}

/// Any other answer: a line for each field, those in objects by their path.
fn fields(answer: &Value, width: Option<u16>) -> String {
    let mut rows = Table::new();
    rows.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    let mut add = |name: String, value: &Value| {
        let value = match value {
            Value::Array(entries) => entries.iter().map(entry).collect::<Vec<_>>().join("\n"),
            other => cell(other),
        };
        rows.add_row([name, value]);
    };
    let Value::Object(all) = answer else { return cell(answer) };
    for (name, value) in all.iter().filter(|(name, _)| *name != "account") {
        match value {
            Value::Object(inner) => inner.iter().for_each(|(inner, value)| add(format!("{name}.{inner}"), value)),
            other => add(name.clone(), other),
        }
    }
    shown(&mut rows, width)
}

/// An entry of a list: a range, a text, or what it is as JSON.
fn entry(value: &Value) -> String {
    match (value["from"].as_str(), value["to"].as_str()) {
        (Some(_), Some(_)) if value.as_object().is_some_and(|fields| fields.len() == 2) => {
            format!("{} to {}", cell(&value["from"]), cell(&value["to"]))
        }
        _ => cell(value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_have_their_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
    }

    #[test]
    fn a_status_shows_streams_and_backfills() {
        let run = json!({"finished_at": "2026-10-05T12:00:00Z", "status": "failed", "error_type": "LastPass.Throttled", "created": 1_500});
        let text = of_answer(
            &json!({
                "action": "status", "account": "acme",
                "streams": {"event_report": {"watermark": "2026-10-05T11:55:00Z", "lag_seconds": 300, "last_run": run}},
                "backfills": [{"from": "2025-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z", "status": "unfinished",
                    "events": 512_000, "slices": {"total": 20, "complete": 7, "unfinished": []}, "last_run": null}],
                "redrives": [], "unreadable": [], "dead_letters": 2,
            }),
            None,
        );
        for words in ["account acme", "5 min", "LastPass.Throttled", "1,500", "512,000", "7 of 20", "wait: 2", "UTC"] {
            assert!(text.contains(words), "{words} in\n{text}");
        }
        assert!(!text.contains("T11:55:00Z"), "{text}");
    }

    #[test]
    fn a_backfill_names_the_slices_that_failed() {
        let text = of_answer(
            &json!({
                "action": "backfill", "status": "incomplete", "slices": 3, "fetched": 10, "created": 9, "duplicates": 1,
                "dead_letters": 0, "lastpass_requests": 4,
                "failed": [{"from": "2025-01-01T00:00:00Z", "to": "2025-01-02T00:00:00Z", "error_type": "LastPass.Refused",
                    "message": "LastPass refused"}],
            }),
            None,
        );
        assert!(
            text.contains("incomplete") && text.contains("LastPass.Refused") && text.contains("2025-01-01"),
            "{text}"
        );
    }

    #[test]
    fn a_narrow_terminal_gets_narrow_tables() {
        let message = "one word after the other ".repeat(20);
        let answer = json!({"action": "check", "checks": [{"name": "lastpass", "status": "ok", "message": message}]});
        let text = of_answer(&answer, Some(60));
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        assert!(of_answer(&answer, None).lines().count() == 2);
    }

    #[test]
    fn times_are_told_to_be_utc_where_there_are_any() {
        assert!(
            of_answer(&json!({"action": "reset", "after": "2025-01-01T00:00:00Z"}), None).ends_with("times are UTC")
        );
        assert!(!of_answer(&json!({"action": "setup", "status": "complete"}), None).contains("UTC"));
    }

    #[test]
    fn any_other_answer_is_shown_field_by_field() {
        let text = of_answer(
            &json!({"action": "plan", "window": {"from": "2025-01-01T00:00:00Z"},
            "slices": [{"from": "2025-01-01T00:00:00Z", "to": "2025-02-01T00:00:00Z"}]}),
            None,
        );
        assert!(text.contains("window.from") && text.contains("2025-01-01 00:00 to 2025-02-01 00:00"), "{text}");
        assert_eq!(
            of_answer(&json!({"account": "a", "error": {"type": "X.Y", "message": "why"}}), None),
            "account a\nerror: X.Y: why"
        );
    }
}
