//! Compares LastPass with one snapshot of it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::compare::sorted;
use crate::{Comparison, StoredDocument, canonical};

/// Compares users with the documents of one snapshot.
#[must_use]
pub fn compare_users(truth: &[(String, Value)], documents: &[StoredDocument]) -> Comparison {
    compare_snapshot(truth.iter().map(|(key, user)| with_id(key, user)), documents)
}

/// Compares shared folders with the documents of one snapshot: one document for each user of a folder, one for a folder
/// without users.
#[must_use]
pub fn compare_folders(truth: &[(String, Value)], documents: &[StoredDocument]) -> Comparison {
    let records = truth.iter().flat_map(|(key, folder)| {
        let folder = with_id(key, folder);
        let users: Vec<Value> = match &folder["users"] {
            Value::Array(users) => users.clone(),
            Value::Object(users) => users.values().cloned().collect(),
            _ => Vec::new(),
        };
        if users.is_empty() {
            return vec![folder];
        }
        let with_user = |user| {
            let mut folder = folder.clone();
            folder["users"] = user;
            folder
        };
        users.into_iter().map(with_user).collect()
    });
    compare_snapshot(records, documents)
}

/// Compares records, each as its document keeps it, with the documents of one snapshot. Documents whose `@timestamp`
/// differs from the most frequent one count as mistimed.
#[must_use]
pub fn compare_snapshot(truth: impl IntoIterator<Item = Value>, documents: &[StoredDocument]) -> Comparison {
    let mut comparison = Comparison { documents: documents.len(), ..Comparison::default() };
    let mut held: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for record in truth {
        comparison.truth += 1;
        held.entry(sorted(record).to_string()).or_default().0 += 1;
    }
    let mut timestamps: BTreeMap<&str, usize> = BTreeMap::new();
    for document in documents {
        *timestamps.entry(document.text("@timestamp").unwrap_or_default()).or_default() += 1;
        match document.text("event.original") {
            Some(original) => held.entry(without_attributes(original)).or_default().1 += 1,
            None => comparison.extra.push(format!("{} keeps no record", document.id)),
        }
    }
    for (record, (truth, documents)) in held {
        let surplus = std::iter::repeat_n(record.clone(), documents.saturating_sub(truth));
        if truth == 0 {
            comparison.extra.extend(surplus)
        } else {
            comparison.doubled.extend(surplus)
        }
        comparison.lost.extend(std::iter::repeat_n(record, truth.saturating_sub(documents)));
    }
    let usual = timestamps.iter().max_by_key(|(_, count)| **count).map(|(timestamp, _)| *timestamp);
    let others = documents.iter().filter(|document| document.text("@timestamp") != usual);
    comparison.mistimed.extend(others.map(|document| document.id.clone()));
    comparison
}

/// Returns a record without the `attribs` that a quirk of the simulator adds. [`Watch`](crate::Watch) searches for the
/// password in them.
fn without_attributes(original: &str) -> String {
    match serde_json::from_str(original) {
        Ok(Value::Object(mut fields)) => {
            fields.shift_remove("attribs");
            sorted(Value::Object(fields)).to_string()
        }
        _ => canonical(original),
    }
}

/// Returns a record with its key as `id`, as the integration's pipelines receive it.
fn with_id(key: &str, record: &Value) -> Value {
    let mut record = record.clone();
    if let Some(fields) = record.as_object_mut() {
        fields.insert("id".to_owned(), key.into());
    }
    record
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(timestamp: &str, original: &Value) -> StoredDocument {
        let source = json!({"@timestamp": timestamp, "event": {"original": original.to_string()}});
        StoredDocument { id: "1".to_owned(), index: ".ds".to_owned(), source }
    }

    #[test]
    fn a_folder_is_one_document_for_each_user() {
        let folder = json!({"name": "f", "users": [{"username": "a"}, {"username": "b"}]});
        let truth = [("1".to_owned(), folder), ("2".to_owned(), json!({"name": "g", "users": []}))];
        let all = [
            document("t", &json!({"id": "1", "name": "f", "users": {"username": "a"}})),
            document("t", &json!({"id": "1", "name": "f", "users": {"username": "b"}})),
            document("t", &json!({"id": "2", "name": "g", "users": []})),
        ];
        assert!(compare_folders(&truth, &all).is_exact());
        assert_eq!(compare_folders(&truth, &all[1..]).lost.len(), 1);
        let again = [all.as_slice(), &all[..1]].concat();
        assert_eq!(compare_folders(&truth, &again).doubled.len(), 1);
    }

    #[test]
    fn a_snapshot_has_one_timestamp() {
        let truth = ["1", "2", "3"].map(|key| (key.to_owned(), json!({})));
        let documents = [("t", "1"), ("t", "2"), ("u", "3")].map(|(at, id)| document(at, &json!({"id": id})));
        assert_eq!(compare_users(&truth, &documents).mistimed.len(), 1);
    }
}
