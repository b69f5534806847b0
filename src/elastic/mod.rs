//! Elasticsearch: writes documents into data streams exactly once, judges what became of each, keeps what was refused
//! as dead letters, and installs the index assets.
//!
//! Knows nothing of LastPass. Its invariant: a document is reported as delivered only after Elasticsearch, in an
//! answer of its own, acknowledged it or its dead letter.

mod assets;
mod client;
mod dead_letter;
mod encode;
mod endpoint;
mod error;
mod existing;
mod ignored;
mod judge;
mod owners;
mod rights;
mod send;

#[cfg(test)]
#[path = "../../tests/errors/elastic.rs"]
mod error_texts;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use crate::deadline::Deadline;
use crate::document::{DataStream, DocId, Document};

pub use assets::{SetupOptions, is_set_up, setup, stale_assets};
pub use client::Client;
pub use dead_letter::{DeadLetter, LetterFilter, Origin, WaitingLetters, waiting_dead_letters};
pub use endpoint::{Endpoint, InvalidEndpoint};
pub use error::{Doing, Error, Fault, KeyFault, Unreadable};
pub use ignored::{Ignored, IgnoredValues, ignored_values};
pub use judge::{ItemOutcome, Refusal, StopCause};
pub use owners::other_writers;
pub use rights::{ClusterInfo, OLDEST_VERSION, Role, cluster_info, excess_rights, missing_rights};

#[doc(hidden)]
pub use encode::{FOUND, WRITTEN, all_created, bulk_of, none_found};
use encode::{Line, chunks};
use send::{Channel, Fate, Limits};

/// Bulks under way at once. Chosen: one is packed while the other waits for its answer; more would only hold more
/// memory on a function with less than two CPUs.
const IN_FLIGHT: usize = 2;

/// From how many documents on a chunk is stopped when more than half of it would become dead letters: so many refused
/// at once are the mapping's fault, not theirs.
const MANY: usize = 20;

const MOST_REFUSED_REMEDY: &str = "more than half of the documents of a bulk were refused, which is the fault of the \
    mapping rather than theirs, so none was put aside: look at the data stream's mapping and at the @custom component \
    templates, and invoke the function with {\"action\": \"setup\"}";
const LETTER_REFUSED_REMEDY: &str = "the dead letter of a document was refused as well, so nothing was advanced: look at \
    the dead letters' data stream and its mapping, and invoke the function with {\"action\": \"setup\"}";

/// What became of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It was written now.
    Created,
    /// It was in the data stream already, or its dead letter in theirs.
    AlreadyThere,
    /// It was refused for good, and its dead letter was written now.
    DeadLetter,
}

/// What became of documents that have a dead letter each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redelivered {
    /// What became of each, in their order: one that was refused again is a [`Delivery::DeadLetter`].
    pub deliveries: Vec<Delivery>,
    /// How many were refused again, by their `error.type`.
    pub refused: BTreeMap<String, u64>,
}

/// Writes the documents of one data stream.
#[derive(Debug)]
pub struct BulkWriter {
    documents: Channel,
    letters: Channel,
    origin: Origin,
    limits: Limits,
}

impl BulkWriter {
    /// A writer for `data_stream`, which keeps what is refused in `dead_letters`.
    #[must_use]
    pub fn new(client: &Client, data_stream: DataStream, dead_letters: DataStream, origin: Origin) -> Self {
        Self::with_limits(client, data_stream, dead_letters, origin, Limits::default())
    }

    fn with_limits(
        client: &Client,
        data_stream: DataStream,
        dead_letters: DataStream,
        origin: Origin,
        limits: Limits,
    ) -> Self {
        Self {
            documents: Channel::new(client.clone(), data_stream, Doing::Write, limits),
            letters: Channel::new(client.clone(), dead_letters, Doing::WriteDeadLetter, limits),
            origin,
            limits,
        }
    }

