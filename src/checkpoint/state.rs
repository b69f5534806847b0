//! The state that a run saves for the next one.

use jiff::Timestamp;
use serde::Serialize;

use super::{Comparison, CompleteSnapshot, Key};
use crate::counters::Counters;

/// The state that a run saves for the next one: positions, never lists of IDs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// Event report: everything before it is acknowledged. Snapshot: the `scheduled_time` of the last complete one.
    /// Backfill: the end of the range that was read, which is earlier than the requested end if that was in the future.
    pub watermark: Option<Timestamp>,
    /// Work that a deadline interrupted.
    pub unfinished: Option<Unfinished>,
    /// When the last 26 hours were last read again for late events.
    pub reread_at: Option<Timestamp>,
    /// Event report: the requests whose own events had not appeared yet, oldest first, as the times when each was sent and
    /// answered. Once the events appear, they show whether the zone setting is correct.
    pub zone_polls: Vec<(Timestamp, Timestamp)>,
    /// How the last run ended.
    pub last_run: Option<LastRun>,
    /// Backfill, plan, redrive: whether nothing is left to do.
    pub complete: bool,
    /// Backfill, redrive: how many events are acknowledged.
    pub events: u64,
    /// Snapshot: the last complete one.
    pub snapshot: Option<CompleteSnapshot>,
    /// Snapshot: its comparison with the one before. `None` if it is the first, or if changes are switched off.
    pub comparison: Option<Comparison>,
    /// Plan: the beginning of each slice, newest first. A slice ends where the previous one begins.
    pub slice_starts: Vec<Timestamp>,
}

impl State {
    /// Returns the position of `key` that answers show: the watermark, how far back a backfill has read or a plan has
    /// split its range, or the position of an unfinished redrive.
    #[must_use]
    pub fn reached(&self, key: Key) -> Option<Timestamp> {
        match (key, self.unfinished) {
            (Key::Backfill(window), None) => self.complete.then_some(window.from),
            (Key::Backfill(_), Some(Unfinished::Window(WindowPosition { position, .. })))
            | (Key::Redrive(_), Some(Unfinished::Redrive { position })) => Some(position),
            (Key::Stream(_), _) => self.watermark,
            (Key::Plan(_), _) => self.slice_starts.last().copied(),
            (Key::Backfill(_), Some(Unfinished::Snapshot(_) | Unfinished::Redrive { .. }))
            | (Key::Redrive(_), Some(Unfinished::Window(_) | Unfinished::Snapshot(_)) | None) => None,
        }
    }

    /// Returns whether a page was acknowledged. From then on, the item of `key` is valid for its destination only.
    /// Before that, it only records attempts, and any other destination may take over.
    #[must_use]
    pub fn is_bound(&self, key: Key) -> bool {
        let has_position = match (key, self.unfinished) {
            // This window is saved before the first page is read.
            (Key::Backfill(_), Some(Unfinished::Window(window))) => window.position < window.to,
            // This window is saved only after a page.
            (_, Some(Unfinished::Window(_))) => true,
            (_, Some(Unfinished::Snapshot(position))) => !position.is_at_beginning(),
            (_, Some(Unfinished::Redrive { .. }) | None) => false,
        };
        match key {
            // The slices describe the data in LastPass. The delivery of their events has its own items.
            Key::Plan(_) => false,
            Key::Redrive(_) => self.events > 0,
            Key::Stream(_) | Key::Backfill(_) => {
                has_position || self.watermark.is_some() || self.complete || self.events > 0
            }
        }
    }

    /// Returns the initial state of an unbound item for another destination. Keeps only the `scheduled_time` of an
    /// unfinished snapshot.
    #[must_use]
    pub fn restarted(&self) -> Self {
        let unfinished = match self.unfinished {
            Some(Unfinished::Snapshot(SnapshotPosition { scheduled_time, .. })) => {
                Some(Unfinished::Snapshot(SnapshotPosition::begin(scheduled_time)))
            }
            Some(Unfinished::Window(_) | Unfinished::Redrive { .. }) | None => None,
        };
        Self { unfinished, ..Self::default() }
    }
}

/// Work that a deadline interrupted, and the position where it continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfinished {
    /// A window of the event report, read from its end to its start.
    Window(WindowPosition),
    /// A snapshot, read page by page.
    Snapshot(SnapshotPosition),
    /// A redrive, which delivers the oldest dead letters first.
    Redrive {
        /// When the most recently delivered dead letters were refused. Others of the same instant may be left.
        position: Timestamp,
    },
}

/// The position in a window of the event report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowPosition {
    /// The beginning of the window.
    pub from: Timestamp,
    /// The end of the window, exclusive.
    pub to: Timestamp,
    /// Everything from `position` on is acknowledged.
    pub position: Timestamp,
    /// Whether detection rules evaluate the documents (`event.ingested`).
    pub alert: bool,
}

