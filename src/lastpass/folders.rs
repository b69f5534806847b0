//! `getdetailedsfdata`: requests one page of shared folders and parses it.

use super::{
    Client, Command, Error,
    paging::{Page, PageRequest},
    wire::{Entries, Problem, Response},
};
use crate::text::compact;

/// Shared folders per page. Chosen: a folder holds dozens of users with their sites, so a response has a few megabytes.
/// LastPass throttles this command readily, so few requests are better.
pub const PAGE_SIZE: u32 = 500;

/// Fields of a folder. Every folder has at least one of them. Source: LASTPASS_API.md, "getdetailedsfdata".
const FOLDER_FIELDS: &[&str] = &["sharedfoldername", "score", "deleted", "users"];
/// Fields of the response itself, beside the folders.
const RESPONSE_FIELDS: &[&str] = &["status", "error", "errors", "next", "total", "count"];

impl Client {
    /// Reads one page of shared folders.
    ///
    /// # Errors
    /// The errors of a call, see [`Error`].
    pub async fn fetch_folders(&self, request: PageRequest) -> Result<Page, Error> {
        let mut data = request.data();
        // Without `data`, super admins are left out. Source: <https://github.com/elastic/integrations/pull/9988>, which
        // follows the API guide.
        data["data"] = "all".into();
        self.call(Command::GetDetailedSfData, &data, |response| parse_page(response, request)).await
    }
}

pub(super) fn parse_page(response: &str, request: PageRequest) -> Result<Page, Problem> {
    let response = Response::read(response)?;
    let (folders, others): (Vec<_>, Vec<_>) = response.fields().iter().partition(|(_, raw)| is_folder(raw.get()));
    let is_whole = others.iter().all(|(name, _)| RESPONSE_FIELDS.contains(&name.as_ref()));
    // A response with only a status may follow the last page, but must not pass for an account without folders.
    let may_be_empty = others.is_empty() || request.index > 0 && response.is_ok();
    if !is_whole || folders.is_empty() && !may_be_empty {
        return Err(response.judge("it contains something other than shared folders"));
    }
    let folders = folders.into_iter().map(|(key, raw)| (key.to_string(), compact(raw.get()).into_owned())).collect();
    response.err_if_it_gives_a_reason()?;
    Ok(Page { entries: folders, total: None })
}

/// Returns whether a value is a folder: an object with at least one field that only folders have.
fn is_folder(value: &str) -> bool {
    let fields = serde_json::from_str::<Entries<'_>>(value);
    fields.is_ok_and(|fields| fields.entries.iter().any(|(name, _)| FOLDER_FIELDS.contains(&name.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_page(response: &str) -> Result<Page, Problem> {
        super::parse_page(response, PageRequest::first(PAGE_SIZE))
    }

    #[test]
    fn folders_are_fields_of_the_response_itself() {
        let page = parse_page(r#"{"status":"success","101":{"sharedfoldername": "x"}}"#);
        let entries = vec![("101".to_owned(), r#"{"sharedfoldername":"x"}"#.to_owned())];
        assert_eq!(page, Ok(Page { entries, total: None }));
        assert_eq!(parse_page("[]"), Ok(Page::default()));
    }

    #[test]
    fn a_response_with_only_a_status_is_valid_only_after_the_first_page() {
        let status = r#"{"status":"OK"}"#;
        assert!(parse_page(status).is_err());
        assert_eq!(super::parse_page(status, PageRequest { size: 2, index: 1 }), Ok(Page::default()));
        assert!(super::parse_page(r#"{"total":0}"#, PageRequest { size: 2, index: 1 }).is_err());
    }
}
