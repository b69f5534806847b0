//! Checkpoints and their lease in a real table.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use lastpass_elastic::checkpoint::{
    Acquired, Destination, Error, Holder, Item, Key, LastRun, Lease, Reset, SnapshotPosition, State, Store, Unfinished,
    WindowPosition, load_resumable,
};
use lastpass_elastic::clock::Deadline;
use lastpass_elastic::counters::Counters;
use lastpass_elastic::document::{AccountNumber, Namespace, Stream};
use lastpass_elastic::request::Window;
use lastpass_harness::{Aws, unique};

use crate::aws_emulator;
use crate::aws_faults::{Fault, Proxy};
use crate::stage::services;

const KEY: Key = Key::Stream(Stream::EventReport);
const UPDATE: &str = "UpdateItem";
const THROTTLED: Fault =
    Fault::Answer { status: 400, code: "ProvisionedThroughputExceededException", message: "too much" };

/// A separate table, created as in `template.yaml`.
struct Table {
    config: SdkConfig,
    client: Client,
    aws: Aws,
    name: String,
}

impl Table {
    /// `None` if there is no emulator.
    async fn make() -> Option<Self> {
        let config = aws_emulator::config().await?;
        let (client, aws, name) = (Client::new(&config), services().await?.aws, unique("checkpoints"));
        aws.create_table(&name).await.unwrap();
        Some(Self { config, client, aws, name })
    }

    fn store(&self) -> Store {
        Store::new(&self.client, self.name.clone(), destination("cluster.example"), soon())
    }

    fn store_of(&self, destination: Destination) -> Store {
        Store::new(&self.client, self.name.clone(), destination, soon())
    }

    /// Returns a store behind a fault-injecting proxy.
    async fn store_behind_proxy(&self) -> (Store, Proxy) {
        self.store_behind_proxy_until(soon()).await
    }

    async fn client_behind_proxy(&self) -> (Client, Proxy) {
        let proxy = Proxy::start(&self.config).await;
        // Set for this service, because its URL in the environment takes precedence over the general one.
        let config = aws_sdk_dynamodb::config::Builder::from(&self.config).endpoint_url(&proxy.url);
        (Client::from_conf(config.build()), proxy)
    }

    async fn store_behind_proxy_until(&self, deadline: Deadline) -> (Store, Proxy) {
        let (client, proxy) = self.client_behind_proxy().await;
        (Store::new(&client, self.name.clone(), destination("cluster.example"), deadline), proxy)
    }

    /// Sets one attribute directly, as a user could in the console.
    async fn set(&self, key: Key, name: &str, value: AttributeValue) {
        self.aws.set_attribute(&self.name, &key.to_string(), name, value).await.unwrap();
    }

    async fn attribute(&self, key: Key, name: &str) -> Option<AttributeValue> {
        self.aws.items(&self.name).await.unwrap().remove(&key.to_string())?.remove(name)
    }

    async fn delete(&self, key: Key) {
        self.aws.delete_item(&self.name, &key.to_string()).await.unwrap();
    }

    async fn version(&self, key: Key) -> u64 {
        self.attribute(key, "version").await.unwrap().as_n().unwrap().parse().unwrap()
    }
}

fn destination(host: &str) -> Destination {
    Destination {
        host: host.to_owned(),
        namespace: Namespace::new("default").unwrap(),
        account: AccountNumber::new("1234567").unwrap(),
        cluster_uuid: Some("first".to_owned()),
    }
}

fn now() -> Timestamp {
    "2024-05-01T12:00:00Z".parse().unwrap()
}

