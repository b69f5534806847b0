//! Parses responses tolerantly. The wire types are private to `lastpass`.
//!
//! A PHP back end writes an empty map as `[]`, writes numbers as strings, and omits empty values (LASTPASS_API.md,
//! "Transport"). Records are kept as the text that LastPass sent, so that parsing loses nothing.
//!
//! Each command accepts only the form of its own response. Any other body is classified by its message, in any format:
//! there were too many requests, the command or the credentials are refused, or the body is not LastPass's.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

pub use super::problem::Problem;
use super::problem::{
    CUT, LIST, Reasons, is_false, is_good_word, is_refusal, judge_markup, judge_text, may_hold_reason,
    reports_throttling,
};
use crate::surrogates::{self, Key};

/// The byte order mark that some systems write before a text. It does not count as white space.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Returns whether a character may precede a response without being part of it.
fn is_before_response(c: char) -> bool {
    c.is_ascii_whitespace() || c == BYTE_ORDER_MARK
}

/// The entries of a map or a list, each as text.
#[derive(Debug, Default)]
pub(super) struct Entries<'a> {
    /// The key and the value of each entry. The keys of a list are empty.
    pub(super) entries: Vec<(Cow<'a, str>, &'a RawValue)>,
    /// Whether the entries come from a list.
    pub(super) is_list: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MapOrList;
        impl<'de> Visitor<'de> for MapOrList {
            type Value = Entries<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map or a list")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some((Key(key), record)) = map.next_entry()? {
                    entries.push((key, record));
                }
                Ok(Entries { entries, is_list: false })
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(record) = list.next_element()? {
                    entries.push((Cow::Borrowed(""), record));
                }
                Ok(Entries { entries, is_list: true })
            }
        }
        deserializer.deserialize_any(MapOrList)
    }
}

/// The beginning of the keys of events. Source: LASTPASS_API.md, "reporting".
const EVENT_KEY: &str = "event";

impl<'a> Entries<'a> {
    /// Returns the value with this key, or `None` if there is none or more than one.
    fn only(&self, key: &str) -> Option<&'a RawValue> {
        let mut found = self.entries.iter().filter(|(other, _)| other == key);
        found.next().filter(|_| found.next().is_none()).map(|(_, raw)| *raw)
    }

    /// Returns whether the entries may be events. Otherwise they are a message, or an echo of the request.
    fn are_events(&self) -> bool {
        let may_be_event = |(key, record): &(Cow<'_, str>, &RawValue)| {
            let begins_as_event = key.get(..EVENT_KEY.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(EVENT_KEY));
            begins_as_event || record.get().starts_with('{')
        };
        self.is_list || self.entries.is_empty() || self.entries.iter().any(may_be_event)
    }
}

/// Reads an object whose records are in the field of this name: the other fields, and the records, which are parsed in
/// place because they are many. Fails if the field is not a collection or occurs twice.
struct RecordsUnder<'n>(&'n str);

impl<'de> Visitor<'de> for RecordsUnder<'_> {
    type Value = (Entries<'de>, Option<Entries<'de>>);
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut fields, mut records) = (Entries::default(), None);
        while let Some(Key(name)) = map.next_key::<Key<'de>>()? {
            if name != self.0 {
                fields.entries.push((name, map.next_value()?));
            } else if records.replace(map.next_value()?).is_some() {
                return Err(A::Error::custom("the records occur twice"));
            }
        }
        Ok((fields, records))
    }
}

/// Decodes a body. Replaces bytes that are not UTF-8, because a record with such a byte would make every later response
/// that contains it unreadable. Recognizes UTF-16 only by its byte order mark.
pub(super) fn text_of(body: &[u8]) -> Cow<'_, str> {
    let utf16 = |units: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = units.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        Cow::Owned(String::from_utf16_lossy(&units))
    };
    match body {
        [0xff, 0xfe, units @ ..] => utf16(units, u16::from_le_bytes),
        [0xfe, 0xff, units @ ..] => utf16(units, u16::from_be_bytes),
        // Checks the whole body in one pass, which is faster than the lossy conversion.
        _ => std::str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed),
    }
}

