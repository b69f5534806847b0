//! The changes of one shared folder, and of the access of its users.

use serde_json::Value;

use super::{
    document::{Action, Change, Details, FolderFields, Target},
    fields::{flag, found, number},
    rights::Rights,
};

/// The field that identifies a folder.
pub const FOLDER: &str = "lastpass.detailed_shared_folder.shared_folder.id";
/// The field that identifies a user of a folder. A folder without users has a document without it.
pub const USER: &str = "user.email";
/// The fields that identify an entry of a snapshot, in the order in which entries are compared.
pub const KEY: &[&str] = &[FOLDER, USER];
/// The fields that are compared, or shown in the documents of changes.
pub const FIELDS: &[&str] = &[
    "event.kind",
    USER,
    "lastpass.detailed_shared_folder.name",
    "lastpass.detailed_shared_folder.deleted",
    "lastpass.detailed_shared_folder.score",
    "lastpass.detailed_shared_folder.user.*",
];

/// The access of one user to a folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    target: Target,
    rights: Rights,
}

impl Share {
    /// Returns the access in the document of a snapshot.
    #[must_use]
    pub fn of(source: &Value) -> Self {
        Self { target: Target::of(source), rights: Rights::of(source) }
    }

    /// Adds another entry of the same user in the same folder.
    #[must_use]
    pub fn with(self, source: &Value) -> Self {
        Self { rights: self.rights.with(Rights::of(source)), ..self }
    }
}

/// A folder in both snapshots.
#[derive(Debug, Clone, PartialEq)]
pub struct Folder {
    id: String,
    name: Option<Value>,
    previous: Option<Facts>,
    current: Option<Facts>,
}

/// The compared values of a folder in one snapshot.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Facts {
    is_deleted: Option<bool>,
    score: Option<f64>,
}

impl Facts {
    fn of(source: &Value) -> Self {
        Self {
            is_deleted: flag(source, "/lastpass/detailed_shared_folder/deleted"),
            score: number(source, "/lastpass/detailed_shared_folder/score"),
        }
    }
}

impl Folder {
    /// Returns the folder with this ID, from one of its documents in each snapshot.
    #[must_use]
    pub fn new(id: &str, previous: Option<&Value>, current: Option<&Value>) -> Self {
        let name = |source: &Value| found(source, "/lastpass/detailed_shared_folder/name").cloned();
        Self {
            id: id.to_owned(),
            name: current.and_then(name).or_else(|| previous.and_then(name)),
            previous: previous.map(Facts::of),
            current: current.map(Facts::of),
        }
    }

    /// Returns the ID.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Compares the folder itself. The changes lack the numbers of its users: see [`Change::count_users`].
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        let (previous, current) = match (self.previous, self.current) {
            (Some(previous), Some(current)) => (previous, current),
            (None, Some(_)) => return vec![self.change(Action::FolderCreated, Details::default())],
            // The deletion was reported when the folder was marked as deleted.
            (Some(Facts { is_deleted: Some(true), .. }), None) | (None, None) => return Vec::new(),
            (Some(_), None) => return vec![self.change(Action::FolderDeleted, Details::default())],
        };
        let mut changes = Vec::new();
        let details = |field, before: String, after: String| Details {
            field: vec![field],
            previous: Some(before),
            current: Some(after),
            ..Details::default()
        };
        if let (Some(before), Some(after)) = (previous.is_deleted, current.is_deleted)
            && before != after
        {
            let action = if after { Action::FolderDeleted } else { Action::FolderRestored };
            changes.push(self.change(action, details("deleted", before.to_string(), after.to_string())));
        }
        if let (Some(before), Some(after)) = (previous.score, current.score)
            && after < before
        {
            let details = details("score", before.to_string(), after.to_string());
            changes.push(self.change(Action::FolderScoreDecreased, details));
        }
        changes
    }

    /// Compares the access of the user with this key.
    #[must_use]
    pub fn share_change(&self, user: &str, previous: Option<&Share>, current: Option<&Share>) -> Option<Change> {
        let (action, share, details) = match (previous, current) {
            (None, None) => return None,
            (None, Some(share)) => {
                (Action::ShareGranted, share, Details { rights: share.rights, ..Details::default() })
            }
            (Some(share), None) => {
                (Action::ShareRevoked, share, Details { previous_rights: share.rights, ..Details::default() })
            }
            (Some(before), Some(share)) => {
                let (previous_rights, rights) = (before.rights, share.rights);
                let field = previous_rights.changed(rights);
                if field.is_empty() {
                    return None;
                }
                (Action::ShareChanged, share, Details { field, rights, previous_rights, ..Details::default() })
            }
        };
        let key = vec![self.id.clone(), user.to_owned()];
        Some(Change { key, target: share.target.clone(), ..self.change(action, details) })
    }

    fn change(&self, action: Action, details: Details) -> Change {
        let shared_folder =
            FolderFields { id: Some(self.id.clone()), name: self.name.clone(), ..FolderFields::default() };
        let details = Details { shared_folder, ..details };
        Change { action, key: vec![self.id.clone()], target: Target::default(), details }
    }
}

