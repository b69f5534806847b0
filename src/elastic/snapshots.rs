//! Reads the documents of two snapshots back, each in the order of its keys.
//!
//! A snapshot is the documents of a data stream with one `@timestamp`. Both are read from one point in time, so that no
//! document moves between two pages. Before it is opened, the shards that hold the documents are refreshed, because a
//! search does not see documents just written.

use std::collections::{BTreeSet, VecDeque};

use elasticsearch::http::response::Cause;
use elasticsearch::{ClosePointInTimeParts, MgetParts, OpenPointInTimeParts, SearchParts};
use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

use super::assets::version;
use super::backing_indices::BackingIndices;
use super::cause::Unanswered;
use super::client::Client;
use super::error::Error;
use super::lookup::entry_error;
use super::operation::Operation;
use super::retry::{FIRST_PAUSE, RETRY_TIMEOUT};
use super::search::{Found, Hits, by_index};
use super::templates::mapping_of;
use super::transport::Request;
use crate::document::{AccountNumber, DataStream, Organization};

/// Documents in one page. Chosen: about 400 bytes each.
const PAGE: usize = 1_000;
/// How long Elasticsearch keeps a point in time after a request. Chosen: longer than the pauses of a request.
const KEEP_ALIVE: &str = "5m";
/// The `preference` of refreshes and searches, so that both use the same copy of a shard: each copy is refreshed separately.
const PREFERENCE: &str = "lastpass-elastic";
/// IDs that are asked for in each index, so that every shard is refreshed: each ID belongs to one. Chosen: eight for each
/// shard of a data stream with eight.
const IDS_FOR_A_REFRESH: usize = 64;
/// Maximum number of unmapped documents and dead letters of a snapshot. With more, the snapshot is not compared. Chosen: more
/// are a fault of the mapping.
pub const MAX_UNREADABLE: usize = 1_000;

const READ_REMEDY: &str = "see whether the data stream can be searched in Kibana's Discover";

/// The place of the two snapshots, and the fields of their documents that are needed.
#[derive(Debug, Clone)]
pub struct SnapshotQuery {
    /// The data stream of both.
    pub data_stream: DataStream,
    /// The data stream of their dead letters.
    pub letters: DataStream,
    /// The account, in dead letters.
    pub account: AccountNumber,
    /// The organization, which distinguishes accounts that write into one data stream.
    pub organization: Organization,
    /// The `@timestamp`s of both, the earlier one first.
    pub timestamps: [Timestamp; 2],
    /// The fields that identify an entry, in the order of sorting.
    pub key: &'static [&'static str],
    /// The fields to return.
    pub fields: &'static [&'static str],
}

/// One of two snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The earlier one.
    Previous,
    /// The later one.
    Current,
}

/// A summary of one snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overview {
    /// The number of its documents.
    pub documents: u64,
    /// The number of its dead letters.
    pub dead_letters: u64,
    /// The versions of the mappings of its indices. `None` for a mapping that is not ours.
    pub mappings: BTreeSet<Option<u64>>,
    /// The records of documents that could not be mapped completely, and of dead letters.
    pub unreadable: Vec<String>,
}

/// The documents of two snapshots.
pub struct Snapshots<'a> {
    client: &'a Client,
    query: SnapshotQuery,
    point_in_time: String,
}

