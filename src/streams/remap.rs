//! Maps the record of a refused document again, so that a newer mapping can fix it.

use super::{
    detailed_shared_folder, event_report,
    mapper::{Identity, Mapper, Stamps},
    user,
};
use crate::document::{Document, Stream};

/// Maps the record of a document again, from the `original` of the first mapping.
#[must_use]
pub fn remap(mapper: &Mapper, stamps: &Stamps, stream: Stream, identity: Identity, original: &str) -> Document {
    match stream {
        Stream::EventReport => event_report::remap(mapper, stamps, identity, original),
        Stream::User => user::remap(mapper, stamps, identity, original),
        Stream::DetailedSharedFolder => detailed_shared_folder::remap(mapper, stamps, identity, original),
    }
}
