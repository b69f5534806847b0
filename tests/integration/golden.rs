//! Maps every golden case and compares it completely. `tests/golden/` holds the documents that Elastic's own
//! integration created from each record; our code never writes there.
//!
//! A *clean* case (without an expected error) must be equal except for the fields of [`extra`] and [`ADDITIONS`]. In an *error* case,
//! each expected field except those of [`NOT_EXTRACTED`] must be equal in our document, and an error in our document
//! names the fields that it lacks.

use std::{fs, path::Path};

use jiff::Timestamp;
use lastpass_elastic::{
    document::{Document, Namespace, Stream},
    streams::{Identity, Mapper, Snapshot, SnapshotMapping, Stamps, detailed_shared_folder, event_report, remap, user},
};
use serde_json::{Map, Value, json};

use crate::mapper::plain_mapper;

/// The time of reading: the `@timestamp` of records without a time.
const READ: &str = "2031-05-06T07:08:09.123Z";
const SENT: &str = "2031-05-06T07:08:10.456Z";

/// Returns the additional fields that our documents always have.
fn extra(stream: &str) -> Map<String, Value> {
    let dataset = format!("lastpass.{stream}");
    let extra = json!({
        "data_stream.type": "logs",
        "data_stream.dataset": dataset,
        "data_stream.namespace": "golden",
        "event.dataset": dataset,
        "event.module": "lastpass",
        "event.created": READ,
        "event.ingested": SENT,
    });
    object(extra)
}

/// The fields that our documents have in addition, where the record contains them, by stream. `docs/documents.md` lists them.
/// The comparison with the integration leaves out exactly these.
const ADDITIONS: &[(&str, &str)] = &[
    ("event_report", "user.name"),
    ("event_report", "user.target.email"),
    ("event_report", "lastpass.event_report.data.login_type"),
    ("user", "user.roles"),
    ("user", "lastpass.user.multifactor"),
];

/// The fields of an expected error case that were not extracted from the record.
const NOT_EXTRACTED: &[&str] = &["error.", "event.kind", "tags", "event.original", "json"];

/// Time fields, which are compared as instants.
const TIMES: &[&str] = &[
    "@timestamp",
    "lastpass.event_report.time",
    "lastpass.user.created",
    "lastpass.user.last_login",
    "lastpass.user.last_password_change",
];

struct Case {
    index: usize,
    raw: String,
    tags: Vec<String>,
    expected: Value,
}

fn cases(stream: &str, set: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{stream}.{set}.ndjson"));
    let text = fs::read_to_string(path).expect("the golden file");
    let case = |(index, line): (usize, &str)| {
        let case: Value = serde_json::from_str(line).expect("a case is JSON");
        Case {
            index,
            raw: case["raw"].as_str().expect("raw").to_owned(),
            tags: serde_json::from_value(case["tags"].clone()).expect("tags"),
            expected: case["expected"].clone(),
        }
    };
    text.lines().enumerate().map(case).collect()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("not an object: {other}"),
    }
}

