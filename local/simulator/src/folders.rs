//! `getdetailedsfdata`: shared folders, all at once or in pages by index.

use serde_json::Value;

use crate::answer::{Answer, Page, PageAsked, push_map};
use crate::entries::Entry;
use crate::quirks::{FolderPaging, Quirks};
use crate::world::World;

/// Answers one request. `"all"` and anything without a `pagesize` asks for all folders.
pub(crate) fn answer(world: &World, data: &Value, quirks: &Quirks) -> Answer {
    let folders: Vec<&Entry> = world.folders.current().collect();
    let asked = match quirks.folder_paging {
        FolderPaging::Honoured => PageAsked::read(data),
        FolderPaging::Ignored => None,
    };
    let asked = asked.unwrap_or(PageAsked { size: folders.len(), index: 0 });
    let start = asked.skipped().min(folders.len());
    let page = &folders[start..start.saturating_add(asked.size).min(folders.len())];

    let status = quirks.folder_status.as_ref().map(|status| Value::from(status.as_str()).to_string());
    let status = status.iter().map(|status| ("status", status.as_str()));
    let entries = page.iter().map(|folder| (folder.key.as_str(), folder.text.as_str()));
    let mut out = String::with_capacity(64 + page.iter().map(|folder| folder.text.len() + 16).sum::<usize>());
    push_map(&mut out, status.chain(entries), quirks);
    Answer::Page(Page { body: out, records: page.len(), more: start + page.len() < folders.len() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body(world: &World, data: &Value, quirks: &Quirks) -> String {
        match answer(world, data, quirks) {
            Answer::Page(page) => page.body,
            Answer::Refusal(reason) => panic!("{reason}"),
        }
    }

    #[test]
    fn all_or_a_page_or_always_all() {
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
        let status = Quirks { folder_status: Some("OK".into()), ..Quirks::default() };
        assert_eq!(body(&world, &second, &status), r#"{"status":"OK","3":{"users":[]}}"#);
    }
}
