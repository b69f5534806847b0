//! The part of answers about the changes between two snapshots.

use jiff::Timestamp;
use serde::Serialize;

use crate::checkpoint::{Comparison, ComparisonProgress, State};

/// The comparison of the last complete snapshot with the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangesAnswer {
    /// The `scheduled_time` of the snapshot before. `None` if it is not known.
    pub from: Option<Timestamp>,
    /// The `scheduled_time` of the snapshot that is compared with it.
    pub to: Timestamp,
    /// `complete`, `unfinished`, or `skipped` if the two cannot be compared.
    pub status: &'static str,
    /// Why they cannot be compared.
    pub reason: Option<&'static str>,
    /// How many changes are in Elasticsearch, of all runs of this comparison.
    pub changes: u64,
}

impl ChangesAnswer {
    /// Returns the comparison in the state of a stream. `None` if there is none.
    #[must_use]
    pub fn of(state: &State) -> Option<Self> {
        let Comparison { previous, progress, changes } = state.comparison.as_ref()?;
        let (status, reason) = match progress {
            ComparisonProgress::After(_) => ("unfinished", None),
            ComparisonProgress::Complete => ("complete", None),
            ComparisonProgress::Skipped(reason) => ("skipped", Some(reason.as_str())),
        };
        let from = previous.map(|snapshot| snapshot.scheduled_time);
        Some(Self { from, to: state.snapshot?.scheduled_time, status, reason, changes: *changes })
    }
}
