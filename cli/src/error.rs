//! The error of a command: collects the errors of all modules.

use crate::{
    accounts, aws, backfill, connect, content, exit::Exit, failure::Failure, function, local, output, payload, stack,
    times,
};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// AWS could not be used.
    #[error(transparent)]
    Aws(#[from] aws::Error),
    /// The stack could not be used.
    #[error(transparent)]
    Stack(#[from] stack::Error),
    /// The function could not be invoked, or failed.
    #[error(transparent)]
    Function(#[from] function::Error),
    /// The accounts do not suit the stack.
    #[error(transparent)]
    Accounts(#[from] accounts::Error),
    /// A time or range is invalid.
    #[error(transparent)]
    Times(#[from] times::Error),
    /// The payload of `invoke` is invalid.
    #[error(transparent)]
    Payload(#[from] payload::Error),
    /// The backfill ended without an answer.
    #[error(transparent)]
    Backfill(#[from] backfill::Error),
    /// The stack could not be connected.
    #[error(transparent)]
    Connect(#[from] connect::Error),
    /// `local collect` failed.
    #[error(transparent)]
    Local(#[from] local::Error),
    /// The content could not be installed.
    #[error(transparent)]
    Content(#[from] content::Error),
    /// The output could not be written.
    #[error(transparent)]
    Output(#[from] output::Error),
}

impl Error {
    /// Whether a retry within minutes may succeed.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Aws(error) | Self::Function(function::Error::Aws(error)) => error.transient().is_some(),
            _ => false,
        }
    }

    fn failure(&self) -> &dyn Failure {
        match self {
            Self::Aws(error) => error,
            Self::Stack(error) => error,
            Self::Function(error) => error,
            Self::Accounts(error) => error,
            Self::Times(error) => error,
            Self::Payload(error) => error,
            Self::Backfill(error) => error,
            Self::Connect(error) => error,
            Self::Local(error) => error,
            Self::Content(error) => error,
            Self::Output(error) => error,
        }
    }
}

impl Failure for Error {
    fn error_type(&self) -> &str {
        self.failure().error_type()
    }

    fn exit(&self) -> Exit {
        self.failure().exit()
    }

    fn is_documented(&self) -> bool {
        self.failure().is_documented()
    }
}
