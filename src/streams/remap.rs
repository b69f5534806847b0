//! Maps the record of a refused document again, so that a newer mapping can fix it.

use super::{
    detailed_shared_folder, event_report,
    mapper::{Identity, Mapper, Snapshot, Stamps},
    redact::without_secrets,
    snapshot::SnapshotMapping,
    user,
};
use crate::document::{Document, Stream};

/// Maps the record of a document again, from the `original` of the first mapping.
#[must_use]
pub fn remap(mapper: &Mapper, stamps: &Stamps, identity: Identity, original: &str) -> Document {
    let stream = identity.stream;
    let source = match stream {
        Stream::EventReport => return event_report::remap(mapper, stamps, identity, original),
        Stream::User => user::source,
        Stream::DetailedSharedFolder => detailed_shared_folder::source,
    };
    let timestamp = identity.timestamp.unwrap_or(stamps.created);
    // The `_id` is known, so the scheduled time does not matter.
    let mapping = SnapshotMapping::new(mapper, stamps, stream, &Snapshot { scheduled_time: timestamp, timestamp });
    // The dead letter of an older version may contain secrets.
    let original = without_secrets(original).into_owned();
    mapping.document(identity.id, source(&mapping, &original), original)
}
