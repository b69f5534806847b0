//! Elasticsearch: writes documents into data streams exactly once, judges the outcome of each, keeps refused ones as dead
//! letters, and installs the index assets.
//!
//! Knows nothing of LastPass. Its invariant: a document is reported as delivered only after a response of Elasticsearch
//! acknowledged it or its dead letter.
//!
//! - `writer`, `send`, `bulk` and `encode`: deliver documents
//! - `judge` and `outcome`: the meaning of an item's result, and the outcome of a document
//! - `dead_letter` and `waiting_letters`: write and read dead letters
//! - `lookup` and `backing_indices`: which documents exist
//! - `transport`, `client`, `retry` and `response`: one request
//! - `error`, `cause`, `remedy` and `operation`: the texts of errors
//! - `assets`, `setup`, `templates` and `owners`: index templates, and the data streams that they apply to
//! - `login` and `api_keys`: how requests are authenticated; `privileges`: the cluster, and what a key may do
//! - `search`: searches and their results; `ignored`: values that were not indexed; `snapshots`: the documents of two
//!   snapshots

mod api_keys;
mod assets;
mod backing_indices;
mod bulk;
mod cause;
mod client;
mod dead_letter;
mod encode;
mod error;
mod ignored;
mod judge;
mod login;
mod lookup;
mod operation;
mod outcome;
mod owners;
mod privileges;
mod remedy;
mod response;
mod retry;
mod search;
mod send;
mod setup;
mod snapshots;
mod templates;
mod transport;
mod waiting_letters;
mod writer;

#[cfg(test)]
#[path = "../../tests/errors/elastic.rs"]
mod errors;
#[cfg(test)]
#[path = "../../tests/unit/elastic/fake.rs"]
mod fake;
#[cfg(test)]
#[path = "../../tests/unit/elastic/testing.rs"]
mod testing;
#[cfg(test)]
#[path = "../../tests/unit/elastic/tests.rs"]
mod tests;

pub use api_keys::{INSTALLER_ROLE, Keys, WRITER_ROLE, create_writer_key, invalidate_keys, key_id};
pub use cause::{KeyFault, Unanswered, Unreadable};
pub use client::Client;
pub use dead_letter::Origin;
pub use error::{Error, OLDEST_VERSION};
pub use ignored::{Ignored, IgnoredValues, fetch_ignored_values};
pub use login::Login;
pub use operation::Operation;
pub use outcome::Delivery;
pub use owners::fetch_other_writers;
pub use privileges::{ClusterInfo, Role, fetch_cluster_info, fetch_excess_privileges, fetch_missing_privileges, reach};
pub use setup::{SetupOptions, setup};
pub use snapshots::{Entry, MAX_UNREADABLE, Overview, Reader, Side, SnapshotQuery, Snapshots};
pub use templates::{fetch_stale_assets, is_set_up};
pub use waiting_letters::{DeadLetter, LetterFilter, WaitingLetters, waiting_dead_letters};
pub use writer::BulkWriter;
