//! A small LastPass for property tests, with any kind of paging, order and bounds.

use std::{cmp::Reverse, collections::BTreeMap};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;

use super::{
    reporting::{Event, Page, Request},
    time::ApiZone,
};

/// The undocumented behavior of a LastPass. Properties hold for all of it.
#[derive(Debug, Clone)]
pub(crate) struct Habits {
    pub(crate) page_size: usize,
    pub(crate) order: Order,
    pub(crate) from_inclusive: bool,
    pub(crate) to_inclusive: bool,
    /// Whether a bound in a repeated hour means its second pass.
    pub(crate) second_pass: bool,
    pub(crate) next: Next,
}

/// The order inside a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Descending,
    Ascending,
    /// By wall time, which mixes the passes of a repeated hour.
    DescendingByTime,
    AscendingByTime,
    Shuffled,
}

/// The meaning of `next`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The position of the newest remaining event.
    OfRest,
    /// The position of the page's oldest event, which is not repeated.
    OfPage,
    /// Like `OfPage`, and every non-empty page has a `next`.
    EvenAtTheEnd,
    /// The position of the newest remaining event, and the first page is empty.
    AfterAnEmptyPage,
    /// The position of the page's oldest event, which is repeated.
    RepeatsLast,
    /// Like `RepeatsLast`, and the whole second of that event is repeated.
    RepeatsSecond,
    /// The position of the newest remaining event, and its whole second is repeated.
    OfRestRepeatsSecond,
    /// The second of the page's oldest event, without a fraction. The whole second is repeated.
    WholeSecond,
    /// The position of the page's oldest event. The event before the remaining ones is repeated, regardless of `next`.
    RepeatsNewer,
}

impl Next {
    /// The variants that repeat events of the previous page.
    pub(crate) const REPEATING: [Self; 5] =
        [Self::RepeatsLast, Self::RepeatsSecond, Self::OfRestRepeatsSecond, Self::WholeSecond, Self::RepeatsNewer];
}

impl Habits {
    /// Returns everything in one page.
    pub(crate) const PLAIN: Self = Self {
        page_size: usize::MAX,
        order: Order::Descending,
        from_inclusive: true,
        to_inclusive: true,
        second_pass: false,
        next: Next::OfRest,
    };
}

/// Generates all habits except a `next` that repeats events.
pub(crate) fn habits() -> impl Strategy<Value = Habits> {
    let order = prop::sample::select(vec![
        Order::Descending,
        Order::Ascending,
        Order::DescendingByTime,
        Order::AscendingByTime,
        Order::Shuffled,
    ]);
    let next = prop::sample::select(vec![Next::OfRest, Next::OfPage, Next::EvenAtTheEnd, Next::AfterAnEmptyPage]);
    let page_size = prop_oneof![3 => 1..20_usize, 1 => 20..80_usize];
    (page_size, order, any::<bool>(), any::<bool>(), any::<bool>(), next).prop_map(
        |(page_size, order, from_inclusive, to_inclusive, second_pass, next)| Habits {
            page_size,
            order,
            from_inclusive,
            to_inclusive,
            second_pass,
            next,
        },
    )
}

/// Generates a zone and an instant, which may be a transition.
pub(crate) fn days() -> impl Strategy<Value = (ApiZone, Timestamp)> {
    let days = vec![
        ("America/New_York", "2025-11-02T06:00:00Z"),
        ("America/New_York", "2025-03-09T07:00:00Z"),
        ("Europe/London", "2025-10-26T01:00:00Z"),
        ("Australia/Lord_Howe", "2025-04-05T15:00:00Z"),
        ("UTC", "2025-07-01T00:00:00Z"),
    ];
    prop::sample::select(days)
        .prop_map(|(zone, middle)| (ApiZone::new(zone).expect("a zone"), middle.parse().expect("a time")))
}

/// Seconds around the middle of a day that contain the events: more than an hour on both sides, to include folds.
pub(crate) const REACH: i64 = 7_200;

/// 52 weeks: the transition is on the same Sunday of the year before.
const YEAR: i64 = 364 * 86_400;

/// Generates seconds from the middle of a day: near it, at the ends of its fold, or a year earlier.
pub(crate) fn offsets() -> impl Strategy<Value = i64> {
    let end = prop::sample::select(vec![-3_600, -1_800, 0, 1_800, 3_600]);
    let near = prop_oneof![3 => -REACH..REACH, 1 => (end, -1..=1_i64).prop_map(|(end, by)| end + by)];
    (near, prop::bool::weighted(0.3)).prop_map(|(near, earlier)| if earlier { near - YEAR } else { near })
}

/// Repeats a few of `values` many times, for twins and for seconds larger than a page.
pub(crate) fn repeatedly<T: Clone + std::fmt::Debug>(
    values: impl Strategy<Value = T>,
    most: usize,
) -> impl Strategy<Value = Vec<T>> {
    (prop::collection::vec(values, 1..12), prop::collection::vec(any::<prop::sample::Index>(), 0..most))
        .prop_map(|(values, picks)| picks.iter().map(|pick| pick.get(&values).clone()).collect())
}

/// An event as LastPass stores it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// When the event happened.
    pub(crate) instant: Timestamp,
    /// When the event appears in responses.
    pub(crate) shown_from: Timestamp,
    /// Whether its `Time` is readable.
    pub(crate) has_time: bool,
    /// The field `Data`.
    pub(crate) data: String,
}

