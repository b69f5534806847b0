//! The expected content of a complete copy, for comparison.

use jiff::Timestamp;

use crate::quirks::Quirks;
use crate::reporting::Records;
use crate::timeline::Timeline;

/// An event with its instant and its served record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TruthEvent {
    /// The instant in whole seconds.
    pub instant: Timestamp,
    /// Its local time `YYYY-MM-DD HH:MM:SS` in the API's zone.
    pub time: String,
    /// The record as served, in JSON.
    pub record: String,
    /// Whether a `reporting` request caused it.
    pub is_poll: bool,
}

/// Returns every event that the API has begun to show at `now`, oldest first. Ignores retention.
pub(crate) fn truth_events(timeline: &Timeline, quirks: &Quirks, now: Timestamp) -> Vec<TruthEvent> {
    let mut records = Records::new(quirks);
    let shown = timeline.all().iter().map(|placed| &placed.event).filter(|event| event.appears_at <= now);
    shown
        .map(|event| {
            let mut record = String::new();
            records.push(event, &mut record);
            TruthEvent { instant: event.instant, time: records.time(event), record, is_poll: event.is_poll }
        })
        .collect()
}
