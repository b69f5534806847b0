//! Collects snapshots of users and of shared folders.
//!
//! A snapshot is identified by its `scheduled_time`, which is part of the `_id` of each of its documents. Reading the
//! same snapshot again therefore adds nothing. All its documents have the same `@timestamp`: when its first page was
//! read.
//!
//! Pages are addressed by index. If an entry is deleted while a snapshot is read, all later entries move up, and one of
//! them moves into a page that was already read. No response shows this. A snapshot of several pages is therefore read
//! in passes, until one pass finds the same entries as the pass before.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use super::{
    Session,
    changes::complete_snapshot,
    run::{Begun, Ended, Run},
    snapshot_kind::SnapshotKind,
};
use crate::{
    answer::RunAnswer,
    checkpoint::{Comparison, Key, SnapshotPosition, Unfinished},
    clock::now,
    document::Document,
    error::Error,
    lastpass::{
        paging::{PageOutcome, PageRequest, Paging},
        whole_seconds::CLOCK_TOLERANCE,
    },
    streams,
};

/// After this time an unfinished snapshot is abandoned for a newer one. Chosen: the default rate of the schedules.
const ABANDON_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// Maximum number of passes of a snapshot. Chosen: an account that changes all the time still gets a snapshot.
const MOST_PASSES: u32 = 10;
/// Represents a page without new entries in the running hash of the entry keys. No key equals it, because IDs are
/// numbers.
const REPEATS: &str = "\0repeats";

/// Reads a snapshot, after the unfinished snapshot of an earlier run.
///
/// # Errors
/// See [`super::collect`].
pub async fn collect_snapshot(
    session: &Session<'_>,
    kind: SnapshotKind,
    scheduled_time: Option<Timestamp>,
) -> Result<RunAnswer, Error> {
    let run = match Run::begin(session, Key::Stream(kind.stream())).await? {
        Begun::Run(run) => run,
        Begun::Busy(answer) => return Ok(answer),
    };
    let ended = run.work(run.read_snapshots(kind, scheduled_time)).await;
    run.end(ended, None).await
}

