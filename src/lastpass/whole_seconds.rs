//! Reads a window of events in whole seconds.
//!
//! Equal events of one second differ only in their ordinal, so all events of a second must be counted together. A page
//! can end in the middle of a second (LASTPASS_API.md, "reporting"). Each request therefore extends the window by one
//! second at both ends, and only events inside the window are kept. If a page is truncated, its boundary second is
//! dropped and read again. In a repeated hour, the whole repeated hour takes the place of the second.
//!
//! If a page is smaller than the repeated hour, or than a second, pages are joined by `next`. The events that a page
//! leaves out happened at its `next` or earlier, so the page holds every event of later seconds. Those events are kept.
//! The second of `next` and all earlier seconds are dropped and requested again, with a `next` that is the last
//! microsecond of that second. Each second is therefore counted in one response, whether the server repeats no event,
//! the last event or the whole second. The server's own `next` is sent only inside a second that fills a page.
//!
//! `next` is an instant and `Time` is a wall time. If one page spans both passes of a wall time, the page does not show
//! which of its events to keep. Such a wall time is requested separately (`Doubt`).
//!
//! Pure: [`WindowReader::request`] returns the next request, and [`WindowReader::take`] interprets its response.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

pub use super::{
    contradiction::CLOCK_TOLERANCE,
    follow_up::{ahead_of_clock, judge_follow_up},
};
use super::{
    contradiction::Contradiction,
    passes::determine_passes,
    reporting::{Event, PAGE_MAX_EVENTS, Page, Request},
    time::{ApiZone, EventTime, LocalTime},
};
use crate::clock::whole_second;

/// The margin at both ends of a request. Chosen: the unit of LastPass's times, because a bound may or may not include its
/// second.
const MARGIN: SignedDuration = SignedDuration::from_secs(1);

/// Microseconds in a second.
const SECOND_US: i64 = 1_000_000;

/// Reads a window, from its newest events to its oldest.
#[derive(Debug)]
pub struct WindowReader<'z> {
    zone: &'z ApiZone,
    from: Timestamp,
    /// All events from this instant on have been returned.
    position: Timestamp,
    /// The kept events of joined pages, newest first.
    held: Vec<Part>,
    /// Events of the wall times that were requested separately.
    separate: Vec<(Event, EventTime)>,
    /// The second in which the next page to be joined begins: no event of that page is newer.
    top: Timestamp,
    /// The `next` of the request for that page.
    next_us: Option<i64>,
    /// The instant from which the held pages are complete, once it is known.
    whole_from: Option<Timestamp>,
    /// The open doubts about the newest held page. The last one is resolved first.
    doubts: Vec<Doubt>,
}

/// The events of some seconds of a page.
#[derive(Debug)]
struct Part {
    /// No event is newer than this second.
    newest: Timestamp,
    events: Vec<Event>,
}

/// A wall time of a repeated hour that a page may hold in both passes. The page keeps only one of them.
#[derive(Debug)]
struct Doubt {
    time: LocalTime,
    kind: DoubtKind,
    proof: Proof,
    /// The `next` of the next request.
    next_us: i64,
    /// The pages so far, newest first.
    pages: Vec<Vec<Event>>,
}

/// The proof that the second pass of a wall time is empty. It is needed if the first response was truncated, at
/// `cut_us`, inside the first pass, because the rest of that pass can be distinguished from repeats only if it is
/// requested whole.
///
/// `WithoutSecondPass` requests a page that skips the second pass. If the second pass is empty, that page is truncated
/// at the same event. But a server that repeats events newer than `next` repeats the second pass in it. `FromFirstPass`
/// therefore requests a page that begins with the first pass. If the server repeats events, that page contains the
/// oldest event after the first pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    NotTried,
    WithoutSecondPass { cut_us: i64 },
    FromFirstPass { cut_us: i64 },
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DoubtKind {
    /// The page was truncated in the first pass of the wall time and may hold its second pass. Both are read again.
    Boundary,
    /// The page holds the first pass and may repeat events of the second pass from the previous page. The first pass is
    /// read again.
    Repeats,
}

/// The events of complete seconds, with their instants, oldest first.
#[derive(Debug, Default, PartialEq)]
pub struct WholeSeconds {
    /// The record of each event, as LastPass wrote it, and the instant of its `Time`, or `None` if it has no readable
    /// `Time`.
    pub events: Vec<(String, Option<EventTime>)>,
    /// The end of the unread part of the window. It equals the beginning of the window once everything is read.
    pub position: Timestamp,
    /// Whether nothing is left to read.
    pub complete: bool,
}

