//! The secret of a stack or an account in Secrets Manager.

use aws_sdk_secretsmanager::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::aws::{self, Aws, Call};

const GET: &str = "secretsmanager:GetSecretValue";
const PUT: &str = "secretsmanager:PutSecretValue";
const CREATE: &str = "secretsmanager:CreateSecret";
/// The error code of a secret that does not exist, or that has no value.
const MISSING: &str = "ResourceNotFoundException";

/// The secret of one account.
pub struct Secret<'a> {
    client: Client,
    id: &'a str,
    region: &'a str,
    /// The key that the function may decrypt with, for a secret that does not exist yet.
    kms_key: Option<&'a str>,
    /// Whether a missing secret may be created: that of one of several accounts.
    may_create: bool,
}

impl<'a> Secret<'a> {
    /// Builds a client of the secret `id`.
    pub fn new(aws: &'a Aws, id: &'a str, kms_key: Option<&'a str>, may_create: bool) -> Self {
        Self { client: Client::new(aws.config()), id, region: aws.region(), kms_key, may_create }
    }

    /// Returns the ARN or the name.
    pub const fn id(&self) -> &'a str {
        self.id
    }

    /// Fetches the content. `None` if there is no secret, or no text in it.
    pub async fn fetch(&self) -> Result<Option<SecretString>, aws::Error> {
        match self.client.get_secret_value().secret_id(self.id).send().await {
            Ok(found) => Ok(found.secret_string.map(SecretString::from)),
            Err(error) if error.code() == Some(MISSING) => Ok(None),
            Err(error) => Err(self.error(&error, GET)),
        }
    }

    /// Stores the content, and creates the secret if it is missing and may be created.
    pub async fn put(&self, content: &SecretString) -> Result<(), aws::Error> {
        let text = content.expose_secret();
        match self.client.put_secret_value().secret_id(self.id).secret_string(text).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some(MISSING) && self.may_create => {
                let request = self.client.create_secret().name(self.id).secret_string(text);
                let created = request.set_kms_key_id(self.kms_key.map(str::to_owned)).send().await;
                created.map(|_| ()).map_err(|error| self.error(&error, CREATE))
            }
            Err(error) => Err(self.error(&error, PUT)),
        }
    }

    fn error<E, R>(&self, error: &SdkError<E, R>, action: &'static str) -> aws::Error
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        aws::Error::new(error, Call::new(action, self.id), self.region)
    }
}
