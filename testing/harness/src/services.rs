//! The addresses of the real services.

use std::path::PathBuf;

use crate::{Aws, Elasticsearch, Error};

/// The services of the local stack, with superuser rights.
#[derive(Debug, Clone)]
pub struct Services {
    /// The cluster.
    pub elasticsearch: Elasticsearch,
    /// The emulator.
    pub aws: Aws,
}

impl Services {
    /// Connects to the services that the environment names: `LOCAL_ELASTICSEARCH_URL`, `…_USER`, `…_PASSWORD`,
    /// `AWS_ENDPOINT_URL` and credentials.
    ///
    /// # Errors
    /// [`Error::Unset`] with the first missing variable.
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

/// Returns an environment variable. An empty one counts as unset.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the one place where the harness reads the environment")]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns the binary to test: the value of `BOOTSTRAP`, or `default`.
#[must_use]
pub fn binary(default: &str) -> PathBuf {
    variable("BOOTSTRAP").unwrap_or_else(|| default.to_owned()).into()
}
