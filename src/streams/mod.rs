//! One file per stream: record → ECS document and its `_id`. Pure functions, which read no clock and send nothing.
//!
//! Owns what Elastic's own LastPass integration would make of a record, field for field, without its pipelines. Knows
//! nothing of HTTP or AWS. The invariant: whatever a record looks like, it comes out as a document under an `_id` that
//! depends on the record alone. What can't be read is said in the document's `error.message`, and the record is kept
//! whole in its `event.original`.
//!
//! Each stream's file goes from the wire record over its mapping to its `_id`. They share:
//!
//! - `record`: the text of a record, read and written without losing a key that stands twice
//! - `redact`: the secrets that a record must not be stored with
//! - `field`: tables of plain fields, `value` and `convert`: what a value is and has to be
//! - `path`: where the fields of a document stand
//! - `draft`: the document while it grows, its constants, tags, errors and clean-up
//! - `actions` and `data`: what the action of an event decides
//! - `doc_id`: the scheme of the `_id`

use jiff::Timestamp;

use crate::{
    document::{AccountNumber, DocId, Document, Namespace, Organization, Stream},
    lastpass::time::ApiZone,
};

mod actions;
mod convert;
mod data;
pub mod detailed_shared_folder;
mod doc_id;
mod draft;
pub mod event_report;
mod field;
mod path;
#[cfg(test)]
mod properties;
mod record;
mod redact;
#[cfg(test)]
pub(crate) mod testing;
pub mod user;
mod value;

/// What every document of an account carries: from the settings and the secret.
#[derive(Debug, Clone)]
pub struct Mapper {
    /// Whose records they are: part of each `_id`, and of nothing else.
    pub account: AccountNumber,
    /// `organization.*`, which Elastic's integration leaves out: it tells the accounts of one deployment apart.
    pub organization: Organization,
    /// `data_stream.namespace`.
    pub namespace: Namespace,
    /// The zone in which events are written; `event.timezone`.
    pub zone: ApiZone,
    /// The zone in which the dates of users are written.
    pub user_zone: ApiZone,
    /// `tags` of every document, before those that the two settings below add.
    pub tags: Vec<String>,
    /// Keeps `event.original` in every document, not only in those with an error.
    pub preserve_original_event: bool,
    /// Keeps the `lastpass.*` fields whose values stand in an ECS field as well.
    pub preserve_duplicate_custom_fields: bool,
}

/// When a record was read and sent.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// When it was read: `event.created`, and the `@timestamp` of what has no time of its own.
    pub created: Timestamp,
    /// When it is sent: `event.ingested`. Only live runs have it, because detection rules look at it for late events.
    pub ingested: Option<Timestamp>,
}

/// The snapshot that a user or folder was read in.
#[derive(Debug, Clone, Copy)]
pub struct Snapshot {
    /// When it was due: part of each `_id`, so that a retry adds nothing.
    pub scheduled_time: Timestamp,
    /// When its first page was read: the `@timestamp` of all its documents.
    pub timestamp: Timestamp,
}

/// What stays of a document when its record is mapped again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Again {
    /// Its `_id`.
    pub id: DocId,
    /// Its `@timestamp`. Where that isn't known, an event's is what its `Time` says, any other's [`Reading::created`].
    pub timestamp: Option<Timestamp>,
    /// Whether it has the tag [`AMBIGUOUS_TIME`](event_report::AMBIGUOUS_TIME).
    pub ambiguous: bool,
}

/// Maps the record of a document again, from the `original` of the first mapping.
#[must_use]
pub fn again(mapper: &Mapper, reading: &Reading, stream: Stream, again: Again, original: &str) -> Document {
    match stream {
        Stream::EventReport => event_report::again(mapper, reading, again, original),
        Stream::User => user::again(mapper, reading, again, original),
        Stream::DetailedSharedFolder => detailed_shared_folder::again(mapper, reading, again, original),
    }
}
