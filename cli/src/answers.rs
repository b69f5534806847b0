//! The fields that the command line reads from the answers of the function and of the state machine.
//!
//! Fields that a later version adds are ignored. An answer of another form fails to parse. The caller then reports this or
//! prints the whole answer.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lastpass_elastic::document::Stream;
use serde::Deserialize;

/// The answer to `check`.
#[derive(Debug, Deserialize)]
pub struct CheckAnswer {
    pub checks: Vec<Check>,
}

#[derive(Debug, Deserialize)]
pub struct Check {
    pub name: String,
    pub status: String,
    pub message: String,
}

/// The answer to `status`.
#[derive(Debug, Deserialize)]
pub struct StatusAnswer {
    #[serde(flatten)]
    pub accounts: Accounts,
    /// Why checkpoints cannot be read.
    pub unreadable: Vec<String>,
    /// `None` if Elasticsearch was not queried.
    pub dead_letters: Option<u64>,
}

/// The accounts of a status: those of the stack, or the requested one.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Accounts {
    Several { accounts: BTreeMap<String, AccountStatus> },
    One(AccountStatus),
}

#[derive(Debug, Deserialize)]
pub struct AccountStatus {
    pub streams: BTreeMap<Stream, StreamStatus>,
    pub backfills: Vec<BackfillStatus>,
    pub redrives: Vec<RedriveStatus>,
}

#[derive(Debug, Deserialize)]
pub struct StreamStatus {
    pub watermark: Option<Timestamp>,
    pub lag_seconds: Option<i64>,
    pub last_run: Option<LastRun>,
}

#[derive(Debug, Deserialize)]
pub struct LastRun {
    pub finished_at: Timestamp,
    pub status: String,
    pub error_type: Option<String>,
    pub created: u64,
}

#[derive(Debug, Deserialize)]
pub struct BackfillStatus {
    pub from: Timestamp,
    pub to: Timestamp,
    pub status: String,
    /// The number of acknowledged events.
    pub events: u64,
    /// `None` for a range that is not split.
    pub slices: Option<SlicesStatus>,
    pub last_run: Option<LastRun>,
}

#[derive(Debug, Deserialize)]
pub struct SlicesStatus {
    pub total: u64,
    pub complete: u64,
    /// The slices that are in progress.
    pub unfinished: Vec<SliceStatus>,
}

#[derive(Debug, Deserialize)]
pub struct SliceStatus {
    pub from: Timestamp,
    pub to: Timestamp,
    /// The time down to which the slice is read.
    pub position: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
pub struct RedriveStatus {
    pub stream: Stream,
    pub position: Timestamp,
}

/// The output of the state machine.
#[derive(Debug, Deserialize)]
pub struct BackfillAnswer {
    pub status: String,
    pub slices: u64,
    pub fetched: u64,
    pub created: u64,
    pub duplicates: u64,
    pub dead_letters: u64,
    pub lastpass_requests: u64,
    pub failed: Vec<FailedSlice>,
}

#[derive(Debug, Deserialize)]
pub struct FailedSlice {
    pub from: Timestamp,
    pub to: Timestamp,
    pub error_type: Option<String>,
    pub message: Option<String>,
}
