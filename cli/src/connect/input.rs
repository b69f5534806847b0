//! The values that `connect` needs: from standard input, options or the environment, otherwise from a prompt.

use std::{collections::BTreeMap, io};

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};

use super::{args::ConnectArgs, error::Error, field::Field};
use crate::ask;

/// The given values. Missing ones are asked for.
pub struct Input {
    values: BTreeMap<Field, SecretString>,
    can_ask: bool,
}

impl Input {
    /// Reads the values that are given in advance: standard input takes precedence over options, and options over the
    /// environment.
    ///
    /// # Errors
    /// [`Error::Stdin`] for a document that is not the expected JSON.
    pub fn read(args: &ConnectArgs) -> Result<Self, Error> {
        let mut values = BTreeMap::new();
        for field in Field::ALL {
            let given = match field {
                Field::AccountNumber => args.account_number.clone(),
                Field::User => args.user.clone(),
                Field::ProvisioningHash | Field::Password | Field::WriterKey | Field::InstallerKey => None,
            };
            if let Some(value) = given.or_else(|| variable(field.variable())) {
                insert(&mut values, field, value);
            }
        }
        if args.secrets_from_stdin {
            let text =
                SecretString::from(io::read_to_string(io::stdin()).map_err(|error| Error::Stdin(error.to_string()))?);
            read_document(&text, &mut values)?;
        }
        Ok(Self { values, can_ask: !args.secrets_from_stdin && ask::is_possible() })
    }

    /// Holds the given values, and cannot ask for others.
    #[cfg(test)]
    pub fn of_values(values: &[(Field, &str)]) -> Self {
        Self {
            values: values.iter().map(|(field, value)| (*field, SecretString::from(*value))).collect(),
            can_ask: false,
        }
    }

    /// Returns a value if it is given in advance.
    pub fn given(&self, field: Field) -> Option<&SecretString> {
        self.values.get(&field)
    }

    /// Returns whether a value is given in advance.
    pub fn has(&self, field: Field) -> bool {
        self.given(field).is_some()
    }

    /// Checks that every one of `fields` is given or can be asked for.
    ///
    /// # Errors
    /// [`Error::NoTerminal`], which names all missing values.
    pub fn check_available(&self, fields: &[Field]) -> Result<(), Error> {
        let missing: Vec<Field> = fields.iter().copied().filter(|field| !self.has(*field)).collect();
        if self.can_ask || missing.is_empty() { Ok(()) } else { Err(Error::NoTerminal(missing)) }
    }

    /// Returns a value, and asks for it if it is not given. An empty input is an empty text.
    ///
    /// # Errors
    /// [`Error::NoTerminal`], [`Error::Interrupted`].
    pub async fn get(&self, field: Field) -> Result<SecretString, Error> {
        match self.given(field) {
            Some(value) => Ok(value.clone()),
            None if self.can_ask => {
                let typed = ask::ask(field.prompt(), field.is_hidden()).await?;
                Ok(clean(field, typed.expose_secret().to_owned()))
            }
            None => Err(Error::NoTerminal(vec![field])),
        }
    }

    /// Returns a value that must not be empty.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`Error::Empty`].
    pub async fn get_nonempty(&self, field: Field) -> Result<SecretString, Error> {
        let value = self.get(field).await?;
        if value.expose_secret().is_empty() { Err(Error::Empty(field)) } else { Ok(value) }
    }
}

/// Removes white space that was pasted with a value. In a password, it may belong to the value.
fn clean(field: Field, value: String) -> SecretString {
    match field {
        Field::Password => value.into(),
        _ => value.trim().to_owned().into(),
    }
}

/// Adds a value, unless it is empty.
fn insert(values: &mut BTreeMap<Field, SecretString>, field: Field, value: String) {
    let value = clean(field, value);
    if !value.expose_secret().is_empty() {
        values.insert(field, value);
    }
}

/// Reads the JSON of `--secrets-from-stdin`. No error repeats a part of it.
fn read_document(text: &SecretString, values: &mut BTreeMap<Field, SecretString>) -> Result<(), Error> {
    let fields: Map<String, Value> = serde_json::from_str(text.expose_secret())
        .map_err(|error| Error::Stdin(format!("line {}, column {}", error.line(), error.column())))?;
    for (name, value) in fields {
        let field = Field::ALL.into_iter().find(|field| field.name() == name);
        let field = field.ok_or_else(|| Error::Stdin("it has an unknown field".to_owned()))?;
        match value {
            Value::String(text) => insert(values, field, text),
            Value::Number(number) => insert(values, field, number.to_string()),
            Value::Null => {}
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                return Err(Error::Stdin(format!("`{}` is not a text", field.name())));
            }
        }
    }
    Ok(())
}

fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the one place where `connect` reads the environment")]
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Result<BTreeMap<Field, String>, String> {
        let mut values = BTreeMap::new();
        let read = read_document(&SecretString::from(text), &mut values);
        let plain = values.into_iter().map(|(field, value)| (field, value.expose_secret().to_owned())).collect();
        read.map(|()| plain).map_err(|error| error.to_string())
    }

    #[test]
    fn a_document_has_the_names_of_the_secret() {
        let text = r#"{"account_number": 12345, "provisioning_hash": " abc\n", "elasticsearch_password": " p w ", "elastic_api_key": ""}"#;
        let expected = [
            (Field::AccountNumber, "12345".to_owned()),
            (Field::ProvisioningHash, "abc".to_owned()),
            (Field::Password, " p w ".to_owned()),
        ];
        assert_eq!(document(text), Ok(BTreeMap::from(expected)));
    }

    #[test]
    fn no_error_repeats_a_value_of_the_document() {
        for text in [
            r#"{"provisioning_hash": "f00dfeed""#,
            r#"{"provisioning_hash": ["f00dfeed"]}"#,
            r#"{"f00dfeed": 1}"#,
            r#"["f00dfeed"]"#,
            "f00dfeed",
        ] {
            let error = document(text).expect_err(text);
            assert!(!error.contains("f00dfeed") && error.contains("provisioning_hash"), "{error}");
        }
    }
}
