//! The keys of the items.

use std::fmt;

use crate::document::{AccountName, Stream};
use crate::request::Window;

/// The prefix of the partition keys of one of several accounts.
pub(super) const ACCOUNT: &str = "account#";

const UNFINISHED_BACKFILLS: &str = "unfinished_backfills";

/// The key of an account's checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// The live run of a stream.
    Stream(Stream),
    /// One backfill of the event report, identified by its range.
    Backfill(Window),
    /// The slices of a range that is backfilled in parallel.
    Plan(Window),
    /// The redrive of a stream's dead letters.
    Redrive(Stream),
}

impl Key {
    /// Returns the stream that the checkpoint belongs to.
    #[must_use]
    pub const fn stream(self) -> Stream {
        match self {
            Self::Stream(stream) | Self::Redrive(stream) => stream,
            Self::Backfill(_) | Self::Plan(_) => Stream::EventReport,
        }
    }

    fn parse(parts: &[&str]) -> Option<Self> {
        let stream = |name: &str| Stream::ALL.into_iter().find(|stream| stream.as_str() == name);
        let window = |from: &str, to: &str| Some(Window { from: from.parse().ok()?, to: to.parse().ok()? });
        match *parts {
            ["stream", name] => Some(Self::Stream(stream(name)?)),
            ["redrive", name] => Some(Self::Redrive(stream(name)?)),
            ["backfill", "event_report", from, to] => Some(Self::Backfill(window(from, to)?)),
            ["plan", "event_report", from, to] => Some(Self::Plan(window(from, to)?)),
            _ => None,
        }
    }

    /// Returns whether DynamoDB deletes the item some time after its work is complete.
    pub(super) const fn expires(self) -> bool {
        match self {
            Self::Stream(_) => false,
            Self::Backfill(_) | Self::Plan(_) | Self::Redrive(_) => true,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stream = self.stream();
        match self {
            Self::Stream(_) => write!(f, "stream#{stream}"),
            Self::Backfill(Window { from, to }) => write!(f, "backfill#{stream}#{from}#{to}"),
            Self::Plan(Window { from, to }) => write!(f, "plan#{stream}#{from}#{to}"),
            Self::Redrive(_) => write!(f, "redrive#{stream}"),
        }
    }
}

/// The partition key of an item. Its text is the attribute `pk`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PartitionKey {
    /// The account, in a deployment of several accounts.
    pub account: Option<AccountName>,
    /// The key of the account's checkpoint.
    pub key: Key,
}

/// Returns the partition key of the item that names the unfinished backfills of `account`.
pub(super) fn unfinished_backfills(account: Option<&AccountName>) -> String {
    match account {
        Some(account) => format!("{ACCOUNT}{account}#{UNFINISHED_BACKFILLS}"),
        None => UNFINISHED_BACKFILLS.to_owned(),
    }
}

impl PartitionKey {
    /// Parses a partition key. Returns `None` for a key that this version does not write.
    #[must_use]
    pub fn parse(pk: &str) -> Option<Self> {
        Some(match *pk.split('#').collect::<Vec<_>>() {
            ["account", name, ref parts @ ..] => {
                Self { account: Some(AccountName::new(name).ok()?), key: Key::parse(parts)? }
            }
            ref parts => Self { account: None, key: Key::parse(parts)? },
        })
    }
}

impl fmt::Display for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(account) = &self.account {
            write!(f, "{ACCOUNT}{account}#")?;
        }
        self.key.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from: &str, to: &str) -> Window {
        Window { from: from.parse().unwrap(), to: to.parse().unwrap() }
    }

    #[test]
    fn a_partition_key_reads_back_as_its_key() {
        let backfill = Key::Backfill(window("2024-01-01T00:00:00Z", "2024-02-01T12:30:00.5Z"));
        let plan = Key::Plan(window("2024-01-01T00:00:00Z", "2024-02-01T00Z"));
        for (key, pk) in [
            (plan, "plan#event_report#2024-01-01T00:00:00Z#2024-02-01T00:00:00Z"),
            (Key::Stream(Stream::EventReport), "stream#event_report"),
            (Key::Stream(Stream::DetailedSharedFolder), "stream#detailed_shared_folder"),
            (backfill, "backfill#event_report#2024-01-01T00:00:00Z#2024-02-01T12:30:00.5Z"),
            (Key::Redrive(Stream::User), "redrive#user"),
        ] {
            for (account, before) in [(None, ""), (Some(AccountName::new("globex.eu").unwrap()), "account#globex.eu#")]
            {
                let partition_key = PartitionKey { account, key };
                assert_eq!(partition_key.to_string(), format!("{before}{pk}"));
                assert_eq!(PartitionKey::parse(&format!("{before}{pk}")), Some(partition_key));
            }
        }
    }

    #[test]
    fn every_spelling_of_a_range_has_the_same_key() {
        let key = |from: &str| Key::Backfill(window(from, "2024-02-01T00Z"));
        assert_eq!(key("2024-01-01T00:00:00.000+00:00").to_string(), key("2023-12-31T19:00:00-05:00").to_string());
    }

    #[test]
    fn a_partition_key_of_another_version_is_ignored() {
        for pk in [
            "",
            "stream",
            "stream#groups",
            "12#stream#user",
            "account#stream#user",
            "account##stream#user",
            "account#a/b#stream#user",
            "account#a#account#b#stream#user",
            "backfill#event_report#yesterday#today",
            "backfill#user#2024-01-01T00:00:00Z#2024-02-01T00:00:00Z",
            "slice#event_report#2024-01-01T00:00:00Z#2024-02-01T00:00:00Z",
        ] {
            assert_eq!(PartitionKey::parse(pk), None, "{pk}");
        }
    }
}
