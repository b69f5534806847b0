//! `make bench`: compares the function, the same job in Python, and the floor, in one run on one machine.
//!
//! All use the same LastPass, the same Elasticsearch sink and the same AWS, on loopback and in this process, whose own
//! CPU time is not counted. With `NODE` set, only the function is measured, against a real node; with `SHORT_RUNS` set,
//! scheduled runs. The report only states measurements; none makes the bench fail.

mod aws;
mod contestant;
mod floor;
mod node;
mod plot;
mod report;
mod row;
mod runs;
mod same;
mod server;
mod sink;
mod stage;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use lastpass_harness::{binary, variable};
use serde_json::json;

use crate::{
    contestant::{Contestant, Run},
    report::{Cold, Report, Series},
    stage::Stage,
};

/// Number of runs of each small benchmark. The median counts.
const REPEATED: usize = 5;
/// From this many events, one run is long enough to be exact.
const RUN_ONCE_FROM: usize = 500_000;
/// Number of cold starts.
const COLD_STARTS: usize = 15;
/// Events of the first invocation after a cold start: a quarter of an hour in a large company.
const COLD_EVENTS: usize = 100;
/// Events used to decide whether Python is faster with or without compression.
const TRIED_EVENTS: usize = 20_000;

/// The reason why there is no report.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// No port or no connection is available.
    #[error("a server of the bench cannot be reached")]
    Listen(#[source] std::io::Error),
    /// A contestant's process ended early.
    #[error("the process ended before it was measured")]
    Gone,
    /// `/proc` or a buffer cannot be read.
    #[error("the memory of a process cannot be read")]
    Memory(#[source] std::io::Error),
    /// The CPU time cannot be read.
    #[error("the CPU time of a process cannot be read")]
    Clock(#[source] nix::Error),
    /// A text is not JSON.
    #[error("a contestant sent no JSON")]
    Json(#[source] serde_json::Error),
    /// A constant of the bench is not a time.
    #[error("not a time")]
    Time(#[source] jiff::Error),
    /// A file cannot be read or written.
    #[error("{path} cannot be read or written")]
    File {
        path: String,
        #[source]
        source: std::io::Error,
    },
    /// The page has no place for a table.
    #[error("docs/performance.md lacks the line {0}")]
    Page(String),
    /// The node rejected a bulk of the bare loop.
    #[error("the node rejected a bulk")]
    NotTaken,
    /// The documents differ.
    #[error("Python's documents differ from the function's: {0}")]
    Differ(String),
    /// A setting is invalid.
    #[error("EVENTS must be numbers, such as \"100000 1000000\"")]
    Events,
    #[error(transparent)]
    Simulator(#[from] lastpass_simulator::StartError),
    #[error(transparent)]
    Harness(#[from] lastpass_harness::Error),
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            eprintln!("bench: {error}{cause}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let events = variable("EVENTS").unwrap_or_else(|| "100000 1000000".to_owned());
    let events: Vec<usize> =
        events.split_whitespace().map(|number| number.parse().map_err(|_| Error::Events)).collect::<Result<_, _>>()?;
    let function = binary("target/release/bootstrap");
    if variable("NODE").is_some() {
        return node::measure(&function, events.first().copied().ok_or(Error::Events)?).await;
    }
    let python = PathBuf::from(variable("PYTHON_BOOTSTRAP").unwrap_or_else(|| ".tools/bench/bootstrap".to_owned()));
    if variable("SHORT_RUNS").is_some() {
        return runs::measure(&function, &python).await;
    }
    let python_variables = better_compression(&python).await?;
    let cold = cold_starts(&function, &python, &python_variables).await?;
    let mut series = Vec::new();
    for events in events {
        eprintln!("==> {events} events");
        let stage = Stage::with_events(events).await?;
        let contestants = [
            contestant("function", &function, &stage, &BTreeMap::new()),
            contestant("python", &python, &stage, &python_variables),
        ];
        series.push(measure(&stage, &contestants, events).await?);
    }
    let zips = [variable("FUNCTION_ZIP"), variable("PYTHON_ZIP")].map(|path| path.map(PathBuf::from));
    let report = Report { cold, series, zips, is_compressed: python_variables.contains_key("HTTP_COMPRESS") };
    report.write(Path::new("docs"))
}

fn contestant(name: &'static str, program: &Path, stage: &Stage, more: &BTreeMap<String, String>) -> Contestant {
    let mut variables = stage.variables();
    variables.extend(more.clone());
    Contestant { name, program: program.to_owned(), variables }
}

/// Returns Python's variables with `http_compress` on or off, whichever takes less CPU time.
async fn better_compression(python: &Path) -> Result<BTreeMap<String, String>, Error> {
    let stage = Stage::with_events(TRIED_EVENTS).await?;
    let compressed = BTreeMap::from([("HTTP_COMPRESS".to_owned(), "true".to_owned())]);
    let mut best: Option<(Duration, BTreeMap<String, String>)> = None;
    for variables in [BTreeMap::new(), compressed] {
        let run = contestant("python", python, &stage, &variables).run(&stage, &stage.backfill(), false).await?;
        eprintln!("==> Python with {variables:?}: {:?} of CPU", run.cpu);
        if best.as_ref().is_none_or(|(cpu, _)| run.cpu < *cpu) {
            best = Some((run.cpu, variables));
        }
    }
    Ok(best.map(|(_, variables)| variables).unwrap_or_default())
}

async fn cold_starts(function: &Path, python: &Path, variables: &BTreeMap<String, String>) -> Result<[Cold; 2], Error> {
    let stage = Stage::with_events(COLD_EVENTS).await?;
    let contestants =
        [contestant("function", function, &stage, &BTreeMap::new()), contestant("python", python, &stage, variables)];
    let mut runs: [Vec<Run>; 2] = [Vec::new(), Vec::new()];
    let payload = json!({"action": "backfill", "stream": "event_report",
        "from": stage.backfill()["from"], "to": stage.backfill()["to"]});
    for _ in 0..COLD_STARTS {
        for (contestant, runs) in contestants.iter().zip(&mut runs) {
            runs.push(contestant.run(&stage, &payload, false).await?);
        }
    }
    Ok(runs.map(|runs| Cold {
        start: report::median(runs.iter().map(|run| run.start)),
        start_cpu: report::median(runs.iter().map(|run| run.start_cpu)),
        first_answer: report::median(runs.iter().map(|run| run.start + run.wall)),
        cpu: report::median(runs.iter().map(|run| run.start_cpu + run.cpu)),
        peak_bytes: runs.iter().map(|run| run.peak_bytes).max().unwrap_or_default(),
    }))
}

/// Measures runs of all contestants with this number of events, alternating, and the floor.
async fn measure(stage: &Stage, contestants: &[Contestant; 2], events: usize) -> Result<Series, Error> {
    let payload = stage.backfill();
    let times = if events < RUN_ONCE_FROM { REPEATED } else { 1 };
    let mut runs: [Vec<Run>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..times {
        for (contestant, runs) in contestants.iter().zip(&mut runs) {
            let run = contestant.run(stage, &payload, false).await?;
            eprintln!("==> {}: {:?} of CPU, {:?}", contestant.name, run.cpu, run.wall);
            runs.push(run);
        }
    }
    let mut bulks = [Vec::new(), Vec::new()];
    let are_compared = events < RUN_ONCE_FROM;
    for (contestant, bulks) in contestants.iter().zip(&mut bulks).take(if are_compared { 2 } else { 1 }) {
        *bulks = contestant.run(stage, &payload, true).await?.traffic.elasticsearch.bulks;
    }
    let compared = if are_compared {
        let comparison = same::compare(&bulks[0], &bulks[1])?;
        if comparison.same != events || comparison.only.iter().any(|only| !only.is_empty()) {
            return Err(Error::Differ(format!("{comparison:?}")));
        }
        Some(comparison.same)
    } else {
        None
    };
    let answers = stage.answers()?;
    let mut floors = Vec::new();
    for _ in 0..times {
        floors.push(floor::floor(&answers, &bulks[0])?);
    }
    eprintln!("==> floor: {floors:?}");
    let bulk_bytes = bulks[0].iter().map(|bulk| bulk.len() as u64).sum();
    Ok(Series { events, runs, floor: report::median(floors.into_iter()), compared, bulk_bytes })
}
