//! Changes the users and shared folders of a company between two snapshots, and records the history of these changes.
//!
//! Each entry changes in at most one way at a time, so that the history states every difference. In addition, some values
//! only change their spelling, as PHP does, and some fields change that the history does not cover.

use serde_json::{Map, Value, json};

use crate::rng::Rng;
use crate::world::World;

/// One recorded change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Happening {
    /// The kind of change, such as `share-granted`.
    pub action: &'static str,
    /// The key of the user or folder.
    pub key: String,
    /// The address of the user.
    pub user: Option<String>,
    /// The field or right that changed.
    pub field: Option<String>,
    /// Its value before, and after.
    pub values: [Option<String>; 2],
    /// How many users the folder had before, and has after.
    pub users: Option<[usize; 2]>,
}

/// The rights of a user in a folder, with the names of their fields.
const RIGHTS: [&str; 3] = ["readonly", "give", "can_administer"];
const FACTORS: [&str; 4] = ["", "lastpassauth", "duo", "yubikey"];

impl World {
    /// Changes about `count` users and as many folders at random, and returns what happened.
    pub fn turn_over(&mut self, seed: u64, count: usize) -> Vec<Happening> {
        let mut rng = Rng::new(seed);
        let mut happened = Vec::new();
        for key in picked(&mut rng, self.users.iter().map(|(key, _)| key.to_owned()).collect(), count) {
            self.change_user(&mut rng, &key, &mut happened);
        }
        for key in picked(&mut rng, self.folders.iter().map(|(key, _)| key.to_owned()).collect(), count) {
            self.change_folder(&mut rng, &key, &mut happened);
        }
        happened
    }

