//! Writes documents to one data stream, each exactly once, and returns the outcome of each.
//!
//! The invariant: before each attempt to send a document, it is looked up in every backing index that can hold it. It gets an
//! outcome only from a complete response of Elasticsearch about that document. Therefore a rollover between two runs, between
//! two bulk requests, or between the lookup and the write duplicates no document that existed at the lookup.
//!
//! One case remains: a second writer of the same document, or an interrupted bulk request that still runs, together with a
//! rollover between the lookup and the write. The documents are then looked up once more, and duplicates are reported.

use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::try_join;

use super::backing_indices::BackingIndex;
use super::bulk::{BulkApi, BulkOutcomes};
use super::cause::Unanswered;
use super::client::Client;
use super::encode::{Line, MAX_BULK_BYTES, MAX_BULK_DOCUMENTS, chunk_len};
use super::error::Error;
use super::judge::Refusal;
use super::lookup::{Finder, Wanted};
use super::operation::Operation;
use super::outcome::{Delivery, Outcome};
use super::retry::{FIRST_PAUSE, RESTART_RETRY_TIMEOUT};
use crate::document::DataStream;

/// The number of documents of a bulk request, and how long an unreachable cluster is retried. It has responded before, to
/// the lookup.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) max_documents: usize,
    pub(super) first_pause: Duration,
    pub(super) retry_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_documents: MAX_BULK_DOCUMENTS, first_pause: FIRST_PAUSE, retry_timeout: RESTART_RETRY_TIMEOUT }
    }
}

/// Writes to one data stream.
#[derive(Debug)]
pub(super) struct StreamWriter {
    pub(super) bulk: BulkApi,
    finder: Finder,
    /// The backing indices when they were last listed. Empty before that.
    listed: Mutex<Vec<BackingIndex>>,
    limits: Limits,
    /// Less than [`MAX_BULK_BYTES`] after a 413.
    max_bytes: AtomicUsize,
    requests: AtomicU64,
    duplicates: AtomicU64,
}

/// Documents that are sent together, by their positions.
struct Batch {
    positions: Vec<usize>,
    /// Whether an earlier bulk request whose response was lost may have created them.
    may_exist: bool,
}

impl StreamWriter {
    /// Creates a writer for `data_stream`. `operation` says in error texts what is written.
    pub(super) fn new(client: Client, data_stream: DataStream, operation: Operation) -> Self {
        Self {
            finder: Finder::new(client.clone()),
            listed: Mutex::default(),
            bulk: BulkApi { client, data_stream, operation },
            limits: Limits::default(),
            max_bytes: AtomicUsize::new(MAX_BULK_BYTES),
            requests: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
        }
    }

    /// Returns this writer with other limits.
    #[cfg(test)]
    pub(super) fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    pub(super) fn data_stream(&self) -> &DataStream {
        &self.bulk.data_stream
    }

    /// Returns the number of `_bulk` requests sent, including repetitions.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Returns the number of documents that were found in two backing indices.
    pub(super) fn rollover_duplicates(&self) -> u64 {
        self.duplicates.load(Ordering::Relaxed)
    }

