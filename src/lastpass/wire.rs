//! The answers as they come: tolerant, and private to `lastpass`.
//!
//! A PHP back end writes an empty map as `[]`, numbers as strings, and leaves out what is empty (LASTPASS_API.md,
//! "Transport"). Records are kept as the text that was sent, so that nothing of them is lost in reading.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use crate::text::Text;

/// Why an answer of HTTP 200 is not what was asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Problem {
    /// Not the API's JSON: a proxy's or a maintenance page. Says what is wrong, never what was sent.
    NotTheApi(&'static str),
    /// The API refused (`"status": "FAIL"`), for this reason.
    Fail {
        /// What it said.
        reason: String,
    },
}

/// A map or a list of records, with the text of each. Lists have their positions as keys.
#[derive(Debug, Default)]
pub(super) struct Entries<'a>(pub Vec<(String, &'a RawValue)>);

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
                while let Some(entry) = map.next_entry::<String, &RawValue>()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(record) = list.next_element::<&RawValue>()? {
                    entries.push((entries.len().to_string(), record));
                }
                Ok(Entries(entries))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Entries::default())
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                if text.is_empty() { Ok(Entries::default()) } else { Err(E::custom("neither a map nor a list")) }
            }
        }
        deserializer.deserialize_any(MapOrList)
    }
}

/// The records under one field of an answer, without their keys.
#[derive(Debug)]
pub(super) enum Records<'a> {
    /// The text of each.
    Listed(Vec<&'a RawValue>),
    /// It is no collection.
    NotListed,
}

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
                while let Some((IgnoredAny, record)) = map.next_entry()? {
                    records.push(record);
                }
                Ok(Records::Listed(records))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut records = Vec::new();
                while let Some(record) = list.next_element()? {
                    records.push(record);
                }
                Ok(Records::Listed(records))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Records::Listed(Vec::new()))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(if text.is_empty() { Records::Listed(Vec::new()) } else { Records::NotListed })
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

/// The fields of an answer, one of which holds its records: they are many, and read where they stand.
struct FieldsAndRecords<'a> {
    fields: Vec<(String, &'a RawValue)>,
    /// `None` where the field is absent.
    records: Option<Records<'a>>,
}

/// Reads an object whose records are under this name.
struct RecordsUnder<'n>(&'n str);

impl<'de> Visitor<'de> for RecordsUnder<'_> {
    type Value = FieldsAndRecords<'de>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut read = FieldsAndRecords { fields: Vec::new(), records: None };
        while let Some(name) = map.next_key::<String>()? {
            if name == self.0 {
                read.records = Some(map.next_value()?);
            } else {
                read.fields.push((name, map.next_value()?));
            }
        }
        Ok(read)
    }
}

/// Reads the top of an answer as a map of its fields' texts: an empty list is an empty map.
fn fields(answer: &str) -> Result<Vec<(String, &RawValue)>, Problem> {
    let is_list = begins_as_a_list(answer)?;
    let Entries(fields) = serde_json::from_str(answer).map_err(|_| CUT)?;
    if is_list && !fields.is_empty() {
        return Err(Problem::NotTheApi("it is a list"));
    }
    Ok(fields)
}

const CUT: Problem = Problem::NotTheApi("it is not JSON, or was cut");

/// Whether an answer begins as a list, or else as an object.
fn begins_as_a_list(answer: &str) -> Result<bool, Problem> {
    match answer.bytes().find(|byte| !byte.is_ascii_whitespace()) {
        None => Err(Problem::NotTheApi("it is empty")),
        Some(b'<') => Err(Problem::NotTheApi("it is an HTML page")),
        Some(b'{') => Ok(false),
        Some(b'[') => Ok(true),
        Some(_) => Err(Problem::NotTheApi("it is not a JSON object")),
    }
}

/// The fields of an answer that says something of itself beside its records.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    fields: Vec<(String, &'a RawValue)>,
}

impl<'a> Answer<'a> {
    /// Reads an answer and refuses what says `FAIL`.
    pub(super) fn read(answer: &'a str) -> Result<Self, Problem> {
        Self { fields: fields(answer)? }.unless_it_failed()
    }

