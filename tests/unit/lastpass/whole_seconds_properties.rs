//! Properties of reading whole seconds, against a small LastPass with any kind of paging, order and bounds.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::{
    testing::{Entry, Habits, LastPass, Next, Order, days, habits, much_later, offsets, repeatedly},
    time::ApiZone,
    whole_seconds::{WholeSeconds, WindowReader},
};

/// A LastPass with events, and a window whose ends are outside any fold.
#[derive(Debug)]
struct World {
    lastpass: LastPass,
    from: Timestamp,
    to: Timestamp,
}

/// Generates events that all differ, so that the record identifies the event.
fn worlds() -> impl Strategy<Value = World> {
    worlds_of(|index| index.to_string())
}

/// Generates many equal events, in one second and in both passes of a repeated hour.
fn twin_worlds() -> impl Strategy<Value = World> {
    worlds_of(|index| (index % 2).to_string())
}

fn worlds_of(data: fn(usize) -> String) -> impl Strategy<Value = World> {
    let next = prop_oneof![3 => prop::sample::select(Next::REPEATING.to_vec()).prop_map(Some), 2 => Just(None)];
    let habits = (habits(), next).prop_map(|(habits, next)| Habits { next: next.unwrap_or(habits.next), ..habits });
    // The same wall times in both passes.
    let in_fold = (0..6_i64, prop::sample::select(vec![-3_600, -1_800, 0])).prop_map(|(by, pass)| by * 300 + pass);
    let places = prop_oneof![1 => offsets(), 1 => in_fold];
    (days(), habits, repeatedly(places, 60), offsets(), offsets()).prop_map(
        move |((zone, middle), habits, events, one, other)| {
            let at = |offset: i64| middle + SignedDuration::from_secs(offset);
            let from = zone.begin_outside_fold(at(one.min(other)));
            let to = zone.end_outside_fold(at(one.max(other) + 1));
            let entry = |(index, offset): (usize, &i64)| Entry {
                instant: at(*offset),
                shown_from: Timestamp::MIN,
                has_time: true,
                data: data(index),
            };
            let entries = events.iter().enumerate().map(entry).collect();
            World { lastpass: LastPass::new(zone, habits, entries), from, to }
        },
    )
}

