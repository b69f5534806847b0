//! Measures a snapshot of many users and the comparison with the one before: the peak memory of the function, and the time
//! that the comparison adds. Started by `make bench-changes`; see docs/performance.md.

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use lastpass_harness::{Error, Installation, Invocation, Services, now};
use lastpass_simulator::World;
use serde_json::{Value, json};

use crate::worlds::whole_second;

/// Share of the users that change between two snapshots: one in so many.
const ONE_IN: usize = 100;
const TIMEOUT: Duration = Duration::from_secs(890);

/// The figures of one snapshot.
struct Figures {
    took: Duration,
    peak_kib: u64,
    changes: u64,
}

/// Takes snapshots of `users` users with and without changes, and prints the figures as one line.
pub async fn measure(services: &Services, binary: &Path, users: usize) -> Result<String, Error> {
    let with = snapshot(services, binary, users, "true").await?;
    let without = snapshot(services, binary, users, "false").await?;
    let mib = |kib: u64| kib as f64 / 1_024.0;
    Ok(format!(
        "{users} users, {} changes: {:.2} s and {:.1} MiB; without the comparison {:.2} s and {:.1} MiB",
        with.changes,
        with.took.as_secs_f64(),
        mib(with.peak_kib),
        without.took.as_secs_f64(),
        mib(without.peak_kib),
    ))
}

/// Takes two snapshots, between which some users change, and measures the second.
async fn snapshot(services: &Services, binary: &Path, users: usize, changes: &str) -> Result<Figures, Error> {
    let mut world = World::default();
    world.users.extend((0..users).map(|number| (number.to_string(), user(number, false))));
    let plan = Installation::plan("measure", binary.to_owned()).variable("SNAPSHOT_CHANGES", changes).world(world);
    let installation = plan.make(services).await?;
    take(&installation, 2).await?;
    installation.simulator.with_world(|world| {
        world.users = lastpass_simulator::Entries::default();
        world.users.extend((0..users).map(|number| (number.to_string(), user(number, number % ONE_IN == 0))));
    });
    let figures = take(&installation, 1).await?;
    installation.remove().await?;
    Ok(figures)
}

fn user(number: usize, disabled: bool) -> Value {
    json!({
        "username": format!("user{number}@example.com"), "fullname": format!("User {number}"), "mpstrength": "80",
        "disabled": disabled, "admin": false, "multifactor": "lastpassauth", "sites": 72, "groups": ["Ops", "Support"],
    })
}

/// Takes a snapshot in a process of its own.
async fn take(installation: &Installation, minutes: i64) -> Result<Figures, Error> {
    let scheduled_time = whole_second(now() - SignedDuration::from_mins(minutes));
    let payload = json!({"action": "collect", "stream": "user", "scheduled_time": scheduled_time});
    let mut function = installation.function();
    function.start_up().await?;
    let begun = Instant::now();
    let answer = function.invoke(Invocation::new(payload).with_timeout(TIMEOUT)).await?.answer()?;
    let took = begun.elapsed();
    let peak_kib = function.process_id().and_then(peak_kib).unwrap_or_default();
    Ok(Figures { took, peak_kib, changes: answer["changes"]["changes"].as_u64().unwrap_or_default() })
}

/// Returns the most memory that a process had so far.
fn peak_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok())
}
