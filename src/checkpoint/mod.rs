//! What a run remembers for the next one, in DynamoDB, and the lease that keeps two runs from working at once.
//!
//! Owns the items of the checkpoint table; knows nothing of LastPass or Elasticsearch. Invariants:
//!
//! - A write names the version and the lease token it builds upon, so a run that lost its lease changes nothing.
//! - A write carries an id. Where DynamoDB refuses it and the item bears that id, an earlier attempt took effect and
//!   its answer was lost: it counts as done.
//! - Reads are consistent. The clock is always the caller's.
//!
//! # The items
//!
//! Partition key `pk`: `stream#<stream>`, `backfill#<stream>#<from>#<to>`, `plan#<stream>#<from>#<to>` or
//! `redrive#<stream>`, with `account#<name>#` before it in a deployment of several accounts. Times are RFC 3339 in UTC,
//! counters are numbers. Attributes that a newer version added are left as they are.
//!
//! | attribute | type | meaning |
//! | --- | --- | --- |
//! | `version` | number | counts the writes |
//! | `write_id` | text | the last write |
//! | `destination` | map | `host`, `namespace`, `account`, `cluster_uuid` where it is known: what the positions are true for; before a page was acknowledged, what was tried last |
//! | `lease` | map | `token`, `request_id`, `expires`; absent while nobody works |
//! | `watermark` | time | [`State::watermark`] |
//! | `unfinished` | map | [`Unfinished`], with `kind`: `window`, `snapshot` or `redrive` |
//! | `reread_at` | time | [`State::reread_at`] |
//! | `zone_polls` | list of numbers | [`State::zone_polls`], in milliseconds since 1970; absent for none |
//! | `last_run` | map | [`LastRun`] |
//! | `complete` | boolean | [`State::complete`]; absent for no |
//! | `events` | number | [`State::events`]; absent for none |
//! | `slice_starts` | list of numbers | [`State::slice_starts`], in seconds since 1970; absent for none |
//! | `expires_at` | number | seconds since 1970, when DynamoDB deletes the item; complete backfills, plans and redrives only |

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

/// What the partition key of an item begins with that belongs to one of several accounts.
const ACCOUNT: &str = "account#";

/// Which item of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// The live run of a stream.
    Stream(Stream),
    /// One backfill, known by its stream and range.
    Backfill {
        /// The stream.
        stream: Stream,
        /// The range's start.
        from: Timestamp,
        /// The range's end, exclusive.
        to: Timestamp,
    },
    /// The slices of a range that is backfilled piece by piece, known as a backfill is.
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
    /// The stream it belongs to.
    #[must_use]
    pub const fn stream(self) -> Stream {
        match self {
            Self::Stream(stream)
            | Self::Backfill { stream, .. }
            | Self::Plan { stream, .. }
            | Self::Redrive(stream) => stream,
        }
    }

    /// How far its work is, as answers show it: the watermark, how far down a backfill's range was read or planned, or how
    /// far an unfinished redrive is.
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

    /// Whether the item goes away some time after its work is complete.
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

/// Which item of the table: its text is the partition key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PartitionKey {
    /// Scope it is, where the deployment has several accounts.
    pub account: Option<AccountName>,
    /// Which of the account's.
    pub key: Key,
}

impl PartitionKey {
    /// Reads a partition key; `None` for one that this version doesn't write.
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

/// What a checkpoint is true for. Elsewhere the same positions would skip what was never sent there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The host of Elasticsearch.
    pub host: String,
    /// The namespace of the data streams.
    pub namespace: Namespace,
    /// The LastPass account.
    pub account: AccountNumber,
    /// The UUID of the cluster, where it is known: another cluster may answer under the same host.
    pub cluster_uuid: Option<String>,
}

impl Destination {
    /// Whether both are the same place, as far as is known.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let is_same_cluster = match (&self.cluster_uuid, &other.cluster_uuid) {
            (Some(ours), Some(theirs)) => ours == theirs,
            (None, _) | (_, None) => true,
        };
        self.has_same_settings(other) && is_same_cluster
    }

    /// Whether both are the same to the settings and the secret.
    pub(crate) fn has_same_settings(&self, other: &Self) -> bool {
        (&self.host, &self.namespace, &self.account) == (&other.host, &other.namespace, &other.account)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (namespace {}, account {})", self.host, self.namespace, self.account)
    }
}

/// What a run remembers: positions, never lists of ids.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// Event report: everything before it is acknowledged. Snapshot: `scheduled_time` of the last whole one.
    /// Backfill: the end of what was read, which lies before the range's own where that lay in the future.
    pub watermark: Option<Timestamp>,
    /// Work that the deadline cut.
    pub unfinished: Option<Unfinished>,
    /// When the wide re-reading for events that came late was last done.
    pub reread_at: Option<Timestamp>,
    /// Event report: requests whose own events had not appeared yet, oldest first: when each was sent and answered.
    /// They tell whether the zone is right, once they appear.
    pub zone_polls: Vec<(Timestamp, Timestamp)>,
    /// How the last run ended.
    pub last_run: Option<LastRun>,
    /// Backfill, plan, redrive: nothing is left to do.
    pub complete: bool,
    /// Backfill, redrive: how many of its events are acknowledged.
    pub events: u64,
    /// Plan: where each slice begins, the newest first. A slice ends where the one before it begins.
    pub slice_starts: Vec<Timestamp>,
}

