//! The clock of a process: set ahead or behind with libfaketime, or running faster than the machine's clock.

use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{Error, now, variable};

/// The path of libfaketime. The local stack sets it.
const LIBRARY: &str = "LOCAL_FAKETIME";
/// The library for a faster clock. libfaketime cannot be used, because tokio's timers wait in `epoll_wait`, which it
/// does not change.
const FAST_CLOCK: &str = concat!(env!("OUT_DIR"), "/fast_clock.so");

/// The clock of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// The machine's clock plus this duration. Negative: behind.
    Ahead(SignedDuration),
    /// Runs this many times as fast as the machine's clock, starting from equal times at `since`.
    Fast { since: Timestamp, times: u32 },
}

impl Default for Clock {
    fn default() -> Self {
        Self::Ahead(SignedDuration::ZERO)
    }
}

impl Clock {
    /// Returns the time on this clock.
    pub(crate) fn now(self) -> Timestamp {
        match self {
            Self::Ahead(ahead) => now() + ahead,
            Self::Fast { since, times } => {
                let passed = now().duration_since(since);
                since + passed.checked_mul(i32::try_from(times).unwrap_or(i32::MAX)).unwrap_or(SignedDuration::MAX)
            }
        }
    }

    /// Returns the machine's duration of a duration on this clock.
    pub(crate) fn real(self, duration: Duration) -> Duration {
        match self {
            Self::Ahead(_) => duration,
            Self::Fast { times, .. } => duration / times.max(1),
        }
    }

    /// Returns the environment variables that give a process this clock. [`Clock::Ahead`] does not affect timers,
    /// because they use the monotonic clock.
    ///
    /// # Errors
    /// [`Error::Unset`] if the path of libfaketime is not set.
    pub(crate) fn variables(self) -> Result<Vec<(String, String)>, Error> {
        let variables = match self {
            Self::Ahead(SignedDuration::ZERO) => return Ok(Vec::new()),
            Self::Ahead(ahead) => {
                let library = variable(LIBRARY).ok_or_else(|| Error::Unset(LIBRARY.to_owned()))?;
                let ahead = format!("{:+.3}", ahead.as_secs_f64());
                vec![("LD_PRELOAD", library), ("FAKETIME", ahead), ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned())]
            }
            Self::Fast { since, times } => vec![
                ("LD_PRELOAD", FAST_CLOCK.to_owned()),
                ("FAST_CLOCK_SINCE_NS", since.as_nanosecond().to_string()),
                ("FAST_CLOCK_TIMES", times.to_string()),
            ],
        };
        Ok(variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// Returns the files that libfaketime leaves behind when a process is killed. They would break a later process with
    /// the same ID.
    pub(crate) fn leftovers(self, process: u32) -> Vec<PathBuf> {
        match self {
            Self::Ahead(ahead) if !ahead.is_zero() => {
                [format!("/dev/shm/faketime_shm_{process}"), format!("/dev/shm/sem.faketime_sem_{process}")]
                    .map(PathBuf::from)
                    .into()
            }
            Self::Ahead(_) | Self::Fast { .. } => Vec::new(),
        }
    }
}
