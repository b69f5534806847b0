//! Renders answers as tables for people.

mod content;
mod table;

use indicatif::HumanCount;
use jiff::Timestamp;
use serde::Deserialize as _;
use serde_json::Value;

use self::table::{lines, plain_table, table};
use crate::{
    answers::{AccountStatus, Accounts, BackfillAnswer, Check, CheckAnswer, LastRun, SlicesStatus, StatusAnswer},
    times,
};

/// Renders an answer, or the error of one of several accounts, for a terminal of `width` columns; without a terminal, as
/// wide as necessary.
pub fn render_answer(answer: &Value, width: Option<u16>) -> String {
    let account = answer["account"].as_str().map_or_else(String::new, |account| format!("account {account}\n"));
    let body = match (answer["error"]["type"].as_str(), answer["error"]["message"].as_str()) {
        (Some(error_type), Some(message)) => format!("error: {error_type}: {message}"),
        _ => render_action(answer, width).unwrap_or_else(|| render_fields(answer, width)),
    };
    let zone = if has_time(answer) { "\n\ntimes are UTC" } else { "" };
    format!("{account}{body}{zone}")
}

/// Renders the answer to an action that has a table of its own. `None` for any other answer, and for one of another form.
fn render_action(answer: &Value, width: Option<u16>) -> Option<String> {
    match answer["action"].as_str()? {
        "check" => CheckAnswer::deserialize(answer).ok().map(|answer| render_checks(answer.checks, width)),
        "status" => StatusAnswer::deserialize(answer).ok().map(|answer| render_status(&answer, width)),
        "content install" => Some(content::render_content(answer, width)),
        "backfill" => BackfillAnswer::deserialize(answer).ok().map(|answer| render_backfill(&answer, width)),
        _ => None,
    }
}

/// Returns whether a value contains a time that is rendered as one.
fn has_time(value: &Value) -> bool {
    match value {
        Value::String(text) => text.parse::<Timestamp>().is_ok(),
        Value::Array(entries) => entries.iter().any(has_time),
        Value::Object(fields) => fields.values().any(has_time),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The cell of a missing value.
const NONE: &str = "-";

/// Formats an optional value with `format`.
fn optional<T>(value: Option<T>, format: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| NONE.to_owned(), format)
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

/// Formats any value for a cell.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => NONE.to_owned(),
        Value::String(text) => text.parse::<Timestamp>().map_or_else(|_| text.clone(), times::minute),
        Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), count),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Renders checks.
pub fn render_checks(checks: Vec<Check>, width: Option<u16>) -> String {
    let mut rows = table(["check", "status", "message"]);
    for Check { name, status, message } in checks {
        rows.add_row([name, status, message]);
    }
    lines(rows, width)
}

/// Renders the answers of runs: what arrived in each data stream.
pub fn render_runs(runs: &[Value], width: Option<u16>) -> String {
    let mut rows = table(["first run of", "status", "documents", "remark"]);
    for run in runs {
        let remark = match (run["error"]["message"].as_str(), run["reason"].as_str(), run["status"].as_str()) {
            (Some(message), ..) => message.to_owned(),
            (_, Some("lease_held"), _) => text("another run of this stream is in progress, and does this work"),
            (_, Some(reason), _) => reason.to_owned(),
            (_, _, Some("partial")) => text("continues by itself within five minutes"),
            _ => String::new(),
        };
        let status = run["status"].as_str().or(run["error"].is_object().then_some("failed"));
        rows.add_row([cell(&run["stream"]), text(status.unwrap_or(NONE)), cell(&run["created"]), remark]);
    }
    lines(rows, width)
}

fn render_status(answer: &StatusAnswer, width: Option<u16>) -> String {
    let mut parts = match &answer.accounts {
        Accounts::Several { accounts } if accounts.is_empty() => vec![text("no account has been read yet")],
        Accounts::Several { accounts } => {
            let parts = |(name, account)| [vec![format!("account {name}")], account_parts(account, width)].concat();
            accounts.iter().flat_map(parts).collect()
        }
        Accounts::One(account) => account_parts(account, width),
    };
    parts.extend(answer.unreadable.iter().map(|reason| format!("unreadable: {reason}")));
    parts.extend(answer.dead_letters.map(|number| format!("pending dead letters: {}", count(number))));
    parts.join("\n\n")
}

/// Renders the streams, the backfills and the redrives of an account.
fn account_parts(account: &AccountStatus, width: Option<u16>) -> Vec<String> {
    let mut streams = table(["stream", "read up to", "behind", "last run", "ended", "created", "error"]);
    for (name, stream) in &account.streams {
        let run = stream.last_run.as_ref();
        streams.add_row([
            name.to_string(),
            optional(stream.watermark, times::minute),
            optional(stream.lag_seconds, times::span),
            optional(run, |run| run.status.clone()),
            optional(run, |run| times::minute(run.finished_at)),
            optional(run, |run| count(run.created)),
            error_of(run),
        ]);
    }
    let mut backfills = table(["backfill from", "to", "status", "events", "slices", "last error"]);
    for backfill in &account.backfills {
        backfills.add_row([
            times::minute(backfill.from),
            times::minute(backfill.to),
            backfill.status.clone(),
            count(backfill.events),
            optional(backfill.slices.as_ref(), |SlicesStatus { complete, total, .. }| format!("{complete} of {total}")),
            error_of(backfill.last_run.as_ref()),
        ]);
    }
    let mut parts = vec![lines(streams, width)];
    if !account.backfills.is_empty() {
        parts.push(lines(backfills, width));
    }
    let redrives = account.redrives.iter();
    parts.extend(
        redrives.map(|redrive| format!("redrive of {} at {}", redrive.stream, times::minute(redrive.position))),
    );
    parts
}

