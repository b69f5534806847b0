//! Compares a snapshot with the one before it, and writes what differs to the data stream of changes.
//!
//! Both snapshots are read back from Elasticsearch in the order of their keys and merged side by side, so that memory holds
//! one page of each. A snapshot enters the comparison only when it is complete: the write that completes it also makes it
//! the last complete one, and the comparison pending. The `_id` of a change depends on both snapshots and on nothing that a
//! retry changes.

use std::{collections::HashSet, sync::atomic::Ordering};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    run::{Ended, Run},
    snapshot_of::SnapshotOf,
};
use crate::{
    checkpoint::{Comparison, ComparisonProgress, CompleteSnapshot, SkipReason, SnapshotPosition, State},
    clock::now,
    document::{DataStream, Document},
    elastic::{BulkWriter, Delivery, Entry, MOST_WITHOUT_KEY, Overview, Reader, SnapshotQuery, Snapshots},
    error::Error,
    streams::{
        self,
        change::{
            self, Change, Documents, Pair,
            folders::{FOLDER, Folder, Share, USER},
            users,
        },
    },
};

/// Changes that are delivered together. Chosen: about 1 MB.
const DELIVERED_TOGETHER: usize = 1_000;
/// Entries after which the position is saved. Chosen: a few seconds of work.
const SAVED_AFTER: u64 = 10_000;

/// Sets in `state` that the snapshot at `position` is complete, and what its comparison has to be.
pub(super) fn complete_snapshot(state: &mut State, position: &SnapshotPosition, writes_changes: bool) {
    let SnapshotPosition { scheduled_time, timestamp: Some(timestamp), read: entries, .. } = *position else { return };
    let previous = state.snapshot.replace(CompleteSnapshot { scheduled_time, timestamp, entries, documents: None });
    // The first snapshot has nothing to be compared with. An older version did not save which one was complete.
    let is_first = previous.is_none() && state.watermark.is_none();
    state.comparison = (writes_changes && !is_first).then(|| Comparison::begin(previous));
}

