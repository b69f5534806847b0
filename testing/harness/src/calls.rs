//! The outside calls of the functions of one installation: counted, noted, and met by faults.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use crate::Killer;
use crate::process::lock;

/// What a call goes to.
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
    /// Its number among all calls since the start or the last [`Calls::restart`], from 1.
    pub number: u64,
    /// What it goes to.
    pub system: System,
    /// LastPass: the command. AWS: the operation, such as `UpdateItem`. Elasticsearch: method and path, such as
    /// `POST /logs-lastpass.user-default/_bulk`.
    pub operation: String,
    /// What it carries; packed if the function packed it.
    pub body: Bytes,
}

/// A call and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRecord {
    /// See [`Call::number`].
    pub number: u64,
    /// See [`Call::system`].
    pub system: System,
    /// See [`Call::operation`].
    pub operation: String,
    /// The status that the function was answered with; `None` where it was not answered.
    pub status: Option<u16>,
    /// Whether a fault met it.
    pub fault: bool,
}

/// When in the course of a call something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the system hears of it.
    Before,
    /// When the system has done it, and before the function hears of that.
    After,
    /// In the middle of the answer's body.
    Inside,
}

/// An answer in the system's stead.
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
    /// JSON with this status.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        let body = body.to_string().into();
        Self { status, content_type: "application/json".to_owned(), headers: Vec::new(), body }
    }

    /// A web page with this status, as a proxy or a sign-in gives.
    #[must_use]
    pub fn html(status: u16) -> Self {
        let body = Bytes::from_static(b"<!DOCTYPE html><html><body><h1>Please sign in</h1></body></html>");
        Self { status, content_type: "text/html".to_owned(), headers: Vec::new(), body }
    }
}

/// Holds calls back until it is opened. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate {
    arrived: Arc<watch::Sender<u64>>,
    open: Arc<watch::Sender<bool>>,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn closed() -> Self {
        Self { arrived: Arc::new(watch::Sender::new(0)), open: Arc::new(watch::Sender::new(false)) }
    }

    /// Lets all calls through that wait, and those that come.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Waits until a call waits at it.
    pub async fn reached(&self) {
        // The sender lives as long as `self`.
        let _ = self.arrived.subscribe().wait_for(|arrived| *arrived > 0).await;
    }

    pub(crate) async fn pass(&self) {
        self.arrived.send_modify(|arrived| *arrived += 1);
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }
}

/// Answers by what a call carries.
pub type Reply = Arc<dyn Fn(&[u8]) -> Answer + Send + Sync>;

/// Changes an answer's body.
pub type Change = Arc<dyn Fn(Value) -> Value + Send + Sync>;

/// What a call meets.
#[derive(Clone)]
pub enum Fault {
    /// The function is killed with SIGKILL. Never answered.
    Kill(Killer, Moment),
    /// The connection is closed.
    Cut(Moment),
    /// Another answers; the system does not hear of it.
    Answer(Answer),
    /// The system answers, and its JSON is changed on the way.
    Change(Change),
    /// Another answers, by what the call carries; the system does not hear of it.
    Reply(Reply),
    /// The system hears of it this much later.
    Delay(Duration),
    /// The system hears of it when the gate is opened.
    Hold(Gate),
    /// The system has done it, and the answer never comes.
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

/// Which calls meet a fault.
#[derive(Clone)]
pub struct Rule {
    matches: Arc<dyn Fn(&Call) -> bool + Send + Sync>,
    skip: u64,
    times: u64,
    fault: Fault,
}

impl Rule {
    /// Every call for which this is true.
    #[must_use]
    pub fn when(matches: impl Fn(&Call) -> bool + Send + Sync + 'static, fault: Fault) -> Self {
        Self { matches: Arc::new(matches), skip: 0, times: u64::MAX, fault }
    }

    /// The call with this number.
    #[must_use]
    pub fn at(number: u64, fault: Fault) -> Self {
        Self::when(move |call| call.number == number, fault)
    }

    /// Every call to this system whose operation has this in it.
    #[must_use]
    pub fn on(system: System, operation: &str, fault: Fault) -> Self {
        let operation = operation.to_owned();
        Self::when(move |call| call.system == system && call.operation.contains(&operation), fault)
    }

    /// Not the first so many of them.
    #[must_use]
    pub fn after(self, skip: u64) -> Self {
        Self { skip, ..self }
    }

    /// At most so many of them.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self { times, ..self }
    }
}

/// All outside calls of an installation's functions, over all its proxies. Clones are the same.
#[derive(Clone, Default)]
pub struct Calls(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    count: u64,
    rules: Vec<Rule>,
    records: Vec<CallRecord>,
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calls({})", self.count())
    }
}

impl Calls {
    /// How many there were since the start or the last [`Calls::restart`].
    #[must_use]
    pub fn count(&self) -> u64 {
        lock(&self.0).count
    }

    /// All of them in the order in which they came.
    #[must_use]
    pub fn records(&self) -> Vec<CallRecord> {
        lock(&self.0).records.clone()
    }

    /// How many went to this system with this in their operation.
    #[must_use]
    pub fn count_of(&self, system: System, operation: &str) -> usize {
        let state = lock(&self.0);
        state.records.iter().filter(|call| call.system == system && call.operation.contains(operation)).count()
    }

    /// Counts from 1 again, and forgets the records. The rules stay.
    pub fn restart(&self) {
        let mut state = lock(&self.0);
        state.count = 0;
        state.records.clear();
    }

    /// Adds a rule behind those that are there. The first that meets a call decides.
    pub fn add(&self, rule: Rule) {
        lock(&self.0).rules.push(rule);
    }

    /// Drops all rules. A call that waits at a [`Gate`] keeps waiting.
    pub fn clear(&self) {
        lock(&self.0).rules.clear();
    }

    /// Numbers a call and decides what it meets.
    pub(crate) fn begin(&self, system: System, operation: String, body: Bytes) -> (u64, Option<Fault>) {
        let mut state = lock(&self.0);
        state.count += 1;
        let call = Call { number: state.count, system, operation, body };
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