impl<'z> WindowReader<'z> {
    /// Reads the seconds in [`from`, `to`). Neither end may be inside a fold.
    #[must_use]
    pub const fn new(zone: &'z ApiZone, from: Timestamp, to: Timestamp) -> Self {
        Self {
            zone,
            from,
            position: to,
            held: Vec::new(),
            separate: Vec::new(),
            top: Timestamp::MAX,
            next_us: None,
            whole_from: None,
            doubts: Vec::new(),
        }
    }

    /// Returns the next request.
    #[must_use]
    pub fn request(&self) -> Request {
        Request {
            from: self.from.saturating_sub(MARGIN).unwrap_or(self.from),
            to: self.position.saturating_add(MARGIN).unwrap_or(self.position),
            next_us: self.doubts.last().map(|doubt| doubt.next_us).or(self.next_us),
        }
    }

    /// Takes the response to [`Self::request`], read at `clock`, and returns the complete seconds.
    ///
    /// # Errors
    /// [`Contradiction`]: the response cannot be correct, and nothing of it may be used.
    pub fn take(&mut self, page: Page, clock: Timestamp) -> Result<WholeSeconds, Contradiction> {
        self.check(&page, clock)?;
        // No event is newer than the clock.
        let latest_right = clock.saturating_add(CLOCK_TOLERANCE).unwrap_or(clock);
        self.top = self.top.min(whole_second(latest_right));
        let cut = page.next_us.is_some() || page.events.len() >= PAGE_MAX_EVENTS;
        // Events without a time belong to no second. They are returned whenever a response contains them.
        let mut timed = page.events;
        let timeless = timed.extract_if(.., |event| event.time.is_none());
        let mut events: Vec<(String, Option<EventTime>)> = timeless.map(|event| (event.record, None)).collect();
        if let Some(doubt) = self.doubts.pop() {
            self.resolve(doubt, timed, page.next_us, clock);
        } else {
            self.whole_from = match self.whole_from(&timed) {
                _ if !cut => Some(self.from),
                Some(whole_from) if whole_from < self.position => Some(whole_from.max(self.from)),
                // No second of the page is complete, so the next page is joined to it.
                _ if page.next_us.is_some() => None,
                // A full page of one second without a `next` is documented to be the last.
                _ => Some(self.from),
            };
            match (self.whole_from, page.next_us) {
                (None, Some(next_us)) => self.join(timed, next_us)?,
                _ => self.hold(timed, Timestamp::MIN, self.top),
            }
        }
        let Some(whole_from) = self.whole_from.filter(|_| self.doubts.is_empty()) else {
            return Ok(WholeSeconds { events, position: self.position, complete: false });
        };
        let window = whole_from..self.position;
        let held = std::mem::take(&mut self.held);
        let mut determined = determine_passes(held.into_iter().map(|part| part.events).collect(), clock);
        determined.append(&mut self.separate);
        determined.sort_by_key(|(_, time)| time.timestamp);
        events.reserve(determined.len());
        let is_inside = |event: &Event| event.time.is_some_and(|time| window.contains(&time.earliest()));
        let kept = determined.into_iter().filter(|(event, _)| is_inside(event));
        events.extend(kept.map(|(event, time)| (event.record, Some(time))));
        *self = Self::new(self.zone, self.from, whole_from);
        Ok(WholeSeconds { events, position: whole_from, complete: whole_from <= self.from })
    }

    /// Joins a truncated page, and determines where the next page begins.
    fn join(&mut self, page: Vec<Event>, next_us: i64) -> Result<(), Contradiction> {
        let boundary = second_of(next_us).ok_or(Contradiction::NextNotAdvancing)?;
        let is_newer = |time: LocalTime| time.instants().any(|instant| boundary < instant && instant <= self.top);
        if page.iter().filter_map(|event| event.time).any(is_newer) {
            let may_be_boundary = |time: &LocalTime| time.earliest() == boundary && is_newer(*time);
            let cut_pass = page.iter().filter_map(|event| event.time).find(may_be_boundary);
            self.hold(page, boundary, self.top);
            self.top = boundary;
            if let Some(time) = cut_pass {
                self.doubts.insert(0, Doubt::new(time, DoubtKind::Boundary));
                self.top = boundary.saturating_sub(MARGIN).unwrap_or(boundary);
            }
            self.next_us = Some(end_of(self.top));
        } else {
            // The page holds one second, or nothing. Requesting that second again would return the same page.
            self.top = self.top.min(boundary);
            self.hold(page, Timestamp::MIN, self.top);
            self.next_us = Some(next_us);
        }
        Ok(())
    }