    /// Delivers `documents`: what became of each, in their order. `now` is the time of a refusal.
    ///
    /// # Errors
    /// [`Error`]: then some of the documents may be written. The same ones can be delivered again without harm; what
    /// [`Error::is_out_of_time`] ended is progress that was not made, not a fault.
    pub async fn deliver(
        &self,
        documents: &[Document],
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Vec<Delivery>, Error> {
        let sizes = documents.iter().map(|document| Line::of(document).body_bytes());
        let chunks = chunks(sizes, self.documents.max_bytes(), self.limits.max_documents);
        let deliveries: Vec<Vec<Delivery>> = stream::iter(chunks)
            .map(|range| self.deliver_chunk(&documents[range], now, deadline))
            .buffered(IN_FLIGHT)
            .try_collect()
            .await?;
        Ok(deliveries.into_iter().flatten().collect())
    }

    /// Delivers `documents` that have a dead letter each: what is refused again keeps the one it has.
    ///
    /// # Errors
    /// As [`deliver`](Self::deliver).
    pub async fn redeliver(&self, documents: &[Document], deadline: Deadline) -> Result<Redelivered, Error> {
        let lines: Vec<Line<'_>> = documents.iter().map(Line::of).collect();
        let mut refused = BTreeMap::new();
        let mut delivery = |fate| match fate {
            Fate::Created => Delivery::Created,
            Fate::AlreadyThere => Delivery::AlreadyThere,
            Fate::Dead(refusal) => {
                *refused.entry(refusal.error_type).or_default() += 1;
                Delivery::DeadLetter
            }
        };
        let deliveries = self.documents.send(&lines, deadline).await?.into_iter().map(&mut delivery).collect();
        Ok(Redelivered { deliveries, refused })
    }

    /// `_bulk` requests sent so far, repetitions and dead letters included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.documents.requests() + self.letters.requests()
    }

    /// Documents that were found in two backing indices after they were written: a rollover came between the asking
    /// which exist and the writing. Each was logged with its `_id`.
    #[must_use]
    pub fn late_doubles(&self) -> u64 {
        self.documents.doubles() + self.letters.doubles()
    }

    async fn deliver_chunk(
        &self,
        documents: &[Document],
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Vec<Delivery>, Error> {
        let lines: Vec<Line<'_>> = documents.iter().map(Line::of).collect();
        let fates = self.documents.send(&lines, deadline).await?;
        let refused: Vec<_> = documents
            .iter()
            .zip(&fates)
            .filter_map(|(document, fate)| match fate {
                Fate::Dead(refusal) => Some((document, refusal)),
                Fate::Created | Fate::AlreadyThere => None,
            })
            .collect();
        if let [(_, first), ..] = &refused[..]
            && documents.len() >= MANY
            && refused.len() * 2 > documents.len()
        {
            return Err(Error::Refused {
                host: self.documents.client.host(),
                doing: Doing::Write,
                status: 400,
                error_type: first.error_type.clone(),
                reason: None,
                remedy: MOST_REFUSED_REMEDY,
            });
        }
        let mut letters = self.write_letters(&refused, now, deadline).await?.into_iter();
        Ok(fates
            .iter()
            .map(|fate| match fate {
                Fate::Created => Delivery::Created,
                Fate::AlreadyThere => Delivery::AlreadyThere,
                Fate::Dead(_) => letters.next().unwrap_or(Delivery::DeadLetter),
            })
            .collect())
    }

    /// Writes a dead letter for each refused document.
    async fn write_letters(
        &self,
        refused: &[(&Document, &Refusal)],
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Vec<Delivery>, Error> {
        if refused.is_empty() {
            return Ok(Vec::new());
        }
        let (target, letters) = (&self.documents.data_stream, &self.letters.data_stream);
        let written: Vec<(DocId, String)> = refused
            .iter()
            .map(|(document, refusal)| {
                let source = dead_letter::letter_source(letters, target, document, refusal, &self.origin, now);
                (dead_letter::letter_id(target.as_str(), &document.id), source)
            })
            .collect();
        // A letter can have been written since its document can.
        let since = refused.iter().map(|(document, _)| document.since);
        let lines: Vec<_> = written.iter().zip(since).map(|((id, source), since)| Line { id, source, since }).collect();
        let fates = self.letters.send(&lines, deadline).await?;
        fates
            .into_iter()
            .map(|fate| match fate {
                Fate::Created => Ok(Delivery::DeadLetter),
                Fate::AlreadyThere => Ok(Delivery::AlreadyThere),
                Fate::Dead(refusal) => Err(Error::Refused {
                    host: self.letters.client.host(),
                    doing: Doing::WriteDeadLetter,
                    status: 400,
                    error_type: refusal.error_type,
                    reason: None,
                    remedy: LETTER_REFUSED_REMEDY,
                }),
            })
            .collect()
    }
}
