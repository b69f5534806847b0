//! Feeds responses to a client without a server.

#![allow(clippy::expect_used, reason = "only for tests")]

use std::time::Duration;

use secrecy::SecretString;

use super::{
    Account, Client, Command, Error, folders,
    paging::{Page, PageRequest},
    reporting,
    time::ApiZone,
    users,
};
use crate::{clock::Deadline, document::AccountNumber, endpoint::other_lastpass_url};

/// A client whose responses are given by the test.
pub(crate) struct Answers(Client);

impl Default for Answers {
    fn default() -> Self {
        Self::with_hash("c0ffee5ec4e7badcafe0c0ffee5ec4e7")
    }
}

impl Answers {
    /// Builds a client with the provisioning hash `hash`.
    pub(crate) fn with_hash(hash: &str) -> Self {
        let url =
            other_lastpass_url("OTHER_LASTPASS_URL", "https://lastpass.example/enterpriseapi.php").expect("a URL");
        let number = AccountNumber::new("12345").expect("an account number");
        let account = Account { number, provisioning_hash: SecretString::from(hash) };
        Self(Client::new(HTTP.clone(), url, account, Deadline::after(Duration::from_secs(3_600))))
    }

    pub(crate) fn events(&self, answer: (u16, &[u8]), zone: &ApiZone) -> Result<reporting::Page, Error> {
        self.0.read_response(Command::Reporting, answer, |answer| reporting::parse_page(answer, zone))
    }

    pub(crate) fn users(&self, answer: (u16, &[u8])) -> Result<Page, Error> {
        self.0.read_response(Command::GetUserData, answer, |answer| {
            users::parse_page(answer, PageRequest::first(users::PAGE_SIZE))
        })
    }

    pub(crate) fn folders(&self, answer: (u16, &[u8])) -> Result<Page, Error> {
        self.0.read_response(Command::GetDetailedSfData, answer, |answer| {
            folders::parse_page(answer, PageRequest::first(folders::PAGE_SIZE))
        })
    }
}

static HTTP: std::sync::LazyLock<reqwest::Client> = std::sync::LazyLock::new(crate::http::for_tests);
