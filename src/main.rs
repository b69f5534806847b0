//! The `bootstrap` binary that Lambda starts: log, settings, clients, run.

use std::process::ExitCode;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use lambda_runtime::{LambdaEvent, service_fn};
use lastpass_elastic::{
    config::{self, Config},
    function::Function,
    telemetry,
};
use serde_json::Value;
use tracing::level_filters::LevelFilter;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // A wrong LOG_LEVEL is reported together with the other settings.
    telemetry::init(config::log_level(variable).unwrap_or(LevelFilter::INFO));
    // Lambda provides the credentials in the environment. The default chain would also build clients for other sources.
    let credentials = EnvironmentVariableCredentialsProvider::new();
    let aws = aws_config::from_env().credentials_provider(credentials).load().await;
    let function = Function::new(Config::read(variable), &aws);
    let function = &function;
    match lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| function.handle(event))).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error, "the Lambda runtime ended");
            ExitCode::FAILURE
        }
    }
}

/// Reads an environment variable. No other function reads the environment.
fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "settings are checked by `config`, which is given this reader")]
    std::env::var(name).ok()
}
