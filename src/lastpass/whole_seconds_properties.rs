//! Properties of reading whole seconds, against a small LastPass that pages, orders and bounds as it likes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::{
    testing::{Entry, Habits, LastPass, Next, Order, days, habits, much_later, offsets, repeatedly},
    whole_seconds::{Reading, WholeSeconds},
};

/// Events of which no two are equal, so that each is known by its record, and a window that ends in no fold.
#[derive(Debug)]
struct World {
    lastpass: LastPass,
    from: Timestamp,
    to: Timestamp,
}

fn worlds(habits: impl Strategy<Value = Habits>) -> impl Strategy<Value = World> {
    (days(), habits, repeatedly(offsets(), 60), offsets(), offsets()).prop_map(
        |((zone, middle), habits, events, one, other)| {
            let at = |offset: i64| middle + SignedDuration::from_secs(offset);
            let from = zone.begin_outside_fold(at(one.min(other)));
            let to = zone.end_outside_fold(at(one.max(other) + 1));
            let entry = |(index, offset): (usize, &i64)| Entry {
                instant: at(*offset),
                shown_from: Timestamp::MIN,
                has_time: true,
                data: index.to_string(),
            };
            let entries = events.iter().enumerate().map(entry).collect();
            World { lastpass: LastPass::new(zone, habits, entries), from, to }
        },
    )
}

impl World {
    /// Reads the window whole, as a run does, and begins anew from the saved position after every `restart_after` pages.
    fn read(&self, restart_after: usize) -> Vec<WholeSeconds> {
        let clock = much_later(self.to);
        let (mut position, mut all, mut pages) = (self.to, Vec::new(), 0);
        'restart: loop {
            let mut reading = Reading::new(&self.lastpass.zone, self.from, position);
            for page in 1.. {
                pages += 1;
                assert!(pages < 1_000, "reading never ends");
                let answer = self.lastpass.answer(&reading.request(), clock);
                let whole = reading.take(answer, clock).expect("no contradiction");
                let (complete, moved) = (whole.complete, whole.position < position);
                position = whole.position;
                all.push(whole);
                if complete {
                    return all;
                }
                if moved && page % restart_after == 0 {
                    continue 'restart;
                }
            }
        }
    }

    /// The records of the window, each with its true instant.
    fn held(&self) -> BTreeMap<String, Timestamp> {
        let inside = self.lastpass.entries().filter(|entry| (self.from..self.to).contains(&entry.instant));
        inside.map(|entry| (self.lastpass.record(entry), entry.instant)).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn every_event_of_a_window_is_given_out_once_and_its_second_whole(
        world in worlds(habits()),
        restart_after in 1..4_usize,
    ) {
        let is_shuffled = world.lastpass.habits().order == Order::Shuffled;
        let answers = world.read(restart_after);
        let held = world.held();

        let mut given: Vec<&String> =
            answers.iter().flat_map(|whole| &whole.events).map(|(event, _)| &event.record).collect();
        given.sort();
        prop_assert_eq!(given, held.keys().collect::<Vec<_>>());

        // All events of one wall time come in one piece: their ordinals are counted there.
        let mut pieces: BTreeMap<_, usize> = BTreeMap::new();
        for (index, whole) in answers.iter().enumerate() {
            for (event, time) in &whole.events {
                let local = event.time.clone().expect("readable").expect("a time");
                prop_assert_eq!(*pieces.entry(local.civil()).or_insert(index), index);
                // Where it isn't said to be a guess, the instant is the true one. (A shuffled page can look ordered.)
                let time = time.expect("a time");
                if !time.ambiguous && !is_shuffled {
                    prop_assert_eq!(time.timestamp, held[&event.record]);
                }
            }
        }
    }

    #[test]
    fn a_next_that_repeats_events_loses_none(
        // A page of one event that is repeated leads nowhere, and is refused.
        world in worlds(habits().prop_map(|habits| {
            Habits { page_size: habits.page_size + 1, next: Next::Repeats, ..habits }
        })),
        restart_after in 1..4_usize,
    ) {
        let answers = world.read(restart_after);
        let held = world.held();
        let given: BTreeSet<&String> =
            answers.iter().flat_map(|whole| &whole.events).map(|(event, _)| &event.record).collect();
        prop_assert_eq!(given, held.keys().collect::<BTreeSet<_>>());
    }
}
