//! `getuserdata`: requests one page of users and parses it.

use serde_json::Value;

use super::{
    Client, Command, Error,
    paging::PageRequest,
    wire::{self, Answer, Entries, Problem},
};
use crate::text::compact;

/// Users per page. Source: LASTPASS_API.md, "getuserdata": the largest size that clients use.
pub const PAGE_SIZE: u32 = 2_000;

/// One page of users.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The key of each user in the response, which is the user's ID, and the record as compact JSON.
    pub users: Vec<(String, String)>,
    /// The number of all users, if the response states it.
    pub total: Option<u64>,
    /// The number of users in this page as LastPass counts them.
    pub count: Option<u64>,
}

impl Client {
    /// Reads one page of users.
    ///
    /// # Errors
    /// The errors of a call, see [`Error`].
    pub async fn fetch_users(&self, request: PageRequest) -> Result<Page, Error> {
        self.call(Command::GetUserData, &request.data(), |answer| parse_page(answer, request)).await
    }
}

pub(super) fn parse_page(answer: &str, request: PageRequest) -> Result<Page, Problem> {
    const NO_USERS: &str = "it contains no users under `Users`";
    let answer = Answer::read(answer)?;
    let (total, count) = (answer.count("total"), answer.count("count"));
    let has_none = |count| count == Some(0);
    let entries = match answer.entries("Users") {
        Some(entries) => entries,
        // PHP writes nothing in several ways. These must not pass for an account without users.
        None if answer.is_empty() && request.index > 0 => Entries::default(),
        None if answer.value("Users") == Some(Value::Null) && (has_none(total) || has_none(count)) => {
            Entries::default()
        }
        None => return Err(answer.judge(NO_USERS)),
    };
    if entries.entries.is_empty() {
        let answer = answer.unless_it_says_why()?;
        if request.index == 0 && total.is_some_and(|total| total > 0) {
            return Err(answer.judge("it contains no users, although its `total` is not 0"));
        }
    }
    let users = entries.entries.into_iter().enumerate().map(|(position, (key, raw))| {
        let record = compact(raw.get()).into_owned();
        (if entries.is_list { key_of(&record, request.skipped() + position as u64) } else { key }, record)
    });
    Ok(Page { users: users.collect(), total, count })
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

    fn parse_page(answer: &str) -> Result<Page, Problem> {
        super::parse_page(answer, PageRequest::first(PAGE_SIZE))
    }

    #[test]
    fn users_keep_their_keys_and_counts_may_be_text() {
        let page = parse_page(r#"{"total": "2", "count": 1, "Users": {"101": {"username": "a"}}, "Groups": []}"#);
        let users = vec![("101".to_owned(), r#"{"username":"a"}"#.to_owned())];
        assert_eq!(page, Ok(Page { users, total: Some(2), count: Some(1) }));
    }

    #[test]
    fn users_in_a_list_have_distinct_keys() {
        let body = r#"{"total":5,"Users":[{"username":"a"},{"id":7,"username":"b"},{"id":"8"},{},{"username":""}]}"#;
        let page = super::parse_page(body, PageRequest { size: 5, index: 2 }).expect("a page");
        assert_eq!(page.users.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["a", "7", "8", "13", "14"]);
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
