//! Looks up which documents a data stream has, by real-time `_mget` on its backing indices.
//!
//! An `_id` is unique only within a backing index, a search does not see documents just written, and `_mget` on the name of
//! the data stream fails for every document in a response of 200. Therefore the backing indices are listed first and asked
//! by name. An entry with an error never counts as "absent".

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use elasticsearch::MgetParts;
use elasticsearch::http::response::Cause;
use jiff::Timestamp;
use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::backing_indices::{BackingIndex, BackingIndices, index_names};
use super::cause::{Unanswered, Unreadable};
use super::client::Client;
use super::encode::{gzip, json};
use super::error::Error;
use super::operation::Operation;
use super::remedy::CLUSTER_BLOCK;
use super::response::{Response, read_error_type};
use super::retry::{FIRST_PAUSE, RETRY_TIMEOUT};
use super::transport::{Body, Request};
use crate::document::DocId;
use crate::text::Text;

/// Maximum number of documents in one `_mget`. Chosen: about 1.5 MB of body, and as much of response.
const MAX_LOOKUPS: usize = 10_000;

/// The response to a lookup in one index that has none of the documents, around their IDs.
const NONE_FOUND: [&str; 3] = [r#"{"docs":[{"_id":""#, r#"","found":false},{"_id":""#, r#"","found":false}]}"#];

const FIND_REMEDY: &str = "see the Elasticsearch log for the reason, and check whether the data stream can be read";
const TOO_LARGE_REMEDY: &str = "even a request for a single ID is too large: raise the limit that it exceeds, which \
    is http.max_content_length of Elasticsearch (elasticsearch.yml), client_max_body_size of an nginx in front of it, \
    or the equivalent of another proxy";

/// A document to look for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) id: &'a DocId,
    /// The earliest time at which it can have been written. None if that is unknown.
    pub(super) since: Option<Timestamp>,
}

/// Looks up documents, and remembers what it has learned about the cluster.
#[derive(Debug)]
pub(super) struct Finder {
    client: Client,
    pub(super) indices: BackingIndices,
    /// Less than [`MAX_LOOKUPS`] after a 413.
    max_lookups: AtomicUsize,
}

impl Finder {
    /// Creates a finder that knows nothing yet.
    pub(super) fn new(client: Client) -> Self {
        Self { indices: BackingIndices::new(client.clone()), client, max_lookups: AtomicUsize::new(MAX_LOOKUPS) }
    }

    /// Returns the positions of those of `wanted` that are in one of `indices`.
    ///
    /// # Errors
    /// [`Error`], even if the entry of only one document is an error, because that document may exist.
    pub(super) async fn find(
        &self,
        data_stream: &str,
        wanted: &[Wanted<'_>],
        indices: &[BackingIndex],
    ) -> Result<HashSet<usize>, Error> {
        let mut indices = indices.to_vec();
        let write_index = indices.last().map(|index| index.name.clone());
        let mut pauses = self.client.pauses();
        // While a cluster restarts, its write index cannot be read either, so older ones are given up sooner.
        let mut pauses_for_older = self.client.pauses_of(FIRST_PAUSE, RETRY_TIMEOUT);
        loop {
            let error = match self.try_find(wanted, &indices).await? {
                Attempt::Found(found) => return Ok(found),
                Attempt::Failed(error) => error,
            };
            let is_older =
                matches!(&error, Error::IndexUnreadable { index, .. } if Some(index) != write_index.as_ref());
            if is_older { &mut pauses_for_older } else { &mut pauses }.before_repeating(error).await?;
            // The documents of an index that its lifecycle has deleted are no longer in the data stream.
            let listed = index_names(&self.client, data_stream).await?;
            indices.retain(|index| listed.contains(&index.name));
        }
    }

    async fn try_find(&self, wanted: &[Wanted<'_>], indices: &[BackingIndex]) -> Result<Attempt, Error> {
        let mut found = HashSet::new();
        let mut inquiry = Inquiry { wanted, indices, asked: 0 };
        loop {
            let begin = inquiry.asked;
            let batch = inquiry.next(self.max_lookups.load(Ordering::Relaxed), &found);
            if batch.is_empty() {
                return Ok(Attempt::Found(found));
            }
            let response = mget(&self.client, &batch).await?;
            if response.status == 413 && batch.len() > 1 {
                self.max_lookups.fetch_min(batch.len() / 2, Ordering::Relaxed);
                inquiry.asked = begin;
                continue;
            }
            if !response.status.is_success() {
                let remedy = if response.status == 413 { TOO_LARGE_REMEDY } else { FIND_REMEDY };
                return Err(self.client.refused(&response, remedy));
            }
            if let Some(error) = self.read(&response, &batch, &mut found)? {
                return Ok(Attempt::Failed(error));
            }
        }
    }

    /// Adds the documents of `batch` that exist to `found`. Returns the error of an entry.
    fn read(
        &self,
        response: &Response,
        batch: &[Question<'_>],
        found: &mut HashSet<usize>,
    ) -> Result<Option<Error>, Error> {
        let ids = batch.iter().map(|question| question.id);
        if response.is_about_each(ids, NONE_FOUND) {
            return Ok(None);
        }
        let entries = self.client.parse::<Entries<'_>>(response)?.docs;
        let mismatch = || {
            let fault = Unanswered::ItemMismatch { sent: batch.len(), answered: entries.len() };
            self.client.unreachable(Operation::FindIds, fault)
        };
        if entries.len() != batch.len() {
            return Err(mismatch());
        }
        for (question, entry) in batch.iter().zip(&entries) {
            let is_other_index = entry.index.as_ref().is_some_and(|index| index.as_str() != question.index);
            if is_other_index || entry.id.as_str() != question.id.as_str() {
                return Err(mismatch());
            }
            match (&entry.error, entry.found) {
                (None, Some(true)) => {
                    found.insert(question.position);
                }
                (None, Some(false)) => {}
                (None, None) => return Err(mismatch()),
                (Some(error), _) => return Ok(Some(entry_error(&self.client, error, question.index))),
            }
        }
        Ok(None)
    }
}

/// The outcome of one attempt to look documents up.
enum Attempt {
    Found(HashSet<usize>),
    /// An entry was an error.
    Failed(Error),
}

/// Returns the error of a lookup of which one entry, in `index`, is `error`.
pub(super) fn entry_error(client: &Client, error: &Cause, index: &str) -> Error {
    let (host, operation) = (client.host(), Operation::FindIds);
    let error_type = read_error_type(error.ty());
    let why = match error_type.as_str() {
        "security_exception" => return Error::Forbidden { host, operation },
        "es_rejected_execution_exception" => return Error::Throttled { host, operation, retry_after: None },
        "index_closed_exception" => Unreadable::Closed,
        CLUSTER_BLOCK => Unreadable::Blocked,
        _ => Unreadable::NotNow { error_type },
    };
    Error::IndexUnreadable { host, operation, index: index.to_owned(), why }
}

#[derive(Serialize)]
struct Question<'a> {
    #[serde(rename = "_index")]
    index: &'a str,
    #[serde(rename = "_id")]
    id: &'a DocId,
    #[serde(skip)]
    position: usize,
}

#[derive(Deserialize)]
struct Entries<'a> {
    #[serde(borrow)]
    docs: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    /// `None` if the path of the request names the index.
    #[serde(borrow, rename = "_index")]
    index: Option<Text<'a>>,
    #[serde(borrow, rename = "_id")]
    id: Text<'a>,
    found: Option<bool>,
    /// Boxed, because most items have none and it is large.
    error: Option<Box<Cause>>,
}

/// A lookup: asks for each wanted document in each backing index.
struct Inquiry<'a> {
    wanted: &'a [Wanted<'a>],
    indices: &'a [BackingIndex],
    /// The number of combinations of document and index that are done.
    asked: usize,
}

