//! Reads and writes the text of a record.
//!
//! Notices duplicate keys, because the integration refuses a record with one and `serde_json` would silently keep the
//! last value. Reads such a record nevertheless, so that its `_id` still comes from its fields. A value with a lone
//! surrogate makes only its field [broken](FieldValue::Broken).

use std::{cell::Cell, collections::HashSet, fmt, marker::PhantomData};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::value::FieldValue;
use crate::{
    surrogates,
    text::{Text, compact},
};

/// From this number of fields on, duplicate keys are found with a set. Chosen: an event has five, a user about twenty.
const MANY_FIELDS: usize = 32;

/// A record whose text is JSON.
#[derive(Debug)]
pub(super) struct Record<'r> {
    /// Its form.
    pub(super) form: Form<'r>,
    /// Whether an object in it has a duplicate key.
    pub(super) has_duplicate_key: bool,
}

/// The form of a record.
#[derive(Debug)]
pub(super) enum Form<'r> {
    /// An object.
    Fields(Fields<'r>),
    /// Anything else.
    Other(Value),
}

/// The fields of a record.
#[derive(Debug, Default)]
pub(super) struct Fields<'r>(Vec<(Text<'r>, FieldValue<'r>)>);

impl<'r> Fields<'r> {
    /// Returns the field `name`, or the last one if the key is duplicate.
    pub(super) fn get(&self, name: &str) -> Option<&FieldValue<'r>> {
        self.0.iter().rev().find(|(key, _)| key.as_str() == name).map(|(_, value)| value)
    }

    /// Takes the field `name`, or the last one if the key is duplicate.
    pub(super) fn take(&mut self, name: &str) -> Option<FieldValue<'r>> {
        let at = self.0.iter().rposition(|(key, _)| key.as_str() == name)?;
        Some(self.0.swap_remove(at).1)
    }

    fn has_duplicate_key(&self) -> bool {
        if self.0.len() < MANY_FIELDS {
            return self
                .0
                .iter()
                .enumerate()
                .any(|(at, (key, _))| self.0.iter().skip(at + 1).any(|(other, _)| other == key));
        }
        let mut keys = HashSet::new();
        !self.0.iter().all(|(key, _)| keys.insert(key))
    }
}

impl From<Map<String, Value>> for Fields<'_> {
    fn from(fields: Map<String, Value>) -> Self {
        Self(fields.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

impl Fields<'_> {
    /// Builds the fields of an object that was read from a marked text.
    pub(super) fn from_marked(fields: Map<String, Value>) -> Self {
        let value = |value| {
            if surrogates::is_marked(&value) { FieldValue::Broken(Box::new(value)) } else { value.into() }
        };
        Self(fields.into_iter().map(|(key, field)| (key.into(), value(field))).collect())
    }
}

impl<'r> Record<'r> {
    /// Returns the field `name` of an object; `None` for any other record.
    pub(super) fn get(&self, name: &str) -> Option<&FieldValue<'r>> {
        match &self.form {
            Form::Fields(fields) => fields.get(name),
            Form::Other(_) => None,
        }
    }
}

/// Reads the first value of `text` and ignores the rest. Reads an empty text as `null`.
///
/// Returns `None` if the text is not JSON.
pub(super) fn read(text: &str) -> Option<Record<'_>> {
    if !text.trim_ascii_start().starts_with('{') {
        let Tree { value, has_duplicate_key, .. } = parse(text)?;
        return Some(Record { form: Form::Other(value), has_duplicate_key });
    }
    let duplicate = Cell::new(false);
    let Ok(fields) = serde_json::Deserializer::from_str(text).deserialize_map(FieldsReader(&duplicate)) else {
        return read_marked(text);
    };
    let has_duplicate_key = duplicate.get() || fields.has_duplicate_key();
    Some(Record { form: Form::Fields(fields), has_duplicate_key })
}

/// Reads an object whose text has lone surrogates.
fn read_marked(text: &str) -> Option<Record<'_>> {
    let Tree { value, has_duplicate_key, .. } = parse_strictly(&surrogates::mark(text)?)?;
    let form = match value {
        Value::Object(fields) => Form::Fields(Fields::from_marked(fields)),
        other => Form::Other(other),
    };
    Some(Record { form, has_duplicate_key })
}

