//! An API key that `connect` creates, and invalidates again if the connection fails.

use std::time::Duration;

use lastpass_elastic::{
    clock::Deadline,
    elastic::{self, Keys},
};
use secrecy::SecretString;
use serde_json::json;

use super::error::Error;
use crate::output;

/// Longest time to invalidate a key with all retries. Chosen: somebody is waiting at the terminal.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// The API key that this command has created.
#[derive(Default)]
pub struct CreatedKey(Option<(elastic::Client, String)>);

impl CreatedKey {
    /// Creates the key named `name` with the login of `client`.
    ///
    /// # Errors
    /// [`Error`]. The key may exist nevertheless, if the response was lost.
    pub async fn create(&mut self, client: &elastic::Client, name: &str, stack: &str) -> Result<SecretString, Error> {
        // Stored before the request, so that the key is invalidated even if the response is lost.
        self.0 = Some((client.clone(), name.to_owned()));
        let metadata = json!({"created_by": "lastpass-elastic connect", "stack": stack});
        Ok(elastic::create_writer_key(client, name, &metadata).await?)
    }

    /// Returns the client with the login that created the key; `None` if this command created none.
    pub fn client(&self) -> Option<&elastic::Client> {
        self.0.as_ref().map(|(client, _)| client)
    }

    /// Returns the name of the key; `None` if this command created none.
    pub fn name(&self) -> Option<&str> {
        self.0.as_ref().map(|(_, name)| name.as_str())
    }

    /// Invalidates the key, if this command created one. Prints a message if that fails, because another error ends the command.
    pub async fn invalidate(&self) {
        let Some((client, name)) = &self.0 else { return };
        let client = client.with_deadline(Deadline::after(TIMEOUT));
        if let Err(error) = elastic::invalidate_keys(&client, Keys::OwnNamed(name)).await {
            output::print_message(&format!(
                "the API key {name:?} may remain: invalidate it in Kibana under Stack Management > API keys ({error})"
            ));
        }
    }
}
