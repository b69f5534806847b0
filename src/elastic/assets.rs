//! The index assets in `assets/elasticsearch`, which are part of the program: component templates, index templates and the
//! GeoIP pipeline.
//!
//! Component templates named `logs@custom` and `logs-lastpass.<stream>@custom` belong to the user. Our index templates list
//! them last, so that they take precedence. This program never writes them.

use serde_json::Value;

/// The version of the assets, in `_meta.lastpass_elastic.version` of each. Raise it with every change of an asset.
pub(super) const VERSION: u64 = 6;

/// The priority of our index templates. Source: `assets/elasticsearch/index_templates`, which a test reads.
pub(super) const PRIORITY: u64 = 350;

/// The beginning of the names of our index templates. The name of the stream follows.
pub(super) const PREFIX: &str = "lastpass-elastic.";

/// The component template with the lifecycle of all data streams.
pub(super) const LIFECYCLE: Asset = Asset {
    name: "lastpass-elastic@lifecycle",
    json: include_str!("../../assets/elasticsearch/component_templates/lastpass-elastic@lifecycle.json"),
};

/// The ingest pipeline that the event report's template names as `index.final_pipeline`.
pub(super) const GEOIP: Asset = Asset {
    name: "lastpass-elastic-geoip",
    json: include_str!("../../assets/elasticsearch/pipelines/lastpass-elastic-geoip.json"),
};

/// One asset: its name in Elasticsearch and its JSON.
pub(super) struct Asset {
    pub(super) name: &'static str,
    pub(super) json: &'static str,
}

