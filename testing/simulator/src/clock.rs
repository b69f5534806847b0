//! The simulator's clock. It decides when events appear and expire, and timestamps requests.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The clock. Default: [`Clock::Real`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// The machine's clock.
    #[default]
    Real,
    /// The machine's clock plus this many seconds. Negative: behind.
    OffsetSeconds(i64),
    /// Stands still at this time.
    Fixed(Timestamp),
}

impl Clock {
    /// Returns the current time.
    pub fn now(self) -> Timestamp {
        match self {
            Self::Real => machine_now(),
            Self::OffsetSeconds(seconds) => {
                let moved = machine_now().saturating_add(SignedDuration::from_secs(seconds));
                moved.unwrap_or(Timestamp::MAX)
            }
            Self::Fixed(instant) => instant,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the simulator reads the clock")]
fn machine_now() -> Timestamp {
    Timestamp::now()
}