impl Run<'_> {
    /// Continues the comparison of the last complete snapshot, if it is pending. `wanted` is the snapshot that is due: a
    /// comparison that Elasticsearch refuses does not delay it.
    pub(super) async fn compare(&self, of: SnapshotOf, wanted: Timestamp) -> Result<Ended, Error> {
        let state = self.lease.state();
        let (Some(current), Some(comparison)) = (state.snapshot, state.comparison) else { return Ok(Ended::Complete) };
        if let ComparisonProgress::Skipped(reason) = comparison.progress {
            self.report_skipped(of, reason);
        }
        if !comparison.is_pending() {
            return Ok(Ended::Complete);
        }
        let compared = match comparison.previous {
            Some(previous) if self.session.config.snapshot_changes => {
                self.compare_pair(of, previous, current, comparison).await
            }
            // The setting was switched off in the meantime.
            Some(_) | None => {
                self.save(State { comparison: None, ..self.lease.state() }).await?;
                return Ok(Ended::Complete);
            }
        };
        match compared {
            Err(error) if error.is_refused() && wanted > current.scheduled_time => {
                tracing::error!(%error, "a comparison was abandoned, because the next snapshot is due");
                self.skip(of, SkipReason::Abandoned).await
            }
            other => other,
        }
    }

    async fn compare_pair(
        &self,
        of: SnapshotOf,
        previous: CompleteSnapshot,
        current: CompleteSnapshot,
        comparison: Comparison,
    ) -> Result<Ended, Error> {
        let mapper = self.session.mapper;
        let query = SnapshotQuery {
            data_stream: of.stream().data_stream(&mapper.namespace),
            account: mapper.account.clone(),
            organization: mapper.organization.clone(),
            timestamps: [previous.timestamp, current.timestamp],
            key: of.key(),
            fields: of.compared_fields(),
        };
        let Some(mut snapshots) = Snapshots::open(self.session.elastic, query).await? else {
            return self.skip(of, SkipReason::PreviousGone).await;
        };
        let before = snapshots.overview(0, &mapper.namespace).await?;
        let after = snapshots.overview(1, &mapper.namespace).await?;
        let left_out = match comparable((previous, &before), (current, &after)) {
            Ok(left_out) => left_out,
            Err(reason) => {
                snapshots.close().await;
                return self.skip(of, reason).await;
            }
        };
        let snapshot = |complete: CompleteSnapshot| streams::Snapshot {
            scheduled_time: complete.scheduled_time,
            timestamp: complete.timestamp,
        };
        let pair = Pair { stream: of.stream(), previous: snapshot(previous), current: snapshot(current) };
        let position = match &comparison.progress {
            ComparisonProgress::After(Some(key)) => Some(key.as_str()),
            ComparisonProgress::After(None) | ComparisonProgress::Complete | ComparisonProgress::Skipped(_) => None,
        };
        let letters = DataStream::dead_letter(&mapper.namespace);
        let writer = BulkWriter::new(
            self.session.elastic,
            DataStream::change(&mapper.namespace),
            letters,
            self.session.origin.clone(),
        );
        let mut work = Work {
            run: self,
            of,
            readers: [snapshots.reader(0, position), snapshots.reader(1, position)],
            snapshots,
            left_out,
            documents: Documents::new(mapper, pair, now()),
            writer,
            pending: Vec::new(),
            folder: None,
            found: 0,
            whole: (position.map(str::to_owned), comparison.changes),
            comparison,
        };
        let ended = work.perform().await;
        self.progress.bulk_requests.fetch_add(work.writer.requests(), Ordering::Relaxed);
        work.snapshots.close().await;
        match ended? {
            Finished::Unreadable => self.skip(of, SkipReason::UnreadableEntries).await,
            Finished::Deadline => Ok(Ended::DeadlineCame),
            Finished::All => {
                let snapshot = Some(CompleteSnapshot { documents: Some(after.documents), ..current });
                let changes = work.comparison.changes + work.found;
                let comparison =
                    Some(Comparison { progress: ComparisonProgress::Complete, changes, ..work.comparison });
                self.save(State { snapshot, comparison, ..self.lease.state() }).await?;
                Ok(Ended::Complete)
            }
        }
    }

    /// Saves that the snapshots cannot be compared, and reports it.
    async fn skip(&self, of: SnapshotOf, reason: SkipReason) -> Result<Ended, Error> {
        let state = self.lease.state();
        let comparison = state
            .comparison
            .clone()
            .map(|comparison| Comparison { progress: ComparisonProgress::Skipped(reason), ..comparison });
        self.save(State { comparison, ..state }).await?;
        self.report_skipped(of, reason);
        Ok(Ended::Complete)
    }

    fn report_skipped(&self, of: SnapshotOf, reason: SkipReason) {
        self.progress.comparisons_skipped.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(stream = %of.stream(), reason = reason.as_str(), "two snapshots can't be compared; their changes are not known");
    }
}

/// How the work on a comparison ended.
enum Finished {
    All,
    Deadline,
    /// An entry has no key.
    Unreadable,
}

/// A comparison in progress.
struct Work<'r> {
    run: &'r Run<'r>,
    of: SnapshotOf,
    snapshots: Snapshots<'r>,
    readers: [Reader; 2],
    /// The first keys of entries that are not compared.
    left_out: HashSet<String>,
    documents: Documents<'r>,
    writer: BulkWriter,
    pending: Vec<Document>,
    /// The folder whose users are compared, and how many could and can read it, if that was needed.
    folder: Option<(Folder, Option<[u64; 2]>)>,
    /// The comparison as this run found it.
    comparison: Comparison,
    /// How many changes this run has found.
    found: u64,
    /// The first key up to which everything was compared, and how many changes there are up to it.
    whole: (Option<String>, u64),
}

