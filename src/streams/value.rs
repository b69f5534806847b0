//! The values of a record and of a document. Texts are borrowed from the record if nothing in them is escaped.

use std::{collections::HashSet, mem::ManuallyDrop};

use jiff::{Timestamp, fmt::temporal::DateTimePrinter};
use serde::{Serialize, Serializer};
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};

use crate::text::Text;

/// The format of times in documents: UTC, to the millisecond.
const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum FieldValue<'r> {
    /// A text.
    Text(Text<'r>),
    /// A list of texts that the mapping made.
    Texts(Vec<Text<'r>>),
    /// Any other value of a record. Boxed, because it is large and rare.
    Json(Box<Value>),
    /// A value with a lone surrogate, which is marked. No document contains it.
    Broken(Box<Value>),
}

use FieldValue::{Broken, Json, Texts};

/// Returns the error for a missing field with a lone surrogate.
pub(super) fn broken(field: &str) -> String {
    format!("{field} contains half of a character (a lone surrogate)")
}

impl<'r> FieldValue<'r> {
    /// Returns the text; `None` for any other value.
    pub(super) fn as_text(&self) -> Option<&Text<'r>> {
        match self {
            FieldValue::Text(text) => Some(text),
            Texts(_) | Json(_) | Broken(_) => None,
        }
    }

    /// Converts the value to JSON.
    pub(super) fn into_json(self) -> Value {
        match self {
            FieldValue::Text(text) => Value::String(text.into_owned()),
            Texts(texts) => texts.into_iter().map(Text::into_owned).collect(),
            Json(value) | Broken(value) => *value,
        }
    }

    /// Removes `null`, empty texts, and lists and objects that are or become empty. Returns whether nothing is left.
    fn remove_empties(&mut self) -> bool {
        match self {
            FieldValue::Text(text) => text.as_str().is_empty(),
            Texts(texts) => {
                texts.retain(|text| !text.as_str().is_empty());
                texts.is_empty()
            }
            Json(value) => remove_empty_json(value),
            Broken(_) => true,
        }
    }
}

impl<'r> From<Text<'r>> for FieldValue<'r> {
    fn from(text: Text<'r>) -> Self {
        Self::Text(text)
    }
}

/// A JSON string becomes [`FieldValue::Text`].
impl From<Value> for FieldValue<'_> {
    fn from(value: Value) -> Self {
        match value {
            Value::String(text) => Self::Text(text.into()),
            other => Json(Box::new(other)),
        }
    }
}

/// Copies a value to a field that repeats it. Returns `None` for `null` and empty text.
pub(super) fn copy<'r>(value: Option<&FieldValue<'r>>) -> Option<FieldValue<'r>> {
    let is_nothing = |value: &&FieldValue<'_>| match value {
        FieldValue::Text(text) => text.as_str().is_empty(),
        Json(value) => value.is_null(),
        Texts(_) | Broken(_) => false,
    };
    value.filter(|value| !is_nothing(value)).cloned()
}

/// Removes the empty values inside fields, depth first, and the fields of which nothing is left (ECS_MAPPING.md, §6).
pub(super) fn remove_empties<'f, 'r: 'f>(fields: impl IntoIterator<Item = &'f mut Option<FieldValue<'r>>>) {
    for field in fields {
        field.take_if(FieldValue::remove_empties);
    }
}

/// Removes each text that is equal to one before it.
pub(super) fn remove_repeats(texts: &mut Vec<Text<'_>>) {
    match &texts[..] {
        [] | [_] => {}
        [first, second] => {
            if first == second {
                texts.truncate(1);
            }
        }
        // A record may have any number of texts.
        _ => {
            let mut known = HashSet::new();
            texts.retain(|text| known.insert(text.clone()));
        }
    }
}

fn remove_empty_json(value: &mut Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(entries) => {
            entries.retain_mut(|entry| !remove_empty_json(entry));
            entries.is_empty()
        }
        Value::Object(fields) => {
            fields.retain(|_, value| !remove_empty_json(value));
            fields.is_empty()
        }
    }
}

/// Returns whether an object of a document has no fields.
pub(super) fn is_empty<T: Default + PartialEq>(object: &T) -> bool {
    // An empty object owns no memory, so looking for memory to free would only take time.
    let empty = ManuallyDrop::new(T::default());
    *object == *empty
}

/// A time in the format of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time(pub(super) Timestamp);

impl Time {
    pub(super) fn written(self) -> String {
        PRINTER.timestamp_to_string(&self.0)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written())
    }
}

/// The initial capacity of a document in bytes. Chosen: an event takes about 700. The rest stays unused, because a copy of
/// the exact size takes longer.
const DOCUMENT_BYTES: usize = 1_000;

/// Writes a document as one line of JSON.
#[expect(clippy::expect_used, reason = "all keys are texts, and writing into memory does not fail")]
pub(super) fn to_line(document: &impl Serialize) -> String {
    let mut line = Vec::with_capacity(DOCUMENT_BYTES);
    serde_json::to_writer(&mut line, document).expect("a document is JSON");
    String::from_utf8(line).expect("JSON is UTF-8")
}

/// Writes a part of a document as JSON.
#[expect(clippy::expect_used, reason = "all keys are texts, and writing into memory does not fail")]
pub(super) fn to_raw(part: &impl Serialize) -> Box<RawValue> {
    to_raw_value(part).expect("a part of a document is JSON")
}
