//! Snapshots of users and of shared folders.
//!
//! A snapshot is known by its `scheduled_time`, which is in the `_id` of each of its documents: read again, it adds
//! nothing. All its documents have the `@timestamp` at which its first page was read.
//!
//! Pages go by index, so when an entry goes while they are read, all behind it move on, and one of them slips past the
//! reader into a page that was read already. Nothing in an answer tells. So what does not come whole in one answer is read
//! in passes, until one pass finds the entries as the pass before found them.

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
    lastpass::{
        self, folders,
        paging::{PageRequest, Paging, Reach},
        users,
        whole_seconds::CLOCK_TOLERANCE,
    },
    request::RunAnswer,
    streams::{self, detailed_shared_folder, user},
};

/// After this long an unfinished snapshot is given up for a newer one. Chosen: the default rate of the schedules.
const GIVE_UP_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// How often at most a snapshot is read. Chosen: an account that never holds still gets a snapshot all the same.
const MOST_PASSES: u32 = 10;
/// Stands in a row of entries for a page that brought nothing new. No entry has it as its key: ids are numbers.
const REPEATS: &str = "\0repeats";

/// One page's documents, and what it says of the whole.
struct SnapshotPage {
    entries: Vec<(String, String)>,
    total: Option<u64>,
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
        let mut paging = paging_from(stream, &position);
        loop {
            let page = match self.fetch_page(stream, paging.next()).await {
                Err(error) if error.is_too_large() && paging.shrink() => {
                    tracing::warn!(%stream, size = paging.next().size, "a page is too large; pages of fewer entries are asked for");
                    let (page_size, seen_before) = (Some(paging.next().size), position.seen_before);
                    position = SnapshotPosition { page_index: 0, page_size, read: 0, seen: 0, seen_before, ..position };
                    self.save_snapshot(position).await?;
                    continue;
                }
                page => page?,
            };
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
            let reach = paging.take(page.entries.iter().map(|(key, _)| key.as_str()), page.total);
            position.seen = match reach {
                // No pass that goes on behind this page has come to the same.
                Reach::Repeats => chain(position.seen, REPEATS),
                Reach::Whole | Reach::More | Reach::End => {
                    page.entries.iter().fold(position.seen, |seen, (key, _)| chain(seen, key))
                }
            };
            position.read = paging.read();
            let new: Vec<_> = page.entries.into_iter().filter(|(key, _)| delivered.insert(key.clone())).collect();
            self.deliver(self.snapshot_documents(stream, &snapshot, &new), None).await?;
            let is_complete = match reach {
                Reach::Whole => true,
                // Where no total tells the end, only an empty page would follow what the pass before has found as well.
                Reach::More => page.total.is_none() && position.is_confirmed(),
                Reach::End | Reach::Repeats => position.is_confirmed() || position.pass >= MOST_PASSES,
            };
            if is_complete {
                let mut state = self.lease.state();
                state.watermark = state.watermark.max(Some(position.scheduled_time));
                state.unfinished = None;
                self.save(state).await?;
                return Ok(Ended::Complete);
            }
            if reach == Reach::More {
                let PageRequest { size, index } = paging.next();
                (position.page_size, position.page_index) = (Some(size), index);
            } else {
                position = position.next_pass();
                paging = paging_from(stream, &position);
            }
            self.save_snapshot(position).await?;
            if self.session.is_nearly_over() {
                return Ok(Ended::DeadlineCame);
            }
        }
    }

    async fn fetch_page(&self, stream: Stream, request: PageRequest) -> Result<SnapshotPage, lastpass::Error> {
        let (lastpass, deadline) = (self.session.lastpass, self.session.deadline);
        if stream == Stream::User {
            let page = lastpass.fetch_users(request, deadline).await?;
            Ok(SnapshotPage { total: page.total, entries: page.users })
        } else {
            let page = lastpass.fetch_folders(request, deadline).await?;
            Ok(SnapshotPage { total: None, entries: page.folders })
        }
    }

    /// The documents of entries, each made when it is asked for.
    fn snapshot_documents(
        &self,
        stream: Stream,
        snapshot: &streams::Snapshot,
        entries: &[(String, String)],
    ) -> impl Iterator<Item = Document> {
        let clock = now();
        let reading = streams::Reading { created: clock, ingested: Some(clock) };
        let mapper = self.session.mapper;
        entries.iter().flat_map(move |(key, record)| {
            let mut documents = if stream == Stream::User {
                vec![user::document(mapper, &reading, snapshot, key, record)]
            } else {
                detailed_shared_folder::documents(mapper, &reading, snapshot, key, record)
            };
            // No snapshot is taken before its time, which is a part of each `_id`.
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

/// The reading of a snapshot from where it was left.
fn paging_from(stream: Stream, position: &SnapshotPosition) -> Paging {
    let largest = if stream == Stream::User { users::PAGE_SIZE } else { folders::PAGE_SIZE };
    let request = PageRequest { size: position.page_size.unwrap_or(largest), index: position.page_index };
    Paging::from(request, position.read)
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
