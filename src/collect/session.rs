//! The settings, clients and limits of an invocation, which all its runs share.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    checkpoint::Store,
    clock::Deadline,
    cluster::Cluster,
    config::Config,
    document::{AccountName, Organization},
    elastic::{self, Origin},
    lastpass,
    secrets::Credentials,
    streams::Mapper,
    telemetry::Journal,
};

/// The settings, clients and limits of one invocation.
pub struct Session<'a> {
    /// The settings.
    pub config: &'a Config,
    /// The client of the LastPass account.
    pub lastpass: &'a lastpass::Client,
    /// The client of the Elasticsearch cluster.
    pub elastic: &'a elastic::Client,
    /// The cluster, to be confirmed before anything is written.
    pub(crate) cluster: &'a Cluster<'a>,
    /// The checkpoint store.
    pub store: &'a Store,
    /// Maps records to documents.
    pub mapper: &'a Mapper,
    /// Describes the invocation in dead letters.
    pub origin: &'a Origin,
    /// Records the runs of the invocation, for its summary and metrics.
    pub journal: &'a Journal,
    /// The Lambda request ID.
    pub request_id: &'a str,
    /// When work stops. It is before Lambda's own deadline.
    pub deadline: Deadline,
    /// The deadline for writing the last checkpoint.
    pub save_deadline: Deadline,
    /// The latest instant at which a lease may expire.
    pub lease_until: Timestamp,
}

impl Session<'_> {
    /// Returns whether too little time is left to begin another page.
    pub(super) fn is_nearly_over(&self) -> bool {
        !self.deadline.allows(Duration::from_secs(1))
    }
}

/// Builds the mapper of an account. Values in the account's secret override the settings. An organization without a
/// name gets the name of the account.
#[must_use]
pub fn mapper(config: &Config, credentials: &Credentials, account: Option<&AccountName>) -> Mapper {
    let profile = &credentials.profile;
    let Organization { id, name } = profile.organization.clone();
    Mapper {
        account: credentials.account_number.clone(),
        organization: Organization { id, name: name.or_else(|| account.map(ToString::to_string)) },
        namespace: profile.namespace.as_ref().unwrap_or(&config.namespace).clone(),
        zone: profile.zone.as_ref().unwrap_or(&config.zone).clone(),
        user_zone: profile.user_zone.as_ref().unwrap_or(&config.user_zone).clone(),
        tags: config.tags.clone(),
        preserve_original_event: config.preserve_original_event,
        preserve_duplicate_custom_fields: config.preserve_duplicate_custom_fields,
    }
}
