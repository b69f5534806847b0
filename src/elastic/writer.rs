//! Delivers the documents of one data stream: writes them, and keeps those that are rejected permanently as dead
//! letters.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use super::client::Client;
use super::dead_letter::{self, Letter, Origin};
use super::encode::Line;
use super::error::Error;
use super::judge::Refusal;
use super::operation::Operation;
use super::outcome::Delivery;
use super::send::StreamWriter;
use crate::document::{DataStream, DocId, Document};

/// Bulk requests in progress at once. Chosen: one is compressed while the other waits for its response. More would only
/// need more memory on a function with less than two CPUs.
const IN_FLIGHT: usize = 2;

/// Minimum number of documents in a chunk that stops the run if more than half of them are refused: the fault is then in the
/// mapping, not in the documents. Chosen: a few refused documents may be a coincidence.
const MIN_DOCUMENTS_FOR_MAPPING_FAULT: usize = 20;

const MOST_REFUSED_REMEDY: &str = "more than half of the documents of a bulk request were refused, which indicates a \
    wrong mapping, so no dead letters were written: check the data stream's mapping and the @custom component \
    templates, and invoke the function with {\"action\": \"setup\"}";
const LETTER_REFUSED_REMEDY: &str = "the dead letter of a document was refused as well, so the checkpoint is unchanged: \
    check the dead letters' data stream and its mapping, and invoke the function with {\"action\": \"setup\"}";

const CHANGE_REFUSED_REMEDY: &str = "a change between two snapshots was refused, so the comparison is not complete: check the \
    mapping of its data stream and the @custom component templates, and invoke the function with {\"action\": \"setup\"}";

/// Writes the documents of one data stream.
#[derive(Debug)]
pub struct BulkWriter {
    documents: StreamWriter,
    letters: StreamWriter,
    origin: Origin,
}

impl BulkWriter {
    /// Creates a writer for `data_stream` that keeps refused documents in `dead_letters`.
    #[must_use]
    pub fn new(client: &Client, data_stream: DataStream, dead_letters: DataStream, origin: Origin) -> Self {
        Self {
            documents: StreamWriter::new(client.clone(), data_stream, Operation::Write),
            letters: StreamWriter::new(client.clone(), dead_letters, Operation::WriteDeadLetter),
            origin,
        }
    }

    /// Returns this writer with other limits.
    #[cfg(test)]
    pub(super) fn with_limits(self, limits: super::send::Limits) -> Self {
        Self { documents: self.documents.with_limits(limits), letters: self.letters.with_limits(limits), ..self }
    }

    /// Lists the backing indices of the data stream in advance, while something else is waited for.
    pub async fn prepare(&self) {
        self.documents.prepare().await;
    }

    /// Delivers `documents`, and returns the outcome of each, in their order. `now` is the time of a refusal.
    ///
    /// # Errors
    /// [`Error`]: some of the documents may have been written. Delivering them again does no harm. If
    /// [`Error::is_out_of_time`], only the deadline came first.
    pub async fn deliver(&self, documents: &[Document], now: Timestamp) -> Result<Vec<Delivery>, Error> {
        let lines: Vec<Line<'_>> = documents.iter().map(Line::of).collect();
        let deliveries: Vec<Vec<Delivery>> = stream::iter(self.documents.chunks(&lines))
            .map(|chunk| self.deliver_chunk(&documents[chunk.clone()], &lines[chunk], now))
            .buffered(IN_FLIGHT)
            .try_collect()
            .await?;
        Ok(deliveries.into_iter().flatten().collect())
    }

    /// Delivers `documents`, each of which has a dead letter, and returns the outcome of each, in their order: the
    /// `error.type` of a document that was rejected again and keeps its dead letter.
    ///
    /// # Errors
    /// As [`deliver`](Self::deliver).
    pub async fn redeliver(&self, documents: &[Document]) -> Result<Vec<Result<Delivery, String>>, Error> {
        let lines: Vec<Line<'_>> = documents.iter().map(Line::of).collect();
        let outcomes = self.documents.send(&lines).await?.into_iter();
        Ok(outcomes.map(|outcome| outcome.map_err(|refusal| refusal.error_type)).collect())
    }

