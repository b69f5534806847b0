//! Users: a snapshot of every user of the account. One document each.

use serde::Serialize;
use serde_json::Value;

use super::{
    convert::{
        Type::{Boolean, Date, Double, Long},
        convert_field,
    },
    ecs::{self, CustomFields, EcsDocument},
    input::Input,
    record::{Content, Fields, content, read, with_id},
    redact::without_secrets,
    snapshot::SnapshotMapping,
    value::{FieldValue, copy, is_empty, remove_empties},
};
use crate::{document::Document, lastpass::time::ApiZone};

/// The entry of `user.roles` of an administrator.
const ADMIN: &str = "admin";

/// The `lastpass` of a user's document.
#[derive(Debug, Default, PartialEq, Serialize)]
struct LastPass<'r> {
    user: User<'r>,
}

/// `lastpass.user`, in the order in which it is written.
#[derive(Debug, Default, PartialEq, Serialize)]
struct User<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_name: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    full_name: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attachment: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    form_fill: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_login: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_password_change: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    linked: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    master_password_strength: Option<FieldValue<'r>>,
    /// Ours: Elastic's integration does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    multifactor: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    never_logged_in: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_reset_required: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sites: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_score: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "is_empty")]
    duo: Duo<'r>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct Duo<'r> {
    user_name: Option<FieldValue<'r>>,
}

impl CustomFields for LastPass<'_> {
    fn remove_empties(&mut self) {
        let User {
            created,
            id,
            user_name,
            full_name,
            group,
            application,
            attachment,
            disabled,
            form_fill,
            last_login,
            last_password_change,
            linked,
            master_password_strength,
            multifactor,
            never_logged_in,
            note,
            password_reset_required,
            sites,
            total_score,
            duo: Duo { user_name: duo_user_name },
        } = &mut self.user;
        remove_empties([created, id, user_name, full_name, group, application, attachment, disabled, form_fill]);
        remove_empties([last_login, last_password_change, linked, master_password_strength, multifactor]);
        remove_empties([never_logged_in, note, password_reset_required, sites, total_score, duo_user_name]);
    }

    fn remove_duplicates(&mut self) {
        let User { id, user_name, full_name, group, .. } = &mut self.user;
        for field in [id, user_name, full_name, group] {
            *field = None;
        }
    }
}

/// Maps a user, whose key in the response's `Users` is `key`, to its document.
///
/// The original of the document is the record with `key` as its `id`. The integration has the same record.
#[must_use]
pub fn document(mapping: &SnapshotMapping<'_>, key: &str, record: &str) -> Document {
    let original = with_id(key, &without_secrets(record));
    let source = source(mapping, &original);
    mapping.document(mapping.id_parts(key).finish(), source, original)
}

/// Maps the original of a user to the source of its document.
pub(super) fn source(mapping: &SnapshotMapping<'_>, original: &str) -> String {
    let mut document = EcsDocument::new(&mapping.constants, mapping.timestamp);
    let content = content(read(original));
    if !matches!(content, Content::Refused(_)) {
        document.event.category = &["iam"];
        document.event.r#type = &["user"];
    }
    match content {
        Content::Fields(fields) => map_fields(fields, &mapping.mapper.user_zone, &mut document),
        Content::Other(reason) | Content::Refused(reason) => document.stop(reason),
    }
    document.finish(original)
}

/// Maps the fields of a record, and reports errors, in the order of ECS_MAPPING.md, §2.1. `dates` is the zone of its
/// dates.
fn map_fields<'r>(fields: Fields<'r>, dates: &ApiZone, document: &mut EcsDocument<'r, LastPass<'r>>) {
    let mut input = Input::new(fields, &mut document.error.message);
    let user = User {
        created: input.converted("created", Date(dates)),
        id: input.moved("id"),
        user_name: input.moved("username"),
        full_name: input.moved("fullname"),
        group: input.moved_list("groups"),
        application: input.converted("applications", Long),
        attachment: input.converted("attachments", Long),
        disabled: input.converted("disabled", Boolean),
        duo: Duo { user_name: input.moved("duousername") },
        form_fill: input.converted("formfills", Long),
        last_login: input.converted("last_login", Date(dates)),
        last_password_change: input.converted("last_pw_change", Date(dates)),
        linked: input.moved("linked"),
        master_password_strength: input.converted("mpstrength", Long),
        multifactor: input.extra("multifactor").filter(is_plain),
        never_logged_in: input.converted("neverloggedin", Boolean),
        note: input.converted("notes", Long),
        password_reset_required: input.converted("password_reset_required", Boolean),
        sites: input.moved("sites"),
        total_score: input.converted("totalscore", Double),
    };
    let is_admin = input.extra("admin").and_then(|admin| convert_field(admin, Boolean).ok().flatten());
    document.user = ecs::User {
        id: copy(user.id.as_ref()),
        email: copy(user.user_name.as_ref()),
        full_name: copy(user.full_name.as_ref()),
        roles: if is_admin == Some(Value::Bool(true).into()) { &[ADMIN] } else { &[] },
        group: ecs::Group { name: copy(user.group.as_ref()) },
        ..ecs::User::default()
    };
    document.related.user = input
        .names([("user.email", document.user.email.as_ref()), ("user.full_name", document.user.full_name.as_ref())]);
    document.lastpass = LastPass { user };
}

