//! `reporting`: the event report. A window of whole seconds, split into pages from newest to oldest.
//!
//! Bounds are converted to instants first, so that a repeated hour loses nothing. `next` is the position of an event,
//! and the page depends only on it, whether the simulator or the client chose it.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::answer::{Answer, EMPTY_MAP, Page};
use crate::event::{Event, TIME_PLACEHOLDER};
use crate::json::push_string;
use crate::local_time::{LocalTime, parse};
use crate::quirks::{Bound, EmptyValue, EventData, NextIs, Order, Quirks, Repeats};
use crate::rng::Rng;
use crate::timeline::{Placed, SECOND_US, Timeline};

/// The `user` of a request for all users, the only one that is answered.
const EVERYONE: &str = "allusers";

/// A request, with bounds as positions.
#[derive(Debug)]
struct Asked {
    start_us: i64,
    end_us: i64,
    next_us: Option<i64>,
    as_list: bool,
}

/// Answers one request.
pub(crate) fn answer(timeline: &Timeline, data: &Value, quirks: &Quirks, now: Timestamp) -> Answer {
    let asked = match Asked::read(data, quirks, now) {
        Ok(asked) => asked,
        Err(reason) => return Answer::Refusal(reason),
    };
    let (mut page, first_left) = cut(timeline, &asked, quirks, now);
    let oldest_us = page.last().map(|oldest| oldest.position_us);
    let next_us = match quirks.next_is {
        NextIs::LastReturned => first_left.and(oldest_us),
        NextIs::FirstLeft | NextIs::AfterAnEmptyPage => first_left.map(|left| left.position_us),
        NextIs::EvenAtTheEnd => oldest_us,
        NextIs::WholeSecond => first_left.and(oldest_us).map(|position| position.div_euclid(SECOND_US) * SECOND_US),
    };
    arrange(&mut page, quirks);
    Answer::Page(Page {
        body: body(&page, next_us, asked.as_list, quirks),
        records: page.len(),
        more: next_us.is_some(),
    })
}

impl Asked {
    fn read(data: &Value, quirks: &Quirks, now: Timestamp) -> Result<Self, String> {
        let from = bound(data, "from", quirks)?;
        let to = bound(data, "to", quirks)?;
        if data.get("user").and_then(Value::as_str) != Some(EVERYONE) {
            return Err("Invalid user".to_owned());
        }
        let first_second = match quirks.from {
            Bound::Inclusive => from.as_second(),
            Bound::Exclusive => from.as_second() + 1,
        };
        let end_second = match quirks.to {
            Bound::Inclusive => to.as_second() + 1,
            Bound::Exclusive => to.as_second(),
        };
        let kept = quirks
            .retention_days
            .and_then(|days| now.checked_sub(SignedDuration::from_hours(24 * i64::from(days))).ok());
        let oldest_second = kept.map_or(i64::MIN / SECOND_US, Timestamp::as_second);
        let future = from > now;
        let start_us = first_second.max(oldest_second) * SECOND_US;
        Ok(Self {
            start_us,
            end_us: if future { start_us } else { end_second * SECOND_US },
            next_us: read_next(data)?,
            as_list: match quirks.event_data {
                EventData::AsAsked => data.get("format").and_then(Value::as_str) == Some("siem"),
                EventData::Map => false,
                EventData::List => true,
            },
        })
    }
}

fn bound(data: &Value, name: &str, quirks: &Quirks) -> Result<Timestamp, String> {
    let text = data.get(name).and_then(Value::as_str).ok_or_else(|| format!("Missing {name}"))?;
    parse(text, &quirks.time_zone, quirks.repeated_hour).ok_or_else(|| format!("Invalid {name}"))
}

fn read_next(data: &Value) -> Result<Option<i64>, String> {
    let next = match data.get("next") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.is_empty() => return Ok(None),
        Some(Value::String(digits)) => digits.parse().ok(),
        Some(number) => number.as_i64(),
    };
    next.map(Some).ok_or_else(|| "Invalid next".to_owned())
}

