//! Reads the dead letters that wait: those whose target has no document with their `document_id`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::client::Client;
use super::error::Error;
use super::lookup::{Finder, Wanted};
use super::operation::Operation;
use super::search::{self, Found};
use super::transport::Request;
use crate::document::{AccountNumber, DataStream, DocId, Namespace};

/// Dead letters in one page of keys. Chosen: about 300 bytes each.
const PAGE: usize = 1_000;

/// Dead letters whose records are read at once. Chosen: a response has room for records of 1.6 MB each.
const READ_AT_ONCE: usize = 20;

/// The order of dead letters: oldest first. The three fields together identify a letter, so no page ends between two equal
/// ones.
const ORDER: [&str; 3] = ["@timestamp", TARGET, "lastpass.dead_letter.document_id"];
const TARGET: &str = "lastpass.dead_letter.data_stream";

const READ_REMEDY: &str = "check whether the dead letters' data stream can be searched, and whether `setup` has been \
    run";

/// Counts the dead letters of `account` in `namespace` that wait.
///
/// This is a search, which may not see a letter of the last second.
///
/// # Errors
/// [`Error`].
pub async fn waiting_dead_letters(
    client: &Client,
    namespace: &Namespace,
    account: &AccountNumber,
) -> Result<u64, Error> {
    let letters = DataStream::dead_letter(namespace);
    let mut waiting = WaitingLetters::with_filters(client, letters, vec![of_account(account)]);
    // A letter that a rollover duplicated counts once.
    let mut ids = BTreeSet::new();
    while let Some(page) = waiting.next_page().await? {
        ids.extend(page);
    }
    Ok(ids.len() as u64)
}

/// Selects the dead letters to deliver again.
#[derive(Debug, Clone)]
pub struct LetterFilter {
    /// The data stream of their documents.
    pub target: DataStream,
    /// The LastPass account.
    pub account: AccountNumber,
    /// The earliest time of the refusal.
    pub refused_from: Option<Timestamp>,
}

/// A dead letter that waits, with everything that its document was made from. Letters of older versions have neither
/// `timestamp` nor `since` nor `created` nor `ingested`, and no tags.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "LetterSource")]
pub struct DeadLetter {
    /// The document's `_id`.
    pub document_id: DocId,
    /// The time of the refusal.
    pub refused_at: Timestamp,
    /// The record that it was mapped from.
    pub original: String,
    /// Its `@timestamp`.
    pub timestamp: Option<Timestamp>,
    /// The earliest time at which the document can have been written.
    pub since: Option<Timestamp>,
    /// Its `event.created`.
    pub created: Option<Timestamp>,
    /// Its `event.ingested`.
    pub ingested: Option<Timestamp>,
    /// Its `tags`.
    pub tags: Vec<String>,
    /// The payload of the invocation in which it was refused.
    pub request: Value,
}

fn of_account(account: &AccountNumber) -> Value {
    json!({"term": {"lastpass.dead_letter.account": account}})
}

/// The part of the `_source` of a dead letter that a redrive needs.
#[derive(Deserialize)]
struct LetterSource {
    #[serde(rename = "@timestamp")]
    refused_at: Timestamp,
    event: LetterEvent,
    #[serde(default, deserialize_with = "texts")]
    tags: Vec<String>,
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

/// Reads a list of texts. With synthetic `_source`, Elasticsearch returns a list of one text as that text.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Texts {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Texts::deserialize(deserializer)? {
        Texts::One(text) => vec![text],
        Texts::Many(texts) => texts,
    })
}

impl From<LetterSource> for DeadLetter {
    fn from(source: LetterSource) -> Self {
        let LetterSource { refused_at, event, tags, lastpass: Lastpass { dead_letter } } = source;
        let LetterEvent { original, created, ingested } = event;
        let Letter { document_id, timestamp, since, request } = dead_letter;
        Self { document_id, refused_at, original, timestamp, since, created, ingested, tags, request }
    }
}

