//! Converts an item of the table to and from its attributes (pure).
//!
//! Reading ignores unknown attributes and is strict with known ones, because an unreadable position must not pass for
//! an absent one.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};

use super::attributes::{A_MAP, Attributes, Map, Unreadable};
use super::{
    Comparison, ComparisonProgress, CompleteSnapshot, Destination, Error, Key, LastRun, PartitionKey, SkipReason,
    SnapshotPosition, State, Unfinished, WindowPosition,
};
use crate::counters::Counters;
use crate::document::{AccountName, AccountNumber, Namespace};

pub(super) const PK: &str = "pk";
pub(super) const VERSION: &str = "version";
pub(super) const WRITE_ID: &str = "write_id";
pub(super) const DESTINATION: &str = "destination";
pub(super) const LEASE: &str = "lease";
pub(super) const TOKEN: &str = "token";
pub(super) const EXPIRES_AT: &str = "expires_at";
pub(super) const EXPIRES: &str = "expires";
/// The Lambda request ID of a lease's run.
pub(super) const REQUEST_ID: &str = "request_id";
const CLUSTER_UUID: &str = "cluster_uuid";

/// How long a complete backfill, plan or redrive is kept. Chosen: `status` shows it for three months, and
/// `skip_completed` skips it. After that, the same request reads the range again, which adds no duplicates.
const COMPLETE_KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);

/// How long after each write a lease expires. Chosen: long enough that one slow page or bulk request between two
/// renewals does not lose it, and short enough that a crashed run delays no more than one schedule. If set too low,
/// windows are read twice, but no data is wrong.
pub(super) const LEASE_TIME: Duration = Duration::from_secs(60);

/// A checkpoint as stored in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The account, in a deployment of several accounts.
    pub account: Option<AccountName>,
    /// The key of the account's checkpoint.
    pub key: Key,
    /// The state that the last run saved.
    pub state: State,
    /// The holder of the lease, which may have expired.
    pub lease: Option<Holder>,
    /// The destination that the item is valid for if it [is bound](Item::is_bound); otherwise the destination that was
    /// tried last.
    pub destination: Destination,
    pub(super) version: u64,
    pub(super) write_id: String,
}

/// The holder of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The Lambda request ID of the holder. It is the same when Lambda retries the request.
    pub request_id: String,
    /// When the lease expires, unless it is renewed.
    pub expires: Timestamp,
}

impl Item {
    /// Returns when the lease of another request expires, or `None` if `request_id` may take the lease at `now`.
    ///
    /// The same request takes over its lease at once, because Lambda retries a request only after its run has ended.
    pub(super) fn busy_until(&self, request_id: &str, now: Timestamp) -> Option<Timestamp> {
        let holder = self.lease.as_ref()?;
        (holder.request_id != request_id && now < holder.expires).then_some(holder.expires)
    }

    /// Returns whether the item is valid for its destination only; see [`State::is_bound`].
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.state.is_bound(self.key)
    }

    /// Builds an item without a lease.
    #[cfg(test)]
    pub(crate) const fn of(key: Key, state: State, destination: Destination) -> Self {
        Self { account: None, key, state, lease: None, destination, version: 1, write_id: String::new() }
    }

    pub(super) fn read(attributes: &Attributes, table: &str) -> Result<Option<Self>, Error> {
        let pk = pk_of(attributes);
        let Some(partition_key) = PartitionKey::parse(pk) else {
            return Ok(None);
        };
        Self::read_as(partition_key, attributes).map(Some).map_err(|Unreadable { attribute, wanted }| Error::Broken {
            table: table.to_owned(),
            pk: pk.to_owned(),
            attribute,
            wanted,
        })
    }

    fn read_as(PartitionKey { account, key }: PartitionKey, attributes: &Attributes) -> Result<Self, Unreadable> {
        let item = Map { name: "", attributes };
        let destination = item.map(DESTINATION)?.ok_or_else(|| item.unreadable(DESTINATION, A_MAP))?;
        Ok(Self {
            account,
            key,
            state: State {
                watermark: item.optional_time("watermark")?,
                unfinished: item.map("unfinished")?.map(|map| read_unfinished(&map)).transpose()?,
                reread_at: item.optional_time("reread_at")?,
                zone_polls: item.pairs_of_instants("zone_polls")?,
                last_run: item.map("last_run")?.map(|map| read_last_run(&map)).transpose()?,
                complete: item.flag("complete")?,
                events: item.optional_number("events")?.unwrap_or_default(),
                slice_starts: item.instants("slice_starts")?,
                snapshot: item.map("snapshot")?.map(|map| read_complete(&map)).transpose()?,
                comparison: item.map("comparison")?.map(|map| read_comparison(&map)).transpose()?,
            },
            lease: item.map(LEASE)?.map(|map| read_holder(&map)).transpose()?,
            destination: Destination {
                host: destination.text("host")?,
                namespace: destination.parsed("namespace", "a namespace", |text| Namespace::new(text).ok())?,
                account: destination.parsed("account", "an account number in digits", AccountNumber::new)?,
                cluster_uuid: destination.optional_text(CLUSTER_UUID)?,
            },
            version: item.number(VERSION)?,
            write_id: item.text(WRITE_ID)?,
        })
    }
}