impl Run<'_> {
    async fn read_snapshots(&self, kind: SnapshotKind, scheduled_time: Option<Timestamp>) -> Result<Ended, Error> {
        let state = self.lease.state();
        let unfinished = match state.unfinished {
            Some(Unfinished::Snapshot(position)) => Some(position),
            Some(Unfinished::Window(_) | Unfinished::Redrive { .. }) | None => None,
        };
        let clock = now();
        let wanted = match (scheduled_time, unfinished) {
            (Some(scheduled_time), _) => not_ahead(scheduled_time, clock),
            (None, Some(unfinished)) => unfinished.scheduled_time,
            (None, None) => whole_minute(clock),
        };
        // Saved first: if the comparison fails or no page can be read, `resume` takes the snapshot before the next schedule.
        let unfinished = match unfinished {
            None if self.is_due(wanted) => Some(self.begin_snapshot(wanted).await?),
            other => other,
        };
        if state.comparison.as_ref().is_some_and(Comparison::is_pending)
            && self.compare(kind, wanted).await? == Ended::DeadlineCame
        {
            return Ok(Ended::DeadlineCame);
        }
        if let Some(unfinished) = unfinished {
            let is_abandoned = wanted.duration_since(unfinished.scheduled_time) >= ABANDON_AFTER;
            if is_abandoned {
                tracing::warn!(abandoned = %unfinished.scheduled_time, "an unfinished snapshot was abandoned for a \
                    newer one");
            } else if self.read_and_compare(kind, unfinished).await? == Ended::DeadlineCame {
                return Ok(Ended::DeadlineCame);
            }
        }
        if !self.is_due(wanted) {
            return Ok(Ended::Complete);
        }
        let begun = self.begin_snapshot(wanted).await?;
        self.read_and_compare(kind, begun).await
    }

    /// Returns whether a snapshot of this time adds anything. A repeated schedule, or one that is older than the newest
    /// snapshot, does not.
    fn is_due(&self, scheduled_time: Timestamp) -> bool {
        self.lease.state().watermark.is_none_or(|watermark| scheduled_time > watermark)
    }

    /// Saves that the snapshot of this time is to be read from its first page.
    async fn begin_snapshot(&self, scheduled_time: Timestamp) -> Result<SnapshotPosition, Error> {
        let begun = SnapshotPosition::begin(scheduled_time);
        self.save_snapshot(begun).await?;
        Ok(begun)
    }

    /// Reads a snapshot from its saved position, and compares it with the one before.
    async fn read_and_compare(&self, kind: SnapshotKind, position: SnapshotPosition) -> Result<Ended, Error> {
        match self.read_snapshot(kind, position).await? {
            Ended::Complete => self.compare(kind, position.scheduled_time).await,
            Ended::DeadlineCame => Ok(Ended::DeadlineCame),
        }
    }

    /// Reads a snapshot from its saved position.
    async fn read_snapshot(&self, kind: SnapshotKind, mut position: SnapshotPosition) -> Result<Ended, Error> {
        let mut delivered = HashSet::new();
        let mut paging = paging_from(kind, &position);
        loop {
            let page = match kind.fetch(self.session.lastpass, paging.next()).await {
                Err(error) if error.is_too_large() && paging.shrink() => {
                    let size = paging.next().size;
                    tracing::warn!(stream = %kind.stream(), size, "the page is too large; requesting smaller pages");
                    position = SnapshotPosition { page_index: 0, page_size: Some(size), read: 0, seen: 0, ..position };
                    self.save_snapshot(position).await?;
                    continue;
                }
                page => page?,
            };
            let timestamp = self.timestamp_of(&mut position).await?;
            let snapshot = streams::Snapshot { scheduled_time: position.scheduled_time, timestamp };
            position.total = page.total;
            let outcome = paging.take(page.entries.iter().map(|(key, _)| key.as_str()), page.total);
            position.seen = match outcome {
                // Makes the hash differ from that of every pass that continues after this page.
                PageOutcome::Repeats => extend_hash(position.seen, REPEATS),
                PageOutcome::Whole | PageOutcome::More | PageOutcome::End => {
                    page.entries.iter().fold(position.seen, |seen, (key, _)| extend_hash(seen, key))
                }
            };
            position.read = paging.read();
            let new: Vec<_> = page.entries.into_iter().filter(|(key, _)| delivered.insert(fingerprint(key))).collect();
            self.deliver(self.snapshot_documents(kind, &snapshot, &new), None).await?;
            self.progress.finish_page();
            let is_complete = match outcome {
                PageOutcome::Whole => true,
                // Without a total, only an empty page can follow once all entries of the previous pass were found again.
                PageOutcome::More => page.total.is_none() && position.is_confirmed(),
                PageOutcome::End | PageOutcome::Repeats => position.is_confirmed() || position.pass >= MOST_PASSES,
            };
            if is_complete {
                let mut state = self.lease.state();
                complete_snapshot(&mut state, &position, self.session.config.snapshot_changes);
                state.watermark = state.watermark.max(Some(position.scheduled_time));
                state.unfinished = None;
                self.save(state).await?;
                return Ok(Ended::Complete);
            }
            if outcome == PageOutcome::More {
                let PageRequest { size, index } = paging.next();
                (position.page_size, position.page_index) = (Some(size), index);
            } else {
                position = position.next_pass();
                paging = paging_from(kind, &position);
            }
            self.save_snapshot(position).await?;
            if self.session.is_nearly_over() {
                return Ok(Ended::DeadlineCame);
            }
        }
    }

    /// Returns the `@timestamp` of the snapshot. Sets it when the first page was read, and saves it before the first
    /// document is sent, because a run that takes over must use the same one.
    async fn timestamp_of(&self, position: &mut SnapshotPosition) -> Result<Timestamp, Error> {
        if let Some(timestamp) = position.timestamp {
            return Ok(timestamp);
        }
        let clock = now();
        position.timestamp = Some(clock);
        self.save_snapshot(*position).await?;
        Ok(clock)
    }

    /// Maps entries to documents, lazily.
    fn snapshot_documents(
        &self,
        kind: SnapshotKind,
        snapshot: &streams::Snapshot,
        entries: &[(String, String)],
    ) -> impl Iterator<Item = Document> {
        let clock = now();
        let stamps = streams::Stamps { created: clock, ingested: Some(clock) };
        let mapping = streams::SnapshotMapping::new(self.session.mapper, &stamps, kind.stream(), snapshot);
        entries.iter().flat_map(move |(key, record)| {
            let mut documents = kind.documents(&mapping, key, record);
            // A snapshot is never taken before its `scheduled_time`, which is part of each `_id`.
            documents.iter_mut().for_each(|document| document.since = Some(snapshot.scheduled_time));
            documents
        })
    }

    async fn save_snapshot(&self, position: SnapshotPosition) -> Result<(), Error> {
        let mut state = self.lease.state();
        state.unfinished = Some(Unfinished::Snapshot(position));
        self.save(state).await
    }
}

