//! The error of a backfill.

use crate::{aws, exit::Exit, failure::Failure, output};

/// A backfill that could not be started or followed, or that ended without an answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// AWS could not be used.
    #[error(transparent)]
    Aws(#[from] aws::Error),
    /// The execution failed as a whole: the range could not be split.
    #[error("{message}. After fixing this, run the same command again to continue")]
    Failed {
        /// The error type of the function or of Step Functions.
        error_type: String,
        /// The error's text.
        message: String,
    },
    /// The execution was stopped, or it timed out.
    #[error("the execution {arn} is {status}: run the same command again to read the missing events")]
    Stopped {
        /// The execution.
        arn: String,
        /// The status of Step Functions.
        status: String,
    },
    /// The output could not be written.
    #[error(transparent)]
    Output(#[from] output::Error),
}

impl Error {
    /// Returns the AWS service if a retry within minutes may succeed.
    pub const fn transient(&self) -> Option<&'static str> {
        match self {
            Self::Aws(error) => error.transient(),
            Self::Failed { .. } | Self::Stopped { .. } | Self::Output(_) => None,
        }
    }

    /// Whether the execution has ended.
    pub const fn is_end(&self) -> bool {
        match self {
            Self::Failed { .. } | Self::Stopped { .. } => true,
            Self::Aws(_) | Self::Output(_) => false,
        }
    }
}

impl Failure for Error {
    fn error_type(&self) -> &str {
        match self {
            Self::Aws(error) => error.error_type(),
            Self::Failed { error_type, .. } => error_type,
            Self::Stopped { .. } => "Backfill.Stopped",
            Self::Output(error) => error.error_type(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Aws(error) => error.exit(),
            Self::Failed { .. } | Self::Stopped { .. } => Exit::Failed,
            Self::Output(error) => error.exit(),
        }
    }

    fn is_documented(&self) -> bool {
        self.is_end()
    }
}
