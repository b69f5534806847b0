//! `getdetailedsfdata`: one page of shared folders.

use serde_json::json;

use super::{
    Client, Command, Error,
    wire::{self, Answer, Problem},
};
use crate::deadline::Deadline;

/// Folders asked for in one request. Chosen: a folder holds dozens of users with their sites, so that an answer stays
/// at a few megabytes; and this command is readily throttled, so that requests are to be few.
pub const PAGE_SIZE: usize = 500;

/// One answer: each folder's key, which is its id, with its record as compact JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The folders.
    pub folders: Vec<(String, String)>,
}

impl Page {
    /// Whether this is the last page: one with fewer folders than asked for, or with more, which is all of them from a
    /// LastPass that doesn't page.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        self.folders.len() != PAGE_SIZE
    }
}

impl Client {
    /// Reads the page of shared folders at `page_index`, from 0 on.
    ///
    /// # Errors
    /// Those of a call, see [`Error`].
    pub async fn fetch_folders(&self, page_index: u32, deadline: Deadline) -> Result<Page, Error> {
        let data = json!({"pagesize": PAGE_SIZE, "pageindex": page_index});
        self.call(Command::GetDetailedSfData, &data, deadline, parse_page).await
    }
}

pub(super) fn parse_page(answer: &str) -> Result<Page, Problem> {
    /// What an answer may say of itself beside the folders.
    const NO_FOLDERS: &[&str] = &["status", "error", "errors", "next", "total", "count"];
    let wire::Entries(entries) = Answer::read(answer)?.into_entries();
    let folders = entries
        .into_iter()
        .filter(|(key, _)| !NO_FOLDERS.contains(&key.as_str()))
        .map(|(key, raw)| (key, wire::compact(raw.get())))
        .collect();
    Ok(Page { folders })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_stand_at_the_top_of_the_answer() {
        let page = parse_page(r#"{"status":"success","101":{"sharedfoldername": "x"}}"#);
        assert_eq!(page, Ok(Page { folders: vec![("101".to_owned(), r#"{"sharedfoldername":"x"}"#.to_owned())] }));
        assert_eq!(parse_page("[]"), Ok(Page::default()));
    }

    #[test]
    fn a_page_of_another_size_is_the_last() {
        let page = |folders: usize| Page { folders: vec![(String::new(), String::new()); folders] };
        assert!(page(0).is_last() && page(PAGE_SIZE - 1).is_last() && page(PAGE_SIZE + 1).is_last());
        assert!(!page(PAGE_SIZE).is_last());
    }
}
