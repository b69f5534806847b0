//! The errors of the secret and their remedies.

use std::fmt;

use super::fields::{
    ACCOUNT_NUMBER, NAMESPACE, ORGANIZATION_ID, ORGANIZATION_NAME, PLACEHOLDER, PROVISIONING_HASH, TIME_ZONE,
    USER_TIME_ZONE,
};
use crate::aws::{BoxError, CallError, Verdict};

/// Credentials that could not be fetched or read. Contains nothing of the document except names of fields.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Secrets Manager did not respond, or throttled, until the time was up.
    #[error(
        "Secrets Manager could not be reached for the secret {secret_id}: the next run retries; if this persists in a \
         VPC, check the route or interface endpoint to Secrets Manager"
    )]
    Unreachable {
        /// The secret.
        secret_id: String,
        /// The fault of the last attempt.
        source: BoxError,
    },
    /// The function's role does not allow the call.
    #[error(
        "Secrets Manager refused `secretsmanager:GetSecretValue` on the secret {secret_id}: the function's role must \
         allow it (statement `ReadCredentials` of its policy in template.yaml), and the secret's own policy must not \
         deny it"
    )]
    Forbidden {
        /// The secret.
        secret_id: String,
        /// The message of Secrets Manager.
        source: BoxError,
    },
    /// The KMS key that encrypts the secret cannot be used.
    #[error(
        "Secrets Manager could not decrypt the secret {secret_id}: it is encrypted with your own KMS key; enable the \
         key, set the parameter KmsKeyArn to it, and let its policy leave the permissions to IAM (docs/deploy.md)"
    )]
    Key {
        /// The secret.
        secret_id: String,
        /// The message of Secrets Manager.
        source: BoxError,
    },
    /// The secret does not exist, or it has no value.
    #[error(
        "Secrets Manager has no secret {secret_id} in the function's account and region, or the secret has no value: \
         set SECRET_ARN (parameter `SecretArn`) to the ARN of a secret that contains the credentials; with \
         SECRET_PREFIX, create a secret with this name"
    )]
    Missing {
        /// The secret.
        secret_id: String,
        /// The message of Secrets Manager.
        source: BoxError,
    },
    /// Secrets Manager refused the call for a reason that a retry does not change.
    #[error(
        "Secrets Manager refused to return the secret {secret_id}: check in its console whether the secret is \
         scheduled for deletion, and whether SECRET_ARN is its ARN or SECRET_PREFIX is the prefix of its name"
    )]
    Refused {
        /// The secret.
        secret_id: String,
        /// The message of Secrets Manager.
        source: BoxError,
    },
    /// The content of the secret cannot be used.
    #[error(
        "the secret {secret_id} cannot be used: {problems}; store the corrected JSON in the Secrets Manager console or \
         with `aws secretsmanager put-secret-value`"
    )]
    Invalid {
        /// The secret.
        secret_id: String,
        /// All problems of the content.
        problems: Problems,
    },
    /// The secret still holds the template's placeholder. This is no failure, but nothing can be collected yet.
    #[error(
        "the secret {secret_id} still contains the placeholder {PLACEHOLDER} in {}: run `lastpass-elastic connect`; or \
         store the credentials in it in the Secrets Manager console or with `aws secretsmanager put-secret-value`, then \
         run `setup`",
        quoted(fields)
    )]
    Placeholder {
        /// The secret.
        secret_id: String,
        /// The fields that hold the placeholder.
        fields: Vec<&'static str>,
    },
}

impl Error {
    /// Returns the stable name of this error in answers, alarms and docs.
    ///
    /// A secret that does not exist counts as unreachable. [`Placeholder`](Self::Placeholder) counts as invalid for
    /// callers that do not handle it separately.
    #[must_use]
    pub const fn error_type(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } | Self::Missing { .. } | Self::Refused { .. } => "Secret.Unreachable",
            Self::Forbidden { .. } | Self::Key { .. } => "Secret.Forbidden",
            Self::Invalid { .. } | Self::Placeholder { .. } => "Secret.Invalid",
        }
    }

    pub(crate) fn of_call(fault: CallError, secret_id: &str) -> Self {
        let secret_id = secret_id.to_owned();
        let verdict = fault.verdict;
        let source = Box::new(fault);
        match verdict {
            Verdict::Transient => Self::Unreachable { secret_id, source },
            Verdict::Forbidden => Self::Forbidden { secret_id, source },
            Verdict::Key => Self::Key { secret_id, source },
            Verdict::Missing => Self::Missing { secret_id, source },
            Verdict::Refused => Self::Refused { secret_id, source },
        }
    }
}

