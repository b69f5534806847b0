//! Stores checkpoints in DynamoDB, and the leases that keep two runs from working at the same time.
//!
//! This module owns the items of the checkpoint table. It knows nothing of LastPass or Elasticsearch. Invariants:
//!
//! - A write is conditional on the version and the lease token that the run knows. A run that lost its lease therefore
//!   changes nothing.
//! - A write carries an ID. If DynamoDB refuses a write and the item has its ID, an earlier attempt took effect and its
//!   response was lost. The write counts as done.
//! - Reads are consistent. The caller always supplies the clock.
//!
//! # The items
//!
//! The partition key `pk` is `stream#<stream>`, `backfill#<stream>#<from>#<to>`, `plan#<stream>#<from>#<to>` or
//! `redrive#<stream>`. In a deployment of several accounts, it begins with `account#<name>#`. Times are RFC 3339 in
//! UTC, and counters are numbers. Attributes that a newer version added are kept.
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
//! | `expires_at` | number | when DynamoDB deletes the item, in seconds since 1970; only for complete backfills, plans and redrives |

mod error;
mod item;
mod lease;
mod store;
mod table;
#[cfg(test)]
pub(crate) mod testing;

use std::fmt;

use jiff::Timestamp;

pub use self::error::Error;
pub use self::item::{Holder, Item};
pub use self::lease::Lease;
pub use self::store::{Acquired, Listing, Reset, Scope, Store, list};
use crate::document::{AccountName, AccountNumber, Namespace, Stream};

/// The prefix of the partition keys of one of several accounts.
const ACCOUNT: &str = "account#";

/// The key of an account's checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// The live run of a stream.
    Stream(Stream),
    /// One backfill, identified by its stream and range.
    Backfill {
        /// The stream.
        stream: Stream,
        /// The range's start.
        from: Timestamp,
        /// The range's end, exclusive.
        to: Timestamp,
    },
    /// The slices of a range that is backfilled in parallel, identified like a backfill.
    Plan {
        /// The stream.
        stream: Stream,
        /// The range's start.
        from: Timestamp,
        /// The range's end, exclusive.
        to: Timestamp,
    },
    /// The redrive of a stream's dead letters.
    Redrive(Stream),
}

impl Key {
    /// Returns the stream that the checkpoint belongs to.
    #[must_use]
    pub const fn stream(self) -> Stream {
        match self {
            Self::Stream(stream)
            | Self::Backfill { stream, .. }
            | Self::Plan { stream, .. }
            | Self::Redrive(stream) => stream,
        }
    }

    /// Returns the position that answers show: the watermark, how far down the range of a backfill was read or planned,
    /// or the position of an unfinished redrive.
    #[must_use]
    pub fn reached(self, state: &State) -> Option<Timestamp> {
        match (self, state.unfinished) {
            (Self::Backfill { from, .. }, None) => state.complete.then_some(from),
            (Self::Backfill { .. }, Some(Unfinished::Window { position, .. }))
            | (Self::Redrive(_), Some(Unfinished::Redrive { position })) => Some(position),
            (Self::Stream(_), _) => state.watermark,
            (Self::Plan { .. }, _) => state.slice_starts.last().copied(),
            (Self::Backfill { .. }, Some(Unfinished::Snapshot(_) | Unfinished::Redrive { .. }))
            | (Self::Redrive(_), Some(Unfinished::Window { .. } | Unfinished::Snapshot(_)) | None) => None,
        }
    }

    fn parse(parts: &[&str]) -> Option<Self> {
        let stream = |name: &str| Stream::ALL.into_iter().find(|stream| stream.as_str() == name);
        match *parts {
            ["stream", name] => Some(Self::Stream(stream(name)?)),
            ["redrive", name] => Some(Self::Redrive(stream(name)?)),
            [kind @ ("backfill" | "plan"), name, from, to] => {
                let (stream, from, to) = (stream(name)?, from.parse().ok()?, to.parse().ok()?);
                Some(if kind == "plan" { Self::Plan { stream, from, to } } else { Self::Backfill { stream, from, to } })
            }
            _ => None,
        }
    }

    /// Returns whether DynamoDB deletes the item some time after its work is complete.
    const fn expires(self) -> bool {
        match self {
            Self::Stream(_) => false,
            Self::Backfill { .. } | Self::Plan { .. } | Self::Redrive(_) => true,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(stream) => write!(f, "stream#{stream}"),
            Self::Backfill { stream, from, to } => write!(f, "backfill#{stream}#{from}#{to}"),
            Self::Plan { stream, from, to } => write!(f, "plan#{stream}#{from}#{to}"),
            Self::Redrive(stream) => write!(f, "redrive#{stream}"),
        }
    }
}

