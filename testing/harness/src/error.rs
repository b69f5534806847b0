//! The errors of the harness itself. Failures of the product are an [`Outcome`](crate::Outcome).

use std::io;

/// An error of the harness.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A required environment variable is not set.
    #[error("{0} is not set: start the local stack with `make local-up` and source the file that it names")]
    Unset(String),
    /// The binary cannot be started.
    #[error("{path} cannot be started: build it, or name another binary in BOOTSTRAP")]
    Binary {
        /// The binary.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// No port or socket is available.
    #[error("no server can be started on 127.0.0.1")]
    Listen(#[source] io::Error),
    /// The process ended before it requested its first invocation.
    #[error("the function ended during its start ({how}); its output:\n{output}")]
    Start {
        /// Its exit status.
        how: String,
        /// Its complete output.
        output: String,
    },
    /// A service did not respond, or not over HTTP.
    #[error("no response to {method} {url}")]
    Unanswered {
        /// The method.
        method: String,
        /// The address.
        url: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A service refused a request of the harness.
    #[error("{method} {path} returned {status}: {body}")]
    Refused {
        /// The method.
        method: String,
        /// The path.
        path: String,
        /// The HTTP status.
        status: u16,
        /// The response body.
        body: String,
    },
    /// The AWS emulator refused a request of the harness.
    #[error("the AWS emulator refused {0}")]
    Aws(&'static str, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// A certificate could not be created.
    #[error("a certificate could not be created")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A response lacks an expected value.
    #[error("{0}")]
    Answer(String),
    /// The simulator cannot be started.
    #[error(transparent)]
    Simulator(#[from] lastpass_simulator::StartError),
    /// A file cannot be read.
    #[error("{path} cannot be read")]
    File {
        /// The file.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// A text is not JSON, or not of the expected form.
    #[error("{what} is not the expected JSON")]
    Json {
        /// The name of the text.
        what: String,
        /// The cause.
        source: serde_json::Error,
    },
}