    fn change_user(&mut self, rng: &mut Rng, key: &str, happened: &mut Vec<Happening>) {
        let Some(mut user) = self.users.iter().find(|(other, _)| *other == key).map(|(_, user)| user.clone()) else {
            return;
        };
        let address = user["username"].as_str().unwrap_or_default().to_owned();
        let mut record = |action, field: Option<&str>, values: [Option<String>; 2]| {
            let field = field.map(str::to_owned);
            happened.push(Happening {
                action,
                key: key.to_owned(),
                user: Some(address.clone()),
                field,
                values,
                users: None,
            });
        };
        match rng.below(9) {
            0 => {
                self.users.remove(key);
                return record("user-deleted", None, [None, None]);
            }
            1 => {
                let number = 1_000_000 + rng.below(1_000_000_000);
                let new = json!({
                    "username": format!("new{number}@example.com"), "fullname": "New", "mpstrength": "50",
                    "disabled": false, "admin": rng.chance(0.3), "multifactor": "",
                });
                let user = new["username"].as_str().map(str::to_owned);
                self.users.put(number.to_string(), new);
                let (key, values) = (number.to_string(), [None, None]);
                return happened.push(Happening {
                    action: "user-created",
                    key,
                    user,
                    field: None,
                    values,
                    users: None,
                });
            }
            2 => {
                let before = is_set(&user["disabled"]);
                user["disabled"] = flag(rng, !before);
                let action = if before { "user-enabled" } else { "user-disabled" };
                record(action, Some("disabled"), [Some(before.to_string()), Some((!before).to_string())]);
            }
            3 => {
                let before = is_set(&user["admin"]);
                user["admin"] = flag(rng, !before);
                let role = |is: bool| is.then(|| "admin".to_owned());
                let action = if before { "administrator-revoked" } else { "administrator-granted" };
                record(action, Some("roles"), [role(before), role(!before)]);
            }
            4 => {
                let before = user["multifactor"].as_str().unwrap_or_default().to_owned();
                let others: Vec<&str> = FACTORS.into_iter().filter(|factor| *factor != before).collect();
                let after = *rng.pick(&others);
                user["multifactor"] = after.into();
                let value = |text: &str| (!text.is_empty()).then(|| text.to_owned());
                record("multifactor-changed", Some("multifactor"), [value(&before), value(after)]);
            }
            5 => {
                let before: usize = user["mpstrength"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
                if before > 0 {
                    let after = rng.below(before);
                    user["mpstrength"] = after.to_string().into();
                    let values = [Some(before.to_string()), Some(after.to_string())];
                    record("password-strength-decreased", Some("master_password_strength"), values);
                }
            }
            6 => user["mpstrength"] = "100".into(),
            7 => user["disabled"] = flag(rng, is_set(&user["disabled"])),
            _ => user["fullname"] = format!("Renamed {}", rng.below(1_000)).into(),
        }
        self.users.put(key, user);
    }

    fn change_folder(&mut self, rng: &mut Rng, key: &str, happened: &mut Vec<Happening>) {
        let Some(mut folder) = self.folders.iter().find(|(other, _)| *other == key).map(|(_, folder)| folder.clone())
        else {
            return;
        };
        let mut members = members(&folder);
        let count = members.len();
        let happening = |action, key: &str, user: Option<String>, field: Option<&str>, values, users| {
            let (key, field) = (key.to_owned(), field.map(str::to_owned));
            Happening { action, key, user, field, values, users: Some(users) }
        };
        let none = [None, None];
        match rng.below(10) {
            0 => {
                self.folders.remove(key);
                if !is_set(&folder["deleted"]) {
                    happened.push(happening("shared-folder-deleted", key, None, None, none.clone(), [count, 0]));
                }
                for user in members.iter().map(name) {
                    happened.push(happening("share-revoked", key, Some(user), None, none.clone(), [count, 0]));
                }
                return;
            }
            1 => {
                let number = (1_000_000 + rng.below(1_000_000_000)).to_string();
                let users: Vec<Value> = (0..rng.below(4)).map(|user| member(rng, user)).collect();
                happened.push(happening("shared-folder-created", &number, None, None, none.clone(), [0, users.len()]));
                for user in users.iter().map(name) {
                    happened.push(happening(
                        "share-granted",
                        &number,
                        Some(user),
                        None,
                        none.clone(),
                        [0, users.len()],
                    ));
                }
                let new = json!({"sharedfoldername": "New", "score": 50, "deleted": false, "users": users});
                self.folders.put(number, new);
                return;
            }
            2 => {
                let before = is_set(&folder["deleted"]);
                folder["deleted"] = flag(rng, !before);
                let action = if before { "shared-folder-restored" } else { "shared-folder-deleted" };
                let values = [Some(before.to_string()), Some((!before).to_string())];
                happened.push(happening(action, key, None, Some("deleted"), values, [count, count]));
            }
            3 => {
                let score = &folder["score"];
                let before = score.as_u64().or_else(|| score.as_str()?.parse().ok()).unwrap_or(0) as usize;
                if before > 0 {
                    let after = rng.below(before);
                    folder["score"] = after.into();
                    let values = [Some(before.to_string()), Some(after.to_string())];
                    happened.push(happening(
                        "shared-folder-score-decreased",
                        key,
                        None,
                        Some("score"),
                        values,
                        [count, count],
                    ));
                }
            }
            4 => folder["score"] = 100.into(),
            5 => folder["sharedfoldername"] = format!("Renamed {}", rng.below(1_000)).into(),
            6 => {
                let number = 1_000 + rng.below(1_000_000);
                let new = member(rng, number);
                happened.push(happening("share-granted", key, Some(name(&new)), None, none, [count, count + 1]));
                members.push(new);
            }
            7 if count > 0 => {
                let gone = members.remove(rng.below(count));
                happened.push(happening("share-revoked", key, Some(name(&gone)), None, none, [count, count - 1]));
            }
            8 if count > 0 => {
                let (at, right) = (rng.below(count), *rng.pick(&RIGHTS));
                let before = is_set(&members[at][right]);
                members[at][right] = flag(rng, !before);
                let values = [Some(before.to_string()), Some((!before).to_string())];
                let user = Some(name(&members[at]));
                happened.push(happening("share-changed", key, user, Some(right), values, [count, count]));
            }
            _ if count > 0 => members[0]["sites"] = json!(["another.example"]),
            _ => {}
        }
        // As a list or, in PHP's spelling of a list with a gap, as a map.
        folder["users"] = match rng.chance(0.3) && !members.is_empty() {
            true => Value::Object(
                members.into_iter().enumerate().map(|(at, user)| (at.to_string(), user)).collect::<Map<_, _>>(),
            ),
            false => Value::from(members),
        };
        self.folders.put(key, folder);
    }
}

/// Returns up to `count` distinct elements of `keys`.
fn picked(rng: &mut Rng, mut keys: Vec<String>, count: usize) -> Vec<String> {
    rng.shuffle(&mut keys);
    keys.truncate(count);
    keys
}

/// Returns the entries of the users of a folder.
fn members(folder: &Value) -> Vec<Value> {
    match folder.get("users") {
        Some(Value::Array(users)) => users.clone(),
        Some(Value::Object(users)) => users.values().cloned().collect(),
        _ => Vec::new(),
    }
}

fn name(member: &Value) -> String {
    member["username"].as_str().unwrap_or_default().to_owned()
}

fn member(rng: &mut Rng, number: usize) -> Value {
    json!({
        "username": format!("member{number}@example.org"), "superadmin": 0, "readonly": flag(rng, true),
        "give": flag(rng, false), "can_administer": flag(rng, false), "sites": [],
    })
}

/// Returns whether a flag is set, in any of PHP's spellings.
fn is_set(flag: &Value) -> bool {
    match flag {
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => text == "1" || text == "true",
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// Returns a flag in one of PHP's spellings.
fn flag(rng: &mut Rng, set: bool) -> Value {
    match rng.below(3) {
        0 => Value::from(set),
        1 => Value::from(u8::from(set)),
        _ => Value::from(u8::from(set).to_string()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::company::CompanySize;

    #[test]
    fn every_kind_of_change_occurs_and_equal_seeds_give_equal_histories() {
        let size = CompanySize { events: 0, users: 60, folders: 40, ..CompanySize::default() };
        let history = || {
            let mut world = World::company(2, &size, "2026-01-01T00:00:00Z".parse().unwrap());
            (0..30).flat_map(|seed| world.turn_over(seed, 15)).collect::<Vec<_>>()
        };
        assert_eq!(history(), history());
        let actions: BTreeSet<&str> = history().iter().map(|happening| happening.action).collect();
        assert_eq!(actions.len(), 15, "{actions:?}");
    }
}