/// Skips the characters before a response. Returns the rest, and whether it begins as a list rather than an object.
fn begin(response: &str) -> Result<(&str, bool), Problem> {
    let response = response.trim_start_matches(is_before_response);
    match response.bytes().next() {
        None => Err(Problem::NotTheApi("it is empty")),
        Some(b'<') => Err(judge_markup(response)),
        Some(b'{') => Ok((response, false)),
        Some(b'[') => Ok((response, true)),
        Some(_) => Err(judge_text(response)),
    }
}

/// Classifies the body of an error response. Returns `None` if it is not LastPass's own.
pub(super) fn refusal(body: &str) -> Option<Problem> {
    let problem = match begin(body) {
        Ok((response, false)) => Response::parse(response).ok()?.judge("it is not a response of the API"),
        Ok((_, true)) => return None,
        Err(problem) => problem,
    };
    match problem {
        Problem::NotTheApi(_) => None,
        Problem::Fail { .. } | Problem::Throttled => Some(problem),
    }
}

/// The fields of a response, with or without its records.
#[derive(Debug)]
pub(super) struct Response<'a>(Entries<'a>);

impl<'a> Response<'a> {
    /// Parses a response, and rejects one that reports a failure. An empty list counts as an empty map.
    pub(super) fn read(response: &'a str) -> Result<Self, Problem> {
        let (response, is_list) = begin(response)?;
        let response = Self::parse(response)?;
        if is_list && !response.is_empty() { Err(LIST) } else { response.err_if_it_failed() }
    }

    fn parse(response: &'a str) -> Result<Self, Problem> {
        serde_json::from_str(response).map(Self).map_err(|_| CUT)
    }

    /// Parses a response like [`Self::read`], and its events in the field `name` in the same pass. The events are
    /// `None` if the field is absent or does not hold events. It may then hold the reason.
    pub(super) fn read_events(response: &'a str, name: &str) -> Result<(Self, Option<Entries<'a>>), Problem> {
        let (body, is_list) = begin(response)?;
        if is_list {
            return Ok((Self::read(response)?, None));
        }
        let mut json = serde_json::Deserializer::from_str(body);
        let read = json.deserialize_map(RecordsUnder(name)).and_then(|read| json.end().map(|()| read));
        let (response, events) = match read {
            Ok((fields, Some(events))) if events.are_events() => (Self(fields), Some(events)),
            _ => (Self::parse(body)?, None),
        };
        Ok((response.err_if_it_failed()?, events))
    }

    fn err_if_it_failed(self) -> Result<Self, Problem> {
        if self.has_failed() { Err(self.judge("it failed")) } else { Ok(self) }
    }

    /// Returns whether the response reports a failure. Status words differ between commands, and some successes have
    /// none. Another LastPass API reports `"Succeeded": false`.
    fn has_failed(&self) -> bool {
        self.values(|name| name == "status").iter().any(|status| match status {
            Value::String(word) => ["fail", "failed", "failure", "error"].contains(&word.to_lowercase().as_str()),
            other => is_false(other),
        }) || self.values(|name| ["succeeded", "success"].contains(&name)).iter().any(is_false)
    }

    /// Returns whether the status is a success.
    pub(super) fn is_ok(&self) -> bool {
        self.value("status").as_ref().and_then(Value::as_str).is_some_and(is_good_word)
    }

    /// Classifies a response that does not have the expected form. Uses `otherwise` if the response gives no reason.
    pub(super) fn judge(&self, otherwise: &'static str) -> Problem {
        let mut reasons = Reasons::default();
        for (name, raw) in self.fields() {
            if may_hold_reason(name)
                && let Some(value) = surrogates::parse(raw.get())
            {
                reasons.take(name, &value, 0);
            }
        }
        let Reasons { errors, messages } = reasons;
        let said = [errors.clone(), messages].concat().join("; ");
        if reports_throttling(&said) {
            Problem::Throttled
        } else if self.has_failed() || !errors.is_empty() || is_refusal(&said) {
            Problem::Fail { reason: said }
        } else {
            Problem::NotTheApi(otherwise)
        }
    }

