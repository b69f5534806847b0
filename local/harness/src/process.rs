//! One process of the function: what it writes, how it ends, and how it is killed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::Error;
use crate::clock::Clock;

/// How often a process whose outputs are closed is asked whether it has ended: they close as it ends.
const EXIT_POLL: Duration = Duration::from_millis(1);

/// Everything that the processes of a function have written, line by line, standard output and error alike.
#[derive(Debug, Clone, Default)]
pub struct Output(Arc<Mutex<Vec<String>>>);

impl Output {
    /// The lines so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        lock(&self.0).clone()
    }

    /// The lines so far as one text.
    #[must_use]
    pub fn text(&self) -> String {
        lock(&self.0).join("\n")
    }

    fn add(&self, line: String) {
        lock(&self.0).push(line);
    }
}

/// Kills whichever process of a function is running, with SIGKILL. Clones kill the same.
#[derive(Debug, Clone, Default)]
pub struct Killer(Arc<Mutex<Option<Child>>>);

impl Killer {
    /// Sends it the signal; nothing where none is running.
    pub fn kill(&self) {
        if let Some(child) = lock(&self.0).as_mut() {
            // It may have ended by itself, which is as good.
            let _ = child.start_kill();
        }
    }

    fn exit_status(&self) -> Option<ExitStatus> {
        lock(&self.0).as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    fn hold(&self, child: Child) {
        *lock(&self.0) = Some(child);
    }
}

/// A running process. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    killer: Killer,
    readers: Vec<JoinHandle<()>>,
    leftovers: Vec<PathBuf>,
}

impl Process {
    /// Starts `binary` with this environment and no other.
    pub(crate) fn start(
        binary: &Path,
        environment: &BTreeMap<String, String>,
        clock: Clock,
        killer: Killer,
        output: &Output,
    ) -> Result<Self, Error> {
        let mut child = Command::new(binary)
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| Error::Binary { path: binary.display().to_string(), source })?;
        let readers = [
            child.stdout.take().map(|stream| read_lines(stream, output.clone())),
            child.stderr.take().map(|stream| read_lines(stream, output.clone())),
        ];
        let leftovers = child.id().map(|id| clock.leftovers(id)).unwrap_or_default();
        killer.hold(child);
        Ok(Self { killer, readers: readers.into_iter().flatten().collect(), leftovers })
    }

    /// Waits for the end of the process and of what it wrote.
    pub(crate) async fn ended(&mut self) -> String {
        for reader in &mut self.readers {
            if !reader.is_finished() {
                // It neither panics nor is cancelled while this lives.
                let _ = reader.await;
            }
        }
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
        for file in &self.leftovers {
            // Gone where the process ended by itself.
            let _ = std::fs::remove_file(file);
        }
    }
}

fn read_lines(stream: impl AsyncRead + Unpin + Send + 'static, output: Output) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            output.add(String::from_utf8_lossy(&line).into_owned());
        }
    })
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
