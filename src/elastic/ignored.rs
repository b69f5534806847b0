//! Values that Elasticsearch took and did not index: such documents are acknowledged, and have `_ignored`.
//!
//! A keyword above `ignore_above` is one of them, and normal: the value is whole in `_source`. A malformed value is not,
//! because our templates have it refused, so that it becomes a dead letter: there another template stands in between.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Body, Call, Client};
use super::error::{Doing, Error};
use super::existing;
use crate::deadline::Deadline;
use crate::document::{DataStream, Namespace, Stream};

/// How many documents are looked at for the names of their fields. Chosen: a mapping has about as many fields.
const SAMPLE: usize = 100;

/// Types whose values are ignored only for their length. Source: Elasticsearch, "ignore_above".
const OF_ANY_FORM: [&str; 5] = ["keyword", "constant_keyword", "wildcard", "flattened", "text"];

const READ_REMEDY: &str = "see whether the data stream can be searched in Kibana's Discover";

/// What was ignored in one data stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoredValues {
    /// The data stream.
    pub data_stream: DataStream,
    /// Values that are not of their field's type: no number, no date, no address.
    pub malformed: Ignored,
    /// Values that are too long to be indexed, or whose field has no type.
    pub not_indexed: Ignored,
    /// Whether its newest index has `index.mapping.ignore_malformed`: then the next malformed value is ignored.
    pub takes_malformed: bool,
}

/// Documents with ignored values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignored {
    /// How many there are.
    pub documents: u64,
    /// The fields of the newest ones.
    pub fields: Vec<String>,
    /// The `@timestamp` of the newest one.
    pub newest: Option<Timestamp>,
}

/// What was ignored in the data streams of `namespace`, as far as there is something to tell.
///
/// # Errors
/// [`Error`].
pub async fn ignored_values(
    client: &Client,
    namespace: &Namespace,
    deadline: Deadline,
) -> Result<Vec<IgnoredValues>, Error> {
    let letters = DataStream::dead_letter(namespace);
    let data_streams: Vec<DataStream> =
        Stream::ALL.iter().map(|stream| stream.data_stream(namespace)).chain([letters]).collect();
    let found: Vec<Option<IgnoredValues>> = stream::iter(&data_streams)
        .map(|data_stream| look(client, data_stream, deadline))
        .buffered(data_streams.len())
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

async fn look(client: &Client, data_stream: &DataStream, deadline: Deadline) -> Result<Option<IgnoredValues>, Error> {
    let indices = existing::index_names(client, data_stream.as_str(), deadline).await?;
    let Some(write_index) = indices.last() else { return Ok(None) };
    let takes_malformed = takes_malformed(client, write_index, deadline).await?;
    let any = search(client, data_stream, &json!({"exists": {"field": "_ignored"}}), deadline).await?;
    let (mut malformed, mut not_indexed) = (Ignored::default(), Ignored::default());
    if any.documents > 0 {
        let typed = typed_fields(client, data_stream, deadline).await?;
        malformed = search(client, data_stream, &json!({"terms": {"_ignored": typed}}), deadline).await?;
        malformed.fields.retain(|field| typed.contains(field));
        // Those that have nothing malformed as well.
        let query = json!({"bool": {
            "filter": {"exists": {"field": "_ignored"}},
            "must_not": {"terms": {"_ignored": typed}},
        }});
        not_indexed = search(client, data_stream, &query, deadline).await?;
    }
    let is_worth_telling = takes_malformed || any.documents > 0;
    let data_stream = data_stream.clone();
    Ok(is_worth_telling.then_some(IgnoredValues { data_stream, malformed, not_indexed, takes_malformed }))
}

/// Whether an index ignores malformed values, because its settings say so.
async fn takes_malformed(client: &Client, index: &str, deadline: Deadline) -> Result<bool, Error> {
    const SETTING: &str = "index.mapping.ignore_malformed";
    let path = [index, "_settings", SETTING];
    let call = Call { query: &[("flat_settings", "true")], ..Call::new(Doing::ListBackingIndices, Method::GET, &path) };
    let found: BTreeMap<String, Value> = client.read(&call, READ_REMEDY, deadline).await?;
    Ok(found.values().any(|index| index["settings"][SETTING] == "true"))
}

/// The fields of a data stream whose type a value may fail to have.
async fn typed_fields(client: &Client, data_stream: &DataStream, deadline: Deadline) -> Result<Vec<String>, Error> {
    #[derive(Deserialize)]
    struct Found {
        fields: BTreeMap<String, BTreeMap<String, Value>>,
    }
    let path = [data_stream.as_str(), "_field_caps"];
    let call = Call {
        query: &[("fields", "*"), ("ignore_unavailable", "true"), ("filter_path", "fields.*.*.type")],
        ..Call::new(Doing::SearchDocuments, Method::GET, &path)
    };
    let Found { fields } = client.read(&call, READ_REMEDY, deadline).await?;
    let may_fail = |types: &BTreeMap<String, Value>| types.keys().any(|name| !OF_ANY_FORM.contains(&name.as_str()));
    Ok(fields.into_iter().filter(|(_, types)| may_fail(types)).map(|(name, _)| name).collect())
}

/// The documents that `query` finds, and what their `_ignored` names.
async fn search(
    client: &Client,
    data_stream: &DataStream,
    query: &Value,
    deadline: Deadline,
) -> Result<Ignored, Error> {
    #[derive(Deserialize)]
    struct Found {
        hits: Hits,
    }
    #[derive(Deserialize)]
    struct Hits {
        total: Total,
        hits: Vec<Hit>,
    }
    #[derive(Deserialize)]
    struct Total {
        value: u64,
    }
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
    let path = [data_stream.as_str(), "_search"];
    let call = Call {
        query: &[("ignore_unavailable", "true")],
        body: Body::Json(body.to_string().into_bytes()),
        ..Call::new(Doing::SearchDocuments, Method::POST, &path)
    };
    let Hits { total, hits } = client.read::<Found>(&call, READ_REMEDY, deadline).await?.hits;
    let newest = hits.first().and_then(|hit| Timestamp::from_millisecond(*hit.sort.first()?).ok());
    let mut fields: Vec<String> = hits.into_iter().flat_map(|hit| hit.ignored).collect();
    fields.sort_unstable();
    fields.dedup();
    Ok(Ignored { documents: total.value, fields, newest })
}