fn read_unfinished(map: &Map<'_>) -> Result<Unfinished, Unreadable> {
    match map.text("kind")?.as_str() {
        "window" => Ok(Unfinished::Window(WindowPosition {
            from: map.time("from")?,
            to: map.time("to")?,
            position: map.time("position")?,
            alert: map.flag("alert")?,
        })),
        "snapshot" => Ok(Unfinished::Snapshot(SnapshotPosition {
            scheduled_time: map.time("scheduled_time")?,
            timestamp: map.optional_time("timestamp")?,
            pass: map.number("pass")?,
            page_index: map.number("page_index")?,
            page_size: map.optional_number("page_size")?,
            read: map.number("read")?,
            total: map.optional_number("total")?,
            seen: map.number("seen")?,
            seen_before: map.optional_number("seen_before")?,
        })),
        "redrive" => Ok(Unfinished::Redrive { position: map.time("position")? }),
        _ => Err(map.unreadable("kind", "`window`, `snapshot` or `redrive`")),
    }
}

fn read_complete(map: &Map<'_>) -> Result<CompleteSnapshot, Unreadable> {
    Ok(CompleteSnapshot {
        scheduled_time: map.time("scheduled_time")?,
        timestamp: map.time("timestamp")?,
        entries: map.number("entries")?,
        documents: map.optional_number("documents")?,
    })
}

fn read_comparison(map: &Map<'_>) -> Result<Comparison, Unreadable> {
    let reason = |text: &str| SkipReason::ALL.into_iter().find(|reason| reason.as_str() == text);
    let progress = match map.text("progress")?.as_str() {
        "after" => ComparisonProgress::After(map.optional_text("after")?),
        "complete" => ComparisonProgress::Complete,
        "skipped" => ComparisonProgress::Skipped(map.parsed("reason", "a reason to skip a comparison", reason)?),
        _ => return Err(map.unreadable("progress", "`after`, `complete` or `skipped`")),
    };
    let previous = map.map("previous")?.map(|map| read_complete(&map)).transpose()?;
    Ok(Comparison { previous, progress, changes: map.number("changes")? })
}

fn read_last_run(map: &Map<'_>) -> Result<LastRun, Unreadable> {
    Ok(LastRun {
        finished_at: map.time("finished_at")?,
        status: map.text("status")?,
        error_type: map.optional_text("error_type")?,
        request_id: map.text("request_id")?,
        counters: Counters {
            fetched: map.number("fetched")?,
            created: map.number("created")?,
            duplicates: map.number("duplicates")?,
            dead_letters: map.number("dead_letters")?,
            late: map.number("late")?,
        },
    })
}

fn read_holder(map: &Map<'_>) -> Result<Holder, Unreadable> {
    map.text(TOKEN)?;
    Ok(Holder { request_id: map.text(REQUEST_ID)?, expires: map.time(EXPIRES)? })
}

