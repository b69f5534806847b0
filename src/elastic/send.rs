//! Sends documents to one data stream, each exactly once, and says what became of each.
//!
//! The invariant: a document is sent, also again, only after every backing index that can hold it was asked for it just
//! before, and gets a fate only from an answer that is Elasticsearch's own, whole, and about that document. So a rollover between two
//! runs, two bulks or the asking and the writing doubles nothing that was there when it was asked for. What is left is
//! a second writer of the same document (or a bulk that was cut off and still runs) together with a rollover in those
//! milliseconds; then the documents are looked for once more, and doubles reported.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;

use super::client::{Answer, Body, Call, Client, Pauses};
use super::encode::{Line, MAX_BULK_BYTES, MAX_BULK_DOCUMENTS, WRITTEN, all_created, bulk_body, chunks};
use super::error::{CLUSTER_BLOCK, Doing, Error, Fault, KeyFault, SHARD_LIMIT, known_remedy};
use super::existing::{BackingIndex, Finder, Wanted};
use super::judge::{Item, ItemOutcome, Refusal, StopCause};
use crate::deadline::Deadline;
use crate::document::DataStream;

const FAILURE_STORE_REMEDY: &str = "documents went into the failure store of the data stream, where no search finds \
    them: switch it off (PUT _data_stream/<name>/_options {\"failure_store\": {\"enabled\": false}}) and roll the data \
    stream over; the failure store (<name>::failures) tells why they were refused";
const UNKNOWN_REMEDY: &str = "this version does not know that refusal, so nothing was put aside: look it up in the log \
    of Elasticsearch, and report it to the project";
const NO_TEMPLATE: &str = "no index template makes a data stream of that name";
const PIPELINE: &str = "documents were refused before they came to an index, as happens where the template names an \
    ingest pipeline that does not exist (index.final_pipeline, perhaps of a @custom component template), or one that fails";

/// How much goes into one bulk, and how long a cluster that restarts is asked again: it has answered before, when it was
/// asked what exists.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) max_bytes: usize,
    pub(super) max_documents: usize,
    pub(super) first_pause: Duration,
    pub(super) patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: MAX_BULK_BYTES,
            max_documents: MAX_BULK_DOCUMENTS,
            first_pause: super::client::FIRST_PAUSE,
            patience: super::client::PATIENCE_IN_A_RESTART,
        }
    }
}

/// What became of a document for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    Created,
    AlreadyThere,
    Dead(Refusal),
}

/// The way to one data stream.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) client: Client,
    pub(super) data_stream: DataStream,
    finder: Finder,
    doing: Doing,
    limits: Limits,
    /// Smaller than the limit once a 413 said so.
    max_bytes: AtomicUsize,
    requests: AtomicU64,
    doubles: AtomicU64,
}

/// Documents that are sent together, by their positions.
struct Batch {
    positions: Vec<usize>,
    /// Whether they may have been written by a bulk whose answer was lost.
    unknown: bool,
}

/// What an answer to a bulk is.
enum Posted<'a> {
    Items(Vec<Item<'a>>),
    TooLarge,
}

impl Channel {
    pub(super) fn new(client: Client, data_stream: DataStream, doing: Doing, limits: Limits) -> Self {
        Self {
            finder: Finder::new(client.clone()),
            client,
            data_stream,
            doing,
            limits,
            max_bytes: AtomicUsize::new(limits.max_bytes),
            requests: AtomicU64::new(0),
            doubles: AtomicU64::new(0),
        }
    }

    /// `_bulk` requests sent, repetitions included.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Documents found in two backing indices.
    pub(super) fn doubles(&self) -> u64 {
        self.doubles.load(Ordering::Relaxed)
    }

    /// The largest bulk that is tried now, in bytes before gzip.
    pub(super) fn max_bytes(&self) -> usize {
        self.max_bytes.load(Ordering::Relaxed)
    }

