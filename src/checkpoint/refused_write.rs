//! Judges what a refused conditional write means, by the item that DynamoDB returns with the refusal (pure).

use jiff::Timestamp;

use super::attributes::Attributes;
use super::item::{EXPIRES, LEASE, TOKEN, VERSION, WRITE_ID, text_of};

/// The meaning of a refused write, judged by the item that was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RefusedWrite {
    /// An earlier attempt of the same write took effect.
    Written,
    /// An earlier write of this lease took effect after its future was dropped. Continue from its version.
    Behind {
        /// The version of the item.
        version: u64,
    },
    /// Another run holds the lease, or no run does.
    Lost {
        /// When the other run's lease expires.
        expires: Option<Timestamp>,
    },
}

impl RefusedWrite {
    /// Returns whether the item has the ID of the refused write: an earlier attempt took effect.
    pub(super) fn is_written(found: Option<&Attributes>, write_id: &str) -> bool {
        found.and_then(|found| text_of(found, WRITE_ID)) == Some(write_id)
    }

    /// Judges `found` after the write `write_id` of the lease `token` was refused, which expected `version`.
    pub(super) fn judge(found: Option<&Attributes>, write_id: &str, token: &str, version: u64) -> Self {
        let Some(found) = found else {
            return Self::Lost { expires: None };
        };
        if Self::is_written(Some(found), write_id) {
            return Self::Written;
        }
        let lease = found.get(LEASE).and_then(|lease| lease.as_m().ok());
        let found_version = found.get(VERSION).and_then(|value| value.as_n().ok()?.parse().ok());
        match (lease.and_then(|lease| text_of(lease, TOKEN)), found_version) {
            (Some(holder), Some(newer)) if holder == token && newer > version => Self::Behind { version: newer },
            _ => Self::Lost { expires: lease.and_then(|lease| text_of(lease, EXPIRES)?.parse().ok()) },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use aws_sdk_dynamodb::types::AttributeValue;

    use super::super::item::{lease_value, number};
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_refused_write_is_judged_by_the_item_that_was_found() {
        let expires = at("2024-05-01T12:01:00Z");
        let found: Attributes = HashMap::from([
            (LEASE.to_owned(), lease_value("token", "request", expires)),
            (VERSION.to_owned(), number(3)),
            (WRITE_ID.to_owned(), AttributeValue::S("written".to_owned())),
        ]);
        let judge = |write_id, token, version| RefusedWrite::judge(Some(&found), write_id, token, version);
        let theirs = RefusedWrite::Lost { expires: Some(expires) };
        assert_eq!(judge("written", "token", 2), RefusedWrite::Written);
        // The release has removed the token, so only the write ID shows that it took effect.
        assert_eq!(judge("written", "gone", 2), RefusedWrite::Written);
        assert_eq!(judge("lost", "token", 2), RefusedWrite::Behind { version: 3 });
        assert_eq!(judge("lost", "other", 2), theirs);
        // The item is not newer, so its version cannot explain the refusal. Otherwise the retries would never end.
        assert_eq!(judge("lost", "token", 3), theirs);
        assert_eq!(RefusedWrite::judge(None, "lost", "token", 2), RefusedWrite::Lost { expires: None });
    }
}
