//! The fields that `Data` contains, which depend on the action of the event (ECS_MAPPING.md, §3.2).

use std::sync::OnceLock;

use regex::Regex;
use serde::Serialize;

use super::{
    logins::LoginType,
    value::{FieldValue, is_empty, remove_empties},
};
use crate::text::Text;

/// `lastpass.event_report.data`, in the order in which it is written.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Data<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) original: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    added_site: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_site: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_login: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) group_name: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    login_site: Option<FieldValue<'r>>,
    /// Ours: Elastic's integration does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) login_type: Option<LoginType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    renamed_shared_folder_name: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    saml_login: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secure_note: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shared_folder_name: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_email: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "is_empty")]
    shared_folder_user_permissions: Permissions<'r>,
}

/// The permissions of a user in a shared folder.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Permissions<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    read_only: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin: Option<FieldValue<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hide_password: Option<FieldValue<'r>>,
}

/// Returns one of these fields, to be set.
type Field = for<'d, 'r> fn(&'d mut Data<'r>) -> &'d mut Option<FieldValue<'r>>;

/// A rule for the `Data` of all actions that contain one of `substrings`.
pub(super) struct Row {
    substrings: &'static [&'static str],
    form: Form,
    /// The patterns of `form`, compiled for the first event that needs them.
    pattern: OnceLock<Regex>,
}

const fn row(substrings: &'static [&'static str], form: Form) -> Row {
    Row { substrings, form, pattern: OnceLock::new() }
}

/// The form of `Data`.
enum Form {
    /// A list with commas.
    List(Field),
    /// The first line is the value of the field.
    FirstLine(Field),
    /// A line that matches one of `patterns` as a whole. The text of the first group goes to the first of `fields`, and
    /// so on. The first line that matches any pattern is used.
    Line { patterns: &'static [&'static str], fields: &'static [Field] },
    /// The same, after a comma has replaced the last space of the text, which must contain a space.
    LineWithComma { patterns: &'static [&'static str], fields: &'static [Field] },
}

use Form::{FirstLine, Line, LineWithComma, List};

/// The fields that several rows share.
const DELETED_SITE: Field = |data| &mut data.deleted_site;
const GROUP: Field = |data| &mut data.group_name;
const FOLDER: Field = |data| &mut data.shared_folder_name;
const NOTE: Field = |data| &mut data.secure_note;
const SITE: Field = |data| &mut data.site;
const USER: Field = |data| &mut data.user_email;

