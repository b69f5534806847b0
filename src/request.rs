//! The invocation payload and the answers.
//!
//! Knows nothing of AWS or HTTP. A payload is checked whole, and what is wrong is named: an unknown field refused here
//! is a typing error found, not a setting silently ignored.

use std::ops::AddAssign;

use jiff::{Timestamp, civil, tz::TimeZone};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    document::{AccountName, Stream},
    lastpass::whole_seconds::CLOCK_TOLERANCE,
    quoted::Quoted,
};

/// What an invocation is asked to do, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Whose secret and checkpoints it works with, where the deployment has several accounts.
    pub account: Option<AccountName>,
    /// What to do.
    pub action: Action,
}

/// What an invocation is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Read a stream up to now.
    Collect {
        /// Which one.
        stream: Stream,
        /// When the schedule meant it to run.
        scheduled_time: Option<Timestamp>,
    },
    /// Read a range of the event report.
    Backfill(Backfill),
    /// Split a range of the event report into slices that can be backfilled side by side.
    Plan(Window),
    /// Go on with unfinished snapshots, backfills and redrives.
    Resume,
    /// Set a stream's watermark, and confirm a destination that has changed.
    Reset {
        /// Which one.
        stream: Stream,
        /// The new watermark.
        to: Timestamp,
    },
    /// Deliver a stream's dead letters again.
    Redrive {
        /// Which one.
        stream: Stream,
    },
    /// Install the index assets.
    Setup {
        /// How long Elasticsearch keeps the documents, such as `365d`; what is set stays where it isn't given.
        retention: Option<String>,
        /// Whether data streams may be taken over that another template or an agent made.
        take_over: bool,
    },
    /// Try every system and right.
    Check,
    /// Tell how far each stream is.
    Status,
}

/// A range of the event report to read, known by its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backfill {
    /// The first second.
    pub from: Timestamp,
    /// The second after the last one.
    pub to: Timestamp,
    /// Answer at once if the same range was read before.
    pub skip_completed: bool,
    /// Set `event.ingested`, so that detection rules look at the documents.
    pub alert: bool,
}

/// A payload that can't be carried out, with everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the request is not valid: {}. docs/operate.md lists every action, and events/ holds one payload for each", faults.join("; "))]
pub struct Invalid {
    faults: Vec<String>,
}

impl Invalid {
    /// The payload of a deployment that has no accounts to choose from.
    #[must_use]
    pub fn account_without_prefix() -> Self {
        let fault = "`account` is given, but this function has one account alone, that of SECRET_ARN: leave `account` out, or \
                     set SECRET_PREFIX in its place (parameters SecretPrefix and Accounts)";
        Self { faults: vec![fault.to_owned()] }
    }

    /// The payload without an account, where a deployment has several.
    #[must_use]
    pub fn account_missing() -> Self {
        let fault = "`account` is missing: this function has several accounts (SECRET_PREFIX), so say which one; the action \
                     `status` lists those that were read";
        Self { faults: vec![fault.to_owned()] }
    }
}

/// Most unknown fields that are named. Chosen: who sends more has sent something else.
const MAX_UNKNOWN: usize = 5;

/// The actions in the order in which texts list them.
const ACTIONS: &[&str] = &["collect", "backfill", "plan", "resume", "reset", "redrive", "setup", "check", "status"];

