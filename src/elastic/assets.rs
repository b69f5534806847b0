//! What `setup` installs: component templates, index templates and the GeoIP pipeline, as they stand in
//! `assets/elasticsearch`.
//!
//! `setup` may be repeated: what is there is put again, a retention that the user set stays, and data streams are
//! rolled over only where their write index was made by another version of the templates. Component templates named
//! `logs@custom` and `logs-lastpass.<stream>@custom` are the user's: named by ours after our own, never written.

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Answer, Body, Call, Client, ErrorBody};
use super::error::{Doing, Error};
use super::existing;
use super::owners::{self, Others};
use super::rights::cluster_info;
use crate::deadline::Deadline;
use crate::document::Namespace;

/// The version of the assets, in each one's `_meta.lastpass_elastic.version`. To be raised with every change of them.
pub(super) const VERSION: u64 = 4;

/// The priority of our index templates. Source: `assets/elasticsearch/index_templates`, which a test reads.
const PRIORITY: u64 = 350;

/// How the names of the index templates begin: each has the name of its stream behind it.
const PREFIX: &str = "lastpass-elastic.";

/// The component template with the lifecycle of all data streams.
const LIFECYCLE: Asset = Asset {
    name: "lastpass-elastic@lifecycle",
    json: include_str!("../../assets/elasticsearch/component_templates/lastpass-elastic@lifecycle.json"),
};

/// The ingest pipeline that the event report's template names as `index.final_pipeline`.
const GEOIP: Asset = Asset {
    name: "lastpass-elastic-geoip",
    json: include_str!("../../assets/elasticsearch/pipelines/lastpass-elastic-geoip.json"),
};

/// One asset: its name in Elasticsearch and its JSON.
struct Asset {
    name: &'static str,
    json: &'static str,
}

/// The assets of one stream; index template and component template have the same name.
pub(super) struct StreamAssets {
    name: &'static str,
    pub(super) data_streams: &'static str,
    component_template: &'static str,
    index_template: &'static str,
}

macro_rules! stream_assets {
    ($stream:literal) => {
        StreamAssets {
            name: concat!("lastpass-elastic.", $stream),
            data_streams: concat!("logs-lastpass.", $stream, "-*"),
            component_template: include_str!(concat!(
                "../../assets/elasticsearch/component_templates/lastpass-elastic.",
                $stream,
                ".json"
            )),
            index_template: include_str!(concat!(
                "../../assets/elasticsearch/index_templates/lastpass-elastic.",
                $stream,
                ".json"
            )),
        }
    };
}

pub(super) static STREAMS: [StreamAssets; 4] = [
    stream_assets!("event_report"),
    stream_assets!("user"),
    stream_assets!("detailed_shared_folder"),
    stream_assets!("dead_letter"),
];

const INSTALL_REMEDY: &str = "see whether the cluster is 8.13 or newer, and whether another index template with \
    priority 350, or a @custom component template, stands against this one";
const RETENTION_REMEDY: &str = "give `retention` as Elasticsearch writes it, such as 365d, and see whether the cluster \
    has data stream lifecycles (8.13 or newer)";
const UPDATE_REMEDY: &str = "see the state of the data stream in Kibana under Stack Management > Index Management";

/// What a request may say about `setup`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetupOptions {
    /// How long documents are kept, as Elasticsearch writes it (`365d`). None: as it was, and forever at first.
    pub retention: Option<String>,
    /// Whether data streams may be taken over that others made.
    pub take_over: bool,
}

