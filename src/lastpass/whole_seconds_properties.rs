//! Properties of reading whole seconds, against a small LastPass that pages, orders and bounds as it likes.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;

use super::{
    reporting::{Event, Page, Request},
    time::ApiZone,
    whole_seconds::{Reading, WholeSeconds},
};

/// How a LastPass answers: what is not documented is drawn.
#[derive(Debug, Clone)]
struct Habits {
    page_size: usize,
    order: Order,
    from_inclusive: bool,
    to_inclusive: bool,
    second_pass: bool,
}

#[derive(Debug, Clone, Copy)]
enum Order {
    Descending,
    Ascending,
    Shuffled,
}

/// A zone, the middle of a day in it, and events as seconds around that middle.
#[derive(Debug, Clone)]
struct World {
    zone: &'static str,
    middle: &'static str,
    events: Vec<i64>,
    from: i64,
    to: i64,
}

const DAYS: &[(&str, &str)] = &[
    ("America/New_York", "2025-11-02T06:00:00Z"),
    ("America/New_York", "2025-03-09T07:00:00Z"),
    ("Europe/London", "2025-10-26T01:00:00Z"),
    ("Australia/Lord_Howe", "2025-04-05T15:00:00Z"),
    ("UTC", "2025-07-01T00:00:00Z"),
];

/// Seconds from the middle within which events lie: more than an hour at both sides, so that folds are met.
const REACH: i64 = 7_200;

fn worlds() -> impl Strategy<Value = World> {
    // Few different seconds make twins, and seconds larger than a page.
    let seconds = prop::collection::vec(-REACH..REACH, 1..12);
    let picks = prop::collection::vec(any::<prop::sample::Index>(), 0..60);
    (prop::sample::select(DAYS), seconds, picks, -REACH..0, 0..REACH).prop_map(
        |((zone, middle), seconds, picks, from, to)| World {
            zone,
            middle,
            events: picks.iter().map(|pick| *pick.get(&seconds)).collect(),
            from,
            to,
        },
    )
}

fn habits() -> impl Strategy<Value = Habits> {
    let order = prop_oneof![Just(Order::Descending), Just(Order::Ascending), Just(Order::Shuffled)];
    (1..20_usize, order, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(page_size, order, from_inclusive, to_inclusive, second_pass)| Habits {
            page_size,
            order,
            from_inclusive,
            to_inclusive,
            second_pass,
        },
    )
}

struct LastPass {
    zone: ApiZone,
    habits: Habits,
    /// Oldest first, each with its place among those of its second.
    events: Vec<(Timestamp, usize)>,
}

impl LastPass {
    fn new(world: &World, habits: Habits) -> Self {
        let middle: Timestamp = world.middle.parse().expect("a time");
        let mut seconds = world.events.clone();
        seconds.sort_unstable();
        let mut places = BTreeMap::new();
        let place = |second: i64| {
            let place = places.entry(second).or_insert(0);
            *place += 1;
            (middle + SignedDuration::from_secs(second), *place)
        };
        let events = seconds.into_iter().map(place).collect();
        Self { zone: ApiZone::new(world.zone).expect("a zone"), habits, events }
    }

    /// What a bound's wall time means to this LastPass.
    fn bound(&self, instant: Timestamp) -> Timestamp {
        let time = self.zone.read(Some(&json!(self.zone.wall_time(instant)))).expect("readable").expect("a time");
        if self.habits.second_pass { time.latest() } else { time.earliest() }
    }

    fn position_us((instant, place): (Timestamp, usize)) -> i64 {
        instant.as_microsecond() + i64::try_from(place).expect("a small number")
    }

    fn answer(&self, request: &Request) -> Page {
        let (from, to) = (self.bound(request.from), self.bound(request.to));
        let is_asked = |event: &(Timestamp, usize)| {
            let after = if self.habits.from_inclusive { event.0 >= from } else { event.0 > from };
            let before = if self.habits.to_inclusive { event.0 <= to } else { event.0 < to };
            after && before && request.next_us.is_none_or(|next| Self::position_us(*event) <= next)
        };
        let mut newest_first: Vec<_> = self.events.iter().rev().copied().filter(is_asked).collect();
        let rest = newest_first.split_off(newest_first.len().min(self.habits.page_size));
        match self.habits.order {
            Order::Descending => {}
            Order::Ascending => newest_first.reverse(),
            Order::Shuffled => newest_first.sort_by_key(|event| Self::position_us(*event) % 1_009 * 7_919 % 1_013),
        }
        let event = |event: (Timestamp, usize)| Event {
            record: format!("{} {}", event.0, event.1),
            time: self.zone.read(Some(&json!(self.zone.wall_time(event.0)))),
        };
        Page {
            events: newest_first.into_iter().map(event).collect(),
            next_us: rest.first().copied().map(Self::position_us),
        }
    }
}

/// Reads a window whole, as a run does, and begins anew from the saved position after every `restart_after` pages.
fn read(lastpass: &LastPass, from: Timestamp, to: Timestamp, restart_after: usize) -> Vec<WholeSeconds> {
    let clock = to + SignedDuration::from_hours(1_000);
    let (mut position, mut all, mut pages) = (to, Vec::new(), 0);
    'restart: loop {
        let mut reading = Reading::new(&lastpass.zone, from, position);
        for page in 1.. {
            pages += 1;
            assert!(pages < 1_000, "reading never ends");
            let whole = reading.take(lastpass.answer(&reading.request()), clock).expect("no contradiction");
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_event_of_a_window_is_given_out_once_and_its_second_whole(
        world in worlds(),
        habits in habits(),
        restart_after in 1..4_usize,
    ) {
        let is_shuffled = matches!(habits.order, Order::Shuffled);
        let lastpass = LastPass::new(&world, habits);
        let middle: Timestamp = world.middle.parse().expect("a time");
        let from = lastpass.zone.begin_outside_fold(middle + SignedDuration::from_secs(world.from));
        let to = lastpass.zone.end_outside_fold(middle + SignedDuration::from_secs(world.to));
        let answers = read(&lastpass, from, to, restart_after);

        let mut given: Vec<String> =
            answers.iter().flat_map(|whole| &whole.events).map(|(event, _)| event.record.clone()).collect();
        let mut held: Vec<String> = lastpass
            .events
            .iter()
            .filter(|(instant, _)| (from..to).contains(instant))
            .map(|(instant, place)| format!("{instant} {place}"))
            .collect();
        given.sort();
        held.sort();
        prop_assert_eq!(given, held);

        // All events of one wall time come in one piece: their ordinals are counted there.
        let mut pieces: BTreeMap<_, usize> = BTreeMap::new();
        for (index, whole) in answers.iter().enumerate() {
            for (event, time) in &whole.events {
                let local = event.time.clone().expect("readable").expect("a time");
                prop_assert_eq!(*pieces.entry(local.civil()).or_insert(index), index);
                // Where it isn't said to be a guess, the instant is the true one. (A shuffled page can look ordered.)
                let time = time.expect("a time");
                if !time.ambiguous && !is_shuffled {
                    prop_assert!(event.record.starts_with(&time.timestamp.to_string()));
                }
            }
        }
    }
}
