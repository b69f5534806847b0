//! Elasticsearch: writes documents into data streams exactly once, judges the outcome of each, keeps refused ones as dead
//! letters, and installs the index assets.
//!
//! Knows nothing of LastPass. Its invariant: a document is reported as delivered only after a response of Elasticsearch
//! acknowledged it or its dead letter.

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
mod owners;
mod remedy;
mod response;
mod retry;
mod rights;
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
mod error_texts;
#[cfg(test)]
#[path = "../../tests/unit/elastic/fake.rs"]
mod fake;
#[cfg(test)]
#[path = "../../tests/unit/elastic/testing.rs"]
mod testing;
#[cfg(test)]
#[path = "../../tests/unit/elastic/tests.rs"]
mod tests;

pub use api_keys::{INSTALLER_ROLE, Keys, WRITER_ROLE, create_writer_key, invalidate_keys, key_id, reach};
pub use cause::{KeyFault, Unanswered, Unreadable};
pub use client::Client;
pub use dead_letter::Origin;
pub use error::{Error, OLDEST_VERSION};
pub use ignored::{Ignored, IgnoredValues, ignored_values};
pub use judge::{ItemOutcome, Refusal, StopCause};
pub use login::Login;
pub use operation::Operation;
pub use owners::other_writers;
pub use rights::{ClusterInfo, Role, cluster_info, excess_rights, missing_rights};
pub use setup::{SetupOptions, setup};
pub use snapshots::{Entry, MAX_UNREADABLE, Overview, Reader, Side, SnapshotQuery, Snapshots};
pub use templates::{is_set_up, stale_assets};
pub use waiting_letters::{DeadLetter, LetterFilter, WaitingLetters, waiting_dead_letters};
pub use writer::{BulkWriter, Delivery};
