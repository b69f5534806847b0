//! `getuserdata`: one page of users.

use serde_json::json;

use super::{
    Client, Command, Error,
    wire::{self, Answer, Problem},
};
use crate::deadline::Deadline;

/// Users asked for in one request. Source: LASTPASS_API.md, "getuserdata": the largest that clients use.
pub const PAGE_SIZE: u64 = 2_000;

/// One answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Each user's key in the answer, which is its id, with its record as compact JSON.
    pub users: Vec<(String, String)>,
    /// How many users there are, where the answer says so.
    pub total: Option<u64>,
    /// How many users this page has by LastPass's own count.
    pub count: Option<u64>,
}

impl Page {
    /// Whether this is the last page, after `read` users with it.
    #[must_use]
    pub fn is_last(&self, read: u64) -> bool {
        match self.total {
            Some(total) => read >= total || self.users.is_empty(),
            None => (self.users.len() as u64) < PAGE_SIZE,
        }
    }
}

impl Client {
    /// Reads the page of users at `page_index`, from 0 on.
    ///
    /// # Errors
    /// Those of a call, see [`Error`].
    pub async fn fetch_users(&self, page_index: u32, deadline: Deadline) -> Result<Page, Error> {
        let data = json!({"pagesize": PAGE_SIZE, "pageindex": page_index});
        self.call(Command::GetUserData, &data, deadline, parse_page).await
    }
}

pub(super) fn parse_page(answer: &str) -> Result<Page, Problem> {
    let answer = Answer::read(answer)?;
    let (total, count) = (answer.count("total"), answer.count("count"));
    let entries = match answer.entries("Users") {
        Some(entries) => entries,
        None if answer.raw("Users").is_none() && (answer.is_empty() || count == Some(0)) => wire::Entries::default(),
        None => return Err(Problem::NotTheApi("it holds no users under `Users`")),
    };
    let users = entries.0.into_iter().map(|(key, raw)| (key, wire::compact(raw.get()))).collect();
    Ok(Page { users, total, count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_keep_their_keys_and_counts_may_be_text() {
        let page = parse_page(r#"{"total": "2", "count": 1, "Users": {"101": {"username": "a"}}, "Groups": []}"#);
        let users = vec![("101".to_owned(), r#"{"username":"a"}"#.to_owned())];
        assert_eq!(page, Ok(Page { users, total: Some(2), count: Some(1) }));
    }

    #[test]
    fn the_last_page_is_known_by_the_total_or_by_its_size() {
        let page =
            |users: usize, total| Page { users: vec![(String::new(), String::new()); users], total, ..Page::default() };
        // A page smaller than asked for is not the last one while the total isn't reached.
        assert!(!page(500, Some(2_500)).is_last(500));
        assert!(page(500, Some(2_500)).is_last(2_500));
        assert!(page(0, Some(2_500)).is_last(2_000));
        assert!(page(1_999, None).is_last(1_999));
        assert!(!page(2_000, None).is_last(2_000));
    }

    #[test]
    fn an_answer_without_users_must_say_that_there_are_none() {
        assert_eq!(parse_page("[]"), Ok(Page::default()));
        assert!(parse_page(r#"{"total":0,"count":0,"Users":[]}"#).is_ok());
        assert!(parse_page(r#"{"total":5}"#).is_err());
        assert!(parse_page(r#"{"Users":"x"}"#).is_err());
    }
}
