//! Proves or refutes the zone setting by the function's own requests.
//!
//! LastPass writes a `Reporting` event for every `reporting` request (LASTPASS_API.md, "Recordings and other clients").
//! The function knows when it sent its requests, so the wall times of their events show the account's offset from UTC.
//!
//! Other clients poll the same account, some of them once a minute. Events can appear minutes late or not at all. An
//! offset therefore counts as proven only if
//!
//! - at least three of our requests, sent at irregular intervals, have an event at that offset, to the second;
//! - hardly any other shift within a minute also fits, because among many events every shift fits;
//! - no event of any kind is later than the clock at that offset;
//! - it is a multiple of 15 minutes, to within 30 seconds.
//!
//! A missing event proves nothing: it may be late, or the account may not write such events.
//!
//! Pure: the caller sends the requests and records their times.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::Offset};

use super::{
    reporting::{Event, Page},
    time::ApiZone,
    whole_seconds::CLOCK_TOLERANCE,
    wire,
};

/// The `Action` of such events. Source: LASTPASS_API.md, "Recordings and other clients".
const ACTION: &str = "reporting";
/// The beginning of the `Username` of events that the API caused. Source: as above. Actions may be localized.
const API_USERNAME: &str = "api";
/// Largest difference between LastPass's clock and ours. Chosen: both are set by NTP, and LastPass may write the event
/// only when it sends the response.
const SKEW_MS: i64 = 30_000;
/// Largest difference between the shifts of several requests. Chosen: a response is written within a second.
const JITTER_MS: i64 = 500;
/// Longest duration of a request that counts. A longer one does not show precisely when its event was written. Chosen:
/// a small part of [`NEAR_MS`], because the longer a request takes, the more shifts fit.
const LONGEST_POLL: SignedDuration = SignedDuration::from_secs(5);
/// How many of our requests must have an event, each in a different second. Chosen: two intervals are a pattern.
const FEWEST_MATCHES: usize = 3;
/// How many shifts may fit within [`NEAR_MS`]. Chosen: a few fit if another client sends requests between ours. If
/// events are dense, every second or third shift fits.
const MOST_SHIFTS: usize = 4;
/// The range around a shift in which other fitting shifts are counted. Chosen: longer than the requests of one
/// invocation take.
const NEAR_MS: i64 = 60_000;
/// The unit of zone offsets. Source: the IANA time zone database.
const QUARTER_HOUR_MS: i64 = 15 * 60 * 1_000;
/// The smallest and the largest offset of any zone. Source: the IANA time zone database.
const OFFSETS_MS: std::ops::RangeInclusive<i64> = -12 * 3_600_000..=14 * 3_600_000;
/// How far around the clock and the requests the offset of the setting must be constant. Chosen: twice the hour that a
/// transition repeats or skips, because wall times are ambiguous there.
const STEADY: SignedDuration = SignedDuration::from_hours(2);

/// Zones that messages name: zones with many LastPass customers, one or two for each offset.
const KNOWN_ZONES: [&str; 34] = [
    "US/Eastern",
    "US/Central",
    "US/Mountain",
    "US/Pacific",
    "US/Arizona",
    "US/Alaska",
    "US/Hawaii",
    "UTC",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Athens",
    "Europe/Istanbul",
    "America/Halifax",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Bogota",
    "Atlantic/Azores",
    "Asia/Jerusalem",
    "Asia/Dubai",
    "Asia/Tehran",
    "Asia/Kabul",
    "Asia/Karachi",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Dhaka",
    "Asia/Yangon",
    "Asia/Bangkok",
    "Asia/Singapore",
    "Australia/Eucla",
    "Asia/Tokyo",
    "Australia/Adelaide",
    "Australia/Sydney",
    "Pacific/Auckland",
    "Pacific/Chatham",
];
/// Maximum number of zones that one message names. Chosen: the reader knows one of the first.
const MOST_NAMED: usize = 3;

/// One of our own `reporting` requests. LastPass wrote its event between `sent` and `answered`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Poll {
    /// When the request was sent.
    pub sent: Timestamp,
    /// When its response was read completely.
    pub answered: Timestamp,
}

