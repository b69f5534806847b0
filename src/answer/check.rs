//! The answer to `check`.

use serde::Serialize;

use crate::error::Error;

/// The answer to `check`.
#[derive(Debug, Serialize)]
pub struct CheckAnswer {
    action: &'static str,
    status: CheckStatus,
    checks: Vec<Check>,
}

/// The outcome of one check, or of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// Everything is correct.
    Ok,
    /// Something must be fixed. The message names it and where to fix it.
    Failed,
    /// Not checked, because an earlier check failed.
    Skipped,
}

/// One check and its outcome.
#[derive(Debug, Serialize)]
pub struct Check {
    name: Name,
    status: CheckStatus,
    message: String,
}

/// The checks, in the order of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Name {
    Settings,
    Secret,
    Checkpoint,
    CheckpointDestination,
    Clock,
    #[serde(rename = "lastpass_event_report")]
    LastPassEventReport,
    #[serde(rename = "lastpass_time_zone")]
    LastPassTimeZone,
    #[serde(rename = "lastpass_user")]
    LastPassUser,
    #[serde(rename = "lastpass_user_time_zone")]
    LastPassUserTimeZone,
    #[serde(rename = "lastpass_detailed_shared_folder")]
    LastPassDetailedSharedFolder,
    Elasticsearch,
    ElasticsearchRights,
    ElasticsearchExcessRights,
    ElasticsearchSetupRights,
    IndexTemplates,
    IgnoredValues,
    OtherWriters,
}

impl Name {
    const ALL: [Self; 17] = [
        Self::Settings,
        Self::Secret,
        Self::Checkpoint,
        Self::CheckpointDestination,
        Self::Clock,
        Self::LastPassEventReport,
        Self::LastPassTimeZone,
        Self::LastPassUser,
        Self::LastPassUserTimeZone,
        Self::LastPassDetailedSharedFolder,
        Self::Elasticsearch,
        Self::ElasticsearchRights,
        Self::ElasticsearchExcessRights,
        Self::ElasticsearchSetupRights,
        Self::IndexTemplates,
        Self::IgnoredValues,
        Self::OtherWriters,
    ];
}

/// The checks so far.
#[derive(Debug, Default)]
pub(crate) struct Checks(Vec<Check>);

impl Checks {
    /// Records the outcome of a check. Returns whether it is correct.
    pub(crate) fn add(&mut self, name: Name, outcome: Result<String, String>) -> bool {
        let (status, message) = match outcome {
            Ok(message) => (CheckStatus::Ok, message),
            Err(message) => (CheckStatus::Failed, message),
        };
        self.0.push(Check { name, status, message });
        status == CheckStatus::Ok
    }

    /// Records that a check was skipped.
    pub(crate) fn skip(&mut self, name: Name, because: &str) {
        self.0.push(Check { name, status: CheckStatus::Skipped, message: format!("not checked: {because}") });
    }

    /// Returns whether a check has an outcome.
    pub(crate) fn has(&self, name: Name) -> bool {
        self.0.iter().any(|check| check.name == name)
    }

    /// Adds the outcomes of other checks.
    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Builds the answer. Checks without an outcome count as skipped.
    pub(crate) fn answer(mut self, because: &str) -> CheckAnswer {
        for name in Name::ALL {
            if !self.has(name) {
                self.skip(name, because);
            }
        }
        self.0.sort_by_key(|check| check.name);
        // Two systems skip the same check if both of them fail.
        self.0.dedup_by_key(|check| check.name);
        let all_ok = self.0.iter().all(|check| check.status == CheckStatus::Ok);
        let status = if all_ok { CheckStatus::Ok } else { CheckStatus::Failed };
        CheckAnswer { action: "check", status, checks: self.0 }
    }
}

impl CheckAnswer {
    /// Builds the answer for invalid settings, with which nothing else can be checked.
    #[must_use]
    pub fn without_settings(error: &Error) -> Self {
        let mut checks = Checks::default();
        checks.add(Name::Settings, Err(error.with_causes()));
        checks.answer("correct the settings first")
    }

    /// Builds the answer for a secret that cannot be used.
    #[must_use]
    pub fn without_secret(error: &Error) -> Self {
        let mut checks = Checks::default();
        checks.add(Name::Settings, Ok(SETTINGS_OK.to_owned()));
        checks.add(Name::Secret, Err(error.with_causes()));
        checks.answer("correct the secret first")
    }
}

pub(crate) const SETTINGS_OK: &str = "the settings are valid";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_is_in_every_answer_in_its_order() {
        let error = Error::Config(crate::config::Config::read(|_| None).expect_err("no settings"));
        for answer in [CheckAnswer::without_settings(&error), CheckAnswer::without_secret(&error)] {
            let names: Vec<Name> = answer.checks.iter().map(|check| check.name).collect();
            assert_eq!(names, Name::ALL);
            assert_eq!(answer.status, CheckStatus::Failed);
        }
    }

    #[test]
    fn a_check_that_two_systems_skip_is_in_the_answer_once() {
        let mut checks = Checks::default();
        checks.skip(Name::CheckpointDestination, "the table cannot be read");
        checks.skip(Name::CheckpointDestination, "Elasticsearch does not respond");
        let answer = checks.answer("a check that it depends on failed");
        let names: Vec<Name> = answer.checks.iter().map(|check| check.name).collect();
        assert_eq!(names, Name::ALL);
        assert_eq!(answer.checks[3].message, "not checked: the table cannot be read");
    }
}
