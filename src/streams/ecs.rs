//! The part of a document that all streams share: its ECS fields, its tags and errors, and the removal of empty fields.
//!
//! There are two kinds of failure (ECS_MAPPING.md, §7). A value of the wrong type is rejected: the document lacks its field
//! and has all others. A record that cannot be mapped [stops](EcsDocument::stop) the mapping: the document is a
//! `pipeline_error`, and nothing is removed from it. Both write the reason to `error.message` and keep `event.original`,
//! whatever the settings, because the value is nowhere else.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::{
    actions::Outcome,
    mapper::{Mapper, Stamps},
    value::{FieldValue, Time, is_empty, remove_empties, to_line, to_raw},
};
use crate::{
    document::{Organization, Stream},
    text::{Text, compact},
};

/// The version of ECS that the integration writes. Source: ECS_MAPPING.md, §1.
const ECS_VERSION: &str = "8.11.0";
const PIPELINE_ERROR: &str = "pipeline_error";
const PRESERVE_ORIGINAL: &str = "preserve_original_event";
const PRESERVE_DUPLICATES: &str = "preserve_duplicate_custom_fields";

/// The `_source` of a document, in the order in which it is written. `L` contains the fields of its stream.
#[derive(Debug, Serialize)]
pub(super) struct EcsDocument<'r, L: CustomFields> {
    /// [`Ecs`].
    ecs: &'r RawValue,
    /// [`DataStream`].
    data_stream: &'r RawValue,
    /// [`OrganizationFields`].
    #[serde(skip_serializing_if = "Option::is_none")]
    organization: Option<&'r RawValue>,
    #[serde(rename = "@timestamp")]
    timestamp: Time,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<&'r str>,
    #[serde(skip_serializing_if = "is_empty")]
    pub(super) error: Errors,
    #[serde(serialize_with = "EventFields::write")]
    pub(super) event: EventFields<'r>,
    #[serde(skip_serializing_if = "is_empty")]
    pub(super) source: Source<'r>,
    #[serde(skip_serializing_if = "is_empty")]
    pub(super) user: User<'r>,
    #[serde(skip_serializing_if = "is_empty")]
    pub(super) related: Related<'r>,
    #[serde(skip_serializing_if = "is_empty")]
    pub(super) lastpass: L,
}

/// The `lastpass` of the documents of one stream.
pub(super) trait CustomFields: Default + PartialEq + Serialize {
    /// Removes the empty values of the fields.
    fn remove_empties(&mut self);

    /// Removes the fields that are copied to an ECS field.
    fn remove_duplicates(&mut self);
}

/// The values that all documents of one reading share, made once for all of them.
pub(super) struct Constants<'m> {
    stream: Stream,
    shared: Shared,
    created: String,
    ingested: Option<String>,
    tags: Vec<&'m str>,
}

/// The values that all documents of one dataset share.
pub(super) struct Shared {
    /// [`Ecs`].
    pub(super) ecs: Box<RawValue>,
    /// [`DataStream`].
    pub(super) data_stream: Box<RawValue>,
    /// [`OrganizationFields`].
    pub(super) organization: Option<Box<RawValue>>,
}

