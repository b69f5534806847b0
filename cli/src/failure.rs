//! The error of a command: a stable name, an exit code and a text.

use serde_json::{Value, json};

use crate::exit::Exit;

/// The error of a command.
pub type Error = Box<dyn Failure>;

impl<E: Failure + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        Box::new(error)
    }
}

/// The beginnings of the names of the function's own errors. Source: docs/errors.md.
const FUNCTION_ERRORS: [&str; 6] = ["Request.", "Config.", "Secret.", "Checkpoint.", "LastPass.", "Elasticsearch."];

/// Returns whether an error with this name comes from the function's own code, also if that code runs on this machine.
pub fn is_of_function(error_type: &str) -> bool {
    FUNCTION_ERRORS.iter().any(|prefix| error_type.starts_with(prefix))
}

/// An error that ends a command, or one account's part of it. Its text says how to fix it.
pub trait Failure: std::error::Error {
    /// Returns the stable name of the error, such as `Aws.Expired`.
    fn error_type(&self) -> &str;

    /// Returns how the error ends the command.
    fn exit(&self) -> Exit {
        Exit::of_error(self.error_type())
    }

    /// Returns the AWS service if a retry within minutes may succeed.
    fn transient(&self) -> Option<&'static str> {
        None
    }

    /// Returns whether docs/errors.md explains the error by its name. People then see the name too.
    fn is_documented(&self) -> bool {
        is_of_function(self.error_type())
    }

    /// Formats the error for people.
    fn text(&self) -> String {
        if self.is_documented() { format!("{}: {self}", self.error_type()) } else { self.to_string() }
    }

    /// Builds the JSON document of the error for `--output json`.
    fn document(&self) -> Value {
        json!({"error": {"type": self.error_type(), "message": self.to_string()}})
    }
}
