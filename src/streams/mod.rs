//! One file per stream: record → ECS document and its `_id`. Pure functions, which read no clock and send nothing.
//!
//! Maps a record to the same fields as Elastic's own LastPass integration, without its pipelines. Knows nothing of HTTP
//! or AWS. The invariant: every record, whatever it looks like, becomes a document, and the same record always gets the
//! same `_id`. If part of a record cannot be read, the document's `error.message` says so and its `event.original` has the
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
//! - `actions` and `data`: the rules for the actions of events; `action_cache`: remembers their results for each action
//! - `logins` and `targets`: fields that the integration does not have: the type of a login, and the users whom an action
//!   was done to
//! - `doc_id` and `canonical`: the scheme of the `_id`, and the texts of values in it
//! - `mapper`: the settings and times that documents depend on; `snapshot`: the values that the documents of a snapshot
//!   share
//! - `change`: what differs between the documents of two snapshots
//! - `remap`: maps the record of a refused document again

mod action_cache;
mod actions;
mod canonical;
pub mod change;
mod convert;
mod data;
pub mod detailed_shared_folder;
mod doc_id;
mod ecs;
pub mod event_report;
mod input;
mod logins;
mod mapper;
#[cfg(test)]
#[path = "../../tests/unit/streams/properties.rs"]
mod properties;
mod record;
mod redact;
mod remap;
mod snapshot;
mod targets;
#[cfg(test)]
#[path = "../../tests/unit/streams/testing.rs"]
pub(crate) mod testing;
pub mod user;
mod value;

pub use mapper::{Identity, Mapper, Snapshot, Stamps};
pub use remap::remap;
pub use snapshot::SnapshotMapping;
