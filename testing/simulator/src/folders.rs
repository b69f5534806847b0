//! `getdetailedsfdata`: shared folders, all at once or in pages by index.

use std::borrow::Cow;

use serde_json::Value;

use crate::answer::{Answer, Page, PageAsked, push_map, truthy};
use crate::entries::Entry;
use crate::quirks::{FolderPaging, Quirks};
use crate::world::World;

/// Answers one request. `"all"`, or a request without `pagesize`, returns all folders.
pub(crate) fn answer(world: &World, data: &Value, quirks: &Quirks) -> Answer {
    let folders: Vec<&Entry> = world.folders.current().collect();
    let asked = match quirks.folder_paging {
        FolderPaging::Honoured => PageAsked::read(data),
        FolderPaging::Ignored => None,
    };
    let range = match asked {
        Some(asked) => asked.range(quirks.folder_page_cap.unwrap_or(usize::MAX), folders.len(), quirks),
        None => 0..folders.len(),
    };
    let more = range.end < folders.len();
    let page = &folders[range];
    // The documented `"all"`, alone or together with paging.
    let is_all = [Some(data), data.get("data")].iter().flatten().any(|data| data.as_str() == Some("all"));
    let texts: Vec<Cow<'_, str>> = page
        .iter()
        .map(|folder| match is_all {
            true => Cow::Borrowed(folder.text.as_str()),
            false => Cow::Owned(without_super_admins(&folder.value).to_string()),
        })
        .collect();

    let entries = page.iter().zip(&texts).map(|(folder, text)| (folder.key.as_str(), text.as_ref()));
    let mut out = String::with_capacity(64 + texts.iter().map(|text| text.len() + 16).sum::<usize>());
    push_map(&mut out, entries);
    Answer::Page(Page { body: out, records: page.len(), more })
}

/// Returns a folder as a request without `"all"` sees it.
fn without_super_admins(folder: &Value) -> Value {
    let mut folder = folder.clone();
    let stays = |user: &Value| !user.get("superadmin").is_some_and(truthy);
    match folder.get_mut("users") {
        Some(Value::Array(users)) => users.retain(stays),
        Some(Value::Object(users)) if users.values().all(Value::is_object) => users.retain(|_, user| stays(user)),
        _ => {}
    }
    folder
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::quirks::PagesCounted;

    fn body(world: &World, data: &Value, quirks: &Quirks) -> String {
        match answer(world, data, quirks) {
            Answer::Page(page) => page.body,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn capped_pages_are_counted_by_either_size() {
        let mut world = World::default();
        for key in ["1", "2", "3", "4", "5"] {
            world.folders.put(key, json!(key));
        }
        let page = |index: usize, pages_counted| {
            let quirks = Quirks { folder_page_cap: Some(2), pages_counted, ..Quirks::default() };
            body(&world, &json!({"data": "all", "pagesize": 3, "pageindex": index}), &quirks)
        };
        assert_eq!(page(1, PagesCounted::Given), r#"{"3":"3","4":"4"}"#);
        assert_eq!(page(2, PagesCounted::Given), r#"{"5":"5"}"#);
        assert_eq!(page(1, PagesCounted::Asked), r#"{"4":"4","5":"5"}"#);
        assert_eq!(page(2, PagesCounted::Asked), "[]");
    }

    #[test]
    fn super_admins_are_listed_only_with_data_all() {
        let mut world = World::default();
        world
            .folders
            .put("1", json!({"users": [{"username": "a", "superadmin": "1"}, {"username": "b", "superadmin": 0}]}));
        world.folders.put("2", json!({"users": {"0": {"username": "a", "superadmin": true}}}));
        let shown = |data: Value| body(&world, &data, &Quirks::default()).matches("superadmin").count();
        assert_eq!(shown(json!("all")), 3);
        assert_eq!(shown(json!({"data": "all", "pagesize": 5, "pageindex": 0})), 3);
        assert_eq!(shown(json!({"pagesize": 5, "pageindex": 0})), 1);
        assert_eq!(shown(Value::Null), 1);
    }

    #[test]
    fn folders_are_served_all_at_once_or_in_pages() {
        let mut world = World::default();
        assert_eq!(body(&world, &json!("all"), &Quirks::default()), "[]");
        for key in ["1", "2", "3"] {
            world.folders.put(key, json!({"users": []}));
        }
        let all = r#"{"1":{"users":[]},"2":{"users":[]},"3":{"users":[]}}"#;
        let second = json!({"pagesize": 2, "pageindex": 1});
        let third = json!({"pagesize": 2, "pageindex": 2});
        assert_eq!(body(&world, &json!("all"), &Quirks::default()), all);
        assert_eq!(body(&world, &second, &Quirks::default()), r#"{"3":{"users":[]}}"#);
        assert_eq!(body(&world, &third, &Quirks::default()), "[]");
        let ignored = Quirks { folder_paging: FolderPaging::Ignored, ..Quirks::default() };
        assert_eq!(body(&world, &third, &ignored), all);
    }
}
