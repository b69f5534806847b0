//! The errors of `connect`. Each says what to do, and none contains a confidential value.

use std::io;

use lastpass_elastic::{elastic, error::Error as LibraryError};

use super::field::{self, Field};
use crate::{ask, aws, failure::Failure};

/// A stack that could not be connected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Several accounts are selected.
    #[error("connect works on one account at a time: pass --account NAME once, and omit --all-accounts")]
    SeveralAccounts,
    /// The name of an account is invalid.
    #[error("{0}")]
    AccountName(String),
    /// Values are missing, and nobody can be asked.
    #[error(
        "nobody can be asked, because standard input or standard error is not a terminal: set {}; or pass --secrets-from-stdin with a JSON document that has {}",
        field::describe(.0), .0.iter().map(|field| field.name()).collect::<Vec<_>>().join(", ")
    )]
    NoTerminal(Vec<Field>),
    /// A value is empty.
    #[error("{} is empty: run the command again, and enter it", .0.name())]
    Empty(Field),
    /// Standard input holds another document.
    #[error("standard input is not a JSON document with some of the fields {}, each a text: {}", field::names(), .0)]
    Stdin(String),
    /// The terminal cannot be used.
    #[error("the terminal cannot be used ({0}): pass the values in the environment or with --secrets-from-stdin")]
    Terminal(io::Error),
    /// Ctrl-C, or the end of the input.
    #[error("interrupted: nothing was stored in AWS, and no API key remains; run the command again")]
    Interrupted,
    /// Ctrl-C after the secret was stored.
    #[error(
        "interrupted: the credentials are stored, and runs in progress continue on AWS; run the command again to see the result"
    )]
    InterruptedLater,
    /// LastPass refused the credentials.
    #[error(
        "LastPass refused the account number {account} or the provisioning hash{said}: compare both with the LastPass Admin Console, the number on the Dashboard and the hash under Advanced > Enterprise API, and run the command again. If they are correct, check whether an IP restriction of the account or a proxy blocks this machine. Nothing was stored"
    )]
    LastPassRefused { account: String, said: String },
    /// Elasticsearch cannot be reached.
    #[error(
        "Elasticsearch at {host} {fault}: check the parameters ElasticsearchUrl or ElasticCloudId of the stack, the health of the cluster, and everything between it and this machine (VPN, proxy, traffic filter). Nothing was stored"
    )]
    ElasticsearchUnreachable { host: String, fault: String },
    /// The user lacks privileges.
    #[error(
        "the user {user:?} of Elasticsearch at {host} lacks {missing}: log in as another user, such as one with the role `superuser`, or have an administrator grant these. Nothing was stored"
    )]
    UserLacks { host: String, user: String, missing: String },
    /// A key from Kibana has other privileges than its role.
    #[error("the {key} key {problem}: create it again in Kibana with the role above. Nothing was stored")]
    Key { key: &'static str, problem: String },
    /// The function cannot use the new key, so the former one was restored.
    #[error(
        "the function cannot use the new API key, so the former one is stored again: {0}. The new key is invalid if this command created it"
    )]
    NotRotated(String),
    /// It is unknown whether the secret was written.
    #[error(
        "it is unknown whether the secret {secret} was written ({source}): run `lastpass-elastic check`. If it reports that the API key is refused or that the secret holds the placeholder, run this command again; if not, everything is stored. The API key {key} remains valid in case it is needed"
    )]
    Unknown { secret: String, key: String, source: Box<aws::Error> },
    /// The function can read the secret, but this command cannot keep all of its fields.
    #[error(
        "the secret {secret} has a value that cannot be read (line {line}, column {column}) and would be lost: correct or remove it in the Secrets Manager console, and run the command again. Nothing was stored"
    )]
    UnknownValue { secret: String, line: usize, column: usize },
    /// The settings, the secret, LastPass or Elasticsearch.
    #[error("{}. Nothing was stored", .0.with_causes())]
    Library(LibraryError),
}

impl From<LibraryError> for Error {
    fn from(error: LibraryError) -> Self {
        match error {
            LibraryError::Elasticsearch(elastic::Error::Unreachable { host, fault, .. }) => {
                Self::ElasticsearchUnreachable { host, fault: fault.to_string() }
            }
            LibraryError::Elasticsearch(elastic::Error::OutOfTime { host, .. }) => {
                Self::ElasticsearchUnreachable { host, fault: "did not answer in time".to_owned() }
            }
            LibraryError::LastPass(lastpass_elastic::lastpass::Error::Unauthorized { account, said }) => {
                Self::LastPassRefused { account: account.to_string(), said: said.to_string() }
            }
            error => Self::Library(error),
        }
    }
}

impl From<ask::Error> for Error {
    fn from(error: ask::Error) -> Self {
        match error {
            ask::Error::Terminal(error) => Self::Terminal(error),
            ask::Error::Interrupted => Self::Interrupted,
        }
    }
}

impl From<elastic::Error> for Error {
    fn from(error: elastic::Error) -> Self {
        LibraryError::from(error).into()
    }
}

impl Failure for Error {
    fn error_type(&self) -> &str {
        match self {
            Self::SeveralAccounts
            | Self::AccountName(_)
            | Self::NoTerminal(_)
            | Self::Empty(_)
            | Self::Stdin(_)
            | Self::Terminal(_) => "Usage.Invalid",
            Self::Interrupted | Self::InterruptedLater => "Connect.Interrupted",
            Self::LastPassRefused { .. } => "LastPass.Unauthorized",
            Self::ElasticsearchUnreachable { .. } => "Elasticsearch.Unreachable",
            Self::UserLacks { .. } | Self::Key { .. } => "Elasticsearch.Forbidden",
            Self::NotRotated(_) => "Connect.NotRotated",
            Self::Unknown { .. } => "Connect.Unknown",
            Self::UnknownValue { .. } => "Secret.Invalid",
            Self::Library(error) => error.error_type(),
        }
    }
}
