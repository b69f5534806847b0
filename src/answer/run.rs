//! The answers of runs, and their parts.

use jiff::Timestamp;
use serde::Serialize;

use super::ChangesAnswer;
use crate::{counters::Counters, document::Stream, request::Window};

/// The end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Everything requested is in Elasticsearch.
    Complete,
    /// The deadline came first, or another run took over the lease. The progress is saved.
    Partial,
    /// Nothing was done.
    Skipped,
}

impl RunStatus {
    /// Returns the status as answers spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Skipped => "skipped",
        }
    }
}

/// The reason why a run did nothing, or ended early without having reached its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The secret still holds the template's placeholder, or the index templates are missing: store the credentials,
    /// and run `setup`. The log says which one is missing.
    SetupRequired,
    /// Another run holds the lease.
    LeaseHeld,
    /// Another run took over the lease during this run, and continues from the last checkpoint.
    LeaseLost,
    /// The backfill was completed before, and `skip_completed` is set.
    AlreadyComplete,
}

/// The answer to `plan`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanAnswer {
    /// The action.
    pub action: &'static str,
    /// The stream.
    pub stream: Stream,
    /// `partial` if the deadline came first. The same request continues the plan.
    pub status: RunStatus,
    /// Why the plan was skipped, or ended early for another reason than its deadline.
    pub reason: Option<Reason>,
    /// The range that is split.
    pub window: Window,
    /// The slices, newest first, without gaps or overlaps. If the plan is not complete, the slices so far.
    pub slices: Vec<Window>,
    /// Requests of this invocation to LastPass.
    pub lastpass_requests: u64,
    /// When the lease of the other run expires.
    pub lease_expires: Option<Timestamp>,
}

impl PlanAnswer {
    /// Builds the answer of a `run` that split `window` into the slices that begin at `starts`.
    #[must_use]
    pub fn new(run: RunAnswer, window: Window, starts: &[Timestamp]) -> Self {
        let RunAnswer { action, stream, status, reason, lastpass_requests, lease_expires, .. } = run;
        let slices = Window::slices(window.to, starts);
        Self { action, stream, status, reason, window, slices, lastpass_requests, lease_expires }
    }
}

/// The answer to `collect`, `backfill` and `redrive`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunAnswer {
    /// The action.
    pub action: &'static str,
    /// The stream.
    pub stream: Stream,
    /// How the run ended.
    pub status: RunStatus,
    /// Why the run was skipped, or ended early for another reason than its deadline.
    pub reason: Option<Reason>,
    /// The window of the event report without the overlap. `None` for snapshots and redrives.
    pub window: Option<Window>,
    /// The document counters of this invocation.
    #[serde(flatten)]
    pub counters: Counters,
    /// Requests of this invocation to LastPass.
    pub lastpass_requests: u64,
    /// Bulk requests of this invocation to Elasticsearch.
    pub bulk_requests: u64,
    /// The position of the stream after this run. For a redrive: when the dead letters at its position were refused.
    pub checkpoint: Option<Timestamp>,
    /// When the lease of the other run expires.
    pub lease_expires: Option<Timestamp>,
    /// Snapshots: the comparison of the last complete one with the one before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<Box<ChangesAnswer>>,
}

impl RunAnswer {
    /// Builds the answer of a run that did nothing.
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
            changes: None,
        }
    }
}

/// The answer to `resume`.
#[derive(Debug, Serialize)]
pub struct ResumeAnswer {
    /// The action.
    pub action: &'static str,
    /// `partial` if work is left.
    pub status: RunStatus,
    /// The answers of the continued work.
    pub resumed: Vec<RunAnswer>,
}

impl ResumeAnswer {
    /// Builds the answer after the continued work. `is_cut_short` if the deadline came before all of it.
    #[must_use]
    pub fn new(resumed: Vec<RunAnswer>, is_cut_short: bool) -> Self {
        let is_partial = is_cut_short || resumed.iter().any(|answer| answer.status == RunStatus::Partial);
        let status = if is_partial { RunStatus::Partial } else { RunStatus::Complete };
        Self { action: "resume", status, resumed }
    }
}

/// The answer to `reset`.
#[derive(Debug, Serialize)]
pub struct ResetAnswer {
    /// The action.
    pub action: &'static str,
    /// The stream.
    pub stream: Stream,
    /// `complete`, or `skipped` if a run is in progress.
    pub status: RunStatus,
    /// The watermark before the reset.
    pub before: Option<Timestamp>,
    /// The watermark after the reset.
    pub after: Option<Timestamp>,
    /// When the lease expires that prevents the reset.
    pub lease_expires: Option<Timestamp>,
    /// Explains the effect of the reset.
    pub message: String,
}

/// The answer to `setup`.
#[derive(Debug, Serialize)]
pub struct SetupAnswer {
    /// The action.
    pub action: &'static str,
    /// The status, always `complete`.
    pub status: RunStatus,
    /// The installed assets.
    pub installed: Vec<String>,
}

/// The answer to an action without a stream that did nothing.
#[derive(Debug, Serialize)]
pub struct SkippedAnswer {
    /// The action.
    pub action: &'static str,
    /// The status, always `skipped`.
    pub status: RunStatus,
    /// Why nothing was done.
    pub reason: Reason,
}
