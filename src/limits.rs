//! Divides the time of an invocation between its work, the last save and the answer.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lambda_runtime::Context;

use crate::{clock::Deadline, request::Action};

/// The divisor of the time of an invocation. Chosen: a tenth is reserved for saving progress and answering.
const RESERVED_DIVISOR: u32 = 10;
/// The shortest and longest reserved time. Chosen: a conditional write takes milliseconds, so the reserve allows for a retry.
const RESERVED: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// The part of the reserve that is left for the answer. Chosen: an answer and the metrics are written in milliseconds.
const ANSWERING: Duration = Duration::from_millis(200);
/// How long a lease may outlive Lambda's deadline. Chosen: Lambda has stopped the sandbox by then.
const LEASE_BEYOND_DEADLINE: SignedDuration = SignedDuration::from_secs(5);
/// Maximum duration of `check` and `status`. Chosen: someone waits for them, and the AWS CLI times out after a minute.
const READ_ONLY_TIMEOUT: Duration = Duration::from_secs(50);

/// When an invocation must end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// When work stops. It is before Lambda's own deadline.
    pub(crate) deadline: Deadline,
    /// The deadline for writing the last checkpoint.
    pub(crate) save_deadline: Deadline,
    /// The latest instant at which a lease may expire.
    pub(crate) lease_until: Timestamp,
}

impl Limits {
    /// Divides the time that Lambda leaves for `action`, which started at `started`.
    pub(crate) fn new(action: &Action, context: &Context, started: Timestamp) -> Self {
        let (left, ends) = (left_at(started, context), deadline_of(context, started));
        let reserved = (left / RESERVED_DIVISOR).clamp(RESERVED.0, RESERVED.1);
        let is_read_only = matches!(action, Action::Check | Action::Status);
        let working = left.saturating_sub(reserved).min(if is_read_only { READ_ONLY_TIMEOUT } else { Duration::MAX });
        Self {
            deadline: Deadline::after(working),
            save_deadline: Deadline::after(left.saturating_sub(ANSWERING)),
            lease_until: ends.saturating_add(LEASE_BEYOND_DEADLINE).unwrap_or(ends),
        }
    }
}

/// Returns how long Lambda lets the invocation continue after `now`: zero if its deadline has passed.
pub(crate) fn left_at(now: Timestamp, context: &Context) -> Duration {
    deadline_of(context, now).duration_since(now).max(SignedDuration::ZERO).unsigned_abs()
}

/// Returns when Lambda ends the invocation, or `now` if the time is out of range.
fn deadline_of(context: &Context, now: Timestamp) -> Timestamp {
    Timestamp::try_from(context.deadline()).unwrap_or(now)
}
