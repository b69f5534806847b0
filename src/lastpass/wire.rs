//! The answers as they come: tolerant, and private to `lastpass`.
//!
//! A PHP back end writes an empty map as `[]`, numbers as strings, and leaves out what is empty (LASTPASS_API.md,
//! "Transport"). Records are kept as the text that was sent, so that nothing of them is lost in reading.
//!
//! Each command accepts only the form of its own answer. Any other body is judged by what it says, whatever its format:
//! that there were too many requests, that the command or the credentials are refused, or nothing that is LastPass's.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use super::markup::{self, Markup};
use crate::surrogates::{self, Key};

/// Why a body is not the answer that was asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Problem {
    /// Not the API's JSON: a proxy's or a maintenance page. Says what is wrong, never what was sent.
    NotTheApi(&'static str),
    /// The API refused (`"status": "FAIL"`), for this reason.
    Fail {
        /// What it said.
        reason: String,
    },
    /// The API said that there were too many requests.
    Throttled,
}

/// The mark that some systems put before a text. It is no white space.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// What stands before an answer and is no part of it.
fn is_before_answer(c: char) -> bool {
    c.is_ascii_whitespace() || c == BYTE_ORDER_MARK
}

/// A map or a list of records, with the text of each. Lists have their positions as keys.
#[derive(Debug, Default)]
pub(super) struct Entries<'a> {
    /// Each with its key.
    pub(super) entries: Vec<(String, &'a RawValue)>,
    /// Whether they stood in a list, so that their keys are positions.
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

/// The records under one field of an answer, without their keys.
#[derive(Debug)]
pub(super) enum Records<'a> {
    /// The text of each.
    Listed(Vec<&'a RawValue>),
    /// `null`.
    Null,
    /// It is no collection of records.
    NotListed,
}

/// What the keys of events begin with. Source: LASTPASS_API.md, "reporting".
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
                // Neither the keys nor the values are those of events: a message, or an echo of the request.
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
        while let Some(Key(name)) = map.next_key::<Key<'de>>()? {
            if name == self.0 {
                let records = map.next_value()?;
                // Of two, one would be lost.
                read.records = Some(if read.records.is_none() { records } else { Records::NotListed });
            } else {
                read.fields.push((name.into_owned(), map.next_value()?));
            }
        }
        Ok(read)
    }
}

const CUT: Problem = Problem::NotTheApi("it is not JSON, or was cut");
const TEXT: Problem = Problem::NotTheApi("it is not a JSON object");
const LIST: Problem = Problem::NotTheApi("it is a list");

/// An answer without what stands before it, and whether it begins as a list, or else as an object.
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

/// What an answer in markup says.
fn judge_markup(answer: &str) -> Problem {
    match markup::read(answer) {
        Markup::Html => Problem::NotTheApi("it is an HTML page"),
        Markup::Xml { said, .. } if speaks_of_throttling(&said) => Problem::Throttled,
        Markup::Xml { is_lastpass: true, said } if !said.is_empty() && !is_good_word(&said) => {
            Problem::Fail { reason: said }
        }
        Markup::Xml { said, .. } if is_refusal(&said) => Problem::Fail { reason: said },
        Markup::Xml { .. } => Problem::NotTheApi("it is XML, and no refusal"),
    }
}

/// What an answer that is a mere text says.
fn judge_text(answer: &str) -> Problem {
    /// Longest text that is looked at. Chosen: a sentence. What is longer is a page of something else.
    const LONGEST: usize = 300;
    let said = answer.trim().trim_matches('"');
    if said.len() > LONGEST {
        TEXT
    } else if speaks_of_throttling(said) {
        Problem::Throttled
    } else if is_refusal(said) {
        Problem::Fail { reason: said.to_owned() }
    } else {
        TEXT
    }
}

/// What a body says that came with the status of an error: `None` where it is not LastPass itself that says it.
pub(super) fn refusal(body: &str) -> Option<Problem> {
    let problem = match begin(body) {
        Ok((answer, false)) => Answer::parse(answer).ok()?.judge("it is no answer"),
        Ok((_, true)) => return None,
        Err(problem) => problem,
    };
    match problem {
        Problem::NotTheApi(_) => None,
        Problem::Fail { .. } | Problem::Throttled => Some(problem),
    }
}

