//! Random content and behaviour of LastPass, drawn from a seed.

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use lastpass_simulator::{
    Bound, CompanySize, EmptyValue, ErrorForm, ErrorKey, Event, EventData, Fault, FaultRule, NextIs, Order, Pass,
    Quirks, Repeats, UnauthorizedForm, World,
};

/// The latest that an event may appear: the function's default `OVERLAP`.
pub const OVERLAP: SignedDuration = SignedDuration::from_mins(15);

/// Zones with different clock changes, and one without.
pub const ZONES: [&str; 4] = ["America/New_York", "Europe/London", "Australia/Lord_Howe", "UTC"];

const UNAUTHORIZED: [UnauthorizedForm; 4] =
    [UnauthorizedForm::Xml, UnauthorizedForm::XmlWithoutDeclaration, UnauthorizedForm::Json, UnauthorizedForm::Text];

const ACTIONS: [&str; 4] = ["Log in", "Failed Login Attempt", "Open secure note", "Master Password Changed"];

/// Returns a random element.
pub fn pick<'a, T>(rng: &mut Rng, all: &'a [T]) -> &'a T {
    &all[rng.usize(..all.len())]
}

/// Returns a random duration in whole seconds.
pub fn seconds(rng: &mut Rng, range: std::ops::Range<i64>) -> SignedDuration {
    SignedDuration::from_secs(rng.i64(range))
}

/// Truncates an instant to a whole second.
pub fn whole_second(instant: Timestamp) -> Timestamp {
    Timestamp::from_second(instant.as_second()).unwrap_or(instant)
}

/// Returns random undocumented behaviour of LastPass, with pages of this size.
pub fn quirks(rng: &mut Rng, page_size: usize) -> Quirks {
    let shuffled = Order::Shuffled(rng.u64(..));
    Quirks {
        page_size,
        order: *pick(rng, &[Order::Descending, Order::Descending, Order::Ascending, shuffled]),
        repeated_hour: *pick(rng, &[Pass::First, Pass::Second]),
        from: *pick(rng, &[Bound::Inclusive, Bound::Exclusive]),
        to: *pick(rng, &[Bound::Inclusive, Bound::Exclusive]),
        next_is: *pick(rng, &[NextIs::LastReturned, NextIs::FirstLeft]),
        next_as_string: rng.bool(),
        event_data: *pick(rng, &[EventData::AsAsked, EventData::Map, EventData::List]),
        empty_value: *pick(rng, &[EmptyValue::EmptyString, EmptyValue::Null, EmptyValue::Absent]),
        unknown_field: rng.bool(),
        php_escapes: rng.bool(),
        totals_as_strings: rng.bool(),
        error_key: *pick(rng, &[ErrorKey::Error, ErrorKey::Errors]),
        error_form: *pick(rng, &[ErrorForm::List, ErrorForm::String, ErrorForm::Map]),
        unauthorized_form: *pick(rng, &UNAUTHORIZED),
        before_answers: (*pick(rng, &["", "", "\u{feff}"])).to_owned(),
        user_passwords: rng.bool(),
        event_status: pick(rng, &[Some("OK"), Some("success"), Some("Success"), None]).map(str::to_owned),
        fail_status: (*pick(rng, &["FAIL", "WARN"])).to_owned(),
        content_type: (*pick(rng, &["text/xml;charset=UTF-8", "text/html; charset=UTF-8"])).to_owned(),
        ..Quirks::default()
    }
}

/// Adds a `next` that may repeat the last event or its whole second.
pub fn repeating(rng: &mut Rng, quirks: Quirks) -> Quirks {
    let repeats = [Repeats::Nothing, Repeats::LastEvent, Repeats::BoundarySecond, Repeats::BoundarySecond];
    Quirks { next_repeats: *pick(rng, &repeats), ..quirks }
}

/// Returns random behaviour of LastPass in this zone.
pub fn quirks_in(rng: &mut Rng, page_size: usize, zone: &str) -> Quirks {
    Quirks { time_zone: TimeZone::get(zone).unwrap_or(TimeZone::UTC), ..quirks(rng, page_size) }
}

/// Returns a company with this number of events in the days before `end`, a fifth of them twins.
pub fn company(rng: &mut Rng, events: usize, days: u32, end: Timestamp) -> World {
    let size = CompanySize { events, days, twin_share: 0.2, users: 30, folders: 5, ..CompanySize::default() };
    World::company(rng.u64(..), &size, whole_second(end))
}

/// Returns a random event at an instant. It has few users and actions, so that many events are equal.
pub fn event(rng: &mut Rng, instant: Timestamp) -> Event {
    let user = *pick(rng, &["ann@example.com", "bob@example.com", ""]);
    let action = *pick(rng, &ACTIONS);
    Event::at(instant).by(user).from_ip("192.0.2.7").doing(action)
}

/// Returns events of one second, some of them equal.
pub fn burst(rng: &mut Rng, instant: Timestamp, count: usize) -> Vec<Event> {
    (0..count).map(|_| event(rng, instant)).collect()
}

/// Returns events with half of a surrogate pair in a field, some of them equal.
pub fn half_characters(rng: &mut Rng, instant: Timestamp, count: usize) -> Vec<Event> {
    let event = |half: &str| {
        let record = format!(r#"{{"Time":"{{time}}","Username":"ann{half}","Action":"Log in","Data":"x"}}"#);
        Event::at(instant).with_raw_text(record)
    };
    let halves = [r"\ud83d", r"\ud83e", r"\udc00"];
    (0..count).map(|_| event(halves[rng.usize(..halves.len())])).collect()
}

/// Returns events between two instants, some of them twins, a third of them late by up to [`OVERLAP`].
pub fn late_events(rng: &mut Rng, from: Timestamp, to: Timestamp, count: usize) -> Vec<Event> {
    let span = to.duration_since(from).as_secs();
    let mut events = Vec::with_capacity(count);
    while events.len() < count {
        let instant = whole_second(from + seconds(rng, 0..span));
        let event = event(rng, instant);
        let is_twin = rng.u8(..4) == 0;
        for event in std::iter::repeat_n(event, if is_twin { 2 } else { 1 }) {
            // Decided for each event, so that a twin of a known event may appear minutes later.
            let is_late = rng.u8(..3) == 0;
            let late = if is_late { seconds(rng, 1..OVERLAP.as_secs() + 1) } else { SignedDuration::ZERO };
            let appears_at = event.instant + late;
            events.push(event.appearing(appears_at));
        }
    }
    events
}

/// Returns a random fault of LastPass or of a proxy in front of it.
pub fn lastpass_fault(rng: &mut Rng) -> Fault {
    match rng.u8(..10) {
        0 => Fault::throttled(None),
        1 => Fault::throttled(Some(1)),
        2 => Fault::status(503),
        3 => Fault::status(502),
        4 => Fault::html(),
        5 => Fault::CutBeforeAnswer,
        6 => Fault::CutInsideBody,
        7 => Fault::AccessDenied,
        8 => Fault::fail("Internal error, please try again"),
        _ => Fault::Delay { milliseconds: rng.u64(50..1_500) },
    }
}

/// Returns a random fault for some of the requests.
pub fn lastpass_faults(rng: &mut Rng) -> FaultRule {
    let fault = lastpass_fault(rng);
    match rng.u8(..3) {
        0 => FaultRule::nth(rng.u64(1..6), fault),
        1 => FaultRule::every(rng.u64(2..5), fault),
        _ => FaultRule::random(0.3, rng.u64(..), fault),
    }
}
