//! The sample documents in the docs equal the mapped documents of these records.

use std::{fs, path::Path};

use jiff::Timestamp;
use lastpass_elastic::{
    document::{Document, Stream},
    streams::{
        Snapshot, SnapshotMapping, Stamps,
        change::{Documents, Pair, users},
        detailed_shared_folder, event_report, user,
    },
};
use serde_json::Value;

use crate::mapper::plain_mapper;

const EVENT: &str = r#"{"Time":"2026-10-05 09:41:07","Username":"ann@example.com","IP_Address":"203.0.113.9",
    "Action":"Add to Shared Folder","Data":"'Finance' 'bob@example.com'"}"#;
const USER_KEY: &str = "101";
const USER: &str = r#"{"username":"ann@example.com","fullname":"Ann Smith","mpstrength":"100","created":"2024-03-12 10:02:56",
    "last_pw_change":"2026-05-19 10:58:33","last_login":"2026-10-05 11:45:05","neverloggedin":false,"disabled":false,
    "admin":true,"totalscore":"87.5","multifactor":"lastpassauth","sites":72,"notes":19,"formfills":2,"applications":0,"attachments":1,
    "password_reset_required":false,"groups":["Domain Admins","Support"]}"#;
const FOLDER_KEY: &str = "2001";
const FOLDER: &str = r#"{"sharedfoldername":"Finance","score":99,"deleted":false,"users":[{"username":"bob@example.com",
    "superadmin":0,"readonly":1,"give":"0","can_administer":false,"sites":["bank.example.com"]}]}"#;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn document(stream: Stream) -> Document {
    let stamps = Stamps { created: at("2026-10-05T13:45:00.182Z"), ingested: Some(at("2026-10-05T13:45:00.182Z")) };
    let snapshot = Snapshot { scheduled_time: at("2026-10-05T13:45:00Z"), timestamp: at("2026-10-05T13:45:00.182Z") };
    let mapper = plain_mapper();
    let mapping = SnapshotMapping::new(&mapper, &stamps, stream, &snapshot);
    let mut documents = match stream {
        Stream::EventReport => event_report::documents(&mapper, &stamps, [(EVENT.to_owned(), None)]).collect(),
        Stream::User => vec![user::document(&mapping, USER_KEY, USER)],
        Stream::DetailedSharedFolder => detailed_shared_folder::documents(&mapping, FOLDER_KEY, FOLDER),
    };
    documents.pop().expect("a document")
}

/// Returns the change of the user of the sample, who was no administrator in the snapshot before.
fn change() -> Document {
    let mapper = plain_mapper();
    let source = |record: &str| -> Value {
        let snapshot =
            Snapshot { scheduled_time: at("2026-10-05T13:45:00Z"), timestamp: at("2026-10-05T13:45:00.182Z") };
        let stamps = Stamps { created: at("2026-10-05T13:45:00.182Z"), ingested: None };
        let document =
            user::document(&SnapshotMapping::new(&mapper, &stamps, Stream::User, &snapshot), USER_KEY, record);
        serde_json::from_str(&document.source).expect("a source is JSON")
    };
    let before = source(&USER.replace(r#""admin":true"#, r#""admin":false"#));
    let taken = |day: &str| Snapshot {
        scheduled_time: at(&format!("2026-10-{day}T13:45:00Z")),
        timestamp: at(&format!("2026-10-{day}T13:45:00.182Z")),
    };
    let pair = Pair { stream: Stream::User, previous: taken("04"), current: taken("05") };
    let changes = users::changes(USER_KEY, Some(&before), Some(&source(USER)));
    let [change] = &changes[..] else { panic!("{changes:?}") };
    Documents::new(&mapper, pair, at("2026-10-05T13:45:01.044Z")).document(change)
}

#[test]
fn the_sample_documents_in_the_docs_are_what_is_stored() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = |name: &str| fs::read_to_string(root.join(name)).expect("a page");
    let documents = page("docs/documents.md");
    let samples = Stream::ALL.map(|stream| (document(stream), documents.clone()));
    let others = [(document(Stream::EventReport), page("README.md")), (change(), documents)];
    for (document, page) in samples.into_iter().chain(others) {
        let source: Value = serde_json::from_str(&document.source).expect("a source is JSON");
        let sample = format!("```json\n{}\n```\n", serde_json::to_string_pretty(&source).expect("JSON"));
        assert!(page.contains(&sample), "the sample differs; replace it with:\n{sample}");
    }
}
