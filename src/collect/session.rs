//! The settings, clients and limits of an invocation, which all its runs share.

use std::time::Duration;

use crate::{
    checkpoint::Store,
    cluster::Cluster,
    config::Config,
    document::{AccountName, DataStream, Organization},
    elastic::{self, BulkWriter, Origin},
    lastpass,
    limits::Limits,
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
    /// When work, the last save and the lease end.
    pub(crate) limits: Limits,
}

impl Session<'_> {
    /// Returns whether too little time is left to begin another page.
    pub(super) fn is_nearly_over(&self) -> bool {
        !self.limits.deadline.allows(Duration::from_secs(1))
    }

    /// Builds a writer for `data_stream` that keeps refused documents as dead letters.
    pub(super) fn writer(&self, data_stream: DataStream) -> BulkWriter {
        let dead_letters = DataStream::dead_letter(&self.mapper.namespace);
        BulkWriter::new(self.elastic, data_stream, dead_letters, self.origin.clone())
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