/// Returns whether a value names second factors: a text, a number, a flag, or a list of these. The index would refuse an
/// object. An object, even inside a text, may also contain secrets.
fn is_plain(value: &FieldValue<'_>) -> bool {
    let is_name = |text: &str| !text.trim_start().starts_with(['{', '[']);
    let is_plain_json = |value: &Value| match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => is_name(text),
        Value::Array(_) | Value::Object(_) => false,
    };
    match value {
        FieldValue::Text(text) => is_name(text.as_str()),
        FieldValue::Json(value) => match &**value {
            Value::Array(entries) => entries.iter().all(is_plain_json),
            other => is_plain_json(other),
        },
        FieldValue::Texts(_) | FieldValue::Broken(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{
        errors, field, identity_of, map_user, mapper, plain_mapper, snapshot, source, stamps, user_document,
    };
    use super::super::{Identity, Mapper, remap};
    use super::*;
    use crate::document::Stream;

    fn record() -> Value {
        json!({
            "username": "ann@example.com", "fullname": "Ann", "mpstrength": "100", "created": "2014-03-12 10:02:56",
            "last_pw_change": "2015-05-19 10:58:33", "last_login": "", "neverloggedin": 0, "disabled": "1",
            "admin": true, "duousername": "ann.f", "totalscore": "79.4", "linked": null, "sites": "72", "notes": 19,
            "formfills": " 2 ", "applications": 0, "attachments": 1, "password_reset_required": false,
            "multifactor": "lastpassauth", "groups": ["Ops", "", "Ops"],
        })
    }

    #[test]
    fn a_document_as_it_is_sent() {
        let document = user_document(&mapper(), &record().to_string());
        let mut original = record();
        original["id"] = json!("101");
        assert_eq!(document.original, original.to_string());
        assert_eq!(document.timestamp, snapshot().timestamp);
        assert_eq!(document.id.as_str(), "aUwHU749F0LSDQ68HNcT4BKU");
        assert_eq!(
            source(&document),
            json!({
                "@timestamp": "2025-07-17T12:00:03.250Z",
                "ecs": { "version": "8.11.0" },
                "data_stream": { "type": "logs", "dataset": "lastpass.user", "namespace": "default" },
                "event": {
                    "module": "lastpass",
                    "dataset": "lastpass.user",
                    "kind": "state",
                    "category": ["iam"],
                    "type": ["user"],
                    "created": "2031-05-06T07:08:09.123Z",
                    "original": original.to_string(),
                },
                "user": {
                    "id": "101",
                    "email": "ann@example.com",
                    "full_name": "Ann",
                    "roles": ["admin"],
                    "group": { "name": ["Ops", "Ops"] },
                },
                "related": { "user": ["ann@example.com", "Ann"] },
                "lastpass": { "user": {
                    "id": "101",
                    "user_name": "ann@example.com",
                    "full_name": "Ann",
                    "group": ["Ops", "Ops"],
                    "created": "2014-03-12T10:02:56.000Z",
                    "last_password_change": "2015-05-19T10:58:33.000Z",
                    "application": 0,
                    "attachment": 1,
                    "form_fill": 2,
                    "note": 19,
                    "sites": "72",
                    "master_password_strength": 100,
                    "total_score": 79.4,
                    "disabled": true,
                    "multifactor": "lastpassauth",
                    "never_logged_in": false,
                    "password_reset_required": false,
                    "duo": { "user_name": "ann.f" },
                } },
                "tags": ["preserve_original_event", "preserve_duplicate_custom_fields"],
            })
        );
    }

    #[test]
    fn dates_are_wall_times_of_the_zone_that_is_set() {
        let dated = |zone: &str, date: &str| {
            let mapper = Mapper { user_zone: ApiZone::new(zone).expect("a zone"), ..mapper() };
            let record = json!({ "created": date, "last_pw_change": date, "last_login": date }).to_string();
            let source = source(&user_document(&mapper, &record));
            let dates = ["created", "last_password_change", "last_login"]
                .map(|name| field(&source, &format!("/lastpass/user/{name}")));
            assert!(dates.iter().all(|date| *date == dates[0]));
            dates[0].as_str().unwrap_or_default().to_owned()
        };
        for (zone, date, instant) in [
            ("UTC", "2015-05-29 11:45:05", "2015-05-29T11:45:05.000Z"),
            ("US/Eastern", "2015-05-29 11:45:05", "2015-05-29T15:45:05.000Z"),
            ("US/Eastern", "2015-01-29 11:45:05", "2015-01-29T16:45:05.000Z"),
            ("Asia/Kathmandu", "2015-05-29 11:45:05", "2015-05-29T06:00:05.000Z"),
            ("+02:00", "2015-05-29 01:45:05", "2015-05-28T23:45:05.000Z"),
            // The clock shows this time twice: the earlier instant.
            ("US/Eastern", "2025-11-02 01:30:00", "2025-11-02T05:30:00.000Z"),
            // The clock skips this time: moved forward by an hour.
            ("US/Eastern", "2025-03-09 02:30:00", "2025-03-09T07:30:00.000Z"),
        ] {
            assert_eq!(dated(zone, date), instant, "{zone}");
        }
    }

    #[test]
    fn by_default_no_value_is_repeated() {
        let document = user_document(&plain_mapper(), &record().to_string());
        let source = source(&document);
        for name in ["id", "user_name", "full_name", "group"] {
            assert_eq!(field(&source, &format!("/lastpass/user/{name}")), Value::Null);
        }
        assert_eq!(field(&source, "/lastpass/user/duo/user_name"), json!("ann.f"));
        assert_eq!(field(&source, "/event/original"), Value::Null);
    }

    #[test]
    fn an_administrator_has_the_role_in_every_spelling() {
        for (admin, roles) in [
            (json!(true), json!(["admin"])),
            (json!(1), json!(["admin"])),
            (json!("1"), json!(["admin"])),
            (json!("True"), json!(["admin"])),
            (json!(false), Value::Null),
            (json!("0"), Value::Null),
            (json!(""), Value::Null),
            (json!(null), Value::Null),
            (json!("yes"), Value::Null),
            (json!([true]), Value::Null),
            (json!({ "is": true }), Value::Null),
        ] {
            let source = map_user(&json!({ "username": "a", "admin": admin }));
            assert_eq!((field(&source, "/user/roles"), errors(&source)), (roles, 0), "{admin}");
        }
        assert_eq!(field(&map_user(&json!({ "superadmin": true })), "/user/roles"), Value::Null);
    }

    #[test]
    fn the_second_factor_is_kept_as_sent_unless_it_is_an_object() {
        let secret = "otpauth://totp/x?secret=GEZDGNBV";
        for (multifactor, kept) in [
            (json!("lastpassauth"), json!("lastpassauth")),
            (json!("Duo Security, YubiKey"), json!("Duo Security, YubiKey")),
            (json!(["duo", "", "yubikey"]), json!(["duo", "yubikey"])),
            (json!(0), json!(0)),
            (json!(false), json!(false)),
            (json!(""), Value::Null),
            (json!(null), Value::Null),
            (json!([]), Value::Null),
            (json!({ "duo": { "secret": secret } }), Value::Null),
            (json!([{ "secret": secret }]), Value::Null),
            (json!([["duo"]]), Value::Null),
            (json!(format!(" {{\"secret\":\"{secret}\"}}")), Value::Null),
            (json!([format!("[\"{secret}\"]")]), Value::Null),
        ] {
            let source = map_user(&json!({ "username": "a", "multifactor": multifactor }));
            let found = (field(&source, "/lastpass/user/multifactor"), errors(&source));
            assert_eq!(found, (kept, 0), "{multifactor}");
        }
        let broken = user_document(&mapper(), r#"{"admin":"\ud83d","multifactor":"\ud83d"}"#);
        assert_eq!((field(&source(&broken), "/lastpass/user"), errors(&source(&broken))), (json!({ "id": "101" }), 0));
    }

    #[test]
    fn each_wrong_type_is_reported_and_removes_only_its_field() {
        let source = map_user(&json!({
            "username": "a", "created": "then", "applications": "x", "disabled": "maybe", "totalscore": {}, "notes": [1, null],
        }));
        assert_eq!(errors(&source), 5);
        assert_eq!(field(&source, "/event/kind"), json!("state"));
        assert_eq!(field(&source, "/lastpass/user"), json!({ "id": "101", "user_name": "a" }));
    }

    #[test]
    fn related_users_are_texts_and_not_deduplicated() {
        let related = |record| field(&map_user(&record), "/related/user");
        assert_eq!(related(json!({ "username": "a", "fullname": "a" })), json!(["a", "a"]));
        assert_eq!(related(json!({ "username": 7, "fullname": true })), json!(["7", "true"]));
        assert_eq!(related(json!({ "username": "", "fullname": null })), Value::Null);
        let source = map_user(&json!({ "username": 7, "groups": "Ops" }));
        assert_eq!((field(&source, "/user/email"), field(&source, "/user/group/name")), (json!(7), json!("Ops")));
        let source = map_user(&json!({ "username": ["a", "b"], "fullname": "A" }));
        assert_eq!(field(&source, "/user/email"), json!(["a", "b"]));
        assert_eq!((field(&source, "/related/user"), errors(&source)), (json!(["A"]), 1));
    }

    #[test]
    fn a_record_that_cannot_be_mapped_is_kept_whole() {
        for (record, kind) in [("[1]", "pipeline_error"), ("7", "pipeline_error"), ("null", "state")] {
            let source = source(&user_document(&mapper(), record));
            assert_eq!(field(&source, "/event/kind"), json!(kind), "{record}");
            assert_eq!(field(&source, "/event/category"), json!(["iam"]));
            assert_eq!(field(&source, "/event/original"), json!(record));
        }
        let twice = source(&user_document(&mapper(), r#"{"a":1,"a":1}"#));
        assert_eq!(field(&twice, "/event/kind"), json!("pipeline_error"));
        assert_eq!(field(&twice, "/event/category"), Value::Null);
    }

    #[test]
    fn the_original_is_enough_to_map_again() {
        for record in [record(), json!({}), json!({ "id": "9", "username": "a" })] {
            let first = user_document(&mapper(), &record.to_string());
            assert_eq!(remap(&mapper(), &stamps(), identity_of(Stream::User, &first), &first.original), first);
            let unknown = Identity { timestamp: None, ..identity_of(Stream::User, &first) };
            assert_eq!(remap(&mapper(), &stamps(), unknown, &first.original).timestamp, stamps().created);
        }
    }

    #[test]
    fn a_password_of_a_user_is_in_no_document() {
        const SECRET: &str = "S3cr3t";
        for (record, kept) in [
            (r#"{"username":"a","attribs":{"password":"S3cr3t","x":1.0},"b":"\u00e4\/"}"#, r#""attribs":{"x":1.0}"#),
            (r#"{"username":"a","attribs":{"password":"password-S3cr3t","x":1}}"#, r#""attribs":{"x":1}"#),
            (r#"{"username":"a","attribs":[["password","S3cr3t"],["x",1]]}"#, r#""attribs":[["x",1]]"#),
            (r#"{"username":"a","attribs":{"Password":"S3cr3t"}}"#, r#""attribs":{}"#),
            (r#"{"username":"a","ATTRIBS":{"PASSWORD":["S3cr3t"]}}"#, r#""ATTRIBS":{}"#),
            (r#"{"username":"a","attribs":[{"password":"S3cr3t"},{"x":1}]}"#, r#""attribs":[{},{"x":1}]"#),
            (
                r#"{"username":"a","attribs":[{"name":"password","value":"S3cr3t"},{"name":"x"}]}"#,
                r#""attribs":[{"name":"x"}]"#,
            ),
            (r#"{"username":"a","attribs":{"a":{"b":[{"password":"S3cr3t"}]}}}"#, r#""attribs":{"a":{"b":[{}]}}"#),
            (r#"{"username":"a","attribs":"{\"password\":\"S3cr3t\",\"x\":1}"}"#, r#""attribs":"{\"x\":1}""#),
            (r#"{"username":"a","attribs":"a:1:{s:8:\"password\";s:6:\"S3cr3t\";}","x":1}"#, r#""username":"a","x":1"#),
            (r#"{"username":"a","attribs":"password=S3cr3t","x":1}"#, r#""username":"a","x":1"#),
            (r#"{"username":"a","\u0061ttribs":{"\u0070assword":"S3cr3t","x":1}}"#, r#""x":1"#),
            (r#"{"username":"a","attribs.password":"S3cr3t","x":1}"#, r#""username":"a","x":1"#),
            (r#"{"username":"a","profile":{"attribs":{"password":"S3cr3t","x":1}}}"#, r#""attribs":{"x":1}"#),
            (
                r#"{"username":"a","attribs":{"old_password":"S3cr3t","passwd":"S3cr3t","api_token":"S3cr3t","secretkey":"S3cr3t","x":1}}"#,
                r#""attribs":{"x":1}"#,
            ),
            (
                r#"{"username":"a","password":"S3cr3t","password_reset_required":"1"}"#,
                r#""password_reset_required":"1""#,
            ),
            (r#"{"username":"a","attribs":{"password":"S3cr3t","password":"S3cr3t","x":1}}"#, r#""attribs":{"x":1}"#),
            (r#"{"username":"a","username":"b","attribs":{"password":"S3cr3t"}}"#, r#""attribs":{}"#),
            (r#"{"username":"\ud83d","attribs":{"password":"S3cr3t\ud83d"},"x":1}"#, r#""attribs":{}"#),
            (r#"["a",{"attribs":{"password":"S3cr3t"}}]"#, r#"["a",{"attribs":{}}]"#),
        ] {
            for mapper in [mapper(), plain_mapper()] {
                let first = user_document(&mapper, record);
                let text = format!("{first:?}");
                assert!(!text.contains(SECRET), "{record}\n{text}");
                assert!(first.original.contains(kept), "{record}\n{}", first.original);
                let without = user_document(&mapper, r#"{"username":"a"}"#);
                assert_eq!(first.id, without.id);
                // A dead letter of an older version still contains the password.
                let again = remap(&mapper, &stamps(), identity_of(Stream::User, &first), record);
                assert!(!format!("{again:?}").contains(SECRET), "{record}");
            }
        }
        for broken in [r#"{"username":"a","attribs":{"password":"S3cr3t"#, r#"{"attribs":{"password":"S3cr3t"}},"#] {
            let broken = user_document(&mapper(), broken);
            assert!(!format!("{broken:?}").contains(SECRET), "{broken:?}");
        }
        let deep = format!(r#"{{"a":{}{{"attribs":{{"password":"S3cr3t"}}}}{}}}"#, "[".repeat(300), "]".repeat(300));
        let deep = user_document(&mapper(), &deep);
        assert!(!format!("{deep:?}").contains(SECRET), "{deep:?}");
    }

    #[test]
    fn a_record_that_holds_no_secret_keeps_its_spelling() {
        for record in [
            r#"{"id":"101","a":1.0,"b":1e5,"c":"\u00e4\/","attribs":{"x":"pass the salt","y":[1.50]},"hash":"77"}"#,
            r#"{"id":"101","attribs":"x","password_reset_required":false,"last_pw_change":""}"#,
            r#"{"id":"101","attribs":null,"sites":[],"note":"my \"password\" is safe"}"#,
        ] {
            assert_eq!(user_document(&mapper(), record).original, record);
        }
        let record = r#"{"id":"101","a":1.0,"attribs":{"password":"x"},"b":1e5,"c":"\u00e4\/"}"#;
        let kept = r#"{"id":"101","a":1.0,"attribs":{},"b":1e5,"c":"\u00e4\/"}"#;
        assert_eq!(user_document(&mapper(), record).original, kept);
    }

    #[test]
    fn a_lone_surrogate_removes_only_its_field() {
        let record = r#"{"username":"ann\ud83d","fullname":"Ann","groups":["Ops","\uDE00x"],"sites":"7","x\ud83d":"\ud83d","attribs":{"a":"\ud83d"}}"#;
        let first = user_document(&plain_mapper(), record);
        let source = source(&first);
        assert_eq!(field(&source, "/event/kind"), json!("state"), "{source}");
        assert_eq!(errors(&source), 2, "of the user name and the groups: {source}");
        assert_eq!(field(&source, "/user"), json!({ "id": "101", "full_name": "Ann" }));
        assert_eq!(field(&source, "/lastpass/user"), json!({ "sites": "7" }));
        assert_eq!(field(&source, "/related/user"), json!(["Ann"]));
        let original = field(&source, "/event/original");
        let original = original.as_str().expect("a text");
        assert_eq!(
            original,
            format!("{},\"id\":\"101\"}}", record.strip_suffix('}').expect("an object")).replace("\\uDE00", "\\ude00")
        );
        assert_eq!(remap(&plain_mapper(), &stamps(), identity_of(Stream::User, &first), &first.original), first);
    }
}
