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
    failure::Error as CommandError,
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
    pub async fn fetch(aws: &Aws, stack: &Stack, account: Option<&str>) -> Result<Self, CommandError> {
        let name = &stack.function_name;
        let request = aws_sdk_lambda::Client::new(aws.config()).get_function_configuration().function_name(name);
        let found = request.send().await;
        let found = found.map_err(|error| aws::Error::new(&error, Call::new(READ, name), aws.region()))?;
        let variables: HashMap<String, String> =
            found.environment.and_then(|environment| environment.variables).unwrap_or_default();
        let config = Config::read(|name| variables.get(name).cloned())
            .map_err(|fault| Error::from(LibraryError::from(fault)))?;
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

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        net::TcpListener,
        thread,
    };

    use super::*;

    #[tokio::test]
    async fn the_settings_are_fetched_again_after_a_failed_attempt() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let settings = r#"{"Environment": {"Variables": {"SECRET_ARN": "arn:secret", "CHECKPOINT_TABLE": "table",
            "ELASTICSEARCH_URL": "https://es.example.com"}}}"#;
        thread::spawn(move || {
            for (status, body) in [("500 Internal Server Error", "{}"), ("200 OK", settings)] {
                let (stream, _) = listener.accept().expect("a connection");
                for line in BufReader::new(&stream).lines() {
                    if line.expect("a line").is_empty() {
                        break;
                    }
                }
                let response =
                    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
                (&stream).write_all(response.as_bytes()).expect("a response");
            }
        });
        let aws = Aws::at(format!("http://{address}"));
        let settings = Settings::fetch(&aws, &Stack::of_accounts(None), None).await;
        assert_eq!(settings.expect("settings").secret_id, "arn:secret");
    }
}
