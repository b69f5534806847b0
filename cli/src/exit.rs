//! Exit codes: what a script can go by.

use std::{fmt::Write as _, process::ExitCode};

use serde_json::Value;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// What was asked for is done.
    Done,
    /// The function, or the backfill, reported a failure.
    Failed,
    /// The command line is wrong. Also clap's own.
    Usage,
    /// Not done yet, or nothing was done.
    Unfinished,
    /// AWS could not be used.
    Aws,
}

/// Every exit code, and what it means, as `--help` tells it.
const MEANINGS: [(Exit, u8, &str); 5] = [
    (Exit::Done, 0, "done, or started without --follow"),
    (Exit::Failed, 1, "the function, the backfill or LastPass reported an error, or a check or slice failed"),
    (Exit::Usage, 2, "wrong usage: an option, a time, an account, a file"),
    (Exit::Unfinished, 3, "not done yet, or nothing done: partial, skipped, left running by Ctrl-C"),
    (Exit::Aws, 4, "AWS could not be used: credentials, permissions, network, region, or no such stack"),
];

/// From what matters most to what matters least: several accounts end as the worst of them.
const BY_WEIGHT: [Exit; 5] = [Exit::Usage, Exit::Aws, Exit::Failed, Exit::Unfinished, Exit::Done];

impl Exit {
    /// The number that the shell sees.
    #[must_use]
    pub fn code(self) -> u8 {
        // Every variant is in the table: a test looks.
        MEANINGS.iter().find(|(exit, ..)| *exit == self).map_or(u8::MAX, |(_, code, _)| *code)
    }

    /// The one of both that matters more.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        BY_WEIGHT.into_iter().find(|exit| [self, other].contains(exit)).unwrap_or(self)
    }

    /// How an answer of the function ends a command. One that tells no status, as that of `status`, is as asked for.
    #[must_use]
    pub fn of_answer(answer: &Value) -> Self {
        match (answer["status"].as_str(), answer["reason"].as_str()) {
            (Some("failed" | "incomplete"), _) => Self::Failed,
            (Some("skipped"), Some("already_complete")) => Self::Done,
            (Some("partial" | "skipped" | "running"), _) => Self::Unfinished,
            (Some(_) | None, _) => Self::Done,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The part of `--help` that lists the codes.
#[must_use]
pub fn help() -> String {
    let mut text = "Exit codes:\n".to_owned();
    for (_, code, meaning) in MEANINGS {
        // Writing into a text doesn't fail.
        let _ = writeln!(text, "  {code}  {meaning}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_code_is_what_the_documentation_says() {
        let codes = [Exit::Done, Exit::Failed, Exit::Usage, Exit::Unfinished, Exit::Aws].map(Exit::code);
        assert_eq!(codes, [0, 1, 2, 3, 4]);
        let help = help();
        for code in codes {
            assert!(help.contains(&format!("\n  {code}  ")), "{code} in {help}");
        }
        assert!(help.lines().all(|line| line.len() <= 100), "{help}");
    }

    #[test]
    fn an_answer_ends_the_command_by_its_status() {
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
            (json!(null), Exit::Done),
        ] {
            assert_eq!(Exit::of_answer(&answer), exit, "{answer}");
        }
    }

    #[test]
    fn several_accounts_end_as_the_worst_of_them() {
        assert_eq!(Exit::Done.worse(Exit::Unfinished), Exit::Unfinished);
        assert_eq!(Exit::Failed.worse(Exit::Unfinished), Exit::Failed);
        assert_eq!(Exit::Failed.worse(Exit::Aws), Exit::Aws);
        assert_eq!(Exit::Done.worse(Exit::Done), Exit::Done);
    }
}