impl Request {
    /// Reads a payload, when the clock shows `now`.
    ///
    /// # Errors
    /// [`Invalid`], naming each fault.
    pub fn parse(payload: &Value, now: Timestamp) -> Result<Self, Invalid> {
        let Value::Object(fields) = payload else {
            return Err(Invalid { faults: vec![format!("it is {}, not a JSON object", kind(payload))] });
        };
        let mut reader = Fields { fields, known: vec!["action"], faults: Vec::new() };
        let action = match reader.action() {
            Some("collect") => {
                let stream = reader.stream();
                let scheduled_time = reader.scheduled_time();
                stream.map(|stream| Action::Collect { stream, scheduled_time })
            }
            Some("backfill") => reader.backfill().map(Action::Backfill),
            Some("plan") => {
                reader.stream_with_a_past();
                reader.range().map(Action::Plan)
            }
            Some("resume") => {
                // The schedule sends the same fields to every action.
                reader.scheduled_time();
                Some(Action::Resume)
            }
            Some("reset") => {
                let (stream, to) = (reader.stream(), reader.reset_to(now));
                stream.zip(to).map(|(stream, to)| Action::Reset { stream, to })
            }
            Some("redrive") => reader.stream().map(|stream| Action::Redrive { stream }),
            Some("setup") => {
                let (retention, take_over) = (reader.retention(), reader.flag("take_over"));
                Some(Action::Setup { retention, take_over })
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

impl Action {
    /// The action's name.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Collect { .. } => "collect",
            Self::Backfill(_) => "backfill",
            Self::Plan(_) => "plan",
            Self::Resume => "resume",
            Self::Reset { .. } => "reset",
            Self::Redrive { .. } => "redrive",
            Self::Setup { .. } => "setup",
            Self::Check => "check",
            Self::Status => "status",
        }
    }

    /// The stream it is about, if it is about one.
    #[must_use]
    pub const fn stream(&self) -> Option<Stream> {
        match self {
            Self::Collect { stream, .. } | Self::Reset { stream, .. } | Self::Redrive { stream } => Some(*stream),
            Self::Backfill(_) | Self::Plan(_) => Some(Stream::EventReport),
            Self::Resume | Self::Setup { .. } | Self::Check | Self::Status => None,
        }
    }
}

/// Reads the fields of a payload and collects what is wrong with them.
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

    fn text(&mut self, name: &'static str) -> Option<&'a str> {
        match self.get(name)? {
            Value::String(text) => Some(text),
            other => {
                self.faults.push(format!("`{name}` is {}, not a text", kind(other)));
                None
            }
        }
    }

    fn flag(&mut self, name: &'static str) -> bool {
        match self.get(name) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => {
                self.faults.push(format!("`{name}` is {}, not true or false", kind(other)));
                false
            }
        }
    }

    fn action(&mut self) -> Option<&'static str> {
        let name = match self.fields.get("action") {
            None | Some(Value::Null) => return Some("collect"),
            Some(Value::String(name)) => name,
            Some(other) => {
                self.faults.push(format!("`action` is {}, not a text", kind(other)));
                return None;
            }
        };
        let action = ACTIONS.iter().find(|action| *action == name).copied();
        if action.is_none() {
            self.faults.push(format!("there is no action {}: use {}", Quoted(name), ACTIONS.join(", ")));
        }
        action
    }

    fn stream(&mut self) -> Option<Stream> {
        let names = Stream::ALL.map(Stream::as_str).join(", ");
        match self.text("stream") {
            Some(name) => {
                let stream = Stream::ALL.into_iter().find(|stream| stream.as_str() == name);
                if stream.is_none() {
                    self.faults.push(format!("there is no stream {}: use {names}", Quoted(name)));
                }
                stream
            }
            None => {
                if self.fields.get("stream").is_none_or(Value::is_null) {
                    self.faults.push(format!("`stream` is missing: use {names}"));
                }
                None
            }
        }
    }

    fn scheduled_time(&mut self) -> Option<Timestamp> {
        /// How EventBridge Scheduler's context attributes begin. One that arrives as it was written was not filled in.
        const CONTEXT_ATTRIBUTE: &str = "<aws.";
        let text = self.text("scheduled_time")?;
        if text.starts_with(CONTEXT_ATTRIBUTE) {
            tracing::warn!("the schedule's context attribute in `scheduled_time` was not filled in; taking the clock");
            return None;
        }
        self.time("scheduled_time", text)
    }

    fn time(&mut self, name: &str, text: &str) -> Option<Timestamp> {
        let time = parse_time(text);
        if time.is_none() {
            self.faults.push(format!(
                "`{name}` is {}, not a time: write 2025-01-31T12:00:00Z, or a date such as 2025-01-31 for its midnight in UTC",
                Quoted(text)
            ));
        }
        time
    }