/// Installs the assets and brings existing data streams to them. Returns the names of what was installed.
///
/// # Errors
/// [`Error`]; `setup` can be repeated after any. [`Error::OthersWrite`] before anything was changed, where a data stream
/// would be taken over that others made.
pub async fn setup(client: &Client, options: &SetupOptions, deadline: Deadline) -> Result<Vec<String>, Error> {
    let cluster = cluster_info(client, deadline).await?;
    if !cluster.is_supported() {
        return Err(Error::TooOld { host: client.host(), version: cluster.version });
    }
    let Others { taken_over, left_alone } = owners::others(client, deadline).await?;
    if !options.take_over && !taken_over.is_empty() {
        return Err(Error::OthersWrite { host: client.host(), data_streams: taken_over });
    }
    if !taken_over.is_empty() {
        tracing::warn!(data_streams = taken_over.join("; "), "taking over data streams that others made");
    }
    let setup = Setup { client, deadline };
    let mut installed = Vec::new();
    let has_geoip = setup.put_pipeline().await?;
    if has_geoip {
        installed.push(format!("pipeline {}", GEOIP.name));
    }
    setup.put_lifecycle(options.retention.as_deref()).await?;
    installed.push(format!("component template {}", LIFECYCLE.name));
    for stream in &STREAMS {
        let mut body = parsed(stream.component_template);
        if !has_geoip && let Some(index) = body["template"]["settings"]["index"].as_object_mut() {
            // A final pipeline that doesn't exist would have every document refused.
            index.shift_remove("final_pipeline");
        }
        setup.put("_component_template", stream.name, &body, INSTALL_REMEDY).await?;
        installed.push(format!("component template {}", stream.name));
    }
    for stream in &STREAMS {
        setup.put_index_template(stream).await?;
        installed.push(format!("index template {}", stream.name));
    }
    for stream in &STREAMS {
        for (name, indices) in
            existing::data_streams(client, stream.data_streams, Doing::UpdateDataStream, deadline).await?
        {
            if !left_alone.contains(&name) {
                setup.update_as_it_is(&name, indices.last(), options.retention.as_deref()).await?;
            }
        }
    }
    Ok(installed)
}

/// Whether `setup` was run with this version of the assets or a newer one. Needs the cluster privilege `monitor`.
///
/// # Errors
/// [`Error`].
pub async fn is_set_up(client: &Client, deadline: Deadline) -> Result<bool, Error> {
    let ours = index_templates(client, &format!("{PREFIX}*"), deadline).await?;
    Ok(stale_templates(&ours).is_empty())
}

/// What `setup` would install or bring up to date: index templates, and data streams of `namespace` that were made by
/// others. Each as a text such as `the index template lastpass-elastic.user is missing`.
///
/// # Errors
/// [`Error`].
pub async fn stale_assets(client: &Client, namespace: &Namespace, deadline: Deadline) -> Result<Vec<String>, Error> {
    let templates = index_templates(client, "*", deadline).await?;
    let mut stale = stale_templates(&templates);
    for stream in &STREAMS {
        let data_stream = stream.data_streams.replace('*', namespace.as_str());
        let above = templates.iter().filter(|other| other.stands_above(&data_stream));
        stale.extend(above.map(|NamedTemplate { name, index_template }| {
            format!(
                "the index template {name} (priority {}) stands above {}: delete it or give it a priority below {PRIORITY}",
                index_template["priority"], stream.name
            )
        }));
        let Some(write_index) = existing::index_names(client, &data_stream, deadline).await?.pop() else {
            continue;
        };
        let mappings = meta_of(client, &write_index, Doing::ListBackingIndices, deadline).await?;
        if let Some(owner) = owners::owner_in(&mappings) {
            stale.push(format!(
                "the data stream {data_stream} has the mapping of another template or version: it was {owner}, and `setup` \
                 takes it over only where the request says \"take_over\": true (see docs/from-elastics-integration.md)"
            ));
        } else if version(&mappings).is_none_or(|version| version < VERSION) {
            stale.push(format!("the data stream {data_stream} has the mapping of another template or version"));
        }
    }
    Ok(stale)
}

/// An index template, as Elasticsearch lists it.
#[derive(Deserialize)]
pub(super) struct NamedTemplate {
    pub(super) name: String,
    index_template: Value,
}

