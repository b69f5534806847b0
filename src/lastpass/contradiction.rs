//! The proof that a response, or the zone setting, cannot be correct.

use jiff::{SignedDuration, Timestamp};

/// Largest clock error that is tolerated. An event further ahead of the clock proves a wrong zone. Live runs extend
/// their overlap by this duration. Chosen: clocks are off by seconds, zones by at least a quarter of an hour.
pub const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// The contradiction in a response that cannot be correct.
#[derive(Debug, PartialEq, Eq)]
pub enum Contradiction {
    /// An event is ahead of the clock.
    AheadOfClock {
        /// The event's `Time` in the zone of the setting, as UTC.
        event: Timestamp,
        /// The clock.
        clock: Timestamp,
    },
    /// `next` (absolute) is later than the oldest event of its page (local).
    NextAfterPage {
        /// `next` as UTC.
        next: Timestamp,
        /// The page's oldest event in the zone of the setting, as UTC.
        oldest: Timestamp,
    },
    /// `next` (absolute) is earlier than an event of the page that it leads to (local).
    NextBeforePage {
        /// `next` as UTC.
        next: Timestamp,
        /// The event, in the zone of the setting, as UTC.
        event: Timestamp,
    },
    /// `next` is not older than the previous one.
    NextNotAdvancing,
}