impl<'a> Snapshots<'a> {
    /// Refreshes the indices that can hold the snapshots, and opens a point in time. `None` if there is no such index.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn open(client: &'a Client, query: SnapshotQuery) -> Result<Option<Self>, Error> {
        let backing_indices = BackingIndices::new(client.clone());
        let mut indices = backing_indices.list(query.data_stream.as_str()).await?;
        indices.retain(|index| index.can_hold(Some(query.timestamps[0])));
        if indices.is_empty() {
            return Ok(None);
        }
        // A dead letter is newer than the first page of its snapshot, so the same time applies.
        let mut letters = backing_indices.list(query.letters.as_str()).await?;
        letters.retain(|index| index.can_hold(Some(query.timestamps[0])));
        let names: Vec<&str> = indices.iter().chain(&letters).map(|index| index.name.as_str()).collect();
        refresh(client, &names).await?;
        let point_in_time = open(client, &names).await?;
        Ok(Some(Self { client, query, point_in_time }))
    }

    /// Releases the point in time. It would expire by itself.
    pub async fn close(self) {
        let path = ClosePointInTimeParts::None.url();
        let request = Request::new(Operation::SearchDocuments, Method::DELETE, path)
            .with_json(&json!({"id": self.point_in_time}));
        if let Err(error) = self.client.send(&request).await {
            tracing::debug!(%error, "a point in time was not closed; it expires by itself");
        }
    }

    /// Describes a snapshot.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn overview(&mut self, side: Side) -> Result<Overview, Error> {
        let query = json!({
            "size": 0,
            "track_total_hits": true,
            "query": self.snapshot(side, &[]),
            "aggs": by_index(),
        });
        let counted = self.search::<IgnoredAny>(&query).await?;
        let mut mappings = BTreeSet::new();
        for index in counted.indices() {
            mappings.insert(version(&mapping_of(self.client, index, Operation::ListBackingIndices).await?));
        }
        let not_mapped = self.snapshot(side, &[json!({"term": {"event.kind": "pipeline_error"}})]);
        let (_, mut unreadable) = self.originals(not_mapped).await?;
        let letters = json!({"bool": {"filter": [
            {"term": {"lastpass.dead_letter.data_stream": self.query.data_stream}},
            {"term": {"lastpass.dead_letter.account": self.query.account}},
            at("lastpass.dead_letter.timestamp", self.query.timestamps[side as usize]),
        ]}});
        let (dead_letters, refused) = self.originals(letters).await?;
        unreadable.extend(refused);
        Ok(Overview { documents: counted.hits.total.value, dead_letters, mappings, unreadable })
    }

    /// Counts the documents or dead letters that match `query`, and returns their records.
    async fn originals(&mut self, query: Value) -> Result<(u64, Vec<String>), Error> {
        let body = json!({
            "size": MAX_UNREADABLE,
            "track_total_hits": true,
            "_source": ["event.original"],
            "query": query,
        });
        let Hits { total, hits } = self.search::<Hit<Original>>(&body).await?.hits;
        Ok((total.value, hits.into_iter().map(|hit| hit.source.event.original).collect()))
    }

    /// Counts the documents of both snapshots that match `filters`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn count(&mut self, filters: &[Value]) -> Result<[u64; 2], Error> {
        let mut counts = [0; 2];
        for side in [Side::Previous, Side::Current] {
            let query = json!({"size": 0, "track_total_hits": true, "query": self.snapshot(side, filters)});
            counts[side as usize] = self.search::<IgnoredAny>(&query).await?.hits.total.value;
        }
        Ok(counts)
    }

    /// Returns a reader of a snapshot that begins after the entries whose first key is `after`.
    #[must_use]
    pub fn reader(&self, side: Side, after: Option<&str>) -> Reader {
        let filters: Vec<Value> =
            after.map(|after| json!({"range": {self.query.key[0]: {"gt": after}}})).into_iter().collect();
        let sort: Vec<Value> = self.query.key.iter().map(|field| sort_by(field)).collect();
        let body = json!({
            "size": PAGE,
            "track_total_hits": false,
            "_source": self.query.fields,
            "sort": sort,
            "query": self.snapshot(side, &filters),
        });
        Reader { body, keys: self.query.key.len(), entries: VecDeque::new(), has_ended: false }
    }

    /// Returns the query for the documents of a snapshot that match `filters`.
    fn snapshot(&self, side: Side, filters: &[Value]) -> Value {
        let mut all = vec![at("@timestamp", self.query.timestamps[side as usize])];
        let Organization { id, name } = &self.query.organization;
        for (field, value) in [("organization.id", id), ("organization.name", name)] {
            all.extend(value.as_ref().map(|value| json!({"term": {field: value}})));
        }
        all.extend_from_slice(filters);
        json!({"bool": {"filter": all, "must_not": {"exists": {"field": "lastpass.dead_letter.document_id"}}}})
    }

    /// Searches at the point in time.
    async fn search<H: DeserializeOwned>(&mut self, body: &Value) -> Result<Found<H>, Error> {
        let mut body = body.clone();
        body["pit"] = json!({"id": self.point_in_time, "keep_alive": KEEP_ALIVE});
        let request = Request {
            query: &[("allow_partial_search_results", "false")],
            ..Request::new(Operation::SearchDocuments, Method::POST, SearchParts::None.url()).with_json(&body)
        };
        let response = self.client.send_with_retries(&request).await?;
        if response.status == 404 {
            // The next run opens a new one.
            return Err(self.client.unreachable(Operation::SearchDocuments, Unanswered::PointInTimeLost));
        }
        let found: Found<H> = self.client.accepted(&response, READ_REMEDY)?;
        if let Some(id) = &found.pit_id {
            self.point_in_time.clone_from(id);
        }
        Ok(found)
    }
}

/// An entry of a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its key: the values of the key fields. `None` for a field that it does not have, which sorts last.
    pub key: Vec<Option<String>>,
    /// Its fields.
    pub source: Value,
}

/// Reads the entries of one snapshot.
pub struct Reader {
    body: Value,
    keys: usize,
    entries: VecDeque<Entry>,
    has_ended: bool,
}

