//! One record, to its documents, their dead letters, and those delivered again.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
};

use jiff::Timestamp;
use serde_json::Value;

use super::{Ended, check_document, check_documents};
use crate::{
    collect::redriven,
    document::{AccountNumber, Document, Namespace, Organization, Stream},
    elastic::{DeadLetter, fuzz::letter},
    lastpass::time::ApiZone,
    streams::{Mapper, Reading, Snapshot, detailed_shared_folder, event_report, user},
};

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// Zones are looked up once.
pub(super) fn zone(name: &'static str) -> ApiZone {
    static ZONES: LazyLock<Mutex<HashMap<&str, ApiZone>>> = LazyLock::new(Mutex::default);
    let mut zones = ZONES.lock().unwrap_or_else(PoisonError::into_inner);
    zones.entry(name).or_insert_with(|| ApiZone::new(name).expect("a zone")).clone()
}

/// Settings, by turns those that keep little and those that keep all.
pub(super) fn mapper(input: &[u8]) -> Mapper {
    let keeps = input.len().is_multiple_of(2);
    Mapper {
        account: AccountNumber::new("12345").expect("an account number"),
        organization: Organization::default(),
        namespace: Namespace::new("default").expect("a namespace"),
        zone: zone("US/Eastern"),
        user_zone: zone(if keeps { "UTC" } else { "Europe/Berlin" }),
        tags: if keeps { Vec::new() } else { vec!["eu".to_owned()] },
        preserve_original_event: keeps,
        preserve_duplicate_custom_fields: keeps,
    }
}

pub(super) fn reading() -> Reading {
    Reading { created: at("2031-05-06T07:08:09.123Z"), ingested: None }
}

pub(super) fn snapshot() -> Snapshot {
    Snapshot { scheduled_time: at("2025-07-17T12:00:00Z"), timestamp: at("2025-07-17T12:00:03.25Z") }
}

/// The first byte says which stream the record is of.
pub(super) fn play(input: &[u8]) -> Ended {
    let (stream, record) = input.split_first().map_or((0, input), |(first, record)| (*first, record));
    let stream = Stream::ALL[usize::from(stream) % Stream::ALL.len()];
    let record = String::from_utf8_lossy(record);
    let mapper = mapper(input);
    let documents = match stream {
        Stream::EventReport => {
            let events = [(); 2].map(|()| event_report::Event { record: record.to_string(), time: None });
            event_report::documents(&mapper, &reading(), &events)
        }
        Stream::User => vec![user::document(&mapper, &reading(), &snapshot(), "101", &record)],
        Stream::DetailedSharedFolder => {
            detailed_shared_folder::documents(&mapper, &reading(), &snapshot(), "101", &record)
        }
    };
    assert!(!documents.is_empty(), "a record vanished");
    documents.iter().for_each(|document| check_redrive(&mapper, stream, document));
    check_documents(&documents)
}

/// A dead letter brings the same document back.
fn check_redrive(mapper: &Mapper, stream: Stream, document: &Document) {
    let letter = letter(&stream.data_stream(&mapper.namespace), document, at("2031-05-06T08:00:00Z"));
    let letter: DeadLetter = serde_json::from_str(&letter).expect("a dead letter is read again");
    let again = redriven(mapper, stream, &letter, at("2031-05-07T00:00:00Z"));
    assert_eq!(&again, document, "delivered again, a document is the same");
    check_document(&again);
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let of = |stream: u8, records: Vec<String>| {
        records.into_iter().map(move |record| [&[stream], record.as_bytes()].concat())
    };
    // The deepest that is read: what it is put into is deeper still.
    let deep = format!(r#"{{"Action":{}{}}}"#, "[".repeat(126), "]".repeat(126));
    // Two values, of which the first is the record.
    let two = "-1e9\r99".to_owned();
    let halves = vec![
        r#"{"Time":"2025-07-17 09:51:51","Username":"\ud83d","Data":{"\udc00":"x"},"Action":"Log in"}"#.to_owned(),
    ];
    let attributes = [
        r#"{"username":"a\ud83d","attribs":{"password":"x","y":[1]}}"#,
        r#"{"username":"a","attribs":"{\"password\":\"x\"}","users":[{"attribs":[["password","x"]]}]}"#,
    ];
    let attributes = || attributes.iter().map(|record| (*record).to_owned()).collect();
    of(0, vec![deep, two])
        .chain(of(0, halves))
        .chain(of(1, attributes()))
        .chain(of(2, attributes()))
        .chain(of(0, event_records()))
        .chain(of(1, user_records()))
        .chain(of(2, folder_records()))
        .collect()
}

/// The inputs of the golden documents.
fn golden(file: &str) -> Vec<String> {
    let record = |line: &str| {
        let case: Value = serde_json::from_str(line).expect("a golden case");
        // `raw` is the exact text where JSON can't tell it.
        case["raw"].as_str().map_or_else(|| case["input"].to_string(), str::to_owned)
    };
    file.lines().map(record).collect()
}

pub(super) fn event_records() -> Vec<String> {
    golden(include_str!("../../tests/golden/event_report.plain.ndjson"))
}

pub(super) fn user_records() -> Vec<String> {
    golden(include_str!("../../tests/golden/user.plain.ndjson"))
}

/// The golden ones have one user each; LastPass has a list of them.
pub(super) fn folder_records() -> Vec<String> {
    let one_user = golden(include_str!("../../tests/golden/detailed_shared_folder.plain.ndjson"));
    let with_list = |record: &String| {
        let mut record: Value = serde_json::from_str(record).ok()?;
        let users = record.get_mut("users")?.take();
        record["users"] = Value::Array(vec![users.clone(), users]);
        Some(record.to_string())
    };
    let with_lists: Vec<String> = one_user.iter().filter_map(with_list).collect();
    one_user.into_iter().chain(with_lists).collect()
}
