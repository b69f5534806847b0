//! One comparison in progress: merges two snapshots side by side, and delivers the changes.
//!
//! Does not know which snapshots may be compared. The invariant: a position is saved only after every change before it was
//! acknowledged.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{run::Run, snapshot_kind::SnapshotKind};
use crate::{
    checkpoint::{Comparison, State},
    document::Document,
    elastic::{BulkWriter, Delivery, Entry, Reader, Snapshots},
    error::Error,
    streams::change::{
        Change, Documents,
        folders::{FOLDER, Folder, Share, USER},
        users,
    },
};

/// Changes that are delivered together. Chosen: about 1 MB.
const DELIVERED_TOGETHER: usize = 1_000;
/// Entries after which the position is saved. Chosen: a page, so that a run with slow searches makes progress as well.
const SAVED_AFTER: u64 = 1_000;

/// The end of the work on a comparison.
pub(super) enum ComparisonEnd {
    Complete,
    DeadlineCame,
    /// An entry has no key.
    UnreadableEntry,
}

/// A comparison in progress.
pub(super) struct OngoingComparison<'r> {
    pub(super) run: &'r Run<'r>,
    pub(super) kind: SnapshotKind,
    pub(super) snapshots: Snapshots<'r>,
    pub(super) readers: [Reader; 2],
    /// The IDs of entries that are not compared: the first parts of their keys.
    pub(super) left_out: HashSet<String>,
    pub(super) documents: Documents<'r>,
    pub(super) writer: BulkWriter,
    pub(super) pending: Vec<Document>,
    /// The folder whose users are compared, and its number of users in each snapshot, once counted.
    pub(super) folder: Option<(Folder, Option<[u64; 2]>)>,
    /// The comparison as this run found it.
    pub(super) comparison: Comparison,
    /// How many changes this run and earlier ones have found.
    pub(super) changes: u64,
    /// The first part of the key up to which everything was compared, and the number of changes up to that key.
    pub(super) compared: (Option<String>, u64),
}

impl OngoingComparison<'_> {
    /// Compares all entries from the position of the readers.
    ///
    /// # Errors
    /// Errors of Elasticsearch and of the checkpoint.
    pub(super) async fn perform(&mut self) -> Result<ComparisonEnd, Error> {
        let mut unsaved = 0;
        loop {
            let Some(key) = self.next_key().await? else {
                self.deliver().await?;
                return Ok(ComparisonEnd::Complete);
            };
            let Some(Some(first)) = key.first() else {
                if self.pop(&key).await?.into_iter().flatten().any(|entry| !has_stopped(&entry.source)) {
                    return Ok(ComparisonEnd::UnreadableEntry);
                }
                continue;
            };
            if self.run.session.is_nearly_over() {
                self.deliver().await?;
                self.save().await?;
                return Ok(ComparisonEnd::DeadlineCame);
            }
            if unsaved >= SAVED_AFTER && self.can_save_before(first) {
                self.deliver().await?;
                self.save().await?;
                unsaved = 0;
            }
            unsaved += 1;
            if self.left_out.contains(first) {
                self.pop(&key).await?;
                continue;
            }
            match self.kind {
                SnapshotKind::Users => self.compare_user(first, &key).await?,
                SnapshotKind::SharedFolders => self.compare_share(first, &key).await?,
            }
        }
    }

    async fn compare_user(&mut self, id: &str, key: &[Option<String>]) -> Result<(), Error> {
        // A rollover may have duplicated a document.
        let [previous, current] =
            self.pop(key).await?.map(|entries| entries.into_iter().next().map(|entry| entry.source));
        self.add(users::changes(id, previous.as_ref(), current.as_ref())).await?;
        self.compared = (Some(id.to_owned()), self.changes);
        Ok(())
    }

    /// Compares the access of a user to a folder, and before the first user of a folder, the folder itself.
    async fn compare_share(&mut self, id: &str, key: &[Option<String>]) -> Result<(), Error> {
        if self.folder.as_ref().is_none_or(|(folder, _)| folder.id() != id) {
            if let Some((before, _)) = &self.folder {
                self.compared = (Some(before.id().to_owned()), self.changes);
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

    /// Adds changes of the current folder, with the numbers of its users.
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
        self.changes += changes.len() as u64;
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
        self.run.confirm_cluster().await?;
        let deliveries = self.writer.deliver_or_stop(&documents).await?;
        let created = deliveries.iter().filter(|delivery| **delivery == Delivery::Created).count() as u64;
        self.run.progress.add(|totals| totals.changes += created);
        Ok(())
    }

    /// Saves the position. Every change before it must be acknowledged.
    async fn save(&self) -> Result<(), Error> {
        let (Some(key), changes) = &self.compared else { return Ok(()) };
        let Some(comparison) = self.comparison.after(key, *changes) else { return Ok(()) };
        self.run.save(State { comparison: Some(comparison), ..self.run.lease.state() }).await
    }

    /// Returns whether everything before the entries whose key begins with `first` was compared, so that the position can
    /// be saved.
    fn can_save_before(&self, first: &str) -> bool {
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
            self.run.progress.finish_page();
        }
        Ok(smallest)
    }

    /// Removes the entries with this key from each reader. A snapshot has several only if LastPass lists a user twice in a
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

/// Returns whether the record of a document could not be mapped.
fn has_stopped(source: &Value) -> bool {
    source["event"]["kind"] == "pipeline_error"
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