/// A record as one JSON value.
#[derive(Debug)]
pub(super) struct Tree {
    /// The value, with the last value of a duplicate key.
    pub(super) value: Value,
    /// Whether an object in it has a duplicate key.
    pub(super) has_duplicate_key: bool,
    /// Whether it has lone surrogates, which are marked.
    is_marked: bool,
}

impl Tree {
    /// Writes another value, with lone surrogates as escapes if this record has any.
    pub(super) fn write(&self, value: &Value) -> String {
        let text = value.to_string();
        if self.is_marked { surrogates::unmark(&text) } else { text }
    }
}

/// Reads a record as [`read`] does, as a value that can be written again.
pub(super) fn parse(text: &str) -> Option<Tree> {
    let marked = || Some(Tree { is_marked: true, ..parse_strictly(&surrogates::mark(text)?)? });
    parse_strictly(text).or_else(marked)
}

fn parse_strictly(text: &str) -> Option<Tree> {
    if text.trim_ascii().is_empty() {
        return Some(Tree { value: Value::Null, has_duplicate_key: false, is_marked: false });
    }
    let duplicate = Cell::new(false);
    let value = Reader::new(&duplicate).deserialize(&mut serde_json::Deserializer::from_str(text)).ok()?;
    Some(Tree { value, has_duplicate_key: duplicate.get(), is_marked: false })
}

/// The content of a record, or the reason why it cannot be mapped.
pub(super) enum Content<'r> {
    /// Its fields; none if it is `null` or empty.
    Fields(Fields<'r>),
    /// A record that is JSON but not an object, with the reason.
    Other(&'static str),
    /// A record that the integration would not read, with the reason.
    Refused(&'static str),
}

/// Returns the content of a record.
pub(super) fn content(record: Option<Record<'_>>) -> Content<'_> {
    match record {
        None => Content::Refused("the record is not JSON"),
        Some(Record { has_duplicate_key: true, .. }) => Content::Refused("the record has a key twice"),
        Some(Record { form, has_duplicate_key: false }) => match form {
            Form::Fields(fields) => Content::Fields(fields),
            Form::Other(Value::Null) => Content::Fields(Fields::default()),
            Form::Other(_) => Content::Other("the record is not an object"),
        },
    }
}

/// Reads the fields of an object. Borrows each text in which nothing is escaped.
struct FieldsReader<'a>(&'a Cell<bool>);

impl<'de> Visitor<'de> for FieldsReader<'_> {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::with_capacity(8);
        while let Some(key) = entries.next_key()? {
            fields.push((key, entries.next_value_seed(Reader::new(self.0))?));
        }
        Ok(Fields(fields))
    }
}

/// Reads a [`FieldValue`] or a [`Value`], and notes whether any of its objects has a duplicate key.
struct Reader<'a, V> {
    duplicate: &'a Cell<bool>,
    value: PhantomData<V>,
}

impl<'a, V> Reader<'a, V> {
    const fn new(duplicate: &'a Cell<bool>) -> Self {
        Self { duplicate, value: PhantomData }
    }
}

impl<'de, V: From<Value> + From<Text<'de>>> DeserializeSeed<'de> for Reader<'_, V> {
    type Value = V;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, V: From<Value> + From<Text<'de>>> Visitor<'de> for Reader<'_, V> {
    type Value = V;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<V, E> {
        Ok(Value::Null.into())
    }

