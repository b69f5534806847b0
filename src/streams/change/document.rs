//! The document of a change.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use super::{
    super::{
        doc_id::IdParts,
        ecs::{Group, Shared},
        mapper::{Mapper, Snapshot},
        value::{FieldValue, Time, is_empty, to_line},
    },
    fields::{found, list},
    rights::Rights,
};
use crate::document::{Document, Stream};

/// The dataset of changes.
const DATASET: &str = "lastpass.change";

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
    pub(super) const fn words(self) -> (&'static str, &'static [&'static str]) {
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
    pub(super) id: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) email: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) full_name: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) roles: Vec<Value>,
    #[serde(skip_serializing_if = "is_empty")]
    pub(super) group: Group<'static>,
}

impl Target {
    /// Returns the user whom the document of a snapshot is about.
    pub(super) fn of(source: &Value) -> Self {
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

/// The part of `lastpass.change` that depends on the change.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Details {
    /// The names of the fields that changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) field: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) previous: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) current: Option<String>,
    #[serde(skip_serializing_if = "is_empty")]
    pub(super) shared_folder: FolderFields,
    #[serde(skip_serializing_if = "is_empty")]
    pub(super) rights: Rights,
    #[serde(skip_serializing_if = "is_empty")]
    pub(super) previous_rights: Rights,
}

/// `lastpass.change.shared_folder`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct FolderFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<Value>,
    /// How many users can read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) users: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) previous_users: Option<u64>,
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
    event: EventFields,
    #[serde(skip_serializing_if = "is_empty")]
    user: User<'a>,
    #[serde(skip_serializing_if = "is_empty")]
    related: Related,
    lastpass: LastPass<'a>,
}

#[derive(Serialize)]
struct EventFields {
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
            event: EventFields {
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
