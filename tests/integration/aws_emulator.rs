//! The AWS emulator at `AWS_ENDPOINT_URL` and its clients.

use std::io::Write as _;

use aws_config::{BehaviorVersion, SdkConfig};
use tokio::net::TcpStream;

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
    let missing = format!("no AWS emulator at AWS_ENDPOINT_URL ({address:?}; a loopback address is needed)");
    assert!(!in_ci(), "{missing}");
    say_skipped(&missing);
    None
}

/// Prints that a test is skipped.
fn say_skipped(why: &str) {
    // Not `eprintln`, because the test harness hides the output of passing tests.
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    writeln!(std::io::stderr(), "SKIPPED {test}: {why}").expect("the terminal takes a line");
}

#[expect(clippy::disallowed_methods, reason = "`config` is the product's; whether this is CI is the tests' own")]
fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty())
}

/// Returns a unique name.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}-{:016x}", fastrand::u64(..))
}
