//! Changes: what differs between two snapshots of users or of shared folders. Each has one document.
//!
//! Reads the documents of the snapshots, not LastPass's records, because a reader of the changes can look up the documents.
//! A value that one of the two documents lacks, because the record had none or an unreadable one, is no change, except the
//! role and the second factor: a user without a role is no administrator.

mod document;
mod fields;
pub mod folders;
#[cfg(test)]
#[path = "../../../tests/unit/streams/change/properties.rs"]
mod properties;
mod rights;
pub mod users;

pub use self::{
    document::{Change, Documents, Pair},
    fields::entry_key,
};