fn mapper(tags: &[String]) -> Mapper {
    let has = |tag: &str| tags.iter().any(|set| set == tag);
    Mapper {
        namespace: Namespace::new("golden").expect("a namespace"),
        preserve_original_event: has("preserve_original_event"),
        preserve_duplicate_custom_fields: has("preserve_duplicate_custom_fields"),
        ..plain_mapper()
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn stamps() -> Stamps {
    Stamps { created: at(READ), ingested: Some(at(SENT)) }
}

fn snapshot() -> Snapshot {
    Snapshot { scheduled_time: at("2031-05-06T07:00:00Z"), timestamp: at(READ) }
}

fn map_event(mapper: &Mapper, raw: &str) -> Vec<Document> {
    let record: Value = serde_json::from_str(raw).unwrap_or_default();
    let time = mapper.zone.read(record.get("Time")).ok().flatten().map(|time| time.first_pass());
    event_report::documents(mapper, &stamps(), [(raw.to_owned(), time)]).collect()
}

/// Returns the record without its `id`, and the `id` as the key of its map.
fn with_key(raw: &str) -> (String, String) {
    let mut record: Map<String, Value> = serde_json::from_str(raw).expect("an object");
    let key = record.remove("id").map_or(String::new(), |id| id.as_str().expect("a text").to_owned());
    (key, Value::Object(record).to_string())
}

fn map_user(mapper: &Mapper, raw: &str) -> Vec<Document> {
    let (key, record) = with_key(raw);
    vec![user::document(&SnapshotMapping::new(mapper, &stamps(), Stream::User, &snapshot()), &key, &record)]
}

fn map_folder(mapper: &Mapper, raw: &str) -> Vec<Document> {
    let id = serde_json::from_value(json!("an id")).expect("an id");
    let (stream, timestamp) = (Stream::DetailedSharedFolder, Some(snapshot().timestamp));
    vec![remap(mapper, &stamps(), Identity { stream, id, timestamp, ambiguous: false }, raw)]
}

/// Maps a folder with its one user in a list, as LastPass sends it.
fn map_listed_folder(mapper: &Mapper, raw: &str) -> Vec<Document> {
    let (key, record) = with_key(raw);
    let mut record: Map<String, Value> = serde_json::from_str(&record).expect("an object");
    if let Some(user) = record.get_mut("users").filter(|user| !user.is_null()) {
        *user = json!([user.take()]);
    }
    let mapping = SnapshotMapping::new(mapper, &stamps(), Stream::DetailedSharedFolder, &snapshot());
    detailed_shared_folder::documents(&mapping, &key, &Value::Object(record).to_string())
}

/// Returns all leaves by their dotted paths. A list is a leaf.
fn flatten(value: &Value) -> Map<String, Value> {
    fn walk(path: &str, value: &Value, into: &mut Map<String, Value>) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                for (name, value) in fields {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    walk(&path, value, into);
                }
            }
            leaf => {
                into.insert(path.to_owned(), leaf.clone());
            }
        }
    }
    let mut leaves = Map::new();
    walk("", value, &mut leaves);
    leaves
}

/// Compares numbers by value, times as instants, and `event.original` as JSON without `id`.
fn is_equal(path: &str, expected: &Value, ours: &Value) -> bool {
    match (expected, ours) {
        (Value::String(expected), Value::String(ours)) if TIMES.contains(&path) => at(expected) == at(ours),
        (Value::String(expected), Value::String(ours)) if path == "event.original" => {
            let read = |text: &str| {
                let mut record: Value = serde_json::from_str(text).unwrap_or_else(|_| text.into());
                record.as_object_mut().map(|record| record.remove("id"));
                record
            };
            is_equal("", &read(expected), &read(ours))
        }
        (Value::Number(expected), Value::Number(ours)) => {
            expected == ours
                || (expected.is_f64() || ours.is_f64())
                    && expected.as_f64().expect("finite") == ours.as_f64().expect("finite")
        }
        (Value::Array(expected), Value::Array(ours)) => {
            expected.len() == ours.len()
                && expected.iter().zip(ours).all(|(expected, ours)| is_equal("", expected, ours))
        }
        (Value::Object(expected), Value::Object(ours)) => {
            expected.len() == ours.len()
                && expected.iter().all(|(key, expected)| ours.get(key).is_some_and(|ours| is_equal("", expected, ours)))
        }
        (expected, ours) => expected == ours,
    }
}

/// Returns the differences between the expected and our documents, one per line.
fn differences(stream: &str, case: &Case, documents: &[Document]) -> Vec<String> {
    let [document] = documents else {
        return vec![format!("{} documents", documents.len())];
    };
    let source: Value = serde_json::from_str(&document.source).expect("a source is JSON");
    let mut ours = flatten(&source);
    let expected = flatten(&case.expected);
    let has_error =
        expected.keys().any(|path| path.starts_with("error.")) || case.expected["event"]["kind"] == "pipeline_error";
    let mut found = Vec::new();

    for (_, path) in ADDITIONS.iter().filter(|(of, _)| *of == stream) {
        ours.remove(*path);
    }
    for (path, value) in extra(stream) {
        match ours.remove(&path) {
            Some(ours) if ours == value => {}
            other => found.push(format!("{path}: expected {value}, ours {other:?}")),
        }
    }
    let timestamp = ours.get("@timestamp").cloned().unwrap_or_default();
    if timestamp.as_str().map(at) != Some(document.timestamp) {
        found.push(format!("@timestamp: the document's is {}, its source's {timestamp}", document.timestamp));
    }
    if !expected.contains_key("@timestamp") {
        ours.remove("@timestamp");
        // If our parser reads more of a record than the reference, it may find its time.
        if document.timestamp != at(READ) && !has_error {
            found.push(format!("@timestamp: expected that of the reading, ours {timestamp}"));
        }
    }

    for (path, value) in &expected {
        if has_error && NOT_EXTRACTED.iter().any(|prefix| path.starts_with(prefix)) {
            continue;
        }
        match ours.get(path) {
            Some(ours) if is_equal(path, value, ours) => {}
            Some(ours) => found.push(format!("{path}: expected {value}, ours {ours}")),
            None => found.push(format!("{path}: expected {value}, ours has none")),
        }
    }
    if has_error {
        let is_stopped = ours.get("event.kind") == Some(&json!("pipeline_error"));
        let says_why = ours.get("error.message").and_then(Value::as_array).is_some_and(|texts| !texts.is_empty());
        let original = ours.get("event.original").unwrap_or(&Value::Null);
        let keeps_original = is_equal("event.original", &case.raw.as_str().into(), original);
        if says_why {
            if !keeps_original {
                found.push(format!("event.original: expected {}, ours {original}", case.raw));
            }
            if is_stopped != (case.expected["event"]["kind"] == "pipeline_error") {
                found.push(format!("event.kind: ours {:?}", ours.get("event.kind")));
            }
        } else if !is_fully_readable(&case.raw) {
            found.push("error.message: ours has none".to_owned());
        }
    } else {
        for (path, value) in &ours {
            if !expected.contains_key(path) {
                found.push(format!("{path}: expected none, ours {value}"));
            }
        }
    }
    found
}

