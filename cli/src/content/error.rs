//! The errors of `content install`.

use std::io;

use crate::{failure::Failure, kibana_address};

/// The environment variable with the API key.
pub const VARIABLE: &str = "LASTPASS_ELASTIC_KIBANA_API_KEY";

/// The privileges that a refusal names. docs/dashboards.md has the role.
const PRIVILEGES: &str = "Kibana privileges All for Dashboards, for Data View Management and for the rules of Security, in this space; \
    docs/dashboards.md has the role";

/// A failed `content install`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address of Kibana or the space is invalid.
    #[error("{0}")]
    Address(#[from] kibana_address::Error),
    /// There is no API key.
    #[error(
        "there is no API key for Kibana: set {VARIABLE}, or run the command on a terminal, where it asks for the key"
    )]
    NoKey,
    /// The API key has another form.
    #[error(
        "the API key for Kibana is not in the encoded form: copy the key that Kibana shows as Base64 or Encoded, without quotes"
    )]
    Key,
    /// The terminal could not be used.
    #[error("the API key cannot be read from the terminal ({0}): set {VARIABLE}")]
    Terminal(#[source] io::Error),
    /// Ctrl-C, or the end of the input.
    #[error("interrupted: nothing was installed")]
    Interrupted,
    /// Kibana does not respond.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable { url: String, reason: String },
    /// Something else answers at this address.
    #[error("{url} is not the address of Kibana: {found}")]
    NotKibana { url: String, found: String },
    /// Kibana is starting, or cannot reach Elasticsearch.
    #[error("Kibana is not ready (HTTP {0}): try again in a minute; its own log says more")]
    NotReady(u16),
    /// Kibana refuses the API key.
    #[error(
        "Kibana refuses the API key: it is wrong, has expired, was invalidated, or belongs to another cluster. Create one in \
             Kibana under Stack Management > API keys"
    )]
    Unauthorized,
    /// The API key lacks a privilege.
    #[error("the API key may not {action}. It needs the {PRIVILEGES}. Kibana said: {message}")]
    Forbidden { action: &'static str, message: String },
    /// There is no such space.
    #[error(
        "there is no space {0} in this Kibana: spaces are listed under Stack Management > Spaces, and their ID follows /s/ in the URL"
    )]
    NoSpace(String),
    /// Kibana is too old.
    #[error("this Kibana is version {0}: the dashboards and rules need 8.19 or later")]
    TooOld(String),
    /// Kibana has no detection rules.
    #[error(
        "the dashboards are installed, but the detection rules are not: this Kibana has no Elastic Security. It is missing in \
             serverless projects of other kinds, and where xpack.securitySolution.enabled is false"
    )]
    NoSecurity,
    /// Kibana refuses a request for another reason.
    #[error("Kibana refused to {action} with HTTP {status}: {message}")]
    Refused { action: &'static str, status: u16, message: String },
    /// Kibana accepted a file, but not all of its content.
    #[error("Kibana did not {action}: {reasons}")]
    Incomplete { action: &'static str, reasons: String },
    /// A response does not have the form in Kibana's API description.
    #[error(
        "Kibana answered the request to {0} in an unknown form: update lastpass-elastic, or import the files by hand \
             (docs/dashboards.md)"
    )]
    UnknownForm(&'static str),
    /// The content of this program is damaged.
    #[error("the content of this program cannot be read ({0}): build or download it again")]
    Bundle(#[from] serde_json::Error),
    /// TLS could not be set up.
    #[error("{0}")]
    Tls(#[from] lastpass_elastic::http::Error),
}

impl Failure for Error {
    fn error_type(&self) -> &str {
        match self {
            Self::Address(error) => error.error_type(),
            Self::NoKey | Self::Key | Self::Terminal(_) => "Usage.Invalid",
            Self::Interrupted => "Content.Interrupted",
            Self::Unreachable { .. } | Self::Tls(_) => "Kibana.Unreachable",
            Self::NotKibana { .. } => "Kibana.NotKibana",
            Self::NotReady(_) => "Kibana.NotReady",
            Self::Unauthorized => "Kibana.Unauthorized",
            Self::Forbidden { .. } => "Kibana.Forbidden",
            Self::NoSpace(_) => "Kibana.NoSpace",
            Self::TooOld(_) => "Kibana.TooOld",
            Self::NoSecurity => "Kibana.NoSecurity",
            Self::Refused { .. } | Self::Incomplete { .. } | Self::UnknownForm(_) => "Kibana.Refused",
            Self::Bundle(_) => "Content.Invalid",
        }
    }
}