impl World {
    /// Reads the whole window like a run does, and restarts from the saved position after every `restart_after` pages.
    fn read(&self, restart_after: usize) -> Vec<WholeSeconds> {
        let clock = much_later(self.to);
        let (mut position, mut all, mut pages) = (self.to, Vec::new(), 0);
        'restart: loop {
            let mut reading = WindowReader::new(&self.lastpass.zone, self.from, position);
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

    /// Returns the records of the window, each with its true instant.
    fn expected(&self) -> BTreeMap<String, Timestamp> {
        self.inside().map(|entry| (self.lastpass.record(entry), entry.instant)).collect()
    }

    fn inside(&self) -> impl Iterator<Item = &Entry> {
        self.lastpass.entries().filter(|entry| (self.from..self.to).contains(&entry.instant))
    }

    /// Returns whether repeats can be distinguished from twins. That requires that no second holds a page of events.
    /// For a repeated wall time, it also requires that a page holds both its passes and everything between them, or
    /// that its second pass is empty and other events follow its first pass before the clock is set back.
    fn are_repeats_distinguishable(&self) -> bool {
        let Habits { next, page_size, .. } = *self.lastpass.habits();
        if !Next::REPEATING.contains(&next) {
            return true;
        }
        let second = SignedDuration::from_secs(1);
        let newer = usize::from(next == Next::RepeatsNewer);
        let count = |from: Timestamp, to: Timestamp| {
            self.lastpass.entries().filter(|entry| (from..=to).contains(&entry.instant)).count()
        };
        let is_distinguishable = |first: Timestamp| {
            let Some(fold) = self.lastpass.zone.fold_at(first).filter(|fold| first < fold.set_back) else {
                return true;
            };
            let again = first + fold.set_back.duration_since(fold.begin);
            let is_apart = newer == 0 || count(first + second, again - second) > 0;
            let is_empty = count(again, again) == 0 && count(first + second, fold.set_back - second) > 0;
            is_empty && newer == 0 && next != Next::WholeSecond || is_apart && count(first, again) + newer < page_size
        };
        let mut instants = self.lastpass.entries().map(|entry| entry.instant);
        instants.all(|instant| count(instant, instant) + newer < page_size && is_distinguishable(instant))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn every_event_of_a_window_is_returned_once_with_its_whole_second(
        world in worlds(),
        restart_after in 1..4_usize,
    ) {
        if !world.are_repeats_distinguishable() { return Ok(()); }
        let is_shuffled = world.lastpass.habits().order == Order::Shuffled;
        let answers = world.read(restart_after);
        let expected = world.expected();

        let mut given: Vec<&String> =
            answers.iter().flat_map(|whole| &whole.events).map(|(record, _)| record).collect();
        given.sort();
        prop_assert_eq!(given, expected.keys().collect::<Vec<_>>());

        // All events of one wall time are returned in one piece, because their ordinals are counted there.
        let mut pieces: BTreeMap<_, usize> = BTreeMap::new();
        for (index, whole) in answers.iter().enumerate() {
            for (record, time) in &whole.events {
                let fields: serde_json::Value = serde_json::from_str(record).expect("JSON");
                let wall_time = fields["Time"].as_str().expect("a time").to_owned();
                prop_assert_eq!(*pieces.entry(wall_time).or_insert(index), index);
                // The instant is the true one unless it is marked as ambiguous. A shuffled page can look ordered.
                let time = time.expect("a time");
                if !time.ambiguous && !is_shuffled {
                    prop_assert_eq!(time.timestamp, expected[record]);
                }
            }
        }
    }

    #[test]
    fn equal_events_are_counted_once_whatever_next_repeats(
        world in twin_worlds(),
        restart_after in 1..4_usize,
    ) {
        // A `next` without a fraction cannot split a second, so it does not advance inside one.
        prop_assume!(world.lastpass.habits().next != Next::WholeSecond || world.are_repeats_distinguishable());
        let (mut given, mut expected) = (BTreeMap::new(), BTreeMap::new());
        for (record, _) in world.read(restart_after).iter().flat_map(|whole| &whole.events) {
            *given.entry(record.clone()).or_insert(0) += 1;
        }
        for entry in world.inside() {
            *expected.entry(world.lastpass.record(entry)).or_insert(0) += 1;
        }
        if world.are_repeats_distinguishable() {
            prop_assert_eq!(given, expected);
        } else {
            for (record, count) in expected {
                prop_assert!(given.get(&record).is_some_and(|given| *given >= count), "{} of {}", count, record);
            }
        }
    }
}

/// Reads equal events at these offsets from the end of summer time in New York. Returns the number of events and
/// requests.
fn read_fold(offsets: &[i64], habits: Habits) -> (usize, usize) {
    let zone = ApiZone::new("America/New_York").expect("a zone");
    let set_back: Timestamp = "2025-11-02T06:00:00Z".parse().expect("a time");
    let entry = |offset: &i64| Entry {
        instant: set_back + SignedDuration::from_secs(*offset),
        shown_from: Timestamp::MIN,
        has_time: true,
        data: String::new(),
    };
    let hour = SignedDuration::from_hours(1);
    let lastpass = LastPass::new(zone, habits, offsets.iter().map(entry).collect());
    let answers = World { lastpass, from: set_back - hour, to: set_back + hour }.read(usize::MAX);
    (answers.iter().map(|whole| whole.events.len()).sum(), answers.len())
}

#[test]
fn four_equal_events_at_the_boundary_of_two_pages_count_as_four() {
    let offsets: Vec<i64> = (-40..40).flat_map(|step| [step * 80; 4]).collect();
    for next in Next::REPEATING {
        for order in [Order::Descending, Order::AscendingByTime, Order::Shuffled] {
            for page_size in 90..98 {
                let (given, requests) = read_fold(&offsets, Habits { page_size, next, order, ..Habits::PLAIN });
                assert_eq!((given, requests), (320, 4), "{next:?} {order:?}, pages of {page_size}");
            }
        }
    }
}

#[test]
fn a_page_truncated_in_a_wall_time_of_which_it_holds_both_passes_costs_one_more_request() {
    // Every minute of both passes has two equal events, so a page of 140 events spans an hour and ten minutes.
    let offsets: Vec<i64> = (-60..60).flat_map(|minute| [minute * 60; 2]).collect();
    for next in Next::REPEATING {
        for (page_size, most) in [(141, 5), (143, 5), (150, 5), (10_000, 1)] {
            let habits = Habits { page_size, next, order: Order::Shuffled, ..Habits::PLAIN };
            let (given, requests) = read_fold(&offsets, habits);
            assert_eq!(given, 240, "{next:?}, pages of {page_size}");
            assert!(requests <= most, "{next:?}, pages of {page_size}: {requests}");
        }
    }
}

#[test]
fn a_second_that_fills_many_pages_costs_one_request_for_each() {
    for (offset, after) in [(-3_600, None), (-3_600, Some(-1)), (-10, None), (0, None), (3_599, None)] {
        let offsets = [vec![offset; 50], after.into_iter().collect()].concat();
        let habits = Habits { page_size: 5, next: Next::OfPage, ..Habits::PLAIN };
        let (given, requests) = read_fold(&offsets, habits);
        assert_eq!(given, offsets.len());
        assert!(requests <= 16, "{requests} at {offset}, {after:?}");
    }
}

#[test]
fn a_second_pass_that_is_repeated_is_not_taken_for_empty() {
    // Truncated in the first pass of 01:55:00. Its second pass holds the one event that a page repeats.
    let offsets = [vec![-300; 4], vec![0; 10], vec![3_300]].concat();
    let (given, _) = read_fold(&offsets, Habits { page_size: 14, next: Next::RepeatsNewer, ..Habits::PLAIN });
    assert!(given >= 15, "{given}");
}
