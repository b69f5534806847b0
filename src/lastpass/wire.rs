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
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

pub use super::problem::Problem;
use super::problem::{
    CUT, LIST, Reasons, is_false, is_good_word, is_refusal, judge_markup, judge_text, reports_throttling,
};
use crate::surrogates::{self, Key};

/// The byte order mark that some systems write before a text. It does not count as white space.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Returns whether a character may precede a response without being part of it.
fn is_before_answer(c: char) -> bool {
    c.is_ascii_whitespace() || c == BYTE_ORDER_MARK
}

/// A map or a list of records, each as text. The keys of a list are positions.
#[derive(Debug, Default)]
pub(super) struct Entries<'a> {
    /// The key and the record of each entry.
    pub(super) entries: Vec<(String, &'a RawValue)>,
    /// Whether the entries come from a list, so that their keys are positions.
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
                while let Some((Key(key), record)) = map.next_entry::<Key<'de>, &RawValue>()? {
                    entries.push((key.into_owned(), record));
                }
                Ok(Entries { entries, is_list: false })
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(record) = list.next_element::<&RawValue>()? {
                    entries.push((entries.len().to_string(), record));
                }
                Ok(Entries { entries, is_list: true })
            }
        }
        deserializer.deserialize_any(MapOrList)
    }
}

/// The records in one field of a response, without their keys.
#[derive(Debug)]
pub(super) enum Records<'a> {
    /// The text of each record.
    Listed(Vec<&'a RawValue>),
    /// `null`.
    Null,
    /// The field is not a collection of records.
    NotListed,
}

/// The beginning of the keys of events. Source: LASTPASS_API.md, "reporting".
const EVENT_KEY: &str = "event";

impl<'de: 'a, 'a> Deserialize<'de> for Records<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MapOrList;
        impl<'de> Visitor<'de> for MapOrList {
            type Value = Records<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map or a list")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut records = Vec::new();
                let mut is_known = false;
                while let Some((key, record)) = map.next_entry::<Key<'de>, &RawValue>()? {
                    let begins_as_event =
                        key.as_str().get(..EVENT_KEY.len()).is_some_and(|key| key.eq_ignore_ascii_case(EVENT_KEY));
                    is_known |= begins_as_event || record.get().starts_with('{');
                    records.push(record);
                }
                // Neither the keys nor the values are those of events: this is a message, or an echo of the request.
                Ok(if is_known || records.is_empty() { Records::Listed(records) } else { Records::NotListed })
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut records = Vec::new();
                while let Some(record) = list.next_element()? {
                    records.push(record);
                }
                Ok(Records::Listed(records))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Records::Null)
            }
            fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
                Ok(Records::NotListed)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Records::NotListed)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Records::NotListed)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Records::NotListed)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Records::NotListed)
            }
        }
        deserializer.deserialize_any(MapOrList)
    }
}

/// The fields of a response, with the records parsed in place because they are many.
struct FieldsAndRecords<'a> {
    fields: Vec<(String, &'a RawValue)>,
    /// `None` if the field is absent.
    records: Option<Records<'a>>,
}

/// Reads an object whose records are in the field of this name.
struct RecordsUnder<'n>(&'n str);

impl<'de> Visitor<'de> for RecordsUnder<'_> {
    type Value = FieldsAndRecords<'de>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut read = FieldsAndRecords { fields: Vec::new(), records: None };
        while let Some(Key(name)) = map.next_key::<Key<'de>>()? {
            if name == self.0 {
                let records = map.next_value()?;
                // If the field occurs twice, keeping one would lose the other.
                read.records = Some(if read.records.is_none() { records } else { Records::NotListed });
            } else {
                read.fields.push((name.into_owned(), map.next_value()?));
            }
        }
        Ok(read)
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
fn begin(answer: &str) -> Result<(&str, bool), Problem> {
    let answer = answer.trim_start_matches(is_before_answer);
    match answer.bytes().next() {
        None => Err(Problem::NotTheApi("it is empty")),
        Some(b'<') => Err(judge_markup(answer)),
        Some(b'{') => Ok((answer, false)),
        Some(b'[') => Ok((answer, true)),
        Some(_) => Err(judge_text(answer)),
    }
}

