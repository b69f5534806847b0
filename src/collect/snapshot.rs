//! Snapshots of users and of shared folders.
//!
//! A snapshot is known by its `scheduled_time`, which is in the `_id` of each of its documents: read again, it adds
//! nothing. All its documents have the `@timestamp` at which its first page was read.
//!
//! Pages go by index, so when an entry goes while they are read, all behind it move on, and one of them slips past the
//! reader into a page that was read already. Nothing in an answer tells. So what takes more than one page is read in
//! passes, until one pass finds the entries as the pass before found them.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::atomic::Ordering,
};

use jiff::{SignedDuration, Timestamp};

use super::{Begun, Ended, Run, Session, now};
use crate::{
    checkpoint::{Key, SnapshotPosition, Unfinished},
    document::{Document, Stream},
    error::Error,
    lastpass::whole_seconds::CLOCK_TOLERANCE,
    request::RunAnswer,
    streams::{self, detailed_shared_folder, user},
};

/// After this long an unfinished snapshot is given up for a newer one. Chosen: the default rate of the schedules.
const GIVE_UP_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// How often at most a snapshot is read. Chosen: an account that never holds still gets a snapshot all the same.
const MOST_PASSES: u32 = 10;

/// One page's documents, and what it says of the whole.
struct SnapshotPage {
    entries: Vec<(String, String)>,
    total: Option<u64>,
    is_last: bool,
}

/// Reads a snapshot, after one that an earlier run left.
///
/// # Errors
/// See [`super::collect`].
pub async fn collect_snapshot(
    session: &Session<'_>,
    stream: Stream,
    scheduled_time: Option<Timestamp>,
) -> Result<RunAnswer, Error> {
    let run = match Run::begin(session, "collect", Key::Stream(stream)).await? {
        Begun::Run(run) => run,
        Begun::Busy(answer) => return Ok(answer),
    };
    let ended = run.work(run.read_snapshots(stream, scheduled_time)).await;
    run.end(ended, None).await
}

