//! Shared folders: a snapshot of every folder and who may use it. One document for each user of a folder, and one for a
//! folder without users.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    canonical::{canonical, canonical_field},
    convert::Type::{Boolean, Double},
    doc_id::Ordinals,
    ecs::{CustomFields, EcsDocument},
    input::Input,
    record::{Content, Fields, Record, Tree, content, parse, read, with_id},
    redact::without_secrets,
    snapshot::SnapshotMapping,
    value::{FieldValue, copy, is_empty, remove_empties},
};
use crate::document::Document;

/// The `lastpass` of the document of a folder.
#[derive(Debug, Default, PartialEq, Serialize)]
struct LastPass<'r> {
    detailed_shared_folder: DetailedSharedFolder<'r>,
}

/// `lastpass.detailed_shared_folder`, in the order in which it is written.
#[derive(Debug, Default, PartialEq, Serialize)]
struct DetailedSharedFolder<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "is_empty")]
    shared_folder: SharedFolder<'r>,
    #[serde(skip_serializing_if = "is_empty")]
    user: User<'r>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct SharedFolder<'r> {
    id: Option<FieldValue<'r>>,
}

/// The user that a document is about.
#[derive(Debug, Default, PartialEq, Serialize)]
struct User<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    super_admin: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_only: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    give: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    can_administer: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<FieldValue<'r>>,
}

impl CustomFields for LastPass<'_> {
    fn remove_empties(&mut self) {
        let DetailedSharedFolder { name, deleted, score, shared_folder, user } = &mut self.detailed_shared_folder;
        remove_empties([name, deleted, score, &mut shared_folder.id]);
        let User { name, super_admin, read_only, give, can_administer, site } = user;
        remove_empties([name, super_admin, read_only, give, can_administer, site]);
    }

    fn remove_duplicates(&mut self) {
        self.detailed_shared_folder.user.name = None;
    }
}

/// The fields of a user in a folder.
const USERNAME: &str = "username";
const SUPER_ADMIN: &str = "superadmin";
const READ_ONLY: &str = "readonly";
const GIVE: &str = "give";
const CAN_ADMINISTER: &str = "can_administer";
const SITES: &str = "sites";
const USER_FIELDS: [&str; 6] = [USERNAME, SUPER_ADMIN, READ_ONLY, GIVE, CAN_ADMINISTER, SITES];

/// Maps a folder, whose key in the response is `key`, to its documents.
///
/// The original of each document is the folder with `key` as its `id` and the one user of the document as its `users`.
/// The integration has the same records.
#[must_use]
pub fn documents(mapping: &SnapshotMapping<'_>, key: &str, record: &str) -> Vec<Document> {
    let mut ordinals = Ordinals::default();
    let document = |original: String| {
        let record = read(&original);
        // Only the ordinal distinguishes entries of the same user.
        let id = ordinals.next_id(mapping.id_parts(key).with(&user_text(record.as_ref())));
        let source = map(mapping, record, &original);
        mapping.document(id, source, original)
    };
    split(key, record).into_iter().map(document).collect()
}

/// Maps the original of a folder with one user to the source of its document.
pub(super) fn source(mapping: &SnapshotMapping<'_>, original: &str) -> String {
    map(mapping, read(original), original)
}

/// Splits a folder into one record for each entry of its `users`, which is a list or, in PHP's other spelling of a
/// list, a map.
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

/// Returns whether an object is a map of users and not a user itself.
fn is_map_of_users(entries: &Map<String, Value>) -> bool {
    entries.values().any(Value::is_object) && USER_FIELDS.iter().all(|field| !entries.contains_key(*field))
}

/// Maps a folder with one user, whose original was read, to the source of its document.
fn map<'r>(mapping: &'r SnapshotMapping<'_>, record: Option<Record<'r>>, original: &'r str) -> String {
    let mut document = EcsDocument::new(&mapping.constants, mapping.timestamp);
    let content = content(record);
    if !matches!(content, Content::Refused(_)) {
        document.event.r#type = &["info"];
    }
    match content {
        Content::Fields(fields) => {
            if let Err(NotUsers) = map_fields(fields, &mut document) {
                document.stop("users is neither a user nor a list of users");
            }
        }
        Content::Other(reason) | Content::Refused(reason) => document.stop(reason),
    }
    document.finish(original)
}

/// A `users` that is neither a user nor a list of users.
struct NotUsers;

