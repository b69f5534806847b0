//! Dead letters: documents that keep a record whole which Elasticsearch refused for good.
//!
//! A letter's `_id` is made from its target and the document's `_id`, so a second refusal adds none. A letter waits as
//! long as its target has no document of that `_id`. Beside the record it repeats what else the document was made of, so
//! that the same one can be made again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::client::{Body, Call, Client};
use super::error::{Doing, Error};
use super::existing::{Finder, Wanted};
use super::judge::Refusal;
use crate::deadline::Deadline;
use crate::document::{AccountNumber, DataStream, DocId, Document, Namespace};

/// The first letter of a dead letter's `_id`: it names the scheme, which never changes.
const ID_SCHEME: &str = "d";

/// Dead letters looked at at once. Chosen: about 300 bytes each.
const PAGE: usize = 1_000;

/// Dead letters read whole at once. Chosen: an answer has room for records of 1.6 MB each.
const TAKEN_UP_AT_ONCE: usize = 20;

/// The order of dead letters: oldest first. The three together are a letter's identity, so no page ends between two that
/// can't be told apart.
const ORDER: [&str; 3] = ["@timestamp", TARGET, "lastpass.dead_letter.document_id"];
const TARGET: &str = "lastpass.dead_letter.data_stream";

const READ_REMEDY: &str = "see whether the dead letters' data stream can be searched, and whether `setup` was run";

/// Where documents come from: what a dead letter tells of it.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The LastPass account.
    pub account: AccountNumber,
    /// The invocation's request id.
    pub request_id: String,
    /// The invocation's payload.
    pub request: serde_json::Value,
}

/// The `_id` of the dead letter for `document_id`, which `target` refused.
pub(super) fn letter_id(target: &str, document_id: &DocId) -> DocId {
    let mut hash = Sha256::new();
    for part in [target, document_id.as_str()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    DocId(format!("{ID_SCHEME}{}", URL_SAFE_NO_PAD.encode(hash.finalize())))
}

/// The `_source` of the dead letter for `document`.
pub(super) fn letter_source(
    letters: &DataStream,
    target: &DataStream,
    document: &Document,
    refusal: &Refusal,
    origin: &Origin,
    now: Timestamp,
) -> String {
    // Only what is wanted is read: a value elsewhere may lie deeper than the parser goes.
    #[derive(Default, Deserialize)]
    struct Made {
        #[serde(default)]
        event: MadeEvent,
        tags: Option<Value>,
    }
    #[derive(Default, Deserialize)]
    struct MadeEvent {
        created: Option<Value>,
        ingested: Option<Value>,
    }
    // A namespace has no hyphen, so the last one ends the dataset.
    let namespace = letters.as_str().rsplit_once('-').map_or("", |(_, namespace)| namespace);
    // Every source is JSON; a letter that repeated nothing would be one of an older version.
    let made: Made = serde_json::from_str(&document.source).unwrap_or_default();
    let mut event = Map::new();
    for (name, value) in [("created", made.event.created), ("ingested", made.event.ingested)] {
        event.extend(value.map(|value| (name.to_owned(), value)));
    }
    event.insert("original".to_owned(), document.original.as_str().into());
    let mut letter = json!({
        "@timestamp": now,
        "data_stream": {"type": "logs", "dataset": "lastpass.dead_letter", "namespace": namespace},
        "event": event,
        "error": {"type": refusal.error_type, "message": refusal.reason},
        "lastpass": {"dead_letter": {
            "data_stream": target,
            "document_id": document.id,
            "timestamp": document.timestamp,
            "account": origin.account,
            "request_id": origin.request_id,
            "request": origin.request,
        }},
    });
    if let Some(tags) = made.tags {
        letter["tags"] = tags;
    }
    if let Some(since) = document.since {
        letter["lastpass"]["dead_letter"]["since"] = since.to_string().into();
    }
    letter.to_string()
}

/// Counts the dead letters of `account` in `namespace` that wait: those whose target has no document with their `document_id`.
///
/// A letter of the last second may not be seen yet: this is a search.
///
/// # Errors
/// [`Error`].
pub async fn waiting_dead_letters(
    client: &Client,
    namespace: &Namespace,
    account: &AccountNumber,
    deadline: Deadline,
) -> Result<u64, Error> {
    let letters = DataStream::dead_letter(namespace);
    let mut pages = Pages { client, letters, filters: vec![of_account(account)], after: None };
    let finder = Finder::new(client.clone());
    // One that a rollover doubled counts once.
    let mut waiting = BTreeSet::new();
    loop {
        let page = pages.fetch(deadline).await?;
        if page.is_empty() {
            return Ok(waiting.len() as u64);
        }
        waiting.extend(those_that_wait(&finder, page, deadline).await?.map(|hit| hit.id));
    }
}

/// Which dead letters are to be delivered again.
#[derive(Debug, Clone)]
pub struct LetterFilter {
    /// The data stream whose documents they are.
    pub target: DataStream,
    /// The LastPass account.
    pub account: AccountNumber,
    /// Refused then or later.
    pub refused_from: Option<Timestamp>,
}

/// A dead letter that waits, with what its document was made of. Letters of older versions have neither `timestamp` nor
/// `since` nor `created` nor `ingested`, and no tags.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "LetterSource")]
pub struct DeadLetter {
    /// The document's `_id`.
    pub document_id: DocId,
    /// When it was refused.
    pub refused_at: Timestamp,
    /// The record it was mapped from.
    pub original: String,
    /// Its `@timestamp`.
    pub timestamp: Option<Timestamp>,
    /// The earliest moment at which it can have been written.
    pub since: Option<Timestamp>,
    /// Its `event.created`.
    pub created: Option<Timestamp>,
    /// Its `event.ingested`.
    pub ingested: Option<Timestamp>,
    /// Its `tags`.
    pub tags: Vec<String>,
    /// The payload of the invocation that it was refused in.
    pub request: Value,
}

fn of_account(account: &AccountNumber) -> Value {
    json!({"term": {"lastpass.dead_letter.account": account}})
}

/// The `_source` of a dead letter, as far as a redrive needs it.
#[derive(Deserialize)]
struct LetterSource {
    #[serde(rename = "@timestamp")]
    refused_at: Timestamp,
    event: LetterEvent,
    #[serde(default)]
    tags: Texts,
    lastpass: Lastpass<Letter>,
}

#[derive(Deserialize)]
struct LetterEvent {
    original: String,
    created: Option<Timestamp>,
    ingested: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Letter {
    document_id: DocId,
    timestamp: Option<Timestamp>,
    since: Option<Timestamp>,
    #[serde(default)]
    request: Value,
}

/// A list of texts: with synthetic `_source`, a list of one text comes back as that text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Default for Texts {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl From<Texts> for Vec<String> {
    fn from(texts: Texts) -> Self {
        match texts {
            Texts::One(text) => vec![text],
            Texts::Many(texts) => texts,
        }
    }
}

impl From<LetterSource> for DeadLetter {
    fn from(source: LetterSource) -> Self {
        let LetterSource { refused_at, event, tags, lastpass: Lastpass { dead_letter } } = source;
        let LetterEvent { original, created, ingested } = event;
        let Letter { document_id, timestamp, since, request } = dead_letter;
        Self { document_id, refused_at, original, timestamp, since, created, ingested, tags: tags.into(), request }
    }
}

/// Reads the dead letters that wait, oldest first, a few at a time.
pub struct WaitingLetters<'a> {
    pages: Pages<'a>,
    finder: Finder,
    /// The `_id`s of those of the last page that were not read yet.
    ids: VecDeque<String>,
}

