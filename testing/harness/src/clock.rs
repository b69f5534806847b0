//! A clock of its own for a process: libfaketime, preloaded, or one that runs faster than the machine's.

use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{Error, now, variable};

/// Where libfaketime is. The local stack sets it.
const LIBRARY: &str = "LOCAL_FAKETIME";
/// What gives a process a faster clock. libfaketime can't: the timers of tokio go by `epoll_wait`, which it leaves alone.
const FAST_CLOCK: &str = concat!(env!("OUT_DIR"), "/fast_clock.so");

/// The clock of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// The machine's, so far ahead; behind, where negative.
    Ahead(SignedDuration),
    /// So many times as fast as the machine's since they were equal.
    Fast { since: Timestamp, times: u32 },
}

impl Default for Clock {
    fn default() -> Self {
        Self::Ahead(SignedDuration::ZERO)
    }
}

impl Clock {
    /// The time on it.
    pub(crate) fn now(self) -> Timestamp {
        match self {
            Self::Ahead(ahead) => now() + ahead,
            Self::Fast { since, times } => {
                let passed = now().duration_since(since);
                since + passed.checked_mul(i32::try_from(times).unwrap_or(i32::MAX)).unwrap_or(SignedDuration::MAX)
            }
        }
    }

    /// How long the machine takes for a time on this clock.
    pub(crate) fn real(self, duration: Duration) -> Duration {
        match self {
            Self::Ahead(_) => duration,
            Self::Fast { times, .. } => duration / times.max(1),
        }
    }

    /// The variables that give a process this clock. One that is only ahead leaves timers alone: they go by the monotonic
    /// clock, which stays the machine's.
    ///
    /// # Errors
    /// [`Error::Unset`] where nothing says where libfaketime is.
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

    /// What libfaketime leaves of a process that was killed. A later process of the same id would stumble over it.
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