    /// Creates the documents of one chunk, or finds them there: one fate each, in their order.
    ///
    /// # Errors
    /// [`Error`]: then nothing is known of the documents.
    pub(super) async fn send(&self, lines: &[Line<'_>], deadline: Deadline) -> Result<Vec<Fate>, Error> {
        let mut fates = vec![None; lines.len()];
        let sizes = lines.iter().map(Line::body_bytes);
        let mut batches: VecDeque<Batch> = chunks(sizes, self.max_bytes(), self.limits.max_documents)
            .into_iter()
            .map(|range| Batch { positions: range.collect(), unknown: false })
            .collect();
        while let Some(batch) = batches.pop_front() {
            if let Some((first, second)) = self.settle(lines, batch, &mut fates, deadline).await? {
                batches.push_front(second);
                batches.push_front(first);
            }
        }
        let answered = fates.iter().flatten().count();
        let fault = Fault::ItemMismatch { sent: lines.len(), answered };
        fates.into_iter().collect::<Option<_>>().ok_or_else(|| self.client.unreachable(self.doing, fault))
    }

    /// Brings a batch to its end, or returns its halves where it is too large.
    async fn settle(
        &self,
        lines: &[Line<'_>],
        batch: Batch,
        fates: &mut [Option<Fate>],
        deadline: Deadline,
    ) -> Result<Option<(Batch, Batch)>, Error> {
        let Batch { positions: mut pending, mut unknown } = batch;
        let mut pauses = Pauses::new(self.limits.first_pause, self.limits.patience);
        loop {
            let known = self.finder.backing_indices(self.data_stream.as_str(), deadline).await?;
            // The write index too, though `create` answers 409 there: a rollover may come before the writing.
            for (position, _) in self.find(lines, &pending, &known, deadline).await? {
                fates[position] = Some(Fate::AlreadyThere);
            }
            pending.retain(|position| fates[*position].is_none());
            if pending.is_empty() {
                return Ok(None);
            }
            // Where an earlier bulk may have written them, what is created is looked at one by one.
            let write_index = known.last().map(|index| &index.name).filter(|_| !unknown);
            let taken = match self.post(lines, &pending, write_index, deadline).await {
                Ok(answer) if answer.is_as_expected => {
                    for position in pending {
                        fates[position] = Some(Fate::Created);
                    }
                    return Ok(None);
                }
                Ok(answer) => match self.read(&answer, lines, &pending) {
                    Ok(Posted::Items(items)) => {
                        let is_doubtful = |index: &str| unknown || known.iter().all(|known| known.name != index);
                        Ok(Some(self.take(&pending, items, fates, is_doubtful)?))
                    }
                    Ok(Posted::TooLarge) => Ok(None),
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            };
            let cause = match taken {
                Ok(Some(taken)) => {
                    self.report_doubles(lines, &taken.doubtful, deadline).await?;
                    pending = taken.again;
                    match taken.cause {
                        Some(cause) => cause,
                        None => return Ok(None),
                    }
                }
                Ok(None) => match halves(pending, unknown) {
                    Ok(halves) => return Ok(Some(halves)),
                    Err(alone) => {
                        fates[alone] = Some(Fate::Dead(too_large()));
                        return Ok(None);
                    }
                },
                Err(error) => {
                    unknown |= matches!(error, Error::Unreachable { .. });
                    error
                }
            };
            pauses.before_repeating(cause, deadline).await?;
        }
    }

    /// Sends one `_bulk` request. The answer is as expected where all documents were created in the backing index
    /// `expected`.
    async fn post(
        &self,
        lines: &[Line<'_>],
        positions: &[usize],
        expected: Option<&String>,
        deadline: Deadline,
    ) -> Result<Answer, Error> {
        let lines = positions.iter().map(|position| lines[*position]);
        let body = bulk_body(lines.clone())
            // Writing into memory can't fail; if it did, nothing would have been sent.
            .map_err(|_| self.client.unreachable(self.doing, Fault::Connection))?;
        let expected = expected.map(|index| all_created(index, lines.map(|line| line.id)));
        let call = Call {
            doing: self.doing,
            method: Method::POST,
            path: &[self.data_stream.as_str(), "_bulk"],
            query: &[
                ("require_data_stream", "true"),
                // Switches off a default pipeline, not the final one, which our own template may name.
                ("pipeline", "_none"),
                // Below the timeout of the call, so that what waits for a shard is answered, not cut.
                ("timeout", "20s"),
                ("filter_path", WRITTEN),
            ],
            body: Body::GzipNdjson(body),
            expected,
        };
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.client.send(&call, deadline).await
    }

    /// Reads the answer to the `_bulk` request for the documents at `positions`.
    fn read<'a>(&self, answer: &'a Answer, lines: &[Line<'_>], positions: &[usize]) -> Result<Posted<'a>, Error> {
        #[derive(Deserialize)]
        struct Items<'a> {
            #[serde(borrow)]
            items: Vec<Action<'a>>,
        }
        #[derive(Deserialize)]
        struct Action<'a> {
            #[serde(borrow)]
            create: Item<'a>,
        }
        if let Some(error) = self.client.trouble(answer) {
            return Err(error);
        }
        match answer.status.as_u16() {
            200 => {}
            413 => {
                let bytes: usize = positions.iter().map(|position| lines[*position].body_bytes()).sum();
                self.max_bytes.fetch_min((bytes / 2).max(1), Ordering::Relaxed);
                return Ok(Posted::TooLarge);
            }
            status => {
                let error_type = answer.error_type();
                let cause = match error_type.as_str() {
                    CLUSTER_BLOCK => StopCause::Blocked,
                    SHARD_LIMIT => StopCause::ShardLimit,
                    "index_not_found_exception" => StopCause::NoTemplate,
                    _ => StopCause::Unknown,
                };
                return Err(self.stop(cause, status, error_type));
            }
        }
        let items: Vec<Item<'_>> =
            self.client.parse::<Items<'_>>(answer)?.items.into_iter().map(|action| action.create).collect();
        let is_same = |(position, item): (&usize, &Item<'_>)| {
            item.id.as_ref().is_some_and(|id| id.as_str() == lines[*position].id.as_str()) && item.index.is_some()
        };
        if items.len() != positions.len() || !positions.iter().zip(&items).all(is_same) {
            let fault = Fault::ItemMismatch { sent: positions.len(), answered: items.len() };
            return Err(self.client.unreachable(self.doing, fault));
        }
        Ok(Posted::Items(items))
    }

    /// Gives each item its fate, and keeps those that are to be sent again. What was created in an index that
    /// `is_doubtful` may be elsewhere as well.
    fn take(
        &self,
        positions: &[usize],
        items: Vec<Item<'_>>,
        fates: &mut [Option<Fate>],
        is_doubtful: impl Fn(&str) -> bool,
    ) -> Result<Taken, Error> {
        let mut taken = Taken { doubtful: Vec::new(), again: Vec::new(), cause: None };
        for (position, item) in positions.iter().copied().zip(items) {
            let doubtful = is_doubtful(item.index()).then(|| item.index().to_owned());
            match item.judge(self.data_stream.as_str()) {
                ItemOutcome::Created => {
                    taken.doubtful.extend(doubtful.map(|index| (position, index)));
                    fates[position] = Some(Fate::Created);
                }
                ItemOutcome::AlreadyThere => fates[position] = Some(Fate::AlreadyThere),
                ItemOutcome::DeadLetter(refusal) => fates[position] = Some(Fate::Dead(refusal)),
                ItemOutcome::RetryLater { status, error_type } => {
                    taken.again.push(position);
                    // One item that isn't just throttled decides how long it is tried.
                    if taken.cause.as_ref().is_none_or(|cause| matches!(cause, Error::Throttled { .. })) {
                        let (host, doing) = (self.client.host(), self.doing);
                        taken.cause = Some(match status {
                            429 => Error::Throttled { host, doing, retry_after: None },
                            _ => self.client.unreachable(doing, Fault::Items { status, error_type }),
                        });
                    }
                }
                ItemOutcome::Stop { cause, status, error_type } => return Err(self.stop(cause, status, error_type)),
            }
        }
        Ok(taken)
    }

    async fn find(
        &self,
        lines: &[Line<'_>],
        positions: &[usize],
        indices: &[BackingIndex],
        deadline: Deadline,
    ) -> Result<Vec<(usize, String)>, Error> {
        if indices.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = |position: &usize| Wanted { id: lines[*position].id, since: lines[*position].since };
        let wanted: Vec<_> = positions.iter().map(wanted).collect();
        let found = self.finder.find(self.data_stream.as_str(), &wanted, indices, deadline).await?;
        Ok(found.into_iter().map(|(at, index)| (positions[at], index)).collect())
    }

    /// Looks for created documents in the other backing indices, where a rollover came between the asking and the
    /// writing, and reports them: the key has no right to delete one.
    async fn report_doubles(
        &self,
        lines: &[Line<'_>],
        created: &[(usize, String)],
        deadline: Deadline,
    ) -> Result<(), Error> {
        let Some((_, newest)) = created.last() else { return Ok(()) };
        let positions: Vec<usize> = created.iter().map(|(position, _)| *position).collect();
        let ids = |positions: &mut dyn Iterator<Item = usize>| {
            positions.map(|position| lines[position].id.as_str()).collect::<Vec<_>>().join(" ")
        };
        match self.find_elsewhere(lines, &positions, newest, deadline).await {
            Ok(doubles) if doubles.is_empty() => Ok(()),
            Ok(doubles) => {
                self.doubles.fetch_add(doubles.len() as u64, Ordering::Relaxed);
                tracing::warn!(
                    data_stream = %self.data_stream,
                    write_index = newest,
                    ids = ids(&mut doubles.iter().map(|(position, _)| *position)),
                    "documents are in two backing indices: the data stream was rolled over while they were written"
                );
                Ok(())
            }
            Err(error) => {
                tracing::warn!(
                    data_stream = %self.data_stream,
                    write_index = newest,
                    ids = ids(&mut positions.iter().copied()),
                    "documents were written during a rollover, and whether an older backing index has them could not be asked"
                );
                Err(error)
            }
        }
    }

    async fn find_elsewhere(
        &self,
        lines: &[Line<'_>],
        positions: &[usize],
        newest: &str,
        deadline: Deadline,
    ) -> Result<Vec<(usize, String)>, Error> {
        let mut others = self.finder.backing_indices(self.data_stream.as_str(), deadline).await?;
        others.retain(|index| index.name != newest);
        self.find(lines, positions, &others, deadline).await
    }

    pub(super) fn stop(&self, cause: StopCause, status: u16, error_type: String) -> Error {
        let (host, doing) = (self.client.host(), self.doing);
        let refused =
            |host, error_type, remedy| Error::Refused { host, doing, status, error_type, reason: None, remedy };
        match cause {
            StopCause::FailureStore => refused(host, error_type, FAILURE_STORE_REMEDY),
            StopCause::Blocked | StopCause::ShardLimit | StopCause::Unknown => {
                let remedy = known_remedy(&error_type).unwrap_or(UNKNOWN_REMEDY);
                refused(host, error_type, remedy)
            }
            StopCause::Unauthorized => Error::Unauthorized { host, why: KeyFault::Unsaid },
            StopCause::Forbidden => Error::Forbidden { host, doing },
            StopCause::NoTemplate => Error::NotSetUp { host, doing, missing: NO_TEMPLATE },
            StopCause::Pipeline => Error::NotSetUp { host, doing, missing: PIPELINE },
        }
    }
}

/// The fates that an answer settles, and how many documents are sent again.
#[cfg(test)]
type Judged = (Vec<Option<Fate>>, usize);

/// What an answer comes to, without a server that gives it.
#[cfg(test)]
impl Channel {
    /// The fates of `lines` by an answer to their bulk, and how many are sent again; `None` for one that is too large.
    pub(super) fn judge(&self, answer: &Answer, lines: &[Line<'_>]) -> Result<Option<Judged>, Error> {
        let positions: Vec<usize> = (0..lines.len()).collect();
        let mut fates = vec![None; lines.len()];
        match self.read(answer, lines, &positions)? {
            Posted::TooLarge => Ok(None),
            Posted::Items(items) => {
                let taken = self.take(&positions, items, &mut fates, |_| false)?;
                Ok(Some((fates, taken.again.len())))
            }
        }
    }
}

/// What one answer said.
struct Taken {
    /// What was created, and in which index, where it may be in another as well.
    doubtful: Vec<(usize, String)>,
    again: Vec<usize>,
    /// Why some are sent again.
    cause: Option<Error>,
}

/// Two halves of at least one each, or the position that is alone.
fn halves(mut positions: Vec<usize>, unknown: bool) -> Result<(Batch, Batch), usize> {
    if let [alone] = positions[..] {
        return Err(alone);
    }
    let second = positions.split_off(positions.len() / 2);
    Ok((Batch { positions, unknown }, Batch { positions: second, unknown }))
}

fn too_large() -> Refusal {
    Refusal {
        error_type: "request_too_large".to_owned(),
        reason: "this document alone is more than the cluster, or a proxy before it, takes in one request".to_owned(),
    }
}
