//! `getuserdata`: users in pages by index.

use serde_json::{Value, json};

use crate::answer::{Answer, EMPTY_MAP, Page, PageAsked, push_map};
use crate::entries::Entry;
use crate::json::push_string;
use crate::quirks::Quirks;
use crate::user_dates;
use crate::world::World;

/// The `password` in the `attribs` of users.
pub const USER_PASSWORD: &str = "attribs-password-of-a-user";

/// Returns the current users as they are served.
pub(crate) fn truth(world: &World, quirks: &Quirks) -> Vec<(String, Value)> {
    let shown = |user: &Entry| serde_json::from_str(&user_dates::shown(&user.text, quirks)).unwrap_or_default();
    world.users.current().map(|user| (user.key.clone(), shown(user))).collect()
}

/// Answers one request.
pub(crate) fn answer(world: &World, data: &Value, quirks: &Quirks) -> Answer {
    let users: Vec<&Entry> = world.users.current().collect();
    let cap = quirks.user_page_cap.max(1);
    let asked = PageAsked::read(data).unwrap_or(PageAsked { size: cap, index: 0 });
    let range = asked.range(cap, users.len(), quirks);
    let more = range.end < users.len();
    let page = &users[range];

    let served = |(place, user): (usize, &&Entry)| match quirks.user_passwords {
        true => user_dates::shown(&with_password(&user.value, place).to_string(), quirks),
        false => user_dates::shown(&user.text, quirks),
    };
    let shown: Vec<String> = page.iter().enumerate().map(served).collect();
    let mut out = String::with_capacity(256 + shown.iter().map(|user| user.len() + 16).sum::<usize>());
    out.push('{');
    if !quirks.totals_absent {
        for (name, value) in [("total", users.len()), ("count", page.len())] {
            let value = value.to_string();
            push_string(&mut out, name);
            out.push(':');
            if quirks.totals_as_strings {
                push_string(&mut out, &value);
            } else {
                out.push_str(&value);
            }
            out.push(',');
        }
    }
    out.push_str("\"Users\":");
    push_map(&mut out, page.iter().zip(&shown).map(|(user, shown)| (user.key.as_str(), shown.as_str())));
    out.push_str(",\"Groups\":");
    if world.groups.is_empty() {
        out.push_str(EMPTY_MAP);
    } else {
        out.push_str(&json!(world.groups).to_string());
    }
    out.push_str(",\"Invited\":");
    out.push_str(&json!(world.invited).to_string());
    out.push('}');
    Answer::Page(Page { body: out, records: page.len(), more })
}

/// Returns a user with attributes, in each of PHP's forms in turn.
fn with_password(user: &Value, place: usize) -> Value {
    let mut user = user.clone();
    let attribs = json!({"password": USER_PASSWORD, "department": "Ops"});
    if let Some(fields) = user.as_object_mut() {
        let attribs = match place % 3 {
            0 => attribs,
            1 => json!([attribs]),
            _ => Value::from(attribs.to_string()),
        };
        fields.insert("attribs".to_owned(), attribs);
    }
    user
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn body(world: &World, data: &Value, quirks: &Quirks) -> Value {
        match answer(world, data, quirks) {
            Answer::Page(page) => serde_json::from_str(&page.body).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn five() -> World {
        let mut world = World::default();
        for key in 0..5 {
            world.users.put(key.to_string(), json!({"username": format!("u{key}@example.com")}));
        }
        world
    }

    #[test]
    fn pages_by_index_give_every_user_once() {
        for size in 1..=6 {
            let mut keys = Vec::new();
            for index in 0.. {
                let page = body(&five(), &json!({"pagesize": size, "pageindex": index}), &Quirks::default());
                assert_eq!(page["total"], 5);
                let Value::Object(users) = &page["Users"] else {
                    assert_eq!((&page["Users"], &page["count"]), (&json!([]), &json!(0)));
                    break;
                };
                assert_eq!(page["count"], users.len());
                keys.extend(users.keys().cloned());
            }
            assert_eq!(keys, ["0", "1", "2", "3", "4"]);
        }
    }

    #[test]
    fn the_smaller_of_cap_and_page_size_applies_and_totals_follow_their_switches() {
        let quirks = Quirks { user_page_cap: 2, totals_as_strings: true, ..Quirks::default() };
        let page = body(&five(), &json!({"pagesize": "2000", "pageindex": "2"}), &quirks);
        assert_eq!((&page["total"], &page["count"]), (&json!("5"), &json!("1")));
        assert_eq!(page["Users"]["4"]["username"], "u4@example.com");
        let quirks = Quirks { totals_absent: true, ..Quirks::default() };
        let page = body(&five(), &json!({"pagesize": 2, "pageindex": 0}), &quirks);
        assert_eq!((page.get("total"), page.get("count")), (None, None));
    }
}