/// Classifies the body of an error response. Returns `None` if it is not LastPass's own.
pub(super) fn refusal(body: &str) -> Option<Problem> {
    let problem = match begin(body) {
        Ok((answer, false)) => Answer::parse(answer).ok()?.judge("it is not a response of the API"),
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
pub(super) struct Answer<'a> {
    fields: Vec<(String, &'a RawValue)>,
}

impl<'a> Answer<'a> {
    /// Parses a response, and rejects one that reports a failure. An empty list counts as an empty map.
    pub(super) fn read(answer: &'a str) -> Result<Self, Problem> {
        let (answer, is_list) = begin(answer)?;
        let answer = Self::parse(answer)?;
        if is_list && !answer.is_empty() { Err(LIST) } else { answer.unless_it_failed() }
    }

    fn parse(answer: &'a str) -> Result<Self, Problem> {
        let Entries { entries, .. } = serde_json::from_str(answer).map_err(|_| CUT)?;
        Ok(Self { fields: entries })
    }

    /// Parses a response like [`Self::read`], and its records in the field `name` in the same pass. The records are
    /// `None` if the field is absent.
    pub(super) fn read_records(answer: &'a str, name: &str) -> Result<(Self, Option<Records<'a>>), Problem> {
        let (body, is_list) = begin(answer)?;
        if is_list {
            return Ok((Self::read(answer)?, None));
        }
        let mut json = serde_json::Deserializer::from_str(body);
        let read = json.deserialize_map(RecordsUnder(name)).and_then(|read| json.end().map(|()| read));
        let FieldsAndRecords { fields, records } = read.map_err(|_| CUT)?;
        // The field may hold the reason in place of records.
        let answer = if matches!(records, Some(Records::NotListed)) { Self::parse(body)? } else { Self { fields } };
        Ok((answer.unless_it_failed()?, records))
    }

    fn unless_it_failed(self) -> Result<Self, Problem> {
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
        for (name, raw) in &self.fields {
            if let Some(value) = surrogates::parse(raw.get()) {
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
    pub(super) fn unless_it_says_why(self) -> Result<Self, Problem> {
        match self.judge("") {
            Problem::NotTheApi(_) => Ok(self),
            problem @ (Problem::Fail { .. } | Problem::Throttled) => Err(problem),
        }
    }

    /// Returns the text of the field `name`; the last one if it occurs twice.
    pub(super) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.fields.iter().rev().find(|(key, _)| key == name).map(|(_, raw)| *raw)
    }

    /// Returns whether the response has no fields at all.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Returns the fields, each as text.
    pub(super) fn fields(&self) -> &[(String, &'a RawValue)] {
        &self.fields
    }

    /// Returns the value of the field `name`.
    pub(super) fn value(&self, name: &str) -> Option<Value> {
        self.raw(name).and_then(|raw| surrogates::parse(raw.get()))
    }

    /// Returns the values of the fields whose names, in lower case, satisfy the predicate.
    fn values(&self, is_of_kind: impl Fn(&str) -> bool) -> Vec<Value> {
        let fields = self.fields.iter().filter(|(name, _)| is_of_kind(&name.to_lowercase()));
        fields.filter_map(|(_, raw)| surrogates::parse(raw.get())).collect()
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
        let mut fields = self.fields.iter().filter(|(key, _)| key == name);
        let (_, raw) = fields.next()?;
        if fields.next().is_some() { None } else { serde_json::from_str(raw.get()).ok() }
    }
}

/// Reads one field of a record without parsing the others into values. Returns `None` if the record is not an object,
/// or if the field is absent or occurs twice.
pub(super) fn field(record: &str, name: &str) -> Option<Value> {
    struct Field<'n>(&'n str);
    impl<'de> Visitor<'de> for Field<'_> {
        type Value = Option<&'de RawValue>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a record")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = None;
            while let Some(key) = map.next_key::<Key<'de>>()? {
                if key.as_str() == self.0 {
                    if found.is_some() {
                        return Err(A::Error::custom("a key twice"));
                    }
                    found = Some(map.next_value()?);
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(found)
        }
    }
    let raw = serde_json::Deserializer::from_str(record).deserialize_map(Field(name)).ok().flatten()?;
    surrogates::parse(raw.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_map_may_come_as_a_list() {
        assert_eq!(Answer::read("[]").expect("an answer").fields().len(), 0);
        let answer = Answer::read(r#"{"status":"OK","data":[]}"#).expect("an answer");
        assert_eq!(answer.entries("data").expect("entries").entries.len(), 0);
    }

    #[test]
    fn fail_gives_its_reason_in_every_form() {
        for (answer, expected) in [
            (r#"{"status":"FAIL","error":"no"}"#, "no"),
            (r#"{"status":"fail","errors":["no","never"]}"#, "no; never"),
            (r#"{"status":"FAIL","error":{"a":"no"}}"#, "no"),
            (r#"{"status":"FAIL"}"#, ""),
        ] {
            let problem = Answer::read(answer).expect_err("a refusal");
            assert_eq!(problem, Problem::Fail { reason: expected.to_owned() });
        }
    }

    #[test]
    fn a_body_that_is_not_from_the_api_is_distinguished_from_a_refusal() {
        for answer in ["", "  ", "<html>", "\"text\"", "[1]", r#"{"data":{"#, "null"] {
            assert!(matches!(Answer::read(answer), Err(Problem::NotTheApi(_))), "{answer}");
        }
    }

    #[test]
    fn a_field_that_occurs_twice_is_none() {
        assert_eq!(field(r#"{"Time":"x","Data":{"Time":1}}"#, "Time"), Some(Value::from("x")));
        assert_eq!(field(r#"{"Time":"x","Time":"y"}"#, "Time"), None);
        assert_eq!(field("[1]", "Time"), None);
    }
}
