//! Finds data streams that others created, and others that write to ours.
//!
//! Elastic's own integration uses the same names. Our index templates have a higher priority, so `setup` takes over a data
//! stream only if the request says so, and `check` looks for documents that an Elastic Agent writes.

use futures_util::future::try_join_all;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::assets::{STREAMS, StreamAssets};
use super::backing_indices::{data_streams, with_write_index};
use super::client::Client;
use super::error::Error;
use super::operation::Operation;
use super::search::{by_index, search};
use super::templates::{IndexTemplate, index_templates, mapping_of, owner_in};
use crate::document::{Namespace, Stream};

const SEARCH_REMEDY: &str = "check whether the data streams logs-lastpass.* can be searched in Kibana's Discover";

/// The data streams with our names, in every namespace, that the templates of others created.
#[derive(Default)]
pub(super) struct Others {
    /// Those that `setup` would take over, each as a text that names the creator.
    pub(super) to_take_over: Vec<String>,
    /// The names of those whose own index template has priority over ours, so that `setup` does not touch them.
    pub(super) overriding: Vec<String>,
}

/// Finds the data streams of others.
///
/// # Errors
/// [`Error`].
pub(super) async fn others(client: &Client) -> Result<Others, Error> {
    let operation = Operation::UpdateDataStream;
    let mut found = Others::default();
    // Read only if needed.
    let mut templates: Option<Vec<IndexTemplate>> = None;
    for StreamAssets { data_streams: pattern, .. } in &STREAMS {
        for (name, indices) in data_streams(client, pattern, operation).await? {
            // None if the data stream was deleted in the meantime, or if this project created it.
            let owner = with_write_index(client, &name, indices.last(), async |index| match index {
                Some(index) => Ok(owner_in(&mapping_of(client, index, operation).await?)),
                None => Ok(None),
            });
            let Some(owner) = owner.await?.flatten() else { continue };
            let templates = match &mut templates {
                Some(templates) => templates,
                none => none.insert(index_templates(client, "*").await?),
            };
            let theirs = templates.iter().filter(|template| template.is_foreign_and_matches(&name));
            match theirs.max_by_key(|template| template.priority()) {
                Some(template) if template.overrides_ours(&name) => found.overriding.push(name),
                Some(template) => {
                    found.to_take_over.push(format!("{name} ({owner}, index template {})", template.name));
                }
                None => found.to_take_over.push(format!("{name} ({owner})")),
            }
        }
    }
    Ok(found)
}

/// Returns the data streams, in any namespace, to which others wrote in the last two days, such as
/// `logs-lastpass.user-default`, and the number of documents. A document is from another writer if an Elastic Agent named
/// itself in it or, in `namespace`, if it lacks `event.kind`, which all of ours have.
///
/// # Errors
/// [`Error`].
pub async fn fetch_other_writers(client: &Client, namespace: &Namespace) -> Result<Option<(u64, Vec<String>)>, Error> {
    let operation = Operation::SearchDocuments;
    let patterns = Stream::ALL.map(|stream| format!("logs-lastpass.{stream}-*"));
    let listed = try_join_all(patterns.iter().map(|pattern| data_streams(client, pattern, operation))).await?;
    // Only the newest index counts, because older ones may be from before the data stream was taken over. Where a template
    // overrides ours, others may write, except in this namespace, where their documents would duplicate ours.
    let templates = index_templates(client, "*").await?;
    let ours = Stream::ALL.map(|stream| stream.data_stream(namespace));
    let is_ours = |name: &str| ours.iter().any(|data_stream| data_stream.as_str() == name);
    let is_theirs = |name: &str| !is_ours(name) && templates.iter().any(|template| template.overrides_ours(name));
    let newest: Vec<(String, String)> = listed
        .into_iter()
        .flatten()
        .filter(|(name, _)| !is_theirs(name))
        .filter_map(|(name, mut indices)| indices.pop().map(|index| (index, name)))
        .collect();
    if newest.is_empty() {
        return Ok(None);
    }
    let all: Vec<&str> = newest.iter().map(|(index, _)| index.as_str()).collect();
    let own: Vec<&str> = newest.iter().filter(|(_, name)| is_ours(name)).map(|(index, _)| index.as_str()).collect();
    let body = documents_of_others(&all, &own);
    let patterns = patterns.each_ref().map(String::as_str);
    let found = search::<IgnoredAny>(client, &patterns, &body, SEARCH_REMEDY).await?;
    let with_documents: Vec<&str> = found.indices().collect();
    let has_documents = |(index, _): &&(String, String)| with_documents.contains(&index.as_str());
    let mut names: Vec<String> = newest.iter().filter(has_documents).map(|(_, name)| name.clone()).collect();
    names.sort_unstable();
    let documents = found.hits.total.value;
    Ok((documents > 0).then_some((documents, names)))
}

/// Returns the search for documents of other writers in the indices `all`, of which `own` are in our namespace.
fn documents_of_others(all: &[&str], own: &[&str]) -> Value {
    json!({
        "size": 0,
        "track_total_hits": true,
        "aggs": by_index(),
        "query": {"bool": {
            "filter": [{"terms": {"_index": all}}, {"range": {"@timestamp": {"gte": "now-2d"}}}],
            "minimum_should_match": 1,
            "should": [
                {"exists": {"field": "agent.id"}},
                {"exists": {"field": "elastic_agent.id"}},
                {"bool": {
                    "filter": {"terms": {"_index": own}},
                    "must_not": {"exists": {"field": "event.kind"}},
                }},
            ],
        }},
    })
}