impl Shared {
    /// Builds the values of the documents of a dataset.
    pub(super) fn new(mapper: &Mapper, dataset: &str) -> Self {
        let Organization { id, name } = &mapper.organization;
        let organization = OrganizationFields { id: id.as_deref(), name: name.as_deref() };
        Self {
            ecs: to_raw(&Ecs { version: ECS_VERSION }),
            data_stream: to_raw(&DataStream { r#type: "logs", dataset, namespace: mapper.namespace.as_str() }),
            organization: (!is_empty(&organization)).then(|| to_raw(&organization)),
        }
    }
}

impl<'m> Constants<'m> {
    /// Builds the constants of the documents of `stream`.
    pub(super) fn new(mapper: &'m Mapper, stamps: &Stamps, stream: Stream) -> Self {
        let mut tags: Vec<&str> = mapper.tags.iter().map(String::as_str).collect();
        if mapper.preserve_original_event {
            add_tag(&mut tags, PRESERVE_ORIGINAL);
        }
        if mapper.preserve_duplicate_custom_fields {
            add_tag(&mut tags, PRESERVE_DUPLICATES);
        }
        Self {
            stream,
            shared: Shared::new(mapper, stream.dataset()),
            created: Time(stamps.created).written(),
            ingested: stamps.ingested.map(|ingested| Time(ingested).written()),
            tags,
        }
    }
}

#[derive(Debug, Serialize)]
struct Ecs {
    version: &'static str,
}

#[derive(Debug, Serialize)]
struct DataStream<'r> {
    r#type: &'static str,
    dataset: &'r str,
    namespace: &'r str,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct OrganizationFields<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'r str>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Errors {
    pub(super) message: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct EventFields<'r> {
    module: &'static str,
    dataset: &'static str,
    created: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ingested: Option<&'r str>,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) action: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) category: &'static [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) r#type: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timezone: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original: Option<Cow<'r, str>>,
    /// The JSON of these fields without `original`, if it was written before: copying it is faster.
    #[serde(skip)]
    pub(super) json: Option<&'r RawValue>,
}

impl<'r> EventFields<'r> {
    /// Builds an `event` with the fields that every document has.
    pub(super) fn new(constants: &'r Constants<'_>) -> Self {
        let Constants { stream, created, ingested, .. } = constants;
        Self {
            module: "lastpass",
            dataset: stream.dataset(),
            created,
            ingested: ingested.as_deref(),
            kind: match stream {
                Stream::EventReport => "event",
                Stream::User | Stream::DetailedSharedFolder => "state",
            },
            action: None,
            category: &[],
            r#type: &[],
            outcome: None,
            timezone: None,
            original: None,
            json: None,
        }
    }

    /// Writes the JSON that was written before, or else the fields.
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.json {
            Some(json) => json.serialize(serializer),
            None => self.serialize(serializer),
        }
    }
}

#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Source<'r> {
    pub(super) ip: Option<FieldValue<'r>>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct User<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<FieldValue<'r>>,
    /// The actor of an event. Ours, as are `roles` and `target`: Elastic's integration does not have them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<Text<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) email: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) full_name: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) roles: &'static [&'static str],
    #[serde(skip_serializing_if = "is_empty")]
    pub(super) group: Group<'r>,
    /// The users that an event was done to.
    #[serde(skip_serializing_if = "is_empty")]
    pub(super) target: Target<'r>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Target<'r> {
    pub(super) email: Option<FieldValue<'r>>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Group<'r> {
    pub(super) name: Option<FieldValue<'r>>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Related<'r> {
    /// A list of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ip: Option<[Text<'r>; 1]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) user: Vec<Text<'r>>,
}

impl<'r, L: CustomFields> EcsDocument<'r, L> {
    /// Builds a document with the fields that every document has.
    pub(super) fn new(constants: &'r Constants<'_>, timestamp: Timestamp) -> Self {
        let Constants { shared: Shared { ecs, data_stream, organization }, tags, .. } = constants;
        Self {
            ecs,
            data_stream,
            organization: organization.as_deref(),
            timestamp: Time(timestamp),
            tags: tags.clone(),
            error: Errors::default(),
            event: EventFields::new(constants),
            source: Source::default(),
            user: User::default(),
            related: Related::default(),
            lastpass: L::default(),
        }
    }

    /// Adds a tag.
    pub(super) fn add_tag(&mut self, tag: &'static str) {
        add_tag(&mut self.tags, tag);
    }

    /// Marks the document as a `pipeline_error`, for the given reason.
    pub(super) fn stop(&mut self, reason: &str) {
        self.event.kind = PIPELINE_ERROR;
        self.event.json = None;
        self.error.message.push(reason.to_owned());
    }

    /// Removes empty and unwanted fields, and writes the document as one line of JSON. `event.original` is `record` on one
    /// line.
    pub(super) fn finish(&mut self, record: &'r str) -> String {
        if self.event.kind == PIPELINE_ERROR {
            self.add_tag(PRESERVE_ORIGINAL);
        } else {
            if !self.tags.contains(&PRESERVE_DUPLICATES) {
                self.lastpass.remove_duplicates();
            }
            self.remove_empties();
        }
        if self.tags.contains(&PRESERVE_ORIGINAL) || !self.error.message.is_empty() {
            self.event.original = Some(compact(record));
            self.event.json = None;
        }
        to_line(self)
    }

    fn remove_empties(&mut self) {
        let User { id, name: _, email, full_name, roles: _, group: Group { name }, target } = &mut self.user;
        remove_empties([id, email, full_name, name, &mut target.email]);
        self.lastpass.remove_empties();
    }
}

fn add_tag<'r>(tags: &mut Vec<&'r str>, tag: &'r str) {
    if !tags.contains(&tag) {
        tags.push(tag);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{mapper, plain_mapper, stamps};
    use super::*;

    /// The fields of a stream. An ECS field has the value of `action` as well.
    #[derive(Debug, Default, PartialEq, Serialize)]
    struct Custom {
        #[serde(skip_serializing_if = "Option::is_none")]
        action: Option<FieldValue<'static>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        original: Option<FieldValue<'static>>,
    }

    impl CustomFields for Custom {
        fn remove_empties(&mut self) {
            remove_empties([&mut self.action, &mut self.original]);
        }

        fn remove_duplicates(&mut self) {
            self.action = None;
        }
    }

    type TestDocument<'r> = EcsDocument<'r, Custom>;

    fn json_value(value: Value) -> Option<FieldValue<'static>> {
        Some(value.into())
    }

    /// Finishes a document after `change`.
    fn line(mapper: &Mapper, change: impl FnOnce(&mut TestDocument<'_>)) -> String {
        let constants = Constants::new(mapper, &stamps(), Stream::EventReport);
        let mut document = EcsDocument::new(&constants, stamps().created);
        document.lastpass = Custom { action: json_value(json!("Log in")), original: None };
        change(&mut document);
        document.finish("{}")
    }

    fn finish(mapper: &Mapper, change: impl FnOnce(&mut TestDocument<'_>)) -> Value {
        serde_json::from_str(&line(mapper, change)).expect("JSON")
    }

    #[test]
    fn settings_and_tags_determine_the_fields_that_are_kept() {
        let kept = |mapper: &Mapper| {
            let source = finish(mapper, |_| {});
            (source["event"].get("original").is_some(), source.get("lastpass").is_some(), source.get("tags").cloned())
        };
        assert_eq!(kept(&plain_mapper()), (false, false, None));
        assert_eq!(
            kept(&Mapper { tags: vec!["a".into(), "b".into()], ..mapper() }),
            (true, true, Some(json!(["a", "b", "preserve_original_event", "preserve_duplicate_custom_fields"])))
        );
        // The integration reads these settings from the tags, so the tag without the setting has the same effect.
        let tagged = |tag: &str| Mapper { tags: vec![tag.into()], ..plain_mapper() };
        assert!(kept(&tagged("preserve_original_event")).0);
        assert!(kept(&tagged("preserve_duplicate_custom_fields")).1);
        let twice = Mapper { preserve_original_event: true, ..tagged("preserve_original_event") };
        assert_eq!(kept(&twice).2, Some(json!(["preserve_original_event"])));
    }

    #[test]
    fn a_rejected_field_keeps_the_original_and_the_kind() {
        let source = finish(&plain_mapper(), |document| {
            document.error.message = vec!["one".to_owned(), "two".to_owned()];
        });
        assert_eq!(source["error"]["message"], json!(["one", "two"]));
        assert_eq!((&source["event"]["original"], &source["event"]["kind"]), (&json!("{}"), &json!("event")));
        assert_eq!((source.get("tags"), source.get("lastpass")), (None, None));
    }

    #[test]
    fn nothing_is_removed_from_a_stopped_document() {
        let source = finish(&plain_mapper(), |document| {
            document.lastpass.original = json_value(json!(["", null]));
            document.stop("why");
        });
        assert_eq!(source["event"]["kind"], json!("pipeline_error"));
        assert_eq!(source["event"]["original"], json!("{}"));
        assert_eq!(source["tags"], json!(["preserve_original_event"]));
        assert_eq!(source["error"]["message"], json!(["why"]));
        assert_eq!(source["lastpass"], json!({ "action": "Log in", "original": ["", null] }));
    }

    #[test]
    fn empty_values_are_removed_depth_first() {
        let source = finish(&plain_mapper(), |document| {
            document.user.id = json_value(json!(["", null, "Ops"]));
            document.user.email = json_value(json!([""]));
            document.user.full_name = json_value(json!({ "g": "" }));
            document.user.group.name = json_value(json!([[], {}, { "e": [null] }, 0, false, " "]));
            document.lastpass.original = json_value(Value::Null);
        });
        assert_eq!(source["user"], json!({ "id": ["Ops"], "group": { "name": [0, false, " "] } }));
        assert_eq!(source.get("lastpass"), None);
        let source = finish(&plain_mapper(), |document| {
            document.user.email = Some(FieldValue::Texts(vec!["".into(), "::1".into()]));
        });
        assert_eq!(source["user"], json!({ "email": ["::1"] }));
    }

    #[test]
    fn fields_are_written_in_the_order_of_the_struct() {
        let mapper = Mapper {
            tags: vec!["eu".into()],
            organization: Organization { id: Some("1".into()), name: Some("A \"B\"".into()) },
            ..plain_mapper()
        };
        let line = line(&mapper, |document| {
            document.related = Related { ip: Some(["::1".into()]), user: vec!["\u{1}\\\"ä\n".into()] };
            document.user.group.name = json_value(json!("c"));
            document.source.ip = json_value(json!("::1"));
            document.event.timezone = Some("UTC");
            document.lastpass.original = json_value(json!("a"));
            document.error.message.push("why".to_owned());
        });
        assert_eq!(
            line,
            concat!(
                r#"{"ecs":{"version":"8.11.0"},"#,
                r#""data_stream":{"type":"logs","dataset":"lastpass.event_report","namespace":"default"},"#,
                r#""organization":{"id":"1","name":"A \"B\""},"@timestamp":"2031-05-06T07:08:09.123Z","tags":["eu"],"#,
                r#""error":{"message":["why"]},"event":{"module":"lastpass","dataset":"lastpass.event_report","#,
                r#""created":"2031-05-06T07:08:09.123Z","kind":"event","timezone":"UTC","original":"{}"},"#,
                r#""source":{"ip":"::1"},"user":{"group":{"name":"c"}},"#,
                r#""related":{"ip":["::1"],"user":["\u0001\\\"ä\n"]},"lastpass":{"original":"a"}}"#
            )
        );
    }
}
