//! The users and shared folders of a company, in the JSON forms of LastPass's PHP.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::actions::{folder_name, group_name, site};
use crate::company::{Company, CompanySize};
use crate::user_dates;
use crate::world::World;

/// Share of entries whose flags and numbers have PHP's spellings.
const PHP_SHARE: f64 = 0.25;
/// The action of a login.
const LOGIN: &str = "Log in";
/// The first key of users. Keys of folders begin at ten times this value.
const FIRST_KEY: usize = 100_001;

/// Fills in users, groups, invitations and folders.
pub(crate) fn fill(world: &mut World, company: &mut Company, size: &CompanySize, now: Timestamp) {
    let logins = last_logins(world);
    for number in 0..size.users {
        let mut user = user(company, number, now);
        let login = user["username"].as_str().and_then(|username| logins.get(username));
        if let (Some(login), false) = (login, user["neverloggedin"] == true) {
            user["last_login"] = user_dates::to_stored(*login).into();
        }
        if let (Some(Value::Array(groups)), Some(username)) = (user.get("groups"), user["username"].as_str()) {
            for group in groups.iter().filter_map(Value::as_str) {
                world.groups.entry(group.to_owned()).or_default().push(username.to_owned());
            }
        }
        world.users.put((FIRST_KEY + number).to_string(), user);
    }
    world.invited = (0..size.users / 50).map(|number| format!("invited{number}@example.com")).collect();
    for number in 0..size.folders {
        let folder = folder(company, size.max_folder_users);
        world.folders.put((FIRST_KEY * 10 + number).to_string(), folder);
    }
}

/// Returns the last login of each user.
fn last_logins(world: &World) -> HashMap<String, Timestamp> {
    let logins = world.events.iter().filter(|event| &*event.action == LOGIN);
    // Oldest first, so that the last login remains.
    logins.map(|event| (event.username.to_string(), event.instant)).collect()
}

/// Returns a number, as a number or as a string like PHP's.
fn number(company: &mut Company, end: usize) -> Value {
    let value = company.rng().below(end);
    if company.rng().chance(PHP_SHARE) { Value::from(value.to_string()) } else { Value::from(value) }
}

/// Returns a flag: `true`, or one of PHP's spellings.
fn flag(company: &mut Company, probability: f64) -> Value {
    let set = company.rng().chance(probability);
    if !company.rng().chance(PHP_SHARE) {
        return Value::from(set);
    }
    match company.rng().below(3) {
        0 => Value::from(u8::from(set)),
        1 => Value::from(u8::from(set).to_string()),
        _ => Value::from(set.to_string()),
    }
}

fn time(company: &mut Company, now: Timestamp) -> String {
    let back = SignedDuration::from_secs(company.rng().below(3 * 365 * 86_400) as i64);
    user_dates::to_stored(now.saturating_sub(back).unwrap_or(now))
}

fn user(company: &mut Company, index: usize, now: Timestamp) -> Value {
    let never = company.rng().chance(0.06);
    let (username, full_name) = {
        let person = &company.people[index];
        (person.username.to_string(), person.full_name.clone())
    };
    let last_login = match company.rng().below(2) {
        _ if !never => Value::from(time(company, now)),
        0 => Value::Null,
        _ => Value::from(""),
    };
    let mut user = json!({
        "username": username,
        "fullname": if company.rng().chance(0.05) { String::new() } else { full_name },
        "mpstrength": company.rng().below(101).to_string(),
        "created": time(company, now),
        "last_pw_change": time(company, now),
        "last_login": last_login,
        "neverloggedin": never,
        "disabled": flag(company, 0.04),
        "admin": flag(company, 0.03),
        "duousername": if company.rng().chance(0.1) { Value::from(format!("duo{index}")) } else { Value::from("") },
        "totalscore": format!("{}.{}", company.rng().below(100), company.rng().below(10)),
        "legacytotalscore": company.rng().below(101).to_string(),
        "hash": format!("{:016x}", company.rng().next()),
        "linked": if company.rng().chance(0.3) { Value::from("1") } else { Value::Null },
        "sites": number(company, 400),
        "notes": number(company, 60),
        "formfills": number(company, 5),
        "applications": number(company, 5),
        "attachments": number(company, 9),
        "password_reset_required": flag(company, 0.02),
        "multifactor": if company.rng().chance(0.7) { "lastpassauth" } else { "" },
    });
    let groups = match company.rng().below(10) {
        0 => Some(json!([])),
        1 => None,
        2 => Some(json!("")),
        _ => {
            let mut groups: Vec<&str> = (0..1 + company.rng().below(3)).map(|_| group_name(company)).collect();
            groups.sort_unstable();
            groups.dedup();
            Some(json!(groups))
        }
    };
    if let Some(groups) = groups {
        user["groups"] = groups;
    }
    user
}

