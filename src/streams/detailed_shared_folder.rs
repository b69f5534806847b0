//! Shared folders: a snapshot of every folder and who may use it. One document for each user of a folder, and one for a
//! folder without users.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    Again, Mapper, Reading, Snapshot,
    convert::Type::{Boolean, Double},
    doc_id::{IdParts, Ordinals},
    draft::{Draft, Head},
    field::{self, Field},
    path::{Path, Places},
    record::{Content, Fields, Record, Tree, canonical, canonical_field, content, parse, read, with_id},
    redact::without_secrets,
    value::FieldValue,
};
use crate::document::{Document, Stream};

/// What becomes of each field of a folder, in the order in which errors are told.
const FOLDER: &[Field] = &[
    Field::moved("sharedfoldername", "lastpass.detailed_shared_folder.name"),
    Field::converted("deleted", "lastpass.detailed_shared_folder.deleted", Boolean),
    Field::converted("score", "lastpass.detailed_shared_folder.score", Double),
    Field::moved("id", "lastpass.detailed_shared_folder.shared_folder.id"),
];

const USERNAME: &str = "username";

/// The same of its user.
const USER: &[Field] = &[
    Field::moved(USERNAME, "lastpass.detailed_shared_folder.user.name").copied_to("user.email"),
    Field::converted("superadmin", "lastpass.detailed_shared_folder.user.super_admin", Boolean),
    Field::converted("readonly", "lastpass.detailed_shared_folder.user.read_only", Boolean),
    Field::converted("give", "lastpass.detailed_shared_folder.user.give", Boolean),
    Field::converted("can_administer", "lastpass.detailed_shared_folder.user.can_administer", Boolean),
    Field::list("sites", "lastpass.detailed_shared_folder.user.site"),
];

/// The custom field that an ECS field makes superfluous.
const DUPLICATES: Places = Places::of(&[Path::of("lastpass.detailed_shared_folder.user.name")]);

/// The documents of the folder that stands under `key` in the answer.
///
/// The original of each is the folder with `key` as its `id` and, as `users`, the one user that the document is about:
/// what the integration has as one record.
#[must_use]
pub fn documents(mapper: &Mapper, reading: &Reading, snapshot: &Snapshot, key: &str, record: &str) -> Vec<Document> {
    let mut ordinals = Ordinals::default();
    let document = |original: String| {
        let record = read(&original);
        let parts = id_parts(mapper, snapshot, key, record.as_ref());
        let id = ordinals.next_id(parts);
        let source = map(mapper, reading, record, &original, snapshot.timestamp);
        Document { id, timestamp: snapshot.timestamp, source, original, since: None }
    };
    split(key, record).into_iter().map(document).collect()
}

/// One of these documents again, from the `original` of the first.
#[must_use]
pub fn again(mapper: &Mapper, reading: &Reading, again: Again, original: &str) -> Document {
    let Again { id, timestamp, .. } = again;
    let timestamp = timestamp.unwrap_or(reading.created);
    let original = without_secrets(original);
    let source = map(mapper, reading, read(&original), &original, timestamp);
    Document { id, timestamp, source, original: original.into_owned(), since: None }
}

/// The records of a folder: one for each entry of its `users`, which stand in a list or, in PHP's other spelling of
/// one, in a map.
fn split(key: &str, record: &str) -> Vec<String> {
    let whole = with_id(key, &without_secrets(record));
    let Some(mut tree @ Tree { has_duplicate_key: false, .. }) = parse(&whole) else {
        return vec![whole];
    };
    let mut folder = tree.value.take();
    let Some(users) = folder.get_mut("users") else {
        return vec![whole];
    };
    let entries = match users {
        Value::Array(entries) if !entries.is_empty() => std::mem::take(entries),
        Value::Object(entries) if is_map_of_users(entries) => entries.values_mut().map(Value::take).collect(),
        _ => return vec![whole],
    };
    let record_of = |entry| {
        if let Some(users) = folder.get_mut("users") {
            *users = entry;
        }
        tree.write(&folder)
    };
    entries.into_iter().map(record_of).collect()
}