    fn end(&mut self, name: &'static str) -> Option<Timestamp> {
        let text = self.text(name);
        if text.is_none() && self.fields.get(name).is_none_or(Value::is_null) {
            self.faults.push(format!("`{name}` is missing: write a time such as 2025-01-31T12:00:00Z or a date"));
        }
        self.time(name, text?)
    }

    /// The time to which a stream is reset: not in the future, because everything until then would be skipped.
    fn reset_to(&mut self, now: Timestamp) -> Option<Timestamp> {
        let to = self.end("to")?;
        if to.duration_since(now) > CLOCK_TOLERANCE {
            self.faults.push(format!("`to` ({to}) lies in the future: everything until then would be skipped"));
        }
        Some(to)
    }

    fn account(&mut self) -> Option<AccountName> {
        let name = self.text("account")?;
        AccountName::new(name).map_err(|fault| self.faults.push(format!("`account`: {fault}"))).ok()
    }

    fn backfill(&mut self) -> Option<Backfill> {
        if let Some(stream) = self.stream() {
            self.refuse_without_past(stream);
        }
        let range = self.range();
        let (skip_completed, alert) = (self.flag("skip_completed"), self.flag("alert"));
        let Window { from, to } = range?;
        Some(Backfill { from, to, skip_completed, alert })
    }

    /// The stream of a plan, which need not be said: there is one alone that can be filled back.
    fn stream_with_a_past(&mut self) {
        if self.get("stream").is_some()
            && let Some(stream) = self.stream()
        {
            self.refuse_without_past(stream);
        }
    }

    fn refuse_without_past(&mut self, stream: Stream) {
        if stream != Stream::EventReport {
            self.faults.push(format!(
                "{stream} can't be filled back: LastPass has only its present state; only event_report has a past"
            ));
        }
    }

    fn range(&mut self) -> Option<Window> {
        let (from, to) = (self.end("from"), self.end("to"));
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
            self.faults.push(format!("`retention` is {}, not a time span of Elasticsearch such as 365d", Quoted(text)));
        }
        Some(text.to_owned())
    }

    fn refuse_unknown_fields(&mut self) {
        let unknown: Vec<_> = self.fields.keys().filter(|name| !self.known.contains(&name.as_str())).collect();
        let known = self.known.join(", ");
        for name in unknown.iter().take(MAX_UNKNOWN) {
            self.faults.push(format!("there is no field {} here: use {known}", Quoted(name)));
        }
        if let Some(more) = unknown.len().checked_sub(MAX_UNKNOWN).filter(|more| *more > 0) {
            self.faults.push(format!("there are {more} more such fields"));
        }
    }
}

/// RFC 3339, or a date for its midnight in UTC. Below the second is cut off: events have whole seconds.
fn parse_time(text: &str) -> Option<Timestamp> {
    let instant = match text.parse::<civil::Date>() {
        Ok(date) if text.len() == "2025-01-31".len() => date.to_zoned(TimeZone::UTC).ok()?.timestamp(),
        _ => text.parse::<Timestamp>().ok()?,
    };
    Timestamp::from_second(instant.as_second()).ok()
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// All that was asked for is in Elasticsearch.
    Complete,
    /// The deadline came first; what is done is saved.
    Partial,
    /// Nothing was done.
    Skipped,
}

impl RunStatus {
    /// The status as answers spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Skipped => "skipped",
        }
    }
}

/// Why a run did nothing, or ended early for another reason than its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The secret still holds the template's placeholder, or the index templates are not there: put the credentials
    /// in, and run `setup`. The log says which.
    SetupRequired,
    /// Another run holds the lease.
    LeaseHeld,
    /// Another run took the lease over while this one worked, and goes on from the last checkpoint.
    LeaseLost,
    /// The backfill was completed before, and `skip_completed` asks to leave it at that.
    AlreadyComplete,
}

