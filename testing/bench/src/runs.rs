//! `make bench-run`: scheduled runs, which are short, with the delays of a real network.
//!
//! Each run is compared with the shortest chain of calls that a reliable run needs: lease, LastPass, bulk request and
//! checkpoint. In a cold sandbox, the chain begins with the secret.

use std::{fmt::Write as _, path::Path, time::Duration};

use lastpass_harness::{Function, Invocation, Watch};
use serde_json::{Value, json};

use crate::{
    Error,
    contestant::cpu,
    report::{self, Block, median},
    stage::{Delays, Stage, Traffic},
};

/// How long the systems take to answer. Chosen: the delays of an earlier measurement from outside.
const DELAYS: Delays = Delays {
    lastpass: Duration::from_millis(300),
    elasticsearch: Duration::from_millis(40),
    aws: Duration::from_millis(8),
};
/// The number of runs of each case. The median counts.
const REPEATED: usize = 15;
/// Scheduled runs a month: the event report and `resume` every 5 minutes.
const RUNS_A_MONTH: f64 = 30.0 * 24.0 * 12.0;
/// New events of a run whose cost is computed.
const USUAL_EVENTS: usize = 20;
/// Lambda's share of a CPU for each MB of memory, and its price of a GB-second and of a million requests (us-east-1).
const CPU_PER_MB: f64 = 1.0 / 1_769.0;
const DOLLARS_PER_GB_SECOND: f64 = 0.000_016_666_7;
const DOLLARS_PER_MILLION_REQUESTS: f64 = 0.20;

/// One kind of run.
struct Case {
    name: &'static str,
    payload: Value,
    new_events: usize,
    is_cold: bool,
    /// The shortest chain of calls.
    chain: Duration,
}

/// The measurements of the runs of one case: medians, and the calls of the last run.
struct Taken {
    wall: Duration,
    cpu: Duration,
    traffic: Traffic,
}

fn live() -> Value {
    json!({"action": "collect", "stream": "event_report"})
}

fn cases() -> Vec<Case> {
    let Delays { lastpass, elasticsearch, aws } = DELAYS;
    let case = |name, new_events, is_cold| {
        let bulk = if new_events > 0 { elasticsearch } else { Duration::ZERO };
        let secret = if is_cold { aws } else { Duration::ZERO };
        Case { name, payload: live(), new_events, is_cold, chain: secret + aws + lastpass + bulk + aws }
    };
    vec![
        case("warm, nothing new", 0, false),
        case("warm, 20 new events", USUAL_EVENTS, false),
        case("warm, 500 new events", 500, false),
        case("cold, 20 new events", USUAL_EVENTS, true),
        Case { payload: json!({"action": "resume"}), chain: aws, ..case("warm, `resume` without work", 0, false) },
    ]
}

/// Measures the runs of the function and of the Python function in turn, and writes the tables.
pub(crate) async fn measure(function: &Path, python: &Path) -> Result<(), Error> {
    let stages = [Stage::with_delays(DELAYS).await?, Stage::with_delays(DELAYS).await?];
    let mut functions = Vec::new();
    for (program, stage) in [function, python].into_iter().zip(&stages) {
        let mut function = Function::new(program.to_owned(), stage.variables(), Watch::default());
        // The first run reads a day, and proves the time zone by the events of its own requests.
        function.ask(live()).await?;
        stage.hide_requests();
        functions.push(function);
    }
    let mut rows = Vec::new();
    for case in cases() {
        eprintln!("==> {}", case.name);
        let mut taken = Vec::new();
        for (function, stage) in functions.iter_mut().zip(&stages) {
            // The Python function has no `resume`.
            if taken.is_empty() || case.payload["action"] != "resume" {
                taken.push(runs(&case, function, stage).await?);
            }
        }
        rows.push((case, taken));
    }
    for function in &mut functions {
        function.stop().await;
    }
    report::write_block(Path::new("docs"), Block::BenchRun, &tables(&rows))
}

/// Measures the runs of a case, after one that is not measured.
async fn runs(case: &Case, function: &mut Function, stage: &Stage) -> Result<Taken, Error> {
    let (mut walls, mut cpus) = (Vec::new(), Vec::new());
    let mut traffic = Traffic::default();
    for number in 0..=REPEATED {
        stage.let_happen(case.new_events).await;
        stage.take_traffic(false);
        let begun = std::time::Instant::now();
        if case.is_cold || function.process_id().is_none() {
            function.start_up().await?;
        }
        let pid = function.process_id().ok_or(Error::Gone)?;
        let cpu_before = if case.is_cold { Duration::ZERO } else { cpu(pid)? };
        let outcome = function.invoke(Invocation::new(case.payload.clone())).await?;
        let wall = begun.elapsed();
        outcome.answer().inspect_err(|_| eprintln!("{}", function.output().text()))?;
        traffic = stage.take_traffic(false);
        if number > 0 {
            walls.push(wall);
            cpus.push(cpu(pid)?.saturating_sub(cpu_before));
        }
        if case.is_cold {
            function.stop().await;
        }
    }
    Ok(Taken { wall: median(walls.into_iter()), cpu: median(cpus.into_iter()), traffic })
}

