//! `reporting`: requests one page of events and parses it.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    Client, Command, Error,
    time::{ApiZone, LocalTime},
    wire::{self, Problem, Response},
};
use crate::surrogates;

/// Maximum number of events in one page. Source: LASTPASS_API.md, "reporting". If set too high, a truncated page
/// without a `next` would pass for a complete one and its tail would be lost.
pub const PAGE_MAX_EVENTS: usize = 10_000;

/// A request for events. Whether LastPass includes the ends is not documented, so callers add a margin at both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The beginning of the requested range.
    pub from: Timestamp,
    /// The end of the requested range.
    pub to: Timestamp,
    /// The `next` of the previous page, to continue from there.
    pub next_us: Option<i64>,
}

/// An event as LastPass returned it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The record as LastPass wrote it.
    pub record: String,
    /// The `Time` of the record, or `None` if it is missing or cannot be read.
    pub time: Option<LocalTime>,
}

/// One page of events.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The events, in the order of the response.
    pub events: Vec<Event>,
    /// Set if more events follow: they happened at this time (microseconds since 1970) or earlier.
    pub next_us: Option<i64>,
}

impl Client {
    /// Reads one page of events.
    ///
    /// # Errors
    /// The errors of a call, see [`Error`].
    pub async fn fetch_events(&self, request: &Request, zone: &ApiZone) -> Result<Page, Error> {
        let data = request_data(request, zone, self.api_user());
        self.call(Command::Reporting, &data, |response| parse_page(response, zone)).await
    }
}

/// Builds the `data` of a request.
///
/// `admin` is left out, because 1 requests only the events of admins (LASTPASS_API.md, "reporting").
///
/// `apiuser` names the API user in the event that LastPass writes for the request (LASTPASS_API.md, "Recordings
/// and other clients").
fn request_data(request: &Request, zone: &ApiZone, api_user: Option<&str>) -> Value {
    let mut data = json!({
        "from": zone.wall_time(request.from),
        "to": zone.wall_time(request.to),
        "user": "allusers",
    });
    if let Some(fields) = data.as_object_mut() {
        fields.extend(request.next_us.map(|next| ("next".to_owned(), next.into())));
        fields.extend(api_user.map(|user| ("apiuser".to_owned(), user.into())));
    }
    data
}

/// Parses the response to `reporting`.
///
/// # Errors
/// A body that is not such a response, or a refusal.
pub fn parse_page(response: &str, zone: &ApiZone) -> Result<Page, Problem> {
    let (mut response, events) = Response::read_events(response, "data")?;
    let events = match events {
        Some(events) => events.entries,
        None if response.is_null("data") && response.is_ok() => Vec::new(),
        None => return Err(response.judge("it contains no events under `data`")),
    };
    if events.is_empty() {
        response = response.err_if_it_gives_a_reason()?;
    }
    let event = |raw: &RawValue| Event { record: raw.get().to_owned(), time: time_of(raw.get(), zone) };
    let events = events.into_iter().map(|(_, raw)| event(raw)).collect();
    // An unreadable `next` must not pass for the end.
    let next = response.raw("next").map(|raw| surrogates::parse(raw.get()).unwrap_or(Value::Bool(true)));
    Ok(Page { events, next_us: parse_next(next)? })
}

/// Reads the `Time` of a record, by which events are sorted. The other fields are read when the event is mapped, which may be
/// many pages later: until then, only the text is kept.
fn time_of(record: &str, zone: &ApiZone) -> Option<LocalTime> {
    /// A record with at most one `Time`, which is a text without escapes, as in every recorded event.
    #[derive(Deserialize)]
    struct Timed<'a> {
        #[serde(rename = "Time")]
        time: Option<&'a str>,
    }
    // A list would be read as a list of fields.
    if record.starts_with('{')
        && let Ok(Timed { time }) = serde_json::from_str(record)
    {
        return zone.read_text(time?).ok()?;
    }
    zone.read(wire::field(record, "Time").as_ref()).ok()?
}

/// Parses `next`: a number, also as text. An unreadable value must not pass for the end.
fn parse_next(next: Option<Value>) -> Result<Option<i64>, Problem> {
    let next_us = match next {
        None | Some(Value::Null | Value::Bool(false)) => return Ok(None),
        Some(Value::Array(list)) if list.is_empty() => return Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
        Some(Value::Number(number)) => number.as_i64().or_else(|| whole(number.as_f64()?)),
        Some(Value::String(text)) => text.trim().parse().ok().or_else(|| whole(text.trim().parse().ok()?)),
        Some(Value::Bool(true) | Value::Array(_) | Value::Object(_)) => None,
    };
    match next_us {
        Some(0) => Ok(None),
        Some(next_us) => Ok(Some(next_us)),
        None => Err(Problem::NotTheApi("its `next` cannot be read")),
    }
}

