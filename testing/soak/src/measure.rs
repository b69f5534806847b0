//! Measures the comparison of a snapshot of many users with the one before, and the snapshot itself: time, and the peak memory
//! of the function. The first comparison runs in a process of its own, so that its memory is not hidden below the snapshot's. Then
//! one run takes another snapshot and compares it, as the schedules do.
//! Started by `make bench-changes`; see docs/performance.md.

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use lastpass_harness::{
    Answer, Error, Fault, Function, Installation, Invocation, Outcome, Rule, Services, System, now,
};
use lastpass_simulator::World;
use serde_json::{Value, json};

use crate::worlds::whole_second;

/// One in this many users changes between two snapshots.
const ONE_IN: usize = 100;
const TIMEOUT: Duration = Duration::from_secs(890);

/// The figures of one invocation.
struct Figures {
    took: Duration,
    peak_kib: u64,
}

/// Takes three snapshots of `users` users, between which some change. Returns the figures of the second, of its comparison,
/// and of the third with its comparison as one line.
pub async fn measure(services: &Services, binary: &Path, users: usize) -> Result<String, Error> {
    let mut world = World::default();
    world.users.extend(all(users, false));
    let installation = Installation::plan("measure", binary.to_owned()).world(world).make(services).await?;
    invoke(&mut installation.function(), snapshot(3)).await?;
    let replace_users = |some_disabled| {
        installation.simulator.with_world(|world| {
            world.users = lastpass_simulator::Entries::default();
            world.users.extend(all(users, some_disabled));
        });
    };
    replace_users(true);
    // The snapshot completes, and its comparison is left to `resume`.
    let refusal = Answer::json(400, &json!({"error": {"type": "illegal_argument_exception"}, "status": 400}));
    installation.calls.add(Rule::on(System::Elasticsearch, "_pit", Fault::Answer(refusal)));
    let (taken, _) = invoke(&mut installation.function(), snapshot(2)).await?;
    installation.calls.clear();
    let (compared, answer) = invoke(&mut installation.function(), json!({"action": "resume"})).await?;
    let changes = &answer["resumed"][0]["changes"]["changes"];
    let of = |Figures { took, peak_kib }: Figures| {
        format!("{:.2} s, {:.1} MiB", took.as_secs_f64(), peak_kib as f64 / 1_024.0)
    };
    replace_users(false);
    let (both, _) = invoke(&mut installation.function(), snapshot(1)).await?;
    let line = format!(
        "{users} users: snapshot {}; comparison {}, {changes} changes; both in one run {}",
        of(taken),
        of(compared),
        of(both)
    );
    installation.remove().await?;
    Ok(line)
}

fn snapshot(minutes: i64) -> Value {
    let scheduled_time = whole_second(now() - SignedDuration::from_mins(minutes));
    json!({"action": "collect", "stream": "user", "scheduled_time": scheduled_time})
}

/// Invokes the function in a new process, whatever it answers.
async fn invoke(function: &mut Function, payload: Value) -> Result<(Figures, Value), Error> {
    function.start_up().await?;
    let begun = Instant::now();
    let outcome = function.invoke(Invocation::new(payload).with_timeout(TIMEOUT)).await?;
    let took = begun.elapsed();
    let peak_kib = function.process_id().and_then(peak_kib).unwrap_or_default();
    let answer = if let Outcome::Answer(answer) = outcome { answer } else { Value::Null };
    Ok((Figures { took, peak_kib }, answer))
}

/// Returns `users` users, of whom one in [`ONE_IN`] is disabled if `some_disabled`.
fn all(users: usize, some_disabled: bool) -> impl Iterator<Item = (String, Value)> {
    (0..users).map(move |number| (number.to_string(), user(number, some_disabled && number % ONE_IN == 0)))
}

fn user(number: usize, disabled: bool) -> Value {
    json!({
        "username": format!("user{number}@example.com"), "fullname": format!("User {number}"), "mpstrength": "80",
        "disabled": disabled, "admin": false, "multifactor": "lastpassauth", "sites": 72, "groups": ["Ops", "Support"],
    })
}

/// Returns the most memory that a process had so far.
fn peak_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok())
}