/// The rules for `Data`. Every rule that matches is applied, in this order, and a field that a later rule finds
/// replaces that of an earlier rule. A `Data` that matches no pattern has no fields, which is not an error.
///
/// In the patterns, `<W>` matches spaces and line ends of ASCII, `<EMAIL>` matches an address, and `.` matches any
/// character except a line feed.
static ROWS: [Row; 21] = [
    row(&["deleted sites"], List(DELETED_SITE)),
    row(&["employee invited", "employee account created", "employee account deleted"], List(USER)),
    row(&["log in"], FirstLine(|data| &mut data.login_site)),
    row(&["saml login"], FirstLine(|data| &mut data.saml_login)),
    row(&["failed login attempt"], FirstLine(|data| &mut data.failed_login)),
    row(
        &[
            "login to admin console",
            "make admin",
            "remove admin",
            "require password change",
            "master password reset by super admin",
        ],
        Line { patterns: &["(<EMAIL>)"], fields: &[USER] },
    ),
    row(&["site added"], FirstLine(|data| &mut data.added_site)),
    row(&["created shared folder", "deleted shared folder"], FirstLine(FOLDER)),
    row(
        &["add secure note", "open secure note"],
        Line {
            patterns: &[r"Secure Note<W>\((.*?)\)", r"Secure Note<W>\((.*?)\)<W>from<W>(.*?)"],
            fields: &[NOTE, NOTE, FOLDER],
        },
    ),
    row(&["edit secure note"], Line { patterns: &[r"Secure Note<W>\((.*?)\)"], fields: &[NOTE] }),
    row(&["add to shared folder"], Line { patterns: &["'(.*?)'<W>'(<EMAIL>)'"], fields: &[FOLDER, USER] }),
    row(&["create group"], Line { patterns: &["'(.*?)'"], fields: &[GROUP] }),
    row(&["adding user to group"], Line { patterns: &["(<EMAIL>)<W>-<W>(.*?)"], fields: &[USER, GROUP] }),
    row(&["created lastpass account"], Line { patterns: &["(<EMAIL>)<W>?-Shared-<W>?(.*?)"], fields: &[USER, FOLDER] }),
    row(
        &["update folder permissions"],
        Line {
            patterns: &["'(.*?)'<W>'(<EMAIL>)'<W>'Read only:(.*?)<W>Admin:(.*?)<W>Hide PW:(.*?)'"],
            fields: &[
                FOLDER,
                USER,
                |data| &mut data.shared_folder_user_permissions.read_only,
                |data| &mut data.shared_folder_user_permissions.admin,
                |data| &mut data.shared_folder_user_permissions.hide_password,
            ],
        },
    ),
    row(
        &["renamed shared folder"],
        Line { patterns: &["'(.*?)'<W>'(.*?)'"], fields: &[FOLDER, |data| &mut data.renamed_shared_folder_name] },
    ),
    row(
        &["move to shared folder"],
        Line { patterns: &["<W>to<W>(.*?)", "(.*)<W>to<W>(.*?)"], fields: &[FOLDER, SITE, FOLDER] },
    ),
    row(
        &["move from shared folder"],
        Line {
            // LastPass writes the first text for a folder that no longer exists. It contains no name.
            patterns: &[" from INVALID SHARED FOLDER", "<W>from<W>(.*?)", "(.*)<W>from<W>(.*?)"],
            fields: &[FOLDER, SITE, FOLDER],
        },
    ),
    row(
        &["delete shared sites"],
        Line { patterns: &["<W>from<W>(.*?)", "(.*)<W>from<W>(.*?)"], fields: &[FOLDER, DELETED_SITE, FOLDER] },
    ),
    row(&["limit shared folder"], LineWithComma { patterns: &["(.*?),(<EMAIL>)"], fields: &[FOLDER, USER] }),
    row(&["removed from shared folder"], Line { patterns: &["'(.*?)'<W>'(<EMAIL>)'"], fields: &[FOLDER, USER] }),
];

/// One or more spaces or line ends of ASCII.
const W: &str = r"[ \t\n\x0B\x0C\r]+";

/// An address whose host is labels joined by dots, with or without a last dot.
const EMAIL: &str =
    r"[A-Za-z][A-Za-z0-9_+,\-./:;<=]+@[A-Za-z0-9][A-Za-z0-9-]{0,62}(?:\.[A-Za-z0-9][A-Za-z0-9-]{0,62})*\.?";

impl Row {
    /// Returns the `patterns` of its form as one regular expression.
    #[expect(clippy::expect_used, reason = "the patterns are constants, and a test compiles each")]
    fn pattern(&self, patterns: &[&str]) -> &Regex {
        self.pattern.get_or_init(|| {
            let patterns = patterns.join("|").replace("<W>?", &format!("(?:{W})?"));
            let patterns = patterns.replace("<W>", W).replace("<EMAIL>", EMAIL);
            Regex::new(&format!("(?m)^(?:{patterns})$")).expect("a pattern of the table is a regular expression")
        })
    }
}

/// A `Data` without the space that the action requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoSpace;

/// Finds the rules for an action, which is in lower case.
pub(super) fn rows(action: &str) -> Vec<&'static Row> {
    ROWS.iter().filter(|row| row.substrings.iter().any(|substring| action.contains(substring))).collect()
}

