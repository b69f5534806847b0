//! Reads the clock, limits how long an invocation may work, and spaces out retries.
//!
//! One [`Deadline`] is derived from Lambda's own deadline at the start of an invocation and passed down to every
//! outside call. It is earlier than Lambda's deadline, so that progress can be saved and an answer returned.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// Reads the clock, for leases, deadlines and `event.created`. The window of a live run ends at the earlier of this time
/// and its `scheduled_time`.
#[must_use]
pub fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the one place where the clock is read")]
    Timestamp::now()
}

/// Truncates an instant to the second, because events and window ends are whole seconds.
#[must_use]
pub fn whole_second(instant: Timestamp) -> Timestamp {
    Timestamp::from_second(instant.as_second()).unwrap_or(instant)
}

/// The moment after which an invocation starts nothing new.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    at: Instant,
}

impl Deadline {
    /// Builds a deadline `left` from now.
    #[must_use]
    pub fn after(left: Duration) -> Self {
        Self { at: Instant::now() + left }
    }

    /// Returns the deadline as an `Instant`.
    #[must_use]
    pub const fn instant(self) -> Instant {
        self.at
    }

    /// Returns the time left, or zero once the deadline has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Returns whether `wait` ends before the deadline.
    #[must_use]
    pub fn allows(self, wait: Duration) -> bool {
        wait < self.remaining()
    }

    /// Returns the timeout of one outside call: `longest`, or the time left if that is shorter.
    #[must_use]
    pub fn timeout(self, longest: Duration) -> Duration {
        self.remaining().min(longest)
    }
}

/// The pauses between the retries of a call. They double, and each is random between half of its length and the whole,
/// so that callers that failed together do not retry together.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// Starts with a pause of about `first` and doubles it up to `longest`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }

    /// Returns the next pause.
    pub fn pause(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.longest);
        whole.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}
