//! The address of Kibana, as a browser shows it, and the space in it.

use lastpass_elastic::endpoint::{self, UrlFault};

use crate::failure::Failure;

/// The space that every Kibana has. Its paths have no prefix.
const DEFAULT_SPACE: &str = "default";

/// A wrong address or space.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is not one of Kibana. The text never repeats it, because it may contain a password.
    #[error(
        "the URL of --kibana {0}. Give the address of Kibana as the browser shows it, such as https://kibana.example.com:5601"
    )]
    Url(&'static str),
    /// The URL and the option name different spaces.
    #[error("the URL of --kibana names another space than --space: omit one of them")]
    TwoSpaces,
    /// The ID of the space is invalid.
    #[error(
        "--space is not the ID of a space: it consists of lower-case letters, digits, _ and -, and follows /s/ in the URL"
    )]
    SpaceName,
}

impl Failure for Error {
    fn error_type(&self) -> &str {
        "Usage.Invalid"
    }
}

/// A space of a Kibana.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The URL of Kibana without a space, and without a slash at its end.
    base: String,
    /// The ID of the space.
    pub space: String,
}

impl Address {
    /// Reads the address of Kibana. It may be copied from a browser: what follows `/app` is left out, and a space in it
    /// counts unless `space` is given.
    ///
    /// # Errors
    /// [`Error::Url`], [`Error::TwoSpaces`], [`Error::SpaceName`].
    pub fn new(url: &str, space: Option<&str>) -> Result<Self, Error> {
        let faults = [UrlFault::NotAUrl, UrlFault::Scheme, UrlFault::UserInfo, UrlFault::Plain];
        let mut url = endpoint::parse(url, &faults).map_err(|fault| Error::Url(description(fault)))?;
        url.set_query(None);
        url.set_fragment(None);
        let path = url.path().split("/app/").next().unwrap_or_default().trim_end_matches("/app").trim_end_matches('/');
        let (path, in_url) = match path.rsplit_once("/s/") {
            Some((before, space)) if !space.contains('/') => (before.to_owned(), Some(space.to_owned())),
            _ => (path.to_owned(), None),
        };
        url.set_path(&path);
        let space = match (space, in_url) {
            (Some(given), Some(found)) if given != found => return Err(Error::TwoSpaces),
            (Some(given), _) => given.to_owned(),
            (None, Some(found)) => found,
            (None, None) => DEFAULT_SPACE.to_owned(),
        };
        if !is_space_id(&space) {
            return Err(Error::SpaceName);
        }
        Ok(Self { base: url.as_str().trim_end_matches('/').to_owned(), space })
    }

    /// Returns the URL of Kibana without the space, for messages.
    pub fn base_url(&self) -> &str {
        &self.base
    }

    /// Returns the URL of the space.
    pub fn space_url(&self) -> String {
        if self.space == DEFAULT_SPACE { self.base.clone() } else { format!("{}/s/{}", self.base, self.space) }
    }

    /// Returns the URL of a path in the space.
    pub fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.space_url())
    }

    /// Returns the URL of a path that belongs to no space.
    pub fn global_url(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    /// Returns the URL of a dashboard for people.
    pub fn dashboard_url(&self, id: &str) -> String {
        self.url(&format!("app/dashboards#/view/{id}"))
    }
}

const fn description(fault: UrlFault) -> &'static str {
    match fault {
        UrlFault::NotAUrl => "is not a URL",
        UrlFault::Scheme => "does not begin with https://",
        UrlFault::UserInfo => "has a user name or password: only an API key is used",
        UrlFault::Plain => "does not begin with https://: the API key would be sent unprotected",
        UrlFault::Query => "has a part that begins with ? or #",
    }
}

/// Source: Kibana, `x-pack/platform/plugins/shared/spaces/server/lib/space_schema.ts`.
fn is_space_id(space: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    !space.is_empty() && space.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_copied_from_a_browser() {
        for (url, space, base, found) in [
            ("https://kibana.example.com", None, "https://kibana.example.com", "default"),
            ("https://kibana.example.com:5601/", None, "https://kibana.example.com:5601", "default"),
            (" https://k.example.com/app/home#/ ", None, "https://k.example.com", "default"),
            ("https://k.example.com/s/soc/app/security/rules?x=1", None, "https://k.example.com", "soc"),
            ("https://k.example.com/s/soc", Some("soc"), "https://k.example.com", "soc"),
            ("https://e.example.com/kibana/s/soc/app", None, "https://e.example.com/kibana", "soc"),
            ("https://e.example.com/kibana/", Some("a_b-1"), "https://e.example.com/kibana", "a_b-1"),
            ("http://127.0.0.1:5601", None, "http://127.0.0.1:5601", "default"),
        ] {
            let address = Address::new(url, space).expect(url);
            assert_eq!((address.base_url(), address.space.as_str()), (base, found), "{url}");
        }
    }

    #[test]
    fn paths_have_the_prefix_of_the_space() {
        let default = Address::new("https://k.example.com", None).expect("an address");
        assert_eq!(default.url("api/status"), "https://k.example.com/api/status");
        let soc = Address::new("https://k.example.com/base", Some("soc")).expect("an address");
        assert_eq!(soc.url("api/x"), "https://k.example.com/base/s/soc/api/x");
        assert_eq!(soc.global_url("api/x"), "https://k.example.com/base/api/x");
        assert_eq!(soc.dashboard_url("d"), "https://k.example.com/base/s/soc/app/dashboards#/view/d");
    }

    #[test]
    fn a_wrong_address_is_refused_without_repeating_it() {
        for (url, space) in [
            ("kibana.example.com", None),
            ("ftp://f00dfeed", None),
            ("http://f00dfeed.example.com", None),
            ("https://user:f00dfeed@k.example.com", None),
            ("https://k.example.com/s/soc", Some("f00dfeed")),
            ("https://k.example.com", Some("F00DFEED")),
            ("https://k.example.com", Some("")),
            ("https://k.example.com", Some("a/b")),
        ] {
            let error = Address::new(url, space).expect_err(url).to_string();
            assert!(!error.to_lowercase().contains("f00dfeed"), "{error}");
        }
    }
}
