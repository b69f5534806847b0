//! The command `backfill`.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{display::Display, error::Error, progress::Progress, state_machine::StateMachine};
use crate::{
    accounts::Targets,
    aws,
    exit::Exit,
    failure::{Error as CommandError, Failure as _},
    function::{self, Function},
    output::{self, Format},
    payload,
    times::Range,
};

/// The interval between two polls of the execution and its progress. Chosen: the cost is negligible, and people see changes.
const POLL_INTERVAL: Duration = Duration::from_secs(3);
/// How long AWS may be unreachable before following ends. Chosen: longer than a train's tunnel or a change of network.
const MAX_OUTAGE: Duration = Duration::from_secs(300);
/// Longest wait for the action `status`. Chosen: less than a run may take, because the next poll repeats it.
const STATUS_TIMEOUT: Duration = Duration::from_secs(60);

/// The options of the command `backfill`.
pub struct Backfill<'a> {
    pub state_machine: StateMachine<'a>,
    pub function: &'a Function,
    /// The name of the stack.
    pub stack: &'a str,
    pub range: Range,
    /// Whether detection rules process the documents.
    pub alert: bool,
    pub format: Format,
}

/// An execution of the state machine.
struct Execution<'a> {
    arn: String,
    account: Option<&'a str>,
}

