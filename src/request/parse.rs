//! Parses the invocation payload.

use jiff::{Timestamp, civil, tz::TimeZone};
use serde_json::{Map, Value};

use super::{Action, Backfill, Window, Work};
use crate::{
    clock::whole_second,
    document::{AccountName, Stream},
    elastic::SetupOptions,
    lastpass::whole_seconds::CLOCK_TOLERANCE,
    redact::Quoted,
};

/// The request of an invocation: an action, and its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The account whose secret and checkpoints are used, in a deployment of several accounts.
    pub account: Option<AccountName>,
    /// The action to perform.
    pub action: Action,
}

/// A payload that cannot be executed, with all its faults.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the request is not valid: {}. docs/operate.md lists every action, and events/ contains a sample payload for \
         each", faults.join("; "))]
pub struct Invalid {
    faults: Vec<String>,
}

impl Invalid {
    /// Builds the fault of a payload that names an account in a deployment of one account.
    #[must_use]
    pub fn account_without_prefix() -> Self {
        let fault = "`account` is set, but this function has only one account, that of SECRET_ARN: omit `account`, or \
                     set SECRET_PREFIX instead of SECRET_ARN (parameters SecretPrefix and Accounts)";
        Self { faults: vec![fault.to_owned()] }
    }

    /// Builds the fault of a payload without an account in a deployment of several accounts.
    #[must_use]
    pub fn account_missing() -> Self {
        let fault = "`account` is missing: this function has several accounts (SECRET_PREFIX), so specify one; the \
                     action `status` lists the accounts that have been read";
        Self { faults: vec![fault.to_owned()] }
    }
}

/// Maximum number of unknown fields that are named. Chosen: a payload with more is a different kind of payload.
const MAX_UNKNOWN: usize = 5;

/// The actions, in the order in which messages list them.
const ACTIONS: &[&str] = &["collect", "backfill", "plan", "resume", "reset", "redrive", "setup", "check", "status"];

impl Request {
    /// Parses a payload at the time `now`.
    ///
    /// # Errors
    /// [`Invalid`], with all faults.
    pub fn parse(payload: &Value, now: Timestamp) -> Result<Self, Invalid> {
        let Value::Object(fields) = payload else {
            return Err(Invalid { faults: vec![format!("it is {}, not a JSON object", kind(payload))] });
        };
        let mut reader = Fields { fields, known: Vec::new(), faults: Vec::new() };
        let action = match reader.action() {
            Some("collect") => {
                let stream = reader.stream();
                let scheduled_time = reader.scheduled_time();
                stream.map(|stream| Action::Work(Work::Collect { stream, scheduled_time }))
            }
            Some("backfill") => reader.backfill().map(Work::Backfill).map(Action::Work),
            Some("plan") => {
                reader.optional_stream_with_history();
                reader.range().map(Work::Plan).map(Action::Work)
            }
            Some("resume") => {
                // Schedules send `scheduled_time` to every action.
                reader.scheduled_time();
                Some(Action::Work(Work::Resume))
            }
            Some("reset") => {
                let (stream, to) = (reader.stream(), reader.reset_to(now));
                stream.zip(to).map(|(stream, to)| Action::Work(Work::Reset { stream, to }))
            }
            Some("redrive") => reader.stream().map(|stream| Action::Work(Work::Redrive { stream })),
            Some("setup") => {
                let (retention, take_over) = (reader.retention(), reader.flag("take_over"));
                Some(Action::Setup(SetupOptions { retention, take_over }))
            }
            Some("check") => Some(Action::Check),
            Some("status") => Some(Action::Status),
            _ => None,
        };
        let account = reader.account();
        reader.refuse_unknown_fields();
        match action {
            Some(action) if reader.faults.is_empty() => Ok(Self { account, action }),
            _ => Err(Invalid { faults: reader.faults }),
        }
    }
}

/// Reads the fields of a payload and collects their faults.
struct Fields<'a> {
    fields: &'a Map<String, Value>,
    known: Vec<&'static str>,
    faults: Vec<String>,
}