    /// Holds the events of the seconds after `boundary` up to `newest`, and records the doubts about them.
    fn hold(&mut self, mut page: Vec<Event>, boundary: Timestamp, newest: Timestamp) {
        let is_kept = |time: LocalTime| time.instants().any(|instant| boundary < instant && instant <= newest);
        self.doubts = self.repeats(&page, newest, is_kept);
        page.retain(|event| event.time.is_some_and(is_kept));
        self.held.push(Part { newest, events: page });
    }

    /// Returns doubts about the second passes that a page may repeat, the newest first. A page that repeats events
    /// repeats the oldest events of the previous pages, so the search ends at the first second that the page does not
    /// hold.
    fn repeats(&self, page: &[Event], newest: Timestamp, is_kept: impl Fn(LocalTime) -> bool) -> Vec<Doubt> {
        let mut older: BTreeMap<Timestamp, Vec<(LocalTime, &Event)>> = BTreeMap::new();
        if page.iter().filter_map(|event| event.time).any(|time| time.is_repeated()) {
            let held = self.held.iter().flat_map(|part| part.events.iter().map(|event| (part.newest, event)));
            for (part_newest, event) in held {
                let Some(time) = event.time else { continue };
                let latest = time.instants().filter(|instant| *instant <= part_newest).last();
                if let Some(latest) = latest.filter(|latest| *latest > newest) {
                    older.entry(latest).or_default().push((time, event));
                }
            }
        }
        let is_held = |(_, events): &(Timestamp, Vec<(LocalTime, &Event)>)| {
            page.iter().any(|event| events.iter().any(|(_, other)| *other == event))
        };
        let seconds = older.into_iter().take_while(is_held).filter_map(|(_, events)| Some(events.first()?.0));
        let mut doubts: Vec<Doubt> =
            seconds.filter(|time| is_kept(*time)).map(|time| Doubt::new(time, DoubtKind::Repeats)).collect();
        doubts.reverse();
        doubts
    }

    /// Takes a response about a doubt. The doubt is resolved when the first pass of the wall time is complete.
    fn resolve(&mut self, mut doubt: Doubt, page: Vec<Event>, next_us: Option<i64>, clock: Timestamp) {
        match doubt.proof {
            Proof::WithoutSecondPass { cut_us } if next_us == Some(cut_us) && doubt.is_same(&page) => {
                doubt.proof = Proof::FromFirstPass { cut_us };
                doubt.next_us = end_of(doubt.time.earliest());
                return self.doubts.push(doubt);
            }
            Proof::FromFirstPass { .. } if doubt.is_not_repeated_in(&page) => {
                // The next page begins with the first pass, and holds all events of the wall time.
                doubt.pages.clear();
                self.top = doubt.time.earliest();
                self.next_us = Some(end_of(self.top));
            }
            Proof::WithoutSecondPass { cut_us } | Proof::FromFirstPass { cut_us } => {
                doubt.proof = Proof::Failed;
                doubt.next_us = cut_us;
                return self.doubts.push(doubt);
            }
            Proof::NotTried | Proof::Failed => {
                doubt.pages.push(page);
                if let Some(next_us) = next_us
                    && second_of(next_us).is_some_and(|second| second >= doubt.time.earliest())
                {
                    doubt.choose_next_request(next_us);
                    return self.doubts.push(doubt);
                }
            }
        }
        let has_wall_time = |event: &Event| event.time.is_some_and(|time| time.civil() == doubt.time.civil());
        let mut determined = determine_passes(doubt.pages, clock);
        determined.retain(|(event, _)| has_wall_time(event));
        if doubt.kind == DoubtKind::Boundary {
            self.held.iter_mut().for_each(|part| part.events.retain(|event| !has_wall_time(event)));
        } else if let Some(Part { events, .. }) = self.held.last_mut() {
            if determined.len() >= events.iter().filter(|event| has_wall_time(event)).count() {
                // The page repeats nothing of this second, so it repeats nothing older either.
                self.doubts.retain(|other| other.kind == DoubtKind::Boundary);
                return;
            }
            for (event, time) in &mut determined {
                *time = event.time.map_or(*time, |local| local.first_pass());
            }
            events.retain(|event| !has_wall_time(event));
        }
        self.separate.append(&mut determined);
    }

    /// Returns whether a time is in the requested range. Other times must not determine a boundary.
    fn is_requested(&self) -> impl Fn(&LocalTime) -> bool + use<> {
        let Request { from, to, .. } = self.request();
        move |time| (from..=to).contains(&time.earliest())
    }

