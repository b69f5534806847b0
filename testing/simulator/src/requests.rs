//! The recorded requests and responses. Provisioning hashes are never stored.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::faults::Fault;

/// One request without its credentials.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RequestRecord {
    /// Its number, from 1.
    pub number: u64,
    /// When it arrived, by the simulator's clock.
    pub at: Timestamp,
    /// `cmd` as sent. Empty if absent.
    pub command: String,
    /// `data` as sent.
    pub data: Value,
    /// The response.
    pub answered: Answered,
    /// Delay by faults, in milliseconds.
    pub delayed_ms: u64,
}

/// The kind of response to a request.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answered {
    /// A page of records.
    Page {
        /// The number of events, users or folders in it.
        records: usize,
        /// Whether more records follow.
        more: bool,
    },
    /// A logical error.
    Refused {
        /// Its text.
        reason: String,
    },
    /// A planned fault.
    Fault(Fault),
}