/// Returns whether a record is an error case that our mapping reads completely. Its meaning is clear, so it needs no
/// error.
fn is_fully_readable(raw: &str) -> bool {
    const FLAGS: &[&str] = &[
        "deleted",
        "disabled",
        "neverloggedin",
        "password_reset_required",
        "superadmin",
        "readonly",
        "give",
        "can_administer",
    ];
    let record: Value = serde_json::from_str(raw).unwrap_or_default();
    let is_flag = |value: &Value| [json!(0), json!(1), json!("0"), json!("1")].contains(value);
    let has_flag = |object: &Value| FLAGS.iter().any(|flag| object.get(*flag).is_some_and(is_flag));
    let is_spaced =
        |value: &Value| value.as_str().is_some_and(|text| text.trim() != text && text.trim().parse::<i64>().is_ok());
    let has_spaced = |name: &str| record.get(name).is_some_and(is_spaced);
    has_flag(&record)
        || record.get("users").is_some_and(has_flag)
        || record.get("users") == Some(&json!([]))
        || ["applications", "attachments", "formfills", "mpstrength", "notes"].iter().any(|name| has_spaced(name))
}

/// Returns all documents of the golden records by stream.
pub fn documents() -> Vec<(&'static str, Vec<Document>)> {
    type Map = fn(&Mapper, &str) -> Vec<Document>;
    let streams: [(&str, Map); 3] =
        [("event_report", map_event), ("user", map_user), ("detailed_shared_folder", map_folder)];
    let of_stream = |(stream, map): (&'static str, Map)| {
        let cases = ["plain", "preserved"].into_iter().flat_map(|set| cases(stream, set));
        (stream, cases.flat_map(|case| map(&mapper(&case.tags), &case.raw)).collect())
    };
    streams.into_iter().map(of_stream).collect()
}