impl<'a> WaitingLetters<'a> {
    /// Reads those in `letters` that `filter` lets through.
    #[must_use]
    pub fn new(client: &'a Client, letters: DataStream, filter: &LetterFilter) -> Self {
        let mut filters = vec![json!({"term": {TARGET: filter.target}}), of_account(&filter.account)];
        if let Some(from) = filter.refused_from {
            filters.push(json!({"range": {"@timestamp": {"gte": from}}}));
        }
        let pages = Pages { client, letters, filters, after: None };
        Self { pages, finder: Finder::new(client.clone()), ids: VecDeque::new() }
    }

    /// The next ones; none at the end. A letter of the last second may not be seen yet: this is a search.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn fetch(&mut self, deadline: Deadline) -> Result<Vec<DeadLetter>, Error> {
        let client = self.pages.client;
        loop {
            if self.ids.is_empty() {
                let page = self.pages.fetch(deadline).await?;
                if page.is_empty() {
                    return Ok(Vec::new());
                }
                self.ids = those_that_wait(&self.finder, page, deadline).await?.map(|hit| hit.id).collect();
            }
            let ids: Vec<String> = self.ids.drain(..self.ids.len().min(TAKEN_UP_AT_ONCE)).collect();
            // A letter that a rollover doubled is found twice.
            let query = json!({"size": PAGE, "sort": ORDER, "query": {"ids": {"values": ids}}});
            let found = search::<DeadLetter>(client, &self.pages.letters, &query, deadline).await?;
            let mut found: Vec<DeadLetter> = found.into_iter().map(|hit| hit.source).collect();
            found.dedup_by(|second, first| second.document_id == first.document_id);
            // None are left where their backing index was deleted meanwhile.
            if !found.is_empty() {
                return Ok(found);
            }
        }
    }
}

/// Pages of dead letters, oldest first.
struct Pages<'a> {
    client: &'a Client,
    letters: DataStream,
    filters: Vec<Value>,
    /// The sort values of the last one read.
    after: Option<Value>,
}