impl Run<'_> {
    async fn read_snapshots(&self, stream: Stream, scheduled_time: Option<Timestamp>) -> Result<Ended, Error> {
        let state = self.lease.state();
        let unfinished = match state.unfinished {
            Some(Unfinished::Snapshot(position)) => Some(position),
            Some(Unfinished::Window { .. } | Unfinished::Redrive { .. }) | None => None,
        };
        let clock = now();
        let wanted = match (scheduled_time, unfinished) {
            (Some(scheduled_time), _) => not_ahead(scheduled_time, clock),
            (None, Some(unfinished)) => unfinished.scheduled_time,
            (None, None) => whole_minute(clock),
        };
        if let Some(unfinished) = unfinished {
            let is_given_up = wanted.duration_since(unfinished.scheduled_time) >= GIVE_UP_AFTER;
            if is_given_up {
                tracing::warn!(given_up = %unfinished.scheduled_time, "an unfinished snapshot was given up for a newer one");
            } else if self.read_snapshot(stream, unfinished).await? == Ended::DeadlineCame {
                return Ok(Ended::DeadlineCame);
            }
        }
        // A repetition, or one that comes after a newer snapshot, adds nothing.
        if self.lease.state().watermark.is_some_and(|watermark| wanted <= watermark) {
            return Ok(Ended::Complete);
        }
        let begun = SnapshotPosition::begin(wanted);
        // Before the first page: where none comes, `resume` tries again, and not only the next day's schedule.
        self.save_snapshot(begun).await?;
        self.read_snapshot(stream, begun).await
    }

    /// Reads a snapshot from where it was left.
    async fn read_snapshot(&self, stream: Stream, mut position: SnapshotPosition) -> Result<Ended, Error> {
        let mut delivered = HashSet::new();
        loop {
            let page = self.fetch_page(stream, &position).await?;
            self.progress.pages.fetch_add(1, Ordering::Relaxed);
            let timestamp = match position.timestamp {
                Some(timestamp) => timestamp,
                None => {
                    let clock = now();
                    position.timestamp = Some(clock);
                    // Before the first document is sent: a run that takes over has to use the same `@timestamp`.
                    self.save_snapshot(position).await?;
                    clock
                }
            };
            let snapshot = streams::Snapshot { scheduled_time: position.scheduled_time, timestamp };
            position.total = page.total;
            position.read += page.entries.len() as u64;
            position.seen = page.entries.iter().fold(position.seen, |seen, (key, _)| chain(seen, key));
            let new: Vec<_> = page.entries.into_iter().filter(|(key, _)| delivered.insert(key.clone())).collect();
            self.deliver(self.snapshot_documents(stream, &snapshot, &new), None).await?;
            if !page.is_last {
                position.page_index += 1;
            } else if position.page_index == 0 || position.is_confirmed() || position.pass >= MOST_PASSES {
                let mut state = self.lease.state();
                state.watermark = state.watermark.max(Some(position.scheduled_time));
                state.unfinished = None;
                self.save(state).await?;
                return Ok(Ended::Complete);
            } else {
                position = position.next_pass();
            }
            self.save_snapshot(position).await?;
            if self.session.is_nearly_over() {
                return Ok(Ended::DeadlineCame);
            }
        }
    }

    async fn fetch_page(&self, stream: Stream, position: &SnapshotPosition) -> Result<SnapshotPage, Error> {
        let SnapshotPosition { page_index, read, .. } = *position;
        let (lastpass, deadline) = (self.session.lastpass, self.session.deadline);
        if stream == Stream::User {
            let page = lastpass.fetch_users(page_index, deadline).await?;
            let is_last = page.is_last(read + page.users.len() as u64);
            Ok(SnapshotPage { is_last, total: page.total, entries: page.users })
        } else {
            let page = lastpass.fetch_folders(page_index, deadline).await?;
            Ok(SnapshotPage { is_last: page.is_last(), total: None, entries: page.folders })
        }
    }

    fn snapshot_documents(
        &self,
        stream: Stream,
        snapshot: &streams::Snapshot,
        entries: &[(String, String)],
    ) -> Vec<Document> {
        let clock = now();
        let reading = streams::Reading { created: clock, ingested: Some(clock) };
        let mapper = self.session.mapper;
        let mut documents: Vec<Document> = if stream == Stream::User {
            entries.iter().map(|(key, record)| user::document(mapper, &reading, snapshot, key, record)).collect()
        } else {
            entries
                .iter()
                .flat_map(|(key, record)| detailed_shared_folder::documents(mapper, &reading, snapshot, key, record))
                .collect()
        };
        // No snapshot is taken before its time, which is a part of each `_id`.
        documents.iter_mut().for_each(|document| document.since = Some(snapshot.scheduled_time));
        documents
    }

    async fn save_snapshot(&self, position: SnapshotPosition) -> Result<(), Error> {
        let mut state = self.lease.state();
        state.unfinished = Some(Unfinished::Snapshot(position));
        self.save(state).await
    }
}

/// What a row of entries comes to with one more of them.
fn chain(seen: u64, key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seen, key).hash(&mut hasher);
    hasher.finish()
}

/// `scheduled_time`, unless it lies ahead of the clock for more than clocks are off: every snapshot until then would
/// pass for one that was taken already.
fn not_ahead(scheduled_time: Timestamp, clock: Timestamp) -> Timestamp {
    if scheduled_time.duration_since(clock) <= CLOCK_TOLERANCE {
        return scheduled_time;
    }
    tracing::warn!(%scheduled_time, "`scheduled_time` lies in the future; taking the clock");
    whole_minute(clock)
}

/// Schedules run at whole minutes or later; a snapshot asked for by hand is known by its minute.
fn whole_minute(instant: Timestamp) -> Timestamp {
    Timestamp::from_second(instant.as_second().div_euclid(60) * 60).unwrap_or(instant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheduled_time_far_ahead_of_the_clock_is_not_taken() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let clock = at("2026-01-01T12:00:30Z");
        assert_eq!(not_ahead(at("2026-01-01T12:02:00Z"), clock), at("2026-01-01T12:02:00Z"));
        assert_eq!(not_ahead(at("2030-01-01T00:00:00Z"), clock), at("2026-01-01T12:00:00Z"));
    }
}