/// Reads the dead letters that wait, oldest first, a few at a time.
pub struct WaitingLetters<'a> {
    client: &'a Client,
    letters: DataStream,
    filters: Vec<Value>,
    finder: Finder,
    /// The sort values of the last letter of the last page.
    after: Option<Value>,
    /// The `_id`s of the last page that are not read yet.
    ids: VecDeque<String>,
}

impl<'a> WaitingLetters<'a> {
    /// Prepares to read the dead letters in `letters` that match `filter`.
    #[must_use]
    pub fn new(client: &'a Client, letters: DataStream, filter: &LetterFilter) -> Self {
        let mut filters = vec![json!({"term": {TARGET: filter.target}}), of_account(&filter.account)];
        if let Some(from) = filter.refused_from {
            filters.push(json!({"range": {"@timestamp": {"gte": from}}}));
        }
        Self::with_filters(client, letters, filters)
    }

    fn with_filters(client: &'a Client, letters: DataStream, filters: Vec<Value>) -> Self {
        let finder = Finder::new(client.clone());
        Self { client, letters, filters, finder, after: None, ids: VecDeque::new() }
    }

    /// Reads the next dead letters. Empty at the end. This is a search, which may not see a letter of the last second.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn fetch(&mut self) -> Result<Vec<DeadLetter>, Error> {
        loop {
            while self.ids.is_empty() {
                let Some(page) = self.next_page().await? else { return Ok(Vec::new()) };
                self.ids = page.into();
            }
            let ids: Vec<String> = self.ids.drain(..self.ids.len().min(READ_AT_ONCE)).collect();
            // A letter that a rollover duplicated is found twice.
            let query = json!({"size": PAGE, "sort": ORDER, "query": {"ids": {"values": ids}}});
            let found: Vec<Hit<DeadLetter>> = self.search(&query).await?;
            let mut found: Vec<DeadLetter> = found.into_iter().map(|hit| hit.source).collect();
            found.dedup_by(|second, first| second.document_id == first.document_id);
            // None are left if their backing index was deleted in the meantime.
            if !found.is_empty() {
                return Ok(found);
            }
        }
    }

    /// Reads the next page of keys, and returns the `_id`s of the letters that wait, in order. None at the end.
    async fn next_page(&mut self) -> Result<Option<Vec<String>>, Error> {
        let mut query = json!({
            "size": PAGE,
            "_source": [TARGET, "lastpass.dead_letter.document_id", "lastpass.dead_letter.since"],
            "sort": ORDER,
            "query": {"bool": {"filter": self.filters}},
        });
        if let Some(after) = &self.after {
            query["search_after"] = after.clone();
        }
        let page: Vec<Hit<Key>> = self.search(&query).await?;
        self.after = page.last().map(|hit| hit.sort.clone());
        if page.is_empty() {
            return Ok(None);
        }
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
            let indices = self.finder.indices.list(target).await?;
            for found in self.finder.find(target, &wanted, &indices).await? {
                waits[positions[found]] = false;
            }
        }
        Ok(Some(page.into_iter().zip(waits).filter_map(|(hit, waits)| waits.then_some(hit.id)).collect()))
    }

    /// Searches the dead letters. Fails if a shard cannot be read, because its letters would be passed over.
    async fn search<T: DeserializeOwned>(&self, query: &Value) -> Result<Vec<Hit<T>>, Error> {
        let request = Request {
            query: &[("ignore_unavailable", "true"), ("allow_partial_search_results", "false")],
            ..search::request(Operation::ReadDeadLetters, &[self.letters.as_str()], query)
        };
        Ok(self.client.read::<Found<Hit<T>>>(&request, READ_REMEDY).await?.hits.hits)
    }
}

#[derive(Deserialize)]
struct Hit<T> {
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_source")]
    source: T,
    sort: Value,
}

/// The fields that identify a letter.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;

    #[test]
    fn the_letter_of_a_deeply_nested_record_keeps_the_times_of_its_reading() {
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
        // An index with synthetic `_source` returns a list of one value as that value.
        let letter: DeadLetter = serde_json::from_str(&text.replace(r#"["eu"]"#, r#""eu""#)).unwrap();
        assert_eq!(letter.tags, ["eu"]);
    }
}