impl Reader {
    /// Returns the next entry without taking it. `None` at the end.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn peek(&mut self, snapshots: &mut Snapshots<'_>) -> Result<Option<&Entry>, Error> {
        if self.entries.is_empty() && !self.has_ended {
            let hits = snapshots.search::<Hit<Value>>(&self.body).await?.hits.hits;
            self.has_ended = hits.len() < PAGE;
            if let Some(last) = hits.last() {
                self.body["search_after"] = json!(last.sort);
            }
            let keys = self.keys;
            self.entries.extend(hits.into_iter().map(|hit| Entry { key: key(&hit.sort, keys), source: hit.source }));
        }
        Ok(self.entries.front())
    }

    /// Returns the next entry, if a page with it was read.
    #[must_use]
    pub fn front(&self) -> Option<&Entry> {
        self.entries.front()
    }

    /// Takes the entry that [`Self::peek`] returned.
    pub fn take(&mut self) -> Option<Entry> {
        self.entries.pop_front()
    }
}

/// Returns the key of an entry from the values that Elasticsearch sorted it by.
fn key(sort: &[Value], keys: usize) -> Vec<Option<String>> {
    sort.iter().take(keys).map(|value| value.as_str().map(str::to_owned)).collect()
}

#[derive(Deserialize)]
struct Hit<S> {
    #[serde(rename = "_source")]
    source: S,
    #[serde(default)]
    sort: Vec<Value>,
}

#[derive(Deserialize)]
struct Original {
    event: OriginalEvent,
}

#[derive(Deserialize)]
struct OriginalEvent {
    original: String,
}

/// Returns the filter for a time in the precision of documents.
fn at(field: &str, time: Timestamp) -> Value {
    let milliseconds = time.as_millisecond();
    json!({"range": {field: {"gte": milliseconds, "lte": milliseconds, "format": "epoch_millis"}}})
}

/// Returns the sort by a field. In an index without the field, the value is missing, and the caller refuses the entry.
fn sort_by(field: &str) -> Value {
    json!({field: {"order": "asc", "missing": "_last", "unmapped_type": "keyword"}})
}

/// Refreshes the shards of `indices` by reading documents with `refresh=true` and without `realtime`, because the key has no
/// other privilege that allows a refresh.
///
/// Source: <https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-mget>
async fn refresh(client: &Client, indices: &[&str]) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Entries {
        docs: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        #[serde(rename = "_index")]
        index: String,
        error: Option<Cause>,
    }
    let ids = 0..IDS_FOR_A_REFRESH;
    let docs: Vec<Value> = indices
        .iter()
        .flat_map(|index| ids.clone().map(move |id| json!({"_index": index, "_id": format!("refresh-{id}")})))
        .collect();
    let request = Request {
        query: &[
            ("refresh", "true"),
            ("realtime", "false"),
            ("preference", PREFERENCE),
            ("_source", "false"),
            ("filter_path", "docs._index,docs.error.type"),
        ],
        ..Request::new(Operation::FindIds, Method::POST, MgetParts::None.url()).with_json(&json!({"docs": docs}))
    };
    let mut pauses = client.pauses_of(FIRST_PAUSE, RETRY_TIMEOUT);
    loop {
        let docs = client.read::<Entries>(&request, READ_REMEDY).await?.docs;
        let error = docs.iter().find_map(|Entry { index, error }| {
            let error = error.as_ref().filter(|error| error.ty() != Some("index_not_found_exception"))?;
            // The search reports other errors, and leaves out an index that is closed or was deleted.
            Some(entry_error(client, error, index)).filter(Error::is_retryable)
        });
        match error {
            None => return Ok(()),
            // On a shard that was not refreshed, the search would not see all documents.
            Some(error) => pauses.before_repeating(error).await?,
        }
    }
}

/// Opens a point in time of `indices`, and returns its ID.
async fn open(client: &Client, indices: &[&str]) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Opened {
        id: String,
    }
    let request = Request {
        query: &[("keep_alive", KEEP_ALIVE), ("preference", PREFERENCE), ("ignore_unavailable", "true")],
        ..Request::new(Operation::SearchDocuments, Method::POST, OpenPointInTimeParts::Index(indices).url())
    };
    Ok(client.read::<Opened>(&request, READ_REMEDY).await?.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_consists_of_the_first_sort_values() {
        let sort = [json!("7"), Value::Null, json!(42)];
        assert_eq!(key(&sort, 2), [Some("7".to_owned()), None]);
    }

    #[test]
    fn a_time_is_compared_in_milliseconds_as_stored() {
        let time = "2026-01-02T03:04:05.678901234Z".parse().expect("a time");
        assert_eq!(at("@timestamp", time)["range"]["@timestamp"]["gte"], 1_767_323_045_678_i64);
    }
}
