//! The errors of checkpoints and their remedies.

use jiff::Timestamp;

use super::{Destination, PartitionKey};
use crate::aws::{BoxError, CallError, Verdict};

/// A checkpoint that could not be read or written.
///
/// After any of these errors, the stored position is an acknowledged one, because no other position is ever written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// DynamoDB did not respond, or throttled, until the time was up. A write may have taken effect.
    #[error(
        "DynamoDB could not be reached for `{action}` on the table {table}: the next run continues from the last \
         checkpoint; if this persists, check the table's throttling in CloudWatch and, in a VPC, the route or gateway \
         endpoint to DynamoDB"
    )]
    Unreachable {
        /// The IAM name of the call.
        action: &'static str,
        /// The table.
        table: String,
        /// The fault of the last attempt.
        source: BoxError,
    },
    /// The function's role does not allow the call.
    #[error(
        "DynamoDB refused `{action}` on the table {table}: the function's role must allow it (statement \
         `KeepCheckpoints` of its policy in template.yaml), and no boundary or table policy may deny it"
    )]
    Forbidden {
        /// The IAM name of the call.
        action: &'static str,
        /// The table.
        table: String,
        /// DynamoDB's own message.
        source: BoxError,
    },
    /// The KMS key that encrypts the table cannot be used.
    #[error(
        "DynamoDB could not use the KMS key of the table {table} for `{action}`: enable the key, set the \
         parameter KmsKeyArn to it, and let its policy leave the permissions to IAM (docs/deploy.md)"
    )]
    Key {
        /// The IAM name of the call.
        action: &'static str,
        /// The table.
        table: String,
        /// DynamoDB's own message.
        source: BoxError,
    },
    /// The table does not exist.
    #[error(
        "DynamoDB has no table {table} (CHECKPOINT_TABLE) in the function's account and region, so it was deleted: \
         docs/errors.md says how to restore it"
    )]
    TableMissing {
        /// The table.
        table: String,
        /// DynamoDB's own message.
        source: BoxError,
    },
    /// DynamoDB refused the call for a reason that a retry does not change.
    #[error(
        "DynamoDB refused `{action}` on the table {table}: CHECKPOINT_TABLE must name the stack's own table \
         (partition key `pk`, a string, and no sort key)"
    )]
    Refused {
        /// The IAM name of the call.
        action: &'static str,
        /// The table.
        table: String,
        /// DynamoDB's own message.
        source: BoxError,
    },
    /// An item cannot be read, because someone or another program changed it.
    #[error(
        "the checkpoint `{pk}` in the table {table} cannot be read: its attribute `{attribute}` must be {wanted}; \
         correct it in the DynamoDB console, or delete the item to start over (documents that are already in \
         Elasticsearch are not duplicated)"
    )]
    Broken {
        /// The table.
        table: String,
        /// The item's key.
        pk: String,
        /// The attribute, with a dot between a map and its entry.
        attribute: String,
        /// The form that it must have.
        wanted: &'static str,
    },
    /// The checkpoint belongs to another cluster, namespace or account. No document was written, and no position changed.
    #[error(
        "the checkpoint `{pk}` in the table {table} belongs to {stored}, but {}, or confirm the new destination with \
         {{\"action\": \"reset\", {}\"stream\": \"{}\", \"to\": \"...\"}} (`to`: the time from which the new \
         destination receives events), or deploy a second stack for it", what_changed(stored, now), account_field(pk), pk.key.stream()
    )]
    DestinationChanged {
        /// The table.
        table: String,
        /// The item's key.
        pk: Box<PartitionKey>,
        /// The destination of the checkpoint.
        stored: Box<Destination>,
        /// The current destination.
        now: Box<Destination>,
    },
    /// Another run took the lease, or the item was deleted: this run must stop. Nothing was written by this call.
    #[error(
        "another run has taken the lease of the checkpoint `{pk}` in the table {table}{}: no data is lost; that run \
         continues from the last checkpoint", until(*.expires)
    )]
    LeaseLost {
        /// The table.
        table: String,
        /// The item's key.
        pk: String,
        /// When the other run's lease expires. `None` if no run holds it.
        expires: Option<Timestamp>,
    },
}

