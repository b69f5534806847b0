//! One file per stream: record → ECS document and its `_id`. Pure functions, which read no clock and send nothing.
//!
//! Maps a record to the same fields as Elastic's own LastPass integration, without its pipelines. Knows nothing of HTTP
//! or AWS. The invariant: every record, whatever it looks like, becomes a document whose `_id` depends on the record
//! only. If part of a record cannot be read, the document's `error.message` says so and its `event.original` has the
//! whole record.
//!
//! The file of a stream begins with the struct of its fields, in the order in which they are written. Its mapping and
//! its `_id` follow. The streams share:
//!
//! - `record`: reads and writes the text of a record, and notices duplicate keys
//! - `redact`: removes secrets from a record
//! - `input`: moves and converts fields of a record to fields of a document; `value` and `convert`: values and their
//!   types
//! - `ecs`: the struct of a document, its ECS fields, and the removal of empty fields
//! - `actions` and `data`: the rules for the actions of events; `action_cache`: remembers what they say about an action
//! - `doc_id`: the scheme of the `_id`

use jiff::Timestamp;

use crate::{
    document::{AccountNumber, DocId, Document, Namespace, Organization, Stream},
    lastpass::time::ApiZone,
};

mod action_cache;
mod actions;
mod convert;
mod data;
pub mod detailed_shared_folder;
mod doc_id;
mod ecs;
pub mod event_report;
mod input;
#[cfg(test)]
mod properties;
mod record;
mod redact;
#[cfg(test)]
pub(crate) mod testing;
pub mod user;
mod value;

/// The settings for the documents of an account.
#[derive(Debug, Clone)]
pub struct Mapper {
    /// The account number, which is part of each `_id` and of no field.
    pub account: AccountNumber,
    /// `organization.*`, which distinguishes the accounts of one deployment. Elastic's integration does not have it.
    pub organization: Organization,
    /// `data_stream.namespace`.
    pub namespace: Namespace,
    /// The time zone of events, and `event.timezone`.
    pub zone: ApiZone,
    /// The time zone of the dates of users.
    pub user_zone: ApiZone,
    /// `tags` of every document. The two settings below add their own.
    pub tags: Vec<String>,
    /// Keeps `event.original` in every document, not only in documents with an error.
    pub preserve_original_event: bool,
    /// Keeps the `lastpass.*` fields whose values an ECS field has, too.
    pub preserve_duplicate_custom_fields: bool,
}

/// The times at which a record was read and sent.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// When it was read: `event.created`, and the `@timestamp` of a record without a time.
    pub created: Timestamp,
    /// When it is sent: `event.ingested`. Only live runs set it, because detection rules use it to find late events.
    pub ingested: Option<Timestamp>,
}

/// The snapshot in which a user or folder was read.
#[derive(Debug, Clone, Copy)]
pub struct Snapshot {
    /// When it was due. It is part of each `_id`, so that a retry adds nothing.
    pub scheduled_time: Timestamp,
    /// When its first page was read: the `@timestamp` of all its documents.
    pub timestamp: Timestamp,
}

/// The parts of a document that stay the same when its record is mapped again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Again {
    /// Its `_id`.
    pub id: DocId,
    /// Its `@timestamp`. If it is `None`, an event has the instant of its `Time`, and any other document
    /// [`Reading::created`].
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