    /// Delivers `documents` without writing dead letters, because a redrive could not recreate these documents.
    ///
    /// # Errors
    /// As [`deliver`](Self::deliver), and [`Error::Refused`] if a document is rejected permanently.
    pub async fn deliver_or_stop(&self, documents: &[Document]) -> Result<Vec<Delivery>, Error> {
        let lines: Vec<Line<'_>> = documents.iter().map(Line::of).collect();
        let stop = |refusal: Refusal| rejected(&self.documents, refusal.error_type, CHANGE_REFUSED_REMEDY);
        self.documents.send(&lines).await?.into_iter().map(|outcome| outcome.map_err(stop)).collect()
    }

    /// Returns the number of `_bulk` requests sent so far, including repetitions and dead letters.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.documents.requests() + self.letters.requests()
    }

    /// Returns the number of documents that were found in two backing indices after they were written, because a rollover
    /// came between the lookup and the write. The `_id` of each was logged.
    #[must_use]
    pub fn rollover_duplicates(&self) -> u64 {
        self.documents.rollover_duplicates() + self.letters.rollover_duplicates()
    }

    #[expect(clippy::expect_used, reason = "`write_letters` returns one outcome for each refused document")]
    async fn deliver_chunk(
        &self,
        documents: &[Document],
        lines: &[Line<'_>],
        now: Timestamp,
    ) -> Result<Vec<Delivery>, Error> {
        let outcomes = self.documents.send_chunk(lines).await?;
        let refused: Vec<_> = documents
            .iter()
            .zip(&outcomes)
            .filter_map(|(document, outcome)| Some((document, outcome.as_ref().err()?)))
            .collect();
        if let [(_, first), ..] = &refused[..]
            && documents.len() >= MIN_DOCUMENTS_FOR_MAPPING_FAULT
            && refused.len() * 2 > documents.len()
        {
            return Err(rejected(&self.documents, first.error_type.clone(), MOST_REFUSED_REMEDY));
        }
        let mut letters = self.write_letters(&refused, now).await?.into_iter();
        let mut with_letter = |_: &_| letters.next().expect("each refused document has a letter");
        Ok(outcomes.iter().map(|outcome| outcome.as_ref().copied().unwrap_or_else(&mut with_letter)).collect())
    }

    /// Writes a dead letter for each refused document.
    async fn write_letters(&self, refused: &[(&Document, &Refusal)], now: Timestamp) -> Result<Vec<Delivery>, Error> {
        if refused.is_empty() {
            return Ok(Vec::new());
        }
        let (target, letters) = (self.documents.data_stream(), self.letters.data_stream());
        let written: Vec<(DocId, String)> = refused
            .iter()
            .map(|(document, refusal)| {
                let letter = Letter { letters, target, document, refusal, origin: &self.origin, now };
                let source = dead_letter::letter_source(&letter);
                (dead_letter::letter_id(target.as_str(), &document.id), source)
            })
            .collect();
        // A letter cannot be older than its document.
        let since = refused.iter().map(|(document, _)| document.since);
        let lines: Vec<_> = written.iter().zip(since).map(|((id, source), since)| Line { id, source, since }).collect();
        let outcomes = self.letters.send(&lines).await?;
        outcomes
            .into_iter()
            .map(|outcome| match outcome {
                Ok(Delivery::AlreadyThere) => Ok(Delivery::AlreadyThere),
                Ok(Delivery::Created | Delivery::DeadLetter) => Ok(Delivery::DeadLetter),
                Err(refusal) => Err(rejected(&self.letters, refusal.error_type, LETTER_REFUSED_REMEDY)),
            })
            .collect()
    }
}

/// Returns the error for documents whose refusal stops the run.
fn rejected(writer: &StreamWriter, error_type: String, remedy: &'static str) -> Error {
    let (host, operation) = (writer.bulk.client.host(), writer.bulk.operation);
    Error::Refused { host, operation, status: 400, error_type, reason: None, remedy }
}
