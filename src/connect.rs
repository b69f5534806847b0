//! Clients for `lastpass-elastic connect`, which tries credentials on the user's machine before the function gets them.

use crate::{
    clock::Deadline,
    config::{self, Config},
    elastic::{self, Login},
    error::Error,
    http,
};

/// Builds a client for the cluster of the settings.
///
/// # Errors
/// [`Error::Config`] if TLS cannot be set up; [`Error::Elasticsearch`] for a key that cannot be sent.
pub fn elasticsearch(config: &Config, login: &Login, deadline: Deadline) -> Result<elastic::Client, Error> {
    let http = http::Clients::new(config.elasticsearch_ca.as_deref()).and_then(|clients| clients.for_elasticsearch());
    let http = http.map_err(config::Invalid::from)?;
    Ok(elastic::Client::new(http, config.elasticsearch.clone(), login, deadline)?)
}
