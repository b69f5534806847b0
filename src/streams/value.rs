//! A value on its way from a record to a document: text stays where it was read, as far as it can.

use jiff::{Timestamp, fmt::temporal::DateTimePrinter};
use serde_json::Value;

use super::convert::{self, WrongType};
use crate::text::{self, write_text};

/// How documents write a time: UTC, to the millisecond.
const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// A value of a record or a document.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum FieldValue<'r> {
    /// A text.
    Text(text::Text<'r>),
    /// A list of texts that the mapping made.
    Texts(Vec<text::Text<'r>>),
    /// The same, of constants.
    Words(&'static [&'static str]),
    /// A time, which is written in UTC to the millisecond.
    Time(Timestamp),
    /// Anything else that a record holds. Boxed, because it is large and rare.
    Json(Box<Value>),
    /// Anything that holds a lone surrogate, which is marked. No document has it.
    Broken(Box<Value>),
}

use FieldValue::{Broken, Json, Text, Texts, Time, Words};

/// Why a field with a lone surrogate is missing.
pub(super) fn broken(field: &str) -> String {
    format!("{field} holds half of a character (a lone surrogate)")
}

impl<'r> FieldValue<'r> {
    /// The text, where it is one.
    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Text(text) => Some(text.as_str()),
            Texts(_) | Words(_) | Time(_) | Json(_) | Broken(_) => None,
        }
    }

    /// Whether it says nothing: `null` or empty text.
    pub(super) fn is_nothing(&self) -> bool {
        match self {
            Text(text) => text.as_str().is_empty(),
            Json(value) => value.is_null(),
            Texts(_) | Words(_) | Time(_) | Broken(_) => false,
        }
    }

    /// As an entry of a list of names; see [`convert::text`].
    ///
    /// # Errors
    /// [`WrongType`] for a list or an object.
    pub(super) fn text(&self) -> Result<Option<text::Text<'r>>, WrongType> {
        match self {
            Text(text) => Ok((!text.as_str().is_empty()).then(|| text.clone())),
            Json(value) => Ok(convert::text(value)?.map(text::Text::from)),
            Texts(_) | Words(_) | Time(_) | Broken(_) => Err(WrongType),
        }
    }

    /// As JSON.
    pub(super) fn into_json(self) -> Value {
        match self {
            Text(text) => Value::String(text.into_owned()),
            Texts(texts) => texts.into_iter().map(text::Text::into_owned).collect(),
            Words(words) => words.iter().copied().collect(),
            Time(time) => written(time).into(),
            Json(value) | Broken(value) => *value,
        }
    }

    /// Takes out of it what is `null`, empty text, or a list or object that is or has become empty; whether nothing is
    /// left of it.
    pub(super) fn drop_empties(&mut self) -> bool {
        match self {
            Text(text) => text.as_str().is_empty(),
            Texts(texts) => {
                texts.retain(|text| !text.as_str().is_empty());
                texts.is_empty()
            }
            Words(words) => words.is_empty(),
            Time(_) => false,
            Json(value) => drop_empties(value),
            Broken(_) => true,
        }
    }

    /// Appends it as JSON.
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Text(text) => text.write(out),
            Texts(texts) => write_list(texts, text::Text::write, out),
            Words(words) => write_list(words, |word, out| write_text(word, out), out),
            Time(time) => {
                out.push('"');
                write_time(*time, out);
                out.push('"');
            }
            Json(value) | Broken(value) => out.push_str(&value.to_string()),
        }
    }
}

impl<'r> From<&'r str> for FieldValue<'r> {
    fn from(text: &'r str) -> Self {
        Text(text.into())
    }
}

impl<'r> From<text::Text<'r>> for FieldValue<'r> {
    fn from(text: text::Text<'r>) -> Self {
        Text(text)
    }
}

impl From<String> for FieldValue<'_> {
    fn from(text: String) -> Self {
        Text(text.into())
    }
}

impl<'r> From<Vec<text::Text<'r>>> for FieldValue<'r> {
    fn from(texts: Vec<text::Text<'r>>) -> Self {
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
            Value::String(text) => Text(text.into()),
            other => Json(Box::new(other)),
        }
    }
}

/// A time as documents write it.
pub(super) fn written(time: Timestamp) -> String {
    let mut text = String::with_capacity(24);
    write_time(time, &mut text);
    text
}

fn write_time(time: Timestamp, out: &mut String) {
    // Every timestamp can be written, and writing to a string does not fail.
    let _ = PRINTER.print_timestamp(&time, out);
}

/// Appends a list.
fn write_list<T>(entries: &[T], write: impl Fn(&T, &mut String), out: &mut String) {
    out.push('[');
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(entry, out);
    }
    out.push(']');
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