    fn visit_bool<E>(self, value: bool) -> Result<V, E> {
        Ok(Value::from(value).into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<V, E> {
        Ok(Value::from(value).into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<V, E> {
        Ok(Value::from(value).into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<V, E> {
        Ok(Value::from(value).into())
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<V, E> {
        Ok(Text::from(text).into())
    }

    fn visit_str<E>(self, text: &str) -> Result<V, E> {
        Ok(Text::from(text.to_owned()).into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<V, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element_seed(Reader::new(self.duplicate))? {
            list.push(entry);
        }
        Ok(Value::Array(list).into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<V, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key()? {
            if map.insert(key, entries.next_value_seed(Reader::new(self.duplicate))?).is_some() {
                self.duplicate.set(true);
            }
        }
        Ok(Value::Object(map).into())
    }
}

/// Adds `key`, the key of a record in LastPass's response, to the record as its `id`. Leaves a record as it is if it is
/// not an object.
pub(super) fn with_id(key: &str, record: &str) -> String {
    let Some(mut tree) = parse(record) else { return record.to_owned() };
    match tree.value.take() {
        Value::Object(mut fields)
            if !tree.has_duplicate_key && fields.get("id").and_then(Value::as_str) != Some(key) =>
        {
            tree.is_marked |= surrogates::is_marked(&key.into());
            fields.insert("id".to_owned(), key.into());
            tree.write(&Value::Object(fields))
        }
        _ => compact(record).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::canonical::canonical_field, *};

    #[test]
    fn a_duplicate_key_is_detected_at_any_depth() {
        for text in [r#"{"a":1,"a":2}"#, r#"{"a":{"b":1,"b":1}}"#, r#"[{"a":1,"\u0061":2}]"#] {
            assert!(parse(text).expect("JSON").has_duplicate_key, "{text}");
        }
        for text in [r#"{"a":1,"b":1}"#, r#"[{"a":1},{"a":1}]"#, r#"{"a":{"a":1}}"#, r#"{"a":1,"A":2}"#] {
            let record = parse(text).expect("JSON");
            assert!(!record.has_duplicate_key, "{text}");
            assert_eq!(record.value, serde_json::from_str::<Value>(text).expect("JSON"));
        }
    }

    #[test]
    fn a_text_that_is_not_json_is_not_read() {
        for text in ["{", r#"{"a":}"#, "NaN", r#"{"a":1,}"#, "'a'", r#"{"a":"\ud80"}"#, &"[".repeat(200_000)] {
            assert!(parse(text).is_none(), "{text:.20}");
        }
        for text in ["", " \n", "null", "null and more"] {
            assert_eq!(parse(text).expect("nothing").value, Value::Null);
        }
        assert_eq!(parse(r#"{"a":1} {"b":2}"#).expect("the first").value, json!({ "a": 1 }));
    }

    #[test]
    fn a_lone_surrogate_breaks_only_its_field() {
        let Some(Record { form: Form::Fields(fields), .. }) =
            read(r#"{"a":"\ud83d","b":{"\ud83d":1},"c":"\ud83d\ude00"}"#)
        else {
            panic!("it is an object")
        };
        let broken = |name| matches!(fields.get(name), Some(FieldValue::Broken(_)));
        assert_eq!((broken("a"), broken("b"), broken("c")), (true, true, false));
        assert_eq!(canonical_field(fields.get("a")), "\u{10ffff}d83d");
        assert!(read(r#"{"a":"\ud83d","a":1}"#).expect("an object").has_duplicate_key);
        assert_eq!(with_id("\u{10ffff}d83d", "{}"), r#"{"id":"\ud83d"}"#);
        assert_eq!(with_id("\u{10ffff}d83d", r#"{ "a":"\uD83D" }"#), r#"{"a":"\ud83d","id":"\ud83d"}"#);
        // A key may contain the character of the mark itself.
        assert_eq!(with_id("\u{10ffff}x", "{}"), "{\"id\":\"\u{10ffff}x\"}");
        assert_eq!(with_id("\u{10ffff}", r#"{"a":"\uD83D"}"#), "{\"a\":\"\\ud83d\",\"id\":\"\u{10ffff}\"}");
    }

    #[test]
    fn the_key_becomes_the_id() {
        for (record, expected) in [
            (r#"{"a":1}"#, r#"{"a":1,"id":"101"}"#),
            ("{}", r#"{"id":"101"}"#),
            (r#"{"id":"7","a":1}"#, r#"{"id":"101","a":1}"#),
            (r#"{"id":101,"a":1}"#, r#"{"id":"101","a":1}"#),
            (r#"{ "id":"101", "a":"\u00eb"}"#, r#"{"id":"101","a":"\u00eb"}"#),
            (r#"[1, 2]"#, "[1,2]"),
            (r#"{"a": 1,"a":2}"#, r#"{"a":1,"a":2}"#),
            ("no  JSON", "no  JSON"),
        ] {
            assert_eq!(with_id("101", record), expected);
        }
        assert_eq!(with_id("a\"b", "{}"), r#"{"id":"a\"b"}"#);
    }
}
