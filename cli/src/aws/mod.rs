//! The AWS account and region that a command works in, and its clients.
//!
//! Reads are repeated by the SDK as it likes. An invocation never is: a repeated one would be another one.

mod fault;

use std::time::Duration;

use aws_config::{
    BehaviorVersion, Region, SdkConfig, profile::ProfileFileCredentialsProvider, retry::RetryConfig,
    stalled_stream_protection::StalledStreamProtectionConfig, timeout::TimeoutConfig,
};

pub use self::fault::{Call, Fault};

/// Longest wait for a connection with TLS. Chosen: a region on another continent answers within a second.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest wait for one answer of a service that answers at once, and for all attempts together. Chosen: who waits in front
/// of a screen.
const READ: Duration = Duration::from_secs(10);
const ATTEMPTS: Duration = Duration::from_secs(25);
/// Longest wait for an answer of the function. Source: a Lambda function runs for 900 s at most.
const INVOKE: Duration = Duration::from_secs(930);

/// Where a command works, and with which login.
#[derive(Debug, Clone)]
pub struct Aws {
    config: SdkConfig,
    region: String,
}

impl Aws {
    /// Takes up the login and the region that were named, or those that the AWS CLI would take.
    ///
    /// # Errors
    /// [`Fault::NoRegion`]: nothing tells in which region the stack is.
    pub async fn open(region: Option<&str>, profile: Option<&str>) -> Result<Self, Fault> {
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).read_timeout(READ).operation_timeout(ATTEMPTS);
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts.build());
        if let Some(region) = region {
            loader = loader.region(Region::new(region.to_owned()));
        }
        if let Some(profile) = profile {
            // The SDK alone would let the credentials of the environment go before: those of another account, as it may be.
            let login = ProfileFileCredentialsProvider::builder().profile_name(profile).build();
            loader = loader.profile_name(profile).credentials_provider(login);
        }
        let config = loader.load().await;
        let region = config.region().map(ToString::to_string).filter(|region| !region.is_empty());
        Ok(Self { region: region.ok_or(Fault::NoRegion)?, config })
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    pub fn cloudformation(&self) -> aws_sdk_cloudformation::Client {
        aws_sdk_cloudformation::Client::new(&self.config)
    }

    pub fn states(&self) -> aws_sdk_sfn::Client {
        aws_sdk_sfn::Client::new(&self.config)
    }

    pub fn lambda(&self) -> aws_sdk_lambda::Client {
        let config = aws_sdk_lambda::config::Builder::from(&self.config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT)
                    .read_timeout(INVOKE)
                    .operation_timeout(INVOKE)
                    .build(),
            )
            // A function at work sends nothing for minutes.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        aws_sdk_lambda::Client::from_conf(config.build())
    }

    /// The number of the AWS account, where it can be asked for. It needs no permission.
    pub async fn account(&self) -> Option<String> {
        aws_sdk_sts::Client::new(&self.config).get_caller_identity().send().await.ok()?.account
    }
}
