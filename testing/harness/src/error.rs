//! What goes wrong in the harness itself. What the product does wrong is an [`Outcome`](crate::Outcome).

use std::io;

/// Why the harness could not do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A variable of the environment that is needed.
    #[error("{0} is not set: start the local stack with `make local-up` and source what it says")]
    Unset(String),
    /// The binary could not be started.
    #[error("{path} can't be started: build it, or name another one in BOOTSTRAP")]
    Binary {
        /// The binary.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// No port or no socket.
    #[error("no server can be started on 127.0.0.1")]
    Listen(#[source] io::Error),
    /// The process ended before it asked for its first invocation.
    #[error("the function ended in its start ({how}); it said:\n{output}")]
    Start {
        /// Its exit status.
        how: String,
        /// All that it wrote.
        output: String,
    },
    /// A service did not answer, or not by HTTP.
    #[error("{method} {url} was not answered")]
    Unanswered {
        /// The method.
        method: String,
        /// The address.
        url: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A service refused what the harness asked of it.
    #[error("{method} {path} was answered with {status}: {body}")]
    Refused {
        /// The method.
        method: String,
        /// The path.
        path: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        body: String,
    },
    /// The AWS emulator refused what the harness asked of it.
    #[error("the AWS emulator refused {0}")]
    Aws(&'static str, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// No certificate could be made.
    #[error("no certificate could be made")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An answer without what it should hold.
    #[error("{0}")]
    Answer(String),
    /// The simulator could not be started.
    #[error(transparent)]
    Simulator(#[from] lastpass_simulator::StartError),
    /// A file could not be read.
    #[error("{path} can't be read")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Not JSON, or not of the form that was expected.
    #[error("{what} is not the JSON it should be")]
    Json {
        /// What was read.
        what: String,
        /// Why.
        source: serde_json::Error,
    },
}
