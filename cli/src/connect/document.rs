//! The JSON document in the secret. Fields that `connect` does not know are kept.

use lastpass_elastic::{
    collect::Preview,
    config::Config,
    error::Error as LibraryError,
    secrets::{self, PLACEHOLDER},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};

use super::{error::Error, field::Field};

/// Takes the place of a key that is not known yet, where the library requires one.
const UNKNOWN_KEY: &str = "unknown";

/// The fields that the function requires.
pub const REQUIRED: [Field; 3] = [Field::AccountNumber, Field::ProvisioningHash, Field::WriterKey];

/// The content of the secret.
#[derive(Clone, Default)]
pub struct Document(Map<String, Value>);

impl Document {
    /// Parses the content of the secret `secret_id`.
    ///
    /// # Errors
    /// [`Error::Library`] with the library's text if it is not a JSON object; [`Error::UnknownValue`].
    pub fn parse(text: &SecretString, secret_id: &str, config: &Config) -> Result<Self, Error> {
        let json = secrets::without_byte_order_mark(text.expose_secret());
        serde_json::from_str(json).map(Self).map_err(|fault| match Preview::new(config, text, secret_id) {
            Err(error) => error.into(),
            // The library does not read the values of unknown fields.
            Ok(_) => Error::UnknownValue { secret: secret_id.to_owned(), line: fault.line(), column: fault.column() },
        })
    }

    /// Returns the text of a field. None if it is missing, empty or still the placeholder.
    pub fn get(&self, field: Field) -> Option<SecretString> {
        let text = match self.0.get(field.name())? {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
        };
        (!text.is_empty() && text != PLACEHOLDER).then(|| text.into())
    }

    /// Sets a field.
    pub fn set(&mut self, field: Field, value: &SecretString) {
        self.0.insert(field.name().to_owned(), value.expose_secret().into());
    }

    /// Returns the JSON.
    pub fn text(&self) -> SecretString {
        Value::Object(self.0.clone()).to_string().into()
    }

    /// Returns whether `text` is the same JSON.
    pub fn is_same(&self, text: &SecretString) -> bool {
        serde_json::from_str::<Map<String, Value>>(text.expose_secret()).is_ok_and(|other| other == self.0)
    }

    /// Checks every field but a missing API key, and returns the account in the document.
    ///
    /// # Errors
    /// [`Error::Library`] with all problems.
    pub fn account(&self, config: &Config, secret_id: &str) -> Result<Preview, Error> {
        let mut whole = self.clone();
        if self.get(Field::WriterKey).is_none() {
            whole.set(Field::WriterKey, &UNKNOWN_KEY.into());
        }
        Preview::new(config, &whole.text(), secret_id).map_err(LibraryError::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Document, Error> {
        let settings =
            [("SECRET_ARN", "arn"), ("CHECKPOINT_TABLE", "table"), ("ELASTICSEARCH_URL", "https://es.example.com")];
        let value = |name: &str| settings.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned());
        Document::parse(&text.into(), "arn", &Config::read(value).expect("settings"))
    }

    #[test]
    fn every_field_survives_a_byte_order_mark() {
        let fields = r#"{"account_number":"1","provisioning_hash":"abc","elastic_api_key":"key","namespace":"acme"}"#;
        for mark in ["", "\u{feff}", " \u{feff}\r\n", "\u{ef}\u{bb}\u{bf}"] {
            let document = parse(&format!("{mark}{fields}")).expect("a document");
            assert_eq!(document.text().expose_secret(), fields, "{mark:?}");
        }
    }

    #[test]
    fn a_value_that_would_be_lost_is_an_error() {
        let text = r#"{"account_number":"1","provisioning_hash":"abc","elastic_api_key":"key","note":["f00d\ud800"]}"#;
        let error = parse(text).err().expect("an error");
        assert!(matches!(error, Error::UnknownValue { line: 1, .. }), "{error:?}");
        assert!(!error.to_string().contains("f00d"), "{error}");
    }

    #[test]
    fn a_placeholder_is_a_missing_value_and_unknown_fields_stay() {
        let fields = r#"{"account_number": 12345, "provisioning_hash": "REPLACE_ME", "namespace": "acme"}"#;
        let mut document = Document(serde_json::from_str(fields).expect("an object"));
        let missing: Vec<Field> = REQUIRED.into_iter().filter(|field| document.get(*field).is_none()).collect();
        assert_eq!(missing, [Field::ProvisioningHash, Field::WriterKey]);
        document.set(Field::ProvisioningHash, &"abc".into());
        assert_eq!(
            document.text().expose_secret(),
            r#"{"account_number":12345,"provisioning_hash":"abc","namespace":"acme"}"#
        );
    }
}