/// One problem of the document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The secret has a `SecretBinary` instead of a `SecretString`.
    #[error("it contains binary data, but the credentials must be stored as text (`SecretString`)")]
    Binary,
    /// The document cannot be parsed. The parser's own message is left out, because it would quote the document.
    #[error("it is not valid JSON (line {line}, column {column}): check its quotes (they must be straight) and commas")]
    NotJson {
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
    },
    /// The document is JSON, but not an object.
    #[error(
        "it must be a JSON object with the fields `account_number`, `provisioning_hash` and `elastic_api_key`, not a \
         string or an array"
    )]
    NotAnObject,
    /// A required field is missing or empty.
    #[error("`{}` is missing or empty: {}", .0, origin(.0))]
    Lacks(&'static str),
    /// A field is a list, an object, a boolean, or a negative or fractional number.
    #[error("`{}` must be a string: {}", .0, origin(.0))]
    NotText(&'static str),
    /// A text contains more than the value that was to be pasted.
    #[error("`{}` contains white space, quotes, commas or non-ASCII characters: paste only the value; {}", .0, origin(.0))]
    NotOneToken(&'static str),
    /// The account number contains other characters than digits.
    #[error("`account_number` must consist of 1 to 20 digits: {}", origin(ACCOUNT_NUMBER))]
    NotDigits,
    /// An API key is in another form.
    #[error("`{}` is not an encoded API key (one word, without `ApiKey` before it and without quotes): {}", .0, origin(.0))]
    NotEncoded(&'static str),
    /// The namespace is not valid for data streams.
    #[error(
        "`namespace` must be 1 to 100 bytes in lower case, without white space, hyphens and any of \\ / * ? \" < > | , # :: {}",
        origin(NAMESPACE)
    )]
    NotNamespace,
    /// The time zone is unknown.
    #[error("`{}` must be the name of a time zone such as US/Eastern or Europe/Berlin: {}", .0, origin(.0))]
    NotTimeZone(&'static str),
    /// An API key is given as ID and key.
    #[error("`{}` looks like `id:key`, but its encoded form is needed (the base64 of `id:key`): {}", .0, origin(.0))]
    IdAndKey(&'static str),
}

/// Returns where the user finds the value of a field.
///
/// Source: <https://support.lastpass.com/help/where-can-i-find-the-cid-and-api-secret>
fn origin(field: &str) -> &'static str {
    match field {
        ACCOUNT_NUMBER => "the LastPass Admin Console shows it as `Account number` at the top of its Dashboard",
        PROVISIONING_HASH => "the LastPass Admin Console creates it under Advanced > Enterprise API",
        NAMESPACE | TIME_ZONE | USER_TIME_ZONE | ORGANIZATION_ID | ORGANIZATION_NAME => {
            "it is optional, and docs/accounts.md explains it"
        }
        _ => "Kibana shows it once, as `Encoded`, when the key is created under Stack Management > API keys",
    }
}

fn quoted(fields: &[&str]) -> String {
    fields.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(", ")
}

/// All problems of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::ELASTIC_API_KEY;
    use super::*;

    #[test]
    fn every_text_says_what_to_do() {
        let (secret_id, source) = (|| "arn:secret".to_owned(), || Box::new(CallError::transient("no answer")));
        let problems = Problems(vec![Problem::NotDigits, Problem::Lacks(PROVISIONING_HASH)]);
        let texts = [
            (
                Error::Unreachable { secret_id: secret_id(), source: source() },
                "Secret.Unreachable",
                "Secrets Manager could not be reached for the secret arn:secret: the next run retries; if this \
                 persists in a VPC, check the route or interface endpoint to Secrets Manager",
            ),
            (
                Error::Forbidden { secret_id: secret_id(), source: source() },
                "Secret.Forbidden",
                "Secrets Manager refused `secretsmanager:GetSecretValue` on the secret arn:secret: the function's role \
                 must allow it (statement `ReadCredentials` of its policy in template.yaml), and the secret's own \
                 policy must not deny it",
            ),
            (
                Error::Key { secret_id: secret_id(), source: source() },
                "Secret.Forbidden",
                "Secrets Manager could not decrypt the secret arn:secret: it is encrypted with your own KMS key; \
                 enable the key, set the parameter KmsKeyArn to it, and let its policy leave the permissions to IAM \
                 (docs/deploy.md)",
            ),
            (
                Error::Missing { secret_id: secret_id(), source: source() },
                "Secret.Unreachable",
                "Secrets Manager has no secret arn:secret in the function's account and region, or the secret has no \
                 value: set SECRET_ARN (parameter `SecretArn`) to the ARN of a secret that contains the credentials; \
                 with SECRET_PREFIX, create a secret with this name",
            ),
            (
                Error::Refused { secret_id: secret_id(), source: source() },
                "Secret.Unreachable",
                "Secrets Manager refused to return the secret arn:secret: check in its console whether the secret is \
                 scheduled for deletion, and whether SECRET_ARN is its ARN or SECRET_PREFIX is the prefix of its name",
            ),
            (
                Error::Invalid { secret_id: secret_id(), problems },
                "Secret.Invalid",
                "the secret arn:secret cannot be used: `account_number` must consist of 1 to 20 digits: the LastPass \
                 Admin Console shows it as `Account number` at the top of its Dashboard; `provisioning_hash` is \
                 missing or empty: the LastPass Admin Console creates it under Advanced > Enterprise API; store the \
                 corrected JSON in the Secrets Manager console or with `aws secretsmanager put-secret-value`",
            ),
            (
                Error::Placeholder { secret_id: secret_id(), fields: vec![PROVISIONING_HASH, ELASTIC_API_KEY] },
                "Secret.Invalid",
                "the secret arn:secret still contains the placeholder REPLACE_ME in `provisioning_hash`, \
                 `elastic_api_key`: run `lastpass-elastic connect`; or store the credentials in it in the Secrets \
                 Manager console or with `aws secretsmanager put-secret-value`, then run `setup`",
            ),
        ];
        for (error, error_type, text) in texts {
            assert_eq!(error.to_string(), text);
            assert_eq!(error.error_type(), error_type, "{text}");
        }
    }

    #[test]
    fn every_problem_says_where_to_look() {
        let field = ELASTIC_API_KEY;
        let texts = [
            (Problem::Binary, "it contains binary data, but the credentials must be stored as text (`SecretString`)"),
            (
                Problem::NotJson { line: 2, column: 5 },
                "it is not valid JSON (line 2, column 5): check its quotes (they must be straight) and commas",
            ),
            (
                Problem::NotAnObject,
                "it must be a JSON object with the fields `account_number`, `provisioning_hash` and \
                 `elastic_api_key`, not a string or an array",
            ),
            (
                Problem::NotText(field),
                "`elastic_api_key` must be a string: Kibana shows it once, as `Encoded`, when the key is created \
                 under Stack Management > API keys",
            ),
            (
                Problem::NotEncoded(field),
                "`elastic_api_key` is not an encoded API key (one word, without `ApiKey` before it and without quotes): \
                 Kibana shows it once, as `Encoded`, when the key is created under Stack Management > API keys",
            ),
            (
                Problem::IdAndKey(field),
                "`elastic_api_key` looks like `id:key`, but its encoded form is needed (the base64 of `id:key`): \
                 Kibana shows it once, as `Encoded`, when the key is created under Stack Management > API keys",
            ),
        ];
        for (problem, text) in texts {
            assert_eq!(problem.to_string(), text);
        }
    }
}