impl<'a> Inquiry<'a> {
    /// Returns the next questions, at most `most`. Every document is looked for in every index that can hold it, unless
    /// it was `found`. The newest index comes first, because a document that is read again was most often written last.
    fn next(&mut self, most: usize, found: &HashSet<usize>) -> Vec<Question<'a>> {
        let (wanted, indices) = (self.wanted, self.indices);
        let mut batch = Vec::new();
        while batch.len() < most && self.asked < wanted.len() * indices.len() {
            let (age, position) = (self.asked / wanted.len(), self.asked % wanted.len());
            self.asked += 1;
            let (index, Wanted { id, since }) = (&indices[indices.len() - 1 - age], wanted[position]);
            if !found.contains(&position) && index.can_hold(since) {
                batch.push(Question { index: &index.name, id, position });
            }
        }
        batch
    }
}

/// Sends one `_mget` request with the questions of `batch`.
async fn mget(client: &Client, batch: &[Question<'_>]) -> Result<Response, Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "lowercase")]
    enum Questions<'a> {
        Docs(&'a [Question<'a>]),
        Ids(Vec<&'a DocId>),
    }
    // Most data streams have one backing index. Named once, in the path, it leaves a small body and a small response.
    let one_index = batch.first().map(|first| first.index).filter(|first| batch.iter().all(|one| one.index == *first));
    let (path, fields, questions) = match one_index {
        Some(index) => {
            let ids = batch.iter().map(|question| question.id).collect();
            (MgetParts::Index(index), "docs._id,docs.found,docs.error.type", Questions::Ids(ids))
        }
        None => (MgetParts::None, "docs._index,docs._id,docs.found,docs.error.type", Questions::Docs(batch)),
    };
    let body = match &questions {
        // IDs are hashes, which hardly shrink.
        Questions::Ids(_) => Body::Json(json(&questions)),
        Questions::Docs(_) => Body::GzipJson(gzip(&json(&questions))),
    };
    let request = Request {
        query: &[("_source", "false"), ("realtime", "true"), ("filter_path", fields)],
        body,
        ..Request::new(Operation::FindIds, Method::POST, path.url())
    };
    client.send_with_retries(&request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn only_indices_that_can_hold_a_document_are_asked_for_it() {
        let index = |name: &str, ended: Option<&str>| BackingIndex::ended(name, ended.map(at));
        let indices =
            [index("a", Some("2026-02-01T00:00:00Z")), index("b", Some("2026-03-01T00:00:00Z")), index("c", None)];
        let ids = ["old", "new", "unknown"].map(|id| DocId(id.to_owned()));
        let since = [Some("2026-01-15T00:00:00Z"), Some("2026-02-15T00:00:00Z"), None];
        let wanted: Vec<Wanted<'_>> =
            ids.iter().zip(since).map(|(id, since)| Wanted { id, since: since.map(at) }).collect();
        let mut inquiry = Inquiry { wanted: &wanted, indices: &indices, asked: 0 };
        let mut all = Vec::new();
        loop {
            let batch = inquiry.next(2, &HashSet::new());
            if batch.is_empty() {
                break;
            }
            all.extend(batch.iter().map(|question| format!("{}{}", question.index, question.id)));
        }
        assert_eq!(all, ["cold", "cnew", "cunknown", "bold", "bnew", "bunknown", "aold", "aunknown"]);
    }
}
