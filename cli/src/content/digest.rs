//! Distinguishes a user's changes to a rule from ours, by the digests of all values that were ever published.
//!
//! `scripts/published.py` writes the digests, and computes them in the same way.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// Bytes of a digest that are kept. Chosen: 6 of 32, enough to distinguish the values of one field.
const BYTES: usize = 6;

/// The digests of the published values: by rule, then by field.
#[derive(Debug, Default, Deserialize)]
pub struct Published(BTreeMap<String, BTreeMap<String, Vec<String>>>);

impl Published {
    /// Returns whether `value` is, or was, the value of a field of a published rule.
    pub fn has(&self, rule_id: &str, field: &str, value: &Value) -> bool {
        match self.0.get(rule_id).and_then(|fields| fields.get(field)) {
            Some(digests) => digests.contains(&digest(value)),
            None => is_empty(&normalized(value)),
        }
    }
}

/// Returns whether two values mean the same to Kibana.
pub fn is_same(one: &Value, other: &Value) -> bool {
    let (one, other) = (normalized(one), normalized(other));
    one == other || (is_empty(&one) && is_empty(&other))
}

fn digest(value: &Value) -> String {
    let value = normalized(value);
    let hash = Sha256::digest(if is_empty(&value) { Value::Null.to_string() } else { value.to_string() });
    hash[..BYTES].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(entries) => entries.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Normalizes a value for comparison: sorts its fields, drops empty ones, which Kibana adds, and trims texts, as Kibana does.
fn normalized(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, Value> =
                fields.iter().map(|(name, inner)| (name, normalized(inner))).collect();
            let is_dropped = |inner: &Value| !matches!(inner, Value::String(_)) && is_empty(inner);
            let kept = sorted.into_iter().filter(|(_, inner)| !is_dropped(inner));
            Value::Object(kept.map(|(name, inner)| (name.clone(), inner)).collect::<Map<_, _>>())
        }
        Value::Array(entries) => Value::Array(entries.iter().map(normalized).collect()),
        Value::String(text) => Value::String(text.trim().to_owned()),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::content::bundle;

    #[test]
    fn digests_equal_those_of_the_script() {
        let published: Published = serde_json::from_str(bundle::PUBLISHED).expect("digests");
        for rule in bundle::lines(bundle::RULES).expect("rules") {
            let id = rule["rule_id"].as_str().expect("an ID");
            for (field, value) in
                rule.iter().filter(|(field, _)| !crate::content::rules::NOT_OURS.contains(&field.as_str()))
            {
                let known = &published.0[id][field.as_str()];
                assert!(known.contains(&digest(value)), "{id} {field}: run `make content`");
            }
        }
    }

    #[test]
    fn additions_by_kibana_are_not_changes() {
        let threat = |subtechnique: Value| json!([{"tactic": {"id": "TA0001"}, "technique": [{"id": "T1", "subtechnique": subtechnique}]}]);
        assert!(is_same(&threat(json!([])), &json!([{"technique": [{"id": "T1"}], "tactic": {"id": "TA0001"}}])));
        assert!(is_same(&json!("FROM x\n"), &json!("FROM x")));
        assert!(is_same(&Value::Null, &json!([])));
        assert!(!is_same(&json!("a: 1"), &json!("a: 2")));
        assert!(!is_same(&json!(["a", "b"]), &json!(["b", "a"])));
        assert!(!is_same(&json!(0), &Value::Null));
    }
}
