//! Answers of LastPass, to the documents that are made of them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Ended, HASH, check_documents, check_silence_about, check_text, records};
use crate::{
    document::Document,
    lastpass::{Command, Error, fuzz::Answers, whole_seconds::Reading},
    streams::{detailed_shared_folder, event_report, user},
};

/// Checks the error of a refused answer.
fn refused(error: &Error) -> Ended {
    // LastPass can echo what it was sent, and no more.
    check_silence_about(&[HASH], &format!("{error} {error:?}"));
    check_text(&error.to_string(), &["LASTPASS_URL", "Admin Console", "Enterprise API"]);
    Ended::Refused
}

/// Checks that an answer's documents have an `_id` each, and the same the next time.
fn check_all(answer: &[u8], documents: &[Document], again: impl Fn() -> Vec<Document>) -> Ended {
    // For some alone: it takes as long as all the rest.
    if answer.len().is_multiple_of(8) {
        assert_eq!(documents, again(), "the same answer makes the same documents");
    }
    check_documents(documents)
}

/// Checks that every record of an answer was read, by reading it another way; `under` is the field that holds them.
fn check_count(answer: &[u8], under: Option<&str>, read: usize) {
    // What nests too deeply for this is left out, and so are the names that stand twice.
    let Ok(answer) = serde_json::from_str::<Value>(&String::from_utf8_lossy(answer)) else { return };
    let records = under.map_or(Some(&answer), |name| answer.get(name));
    match records {
        Some(Value::Array(records)) => assert_eq!(records.len(), read, "records of a list"),
        Some(Value::Object(records)) => {
            let count = match under {
                Some(_) => records.len(),
                None => records.keys().filter(|key| key.bytes().all(|byte| byte.is_ascii_digit())).count(),
            };
            assert!(count <= read, "{read} of {count} records");
        }
        _ => assert_eq!(read, 0, "records from nowhere"),
    }
}

fn distinct_ids(documents: &[Document]) -> usize {
    documents.iter().map(|document| document.id.as_str()).collect::<BTreeSet<_>>().len()
}

pub(super) fn play_events(answer: &[u8]) -> Ended {
    let zone = ["US/Eastern", "Europe/London", "Australia/Lord_Howe"][answer.len() % 3];
    let zone = records::zone(zone);
    let page = match Answers::default().events((200, answer), &zone) {
        Ok(page) => page,
        Err(error) => return refused(&error),
    };
    let count = page.events.len();
    check_count(answer, Some("data"), count);
    let timeless = page.events.iter().filter(|event| !matches!(event.time, Ok(Some(_)))).count();
    let (from, to) = (records::at("2014-01-01T00:00:00Z"), records::at("2026-01-01T00:00:00Z"));
    let inside = page.events.iter().filter_map(|event| event.time.as_ref().ok().copied().flatten());
    let inside = inside.filter(|time| (from..to).contains(&time.earliest())).count();
    let is_cut = page.next_us.is_some();
    let mapper = records::mapper(answer);
    let reading = records::reading();
    let map = |events: Vec<event_report::Event>| {
        let documents = event_report::documents(&mapper, &reading, &events);
        assert_eq!((documents.len(), distinct_ids(&documents)), (events.len(), events.len()));
        check_all(answer, &documents, || event_report::documents(&mapper, &reading, &events))
    };
    // As if every event were of the window, and nothing were known of its time.
    let records = page.events.iter().map(|event| event_report::Event { record: event.record.clone(), time: None });
    let ended = map(records.collect());
    let Ok(whole) = Reading::new(&zone, from, to).take(page, to) else {
        return Ended::Refused;
    };
    assert!((from..=to).contains(&whole.position), "{}", whole.position);
    let kept = if is_cut { timeless..=count } else { timeless + inside..=timeless + inside };
    assert!(kept.contains(&whole.events.len()), "{} of {count} events", whole.events.len());
    map(whole.events.into_iter().map(|(event, time)| event_report::Event { record: event.record, time }).collect());
    if count == 0 { Ended::Empty } else { ended }
}