/// The partition key of an item. Its text is the attribute `pk`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PartitionKey {
    /// The account, in a deployment of several accounts.
    pub account: Option<AccountName>,
    /// The key of the account's checkpoint.
    pub key: Key,
}

impl PartitionKey {
    /// Parses a partition key. Returns `None` for a key that this version does not write.
    #[must_use]
    pub fn parse(pk: &str) -> Option<Self> {
        Some(match *pk.split('#').collect::<Vec<_>>() {
            ["account", name, ref parts @ ..] => {
                Self { account: Some(AccountName::new(name).ok()?), key: Key::parse(parts)? }
            }
            ref parts => Self { account: None, key: Key::parse(parts)? },
        })
    }
}

impl fmt::Display for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(account) = &self.account {
            write!(f, "{ACCOUNT}{account}#")?;
        }
        self.key.fmt(f)
    }
}

/// The destination that a checkpoint is valid for. In another destination, the same positions would skip documents that
/// were never sent there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The host of Elasticsearch.
    pub host: String,
    /// The namespace of the data streams.
    pub namespace: Namespace,
    /// The LastPass account.
    pub account: AccountNumber,
    /// The UUID of the cluster, if known, because another cluster may respond under the same host.
    pub cluster_uuid: Option<String>,
}

impl Destination {
    /// Returns whether both are the same destination. An unknown cluster UUID matches any other.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let is_same_cluster = match (&self.cluster_uuid, &other.cluster_uuid) {
            (Some(ours), Some(theirs)) => ours == theirs,
            (None, _) | (_, None) => true,
        };
        self.has_same_settings(other) && is_same_cluster
    }

    /// Returns whether the settings and the secret are the same for both.
    pub(crate) fn has_same_settings(&self, other: &Self) -> bool {
        (&self.host, &self.namespace, &self.account) == (&other.host, &other.namespace, &other.account)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (namespace {}, account {})", self.host, self.namespace, self.account)
    }
}

/// The state that a run saves for the next one: positions, never lists of IDs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// Event report: everything before it is acknowledged. Snapshot: the `scheduled_time` of the last complete one.
    /// Backfill: the end of the range that was read, which is earlier than the requested end if that was in the future.
    pub watermark: Option<Timestamp>,
    /// Work that a deadline interrupted.
    pub unfinished: Option<Unfinished>,
    /// When the wide range was last read again for late events.
    pub reread_at: Option<Timestamp>,
    /// Event report: when requests were sent and answered whose own events had not appeared yet, oldest first. Once the
    /// events appear, they show whether the zone setting is correct.
    pub zone_polls: Vec<(Timestamp, Timestamp)>,
    /// How the last run ended.
    pub last_run: Option<LastRun>,
    /// Backfill, plan, redrive: whether nothing is left to do.
    pub complete: bool,
    /// Backfill, redrive: how many events are acknowledged.
    pub events: u64,
    /// Plan: the beginning of each slice, newest first. A slice ends where the previous one begins.
    pub slice_starts: Vec<Timestamp>,
}

impl State {
    /// Returns whether a page was acknowledged. From then on, the item of `key` is valid for its destination only.
    /// Before that, it only records attempts, and any other destination may take over.
    #[must_use]
    pub fn is_bound(&self, key: Key) -> bool {
        let has_position = match (key, self.unfinished) {
            // This window is saved before the first page is read.
            (Key::Backfill { .. }, Some(Unfinished::Window { to, position, .. })) => position < to,
            // This window is saved only after a page.
            (_, Some(Unfinished::Window { .. })) => true,
            (_, Some(Unfinished::Snapshot(position))) => !position.is_at_beginning(),
            (_, Some(Unfinished::Redrive { .. }) | None) => false,
        };
        match key {
            // The slices describe the data in LastPass. The delivery of their events has its own items.
            Key::Plan { .. } => false,
            Key::Redrive(_) => self.events > 0,
            Key::Stream(_) | Key::Backfill { .. } => {
                has_position || self.watermark.is_some() || self.complete || self.events > 0
            }
        }
    }