impl Poll {
    /// Returns whether the response came soon enough to show when the event was written.
    #[must_use]
    pub fn is_sharp(&self) -> bool {
        (SignedDuration::ZERO..=LONGEST_POLL).contains(&self.answered.duration_since(self.sent))
    }
}

/// The judgment on the zone setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// One of our events has the wall time that the setting gives our request.
    Agrees,
    /// Our requests have events at another offset.
    Differs {
        /// The account's offset from UTC now.
        offset: Offset,
    },
    /// Nothing is proven.
    Unknown,
}

/// Our requests and the facts that are needed to find their events.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The zone setting.
    pub zone: &'a ApiZone,
    /// The setting `LASTPASS_API_USER`: events that name this user are ours.
    pub api_user: Option<&'a str>,
    /// Our requests, oldest first.
    pub polls: &'a [Poll],
    /// The clock after the last response.
    pub clock: Timestamp,
}

impl Evidence<'_> {
    /// Judges the zone setting by the newest events of the account: a page that reaches ahead of the clock in any zone.
    #[must_use]
    pub fn judge(&self, page: &Page) -> Verdict {
        let polls: Vec<&Poll> = self.polls.iter().filter(|poll| poll.is_sharp()).collect();
        let Some(set_ms) = self.steady_offset_ms().filter(|_| !polls.is_empty()) else {
            return Verdict::Unknown;
        };
        let newest_ms = page.events.iter().filter_map(wall_ms).max();
        let seen = self.events_of_polls(page);
        // At an impossible offset, the newest event would be ahead of the clock.
        let is_possible = |offset_ms, tolerance_ms| {
            newest_ms.is_none_or(|newest| newest <= ms(self.clock) + offset_ms + tolerance_ms)
        };
        let has_event = |poll: &&Poll| {
            let from = ms(poll.sent) + set_ms - SKEW_MS;
            let to = ms(poll.answered) + set_ms + SKEW_MS;
            // An event's time is truncated to the second.
            seen.range(from - 999..=to).next().is_some()
        };
        if is_possible(set_ms, CLOCK_TOLERANCE.as_secs() * 1_000) && polls.iter().any(has_event) {
            return Verdict::Agrees;
        }
        let shifts: Vec<i64> = seen.iter().filter_map(|event_ms| find_shift(&polls, *event_ms, &seen)).collect();
        let possible = || shifts.iter().copied().filter(|shift| is_possible(*shift, SKEW_MS));
        let Some(shift_ms) = possible().min_by_key(|shift| (shift - nearest_quarter(*shift)).abs()) else {
            return Verdict::Unknown;
        };
        let offset_ms = nearest_quarter(shift_ms);
        let near = shifts.iter().filter(|shift| (*shift - shift_ms).abs() <= NEAR_MS).count();
        let is_proven = possible().all(|shift| nearest_quarter(shift) == offset_ms)
            && near <= MOST_SHIFTS
            && (shift_ms - offset_ms).abs() <= SKEW_MS
            && OFFSETS_MS.contains(&offset_ms);
        let offset = i32::try_from(offset_ms / 1_000).ok().and_then(|seconds| Offset::from_seconds(seconds).ok());
        match offset {
            Some(offset) if is_proven && offset_ms != set_ms => Verdict::Differs { offset },
            _ => Verdict::Unknown,
        }
    }

    /// Returns the offset of the setting, unless it changes near the clock or one of the requests.
    fn steady_offset_ms(&self) -> Option<i64> {
        let oldest = self.polls.iter().map(|poll| poll.sent).min()?.min(self.clock);
        let from = oldest.saturating_sub(STEADY).unwrap_or(oldest);
        let to = self.clock.saturating_add(STEADY).unwrap_or(self.clock);
        let offset = self.zone.offset_at(self.clock);
        let is_steady = self.zone.offset_at(from) == offset && self.zone.offset_at(to) == offset;
        is_steady.then(|| i64::from(offset.seconds()) * 1_000)
    }

    /// Returns the wall times of the events that our requests may have caused: the events that name our API user, or,
    /// if none does, all events that the API caused.
    fn events_of_polls(&self, page: &Page) -> BTreeSet<i64> {
        // Skips older events, because a page may cover a year.
        let first_ms = self.polls.first().map_or(i64::MIN, |poll| ms(poll.sent));
        let earliest_ms = first_ms.saturating_add(OFFSETS_MS.start() - NEAR_MS);
        let of = |is_wanted: &dyn Fn(&Event) -> bool| -> BTreeSet<i64> {
            let recent = page.events.iter().filter(|event| wall_ms(event).is_some_and(|at| at >= earliest_ms));
            recent.filter(|event| is_wanted(event)).filter_map(wall_ms).collect()
        };
        let named = self.api_user.map(|user| of(&|event| is_of_api(event) && names(event, user)));
        named.filter(|named| !named.is_empty()).unwrap_or_else(|| of(&is_of_api))
    }
}