/// Whether a word says that all is well.
fn is_good_word(word: &str) -> bool {
    ["ok", "success"].contains(&word.trim().to_lowercase().as_str())
}

/// Whether a text says that there were too many requests.
fn speaks_of_throttling(text: &str) -> bool {
    const WORDS: &[&str] = &["too many", "rate limit", "rate-limit", "ratelimit", "rate_limit", "throttl", "slow down"];
    let text = text.to_lowercase();
    WORDS.iter().any(|word| text.contains(word)) || text.split(|c: char| !c.is_alphanumeric()).any(|word| word == "429")
}

/// Whether a text that may be anyone's is LastPass's refusal of who asks.
fn is_refusal(text: &str) -> bool {
    const WORDS: &[&str] =
        &["authoriz", "authoris", "authentic", "provhash", "provisioning hash", "invalid hash", "account number"];
    let text = text.to_lowercase();
    WORDS.iter().any(|word| text.contains(word)) && !text.contains("proxy")
}

/// The fields of an answer that says something of itself beside its records.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    fields: Vec<(String, &'a RawValue)>,
}

impl<'a> Answer<'a> {
    /// Reads an answer and refuses what says `FAIL`. An empty list is an empty map.
    pub(super) fn read(answer: &'a str) -> Result<Self, Problem> {
        let (answer, is_list) = begin(answer)?;
        let answer = Self::parse(answer)?;
        if is_list && !answer.is_empty() { Err(LIST) } else { answer.unless_it_failed() }
    }

    fn parse(answer: &'a str) -> Result<Self, Problem> {
        let Entries { entries, .. } = serde_json::from_str(answer).map_err(|_| CUT)?;
        Ok(Self { fields: entries })
    }

    /// The same, with the records that stand under `name`, which are read along with it; `None` where there is no such
    /// field.
    pub(super) fn read_records(answer: &'a str, name: &str) -> Result<(Self, Option<Records<'a>>), Problem> {
        let (body, is_list) = begin(answer)?;
        if is_list {
            return Ok((Self::read(answer)?, None));
        }
        let mut json = serde_json::Deserializer::from_str(body);
        let read = json.deserialize_map(RecordsUnder(name)).and_then(|read| json.end().map(|()| read));
        let FieldsAndRecords { fields, records } = read.map_err(|_| CUT)?;
        // What stands in their place may say why.
        let answer = if matches!(records, Some(Records::NotListed)) { Self::parse(body)? } else { Self { fields } };
        Ok((answer.unless_it_failed()?, records))
    }

    fn unless_it_failed(self) -> Result<Self, Problem> {
        if self.has_failed() { Err(self.judge("it failed")) } else { Ok(self) }
    }

    /// Whether it says so. Status words differ between commands, and some good answers have none; another LastPass API
    /// says `"Succeeded": false`.
    fn has_failed(&self) -> bool {
        let is_false = |value: &Value| match value {
            Value::Bool(flag) => !flag,
            Value::Number(number) => number.as_i64() == Some(0),
            Value::String(text) => ["false", "0"].contains(&text.to_lowercase().as_str()),
            Value::Null | Value::Array(_) | Value::Object(_) => false,
        };
        self.values(|name| name == "status").iter().any(|status| match status {
            Value::String(word) => ["fail", "failed", "failure", "error"].contains(&word.to_lowercase().as_str()),
            other => is_false(other),
        }) || self.values(|name| ["succeeded", "success"].contains(&name)).iter().any(is_false)
    }

    /// Whether its status says that all is well.
    pub(super) fn is_ok(&self) -> bool {
        self.value("status").as_ref().and_then(Value::as_str).is_some_and(is_good_word)
    }

    /// What an answer says that does not have the form that was asked for; `otherwise` where it says nothing.
    pub(super) fn judge(&self, otherwise: &'static str) -> Problem {
        let mut reasons = Reasons::default();
        for (name, raw) in &self.fields {
            if let Some(value) = surrogates::parse(raw.get()) {
                reasons.take(name, &value, 0);
            }
        }
        let Reasons { errors, messages } = reasons;
        let said = [errors.clone(), messages].concat().join("; ");
        if speaks_of_throttling(&said) {
            Problem::Throttled
        } else if self.has_failed() || !errors.is_empty() || is_refusal(&said) {
            Problem::Fail { reason: said }
        } else {
            Problem::NotTheApi(otherwise)
        }
    }