/// Explains how the destination differs, and how to restore the former one.
fn what_changed(stored: &Destination, now: &Destination) -> String {
    if stored.has_same_settings(now) {
        let uuid = |destination: &Destination| destination.cluster_uuid.clone().unwrap_or_default();
        return format!(
            "another cluster now responds at this host (its `cluster_uuid` is {}, and was {}), where all earlier \
             documents would be missing: restore the former cluster",
            uuid(now),
            uuid(stored)
        );
    }
    format!(
        "the settings and the secret now name {now}, where all earlier documents would be missing: restore the former \
         settings or the former values in the secret"
    )
}

/// Returns the field that names the account in a request.
fn account_field(pk: &PartitionKey) -> String {
    pk.account.as_ref().map_or_else(String::new, |account| format!("\"account\": \"{account}\", "))
}

fn until(expires: Option<Timestamp>) -> String {
    expires.map_or_else(String::new, |at| format!(" and holds it until {at}"))
}

impl Error {
    /// Returns the stable name of this error in answers, alarms and docs.
    ///
    /// A table or an item that cannot be used counts as unreachable. The text of the error distinguishes the cases.
    #[must_use]
    pub const fn error_type(&self) -> &'static str {
        match self {
            Self::Forbidden { .. } | Self::Key { .. } => "Checkpoint.Forbidden",
            Self::DestinationChanged { .. } => "Checkpoint.DestinationChanged",
            Self::Unreachable { .. }
            | Self::TableMissing { .. }
            | Self::Refused { .. }
            | Self::Broken { .. }
            | Self::LeaseLost { .. } => "Checkpoint.Unreachable",
        }
    }

    /// Returns whether another run took over the lease. This run must then end, without a failure.
    #[must_use]
    pub const fn is_lease_lost(&self) -> bool {
        matches!(self, Self::LeaseLost { .. })
    }

    pub(crate) fn of_call(fault: CallError, action: &'static str, table: &str) -> Self {
        let table = table.to_owned();
        let verdict = fault.verdict;
        let source = Box::new(fault);
        match verdict {
            Verdict::Transient => Self::Unreachable { action, table, source },
            Verdict::Forbidden => Self::Forbidden { action, table, source },
            Verdict::Key => Self::Key { action, table, source },
            Verdict::Missing => Self::TableMissing { table, source },
            Verdict::Refused => Self::Refused { action, table, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Key;
    use super::*;
    use crate::document::{AccountName, AccountNumber, Namespace, Stream};

    fn fault() -> Box<CallError> {
        Box::new(CallError::transient("no response before the deadline"))
    }

    fn destination(host: &str) -> Box<Destination> {
        let namespace = Namespace::new("default").unwrap();
        let cluster_uuid = Some("first".to_owned());
        Box::new(Destination { host: host.into(), namespace, account: AccountNumber::new("7").unwrap(), cluster_uuid })
    }

    #[test]
    fn every_text_says_what_to_do() {
        let (action, table, pk) = ("dynamodb:UpdateItem", || "checkpoints".to_owned(), || "stream#user".to_owned());
        let texts = [
            (
                Error::Unreachable { action, table: table(), source: fault() },
                "Checkpoint.Unreachable",
                "DynamoDB could not be reached for `dynamodb:UpdateItem` on the table checkpoints: the next run \
                 continues from the last checkpoint; if this persists, check the table's throttling in CloudWatch \
                 and, in a VPC, the route or gateway endpoint to DynamoDB",
            ),
            (
                Error::Forbidden { action, table: table(), source: fault() },
                "Checkpoint.Forbidden",
                "DynamoDB refused `dynamodb:UpdateItem` on the table checkpoints: the function's role must allow it \
                 (statement `KeepCheckpoints` of its policy in template.yaml), and no boundary or table policy may \
                 deny it",
            ),
            (
                Error::Key { action, table: table(), source: fault() },
                "Checkpoint.Forbidden",
                "DynamoDB could not use the KMS key of the table checkpoints for `dynamodb:UpdateItem`: enable the \
                 key, set the parameter KmsKeyArn to it, and let its policy leave the permissions to IAM (docs/deploy.md)",
            ),
            (
                Error::TableMissing { table: table(), source: fault() },
                "Checkpoint.Unreachable",
                "DynamoDB has no table checkpoints (CHECKPOINT_TABLE) in the function's account and region, so it was \
                 deleted: docs/errors.md says how to restore it",
            ),
            (
                Error::Refused { action, table: table(), source: fault() },
                "Checkpoint.Unreachable",
                "DynamoDB refused `dynamodb:UpdateItem` on the table checkpoints: CHECKPOINT_TABLE must name the \
                 stack's own table (partition key `pk`, a string, and no sort key)",
            ),
            (
                Error::Broken { table: table(), pk: pk(), attribute: "lease.expires".into(), wanted: "a map" },
                "Checkpoint.Unreachable",
                "the checkpoint `stream#user` in the table checkpoints cannot be read: its attribute `lease.expires` \
                 must be a map; correct it in the DynamoDB console, or delete the item to start over (documents that \
                 are already in Elasticsearch are not duplicated)",
            ),
            (
                Error::DestinationChanged {
                    table: table(),
                    pk: Box::new(PartitionKey { account: None, key: Key::Stream(Stream::User) }),
                    stored: destination("old.example"),
                    now: destination("new.example"),
                },
                "Checkpoint.DestinationChanged",
                "the checkpoint `stream#user` in the table checkpoints belongs to old.example (namespace default, \
                 account 7), but the settings and the secret now name new.example (namespace default, account 7), \
                 where all earlier documents would be missing: restore the former settings or the former values in the \
                 secret, or confirm the new destination with {\"action\": \"reset\", \"stream\": \"user\", \"to\": \
                 \"...\"} (`to`: the time from which the new destination receives events), or deploy a second stack \
                 for it",
            ),
            (
                Error::DestinationChanged {
                    table: table(),
                    pk: Box::new(PartitionKey {
                        account: AccountName::new("globex").ok(),
                        key: Key::Redrive(Stream::EventReport),
                    }),
                    stored: destination("es.example"),
                    now: Box::new(Destination { cluster_uuid: Some("second".into()), ..*destination("es.example") }),
                },
                "Checkpoint.DestinationChanged",
                "the checkpoint `account#globex#redrive#event_report` in the table checkpoints belongs to es.example \
                 (namespace default, account 7), but another cluster now responds at this host (its `cluster_uuid` is \
                 second, and was first), where all earlier documents would be missing: restore the former cluster, or \
                 confirm the new destination with {\"action\": \"reset\", \"account\": \"globex\", \"stream\": \
                 \"event_report\", \"to\": \"...\"} (`to`: the time from which the new destination receives events), \
                 or deploy a second stack for it",
            ),
            (
                Error::LeaseLost { table: table(), pk: pk(), expires: "2024-05-01T12:00:00Z".parse().ok() },
                "Checkpoint.Unreachable",
                "another run has taken the lease of the checkpoint `stream#user` in the table checkpoints and holds \
                 it until 2024-05-01T12:00:00Z: no data is lost; that run continues from the last checkpoint",
            ),
        ];
        for (error, error_type, text) in texts {
            assert_eq!(error.to_string(), text);
            assert_eq!(error.error_type(), error_type, "{text}");
            assert_eq!(error.is_lease_lost(), matches!(error, Error::LeaseLost { .. }));
        }
    }
}
