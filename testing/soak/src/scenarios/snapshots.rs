//! Snapshots of entries that change during the run. The truth is the set of entries that existed during the whole run.

use std::collections::BTreeSet;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use lastpass_harness::{
    Comparison, Error, Fault, Invocation, Moment, Outcome, Rule, StoredDocument, System, compare_folders,
    compare_users, now,
};
use lastpass_simulator::{Command, Entries, PagesCounted, Quirks, World};
use serde_json::{Value, json};

use crate::stage::{CALM, Context, PASSING, Stage, collect};
use crate::tally::Tally;
use crate::worlds::{lastpass_faults, pick, quirks, whole_second};

/// Compares the entries of a snapshot with its documents.
type Compare = fn(&[(String, Value)], &[StoredDocument]) -> Comparison;

/// The differences between the two streams.
struct Kind {
    stream: &'static str,
    command: Command,
    entries: fn(&World) -> &Entries,
    entries_mut: fn(&mut World) -> &mut Entries,
    entry: fn(&mut Rng, usize) -> Value,
    compare: Compare,
}

const USERS: Kind = Kind {
    stream: "user",
    command: Command::GetUserData,
    entries: |world| &world.users,
    entries_mut: |world| &mut world.users,
    entry: |rng, number| {
        json!({"username": format!("user{number}@example.com"), "fullname": format!("User {number}"),
               "disabled": rng.bool(), "mpstrength": rng.u8(..101).to_string(), "groups": ["Ops"]})
    },
    compare: compare_users,
};

const FOLDERS: Kind = Kind {
    stream: "detailed_shared_folder",
    command: Command::GetDetailedSfData,
    entries: |world| &world.folders,
    entries_mut: |world| &mut world.folders,
    entry: |rng, number| {
        let users: Vec<Value> = (0..rng.usize(..3))
            .map(|user| json!({"username": format!("user{user}@example.com"), "readonly": 1, "sites": ["a.example"]}))
            .collect();
        json!({"sharedfoldername": format!("Folder {number}"), "score": rng.u8(..101), "users": users})
    },
    compare: compare_folders,
};

pub async fn changing_users(context: Context) -> Result<Tally, Error> {
    let mut rng = context.rng();
    let quirks = Quirks {
        user_page_cap: *pick(&mut rng, &[40, 100, 2_000]),
        pages_counted: *pick(&mut rng, &[PagesCounted::Given, PagesCounted::Asked]),
        totals_absent: rng.bool(),
        ..quirks(&mut rng, 10_000)
    };
    changing(context, &USERS, rng, quirks, 300).await
}

pub async fn changing_folders(context: Context) -> Result<Tally, Error> {
    let mut rng = context.rng();
    let quirks = Quirks {
        folder_page_cap: *pick(&mut rng, &[None, Some(100), Some(499), Some(1_099)]),
        pages_counted: *pick(&mut rng, &[PagesCounted::Given, PagesCounted::Asked]),
        ..quirks(&mut rng, 10_000)
    };
    changing(context, &FOLDERS, rng, quirks, 1_100).await
}

async fn changing(
    context: Context,
    kind: &'static Kind,
    mut rng: Rng,
    quirks: Quirks,
    entries: usize,
) -> Result<Tally, Error> {
    let mut world = World::default();
    for number in 0..entries {
        (kind.entries_mut)(&mut world).put(number.to_string(), (kind.entry)(&mut rng, number));
    }
    let mut stage = context.stage(world, quirks).await?;
    for snapshot in 0..2 {
        let scheduled_time = whole_second(now() - SignedDuration::from_mins(2 - snapshot));
        read_one(&mut stage, kind, &mut rng, scheduled_time).await?;
    }
    stage.end().await
}

async fn read_one(
    stage: &mut Stage,
    kind: &'static Kind,
    rng: &mut Rng,
    scheduled_time: Timestamp,
) -> Result<(), Error> {
    let simulator = stage.installation.simulator.clone();
    let (begun, first_request) = (now(), simulator.last_request() + 1);
    for _ in 0..rng.usize(..4) {
        let mut chance = rng.fork();
        simulator.after_page(kind.command, rng.u64(1..5), move |world| change(kind, world, &mut chance));
    }
    let mut function = stage.function().await;
    if rng.bool() {
        simulator.add_fault(lastpass_faults(rng));
    }
    stage.may_be_killed = true;
    if rng.bool() {
        let moment = *pick(rng, &[Moment::Before, Moment::After]);
        let kill = Rule::on(System::Elasticsearch, "_bulk", Fault::Kill(function.killer(), moment));
        stage.calls().add(kill.after(rng.u64(..4)).times(1));
    }
    let mut payload = collect(kind.stream);
    payload["scheduled_time"] = scheduled_time.to_string().into();
    stage.accepted = PASSING.to_vec();
    let invocation = Invocation::new(payload).with_timeout(CALM);
    // The second invocation is Lambda's retry.
    for _ in 0..2 {
        if matches!(stage.invoke(&mut function, invocation.clone()).await?, Outcome::Answer(_)) {
            break;
        }
    }
    stage.calm().await?;
    stage.until_complete(&mut function, &invocation).await?;
    let (throughout, sometime) = simulator.with_world(|world| {
        let entries = (kind.entries)(world);
        (entries.throughout(first_request, u64::MAX), entries.since(first_request))
    });
    let documents: Vec<StoredDocument> = stage
        .installation
        .documents(kind.stream)
        .await?
        .into_iter()
        .filter(|document| {
            document.text("@timestamp").and_then(|at| at.parse().ok()).is_some_and(|at: Timestamp| at >= begun)
        })
        .collect();
    let mut held = (kind.compare)(&throughout, &documents);
    // An entry that existed for a part of the run may be in the snapshot or not, but only once and in one version.
    held.extra = (kind.compare)(&sometime, &documents).extra;
    held.extra.extend(stored_again(&documents));
    stage.tally.compare(&held);
    Ok(())
}

/// Returns each key that several documents have: the entry's, and the user's of a folder.
fn stored_again(documents: &[StoredDocument]) -> Vec<String> {
    let mut keys = BTreeSet::new();
    let key = |document: &StoredDocument| {
        let original = document.text("event.original").unwrap_or_default();
        let record: Value = serde_json::from_str(original).unwrap_or_default();
        format!("{} {} is stored again", record["id"], record["users"]["username"])
    };
    documents.iter().map(key).filter(|key| !keys.insert(key.clone())).collect()
}

/// Adds, removes or changes an entry.
fn change(kind: &Kind, world: &mut World, rng: &mut Rng) {
    let entries = (kind.entries_mut)(world);
    let keys: Vec<String> = entries.iter().map(|(key, _)| key.to_owned()).collect();
    let key = pick(rng, &keys).clone();
    let new = rng.usize(100_000..1_000_000);
    match rng.u8(..5) {
        0 => drop(entries.remove(&key)),
        // The name stays the same.
        3 => entries.put(key.clone(), (kind.entry)(rng, key.parse().unwrap_or(new))),
        1 => entries.put(new.to_string(), (kind.entry)(rng, new)),
        2 => entries.put_first(new.to_string(), (kind.entry)(rng, new)),
        _ => {
            // Remove one and add one, so that the number of entries stays the same.
            entries.remove(&key);
            entries.put(new.to_string(), (kind.entry)(rng, new));
        }
    }
}
