//! Ends a rotation of the API key: invalidates the former key, unless something else still needs it.

use lastpass_elastic::{
    clock::Deadline,
    config::SecretSource,
    elastic::{self, Keys},
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    document::Document,
    error::Error,
    field::Field,
    key::{CreatedKey, TIMEOUT},
    secret::Secret,
    settings::{self, Settings},
};
use crate::{aws::Aws, failure::Error as CommandError, output};

/// The remedy for a key that this command does not invalidate.
pub const BY_HAND: &str = "delete it in Kibana under Stack Management > API keys";

/// Invalidates the former key with the login that created the new one. Returns whether the key is invalid. Prints a message if
/// that fails, because the new key is in use already.
pub async fn invalidate_former(former: &SecretString, created: &CreatedKey, shared_with: &[String]) -> bool {
    let invalidated = try_to_invalidate(former, created, shared_with).await;
    output::print_message(invalidated.as_ref().map_or_else(String::as_str, |()| "the former API key is invalid"));
    invalidated.is_ok()
}

async fn try_to_invalidate(former: &SecretString, created: &CreatedKey, shared_with: &[String]) -> Result<(), String> {
    if !shared_with.is_empty() {
        return Err(format!(
            "the former API key remains valid, because these accounts use it too: {}. Rotate theirs with --account, \
             then {BY_HAND}",
            shared_with.join(", ")
        ));
    }
    let client = created.client().ok_or_else(|| format!("the former API key is no longer used: {BY_HAND}"))?;
    let client = client.with_deadline(Deadline::after(TIMEOUT));
    let id = elastic::key_id(former).ok_or_else(|| {
        format!("the ID of the former API key is unknown, because the key has another form: {BY_HAND}")
    })?;
    let invalidated = match elastic::invalidate_keys(&client, Keys::WithId(&id)).await {
        // A user without `manage_api_key` may invalidate only keys that this user created.
        Err(elastic::Error::UserForbidden { .. }) => elastic::invalidate_keys(&client, Keys::OwnWithId(&id)).await,
        invalidated => invalidated,
    };
    match invalidated {
        Ok(1..) => Ok(()),
        Ok(0) => Err(format!(
            "the former API key was invalid already, or this user may not invalidate it: if it is still there, {BY_HAND}"
        )),
        Err(error) => Err(format!("the former API key could not be invalidated ({error}): {BY_HAND}")),
    }
}

/// Returns the other accounts of the stack whose secret holds the same API key.
///
/// # Errors
/// [`CommandError`] if a secret cannot be read, because the key must then stay valid.
pub async fn accounts_with_key(
    aws: &Aws,
    settings: &Settings,
    accounts: &[String],
    key: &SecretString,
) -> Result<Vec<String>, CommandError> {
    let mut found = Vec::new();
    if matches!(settings.config.secret, SecretSource::Arn(_)) {
        return Ok(found);
    }
    for account in accounts {
        let id = settings::secret_id(&settings.config.secret, Some(account))?;
        if id == settings.secret_id {
            continue;
        }
        let Some(text) = Secret::new(aws, &id, None, false).fetch().await? else { continue };
        let may_have_key = match Document::parse(&text, &id, &settings.config) {
            // No account uses a secret that the function cannot read.
            Err(Error::Library(_)) => false,
            // A secret that this command cannot rewrite may hold the key.
            Err(_) => true,
            Ok(document) => {
                document.get(Field::WriterKey).is_some_and(|other| other.expose_secret() == key.expose_secret())
            }
        };
        if may_have_key {
            found.push(account.clone());
        }
    }
    Ok(found)
}
