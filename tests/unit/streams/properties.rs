//! Properties of any record, whatever it looks like.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::{
    Identity, event_report, remap,
    testing::{event, folder_documents, mapper, plain_mapper, source, stamps, user_document},
};
use crate::{
    document::{DocId, Document, Stream},
    text::compact,
};

/// Generates texts that the rules look for, and others.
fn text() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "Log in",
        "Failed Login Attempt",
        "Employee Invited",
        "Make admin",
        "Deleted sites",
        "Open Secure Note",
        "Limit shared folder",
        "Update folder permissions",
        "Move from shared folder",
        "2025-07-17 09:51:51",
        "2025-11-02 01:30:00",
        "192.0.2.1",
        "'F' 'ann@example.com'",
        "Secure Note (a) from b",
        "x from y",
        "1",
        "",
    ]);
    prop_oneof![
        known.clone().prop_map(str::to_owned),
        any::<String>(),
        (known, any::<String>()).prop_map(|(a, b)| a.to_owned() + &b)
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ]
}

fn key() -> impl Strategy<Value = String> {
    let known = [
        "Time",
        "Username",
        "IP_Address",
        "Action",
        "Data",
        "id",
        "username",
        "fullname",
        "groups",
        "created",
        "sites",
        "mpstrength",
        "disabled",
        "totalscore",
        "sharedfoldername",
        "score",
        "deleted",
        "users",
        "superadmin",
    ];
    prop_oneof![4 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
}

fn object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop::collection::vec((key(), value), 0..8).prop_map(|fields| Value::Object(fields.into_iter().collect()))
}

fn json() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 40, 6, |inner| {
        prop_oneof![prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array), object(inner)]
    })
}

/// Generates an event whose five fields have any value.
fn event_record() -> impl Strategy<Value = Map<String, Value>> {
    let value = || prop_oneof![4 => text().prop_map(Value::from), 1 => json()];
    (value(), value(), value(), value(), value()).prop_map(|(time, username, ip, action, data)| {
        [("Time", time), ("Username", username), ("IP_Address", ip), ("Action", action), ("Data", data)]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    })
}

/// Maps `record` with every stream and returns all documents.
fn map(record: &str) -> Vec<Document> {
    let mut documents = Vec::new();
    for mapper in [mapper(), plain_mapper()] {
        documents.extend(event_report::documents(&mapper, &stamps(), [event(record)]));
        documents.push(user_document(&mapper, record));
        documents.extend(folder_documents(&mapper, record));
        for stream in Stream::ALL {
            let identity = Identity { stream, id: DocId("a".to_owned()), timestamp: None, ambiguous: false };
            documents.push(remap(&mapper, &stamps(), identity, record));
        }
    }
    documents
}

fn check_documents(record: &str) -> Result<(), TestCaseError> {
    let documents = map(record);
    prop_assert!(documents.len() >= 10);
    for document in &documents {
        let source = source(document);
        prop_assert!(!document.source.contains('\n') && !document.id.as_str().is_empty());
        prop_assert!(source["event"]["kind"].is_string());
        let failed = source.get("error").is_some();
        prop_assert_eq!(source["event"]["kind"] == "pipeline_error" && !failed, false);
        if failed {
            prop_assert_eq!(source["event"]["original"].as_str(), Some(&*compact(&document.original)));
        }
    }
    Ok(())
}

fn ids(records: &[String]) -> Vec<DocId> {
    let events = records.iter().map(|record| event(record));
    event_report::documents(&mapper(), &stamps(), events).map(|document| document.id).collect()
}

/// Returns the same JSON with its keys in reverse order, white space, and each character of its texts escaped.
fn respell(value: &Value) -> String {
    let string = |text: &str| {
        let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        format!("\"{units}\"")
    };
    match value {
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().rev().map(|(key, value)| format!("{}: {}", string(key), respell(value))).collect();
            format!("{{ {} }}", fields.join(",\n"))
        }
        Value::Array(entries) => format!("[ {} ]", entries.iter().map(respell).collect::<Vec<_>>().join(" , ")),
        Value::String(text) => string(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

proptest! {
    #[test]
    fn any_json_becomes_documents(record in json()) {
        check_documents(&record.to_string())?;
    }

    #[test]
    fn any_object_becomes_documents(record in object(json())) {
        check_documents(&record.to_string())?;
    }

    #[test]
    fn any_text_becomes_documents(record in any::<String>()) {
        check_documents(&record)?;
    }

    #[test]
    fn cut_json_becomes_documents(record in object(json()), at in any::<prop::sample::Index>()) {
        let text = record.to_string();
        let cut: String = text.chars().take(at.index(text.len())).collect();
        check_documents(&cut)?;
    }

    #[test]
    fn equal_events_have_different_ids(record in json(), count in 1_usize..20) {
        let ids = ids(&vec![record.to_string(); count]);
        prop_assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), count);
    }

    #[test]
    fn ids_do_not_depend_on_the_spelling_of_json(record in event_record(), unknown in json(), name in "[a-z]{1,8}") {
        let mut extended = Map::new();
        extended.insert(name, unknown.clone());
        extended.extend(record.clone());
        extended.insert("id".to_owned(), unknown);
        let id = ids(&[Value::Object(record.clone()).to_string()]);
        prop_assert_eq!(&ids(&[respell(&Value::Object(record))]), &id);
        prop_assert_eq!(&ids(&[Value::Object(extended).to_string()]), &id);
    }

    #[test]
    fn ids_depend_on_each_of_the_five_fields(record in event_record(), field in 0_usize..5, text in "[a-z]{1,8}") {
        let mut changed = record.clone();
        if let Some(value) = changed.values_mut().nth(field) {
            *value = format!("{value} and {text}").to_lowercase().into();
        }
        prop_assert_ne!(ids(&[Value::Object(record).to_string()]), ids(&[Value::Object(changed).to_string()]));
    }

    #[test]
    fn any_order_of_the_same_events_has_the_same_ids(
        (records, shuffled) in prop::collection::vec(event_record(), 1..5).prop_flat_map(|distinct| {
            let records: Vec<String> =
                distinct.iter().cycle().take(distinct.len() * 3).map(|record| Value::Object(record.clone()).to_string()).collect();
            (Just(records.clone()), Just(records).prop_shuffle())
        })
    ) {
        let sorted = |records: &[String]| ids(records).into_iter().collect::<BTreeSet<_>>();
        prop_assert_eq!(sorted(&records).len(), records.len());
        prop_assert_eq!(sorted(&records), sorted(&shuffled));
    }
}
