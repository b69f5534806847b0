//! Searches documents, and counts them.

use elasticsearch::SearchParts;
use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::client::Client;
use super::error::Error;
use super::operation::Operation;
use super::transport::{Body, Request};

/// The result of a search.
#[derive(Deserialize)]
pub(super) struct Hits<H> {
    pub(super) total: Total,
    /// The documents that the response contains.
    pub(super) hits: Vec<H>,
}

/// The number of documents that match.
#[derive(Deserialize)]
pub(super) struct Total {
    pub(super) value: u64,
}

/// Runs a search on data streams, indices or patterns of them. Those that cannot be read are left out. `remedy` ends the
/// error if Elasticsearch refuses the search.
///
/// # Errors
/// [`Error`].
pub(super) async fn search<H: DeserializeOwned>(
    client: &Client,
    indices: &[&str],
    body: &Value,
    remedy: &'static str,
) -> Result<Hits<H>, Error> {
    #[derive(Deserialize)]
    struct Found<H> {
        hits: Hits<H>,
    }
    let request = Request {
        query: &[("ignore_unavailable", "true")],
        body: Body::Json(body.to_string().into_bytes()),
        ..Request::new(Operation::SearchDocuments, Method::POST, SearchParts::Index(indices).url())
    };
    Ok(client.read::<Found<H>>(&request, remedy).await?.hits)
}