/// Returns the shift from our clock to wall times at which the event at `event_ms` belongs to the first request and the
/// other requests have events too. Only the last requests may lack their events, and only if nothing later has
/// appeared.
fn find_shift(polls: &[&Poll], event_ms: i64, seen: &BTreeSet<i64>) -> Option<i64> {
    let (first, others) = polls.split_first()?;
    find_shift_of_others(others, Shifts::of(first, event_ms), &BTreeSet::from([event_ms]), seen)
}

/// Does the same for the requests after those whose events are `matched`, which allow `shift`. Several events may belong to
/// a request, and which of them does may show only later, so each is tried.
fn find_shift_of_others(polls: &[&Poll], shift: Shifts, matched: &BTreeSet<i64>, seen: &BTreeSet<i64>) -> Option<i64> {
    let proven = (matched.len() >= FEWEST_MATCHES).then(|| shift.middle());
    let Some((poll, others)) = polls.split_first() else { return proven };
    let events = seen.range(ms(poll.sent) + shift.from - 1_000..=ms(poll.answered) + shift.to);
    let mut fitting = events.filter_map(|event| Some((*event, shift.meet(&Shifts::of(poll, *event))?))).peekable();
    if fitting.peek().is_none() {
        // If a later event has appeared, the event of this request is missing, not late.
        let is_missing = seen.last().is_some_and(|newest| *newest > ms(poll.answered) + shift.to);
        return proven.filter(|_| !is_missing);
    }
    fitting.find_map(|(event, narrower)| {
        let matched = matched.iter().copied().chain([event]).collect();
        find_shift_of_others(others, narrower, &matched, seen)
    })
}

/// A range of shifts, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Shifts {
    from: i64,
    to: i64,
}

impl Shifts {
    /// Returns the shifts at which the event belongs to the request. The event's time is truncated to the second.
    fn of(poll: &Poll, event_ms: i64) -> Self {
        Self { from: event_ms - ms(poll.answered) - JITTER_MS, to: event_ms + 1_000 - ms(poll.sent) + JITTER_MS }
    }

    const fn middle(self) -> i64 {
        self.from.midpoint(self.to)
    }

    fn meet(self, other: &Self) -> Option<Self> {
        let (from, to) = (self.from.max(other.from), self.to.min(other.to));
        (from <= to).then_some(Self { from, to })
    }
}

fn nearest_quarter(shift_ms: i64) -> i64 {
    (shift_ms + QUARTER_HOUR_MS / 2).div_euclid(QUARTER_HOUR_MS) * QUARTER_HOUR_MS
}

fn ms(instant: Timestamp) -> i64 {
    instant.as_millisecond()
}

/// Returns the wall time of an event, as milliseconds since 1970 on that clock.
fn wall_ms(event: &Event) -> Option<i64> {
    Some(ms(Offset::UTC.to_timestamp(event.time?.civil()).ok()?))
}

/// Returns whether the API caused the event, and not a user.
fn is_of_api(event: &Event) -> bool {
    let is_action = || wire::text(&event.record, "Action").trim().eq_ignore_ascii_case(ACTION);
    let username = wire::text(&event.record, "Username").trim().to_lowercase();
    username.is_empty() || username.starts_with(API_USERNAME) || is_action()
}

/// Returns whether the event names this API user. Which field names it is not documented exactly (LASTPASS_API.md).
fn names(event: &Event, api_user: &str) -> bool {
    let api_user = api_user.to_lowercase();
    ["Username", "Data"].iter().any(|field| wire::text(&event.record, field).to_lowercase().contains(&api_user))
}