    /// Returns the state for another destination if the item is not bound: it keeps only the snapshot that was to be
    /// taken.
    #[must_use]
    pub fn begun_anew(&self) -> Self {
        let unfinished = match self.unfinished {
            Some(Unfinished::Snapshot(SnapshotPosition { scheduled_time, .. })) => {
                Some(Unfinished::Snapshot(SnapshotPosition::begin(scheduled_time)))
            }
            Some(Unfinished::Window { .. } | Unfinished::Redrive { .. }) | None => None,
        };
        Self { unfinished, ..Self::default() }
    }
}

/// Work that a deadline interrupted, and the position where it continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfinished {
    /// A range of events, read from its end to its start.
    Window {
        /// The range's start.
        from: Timestamp,
        /// The range's end, exclusive.
        to: Timestamp,
        /// [`position`, `to`) is acknowledged, and [`from`, `position`) is not read yet.
        position: Timestamp,
        /// Whether detection rules evaluate its documents (`event.ingested`).
        alert: bool,
    },
    /// A snapshot, read page by page.
    Snapshot(SnapshotPosition),
    /// A redrive, which delivers the oldest dead letters first.
    Redrive {
        /// When the most recently delivered dead letters were refused. Others of the same instant may be left.
        position: Timestamp,
    },
}

/// How far a snapshot was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotPosition {
    /// The time that identifies the snapshot.
    pub scheduled_time: Timestamp,
    /// The `@timestamp` of all its documents: when its first page was read. `None` before the first page.
    pub timestamp: Option<Timestamp>,
    /// The pass in progress, from 1. A snapshot of several pages is read until two passes agree.
    pub pass: u32,
    /// The next page of the pass.
    pub page_index: u32,
    /// The number of entries per page. `None` before the first page.
    pub page_size: Option<u32>,
    /// How many entries the pass has read.
    pub read: u64,
    /// The total that the last page stated.
    pub total: Option<u64>,
    /// The running hash of the entry keys of the pass, in their order.
    pub seen: u64,
    /// The final hash of the previous pass.
    pub seen_before: Option<u64>,
}

impl SnapshotPosition {
    /// Returns the beginning of the snapshot of `scheduled_time`.
    #[must_use]
    pub const fn begin(scheduled_time: Timestamp) -> Self {
        let (timestamp, page_size, total, seen_before) = (None, None, None, None);
        Self { scheduled_time, timestamp, pass: 1, page_index: 0, page_size, read: 0, total, seen: 0, seen_before }
    }

    /// Returns the beginning of another pass over the same snapshot.
    #[must_use]
    pub const fn next_pass(self) -> Self {
        let Self { scheduled_time, timestamp, pass, page_size, total, seen, .. } = self;
        let begin = Self::begin(scheduled_time);
        Self { pass: pass + 1, page_size, total, seen_before: Some(seen), timestamp, ..begin }
    }

    /// Returns whether no page was acknowledged. The first page may have been read, because that sets only the
    /// `timestamp`.
    #[must_use]
    pub fn is_at_beginning(&self) -> bool {
        *self == Self { timestamp: self.timestamp, ..Self::begin(self.scheduled_time) }
    }

    /// Returns whether this pass has found the same entries as the previous one.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.seen_before == Some(self.seen)
    }
}

