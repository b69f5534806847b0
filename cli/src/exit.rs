//! Exit codes for scripts.

use std::process::ExitCode;

use serde_json::Value;

/// The end of a command, in ascending order of severity: a command for several accounts ends as the worst of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// The command did its work.
    Done,
    /// The work is not done yet, or there was none.
    Unfinished,
    /// The function or the backfill reported a failure.
    Failed,
    /// AWS could not be used.
    Aws,
    /// The command line is invalid. clap uses the same code.
    Usage,
}

impl Exit {
    /// Every exit, in the order of the codes.
    const ALL: [Self; 5] = [Self::Done, Self::Failed, Self::Usage, Self::Unfinished, Self::Aws];

    /// Returns the exit code of the process, and its meaning as in `--help` and docs/command-line.md.
    const fn code(self) -> (u8, &'static str) {
        match self {
            Self::Done => (0, "done, or started without --follow"),
            Self::Failed => (1, "the function, the backfill or another system reported an error, or a check failed"),
            Self::Usage => (2, "wrong usage: an option, a time, an account, a file"),
            Self::Unfinished => (3, "not done yet, or nothing done: partial, skipped, left running by Ctrl-C"),
            Self::Aws => (4, "AWS could not be used: credentials, permissions, network, region, or no such stack"),
        }
    }

    /// Judges an error by its stable name.
    #[must_use]
    pub fn of_error(error_type: &str) -> Self {
        match error_type {
            "Usage.Invalid" => Self::Usage,
            "Connect.Interrupted" | "Content.Interrupted" => Self::Unfinished,
            "Connect.Unknown" => Self::Aws,
            _ if error_type.starts_with("Aws.") || error_type.starts_with("Stack.") => Self::Aws,
            _ => Self::Failed,
        }
    }

    /// Judges an answer of the function by its status. An answer without a status, as that of `status`, is a success. An
    /// unknown status is a failure, because a script must not take it for a success.
    #[must_use]
    pub fn of_answer(answer: &Value) -> Self {
        match (answer["status"].as_str(), answer["reason"].as_str()) {
            (None | Some("ok" | "complete"), _) | (Some("skipped"), Some("already_complete")) => Self::Done,
            (Some("partial" | "skipped" | "running"), _) => Self::Unfinished,
            (Some(_), _) => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code().0)
    }
}

/// Lists the exit codes for `--help`.
#[must_use]
pub fn help() -> String {
    let lines = Exit::ALL.map(Exit::code).map(|(code, meaning)| format!("  {code}  {meaning}\n"));
    format!("Exit codes:\n{}", lines.concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn help_lists_every_code() {
        let codes = [Exit::Done, Exit::Failed, Exit::Usage, Exit::Unfinished, Exit::Aws].map(|exit| exit.code().0);
        assert_eq!(codes, [0, 1, 2, 3, 4]);
        let help = help();
        for code in codes {
            assert!(help.contains(&format!("\n  {code}  ")), "{code} in {help}");
        }
        assert!(help.lines().all(|line| line.len() <= 100), "{help}");
    }

    #[test]
    fn the_status_of_an_answer_decides_the_exit() {
        for (answer, exit) in [
            (json!({"action": "check", "status": "ok"}), Exit::Done),
            (json!({"action": "check", "status": "failed"}), Exit::Failed),
            (json!({"action": "redrive", "status": "complete", "reason": null}), Exit::Done),
            (json!({"action": "redrive", "status": "partial", "reason": null}), Exit::Unfinished),
            (json!({"action": "reset", "status": "skipped"}), Exit::Unfinished),
            (json!({"action": "collect", "status": "skipped", "reason": "setup_required"}), Exit::Unfinished),
            (json!({"action": "backfill", "status": "skipped", "reason": "already_complete"}), Exit::Done),
            (json!({"action": "backfill", "status": "incomplete"}), Exit::Failed),
            (json!({"action": "backfill", "status": "running"}), Exit::Unfinished),
            (json!({"action": "status", "streams": {}}), Exit::Done),
            (json!({"action": "check", "status": "a status of a later version"}), Exit::Failed),
            (json!(null), Exit::Done),
        ] {
            assert_eq!(Exit::of_answer(&answer), exit, "{answer}");
        }
    }

    #[test]
    fn the_name_of_an_error_decides_the_exit() {
        for (error_type, exit) in [
            ("Usage.Invalid", Exit::Usage),
            ("Connect.Interrupted", Exit::Unfinished),
            ("Content.Interrupted", Exit::Unfinished),
            ("Connect.Unknown", Exit::Aws),
            ("Aws.NoRegion", Exit::Aws),
            ("Aws.NoCredentials", Exit::Aws),
            ("Aws.Expired", Exit::Aws),
            ("Aws.WrongCredentials", Exit::Aws),
            ("Aws.Forbidden", Exit::Aws),
            ("Aws.Unreachable", Exit::Aws),
            ("Aws.Throttled", Exit::Aws),
            ("Aws.Refused", Exit::Aws),
            ("Stack.Missing", Exit::Aws),
            ("Stack.NotOurs", Exit::Aws),
            ("Stack.NotReady", Exit::Aws),
            ("Backfill.Stopped", Exit::Failed),
            ("Connect.NotRotated", Exit::Failed),
            ("Content.Invalid", Exit::Failed),
            ("Document.Invalid", Exit::Failed),
            ("Function.BadAnswer", Exit::Failed),
            ("Kibana.Unauthorized", Exit::Failed),
            ("Output.Failed", Exit::Failed),
            ("LastPass.Unauthorized", Exit::Failed),
            ("Elasticsearch.Forbidden", Exit::Failed),
            ("Elasticsearch.Unreachable", Exit::Failed),
            ("Secret.Invalid", Exit::Failed),
            ("Request.Invalid", Exit::Failed),
            ("States.Unknown", Exit::Failed),
        ] {
            assert_eq!(Exit::of_error(error_type), exit, "{error_type}");
        }
    }

    #[test]
    fn the_worst_exit_of_several_accounts_counts() {
        assert_eq!(Exit::Done.max(Exit::Unfinished), Exit::Unfinished);
        assert_eq!(Exit::Failed.max(Exit::Unfinished), Exit::Failed);
        assert_eq!(Exit::Failed.max(Exit::Aws), Exit::Aws);
        assert_eq!(Exit::Aws.max(Exit::Usage), Exit::Usage);
        assert_eq!(Exit::Done.max(Exit::Done), Exit::Done);
    }
}
