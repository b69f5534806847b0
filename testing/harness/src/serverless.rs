//! Rules that make a real node behave like a serverless project.
//!
//! The rules refuse the requests that a project refuses, with its error texts, and change the node's description of
//! itself. Sources: Elasticsearch, `ServerlessOperatorPrivsIT` (410), `ServerlessSupportedPrivilegesRegistry` and
//! `ServerlessHasPrivilegesIT` (400), "Index settings available in Elastic Cloud Serverless projects".

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::{Answer, Call, Fault, Rule, System};

/// A project always reports this version.
const VERSION: &str = "8.11.0";

const CLUSTER_PRIVILEGES: &str = "all cancel_task manage manage_api_key manage_behavioral_analytics manage_connector \
    manage_enrich manage_index_templates manage_inference manage_ingest_pipelines manage_logstash_pipelines manage_ml \
    manage_own_api_key manage_pipeline manage_search_application manage_search_query_rules manage_search_synonyms \
    manage_security manage_transform monitor monitor_connector monitor_enrich monitor_esql monitor_inference monitor_ml \
    monitor_transform none post_behavioral_analytics_event read_pipeline read_security";
const INDEX_PRIVILEGES: &str = "all auto_configure create create_doc create_index delete delete_index index maintenance \
    manage manage_data_stream_lifecycle monitor none read view_index_metadata write";
const INDEX_SETTINGS: &str = "index.codec index.default_pipeline index.final_pipeline index.hidden index.mode \
    index.query.default_field index.refresh_interval index.sort.field index.sort.missing index.sort.mode \
    index.sort.order index.blocks.read_only index.blocks.read index.blocks.write index.blocks.metadata \
    index.mapping.coerce index.mapping.ignore_above index.mapping.ignore_malformed index.mapping.source.mode \
    index.mapping.synthetic_source_keep index.mapping.total_fields.limit \
    index.mapping.total_fields.ignore_dynamic_beyond_limit index.lifecycle.origination_date";
/// The project's APIs that a log writer may use. `*` matches one part of a path. Source: the scope `PUBLIC` in Elasticsearch's REST
/// handlers.
const APIS: &[&str] = &[
    "/",
    "/_mget",
    "/_bulk",
    "/_search",
    "/_msearch",
    "/_pit",
    "/*/_pit",
    "/*/_mget",
    "/*/_bulk",
    "/*/_search",
    "/*/_count",
    "/*/_field_caps",
    "/*/_mapping",
    "/*/_settings",
    "/*/_settings/*",
    "/*/_rollover",
    "/*/_refresh",
    "/_resolve/index/*",
    "/_index_template/*",
    "/_component_template/*",
    "/_ingest/pipeline/*",
    "/_data_stream/*",
    "/_data_stream/*/_lifecycle",
    "/_data_stream/*/_options",
    "/_security/_authenticate",
    "/_security/user/_has_privileges",
];

/// Returns the rules that make a node behave like a serverless project.
#[must_use]
pub fn serverless_rules() -> Vec<Rule> {
    let knows = |list: &'static str| move |name: &str| list.split_whitespace().any(|known| known == name);
    let mut rules = vec![
        Rule::when(is_root, Fault::Change(Arc::new(as_project))),
        // A project has both of these APIs, the local node neither.
        Rule::when(is_of_a_data_stream, Fault::Answer(Answer::json(200, &json!({"acknowledged": true})))),
    ];
    for (list, kind) in [(CLUSTER_PRIVILEGES, "cluster"), (INDEX_PRIVILEGES, "index")] {
        let known = knows(list);
        let asks_for_more = move |call: &Call| {
            call.operation.ends_with("/_has_privileges")
                && body(call).is_some_and(|question| privileges(&question, kind).any(|name| !known(name)))
        };
        let reason = format!(
            "Validation Failed: 1: {kind} privilege [x] exists but is not supported when running in serverless mode. a \
             privilege must be one of the predefined {kind} privilege names [{list}];"
        );
        rules.push(Rule::when(asks_for_more, refuse(400, "action_request_validation_exception", &reason)));
    }
    let known = knows(INDEX_SETTINGS);
    let sets_more = move |call: &Call| {
        let is_template = call.operation.contains("_template/") || call.operation.ends_with("/_settings");
        is_template && !call.operation.starts_with("GET") && {
            let body = body(call).unwrap_or_default();
            let settings = body.pointer("/template/settings").unwrap_or(&body);
            let is_settings = settings != &body || call.operation.ends_with("/_settings");
            is_settings && flat(settings).iter().any(|name| !known(name))
        }
    };
    let reason = "Settings [x] are not available when running in serverless mode";
    rules.push(Rule::when(sets_more, refuse(400, "illegal_argument_exception", reason)));
    let reason = "Request for uri [x] with method [x] exists but is not available when running in serverless mode";
    rules.push(Rule::when(has_no_such_api, refuse(410, "api_not_available_exception", reason)));
    rules
}

