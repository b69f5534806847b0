//! The interface that the errors of all modules share: a stable name, an exit code and a text.

use serde_json::{Value, json};

use crate::exit::Exit;

/// An error that ends a command, or one account's part of it. Its text says how to fix it.
pub trait Failure: std::error::Error {
    /// Returns the stable name of the error, such as `Aws.Expired`.
    fn error_type(&self) -> &str;

    /// Returns how the error ends the command.
    fn exit(&self) -> Exit;

    /// Whether docs/errors.md explains the error by its name. People then see the name too.
    fn is_documented(&self) -> bool {
        false
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