impl Work<'_> {
    async fn perform(&mut self) -> Result<Finished, Error> {
        let mut unsaved = 0;
        loop {
            let Some(key) = self.next_key().await? else {
                self.deliver().await?;
                return Ok(Finished::All);
            };
            let Some(Some(first)) = key.first() else {
                if self.pop(&key).await?.into_iter().flatten().any(|entry| !has_stopped(&entry.source)) {
                    return Ok(Finished::Unreadable);
                }
                continue;
            };
            if self.run.session.is_nearly_over() {
                self.deliver().await?;
                self.save().await?;
                return Ok(Finished::Deadline);
            }
            if unsaved >= SAVED_AFTER && self.is_whole(first) {
                self.deliver().await?;
                self.save().await?;
                unsaved = 0;
            }
            unsaved += 1;
            if self.left_out.contains(first) {
                self.pop(&key).await?;
                continue;
            }
            match self.of {
                SnapshotOf::Users => self.compare_user(first, &key).await?,
                SnapshotOf::SharedFolders => self.compare_share(first, &key).await?,
            }
        }
    }

    async fn compare_user(&mut self, id: &str, key: &[Option<String>]) -> Result<(), Error> {
        // A rollover may have duplicated a document.
        let [previous, current] =
            self.pop(key).await?.map(|entries| entries.into_iter().next().map(|entry| entry.source));
        self.add(users::changes(id, previous.as_ref(), current.as_ref())).await?;
        self.whole = (Some(id.to_owned()), self.comparison.changes + self.found);
        Ok(())
    }

    /// Compares the access of a user to a folder, and before the first user of a folder, the folder itself.
    async fn compare_share(&mut self, id: &str, key: &[Option<String>]) -> Result<(), Error> {
        if self.folder.as_ref().is_none_or(|(folder, _)| folder.id() != id) {
            if let Some((before, _)) = &self.folder {
                self.whole = (Some(before.id().to_owned()), self.comparison.changes + self.found);
            }
            let head = |reader: &Reader| {
                let entry = reader.front().filter(|entry| entry.key.first() == key.first());
                entry.map(|entry| entry.source.clone())
            };
            let [previous, current] = [head(&self.readers[0]), head(&self.readers[1])];
            let folder = Folder::new(id, previous.as_ref(), current.as_ref());
            let changes = folder.changes();
            self.folder = Some((folder, None));
            self.add_counted(changes).await?;
        }
        let shares = self.pop(key).await?.map(|entries| {
            let mut entries = entries.into_iter();
            let first = Share::of(&entries.next()?.source);
            Some(entries.fold(first, |share, entry| share.with(&entry.source)))
        });
        let (Some(Some(user)), Some((folder, _))) = (key.get(1), &self.folder) else { return Ok(()) };
        let [previous, current] = &shares;
        let change = folder.share_change(user, previous.as_ref(), current.as_ref());
        self.add_counted(change.into_iter().collect()).await
    }

    /// Adds changes of the folder at work, with the numbers of its users.
    async fn add_counted(&mut self, changes: Vec<Change>) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        let Some((folder, counted)) = &mut self.folder else { return Ok(()) };
        let counts = match *counted {
            Some(counts) => counts,
            None => {
                let filters = [json!({"term": {FOLDER: folder.id()}}), json!({"exists": {"field": USER}})];
                *counted.insert(self.snapshots.count(&filters).await?)
            }
        };
        self.add(changes.into_iter().map(|change| change.count_users(counts)).collect()).await
    }

    async fn add(&mut self, changes: Vec<Change>) -> Result<(), Error> {
        self.found += changes.len() as u64;
        self.pending.extend(changes.iter().map(|change| self.documents.document(change)));
        if self.pending.len() >= DELIVERED_TOGETHER {
            self.deliver().await?;
        }
        Ok(())
    }

    async fn deliver(&mut self) -> Result<(), Error> {
        let documents = std::mem::take(&mut self.pending);
        if documents.is_empty() {
            return Ok(());
        }
        let deliveries = self.writer.deliver_or_stop(&documents).await?;
        let created = deliveries.iter().filter(|delivery| **delivery == Delivery::Created).count() as u64;
        self.run.progress.changes.fetch_add(created, Ordering::Relaxed);
        Ok(())
    }

    /// Saves the position. Every change before it must be acknowledged.
    async fn save(&self) -> Result<(), Error> {
        let (Some(key), changes) = &self.whole else { return Ok(()) };
        let Some(comparison) = self.comparison.after(key, *changes) else { return Ok(()) };
        self.run.save(State { comparison: Some(comparison), ..self.run.lease.state() }).await
    }

    /// Returns whether everything before the entries with this first key was compared.
    fn is_whole(&self, first: &str) -> bool {
        self.folder.as_ref().is_none_or(|(folder, _)| folder.id() != first)
    }

    /// Returns the smallest key that either snapshot has left.
    async fn next_key(&mut self) -> Result<Option<Vec<Option<String>>>, Error> {
        let mut smallest: Option<Vec<Option<String>>> = None;
        for reader in &mut self.readers {
            if let Some(entry) = reader.peek(&mut self.snapshots).await?
                && smallest.as_ref().is_none_or(|key| order(&entry.key, key).is_lt())
            {
                smallest = Some(entry.key.clone());
            }
            self.run.progress.pages.fetch_max(1, Ordering::Relaxed);
        }
        Ok(smallest)
    }

    /// Takes the entries with this key of each snapshot. There is more than one only if LastPass lists a user twice in a
    /// folder, or if a rollover duplicated a document.
    async fn pop(&mut self, key: &[Option<String>]) -> Result<[Vec<Entry>; 2], Error> {
        let mut popped = [Vec::new(), Vec::new()];
        for (reader, entries) in self.readers.iter_mut().zip(&mut popped) {
            while reader.peek(&mut self.snapshots).await?.is_some_and(|entry| entry.key == key) {
                entries.extend(reader.take());
            }
        }
        Ok(popped)
    }
}

