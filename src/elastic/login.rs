//! The login of requests to Elasticsearch.
//!
//! The function has an API key. `lastpass-elastic connect` also logs in as a user, who creates that key.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use elasticsearch::http::headers::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};

use super::cause::KeyFault;
use super::error::Error;
use crate::redact::SecretParts;

/// The authentication of requests.
#[derive(Clone)]
pub enum Login {
    /// With an API key in its encoded form.
    ApiKey(SecretString),
    /// As a user, with HTTP Basic authentication.
    User {
        /// The name, which is not confidential.
        name: String,
        /// The password.
        password: SecretString,
    },
    /// Not at all: Elasticsearch then responds with 401, which proves that it can be reached.
    Anonymous,
}

/// Prints neither the key nor the password.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApiKey(_) => f.write_str("ApiKey"),
            Self::User { name, .. } => write!(f, "User({name:?})"),
            Self::Anonymous => f.write_str("Anonymous"),
        }
    }
}

impl Login {
    /// Returns the name of the user, if this is the login of one.
    pub(super) fn user(&self) -> Option<&str> {
        match self {
            Self::User { name, .. } => Some(name),
            Self::ApiKey(_) | Self::Anonymous => None,
        }
    }

    /// Returns the `Authorization` header for the cluster `host`.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] for a key that cannot be sent in a header, such as one with a line break.
    pub(super) fn authorization(&self, host: &str) -> Result<Option<HeaderValue>, Error> {
        let text = match self {
            Self::ApiKey(key) => format!("ApiKey {}", key.expose_secret()),
            Self::User { name, password } => {
                format!("Basic {}", STANDARD.encode(format!("{name}:{}", password.expose_secret())))
            }
            Self::Anonymous => return Ok(None),
        };
        let mut header = HeaderValue::from_str(&text)
            .map_err(|_| Error::Unauthorized { host: host.to_owned(), why: KeyFault::NotEncoded })?;
        header.set_sensitive(true);
        Ok(Some(header))
    }

    /// Returns the parts that are removed from responses.
    pub(super) fn parts(&self) -> SecretParts {
        match self {
            Self::ApiKey(key) => SecretParts::of(key),
            Self::User { password, .. } => SecretParts::of_password(password),
            Self::Anonymous => SecretParts::none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_sent_as_basic_authentication_and_printed_without_the_password() {
        let login = Login::User { name: "ann".to_owned(), password: SecretString::from("correct horse: battery") };
        let header = login.authorization("es.example.com").expect("a header").expect("a login");
        assert_eq!(header, "Basic YW5uOmNvcnJlY3QgaG9yc2U6IGJhdHRlcnk=");
        assert!(header.is_sensitive());
        assert_eq!(format!("{login:?}"), "User(\"ann\")");
        let echo = login.parts().redact(b"no correct horse: battery for ann".to_vec());
        assert_eq!(echo, b"no [redacted] for ann");
        assert_eq!(Login::Anonymous.authorization("es.example.com").expect("no header"), None);
    }
}
