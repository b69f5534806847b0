//! The settings of the deployed function, which say where LastPass, Elasticsearch and the secret are.

use std::collections::HashMap;

use lastpass_elastic::{
    config::{Config, SecretSource},
    document::AccountName,
    error::Error as LibraryError,
};

use super::error::Error;
use crate::{
    aws::{self, Aws, Call},
    stack::Stack,
};

const READ: &str = "lambda:GetFunctionConfiguration";

/// The settings for one account.
pub struct Settings {
    pub config: Config,
    /// The ARN or the name of the account's secret.
    pub secret_id: String,
}

impl Settings {
    /// Fetches the settings of the function of `stack`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn fetch(aws: &Aws, stack: &Stack, account: Option<&str>) -> Result<Self, Error> {
        let name = &stack.function_name;
        let request = aws.lambda().get_function_configuration().function_name(name);
        let found = request.send().await;
        let found = found.map_err(|error| aws::Error::new(&error, Call::new(READ, name), aws.region()))?;
        let variables: HashMap<String, String> =
            found.environment.and_then(|environment| environment.variables).unwrap_or_default();
        let config = Config::read(|name| variables.get(name).cloned()).map_err(LibraryError::from)?;
        let secret_id = secret_id(&config.secret, account)?;
        Ok(Self { config, secret_id })
    }
}

/// Returns the name of the secret of `account`.
pub fn secret_id(source: &SecretSource, account: Option<&str>) -> Result<String, Error> {
    match (source, account) {
        (SecretSource::Arn(arn), _) => Ok(arn.clone()),
        (SecretSource::Prefix(prefix), account) => {
            let name = AccountName::new(account.unwrap_or_default());
            let name = name.map_err(|error| Error::AccountName(error.to_string()))?;
            Ok(format!("{prefix}/{name}"))
        }
    }
}