    /// Rejects a response without records if it gives a reason for that.
    pub(super) fn err_if_it_gives_a_reason(self) -> Result<Self, Problem> {
        match self.judge("") {
            Problem::NotTheApi(_) => Ok(self),
            problem @ (Problem::Fail { .. } | Problem::Throttled) => Err(problem),
        }
    }

    /// Returns the text of the field `name`; the last one if it occurs twice.
    pub(super) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.fields().iter().rev().find(|(key, _)| key == name).map(|(_, raw)| *raw)
    }

    /// Returns whether the response has no fields at all.
    pub(super) fn is_empty(&self) -> bool {
        self.fields().is_empty()
    }

    /// Returns the fields, each as text.
    pub(super) fn fields(&self) -> &[(Cow<'a, str>, &'a RawValue)] {
        &self.0.entries
    }

    /// Returns the value of the field `name`.
    pub(super) fn value(&self, name: &str) -> Option<Value> {
        self.raw(name).and_then(|raw| surrogates::parse(raw.get()))
    }

    /// Returns the values of the fields whose names, in lower case, satisfy the predicate.
    fn values(&self, is_of_kind: impl Fn(&str) -> bool) -> Vec<Value> {
        let fields = self.fields().iter().filter(|(name, _)| is_of_kind(&name.to_lowercase()));
        fields.filter_map(|(_, raw)| surrogates::parse(raw.get())).collect()
    }

    /// Returns whether the only field `name` is `null`.
    pub(super) fn is_null(&self, name: &str) -> bool {
        self.0.only(name).is_some_and(|raw| raw.get() == "null")
    }

    /// Returns a count, which may be a string. Negative and unreadable counts are `None`.
    pub(super) fn count(&self, name: &str) -> Option<u64> {
        match self.value(name)? {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.trim().parse().ok(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// Returns the records in the field `name`, or `None` if the field is absent, is not a collection, or occurs twice.
    pub(super) fn entries(&self, name: &str) -> Option<Entries<'a>> {
        serde_json::from_str(self.0.only(name)?.get()).ok()
    }
}

/// Reads one field of a record without parsing the others into values. Returns `None` if the record is not an object,
/// or if the field is absent or occurs twice.
pub(super) fn field(record: &str, name: &str) -> Option<Value> {
    let fields: Entries<'_> = serde_json::from_str(record).ok()?;
    surrogates::parse(fields.only(name)?.get())
}

/// Reads a text of a record. Anything else is an empty text.
pub(super) fn text(record: &str, name: &str) -> String {
    match field(record, name) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_map_may_come_as_a_list() {
        assert_eq!(Response::read("[]").expect("a response").fields().len(), 0);
        let response = Response::read(r#"{"status":"OK","data":[]}"#).expect("a response");
        assert_eq!(response.entries("data").expect("entries").entries.len(), 0);
    }

    #[test]
    fn fail_gives_its_reason_in_every_form() {
        for (response, expected) in [
            (r#"{"status":"FAIL","error":"no"}"#, "no"),
            (r#"{"status":"fail","errors":["no","never"]}"#, "no; never"),
            (r#"{"status":"FAIL","error":{"a":"no"}}"#, "no"),
            (r#"{"status":"FAIL"}"#, ""),
        ] {
            let problem = Response::read(response).expect_err("a refusal");
            assert_eq!(problem, Problem::Fail { reason: expected.to_owned() });
        }
    }

    #[test]
    fn a_body_that_is_not_from_the_api_is_distinguished_from_a_refusal() {
        for response in ["", "  ", "<html>", "\"text\"", "[1]", r#"{"data":{"#, "null"] {
            assert!(matches!(Response::read(response), Err(Problem::NotTheApi(_))), "{response}");
        }
    }

    #[test]
    fn a_field_that_occurs_twice_is_none() {
        assert_eq!(field(r#"{"Time":"x","Data":{"Time":1}}"#, "Time"), Some(Value::from("x")));
        assert_eq!(field(r#"{"Time":"x","Time":"y"}"#, "Time"), None);
        assert_eq!(field("[1]", "Time"), None);
    }
}