pub(super) fn play_users(answer: &[u8]) -> Ended {
    let page = match Answers::default().users((200, answer)) {
        Ok(page) => page,
        Err(error) => return refused(&error),
    };
    check_count(answer, Some("Users"), page.users.len());
    let (mapper, reading, snapshot) = (records::mapper(answer), records::reading(), records::snapshot());
    let map = || -> Vec<Document> {
        let users = page.users.iter();
        users.map(|(key, record)| user::document(&mapper, &reading, &snapshot, key, record)).collect()
    };
    let documents = map();
    assert_eq!(documents.len(), page.users.len());
    let keys: BTreeSet<&String> = page.users.iter().map(|(key, _)| key).collect();
    assert_eq!(distinct_ids(&documents), keys.len());
    let ended = check_all(answer, &documents, map);
    if documents.is_empty() { Ended::Empty } else { ended }
}

pub(super) fn play_folders(answer: &[u8]) -> Ended {
    let page = match Answers::default().folders((200, answer)) {
        Ok(page) => page,
        Err(error) => return refused(&error),
    };
    check_count(answer, None, page.folders.len());
    let (mapper, reading, snapshot) = (records::mapper(answer), records::reading(), records::snapshot());
    let mut worst = if page.folders.is_empty() { Ended::Empty } else { Ended::Documents };
    for (key, record) in &page.folders {
        let map = || detailed_shared_folder::documents(&mapper, &reading, &snapshot, key, record);
        let documents = map();
        assert!(!documents.is_empty(), "a folder vanished: {record}");
        assert_eq!(distinct_ids(&documents), documents.len());
        if check_all(answer, &documents, map) == Ended::PipelineError {
            worst = Ended::PipelineError;
        }
    }
    worst
}

fn list(records: &[String]) -> String {
    // What isn't JSON would make the whole answer none.
    let records = records.iter().filter(|record| serde_json::from_str::<serde::de::IgnoredAny>(record).is_ok());
    records.enumerate().map(|(index, record)| format!("\"{}\":{record}", index + 101)).collect::<Vec<_>>().join(",")
}

/// Answers that refuse, of any command, and what is none of the API's.
fn refusals(command: Command) -> Vec<String> {
    vec![
        format!(r#"{{"status":"FAIL","error":"the hash {HASH} is not authorized for {command}"}}"#),
        r#"{"status":"FAIL","errors":["no such key YzBmZmVlNWVjNGU3YmFkY2FmZTBjMGZmZWU1ZWM0ZTc=","C0FFEE5EC4E7..."]}"#
            .to_owned(),
        r#"{"status":"FAIL","error":{"text":"no such command"}}"#.to_owned(),
        "[]".to_owned(),
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<lastpass rc=\"Authorization Error of {HASH}\"/>"),
        r#"{"status":"WARN","errors":["one of two servers is away"],"data":[]}"#.to_owned(),
        "<html><body>We'll be back soon</body></html>".to_owned(),
    ]
}

fn seeds(mut answers: Vec<String>, command: Command) -> Vec<Vec<u8>> {
    answers.extend(refusals(command));
    answers.into_iter().map(String::into_bytes).collect()
}

pub(super) fn event_seeds() -> Vec<Vec<u8>> {
    let mut answers = Vec::new();
    for (index, records) in records::event_records().chunks(5).enumerate() {
        let next = ["null", "\"\"", "0", "1437126711000000", "\"1437126711000000\""][index % 5];
        answers.push(format!(r#"{{"status":"OK","next":{next},"data":{{{}}}}}"#, list(records)));
        answers.push(format!(r#"{{"status":"OK","next":{next},"data":[{}]}}"#, records.join(",")));
    }
    let fold = ["02:00:00", "01:10:00", "01:50:00", "01:30:00", "01:30:00", "00:59:59"]
        .map(|time| format!(r#"{{"Time":"2025-11-02 {time}","Username":"a","Action":"Log in","Data":"x"}}"#));
    answers.push(format!(r#"{{"status":"OK","next":null,"data":{{{}}}}}"#, list(&fold)));
    answers.push(format!(r#"{{"status":"OK","next":1762063800000000,"data":{{{}}}}}"#, list(&fold)));
    seeds(answers, Command::Reporting)
}

pub(super) fn user_seeds() -> Vec<Vec<u8>> {
    let answer = |records: &[String]| {
        let count = records.len();
        format!(r#"{{"total":"{count}","count":{count},"Users":{{{}}},"Groups":{{"Ops":["a"]}}}}"#, list(records))
    };
    seeds(records::user_records().chunks(3).map(answer).collect(), Command::GetUserData)
}

pub(super) fn folder_seeds() -> Vec<Vec<u8>> {
    let answer = |records: &[String]| format!("{{{}}}", list(records));
    seeds(records::folder_records().chunks(3).map(answer).collect(), Command::GetDetailedSfData)
}
