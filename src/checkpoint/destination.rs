//! The destination that a checkpoint is valid for.

use std::fmt;

use crate::document::{AccountNumber, Namespace};

/// The destination that a checkpoint is valid for. In another destination, the same positions would skip documents that
/// were never sent there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The host of Elasticsearch.
    pub host: String,
    /// The namespace of the data streams.
    pub namespace: Namespace,
    /// The LastPass account.
    pub account: AccountNumber,
    /// The UUID of the cluster, if known, because another cluster may respond under the same host.
    pub cluster_uuid: Option<String>,
}

impl Destination {
    /// Returns whether both are the same destination. An unknown cluster UUID matches any other.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let is_same_cluster = match (&self.cluster_uuid, &other.cluster_uuid) {
            (Some(ours), Some(theirs)) => ours == theirs,
            (None, _) | (_, None) => true,
        };
        self.has_same_settings(other) && is_same_cluster
    }

    /// Returns whether the settings and the secret are the same for both.
    pub(crate) fn has_same_settings(&self, other: &Self) -> bool {
        (&self.host, &self.namespace, &self.account) == (&other.host, &other.namespace, &other.account)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (namespace {}, account {})", self.host, self.namespace, self.account)
    }
}
