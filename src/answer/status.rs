//! The answer to `status`.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::Serialize;

use super::ChangesAnswer;
use crate::{
    checkpoint::{Item, Key, LastRun, Listing, SnapshotPosition, Unfinished, WindowPosition},
    document::{AccountName, Stream},
    request::Window,
};

/// The answer to `status` of one account.
#[derive(Debug, Serialize)]
pub struct StatusAnswer {
    action: &'static str,
    #[serde(flatten)]
    account: AccountStatus,
    /// Why checkpoints cannot be read. Runs of their streams fail until the items are fixed.
    unreadable: Vec<String>,
    /// Dead letters whose document is still missing. `None` if Elasticsearch could not be queried.
    dead_letters: Option<u64>,
}

/// The answer to `status` of all accounts.
#[derive(Debug, Serialize)]
pub struct AccountsStatusAnswer {
    action: &'static str,
    /// The accounts that have checkpoints.
    accounts: BTreeMap<AccountName, AccountStatus>,
    /// The same as in [`StatusAnswer`].
    unreadable: Vec<String>,
    /// Always `None`, because counting them needs the credentials of each account.
    dead_letters: Option<u64>,
}

#[derive(Debug, Serialize)]
struct AccountStatus {
    streams: BTreeMap<Stream, StreamStatus>,
    /// The backfills. The slices of one plan are one backfill.
    backfills: Vec<BackfillStatus>,
    /// The redrives that are not complete.
    redrives: Vec<RedriveStatus>,
}

#[derive(Debug, Default, Serialize)]
struct StreamStatus {
    watermark: Option<Timestamp>,
    lag_seconds: Option<i64>,
    unfinished: Option<UnfinishedStatus>,
    lease_expires: Option<Timestamp>,
    last_run: Option<LastRun>,
    /// Snapshots: the comparison of the last complete one with the one before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<ChangesAnswer>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum UnfinishedStatus {
    Window { window: Window, position: Timestamp },
    Snapshot { scheduled_time: Timestamp, page_index: u32, read: u64, total: Option<u64> },
}

#[derive(Debug, Serialize)]
struct BackfillStatus {
    #[serde(flatten)]
    window: Window,
    position: Option<Timestamp>,
    status: &'static str,
    /// How many events of the range are acknowledged.
    events: u64,
    lease_expires: Option<Timestamp>,
    last_run: Option<LastRun>,
    /// The slices, if the range was split.
    slices: Option<SlicesStatus>,
}

#[derive(Debug, Serialize)]
struct SlicesStatus {
    total: usize,
    complete: usize,
    /// The slices that were begun and are not complete, newest first.
    unfinished: Vec<BackfillStatus>,
}

#[derive(Debug, Serialize)]
struct RedriveStatus {
    stream: Stream,
    /// When the most recently delivered dead letters were refused.
    position: Timestamp,
    lease_expires: Option<Timestamp>,
    last_run: Option<LastRun>,
}

impl StatusAnswer {
    /// Builds the answer from the items of the table at `now`.
    #[must_use]
    pub fn new(listing: &Listing, dead_letters: Option<u64>, now: Timestamp) -> Self {
        let items: Vec<&Item> = listing.items.iter().collect();
        Self {
            action: "status",
            account: AccountStatus::new(&items, now),
            unreadable: unreadable(listing),
            dead_letters,
        }
    }
}

impl AccountsStatusAnswer {
    /// Builds the answer from the items of the table at `now`.
    #[must_use]
    pub fn new(listing: &Listing, now: Timestamp) -> Self {
        let mut items: BTreeMap<AccountName, Vec<&Item>> = BTreeMap::new();
        for item in &listing.items {
            if let Some(account) = &item.account {
                items.entry(account.clone()).or_default().push(item);
            }
        }
        let accounts = items.into_iter().map(|(account, items)| (account, AccountStatus::new(&items, now))).collect();
        Self { action: "status", accounts, unreadable: unreadable(listing), dead_letters: None }
    }
}

fn unreadable(listing: &Listing) -> Vec<String> {
    listing.broken.iter().map(ToString::to_string).collect()
}