#[derive(Debug)]
pub(crate) struct LastPass {
    pub(crate) zone: ApiZone,
    habits: Habits,
    /// The entries, oldest first, each with its position in microseconds.
    entries: Vec<(i64, Entry)>,
}

impl LastPass {
    pub(crate) fn new(zone: ApiZone, habits: Habits, mut entries: Vec<Entry>) -> Self {
        entries.sort_by_key(|entry| entry.instant);
        let mut places = BTreeMap::new();
        let position = |entry: Entry| {
            let place = places.entry(entry.instant).or_insert(0);
            *place += 1;
            (entry.instant.as_microsecond() + *place, entry)
        };
        Self { entries: entries.into_iter().map(position).collect(), zone, habits }
    }

    /// Returns the same account with other habits.
    pub(crate) fn with_habits(&self, habits: Habits) -> Self {
        Self { zone: self.zone.clone(), habits, entries: self.entries.clone() }
    }

    pub(crate) fn habits(&self) -> &Habits {
        &self.habits
    }

    /// Returns all stored entries, oldest first.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().map(|(_, entry)| entry)
    }

    fn time(&self, entry: &Entry) -> String {
        if entry.has_time { self.zone.wall_time(entry.instant) } else { "yesterday".to_owned() }
    }

    /// Builds the record of an entry. Entries with the same wall time and data have equal records.
    pub(crate) fn record(&self, entry: &Entry) -> String {
        let time = self.time(entry);
        json!({"Time": time, "Username": "ann@example.com", "Action": "Log in", "Data": entry.data}).to_string()
    }

    /// Returns the instant that this LastPass understands by the wall time of a bound.
    fn bound(&self, instant: Timestamp) -> Timestamp {
        let time = self.zone.read(Some(&json!(self.zone.wall_time(instant)))).expect("readable").expect("a time");
        if self.habits.second_pass { time.latest() } else { time.earliest() }
    }

    /// Builds the response to `request` at `clock`.
    pub(crate) fn answer(&self, request: &Request, clock: Timestamp) -> Page {
        let (from, to) = (self.bound(request.from), self.bound(request.to));
        let is_asked = |(_, entry): &&(i64, Entry)| {
            let after = entry.instant > from || self.habits.from_inclusive && entry.instant == from;
            let before = entry.instant < to || self.habits.to_inclusive && entry.instant == to;
            after && before && entry.shown_from <= clock
        };
        let mut page: Vec<_> = self.entries.iter().rev().filter(is_asked).collect();
        let is_empty = self.habits.next == Next::AfterAnEmptyPage && request.next_us.is_none();
        let page_size = if is_empty { 0 } else { self.habits.page_size };
        if let Some(next_us) = request.next_us {
            let second = |position: i64| position.div_euclid(1_000_000);
            let left = page.partition_point(|(position, _)| match self.habits.next {
                Next::OfRest | Next::AfterAnEmptyPage | Next::OfRestRepeatsSecond => *position > next_us,
                Next::WholeSecond => second(*position) > second(next_us),
                Next::OfPage | Next::EvenAtTheEnd | Next::RepeatsLast | Next::RepeatsSecond | Next::RepeatsNewer => {
                    *position >= next_us
                }
            });
            let before = page[..left].iter().rev().take_while(|(position, _)| match self.habits.next {
                Next::RepeatsLast => *position == next_us,
                Next::RepeatsSecond | Next::OfRestRepeatsSecond => second(*position) == second(next_us),
                Next::RepeatsNewer => true,
                Next::OfRest | Next::OfPage | Next::EvenAtTheEnd | Next::AfterAnEmptyPage | Next::WholeSecond => false,
            });
            // Leaves room for one new event.
            let most = if self.habits.next == Next::RepeatsNewer { 1 } else { usize::MAX };
            let repeated = before.count().min(most).min(page_size.saturating_sub(1));
            page.drain(..left - repeated);
        }
        let rest = page.split_off(page.len().min(page_size));
        let (oldest, left) = (page.last().map(|(position, _)| *position), rest.first().map(|(position, _)| *position));
        let next_us = match self.habits.next {
            Next::OfRest | Next::AfterAnEmptyPage | Next::OfRestRepeatsSecond => left,
            Next::OfPage | Next::RepeatsLast | Next::RepeatsSecond | Next::RepeatsNewer => left.and(oldest),
            Next::WholeSecond => left.and(oldest).map(|position| position.div_euclid(1_000_000) * 1_000_000),
            Next::EvenAtTheEnd => oldest,
        };
        // The text order of such wall times is their time order.
        let time = |(_, entry): &&(i64, Entry)| self.zone.wall_time(entry.instant);
        match self.habits.order {
            Order::Descending => {}
            Order::Ascending => page.reverse(),
            Order::DescendingByTime => page.sort_by_key(|event| Reverse(time(event))),
            Order::AscendingByTime => {
                page.reverse();
                page.sort_by_key(time);
            }
            Order::Shuffled => page.sort_by_key(|(position, _)| position % 1_009 * 7_919 % 1_013),
        }
        Page { events: page.into_iter().map(|(_, entry)| self.event(entry)).collect(), next_us }
    }

    fn event(&self, entry: &Entry) -> Event {
        Event { record: self.record(entry), time: self.zone.read_text(&self.time(entry)).ok().flatten() }
    }
}

/// Returns an instant long after all events of a test.
pub(crate) fn much_later(instant: Timestamp) -> Timestamp {
    instant + SignedDuration::from_hours(1_000)
}
