//! The document while it grows: constants, fields, tags, errors, and what goes away at the end.
//!
//! Two kinds of failure (ECS_MAPPING.md, §7). A value of the wrong type is [rejected](Draft::reject): its field is
//! missing, the rest goes on. A record that can't be mapped [stops](Draft::stop) the mapping: the document is a
//! `pipeline_error`, and nothing is cleaned up any more. Either says so in `error.message` and keeps `event.original`,
//! whatever the settings, because that is then the only place where the value is left.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Mapper, Reading};
use crate::document::Stream;

/// The version of ECS that the integration writes. Source: ECS_MAPPING.md, §1.
const ECS_VERSION: &str = "8.11.0";
const PRESERVE_ORIGINAL: &str = "preserve_original_event";
const PRESERVE_DUPLICATES: &str = "preserve_duplicate_custom_fields";

/// A document that is not finished yet.
pub(super) struct Draft {
    fields: Map<String, Value>,
    tags: Vec<String>,
    errors: Vec<String>,
    stopped: bool,
}

impl Draft {
    /// A document of `stream` with the fields that every one has.
    pub(super) fn new(mapper: &Mapper, reading: &Reading, stream: Stream) -> Self {
        let mut tags = mapper.tags.clone();
        for (tag, set) in [
            (PRESERVE_ORIGINAL, mapper.preserve_original_event),
            (PRESERVE_DUPLICATES, mapper.preserve_duplicate_custom_fields),
        ] {
            if set {
                add_tag(&mut tags, tag);
            }
        }
        let mut draft = Self { fields: Map::new(), tags, errors: Vec::new(), stopped: false };
        draft.put("ecs.version", ECS_VERSION);
        draft.put("data_stream.type", "logs");
        draft.put("data_stream.dataset", stream.dataset());
        draft.put("data_stream.namespace", mapper.namespace.as_str());
        for (field, value) in
            [("organization.id", &mapper.organization.id), ("organization.name", &mapper.organization.name)]
        {
            if let Some(value) = value {
                draft.put(field, value.as_str());
            }
        }
        draft.put("event.module", "lastpass");
        draft.put("event.dataset", stream.dataset());
        draft.put(
            "event.kind",
            match stream {
                Stream::EventReport => "event",
                Stream::User | Stream::DetailedSharedFolder => "state",
            },
        );
        draft.put("event.created", written(reading.created));
        if let Some(ingested) = reading.ingested {
            draft.put("event.ingested", written(ingested));
        }
        draft
    }

    /// Sets the field at a dotted `path`, in the place of what was there.
    pub(super) fn put(&mut self, path: &str, value: impl Into<Value>) {
        let (parents, name) = path.rsplit_once('.').unwrap_or(("", path));
        let mut object = &mut self.fields;
        for parent in parents.split('.').filter(|parent| !parent.is_empty()) {
            let child = object.entry(parent).or_insert_with(|| Value::Object(Map::new()));
            if !child.is_object() {
                *child = Value::Object(Map::new());
            }
            let Value::Object(map) = child else { return };
            object = map;
        }
        object.insert(name.to_owned(), value.into());
    }

    /// The field at a dotted `path`.
    pub(super) fn get(&self, path: &str) -> Option<&Value> {
        let mut names = path.split('.');
        let first = self.fields.get(names.next()?)?;
        names.try_fold(first, |value, name| value.get(name))
    }

    /// Sets the field at `path` to a copy of the one at `from`, unless that is missing, `null` or empty text.
    pub(super) fn copy(&mut self, from: &str, path: &str) {
        if let Some(value) = self.get(from).filter(|value| !value.is_null() && value.as_str() != Some("")).cloned() {
            self.put(path, value);
        }
    }

    /// Adds a tag.
    pub(super) fn tag(&mut self, tag: &str) {
        add_tag(&mut self.tags, tag);
    }

    /// Says why a field is missing.
    pub(super) fn reject(&mut self, message: String) {
        self.errors.push(message);
    }

    /// Says why the record can't be mapped any further.
    pub(super) fn stop(&mut self, message: &str) {
        self.stopped = true;
        self.errors.push(message.to_owned());
    }

    /// The document as one line of JSON, for the record `original`; `duplicates` are the paths of the custom fields
    /// whose values stand in an ECS field as well.
    pub(super) fn finish(mut self, original: &str, duplicates: &[&str]) -> String {
        let has_tag = |tags: &[String], tag: &str| tags.iter().any(|set| set == tag);
        if self.stopped {
            add_tag(&mut self.tags, PRESERVE_ORIGINAL);
            self.put("event.kind", "pipeline_error");
        } else {
            if !has_tag(&self.tags, PRESERVE_DUPLICATES) {
                for path in duplicates {
                    self.remove(path);
                }
            }
            self.fields.retain(|_, value| !drop_empties(value));
        }
        if has_tag(&self.tags, PRESERVE_ORIGINAL) || !self.errors.is_empty() {
            self.put("event.original", original);
        }
        if !self.errors.is_empty() {
            let errors = std::mem::take(&mut self.errors);
            self.put("error.message", errors);
        }
        if !self.tags.is_empty() {
            let tags = std::mem::take(&mut self.tags);
            self.put("tags", tags);
        }
        Value::Object(self.fields).to_string()
    }

