//! The error of a failed invocation.
//!
//! Each module has its own errors, and this module combines them. Each error has a stable `errorType`, which alarms and
//! docs use, and a text that names the system, the reason and the remedy. The texts of causes are joined only here,
//! because Lambda's response carries only one text.

use lambda_runtime::Diagnostic;

use crate::{
    checkpoint, config,
    document::AccountName,
    elastic, lastpass, request,
    secrets::{self, Part},
};

/// The error of an invocation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The payload is invalid.
    #[error(transparent)]
    Request(#[from] request::Invalid),
    /// The settings are invalid.
    #[error(transparent)]
    Config(#[from] config::Invalid),
    /// The secret cannot be read or used.
    #[error(transparent)]
    Secret(#[from] secrets::Error),
    /// The checkpoint cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// LastPass cannot be read.
    #[error(transparent)]
    LastPass(#[from] lastpass::Error),
    /// Elasticsearch cannot be used.
    #[error(transparent)]
    Elasticsearch(#[from] elastic::Error),
}

impl Error {
    /// Returns the stable name of this error in answers, alarms and docs.
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

    /// Returns the part of the secret that may be the cause. The secret is then read again, because the sandbox may
    /// hold an older version.
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

    /// Returns whether a later run may succeed without an operator.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::LastPass(error) => error.is_retryable(),
            Self::Elasticsearch(error) => error.is_retryable(),
            Self::Request(_) | Self::Config(_) | Self::Secret(_) | Self::Checkpoint(_) => false,
        }
    }

    /// Returns whether the invocation's deadline is the only cause.
    #[must_use]
    pub const fn is_out_of_time(&self) -> bool {
        match self {
            Self::LastPass(error) => error.is_out_of_time(),
            Self::Elasticsearch(error) => error.is_out_of_time(),
            Self::Request(_) | Self::Config(_) | Self::Secret(_) | Self::Checkpoint(_) => false,
        }
    }

    /// Returns whether Elasticsearch refused a request for a reason that a retry does not remove.
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        matches!(self, Self::Elasticsearch(elastic::Error::Refused { .. }))
    }

    /// Returns whether a backing index that may hold the documents cannot be read.
    #[must_use]
    pub const fn is_unreadable_index(&self) -> bool {
        matches!(self, Self::Elasticsearch(error) if error.is_unreadable_index())
    }

    /// Returns whether a checkpoint is bound to another cluster, namespace or account.
    #[must_use]
    pub const fn is_destination_changed(&self) -> bool {
        matches!(self, Self::Checkpoint(checkpoint::Error::DestinationChanged { .. }))
    }

    /// Returns whether another run took over the lease. This run must then end, without a failure.
    #[must_use]
    pub const fn is_lease_lost(&self) -> bool {
        matches!(self, Self::Checkpoint(error) if error.is_lease_lost())
    }

    /// Returns the text of the error and of its causes.
    #[must_use]
    pub fn with_causes(&self) -> String {
        with_causes(self)
    }
}

/// Joins the texts of an error and of its causes, each once.
#[must_use]
pub fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let cause_text = error.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        cause = error.source();
    }
    text
}

/// The failure of an invocation, with the account in a deployment of several accounts.
#[derive(Debug)]
pub struct Failure {
    /// The account that the request named.
    pub account: Option<AccountName>,
    /// The error.
    pub error: Error,
}

impl Failure {
    /// Returns Lambda's `errorMessage`.
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
