//! `soak`: plays every scenario with many seeds. It runs the release binary behind its own Runtime API, against the
//! real services, and prints the numbers of lost, doubled and mistimed records. Started by `make soak`; see
//! docs/reliability.md.

mod measure;
mod scenarios;
mod stage;
mod tally;
mod worlds;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use lastpass_harness::{Error, Installation, Method, Services, binary};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::scenarios::{SCENARIOS, Scenario};
use crate::stage::Context;
use crate::tally::Tally;

/// Longest time of one scenario with one seed. A scenario that takes longer counts as hanging.
const LONGEST: Duration = Duration::from_secs(600);

/// Plays seeded mixes of faults and counts lost, doubled and mistimed records.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Number of seeds of each scenario
    #[arg(long, env = "SEEDS", default_value_t = 20)]
    seeds: u64,
    /// Play only this scenario
    #[arg(long, env = "SCENARIO", value_parser = scenario)]
    scenario: Option<&'static str>,
    /// Play only this seed
    #[arg(long, env = "SEED")]
    seed: Option<u64>,
    /// Number of scenarios played at once; they mostly wait
    #[arg(long, env = "JOBS", default_value_t = 4)]
    jobs: usize,
    /// Snapshots of each stream in the scenario `changes`
    #[arg(long, env = "SNAPSHOTS", default_value_t = 30)]
    snapshots: i64,
    /// List the scenarios
    #[arg(long)]
    list: bool,
    /// Measure snapshots of these numbers of users and their comparison, and play nothing
    #[arg(long, env = "USERS", value_delimiter = ' ')]
    measure: Vec<usize>,
}

fn scenario(name: &str) -> Result<&'static str, String> {
    let found = SCENARIOS.iter().map(|scenario| scenario.name).find(|known| *known == name);
    let names = || SCENARIOS.iter().map(|scenario| scenario.name).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| format!("no scenario has this name: use {}", names()))
}

/// The results of one scenario.
#[derive(Default)]
struct Row {
    seeds: u64,
    tally: Tally,
    took: Duration,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    if options.list {
        for Scenario { name, about, .. } in SCENARIOS {
            print(&format!("{name:24} {about}"));
        }
        return ExitCode::SUCCESS;
    }
    match soak(&options).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            print(&format!("the soak cannot run: {}", with_causes(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Plays the selected scenarios. Returns whether all were clean.
async fn soak(options: &Options) -> Result<bool, Error> {
    let services = Services::from_environment().await?;
    // Each installation leaves an empty data stream behind, and a node allows 1,000 shards by default.
    let many = json!({"persistent": {"cluster.max_shards_per_node": 10_000}});
    services.elasticsearch.request(Method::PUT, "/_cluster/settings", Some(&many)).await?;
    let binary = binary("target/release/bootstrap");
    let installation = Installation::plan("soak", binary.clone()).make(&services).await?;
    installation.function().ask(json!({"action": "setup"})).await?;
    installation.remove().await?;

    if !options.measure.is_empty() {
        for users in &options.measure {
            print(&measure::measure(&services, &binary, *users).await?);
        }
        return Ok(true);
    }
    let begun = Instant::now();
    let seeds = options.seed.map_or(1..=options.seeds, |seed| seed..=seed);
    let wanted = SCENARIOS.iter().filter(|known| options.scenario.is_none_or(|name| name == known.name));
    let turns = Arc::new(Semaphore::new(options.jobs));
    let mut playing = JoinSet::new();
    // Plays all scenarios with one seed before the next seed, so that a run that ends early has played every scenario.
    for seed in seeds {
        for scenario in wanted.clone() {
            let context = Context {
                services: services.clone(),
                binary: binary.clone(),
                scenario: scenario.name,
                seed,
                snapshots: options.snapshots,
            };
            let (play, turns) = (scenario.play, Arc::clone(&turns));
            playing.spawn(async move {
                let _turn = turns.acquire().await;
                let begun = Instant::now();
                let (name, seed) = (context.scenario, context.seed);
                let mut tally = match tokio::time::timeout(LONGEST, play(context)).await {
                    Ok(Ok(tally)) => tally,
                    Ok(Err(error)) => failed(with_causes(&error)),
                    Err(_) => failed(format!("it did not end within {LONGEST:?}")),
                };
                tally.failures.iter_mut().for_each(|failure| *failure = format!("seed {seed}: {failure}"));
                (name, seed, tally, begun.elapsed())
            });
        }
    }
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    let (all, round) = (playing.len(), wanted.count());
    while let Some(played) = playing.join_next().await {
        let (name, seed, tally, took) =
            played.unwrap_or_else(|panic| ("", 0, failed(panic.to_string()), Duration::ZERO));
        if !tally.is_clean() {
            print(&format!("FAILED {name}, seed {seed}. Alone: make soak SCENARIO={name} SEED={seed}"));
            tally.failures.iter().for_each(|failure| print(&format!("  {failure}")));
        }
        let row = rows.entry(name).or_default();
        row.seeds += 1;
        row.took += took;
        row.tally += tally;
        if playing.len().is_multiple_of(round) {
            print(&format!("{} of {all} played after {} s", all - playing.len(), begun.elapsed().as_secs()));
        }
    }
    print_table(&rows);
    let empty: Vec<&str> = rows.iter().filter(|(_, row)| row.tally.truth == 0).map(|(name, _)| *name).collect();
    empty.iter().for_each(|name| print(&format!("FAILED {name}: it compared no record")));
    Ok(!rows.is_empty() && empty.is_empty() && rows.values().all(|row| row.tally.is_clean()))
}

fn failed(why: String) -> Tally {
    let mut tally = Tally::default();
    tally.fail(why);
    tally
}

fn print_table(rows: &BTreeMap<&str, Row>) {
    let heads = [
        "seeds",
        "truth",
        "lost",
        "doubled",
        "mistimed",
        "ambiguous_time",
        "invocations",
        "leaked",
        "failures",
        "s/seed",
    ];
    let line = |name: &str, cells: [String; 10]| {
        let cells: String = heads.iter().zip(cells).map(|(head, cell)| format!("{cell:>0$}", head.len() + 2)).collect();
        print(&format!("{name:24}{cells}"));
    };
    line("scenario", heads.map(str::to_owned));
    let mut sum = Row::default();
    let known = SCENARIOS.iter().map(|scenario| scenario.name).chain([""]);
    for (name, row) in known.filter_map(|name| rows.get(name).map(|row| (name, row))) {
        line(name, cells(row));
        sum.seeds += row.seeds;
        sum.took += row.took;
        sum.tally += row.tally.clone();
    }
    line("all", cells(&sum));
}

fn cells(row: &Row) -> [String; 10] {
    let Row { seeds, tally, took } = row;
    let seconds = took.as_secs_f64() / (*seeds).max(1) as f64;
    let counts =
        [tally.truth, tally.lost, tally.doubled, tally.mistimed, tally.ambiguous_time, tally.invocations, tally.leaked];
    let [truth, lost, doubled, mistimed, ambiguous_time, invocations, leaked] = counts.map(|count| count.to_string());
    let failures = tally.failures.len().to_string();
    let seconds = format!("{seconds:.1}");
    [seeds.to_string(), truth, lost, doubled, mistimed, ambiguous_time, invocations, leaked, failures, seconds]
}

fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// Prints a line. Ignores a closed output.
fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