/// Returns the paging of a snapshot from its saved position.
fn paging_from(kind: SnapshotKind, position: &SnapshotPosition) -> Paging {
    let request = PageRequest { size: position.page_size.unwrap_or(kind.page_size()), index: position.page_index };
    Paging::from(request, position.read)
}

/// Extends the running hash of the entry keys.
///
/// The checkpoint stores the hash. If a version that computes it differently began a pass, the hash of that pass equals no
/// other, and the two passes after it confirm the snapshot.
fn extend_hash(seen: u64, key: &str) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(seen.to_be_bytes());
    hasher.update(key);
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hasher.finalize());
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// Returns two hashes that together identify an entry's key. The keys themselves would take several times the memory.
fn fingerprint(key: &str) -> (u64, u64) {
    (extend_hash(0, key), extend_hash(1, key))
}

/// Returns `scheduled_time`, or the clock's minute if it is ahead of the clock by more than the tolerance. Otherwise
/// every snapshot until that time would count as already taken.
fn not_ahead(scheduled_time: Timestamp, clock: Timestamp) -> Timestamp {
    if scheduled_time.duration_since(clock) <= CLOCK_TOLERANCE {
        return scheduled_time;
    }
    tracing::warn!(%scheduled_time, "`scheduled_time` is in the future; using the current time instead");
    whole_minute(clock)
}

/// Truncates an instant to the minute. Schedules run at whole minutes or later, and the minute identifies a snapshot
/// that was requested by hand.
fn whole_minute(instant: Timestamp) -> Timestamp {
    Timestamp::from_second(instant.as_second().div_euclid(60) * 60).unwrap_or(instant)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The checkpoint of an unfinished snapshot stores the hash.
    #[test]
    fn the_running_hash_never_changes() {
        let hash = ["1", "2", REPEATS].into_iter().fold(0, extend_hash);
        assert_eq!(hash, 4_194_743_943_121_777_502);
        assert_ne!(["1", "2"].into_iter().fold(0, extend_hash), ["2", "1"].into_iter().fold(0, extend_hash));
    }

    #[test]
    fn a_scheduled_time_far_ahead_of_the_clock_is_replaced() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let clock = at("2026-01-01T12:00:30Z");
        assert_eq!(not_ahead(at("2026-01-01T12:02:00Z"), clock), at("2026-01-01T12:02:00Z"));
        assert_eq!(not_ahead(at("2030-01-01T00:00:00Z"), clock), at("2026-01-01T12:00:00Z"));
    }
}