impl Backfill<'_> {
    /// Starts a backfill for each target, or finds the one that is already running.
    ///
    /// # Errors
    /// [`aws::Error`], [`output::Error`].
    pub async fn start(&self, targets: &Targets) -> Result<Exit, CommandError> {
        let executions = self.find_or_start_all(targets).await?;
        match self.format {
            Format::Table => output::print_message(&format!(
                "to see the progress, run `{}` or `{} --follow`",
                self.status_command(),
                self.command(targets)
            )),
            Format::Json => {
                let answers: Vec<Value> = executions.iter().map(|execution| self.running(execution)).collect();
                output::print_answers(&answers, targets, self.format)?;
            }
        }
        Ok(Exit::Done)
    }

    /// Like [`start`](Self::start), and follows the executions one after the other until they end or Ctrl-C is pressed.
    ///
    /// # Errors
    /// [`aws::Error`], [`output::Error`]; [`Error`] for a single target. If one of several targets ends without an answer,
    /// its error is one of the answers.
    pub async fn follow(&self, targets: &Targets) -> Result<Exit, CommandError> {
        // One future for all executions, so that a Ctrl-C between two of them is not lost.
        let mut interrupt = pin!(tokio::signal::ctrl_c());
        let executions = self.find_or_start_all(targets).await?;
        let (mut exit, mut answers) = (Exit::Done, Vec::new());
        for execution in &executions {
            let followed = tokio::select! {
                biased;
                _ = &mut interrupt => None,
                followed = self.follow_one(execution) => Some(followed),
            };
            match followed {
                Some(Ok(Ok(answer))) => {
                    exit = exit.max(Exit::of_answer(&answer));
                    answers.push(answer);
                }
                Some(Ok(Err(error))) if targets.is_multiple() => {
                    exit = exit.max(error.exit());
                    answers.push(payload::with_account(&error.document(), execution.account));
                }
                Some(Ok(Err(error))) => return Err(error.into()),
                Some(Err(error)) => {
                    self.print_still_running(targets);
                    return Err(error.into());
                }
                None => {
                    exit = exit.max(Exit::Unfinished);
                    answers.extend(executions[answers.len()..].iter().map(|execution| self.running(execution)));
                    self.print_still_running(targets);
                    break;
                }
            }
        }
        output::print_answers(&answers, targets, self.format)?;
        if self.format == Format::Table && answers.iter().any(|answer| answer["status"] == "incomplete") {
            output::print_message(&format!(
                "\nafter fixing the errors, run the same command again: it reads only the missing slices. With both ends of \
                 the range, it is `{} --follow`",
                self.command(targets)
            ));
        }
        Ok(exit)
    }

    fn print_still_running(&self, targets: &Targets) {
        output::print_message(&format!(
            "the backfill continues on AWS: to see its progress, run `{}` or `{} --follow`",
            self.status_command(),
            self.command(targets)
        ));
    }

    /// Returns the command for this backfill, with the ends of its range, because the default of `--to` advances each hour.
    fn command(&self, targets: &Targets) -> String {
        let accounts = targets.accounts().into_iter().flatten().map(|account| format!(" --account {account}"));
        format!(
            "lastpass-elastic --stack {}{} backfill --from {} --to {}{}",
            self.stack,
            accounts.collect::<String>(),
            self.range.from,
            self.range.to,
            if self.alert { " --alert" } else { "" }
        )
    }

    fn status_command(&self) -> String {
        format!("lastpass-elastic --stack {} status", self.stack)
    }

    async fn find_or_start_all<'b>(&self, targets: &'b Targets) -> Result<Vec<Execution<'b>>, aws::Error> {
        let mut executions = Vec::new();
        for account in targets.accounts() {
            let input = self.input(account);
            let (arn, state) = match self.state_machine.find_running(&input).await? {
                Some(arn) => (arn, "is already running"),
                None => (self.state_machine.start(&input).await?, "has been started"),
            };
            if self.format == Format::Table {
                let account = account.map_or_else(String::new, |account| format!(" of the account {account}"));
                output::print_message(&format!("the backfill{account} {state}: {arn}"));
            }
            executions.push(Execution { arn, account });
        }
        Ok(executions)
    }

    /// Builds the input of an execution.
    fn input(&self, account: Option<&str>) -> Value {
        let mut input = json!({"from": self.range.from, "to": self.range.to});
        if self.alert {
            input["alert"] = true.into();
        }
        payload::with_account(&input, account)
    }

    /// Builds the answer for an execution that is still running.
    fn running(&self, execution: &Execution<'_>) -> Value {
        let answer = json!({
            "action": "backfill", "stream": "event_report", "from": self.range.from, "to": self.range.to,
            "status": "running", "execution": execution.arn,
        });
        payload::with_account(&answer, execution.account)
    }

    /// Waits until an execution has ended. Returns its answer, or the reason why it has none.
    async fn follow_one(&self, execution: &Execution<'_>) -> Result<Result<Value, Error>, aws::Error> {
        let mut display = Display::new();
        let mut last_response = Instant::now();
        loop {
            match self.poll(execution, &mut display).await {
                Ok(Some(ended)) => return Ok(ended),
                Ok(None) => last_response = Instant::now(),
                // An outage of the local network does not affect the backfill.
                Err(error) => match error.transient() {
                    Some(service) if last_response.elapsed() < MAX_OUTAGE => {
                        display.show_message(&format!("{service} does not respond; retrying"));
                    }
                    Some(_) | None => return Err(error),
                },
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Fetches the output of the execution. While it runs, displays the progress and returns `None`.
    async fn poll(
        &self,
        execution: &Execution<'_>,
        display: &mut Display,
    ) -> Result<Option<Result<Value, Error>>, aws::Error> {
        let output = self.state_machine.fetch_output(&execution.arn).await?;
        if output.is_some() {
            return Ok(output);
        }
        let request = payload::with_account(&json!({"action": "status"}), execution.account);
        match tokio::time::timeout(STATUS_TIMEOUT, self.function.invoke(&request)).await {
            Ok(Ok(status)) => match Progress::parse(&status, self.range) {
                Ok(progress) => display.show(&progress),
                Err(error) => display.show_message(&format!("running; the answer to `status` is unknown ({error})")),
            },
            // The progress is unknown until the next poll, but the execution is known to run.
            Err(_) | Ok(Err(function::Error::Failed { .. })) => {}
            Ok(Err(function::Error::Aws(error))) => return Err(error),
        }
        Ok(None)
    }
}