impl<'a> Fields<'a> {
    fn get(&mut self, name: &'static str) -> Option<&'a Value> {
        if !self.known.contains(&name) {
            self.known.push(name);
        }
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// Reads a field of the type `wanted`.
    fn typed<T>(&mut self, name: &'static str, wanted: &str, read: impl Fn(&'a Value) -> Option<T>) -> Option<T> {
        let value = self.get(name)?;
        let read = read(value);
        if read.is_none() {
            self.faults.push(format!("`{name}` is {}, not {wanted}", kind(value)));
        }
        read
    }

    fn text(&mut self, name: &'static str) -> Option<&'a str> {
        self.typed(name, "a string", Value::as_str)
    }

    /// Reads a text that must be present. `remedy` says what to use if it is not.
    fn required(&mut self, name: &'static str, remedy: &str) -> Option<&'a str> {
        if self.get(name).is_none() {
            self.faults.push(format!("`{name}` is missing: {remedy}"));
        }
        self.text(name)
    }

    fn flag(&mut self, name: &'static str) -> bool {
        self.typed(name, "a boolean", Value::as_bool).unwrap_or_default()
    }

    fn action(&mut self) -> Option<&'static str> {
        if self.get("action").is_none() {
            return Some("collect");
        }
        let name = self.text("action")?;
        let action = ACTIONS.iter().find(|action| **action == name).copied();
        if action.is_none() {
            self.faults.push(format!("unknown action {}: use one of {}", Quoted(name), ACTIONS.join(", ")));
        }
        action
    }

    fn stream(&mut self) -> Option<Stream> {
        let remedy = format!("use one of {}", Stream::ALL.map(Stream::as_str).join(", "));
        let name = self.required("stream", &remedy)?;
        let stream = Stream::ALL.into_iter().find(|stream| stream.as_str() == name);
        if stream.is_none() {
            self.faults.push(format!("unknown stream {}: {remedy}", Quoted(name)));
        }
        stream
    }

    fn scheduled_time(&mut self) -> Option<Timestamp> {
        /// The beginning of EventBridge Scheduler's context attributes. A value that begins with it was not replaced.
        const CONTEXT_ATTRIBUTE: &str = "<aws.";
        let text = self.text("scheduled_time")?;
        if text.starts_with(CONTEXT_ATTRIBUTE) {
            tracing::warn!(
                "the schedule's context attribute in `scheduled_time` was not replaced; using the current \
                            time instead"
            );
            return None;
        }
        self.time("scheduled_time", text)
    }

    fn time(&mut self, name: &str, text: &str) -> Option<Timestamp> {
        let time = parse_time(text);
        if time.is_none() {
            self.faults.push(format!(
                "`{name}` is {}, not a time: use 2025-01-31T12:00:00Z, or a date such as 2025-01-31 for its midnight \
                 in UTC",
                Quoted(text)
            ));
        }
        time
    }

    fn required_time(&mut self, name: &'static str) -> Option<Timestamp> {
        let text = self.required(name, "use a time such as 2025-01-31T12:00:00Z or a date")?;
        self.time(name, text)
    }

    /// Reads the time to which a stream is reset. Rejects a future time, because everything until then would be
    /// skipped.
    fn reset_to(&mut self, now: Timestamp) -> Option<Timestamp> {
        let to = self.required_time("to")?;
        if to.duration_since(now) > CLOCK_TOLERANCE {
            self.faults.push(format!("`to` ({to}) is in the future: everything until then would be skipped"));
        }
        Some(to)
    }

    fn account(&mut self) -> Option<AccountName> {
        let name = self.text("account")?;
        AccountName::new(name).map_err(|fault| self.faults.push(format!("`account`: {fault}"))).ok()
    }

    fn backfill(&mut self) -> Option<Backfill> {
        if let Some(stream) = self.stream() {
            self.refuse_without_history(stream);
        }
        let window = self.range();
        let (skip_completed, alert) = (self.flag("skip_completed"), self.flag("alert"));
        Some(Backfill { window: window?, skip_completed, alert })
    }

    /// Reads the stream of a plan, which is optional, because only one stream can be backfilled.
    fn optional_stream_with_history(&mut self) {
        if self.get("stream").is_some()
            && let Some(stream) = self.stream()
        {
            self.refuse_without_history(stream);
        }
    }

    fn refuse_without_history(&mut self, stream: Stream) {
        if stream != Stream::EventReport {
            self.faults.push(format!(
                "the stream `{stream}` cannot be backfilled: LastPass returns only the current state of users and \
                 shared folders, and only `event_report` has a history"
            ));
        }
    }

    fn range(&mut self) -> Option<Window> {
        let (from, to) = (self.required_time("from"), self.required_time("to"));
        let (from, to) = (from?, to?);
        if from >= to {
            self.faults.push(format!("`from` ({from}) is not before `to` ({to}), which is exclusive"));
        }
        Some(Window { from, to })
    }

    fn retention(&mut self) -> Option<String> {
        let text = self.text("retention")?;
        let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(unit_at);
        if number.is_empty() || number.bytes().all(|digit| digit == b'0') || !["d", "h", "m", "s"].contains(&unit) {
            self.faults.push(format!(
                "`retention` is {}, not a duration in Elasticsearch's format, such as 365d",
                Quoted(text)
            ));
        }
        Some(text.to_owned())
    }

    fn refuse_unknown_fields(&mut self) {
        let unknown: Vec<_> = self.fields.keys().filter(|name| !self.known.contains(&name.as_str())).collect();
        let known = self.known.join(", ");
        for name in unknown.iter().take(MAX_UNKNOWN) {
            self.faults.push(format!("unknown field {}: this action accepts {known}", Quoted(name)));
        }
        if let Some(more) = unknown.len().checked_sub(MAX_UNKNOWN).filter(|more| *more > 0) {
            self.faults.push(format!("and {more} more unknown fields"));
        }
    }
}

/// Parses RFC 3339, or a date as its midnight in UTC. Truncates to the second, because events have whole seconds.
#[must_use]
pub fn parse_time(text: &str) -> Option<Timestamp> {
    let instant = match text.parse::<civil::Date>() {
        Ok(date) if text.len() == "2025-01-31".len() => date.to_zoned_datetime(TimeZone::UTC).ok()?.timestamp(),
        _ => text.parse::<Timestamp>().ok()?,
    };
    Some(whole_second(instant))
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The clock of the tests.
    const NOW: &str = "2025-06-01T12:00:00Z";

    fn parse(payload: &Value) -> Result<Request, Invalid> {
        Request::parse(payload, at(NOW))
    }

    fn action(payload: &Value) -> Result<Action, Invalid> {
        Ok(parse(payload)?.action)
    }

    fn fault(payload: Value) -> String {
        parse(&payload).expect_err("a fault").to_string()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time of the test")
    }

    #[test]
    fn collect_is_the_default_action() {
        for payload in [
            json!({"stream": "user"}),
            json!({"action": "collect", "stream": "user", "scheduled_time": "<aws.scheduler.scheduled-time>"}),
        ] {
            let action = Action::Work(Work::Collect { stream: Stream::User, scheduled_time: None });
            assert_eq!(parse(&payload), Ok(Request { account: None, action }));
        }
    }

    #[test]
    fn a_date_means_its_midnight_in_utc() {
        let payload = json!({"action": "backfill", "stream": "event_report", "from": "2025-01-01", "to": "2025-01-02T01:00:00+01:00"});
        let window = Window { from: at("2025-01-01T00:00:00Z"), to: at("2025-01-02T00:00:00Z") };
        let expected = Backfill { window, skip_completed: false, alert: false };
        assert_eq!(action(&payload), Ok(Action::Work(Work::Backfill(expected))));
    }

    #[test]
    fn a_plan_needs_only_a_range() {
        let window = Window { from: at("2025-01-01T00:00:00Z"), to: at("2025-01-02T00:00:00Z") };
        for payload in [
            json!({"action": "plan", "from": "2025-01-01", "to": "2025-01-02"}),
            json!({"action": "plan", "stream": "event_report", "from": "2025-01-01", "to": "2025-01-02"}),
        ] {
            assert_eq!(action(&payload), Ok(Action::Work(Work::Plan(window))));
        }
        assert!(fault(json!({"action": "plan", "from": "2025-01-02", "to": "2025-01-02"})).contains("is not before"));
        let text = fault(json!({"action": "plan", "stream": "user", "from": "2025-01-01", "to": "2025-01-02"}));
        assert!(text.contains("the stream `user` cannot be backfilled"), "{text}");
    }

    #[test]
    fn every_action_takes_an_account() {
        for action in ACTIONS {
            let mut payload = json!({"action": action, "account": "acme-2.eu"});
            if ["collect", "backfill", "reset", "redrive"].contains(action) {
                payload["stream"] = json!("event_report");
            }
            if ["backfill", "plan"].contains(action) {
                payload["from"] = json!("2025-01-01");
            }
            if ["backfill", "plan", "reset"].contains(action) {
                payload["to"] = json!("2025-01-02");
            }
            let account = parse(&payload).expect("a request").account;
            assert_eq!(account.as_ref().map(AccountName::as_str), Some("acme-2.eu"), "{action}");
        }
        for wrong in ["", "-acme", "a/b", "a#b", "ü", &"a".repeat(65)] {
            let text = fault(json!({"action": "status", "account": wrong}));
            assert!(text.contains("is not a valid account name"), "{text}");
        }
    }

    #[test]
    fn every_action_has_a_sample_payload() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/events");
        let mut actions: Vec<&str> = std::fs::read_dir(folder)
            .expect("the samples")
            .map(|file| {
                let text = std::fs::read_to_string(file.expect("a file").path()).expect("a sample");
                let payload: Value = serde_json::from_str(&text).expect("JSON");
                Request::parse(&payload, at("2026-11-01T00:00:00Z")).expect("a request").action.as_str()
            })
            .collect();
        actions.sort_unstable();
        actions.dedup();
        let mut all = ACTIONS.to_vec();
        all.sort_unstable();
        assert_eq!(actions, all);
    }

    #[test]
    fn only_setup_with_take_over_takes_data_streams_over() {
        let setup = |take_over| Ok(Action::Setup(SetupOptions { retention: None, take_over }));
        assert_eq!(action(&json!({"action": "setup"})), setup(false));
        assert_eq!(action(&json!({"action": "setup", "take_over": null})), setup(false));
        assert_eq!(action(&json!({"action": "setup", "take_over": false})), setup(false));
        assert_eq!(action(&json!({"action": "setup", "take_over": true})), setup(true));
        for wrong in [json!(1), json!("true"), json!(["logs-lastpass.user-default"])] {
            assert!(fault(json!({"action": "setup", "take_over": wrong})).contains("`take_over` is"));
        }
        for other in ACTIONS.iter().filter(|action| **action != "setup") {
            let text = fault(json!({"action": other, "take_over": true}));
            assert!(text.contains("unknown field \"take_over\""), "{text}");
        }
    }

    #[test]
    fn a_stream_is_not_reset_into_the_future() {
        let to = |to: &str| action(&json!({"action": "reset", "stream": "user", "to": to}));
        for (text, time) in [("2025-01-01", "2025-01-01T00:00:00Z"), ("2025-06-01T12:05:00Z", "2025-06-01T12:05:00Z")] {
            assert_eq!(to(text), Ok(Action::Work(Work::Reset { stream: Stream::User, to: at(time) })));
        }
        let text = to("2025-06-01T12:05:01Z").expect_err("a fault").to_string();
        assert!(text.contains("`to` (2025-06-01T12:05:01Z) is in the future"), "{text}");
    }

    #[test]
    fn every_fault_is_named() {
        let text = fault(json!({"action": "backfill", "stream": "user", "from": "soon", "tp": 1, "alert": "yes"}));
        for part in
            ["the stream `user` cannot be backfilled", "\"soon\"", "`to` is missing", "\"tp\"", "`alert` is a string"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(
            fault(json!({"stream": "users"}))
                .contains("unknown stream \"users\": use one of event_report, user, detailed_shared_folder")
        );
        assert!(fault(json!({})).contains("`stream` is missing"));
        assert!(fault(json!({"stream": 5})).contains("`stream` is a number"));
        assert!(fault(json!([])).contains("an array, not a JSON object"));
        assert!(fault(json!({"action": "explode"})).contains("unknown action \"explode\""));
        assert!(fault(json!({"action": "reset", "stream": "user"})).contains("`to` is missing"));
        assert!(fault(json!({"action": "check", "stream": "user"})).contains("unknown field \"stream\""));
        assert!(fault(json!({"action": "setup", "retention": "forever"})).contains("365d"));
        let text = fault(json!({"action": "reset", "stream": "groups", "to": 7, "from": "2025-01-01"}));
        for part in [
            "unknown stream \"groups\"",
            "`to` is a number",
            "unknown field \"from\": this action accepts action, stream, \
                                                          to, account",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let text = fault(json!({"action": "redrive", "to": "2025-01-01"}));
        for part in ["`stream` is missing", "unknown field \"to\""] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let backwards =
            json!({"action": "backfill", "stream": "event_report", "from": "2025-01-02", "to": "2025-01-01"});
        assert!(fault(backwards).contains("is not before `to`"));
    }
}