/// Maps the fields of a record, and reports errors, in the order of ECS_MAPPING.md, §2.1.
///
/// # Errors
/// [`NotUsers`], for which the integration's pipeline stops. `document` then has the fields of the folder only.
fn map_fields<'r>(fields: Fields<'r>, document: &mut EcsDocument<'r, LastPass<'r>>) -> Result<(), NotUsers> {
    let folder = &mut document.lastpass.detailed_shared_folder;
    let mut input = Input::new(fields, &mut document.error.message);
    folder.name = input.moved("sharedfoldername");
    folder.deleted = input.converted("deleted", Boolean);
    folder.score = input.converted("score", Double);
    folder.shared_folder.id = input.moved("id");
    let users = input.take("users");
    // Of a broken user, only the broken fields are rejected.
    let fields_of = match &users {
        Some(FieldValue::Broken(_)) => Fields::from_marked,
        Some(_) | None => Fields::from,
    };
    let user = match users.map(FieldValue::into_json) {
        None | Some(Value::Null) => return Ok(()),
        // PHP's spelling of a folder without users.
        Some(Value::Array(entries)) if entries.is_empty() => return Ok(()),
        Some(Value::Object(user)) => user,
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => return Err(NotUsers),
    };
    let mut input = Input::new(fields_of(user), &mut document.error.message);
    folder.user = User {
        name: input.moved(USERNAME),
        super_admin: input.converted(SUPER_ADMIN, Boolean),
        read_only: input.converted(READ_ONLY, Boolean),
        give: input.converted(GIVE, Boolean),
        can_administer: input.converted(CAN_ADMINISTER, Boolean),
        site: input.moved_list(SITES),
    };
    document.user.email = copy(folder.user.name.as_ref());
    document.related.user = input.names([("user.email", document.user.email.as_ref())]);
    Ok(())
}

/// Returns the text of the user in the `_id`.
fn user_text<'a>(record: Option<&'a Record<'_>>) -> Cow<'a, str> {
    match record.and_then(|record| record.get("users")) {
        Some(FieldValue::Json(value) | FieldValue::Broken(value)) if value.is_object() => {
            canonical(value.get(USERNAME))
        }
        other => canonical_field(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::remap;
    use super::super::testing::{
        errors, field, folder_documents, identity_of, map_folder, mapper, plain_mapper, snapshot, source, stamps,
    };
    use super::*;
    use crate::document::Stream;

    fn documents_of(record: &Value) -> Vec<Document> {
        folder_documents(&mapper(), &record.to_string())
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
    fn by_default_no_value_is_repeated() {
        let folder = json!({ "users": [{ "username": "a", "give": true }] });
        let documents = folder_documents(&plain_mapper(), &folder.to_string());
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
    fn users_are_a_list_or_a_map() {
        let users = |users: Value| {
            let sources = map_folder(&json!({ "users": users }));
            sources.iter().map(|source| field(source, "/user/email")).collect::<Vec<_>>()
        };
        let ann = json!({ "username": "ann", "sites": { "0": "a.example" } });
        let bob = json!({ "username": "bob" });
        assert_eq!(users(json!([ann, bob])), [json!("ann"), json!("bob")]);
        assert_eq!(users(json!({ "0": ann, "7": bob })), [json!("ann"), json!("bob")]);
        assert_eq!(users(ann), [json!("ann")]);
        // An entry whose only field is an object is a user, not a map of users.
        assert_eq!(users(json!({ "sites": { "0": "a.example" } })), [Value::Null]);
    }

    #[test]
    fn an_entry_that_is_not_a_user_stops_the_mapping_of_its_document() {
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
    fn a_record_that_cannot_be_mapped_is_kept_whole() {
        for (record, kind) in
            [("[1]", "pipeline_error"), ("7", "pipeline_error"), ("{", "pipeline_error"), ("null", "state")]
        {
            let [document] = &folder_documents(&mapper(), record)[..] else { panic!("one") };
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
            assert_eq!(
                &remap(&mapper(), &stamps(), identity_of(Stream::DetailedSharedFolder, document), &document.original),
                document
            );
        }
    }

    #[test]
    fn a_lone_surrogate_removes_only_its_field() {
        let record = r#"{"sharedfoldername":"F","score":1,"x":"\udfff","users":[{"username":"a\ud83d","give":1},{"username":"b","sites":["s\ud83d"],"\ud83d":1},{"username":"c"},{"username":"a\ud83e","give":1}]}"#;
        let documents = folder_documents(&mapper(), record);
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
            assert_eq!(
                &remap(&mapper(), &stamps(), identity_of(Stream::DetailedSharedFolder, document), &document.original),
                document
            );
        }
    }

    #[test]
    fn a_password_of_a_user_is_in_no_document() {
        let record = r#"{"sharedfoldername":"F","users":[{"username":"a","attribs":{"password":"S3cr3t"}}]}"#;
        let first = folder_documents(&mapper(), record);
        assert!(!format!("{first:?}").contains("S3cr3t"), "{first:?}");
        let again = remap(&mapper(), &stamps(), identity_of(Stream::DetailedSharedFolder, &first[0]), record);
        assert!(!format!("{again:?}").contains("S3cr3t"), "{again:?}");
    }
}
