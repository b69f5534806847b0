//! Stores checkpoints in DynamoDB, and the leases that keep two runs from working at the same time.
//!
//! This module owns the items of the checkpoint table. It knows nothing of LastPass or Elasticsearch. Invariants:
//!
//! - A run's write is conditional on the version and the lease token that it knows. A run that lost its lease therefore
//!   changes nothing. The write that takes a lease is conditional on the destination of the item and on its lease. If it
//!   is refused, the item that was found is judged and written under the condition that it has not changed.
//! - Only the set of the unfinished backfills is changed without a condition. The run that changes it holds the lease of
//!   the backfill that it adds or removes.
//! - A write carries an ID. If DynamoDB refuses a write and the item has its ID, an earlier attempt took effect and its
//!   response was lost. The write counts as done.
//! - Reads are consistent. The caller always supplies the clock.
//!
//! # The items
//!
//! The partition key `pk` is `stream#<stream>`, `backfill#event_report#<from>#<to>`, `plan#event_report#<from>#<to>`,
//! `redrive#<stream>` or `unfinished_backfills`. In a deployment of several accounts, it begins with `account#<name>#`.
//! Times are RFC 3339 in UTC, and counters are numbers. Attributes that a newer version added are kept.
//!
//! | attribute | type | meaning |
//! | --- | --- | --- |
//! | `version` | number | number of writes |
//! | `write_id` | text | ID of the last write |
//! | `destination` | map | `host`, `namespace`, `account`, and `cluster_uuid` if it is known: the destination that the positions are valid for; before the first acknowledged page, the destination that was tried last |
//! | `lease` | map | `token`, `request_id`, `expires`; absent while no run holds the lease |
//! | `watermark` | time | [`State::watermark`] |
//! | `unfinished` | map | [`Unfinished`], with `kind`: `window`, `snapshot` or `redrive` |
//! | `reread_at` | time | [`State::reread_at`] |
//! | `zone_polls` | list of numbers | [`State::zone_polls`], in milliseconds since 1970; absent if empty |
//! | `last_run` | map | [`LastRun`] |
//! | `complete` | boolean | [`State::complete`]; absent if false |
//! | `events` | number | [`State::events`]; absent if 0 |
//! | `slice_starts` | list of numbers | [`State::slice_starts`], in seconds since 1970; absent if empty |
//! | `snapshot` | map | [`CompleteSnapshot`] |
//! | `comparison` | map | [`Comparison`]: `previous`, `progress` (`after`, `complete` or `skipped`) with `after` or `reason`, `changes` |
//! | `keys` | set of texts | the keys of the unfinished backfills: the only attribute of the item `unfinished_backfills`, and of no other |
//! | `expires_at` | number | when DynamoDB deletes the item, in seconds since 1970; only for complete backfills, plans and redrives |

mod attributes;
mod comparison;
mod destination;
mod error;
mod item;
mod key;
mod lease;
mod refused_write;
mod resumable;
mod state;
mod store;
mod table;
#[cfg(test)]
#[path = "../../tests/unit/checkpoint/testing.rs"]
pub(crate) mod testing;

pub use self::comparison::{Comparison, ComparisonProgress, CompleteSnapshot, SkipReason};
pub use self::destination::Destination;
pub use self::error::Error;
pub use self::item::{Holder, Item};
pub use self::key::{Key, PartitionKey};
pub use self::lease::Lease;
pub use self::resumable::load_resumable;
pub use self::state::{LastRun, SnapshotPosition, State, Unfinished, WindowPosition};
pub use self::store::{Acquired, Listing, Reset, Scope, Store, list};
