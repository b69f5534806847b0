//! The events in order of their instants, each with a unique position.
//!
//! A position is a time in microseconds: the event's second plus its rank among the events of that second. `next`
//! carries it, `Time` never shows it, and it does not change when events are added. Paging therefore loses and repeats
//! nothing even if one second holds more events than a page.

use std::ops::Range;

use crate::event::Event;

/// Microseconds in a second, and the most events in one second.
pub(crate) const SECOND_US: i64 = 1_000_000;

/// An event with its position.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) position_us: i64,
    pub(crate) event: Event,
}

impl Placed {
    /// Returns the event's second as Unix time.
    pub(crate) fn second(&self) -> i64 {
        self.event.instant.as_second()
    }
}

/// All events of a world, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    placed: Vec<Placed>,
}

impl Timeline {
    /// Returns the number of events, including those not yet visible.
    pub fn len(&self) -> usize {
        self.placed.len()
    }

    /// Returns whether there are no events.
    pub fn is_empty(&self) -> bool {
        self.placed.is_empty()
    }

    /// Returns the events, oldest first. Events of one second are in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Event> {
        self.placed.iter().map(|placed| &placed.event)
    }

    /// Adds events in any order.
    pub fn extend(&mut self, events: impl IntoIterator<Item = Event>) {
        let mut added: Vec<Placed> = events.into_iter().map(at_whole_second).collect();
        added.sort_by_key(|placed| placed.position_us);
        let mut rank = 0;
        for index in 0..added.len() {
            let second = added[index].second();
            let first_of_second = index == 0 || added[index - 1].second() != second;
            rank = if first_of_second { self.free_rank(second) } else { rank + 1 };
            added[index].position_us = second * SECOND_US + rank;
        }
        let in_order = match (self.placed.last(), added.first()) {
            (Some(last), Some(first)) => last.position_us < first.position_us,
            _ => true,
        };
        self.placed.append(&mut added);
        if !in_order {
            self.placed.sort_by_key(|placed| placed.position_us);
        }
    }

    /// Removes the events that requests caused.
    pub fn remove_polls(&mut self) {
        self.placed.retain(|placed| !placed.event.is_poll);
    }

    /// Returns the events with positions in this range, oldest first.
    pub(crate) fn range(&self, positions_us: Range<i64>) -> &[Placed] {
        let start = self.placed.partition_point(|placed| placed.position_us < positions_us.start);
        let end = self.placed.partition_point(|placed| placed.position_us < positions_us.end);
        &self.placed[start..end.max(start)]
    }

    pub(crate) fn all(&self) -> &[Placed] {
        &self.placed
    }

    /// Returns the next free rank in this second.
    fn free_rank(&self, second: i64) -> i64 {
        let taken = self.range(second * SECOND_US..(second + 1) * SECOND_US);
        taken.last().map_or(0, |last| last.position_us - second * SECOND_US + 1)
    }
}

/// Truncates the event to its whole second and gives it a preliminary position at the start of that second.
fn at_whole_second(mut event: Event) -> Placed {
    let second = event.instant.as_second();
    event.instant = jiff::Timestamp::from_second(second).unwrap_or(event.instant);
    Placed { position_us: second * SECOND_US, event }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn positions_are_distinct_and_stay_when_a_late_event_joins() {
        let instant = Timestamp::from_second(1_000).unwrap();
        let mut timeline = Timeline::default();
        timeline.extend([Event::at(instant).by("a"), Event::at(instant).by("b")]);
        timeline.extend([Event::at(Timestamp::from_second(2_000).unwrap()).by("d")]);
        timeline.extend([Event::at(instant).by("c")]);
        let seen: Vec<_> = timeline.all().iter().map(|p| (p.position_us, &*p.event.username)).collect();
        let expected = [(1_000_000_000, "a"), (1_000_000_001, "b"), (1_000_000_002, "c"), (2_000_000_000, "d")];
        assert_eq!(seen, expected);
    }
}
