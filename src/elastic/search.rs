//! Searches documents, and counts them.

use elasticsearch::SearchParts;
use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::client::Client;
use super::error::Error;
use super::operation::Operation;
use super::transport::Request;

/// Maximum number of indices that are told apart. Chosen: more than a cluster has for one pattern.
const MAX_INDICES: u32 = 10_000;

/// The result of a search.
#[derive(Deserialize)]
pub(super) struct Found<H> {
    /// The ID of the point in time that was searched.
    pub(super) pit_id: Option<String>,
    pub(super) hits: Hits<H>,
    /// Absent if the search requests none, or if it finds no shard.
    #[serde(default)]
    aggregations: Value,
}

impl<H> Found<H> {
    /// Returns the names of the indices that [`by_index`] found.
    pub(super) fn indices(&self) -> impl Iterator<Item = &str> {
        let buckets = self.aggregations["indices"]["buckets"].as_array().into_iter().flatten();
        buckets.filter_map(|bucket| bucket["key"].as_str())
    }
}

/// Returns the aggregation of documents by their index.
pub(super) fn by_index() -> Value {
    json!({"indices": {"terms": {"field": "_index", "size": MAX_INDICES}}})
}

/// The documents of a search.
#[derive(Deserialize)]
pub(super) struct Hits<H> {
    /// 0 if the search does not count them.
    #[serde(default)]
    pub(super) total: Total,
    /// The documents that the response contains.
    pub(super) hits: Vec<H>,
}

/// The number of documents that match.
#[derive(Default, Deserialize)]
pub(super) struct Total {
    pub(super) value: u64,
}

/// Runs a search on data streams, indices or patterns of them. Indices and shards that cannot be read are left out. `remedy`
/// ends the error if Elasticsearch refuses the search.
///
/// # Errors
/// [`Error`].
pub(super) async fn search<H: DeserializeOwned>(
    client: &Client,
    indices: &[&str],
    body: &Value,
    remedy: &'static str,
) -> Result<Found<H>, Error> {
    client.read(&request(Operation::SearchDocuments, indices, body), remedy).await
}

/// Returns the request of [`search`] for another operation.
pub(super) fn request(operation: Operation, indices: &[&str], body: &Value) -> Request<'static> {
    let request = Request::new(operation, Method::POST, SearchParts::Index(indices).url());
    Request { query: &[("ignore_unavailable", "true")], ..request.with_json(body) }
}
