//! A program that Lambda could run, and the resources that it uses.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use lastpass_harness::{Function, Invocation, Watch};
use nix::{time::clock_getcpuclockid, unistd::Pid};
use serde_json::Value;

use crate::{
    Error,
    stage::{Stage, Traffic},
};

/// Longest time of a run. Chosen: Python takes minutes for a million events.
const TIMEOUT: Duration = Duration::from_secs(3_600);

/// A program with its environment.
#[derive(Debug, Clone)]
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) variables: BTreeMap<String, String>,
}

/// The measurements of one run.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// From the start of the process to its first request for an invocation.
    pub(crate) start: Duration,
    /// CPU time of the start.
    pub(crate) start_cpu: Duration,
    /// From the delivery of the invocation to its response.
    pub(crate) wall: Duration,
    /// CPU time of the invocation: all threads, user and kernel.
    pub(crate) cpu: Duration,
    /// Peak memory of the process.
    pub(crate) peak_bytes: u64,
    pub(crate) traffic: Traffic,
}

impl Contestant {
    /// Starts a process, invokes it with `payload`, and ends it.
    pub(crate) async fn run(&self, stage: &Stage, payload: &Value, keeps: bool) -> Result<Run, Error> {
        stage.empty();
        stage.take_traffic(keeps);
        let mut function = Function::new(self.program.clone(), self.variables.clone(), Watch::default());
        let begun = Instant::now();
        function.start_up().await?;
        let start = begun.elapsed();
        let pid = function.process_id().ok_or(Error::Gone)?;
        let start_cpu = cpu(pid)?;
        let begun = Instant::now();
        let outcome = function.invoke(Invocation::new(payload.clone()).with_timeout(TIMEOUT)).await?;
        let wall = begun.elapsed();
        outcome.answer().inspect_err(|_| eprintln!("{}", function.output().text()))?;
        let (cpu, peak_bytes) = (cpu(pid)?.saturating_sub(start_cpu), peak_bytes(pid)?);
        function.stop().await;
        Ok(Run { start, start_cpu, wall, cpu, peak_bytes, traffic: stage.take_traffic(false) })
    }
}

/// Returns the CPU time of a process so far.
pub(crate) fn cpu(pid: u32) -> Result<Duration, Error> {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap_or_default());
    let time = clock_getcpuclockid(pid).and_then(|clock| clock.now()).map_err(Error::Clock)?;
    Ok(Duration::from(time))
}

/// Returns `VmHWM` of a process.
fn peak_bytes(pid: u32) -> Result<u64, Error> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(Error::Memory)?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
    kib.map(|kib: u64| kib << 10).ok_or(Error::Gone)
}