/// How a run ended, for `status`. The counters count documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRun {
    /// When the run ended.
    pub finished_at: Timestamp,
    /// The Lambda request ID.
    pub request_id: String,
    /// The `status` of the answer, or `failed` if the run ended with an error.
    pub status: String,
    /// The type of the error, if the run failed.
    pub error_type: Option<String>,
    /// Records that were read.
    pub fetched: u64,
    /// New documents.
    pub created: u64,
    /// Documents that already existed.
    pub duplicates: u64,
    /// Records that became dead letters.
    pub dead_letters: u64,
    /// Events that appeared after their window was read.
    pub late: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_partition_key_reads_back_as_its_key() {
        let backfill = Key::Backfill {
            stream: Stream::EventReport,
            from: at("2024-01-01T00:00:00Z"),
            to: at("2024-02-01T12:30:00.5Z"),
        };
        let plan =
            Key::Plan { stream: Stream::EventReport, from: at("2024-01-01T00:00:00Z"), to: at("2024-02-01T00Z") };
        for (key, pk) in [
            (plan, "plan#event_report#2024-01-01T00:00:00Z#2024-02-01T00:00:00Z"),
            (Key::Stream(Stream::EventReport), "stream#event_report"),
            (Key::Stream(Stream::DetailedSharedFolder), "stream#detailed_shared_folder"),
            (backfill, "backfill#event_report#2024-01-01T00:00:00Z#2024-02-01T12:30:00.5Z"),
            (Key::Redrive(Stream::User), "redrive#user"),
        ] {
            for (account, before) in [(None, ""), (Some(AccountName::new("globex.eu").unwrap()), "account#globex.eu#")]
            {
                let partition_key = PartitionKey { account, key };
                assert_eq!(partition_key.to_string(), format!("{before}{pk}"));
                assert_eq!(PartitionKey::parse(&format!("{before}{pk}")), Some(partition_key));
            }
        }
    }

    #[test]
    fn an_item_is_bound_once_a_page_was_acknowledged() {
        let (from, to) = (at("2024-01-01T00:00:00Z"), at("2024-02-01T00:00:00Z"));
        let (live, users) = (Key::Stream(Stream::EventReport), Key::Stream(Stream::User));
        let backfill = Key::Backfill { stream: Stream::EventReport, from, to };
        let plan = Key::Plan { stream: Stream::EventReport, from, to };
        let redrive = Key::Redrive(Stream::User);
        let window = |position| Unfinished::Window { from, to, position, alert: false };
        let begun = SnapshotPosition::begin(from);
        let unfinished = |unfinished| State { unfinished: Some(unfinished), ..State::default() };
        let snapshot = |position| unfinished(Unfinished::Snapshot(position));
        let nothing = State::default();
        let ran = State {
            last_run: Some(LastRun {
                finished_at: to,
                request_id: String::new(),
                status: "failed".to_owned(),
                error_type: None,
                fetched: 7,
                created: 7,
                duplicates: 0,
                dead_letters: 0,
                late: 0,
            }),
            ..State::default()
        };
        for (key, state) in [
            (live, nothing.clone()),
            (live, ran),
            (users, snapshot(begun)),
            (users, snapshot(SnapshotPosition { timestamp: Some(to), ..begun })),
            (backfill, unfinished(window(to))),
            (plan, State { slice_starts: vec![from], complete: true, ..nothing.clone() }),
            (redrive, unfinished(Unfinished::Redrive { position: from })),
            (redrive, State { complete: true, ..nothing.clone() }),
        ] {
            assert!(!state.is_bound(key), "{key} {state:?}");
        }
        for (key, state) in [
            (live, State { watermark: Some(to), ..nothing.clone() }),
            (live, unfinished(window(to))),
            (users, snapshot(SnapshotPosition { page_index: 1, read: 2, ..begun })),
            (users, snapshot(begun.next_pass())),
            (backfill, unfinished(window(from))),
            // Events without a readable time do not move the position.
            (backfill, State { events: 1, ..unfinished(window(to)) }),
            (redrive, State { events: 1, ..unfinished(Unfinished::Redrive { position: from }) }),
        ] {
            assert!(state.is_bound(key), "{key} {state:?}");
        }
    }

    #[test]
    fn what_begins_anew_elsewhere_keeps_the_snapshot_that_was_to_be_taken() {
        let scheduled_time = at("2024-01-01T00:00:00Z");
        let tried =
            SnapshotPosition { timestamp: Some(at("2024-01-01T00:00:09Z")), ..SnapshotPosition::begin(scheduled_time) };
        let state = State { unfinished: Some(Unfinished::Snapshot(tried)), ..State::default() };
        let anew = Some(Unfinished::Snapshot(SnapshotPosition::begin(scheduled_time)));
        assert_eq!(state.begun_anew(), State { unfinished: anew, ..State::default() });
    }

    #[test]
    fn one_range_has_one_key_however_it_is_written() {
        let key = |from: &str| Key::Backfill { stream: Stream::EventReport, from: at(from), to: at("2024-02-01T00Z") };
        assert_eq!(key("2024-01-01T00:00:00.000+00:00").to_string(), key("2023-12-31T19:00:00-05:00").to_string());
    }

    #[test]
    fn a_partition_key_of_another_version_is_no_key() {
        for pk in [
            "",
            "stream",
            "stream#groups",
            "12#stream#user",
            "account#stream#user",
            "account##stream#user",
            "account#a/b#stream#user",
            "account#a#account#b#stream#user",
            "backfill#event_report#yesterday#today",
            "slice#event_report#2024-01-01T00:00:00Z#2024-02-01T00:00:00Z",
        ] {
            assert_eq!(PartitionKey::parse(pk), None, "{pk}");
        }
    }
}
