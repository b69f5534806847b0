//! The AWS clients of a command, with one login and region.
//!
//! The SDK retries reads. It never retries an invocation, because that would be a second invocation.

use std::time::Duration;

use aws_config::{
    BehaviorVersion, Region, SdkConfig, profile::ProfileFileCredentialsProvider, provider_config::ProviderConfig,
    retry::RetryConfig, stalled_stream_protection::StalledStreamProtectionConfig, timeout::TimeoutConfig,
};
use aws_credential_types::provider::SharedCredentialsProvider;

use super::Error;

/// Longest wait for a connection with TLS. Chosen: a region on another continent responds within a second.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for one response to a read. Chosen: somebody is waiting at the terminal.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a read with all its retries. Chosen: as for [`READ_TIMEOUT`].
const OPERATION_TIMEOUT: Duration = Duration::from_secs(25);
/// Longest wait for the function's response. Source: a Lambda function runs for at most 900 s.
const INVOKE_TIMEOUT: Duration = Duration::from_secs(930);

/// The login and the region of a command.
#[derive(Debug, Clone)]
pub struct Aws {
    config: SdkConfig,
    region: String,
}

impl Aws {
    /// Loads the given login and region, or those that the AWS CLI would use.
    ///
    /// # Errors
    /// [`Error::NoRegion`]: neither the options nor the environment nor the profile set a region.
    pub async fn load(region: Option<&str>, profile: Option<&str>) -> Result<Self, Error> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT);
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts.build());
        if let Some(region) = region {
            loader = loader.region(Region::new(region.to_owned()));
        }
        if let Some(profile) = profile {
            loader = loader.profile_name(profile);
        }
        let mut config = loader.load().await;
        if let Some(profile) = profile {
            // By default the SDK prefers the credentials of the environment, which may belong to another account. A profile that
            // assumes a role needs the region, because it calls STS.
            let provider = ProviderConfig::without_region().with_region(config.region().cloned());
            let login = ProfileFileCredentialsProvider::builder().profile_name(profile).configure(&provider).build();
            config = config.into_builder().credentials_provider(SharedCredentialsProvider::new(login)).build();
        }
        let region = config.region().map(ToString::to_string).filter(|region| !region.is_empty());
        Ok(Self { region: region.ok_or(Error::NoRegion)?, config })
    }

    /// Uses the service at `endpoint`.
    #[cfg(test)]
    pub fn at(endpoint: String) -> Self {
        let login = aws_credential_types::Credentials::new("id", "key", None, None, "tests");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .region(Region::from_static("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(login));
        Self { config: config.build(), region: "eu-west-1".to_owned() }
    }

    /// Returns the region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Returns the configuration of a client for reads and other short calls.
    pub const fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// Builds a Lambda client for invocations, which waits for the longest run of a function and never retries.
    pub fn invoker(&self) -> aws_sdk_lambda::Client {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(INVOKE_TIMEOUT)
            .operation_timeout(INVOKE_TIMEOUT);
        let config = aws_sdk_lambda::config::Builder::from(&self.config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts.build())
            // A running function sends nothing for minutes.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        aws_sdk_lambda::Client::from_conf(config.build())
    }

    /// Fetches the number of the AWS account, which needs no permission. `None` if STS does not return it: the number only
    /// adds detail to the text of another error.
    pub async fn fetch_account(&self) -> Option<String> {
        aws_sdk_sts::Client::new(&self.config).get_caller_identity().send().await.ok()?.account
    }
}
