//! The document while it grows: constants, fields, tags, errors, and what goes away at the end.
//!
//! Two kinds of failure (ECS_MAPPING.md, §7). A value of the wrong type is [rejected](Draft::reject): its field is
//! missing, the rest goes on. A record that can't be mapped [stops](Draft::stop) the mapping: the document is a
//! `pipeline_error`, and nothing is cleaned up any more. Either says so in `error.message` and keeps `event.original`,
//! whatever the settings, because that is then the only place where the value is left.

use serde_json::{Value, json};

use super::{
    Mapper, Reading,
    path::{self, LAYOUT, Path, Places},
    value::{FieldValue, written},
};
use crate::{
    document::{Organization, Stream},
    lastpass::time::ApiZone,
    text::Text,
};

/// The version of ECS that the integration writes. Source: ECS_MAPPING.md, §1.
const ECS_VERSION: &str = "8.11.0";
const EVENT_KIND: Path = Path::of("event.kind");
/// Room for the fields of a document. Chosen: an event has about 20.
const MOST_FIELDS: usize = 24;
/// Room for a document. Chosen: an event takes about 700 bytes.
const DOCUMENT_BYTES: usize = 1_024;
const PRESERVE_ORIGINAL: &str = "preserve_original_event";
const PRESERVE_DUPLICATES: &str = "preserve_duplicate_custom_fields";

/// What every document of one reading has: written once, copied into each.
pub(super) struct Head<'m> {
    /// How a document begins.
    begin: String,
    /// How its `event` begins.
    event: String,
    kind: &'static str,
    tags: Vec<Text<'m>>,
    dates: &'m ApiZone,
}

impl<'m> Head<'m> {
    /// That of the documents of `stream`.
    pub(super) fn new(mapper: &'m Mapper, reading: &Reading, stream: Stream) -> Self {
        let mut tags: Vec<Text<'_>> = mapper.tags.iter().map(|tag| tag.as_str().into()).collect();
        for (tag, set) in [
            (PRESERVE_ORIGINAL, mapper.preserve_original_event),
            (PRESERVE_DUPLICATES, mapper.preserve_duplicate_custom_fields),
        ] {
            if set {
                add_tag(&mut tags, tag);
            }
        }
        let dataset = stream.dataset();
        let mut begin = json!({
            "ecs": { "version": ECS_VERSION },
            "data_stream": { "type": "logs", "dataset": dataset, "namespace": mapper.namespace.as_str() },
        });
        let Organization { id, name } = &mapper.organization;
        for (field, value) in [("id", id), ("name", name)] {
            if let Some(value) = value {
                begin["organization"][field] = value.as_str().into();
            }
        }
        let mut event = json!({ "module": "lastpass", "dataset": dataset, "created": written(reading.created) });
        if let Some(ingested) = reading.ingested {
            event["ingested"] = written(ingested).into();
        }
        let kind = match stream {
            Stream::EventReport => "event",
            Stream::User | Stream::DetailedSharedFolder => "state",
        };
        Self { begin: open_object(&begin), event: open_object(&event), kind, tags, dates: &mapper.user_zone }
    }
}

/// An object without its last brace.
fn open_object(object: &Value) -> String {
    let mut text = object.to_string();
    text.pop();
    text
}

/// A document that is not finished yet.
pub(super) struct Draft<'r> {
    head: &'r Head<'r>,
    /// The places that have a value.
    places: Places,
    /// For each of them, where its value is in `values`, which several may share.
    positions: [u8; path::COUNT],
    values: Vec<FieldValue<'r>>,
    tags: Vec<Text<'r>>,
    /// What its `event` has behind its kind, as JSON.
    event: &'r str,
    errors: Vec<String>,
    stopped: bool,
}

impl<'r> Draft<'r> {
    /// A document with the fields that every one has.
    pub(super) fn new(head: &'r Head<'_>) -> Self {
        let mut draft = Self {
            head,
            places: Places::default(),
            positions: [0; path::COUNT],
            values: Vec::with_capacity(MOST_FIELDS),
            tags: head.tags.iter().map(|tag| tag.as_str().into()).collect(),
            event: "",
            errors: Vec::new(),
            stopped: false,
        };
        draft.put(EVENT_KIND, head.kind);
        draft
    }