/// Returns the wall time of the newest event, if any.
#[must_use]
pub fn newest_wall_time(page: &Page) -> Option<DateTime> {
    page.events.iter().filter_map(|event| Some(event.time?.civil())).max()
}

/// Explains how the account's offset differs from that of the setting at `clock`, and names zones that have it.
#[must_use]
pub fn explain(zone: &ApiZone, offset: Offset, clock: Timestamp) -> String {
    let minutes = (offset.seconds() - zone.offset_at(clock).seconds()) / 60;
    let direction = if minutes < 0 { "behind" } else { "ahead of" };
    let apart = match (minutes.abs() / 60, minutes.abs() % 60) {
        (0, minutes) => format!("{minutes} minutes"),
        (hours, 0) => count(hours, "hour"),
        (hours, minutes) => format!("{} and {minutes} minutes", count(hours, "hour")),
    };
    let named = known_zones().filter(|zone| zone.offset_at(clock) == offset).take(MOST_NAMED);
    let named: Vec<String> = named.map(|zone| zone.name().to_owned()).collect();
    let which = match named.split_last() {
        None => String::new(),
        Some((only, [])) => format!(", which {only} has"),
        Some((last, others)) => format!(", which {} and {last} have", others.join(", ")),
    };
    format!(
        "LastPass's times are {apart} {direction} {}: {} now{which} (measured by the `Reporting` events of the function's own requests)",
        zone.name(),
        utc(offset)
    )
}

fn count(number: i32, unit: &str) -> String {
    if number == 1 { format!("1 {unit}") } else { format!("{number} {unit}s") }
}

/// Formats an offset as people write it: UTC-7, UTC+5:45.
fn utc(offset: Offset) -> String {
    let (sign, minutes) = (if offset.seconds() < 0 { '-' } else { '+' }, offset.seconds().abs() / 60);
    match (minutes / 60, minutes % 60) {
        (0, 0) => "UTC".to_owned(),
        (hours, 0) => format!("UTC{sign}{hours}"),
        (hours, minutes) => format!("UTC{sign}{hours}:{minutes:02}"),
    }
}