fn error_of(run: Option<&LastRun>) -> String {
    optional(run.and_then(|run| run.error_type.as_deref()), text)
}

fn render_backfill(answer: &BackfillAnswer, width: Option<u16>) -> String {
    let mut counts =
        table(["status", "slices", "fetched", "created", "duplicates", "dead_letters", "lastpass_requests"]);
    counts.add_row([
        answer.status.clone(),
        count(answer.slices),
        count(answer.fetched),
        count(answer.created),
        count(answer.duplicates),
        count(answer.dead_letters),
        count(answer.lastpass_requests),
    ]);
    if answer.failed.is_empty() {
        return lines(counts, width);
    }
    let mut failed = table(["failed slice from", "to", "error", "message"]);
    for slice in &answer.failed {
        failed.add_row([
            times::minute(slice.from),
            times::minute(slice.to),
            optional(slice.error_type.as_deref(), text),
            optional(slice.message.as_deref(), text),
        ]);
    }
    format!("{}\n\n{}", lines(counts, width), lines(failed, width))
}

/// Renders any other answer: one line for each field, and for each field of an object its path.
fn render_fields(answer: &Value, width: Option<u16>) -> String {
    let Value::Object(fields) = answer else { return cell(answer) };
    let mut rows = plain_table();
    for (name, value) in fields.iter().filter(|(name, _)| *name != "account") {
        match value {
            Value::Object(inner) => {
                for (inner_name, value) in inner {
                    rows.add_row([format!("{name}.{inner_name}"), field(value)]);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                rows.add_row([name.clone(), field(value)]);
            }
        }
    }
    lines(rows, width)
}

/// Formats the value of a field: a list has one line for each entry.
fn field(value: &Value) -> String {
    match value.as_array() {
        Some(entries) => entries.iter().map(entry).collect::<Vec<_>>().join("\n"),
        None => cell(value),
    }
}

/// Formats an entry of a list; a range as such.
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
    fn numbers_have_thousands_separators() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(cell(&json!(number)), text);
        }
    }

    #[test]
    fn a_status_shows_streams_and_backfills() {
        let run = json!({"finished_at": "2026-10-05T12:00:00Z", "status": "failed", "error_type": "LastPass.Throttled", "created": 1_500});
        let text = render_answer(
            &json!({
                "action": "status", "account": "acme",
                "streams": {"event_report": {"watermark": "2026-10-05T11:55:00Z", "lag_seconds": 300, "last_run": run}},
                "backfills": [{"from": "2025-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z", "status": "unfinished",
                    "events": 512_000, "slices": {"total": 20, "complete": 7, "unfinished": []}, "last_run": null}],
                "redrives": [], "unreadable": [], "dead_letters": 2,
            }),
            None,
        );
        for words in [
            "account acme",
            "5 min",
            "LastPass.Throttled",
            "1,500",
            "512,000",
            "7 of 20",
            "pending dead letters: 2",
            "UTC",
        ] {
            assert!(text.contains(words), "{words} in\n{text}");
        }
        assert!(!text.contains("T11:55:00Z"), "{text}");
    }

    #[test]
    fn an_answer_of_another_form_is_rendered_in_full() {
        let text = render_answer(
            &json!({"action": "status", "streams": {"a_new_stream": {"watermark": 7}}, "news": "more"}),
            None,
        );
        assert!(text.contains("a_new_stream") && text.contains("news") && text.contains("more"), "{text}");
        let text = render_answer(&json!({"action": "check", "status": "failed", "checks": "none"}), None);
        assert!(text.contains("failed") && text.contains("none"), "{text}");
    }

    #[test]
    fn the_status_of_a_stack_names_its_accounts() {
        let account = json!({"streams": {"user": {"watermark": null, "lag_seconds": null, "last_run": null}}, "backfills": [],
            "redrives": [{"stream": "user", "position": "2026-10-05T12:00:00Z"}]});
        let answer = |accounts: &Value| json!({"action": "status", "accounts": accounts, "unreadable": ["why"], "dead_letters": null});
        let text = render_answer(&answer(&json!({"acme": account, "globex": account})), None);
        for words in ["account acme\n", "account globex\n", "redrive of user at 2026-10-05 12:00", "unreadable: why"] {
            assert!(text.contains(words), "{words} in\n{text}");
        }
        assert!(!text.contains("dead letters"), "{text}");
        assert!(render_answer(&answer(&json!({})), None).contains("no account has been read yet"));
    }

    #[test]
    fn a_backfill_names_the_failed_slices() {
        let text = render_answer(
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
        let text = render_answer(&answer, Some(60));
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        assert!(render_answer(&answer, None).lines().count() == 2);
    }

    #[test]
    fn an_answer_with_times_says_that_they_are_utc() {
        assert!(
            render_answer(&json!({"action": "reset", "after": "2025-01-01T00:00:00Z"}), None)
                .ends_with("times are UTC")
        );
        assert!(!render_answer(&json!({"action": "setup", "status": "complete"}), None).contains("UTC"));
    }

    #[test]
    fn any_other_answer_is_rendered_field_by_field() {
        let text = render_answer(
            &json!({"action": "plan", "window": {"from": "2025-01-01T00:00:00Z"},
            "slices": [{"from": "2025-01-01T00:00:00Z", "to": "2025-02-01T00:00:00Z"}]}),
            None,
        );
        assert!(text.contains("window.from") && text.contains("2025-01-01 00:00 to 2025-02-01 00:00"), "{text}");
        assert_eq!(
            render_answer(&json!({"account": "a", "error": {"type": "X.Y", "message": "why"}}), None),
            "account a\nerror: X.Y: why"
        );
    }
}