impl NamedTemplate {
    /// Whether it is none of ours, and is taken before ours for this data stream.
    pub(super) fn stands_above(&self, data_stream: &str) -> bool {
        self.priority() >= PRIORITY && self.is_anothers_for(data_stream)
    }

    pub(super) fn priority(&self) -> u64 {
        self.index_template["priority"].as_u64().unwrap_or_default()
    }

    pub(super) fn is_anothers_for(&self, data_stream: &str) -> bool {
        let patterns = self.index_template["index_patterns"].as_array().into_iter().flatten();
        let is_for_it = patterns.filter_map(Value::as_str).any(|pattern| fits(pattern, data_stream));
        !self.name.starts_with(PREFIX) && is_for_it
    }
}

/// The index templates whose names fit `pattern`.
pub(super) async fn index_templates(
    client: &Client,
    pattern: &str,
    deadline: Deadline,
) -> Result<Vec<NamedTemplate>, Error> {
    #[derive(Deserialize)]
    struct Found {
        index_templates: Vec<NamedTemplate>,
    }
    let answer = client.ask(&get(&["_index_template", pattern]), deadline).await?;
    if answer.status != 404 && !answer.status.is_success() {
        return Err(client.refused(&answer, INSTALL_REMEDY));
    }
    Ok(client.parse::<Found>(&answer)?.index_templates)
}

/// Whether a name fits a pattern, in which `*` stands for any characters.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(begin) else { return false };
    (0..=name.len()).filter_map(|at| name.get(at..)).any(|name| fits(rest, name))
}

/// Those of our index templates that are missing from `templates` or older than this version.
fn stale_templates(templates: &[NamedTemplate]) -> Vec<String> {
    let stale = STREAMS.iter().filter_map(|stream| {
        let Some(there) = templates.iter().find(|template| template.name == stream.name) else {
            return Some(format!("the index template {} is missing", stream.name));
        };
        let is_new_enough = version(&there.index_template).is_some_and(|version| version >= VERSION);
        (!is_new_enough).then(|| format!("the index template {} is of an older version", stream.name))
    });
    stale.collect()
}

/// The mapping of an index: its `_meta` says what it was made by.
pub(super) async fn meta_of(client: &Client, index: &str, doing: Doing, deadline: Deadline) -> Result<Value, Error> {
    let path = [index, "_mapping"];
    let call = Call { doing, ..get(&path) };
    let mut mappings: Value = client.read(&call, UPDATE_REMEDY, deadline).await?;
    Ok(mappings.get_mut(index).map(|index| index["mappings"].take()).unwrap_or_default())
}

/// The version of our assets in the `_meta` of a template or a mapping.
pub(super) fn version(with_meta: &Value) -> Option<u64> {
    with_meta.pointer("/_meta/lastpass_elastic/version")?.as_u64()
}

#[expect(clippy::expect_used, reason = "the text is part of the program")]
fn parsed(json: &str) -> Value {
    serde_json::from_str(json).expect("a test parses every asset")
}

const fn get<'a>(path: &'a [&'a str]) -> Call<'a> {
    Call::new(Doing::ReadTemplates, Method::GET, path)
}

/// One run of `setup`.
struct Setup<'a> {
    client: &'a Client,
    deadline: Deadline,
}

