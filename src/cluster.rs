//! The cluster that an invocation writes to.
//!
//! A sandbox remembers the UUID of the cluster whose index templates it has found. An invocation then expects that cluster
//! and begins to read LastPass. Before anything is written or saved, [`Cluster::confirm`] compares the expected UUID with
//! that of the cluster which answers.

use std::sync::{Mutex, PoisonError};

use tokio::sync::OnceCell;

use crate::{
    checkpoint::{Key, Store},
    elastic,
    error::Error,
};

/// The UUID of the cluster in which a sandbox has found the index templates.
#[derive(Debug, Default)]
pub(crate) struct KnownCluster(Mutex<Option<String>>);

impl KnownCluster {
    pub(crate) fn uuid(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, uuid: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = uuid;
    }
}

/// The cluster of an invocation.
pub struct Cluster<'a> {
    elastic: &'a elastic::Client,
    store: &'a Store,
    confirmed: OnceCell<()>,
}

impl<'a> Cluster<'a> {
    /// Expects the cluster in the destination of `store`.
    pub(crate) fn expected(elastic: &'a elastic::Client, store: &'a Store) -> Self {
        Self { elastic, store, confirmed: OnceCell::new() }
    }

    /// Uses the cluster in the destination of `store`, which has just answered.
    pub(crate) fn found(elastic: &'a elastic::Client, store: &'a Store) -> Self {
        Self { elastic, store, confirmed: OnceCell::new_with(Some(())) }
    }

    /// Checks once that the expected cluster answers, before documents are written and a position is saved under `key`.
    ///
    /// # Errors
    /// [`DestinationChanged`](crate::checkpoint::Error::DestinationChanged) if another cluster answers. The invocation
    /// then forgets the remembered UUID and starts again. Errors of the call to Elasticsearch.
    pub(crate) async fn confirm(&self, key: Key) -> Result<(), Error> {
        let compare = async || {
            let uuid = elastic::fetch_cluster_info(self.elastic).await?.uuid;
            if uuid == self.store.destination().cluster_uuid {
                Ok(())
            } else {
                Err(self.store.other_cluster(key, uuid).into())
            }
        };
        self.confirmed.get_or_try_init(compare).await.copied()
    }
}
