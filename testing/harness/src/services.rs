//! Where the real services are.

use std::path::PathBuf;

use crate::{Aws, Elasticsearch, Error};

/// The running services of the local stack, with the superuser's rights.
#[derive(Debug, Clone)]
pub struct Services {
    /// The cluster.
    pub elasticsearch: Elasticsearch,
    /// The emulator.
    pub aws: Aws,
}

impl Services {
    /// The services that the environment names: `LOCAL_ELASTICSEARCH_URL`, `…_USER`, `…_PASSWORD`, `AWS_ENDPOINT_URL`
    /// and credentials.
    ///
    /// # Errors
    /// [`Error::Unset`] names the first variable that is missing.
    pub async fn from_environment() -> Result<Self, Error> {
        let needed = |name: &str| variable(name).ok_or_else(|| Error::Unset(name.to_owned()));
        let elasticsearch = Elasticsearch::new(
            &needed("LOCAL_ELASTICSEARCH_URL")?,
            &needed("LOCAL_ELASTICSEARCH_USER")?,
            &needed("LOCAL_ELASTICSEARCH_PASSWORD")?,
        );
        let aws = Aws::new(needed("AWS_ENDPOINT_URL")?).await;
        Ok(Self { elasticsearch, aws })
    }
}

/// A variable of the environment; an empty one is an unset one.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the one place where the harness reads the environment")]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The binary to test: that which `BOOTSTRAP` names, else `default`.
#[must_use]
pub fn binary(default: &str) -> PathBuf {
    variable("BOOTSTRAP").unwrap_or_else(|| default.to_owned()).into()
}
