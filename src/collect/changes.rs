//! Compares a snapshot with the one before it, and writes what differs to the data stream of changes.
//!
//! Both snapshots are read back from Elasticsearch in the order of their keys and merged side by side, so that memory holds
//! one page of each. A snapshot enters the comparison only when it is complete: the write that completes it also makes it
//! the last complete one, and the comparison pending. The `_id` of a change depends on both snapshots and on nothing that a
//! retry changes.

use std::collections::HashSet;

use jiff::Timestamp;

use super::{
    comparing::{ComparisonEnd, OngoingComparison},
    run::{Ended, Run},
    snapshot_kind::SnapshotKind,
};
use crate::{
    checkpoint::{Comparison, ComparisonProgress, CompleteSnapshot, SkipReason, SnapshotPosition, State},
    clock::now,
    document::DataStream,
    elastic::{MAX_UNREADABLE, Overview, Side, SnapshotQuery, Snapshots},
    error::Error,
    streams::{
        self,
        change::{self, Documents, Pair},
    },
};

/// Sets in `state` that the snapshot at `position` is complete, and begins its comparison with the snapshot before.
pub(super) fn complete_snapshot(state: &mut State, position: &SnapshotPosition, writes_changes: bool) {
    let SnapshotPosition { scheduled_time, timestamp: Some(timestamp), read: entries, .. } = *position else { return };
    let previous = state.snapshot.replace(CompleteSnapshot { scheduled_time, timestamp, entries, documents: None });
    // The first snapshot is not compared. A watermark without a snapshot comes from an older version, or from a reset.
    let is_first = previous.is_none() && state.watermark.is_none();
    state.comparison = (writes_changes && !is_first).then(|| Comparison::begin(previous));
}