impl Setup<'_> {
    /// Installs the GeoIP pipeline; false where the cluster doesn't have the processor.
    async fn put_pipeline(&self) -> Result<bool, Error> {
        let path = ["_ingest", "pipeline", GEOIP.name];
        let answer = self.send(Doing::InstallPipeline, Method::PUT, &path, &parsed(GEOIP.json)).await?;
        if let Some(ErrorBody::Typed { error_type, processor_type: Some(processor), .. }) = answer.error()
            && error_type == "parse_exception"
            && processor == "geoip"
        {
            tracing::warn!("this cluster has no geoip processor: events get no source.geo");
            return Ok(false);
        }
        self.accept(&answer, INSTALL_REMEDY)?;
        Ok(true)
    }

    /// Installs the lifecycle with `retention`, or with the one that is there.
    async fn put_lifecycle(&self, retention: Option<&str>) -> Result<(), Error> {
        let mut body = parsed(LIFECYCLE.json);
        let path = ["_component_template", LIFECYCLE.name];
        // With the rights of who installs it.
        let call = Call { doing: Doing::InstallTemplate, ..get(&path) };
        let answer = self.client.ask(&call, self.deadline).await?;
        if answer.status != 404 {
            self.accept(&answer, INSTALL_REMEDY)?;
            let there: Value = self.client.parse(&answer)?;
            let lifecycle = there.pointer("/component_templates/0/component_template/template/lifecycle");
            if let Some(lifecycle) = lifecycle {
                body["template"]["lifecycle"] = lifecycle.clone();
            }
        }
        if let Some(retention) = retention {
            body["template"]["lifecycle"]["data_retention"] = json!(retention);
        }
        let remedy = if retention.is_some() { RETENTION_REMEDY } else { INSTALL_REMEDY };
        self.put("_component_template", LIFECYCLE.name, &body, remedy).await
    }

    /// Installs an index template, without the failure store's switch where the cluster doesn't know it.
    async fn put_index_template(&self, stream: &StreamAssets) -> Result<(), Error> {
        let mut body = parsed(stream.index_template);
        let path = ["_index_template", stream.name];
        let answer = self.send(Doing::InstallTemplate, Method::PUT, &path, &body).await?;
        if answer.status == 400
            && answer.error_type() == "x_content_parse_exception"
            && let Some(template) = body.as_object_mut()
        {
            tracing::info!("this cluster has no failure stores to switch off");
            template.remove("template");
            return self.put("_index_template", stream.name, &body, INSTALL_REMEDY).await;
        }
        self.accept(&answer, INSTALL_REMEDY)
    }

    /// Brings a data stream to what its template says now, unless it is deleted meanwhile. What a key may do it may do
    /// through the data stream's name, so Elasticsearch says of an index that is gone that the key has no right to it.
    async fn update_as_it_is(
        &self,
        name: &str,
        write_index: Option<&String>,
        retention: Option<&str>,
    ) -> Result<(), Error> {
        let Err(error) = self.update(name, write_index, retention).await else { return Ok(()) };
        match existing::data_streams(self.client, name, Doing::UpdateDataStream, self.deadline).await?.pop() {
            None => {
                tracing::info!(data_stream = name, "was deleted while it was to be updated");
                Ok(())
            }
            Some((_, indices)) if indices.last() != write_index => self.update(name, indices.last(), retention).await,
            Some(_) => Err(error),
        }
    }

    /// Brings an existing data stream to what its template says now.
    async fn update(&self, name: &str, write_index: Option<&String>, retention: Option<&str>) -> Result<(), Error> {
        let doing = Doing::UpdateDataStream;
        // Options and lifecycle are copied from the template when a data stream is made, so it keeps older ones.
        let options = json!({"failure_store": {"enabled": false}});
        let answer = self.send(doing, Method::PUT, &["_data_stream", name, "_options"], &options).await?;
        // A version without this API has no failure stores.
        if answer.status != 410 && !matches!(answer.error(), Some(ErrorBody::Text(_))) {
            self.accept(&answer, UPDATE_REMEDY)?;
        }
        if let Some(retention) = retention {
            let lifecycle = json!({"data_retention": retention});
            let answer = self.send(doing, Method::PUT, &["_data_stream", name, "_lifecycle"], &lifecycle).await?;
            self.accept(&answer, RETENTION_REMEDY)?;
        }
        let made_by = match write_index {
            Some(index) => version(&meta_of(self.client, index, doing, self.deadline).await?),
            None => None,
        };
        if made_by != Some(VERSION) {
            let answer = self.send(doing, Method::POST, &[name, "_rollover"], &json!({})).await?;
            self.accept(&answer, UPDATE_REMEDY)?;
            tracing::info!(data_stream = name, "rolled over to the mapping of this version");
        }
        Ok(())
    }

    async fn put(&self, api: &str, name: &str, body: &Value, remedy: &'static str) -> Result<(), Error> {
        let answer = self.send(Doing::InstallTemplate, Method::PUT, &[api, name], body).await?;
        self.accept(&answer, remedy)
    }

    async fn send(&self, doing: Doing, method: Method, path: &[&str], body: &Value) -> Result<Answer, Error> {
        let call = Call { body: Body::Json(body.to_string().into_bytes()), ..Call::new(doing, method, path) };
        self.client.ask(&call, self.deadline).await
    }

    /// An error of an answer that is none of a success, with its reason: what `setup` sends holds no record.
    fn accept(&self, answer: &Answer, remedy: &'static str) -> Result<(), Error> {
        if answer.status.is_success() {
            return Ok(());
        }
        let mut error = self.client.refused(answer, remedy);
        if let Error::Refused { reason, .. } = &mut error {
            *reason = match answer.error() {
                Some(ErrorBody::Typed { reason, .. }) => reason,
                Some(ErrorBody::Text(text)) => Some(text),
                None => None,
            }
            .map(|text| text.chars().take(MAX_REASON_CHARS).collect());
        }
        Err(error)
    }
}

