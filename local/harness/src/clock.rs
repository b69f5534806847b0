//! A clock of its own for a process: libfaketime, preloaded.

use std::path::PathBuf;

use jiff::SignedDuration;

use crate::{Error, variable};

/// Where libfaketime is. The local stack sets it.
const LIBRARY: &str = "LOCAL_FAKETIME";

/// How far a process's clock is ahead of the machine's; behind, where negative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Clock {
    pub(crate) ahead: SignedDuration,
}

impl Clock {
    /// The variables that give a process this clock. Timers go by the monotonic clock, which stays the machine's.
    ///
    /// # Errors
    /// [`Error::Unset`] where nothing says where libfaketime is.
    pub(crate) fn variables(self) -> Result<Vec<(String, String)>, Error> {
        if self.ahead.is_zero() {
            return Ok(Vec::new());
        }
        let library = variable(LIBRARY).ok_or_else(|| Error::Unset(LIBRARY.to_owned()))?;
        let ahead = format!("{:+.3}", self.ahead.as_secs_f64());
        let variables =
            [("LD_PRELOAD", library), ("FAKETIME", ahead), ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned())];
        Ok(variables.map(|(name, value)| (name.to_owned(), value)).into())
    }

    /// What libfaketime leaves of a process that was killed. A later process of the same id would stumble over it.
    pub(crate) fn leftovers(self, process: u32) -> Vec<PathBuf> {
        if self.ahead.is_zero() {
            return Vec::new();
        }
        [format!("/dev/shm/faketime_shm_{process}"), format!("/dev/shm/sem.faketime_sem_{process}")]
            .map(PathBuf::from)
            .into()
    }
}