/// Returns the events of the page, newest first, and the newest remaining event.
fn cut<'t>(
    timeline: &'t Timeline,
    asked: &Asked,
    quirks: &Quirks,
    now: Timestamp,
) -> (Vec<&'t Placed>, Option<&'t Placed>) {
    let shown = |placed: &&Placed| placed.event.appears_at <= now;
    let page_size = quirks.page_size.max(1);
    let mut page = Vec::new();
    let mut rest_end_us = asked.end_us;
    if let Some(next_us) = asked.next_us {
        let second_end_us = next_us.div_euclid(SECOND_US).saturating_add(1).saturating_mul(SECOND_US);
        rest_end_us = match quirks.next_is {
            NextIs::LastReturned | NextIs::EvenAtTheEnd => next_us,
            NextIs::FirstLeft | NextIs::AfterAnEmptyPage => next_us.saturating_add(1),
            NextIs::WholeSecond => second_end_us,
        };
        let (most, repeated_end_us) = match quirks.next_repeats {
            Repeats::Nothing => (0, rest_end_us),
            Repeats::LastEvent => (1, next_us.saturating_add(1)),
            Repeats::Events(most) => (most, asked.end_us),
            Repeats::BoundarySecond => (usize::MAX, second_end_us),
        };
        let before = timeline.range(rest_end_us.max(asked.start_us)..repeated_end_us.min(asked.end_us));
        page.extend(before.iter().filter(shown).take(most.min(page_size - 1)));
        page.reverse();
    }
    let mut rest = timeline.range(asked.start_us..rest_end_us.min(asked.end_us)).iter().rev().filter(shown);
    let is_empty = quirks.next_is == NextIs::AfterAnEmptyPage && asked.next_us.is_none();
    let room = if is_empty { 0 } else { page_size - page.len() };
    page.extend(rest.by_ref().take(room));
    (page, rest.next())
}

fn arrange(page: &mut [&Placed], quirks: &Quirks) {
    let mut local = LocalTime::new(&quirks.time_zone);
    match quirks.order {
        Order::Descending => {}
        Order::Ascending => page.reverse(),
        Order::DescendingByTime => page.sort_by_key(|placed| std::cmp::Reverse(local.civil(placed.event.instant))),
        Order::AscendingByTime => {
            page.reverse();
            page.sort_by_key(|placed| local.civil(placed.event.instant));
        }
        Order::Shuffled(seed) => {
            let place = page.first().map_or(0, |newest| newest.position_us as u64);
            Rng::new(seed ^ place).shuffle(page);
        }
    }
}

fn body(page: &[&Placed], next_us: Option<i64>, as_list: bool, quirks: &Quirks) -> String {
    let mut out = String::with_capacity(64 + page.len() * 200);
    out.push('{');
    if let Some(status) = &quirks.event_status {
        out.push_str("\"status\":");
        push_string(&mut out, status);
        out.push(',');
    }
    out.push_str("\"next\":");
    match next_us {
        None => out.push_str("null"),
        Some(next_us) if quirks.next_as_string => push_string(&mut out, &next_us.to_string()),
        Some(next_us) => out.push_str(&next_us.to_string()),
    }
    out.push_str(",\"data\":");
    let mut records = Records::new(quirks);
    match (as_list, page) {
        (true, _) => {
            out.push('[');
            for (index, placed) in page.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                records.push(&placed.event, &mut out);
            }
            out.push(']');
        }
        (false, []) => out.push_str(EMPTY_MAP),
        (false, _) => {
            for (index, placed) in page.iter().enumerate() {
                out.push_str(if index == 0 { "{\"Event" } else { ",\"Event" });
                out.push_str(&(index + 1).to_string());
                out.push_str("\":");
                records.push(&placed.event, &mut out);
            }
            out.push('}');
        }
    }
    out.push('}');
    out
}

/// Writes events as records.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    quirks: &'a Quirks,
    local: LocalTime<'a>,
}

impl<'a> Records<'a> {
    pub(crate) fn new(quirks: &'a Quirks) -> Self {
        Self { quirks, local: LocalTime::new(&quirks.time_zone) }
    }

    /// Returns the local time of an event.
    pub(crate) fn time(&mut self, event: &Event) -> String {
        let mut time = String::with_capacity(19);
        self.local.push(event.instant, &mut time);
        time
    }

    /// Appends the event's record.
    pub(crate) fn push(&mut self, event: &Event, out: &mut String) {
        if let Some(raw) = &event.raw {
            out.push_str(&raw.replace(TIME_PLACEHOLDER, &self.time(event)));
            return;
        }
        out.push_str("{\"Time\":\"");
        self.local.push(event.instant, out);
        out.push('"');
        self.field("Username", &event.username, out);
        self.field("IP_Address", &event.ip, out);
        out.push_str(",\"Action\":");
        push_string(out, &event.action);
        self.field("Data", &event.data, out);
        if self.quirks.unknown_field {
            out.push_str(",\"Session_Origin\":{\"kind\":\"unknown\",\"codes\":[1,2]}");
        }
        out.push('}');
    }

    fn field(&self, name: &str, value: &str, out: &mut String) {
        let spelled = match (value, self.quirks.empty_value) {
            ("", EmptyValue::Absent) => return,
            ("", EmptyValue::Null) => None,
            (text, _) => Some(text),
        };
        out.push_str(",\"");
        out.push_str(name);
        out.push_str("\":");
        match spelled {
            Some(text) => push_string(out, text),
            None => out.push_str("null"),
        }
    }
}

#[cfg(test)]
mod tests;
