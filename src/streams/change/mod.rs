//! Changes: what differs between two snapshots of users or of shared folders. Each has one document.
//!
//! Reads the documents of the snapshots, not LastPass's records, because a reader of the changes can look up the documents.
//! A value that one of the two documents lacks, because the record had none or an unreadable one, is no change, except the
//! role and the second factor: a user without a role is no administrator.

pub mod folders;
#[cfg(test)]
#[path = "../../../tests/unit/streams/change/properties.rs"]
mod properties;
pub mod users;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use super::{
    Mapper, Snapshot,
    canonical::canonical,
    doc_id::IdParts,
    ecs::{Group, Shared},
    value::{FieldValue, Time, is_empty, to_line},
};
use crate::document::{Document, Stream};
use crate::surrogates;

/// The dataset of changes.
const DATASET: &str = "lastpass.change";

/// Returns the key of an entry from its record, for a document that lacks the key because its mapping stopped or because it
/// became a dead letter. `None` if the record cannot be read.
#[must_use]
pub fn entry_key(original: &str) -> Option<String> {
    surrogates::parse(original)?.get("id")?.as_str().map(str::to_owned)
}

/// The action of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    UserCreated,
    UserDeleted,
    UserDisabled,
    UserEnabled,
    AdministratorGranted,
    AdministratorRevoked,
    MultifactorChanged,
    PasswordStrengthDecreased,
    ShareGranted,
    ShareRevoked,
    ShareChanged,
    FolderCreated,
    FolderDeleted,
    FolderRestored,
    FolderScoreDecreased,
}

impl Action {
    /// Returns `event.action` and `event.type`.
    const fn words(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::UserCreated => ("user-created", &["user", "creation"]),
            Self::UserDeleted => ("user-deleted", &["user", "deletion"]),
            Self::UserDisabled => ("user-disabled", &["user", "change"]),
            Self::UserEnabled => ("user-enabled", &["user", "change"]),
            Self::AdministratorGranted => ("administrator-granted", &["admin", "user", "change"]),
            Self::AdministratorRevoked => ("administrator-revoked", &["admin", "user", "change"]),
            Self::MultifactorChanged => ("multifactor-changed", &["user", "change"]),
            Self::PasswordStrengthDecreased => ("password-strength-decreased", &["user", "change"]),
            Self::ShareGranted => ("share-granted", &["group", "creation"]),
            Self::ShareRevoked => ("share-revoked", &["group", "deletion"]),
            Self::ShareChanged => ("share-changed", &["group", "change"]),
            Self::FolderCreated => ("shared-folder-created", &["group", "creation"]),
            Self::FolderDeleted => ("shared-folder-deleted", &["group", "deletion"]),
            Self::FolderRestored => ("shared-folder-restored", &["group", "change"]),
            Self::FolderScoreDecreased => ("shared-folder-score-decreased", &["group", "change"]),
        }
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub(super) action: Action,
    /// The key of the entry.
    pub(super) key: Vec<String>,
    pub(super) target: Target,
    pub(super) details: Details,
}

/// `user.target`: the user whose account or access changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Target {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    full_name: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<Value>,
    #[serde(skip_serializing_if = "is_empty")]
    group: Group<'static>,
}

/// The part of `lastpass.change` that depends on the change.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Details {
    /// The names of the fields that changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    field: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    #[serde(skip_serializing_if = "is_empty")]
    shared_folder: FolderFields,
    #[serde(skip_serializing_if = "is_empty")]
    rights: folders::Rights,
    #[serde(skip_serializing_if = "is_empty")]
    previous_rights: folders::Rights,
}

/// `lastpass.change.shared_folder`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
struct FolderFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Value>,
    /// How many users can read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_users: Option<u64>,
}

/// The `_source` of a change, in the order in which it is written.
#[derive(Serialize)]
struct ChangeDocument<'a> {
    ecs: &'a RawValue,
    data_stream: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization: Option<&'a RawValue>,
    #[serde(rename = "@timestamp")]
    timestamp: Time,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tags: &'a [String],
    event: Event,
    #[serde(skip_serializing_if = "is_empty")]
    user: User<'a>,
    #[serde(skip_serializing_if = "is_empty")]
    related: Related,
    lastpass: LastPass<'a>,
}

#[derive(Serialize)]
struct Event {
    module: &'static str,
    dataset: &'static str,
    created: Time,
    ingested: Time,
    kind: &'static str,
    category: [&'static str; 1],
    r#type: &'static [&'static str],
    action: &'static str,
    outcome: &'static str,
    start: Time,
    end: Time,
}

#[derive(Default, PartialEq, Serialize)]
struct User<'a> {
    target: Option<&'a Target>,
}

#[derive(Default, PartialEq, Serialize)]
struct Related {
    user: Vec<Value>,
}

#[derive(Serialize)]
struct LastPass<'a> {
    change: LastPassChange<'a>,
}