/// Whether an object holds users under some keys, and is not one user itself.
fn is_map_of_users(entries: &Map<String, Value>) -> bool {
    entries.values().any(Value::is_object) && USER.iter().all(|field| !entries.contains_key(field.input()))
}

/// The source of a folder with one user, whose record is read.
fn map<'r>(
    mapper: &Mapper,
    reading: &Reading,
    record: Option<Record<'r>>,
    original: &'r str,
    timestamp: Timestamp,
) -> String {
    let head = Head::new(mapper, reading, Stream::DetailedSharedFolder);
    let mut draft = Draft::new(&head);
    draft.put(const { Path::of("@timestamp") }, timestamp);
    let content = content(record);
    if !matches!(content, Content::Refused(_)) {
        draft.put(const { Path::of("event.type") }, &["info"][..]);
    }
    match content {
        Content::Fields(fields) => map_fields(fields, &mut draft),
        Content::Other(why) | Content::Refused(why) => draft.stop(why),
    }
    draft.finish(original, DUPLICATES)
}

fn map_fields<'r>(mut record: Fields<'r>, draft: &mut Draft<'r>) {
    field::apply(FOLDER, &mut record, draft);
    let users = record.take("users");
    let fields_of = match &users {
        Some(FieldValue::Broken(_)) => Fields::from_marked,
        Some(_) | None => Fields::from,
    };
    match users.map(FieldValue::into_json) {
        None | Some(Value::Null) => {}
        Some(Value::Object(user)) => {
            field::apply(USER, &mut fields_of(user), draft);
            field::relate_users(&[const { Path::of("user.email") }], draft);
        }
        // PHP's spelling of a folder without users.
        Some(Value::Array(entries)) if entries.is_empty() => {}
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            draft.stop("users is neither a user nor a list of users");
        }
    }
}

