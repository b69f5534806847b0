//! Judges the zone setting by one page, or by the page that its `next` leads to.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{
    contradiction::{CLOCK_TOLERANCE, Contradiction},
    reporting::{Event, Page},
};

/// Judges the zone setting by `follow_up`, the response to the `next` of `page`. Returns `true` if it agrees with
/// `next`, and `false` if it proves nothing.
///
/// The remaining events happened at `next` or earlier (LASTPASS_API.md, "reporting"), so in the correct zone none of
/// them is later than `next`. Events that `page` contains may be repeated and prove nothing.
///
/// # Errors
/// [`Contradiction::NextBeforePage`] if a remaining event is later than `next`.
pub fn judge_follow_up(page: &Page, next_us: i64, follow_up: &Page) -> Result<bool, Contradiction> {
    let key = |event: &Event| (event.time.map(|time| time.civil()), event.record.clone());
    let known: BTreeSet<_> = page.events.iter().map(key).collect();
    let left = follow_up.events.iter().filter(|event| !known.contains(&key(event)));
    let oldest = page.events.iter().filter_map(|event| event.time).map(|time| time.latest()).min();
    let newest = left.filter_map(|event| event.time).map(|time| time.earliest()).max();
    let (Ok(next), Some(oldest), Some(newest)) = (Timestamp::from_microsecond(next_us), oldest, newest) else {
        return Ok(false);
    };
    // If the server ignores `next`, it returns a page like the first one again.
    if newest > oldest {
        return Ok(false);
    }
    if newest > next.saturating_add(CLOCK_TOLERANCE).unwrap_or(next) {
        return Err(Contradiction::NextBeforePage { next, event: newest });
    }
    Ok(true)
}

/// Returns an event of `page` that is ahead of the clock by more than [`CLOCK_TOLERANCE`].
#[must_use]
pub fn ahead_of_clock(page: &Page, clock: Timestamp) -> Option<Timestamp> {
    let latest_right = clock.saturating_add(CLOCK_TOLERANCE).unwrap_or(clock);
    let mut earliest = page.events.iter().filter_map(|event| event.time).map(|time| time.earliest());
    earliest.find(|time| *time > latest_right)
}
