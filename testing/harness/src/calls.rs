//! The outside calls of the functions of one installation: counts them, records them and injects faults.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use crate::Killer;
use crate::process::lock;

/// The system that a call goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum System {
    /// The simulator.
    LastPass,
    /// The cluster.
    Elasticsearch,
    /// The emulator's Secrets Manager.
    SecretsManager,
    /// The emulator's DynamoDB.
    DynamoDb,
}

/// One call, as a rule sees it.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its number among all calls since the start or the last [`Calls::clear_records`], from 1.
    pub number: u64,
    /// The system that it goes to.
    pub system: System,
    /// LastPass: the command. AWS: the operation, such as `UpdateItem`. Elasticsearch: method and path, such as
    /// `POST /logs-lastpass.user-default/_bulk`.
    pub operation: String,
    /// The request body, compressed if the function compressed it.
    pub body: Bytes,
}

/// A call and its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRecord {
    /// See [`Call::number`].
    pub number: u64,
    /// See [`Call::system`].
    pub system: System,
    /// See [`Call::operation`].
    pub operation: String,
    /// The status that the function received. `None` if it received no response.
    pub status: Option<u16>,
    /// Whether a fault applied to it.
    pub fault: bool,
}

/// The moment of a call at which a fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the system receives the request.
    Before,
    /// After the system has processed the request, before the function receives the response.
    After,
    /// In the middle of the response body.
    Inside,
}

/// A response that the proxy sends instead of the system.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: String,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// Returns a JSON response with this status.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        let body = body.to_string().into();
        Self { status, content_type: "application/json".to_owned(), headers: Vec::new(), body }
    }

    /// Returns an HTML response with this status, as a proxy or a sign-in page sends it.
    #[must_use]
    pub fn html(status: u16) -> Self {
        let body = Bytes::from_static(b"<!DOCTYPE html><html><body><h1>Please sign in</h1></body></html>");
        Self { status, content_type: "text/html".to_owned(), headers: Vec::new(), body }
    }
}

/// Holds calls back until it is opened. Clones share the same gate.
#[derive(Debug, Clone)]
pub struct Gate {
    arrived: Arc<watch::Sender<u64>>,
    open: Arc<watch::Sender<bool>>,
}

impl Gate {
    /// Returns a closed gate.
    #[must_use]
    pub fn closed() -> Self {
        Self { arrived: Arc::new(watch::Sender::new(0)), open: Arc::new(watch::Sender::new(false)) }
    }

    /// Lets all waiting and all later calls through.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Waits until a call waits at the gate.
    pub async fn reached(&self) {
        // The sender lives as long as `self`.
        let _ = self.arrived.subscribe().wait_for(|arrived| *arrived > 0).await;
    }

    pub(crate) async fn pass(&self) {
        self.arrived.send_modify(|arrived| *arrived += 1);
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }
}

/// Computes a response from the request body.
pub type Reply = Arc<dyn Fn(&[u8]) -> Answer + Send + Sync>;

/// Changes the body of a response.
pub type Change = Arc<dyn Fn(Value) -> Value + Send + Sync>;

/// A fault that a call meets.
#[derive(Clone)]
pub enum Fault {
    /// Kills the function with SIGKILL. The call gets no response.
    Kill(Killer, Moment),
    /// Closes the connection.
    Cut(Moment),
    /// Sends this response. The system does not receive the request.
    Answer(Answer),
    /// Changes the JSON of the system's response.
    Change(Change),
    /// Sends a response computed from the request. The system does not receive the request.
    Reply(Reply),
    /// Forwards the request after this delay.
    Delay(Duration),
    /// Forwards the request when the gate is opened.
    Hold(Gate),
    /// The system processes the request, but the function never receives the response.
    Silence,
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(_, moment) => write!(f, "Kill({moment:?})"),
            Self::Cut(moment) => write!(f, "Cut({moment:?})"),
            Self::Answer(answer) => write!(f, "Answer({})", answer.status),
            Self::Change(_) => f.write_str("Change"),
            Self::Reply(_) => f.write_str("Reply"),
            Self::Delay(delay) => write!(f, "Delay({delay:?})"),
            Self::Hold(_) => f.write_str("Hold"),
            Self::Silence => f.write_str("Silence"),
        }
    }
}

/// A fault and the calls that meet it.
#[derive(Clone)]
pub struct Rule {
    matches: Arc<dyn Fn(&Call) -> bool + Send + Sync>,
    skip: u64,
    times: u64,
    fault: Fault,
}

impl Rule {
    /// Matches every call for which this returns true.
    #[must_use]
    pub fn when(matches: impl Fn(&Call) -> bool + Send + Sync + 'static, fault: Fault) -> Self {
        Self { matches: Arc::new(matches), skip: 0, times: u64::MAX, fault }
    }