impl AccountStatus {
    fn new(items: &[&Item], now: Timestamp) -> Self {
        let mut streams: BTreeMap<Stream, StreamStatus> =
            Stream::ALL.into_iter().map(|stream| (stream, StreamStatus::default())).collect();
        let mut backfills = Vec::new();
        let mut redrives = Vec::new();
        // A backfill that a reset abandoned is neither complete nor unfinished.
        let mut begun: HashMap<Window, &Item> = items
            .iter()
            .filter(|item| item.state.complete || item.state.unfinished.is_some())
            .filter_map(|item| match item.key {
                Key::Backfill(window) => Some((window, *item)),
                Key::Stream(_) | Key::Plan(_) | Key::Redrive(_) => None,
            })
            .collect();
        let mut in_plans = Vec::new();
        for item in items {
            match (item.key, item.state.unfinished) {
                (Key::Stream(stream), _) => {
                    streams.insert(stream, stream_status(item, now));
                }
                (Key::Redrive(stream), Some(Unfinished::Redrive { position })) => redrives.push(RedriveStatus {
                    stream,
                    position,
                    lease_expires: lease_expires(item, now),
                    last_run: item.state.last_run.clone(),
                }),
                (Key::Plan(range), _) if !item.state.slice_starts.is_empty() => {
                    let windows = Window::slices(range.to, &item.state.slice_starts);
                    let slices: Vec<Option<&Item>> = windows.iter().map(|slice| begun.get(slice).copied()).collect();
                    backfills.push(planned_status(&slices, range, item.state.complete, now));
                    in_plans.extend(windows);
                }
                (Key::Backfill(_) | Key::Plan(_) | Key::Redrive(_), _) => {}
            }
        }
        for slice in in_plans {
            begun.remove(&slice);
        }
        backfills.extend(begun.into_iter().map(|(window, item)| backfill_status(item, window, now)));
        backfills.sort_by_key(|backfill| backfill.window);
        redrives.sort_by_key(|redrive| redrive.stream);
        Self { streams, backfills, redrives }
    }
}

/// Returns the status of a range that was split into `slices`, newest first. A slice that was not begun is `None`.
fn planned_status(slices: &[Option<&Item>], range: Window, is_whole_plan: bool, now: Timestamp) -> BackfillStatus {
    let begun: Vec<&Item> = slices.iter().flatten().copied().collect();
    let complete = begun.iter().filter(|item| item.state.complete).count();
    let unfinished = begun.iter().filter(|item| !item.state.complete).filter_map(|item| match item.key {
        Key::Backfill(window) => Some(backfill_status(item, window, now)),
        Key::Stream(_) | Key::Plan(_) | Key::Redrive(_) => None,
    });
    let last_runs = begun.iter().filter_map(|item| item.state.last_run.as_ref());
    BackfillStatus {
        window: range,
        position: None,
        status: match complete {
            _ if is_whole_plan && complete == slices.len() => "complete",
            _ if begun.is_empty() => "planned",
            _ => "unfinished",
        },
        events: begun.iter().map(|item| item.state.events).sum(),
        lease_expires: begun.iter().filter_map(|item| lease_expires(item, now)).max(),
        last_run: last_runs.max_by_key(|run| run.finished_at).cloned(),
        slices: Some(SlicesStatus { total: slices.len(), complete, unfinished: unfinished.collect() }),
    }
}

fn lease_expires(item: &Item, now: Timestamp) -> Option<Timestamp> {
    item.lease.as_ref().map(|lease| lease.expires).filter(|expires| *expires > now)
}

fn stream_status(item: &Item, now: Timestamp) -> StreamStatus {
    let state = &item.state;
    StreamStatus {
        watermark: state.watermark,
        lag_seconds: state.watermark.map(|watermark| now.duration_since(watermark).as_secs()),
        unfinished: state.unfinished.and_then(|unfinished| match unfinished {
            Unfinished::Window(WindowPosition { from, to, position, .. }) => {
                Some(UnfinishedStatus::Window { window: Window { from, to }, position })
            }
            Unfinished::Snapshot(SnapshotPosition { scheduled_time, page_index, read, total, .. }) => {
                Some(UnfinishedStatus::Snapshot { scheduled_time, page_index, read, total })
            }
            // A redrive has its own item.
            Unfinished::Redrive { .. } => None,
        }),
        lease_expires: lease_expires(item, now),
        last_run: state.last_run.clone(),
        changes: ChangesAnswer::of(state),
    }
}