impl Pages<'_> {
    /// The next page; empty at the end.
    async fn fetch(&mut self, deadline: Deadline) -> Result<Vec<Hit<Key>>, Error> {
        let mut query = json!({
            "size": PAGE,
            "_source": [TARGET, "lastpass.dead_letter.document_id", "lastpass.dead_letter.since"],
            "sort": ORDER,
            "query": {"bool": {"filter": self.filters}},
        });
        if let Some(after) = &self.after {
            query["search_after"] = after.clone();
        }
        let page: Vec<Hit<Key>> = search(self.client, &self.letters, &query, deadline).await?;
        self.after = page.last().map(|hit| hit.sort.clone());
        Ok(page)
    }
}

/// Those of a page whose target has no document with their `document_id`, in its order.
async fn those_that_wait(
    finder: &Finder,
    page: Vec<Hit<Key>>,
    deadline: Deadline,
) -> Result<impl Iterator<Item = Hit<Key>>, Error> {
    let mut by_target: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (position, hit) in page.iter().enumerate() {
        by_target.entry(&hit.source.lastpass.dead_letter.data_stream).or_default().push(position);
    }
    let mut waits = vec![true; page.len()];
    for (target, positions) in by_target {
        let wanted = |position: &usize| {
            let KeyLetter { document_id, since, .. } = &page[*position].source.lastpass.dead_letter;
            Wanted { id: document_id, since: *since }
        };
        let wanted: Vec<Wanted<'_>> = positions.iter().map(wanted).collect();
        let indices = finder.backing_indices(target, deadline).await?;
        for found in finder.find(target, &wanted, &indices, deadline).await?.keys() {
            waits[positions[*found]] = false;
        }
    }
    Ok(page.into_iter().zip(waits).filter_map(|(hit, waits)| waits.then_some(hit)))
}

#[derive(Deserialize)]
struct Hit<T> {
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_source")]
    source: T,
    sort: Value,
}

/// What tells a letter from others.
#[derive(Deserialize)]
struct Key {
    lastpass: Lastpass<KeyLetter>,
}

#[derive(Deserialize)]
struct Lastpass<T> {
    dead_letter: T,
}

#[derive(Deserialize)]
struct KeyLetter {
    data_stream: String,
    document_id: DocId,
    since: Option<Timestamp>,
}

async fn search<T: DeserializeOwned>(
    client: &Client,
    letters: &DataStream,
    query: &Value,
    deadline: Deadline,
) -> Result<Vec<Hit<T>>, Error> {
    #[derive(Deserialize)]
    struct Found<T> {
        hits: Hits<T>,
    }
    #[derive(Deserialize)]
    struct Hits<T> {
        hits: Vec<Hit<T>>,
    }
    let path = [letters.as_str(), "_search"];
    let call = Call {
        query: &[("ignore_unavailable", "true"), ("allow_partial_search_results", "false")],
        body: Body::Json(query.to_string().into_bytes()),
        ..Call::new(Doing::ReadDeadLetters, Method::POST, &path)
    };
    Ok(client.read::<Found<T>>(&call, READ_REMEDY, deadline).await?.hits.hits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_of_a_deeply_nested_record_keeps_when_it_was_read() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let source =
            format!(r#"{{"event":{{"action":{deep},"created":"2025-01-01T00:00:00Z"}},"tags":["eu"],"x":{deep}}}"#);
        let timestamp = Timestamp::UNIX_EPOCH;
        let document = Document {
            id: DocId("a".to_owned()),
            timestamp,
            source,
            original: "{}".to_owned(),
            since: Some(timestamp),
        };
        let target = crate::document::Stream::EventReport.data_stream(&Namespace::new("default").unwrap());
        let text = super::super::testing::letter(&target, &document, timestamp);
        let letter: DeadLetter = serde_json::from_str(&text).unwrap();
        assert_eq!(letter.created, "2025-01-01T00:00:00Z".parse().ok());
        assert_eq!(letter.tags, ["eu"]);
        // As it comes back from an index with synthetic `_source`.
        let letter: DeadLetter = serde_json::from_str(&text.replace(r#"["eu"]"#, r#""eu""#)).unwrap();
        assert_eq!(letter.tags, ["eu"]);
    }

    /// Frozen: another value would make a second letter of a record that has one.
    #[test]
    fn the_id_of_a_letter_never_changes() {
        let id = |target, document: &str| letter_id(target, &DocId(document.to_owned())).0;
        assert_eq!(id("logs-lastpass.user-default", "u1"), "dhJ1F_4gWgBI2pcgpti_sFSgpZCfYVtFQfjq5G23MZ6E");
        assert_ne!(id("logs-lastpass.user-default", "u1"), id("logs-lastpass.user-other", "u1"));
        assert_ne!(id("ab", "c"), id("a", "bc"));
    }
}