fn folder(company: &mut Company, max_users: usize) -> Value {
    let mut folder = json!({
        "sharedfoldername": folder_name(company),
        "score": number(company, 101),
        "deleted": flag(company, 0.05),
    });
    let count = company.rng().below(max_users + 1);
    let everyone = company.people.len();
    let first = company.rng().below(everyone);
    let users: Vec<Value> = (0..count).map(|offset| member(company, first + offset)).collect();
    let form = company.rng().below(10);
    match (users.is_empty(), form) {
        (true, 0..5) => {}
        (false, 0..2) => folder["users"] = numbered(users),
        (true, _) | (false, _) => folder["users"] = Value::from(users),
    }
    folder
}

/// Returns a list as PHP writes one with a gap in its indices: as a map.
fn numbered(values: Vec<Value>) -> Value {
    let map: Map<String, Value> =
        values.into_iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect();
    Value::Object(map)
}

fn member(company: &mut Company, index: usize) -> Value {
    let index = index % company.people.len();
    let mut member = json!({
        "username": company.people[index].username.to_string(),
        "superadmin": u8::from(company.rng().chance(0.05)),
        "readonly": flag(company, 0.4),
        "give": flag(company, 0.6),
        "can_administer": flag(company, 0.2),
    });
    let sites: Vec<Value> = (0..company.rng().below(5)).map(|_| Value::from(site(company))).collect();
    match company.rng().below(10) {
        0 => {}
        1 if !sites.is_empty() => member["sites"] = numbered(sites),
        _ => member["sites"] = Value::from(sites),
    }
    member
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::world::folder_users;

    fn world() -> World {
        let size = CompanySize { events: 0, users: 400, folders: 300, max_folder_users: 12, ..CompanySize::default() };
        World::company(3, &size, "2025-11-10T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn users_and_folders_come_in_every_documented_form() {
        let world = world();
        assert_eq!((world.users.len(), world.folders.len()), (400, 300));
        let form = |value: Option<&Value>| match value {
            None => "absent",
            Some(Value::Null) => "null",
            Some(Value::Bool(_)) => "bool",
            Some(Value::Number(_)) => "number",
            Some(Value::String(text)) if text.is_empty() => "empty",
            Some(Value::String(_)) => "string",
            Some(Value::Array(items)) if items.is_empty() => "no list",
            Some(Value::Array(_)) => "list",
            Some(Value::Object(_)) => "map",
        };
        let users: Vec<Value> = world.users.iter().map(|(_, user)| user.clone()).collect();
        let folders: Vec<Value> = world.folders.iter().map(|(_, folder)| folder.clone()).collect();
        let members: Vec<Value> = folders.iter().filter_map(|f| f["users"].as_array()).flatten().cloned().collect();
        let cases: [(&[Value], &str, &[&str]); 7] = [
            (&users, "groups", &["absent", "empty", "no list", "list"]),
            (&users, "last_login", &["null", "empty", "string"]),
            (&users, "disabled", &["bool", "number", "string"]),
            (&users, "sites", &["number", "string"]),
            (&folders, "users", &["absent", "no list", "list", "map"]),
            (&members, "sites", &["absent", "no list", "list", "map"]),
            (&members, "give", &["bool", "number", "string"]),
        ];
        for (entries, field, forms) in cases {
            for expected in forms {
                assert!(entries.iter().any(|entry| form(entry.get(field)) == *expected), "{field}: {expected}");
            }
        }
    }

    #[test]
    fn a_folder_makes_a_document_for_each_user_and_one_without() {
        let world = world();
        let counts: Vec<usize> = world.folders.iter().map(|(_, folder)| folder_users(folder)).collect();
        assert!(counts.contains(&0) && counts.contains(&12) && counts.iter().all(|count| *count <= 12));
        let expected = counts.iter().sum::<usize>() + counts.iter().filter(|count| **count == 0).count();
        assert_eq!(world.folder_documents(), expected);
    }
}
