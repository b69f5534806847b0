//! The answers to `check` and `status` on one page, with the next step under each fault.

use serde::Deserialize as _;
use serde_json::Value;

use crate::{
    answers::{Check, CheckAnswer},
    exit::Exit,
    output, paint,
    render::{render_answer, render_checks},
};

/// The next step after a failed check, in addition to its message. `{}` is replaced by the options that select the stack.
/// For checks without an entry, the message is sufficient.
const NEXT_STEPS: &[(&str, &str)] = &[
    ("settings", "correct the parameter, and deploy again"),
    ("secret", "lastpass-elastic connect{}"),
    ("checkpoint", "docs/errors.md explains the errors that begin with `Checkpoint.`"),
    ("checkpoint_destination", "undo the change, or move each stream: lastpass-elastic reset STREAM --to TIME{}"),
    ("lastpass_event_report", "if the provisioning hash is no longer valid: lastpass-elastic connect --rotate-hash{}"),
    ("lastpass_time_zone", "set the parameter LastPassTimeZone and deploy again, or set `time_zone` in the secret"),
    (
        "lastpass_user_time_zone",
        "set the parameter LastPassUserTimeZone and deploy again, or set `user_time_zone` in the secret",
    ),
    ("elasticsearch", "if the API key is no longer valid: lastpass-elastic connect --rotate-key{}"),
    ("elasticsearch_rights", "lastpass-elastic connect --rotate-key{}"),
    ("elasticsearch_excess_rights", "lastpass-elastic connect --rotate-key{}"),
    ("elasticsearch_setup_rights", "remove `elastic_setup_api_key` from the secret: `connect` does not need it"),
    ("index_templates", "lastpass-elastic connect{}"),
    ("ignored_values", "docs/reliability.md, \"Values that Elasticsearch ignores\""),
    ("other_writers", "docs/from-elastics-integration.md"),
];

/// Renders the page of one account of the stack named `stack`. Without a status, only the checks.
pub fn render(check: &Value, status: Option<&Value>, stack: &str) -> String {
    let width = output::width(&std::io::stdout());
    let account = check["account"].as_str();
    let checks = match CheckAnswer::deserialize(check) {
        Ok(answer) => {
            let with_steps = answer.checks.into_iter().map(|check| with_next_step(check, stack, account)).collect();
            paint::table(&render_checks(with_steps, width), "status")
        }
        Err(_) => render_answer(&without_account(check), width),
    };
    let head = account.map_or_else(String::new, |account| format!("account {account}\n"));
    let faults = match Exit::of_answer(check) {
        Exit::Done => String::new(),
        _ => format!("\n\n{}", paint::bad("some checks failed: follow the instructions under each of them")),
    };
    let status = status
        .map(|status| format!("\n\n{}", paint::table(&render_answer(&without_account(status), width), "last run")));
    format!("{head}{checks}{faults}{}", status.unwrap_or_default())
}

/// Removes the account from an answer, because the head of the page names it.
fn without_account(answer: &Value) -> Value {
    let mut answer = answer.clone();
    if let Some(fields) = answer.as_object_mut() {
        fields.remove("account");
    }
    answer
}

/// Adds the next step to the message of a failed check.
fn with_next_step(mut check: Check, stack: &str, account: Option<&str>) -> Check {
    let step = NEXT_STEPS.iter().find(|(name, _)| *name == check.name && check.status == "failed");
    if let Some((_, step)) = step {
        let account = account.map_or_else(String::new, |account| format!(" --account {account}"));
        let step = step.replace("{}", &format!(" --stack {stack}{account}"));
        check.message = format!("{}\nnext: {step}", check.message);
    }
    check
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_failed_check_has_its_next_step_and_an_ok_one_has_none() {
        let check = json!({"action": "check", "status": "failed", "account": "acme", "checks": [
            {"name": "secret", "status": "failed", "message": "it holds the placeholder"},
            {"name": "clock", "status": "failed", "message": "it is wrong"},
            {"name": "index_templates", "status": "ok", "message": "fine"},
        ]});
        let page = render(&check, None, "prod");
        assert!(page.starts_with("account acme\n"), "{page}");
        assert!(page.contains("next: lastpass-elastic connect --stack prod --account acme"), "{page}");
        assert_eq!(page.matches("next: ").count(), 1, "{page}");
        assert!(page.ends_with("follow the instructions under each of them"), "{page}");
    }

    #[test]
    fn the_account_of_a_failed_check_is_named_once() {
        let error = json!({"account": "acme", "error": {"type": "Function.BadAnswer", "message": "why"}});
        let page = render(&error, Some(&error), "prod");
        assert_eq!(page.matches("account acme").count(), 1, "{page}");
    }
}
