//! The values that the documents of one snapshot share.

use jiff::Timestamp;

use super::{
    doc_id::IdParts,
    ecs::Constants,
    mapper::{Mapper, Snapshot, Stamps},
};
use crate::document::{DocId, Document, Stream};

/// Maps the entries of one snapshot. Holds what their documents have in common.
pub struct SnapshotMapping<'m> {
    pub(super) mapper: &'m Mapper,
    pub(super) constants: Constants<'m>,
    pub(super) timestamp: Timestamp,
    id_parts: IdParts,
}

impl<'m> SnapshotMapping<'m> {
    /// Prepares the mapping of the entries of `stream` in `snapshot`.
    #[must_use]
    pub fn new(mapper: &'m Mapper, stamps: &Stamps, stream: Stream, snapshot: &Snapshot) -> Self {
        let scheduled_time = snapshot.scheduled_time.as_nanosecond().to_string();
        Self {
            mapper,
            constants: Constants::new(mapper, stamps, stream),
            timestamp: snapshot.timestamp,
            id_parts: IdParts::new(mapper, stream.dataset()).with(&scheduled_time),
        }
    }

    /// Builds the document of an entry.
    pub(super) fn document(&self, id: DocId, source: String, original: String) -> Document {
        Document { id, timestamp: self.timestamp, source, original, since: None }
    }

    /// Returns the texts that the `_id`s of the entry with `key` begin with.
    pub(super) fn id_parts(&self, key: &str) -> IdParts {
        self.id_parts.begin().with(key)
    }
}