/// What the `_id` is made of but for the ordinal among the folder's entries of the same user.
fn id_parts(mapper: &Mapper, snapshot: &Snapshot, key: &str, record: Option<&Record<'_>>) -> IdParts {
    let users = record.and_then(|record| record.get("users"));
    let user = match users {
        Some(FieldValue::Json(value) | FieldValue::Broken(value)) if value.is_object() => {
            canonical(value.get(USERNAME))
        }
        other => canonical_field(other),
    };
    IdParts::snapshot(mapper, Stream::DetailedSharedFolder, snapshot).with(key).with(&user)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{again_of, errors, field, map_folder, mapper, plain_mapper, reading, snapshot, source};
    use super::*;

    fn documents_of(record: &Value) -> Vec<Document> {
        documents(&mapper(), &reading(), &snapshot(), "101", &record.to_string())
    }

    fn ids(record: &Value) -> Vec<String> {
        documents_of(record).iter().map(|document| document.id.to_string()).collect()
    }

    #[test]
    fn sites_as_a_map_of_positions_are_a_list() {
        let sites = |sites: Value| {
            let source = map_folder(&json!({ "users": { "username": "a", "sites": sites } }));
            field(&source[0], "/lastpass/detailed_shared_folder/user/site")
        };
        assert_eq!(sites(json!({ "0": "a.example", "2": "b.example" })), json!(["a.example", "b.example"]));
        assert_eq!(sites(json!({ "a": "a.example" })), json!({ "a": "a.example" }));
    }

    #[test]
    fn a_document_as_it_is_sent() {
        let user = json!({ "username": "ann@example.com", "superadmin": 0, "readonly": "1", "give": "TRUE", "can_administer": false, "sites": ["a.example", ""] });
        let folder = json!({ "sharedfoldername": "Finance", "score": "99", "deleted": 0, "users": [user] });
        let [document] = &documents_of(&folder)[..] else { panic!("one user, one document") };
        let original =
            json!({ "sharedfoldername": "Finance", "score": "99", "deleted": 0, "users": user, "id": "101" });
        assert_eq!(document.original, original.to_string());
        assert_eq!(document.timestamp, snapshot().timestamp);
        assert_eq!(
            source(document),
            json!({
                "@timestamp": "2025-07-17T12:00:03.250Z",
                "ecs": { "version": "8.11.0" },
                "data_stream": {
                    "type": "logs",
                    "dataset": "lastpass.detailed_shared_folder",
                    "namespace": "default",
                },
                "event": {
                    "module": "lastpass",
                    "dataset": "lastpass.detailed_shared_folder",
                    "kind": "state",
                    "type": ["info"],
                    "created": "2031-05-06T07:08:09.123Z",
                    "original": original.to_string(),
                },
                "user": { "email": "ann@example.com" },
                "related": { "user": ["ann@example.com"] },
                "lastpass": { "detailed_shared_folder": {
                    "name": "Finance",
                    "score": 99.0,
                    "deleted": false,
                    "shared_folder": { "id": "101" },
                    "user": {
                        "name": "ann@example.com",
                        "super_admin": false,
                        "read_only": true,
                        "give": true,
                        "can_administer": false,
                        "site": ["a.example"],
                    },
                } },
                "tags": ["preserve_original_event", "preserve_duplicate_custom_fields"],
            })
        );
    }

    #[test]
    fn by_default_nothing_stands_twice() {
        let folder = json!({ "users": [{ "username": "a", "give": true }] });
        let documents = documents(&plain_mapper(), &reading(), &snapshot(), "101", &folder.to_string());
        let user = field(&source(&documents[0]), "/lastpass/detailed_shared_folder/user");
        assert_eq!(user, json!({ "give": true }));
    }

    #[test]
    fn a_folder_without_users_has_a_document() {
        for users in [json!([]), json!({}), Value::Null] {
            let [source] = &map_folder(&json!({ "sharedfoldername": "F", "users": users }))[..] else { panic!("one") };
            assert_eq!((errors(source), field(source, "/event/kind")), (0, json!("state")), "{users}");
            assert_eq!(
                field(source, "/lastpass/detailed_shared_folder"),
                json!({ "name": "F", "shared_folder": { "id": "101" } })
            );
            assert_eq!((field(source, "/user"), field(source, "/related")), (Value::Null, Value::Null));
        }
        assert_eq!(map_folder(&json!({})).len(), 1);
    }

    #[test]
    fn users_stand_in_a_list_or_in_a_map() {
        let users = |users: Value| {
            let sources = map_folder(&json!({ "users": users }));
            sources.iter().map(|source| field(source, "/user/email")).collect::<Vec<_>>()
        };
        let ann = json!({ "username": "ann", "sites": { "0": "a.example" } });
        let bob = json!({ "username": "bob" });
        assert_eq!(users(json!([ann, bob])), [json!("ann"), json!("bob")]);
        assert_eq!(users(json!({ "0": ann, "7": bob })), [json!("ann"), json!("bob")]);
        assert_eq!(users(ann), [json!("ann")]);
        // One whose only field is an object is a user all the same.
        assert_eq!(users(json!({ "sites": { "0": "a.example" } })), [Value::Null]);
    }

    #[test]
    fn what_is_no_user_stops_the_mapping_of_its_document() {
        for users in [json!(""), json!("ann"), json!(5), json!(true)] {
            let folder = json!({ "sharedfoldername": "F", "deleted": false, "score": 1, "users": users });
            let [source] = &map_folder(&folder)[..] else { panic!("one") };
            assert_eq!(field(source, "/event/kind"), json!("pipeline_error"), "{users}");
            assert_eq!(
                field(source, "/lastpass/detailed_shared_folder"),
                json!({ "name": "F", "deleted": false, "score": 1.0, "shared_folder": { "id": "101" } })
            );
            assert_eq!((field(source, "/user"), field(source, "/related")), (Value::Null, Value::Null));
        }
        let kinds: Vec<Value> = map_folder(&json!({ "users": [5, { "username": "ann" }, ["x"], null] }))
            .iter()
            .map(|source| field(source, "/event/kind"))
            .collect();
        assert_eq!(kinds, ["pipeline_error", "state", "pipeline_error", "state"]);
    }

    #[test]
    fn what_is_no_record_is_kept_whole() {
        for (record, kind) in
            [("[1]", "pipeline_error"), ("7", "pipeline_error"), ("{", "pipeline_error"), ("null", "state")]
        {
            let [document] = &documents(&mapper(), &reading(), &snapshot(), "101", record)[..] else { panic!("one") };
            assert_eq!(field(&source(document), "/event/kind"), json!(kind), "{record}");
            assert_eq!(field(&source(document), "/event/original"), json!(record));
        }
    }

    #[test]
    fn ids_are_frozen() {
        let users =
            json!({ "users": [{ "username": "ann@example.com", "give": 1 }, { "username": "ann@example.com" }] });
        assert_eq!(ids(&users), ["aflZ_eZz6fJn7oKdLLsgXSh8", "aI1PvL0yctCj_1RgpZN_IqaG"]);
        for empty in [json!({}), json!({ "users": [] }), json!({ "users": {} }), json!({ "users": [{ "give": true }] })]
        {
            assert_eq!(ids(&empty)[0].len(), 24);
        }
        assert_eq!(ids(&json!({})), ["ats6q708jVzLIKK6hQ6Kr2en"]);
    }

    #[test]
    fn the_original_is_enough_to_map_again() {
        let folder = json!({ "users": [
            { "username": "ann" }, { "username": "bob" }, { "username": "ann", "give": 1 }, 5, null, { "a": { "b": 1 } },
        ] });
        let first = documents_of(&folder);
        assert_eq!(first.len(), 6);
        for document in first.iter().chain(&documents_of(&json!({ "users": [] }))) {
            assert_eq!(&again(&mapper(), &reading(), again_of(document), &document.original), document);
        }
    }

    #[test]
    fn half_a_character_costs_its_field_alone() {
        let record = r#"{"sharedfoldername":"F","score":1,"x":"\udfff","users":[{"username":"a\ud83d","give":1},{"username":"b","sites":["s\ud83d"],"\ud83d":1},{"username":"c"},{"username":"a\ud83e","give":1}]}"#;
        let documents = documents(&mapper(), &reading(), &snapshot(), "101", record);
        let sources: Vec<Value> = documents.iter().map(source).collect();
        assert_eq!(sources.len(), 4);
        let ids: std::collections::BTreeSet<&str> = documents.iter().map(|document| document.id.as_str()).collect();
        assert_eq!(ids.len(), 4);
        assert_eq!(sources.iter().map(errors).collect::<Vec<_>>(), [1, 1, 0, 1], "{sources:?}");
        for (source, user) in sources.iter().zip([
            json!({ "give": true }),
            json!({ "name": "b" }),
            json!({ "name": "c" }),
            json!({ "give": true }),
        ]) {
            assert_eq!(field(source, "/event/kind"), json!("state"), "{source}");
            let folder = json!({ "name": "F", "score": 1.0, "shared_folder": { "id": "101" }, "user": user });
            assert_eq!(field(source, "/lastpass/detailed_shared_folder"), folder);
        }
        let original = r#"{"sharedfoldername":"F","score":1,"x":"\udfff","users":{"username":"b","sites":["s\ud83d"],"\ud83d":1},"id":"101"}"#;
        assert_eq!(documents[1].original, original);
        for document in &documents {
            assert_eq!(&again(&mapper(), &reading(), again_of(document), &document.original), document);
        }
    }

    #[test]
    fn a_password_of_a_user_is_in_no_document() {
        let record = r#"{"sharedfoldername":"F","users":[{"username":"a","attribs":{"password":"S3cr3t"}}]}"#;
        let first = documents(&mapper(), &reading(), &snapshot(), "101", record);
        assert!(!format!("{first:?}").contains("S3cr3t"), "{first:?}");
        let again = again(&mapper(), &reading(), again_of(&first[0]), record);
        assert!(!format!("{again:?}").contains("S3cr3t"), "{again:?}");
    }
}
