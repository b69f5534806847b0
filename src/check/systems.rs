//! The systems to check.

use crate::{
    checkpoint::Store,
    document::Namespace,
    elastic,
    lastpass::{self, time::ApiZone},
};

/// The systems to check once the settings and the secret are known.
pub struct Systems<'a> {
    /// The client of the LastPass account.
    pub lastpass: &'a lastpass::Client,
    /// The client of the cluster, with the key for reading and writing documents.
    pub elastic: &'a elastic::Client,
    /// The client of the cluster with the key that only `setup` uses, if the secret has one.
    pub elastic_setup: Option<&'a elastic::Client>,
    /// The checkpoint store.
    pub store: &'a Store,
    /// The zone setting.
    pub zone: &'a ApiZone,
    /// The zone setting for the dates of users.
    pub user_zone: &'a ApiZone,
    /// The namespace setting.
    pub namespace: &'a Namespace,
}
