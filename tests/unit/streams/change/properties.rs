//! Properties of any two snapshots: applying the changes between them to the first one gives the second.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

use super::{
    super::testing::{mapper, snapshot, stamps},
    Change, Documents, Pair,
    document::Action,
    folders::{Folder, Share},
    users,
};
use crate::{document::Stream, streams::Snapshot};

#[derive(Debug, Clone, PartialEq)]
struct User {
    disabled: bool,
    admin: bool,
    multifactor: Option<&'static str>,
    strength: u8,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Rights {
    read_only: bool,
    give: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct SharedFolder {
    deleted: bool,
    score: u8,
    readers: BTreeMap<u8, Rights>,
}

fn user() -> impl Strategy<Value = User> {
    let multifactor = select(vec![None, Some("duo"), Some("yubikey")]);
    (any::<bool>(), any::<bool>(), multifactor, 0..4_u8).prop_map(|(disabled, admin, multifactor, strength)| User {
        disabled,
        admin,
        multifactor,
        strength,
    })
}

fn folder() -> impl Strategy<Value = SharedFolder> {
    let rights = (any::<bool>(), any::<bool>()).prop_map(|(read_only, give)| Rights { read_only, give });
    (any::<bool>(), 0..4_u8, prop::collection::btree_map(0..4_u8, rights, 0..4))
        .prop_map(|(deleted, score, readers)| SharedFolder { deleted, score, readers })
}

fn snapshot_of<E: std::fmt::Debug>(entry: impl Strategy<Value = E>) -> impl Strategy<Value = BTreeMap<u8, E>> {
    prop::collection::btree_map(0..6_u8, entry, 0..6)
}

/// Returns all keys of both snapshots.
fn keys<'s, E>(previous: &'s BTreeMap<u8, E>, current: &'s BTreeMap<u8, E>) -> BTreeSet<&'s u8> {
    previous.keys().chain(current.keys()).collect()
}

/// Spells a value as it is, as a text or as a list, as LastPass and synthetic `_source` do.
fn spelled(value: Value, spelling: u8) -> Value {
    match (spelling % 3, value) {
        (1, Value::Bool(flag)) => json!(flag.to_string()),
        (1, Value::Number(number)) => json!(number.to_string()),
        (2, Value::String(text)) => json!([text]),
        (_, value) => value,
    }
}

impl User {
    fn source(&self, key: u8, spelling: u8) -> Value {
        let mut source = json!({
            "user": {"id": key.to_string(), "email": format!("{key}@x.org")},
            "lastpass": {"user": {
                "disabled": spelled(json!(self.disabled), spelling),
                "master_password_strength": spelled(json!(self.strength), spelling),
            }},
        });
        if self.admin {
            source["user"]["roles"] = spelled(json!("admin"), spelling);
        }
        if let Some(multifactor) = self.multifactor {
            source["lastpass"]["user"]["multifactor"] = spelled(json!(multifactor), spelling);
        }
        source
    }
}

impl SharedFolder {
    fn source(&self, spelling: u8) -> Value {
        json!({"lastpass": {"detailed_shared_folder": {
            "deleted": spelled(json!(self.deleted), spelling), "score": spelled(json!(self.score), spelling),
        }}})
    }
}

impl Rights {
    fn source(self, reader: u8, spelling: u8) -> Value {
        json!({"user": {"email": format!("{reader}@x.org")}, "lastpass": {"detailed_shared_folder": {"user": {
            "read_only": spelled(json!(self.read_only), spelling), "give": spelled(json!(self.give), spelling),
        }}}})
    }

    /// Reads the rights in a change.
    fn of(rights: super::rights::Rights) -> Self {
        let rights = serde_json::to_value(rights).expect("JSON");
        Self { read_only: rights["read_only"] == true, give: rights["give"] == true }
    }
}

/// Applies `changes` to a user. The change for a new user has no details, so the result is `new`.
fn apply(user: Option<User>, changes: &[Change], new: Option<&User>) -> Option<User> {
    changes.iter().fold(user, |user, change| {
        let value = change.details.current.as_deref();
        match (change.action, user) {
            (Action::UserCreated, None) => new.cloned(),
            (Action::UserDeleted, Some(_)) => None,
            (Action::UserDisabled, Some(user)) => Some(User { disabled: true, ..user }),
            (Action::UserEnabled, Some(user)) => Some(User { disabled: false, ..user }),
            (Action::AdministratorGranted, Some(user)) => Some(User { admin: true, ..user }),
            (Action::AdministratorRevoked, Some(user)) => Some(User { admin: false, ..user }),
            (Action::MultifactorChanged, Some(user)) => {
                let multifactor = value.and_then(|value| ["duo", "yubikey"].into_iter().find(|known| *known == value));
                Some(User { multifactor, ..user })
            }
            (Action::PasswordStrengthDecreased, Some(user)) => {
                Some(User { strength: value.and_then(|value| value.parse().ok()).expect("a strength"), ..user })
            }
            (action, user) => panic!("{action:?} of {user:?}"),
        }
    })
}

/// Compares a folder and its readers, as a comparison of snapshots does.
fn folder_changes(key: u8, previous: Option<&SharedFolder>, current: Option<&SharedFolder>) -> Vec<Change> {
    let source = |folder: Option<&SharedFolder>, spelling| folder.map(|folder| folder.source(spelling));
    let (before, after) = (source(previous, 0), source(current, 1));
    let folder = Folder::new(&key.to_string(), before.as_ref(), after.as_ref());
    let share = |folder: Option<&SharedFolder>, reader, spelling| {
        Some(Share::of(&folder?.readers.get(&reader)?.source(reader, spelling)))
    };
    let shares = (0..4).filter_map(|reader| {
        let (before, after) = (share(previous, reader, 0), share(current, reader, 1));
        folder.share_change(&format!("{reader}@x.org"), before.as_ref(), after.as_ref())
    });
    folder.changes().into_iter().chain(shares).collect()
}

/// Checks that no two changes have the same `_id`, and that a retry has the same ones.
fn check_ids(stream: Stream, changes: &[Change]) -> Result<(), TestCaseError> {
    let later = Snapshot { scheduled_time: snapshot().scheduled_time + SignedDuration::from_hours(24), ..snapshot() };
    let (mapper, pair) = (mapper(), Pair { stream, previous: snapshot(), current: later });
    let ids = |sent| -> BTreeSet<String> {
        let documents = Documents::new(&mapper, pair, sent);
        changes.iter().map(|change| documents.document(change).id.to_string()).collect()
    };
    let first = ids(stamps().created);
    prop_assert_eq!(first.len(), changes.len());
    prop_assert_eq!(first, ids(stamps().created + SignedDuration::from_hours(1)));
    Ok(())
}

proptest! {
    #[test]
    fn the_changes_of_users_lead_from_one_snapshot_to_the_other(
        previous in snapshot_of(user()),
        current in snapshot_of(user()),
        spellings in [0..3_u8, 0..3_u8],
    ) {
        let mut all = Vec::new();
        for &key in keys(&previous, &current) {
            let (before, after) = (previous.get(&key), current.get(&key));
            let source = |user: Option<&User>, spelling| user.map(|user| user.source(key, spelling));
            let [before_source, after_source] = [source(before, spellings[0]), source(after, spellings[1])];
            let changes = users::changes(&key.to_string(), before_source.as_ref(), after_source.as_ref());
            // A password that becomes stronger is no change.
            let expected = after.map(|after| User {
                strength: before.map_or(after.strength, |before| before.strength.min(after.strength)),
                ..after.clone()
            });
            prop_assert_eq!(apply(before.cloned(), &changes, after), expected);
            all.extend(changes);
        }
        check_ids(Stream::User, &all)?;
    }

    #[test]
    fn the_changes_of_folders_lead_from_one_snapshot_to_the_other(
        previous in snapshot_of(folder()),
        current in snapshot_of(folder()),
    ) {
        let mut all = Vec::new();
        for &key in keys(&previous, &current) {
            let (before, after) = (previous.get(&key), current.get(&key));
            let changes = folder_changes(key, before, after);
            let mut readers = before.map(|folder| folder.readers.clone()).unwrap_or_default();
            let (mut deleted, mut score) = before.map_or((true, u8::MAX), |folder| (folder.deleted, folder.score));
            for change in &changes {
                let reader = change.key.get(1).and_then(|user| user.split('@').next()?.parse().ok());
                let rights = Rights::of(change.details.rights);
                match (change.action, reader) {
                    (Action::ShareGranted, Some(reader)) => prop_assert_eq!(readers.insert(reader, rights), None),
                    (Action::ShareRevoked, Some(reader)) => prop_assert!(readers.remove(&reader).is_some()),
                    (Action::ShareChanged, Some(reader)) => {
                        let old = readers.insert(reader, rights).expect("a reader");
                        let changed = [("read_only", old.read_only != rights.read_only), ("give", old.give != rights.give)];
                        let names = changed.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name);
                        prop_assert_eq!(&change.details.field, &names.collect::<Vec<_>>());
                    }
                    (Action::FolderCreated, None) => {
                        prop_assert!(before.is_none());
                        (deleted, score) = after.map(|folder| (folder.deleted, folder.score)).expect("a folder");
                    }
                    (Action::FolderDeleted, None) => deleted = true,
                    (Action::FolderRestored, None) => deleted = false,
                    (Action::FolderScoreDecreased, None) => {
                        score = change.details.current.as_deref().and_then(|score| score.parse().ok()).expect("a score");
                    }
                    (action, reader) => panic!("{action:?} of {reader:?}"),
                }
            }
            prop_assert_eq!(readers, after.map(|folder| folder.readers.clone()).unwrap_or_default());
            prop_assert_eq!(deleted, after.is_none_or(|folder| folder.deleted));
            if let (Some(before), Some(after)) = (before, after) {
                // A score that increases is no change.
                prop_assert_eq!(score, before.score.min(after.score));
            }
            all.extend(changes);
        }
        check_ids(Stream::DetailedSharedFolder, &all)?;
    }
}