impl State {
    /// Whether a page was acknowledged: from then on the item of `key` is true for its destination only. Before that it
    /// tells of attempts, which another destination owes nothing to.
    #[must_use]
    pub fn is_bound(&self, key: Key) -> bool {
        let has_position = match (key, self.unfinished) {
            // Saved before the first page is read.
            (Key::Backfill { .. }, Some(Unfinished::Window { to, position, .. })) => position < to,
            // Saved after a page.
            (_, Some(Unfinished::Window { .. })) => true,
            (_, Some(Unfinished::Snapshot(position))) => !position.is_at_beginning(),
            (_, Some(Unfinished::Redrive { .. }) | None) => false,
        };
        match key {
            // The slices tell what LastPass holds. What is delivered of them has items of its own.
            Key::Plan { .. } => false,
            Key::Redrive(_) => self.events > 0,
            Key::Stream(_) | Key::Backfill { .. } => {
                has_position || self.watermark.is_some() || self.complete || self.events > 0
            }
        }
    }

    /// What is left of it for another destination, where it is not bound: which snapshot was to be taken.
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

/// Work that the deadline cut, and where it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfinished {
    /// A range of events, read from its end to its start.
    Window {
        /// The range's start.
        from: Timestamp,
        /// The range's end, exclusive.
        to: Timestamp,
        /// [`position`, `to`) is acknowledged, [`from`, `position`) is left.
        position: Timestamp,
        /// Whether detection rules are to look at its documents (`event.ingested`).
        alert: bool,
    },
    /// A snapshot, read page by page.
    Snapshot(SnapshotPosition),
    /// A redrive, which takes up the oldest dead letters first.
    Redrive {
        /// When the dead letters were refused that were taken up last. Others of the same moment may be left.
        position: Timestamp,
    },
}

/// How far the reading of a snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotPosition {
    /// The time by which the snapshot is known.
    pub scheduled_time: Timestamp,
    /// The `@timestamp` of all its documents: when its first page was read; none as long as no page was.
    pub timestamp: Option<Timestamp>,
    /// The reading that is under way, from 1: a snapshot of several pages is read until two readings agree.
    pub pass: u32,
    /// Its next page.
    pub page_index: u32,
    /// How many entries a page of it is asked for; none as long as no page was.
    pub page_size: Option<u32>,
    /// How many entries it has read.
    pub read: u64,
    /// How many entries there are, as its last page said.
    pub total: Option<u64>,
    /// What the entries that it has read come to, in their order.
    pub seen: u64,
    /// What all entries of the pass before came to.
    pub seen_before: Option<u64>,
}

impl SnapshotPosition {
    /// The snapshot of `scheduled_time`, of which nothing was read yet.
    #[must_use]
    pub const fn begin(scheduled_time: Timestamp) -> Self {
        let (timestamp, page_size, total, seen_before) = (None, None, None, None);
        Self { scheduled_time, timestamp, pass: 1, page_index: 0, page_size, read: 0, total, seen: 0, seen_before }
    }

    /// The same snapshot, read once more.
    #[must_use]
    pub const fn next_pass(self) -> Self {
        let Self { scheduled_time, timestamp, pass, page_size, total, seen, .. } = self;
        let begin = Self::begin(scheduled_time);
        Self { pass: pass + 1, page_size, total, seen_before: Some(seen), timestamp, ..begin }
    }

    /// Whether no page of it was acknowledged. Its first page may have been read: that settles its `timestamp`.
    #[must_use]
    pub fn is_at_beginning(&self) -> bool {
        *self == Self { timestamp: self.timestamp, ..Self::begin(self.scheduled_time) }
    }

    /// Whether this pass has found what the pass before found.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.seen_before == Some(self.seen)
    }
}

/// How a run ended, for `status`. The counters count documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRun {
    /// When it ended.
    pub finished_at: Timestamp,
    /// Lambda's request id.
    pub request_id: String,
    /// The answer's `status`; `failed` where there was an error instead.
    pub status: String,
    /// The error's type, of a run that failed.
    pub error_type: Option<String>,
    /// Records that were read.
    pub fetched: u64,
    /// Documents that were new.
    pub created: u64,
    /// Documents that were there already.
    pub duplicates: u64,
    /// Records that became dead letters.
    pub dead_letters: u64,
    /// Events that came after their window.
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
            // Events without a time that can be read belong to no position.
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