/// The assets of one stream. Index template and component template have the same name.
pub(super) struct StreamAssets {
    pub(super) name: &'static str,
    /// The pattern of its data streams.
    pub(super) data_streams: &'static str,
    pub(super) component_template: &'static str,
    pub(super) index_template: &'static str,
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

pub(super) static STREAMS: [StreamAssets; 5] = [
    stream_assets!("event_report"),
    stream_assets!("user"),
    stream_assets!("detailed_shared_folder"),
    stream_assets!("dead_letter"),
    stream_assets!("change"),
];

/// Returns the version of our assets in the `_meta` of a template or a mapping. None if it is not ours.
pub(super) fn version(with_meta: &Value) -> Option<u64> {
    with_meta.pointer("/_meta/lastpass_elastic/version")?.as_u64()
}

/// Parses an asset.
#[expect(clippy::expect_used, reason = "the text is part of the program")]
pub(super) fn parsed(json: &str) -> Value {
    serde_json::from_str(json).expect("a test parses every asset")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn every_index_template_has_the_priority_of_the_constant() {
        for stream in &STREAMS {
            assert_eq!(parsed(stream.index_template)["priority"], PRIORITY, "{}", stream.name);
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
        lastpass.event_report.data.login_site keyword, lastpass.event_report.data.login_type keyword
        user.name keyword, user.target.email keyword
        lastpass.event_report.data.renamed_shared_folder_name keyword
        lastpass.event_report.data.saml_login keyword, lastpass.event_report.data.secure_note keyword
        lastpass.event_report.data.shared_folder_name keyword, lastpass.event_report.data.site keyword
        lastpass.event_report.data.user_email keyword
        lastpass.event_report.data.shared_folder_user_permissions.admin keyword
        lastpass.event_report.data.shared_folder_user_permissions.hide_password keyword
        lastpass.event_report.data.shared_folder_user_permissions.read_only keyword
        lastpass.shared_folder_name alias";

    const USER: &str = "event.category keyword, user.id keyword, user.full_name keyword, user.group.name keyword
        lastpass.user.application long, lastpass.user.attachment long, lastpass.user.form_fill long
        lastpass.user.master_password_strength long, lastpass.user.note long, lastpass.user.sites long
        lastpass.user.total_score double, lastpass.user.disabled boolean, lastpass.user.never_logged_in boolean
        lastpass.user.password_reset_required boolean, lastpass.user.created date, lastpass.user.last_login date
        lastpass.user.last_password_change date, lastpass.user.duo.user_name keyword
        lastpass.user.full_name keyword, lastpass.user.group keyword, lastpass.user.id keyword
        lastpass.user.linked keyword, lastpass.user.user_name keyword, lastpass.user.multifactor keyword
        user.roles keyword";

    const DETAILED_SHARED_FOLDER: &str = "lastpass.detailed_shared_folder.score double
        lastpass.detailed_shared_folder.deleted boolean
        lastpass.detailed_shared_folder.user.can_administer boolean
        lastpass.detailed_shared_folder.user.give boolean, lastpass.detailed_shared_folder.user.read_only boolean
        lastpass.detailed_shared_folder.user.super_admin boolean
        lastpass.detailed_shared_folder.name keyword, lastpass.detailed_shared_folder.shared_folder.id keyword
        lastpass.detailed_shared_folder.user.name keyword, lastpass.detailed_shared_folder.user.site keyword
        lastpass.shared_folder_name alias";

    const DEAD_LETTER: &str = "@timestamp date
        data_stream.type constant_keyword, data_stream.dataset constant_keyword, data_stream.namespace constant_keyword
        event.original keyword, error.type keyword, error.message match_only_text
        event.created date, event.ingested date, tags keyword
        lastpass.dead_letter.data_stream keyword, lastpass.dead_letter.document_id keyword
        lastpass.dead_letter.timestamp date, lastpass.dead_letter.account keyword
        lastpass.dead_letter.request_id keyword, lastpass.dead_letter.request object";

    const CHANGE: &str = "@timestamp date
        data_stream.type constant_keyword, data_stream.dataset constant_keyword, data_stream.namespace constant_keyword
        event.module constant_keyword, event.dataset constant_keyword, ecs.version keyword, tags keyword
        event.kind keyword, event.category keyword, event.type keyword, event.action keyword, event.outcome keyword
        event.created date, event.ingested date, event.start date, event.end date
        organization.id keyword, organization.name keyword, related.user keyword
        user.target.id keyword, user.target.email keyword, user.target.full_name keyword, user.target.roles keyword
        user.target.group.name keyword
        lastpass.change.source keyword, lastpass.change.field keyword, lastpass.change.previous keyword
        lastpass.change.current keyword, lastpass.change.snapshot.previous date, lastpass.change.snapshot.current date
        lastpass.change.shared_folder.id keyword, lastpass.change.shared_folder.name keyword
        lastpass.change.shared_folder.users long, lastpass.change.shared_folder.previous_users long
        lastpass.change.rights.read_only boolean, lastpass.change.rights.give boolean
        lastpass.change.rights.can_administer boolean, lastpass.change.rights.super_admin boolean
        lastpass.change.previous_rights.read_only boolean, lastpass.change.previous_rights.give boolean
        lastpass.change.previous_rights.can_administer boolean, lastpass.change.previous_rights.super_admin boolean
        lastpass.shared_folder_name alias";

    fn listed(lists: &[&str]) -> BTreeMap<String, String> {
        lists
            .iter()
            .flat_map(|list| list.split(['\n', ',']))
            .map(|field| field.trim().split_once(' ').unwrap())
            .map(|(name, field_type)| (name.to_owned(), field_type.to_owned()))
            .collect()
    }

    /// Collects every field of a mapping with its definition.
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
    fn every_field_has_the_type_of_the_integration_or_is_ours() {
        let expected = [
            listed(&[COMMON, EVENT_REPORT]),
            listed(&[COMMON, USER]),
            listed(&[COMMON, DETAILED_SHARED_FOLDER]),
            listed(&[DEAD_LETTER]),
            listed(&[CHANGE]),
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
    fn keywords_are_limited_except_the_original() {
        for stream in &STREAMS {
            for (name, field) in mapping(stream) {
                if name == "event.original" {
                    // By default, index mode logsdb ignores keywords of more than 8,191 characters.
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
    fn constant_fields_have_the_values_of_their_stream() {
        for (stream, dataset) in
            STREAMS.iter().zip(["event_report", "user", "detailed_shared_folder", "dead_letter", "change"])
        {
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
    fn index_templates_list_the_component_templates_of_the_user_last() {
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
        // By default, index mode logsdb accepts a malformed value without indexing it.
        let mapping = json!({"ignore_malformed": false});
        let with_pipeline = json!({"index": {"final_pipeline": GEOIP.name, "mapping": mapping}});
        assert_eq!(settings(&STREAMS[0]), Some(with_pipeline));
        // Shards and replicas can't be set in a serverless project.
        let index = json!({"index": {"mapping": mapping}});
        assert!(STREAMS[1..].iter().all(|stream| settings(stream).as_ref() == Some(&index)));
    }

    /// Without a new version, `setup` would not update existing data streams.
    #[test]
    fn assets_change_only_with_a_new_version() {
        let mut hash = Sha256::new();
        let pairs = STREAMS.iter().flat_map(|stream| [stream.component_template, stream.index_template]);
        for json in pairs.chain([LIFECYCLE.json, GEOIP.json]) {
            let asset = parsed(json);
            assert_eq!(version(&asset), Some(VERSION));
            hash.update(asset.to_string());
        }
        for stream in &STREAMS {
            let mappings = &parsed(stream.component_template)["template"]["mappings"];
            assert_eq!(version(mappings), Some(VERSION), "the mapping of a backing index names the version");
        }
        let hash: String = hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            (VERSION, hash.as_str()),
            (6, "e30a8662549224aa"),
            "raise the version of the assets, then update the hash here"
        );
    }
}