impl Change {
    /// Sets how many users could and can read the folder.
    #[must_use]
    pub fn count_users(mut self, [previous, current]: [u64; 2]) -> Self {
        self.details.shared_folder.previous_users = Some(previous);
        self.details.shared_folder.users = Some(current);
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn folder(fields: Value) -> Value {
        json!({"lastpass": {"detailed_shared_folder": fields}})
    }

    fn found_changes(
        previous: Option<Value>,
        current: Option<Value>,
    ) -> Vec<(&'static str, Option<String>, Option<String>)> {
        let (previous, current) = (previous.map(folder), current.map(folder));
        let changes = Folder::new("9", previous.as_ref(), current.as_ref()).changes();
        changes.into_iter().map(|c| (c.action.words().0, c.details.previous, c.details.current)).collect()
    }

    #[test]
    fn folders_are_created_deleted_and_restored() {
        let named = |deleted: Value, score: Value| Some(json!({"name": "F", "deleted": deleted, "score": score}));
        let there = || named(json!(false), json!(90));
        let deleted = || named(json!(true), json!(90));
        let values = |before: &str, after: &str| (Some(before.to_owned()), Some(after.to_owned()));
        let one = |action, (before, after)| vec![(action, before, after)];
        assert_eq!(found_changes(None, there()), one("shared-folder-created", (None, None)));
        assert_eq!(found_changes(there(), None), one("shared-folder-deleted", (None, None)));
        assert_eq!(found_changes(there(), deleted()), one("shared-folder-deleted", values("false", "true")));
        assert_eq!(found_changes(deleted(), there()), one("shared-folder-restored", values("true", "false")));
        let lower = named(json!(false), json!(89.5));
        assert_eq!(found_changes(there(), lower.clone()), one("shared-folder-score-decreased", values("90", "89.5")));
        for (previous, current) in [
            (deleted(), None),
            (None, None),
            (there(), there()),
            (lower, there()),
            (named(json!(null), json!(null)), named(json!(true), json!(0))),
            (there(), named(json!("false"), json!("90.0"))),
        ] {
            assert_eq!(found_changes(previous.clone(), current.clone()), [], "{previous:?} {current:?}");
        }
    }

    fn share(rights: Value) -> Share {
        Share::of(&json!({"user": {"email": "bob@x.org"}, "lastpass": {"detailed_shared_folder": {"user": rights}}}))
    }

    #[test]
    fn access_is_granted_revoked_and_changed() {
        let f = Folder::new("9", Some(&folder(json!({"name": "Old"}))), Some(&folder(json!({"name": "New"}))));
        let found_changes = |previous: Option<Share>, current: Option<Share>| {
            f.share_change("bob@x.org", previous.as_ref(), current.as_ref()).map(|change| {
                assert_eq!(change.key, ["9", "bob@x.org"]);
                assert_eq!(change.target.email, Some(json!("bob@x.org")));
                assert_eq!(change.details.shared_folder.name, Some(json!("New")));
                let rights = |rights: Rights| serde_json::to_value(rights).expect("JSON");
                let Details { field, rights: after, previous_rights, .. } = change.details;
                (change.action.words().0, field, rights(previous_rights), rights(after))
            })
        };
        let (reader, admin) = (json!({"read_only": true, "give": false}), json!({"read_only": false, "give": false}));
        let (none, of) = (json!({}), |rights: &Value| Some(share(rights.clone())));
        assert_eq!(found_changes(None, of(&reader)), Some(("share-granted", vec![], none.clone(), reader.clone())));
        assert_eq!(found_changes(of(&reader), None), Some(("share-revoked", vec![], reader.clone(), none)));
        let changed = Some(("share-changed", vec!["read_only"], reader.clone(), admin.clone()));
        assert_eq!(found_changes(of(&reader), of(&admin)), changed);
        assert_eq!(found_changes(of(&reader), of(&json!({"read_only": "true", "give": null}))), None);
        assert_eq!(found_changes(of(&json!({"super_admin": null})), of(&json!({"super_admin": true}))), None);
        assert_eq!(found_changes(None, None), None);
    }

    #[test]
    fn a_user_who_is_listed_twice_has_the_rights_of_both() {
        let second = json!({"lastpass": {"detailed_shared_folder": {"user":
            {"read_only": false, "give": false, "can_administer": true}}}});
        let both = share(json!({"read_only": true, "give": true})).with(&second);
        assert_eq!(both.rights, Rights([Some(false), Some(true), Some(true), None]));
    }
}