fn refuse(status: u16, error_type: &str, reason: &str) -> Fault {
    let cause = json!({"type": error_type, "reason": reason});
    let error = json!({"root_cause": [cause], "type": error_type, "reason": reason});
    Fault::Answer(Answer::json(status, &json!({"error": error, "status": status})))
}

fn path(call: &Call) -> Option<&str> {
    let is_its = call.system == System::Elasticsearch;
    call.operation.split_once(' ').map(|(_, path)| path).filter(|_| is_its)
}

fn is_root(call: &Call) -> bool {
    path(call) == Some("/")
}

fn is_of_a_data_stream(call: &Call) -> bool {
    let ends = |path: &str| path.ends_with("/_lifecycle") || path.ends_with("/_options");
    path(call).is_some_and(|path| path.starts_with("/_data_stream/") && ends(path))
}

fn as_project(mut info: Value) -> Value {
    info["version"] = json!({
        "number": VERSION,
        "build_flavor": "serverless",
        "build_type": "docker",
        "build_hash": "00000000",
        "build_date": "2023-10-31",
        "build_snapshot": false,
        "lucene_version": "9.7.0",
        "minimum_wire_compatibility_version": VERSION,
        "minimum_index_compatibility_version": VERSION,
    });
    info
}

fn has_no_such_api(call: &Call) -> bool {
    let Some(path) = path(call) else { return false };
    let fits = |api: &str| {
        let (mut parts, mut asked) = (api.split('/'), path.split('/'));
        loop {
            match (parts.next(), asked.next()) {
                (None, None) => return true,
                (Some("*"), Some(part)) if !part.is_empty() => {}
                (Some(part), Some(other)) if part == other => {}
                _ => return false,
            }
        }
    };
    !APIS.iter().any(|api| fits(api))
}

fn body(call: &Call) -> Option<Value> {
    serde_json::from_slice(&call.body).ok()
}

/// Returns the privileges that a request names under `cluster` or `index`.
fn privileges<'a>(question: &'a Value, kind: &str) -> Box<dyn Iterator<Item = &'a str> + 'a> {
    let texts = |list: &'a Value| list.as_array().into_iter().flatten().filter_map(Value::as_str);
    if kind == "cluster" {
        return Box::new(texts(&question["cluster"]));
    }
    Box::new(question["index"].as_array().into_iter().flatten().flat_map(move |on| texts(&on["privileges"])))
}

/// Returns the names of settings, from dotted or nested form, each with the prefix `index.`.
fn flat(settings: &Value) -> Vec<String> {
    fn walk(prefix: &str, fields: &Map<String, Value>, into: &mut Vec<String>) {
        for (name, value) in fields {
            let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            match value {
                Value::Object(fields) => walk(&name, fields, into),
                _ => into.push(name),
            }
        }
    }
    let mut names = Vec::new();
    if let Value::Object(fields) = settings {
        walk("", fields, &mut names);
    }
    let whole = |name: String| if name.starts_with("index.") { name } else { format!("index.{name}") };
    names.into_iter().map(whole).collect()
}
