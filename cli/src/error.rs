//! Why a command failed. Each text says what to do.

use serde_json::{Value, json};

use crate::{accounts, aws, backfill, exit::Exit, function, local, stack, when};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// AWS could not be used.
    #[error(transparent)]
    Aws(#[from] aws::Fault),
    /// The stack is not there, or not as it has to be.
    #[error(transparent)]
    Stack(#[from] stack::Error),
    /// The function answered with an error.
    #[error(transparent)]
    Function(#[from] function::Error),
    /// An account was named that can't be, or none where one has to be.
    #[error(transparent)]
    Accounts(#[from] accounts::Invalid),
    /// A time on the command line.
    #[error("{option}: {fault}")]
    Time {
        /// The option that has it.
        option: &'static str,
        /// What is wrong with it.
        fault: when::Invalid,
    },
    /// A range on the command line.
    #[error(transparent)]
    Range(#[from] when::Unusable),
    /// The payload of `invoke`.
    #[error(transparent)]
    Payload(#[from] function::InvalidPayload),
    /// The backfill ended without an answer.
    #[error(transparent)]
    Backfill(#[from] backfill::Ended),
    /// `local collect`.
    #[error(transparent)]
    Local(#[from] local::Error),
    /// What was to be said could not be written.
    #[error("the output can't be written: {0}")]
    Output(#[from] std::io::Error),
}

impl Error {
    /// How it ends the command.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Aws(_) | Self::Stack(_) => Exit::Aws,
            // A time or a span that the function alone can judge.
            Self::Function(error) if error.error_type == "Request.Invalid" => Exit::Usage,
            Self::Function(_) | Self::Backfill(_) | Self::Output(_) => Exit::Failed,
            Self::Accounts(_) | Self::Time { .. } | Self::Range(_) | Self::Payload(_) => Exit::Usage,
            Self::Local(error) => error.exit(),
        }
    }

    /// The AWS service whose fault it is, where it may be over in a minute.
    #[must_use]
    pub const fn transient(&self) -> Option<&'static str> {
        if let Self::Aws(fault) = self { fault.transient() } else { None }
    }

    /// Its stable name: that of the function where it is the function's.
    #[must_use]
    pub fn error_type(&self) -> &str {
        match self {
            Self::Aws(fault) => fault.error_type(),
            Self::Stack(error) => error.error_type(),
            Self::Function(error) => &error.error_type,
            Self::Backfill(ended) => ended.error_type(),
            Self::Accounts(_) | Self::Time { .. } | Self::Range(_) | Self::Payload(_) => "Usage.Invalid",
            Self::Local(error) => error.error_type(),
            Self::Output(_) => "Output.Failed",
        }
    }

    /// The error as people read it: with its name where docs/errors.md explains it.
    #[must_use]
    pub fn told(&self) -> String {
        let is_explained = match self {
            Self::Function(_) | Self::Backfill(_) | Self::Local(local::Error::Library(_)) => true,
            Self::Aws(_) | Self::Stack(_) | Self::Accounts(_) | Self::Time { .. } | Self::Range(_) => false,
            Self::Payload(_) | Self::Local(_) | Self::Output(_) => false,
        };
        if is_explained { format!("{}: {self}", self.error_type()) } else { self.to_string() }
    }

    /// The error as `--output json` prints it, with the account where it is one of several answers.
    #[must_use]
    pub fn document(&self, account: Option<&str>) -> Value {
        function::for_account(&json!({"error": {"type": self.error_type(), "message": self.to_string()}}), account)
    }
}
