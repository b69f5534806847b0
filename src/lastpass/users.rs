//! `getuserdata`: requests one page of users and parses it.

use serde_json::Value;

use super::{
    Client, Command, Error,
    paging::{Page, PageRequest},
    wire::{self, Entries, Problem, Response},
};
use crate::text::compact;

/// Users per page. Source: LASTPASS_API.md, "getuserdata": the largest size that clients use.
pub const PAGE_SIZE: u32 = 2_000;

impl Client {
    /// Reads one page of users.
    ///
    /// # Errors
    /// The errors of a call, see [`Error`].
    pub async fn fetch_users(&self, request: PageRequest) -> Result<Page, Error> {
        self.call(Command::GetUserData, &request.data(), |response| parse_page(response, request)).await
    }
}

pub(super) fn parse_page(response: &str, request: PageRequest) -> Result<Page, Problem> {
    let response = Response::read(response)?;
    let total = response.count("total");
    let has_none = || [total, response.count("count")].contains(&Some(0));
    let Entries { entries, is_list } = match response.entries("Users") {
        Some(users) => users,
        // PHP writes nothing in several ways. These must not pass for an account without users.
        None if response.is_empty() && request.index > 0 => Entries::default(),
        None if response.is_null("Users") && has_none() => Entries::default(),
        None => return Err(response.judge("it contains no users under `Users`")),
    };
    if entries.is_empty() {
        let response = response.err_if_it_gives_a_reason()?;
        if request.index == 0 && total.is_some_and(|total| total > 0) {
            return Err(response.judge("it contains no users, although its `total` is not 0"));
        }
    }
    let users = entries.into_iter().enumerate().map(|(position, (key, raw))| {
        let record = compact(raw.get()).into_owned();
        (if is_list { key_of(&record, request.skipped() + position as u64) } else { key.into_owned() }, record)
    });
    Ok(Page { entries: users.collect(), total })
}

/// Returns the key of a user in a list. A position is a poor key, because the next response may have another user
/// there.
fn key_of(record: &str, position: u64) -> String {
    ["id", "userid", "username"]
        .into_iter()
        .find_map(|name| match wire::field(record, name)? {
            Value::String(text) if !text.is_empty() => Some(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
        .unwrap_or_else(|| position.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_page(response: &str) -> Result<Page, Problem> {
        super::parse_page(response, PageRequest::first(PAGE_SIZE))
    }

    #[test]
    fn users_keep_their_keys_and_counts_may_be_text() {
        let page = parse_page(r#"{"total": "2", "count": 1, "Users": {"101": {"username": "a"}}, "Groups": []}"#);
        let entries = vec![("101".to_owned(), r#"{"username":"a"}"#.to_owned())];
        assert_eq!(page, Ok(Page { entries, total: Some(2) }));
    }

    #[test]
    fn users_in_a_list_have_distinct_keys() {
        let body = r#"{"total":5,"Users":[{"username":"a"},{"id":7,"username":"b"},{"id":"8"},{},{"username":""}]}"#;
        let page = super::parse_page(body, PageRequest { size: 5, index: 2 }).expect("a page");
        assert_eq!(page.entries.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["a", "7", "8", "13", "14"]);
    }

    #[test]
    fn a_response_without_users_must_have_an_empty_list_of_users() {
        // A page after the last one may be empty.
        assert_eq!(super::parse_page("[]", PageRequest { size: 2, index: 1 }), Ok(Page::default()));
        assert!(parse_page("[]").is_err());
        assert!(parse_page(r#"{"total":0,"count":0,"Users":[]}"#).is_ok());
        assert!(parse_page(r#"{"total":5}"#).is_err());
        assert!(parse_page(r#"{"Users":"x"}"#).is_err());
    }
}