    fn remove(&mut self, path: &str) {
        let Some((parents, name)) = path.rsplit_once('.') else {
            return;
        };
        let mut names = parents.split('.');
        let first = names.next().and_then(|name| self.fields.get_mut(name));
        let parent = first.and_then(|first| names.try_fold(first, |value, name| value.get_mut(name)));
        if let Some(Value::Object(parent)) = parent {
            parent.shift_remove(name);
        }
    }
}

/// A time as documents write it: UTC, to the millisecond.
pub(super) fn written(time: Timestamp) -> String {
    format!("{time:.3}")
}

fn add_tag(tags: &mut Vec<String>, tag: &str) {
    if tags.iter().all(|set| set != tag) {
        tags.push(tag.to_owned());
    }
}

/// Takes out of `value` what is `null`, empty text, or a list or object that is or has become empty; whether nothing is
/// left of it.
fn drop_empties(value: &mut Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(entries) => {
            entries.retain_mut(|entry| !drop_empties(entry));
            entries.is_empty()
        }
        Value::Object(fields) => {
            fields.retain(|_, value| !drop_empties(value));
            fields.is_empty()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{mapper, plain_mapper, reading};
    use super::*;

    fn draft(mapper: &Mapper) -> Draft {
        let mut draft = Draft::new(mapper, &reading(), Stream::EventReport);
        draft.put("lastpass.event_report.action", "Log in");
        draft
    }

    fn finish(draft: Draft) -> Value {
        serde_json::from_str(&draft.finish("{}", &["lastpass.event_report.action", "no.such.field"])).expect("JSON")
    }

    #[test]
    fn settings_and_tags_say_what_is_kept() {
        let kept = |mapper: &Mapper| {
            let source = finish(draft(mapper));
            (source["event"].get("original").is_some(), source.get("lastpass").is_some(), source.get("tags").cloned())
        };
        assert_eq!(kept(&plain_mapper()), (false, false, None));
        assert_eq!(
            kept(&Mapper { tags: vec!["a".into(), "b".into()], ..mapper() }),
            (true, true, Some(json!(["a", "b", "preserve_original_event", "preserve_duplicate_custom_fields"])))
        );
        // The integration knows these settings by their tags, so that a tag alone does as well.
        let tagged = |tag: &str| Mapper { tags: vec![tag.into()], ..plain_mapper() };
        assert!(kept(&tagged("preserve_original_event")).0);
        assert!(kept(&tagged("preserve_duplicate_custom_fields")).1);
        let twice = Mapper { preserve_original_event: true, ..tagged("preserve_original_event") };
        assert_eq!(kept(&twice).2, Some(json!(["preserve_original_event"])));
    }

    #[test]
    fn a_rejected_field_keeps_the_original_and_the_kind() {
        let mut draft = draft(&plain_mapper());
        draft.reject("one".to_owned());
        draft.reject("two".to_owned());
        let source = finish(draft);
        assert_eq!(source["error"]["message"], json!(["one", "two"]));
        assert_eq!((&source["event"]["original"], &source["event"]["kind"]), (&json!("{}"), &json!("event")));
        assert_eq!((source.get("tags"), source.get("lastpass")), (None, None));
    }

    #[test]
    fn a_stopped_document_is_not_cleaned_up() {
        let mut draft = draft(&plain_mapper());
        draft.put("lastpass.event_report.data.original", json!(["", null]));
        draft.stop("why");
        let source = finish(draft);
        assert_eq!(source["event"]["kind"], json!("pipeline_error"));
        assert_eq!(source["event"]["original"], json!("{}"));
        assert_eq!(source["tags"], json!(["preserve_original_event"]));
        assert_eq!(source["error"]["message"], json!(["why"]));
        assert_eq!(
            source["lastpass"]["event_report"],
            json!({ "action": "Log in", "data": { "original": ["", null] } })
        );
    }

    #[test]
    fn empties_go_depth_first() {
        let mut draft = Draft::new(&plain_mapper(), &reading(), Stream::User);
        draft.put("a", json!(["", null, "Ops"]));
        draft.put("b", json!([""]));
        draft.put("c", json!({ "g": "" }));
        draft.put("d", json!([[], {}, { "e": [null] }, 0, false, " "]));
        draft.put("e.f.g", Value::Null);
        let source = finish(draft);
        assert_eq!(
            (&source["a"], source.get("b"), source.get("c"), &source["d"], source.get("e")),
            (&json!(["Ops"]), None, None, &json!([0, false, " "]), None)
        );
    }
}
