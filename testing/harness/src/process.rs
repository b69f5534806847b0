//! One process of the function: its output, its end, and how it is killed.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, PipeReader};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::{Error, Watch};

/// Polling interval for the exit status of a process that has closed its outputs, which happens shortly before it ends.
const EXIT_POLL: Duration = Duration::from_millis(1);

/// The output lines of all processes of a function, standard output and standard error together.
#[derive(Debug, Clone, Default)]
pub struct Output {
    lines: Arc<Mutex<Vec<String>>>,
    watch: Watch,
}

impl Output {
    /// Returns an output that is searched for secrets.
    pub(crate) fn watched(watch: Watch) -> Self {
        Self { lines: Arc::default(), watch }
    }

    /// Returns the lines so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        lock(&self.lines).clone()
    }

    /// Returns the lines so far as one text.
    #[must_use]
    pub fn text(&self) -> String {
        lock(&self.lines).join("\n")
    }

    fn add(&self, line: &[u8]) {
        self.watch.look("what the function wrote", line);
        lock(&self.lines).push(String::from_utf8_lossy(line).into_owned());
    }
}

/// Kills the running process of a function with SIGKILL. Clones kill the same process.
#[derive(Debug, Clone, Default)]
pub struct Killer(Arc<Mutex<Option<Child>>>);

impl Killer {
    /// Kills the process, if one is running.
    pub fn kill(&self) {
        if let Some(child) = lock(&self.0).as_mut() {
            // It may already have ended.
            let _ = child.start_kill();
        }
    }

    pub(crate) fn process_id(&self) -> Option<u32> {
        lock(&self.0).as_ref().and_then(Child::id)
    }

    /// Freezes the process, if one is running, as Lambda does between invocations.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets a frozen process continue.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let held = lock(&self.0);
        // The ID cannot belong to another process, because the child is reaped only under this lock.
        if let Some(id) = held.as_ref().and_then(Child::id).and_then(|id| id.try_into().ok()) {
            // It may already have ended.
            let _ = kill(Pid::from_raw(id), signal);
        }
    }

    fn exit_status(&self) -> Option<ExitStatus> {
        lock(&self.0).as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    fn hold(&self, child: Child) {
        *lock(&self.0) = Some(child);
    }
}

/// A running process. Dropping it kills the process and reads its remaining output.
#[derive(Debug)]
pub(crate) struct Process {
    killer: Killer,
    /// Threads, because the output of a killed process is read to its end even after the runtime is gone.
    readers: Vec<JoinHandle<()>>,
    /// Has a receiver for each open output.
    open: watch::Sender<()>,
    leftovers: Vec<PathBuf>,
}

impl Process {
    /// Starts `binary` with only this environment.
    pub(crate) fn start(
        binary: &Path,
        environment: &BTreeMap<String, String>,
        clock: Clock,
        killer: Killer,
        output: &Output,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Binary { path: binary.display().to_string(), source };
        let ((stdout, stdout_end), (stderr, stderr_end)) =
            (std::io::pipe().map_err(failed)?, std::io::pipe().map_err(failed)?);
        // The command holds copies of the write ends of the pipes. It must be dropped, or the pipes never close.
        let child = Command::new(binary)
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(stdout_end)
            .stderr(stderr_end)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let open = watch::Sender::new(());
        let readers = [stdout, stderr].map(|end| read_lines(end, output.clone(), open.subscribe()));
        let leftovers = child.id().map(|id| clock.leftovers(id)).unwrap_or_default();
        killer.hold(child);
        Ok(Self { killer, readers: readers.into(), open, leftovers })
    }

    /// Waits for the end of the process and of its output.
    pub(crate) async fn ended(&mut self) -> String {
        self.open.closed().await;
        loop {
            if let Some(status) = self.killer.exit_status() {
                return status.to_string();
            }
            tokio::time::sleep(EXIT_POLL).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.killer.kill();
        for reader in self.readers.drain(..) {
            // The thread does not panic.
            let _ = reader.join();
        }
        for file in &self.leftovers {
            // Already gone if the process ended by itself.
            let _ = std::fs::remove_file(file);
        }
    }
}

fn read_lines(end: PipeReader, output: Output, open: watch::Receiver<()>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(end).split(b'\n').map_while(Result::ok) {
            output.add(&line);
        }
        drop(open);
    })
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