/// Compares keys as Elasticsearch sorts them: by their bytes, and a missing value last.
fn order(one: &[Option<String>], other: &[Option<String>]) -> std::cmp::Ordering {
    let rank = |key: &Option<String>| key.is_none();
    let pairs = one.iter().zip(other).map(|(one, other)| rank(one).cmp(&rank(other)).then_with(|| one.cmp(other)));
    pairs.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
}

/// Returns whether the mapping of a document stopped.
fn has_stopped(source: &Value) -> bool {
    source["event"]["kind"] == "pipeline_error"
}

/// Returns the entries that cannot be compared, because a snapshot has no document of them that could be read. Fails with
/// the reason if the snapshots as a whole cannot be compared.
fn comparable(
    (previous, before): (CompleteSnapshot, &Overview),
    (current, after): (CompleteSnapshot, &Overview),
) -> Result<HashSet<String>, SkipReason> {
    let is_whole = |overview: &Overview, least: u64| overview.documents + overview.dead_letters >= least;
    if !is_whole(before, previous.documents.unwrap_or(0).max(previous.entries)) {
        return Err(SkipReason::PreviousGone);
    }
    if !is_whole(after, current.entries) {
        return Err(SkipReason::CurrentIncomplete);
    }
    let mappings = before.mappings.union(&after.mappings);
    if mappings.clone().count() > 1 || mappings.into_iter().any(Option::is_none) {
        return Err(SkipReason::OtherMapping);
    }
    let originals = before.unreadable.iter().chain(&after.unreadable);
    let is_listed = |overview: &Overview| overview.unreadable.len() < MOST_WITHOUT_KEY;
    let keys: Option<HashSet<String>> = originals.map(|original| change::entry_of(original)).collect();
    keys.filter(|_| is_listed(before) && is_listed(after)).ok_or(SkipReason::UnreadableEntries)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time of the test")
    }

    fn complete(entries: u64, documents: Option<u64>) -> CompleteSnapshot {
        let time = at("2026-01-01T00:00:00Z");
        CompleteSnapshot { scheduled_time: time, timestamp: time, entries, documents }
    }

    fn overview(documents: u64) -> Overview {
        Overview { documents, mappings: BTreeSet::from([Some(6)]), ..Overview::default() }
    }

    #[test]
    fn only_whole_snapshots_with_one_mapping_are_compared() {
        let judge = |previous: (CompleteSnapshot, Overview), current: (CompleteSnapshot, Overview)| {
            comparable((previous.0, &previous.1), (current.0, &current.1)).map(|left_out| left_out.len())
        };
        let good = || (complete(3, Some(5)), overview(5));
        assert_eq!(judge(good(), good()), Ok(0));
        assert_eq!(judge(good(), (complete(0, None), Overview::default())), Ok(0), "a company without users");
        for (previous, current, reason) in [
            ((complete(3, Some(5)), overview(4)), good(), SkipReason::PreviousGone),
            ((complete(3, None), overview(2)), good(), SkipReason::PreviousGone),
            (good(), (complete(6, None), overview(5)), SkipReason::CurrentIncomplete),
            (good(), (complete(3, None), Overview::default()), SkipReason::CurrentIncomplete),
            (
                (complete(3, None), Overview { mappings: BTreeSet::from([Some(5)]), ..overview(3) }),
                good(),
                SkipReason::OtherMapping,
            ),
            (
                (complete(3, None), Overview { mappings: BTreeSet::from([None]), ..overview(3) }),
                good(),
                SkipReason::OtherMapping,
            ),
            (
                good(),
                (complete(3, None), Overview { mappings: BTreeSet::from([Some(6), Some(7)]), ..overview(3) }),
                SkipReason::OtherMapping,
            ),
            (
                good(),
                (complete(3, None), Overview { unreadable: vec!["[]".into()], ..overview(3) }),
                SkipReason::UnreadableEntries,
            ),
            (
                good(),
                (
                    complete(3, None),
                    Overview { unreadable: vec!["{\"id\":\"1\"}".into(); MOST_WITHOUT_KEY], ..overview(3) },
                ),
                SkipReason::UnreadableEntries,
            ),
        ] {
            assert_eq!(judge(previous, current), Err(reason), "{reason:?}");
        }
        let with_letters = Overview { dead_letters: 1, unreadable: vec!["{\"id\":\"7\"}".into()], ..overview(2) };
        assert_eq!(judge(good(), (complete(3, None), with_letters)), Ok(1));
    }

    #[test]
    fn keys_are_ordered_as_elasticsearch_sorts_them() {
        let key = |parts: [Option<&str>; 2]| parts.map(|part| part.map(str::to_owned));
        let sorted = [
            key([Some("10"), Some("Zoe@x")]),
            key([Some("10"), Some("ann@x")]),
            key([Some("10"), Some("é@x")]),
            key([Some("10"), None]),
            key([Some("9"), Some("ann@x")]),
            key([None, Some("ann@x")]),
            key([None, None]),
        ];
        assert!(sorted.is_sorted_by(|one, other| order(one, other).is_lt()));
        assert!(order(&sorted[0], &sorted[0]).is_eq());
    }

    #[test]
    fn a_snapshot_is_compared_with_the_complete_one_before_it() {
        let position =
            |text: &str| SnapshotPosition { timestamp: Some(at(text)), read: 9, ..SnapshotPosition::begin(at(text)) };
        let (first, second) = (position("2026-01-01T00:00:00Z"), position("2026-01-02T00:00:00Z"));
        let mut state = State::default();
        complete_snapshot(&mut state, &first, true);
        assert_eq!(state.comparison, None, "nothing to compare the first with");
        let before = state.snapshot.expect("a snapshot");
        assert_eq!((before.scheduled_time, before.entries, before.documents), (first.scheduled_time, 9, None));
        state.watermark = Some(first.scheduled_time);
        complete_snapshot(&mut state, &second, true);
        assert_eq!(state.comparison, Some(Comparison::begin(Some(before))));
        complete_snapshot(&mut state, &position("2026-01-03T00:00:00Z"), false);
        assert_eq!(state.comparison, None, "switched off");
        // As an older version, or a reset, leaves it.
        let mut state = State { watermark: Some(first.scheduled_time), ..State::default() };
        complete_snapshot(&mut state, &second, true);
        let progress = state.comparison.map(|comparison| comparison.progress);
        assert_eq!(progress, Some(ComparisonProgress::Skipped(SkipReason::PreviousUnknown)));
    }
}
