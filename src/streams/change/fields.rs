//! Reads the fields of the documents of snapshots.

use serde_json::Value;

use super::super::canonical::canonical;
use crate::surrogates;

/// Returns the key of an entry from its record, for a document that lacks the key because its mapping stopped or because it
/// became a dead letter. `None` if the record cannot be read.
#[must_use]
pub fn entry_key(original: &str) -> Option<String> {
    surrogates::parse(original)?.get("id")?.as_str().map(str::to_owned)
}

/// Returns the value at a JSON pointer that is neither missing nor empty.
pub(super) fn found<'v>(source: &'v Value, pointer: &str) -> Option<&'v Value> {
    source.pointer(pointer).filter(|value| !value.is_null() && value.as_str() != Some(""))
}

/// Returns a field as a text; a list is its texts in alphabetical order.
pub(super) fn text(source: &Value, pointer: &str) -> Option<String> {
    let texts = list(source, pointer);
    let mut texts: Vec<_> = texts.iter().map(|value| canonical(Some(value))).filter(|text| !text.is_empty()).collect();
    texts.sort_unstable();
    texts.dedup();
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// Returns the values of a field, whether or not it is a list. Synthetic `_source` may return a list of one value
/// as the value itself.
pub(super) fn list(source: &Value, pointer: &str) -> Vec<Value> {
    match found(source, pointer) {
        None => Vec::new(),
        Some(Value::Array(values)) => values.clone(),
        Some(value) => vec![value.clone()],
    }
}

/// Returns a flag in any of the spellings that Elasticsearch accepts for a boolean.
pub(super) fn flag(source: &Value, pointer: &str) -> Option<bool> {
    match found(source, pointer)? {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Returns a number, also one in a text.
pub(super) fn number(source: &Value, pointer: &str) -> Option<f64> {
    match found(source, pointer)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_key_of_an_entry_is_read_from_any_record() {
        for (record, key) in [
            (r#"{"id":"7","fullname":"x"}"#, Some("7")),
            (r#"{"id":"7","fullname":"x\ud83d"}"#, Some("7")),
            (r#"{"id":7}"#, None),
            ("[7]", None),
            ("{", None),
        ] {
            assert_eq!(super::entry_key(record).as_deref(), key, "{record}");
        }
    }
}