impl<'r> Data<'r> {
    /// Sets the fields that `rows` find in `data`, and returns the e-mail addresses among them.
    ///
    /// # Errors
    /// [`NoSpace`] if the action limits a shared folder and `data` has no space that could end the folder's name.
    pub(super) fn fill(&mut self, rows: &[&Row], data: Option<&Text<'r>>) -> Result<Vec<Text<'r>>, NoSpace> {
        let needs_space = |row: &&Row| matches!(row.form, LineWithComma { .. });
        // The integration inserts the comma before it reads any line, so without a space it reads none.
        let stops = rows.iter().any(needs_space) && !data.is_some_and(|data| data.as_str().contains(' '));
        let mut lists_users = false;
        for row in rows {
            let Some(data) = data else { break };
            match row.form {
                List(field) => {
                    let entries = data.parts(|text| text.split(',').filter(|entry| !entry.is_empty()).collect());
                    *field(self) = Some(FieldValue::Texts(entries));
                    lists_users |= self.user_email.is_some();
                }
                FirstLine(_) | Line { .. } | LineWithComma { .. } if stops => break,
                FirstLine(field) => {
                    let line = data.part(|text| text.split_once('\n').map_or(text, |(line, _)| line));
                    *field(self) = Some(line.into());
                }
                Line { patterns, fields } => self.fill_line(fields, row.pattern(patterns), data),
                LineWithComma { patterns, fields } => {
                    let (folder, email) = data.as_str().rsplit_once(' ').unwrap_or((data.as_str(), ""));
                    self.fill_line(fields, row.pattern(patterns), &format!("{folder},{email}").into());
                }
            }
        }
        if stops {
            return Err(NoSpace);
        }
        Ok(match &self.user_email {
            Some(FieldValue::Texts(users)) => users.clone(),
            // A list and a single address in one action: the field holds the single one, and neither counts as a user.
            Some(FieldValue::Text(user)) if !lists_users => vec![user.clone()],
            Some(FieldValue::Text(_) | FieldValue::Json(_) | FieldValue::Broken(_)) | None => Vec::new(),
        })
    }

    /// Sets the `fields` that the pattern captures in a line of `data`.
    fn fill_line(&mut self, fields: &[Field], pattern: &Regex, data: &Text<'r>) {
        let Some(captures) = pattern.captures(data.as_str()) else {
            return;
        };
        for (capture, field) in captures.iter().skip(1).zip(fields) {
            if let Some(capture) = capture {
                *field(self) = Some(data.part(|text| &text[capture.range()]).into());
            }
        }
    }

    pub(super) fn remove_empties(&mut self) {
        let Self {
            original,
            added_site,
            deleted_site,
            failed_login,
            group_name,
            login_site,
            login_type: _,
            renamed_shared_folder_name,
            saml_login,
            secure_note,
            shared_folder_name,
            site,
            user_email,
            shared_folder_user_permissions: Permissions { read_only, admin, hide_password },
        } = self;
        remove_empties([original, added_site, deleted_site, failed_login, group_name, login_site]);
        remove_empties([renamed_shared_folder_name, saml_login, secure_note, shared_folder_name, site, user_email]);
        remove_empties([read_only, admin, hide_password]);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{acted, errors, field};
    use super::*;

    /// Returns the fields that an action finds in `data`, and the users of the document.
    fn found(action: &str, data: &Value) -> (Value, Value) {
        let source = acted(action, data.clone());
        assert_eq!(errors(&source), 0, "{action}: {data}");
        let mut fields = field(&source, "/lastpass/event_report/data");
        if let Some(fields) = fields.as_object_mut() {
            fields.shift_remove("original");
            fields.shift_remove("login_type");
        }
        let mut users = field(&source, "/user/email");
        assert_eq!(users, field(&source, "/related/user"));
        assert_eq!(users.as_array_mut().and_then(Vec::pop), Some(json!("actor@example.com")), "{action}: {data}");
        (fields, users)
    }

    #[track_caller]
    fn check(action: &str, data: &str, fields: Value) {
        let (ours, users) = found(action, &data.into());
        let none = json!({});
        assert_eq!(if ours.is_null() { &none } else { &ours }, &fields, "{action}: {data:?}");
        let emails = match fields.get("user_email") {
            None => json!([]),
            Some(Value::String(email)) => json!([email]),
            Some(list) => list.clone(),
        };
        assert_eq!(users, emails, "{action}: {data:?}");
    }

    #[test]
    fn every_pattern_is_a_regular_expression() {
        for row in &ROWS {
            if let Line { patterns, fields } | LineWithComma { patterns, fields } = row.form {
                assert_eq!(row.pattern(patterns).captures_len() - 1, fields.len(), "{:?}", row.substrings);
            }
        }
    }

    #[test]
    fn lists_are_split_at_commas_and_not_trimmed() {
        check("Deleted Sites", "a.example,b.example", json!({ "deleted_site": ["a.example", "b.example"] }));
        check("deleted sites", "a,,a, ", json!({ "deleted_site": ["a", "a", " "] }));
        check("deleted sites", "a\nb,c", json!({ "deleted_site": ["a\nb", "c"] }));
        for action in ["employee invited", "employee account created", "employee account deleted"] {
            check(
                action,
                "ann@example.com, bob@example.com",
                json!({ "user_email": ["ann@example.com", " bob@example.com"] }),
            );
            check(action, "no address", json!({ "user_email": ["no address"] }));
            check(action, "", json!({}));
            check(action, ",", json!({}));
        }
        // The field keeps repeated entries, the users do not.
        let (fields, users) = found("employee invited", &"a@b,a@b,A@b".into());
        assert_eq!((fields, users), (json!({ "user_email": ["a@b", "a@b", "A@b"] }), json!(["a@b", "A@b"])));
    }

    #[test]
    fn the_first_line_is_the_whole_value() {
        for (action, name) in [
            ("log in", "login_site"),
            ("saml login", "saml_login"),
            ("failed login attempt", "failed_login"),
            ("site added", "added_site"),
            ("created shared folder", "shared_folder_name"),
            ("deleted shared folder", "shared_folder_name"),
        ] {
            for (data, value) in [
                ("1.1.1.1:1234/example", "1.1.1.1:1234/example"),
                ("Q1, Q2 plans", "Q1, Q2 plans"),
                ("a\nb.example", "a"),
                ("a\r\nb", "a\r"),
                ("  x\u{2028}y\u{85}  ", "  x\u{2028}y\u{85}  "),
                ("\t", "\t"),
            ] {
                check(action, data, json!({ name: value }));
            }
            check(action, "", json!({}));
            check(action, "\nsecond", json!({}));
        }
    }

    #[test]
    fn only_a_valid_address_is_found() {
        let long = format!("ab@{}.example", "x".repeat(63));
        let too_long = format!("ab@{}.example", "x".repeat(64));
        for action in [
            "login to admin console",
            "make admin",
            "remove admin",
            "require password change",
            "master password reset by super admin",
        ] {
            for address in ["user1@example.com", "ab@c", "ab@c.", "a,b@c.d", "a:/;<=+-_.9@c-d.e", &long] {
                check(action, address, json!({ "user_email": address }));
            }
            for text in [
                "user1",
                "a@b.c",
                "o'brien@x.y",
                "1ab@c.d",
                "élise@x.y",
                "a_b@x_y.z",
                "ab@c..d",
                " ab@c.d",
                "ab@c.d ",
                "ab@-c",
                &too_long,
                "",
            ] {
                check(action, text, json!({}));
            }
            check(action, "x\nab@c.d", json!({ "user_email": "ab@c.d" }));
            check(action, "ab@c.d\ncd@e.f", json!({ "user_email": "ab@c.d" }));
        }
    }

    #[test]
    fn notes() {
        for action in ["add secure note", "open secure note"] {
            check(action, "Secure Note (Address)", json!({ "secure_note": "Address" }));
            check(
                action,
                "Secure Note (SSH Key) from Ops from HQ",
                json!({ "secure_note": "SSH Key", "shared_folder_name": "Ops from HQ" }),
            );
            check(action, "Secure Note (a) from b (c)", json!({ "secure_note": "a) from b (c" }));
            check(action, "Secure Note () from b", json!({ "shared_folder_name": "b" }));
            check(action, "Secure Note ()", json!({}));
            check(action, "secure note (a)", json!({}));
            check(action, "Secure Note\t \n(a)", json!({ "secure_note": "a" }));
            check(action, "Secure Note\u{a0}(a)", json!({}));
        }
        check("edit secure note", "Secure Note (Wifi renamed)", json!({ "secure_note": "Wifi renamed" }));
        check("edit secure note", "Secure Note (a) from b", json!({}));
    }

    #[test]
    fn groups() {
        check("create group", "'it's'", json!({ "group_name": "it's" }));
        check("create group", "'multi\nline'", json!({}));
        check("create group", "no quotes", json!({}));
        check(
            "adding user to group",
            "bob.smith@mail.example.org - Équipe Sécurité",
            json!({ "user_email": "bob.smith@mail.example.org", "group_name": "Équipe Sécurité" }),
        );
        check("adding user to group", "ab@c.d -  ", json!({ "user_email": "ab@c.d" }));
        check("adding user to group", "ab@c.d-x", json!({}));
        assert_eq!(field(&acted("create group", "'g'"), "/user/group/name"), json!("g"));
    }

    #[test]
    fn users_of_folders() {
        for action in ["add to shared folder", "removed from shared folder"] {
            check(
                action,
                "'it's' 'ann@example.com'",
                json!({ "shared_folder_name": "it's", "user_email": "ann@example.com" }),
            );
            check(action, "'' 'ann@example.com'", json!({ "user_email": "ann@example.com" }));
            check(action, "'a' 'nobody'", json!({}));
            check(action, "'a''ann@example.com'", json!({}));
        }
        let action = "created lastpass account";
        check(
            action,
            "eve-x@example.net-Shared-Finance",
            json!({ "user_email": "eve-x@example.net", "shared_folder_name": "Finance" }),
        );
        check(
            action,
            "ann@e.com-Shared-a-Shared-b",
            json!({ "user_email": "ann@e.com-Shared-a", "shared_folder_name": "b" }),
        );
        check(action, "ann@e.com -Shared- b", json!({ "user_email": "ann@e.com", "shared_folder_name": "b" }));
        check(action, "ann@e.com", json!({}));
    }

    #[test]
    fn permissions_of_folders() {
        let action = "update folder permissions";
        check(
            action,
            "'Shared Folder 10' 'dave_99@corp.internal' 'Read only:no Admin:yes Hide PW:no'",
            json!({
                "shared_folder_name": "Shared Folder 10",
                "user_email": "dave_99@corp.internal",
                "shared_folder_user_permissions": { "read_only": "no", "admin": "yes", "hide_password": "no" },
            }),
        );
        check(
            action,
            "'F' 'ab@c.d' 'Read only: Admin: Hide PW:'",
            json!({ "shared_folder_name": "F", "user_email": "ab@c.d" }),
        );
        check(action, "'F' 'ab@c.d' 'Read only:no'", json!({}));
    }

    #[test]
    fn names_of_folders() {
        let action = "renamed shared folder";
        check(action, "'a' 'b' 'c'", json!({ "shared_folder_name": "a", "renamed_shared_folder_name": "b' 'c" }));
        check(action, "'a' ''", json!({ "shared_folder_name": "a" }));
        check(action, "'a'", json!({}));
    }

    #[test]
    fn moved_sites() {
        for (action, word, site) in [
            ("move to shared folder", "to", "site"),
            ("move from shared folder", "from", "site"),
            ("delete shared sites", "from", "deleted_site"),
        ] {
            let check = |data: &str, fields| check(action, &data.replace('@', word), fields);
            check(
                "203.0.113.7:8443/admin @ it's ours",
                json!({ site: "203.0.113.7:8443/admin", "shared_folder_name": "it's ours" }),
            );
            check("x, with comma @ Finance", json!({ site: "x, with comma", "shared_folder_name": "Finance" }));
            check(" @ X", json!({ "shared_folder_name": "X" }));
            let last = format!("x {word} y");
            check("x @ y @ z", json!({ site: last, "shared_folder_name": "z" }));
            let first = format!("a {word} b");
            check(" @ a @ b", json!({ "shared_folder_name": first }));
            check("x @ y  ", json!({ site: "x", "shared_folder_name": "y  " }));
            check("x  @  y", json!({ site: "x ", "shared_folder_name": "y" }));
            check("x @ ", json!({ site: "x" }));
            check("@ X", json!({}));
            check("x\n@\ny", json!({ site: "x", "shared_folder_name": "y" }));
            check("x\u{a0}@\u{a0}y", json!({}));
            check("nothing\nx @ y", json!({ site: "x", "shared_folder_name": "y" }));
        }
        let action = "move from shared folder";
        check(action, " from INVALID SHARED FOLDER", json!({}));
        check(action, "  from INVALID SHARED FOLDER", json!({ "shared_folder_name": "INVALID SHARED FOLDER" }));
        check(
            action,
            "x from INVALID SHARED FOLDER",
            json!({ "site": "x", "shared_folder_name": "INVALID SHARED FOLDER" }),
        );
    }

    #[test]
    fn limits_of_folders() {
        let action = "limit shared folder";
        for (data, folder, email) in [
            ("Team (A) dave_99@corp.internal", "Team (A)", "dave_99@corp.internal"),
            ("a,b ann@e.com", "a", "b,ann@e.com"),
            ("a, b ann@e.com", "a, b", "ann@e.com"),
        ] {
            check(action, data, json!({ "shared_folder_name": folder, "user_email": email }));
        }
        check(action, " ann@e.com", json!({ "user_email": "ann@e.com" }));
        check(action, "folder notmail", json!({}));
        check(action, "folder ann@e.com ", json!({}));
    }

    #[test]
    fn a_limit_without_a_space_stops_the_mapping() {
        for data in [json!("ann@e.com"), json!(""), Value::Null, json!(7), json!(["a b"]), json!("a\u{a0}b")] {
            let source = acted("Limit Shared Folder", data.clone());
            assert_eq!(field(&source, "/event/kind"), json!("pipeline_error"), "{data}");
            assert_eq!(errors(&source), 1);
            assert_eq!(field(&source, "/event/outcome"), json!("success"));
            assert_eq!(field(&source, "/lastpass/event_report/user_name"), json!("actor@example.com"));
            assert_eq!(field(&source, "/lastpass/event_report/data/original"), data);
            assert_eq!((field(&source, "/user"), field(&source, "/related")), (Value::Null, Value::Null));
        }
        // Only the rows before the first row that reads lines apply.
        let source = acted("limit shared folder deleted sites log in", "a,b");
        assert_eq!(
            field(&source, "/lastpass/event_report/data"),
            json!({ "original": "a,b", "deleted_site": ["a", "b"] })
        );
    }

    #[test]
    fn a_later_row_replaces_what_an_earlier_one_found() {
        check(
            "deleted sites delete shared sites",
            "a,b from F",
            json!({ "deleted_site": "a,b", "shared_folder_name": "F" }),
        );
        check("deleted sites delete shared sites", "a,b", json!({ "deleted_site": ["a", "b"] }));
        check("created shared folder renamed shared folder", "'' 'x'", json!({ "renamed_shared_folder_name": "x" }));
        // A list and a single address in one action: the field is the single one, and no user is added.
        let (fields, users) = found("employee invited make admin", &"ab@c.d".into());
        assert_eq!((fields, users), (json!({ "user_email": "ab@c.d" }), json!([])));
        check("employee invited make admin", "x", json!({ "user_email": ["x"] }));
    }

    #[test]
    fn other_actions_and_other_types_find_nothing() {
        for action in ["add policy", "reporting", "get user data", "multifactor enabled", "unheard of", ""] {
            check(action, "a to b@c.d", json!({}));
        }
        for data in [Value::Null, json!(7), json!(true), json!(["a@b.c"]), json!({ "a": "b" })] {
            for action in ["log in", "make admin", "deleted sites", "employee invited", "move to shared folder"] {
                let (fields, users) = found(action, &data);
                assert!(fields.as_object().is_none_or(serde_json::Map::is_empty), "{action}: {data}: {fields}");
                assert_eq!(users, json!([]));
            }
        }
    }
}
