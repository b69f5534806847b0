//! Plans what `connect` changes.

use secrecy::ExposeSecret as _;

use super::{
    args::ConnectArgs,
    document::{Document, REQUIRED},
    field::{Field, needed},
    input::Input,
};

/// The changes that a command makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    pub number: bool,
    pub hash: bool,
    /// The function gets a new API key.
    pub key: bool,
    /// The index templates are installed.
    pub templates: bool,
}

impl Plan {
    /// Plans to fill in what is missing, and to change what `args` name.
    pub fn new(document: &Document, args: &ConnectArgs) -> Self {
        let [number, hash, key] = REQUIRED.map(|field| document.get(field).is_none());
        let templates = key || args.retention.is_some() || args.take_over;
        Self { number, hash: hash || args.rotate_hash, key: key || args.rotate_key, templates }
    }

    /// Returns whether nothing is missing, and nothing is to be changed.
    pub const fn is_none(self) -> bool {
        !self.changes_secret() && !self.templates
    }

    /// Returns whether the secret is written.
    pub const fn changes_secret(self) -> bool {
        self.number || self.hash || self.key
    }

    /// Returns whether Elasticsearch is needed.
    pub const fn uses_elasticsearch(self) -> bool {
        self.key || self.templates
    }

    /// Returns the values of LastPass that are needed.
    pub fn fields(self) -> impl Iterator<Item = Field> {
        needed([(self.number, Field::AccountNumber), (self.hash, Field::ProvisioningHash)])
    }

    /// Lists the given values that differ from those in the secret, which stay.
    pub fn unused(self, document: &Document, input: &Input) -> Vec<String> {
        const BY_HAND: &str = "to connect another LastPass account, store its credentials by hand (docs/deploy.md)";
        [
            (self.number, Field::AccountNumber, BY_HAND),
            (self.hash, Field::ProvisioningHash, "--rotate-hash replaces it"),
            (self.key, Field::WriterKey, "--rotate-key replaces it"),
        ]
        .into_iter()
        .filter(|(is_changed, field, _)| {
            let (stored, given) = (document.get(*field), input.given(*field));
            !is_changed
                && stored.zip(given).is_some_and(|(stored, given)| stored.expose_secret() != given.expose_secret())
        })
        .map(|(_, field, remedy)| {
            format!("the given {name} differs from the one in the secret, which stays: {remedy}", name = field.name())
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Args, Command};

    fn args(words: &[&str]) -> ConnectArgs {
        match Args::parse_from([&["lastpass-elastic", "connect"], words].concat()).command {
            Command::Connect(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_missing_and_named_credentials_are_changed() {
        let mut document = Document::default();
        let all = Plan { number: true, hash: true, key: true, templates: true };
        assert_eq!(Plan::new(&document, &args(&[])), all);
        for field in REQUIRED {
            document.set(field, &"1".into());
        }
        assert!(Plan::new(&document, &args(&[])).is_none());
        let none = Plan { number: false, hash: false, key: false, templates: false };
        let key = Plan { key: true, ..none };
        assert_eq!(Plan::new(&document, &args(&["--rotate-key"])), key);
        assert_eq!(Plan::new(&document, &args(&["--rotate-hash"])), Plan { hash: true, ..none });
        let templates = Plan { templates: true, ..none };
        for words in [&["--retention", "90d"][..], &["--take-over"]] {
            assert_eq!(Plan::new(&document, &args(words)), templates);
        }
    }

    #[test]
    fn a_given_value_that_is_not_stored_is_reported_with_its_option() {
        let mut document = Document::default();
        for field in REQUIRED {
            document.set(field, &"1".into());
        }
        let unused = |words: &[&str], given: &[(Field, &str)]| {
            Plan::new(&document, &args(words)).unused(&document, &Input::of_values(given))
        };
        let other = REQUIRED.map(|field| (field, "2"));
        for (message, (name, remedy)) in unused(&[], &other).iter().zip([
            ("account_number", "by hand"),
            ("provisioning_hash", "--rotate-hash"),
            ("elastic_api_key", "--rotate-key"),
        ]) {
            assert!(message.starts_with(&format!("the given {name} differs")) && message.contains(remedy), "{message}");
        }
        assert_eq!(unused(&[], &other).len(), 3);
        assert_eq!(unused(&["--rotate-hash", "--rotate-key"], &other).len(), 1);
        assert_eq!(unused(&[], &REQUIRED.map(|field| (field, "1"))), Vec::<String>::new());
    }
}
