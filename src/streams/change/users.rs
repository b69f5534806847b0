//! The changes of one user.

use serde_json::Value;

use super::{
    document::{Action, Change, Details, Target},
    fields::{flag, list, number, text},
};

/// The field that identifies a user in a snapshot.
pub const KEY: &[&str] = &["user.id"];
/// The fields that are compared, or shown in the documents of changes.
pub const FIELDS: &[&str] = &[
    "event.kind",
    "user.*",
    "lastpass.user.disabled",
    "lastpass.user.multifactor",
    "lastpass.user.master_password_strength",
];

const DISABLED: &str = "disabled";
const ROLES: &str = "roles";
const MULTIFACTOR: &str = "multifactor";
const STRENGTH: &str = "master_password_strength";

/// Compares the documents of one user in both snapshots, `None` where the user is not in it.
#[must_use]
pub fn changes(id: &str, previous: Option<&Value>, current: Option<&Value>) -> Vec<Change> {
    let change =
        |action, source, details| Change { action, key: vec![id.to_owned()], target: Target::of(source), details };
    let (previous, current) = match (previous, current) {
        (Some(previous), Some(current)) => (previous, current),
        (None, Some(current)) => return vec![change(Action::UserCreated, current, Details::default())],
        (Some(previous), None) => return vec![change(Action::UserDeleted, previous, Details::default())],
        (None, None) => return Vec::new(),
    };
    let mut changes = Vec::new();
    let mut add = |action, field, before: Option<String>, after: Option<String>| {
        let details = Details { field: vec![field], previous: before, current: after, ..Details::default() };
        changes.push(change(action, current, details));
    };
    let disabled = |source| flag(source, "/lastpass/user/disabled");
    if let (Some(before), Some(after)) = (disabled(previous), disabled(current))
        && before != after
    {
        let action = if after { Action::UserDisabled } else { Action::UserEnabled };
        add(action, DISABLED, Some(before.to_string()), Some(after.to_string()));
    }
    let is_administrator = |source| list(source, "/user/roles").contains(&"admin".into());
    let roles = |source| text(source, "/user/roles");
    match (is_administrator(previous), is_administrator(current)) {
        (false, true) => add(Action::AdministratorGranted, ROLES, roles(previous), roles(current)),
        (true, false) => add(Action::AdministratorRevoked, ROLES, roles(previous), roles(current)),
        (true, true) | (false, false) => {}
    }
    let multifactor = |source| text(source, "/lastpass/user/multifactor");
    let (before, after) = (multifactor(previous), multifactor(current));
    if before != after {
        add(Action::MultifactorChanged, MULTIFACTOR, before, after);
    }
    let strength = |source| number(source, "/lastpass/user/master_password_strength");
    if let (Some(before), Some(after)) = (strength(previous), strength(current))
        && after < before
    {
        add(Action::PasswordStrengthDecreased, STRENGTH, Some(before.to_string()), Some(after.to_string()));
    }
    changes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn user(fields: Value) -> Value {
        let mut user = json!({
            "user": {"id": "7", "email": "ann@x.org"},
            "lastpass": {"user": {"disabled": false, "multifactor": "duo", "master_password_strength": 80}},
        });
        for (pointer, value) in fields.as_object().expect("fields") {
            match pointer.as_str() {
                "roles" => user["user"]["roles"] = value.clone(),
                name => user["lastpass"]["user"][name] = value.clone(),
            }
        }
        user
    }

    /// Returns the names of the changes from one state of a user to another, with their values.
    fn found_changes(previous: Value, current: Value) -> Vec<(&'static str, Option<String>, Option<String>)> {
        let changes = changes("7", Some(&user(previous)), Some(&user(current)));
        changes.into_iter().map(|c| (c.action.words().0, c.details.previous, c.details.current)).collect()
    }

    fn values(before: &str, after: &str) -> (Option<String>, Option<String>) {
        let value = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        (value(before), value(after))
    }

    #[test]
    fn each_field_has_its_changes() {
        for (previous, current, action, (before, after)) in [
            (json!({}), json!({"disabled": true}), "user-disabled", values("false", "true")),
            (json!({"disabled": true}), json!({}), "user-enabled", values("true", "false")),
            (json!({}), json!({"roles": ["admin"]}), "administrator-granted", values("", "admin")),
            (json!({"roles": "admin"}), json!({}), "administrator-revoked", values("admin", "")),
            (json!({}), json!({"multifactor": "yubikey"}), "multifactor-changed", values("duo", "yubikey")),
            (json!({}), json!({"multifactor": null}), "multifactor-changed", values("duo", "")),
            (json!({"multifactor": ""}), json!({}), "multifactor-changed", values("", "duo")),
            (
                json!({}),
                json!({"multifactor": ["yubikey", "duo"]}),
                "multifactor-changed",
                values("duo", "duo, yubikey"),
            ),
            (json!({}), json!({"master_password_strength": 79}), "password-strength-decreased", values("80", "79")),
        ] {
            assert_eq!(found_changes(previous, current), [(action, before, after)], "{action}");
        }
    }

    #[test]
    fn another_spelling_or_an_unknown_value_is_no_change() {
        for (previous, current) in [
            (json!({}), json!({})),
            (json!({"disabled": null}), json!({"disabled": true})),
            (json!({"disabled": true}), json!({"disabled": null})),
            (json!({"disabled": "false"}), json!({})),
            (json!({"roles": "admin"}), json!({"roles": ["admin"]})),
            (json!({"multifactor": ["duo"]}), json!({})),
            (json!({"multifactor": ["a", "b"]}), json!({"multifactor": ["b", "a", "b"]})),
            (json!({"multifactor": 0}), json!({"multifactor": "0"})),
            (json!({"multifactor": ""}), json!({"multifactor": []})),
            (json!({}), json!({"master_password_strength": 81})),
            (json!({}), json!({"master_password_strength": null})),
            (json!({"master_password_strength": "80"}), json!({"master_password_strength": 80.0})),
        ] {
            assert_eq!(found_changes(previous.clone(), current.clone()), [], "{previous} {current}");
        }
    }

    #[test]
    fn one_user_may_change_in_several_ways_at_once() {
        let all = json!({"disabled": true, "roles": ["admin"], "multifactor": "", "master_password_strength": 0});
        let names: Vec<_> = found_changes(json!({}), all).into_iter().map(|(name, ..)| name).collect();
        let expected = ["user-disabled", "administrator-granted", "multifactor-changed", "password-strength-decreased"];
        assert_eq!(names, expected);
    }

    #[test]
    fn users_are_created_and_deleted() {
        let ann = user(json!({"roles": ["admin"]}));
        let only = |previous, current| match &changes("7", previous, current)[..] {
            [change] => (change.action, change.key.clone(), change.target.clone()),
            other => panic!("{other:?}"),
        };
        let (key, target) = (vec!["7".to_owned()], Target::of(&ann));
        assert_eq!(only(None, Some(&ann)), (Action::UserCreated, key.clone(), target.clone()));
        assert_eq!(only(Some(&ann), None), (Action::UserDeleted, key, target));
        assert_eq!(changes("7", None, None), []);
    }
}
