//! The values that `connect` may need, and their names in options, in the environment and on standard input.

/// A value that `connect` may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    AccountNumber,
    ProvisioningHash,
    User,
    Password,
    WriterKey,
    InstallerKey,
}

impl Field {
    pub const ALL: [Self; 6] =
        [Self::AccountNumber, Self::ProvisioningHash, Self::User, Self::Password, Self::WriterKey, Self::InstallerKey];

    /// Returns the name in the JSON of `--secrets-from-stdin`. Those that the secret also has are the same there.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccountNumber => "account_number",
            Self::ProvisioningHash => "provisioning_hash",
            Self::User => "elasticsearch_user",
            Self::Password => "elasticsearch_password",
            Self::WriterKey => "elastic_api_key",
            Self::InstallerKey => "elastic_setup_api_key",
        }
    }

    /// Returns the environment variable.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::AccountNumber => "LASTPASS_ELASTIC_ACCOUNT_NUMBER",
            Self::ProvisioningHash => "LASTPASS_ELASTIC_PROVISIONING_HASH",
            Self::User => "LASTPASS_ELASTIC_USER",
            Self::Password => "LASTPASS_ELASTIC_PASSWORD",
            Self::WriterKey => "LASTPASS_ELASTIC_API_KEY",
            Self::InstallerKey => "LASTPASS_ELASTIC_SETUP_API_KEY",
        }
    }

    /// Returns the option. Confidential values have none, because other users can read the arguments of a process.
    const fn option(self) -> Option<&'static str> {
        match self {
            Self::AccountNumber => Some("--account-number"),
            Self::User => Some("--user"),
            Self::ProvisioningHash | Self::Password | Self::WriterKey | Self::InstallerKey => None,
        }
    }

    /// Returns the text of the prompt.
    pub const fn prompt(self) -> &'static str {
        match self {
            Self::AccountNumber => "LastPass account number (Admin Console, Dashboard): ",
            Self::ProvisioningHash => {
                "LastPass provisioning hash (Admin Console, Advanced > Enterprise API; stays hidden): "
            }
            Self::User => "Elasticsearch user who may create API keys (empty: give two API keys instead): ",
            Self::Password => "Password of this user (stays hidden, and is not stored): ",
            Self::WriterKey => "Writer API key, encoded (stays hidden): ",
            Self::InstallerKey => "Installer API key, encoded (stays hidden, and is not stored): ",
        }
    }

    /// Returns whether the input stays hidden.
    pub const fn is_hidden(self) -> bool {
        self.option().is_none()
    }

    fn describe(self) -> String {
        let option = self.option().map_or_else(String::new, |option| format!("{option} or "));
        format!("{option}{}", self.variable())
    }
}

/// Returns the fields that are needed.
pub fn needed<const COUNT: usize>(fields: [(bool, Field); COUNT]) -> impl Iterator<Item = Field> {
    fields.into_iter().filter_map(|(is_needed, field)| is_needed.then_some(field))
}

/// Names fields for an error text.
pub fn describe(fields: &[Field]) -> String {
    fields.iter().map(|field| field.describe()).collect::<Vec<_>>().join(", ")
}

/// Lists the names of the JSON of `--secrets-from-stdin`.
pub fn names() -> String {
    Field::ALL.map(Field::name).join(", ")
}

/// Lists the environment variables.
pub fn variables() -> String {
    Field::ALL.map(Field::variable).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidential_values_have_no_option() {
        let open: Vec<_> = Field::ALL.into_iter().filter(|field| !field.is_hidden()).collect();
        assert_eq!(open, [Field::AccountNumber, Field::User]);
    }
}
