//! Reads the credentials of an account from one Secrets Manager secret, and caches them.
//!
//! This module reads, checks and caches the document in the secret. It knows nothing of streams. Invariant: no value of
//! the document is ever printed, whether in an error, a log line or by `Debug`. The document is moved to zeroized
//! memory as soon as the SDK returns it. The intermediate copies of the SDK and of the parser cannot be cleared.

mod document;
mod error;
mod fields;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use tokio::sync::Mutex;

pub use self::document::{Credentials, Part, Profile, without_byte_order_mark};
pub use self::error::{Error, Problem, Problems};
pub use self::fields::PLACEHOLDER;
use crate::aws;
use crate::clock::Deadline;

/// How long a warm sandbox caches the credentials. Chosen: a rotated secret takes effect after this time even if the
/// old credentials still work. If credentials are refused, the secret is read again at once.
const CACHE_TIME: SignedDuration = SignedDuration::from_mins(15);

/// Most time for the retries of one call. Chosen: throttling usually ends within half a minute; waiting for the end of
/// an outage would take too long.
const RETRY_TIMEOUT: Duration = Duration::from_secs(30);

const GET: &str = "secretsmanager:GetSecretValue";

/// Reads secrets, and caches each of them for up to 15 minutes.
#[derive(Debug)]
pub struct Secrets {
    client: Client,
    /// The cached credentials, by secret ID.
    kept: Mutex<HashMap<String, Cached>>,
}

#[derive(Debug)]
struct Cached {
    credentials: Arc<Credentials>,
    read_at: Timestamp,
}

impl Secrets {
    /// Builds a reader that uses `client`. Replaces the client's own retries and timeouts.
    #[must_use]
    pub fn new(client: &Client) -> Self {
        let config = client.config().to_builder().retry_config(aws::retries()).timeout_config(aws::timeouts());
        Self { client: Client::from_conf(config.build()), kept: Mutex::default() }
    }

    /// Returns the secret `secret_id` (its ARN or name), whose calls end at `deadline`.
    #[must_use]
    pub const fn secret<'a>(&'a self, secret_id: &'a str, deadline: Deadline) -> Secret<'a> {
        Secret { secrets: self, id: secret_id, deadline }
    }
}

/// One secret, for one invocation.
#[derive(Debug, Clone, Copy)]
pub struct Secret<'a> {
    secrets: &'a Secrets,
    id: &'a str,
    deadline: Deadline,
}

impl Secret<'_> {
    /// Returns the credentials. Reads the secret if the cached credentials are older than 15 minutes at `now`.
    ///
    /// # Errors
    /// [`Error::Placeholder`]: the stack is not set up yet, which is no failure. Any other: see its text.
    pub async fn get(&self, now: Timestamp) -> Result<Arc<Credentials>, Error> {
        let mut kept = self.secrets.kept.lock().await;
        match kept.get(self.id) {
            Some(known) if known.is_fresh(now) => Ok(Arc::clone(&known.credentials)),
            _ => self.read(&mut kept, now).await,
        }
    }

    /// Reads the current credentials from Secrets Manager, after a system refused the cached ones.
    ///
    /// # Errors
    /// The errors of [`get`](Self::get). After an error, nothing is cached, so [`get`](Self::get) reads the secret
    /// again.
    pub async fn reload(&self, now: Timestamp) -> Result<Arc<Credentials>, Error> {
        let mut kept = self.secrets.kept.lock().await;
        self.read(&mut kept, now).await
    }

    async fn read(&self, kept: &mut HashMap<String, Cached>, now: Timestamp) -> Result<Arc<Credentials>, Error> {
        kept.remove(self.id);
        let document = self.fetch().await?;
        let credentials = Arc::new(Credentials::parse(&document, self.id)?);
        kept.insert(self.id.to_owned(), Cached { credentials: Arc::clone(&credentials), read_at: now });
        Ok(credentials)
    }

    async fn fetch(&self) -> Result<SecretString, Error> {
        let request = self.secrets.client.get_secret_value().secret_id(self.id);
        let answer = aws::call(GET, RETRY_TIMEOUT, self.deadline, || request.clone().send()).await;
        let answer = answer.map_err(|fault| Error::of_call(fault, self.id))?;
        let binary = || Error::Invalid { secret_id: self.id.to_owned(), problems: Problems(vec![Problem::Binary]) };
        Ok(SecretString::from(answer.secret_string.ok_or_else(binary)?))
    }
}

impl Cached {
    /// Returns whether the credentials may still be used. They may not if the clock was set back.
    fn is_fresh(&self, now: Timestamp) -> bool {
        (SignedDuration::ZERO..CACHE_TIME).contains(&now.duration_since(self.read_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::AccountNumber;

    #[test]
    fn credentials_are_fresh_for_a_quarter_of_an_hour_and_not_before_they_were_read() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let secret = || SecretString::from("x");
        let credentials = Credentials {
            account_number: AccountNumber::new("7").unwrap(),
            provisioning_hash: secret(),
            elastic_api_key: secret(),
            elastic_setup_api_key: None,
            profile: Profile::default(),
        };
        let kept = Cached { credentials: Arc::new(credentials), read_at: at("2024-05-01T12:00:00Z") };
        assert!(kept.is_fresh(at("2024-05-01T12:00:00Z")));
        assert!(kept.is_fresh(at("2024-05-01T12:14:59Z")));
        assert!(!kept.is_fresh(at("2024-05-01T12:15:00Z")));
        assert!(!kept.is_fresh(at("2024-05-01T11:59:59Z")));
    }
}
