//! Compares the changes in LastPass between two snapshots with the documents of the stream `change`.
//!
//! Each change is written as one line, on both sides, so that equal changes can be counted. The truth is the simulator's own
//! history. This module does not compare snapshots.

use std::collections::BTreeMap;

use lastpass_simulator::Happening;
use serde_json::Value;

use crate::{Comparison, StoredDocument};

/// The names of rights in LastPass and in documents.
const RIGHTS: [(&str, &str); 3] = [("readonly", "read_only"), ("give", "give"), ("can_administer", "can_administer")];

/// Compares a history with all documents of changes, which must be of this history.
#[must_use]
pub fn compare_changes(truth: &[Happening], documents: &[StoredDocument]) -> Comparison {
    let mut comparison = Comparison { truth: truth.len(), documents: documents.len(), ..Comparison::default() };
    let mut counts: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    for happening in truth {
        counts.entry(of_happening(happening)).or_default()[0] += 1;
    }
    for document in documents {
        counts.entry(of_document(document)).or_default()[1] += 1;
    }
    for (line, [happened, documented]) in counts {
        comparison.lost.extend(std::iter::repeat_n(line.clone(), happened.saturating_sub(documented)));
        let surplus = std::iter::repeat_n(line, documented.saturating_sub(happened));
        if happened == 0 { &mut comparison.extra } else { &mut comparison.doubled }.extend(surplus);
    }
    comparison
}

fn of_happening(happening: &Happening) -> String {
    let Happening { action, key, user, field, values: [before, after], users } = happening;
    let field =
        field.as_deref().map(|field| RIGHTS.iter().find(|(name, _)| *name == field).map_or(field, |(_, ours)| ours));
    line(action, key, user.as_deref(), field, [before.as_deref(), after.as_deref()], *users)
}

fn of_document(document: &StoredDocument) -> String {
    let text = |path: &str| document.text(path).unwrap_or_default();
    let change = |path: &str| document.get(&format!("lastpass.change.{path}"));
    let field = match change("field") {
        Some(Value::Array(fields)) => {
            let fields: Vec<&str> = fields.iter().filter_map(Value::as_str).collect();
            Some(fields.join(","))
        }
        field => field.and_then(Value::as_str).map(str::to_owned),
    };
    let value = |name: &str, rights: &str| match (text("event.action"), &field) {
        ("share-changed", Some(field)) => change(&format!("{rights}.{field}")).map(Value::to_string),
        _ => change(name).and_then(Value::as_str).map(str::to_owned),
    };
    let (before, after) = (value("previous", "previous_rights"), value("current", "rights"));
    let count = |name: &str| change(&format!("shared_folder.{name}")).and_then(Value::as_u64);
    let users = count("previous_users").zip(count("users"));
    let users = users.map(|(before, after)| [before, after].map(|count| usize::try_from(count).unwrap_or(usize::MAX)));
    let key = change("shared_folder.id").and_then(Value::as_str).unwrap_or_else(|| text("user.target.id"));
    let values = [before.as_deref(), after.as_deref()];
    line(text("event.action"), key, document.text("user.target.email"), field.as_deref(), values, users)
}

fn line(
    action: &str,
    key: &str,
    user: Option<&str>,
    field: Option<&str>,
    values: [Option<&str>; 2],
    users: Option<[usize; 2]>,
) -> String {
    format!("{action} of {key}: {user:?} {field:?} {values:?}, users {users:?}")
}
