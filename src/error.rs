//! What an invocation answers when it fails.
//!
//! Each module has errors of its own. Here they meet: each gives a stable `errorType` that alarms and docs use, and a
//! text that says which system refused, why, and what mends it. Causes are joined once, here at the edge, because
//! Lambda's answer carries a text alone.

use std::error::Error as _;

use lambda_runtime::Diagnostic;

use crate::{
    checkpoint, config,
    document::AccountName,
    elastic, lastpass, request,
    secrets::{self, Part},
};

/// Why an invocation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The payload.
    #[error(transparent)]
    Request(#[from] request::Invalid),
    /// The settings.
    #[error(transparent)]
    Config(#[from] config::Invalid),
    /// The secret.
    #[error(transparent)]
    Secret(#[from] secrets::Error),
    /// DynamoDB.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// LastPass.
    #[error(transparent)]
    LastPass(#[from] lastpass::Error),
    /// Elasticsearch.
    #[error(transparent)]
    Elasticsearch(#[from] elastic::Error),
}

impl Error {
    /// The stable name of this error in answers, alarms and docs.
    #[must_use]
    pub const fn error_type(&self) -> &'static str {
        match self {
            Self::Request(_) => "Request.Invalid",
            Self::Config(_) => "Config.Invalid",
            Self::Secret(error) => error.error_type(),
            Self::Checkpoint(error) => error.error_type(),
            Self::LastPass(error) => error.error_type(),
            Self::Elasticsearch(error) => error.error_type(),
        }
    }

    /// Which part of the secret may be its cause: the secret is then read again, because a sandbox may hold an older one.
    #[must_use]
    pub const fn cause_in_secret(&self) -> Option<Part> {
        match self {
            Self::Checkpoint(checkpoint::Error::DestinationChanged { .. }) => Some(Part::Destination),
            Self::LastPass(lastpass::Error::WrongTimeZone { .. }) => Some(Part::Zone),
            Self::LastPass(error) if error.is_auth() => Some(Part::LastPassCredentials),
            Self::Elasticsearch(error) if error.is_auth() => Some(Part::ApiKeys),
            Self::Request(_)
            | Self::Config(_)
            | Self::Secret(_)
            | Self::Checkpoint(_)
            | Self::LastPass(_)
            | Self::Elasticsearch(_) => None,
        }
    }

    /// Whether a later run may go through without anyone's doing.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::LastPass(error) => error.is_retryable(),
            Self::Elasticsearch(error) => error.is_retryable(),
            Self::Request(_) | Self::Config(_) | Self::Secret(_) | Self::Checkpoint(_) => false,
        }
    }

    /// Whether the invocation's deadline came, and nothing else went wrong.
    #[must_use]
    pub const fn is_out_of_time(&self) -> bool {
        match self {
            Self::LastPass(error) => error.is_out_of_time(),
            Self::Elasticsearch(error) => error.is_out_of_time(),
            Self::Request(_) | Self::Config(_) | Self::Secret(_) | Self::Checkpoint(_) => false,
        }
    }

    /// Whether a backing index that may hold the documents can't be read.
    #[must_use]
    pub const fn is_unreadable_index(&self) -> bool {
        match self {
            Self::Elasticsearch(error) => error.is_unreadable_index(),
            Self::Request(_) | Self::Config(_) | Self::Secret(_) | Self::Checkpoint(_) | Self::LastPass(_) => false,
        }
    }

    /// Whether another run works in this one's place: no failure, but the end of this run.
    #[must_use]
    pub const fn is_lease_lost(&self) -> bool {
        match self {
            Self::Checkpoint(error) => error.is_lease_lost(),
            Self::Request(_) | Self::Config(_) | Self::Secret(_) | Self::LastPass(_) | Self::Elasticsearch(_) => false,
        }
    }

    /// The error's text with those of its causes.
    #[must_use]
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let said = error.to_string();
            if !text.contains(&said) {
                text.push_str(": ");
                text.push_str(&said);
            }
            cause = error.source();
        }
        text
    }
}

/// The failure of an invocation, and whose it is where the deployment has several accounts.
#[derive(Debug)]
pub struct Failure {
    /// The account that the request named.
    pub account: Option<AccountName>,
    /// Why.
    pub error: Error,
}

impl Failure {
    /// Lambda's `errorMessage`.
    #[must_use]
    pub fn message(&self) -> String {
        let text = self.error.with_causes();
        match &self.account {
            Some(account) => format!("account {account}: {text}"),
            None => text,
        }
    }
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        Self { error_type: failure.error.error_type().to_owned(), error_message: failure.message() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_its_account_first() {
        let failure = |account: Option<&str>| {
            let account = account.map(|name| AccountName::new(name).expect("a name"));
            Diagnostic::from(Failure { account, error: request::Invalid::account_missing().into() })
        };
        let named = failure(Some("globex"));
        assert_eq!(named.error_type, "Request.Invalid");
        assert_eq!(named.error_message, format!("account globex: {}", failure(None).error_message));
    }
}
