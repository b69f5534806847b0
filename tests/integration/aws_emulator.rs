//! The AWS emulator at `AWS_ENDPOINT_URL` and its clients.

use aws_config::{BehaviorVersion, SdkConfig};
use tokio::net::TcpStream;

use crate::stage::skip;

/// Returns the configuration of clients for the emulator. `None` with a message on the terminal if there is no
/// emulator; a failure in CI.
///
/// Only a loopback address is accepted, because tests create and change resources.
pub async fn config() -> Option<SdkConfig> {
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let address = config.endpoint_url().and_then(|url| url::Url::parse(url).ok()).and_then(|url| {
        let loopback = ["127.0.0.1", "localhost", "[::1]"].contains(&url.host_str()?);
        loopback.then_some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
    });
    let reached = match &address {
        Some(address) => TcpStream::connect(address).await.is_ok(),
        None => false,
    };
    if reached {
        return Some(config);
    }
    skip(&format!("no AWS emulator at AWS_ENDPOINT_URL ({address:?}; a loopback address is needed)"));
    None
}
