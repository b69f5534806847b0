//! The values from outside a record that its document depends on: settings, times, and the identity of a document that
//! was refused.

use jiff::Timestamp;

use crate::{
    document::{AccountNumber, DocId, Namespace, Organization, Stream},
    lastpass::time::ApiZone,
};

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
    /// Whether every document keeps `event.original`, not only documents with an error.
    pub preserve_original_event: bool,
    /// Whether documents keep `lastpass.*` fields that are copied to an ECS field.
    pub preserve_duplicate_custom_fields: bool,
}

/// The times that the documents of one reading have in common.
#[derive(Debug, Clone, Copy)]
pub struct Stamps {
    /// When the record was read: `event.created`, and the `@timestamp` of a record without a time.
    pub created: Timestamp,
    /// When the document is sent: `event.ingested`. `None` for a preview, and for a backfill without `"alert": true`,
    /// so that detection rules do not evaluate old events as new.
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

/// The identity of a document, which stays the same when its record is mapped again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its stream.
    pub stream: Stream,
    /// Its `_id`.
    pub id: DocId,
    /// Its `@timestamp`. If it is `None`, an event has the instant of its `Time`, and any other document
    /// [`Stamps::created`].
    pub timestamp: Option<Timestamp>,
    /// Whether it has the tag `ambiguous_time`.
    pub ambiguous: bool,
}
