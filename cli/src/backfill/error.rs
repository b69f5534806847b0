//! The error of a backfill.

use crate::failure::Failure;

/// A backfill that ended without an answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The execution failed as a whole: the range could not be split.
    #[error("{message}. After fixing this, run the same command again to continue, with both --from and --to")]
    Failed { error_type: String, message: String },
    /// The execution was stopped, or it timed out.
    #[error(
        "the execution {arn} is {status}: run the same command again to read the missing events, with both --from and --to"
    )]
    Stopped { arn: String, status: String },
}

impl Failure for Error {
    fn error_type(&self) -> &str {
        match self {
            Self::Failed { error_type, .. } => error_type,
            Self::Stopped { .. } => "Backfill.Stopped",
        }
    }

    fn is_documented(&self) -> bool {
        true
    }
}