    /// Returns the instant from which a truncated page is complete: after its oldest second, or after the fold that
    /// contains it.
    fn whole_from(&self, page: &[Event]) -> Option<Timestamp> {
        let times = page.iter().filter_map(|event| event.time).filter(self.is_requested());
        let oldest = times.map(|time| time.earliest()).min()?;
        Some(match self.zone.fold_at(oldest) {
            Some(fold) => fold.end,
            None => oldest.saturating_add(MARGIN).unwrap_or(oldest),
        })
    }

    /// Checks that a page requested from a whole second on holds events of that second or earlier. Otherwise the zone
    /// setting is wrong.
    fn check_top(&self, page: &Page) -> Result<(), Contradiction> {
        if self.request().next_us != Some(end_of(self.top)) {
            return Ok(());
        }
        let oldest = page.events.iter().filter_map(|event| event.time).map(|time| time.earliest()).min();
        match oldest {
            Some(event) if event > self.top.saturating_add(CLOCK_TOLERANCE).unwrap_or(self.top) => {
                Err(Contradiction::NextBeforePage { next: self.top, event })
            }
            _ => Ok(()),
        }
    }

    fn check(&self, page: &Page, clock: Timestamp) -> Result<(), Contradiction> {
        if let Some(event) = ahead_of_clock(page, clock) {
            return Err(Contradiction::AheadOfClock { event, clock });
        }
        self.check_top(page)?;
        let Some(next_us) = page.next_us else {
            return Ok(());
        };
        if self.request().next_us.is_some_and(|before| next_us >= before) {
            return Err(Contradiction::NextNotAdvancing);
        }
        let times = page.events.iter().filter_map(|event| event.time).filter(self.is_requested());
        let oldest = times.map(|time| time.latest()).min();
        if let (Ok(next), Some(oldest)) = (Timestamp::from_microsecond(next_us), oldest)
            && next > oldest.saturating_add(CLOCK_TOLERANCE).unwrap_or(oldest)
        {
            return Err(Contradiction::NextAfterPage { next, oldest });
        }
        Ok(())
    }
}

impl Doubt {
    fn new(time: LocalTime, kind: DoubtKind) -> Self {
        let newest = match kind {
            DoubtKind::Boundary => time.latest(),
            DoubtKind::Repeats => time.earliest(),
        };
        Self { time, kind, proof: Proof::NotTried, next_us: end_of(newest), pages: Vec::new() }
    }

    /// Chooses the next request after a response that was truncated inside the first pass of the wall time. Tries a
    /// proof once, unless `next` is a whole second and so names no event within it. Otherwise joins the pages.
    fn choose_next_request(&mut self, cut_us: i64) {
        if self.kind == DoubtKind::Boundary && self.proof == Proof::NotTried && cut_us % SECOND_US != 0 {
            self.proof = Proof::WithoutSecondPass { cut_us };
            self.next_us -= SECOND_US;
        } else {
            self.next_us = cut_us;
        }
    }

    /// Returns whether a page lacks the oldest event of the first page that is newer than the first pass.
    fn is_not_repeated_in(&self, page: &[Event]) -> bool {
        let (first, second) = (self.time.earliest(), self.time.latest());
        // Between the passes of one wall time, every other wall time has only one instant.
        let instant = |event: &Event| event.time?.instants().find(|instant| first < *instant && *instant < second);
        let response = || self.pages.first().into_iter().flatten();
        let oldest = response().filter_map(instant).min();
        let mut oldest_events = response().filter(|event| oldest.is_some() && instant(event) == oldest).peekable();
        oldest_events.peek().is_some() && !oldest_events.any(|event| page.contains(event))
    }

    /// Returns whether a page has the same events as the first page.
    fn is_same(&self, page: &[Event]) -> bool {
        let records = |page: &[Event]| {
            let mut records: Vec<String> = page.iter().map(|event| event.record.clone()).collect();
            records.sort_unstable();
            records
        };
        self.pages.first().is_some_and(|first| records(first) == records(page))
    }
}

/// Returns the second that contains a `next`, or `None` if it is not a time.
fn second_of(next_us: i64) -> Option<Timestamp> {
    Timestamp::from_second(next_us.div_euclid(SECOND_US)).ok()
}