impl Run<'_> {
    /// Continues the comparison of the last complete snapshot, if it is pending. `wanted` is the time of the snapshot that
    /// is due. If Elasticsearch refuses the comparison when a newer snapshot is due, the comparison is abandoned.
    pub(super) async fn compare(&self, kind: SnapshotKind, wanted: Timestamp) -> Result<Ended, Error> {
        let state = self.lease.state();
        let (Some(current), Some(comparison)) = (state.snapshot, state.comparison) else { return Ok(Ended::Complete) };
        if let ComparisonProgress::Skipped(reason) = comparison.progress {
            self.report_skipped(kind, reason);
        }
        if !comparison.is_pending() {
            return Ok(Ended::Complete);
        }
        let compared = match comparison.previous {
            Some(previous) if self.session.config.snapshot_changes => {
                self.compare_pair(kind, previous, current, comparison).await
            }
            // The setting was switched off in the meantime.
            Some(_) | None => {
                self.save(State { comparison: None, ..self.lease.state() }).await?;
                return Ok(Ended::Complete);
            }
        };
        match compared {
            Err(error) if (error.is_refused() || error.is_unreadable_index()) && wanted > current.scheduled_time => {
                tracing::error!(%error, "a comparison was abandoned, because the next snapshot is due");
                self.skip(kind, SkipReason::Abandoned).await
            }
            other => other,
        }
    }

    async fn compare_pair(
        &self,
        kind: SnapshotKind,
        previous: CompleteSnapshot,
        current: CompleteSnapshot,
        comparison: Comparison,
    ) -> Result<Ended, Error> {
        let query = self.query(kind, [previous.timestamp, current.timestamp]);
        let Some(mut snapshots) = Snapshots::open(self.session.elastic, query).await? else {
            return self.skip(kind, SkipReason::PreviousGone).await;
        };
        let before = snapshots.overview(Side::Previous).await?;
        let after = snapshots.overview(Side::Current).await?;
        let left_out = match comparable((previous, &before), (current, &after)) {
            Ok(left_out) => left_out,
            Err(reason) => {
                snapshots.close().await;
                return self.skip(kind, reason).await;
            }
        };
        let position = comparison.position();
        let mapper = self.session.mapper;
        let mut ongoing = OngoingComparison {
            run: self,
            kind,
            readers: [Side::Previous, Side::Current].map(|side| snapshots.reader(side, position)),
            snapshots,
            left_out,
            documents: Documents::new(mapper, pair(kind, previous, current), now()),
            writer: self.session.writer(DataStream::change(&mapper.namespace)),
            pending: Vec::new(),
            folder: None,
            changes: comparison.changes,
            compared: (position.map(str::to_owned), comparison.changes),
            comparison,
        };
        let ended = ongoing.perform().await;
        self.progress.add(|totals| totals.bulk_requests += ongoing.writer.requests());
        ongoing.snapshots.close().await;
        match ended? {
            ComparisonEnd::UnreadableEntry => self.skip(kind, SkipReason::UnreadableEntries).await,
            ComparisonEnd::DeadlineCame => Ok(Ended::DeadlineCame),
            ComparisonEnd::Complete => {
                let snapshot = Some(CompleteSnapshot { documents: Some(after.documents), ..current });
                let (progress, changes) = (ComparisonProgress::Complete, ongoing.changes);
                let comparison = Some(Comparison { progress, changes, ..ongoing.comparison });
                self.save(State { snapshot, comparison, ..self.lease.state() }).await?;
                Ok(Ended::Complete)
            }
        }
    }

    /// Returns the query for the two snapshots with these timestamps.
    fn query(&self, kind: SnapshotKind, timestamps: [Timestamp; 2]) -> SnapshotQuery {
        let mapper = self.session.mapper;
        SnapshotQuery {
            data_stream: kind.stream().data_stream(&mapper.namespace),
            letters: DataStream::dead_letter(&mapper.namespace),
            account: mapper.account.clone(),
            organization: mapper.organization.clone(),
            timestamps,
            key: kind.key(),
            fields: kind.compared_fields(),
        }
    }

    /// Saves that the snapshots cannot be compared, and reports it.
    async fn skip(&self, kind: SnapshotKind, reason: SkipReason) -> Result<Ended, Error> {
        let mut state = self.lease.state();
        if let Some(comparison) = &mut state.comparison {
            comparison.progress = ComparisonProgress::Skipped(reason);
        }
        self.save(state).await?;
        self.report_skipped(kind, reason);
        Ok(Ended::Complete)
    }

    fn report_skipped(&self, kind: SnapshotKind, reason: SkipReason) {
        self.progress.add(|totals| totals.comparisons_skipped += 1);
        tracing::warn!(
            stream = %kind.stream(),
            reason = reason.as_str(),
            "two snapshots cannot be compared; their changes are not known"
        );
    }
}

/// Returns the snapshots as their changes name them.
fn pair(kind: SnapshotKind, previous: CompleteSnapshot, current: CompleteSnapshot) -> Pair {
    let snapshot = |CompleteSnapshot { scheduled_time, timestamp, .. }| streams::Snapshot { scheduled_time, timestamp };
    Pair { stream: kind.stream(), previous: snapshot(previous), current: snapshot(current) }
}

/// Returns the IDs of the entries to leave out, because a snapshot has no readable document of them. Fails with the reason
/// if the snapshots as a whole cannot be compared.
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
    let is_listed = |overview: &Overview| overview.unreadable.len() < MAX_UNREADABLE;
    let keys: Option<HashSet<String>> = originals.map(|original| change::entry_key(original)).collect();
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
                    Overview { unreadable: vec!["{\"id\":\"1\"}".into(); MAX_UNREADABLE], ..overview(3) },
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
        // The state after an older version or a reset.
        let mut state = State { watermark: Some(first.scheduled_time), ..State::default() };
        complete_snapshot(&mut state, &second, true);
        let progress = state.comparison.map(|comparison| comparison.progress);
        assert_eq!(progress, Some(ComparisonProgress::Skipped(SkipReason::PreviousUnknown)));
    }
}