    /// [`Self::judge`] of what the answer says beside its records, of which it has none; `Ok` where it says nothing.
    pub(super) fn unless_it_says_why(self) -> Result<Self, Problem> {
        match self.judge("") {
            Problem::NotTheApi(_) => Ok(self),
            problem @ (Problem::Fail { .. } | Problem::Throttled) => Err(problem),
        }
    }

    /// The text of the field `name`; the last one where it comes twice.
    pub(super) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.fields.iter().rev().find(|(key, _)| key == name).map(|(_, raw)| *raw)
    }

    /// Whether it has no fields at all.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Its fields, each with its text.
    pub(super) fn fields(&self) -> &[(String, &'a RawValue)] {
        &self.fields
    }

    /// The value of the field `name`.
    pub(super) fn value(&self, name: &str) -> Option<Value> {
        self.raw(name).and_then(|raw| surrogates::parse(raw.get()))
    }

    /// The values of the fields whose names, in lower case, are of a kind.
    fn values(&self, is_of_kind: impl Fn(&str) -> bool) -> Vec<Value> {
        let fields = self.fields.iter().filter(|(name, _)| is_of_kind(&name.to_lowercase()));
        fields.filter_map(|(_, raw)| surrogates::parse(raw.get())).collect()
    }

    /// A count that may come as text. Negative and unreadable ones are none.
    pub(super) fn count(&self, name: &str) -> Option<u64> {
        match self.value(name)? {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.trim().parse().ok(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The records under `name`, or `None` where the field is absent, no collection, or there twice.
    pub(super) fn entries(&self, name: &str) -> Option<Entries<'a>> {
        let mut fields = self.fields.iter().filter(|(key, _)| key == name);
        let (_, raw) = fields.next()?;
        if fields.next().is_some() { None } else { serde_json::from_str(raw.get()).ok() }
    }
}

/// What an answer gives as reasons.
#[derive(Debug, Default)]
struct Reasons {
    /// Under `error` and the like: something went wrong.
    errors: Vec<String>,
    /// Under `message` and the like, which may say anything.
    messages: Vec<String>,
}

impl Reasons {
    /// Takes what a field says: a text, a list or a map of texts.
    fn take(&mut self, name: &str, value: &Value, depth: usize) {
        const ERRORS: &[&str] = &["error", "errors"];
        const MESSAGES: &[&str] =
            &["message", "msg", "rc", "reason", "detail", "details", "description", "error_description"];
        /// Fields that may hold an answer in place of records, and how deep.
        const WRAPPERS: &[&str] = &["data", "lastpass", "response", "result"];
        const DEEPEST: usize = 2;
        let name = name.trim_start_matches(['@', '-', '_', '$']).to_lowercase();
        if ERRORS.contains(&name.as_str()) {
            texts(value, &mut self.errors);
        } else if MESSAGES.contains(&name.as_str()) {
            texts(value, &mut self.messages);
        } else if let Value::Object(fields) = value
            && WRAPPERS.contains(&name.as_str())
            && depth < DEEPEST
        {
            fields.iter().for_each(|(name, value)| self.take(name, value, depth + 1));
        }
    }
}

fn texts(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Null => {}
        Value::String(text) if text.trim().is_empty() => {}
        Value::String(text) => into.push(text.clone()),
        Value::Bool(_) | Value::Number(_) => into.push(value.to_string()),
        Value::Array(list) => list.iter().for_each(|value| texts(value, into)),
        Value::Object(map) => map.values().for_each(|value| texts(value, into)),
    }
}

/// Reads one field of a record without reading the rest into values. `None` where the record is no object.
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
    fn what_is_not_the_api_is_told_apart() {
        for answer in ["", "  ", "<html>", "\"text\"", "[1]", r#"{"data":{"#, "null"] {
            assert!(matches!(Answer::read(answer), Err(Problem::NotTheApi(_))), "{answer}");
        }
    }

    #[test]
    fn a_field_that_comes_twice_is_none() {
        assert_eq!(field(r#"{"Time":"x","Data":{"Time":1}}"#, "Time"), Some(Value::from("x")));
        assert_eq!(field(r#"{"Time":"x","Time":"y"}"#, "Time"), None);
        assert_eq!(field("[1]", "Time"), None);
    }
}