/// A range of time, its end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Window {
    /// The first second.
    pub from: Timestamp,
    /// The second after the last one.
    pub to: Timestamp,
}

/// What a run did to documents. `fetched` = `created` + `duplicates` + `dead_letters`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Documents made from what LastPass answered, or from dead letters.
    pub fetched: u64,
    /// Documents that Elasticsearch did not have.
    pub created: u64,
    /// Documents that it had.
    pub duplicates: u64,
    /// Documents that it refused for good, kept as dead letters; in a redrive, refused again.
    pub dead_letters: u64,
    /// Of the created ones, those from before the window.
    pub late: u64,
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.fetched += other.fetched;
        self.created += other.created;
        self.duplicates += other.duplicates;
        self.dead_letters += other.dead_letters;
        self.late += other.late;
    }
}

/// The answer to `plan`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanAnswer {
    /// The action.
    pub action: &'static str,
    /// The stream.
    pub stream: Stream,
    /// `partial` where the deadline came first: the same request goes on.
    pub status: RunStatus,
    /// Why it was skipped, or ended early for another reason than its deadline.
    pub reason: Option<Reason>,
    /// The range that is split.
    pub window: Window,
    /// The slices, newest first, without gap or overlap; those found so far where the plan is not complete.
    pub slices: Vec<Window>,
    /// Requests to LastPass by this invocation.
    pub lastpass_requests: u64,
    /// Until when another run holds the lease.
    pub lease_expires: Option<Timestamp>,
}

impl PlanAnswer {
    /// The answer of a run that did nothing.
    #[must_use]
    pub const fn skipped(window: Window, reason: Reason) -> Self {
        Self {
            action: "plan",
            stream: Stream::EventReport,
            status: RunStatus::Skipped,
            reason: Some(reason),
            window,
            slices: Vec::new(),
            lastpass_requests: 0,
            lease_expires: None,
        }
    }
}

/// The answer to `collect`, `backfill` and `redrive`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunAnswer {
    /// The action.
    pub action: &'static str,
    /// The stream.
    pub stream: Stream,
    /// How it ended.
    pub status: RunStatus,
    /// Why it was skipped, or ended early for another reason than its deadline.
    pub reason: Option<Reason>,
    /// The event report's window without the overlap; none for snapshots and redrives.
    pub window: Option<Window>,
    /// What was done to documents by this invocation.
    #[serde(flatten)]
    pub counters: Counters,
    /// Requests to LastPass by this invocation.
    pub lastpass_requests: u64,
    /// Bulk requests to Elasticsearch by this invocation.
    pub bulk_requests: u64,
    /// How far the stream is now; of a redrive, when the dead letters were refused that it has come to.
    pub checkpoint: Option<Timestamp>,
    /// Until when another run holds the lease.
    pub lease_expires: Option<Timestamp>,
}

impl RunAnswer {
    /// The answer of a run that did nothing.
    #[must_use]
    pub fn skipped(action: &'static str, stream: Stream, reason: Reason) -> Self {
        Self {
            action,
            stream,
            status: RunStatus::Skipped,
            reason: Some(reason),
            window: None,
            counters: Counters::default(),
            lastpass_requests: 0,
            bulk_requests: 0,
            checkpoint: None,
            lease_expires: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The tests' clock.
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
            let action = Action::Collect { stream: Stream::User, scheduled_time: None };
            assert_eq!(parse(&payload), Ok(Request { account: None, action }));
        }
    }

    #[test]
    fn a_date_is_its_midnight_in_utc() {
        let payload = json!({"action": "backfill", "stream": "event_report", "from": "2025-01-01", "to": "2025-01-02T01:00:00+01:00"});
        let (from, to) = (at("2025-01-01T00:00:00Z"), at("2025-01-02T00:00:00Z"));
        let expected = Backfill { from, to, skip_completed: false, alert: false };
        assert_eq!(action(&payload), Ok(Action::Backfill(expected)));
    }