    /// The same, with the records that stand under `name`, which are read along with it; `None` where there is no such
    /// field.
    pub(super) fn read_records(answer: &'a str, name: &str) -> Result<(Self, Option<Records<'a>>), Problem> {
        if begins_as_a_list(answer)? {
            return Ok((Self::read(answer)?, None));
        }
        let mut json = serde_json::Deserializer::from_str(answer);
        let read = json.deserialize_map(RecordsUnder(name)).and_then(|read| json.end().map(|()| read));
        let FieldsAndRecords { fields, records } = read.map_err(|_| CUT)?;
        Ok((Self { fields }.unless_it_failed()?, records))
    }

    fn unless_it_failed(self) -> Result<Self, Problem> {
        let answer = self;
        // Status words differ between commands, and some good answers have none.
        let failed = matches!(answer.value("status"), Some(Value::String(word))
            if ["fail", "failed", "error"].contains(&word.to_lowercase().as_str()));
        if failed { Err(Problem::Fail { reason: answer.reason() }) } else { Ok(answer) }
    }

    /// The text of the field `name`; the last one where it comes twice.
    pub(super) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.fields.iter().rev().find(|(key, _)| key == name).map(|(_, raw)| *raw)
    }

    /// Whether it has no fields at all.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The value of the field `name`.
    pub(super) fn value(&self, name: &str) -> Option<Value> {
        self.raw(name).and_then(|raw| serde_json::from_str(raw.get()).ok())
    }

    /// A count that may come as text. Negative and unreadable ones are none.
    pub(super) fn count(&self, name: &str) -> Option<u64> {
        match self.value(name)? {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.trim().parse().ok(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The records under `name`, or `None` where the field is absent or no collection.
    pub(super) fn entries(&self, name: &str) -> Option<Entries<'a>> {
        self.raw(name).and_then(|raw| serde_json::from_str(raw.get()).ok())
    }

    /// Every field as an entry: for answers whose records stand at the top.
    pub(super) fn into_entries(self) -> Entries<'a> {
        Entries(self.fields)
    }

    /// What stands under `error` or `errors`: a text, a list or a map of texts.
    fn reason(&self) -> String {
        fn texts(value: &Value, into: &mut Vec<String>) {
            match value {
                Value::Null => {}
                Value::String(text) => into.push(text.clone()),
                Value::Bool(_) | Value::Number(_) => into.push(value.to_string()),
                Value::Array(list) => list.iter().for_each(|value| texts(value, into)),
                Value::Object(map) => map.values().for_each(|value| texts(value, into)),
            }
        }
        let mut reasons = Vec::new();
        for name in ["error", "errors"] {
            if let Some(value) = self.value(name) {
                texts(&value, &mut reasons);
            }
        }
        reasons.join("; ")
    }
}

/// A JSON text without the white space between its tokens. Everything else stays as it was written.
pub(super) fn compact(json: &str) -> String {
    let mut compact = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if matches!(c, ' ' | '\t' | '\n' | '\r') {
            continue;
        } else {
            in_string = c == '"';
        }
        compact.push(c);
    }
    compact
}

/// Reads one field of a record without reading the rest into values. `None` where the record is no object.
pub(super) fn field(record: &str, name: &str) -> Option<Value> {
    struct Field<'n>(&'n str);
    impl<'de> Visitor<'de> for Field<'_> {
        type Value = Option<Value>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a record")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = None;
            while let Some(key) = map.next_key::<Text<'de>>()? {
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
    serde_json::Deserializer::from_str(record).deserialize_map(Field(name)).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_map_may_come_as_a_list() {
        assert_eq!(Answer::read("[]").expect("an answer").into_entries().0.len(), 0);
        let answer = Answer::read(r#"{"status":"OK","data":[]}"#).expect("an answer");
        assert_eq!(answer.entries("data").expect("entries").0.len(), 0);
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
    fn what_is_not_the_api_is_told_apart() {
        for answer in ["", "  ", "<html>", "\"text\"", "[1]", r#"{"data":{"#, "null"] {
            assert!(matches!(Answer::read(answer), Err(Problem::NotTheApi(_))), "{answer}");
        }
    }

    #[test]
    fn compacting_keeps_strings_and_spellings() {
        assert_eq!(compact("{ \"a b\" :\n [1.0 , \"\\\" \\\\\" ] }"), r#"{"a b":[1.0,"\" \\"]}"#);
    }

    #[test]
    fn a_field_that_comes_twice_is_none() {
        assert_eq!(field(r#"{"Time":"x","Data":{"Time":1}}"#, "Time"), Some(Value::from("x")));
        assert_eq!(field(r#"{"Time":"x","Time":"y"}"#, "Time"), None);
        assert_eq!(field("[1]", "Time"), None);
    }
}
