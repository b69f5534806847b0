//! Reads the templates and mappings that the cluster has, and compares them with ours.

use std::collections::BTreeMap;

use elasticsearch::indices::{IndicesGetIndexTemplateParts, IndicesGetMappingParts};
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use super::assets::{PREFIX, PRIORITY, STREAMS, VERSION, version};
use super::backing_indices::index_names;
use super::cause::Unanswered;
use super::client::Client;
use super::error::Error;
use super::operation::Operation;
use super::transport::Request;
use crate::document::Namespace;

pub(super) const INSTALL_REMEDY: &str = "check whether the cluster is 8.13 or newer, and whether another index \
                                         template with priority 350, or a @custom component template, conflicts with \
                                         this one";
pub(super) const DATA_STREAM_REMEDY: &str =
    "check the state of the data stream in Kibana under Stack Management > Index Management";

/// Returns whether `setup` was run with this version of the assets or a newer one. Needs the cluster privilege `monitor`.
///
/// # Errors
/// [`Error`].
pub async fn is_set_up(client: &Client) -> Result<bool, Error> {
    let ours = index_templates(client, &format!("{PREFIX}*")).await?;
    Ok(stale_templates(&ours).is_empty())
}

/// Returns what `setup` would install or update: index templates, and data streams of `namespace` that others created. Each
/// as a text such as `the index template lastpass-elastic.user is missing`.
///
/// # Errors
/// [`Error`].
pub async fn fetch_stale_assets(client: &Client, namespace: &Namespace) -> Result<Vec<String>, Error> {
    let templates = index_templates(client, "*").await?;
    let mut stale = stale_templates(&templates);
    for stream in &STREAMS {
        let data_stream = stream.data_streams.replace('*', namespace.as_str());
        let above = templates.iter().filter(|other| other.overrides_ours(&data_stream));
        stale.extend(above.map(|IndexTemplate { name, index_template }| {
            format!(
                "the index template {name} (priority {}) overrides {}: delete it or give it a priority below {PRIORITY}",
                index_template["priority"], stream.name
            )
        }));
        let Some(write_index) = index_names(client, &data_stream).await?.pop() else {
            continue;
        };
        let mapping = mapping_of(client, &write_index, Operation::ListBackingIndices).await?;
        if let Some(owner) = owner_in(&mapping) {
            stale.push(format!(
                "the data stream {data_stream} has the mapping of another template or version: it was {owner}, and \
                 `setup` takes it over only if the request contains \"take_over\": true (see \
                 docs/from-elastics-integration.md)"
            ));
        } else if version(&mapping).is_none_or(|version| version < VERSION) {
            stale.push(format!("the data stream {data_stream} has the mapping of another template or version"));
        }
    }
    Ok(stale)
}

/// An index template, as Elasticsearch lists it.
#[derive(Deserialize)]
pub(super) struct IndexTemplate {
    pub(super) name: String,
    index_template: Value,
}

impl IndexTemplate {
    /// Returns whether it is not ours, and Elasticsearch prefers it to ours for this data stream.
    pub(super) fn overrides_ours(&self, data_stream: &str) -> bool {
        self.priority() >= PRIORITY && self.is_foreign_and_matches(data_stream)
    }

    pub(super) fn priority(&self) -> u64 {
        self.index_template["priority"].as_u64().unwrap_or_default()
    }

    /// Returns whether it is not ours, and matches this data stream.
    pub(super) fn is_foreign_and_matches(&self, data_stream: &str) -> bool {
        let patterns = self.index_template["index_patterns"].as_array().into_iter().flatten();
        let is_match = patterns.filter_map(Value::as_str).any(|pattern| matches(pattern, data_stream));
        !self.name.starts_with(PREFIX) && is_match
    }
}

/// Returns the index templates whose names match `pattern`.
///
/// # Errors
/// [`Error`].
pub(super) async fn index_templates(client: &Client, pattern: &str) -> Result<Vec<IndexTemplate>, Error> {
    #[derive(Deserialize)]
    struct Found {
        index_templates: Vec<IndexTemplate>,
    }
    let path = IndicesGetIndexTemplateParts::Name(pattern).url();
    let response = client.send_with_retries(&Request::new(Operation::ReadTemplates, Method::GET, path)).await?;
    if response.status != 404 && !response.status.is_success() {
        return Err(client.refused(&response, INSTALL_REMEDY));
    }
    Ok(client.parse::<Found>(&response)?.index_templates)
}

/// Returns whether a name matches a pattern, in which `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(begin) else { return false };
    (0..=name.len()).filter_map(|at| name.get(at..)).any(|name| matches(rest, name))
}

/// Returns those of our index templates that are missing from `templates` or older than this version.
fn stale_templates(templates: &[IndexTemplate]) -> Vec<String> {
    let stale = STREAMS.iter().filter_map(|stream| {
        let Some(there) = templates.iter().find(|template| template.name == stream.name) else {
            return Some(format!("the index template {} is missing", stream.name));
        };
        let is_new_enough = version(&there.index_template).is_some_and(|version| version >= VERSION);
        (!is_new_enough).then(|| format!("the index template {} is from an older version", stream.name))
    });
    stale.collect()
}

/// Reads the mapping of an index. Its `_meta` names the creator.
///
/// # Errors
/// [`Error`].
pub(super) async fn mapping_of(client: &Client, index: &str, operation: Operation) -> Result<Value, Error> {
    let request = Request::new(operation, Method::GET, IndicesGetMappingParts::Index(&[index]).url());
    let mut found: BTreeMap<String, Value> = client.read(&request, DATA_STREAM_REMEDY).await?;
    let mappings = found.get_mut(index).and_then(|index| index.get_mut("mappings")).map(Value::take);
    mappings.ok_or_else(|| client.unreachable(operation, Unanswered::NotElasticsearch))
}

/// Returns who created a mapping, by its `_meta`. None if it was this project. Fleet writes its name and the package's.
/// Source: Kibana, `x-pack/platform/plugins/shared/fleet/server/services/epm/elasticsearch/meta.ts`.
pub(super) fn owner_in(mappings: &Value) -> Option<String> {
    if version(mappings).is_some() {
        return None;
    }
    let text = |pointer| mappings.pointer(pointer).and_then(Value::as_str);
    Some(match (text("/_meta/package/name"), text("/_meta/managed_by")) {
        (Some(package), _) => format!("created by Fleet for the integration {package:?}"),
        (None, Some(manager)) => format!("created by {manager:?}"),
        (None, None) => "created by another index template".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mapping_names_its_creator() {
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

    #[test]
    fn a_pattern_matches_as_in_elasticsearch() {
        let name = "logs-lastpass.user-default";
        for pattern in
            [name, "*", "logs-*", "logs-*-*", "logs-lastpass.*-default", "*user*", "logs-lastpass.user-default*"]
        {
            assert!(matches(pattern, name), "{pattern}");
        }
        for pattern in ["", "logs", "metrics-*", "logs-*-prod", "logs-lastpass.event_report-*", "*users*"] {
            assert!(!matches(pattern, name), "{pattern}");
        }
    }
}