    #[test]
    fn a_plan_needs_a_range_alone() {
        let window = Window { from: at("2025-01-01T00:00:00Z"), to: at("2025-01-02T00:00:00Z") };
        for payload in [
            json!({"action": "plan", "from": "2025-01-01", "to": "2025-01-02"}),
            json!({"action": "plan", "stream": "event_report", "from": "2025-01-01", "to": "2025-01-02"}),
        ] {
            assert_eq!(action(&payload), Ok(Action::Plan(window)));
        }
        assert!(fault(json!({"action": "plan", "from": "2025-01-02", "to": "2025-01-02"})).contains("is not before"));
        let text = fault(json!({"action": "plan", "stream": "user", "from": "2025-01-01", "to": "2025-01-02"}));
        assert!(text.contains("user can't be filled back"), "{text}");
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
            assert!(text.contains("can't be an account's name"), "{text}");
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
    fn only_setup_takes_data_streams_over_and_only_when_told_to() {
        let setup = |take_over| Ok(Action::Setup { retention: None, take_over });
        assert_eq!(action(&json!({"action": "setup"})), setup(false));
        assert_eq!(action(&json!({"action": "setup", "take_over": null})), setup(false));
        assert_eq!(action(&json!({"action": "setup", "take_over": false})), setup(false));
        assert_eq!(action(&json!({"action": "setup", "take_over": true})), setup(true));
        for wrong in [json!(1), json!("true"), json!(["logs-lastpass.user-default"])] {
            assert!(fault(json!({"action": "setup", "take_over": wrong})).contains("`take_over` is"));
        }
        for other in ACTIONS.iter().filter(|action| **action != "setup") {
            let text = fault(json!({"action": other, "take_over": true}));
            assert!(text.contains("no field \"take_over\" here"), "{text}");
        }
    }

    #[test]
    fn a_stream_is_not_reset_into_the_future() {
        let to = |to: &str| action(&json!({"action": "reset", "stream": "user", "to": to}));
        for (text, time) in [("2025-01-01", "2025-01-01T00:00:00Z"), ("2025-06-01T12:05:00Z", "2025-06-01T12:05:00Z")] {
            assert_eq!(to(text), Ok(Action::Reset { stream: Stream::User, to: at(time) }));
        }
        let text = to("2025-06-01T12:05:01Z").expect_err("a fault").to_string();
        assert!(text.contains("`to` (2025-06-01T12:05:01Z) lies in the future"), "{text}");
    }

    #[test]
    fn every_fault_is_named() {
        let text = fault(json!({"action": "backfill", "stream": "user", "from": "soon", "tp": 1, "alert": "yes"}));
        for part in ["user can't be filled back", "\"soon\"", "`to` is missing", "\"tp\"", "`alert` is a text"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(
            fault(json!({"stream": "users"}))
                .contains("no stream \"users\": use event_report, user, detailed_shared_folder")
        );
        assert!(fault(json!({})).contains("`stream` is missing"));
        assert!(fault(json!({"stream": 5})).contains("`stream` is a number"));
        assert!(fault(json!([])).contains("a list, not a JSON object"));
        assert!(fault(json!({"action": "explode"})).contains("no action \"explode\""));
        assert!(fault(json!({"action": "reset", "stream": "user"})).contains("`to` is missing"));
        assert!(fault(json!({"action": "check", "stream": "user"})).contains("no field \"stream\" here"));
        assert!(fault(json!({"action": "setup", "retention": "forever"})).contains("365d"));
        let text = fault(json!({"action": "reset", "stream": "groups", "to": 7, "from": "2025-01-01"}));
        for part in
            ["no stream \"groups\"", "`to` is a number", "no field \"from\" here: use action, stream, to, account"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        let text = fault(json!({"action": "redrive", "to": "2025-01-01"}));
        for part in ["`stream` is missing", "no field \"to\" here"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let backwards =
            json!({"action": "backfill", "stream": "event_report", "from": "2025-01-02", "to": "2025-01-01"});
        assert!(fault(backwards).contains("is not before `to`"));
    }
}