fn backfill_status(item: &Item, window: Window, now: Timestamp) -> BackfillStatus {
    BackfillStatus {
        window,
        position: item.state.reached(item.key),
        status: if item.state.complete { "complete" } else { "unfinished" },
        events: item.state.events,
        lease_expires: lease_expires(item, now),
        last_run: item.state.last_run.clone(),
        slices: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        checkpoint::{Destination, State},
        document::{AccountNumber, Namespace},
    };

    const STARTS: [&str; 3] = ["2025-03-01T00:00:00Z", "2025-02-01T00:00:00Z", "2025-01-01T00:00:00Z"];
    const END: &str = "2025-04-01T00:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time of the test")
    }

    fn item(account: Option<&str>, key: Key, state: State) -> Item {
        let destination = Destination {
            host: "es.example".to_owned(),
            namespace: Namespace::new("default").expect("a namespace"),
            account: AccountNumber::new("7").expect("an account number"),
            cluster_uuid: None,
        };
        let mut item = Item::of(key, state, destination);
        item.account = account.map(|name| AccountName::new(name).expect("a name"));
        item
    }

    fn plan(starts: &[&str], complete: bool) -> Item {
        let key = Key::Plan(Window { from: at(STARTS[2]), to: at(END) });
        let slice_starts = starts.iter().map(|start| at(start)).collect();
        item(None, key, State { slice_starts, complete, ..State::default() })
    }

    /// Builds a backfill that has acknowledged `events` events back to `position`. It is complete if that equals `from`.
    fn backfill(from: &str, to: &str, position: &str, events: u64) -> Item {
        let (from, to, position) = (at(from), at(to), at(position));
        let complete = position == from;
        let unfinished = (!complete).then_some(Unfinished::Window(WindowPosition { from, to, position, alert: false }));
        item(None, Key::Backfill(Window { from, to }), State { unfinished, complete, events, ..State::default() })
    }

    fn backfills(items: Vec<Item>) -> Value {
        let listing = Listing { items, broken: Vec::new() };
        let answer = StatusAnswer::new(&listing, Some(0), at("2025-05-01T00:00:00Z"));
        serde_json::to_value(answer).expect("JSON")["backfills"].clone()
    }

    #[test]
    fn a_range_that_was_split_is_one_backfill() {
        let begun = backfill(STARTS[1], STARTS[0], "2025-02-20T00:00:00Z", 30);
        let all = backfills(vec![
            backfill("2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z", "2024-01-01T00:00:00Z", 7),
            plan(&STARTS, true),
            backfill(STARTS[0], END, STARTS[0], 500),
            begun.clone(),
        ]);
        let of = |field: &str| all.as_array().expect("a list").iter().map(|one| one[field].clone()).collect::<Vec<_>>();
        assert_eq!(of("events"), [json!(7), json!(530)], "{all}");
        assert_eq!(of("status"), [json!("complete"), json!("unfinished")], "{all}");
        assert_eq!((&all[1]["from"], &all[1]["to"]), (&json!(STARTS[2]), &json!(END)));
        assert_eq!(all[0]["slices"], Value::Null);
        let alone = backfills(vec![begun])[0].clone();
        assert_eq!(all[1]["slices"], json!({"total": 3, "complete": 1, "unfinished": [alone]}));
    }

    #[test]
    fn a_range_is_complete_once_all_its_slices_are() {
        let slices = |complete: usize| {
            let ends = std::iter::once(END).chain(STARTS);
            STARTS.iter().zip(ends).take(complete).map(|(from, to)| backfill(from, to, from, 10)).collect::<Vec<_>>()
        };
        let status = |complete, plan: Item| {
            let all = backfills(slices(complete).into_iter().chain([plan]).collect());
            assert_eq!(all.as_array().map(Vec::len), Some(1), "{all}");
            all[0]["status"].clone()
        };
        assert_eq!(status(0, plan(&STARTS, true)), "planned");
        assert_eq!(status(1, plan(&STARTS, true)), "unfinished");
        assert_eq!(status(3, plan(&STARTS, true)), "complete");
        assert_eq!(status(2, plan(&STARTS[..2], false)), "unfinished", "the plan continues");
        assert_eq!(backfills(vec![plan(&[], false)]), json!([]));
    }

    #[test]
    fn every_account_has_its_own_streams() {
        let watermark = |text| State { watermark: Some(at(text)), ..State::default() };
        let key = Key::Stream(Stream::EventReport);
        let listing = Listing {
            items: vec![
                item(Some("globex"), key, watermark("2025-04-30T23:00:00Z")),
                item(Some("acme"), key, watermark("2025-04-30T22:00:00Z")),
                item(None, key, watermark("2025-04-30T21:00:00Z")),
            ],
            broken: Vec::new(),
        };
        let answer = AccountsStatusAnswer::new(&listing, at("2025-05-01T00:00:00Z"));
        let answer = serde_json::to_value(answer).expect("JSON");
        let names: Vec<_> = answer["accounts"].as_object().expect("accounts").keys().collect();
        assert_eq!(names, ["acme", "globex"]);
        let lag = |account: &str| answer["accounts"][account]["streams"]["event_report"]["lag_seconds"].clone();
        assert_eq!((lag("acme"), lag("globex")), (json!(7_200), json!(3_600)));
        assert_eq!(answer["dead_letters"], Value::Null);
    }
}
