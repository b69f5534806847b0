//! The answers of the function.
//!
//! This module knows nothing of AWS or HTTP.

mod changes;
mod check;
mod run;
mod status;

use serde::Serialize;
use serde_json::Value;

pub use self::changes::ChangesAnswer;
pub use self::check::CheckAnswer;
pub(crate) use self::check::{Checks, Name, SETTINGS_OK};
pub use self::run::{PlanAnswer, Reason, ResetAnswer, ResumeAnswer, RunAnswer, RunStatus, SetupAnswer, SkippedAnswer};
pub use self::status::{AccountsStatusAnswer, StatusAnswer};
use crate::{
    document::{AccountName, Stream},
    request::Work,
};

/// The answer of an invocation.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To `collect`, `backfill` and `redrive`.
    Run(RunAnswer),
    /// To `plan`.
    Plan(PlanAnswer),
    /// To `resume`.
    Resume(ResumeAnswer),
    /// To `reset`.
    Reset(ResetAnswer),
    /// To `setup`.
    Setup(SetupAnswer),
    /// To an action without a stream that did nothing.
    Skipped(SkippedAnswer),
    /// To `check`.
    Check(CheckAnswer),
    /// To `status` of one account.
    Status(StatusAnswer),
    /// To `status` of all accounts.
    AccountsStatus(AccountsStatusAnswer),
}

impl Answer {
    /// Builds the answer to `work` that was skipped.
    #[must_use]
    pub fn skipped(work: Work, reason: Reason) -> Self {
        let action = work.as_str();
        match (work, work.stream()) {
            (Work::Plan(window), _) => {
                let run = RunAnswer::skipped(action, Stream::EventReport, reason);
                Self::Plan(PlanAnswer::new(run, window, &[]))
            }
            (_, Some(stream)) => Self::Run(RunAnswer::skipped(action, stream, reason)),
            (_, None) => Self::Skipped(SkippedAnswer { action, status: RunStatus::Skipped, reason }),
        }
    }

    /// Returns the answer as JSON, with the account if the request named one.
    ///
    /// # Panics
    /// Never: each answer is a struct, whose keys are texts.
    #[must_use]
    pub fn to_json(&self, account: Option<&AccountName>) -> Value {
        let Ok(Value::Object(mut fields)) = serde_json::to_value(self) else {
            unreachable!("each answer is a struct, whose keys are texts");
        };
        if let Some(account) = account {
            fields.shift_insert(1, "account".to_owned(), account.as_str().into());
        }
        Value::Object(fields)
    }
}
