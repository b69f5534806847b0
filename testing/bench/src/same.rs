//! Checks whether two contestants created the same documents.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::Error;

/// The fields with the time of reading, which differ in every run.
const READ_AT: [&str; 2] = ["created", "ingested"];

/// The result of comparing the documents of two runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// Documents that both created.
    pub(crate) same: usize,
    /// Examples of documents that only the first, and only the second, created.
    pub(crate) only: [Vec<String>; 2],
}

/// Compares all documents of two runs' bulk bodies, whatever their IDs.
pub(crate) fn compare(first: &[Vec<u8>], second: &[Vec<u8>]) -> Result<Comparison, Error> {
    let mut counts: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    for (side, bulks) in [first, second].into_iter().enumerate() {
        for document in bulks.iter().flat_map(|bulk| bulk.split(|byte| *byte == b'\n').skip(1).step_by(2)) {
            counts.entry(canonical(document)?).or_default()[side] += 1;
        }
    }
    let same = counts.values().map(|[first, second]| *first.min(second)).sum();
    let only = [0, 1].map(|side| {
        let surplus = counts.iter().filter(|(_, count)| count[side] > count[1 - side]);
        surplus.map(|(document, _)| document.clone()).take(3).collect()
    });
    Ok(Comparison { same, only })
}

/// Returns a document as text with sorted fields.
fn canonical(document: &[u8]) -> Result<String, Error> {
    let mut document: Value = serde_json::from_slice(document).map_err(Error::Json)?;
    if let Some(event) = document.get_mut("event").and_then(Value::as_object_mut) {
        for field in READ_AT {
            event.shift_remove(field);
        }
    }
    Ok(sorted(document).to_string())
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<String, Value> =
                fields.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            Value::Object(Map::from_iter(sorted))
        }
        Value::Array(entries) => entries.into_iter().map(sorted).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_fields_and_the_time_of_reading_make_no_difference() {
        let bulk = |source: &str| vec![format!("{{\"create\":{{\"_id\":\"x\"}}}}\n{source}\n").into_bytes()];
        let first = bulk(r#"{"a":1,"event":{"created":"x","kind":"event"}}"#);
        let second = bulk(r#"{"event":{"kind":"event","created":"y"},"a":1}"#);
        let other = bulk(r#"{"event":{"kind":"event","created":"y"},"a":2}"#);
        let none = [Vec::new(), Vec::new()];
        assert_eq!(compare(&first, &second).unwrap(), Comparison { same: 1, only: none });
        assert_eq!(compare(&first, &other).unwrap().same, 0);
    }
}
