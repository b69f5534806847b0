//! The AWS clients of a command, with one login and region.
//!
//! The SDK retries reads. It never retries an invocation, because that would be a second invocation.

use std::time::Duration;

use aws_config::{
    BehaviorVersion, Region, SdkConfig, profile::ProfileFileCredentialsProvider, retry::RetryConfig,
    stalled_stream_protection::StalledStreamProtectionConfig, timeout::TimeoutConfig,
};

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
            // By default the SDK prefers the credentials of the environment, which may belong to another account.
            let login = ProfileFileCredentialsProvider::builder().profile_name(profile).build();
            loader = loader.profile_name(profile).credentials_provider(login);
        }
        let config = loader.load().await;
        let region = config.region().map(ToString::to_string).filter(|region| !region.is_empty());
        Ok(Self { region: region.ok_or(Error::NoRegion)?, config })
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Builds a CloudFormation client.
    pub fn cloudformation(&self) -> aws_sdk_cloudformation::Client {
        aws_sdk_cloudformation::Client::new(&self.config)
    }

    /// Builds a Secrets Manager client.
    pub fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::new(&self.config)
    }

    /// Builds a Step Functions client.
    pub fn step_functions(&self) -> aws_sdk_sfn::Client {
        aws_sdk_sfn::Client::new(&self.config)
    }

    /// Builds a Lambda client that waits for the longest run of a function and never retries.
    pub fn lambda(&self) -> aws_sdk_lambda::Client {
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