/// Converts a whole number that PHP wrote as a fraction, which it does for large computed integers.
fn whole(number: f64) -> Option<i64> {
    /// The limit up to which a fraction represents every integer exactly.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and within the exact range")]
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(response: &str) -> Result<Page, Problem> {
        parse_page(response, &ApiZone::new("US/Eastern").expect("a zone"))
    }

    #[test]
    fn a_request_is_for_all_events_of_all_users() {
        let at = |text: &str| text.parse().expect("a time");
        let request = Request { from: at("2025-07-17T13:51:51Z"), to: at("2025-07-17T14:00:00Z"), next_us: Some(5) };
        let expected =
            json!({"from": "2025-07-17 09:51:51", "to": "2025-07-17 10:00:00", "user": "allusers", "next": 5});
        let zone = ApiZone::new("US/Eastern").expect("a zone");
        assert_eq!(request_data(&request, &zone, None), expected);
        let mut named = expected;
        named["apiuser"] = json!("siem");
        assert_eq!(request_data(&request, &zone, Some("siem")), named);
    }

    #[test]
    fn the_only_time_of_a_record_is_read() {
        let zone = ApiZone::new("US/Eastern").expect("a zone");
        let time = Some("2015-07-17T13:51:51Z".parse().expect("a time"));
        for (record, expected) in [
            (r#"{"Time":"2015-07-17 09:51:51"}"#, time),
            (r#"{"Data":"Time","Time":"2015-07-17 09:51:51"}"#, time),
            (r#"{"Time":"2015-07-17 09:51:51","Data":{"Time":"2016-01-01 00:00:00"}}"#, time),
            (r#"{"Time":"2015-07-17 09:51:51","Data":"a\\\"Time\""}"#, time),
            (r#"{"T\u0069me":"2015-07-17 09:51:5\u0031"}"#, time),
            (r#"{"Time":"2015-07-17 09:51:51","Time":"2016-01-01 00:00:00"}"#, None),
            (r#"{"Time":"2015-07-17 09:51:51","\u0054ime":"2016-01-01 00:00:00"}"#, None),
            (r#"{"time":"2015-07-17 09:51:51"}"#, None),
            (r#"{"Time":""}"#, None),
            (r#"{"Time":null}"#, None),
            (r#"["2015-07-17 09:51:51"]"#, None),
            (r#"{"Time":"2015-07-17 25:51:51"}"#, None),
            (r#"{"Time":"\ud83d"}"#, None),
            (r#"{"Time":5}"#, None),
        ] {
            assert_eq!(time_of(record, &zone).map(|time| time.earliest()), expected, "{record}");
        }
    }

    #[test]
    fn events_come_as_a_map_or_a_list() {
        let record = r#"{"Time":"2015-07-17 09:51:51","Username":"a@b.c"}"#;
        for response in [
            format!(r#"{{"status":"OK","next":null,"data":{{"Event1":{record},"Event2":{record}}}}}"#),
            format!(r#"{{"status":"OK","next":"","data":[{record},{record}]}}"#),
        ] {
            let page = page(&response).expect("a page");
            assert_eq!((page.events.len(), page.next_us), (2, None));
            assert_eq!(page.events[0].record, record);
            assert!(page.events[0].time.is_some());
        }
    }

    #[test]
    fn a_record_of_any_form_is_an_event() {
        let page = page(r#"{"status":"OK","data":[null, 1, "x", [1, 2], {"Time": 5}]}"#).expect("a page");
        let records: Vec<&str> = page.events.iter().map(|event| event.record.as_str()).collect();
        assert_eq!(records, ["null", "1", "\"x\"", "[1, 2]", r#"{"Time": 5}"#]);
        assert_eq!(page.events[4].time, None);
    }

    #[test]
    fn next_comes_as_number_or_text() {
        for (next, expected) in [
            ("1437126711000000", Some(1_437_126_711_000_000)),
            ("\"1437126711000000\"", Some(1_437_126_711_000_000)),
            ("1.437126711e15", Some(1_437_126_711_000_000)),
            ("0", None),
            ("false", None),
            ("[]", None),
        ] {
            let page = page(&format!(r#"{{"status":"OK","next":{next},"data":[]}}"#)).expect("a page");
            assert_eq!(page.next_us, expected, "{next}");
        }
        assert!(page(r#"{"status":"OK","next":"soon","data":[]}"#).is_err());
    }

    #[test]
    fn a_response_without_events_or_status_is_not_the_api() {
        assert!(page("{}").is_err());
        assert!(page("[]").is_err());
        assert!(page(r#"{"status":"OK","data":"none"}"#).is_err());
        assert!(page(r#"{"status":"OK"}"#).is_err());
        assert_eq!(page(r#"{"status":"OK","data":null}"#).expect("a page"), Page::default());
    }
}
