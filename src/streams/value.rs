//! A value on its way from a record to a document: text stays where it was read, as far as it can.

use std::borrow::Cow;

use jiff::{Timestamp, fmt::StdIoWrite, fmt::temporal::DateTimePrinter};
use serde_json::Value;

use super::convert::{self, WrongType};

/// How documents write a time: UTC, to the millisecond.
const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// A value of a record or a document.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum FieldValue<'r> {
    /// A text.
    Text(Cow<'r, str>),
    /// A list of texts that the mapping made.
    Texts(Vec<Cow<'r, str>>),
    /// The same, of constants.
    Words(&'static [&'static str]),
    /// A time, which is written in UTC to the millisecond.
    Time(Timestamp),
    /// Anything else that a record holds. Boxed, because it is large and rare.
    Json(Box<Value>),
}

use FieldValue::{Json, Text, Texts, Time, Words};

impl<'r> FieldValue<'r> {
    /// The text, where it is one.
    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Text(text) => Some(text),
            Texts(_) | Words(_) | Time(_) | Json(_) => None,
        }
    }

    /// Whether it says nothing: `null` or empty text.
    pub(super) fn is_nothing(&self) -> bool {
        match self {
            Text(text) => text.is_empty(),
            Json(value) => value.is_null(),
            Texts(_) | Words(_) | Time(_) => false,
        }
    }

    /// As an entry of a list of names; see [`convert::text`].
    ///
    /// # Errors
    /// [`WrongType`] for a list or an object.
    pub(super) fn text(&self) -> Result<Option<Cow<'r, str>>, WrongType> {
        match self {
            Text(text) => Ok((!text.is_empty()).then(|| text.clone())),
            Json(value) => Ok(convert::text(value)?.map(Cow::Owned)),
            Texts(_) | Words(_) | Time(_) => Err(WrongType),
        }
    }

    /// As JSON.
    pub(super) fn into_json(self) -> Value {
        match self {
            Text(text) => Value::String(text.into_owned()),
            Texts(texts) => texts.into_iter().map(Cow::into_owned).collect(),
            Words(words) => words.iter().copied().collect(),
            Time(time) => written(time).into(),
            Json(value) => *value,
        }
    }

    /// Takes out of it what is `null`, empty text, or a list or object that is or has become empty; whether nothing is
    /// left of it.
    pub(super) fn drop_empties(&mut self) -> bool {
        match self {
            Text(text) => text.is_empty(),
            Texts(texts) => {
                texts.retain(|text| !text.is_empty());
                texts.is_empty()
            }
            Words(words) => words.is_empty(),
            Time(_) => false,
            Json(value) => drop_empties(value),
        }
    }

    /// Appends it as JSON.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        // Writing into memory does not fail.
        let _ = match self {
            Text(text) => return write_text(text, out),
            Texts(texts) => return write_texts(texts.iter().map(Cow::as_ref), out),
            Words(words) => return write_texts(words.iter().copied(), out),
            Time(time) => return write_time(*time, out),
            Json(value) => serde_json::to_writer(out, value),
        };
    }
}

impl<'r> From<&'r str> for FieldValue<'r> {
    fn from(text: &'r str) -> Self {
        Text(Cow::Borrowed(text))
    }
}

impl<'r> From<Cow<'r, str>> for FieldValue<'r> {
    fn from(text: Cow<'r, str>) -> Self {
        Text(text)
    }
}

impl From<String> for FieldValue<'_> {
    fn from(text: String) -> Self {
        Text(Cow::Owned(text))
    }
}

impl<'r> From<Vec<Cow<'r, str>>> for FieldValue<'r> {
    fn from(texts: Vec<Cow<'r, str>>) -> Self {
        Texts(texts)
    }
}

impl From<Timestamp> for FieldValue<'_> {
    fn from(time: Timestamp) -> Self {
        Time(time)
    }
}

impl From<&'static [&'static str]> for FieldValue<'_> {
    fn from(words: &'static [&'static str]) -> Self {
        Words(words)
    }
}

/// A text that is JSON already is one here as well.
impl From<Value> for FieldValue<'_> {
    fn from(value: Value) -> Self {
        match value {
            Value::String(text) => Text(Cow::Owned(text)),
            other => Json(Box::new(other)),
        }
    }
}

/// A time as documents write it.
pub(super) fn written(time: Timestamp) -> String {
    let mut text = String::with_capacity(24);
    // Every timestamp can be written, and writing to a string does not fail.
    let _ = PRINTER.print_timestamp(&time, &mut text);
    text
}

fn write_time(time: Timestamp, out: &mut Vec<u8>) {
    out.push(b'"');
    // As above.
    let _ = PRINTER.print_timestamp(&time, StdIoWrite(&mut *out));
    out.push(b'"');
}

/// Appends a list of texts.
fn write_texts<'t>(texts: impl Iterator<Item = &'t str>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, text) in texts.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(text, out);
    }
    out.push(b']');
}

/// Appends a text in quotes, escaped.
fn write_text(text: &str, out: &mut Vec<u8>) {
    // Looks at every byte, which is faster than stopping at the first that is to be escaped.
    let is_escaped = |byte: u8| (byte < b' ') | (byte == b'"') | (byte == b'\\');
    if !text.bytes().fold(false, |found, byte| found | is_escaped(byte)) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Writing into memory does not fail.
        let _ = serde_json::to_writer(out, text);
    }
}

fn drop_empties(value: &mut Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(entries) => {
            entries.retain_mut(|entry| !drop_empties(entry));
            entries.is_empty()
        }
        Value::Object(fields) => {
            fields.retain(|_, value| !drop_empties(value));
            fields.is_empty()
        }
    }
}