fn later(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

/// Returns the latest time at which a lease may expire: the end of Lambda's longest run from [`now`], plus 5 s.
fn latest_expiry() -> Timestamp {
    later(905)
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

fn state(watermark_seconds: i64) -> State {
    State { watermark: Some(later(watermark_seconds)), ..State::default() }
}

async fn acquire(store: &Store, request_id: &str, at: Timestamp) -> Result<Acquired, Error> {
    store.acquire(KEY, request_id, at, latest_expiry()).await
}

async fn hold(store: &Store, request_id: &str, at: Timestamp) -> Box<Lease> {
    match acquire(store, request_id, at).await.unwrap() {
        Acquired::Held(lease) => lease,
        Acquired::Busy { expires } => panic!("busy until {expires}"),
    }
}

async fn stored(store: &Store) -> Item {
    store.load(KEY).await.unwrap().unwrap()
}

/// Creates a table, or returns from the test if there is no emulator.
macro_rules! table {
    () => {
        match Table::make().await {
            Some(table) => table,
            None => return,
        }
    };
}

#[tokio::test]
async fn the_next_run_finds_what_a_run_saved() {
    let table = table!();
    let store = table.store();
    assert_eq!(store.load(KEY).await.unwrap(), None);

    let lease = hold(&store, "first", now()).await;
    assert_eq!((lease.key(), lease.state()), (KEY, State::default()));
    let saved = State {
        watermark: Some(later(-60)),
        unfinished: Some(Unfinished::Window(WindowPosition {
            from: later(-600),
            to: later(0),
            position: later(-300),
            alert: false,
        })),
        reread_at: Some(later(-3_600)),
        zone_polls: vec![(later(-30), later(-29)), (later(-27), later(-26))],
        last_run: Some(LastRun {
            finished_at: later(5),
            status: "partial".into(),
            error_type: None,
            request_id: "first".into(),
            counters: Counters { fetched: 6, created: 3, duplicates: 2, dead_letters: 1, late: 1 },
        }),
        complete: false,
        snapshot: None,
        comparison: None,
        events: 70_000,
        slice_starts: vec![later(-900), later(-1_800)],
    };
    lease.save(saved.clone(), later(5)).await.unwrap();
    assert_eq!(lease.state(), saved);
    let item = stored(&store).await;
    assert_eq!((&item.state, &item.destination), (&saved, &destination("cluster.example")));
    assert_eq!(item.lease, Some(Holder { request_id: "first".into(), expires: later(65) }));

    let unfinished = Unfinished::Snapshot(SnapshotPosition {
        scheduled_time: later(0),
        timestamp: Some(later(1)),
        pass: 2,
        page_index: 3,
        page_size: Some(2_000),
        read: 6_000,
        total: None,
        seen: 18_446_744_073_709_551_615,
        seen_before: None,
    });
    let released = State { unfinished: Some(unfinished), reread_at: None, ..saved };
    lease.release(released.clone(), later(6)).await.unwrap();
    let item = stored(&store).await;
    assert_eq!((&item.state, &item.lease), (&released, &None));
    assert_eq!(hold(&store, "second", later(7)).await.state(), released);
}

#[tokio::test]
async fn only_one_of_several_concurrent_runs_gets_the_lease() {
    let table = table!();
    let store = table.store();
    for round in 0..3 {
        let names = [0, 1, 2, 3, 4].map(|run| format!("{round}-{run}"));
        let runs = join_all(names.iter().map(|name| acquire(&store, name, later(100 * round)))).await;
        let (held, busy): (Vec<_>, Vec<_>) =
            runs.into_iter().map(Result::unwrap).partition(|run| matches!(run, Acquired::Held(_)));
        assert_eq!(held.len(), 1, "round {round}");
        for run in busy {
            assert!(matches!(run, Acquired::Busy { expires } if expires == later(100 * round + 60)), "{run:?}");
        }
    }
}

#[tokio::test]
async fn the_same_request_takes_its_lease_over_at_once() {
    let table = table!();
    let store = table.store();
    let crashed = hold(&store, "request", now()).await;
    crashed.save(state(-60), now()).await.unwrap();
    let again = hold(&store, "request", later(1)).await;
    assert_eq!(again.state(), state(-60));
    // If the first owner is still running, its token distinguishes it.
    let error = crashed.save(state(0), later(2)).await.unwrap_err();
    assert!(error.is_lease_lost(), "{error}");
    again.save(state(-30), later(3)).await.unwrap();
}

#[tokio::test]
async fn an_expired_lease_is_taken_over_and_its_owner_changes_nothing_more() {
    let table = table!();
    let store = table.store();
    let old = hold(&store, "old", now()).await;
    old.save(state(-60), later(10)).await.unwrap();
    assert!(matches!(acquire(&store, "new", later(69)).await.unwrap(), Acquired::Busy { .. }));
    let new = hold(&store, "new", later(70)).await;
    assert_eq!(new.state(), state(-60));
    new.save(state(-30), later(71)).await.unwrap();

    for error in [
        old.save(state(-50), later(72)).await.unwrap_err(),
        old.renew(later(73)).await.unwrap_err(),
        old.release(state(-40), later(74)).await.unwrap_err(),
    ] {
        assert!(matches!(&error, Error::LeaseLost { expires: Some(at), .. } if *at == later(131)), "{error:?}");
    }
    let item = stored(&store).await;
    assert_eq!(item.state, state(-30));
    assert_eq!(item.lease.unwrap().request_id, "new");
}

#[tokio::test]
async fn an_expired_lease_is_still_its_owners_until_another_run_takes_it() {
    let table = table!();
    let store = table.store();
    let lease = hold(&store, "slow", now()).await;
    lease.save(state(-60), later(300)).await.unwrap();
    assert_eq!(stored(&store).await.lease.unwrap().expires, later(360));
}

#[tokio::test]
async fn a_lease_never_outlives_its_run() {
    let table = table!();
    let store = table.store();
    let Acquired::Held(lease) = store.acquire(KEY, "short", now(), later(20)).await.unwrap() else { panic!("busy") };
    assert_eq!(stored(&store).await.lease.unwrap().expires, later(20));
    lease.renew(later(10)).await.unwrap();
    assert_eq!(stored(&store).await.lease.unwrap().expires, later(20));
    assert!(matches!(acquire(&store, "next", later(20)).await.unwrap(), Acquired::Held(_)));
}

#[tokio::test]
async fn a_late_renewal_does_not_shorten_the_lease() {
    let table = table!();
    let store = table.store();
    let lease = hold(&store, "run", now()).await;
    lease.save(state(0), later(30)).await.unwrap();
    lease.renew(later(20)).await.unwrap();
    assert_eq!(stored(&store).await.lease.unwrap().expires, later(90));
}

#[tokio::test]
async fn renewals_and_saves_at_once_all_succeed() {
    let table = table!();
    let store = table.store();
    let lease = hold(&store, "run", now()).await;
    let renewals = join_all((1..=10).map(|second| lease.renew(later(second))));
    let saves = async {
        for second in 1..=10 {
            lease.save(state(second), later(second)).await.unwrap();
        }
    };
    let (renewals, ()) = tokio::join!(renewals, saves);
    assert!(renewals.iter().all(Result::is_ok), "{renewals:?}");
    assert_eq!((stored(&store).await.state, lease.state()), (state(10), state(10)));
    assert_eq!(table.version(KEY).await, 21);
}

#[tokio::test]
async fn a_write_whose_response_was_lost_takes_effect_once() {
    let table = table!();
    let mut version = 0;
    for fault in [Fault::CutAfter, Fault::CutInAnswer] {
        let (store, proxy) = table.store_behind_proxy().await;
        // An item that does not exist yet takes two writes: the first finds that out.
        let is_new = version == 0;
        let mut done_once = async || {
            version += 1;
            assert_eq!(table.version(KEY).await, version, "{fault:?}");
        };
        proxy.order(UPDATE, if is_new { vec![Fault::Pass, fault] } else { vec![fault] });
        let lease = hold(&store, "run", now()).await;
        done_once().await;
        proxy.order(UPDATE, [fault]);
        lease.save(state(1), later(1)).await.unwrap();
        done_once().await;
        proxy.order(UPDATE, [fault]);
        lease.renew(later(2)).await.unwrap();
        done_once().await;
        proxy.order(UPDATE, [fault]);
        lease.release(state(2), later(3)).await.unwrap();
        done_once().await;
        let writes = 8 + usize::from(is_new);
        assert_eq!(proxy.count(UPDATE), writes, "{fault:?}: each write was to be repeated");
        let item = stored(&store).await;
        assert_eq!((item.state, item.lease), (state(2), None), "{fault:?}");
    }
}

#[tokio::test]
async fn a_write_without_a_response_is_retried() {
    let table = table!();
    let (store, proxy) = table.store_behind_proxy().await;
    let lease = hold(&store, "run", now()).await;
    proxy.order(UPDATE, [Fault::Stall]);
    lease.save(state(1), later(1)).await.unwrap();
    // Two writes take the lease of a new item, and two save.
    assert_eq!((proxy.count(UPDATE), table.version(KEY).await), (4, 2));
}

#[tokio::test]
async fn an_abandoned_write_does_not_lose_the_lease() {
    let table = table!();
    let (store, proxy) = table.store_behind_proxy().await;
    let lease = hold(&store, "run", now()).await;

    // The deadline passes first, but the write takes effect.
    proxy.order(UPDATE, [Fault::Stall]);
    let lease = lease.with_deadline(Deadline::after(Duration::from_millis(500)));
    let error = lease.save(state(1), later(1)).await.unwrap_err();
    assert_eq!(error.error_type(), "Checkpoint.Unreachable");
    assert_eq!((lease.state(), stored(&store).await.state), (State::default(), state(1)));

    // The timer drops the future while its write is in progress.
    let lease = lease.with_deadline(soon());
    proxy.order(UPDATE, [Fault::Stall]);
    let dropped = tokio::time::timeout(Duration::from_millis(500), lease.renew(later(2))).await;
    assert!(dropped.is_err());

    lease.save(state(3), later(3)).await.unwrap();
    assert_eq!(stored(&store).await.state, state(3));
    lease.release(state(4), later(4)).await.unwrap();
    assert_eq!(stored(&store).await.state, state(4));
}

#[tokio::test]
async fn a_late_write_does_not_undo_a_newer_one() {
    let table = table!();
    let (store, proxy) = table.store_behind_proxy().await;
    let lease = hold(&store, "run", now()).await;
    proxy.order(UPDATE, [Fault::Hold]);
    let lease = lease.with_deadline(Deadline::after(Duration::from_millis(300)));
    lease.save(state(1), later(1)).await.unwrap_err();
    let lease = lease.with_deadline(soon());
    lease.save(state(2), later(2)).await.unwrap();
    proxy.let_go().await;
    assert_eq!((stored(&store).await.state, table.version(KEY).await), (state(2), 2));
}

#[tokio::test]
async fn a_recreated_item_is_not_mistaken_for_the_deleted_one() {
    let table = table!();
    let (store, proxy) = table.store_behind_proxy().await;
    let other = table.store();
    // The lease of the deleted item has a version that the new item also has.
    let old = hold(&store, "old", now()).await;
    table.delete(KEY).await;
    let new = hold(&other, "new", now()).await;
    assert_eq!(table.version(KEY).await, 1);
    let error = old.save(state(1), later(1)).await.unwrap_err();
    assert!(error.is_lease_lost(), "{error}");

    // An acquisition reads the item, and writes only after the item was deleted and created again.
    new.release(state(2), later(1)).await.unwrap();
    proxy.order(UPDATE, [Fault::Hold]);
    let mut attempt = Box::pin(acquire(&store, "late", later(2)));
    let seen = proxy.count(UPDATE);
    tokio::select! {
        _ = &mut attempt => panic!("nothing was kept back"),
        () = async { while proxy.count(UPDATE) == seen { tokio::task::yield_now().await } } => {}
    }
    drop(attempt);
    table.delete(KEY).await;
    let new = hold(&other, "new", later(3)).await;
    new.save(state(3), later(3)).await.unwrap();
    assert_eq!(table.version(KEY).await, 2);
    proxy.let_go().await;
    assert_eq!(stored(&store).await.lease.unwrap().request_id, "new");
}

#[tokio::test]
async fn another_run_between_read_and_write_is_noticed() {
    let table = table!();
    let (store, proxy) = table.store_behind_proxy().await;
    hold(&store, "old", now()).await.release(state(1), now()).await.unwrap();

    // While the first attempt is retried, another run acquires and releases the lease; then another one keeps it.
    proxy.order(UPDATE, [Fault::CutBefore; 4]);
    let other = table.store();
    let meanwhile = async {
        while proxy.count(UPDATE) < 3 {
            tokio::task::yield_now().await;
        }
        hold(&other, "other", later(1)).await.release(state(2), later(1)).await.unwrap();
    };
    let (lease, ()) = tokio::join!(hold(&store, "run", later(2)), meanwhile);
    assert_eq!(lease.state(), state(2));
    lease.release(state(3), later(3)).await.unwrap();

    let seen = proxy.count(UPDATE);
    proxy.order(UPDATE, [Fault::CutBefore; 3]);
    let meanwhile = async {
        while proxy.count(UPDATE) < seen + 1 {
            tokio::task::yield_now().await;
        }
        hold(&other, "other", later(4)).await
    };
    let (run, _other) = tokio::join!(acquire(&store, "run", later(4)), meanwhile);
    assert!(matches!(run, Ok(Acquired::Busy { expires }) if expires == later(64)), "{run:?}");
}

#[tokio::test]
async fn throttling_and_server_errors_are_retried() {
    let table = table!();
    let (store, proxy) = table.store_behind_proxy().await;
    let broken = Fault::Answer { status: 500, code: "InternalServerError", message: "sorry" };
    proxy.order(UPDATE, [THROTTLED, broken, Fault::CutBefore, Fault::Page]);
    hold(&store, "run", now()).await;
    // Two writes take the lease of a new item, after four failed ones.
    assert_eq!((proxy.count("GetItem"), proxy.count(UPDATE)), (0, 6));
    proxy.order("GetItem", [THROTTLED, broken, Fault::CutBefore, Fault::Page]);
    assert!(store.load(KEY).await.unwrap().is_some());
    assert_eq!(proxy.count("GetItem"), 5);
    proxy.order("Scan", [THROTTLED]);
    assert_eq!(store.list().await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn retries_end_at_the_deadline() {
    let table = table!();
    let (store, proxy) = table.store_behind_proxy_until(Deadline::after(Duration::from_secs(1))).await;
    proxy.order("GetItem", [THROTTLED; 100]);
    let begun = std::time::Instant::now();
    let error = store.load(KEY).await.unwrap_err();
    // The deadline is after a second. Without it, the call would be retried for a minute.
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(error.error_type(), "Checkpoint.Unreachable");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "ProvisionedThroughputExceededException: too much");
}

#[tokio::test]
async fn a_missing_permission_is_reported_without_a_retry() {
    let table = table!();
    let (store, proxy) = table.store_behind_proxy().await;
    let denied = Fault::Answer { status: 400, code: "AccessDeniedException", message: "not authorized" };
    proxy.order(UPDATE, [denied]);
    let error = acquire(&store, "run", now()).await.unwrap_err();
    assert_eq!(error.error_type(), "Checkpoint.Forbidden");
    assert!(error.to_string().contains("`dynamodb:UpdateItem`"), "{error}");
    assert_eq!(proxy.count(UPDATE), 1);
    assert_eq!(store.load(KEY).await.unwrap(), None);
}

#[tokio::test]
async fn a_missing_table_is_named() {
    let table = table!();
    let store = Store::new(&table.client, "no-such-table".into(), destination("cluster.example"), soon());
    let error = acquire(&store, "run", now()).await.unwrap_err();
    assert!(matches!(&error, Error::TableMissing { table, .. } if table == "no-such-table"), "{error:?}");
    assert!(error.to_string().contains("CHECKPOINT_TABLE"), "{error}");
}

#[tokio::test]
async fn another_cluster_namespace_or_account_stops_and_changes_nothing() {
    let table = table!();
    hold(&table.store(), "run", now()).await.release(state(1), now()).await.unwrap();
    let same = destination("cluster.example");
    for changed in [
        destination("other.example"),
        Destination { namespace: Namespace::new("prod").unwrap(), ..same.clone() },
        Destination { account: AccountNumber::new("7").unwrap(), ..same.clone() },
        Destination { cluster_uuid: Some("second".into()), ..same.clone() },
    ] {
        let error = acquire(&table.store_of(changed.clone()), "run", later(1)).await.unwrap_err();
        match error {
            Error::DestinationChanged { pk, stored, now, .. } => {
                assert_eq!((pk.key, *stored, *now), (KEY, same.clone(), changed));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(table.version(KEY).await, 2);
    assert_eq!(hold(&table.store(), "run", later(2)).await.state(), state(1));
}

#[tokio::test]
async fn a_checkpoint_without_a_cluster_uuid_stores_and_keeps_the_first_one() {
    let table = table!();
    let of_cluster = |uuid: Option<&str>| {
        table.store_of(Destination { cluster_uuid: uuid.map(str::to_owned), ..destination("cluster.example") })
    };
    let learned = async |uuid: Option<&str>, second| {
        hold(&of_cluster(uuid), "run", later(second)).await.release(state(1), later(second)).await.unwrap();
        stored(&of_cluster(uuid)).await.destination.cluster_uuid
    };
    assert_eq!(learned(None, 0).await, None);
    assert_eq!(learned(Some("first"), 1).await.as_deref(), Some("first"));
    assert_eq!(learned(None, 2).await.as_deref(), Some("first"));
    let error = acquire(&of_cluster(Some("second")), "run", later(3)).await.unwrap_err();
    assert!(error.to_string().contains("another cluster now responds at this host"), "{error}");
    of_cluster(Some("second")).reset(KEY, Some(later(0)), "reset", later(4)).await.unwrap();
    assert_eq!(learned(Some("second"), 5).await.as_deref(), Some("second"));
}

#[tokio::test]
async fn a_complete_backfill_restarts_for_another_cluster_and_an_unfinished_one_stops() {
    let table = table!();
    let key = Key::Backfill(Window { from: later(-900), to: later(0) });
    let new = table.store_of(destination("new.example"));
    let unfinished =
        Unfinished::Window(WindowPosition { from: later(-900), to: later(0), position: later(-500), alert: true });
    let cut = State { unfinished: Some(unfinished), ..State::default() };
    let done = State { complete: true, ..cut.clone() };
    for (left, stops) in [(cut, true), (done, false)] {
        let Acquired::Held(lease) = table.store().acquire(key, "old", now(), latest_expiry()).await.unwrap() else {
            panic!("busy")
        };
        lease.release(left, now()).await.unwrap();
        match new.acquire(key, "new", later(1), latest_expiry()).await {
            Err(Error::DestinationChanged { .. }) => assert!(stops),
            Ok(Acquired::Held(lease)) => {
                assert!(!stops);
                assert_eq!(lease.state(), State::default());
                let item = new.load(key).await.unwrap().unwrap();
                assert_eq!((item.state, item.destination), (State::default(), destination("new.example")));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_complete_backfill_is_kept_for_ninety_days_but_not_deleted_under_a_run() {
    let table = table!();
    let store = table.store();
    let key = Key::Backfill(Window { from: later(-900), to: later(0) });
    let again = async |at| match store.acquire(key, "run", at, latest_expiry()).await.unwrap() {
        Acquired::Held(lease) => lease,
        Acquired::Busy { .. } => panic!("busy"),
    };
    let lease = again(now()).await;
    lease.save(State::default(), now()).await.unwrap();
    assert_eq!(table.attribute(key, "expires_at").await, None);
    let complete = State { complete: true, ..State::default() };
    lease.release(complete.clone(), now()).await.unwrap();
    let at = later(90 * 24 * 3_600).as_second().to_string();
    assert_eq!(table.attribute(key, "expires_at").await, Some(AttributeValue::N(at)));

    let lease = again(later(100)).await;
    assert_eq!(lease.state(), complete);
    assert_eq!(table.attribute(key, "expires_at").await, None);
}

#[tokio::test]
async fn a_deleted_item_is_not_recreated_by_its_old_owner() {
    let table = table!();
    let store = table.store();
    let lease = hold(&store, "run", now()).await;
    table.delete(KEY).await;
    let error = lease.save(state(1), later(1)).await.unwrap_err();
    assert!(matches!(error, Error::LeaseLost { expires: None, .. }), "{error:?}");
    assert_eq!(store.load(KEY).await.unwrap(), None);
}

#[tokio::test]
async fn attributes_of_a_newer_version_stay() {
    let table = table!();
    let store = table.store();
    let lease = hold(&store, "run", now()).await;
    let newer = AttributeValue::S("of a newer version".into());
    table.set(KEY, "newer", newer.clone()).await;
    lease.save(state(1), later(1)).await.unwrap();
    lease.release(state(2), later(2)).await.unwrap();
    hold(&store, "next", later(3)).await;
    assert_eq!(table.attribute(KEY, "newer").await, Some(newer));
}

#[tokio::test]
async fn a_broken_item_is_named_and_does_not_block_the_others() {
    let table = table!();
    let store = table.store();
    hold(&store, "run", now()).await.release(state(1), now()).await.unwrap();
    let user = Key::Stream(Stream::User);
    store.acquire(user, "run", now(), latest_expiry()).await.unwrap();
    table.set(KEY, "watermark", AttributeValue::S("yesterday".into())).await;

    let is_broken = |error: &Error| matches!(error, Error::Broken { pk, attribute, .. } if pk == "stream#event_report" && attribute == "watermark");
    let error = acquire(&store, "run", later(1)).await.unwrap_err();
    assert!(is_broken(&error), "{error:?}");
    let listing = store.list().await.unwrap();
    assert_eq!(listing.items.iter().map(|item| item.key).collect::<Vec<_>>(), [user]);
    assert!(listing.broken.len() == 1 && is_broken(&listing.broken[0]), "{:?}", listing.broken);
    // The fields were not treated as missing and overwritten.
    let watermark = table.attribute(KEY, "watermark").await;
    assert_eq!(watermark, Some(AttributeValue::S("yesterday".into())));
}

#[tokio::test]
async fn all_pages_of_a_large_table_are_listed() {
    let table = table!();
    let (store, proxy) = table.store_behind_proxy().await;
    for day in 0..8 {
        let (from, to) = (later(86_400 * day), later(86_400 * (day + 1)));
        let key = Key::Backfill(Window { from, to });
        store.acquire(key, "run", now(), latest_expiry()).await.unwrap();
        table.set(key, "newer", AttributeValue::S("x".repeat(300_000))).await;
    }
    assert_eq!(store.list().await.unwrap().items.len(), 8);
    assert!(proxy.count("Scan") > 1, "the table is too small for a second page");
}

#[tokio::test]
async fn keys_that_dynamodb_leaves_unprocessed_are_requested_again() {
    let table = table!();
    let store = table.store();
    let user = Key::Stream(Stream::User);
    let backfill = Key::Backfill(Window { from: later(-900), to: later(0) });
    for key in [KEY, user, backfill] {
        store.acquire(key, "run", now(), latest_expiry()).await.unwrap();
    }
    store.add_to_unfinished(backfill).await.unwrap();

    let (client, proxy) = table.client_behind_proxy().await;
    proxy.order("BatchGetItem", [Fault::Unprocessed]);
    let listing = load_resumable(&client, table.name.clone(), None, soon()).await.unwrap();
    let mut keys: Vec<_> = listing.items.iter().map(|item| item.key.to_string()).collect();
    keys.sort_unstable();
    assert_eq!(keys, [backfill, KEY, user].map(|key| key.to_string()));
    // One request for the backfills, and two for the other items.
    assert_eq!(proxy.count("BatchGetItem"), 3);
}

#[tokio::test]
async fn a_reset_sets_watermark_and_destination_unless_a_run_is_in_progress() {
    let table = table!();
    let old = table.store();
    let lease = hold(&old, "run", now()).await;
    let new = table.store_of(destination("new.example"));
    let reset = async |at| new.reset(KEY, Some(later(-100)), "reset", at).await.unwrap();
    assert_eq!(reset(later(1)).await, Reset::Busy { expires: later(60) });

    let unfinished =
        Unfinished::Window(WindowPosition { from: later(-900), to: later(0), position: later(-500), alert: true });
    let left = State { unfinished: Some(unfinished), ..state(-10) };
    lease.release(left.clone(), later(2)).await.unwrap();
    match reset(later(3)).await {
        Reset::Done { before: Some(before) } => {
            assert_eq!((before.state, before.destination), (left, destination("cluster.example")))
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(hold(&new, "run", later(4)).await.state(), state(-100));
}