fn compare(stream: &str, count: usize, map: fn(&Mapper, &str) -> Vec<Document>) {
    let mut failures = Vec::new();
    for set in ["plain", "preserved"] {
        let cases = cases(stream, set);
        assert_eq!(cases.len(), count, "cases of {stream}.{set}");
        for case in cases {
            let found = differences(stream, &case, &map(&mapper(&case.tags), &case.raw));
            if !found.is_empty() {
                failures.push(format!("{stream}.{set} #{}: {}\n    {}", case.index, case.raw, found.join("\n    ")));
            }
        }
    }
    assert!(failures.is_empty(), "{} cases differ:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn events_are_those_of_the_integration() {
    compare("event_report", 278, map_event);
}

#[test]
fn users_are_those_of_the_integration() {
    compare("user", 63, map_user);
}

#[test]
fn folders_are_those_of_the_integration() {
    compare("detailed_shared_folder", 55, map_folder);
}

#[test]
fn folders_with_a_list_of_users_are_those_of_the_integration() {
    compare("detailed_shared_folder", 55, map_listed_folder);
}

/// Returns the additional fields of the document of a case.
fn additions(stream: &str, case: &Case, map: fn(&Mapper, &str) -> Vec<Document>) -> Map<String, Value> {
    let documents = map(&mapper(&case.tags), &case.raw);
    let source: Value = serde_json::from_str(&documents[0].source).expect("a source is JSON");
    let ours = flatten(&source);
    let of_stream = ADDITIONS.iter().filter(|(of, _)| *of == stream);
    of_stream.filter_map(|(_, path)| Some(((*path).to_owned(), ours.get(*path)?.clone()))).collect()
}

/// The numbers of the records whose mapping stops before it reads the user.
const STOPPED: &[usize] = &[249, 250, 252, 253, 276, 277];

/// The numbers of the records that are logins to LastPass itself, determined by hand from their `Data`.
const LASTPASS_LOGINS: &[usize] = &[11, 12, 13, 122, 123, 124, 125, 126, 127, 128, 129, 130, 270];
/// The numbers of the records that are logins to a site. All others have no login type.
const SITE_LOGINS: [&[std::ops::RangeInclusive<usize>]; 2] =
    [&[4..=4, 10..=10, 52..=55, 65..=71, 73..=78, 80..=86, 88..=88], &[91..=121, 259..=259]];

/// The targets of the records for which the integration lists none, or in which the actor is a target.
const TARGETS: &[(usize, &[&str])] = &[
    (43, &["test@example.com"]),
    (44, &["test@example.com"]),
    (123, &["ann@example.com"]),
    (125, &["ann@example.com"]),
    (127, &["ann@example.com"]),
    (130, &["o'brien@example.com"]),
    (144, &["anna.koch@contoso.example", "bob@example.com"]),
    (202, &["ann@example.com"]),
    (205, &["ann@example.com"]),
    (211, &["ann@example.com"]),
    (227, &["ann@example.com"]),
    (235, &["ann@example.com"]),
    (248, &["ann@example.com"]),
    (258, &["cdd@example.com"]),
    (265, &["ann@example.com"]),
];

/// Returns the additional fields that belong to an event, from its record and the users whom the integration lists.
fn expected_additions(case: &Case) -> Map<String, Value> {
    let mut expected = Map::new();
    if STOPPED.contains(&case.index) {
        return expected;
    }
    let record: Value = serde_json::from_str(&case.raw).unwrap_or_default();
    let actor = match &record["Username"] {
        Value::Bool(flag) => Some(flag.to_string()),
        Value::String(name) if !name.is_empty() => Some(name.clone()),
        _ => None,
    };
    let listed = case.expected["user"]["email"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut targets: Vec<&str> = listed.filter(|email| Some(*email) != actor.as_deref()).map(str::trim).collect();
    if let Some((_, written)) = TARGETS.iter().find(|(index, _)| *index == case.index) {
        targets = written.to_vec();
    }
    let is_site = SITE_LOGINS.iter().copied().flatten().any(|range| range.contains(&case.index));
    let login = LASTPASS_LOGINS.contains(&case.index).then_some("lastpass").or(is_site.then_some("site"));

    expected.extend(actor.map(|actor| ("user.name".to_owned(), json!(actor))));
    expected.extend((!targets.is_empty()).then(|| ("user.target.email".to_owned(), json!(targets))));
    expected.extend(login.map(|login| ("lastpass.event_report.data.login_type".to_owned(), json!(login))));
    expected
}

#[test]
fn the_additions_are_those_of_the_record() {
    for set in ["plain", "preserved"] {
        for case in cases("event_report", set) {
            let ours = additions("event_report", &case, map_event);
            assert_eq!(ours, expected_additions(&case), "{set} #{}: {}", case.index, case.raw);
        }
        // No golden user is an administrator or has a second factor.
        for case in cases("user", set) {
            assert_eq!(additions("user", &case, map_user), Map::new(), "{set} #{}: {}", case.index, case.raw);
        }
        // The same users as administrators with a second factor.
        for case in cases("user", set) {
            let mut record = object(serde_json::from_str(&case.raw).expect("an object"));
            record.insert("admin".to_owned(), json!("1"));
            record.insert("multifactor".to_owned(), json!("googleauth"));
            let expected = object(json!({"user.roles": ["admin"], "lastpass.user.multifactor": "googleauth"}));
            let case = Case { raw: Value::Object(record).to_string(), ..case };
            assert_eq!(additions("user", &case, map_user), expected, "{set} #{}: {}", case.index, case.raw);
        }
    }
}

#[test]
fn the_docs_list_every_addition() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/documents.md");
    let page = fs::read_to_string(page).expect("the page");
    for (stream, path) in ADDITIONS {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{path}` |")) && line.contains(" | `"));
        assert!(row.is_some_and(|row| row.contains(stream)), "no row of {path} in {stream}");
    }
}