/// The position in a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotPosition {
    /// The time that identifies the snapshot.
    pub scheduled_time: Timestamp,
    /// The `@timestamp` of all its documents: when its first page was read. `None` before the first page.
    pub timestamp: Option<Timestamp>,
    /// The pass in progress, from 1. A snapshot of several pages is read until two passes agree.
    pub pass: u32,
    /// The next page of the pass.
    pub page_index: u32,
    /// The number of entries per page. `None` before the first page.
    pub page_size: Option<u32>,
    /// How many entries the pass has read.
    pub read: u64,
    /// The total that the last page stated.
    pub total: Option<u64>,
    /// The running hash of the entry keys of the pass, in their order.
    pub seen: u64,
    /// The final hash of the previous pass.
    pub seen_before: Option<u64>,
}

impl SnapshotPosition {
    /// Returns the beginning of the snapshot of `scheduled_time`.
    #[must_use]
    pub const fn begin(scheduled_time: Timestamp) -> Self {
        let (timestamp, page_size, total, seen_before) = (None, None, None, None);
        Self { scheduled_time, timestamp, pass: 1, page_index: 0, page_size, read: 0, total, seen: 0, seen_before }
    }

    /// Returns the beginning of another pass over the same snapshot.
    #[must_use]
    pub const fn next_pass(self) -> Self {
        let Self { scheduled_time, timestamp, pass, page_size, total, seen, .. } = self;
        let begin = Self::begin(scheduled_time);
        Self { pass: pass + 1, page_size, total, seen_before: Some(seen), timestamp, ..begin }
    }

    /// Returns whether no page was acknowledged. The first page may have been read, because that sets only the
    /// `timestamp`.
    #[must_use]
    pub fn is_at_beginning(&self) -> bool {
        *self == Self { timestamp: self.timestamp, ..Self::begin(self.scheduled_time) }
    }

    /// Returns whether this pass has found the same entries as the previous one.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.seen_before == Some(self.seen)
    }
}

/// The end of a run, as `status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastRun {
    /// When the run ended.
    pub finished_at: Timestamp,
    /// The `status` of the answer, or `failed` if the run ended with an error.
    pub status: String,
    /// The type of the error, if the run failed.
    pub error_type: Option<String>,
    /// The Lambda request ID.
    pub request_id: String,
    /// The document counters of the run.
    #[serde(flatten)]
    pub counters: Counters,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{document::Stream, request::Window};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_item_is_bound_once_a_page_was_acknowledged() {
        let (from, to) = (at("2024-01-01T00:00:00Z"), at("2024-02-01T00:00:00Z"));
        let (live, users) = (Key::Stream(Stream::EventReport), Key::Stream(Stream::User));
        let backfill = Key::Backfill(Window { from, to });
        let plan = Key::Plan(Window { from, to });
        let redrive = Key::Redrive(Stream::User);
        let window = |position| Unfinished::Window(WindowPosition { from, to, position, alert: false });
        let begun = SnapshotPosition::begin(from);
        let unfinished = |unfinished| State { unfinished: Some(unfinished), ..State::default() };
        let snapshot = |position| unfinished(Unfinished::Snapshot(position));
        let nothing = State::default();
        let ran = State {
            last_run: Some(LastRun {
                finished_at: to,
                status: "failed".to_owned(),
                error_type: None,
                request_id: String::new(),
                counters: Counters { fetched: 7, created: 7, ..Counters::default() },
            }),
            ..State::default()
        };
        for (key, state) in [
            (live, nothing.clone()),
            (live, ran),
            (users, snapshot(begun)),
            (users, snapshot(SnapshotPosition { timestamp: Some(to), ..begun })),
            (backfill, unfinished(window(to))),
            (plan, State { slice_starts: vec![from], complete: true, ..nothing.clone() }),
            (redrive, unfinished(Unfinished::Redrive { position: from })),
            (redrive, State { complete: true, ..nothing.clone() }),
        ] {
            assert!(!state.is_bound(key), "{key} {state:?}");
        }
        for (key, state) in [
            (live, State { watermark: Some(to), ..nothing.clone() }),
            (live, unfinished(window(to))),
            (users, snapshot(SnapshotPosition { page_index: 1, read: 2, ..begun })),
            (users, snapshot(begun.next_pass())),
            (backfill, unfinished(window(from))),
            // Events without a readable time do not move the position.
            (backfill, State { events: 1, ..unfinished(window(to)) }),
            (redrive, State { events: 1, ..unfinished(Unfinished::Redrive { position: from }) }),
        ] {
            assert!(state.is_bound(key), "{key} {state:?}");
        }
    }

    #[test]
    fn a_restart_for_another_destination_keeps_the_due_snapshot() {
        let scheduled_time = at("2024-01-01T00:00:00Z");
        let tried =
            SnapshotPosition { timestamp: Some(at("2024-01-01T00:00:09Z")), ..SnapshotPosition::begin(scheduled_time) };
        let state = State { unfinished: Some(Unfinished::Snapshot(tried)), ..State::default() };
        let restarted = Some(Unfinished::Snapshot(SnapshotPosition::begin(scheduled_time)));
        assert_eq!(state.restarted(), State { unfinished: restarted, ..State::default() });
    }
}