    /// The zone in which dates are written.
    pub(super) const fn dates(&self) -> &'r ApiZone {
        self.head.dates
    }

    /// Sets the field at `path`, in the place of what was there.
    pub(super) fn put(&mut self, path: Path, value: impl Into<FieldValue<'r>>) {
        // The tables of fields and rows put fewer than a byte counts.
        self.positions[path.position()] = self.values.len() as u8;
        self.places.add(path);
        self.values.push(value.into());
    }

    /// The field at `path`.
    pub(super) fn get(&self, path: Path) -> Option<&FieldValue<'r>> {
        self.values.get(usize::from(self.positions[path.position()])).filter(|_| self.places.has(path))
    }

    /// Gives the field at `path` the value of the one at `from` as well, unless that is missing, `null` or empty text.
    pub(super) fn copy(&mut self, from: Path, path: Path) {
        if self.get(from).is_some_and(|value| !value.is_nothing()) {
            self.positions[path.position()] = self.positions[from.position()];
            self.places.add(path);
        }
    }

    /// Adds fields to `event` that are written already: `members` begins with a comma, where it has any.
    pub(super) fn add_to_event(&mut self, members: &'r str) {
        self.event = members;
    }

    /// Adds a tag.
    pub(super) fn tag(&mut self, tag: &'static str) {
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

    /// The document as one line of JSON, for the record `original`; `duplicates` are the custom fields whose values stand
    /// in an ECS field as well.
    pub(super) fn finish(mut self, original: &'r str, duplicates: Places) -> String {
        let has_tag = |tags: &[Text<'_>], tag: &str| tags.iter().any(|set| set.as_str() == tag);
        if self.stopped {
            add_tag(&mut self.tags, PRESERVE_ORIGINAL);
            self.put(EVENT_KIND, "pipeline_error");
        } else {
            if !has_tag(&self.tags, PRESERVE_DUPLICATES) {
                self.places = self.places.without(duplicates);
            }
            for path in self.places.iter() {
                if self.is_empty_at(path) {
                    self.places = self.places.without(Places::of(&[path]));
                }
            }
        }
        if has_tag(&self.tags, PRESERVE_ORIGINAL) || !self.errors.is_empty() {
            self.put(const { Path::of("event.original") }, original);
        }
        if !self.errors.is_empty() {
            let errors: Vec<Text<'_>> = std::mem::take(&mut self.errors).into_iter().map(Text::from).collect();
            self.put(const { Path::of("error.message") }, errors);
        }
        if !self.tags.is_empty() {
            let tags = std::mem::take(&mut self.tags);
            self.put(const { Path::of("tags") }, tags);
        }
        self.write()
    }

    /// Whether nothing is left of a value once what is empty in it is taken out, which this does.
    fn is_empty_at(&mut self, path: Path) -> bool {
        self.values.get_mut(usize::from(self.positions[path.position()])).is_none_or(FieldValue::drop_empties)
    }

    /// The places in their order, each with its value.
    fn write(&self) -> String {
        let layout = &*LAYOUT;
        let mut out = String::with_capacity(DOCUMENT_BYTES);
        out.push_str(&self.head.begin);
        let (mut open, mut is_empty) = (0, false);
        for path in self.places.iter() {
            let Some(value) = self.get(path) else { continue };
            let object = layout.object_of(path);
            if object != open {
                out.push_str(layout.turn(open, object));
                (open, is_empty) = (object, true);
            }
            if path == EVENT_KIND {
                // The first of its object, and always there; what is the same in all documents comes before it.
                out.push_str(self.head.event.get(1..).unwrap_or_default());
                is_empty = false;
            }
            let name = layout.name(path);
            out.push_str(if is_empty { name.get(1..).unwrap_or_default() } else { name });
            is_empty = false;
            value.write(&mut out);
            if path == EVENT_KIND {
                out.push_str(self.event);
            }
        }
        out.push_str(layout.turn(open, 0));
        out.push('}');
        out
    }
}

fn add_tag<'r>(tags: &mut Vec<Text<'r>>, tag: &'static str) {
    if tags.iter().all(|set| set.as_str() != tag) {
        tags.push(tag.into());
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{mapper, plain_mapper, reading};
    use super::*;

    const ACTION: Path = Path::of("lastpass.event_report.action");

    /// What becomes of an event's document after `change`.
    fn finish(mapper: &Mapper, change: impl FnOnce(&mut Draft<'_>)) -> Value {
        let head = Head::new(mapper, &reading(), Stream::EventReport);
        let mut draft = Draft::new(&head);
        draft.put(ACTION, "Log in");
        change(&mut draft);
        serde_json::from_str(&draft.finish("{}", Places::of(&[ACTION, Path::of("lastpass.event_report.ip")])))
            .expect("JSON")
    }

    #[test]
    fn settings_and_tags_say_what_is_kept() {
        let kept = |mapper: &Mapper| {
            let source = finish(mapper, |_| {});
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
        let source = finish(&plain_mapper(), |draft| {
            draft.reject("one".to_owned());
            draft.reject("two".to_owned());
        });
        assert_eq!(source["error"]["message"], json!(["one", "two"]));
        assert_eq!((&source["event"]["original"], &source["event"]["kind"]), (&json!("{}"), &json!("event")));
        assert_eq!((source.get("tags"), source.get("lastpass")), (None, None));
    }

    #[test]
    fn a_stopped_document_is_not_cleaned_up() {
        let source = finish(&plain_mapper(), |draft| {
            draft.put(Path::of("lastpass.event_report.data.original"), json!(["", null]));
            draft.stop("why");
        });
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
        let source = finish(&plain_mapper(), |draft| {
            draft.put(Path::of("user.id"), json!(["", null, "Ops"]));
            draft.put(Path::of("user.email"), json!([""]));
            draft.put(Path::of("user.full_name"), json!({ "g": "" }));
            draft.put(Path::of("related.user"), json!([[], {}, { "e": [null] }, 0, false, " "]));
            draft.put(Path::of("lastpass.event_report.data.user_email"), Value::Null);
            draft.put(Path::of("related.ip"), vec![Text::from(""), Text::from("::1")]);
        });
        assert_eq!(source["user"], json!({ "id": ["Ops"] }));
        assert_eq!(source["related"], json!({ "user": [0, false, " "], "ip": ["::1"] }));
        assert_eq!(source.get("lastpass"), None);
    }

    #[test]
    fn texts_are_escaped_and_objects_nested_whatever_the_order_of_the_puts() {
        let source = finish(&mapper(), |draft| {
            draft.put(Path::of("lastpass.event_report.data.shared_folder_user_permissions.admin"), "\u{1}\\\"ä\n");
            draft.put(Path::of("user.group.name"), "b");
            draft.put(Path::of("lastpass.event_report.data.original"), "a");
            draft.put(Path::of("user.group.name"), "c");
        });
        assert_eq!(source["user"], json!({ "group": { "name": "c" } }));
        assert_eq!(
            source["lastpass"]["event_report"],
            json!({
                "action": "Log in",
                "data": { "original": "a", "shared_folder_user_permissions": { "admin": "\u{1}\\\"ä\n" } },
            })
        );
    }
}