/// Returns the last microsecond of a second.
fn end_of(second: Timestamp) -> i64 {
    second.as_second() * SECOND_US + SECOND_US - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-01T00:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time of the test")
    }

    fn zone() -> ApiZone {
        ApiZone::new("US/Eastern").expect("a zone")
    }

    fn event(zone: &ApiZone, time: &str, data: &str) -> Event {
        Event { record: data.to_owned(), time: zone.read_text(time).ok().flatten() }
    }

    fn records(whole: &WholeSeconds) -> Vec<&str> {
        whole.events.iter().map(|(record, _)| record.as_str()).collect()
    }

    #[test]
    fn a_page_cut_inside_a_second_is_read_again_from_there() {
        let zone = zone();
        let mut reading = WindowReader::new(&zone, at("2025-07-01T04:00:00Z"), at("2025-07-02T04:00:00Z"));
        let request = reading.request();
        assert_eq!((request.from, request.to), (at("2025-07-01T03:59:59Z"), at("2025-07-02T04:00:01Z")));
        let page = Page {
            events: vec![event(&zone, "2025-07-01 10:00:05", "a"), event(&zone, "2025-07-01 10:00:04", "b")],
            next_us: Some(at("2025-07-01T14:00:04Z").as_microsecond()),
        };
        let whole = reading.take(page, at(NOW)).expect("whole seconds");
        assert_eq!((records(&whole), whole.complete), (vec!["a"], false));
        assert_eq!(whole.position, at("2025-07-01T14:00:05Z"));
        assert_eq!(reading.request().to, at("2025-07-01T14:00:06Z"));
        let page = Page {
            events: vec![
                event(&zone, "2025-07-01 10:00:05", "a"),
                event(&zone, "2025-07-01 10:00:04", "c"),
                event(&zone, "2025-07-01 10:00:04", "b"),
                event(&zone, "2025-06-30 23:59:59", "before"),
            ],
            next_us: None,
        };
        let whole = reading.take(page, at(NOW)).expect("whole seconds");
        assert_eq!((records(&whole), whole.complete), (vec!["b", "c"], true));
    }

    #[test]
    fn the_page_that_next_leads_to_proves_a_zone_too_far_west() {
        let next = at("2025-07-01T14:00:00Z").as_microsecond();
        let pages = |name: &str| {
            let zone = ApiZone::new(name).expect("a zone");
            let page = |times: &[&str]| Page {
                events: times.iter().map(|time| event(&zone, time, "x")).collect(),
                next_us: None,
            };
            (page(&["2025-07-01 10:00:30", "2025-07-01 10:00:00"]), page(&["2025-07-01 09:59:58"]))
        };
        let (page, follow_up) = pages("US/Eastern");
        assert_eq!(judge_follow_up(&page, next, &follow_up), Ok(true));
        // A repeated event is newer than `next` even in the correct zone.
        let repeats = Page { events: page.events[1..].to_vec(), next_us: None };
        assert_eq!(judge_follow_up(&page, next - 600_000_000, &repeats), Ok(false));
        // The same page again, or an empty one, proves nothing.
        assert_eq!(judge_follow_up(&page, next, &page), Ok(false));
        assert_eq!(judge_follow_up(&page, next, &Page::default()), Ok(false));
        let (page, follow_up) = pages("US/Pacific");
        let newest = at("2025-07-01T16:59:58Z");
        let expected = Contradiction::NextBeforePage { next: at("2025-07-01T14:00:00Z"), event: newest };
        assert_eq!(judge_follow_up(&page, next, &follow_up), Err(expected));
    }

    #[test]
    fn a_second_larger_than_a_page_is_joined_by_next() {
        let zone = zone();
        let mut reading = WindowReader::new(&zone, at("2025-07-01T04:00:00Z"), at("2025-07-01T14:00:05Z"));
        let second = |data| event(&zone, "2025-07-01 10:00:04", data);
        let next = at("2025-07-01T14:00:04Z").as_microsecond();
        let page = Page { events: vec![second("a"), second("b")], next_us: Some(next + 5) };
        let whole = reading.take(page, at(NOW)).expect("whole seconds");
        assert_eq!((records(&whole), reading.request().next_us), (vec![], Some(next + 5)));
        let page = Page { events: vec![second("c"), event(&zone, "2025-07-01 10:00:00", "d")], next_us: Some(next) };
        let whole = reading.take(page, at(NOW)).expect("whole seconds");
        assert_eq!(records(&whole).len(), 3);
        assert_eq!((reading.request().next_us, whole.position), (None, at("2025-07-01T14:00:01Z")));
    }

    /// Reads a repeated hour from two pages, the first of which is truncated in the second pass of 01:10:00. Returns
    /// each `next` that is sent, and the events that are returned.
    fn read_border(next: &str, repeated: &[&str]) -> (Vec<i64>, Vec<String>) {
        let zone = zone();
        let mut reading = WindowReader::new(&zone, at("2025-11-02T05:00:00Z"), at("2025-11-02T07:00:00Z"));
        let fold = |time: &&str| event(&zone, &format!("2025-11-02 01:{time}"), time);
        let (border, older) = (["10:00", "10:00"], ["50:00"]);
        let first = ["30:00", "20:00", "10:00"].iter().map(fold).collect();
        let page = Page { events: first, next_us: Some(at(next).as_microsecond()) };
        let mut asked = Vec::new();
        assert_eq!(reading.take(page, at(NOW)).expect("whole seconds").events, []);
        asked.extend(reading.request().next_us);
        let events = repeated.iter().chain(&border).chain(&older).map(fold).collect();
        let mut whole = reading.take(Page { events, next_us: None }, at(NOW)).expect("whole seconds");
        while !whole.complete {
            asked.extend(reading.request().next_us);
            let page = Page { events: older.iter().map(fold).collect(), next_us: None };
            whole = reading.take(page, at(NOW)).expect("whole seconds");
        }
        let mut given: Vec<String> = records(&whole).into_iter().map(str::to_owned).collect();
        given.sort_unstable();
        (asked, given)
    }

    #[test]
    fn the_second_in_which_a_page_is_truncated_is_counted_in_one_response() {
        let end = at("2025-11-02T06:10:00.999999Z").as_microsecond();
        let every = ["10:00", "10:00", "20:00", "30:00", "50:00"].map(str::to_owned).to_vec();
        // `next` is the position of the last event on the page, of the newest remaining event, or their second.
        for next in ["2025-11-02T06:10:00.000002Z", "2025-11-02T06:10:00.000001Z", "2025-11-02T06:10:00Z"] {
            assert_eq!(read_border(next, &[]), (vec![end], every.clone()));
            // A newer event is a repeat, unless it belongs to the first pass, which is requested.
            let first_pass = at("2025-11-02T05:20:00.999999Z").as_microsecond();
            assert_eq!(read_border(next, &["20:00"]), (vec![end, first_pass], every.clone()));
        }
    }

    #[test]
    fn a_second_pass_in_the_future_is_not_requested() {
        let zone = zone();
        let boundary = at("2025-11-02T05:10:00Z");
        // The second pass of 01:10:00 is at 06:10:00.
        for (clock, expected) in [
            ("2025-11-02T06:04:59.5Z", "2025-11-02T05:10:00.999999Z"),
            ("2025-11-02T06:05:00Z", "2025-11-02T06:10:00.999999Z"),
        ] {
            let mut reading = WindowReader::new(&zone, at("2025-11-02T05:00:00Z"), at("2025-11-02T07:00:00Z"));
            let fold = |time| event(&zone, time, time);
            let events = vec![fold("2025-11-02 01:20:00"), fold("2025-11-02 01:10:00")];
            let page = Page { events, next_us: Some(boundary.as_microsecond() + 1) };
            assert_eq!(reading.take(page, at(clock)).expect("whole seconds").events, []);
            assert_eq!(reading.request().next_us, Some(at(expected).as_microsecond()), "{clock}");
        }
    }

    #[test]
    fn a_joined_page_proves_a_zone_too_far_west() {
        // The setting is US/Pacific and the API uses US/Eastern: `next` is three hours before the events as they are
        // read.
        let zone = ApiZone::new("US/Pacific").expect("a zone");
        let mut reading = WindowReader::new(&zone, at("2025-07-01T04:00:00Z"), at("2025-07-01T17:00:05Z"));
        let second = |data| event(&zone, "2025-07-01 10:00:04", data);
        let next_us = Some(at("2025-07-01T14:00:04Z").as_microsecond());
        let whole = reading.take(Page { events: vec![second("a"), second("b")], next_us }, at(NOW));
        assert_eq!(whole.expect("whole seconds").events, []);
        let again = reading.take(Page { events: vec![second("b"), second("c")], next_us: None }, at(NOW));
        let newest = at("2025-07-01T17:00:04Z");
        assert_eq!(again, Err(Contradiction::NextBeforePage { next: at("2025-07-01T14:00:04Z"), event: newest }));
    }

    #[test]
    fn a_page_cut_inside_the_repeated_hour_is_read_again_from_its_end() {
        let zone = zone();
        let mut reading = WindowReader::new(&zone, at("2025-11-01T04:00:00Z"), at("2025-11-03T04:00:00Z"));
        let page = Page {
            events: vec![event(&zone, "2025-11-02 03:00:00", "after"), event(&zone, "2025-11-02 01:10:00", "fold")],
            next_us: Some(at("2025-11-02T06:10:00Z").as_microsecond()),
        };
        let whole = reading.take(page, at(NOW)).expect("whole seconds");
        assert_eq!((records(&whole), whole.position), (vec!["after"], at("2025-11-02T07:00:00Z")));
    }

    #[test]
    fn a_visible_jump_back_determines_the_pass() {
        let zone = zone();
        for reversed in [false, true] {
            let mut reading = WindowReader::new(&zone, at("2025-11-01T04:00:00Z"), at("2025-11-03T04:00:00Z"));
            let mut events = vec![
                event(&zone, "2025-11-02 01:40:00", "second"),
                event(&zone, "2025-11-02 01:10:00", "second"),
                event(&zone, "2025-11-02 01:50:00", "first"),
                event(&zone, "2025-11-02 01:20:00", "first"),
                event(&zone, "2025-11-02 00:20:00", "before"),
            ];
            if reversed {
                events.reverse();
            }
            let whole = reading.take(Page { events, next_us: None }, at(NOW)).expect("whole seconds");
            let times: Vec<_> = whole.events.iter().map(|(_, time)| time.expect("a time")).collect();
            assert!(times.iter().all(|time| !time.ambiguous));
            assert_eq!(records(&whole), ["before", "first", "first", "second", "second"]);
            assert_eq!(times[1].timestamp, at("2025-11-02T05:20:00Z"));
            assert_eq!(times[4].timestamp, at("2025-11-02T06:40:00Z"));
        }
    }

    #[test]
    fn a_page_without_an_order_of_its_own_takes_the_order_of_the_others() {
        let zone = zone();
        let fold = |time: &str, data| event(&zone, &format!("2025-11-02 01:{time}"), data);
        let next = at("2025-11-02T06:00:00Z").as_microsecond();
        // Descending pages. The second page steps up once, because the clock was set back.
        let pages = [
            (vec![fold("40:00", "second"), fold("30:00", "second"), fold("20:00", "second")], Some(next + 600_000_000)),
            (vec![fold("10:00", "second"), fold("50:00", "first")], Some(next - 3_300_000_000)),
            (vec![fold("05:00", "first")], None),
        ];
        let mut reading = WindowReader::new(&zone, at("2025-11-02T05:00:00Z"), at("2025-11-02T07:00:00Z"));
        let responses = pages.map(|(events, next_us)| reading.take(Page { events, next_us }, at(NOW)));
        let whole = responses.into_iter().last().expect("a response").expect("whole seconds");
        assert_eq!(records(&whole), ["first", "first", "second", "second", "second", "second"]);
        assert!(whole.events.iter().all(|(_, time)| time.is_some_and(|time| !time.ambiguous)));
    }

    #[test]
    fn a_jump_between_pages_determines_no_pass() {
        let zone = zone();
        let next = at("2025-11-02T06:10:00Z").as_microsecond();
        // Each page is sorted by wall time. The middle one has events of both passes.
        let pages = [
            (vec!["40:00", "30:00", "20:00"], Some(next)),
            (vec!["50:00", "10:00", "05:00"], Some(next - 3_420_000_000)),
            (vec!["03:00", "02:00", "01:00"], None),
        ];
        let mut reading = WindowReader::new(&zone, at("2025-11-02T05:00:00Z"), at("2025-11-02T07:00:00Z"));
        let responses = pages.map(|(times, next_us)| {
            let event = |time: &str| event(&zone, &format!("2025-11-02 01:{time}"), time);
            reading.take(Page { events: times.into_iter().map(event).collect(), next_us }, at(NOW))
        });
        let whole = responses.into_iter().last().expect("a response").expect("whole seconds");
        assert_eq!(whole.events.len(), 9);
        assert!(whole.events.iter().all(|(_, time)| time.is_some_and(|time| time.ambiguous)));
    }

    #[test]
    fn a_jump_determines_the_pass_only_in_its_own_repeated_hour() {
        let zone = zone();
        let mut reading = WindowReader::new(&zone, at("2024-11-01T04:00:00Z"), at("2025-11-03T04:00:00Z"));
        let events = [
            ("2025-11-02 01:20:00", "unknown"),
            ("2025-11-02 01:10:00", "unknown"),
            ("2024-11-03 01:40:00", "second"),
            ("2024-11-03 01:10:00", "second"),
            ("2024-11-03 01:50:00", "first"),
        ];
        let events = events.into_iter().map(|(time, data)| event(&zone, time, data)).collect();
        let whole = reading.take(Page { events, next_us: None }, at(NOW)).expect("whole seconds");
        assert_eq!(records(&whole), ["first", "second", "second", "unknown", "unknown"]);
        let ambiguous: Vec<bool> = whole.events.iter().filter_map(|(_, time)| Some(time.as_ref()?.ambiguous)).collect();
        assert_eq!(ambiguous, [false, false, false, true, true]);
    }

    #[test]
    fn each_repeated_hour_of_a_page_may_have_a_jump() {
        let zone = zone();
        let mut reading = WindowReader::new(&zone, at("2024-11-01T04:00:00Z"), at("2025-11-03T04:00:00Z"));
        let times = ["2024-11-03 01:50:00", "2024-11-03 01:10:00", "2025-11-02 01:20:00", "2025-11-02 01:05:00"];
        let events = times.into_iter().map(|time| event(&zone, time, time)).collect();
        let whole = reading.take(Page { events, next_us: None }, at(NOW)).expect("whole seconds");
        assert_eq!(records(&whole), times);
        assert!(whole.events.iter().all(|(_, time)| time.is_some_and(|time| !time.ambiguous)));
    }

    #[test]
    fn the_clock_determines_the_pass_before_the_second_pass_begins() {
        let zone = zone();
        for (clock, ambiguous) in [("2025-11-02T05:45:00Z", false), ("2025-11-02T06:45:00Z", true)] {
            let mut reading = WindowReader::new(&zone, at("2025-11-01T04:00:00Z"), at("2025-11-03T04:00:00Z"));
            let page = Page { events: vec![event(&zone, "2025-11-02 01:30:00", "")], next_us: None };
            let whole = reading.take(page, at(clock)).expect("whole seconds");
            let time = whole.events[0].1.expect("a time");
            assert_eq!((time.timestamp, time.ambiguous), (at("2025-11-02T05:30:00Z"), ambiguous));
        }
    }

    #[test]
    fn an_event_without_a_readable_time_is_kept_and_sets_no_boundary() {
        let zone = zone();
        let mut reading = WindowReader::new(&zone, at("2025-07-01T04:00:00Z"), at("2025-07-02T04:00:00Z"));
        let page = Page {
            events: vec![
                event(&zone, "2025-07-01 10:00:05", "a"),
                event(&zone, "yesterday", "odd"),
                event(&zone, "2025-07-01 10:00:04", "b"),
                event(&zone, "1999-01-01 00:00:00", "not asked for"),
            ],
            next_us: Some(at("2025-07-01T14:00:04Z").as_microsecond()),
        };
        let whole = reading.take(page, at(NOW)).expect("whole seconds");
        assert_eq!((records(&whole), whole.position), (vec!["odd", "a"], at("2025-07-01T14:00:05Z")));
    }

    #[test]
    fn a_wrong_zone_is_proved_by_the_clock_and_by_next() {
        let zone = zone();
        let page = |next_us| Page { events: vec![event(&zone, "2025-07-01 10:00:00", "")], next_us };
        let mut reading = WindowReader::new(&zone, at("2025-07-01T04:00:00Z"), at("2025-07-02T04:00:00Z"));
        let ahead = reading.take(page(None), at("2025-07-01T13:54:59Z"));
        assert!(matches!(ahead, Err(Contradiction::AheadOfClock { .. })));
        let next = reading.take(page(Some(at("2025-07-01T15:00:00Z").as_microsecond())), at(NOW));
        assert!(matches!(next, Err(Contradiction::NextAfterPage { .. })));
    }

    #[test]
    fn an_empty_page_with_a_next_is_not_the_end() {
        let zone = zone();
        let mut reading = WindowReader::new(&zone, at("2025-07-01T04:00:00Z"), at("2025-07-01T14:00:01Z"));
        let next = at("2025-07-01T14:00:00Z").as_microsecond();
        let whole = reading.take(Page { events: Vec::new(), next_us: Some(next) }, at(NOW)).expect("whole seconds");
        assert_eq!((whole.complete, reading.request().next_us), (false, Some(next)));
        let page = Page { events: vec![event(&zone, "2025-07-01 10:00:00", "a")], next_us: None };
        let whole = reading.take(page, at(NOW)).expect("whole seconds");
        assert_eq!((records(&whole), whole.complete), (vec!["a"], true));
    }

    #[test]
    fn a_next_that_does_not_advance_is_refused() {
        let zone = zone();
        let mut reading = WindowReader::new(&zone, at("2025-07-01T04:00:00Z"), at("2025-07-01T14:00:01Z"));
        let next = at("2025-07-01T14:00:00Z").as_microsecond();
        let page = || Page { events: vec![event(&zone, "2025-07-01 10:00:00", "")], next_us: Some(next) };
        assert!(reading.take(page(), at(NOW)).is_ok());
        assert_eq!(reading.take(page(), at(NOW)), Err(Contradiction::NextNotAdvancing));
        // Two pages must not lead to each other, because they would be read and held forever.
        let newer = Page { next_us: Some(next + 1), ..page() };
        assert_eq!(reading.take(newer, at(NOW)), Err(Contradiction::NextNotAdvancing));
    }
}