/// Returns the zones that messages name.
pub fn known_zones() -> impl Iterator<Item = ApiZone> {
    KNOWN_ZONES.into_iter().filter_map(|name| ApiZone::new(name).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time of the test")
    }

    fn zone(name: &str) -> ApiZone {
        ApiZone::new(name).expect("a zone")
    }

    const CLOCK: &str = "2025-07-02T12:00:10.5Z";

    /// A test account: its zone, its events, and when clients polled it.
    struct Account {
        zone: ApiZone,
        set: ApiZone,
        events: Vec<Event>,
    }

    impl Account {
        fn new(zone_name: &str, set: &str) -> Self {
            Self { zone: zone(zone_name), set: zone(set), events: Vec::new() }
        }

        fn event(&mut self, at: Timestamp, username: &str, action: &str, data: &str) {
            let time = self.zone.wall_time(at);
            let record = json!({"Time": time, "Username": username, "IP_Address": "", "Action": action, "Data": data});
            self.events.push(Event { record: record.to_string(), time: self.set.read_text(&time).expect("readable") });
        }

        fn polled(mut self, instants: impl IntoIterator<Item = Timestamp>) -> Self {
            for at in instants {
                self.event(at, "", "Reporting", "Enterprise API");
            }
            self
        }

        fn judge(&self, polls: &[Poll]) -> Verdict {
            self.judge_at(polls, at(CLOCK), None)
        }

        fn judge_at(&self, polls: &[Poll], clock: Timestamp, api_user: Option<&str>) -> Verdict {
            let page = Page { events: self.events.clone(), next_us: None };
            Evidence { zone: &self.set, api_user, polls, clock }.judge(&page)
        }
    }

    fn later(at: Timestamp, milliseconds: i64) -> Timestamp {
        at + SignedDuration::from_millis(milliseconds)
    }

    /// Builds the requests of an invocation: the first two at once, the others at irregular intervals.
    fn polls() -> Vec<Poll> {
        polls_from(at("2025-07-02T12:00:00.2Z"))
    }

    fn polls_from(begin: Timestamp) -> Vec<Poll> {
        [0, 150, 2_900, 5_100, 8_800]
            .map(|sent| Poll { sent: later(begin, sent), answered: later(begin, sent + 120) })
            .to_vec()
    }

    fn sent(polls: &[Poll]) -> Vec<Timestamp> {
        polls.iter().map(|poll| later(poll.sent, 60)).collect()
    }

    fn differs(hours: f64) -> Verdict {
        Verdict::Differs { offset: Offset::from_seconds((hours * 3_600.0) as i32).expect("an offset") }
    }

    /// Returns all requests but the last, because the last response cannot contain its own event.
    fn visible(polls: &[Poll]) -> Vec<Timestamp> {
        sent(&polls[..polls.len() - 1])
    }

    #[test]
    fn a_wrong_zone_is_detected_in_either_direction_with_the_right_offset() {
        let polls = polls();
        for (account, set, offset) in [
            ("US/Pacific", "US/Eastern", -7.0),
            ("US/Eastern", "US/Pacific", -4.0),
            ("UTC", "US/Eastern", 0.0),
            ("US/Eastern", "UTC", -4.0),
            ("Asia/Kathmandu", "Asia/Kolkata", 5.75),
            ("Asia/Kolkata", "Asia/Kathmandu", 5.5),
            ("+12:45", "+12:00", 12.75),
            ("Pacific/Kiritimati", "Etc/GMT+12", 14.0),
            ("Etc/GMT+12", "Pacific/Kiritimati", -12.0),
            ("US/Arizona", "US/Mountain", -7.0),
        ] {
            let account = Account::new(account, set).polled(visible(&polls));
            assert_eq!(account.judge(&polls), differs(offset), "{set}");
        }
    }

    #[test]
    fn offsets_a_quarter_of_an_hour_apart_are_distinguished() {
        let polls = polls();
        for quarters in -48..=56 {
            let name = |quarters: i32| {
                let sign = if quarters < 0 { '-' } else { '+' };
                format!("{sign}{:02}:{:02}", quarters.abs() / 4, quarters.abs() % 4 * 15)
            };
            for set in [-48, -16, 0, 1, 23, 56] {
                let verdict = Account::new(&name(quarters), &name(set)).polled(visible(&polls)).judge(&polls);
                let expected = if quarters == set { Verdict::Agrees } else { differs(f64::from(quarters) / 4.0) };
                assert_eq!(verdict, expected, "{quarters} {set}");
            }
        }
    }

    #[test]
    fn one_event_at_the_expected_time_confirms_the_setting() {
        let polls = polls();
        let account = Account::new("US/Eastern", "US/Eastern").polled([sent(&polls)[0]]);
        assert_eq!(account.judge(&polls[..2]), Verdict::Agrees);
        // Many more requests of other clients do not change the verdict.
        let every_minute = (0..1_440).map(|minute| at("2025-07-02T11:59:30Z") - SignedDuration::from_mins(minute));
        assert_eq!(account.polled(every_minute).judge(&polls[..2]), Verdict::Agrees);
    }

    #[test]
    fn missing_events_prove_nothing() {
        let polls = polls();
        let mut account = Account::new("US/Pacific", "US/Eastern");
        assert_eq!(account.judge(&polls), Verdict::Unknown);
        for minutes in 0..600 {
            account.event(at("2025-07-02T11:58:00Z") - SignedDuration::from_mins(minutes), "a@b.c", "Log in", "x");
        }
        assert_eq!(account.judge(&polls), Verdict::Unknown);
        assert_eq!(account.judge(&[]), Verdict::Unknown);
        // Two events are not a pattern.
        assert_eq!(Account::new("US/Pacific", "US/Eastern").polled(sent(&polls[1..3])).judge(&polls), Verdict::Unknown);
    }

    #[test]
    fn the_newest_of_our_events_may_not_have_appeared_yet() {
        let polls = polls();
        let account = Account::new("US/Pacific", "US/Eastern").polled(sent(&polls[..3]));
        assert_eq!(account.judge(&polls), Verdict::Unknown, "two seconds");
        let account = Account::new("US/Pacific", "US/Eastern").polled(sent(&polls[..4]));
        assert_eq!(account.judge(&polls), differs(-7.0));
        // Minutes later, all our events have appeared, and other clients have polled since.
        let others = (0..5).map(|minute| at("2025-07-02T12:00:40Z") + SignedDuration::from_mins(minute));
        let account = Account::new("US/Pacific", "US/Eastern").polled(sent(&polls)).polled(others);
        assert_eq!(account.judge_at(&polls, at("2025-07-02T12:05:02Z"), None), differs(-7.0));
    }

    #[test]
    fn requests_of_other_clients_neither_prove_nor_hide_anything() {
        let polls = polls();
        for every in [5, 6, 7, 10, 20, 30, 60, 300, 900] {
            for phase in 0..5 {
                let others = || {
                    let newest = at("2025-07-02T12:00:09Z") - SignedDuration::from_secs(phase);
                    (0..400).map(move |number| newest - SignedDuration::from_secs(every * number))
                };
                let with_ours =
                    |account: &str| Account::new(account, "US/Eastern").polled(others()).polled(visible(&polls));
                assert_eq!(with_ours("US/Eastern").judge(&polls), Verdict::Agrees);
                assert_eq!(with_ours("US/Pacific").judge(&polls), differs(-7.0), "{every} {phase}");
            }
        }
        // A client that polls every second or two hides our requests.
        for every in [1, 2, 3] {
            for phase in 0..5 {
                let newest = at("2025-07-02T12:00:09Z") - SignedDuration::from_secs(phase);
                let dense = (0..400).map(|number| newest - SignedDuration::from_secs(every * number));
                let account = Account::new("US/Pacific", "US/Eastern").polled(dense).polled(visible(&polls));
                let verdict = account.judge(&polls);
                let is_hidden = verdict == Verdict::Unknown;
                assert!(is_hidden || (every > 2 && verdict == differs(-7.0)), "{every} {phase}: {verdict:?}");
            }
        }
    }

    #[test]
    fn events_that_appear_hours_late_are_not_taken_for_another_zone() {
        // Other clients poll regularly, and no event of the last hours has appeared yet.
        for hours in 1..8 {
            let until = at("2025-07-02T12:00:00Z") - SignedDuration::from_hours(hours);
            for every in [1, 2, 5, 10, 60, 300] {
                for phase in 0..every.min(10) {
                    let until = until + SignedDuration::from_secs(phase);
                    let shown = (0..200).map(|number| until - SignedDuration::from_secs(every * number));
                    let account = Account::new("US/Eastern", "US/Eastern").polled(shown);
                    assert_eq!(account.judge(&polls()), Verdict::Unknown, "{hours} {every} {phase}");
                }
            }
        }
    }

    #[test]
    fn an_event_in_the_future_refutes_an_offset() {
        let polls = polls();
        let mut account = Account::new("US/Pacific", "US/Eastern").polled(visible(&polls));
        // At the offset of our events, this event would be in the future.
        account.event(at("2025-07-02T12:10:00Z"), "a@b.c", "Log in", "x");
        assert_eq!(account.judge(&polls), Verdict::Unknown);
    }

    #[test]
    fn nothing_is_judged_near_a_clock_change() {
        for clock in ["2025-11-02T04:30:00Z", "2025-11-02T05:30:00Z", "2025-11-02T06:30:00Z", "2025-03-09T07:30:00Z"] {
            let polls = polls_from(at(clock));
            for account in ["US/Eastern", "US/Central", "UTC"] {
                let account = Account::new(account, "US/Eastern").polled(visible(&polls));
                assert_eq!(account.judge_at(&polls, later(at(clock), 9_000), None), Verdict::Unknown, "{clock}");
            }
        }
    }

    #[test]
    fn a_clock_error_of_minutes_is_not_taken_for_another_zone() {
        let polls = polls();
        for seconds in [40, 300, 420, 600, 840] {
            for sign in [1, -1] {
                let shown = visible(&polls).into_iter().map(|at| at + SignedDuration::from_secs(sign * seconds));
                let account = Account::new("US/Pacific", "US/Eastern").polled(shown);
                assert_eq!(account.judge(&polls), Verdict::Unknown, "{seconds}");
            }
        }
    }

    #[test]
    fn slow_requests_prove_nothing() {
        let polls: Vec<Poll> = polls().iter().map(|poll| Poll { answered: later(poll.sent, 5_001), ..*poll }).collect();
        let account = Account::new("US/Pacific", "US/Eastern").polled(visible(&polls));
        assert_eq!(account.judge(&polls), Verdict::Unknown);
    }

    #[test]
    fn events_of_our_requests_are_recognized_by_action_username_or_api_user() {
        let polls = polls();
        let with = |username: &str, action: &str, data: &str, api_user| {
            let mut account = Account::new("US/Pacific", "US/Eastern");
            // Another client polls once a second.
            if api_user == Some("siem") {
                for second in 0..400 {
                    account.event(
                        at("2025-07-02T12:00:09Z") - SignedDuration::from_secs(second),
                        "API: other",
                        "Reporting",
                        "",
                    );
                }
            }
            visible(&polls).into_iter().for_each(|at| account.event(at, username, action, data));
            account.judge_at(&polls, at(CLOCK), api_user)
        };
        for (username, action, data) in [
            ("", "Reporting", "Enterprise API"),
            ("", "REPORTING", ""),
            ("API", "reporting", ""),
            ("API: siem", "Reporting", ""),
            ("", "Rapportage", "Enterprise API"),
            ("api", "レポート", ""),
            ("ann@example.com", "Reporting", ""),
        ] {
            assert_eq!(with(username, action, data, None), differs(-7.0), "{username} {action}");
        }
        assert_eq!(with("ann@example.com", "Log in", "", None), Verdict::Unknown);
        assert_eq!(with("API: SIEM", "Reporting", "", Some("siem")), differs(-7.0));
        assert_eq!(with("", "Reporting", "API: siem", Some("siem")), differs(-7.0));
        // The account does not name the user.
        assert_eq!(with("", "Reporting", "Enterprise API", Some("backup")), differs(-7.0));
    }

    #[test]
    fn the_difference_is_explained_with_zones_that_have_it() {
        let explain = |set: &str, seconds| {
            let offset = Offset::from_seconds(seconds).expect("an offset");
            let text = explain(&zone(set), offset, at(CLOCK));
            let text = text.strip_prefix("LastPass's times ").and_then(|text| text.split_once(" (measured"));
            text.expect("the frame").0.to_owned()
        };
        assert_eq!(
            explain("US/Eastern", -7 * 3_600),
            "are 3 hours behind US/Eastern: UTC-7 now, which US/Pacific and US/Arizona have"
        );
        assert_eq!(explain("UTC", 3_600), "are 1 hour ahead of UTC: UTC+1 now, which Europe/London has");
        assert_eq!(
            explain("Asia/Kolkata", 20_700),
            "are 15 minutes ahead of Asia/Kolkata: UTC+5:45 now, which Asia/Kathmandu has"
        );
        assert_eq!(
            explain("US/Eastern", 0),
            "are 4 hours ahead of US/Eastern: UTC now, which UTC and Atlantic/Azores have"
        );
        assert_eq!(explain("UTC", -9_900), "are 2 hours and 45 minutes behind UTC: UTC-2:45 now");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        /// The requests as a live run sends them: two at once, the others after random pauses.
        #[test]
        fn a_wrong_zone_is_detected_whenever_the_requests_are_sent(
            begin in 0..1_000_i64,
            pauses in prop::array::uniform3(1_200..2_800_i64),
            durations in prop::array::uniform5(prop_oneof![1..100_i64, 100..3_000_i64]),
            written in prop::array::uniform5(0..=100_i64),
        ) {
            let mut at = later(at("2025-07-02T12:00:00Z"), begin);
            let (mut polls, mut events) = (Vec::new(), Vec::new());
            let pauses = [0, 0].into_iter().chain(pauses);
            for ((pause, duration), percent) in pauses.zip(durations).zip(written) {
                let sent = later(at, pause);
                at = later(sent, duration);
                polls.push(Poll { sent, answered: at });
                events.push(later(sent, duration * percent / 100));
            }
            events.pop();
            let account = Account::new("US/Pacific", "US/Eastern").polled(events);
            prop_assert_eq!(account.judge_at(&polls, at, None), differs(-7.0));
        }
    }
}
