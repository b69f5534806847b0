//! The actions of an invocation.

use jiff::Timestamp;
use serde::Serialize;

use crate::{document::Stream, elastic::SetupOptions};

/// The action of an invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Work on a stream.
    Work(Work),
    /// Install the index assets.
    Setup(SetupOptions),
    /// Check every system and permission.
    Check,
    /// Return the status of each stream.
    Status,
}

/// An action that needs a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Collect a stream up to now.
    Collect {
        /// The stream.
        stream: Stream,
        /// The time for which the run was scheduled.
        scheduled_time: Option<Timestamp>,
    },
    /// Backfill a range of the event report.
    Backfill(Backfill),
    /// Split a range of the event report into slices that can be backfilled in parallel.
    Plan(Window),
    /// Continue unfinished snapshots, backfills and redrives.
    Resume,
    /// Set the watermark of a stream, and confirm a changed destination.
    Reset {
        /// The stream.
        stream: Stream,
        /// The new watermark.
        to: Timestamp,
    },
    /// Deliver the dead letters of a stream again.
    Redrive {
        /// The stream.
        stream: Stream,
    },
}

/// A range of the event report to read, identified by its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backfill {
    /// The range.
    pub window: Window,
    /// Whether to skip the backfill if the same range was completed before.
    pub skip_completed: bool,
    /// Whether to set `event.ingested`, so that detection rules evaluate the documents.
    pub alert: bool,
}

impl Action {
    /// Returns the name of the action.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Work(work) => work.as_str(),
            Self::Setup(_) => "setup",
            Self::Check => "check",
            Self::Status => "status",
        }
    }

    /// Returns the stream of the action, if it has one.
    #[must_use]
    pub const fn stream(&self) -> Option<Stream> {
        match self {
            Self::Work(work) => work.stream(),
            Self::Setup(_) | Self::Check | Self::Status => None,
        }
    }
}

impl Work {
    /// Returns the name of the action.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Collect { .. } => "collect",
            Self::Backfill(_) => "backfill",
            Self::Plan(_) => "plan",
            Self::Resume => "resume",
            Self::Reset { .. } => "reset",
            Self::Redrive { .. } => "redrive",
        }
    }

    /// Returns the stream of the action, if it has one.
    #[must_use]
    pub const fn stream(self) -> Option<Stream> {
        match self {
            Self::Collect { stream, .. } | Self::Reset { stream, .. } | Self::Redrive { stream } => Some(stream),
            Self::Backfill(_) | Self::Plan(_) => Some(Stream::EventReport),
            Self::Resume => None,
        }
    }
}

/// A range of time with an exclusive end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Window {
    /// The first second.
    pub from: Timestamp,
    /// The end, exclusive.
    pub to: Timestamp,
}

impl Window {
    /// Returns the slices that begin at `starts`, newest first. The newest slice ends at `to`.
    #[must_use]
    pub fn slices(to: Timestamp, starts: &[Timestamp]) -> Vec<Self> {
        let ends = std::iter::once(to).chain(starts.iter().copied());
        starts.iter().zip(ends).map(|(from, to)| Self { from: *from, to }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time of the test")
    }

    #[test]
    fn slices_follow_one_another() {
        let [from, middle, end] = ["2025-06-01T00:00:00Z", "2025-06-21T00:00:00Z", "2025-07-01T00:00:00Z"].map(at);
        let slices = [Window { from: middle, to: end }, Window { from, to: middle }];
        assert_eq!(Window::slices(end, &[middle, from]), slices);
        assert_eq!(Window::slices(end, &[]), []);
    }
}
