//! One contestant: a program that Lambda could run, and what it takes to do the work.

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

/// Longest that a run may take. Chosen: Python takes minutes for a million events.
const TIMEOUT: Duration = Duration::from_secs(3_600);

/// A program with its environment.
#[derive(Debug, Clone)]
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) variables: BTreeMap<String, String>,
}

/// What one run took.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// From the start of the process until it asked for its first invocation.
    pub(crate) start: Duration,
    /// CPU time of that.
    pub(crate) start_cpu: Duration,
    /// From the hand-over of the invocation to its answer.
    pub(crate) wall: Duration,
    /// CPU time of that, of all its threads, in the kernel too.
    pub(crate) cpu: Duration,
    /// Most memory that the process had at once.
    pub(crate) peak_bytes: u64,
    pub(crate) traffic: Traffic,
}

impl Contestant {
    /// Starts a process, has it do what `payload` asks, and ends it.
    pub(crate) async fn run(&self, stage: &Stage, payload: &Value, keeps: bool) -> Result<Run, Error> {
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

/// The CPU time of a process so far.
pub(crate) fn cpu(pid: u32) -> Result<Duration, Error> {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap_or_default());
    let time = clock_getcpuclockid(pid).and_then(|clock| clock.now()).map_err(Error::Clock)?;
    Ok(Duration::from(time))
}

/// `VmHWM` of a process.
fn peak_bytes(pid: u32) -> Result<u64, Error> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(Error::Memory)?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
    kib.map(|kib: u64| kib << 10).ok_or(Error::Gone)
}
