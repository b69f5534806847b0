//! The types that `streams` and `elastic` share: streams, data streams, accounts and documents.
//!
//! This module neither reads nor sends anything. Strings that must not be swapped have different types.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::redact::Quoted;

/// Implements the conversion to text of types that hold one.
macro_rules! texts {
    ($($name:ident)*) => {$(
        impl $name {
            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

texts!(Namespace DataStream AccountNumber AccountName DocId);

/// One kind of LastPass records; each is written to its own data stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// `reporting`: the audit events.
    EventReport,
    /// `getuserdata`: a snapshot of all users.
    User,
    /// `getdetailedsfdata`: a snapshot of all shared folders and who may use them.
    DetailedSharedFolder,
}

impl Stream {
    /// Every stream, in the order in which answers list them.
    pub const ALL: [Self; 3] = [Self::EventReport, Self::User, Self::DetailedSharedFolder];

    /// Returns the stream's name in requests, answers, logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EventReport => "event_report",
            Self::User => "user",
            Self::DetailedSharedFolder => "detailed_shared_folder",
        }
    }

    /// Returns the value of `event.dataset` and `data_stream.dataset`: that of Elastic's integration.
    #[must_use]
    pub const fn dataset(self) -> &'static str {
        match self {
            Self::EventReport => "lastpass.event_report",
            Self::User => "lastpass.user",
            Self::DetailedSharedFolder => "lastpass.detailed_shared_folder",
        }
    }

    /// Returns the data stream for this stream's documents in `namespace`.
    #[must_use]
    pub fn data_stream(self, namespace: &Namespace) -> DataStream {
        DataStream(format!("logs-{}-{namespace}", self.dataset()))
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The last part of a data stream's name, which separates tenants or environments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Namespace(String);

/// The error for a text that cannot be a namespace.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} is not a valid namespace: use 1 to 100 bytes in lower case, without white space, hyphens and any of \\ / * ? \" < > \
     | , # :",
    Quoted(name)
)]
pub struct InvalidNamespace {
    name: String,
}

impl Namespace {
    /// Longest namespace in bytes. Source: the data stream naming scheme of Elastic.
    const MAX_BYTES: usize = 100;

    /// Checks `name` against the data stream naming scheme of Elastic.
    ///
    /// # Errors
    /// [`InvalidNamespace`] if Elasticsearch would refuse the name or read it as two parts.
    pub fn new(name: &str) -> Result<Self, InvalidNamespace> {
        let forbidden = |c: char| c.is_whitespace() || c.is_uppercase() || "\\/*?\"<>|,#:-".contains(c);
        if name.is_empty() || name.len() > Self::MAX_BYTES || name.contains(forbidden) {
            return Err(InvalidNamespace { name: name.to_owned() });
        }
        Ok(Self(name.to_owned()))
    }
}

/// The name of a data stream, such as `logs-lastpass.user-default`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct DataStream(String);

impl DataStream {
    /// Returns the data stream for documents that Elasticsearch rejected permanently.
    #[must_use]
    pub fn dead_letter(namespace: &Namespace) -> Self {
        Self(format!("logs-lastpass.dead_letter-{namespace}"))
    }

    /// Returns the data stream for the changes between snapshots.
    #[must_use]
    pub fn change(namespace: &Namespace) -> Self {
        Self(format!("logs-lastpass.change-{namespace}"))
    }
}

/// The number of a LastPass Business account (`cid`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountNumber(String);

impl AccountNumber {
    /// Takes an account number as the Admin Console shows it: decimal digits.
    ///
    /// Returns `None` for anything else.
    #[must_use]
    pub fn new(digits: &str) -> Option<Self> {
        let digits = digits.trim();
        (!digits.is_empty() && digits.len() <= 20 && digits.bytes().all(|b| b.is_ascii_digit()))
            .then(|| Self(digits.to_owned()))
    }
}

/// The name of one LastPass account in a deployment with several: the last part of the name of its secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct AccountName(String);

/// The error for a text that cannot be an account's name.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} is not a valid account name: use 1 to 64 letters, digits, dots, underscores and hyphens, beginning with a \
     letter or digit",
    Quoted(name)
)]
pub struct InvalidAccountName {
    name: String,
}

impl AccountName {
    /// Longest name in bytes. Chosen: the partition keys stay short. The name of a secret may have 512.
    const MAX_BYTES: usize = 64;

    /// Checks `name`. The allowed characters are also allowed in the name of a secret and in a partition key.
    ///
    /// # Errors
    /// [`InvalidAccountName`] for any other text.
    pub fn new(name: &str) -> Result<Self, InvalidAccountName> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let begins_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if !begins_well || name.len() > Self::MAX_BYTES || !name.bytes().all(is_allowed) {
            return Err(InvalidAccountName { name: name.to_owned() });
        }
        Ok(Self(name.to_owned()))
    }
}

/// The organization that an account belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Organization {
    /// `organization.id`.
    pub id: Option<String>,
    /// `organization.name`.
    pub name: Option<String>,
}

/// The `_id` of a document. The same record always has the same `_id`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DocId(pub(crate) String);

/// One document on its way to Elasticsearch.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its `_id`.
    pub id: DocId,
    /// Its `@timestamp`: when an event happened, or when a snapshot was read.
    pub timestamp: Timestamp,
    /// The `_source`: one line of compact JSON.
    pub source: String,
    /// The record of the document. `event.original` and a dead letter keep it, without white space between its tokens.
    pub original: String,
    /// The earliest moment at which any run can have written the document, because the event had not happened before.
    /// Backing indices that ended earlier cannot contain the document. `None` if the moment is unknown.
    pub since: Option<Timestamp>,
}
