//! Creates and invalidates the API key of the function, with the login of a user.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use elasticsearch::security::{SecurityCreateApiKeyParts, SecurityInvalidateApiKeyParts};
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Client;
use super::error::Error;
use super::operation::Operation;
use super::transport::Request;

/// The role descriptor of the function's key, as `assets/roles/writer.json` has it.
pub const WRITER_ROLE: &str = include_str!("../../assets/roles/writer.json");
/// The role descriptor of the key that only `setup` uses, as `assets/roles/installer.json` has it.
pub const INSTALLER_ROLE: &str = include_str!("../../assets/roles/installer.json");

const REMEDY: &str = "check whether API keys are enabled (xpack.security.authc.api_key.enabled)";

/// The keys to invalidate.
#[derive(Debug, Clone, Copy)]
pub enum Keys<'a> {
    /// The key with this ID, whoever created it.
    WithId(&'a str),
    /// The key with this ID, if the user created it.
    OwnWithId(&'a str),
    /// All keys of this name that the user created.
    OwnNamed(&'a str),
}

/// Creates an API key with the writer role, and returns its encoded form. Sends the request once: if the response is lost,
/// there may be a key, which can be invalidated by its name.
///
/// # Errors
/// [`Error`].
pub async fn create_writer_key(client: &Client, name: &str, metadata: &Value) -> Result<SecretString, Error> {
    #[derive(Deserialize)]
    struct Created {
        encoded: String,
    }
    let role: Value = super::assets::parsed(WRITER_ROLE);
    let body = json!({"name": name, "role_descriptors": {"lastpass-writer": role}, "metadata": metadata});
    let path = SecurityCreateApiKeyParts::None.url();
    let request = Request::new(Operation::CreateApiKey, Method::POST, path).with_json(&body);
    let response = client.send_once(&request).await?;
    Ok(client.accepted::<Created>(&response, REMEDY)?.encoded.into())
}

/// Invalidates API keys, and returns how many were valid until then.
///
/// # Errors
/// [`Error`].
pub async fn invalidate_keys(client: &Client, keys: Keys<'_>) -> Result<usize, Error> {
    #[derive(Deserialize)]
    struct Invalidated {
        invalidated_api_keys: Vec<String>,
    }
    let body = match keys {
        Keys::WithId(id) => json!({"ids": [id]}),
        Keys::OwnWithId(id) => json!({"ids": [id], "owner": true}),
        Keys::OwnNamed(name) => json!({"name": name, "owner": true}),
    };
    let path = SecurityInvalidateApiKeyParts::None.url();
    let request = Request::new(Operation::InvalidateApiKey, Method::DELETE, path).with_json(&body);
    Ok(client.read::<Invalidated>(&request, REMEDY).await?.invalidated_api_keys.len())
}

/// Returns the ID in the encoded form of a key. None for a key of another form, such as one of Elastic Cloud.
#[must_use]
pub fn key_id(encoded: &SecretString) -> Option<String> {
    let decoded = String::from_utf8(STANDARD.decode(encoded.expose_secret()).ok()?).ok()?;
    decoded.split_once(':').map(|(id, _)| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_key_is_in_its_encoded_form() {
        let encoded = SecretString::from(STANDARD.encode("an-id:the-key"));
        assert_eq!(key_id(&encoded).as_deref(), Some("an-id"));
        for other in ["essu_abc", "", "bm8gY29sb24="] {
            assert_eq!(key_id(&SecretString::from(other)), None, "{other}");
        }
    }
}
