//! Settings and helpers for the tests of the streams.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Identity, Mapper, Snapshot, SnapshotMapping, Stamps, detailed_shared_folder, event_report, user};
use crate::{
    document::{Document, Stream},
    lastpass::time::EventTime,
};

#[path = "../../integration/mapper.rs"]
mod settings;

pub(crate) use settings::plain_mapper;

/// When the records were read.
pub(super) const READ: &str = "2031-05-06T07:08:09.123Z";

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().expect("a time of the test")
}

/// Returns settings that keep every field.
pub(super) fn mapper() -> Mapper {
    Mapper { preserve_original_event: true, preserve_duplicate_custom_fields: true, ..plain_mapper() }
}

pub(crate) fn stamps() -> Stamps {
    Stamps { created: at(READ), ingested: None }
}

pub(super) fn snapshot() -> Snapshot {
    Snapshot { scheduled_time: at("2025-07-17T12:00:00Z"), timestamp: at("2025-07-17T12:00:03.25Z") }
}

/// Builds an event whose instant is that of its `Time`.
pub(super) fn event(record: &str) -> (String, Option<EventTime>) {
    (record.to_owned(), None)
}

pub(super) fn map_event(record: &Value) -> Document {
    map_one_event(&mapper(), &stamps(), &event(&record.to_string()))
}

pub(super) fn map_one_event(mapper: &Mapper, stamps: &Stamps, event: &(String, Option<EventTime>)) -> Document {
    event_report::documents(mapper, stamps, [event.clone()]).next().expect("a document")
}

/// Returns the parts of a document that stay when its record is mapped again.
pub(super) fn identity_of(stream: Stream, document: &Document) -> Identity {
    let tags = field(&source(document), "/tags");
    let ambiguous = tags.as_array().is_some_and(|tags| tags.iter().any(|tag| tag == event_report::AMBIGUOUS_TIME));
    Identity { stream, id: document.id.clone(), timestamp: Some(document.timestamp), ambiguous }
}

pub(super) fn source(document: &Document) -> Value {
    serde_json::from_str(&document.source).expect("a source is JSON")
}

/// Maps an event with this action and data to its source.
pub(super) fn acted(action: &str, data: impl Into<Value>) -> Value {
    let record = json!({ "Username": "actor@example.com", "Action": action, "Data": data.into() });
    source(&map_event(&record))
}

/// Maps the user with the key 101.
pub(super) fn user_document(mapper: &Mapper, record: &str) -> Document {
    user::document(&SnapshotMapping::new(mapper, &stamps(), Stream::User, &snapshot()), "101", record)
}

/// Maps the shared folder with the key 101.
pub(super) fn folder_documents(mapper: &Mapper, record: &str) -> Vec<Document> {
    let mapping = SnapshotMapping::new(mapper, &stamps(), Stream::DetailedSharedFolder, &snapshot());
    detailed_shared_folder::documents(&mapping, "101", record)
}

pub(super) fn map_user(record: &Value) -> Value {
    source(&user_document(&mapper(), &record.to_string()))
}

pub(super) fn map_folder(record: &Value) -> Vec<Value> {
    folder_documents(&mapper(), &record.to_string()).iter().map(source).collect()
}

/// Returns the field at a JSON pointer; `null` if it is missing.
pub(super) fn field(source: &Value, pointer: &str) -> Value {
    source.pointer(pointer).cloned().unwrap_or_default()
}

/// Counts the errors of a document.
pub(super) fn errors(source: &Value) -> usize {
    source.pointer("/error/message").and_then(Value::as_array).map_or(0, Vec::len)
}
