//! Whose a data stream is, and who else writes to it.
//!
//! Elastic's own integration and others use the same names. An index template of ours stands above theirs, so `setup`
//! takes a data stream over only where it was told to, and `check` looks for documents that an agent writes beside us.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::assets::{NamedTemplate, STREAMS, StreamAssets, index_templates, meta_of, version};
use super::client::{Body, Call, Client};
use super::error::{Doing, Error};
use super::existing;
use crate::deadline::Deadline;
use crate::document::{Namespace, Stream};

/// How many of the newest documents of others are looked at. Chosen: they only name the data streams.
const SAMPLE: usize = 200;

const SEARCH_REMEDY: &str = "see whether the data streams logs-lastpass.* can be searched in Kibana's Discover";

/// The data streams with names of ours, of every namespace, that were made by the templates of others.
#[derive(Default)]
pub(super) struct Others {
    /// What `setup` would take over, each as a text that says whose it is.
    pub(super) taken_over: Vec<String>,
    /// The names of those that have an index template above ours: they stay theirs.
    pub(super) left_alone: Vec<String>,
}

/// Looks for data streams of others.
///
/// # Errors
/// [`Error`].
pub(super) async fn others(client: &Client, deadline: Deadline) -> Result<Others, Error> {
    let doing = Doing::UpdateDataStream;
    let mut found = Others::default();
    // Read only where they are needed.
    let mut templates: Option<Vec<NamedTemplate>> = None;
    for StreamAssets { data_streams, .. } in &STREAMS {
        for (name, indices) in existing::data_streams(client, data_streams, doing, deadline).await? {
            let Some(owner) = owner(client, &name, indices.last(), doing, deadline).await? else { continue };
            let templates = match &mut templates {
                Some(templates) => templates,
                none => none.insert(index_templates(client, "*", deadline).await?),
            };
            let theirs = templates.iter().filter(|template| template.is_anothers_for(&name));
            match theirs.max_by_key(|template| template.priority()) {
                Some(template) if template.stands_above(&name) => found.left_alone.push(name),
                Some(template) => {
                    found.taken_over.push(format!("{name} ({owner}, index template {})", template.name));
                }
                None => found.taken_over.push(format!("{name} ({owner})")),
            }
        }
    }
    Ok(found)
}

/// Who made the write index of a data stream; none where it was a version of ours, or where the data stream was deleted
/// meanwhile.
async fn owner(
    client: &Client,
    name: &str,
    write_index: Option<&String>,
    doing: Doing,
    deadline: Deadline,
) -> Result<Option<String>, Error> {
    let Some(index) = write_index else { return Ok(None) };
    let error = match meta_of(client, index, doing, deadline).await {
        Ok(mappings) => return Ok(owner_in(&mappings)),
        Err(error) => error,
    };
    match existing::data_streams(client, name, doing, deadline).await?.pop() {
        None => Ok(None),
        Some((_, indices)) => match indices.last() {
            Some(newer) if newer != index => Ok(owner_in(&meta_of(client, newer, doing, deadline).await?)),
            _ => Err(error),
        },
    }
}

/// Who made a mapping, by its `_meta`; none where it was a version of ours. Fleet writes its name and that of the package.
/// Source: Kibana, `x-pack/platform/plugins/shared/fleet/server/services/epm/elasticsearch/meta.ts`.
pub(super) fn owner_in(mappings: &Value) -> Option<String> {
    if version(mappings).is_some() {
        return None;
    }
    let text = |pointer| mappings.pointer(pointer).and_then(Value::as_str);
    Some(match (text("/_meta/package/name"), text("/_meta/managed_by")) {
        (Some(package), _) => format!("made by Fleet for the integration {package:?}"),
        (None, Some(manager)) => format!("made by {manager:?}"),
        (None, None) => "made by another index template".to_owned(),
    })
}

/// The data streams, of any namespace, to which others wrote in the last two days: each as a text such as
/// `logs-lastpass.user-default`. A document is another's if an Elastic Agent says so in it, and in `namespace` if it lacks
/// `event.kind`, which all of ours have.
///
/// # Errors
/// [`Error`].
pub async fn other_writers(
    client: &Client,
    namespace: &Namespace,
    deadline: Deadline,
) -> Result<Option<(u64, Vec<String>)>, Error> {
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
        #[serde(rename = "_index")]
        index: String,
    }
    let doing = Doing::SearchDocuments;
    let patterns = Stream::ALL.map(|stream| format!("logs-lastpass.{stream}-*"));
    let listed: Vec<Vec<(String, Vec<String>)>> = stream::iter(&patterns)
        .map(|pattern| existing::data_streams(client, pattern, doing, deadline))
        .buffered(patterns.len())
        .try_collect()
        .await?;
    // What was written before a data stream was taken over is no news: only the newest index counts.
    // Where a template stands above ours, others may write as they like; only in this namespace they double what we write.
    let templates = index_templates(client, "*", deadline).await?;
    let ours = Stream::ALL.map(|stream| stream.data_stream(namespace));
    let is_ours = |name: &str| ours.iter().any(|data_stream| data_stream.as_str() == name);
    let is_theirs = |name: &str| !is_ours(name) && templates.iter().any(|template| template.stands_above(name));
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
    let query = json!({
        "size": SAMPLE,
        "_source": false,
        "track_total_hits": true,
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
    });
    let path = [patterns.join(","), "_search".to_owned()];
    let path = path.each_ref().map(String::as_str);
    let call = Call {
        query: &[("ignore_unavailable", "true")],
        body: Body::Json(query.to_string().into_bytes()),
        ..Call::new(doing, Method::POST, &path)
    };
    let Hits { total, hits } = client.read::<Found>(&call, SEARCH_REMEDY, deadline).await?.hits;
    let mut names: Vec<String> = hits
        .into_iter()
        .map(|hit| newest.iter().find(|(index, _)| *index == hit.index).map_or(hit.index, |(_, name)| name.clone()))
        .collect();
    names.sort_unstable();
    names.dedup();
    Ok((total.value > 0).then_some((total.value, names)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_says_who_made_it() {
        let ours = json!({"_meta": {"lastpass_elastic": {"version": 1}}});
        assert_eq!(owner_in(&ours), None);
        for (mappings, words) in [
            (json!({"_meta": {"package": {"name": "lastpass"}, "managed_by": "fleet", "managed": true}}), "lastpass"),
            (json!({"_meta": {"managed_by": "fleet"}}), "fleet"),
            (json!({"_meta": {"lastpass_elastic": {"version": "1"}}}), "another index template"),
            (json!({"properties": {}}), "another index template"),
            (json!({}), "another index template"),
            (Value::Null, "another index template"),
        ] {
            let owner = owner_in(&mappings).expect("another's");
            assert!(owner.contains(words), "{owner}");
        }
    }
}