    /// Splits `lines` into chunks for [`StreamWriter::send_chunk`]. Each chunk is cut only when it is needed, because a
    /// response may have lowered the limit by then.
    pub(super) fn chunks<'a>(&'a self, lines: &'a [Line<'a>]) -> impl Iterator<Item = Range<usize>> {
        let mut start = 0;
        std::iter::from_fn(move || {
            let sizes = lines[start..].iter().map(Line::body_bytes);
            let len = chunk_len(sizes, self.max_bytes.load(Ordering::Relaxed), self.limits.max_documents);
            let chunk = start..start + len;
            start = chunk.end;
            (len > 0).then_some(chunk)
        })
    }

    /// Writes `lines`, chunk by chunk, and returns the outcome of each, in their order.
    ///
    /// # Errors
    /// [`Error`]: some of the documents may have been written.
    pub(super) async fn send(&self, lines: &[Line<'_>]) -> Result<Vec<Outcome>, Error> {
        let mut outcomes = Vec::with_capacity(lines.len());
        for chunk in self.chunks(lines) {
            outcomes.extend(self.send_chunk(&lines[chunk]).await?);
        }
        Ok(outcomes)
    }

    /// Writes the documents of one chunk, and returns the outcome of each, in their order.
    ///
    /// # Errors
    /// [`Error`]: some of the documents may have been written.
    pub(super) async fn send_chunk(&self, lines: &[Line<'_>]) -> Result<Vec<Outcome>, Error> {
        let mut outcomes = vec![None; lines.len()];
        // The batch to send next comes last.
        let mut batches = vec![Batch { positions: (0..lines.len()).collect(), may_exist: false }];
        while let Some(batch) = batches.pop() {
            let halves = self.deliver_batch(lines, batch, &mut outcomes).await?;
            batches.extend(halves.into_iter().rev());
        }
        let answered = outcomes.iter().flatten().count();
        let fault = Unanswered::ItemMismatch { sent: lines.len(), answered };
        let (client, operation) = (&self.bulk.client, self.bulk.operation);
        outcomes.into_iter().collect::<Option<_>>().ok_or_else(|| client.unreachable(operation, fault))
    }

    /// Gives every document of a batch its outcome, or returns two halves if the batch is too large.
    async fn deliver_batch(
        &self,
        lines: &[Line<'_>],
        batch: Batch,
        outcomes: &mut [Option<Outcome>],
    ) -> Result<Vec<Batch>, Error> {
        let Batch { positions: mut pending, mut may_exist } = batch;
        let mut pauses = self.bulk.client.pauses_of(self.limits.first_pause, self.limits.retry_timeout);
        loop {
            // Includes the write index, although `create` returns 409 there, because a rollover may come before the write.
            let (indices, found) = self.list_and_find(lines, &pending).await?;
            for position in found {
                outcomes[position] = Some(Ok(Delivery::AlreadyThere));
            }
            pending.retain(|position| outcomes[*position].is_none());
            if pending.is_empty() {
                return Ok(Vec::new());
            }
            // An index is doubtful if it is newer than the lookup, or if an earlier request may have written to another one.
            let is_doubtful = |index: &str| may_exist || indices.iter().all(|known| known.name != index);
            let cause = match self.post(lines, &pending, is_doubtful).await {
                Ok(ControlFlow::Break(())) => return Ok(self.halve(lines, pending, may_exist, outcomes)),
                Ok(ControlFlow::Continue(result)) => {
                    self.report_duplicates(lines, &pending, &result).await?;
                    for (position, outcome) in pending.iter().zip(result.outcomes) {
                        outcomes[*position] = outcome;
                    }
                    pending.retain(|position| outcomes[*position].is_none());
                    let Some(cause) = result.cause else { return Ok(Vec::new()) };
                    cause
                }
                Err(error) => {
                    may_exist |= matches!(error, Error::Unreachable { .. });
                    error
                }
            };
            pauses.before_repeating(cause).await?;
        }
    }

    /// Lists the backing indices before the first lookup needs them. A failure is reported by the lookup, which lists them
    /// again.
    pub(super) async fn prepare(&self) {
        if let Err(error) = self.list().await {
            tracing::debug!(%error, "the backing indices were not listed in advance");
        }
    }

    async fn list(&self) -> Result<Vec<BackingIndex>, Error> {
        let indices = self.finder.indices.list(self.data_stream().as_str()).await?;
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&indices);
        Ok(indices)
    }

    /// Lists the backing indices, and returns those of `positions` whose documents are in one of them. Searches the indices
    /// of the previous list at the same time, and new indices afterwards.
    async fn list_and_find(
        &self,
        lines: &[Line<'_>],
        positions: &[usize],
    ) -> Result<(Vec<BackingIndex>, Vec<usize>), Error> {
        let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (indices, mut found) = try_join!(self.list(), self.find(lines, positions, &listed))?;
        let is_new = |index: &&BackingIndex| listed.iter().all(|known| known.name != index.name);
        let new: Vec<BackingIndex> = indices.iter().filter(is_new).cloned().collect();
        found.extend(self.find(lines, positions, &new).await?);
        Ok((indices, found))
    }

    /// Sends one `_bulk` request for the documents at `positions`. Returns `Break` if it was too large.
    async fn post(
        &self,
        lines: &[Line<'_>],
        positions: &[usize],
        is_doubtful: impl Fn(&str) -> bool,
    ) -> Result<ControlFlow<(), BulkOutcomes>, Error> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let lines = positions.iter().map(|position| lines[*position]);
        let response = self.bulk.create(lines.clone()).await?;
        self.bulk.read(&response, lines.map(|line| line.id), is_doubtful)
    }

    /// Splits a batch that was too large in two, and lowers the limit. A single document becomes a dead letter.
    fn halve(
        &self,
        lines: &[Line<'_>],
        mut positions: Vec<usize>,
        may_exist: bool,
        outcomes: &mut [Option<Outcome>],
    ) -> Vec<Batch> {
        let bytes: usize = positions.iter().map(|position| lines[*position].body_bytes()).sum();
        self.max_bytes.fetch_min((bytes / 2).max(1), Ordering::Relaxed);
        if let [single] = positions[..] {
            outcomes[single] = Some(Err(too_large()));
            return Vec::new();
        }
        let second = positions.split_off(positions.len() / 2);
        [positions, second].map(|positions| Batch { positions, may_exist }).into()
    }

    /// Returns those of `positions` whose documents are in one of `indices`.
    async fn find(
        &self,
        lines: &[Line<'_>],
        positions: &[usize],
        indices: &[BackingIndex],
    ) -> Result<Vec<usize>, Error> {
        if indices.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = |position: &usize| Wanted { id: lines[*position].id, since: lines[*position].since };
        let wanted: Vec<_> = positions.iter().map(wanted).collect();
        let found = self.finder.find(self.data_stream().as_str(), &wanted, indices).await?;
        Ok(found.into_iter().map(|at| positions[at]).collect())
    }

    /// Looks for the documents that were created in a doubtful index in the other indices. Duplicates are only reported,
    /// because the key has no privilege to delete them.
    async fn report_duplicates(&self, lines: &[Line<'_>], sent: &[usize], result: &BulkOutcomes) -> Result<(), Error> {
        let Some(write_index) = &result.doubtful_index else { return Ok(()) };
        let positions: Vec<usize> = result.doubtful.iter().map(|at| sent[*at]).collect();
        let ids = |positions: &[usize]| {
            positions.iter().map(|position| lines[*position].id.as_str()).collect::<Vec<_>>().join(" ")
        };
        match self.find_elsewhere(lines, &positions, write_index).await {
            Ok(duplicates) if duplicates.is_empty() => Ok(()),
            Ok(duplicates) => {
                self.duplicates.fetch_add(duplicates.len() as u64, Ordering::Relaxed);
                tracing::warn!(
                    data_stream = %self.data_stream(),
                    write_index,
                    ids = ids(&duplicates),
                    "documents are in two backing indices: the data stream was rolled over while they were written"
                );
                Ok(())
            }
            Err(error) => {
                tracing::warn!(
                    data_stream = %self.data_stream(),
                    write_index,
                    ids = ids(&positions),
                    "documents were written during a rollover, and the lookup in the older backing indices failed"
                );
                Err(error)
            }
        }
    }

    async fn find_elsewhere(
        &self,
        lines: &[Line<'_>],
        positions: &[usize],
        write_index: &str,
    ) -> Result<Vec<usize>, Error> {
        let mut others = self.finder.indices.list(self.data_stream().as_str()).await?;
        others.retain(|index| index.name != write_index);
        self.find(lines, positions, &others).await
    }
}

fn too_large() -> Refusal {
    Refusal {
        error_type: "request_too_large".to_owned(),
        reason: "a request with only this document exceeds the limit of the cluster or of a proxy in front of it"
            .to_owned(),
    }
}