#[derive(Serialize)]
struct LastPassChange<'a> {
    source: &'static str,
    snapshot: Times,
    #[serde(flatten)]
    details: &'a Details,
}

#[derive(Serialize)]
struct Times {
    previous: Time,
    current: Time,
}

/// Two snapshots of one stream.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    /// The stream.
    pub stream: Stream,
    /// The snapshot before.
    pub previous: Snapshot,
    /// The snapshot that is compared with it.
    pub current: Snapshot,
}

/// Builds the documents of the changes between two snapshots.
pub struct Documents<'m> {
    mapper: &'m Mapper,
    pair: Pair,
    shared: Shared,
    id_parts: IdParts,
    sent: Timestamp,
}

impl<'m> Documents<'m> {
    /// Builds documents that are sent at `sent`.
    #[must_use]
    pub fn new(mapper: &'m Mapper, pair: Pair, sent: Timestamp) -> Self {
        let Pair { stream, previous, current } = pair;
        let id_parts = IdParts::new(mapper, DATASET)
            .with(stream.as_str())
            .with(&previous.scheduled_time.as_nanosecond().to_string())
            .with(&current.scheduled_time.as_nanosecond().to_string());
        Self { mapper, pair, shared: Shared::new(mapper, DATASET), id_parts, sent }
    }

    /// Builds the document of a change.
    #[must_use]
    pub fn document(&self, change: &Change) -> Document {
        let Pair { stream, previous, current } = self.pair;
        let Change { action, key, target, details } = change;
        let (name, types) = action.words();
        let id = key.iter().fold(self.id_parts.begin().with(name), |parts, key| parts.with(key)).finish();
        let document = ChangeDocument {
            ecs: &self.shared.ecs,
            data_stream: &self.shared.data_stream,
            organization: self.shared.organization.as_deref(),
            timestamp: Time(current.timestamp),
            tags: &self.mapper.tags,
            event: Event {
                module: "lastpass",
                dataset: DATASET,
                created: Time(self.sent),
                ingested: Time(self.sent),
                kind: "event",
                category: ["iam"],
                r#type: types,
                action: name,
                outcome: "success",
                start: Time(previous.timestamp),
                end: Time(current.timestamp),
            },
            user: User { target: (!is_empty(target)).then_some(target) },
            related: Related { user: target.email.iter().cloned().collect() },
            lastpass: LastPass {
                change: LastPassChange {
                    source: stream.as_str(),
                    snapshot: Times { previous: Time(previous.timestamp), current: Time(current.timestamp) },
                    details,
                },
            },
        };
        Document {
            id,
            timestamp: current.timestamp,
            source: to_line(&document),
            original: String::new(),
            since: Some(current.timestamp),
        }
    }
}

/// Returns the value at a JSON pointer that is neither missing nor empty.
fn found<'v>(source: &'v Value, pointer: &str) -> Option<&'v Value> {
    source.pointer(pointer).filter(|value| !value.is_null() && value.as_str() != Some(""))
}

/// Returns a field as a text; a list is its texts in alphabetical order.
fn text(source: &Value, pointer: &str) -> Option<String> {
    let texts = list(source, pointer);
    let mut texts: Vec<_> = texts.iter().map(|value| canonical(Some(value))).filter(|text| !text.is_empty()).collect();
    texts.sort_unstable();
    texts.dedup();
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// Returns the values of a field, whether or not it is a list. Synthetic `_source` may return a list of one value
/// as the value itself.
fn list(source: &Value, pointer: &str) -> Vec<Value> {
    match found(source, pointer) {
        None => Vec::new(),
        Some(Value::Array(values)) => values.clone(),
        Some(value) => vec![value.clone()],
    }
}

/// Returns a flag in any of the spellings that Elasticsearch accepts for a boolean.
fn flag(source: &Value, pointer: &str) -> Option<bool> {
    match found(source, pointer)? {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Returns a number, also one in a text.
fn number(source: &Value, pointer: &str) -> Option<f64> {
    match found(source, pointer)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

impl Target {
    /// Returns the user whom the document of a snapshot is about.
    fn of(source: &Value) -> Self {
        let value = |pointer| found(source, pointer).cloned();
        Self {
            id: value("/user/id"),
            email: value("/user/email"),
            full_name: value("/user/full_name"),
            roles: list(source, "/user/roles"),
            group: Group { name: value("/user/group/name").map(FieldValue::from) },
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_key_of_an_entry_is_read_from_any_record() {
        for (record, key) in [
            (r#"{"id":"7","fullname":"x"}"#, Some("7")),
            (r#"{"id":"7","fullname":"x\ud83d"}"#, Some("7")),
            (r#"{"id":7}"#, None),
            ("[7]", None),
            ("{", None),
        ] {
            assert_eq!(super::entry_key(record).as_deref(), key, "{record}");
        }
    }
}