fn tables(rows: &[(Case, Vec<Taken>)]) -> String {
    let mut text =
        String::from("| run | function | shortest chain | ratio | Python |\n| --- | ---: | ---: | ---: | ---: |\n");
    let ms = |duration: Duration| format!("{:.0} ms", duration.as_secs_f64() * 1e3);
    for (case, taken) in rows {
        let python = taken.get(1).map_or_else(String::new, |taken| ms(taken.wall));
        let ratio = taken[0].wall.as_secs_f64() / case.chain.as_secs_f64();
        // Writing to a string does not fail.
        let _ =
            writeln!(text, "| {} | {} | {} | {ratio:.2} | {python} |", case.name, ms(taken[0].wall), ms(case.chain));
    }
    text.push_str("\n| run | calls of the function | calls of Python |\n| --- | --- | --- |\n");
    for (case, taken) in rows {
        let calls = |index: usize| taken.get(index).map_or_else(String::new, |taken| calls(&taken.traffic));
        let _ = writeln!(text, "| {} | {} | {} |", case.name, calls(0), calls(1));
    }
    text.push_str("\n| $ per month for Lambda, 20 new events in each run | 512 MB | 128 MB |\n| --- | ---: | ---: |\n");
    let live = |index: usize| {
        let row = rows.iter().find(|(case, _)| case.new_events == USUAL_EVENTS && !case.is_cold);
        row.and_then(|(_, taken)| taken.get(index))
    };
    let resume = rows.iter().find(|(case, _)| case.payload["action"] == "resume").and_then(|(_, taken)| taken.first());
    for (name, runs) in [("the function, with `resume`", vec![live(0), resume]), ("Python", vec![live(1)])] {
        let dollars = |memory_mb: f64| runs.iter().flatten().map(|taken| dollars(taken, memory_mb)).sum::<f64>();
        let _ = writeln!(text, "| {name} | {:.3} | {:.3} |", dollars(512.0), dollars(128.0));
    }
    text
}

/// Returns the calls of a run, such as `LastPass, GetItem, 2 UpdateItem`.
fn calls(traffic: &Traffic) -> String {
    let mut counted: Vec<(&str, usize)> = Vec::new();
    let lastpass = std::iter::repeat_n("LastPass", usize::try_from(traffic.lastpass_requests).unwrap_or_default());
    let others = traffic.aws_operations.iter().chain(&traffic.elasticsearch.operations).map(String::as_str);
    for call in lastpass.chain(others) {
        match counted.iter_mut().find(|(name, _)| *name == call) {
            Some((_, count)) => *count += 1,
            None => counted.push((call, 1)),
        }
    }
    let text = |(name, count): (&str, usize)| if count == 1 { name.to_owned() } else { format!("{count} {name}") };
    counted.into_iter().map(text).collect::<Vec<_>>().join(", ")
}

/// Returns the price of a month of such runs. With less memory, a run has a smaller share of a CPU: its waiting time
/// stays the same, its CPU time gets longer.
fn dollars(taken: &Taken, memory_mb: f64) -> f64 {
    let waiting = taken.wall.saturating_sub(taken.cpu).as_secs_f64();
    let share = (memory_mb * CPU_PER_MB).min(1.0);
    let seconds = ((waiting + taken.cpu.as_secs_f64() / share) * 1e3).ceil() / 1e3;
    RUNS_A_MONTH * (seconds * memory_mb / 1_024.0 * DOLLARS_PER_GB_SECOND + DOLLARS_PER_MILLION_REQUESTS / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_memory_lengthens_only_the_cpu_time() {
        let taken = |wall, cpu| Taken {
            wall: Duration::from_millis(wall),
            cpu: Duration::from_millis(cpu),
            traffic: Traffic::default(),
        };
        let per_run = |taken: &Taken, memory| (dollars(taken, memory) / RUNS_A_MONTH - 0.2e-6) * 1_024.0 / memory;
        let waiting = taken(300, 0);
        assert!((per_run(&waiting, 512.0) - per_run(&waiting, 128.0)).abs() < 1e-12);
        // 100 ms of a whole CPU are 345.5 ms with 512 MB, and 1,382.1 ms with 128 MB.
        let working = taken(100, 100);
        assert!((per_run(&working, 512.0) - 0.346 * DOLLARS_PER_GB_SECOND).abs() < 1e-12);
        assert!((per_run(&working, 128.0) - 1.383 * DOLLARS_PER_GB_SECOND).abs() < 1e-12);
    }
}