    /// Matches the call with this number.
    #[must_use]
    pub fn at(number: u64, fault: Fault) -> Self {
        Self::when(move |call| call.number == number, fault)
    }

    /// Matches every call to this system whose operation contains this text.
    #[must_use]
    pub fn on(system: System, operation: &str, fault: Fault) -> Self {
        let operation = operation.to_owned();
        Self::when(move |call| call.system == system && call.operation.contains(&operation), fault)
    }

    /// Skips this many matching calls first.
    #[must_use]
    pub fn after(self, skip: u64) -> Self {
        Self { skip, ..self }
    }

    /// Limits the fault to this many calls.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self { times, ..self }
    }
}

/// All outside calls of an installation's functions, through all its proxies. Clones share the same calls.
#[derive(Clone, Default)]
pub struct Calls(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    count: u64,
    rules: Vec<Rule>,
    records: Vec<CallRecord>,
    stale_reads: Vec<String>,
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calls({})", self.count())
    }
}

impl Calls {
    /// Returns the number of calls since the start or the last [`Calls::clear_records`].
    #[must_use]
    pub fn count(&self) -> u64 {
        lock(&self.0).count
    }

    /// Returns all calls in order of arrival.
    #[must_use]
    pub fn records(&self) -> Vec<CallRecord> {
        lock(&self.0).records.clone()
    }

    /// Returns the number of calls to this system whose operation contains this text.
    #[must_use]
    pub fn count_of(&self, system: System, operation: &str) -> usize {
        let state = lock(&self.0);
        state.records.iter().filter(|call| call.system == system && call.operation.contains(operation)).count()
    }

    /// Returns the reads of DynamoDB that did not request a consistent result. The emulator is always consistent; DynamoDB
    /// could return an expired lease or an old watermark.
    #[must_use]
    pub fn stale_reads(&self) -> Vec<String> {
        lock(&self.0).stale_reads.clone()
    }

    /// Counts from 1 again and clears the records. The rules remain.
    pub fn clear_records(&self) {
        let mut state = lock(&self.0);
        state.count = 0;
        state.records.clear();
    }

    /// Adds a rule after the existing ones. The first rule that matches a call applies.
    pub fn add(&self, rule: Rule) {
        lock(&self.0).rules.push(rule);
    }

    /// Removes all rules. A call that waits at a [`Gate`] keeps waiting.
    pub fn clear(&self) {
        lock(&self.0).rules.clear();
    }

    /// Numbers a call and returns the fault that it meets.
    pub(crate) fn begin(&self, system: System, operation: String, body: Bytes) -> (u64, Option<Fault>) {
        let mut state = lock(&self.0);
        state.count += 1;
        let call = Call { number: state.count, system, operation, body };
        if call.system == System::DynamoDb && may_be_stale(&call) {
            state.stale_reads.push(format!("{} without ConsistentRead", call.operation));
        }
        let mut met = None;
        for rule in &mut state.rules {
            if rule.times == 0 || !(rule.matches)(&call) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            rule.times -= 1;
            met = Some(rule.fault.clone());
            break;
        }
        let Call { number, system, operation, .. } = call;
        state.records.push(CallRecord { number, system, operation, status: None, fault: met.is_some() });
        (number, met)
    }

    pub(crate) fn answered(&self, number: u64, status: u16) {
        if let Some(record) = lock(&self.0).records.iter_mut().rev().find(|record| record.number == number) {
            record.status = Some(status);
        }
    }
}

/// Returns whether a call to DynamoDB reads items and does not request a consistent result for each of them.
fn may_be_stale(call: &Call) -> bool {
    let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let is_stale = |read: &Value| read["ConsistentRead"] != true;
    match call.operation.as_str() {
        "GetItem" | "Scan" | "Query" => is_stale(&body),
        "BatchGetItem" => body["RequestItems"].as_object().is_none_or(|tables| tables.values().any(is_stale)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_that_may_be_stale_are_recorded() {
        let calls = Calls::default();
        let reads = [
            ("GetItem", json!({"ConsistentRead": true})),
            ("GetItem", json!({"ConsistentRead": false})),
            ("Scan", json!({"TableName": "t"})),
            ("BatchGetItem", json!({"RequestItems": {"t": {"ConsistentRead": true}}})),
            ("BatchGetItem", json!({"RequestItems": {"t": {"ConsistentRead": true}, "u": {}}})),
            ("UpdateItem", json!({})),
        ];
        for (operation, body) in reads {
            calls.begin(System::DynamoDb, operation.to_owned(), body.to_string().into());
        }
        let stale = ["GetItem", "Scan", "BatchGetItem"].map(|operation| format!("{operation} without ConsistentRead"));
        assert_eq!(calls.stale_reads(), stale);
    }
}