/// Longest reason in an error text. Chosen: the longest of Elasticsearch's own about templates is below it.
const MAX_REASON_CHARS: usize = 500;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn every_index_template_has_the_priority_that_others_are_held_against() {
        for stream in &STREAMS {
            assert_eq!(parsed(stream.index_template)["priority"], PRIORITY, "{}", stream.name);
        }
    }

    #[test]
    fn a_pattern_fits_as_in_elasticsearch() {
        let name = "logs-lastpass.user-default";
        for pattern in
            [name, "*", "logs-*", "logs-*-*", "logs-lastpass.*-default", "*user*", "logs-lastpass.user-default*"]
        {
            assert!(fits(pattern, name), "{pattern}");
        }
        for pattern in ["", "logs", "metrics-*", "logs-*-prod", "logs-lastpass.event_report-*", "*users*"] {
            assert!(!fits(pattern, name), "{pattern}");
        }
    }

    const COMMON: &str = "@timestamp date
        data_stream.type constant_keyword, data_stream.dataset constant_keyword, data_stream.namespace constant_keyword
        event.module constant_keyword, event.dataset constant_keyword
        ecs.version keyword, event.kind keyword, event.type keyword, tags keyword, event.original keyword
        event.created date, event.ingested date, error.message match_only_text
        agent.id keyword, related.user keyword, user.email keyword
        organization.id keyword, organization.name keyword";

    const EVENT_REPORT: &str = "event.action keyword, event.category keyword, event.outcome keyword
        event.timezone keyword, user.group.name keyword, source.ip ip, related.ip ip
        source.geo.continent_name keyword, source.geo.country_iso_code keyword, source.geo.country_name keyword
        source.geo.city_name keyword, source.geo.region_name keyword, source.geo.region_iso_code keyword
        source.geo.location geo_point
        lastpass.event_report.time date, lastpass.event_report.ip ip, lastpass.event_report.action keyword
        lastpass.event_report.user_name keyword, lastpass.event_report.data.original text
        lastpass.event_report.data.added_site keyword, lastpass.event_report.data.deleted_site keyword
        lastpass.event_report.data.failed_login keyword, lastpass.event_report.data.group_name keyword
        lastpass.event_report.data.login_site keyword
        lastpass.event_report.data.renamed_shared_folder_name keyword
        lastpass.event_report.data.saml_login keyword, lastpass.event_report.data.secure_note keyword
        lastpass.event_report.data.shared_folder_name keyword, lastpass.event_report.data.site keyword
        lastpass.event_report.data.user_email keyword
        lastpass.event_report.data.shared_folder_user_permissions.admin keyword
        lastpass.event_report.data.shared_folder_user_permissions.hide_password keyword
        lastpass.event_report.data.shared_folder_user_permissions.read_only keyword";

    const USER: &str = "event.category keyword, user.id keyword, user.full_name keyword, user.group.name keyword
        lastpass.user.application long, lastpass.user.attachment long, lastpass.user.form_fill long
        lastpass.user.master_password_strength long, lastpass.user.note long, lastpass.user.sites long
        lastpass.user.total_score double, lastpass.user.disabled boolean, lastpass.user.never_logged_in boolean
        lastpass.user.password_reset_required boolean, lastpass.user.created date, lastpass.user.last_login date
        lastpass.user.last_password_change date, lastpass.user.duo.user_name keyword
        lastpass.user.full_name keyword, lastpass.user.group keyword, lastpass.user.id keyword
        lastpass.user.linked keyword, lastpass.user.user_name keyword";

    const DETAILED_SHARED_FOLDER: &str = "lastpass.detailed_shared_folder.score double
        lastpass.detailed_shared_folder.deleted boolean
        lastpass.detailed_shared_folder.user.can_administer boolean
        lastpass.detailed_shared_folder.user.give boolean, lastpass.detailed_shared_folder.user.read_only boolean
        lastpass.detailed_shared_folder.user.super_admin boolean
        lastpass.detailed_shared_folder.name keyword, lastpass.detailed_shared_folder.shared_folder.id keyword
        lastpass.detailed_shared_folder.user.name keyword, lastpass.detailed_shared_folder.user.site keyword";

    const DEAD_LETTER: &str = "@timestamp date
        data_stream.type constant_keyword, data_stream.dataset constant_keyword, data_stream.namespace constant_keyword
        event.original keyword, error.type keyword, error.message match_only_text
        event.created date, event.ingested date, tags keyword
        lastpass.dead_letter.data_stream keyword, lastpass.dead_letter.document_id keyword
        lastpass.dead_letter.timestamp date, lastpass.dead_letter.account keyword
        lastpass.dead_letter.request_id keyword, lastpass.dead_letter.request object";

    fn listed(lists: &[&str]) -> BTreeMap<String, String> {
        lists
            .iter()
            .flat_map(|list| list.split(['\n', ',']))
            .map(|field| field.trim().split_once(' ').unwrap())
            .map(|(name, field_type)| (name.to_owned(), field_type.to_owned()))
            .collect()
    }

    /// Every field of a mapping with its definition.
    fn fields(properties: &Value, prefix: &str, into: &mut BTreeMap<String, Value>) {
        for (name, field) in properties.as_object().unwrap() {
            match field.get("properties") {
                Some(inner) => fields(inner, &format!("{prefix}{name}."), into),
                None => {
                    into.insert(format!("{prefix}{name}"), field.clone());
                }
            }
        }
    }

    fn mapping(stream: &StreamAssets) -> BTreeMap<String, Value> {
        let mut into = BTreeMap::new();
        fields(&parsed(stream.component_template)["template"]["mappings"]["properties"], "", &mut into);
        into
    }

    #[test]
    fn every_field_has_the_type_of_the_integration() {
        let expected = [
            listed(&[COMMON, EVENT_REPORT]),
            listed(&[COMMON, USER]),
            listed(&[COMMON, DETAILED_SHARED_FOLDER]),
            listed(&[DEAD_LETTER]),
        ];
        for (stream, expected) in STREAMS.iter().zip(expected) {
            let types: BTreeMap<String, String> = mapping(stream)
                .into_iter()
                .map(|(name, field)| (name, field["type"].as_str().unwrap().to_owned()))
                .collect();
            assert_eq!(types, expected, "{}", stream.name);
        }
    }

    #[test]
    fn no_value_is_too_long_for_a_keyword() {
        for stream in &STREAMS {
            for (name, field) in mapping(stream) {
                if name == "event.original" {
                    // Index mode logsdb would ignore one of more than 8,191 characters.
                    let whole = json!({
                        "type": "keyword", "index": false, "doc_values": false, "ignore_above": i32::MAX,
                    });
                    assert_eq!(field, whole);
                } else if field["type"] == "keyword" {
                    assert_eq!(field["ignore_above"], 1024, "{name}");
                }
            }
            assert_eq!(parsed(stream.component_template)["template"]["mappings"]["dynamic"], false);
        }
        let users = mapping(&STREAMS[1]);
        assert_eq!(users["user.full_name"]["fields"]["text"]["type"], "match_only_text");
        assert_eq!(mapping(&STREAMS[3])["lastpass.dead_letter.request"]["enabled"], false);
    }

    #[test]
    fn constants_are_those_of_the_stream() {
        for (stream, dataset) in STREAMS.iter().zip(["event_report", "user", "detailed_shared_folder", "dead_letter"]) {
            let fields = mapping(stream);
            let dataset = format!("lastpass.{dataset}");
            assert_eq!(fields["data_stream.type"]["value"], "logs");
            assert_eq!(fields["data_stream.dataset"]["value"], dataset);
            assert_eq!(fields["data_stream.namespace"].get("value"), None);
            assert!(fields.get("event.dataset").is_none_or(|field| field["value"] == dataset));
            assert!(fields.get("event.module").is_none_or(|field| field["value"] == "lastpass"));
            assert_eq!(stream.data_streams, format!("logs-{dataset}-*"));
        }
    }

    #[test]
    fn index_templates_name_their_parts_and_the_users_hooks_last() {
        for stream in &STREAMS {
            let template = parsed(stream.index_template);
            let custom = format!("{}@custom", stream.data_streams.trim_end_matches("-*"));
            assert_eq!(template["index_patterns"], json!([stream.data_streams]));
            assert_eq!(template["priority"], 350);
            assert_eq!(template["composed_of"], json!([stream.name, LIFECYCLE.name, "logs@custom", custom]));
            assert_eq!(template["ignore_missing_component_templates"], json!(["logs@custom", custom]));
            assert_eq!(template["template"], json!({"data_stream_options": {"failure_store": {"enabled": false}}}));
        }
        let settings = |stream: &StreamAssets| parsed(stream.component_template)["template"].get("settings").cloned();
        // Index mode logsdb would take a malformed value, and index nothing of it.
        let mapping = json!({"ignore_malformed": false});
        let with_pipeline = json!({"index": {"final_pipeline": GEOIP.name, "mapping": mapping}});
        assert_eq!(settings(&STREAMS[0]), Some(with_pipeline));
        // Shards and replicas can't be set in a serverless project.
        let index = json!({"index": {"mapping": mapping}});
        assert!(STREAMS[1..].iter().all(|stream| settings(stream).as_ref() == Some(&index)));
    }

    /// A change of the assets needs a new version, else `setup` leaves the data streams that exist as they are.
    #[test]
    fn the_assets_are_those_of_their_version() {
        let mut hash = Sha256::new();
        let pairs = STREAMS.iter().flat_map(|stream| [stream.component_template, stream.index_template]);
        for json in pairs.chain([LIFECYCLE.json, GEOIP.json]) {
            let asset = parsed(json);
            assert_eq!(version(&asset), Some(VERSION));
            hash.update(asset.to_string());
        }
        for stream in &STREAMS {
            let mappings = &parsed(stream.component_template)["template"]["mappings"];
            assert_eq!(version(mappings), Some(VERSION), "a backing index shows what made it");
        }
        let hash: String = hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            (VERSION, hash.as_str()),
            (4, "111a9ea2187cb2ad"),
            "raise the version of the assets, then freeze them here again"
        );
    }
}
