//! The API key for Kibana. It is never an argument, because other users of the machine can read the arguments of a process.

use secrecy::{ExposeSecret as _, SecretString};

use super::error::{Error, VARIABLE};
use crate::ask::{self, ask};

const PROMPT: &str = "API key for Kibana, encoded (stays hidden, and is not stored): ";

/// Reads the API key from the environment, or asks for it on a terminal without showing it.
///
/// # Errors
/// [`Error::NoKey`], [`Error::Key`], [`Error::Terminal`], [`Error::Interrupted`].
pub async fn read() -> Result<SecretString, Error> {
    #[expect(clippy::disallowed_methods, reason = "the one place where `content` reads the environment")]
    let given = std::env::var(VARIABLE).ok().filter(|value| !value.trim().is_empty());
    let key = match given {
        Some(key) => SecretString::from(key),
        None if ask::is_possible() => ask(PROMPT, true).await.map_err(|error| match error {
            ask::Error::Terminal(error) => Error::Terminal(error),
            ask::Error::Interrupted => Error::Interrupted,
        })?,
        None => return Err(Error::NoKey),
    };
    check(key.expose_secret().trim())
}

fn check(key: &str) -> Result<SecretString, Error> {
    let is_encoded = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte);
    if key.is_empty() {
        Err(Error::NoKey)
    } else if key.bytes().all(is_encoded) {
        Ok(key.into())
    } else {
        Err(Error::Key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_encoded_form_is_taken() {
        assert_eq!(
            check("VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw==")
                .map(|_| ())
                .map_err(|e| e.to_string()),
            Ok(())
        );
        for key in ["id:f00dfeed", "\"f00dfeed\"", "ApiKey f00dfeed", "f00dfeed\u{e9}"] {
            let error = check(key).expect_err(key).to_string();
            assert!(error.contains("encoded") && !error.contains("f00dfeed"), "{error}");
        }
    }
}
