//! How long an invocation may still work.
//!
//! One [`Deadline`] is made from Lambda's own deadline at the start of an invocation and passed down to every outside
//! call. It ends before Lambda's does, so that progress can be saved and an answer given.

use std::time::Duration;

use tokio::time::Instant;

/// The moment after which an invocation starts nothing new.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    at: Instant,
}

impl Deadline {
    /// A deadline `left` from now.
    #[must_use]
    pub fn after(left: Duration) -> Self {
        Self { at: Instant::now() + left }
    }

    /// The moment itself.
    #[must_use]
    pub const fn instant(self) -> Instant {
        self.at
    }

    /// The time left: zero once it has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Whether `wait` still fits before it.
    #[must_use]
    pub fn allows(self, wait: Duration) -> bool {
        wait < self.remaining()
    }

    /// The timeout of one outside call: `longest`, or what is left if that is less.
    #[must_use]
    pub fn timeout(self, longest: Duration) -> Duration {
        self.remaining().min(longest)
    }
}

/// The pauses between repetitions of a call: doubling, each drawn at random between half of it and the whole, so that
/// callers that failed together don't come back together.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// Starts at about `first` and doubles up to `longest`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }

    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.longest);
        whole.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}
