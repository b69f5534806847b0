//! Finds values that Elasticsearch stored but did not index. It acknowledges such documents, and lists the fields in
//! their `_ignored`.
//!
//! A keyword longer than `ignore_above` is normal: `_source` has the whole value. A malformed value is not, because our
//! templates let Elasticsearch refuse it, so that it becomes a dead letter. If one is ignored, another template is in effect.

use std::collections::BTreeMap;

use elasticsearch::FieldCapsParts;
use elasticsearch::indices::IndicesGetSettingsParts;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::backing_indices::index_names;
use super::client::Client;
use super::error::Error;
use super::operation::Operation;
use super::search::{Hits, search};
use super::transport::Request;
use crate::document::{DataStream, Namespace, Stream};

/// Number of documents whose ignored fields are listed. Chosen: a mapping has about as many fields.
const SAMPLE: usize = 100;

/// Types whose values are ignored only if they are too long. Source: Elasticsearch, "ignore_above".
const OF_ANY_FORM: [&str; 5] = ["keyword", "constant_keyword", "wildcard", "flattened", "text"];

const READ_REMEDY: &str = "check whether the data stream can be searched in Kibana's Discover";

/// The ignored values of one data stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoredValues {
    /// The data stream.
    pub data_stream: DataStream,
    /// Values that do not have the type of their field, such as a text in a date field.
    pub malformed: Ignored,
    /// Values that are too long to be indexed, or whose field has no type.
    pub not_indexed: Ignored,
    /// Whether its newest index has `index.mapping.ignore_malformed`, so that the next malformed value is ignored.
    pub takes_malformed: bool,
}

/// Documents with ignored values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignored {
    /// The number of documents.
    pub documents: u64,
    /// The ignored fields of the newest ones.
    pub fields: Vec<String>,
    /// The `@timestamp` of the newest one.
    pub newest: Option<Timestamp>,
}

/// Returns the ignored values in the data streams of `namespace`. Data streams without a finding are left out.
///
/// # Errors
/// [`Error`].
pub async fn fetch_ignored_values(client: &Client, namespace: &Namespace) -> Result<Vec<IgnoredValues>, Error> {
    let others = [DataStream::dead_letter(namespace), DataStream::change(namespace)];
    let data_streams: Vec<DataStream> =
        Stream::ALL.iter().map(|stream| stream.data_stream(namespace)).chain(others).collect();
    let found = try_join_all(data_streams.iter().map(|data_stream| find(client, data_stream))).await?;
    Ok(found.into_iter().flatten().collect())
}

async fn find(client: &Client, data_stream: &DataStream) -> Result<Option<IgnoredValues>, Error> {
    let Some(write_index) = index_names(client, data_stream.as_str()).await?.pop() else { return Ok(None) };
    let takes_malformed = takes_malformed(client, &write_index).await?;
    let any = count(client, data_stream, &json!({"exists": {"field": "_ignored"}})).await?;
    let (mut malformed, mut not_indexed) = (Ignored::default(), Ignored::default());
    if any.documents > 0 {
        let typed = typed_fields(client, data_stream).await?;
        malformed = count(client, data_stream, &json!({"terms": {"_ignored": typed}})).await?;
        malformed.fields.retain(|field| typed.contains(field));
        // Without those counted above.
        let query = json!({"bool": {
            "filter": {"exists": {"field": "_ignored"}},
            "must_not": {"terms": {"_ignored": typed}},
        }});
        not_indexed = count(client, data_stream, &query).await?;
    }
    let has_finding = takes_malformed || any.documents > 0;
    let data_stream = data_stream.clone();
    Ok(has_finding.then_some(IgnoredValues { data_stream, malformed, not_indexed, takes_malformed }))
}

/// Returns whether the settings of an index make it ignore malformed values.
async fn takes_malformed(client: &Client, index: &str) -> Result<bool, Error> {
    const SETTING: &str = "index.mapping.ignore_malformed";
    let path = IndicesGetSettingsParts::IndexName(&[index], &[SETTING]).url();
    let request = Request {
        query: &[("flat_settings", "true")],
        ..Request::new(Operation::ListBackingIndices, Method::GET, path)
    };
    let found: BTreeMap<String, Value> = client.read(&request, READ_REMEDY).await?;
    Ok(found.values().any(|index| index["settings"][SETTING] == "true"))
}

/// Returns the fields of a data stream for which a value can be malformed.
async fn typed_fields(client: &Client, data_stream: &DataStream) -> Result<Vec<String>, Error> {
    #[derive(Deserialize)]
    struct Found {
        fields: BTreeMap<String, BTreeMap<String, Value>>,
    }
    let path = FieldCapsParts::Index(&[data_stream.as_str()]).url();
    let request = Request {
        query: &[("fields", "*"), ("ignore_unavailable", "true"), ("filter_path", "fields.*.*.type")],
        ..Request::new(Operation::SearchDocuments, Method::GET, path)
    };
    let Found { fields } = client.read(&request, READ_REMEDY).await?;
    let may_fail = |types: &BTreeMap<String, Value>| types.keys().any(|name| !OF_ANY_FORM.contains(&name.as_str()));
    Ok(fields.into_iter().filter(|(_, types)| may_fail(types)).map(|(name, _)| name).collect())
}

/// Counts the documents that match `query`, and lists the fields in their `_ignored`.
async fn count(client: &Client, data_stream: &DataStream, query: &Value) -> Result<Ignored, Error> {
    #[derive(Deserialize)]
    struct Hit {
        #[serde(default, rename = "_ignored")]
        ignored: Vec<String>,
        sort: Vec<i64>,
    }
    let body = json!({
        "size": SAMPLE,
        "_source": false,
        "track_total_hits": true,
        "sort": [{"@timestamp": "desc"}],
        "query": query,
    });
    let Hits { total, hits } = search::<Hit>(client, &[data_stream.as_str()], &body, READ_REMEDY).await?.hits;
    let newest = hits.first().and_then(|hit| Timestamp::from_millisecond(*hit.sort.first()?).ok());
    let mut fields: Vec<String> = hits.into_iter().flat_map(|hit| hit.ignored).collect();
    fields.sort_unstable();
    fields.dedup();
    Ok(Ignored { documents: total.value, fields, newest })
}