/// One attribute to write. `None` removes it.
pub(super) type AttributeChange = (&'static str, Option<AttributeValue>);

fn text(value: impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn optional<T>(value: Option<T>, write: impl Fn(T) -> AttributeValue) -> AttributeValue {
    value.map_or(AttributeValue::Null(true), write)
}

fn map<const N: usize>(entries: [(&str, AttributeValue); N]) -> AttributeValue {
    AttributeValue::M(entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Returns the attributes of `state`, for an item of `key` written at `now`.
pub(super) fn state_changes(key: Key, state: &State, now: Timestamp) -> Vec<AttributeChange> {
    let expires_at = (key.expires() && state.complete).then(|| now.checked_add(COMPLETE_KEPT).ok()).flatten();
    vec![
        ("watermark", state.watermark.map(text)),
        ("unfinished", state.unfinished.as_ref().map(write_unfinished)),
        ("reread_at", state.reread_at.map(text)),
        ("zone_polls", write_pairs_of_instants(&state.zone_polls)),
        ("last_run", state.last_run.as_ref().map(write_last_run)),
        ("complete", state.complete.then_some(AttributeValue::Bool(true))),
        ("events", (state.events > 0).then(|| number(state.events))),
        ("slice_starts", write_instants(&state.slice_starts)),
        ("snapshot", state.snapshot.as_ref().map(write_complete)),
        ("comparison", state.comparison.as_ref().map(write_comparison)),
        (EXPIRES_AT, expires_at.map(|at| number(at.as_second()))),
    ]
}

pub(super) fn destination_change(destination: &Destination) -> AttributeChange {
    (DESTINATION, Some(destination_value(destination)))
}

pub(super) fn destination_value(destination: &Destination) -> AttributeValue {
    map([
        ("host", text(&destination.host)),
        ("namespace", text(&destination.namespace)),
        ("account", text(&destination.account)),
        (CLUSTER_UUID, optional(destination.cluster_uuid.as_ref(), text)),
    ])
}

pub(super) fn lease_change(token: &str, request_id: &str, expires: Timestamp) -> AttributeChange {
    (LEASE, Some(lease_value(token, request_id, expires)))
}

pub(super) fn lease_value(token: &str, request_id: &str, expires: Timestamp) -> AttributeValue {
    map([(TOKEN, text(token)), (REQUEST_ID, text(request_id)), (EXPIRES, text(expires))])
}

fn write_instants(instants: &[Timestamp]) -> Option<AttributeValue> {
    let seconds = instants.iter().map(|instant| number(instant.as_second())).collect();
    (!instants.is_empty()).then_some(AttributeValue::L(seconds))
}

fn write_pairs_of_instants(pairs: &[(Timestamp, Timestamp)]) -> Option<AttributeValue> {
    let milliseconds = pairs.iter().flat_map(|(begin, end)| [begin, end]).map(|at| number(at.as_millisecond()));
    (!pairs.is_empty()).then(|| AttributeValue::L(milliseconds.collect()))
}

fn write_unfinished(unfinished: &Unfinished) -> AttributeValue {
    match *unfinished {
        Unfinished::Window(window) => map([
            ("kind", text("window")),
            ("from", text(window.from)),
            ("to", text(window.to)),
            ("position", text(window.position)),
            ("alert", AttributeValue::Bool(window.alert)),
        ]),
        Unfinished::Snapshot(snapshot) => map([
            ("kind", text("snapshot")),
            ("scheduled_time", text(snapshot.scheduled_time)),
            ("timestamp", optional(snapshot.timestamp, text)),
            ("pass", number(snapshot.pass)),
            ("page_index", number(snapshot.page_index)),
            ("page_size", optional(snapshot.page_size, number)),
            ("read", number(snapshot.read)),
            ("total", optional(snapshot.total, number)),
            ("seen", number(snapshot.seen)),
            ("seen_before", optional(snapshot.seen_before, number)),
        ]),
        Unfinished::Redrive { position } => map([("kind", text("redrive")), ("position", text(position))]),
    }
}

fn write_complete(snapshot: &CompleteSnapshot) -> AttributeValue {
    map([
        ("scheduled_time", text(snapshot.scheduled_time)),
        ("timestamp", text(snapshot.timestamp)),
        ("entries", number(snapshot.entries)),
        ("documents", optional(snapshot.documents, number)),
    ])
}

fn write_comparison(comparison: &Comparison) -> AttributeValue {
    let (progress, after, reason) = match &comparison.progress {
        ComparisonProgress::After(key) => ("after", key.as_ref(), None),
        ComparisonProgress::Complete => ("complete", None, None),
        ComparisonProgress::Skipped(reason) => ("skipped", None, Some(reason.as_str())),
    };
    map([
        ("previous", optional(comparison.previous.as_ref(), write_complete)),
        ("progress", text(progress)),
        ("after", optional(after, text)),
        ("reason", optional(reason, text)),
        ("changes", number(comparison.changes)),
    ])
}

fn write_last_run(run: &LastRun) -> AttributeValue {
    map([
        ("finished_at", text(run.finished_at)),
        ("request_id", text(&run.request_id)),
        ("status", text(&run.status)),
        ("error_type", optional(run.error_type.as_ref(), text)),
        ("fetched", number(run.counters.fetched)),
        ("created", number(run.counters.created)),
        ("duplicates", number(run.counters.duplicates)),
        ("dead_letters", number(run.counters.dead_letters)),
        ("late", number(run.counters.late)),
    ])
}

/// Returns the partition key of an item, which DynamoDB requires of every item.
#[expect(clippy::expect_used, reason = "the key of the table is a text, and DynamoDB stores no item without it")]
pub(super) fn pk_of(attributes: &Attributes) -> &str {
    text_of(attributes, PK).expect("an item has a partition key")
}

/// Returns an attribute that is a text.
pub(super) fn text_of<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a str> {
    attributes.get(name).and_then(|value| value.as_s().ok()).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Stream;

    const BACKFILL: &str = "backfill#event_report#2024-01-01T00:00:00.000000001Z#2024-02-01T00:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn complete(documents: Option<u64>) -> CompleteSnapshot {
        let (scheduled_time, timestamp) = (at("2024-05-01T00:00:00Z"), at("2024-05-01T00:00:00.123456789Z"));
        CompleteSnapshot { scheduled_time, timestamp, entries: 100_000, documents }
    }

    /// Builds the largest possible state: every field is set, and every number is at its largest.
    fn full(unfinished: Unfinished) -> State {
        let last = at("2024-05-01T12:00:00.123456789Z");
        State {
            watermark: Some(last),
            unfinished: Some(unfinished),
            reread_at: Some(last),
            zone_polls: vec![(at("2024-05-01T12:00:00.123Z"), at("2024-05-01T12:00:00.456Z")); 5],
            last_run: Some(LastRun {
                finished_at: last,
                status: "complete".into(),
                error_type: Some("Checkpoint.DestinationChanged".into()),
                request_id: "c6af9ac6-7b61-11e6-9a41-93e8deadbeef".into(),
                counters: Counters { fetched: u64::MAX, created: u64::MAX, duplicates: 1, dead_letters: 2, late: 3 },
            }),
            complete: true,
            events: u64::MAX,
            slice_starts: vec![at("2024-05-01T12:00:00Z"); 200],
            snapshot: Some(complete(Some(u64::MAX))),
            comparison: Some(Comparison {
                previous: Some(complete(None)),
                progress: ComparisonProgress::After(Some("k".repeat(512))),
                changes: u64::MAX,
            }),
        }
    }

    fn window() -> Unfinished {
        let (from, to) = (at("2024-01-01T00:00:00Z"), at("2024-02-01T00:00:00Z"));
        Unfinished::Window(WindowPosition { from, to, position: at("2024-01-09T10:11:12Z"), alert: true })
    }

    fn snapshot(total: Option<u64>) -> Unfinished {
        Unfinished::Snapshot(SnapshotPosition {
            scheduled_time: at("2024-05-01T00:00:00Z"),
            timestamp: total.map(|_| at("2024-05-01T00:00:01Z")),
            pass: 2,
            page_index: 7,
            page_size: total.map(|_| 2_000),
            read: 14_000,
            total,
            seen: u64::MAX,
            seen_before: Some(0),
        })
    }

    fn destination() -> Destination {
        Destination {
            host: "cluster.example".into(),
            namespace: Namespace::new("default").unwrap(),
            account: AccountNumber::new("1234567").unwrap(),
            cluster_uuid: Some("Zm9ybWVkIG9uY2UsIGhlcmU".into()),
        }
    }

    /// Returns the attributes of the item after one write.
    fn attributes(pk: &str, state: &State, destination: &Destination) -> Attributes {
        let mut changes = state_changes(PartitionKey::parse(pk).unwrap().key, state, at("2024-05-01T12:00:00Z"));
        changes.push(destination_change(destination));
        changes.push(lease_change("token", "request", at("2024-05-01T12:01:00Z")));
        changes.extend([(PK, Some(text(pk))), (VERSION, Some(number(3))), (WRITE_ID, Some(text("written")))]);
        changes.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    fn broken(change: impl Fn(&mut Attributes)) -> String {
        let mut attributes = attributes("stream#user", &full(snapshot(None)), &destination());
        change(&mut attributes);
        match Item::read(&attributes, "checkpoints") {
            Err(Error::Broken { pk, attribute, .. }) => format!("{pk} {attribute}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_state_comes_back_as_it_was_written() {
        let redrive = full(Unfinished::Redrive { position: at("2024-01-09T10:11:12.345Z") });
        for state in [State::default(), full(window()), full(snapshot(Some(2_500))), full(snapshot(None)), redrive] {
            let item = Item::read(&attributes("stream#user", &state, &destination()), "checkpoints").unwrap().unwrap();
            let lease = Some(Holder { request_id: "request".into(), expires: at("2024-05-01T12:01:00Z") });
            let (key, write_id) = (Key::Stream(Stream::User), "written".to_owned());
            let (account, destination) = (None, destination());
            assert_eq!(item, Item { account, key, state, lease, destination, version: 3, write_id });
        }
    }

    #[test]
    fn every_outcome_of_a_comparison_comes_back_as_it_was_written() {
        let skipped = SkipReason::ALL.map(ComparisonProgress::Skipped);
        let others = [ComparisonProgress::After(None), ComparisonProgress::Complete];
        for progress in skipped.into_iter().chain(others) {
            let comparison = Some(Comparison { previous: None, progress, changes: 0 });
            let state = State { comparison, ..State::default() };
            let item = Item::read(&attributes("stream#user", &state, &destination()), "checkpoints").unwrap().unwrap();
            assert_eq!(item.state, state);
        }
    }

    #[test]
    fn an_item_of_an_older_version_has_no_cluster_uuid() {
        let unknown = Destination { cluster_uuid: None, ..destination() };
        let mut attributes = attributes("stream#user", &State::default(), &unknown);
        assert_eq!(Item::read(&attributes, "checkpoints").unwrap().unwrap().destination, unknown);
        let Some(AttributeValue::M(map)) = attributes.get_mut(DESTINATION) else { panic!("no map") };
        map.remove(CLUSTER_UUID);
        assert_eq!(Item::read(&attributes, "checkpoints").unwrap().unwrap().destination, unknown);
    }

    #[test]
    fn attributes_that_a_state_lacks_are_removed() {
        let changes = state_changes(Key::Stream(Stream::User), &State::default(), at("2024-05-01T12:00:00Z"));
        assert_eq!(changes.len(), 11);
        assert!(changes.iter().all(|(_, value)| value.is_none()), "{changes:?}");
    }

    #[test]
    fn only_complete_backfills_plans_and_redrives_expire() {
        let expires = |pk: &str, complete: bool| {
            let state = State { complete, ..State::default() };
            attributes(pk, &state, &destination()).remove(EXPIRES_AT).map(|value| value.as_n().unwrap().clone())
        };
        let ninety_days_on = Some(at("2024-07-30T12:00:00Z").as_second().to_string());
        assert_eq!(expires(BACKFILL, true), ninety_days_on);
        assert_eq!(expires("redrive#user", true), ninety_days_on);
        assert_eq!(expires(BACKFILL, false), None);
        assert_eq!(expires("stream#user", true), None);
    }

    #[test]
    fn the_largest_item_is_below_4_kilobytes() {
        // Counts like DynamoDB: names and values in UTF-8, one byte for two digits of a number plus one, 3 bytes for a
        // map or list, and 1 byte for each of its entries.
        fn size(attributes: &Attributes) -> usize {
            let value = |value: &AttributeValue| match value {
                AttributeValue::S(text) => text.len(),
                AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
                AttributeValue::M(map) => 3 + size(map),
                AttributeValue::L(numbers) => 3 + 8 * numbers.len(),
                _ => 1,
            };
            attributes.iter().map(|(name, attribute)| name.len() + 1 + value(attribute)).sum()
        }
        let widest = Destination {
            host: "h".repeat(253),
            namespace: Namespace::new(&"n".repeat(100)).unwrap(),
            account: AccountNumber::new(&"9".repeat(20)).unwrap(),
            cluster_uuid: Some("u".repeat(22)),
        };
        let bytes = size(&attributes(BACKFILL, &full(snapshot(Some(u64::MAX))), &widest));
        assert!(bytes < 4_096, "{bytes}");
    }

    #[test]
    fn an_unknown_attribute_changes_nothing() {
        let mut attributes = attributes("stream#user", &full(window()), &destination());
        let known = Item::read(&attributes, "checkpoints").unwrap();
        attributes.insert("of_a_newer_version".into(), AttributeValue::Bool(true));
        assert_eq!(Item::read(&attributes, "checkpoints").unwrap(), known);
    }

    #[test]
    fn an_item_with_an_unknown_key_is_ignored() {
        let mut attributes = attributes("stream#user", &State::default(), &destination());
        attributes.insert(PK.into(), text("account#7#streams#user"));
        assert_eq!(Item::read(&attributes, "checkpoints").unwrap(), None);
    }

    #[test]
    fn an_unreadable_attribute_is_named_and_does_not_count_as_absent() {
        let inside = |map: &'static str, name: &'static str, value: AttributeValue| {
            broken(|item| {
                let AttributeValue::M(map) = item.get_mut(map).unwrap() else { panic!("no map") };
                map.insert(name.into(), value.clone());
            })
        };
        let set = |name: &'static str, value: AttributeValue| {
            broken(|item| {
                item.insert(name.into(), value.clone());
            })
        };
        assert_eq!(set("watermark", text("yesterday")), "stream#user watermark");
        assert_eq!(set("watermark", number(1_714_564_800)), "stream#user watermark");
        assert_eq!(set("complete", text("yes")), "stream#user complete");
        assert_eq!(set("unfinished", text("window")), "stream#user unfinished");
        assert_eq!(inside("unfinished", "kind", text("page")), "stream#user unfinished.kind");
        assert_eq!(inside("unfinished", "page_index", number(-1)), "stream#user unfinished.page_index");
        assert_eq!(inside("lease", "expires", text("soon")), "stream#user lease.expires");
        assert_eq!(inside("destination", "account", text("seven")), "stream#user destination.account");
        assert_eq!(inside("destination", "cluster_uuid", number(7)), "stream#user destination.cluster_uuid");
        assert_eq!(broken(|item| drop(item.remove(DESTINATION))), "stream#user destination");
        assert_eq!(broken(|item| drop(item.remove(VERSION))), "stream#user version");
    }

    #[test]
    fn a_lease_is_free_for_its_own_request_and_once_it_has_expired() {
        let item = Item::read(&attributes("stream#user", &State::default(), &destination()), "checkpoints");
        let mut item = item.unwrap().unwrap();
        let (before, end) = (at("2024-05-01T12:00:59.999Z"), at("2024-05-01T12:01:00Z"));
        assert_eq!(item.busy_until("another", before), Some(end));
        assert_eq!(item.busy_until("another", end), None);
        assert_eq!(item.busy_until("request", before), None);
        item.lease = None;
        assert_eq!(item.busy_until("another", before), None);
    }
}
