//! A backfill by the stack's state machine: started, or taken up where one of the same range runs, and followed.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use aws_sdk_sfn::types::ExecutionStatus;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::{
    accounts::Targets,
    args::Output,
    aws::{Aws, Call, Fault},
    error::Error,
    exit::Exit,
    function::{self, Function},
    stack::Stack,
    table,
    when::{self, Range},
};

/// How often the execution and the checkpoints are looked at. Chosen: what it costs is not worth a thought, and a person
/// sees that something moves.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// How often a line is written where there is no terminal.
const SAY_EVERY: Duration = Duration::from_secs(30);
/// How often in a row AWS may be out of reach before following is given up. The backfill goes on all the same.
const MOST_MISSES: u32 = 40;
/// The parts of the progress bar.
const PARTS: u64 = 1_000;

/// Whether a backfill is looked at until its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// It is started, and that is all.
    No,
    /// Until the execution has ended.
    ToTheEnd,
}

/// What `backfill` is asked to do.
pub struct Backfill<'a> {
    /// Where.
    pub aws: &'a Aws,
    /// On which stack.
    pub stack: &'a Stack,
    /// Which range.
    pub range: Range,
    /// Whether its documents may raise alerts.
    pub alert: bool,
    /// Whether it is followed.
    pub follow: Follow,
    /// What is printed at its end.
    pub output: Output,
}

/// An execution that ended without an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// It failed as a whole: no slices could be made.
    #[error("{error_type}: {message}. Once that is mended, the same command goes on where it was")]
    Failed {
        /// The function's error, or Step Functions'.
        error_type: String,
        /// What it says.
        message: String,
    },
    /// Somebody stopped it, or it ran out of time.
    #[error("the execution {arn} is {status}: the same command reads what is missing")]
    Stopped {
        /// Which one.
        arn: String,
        /// Step Functions' word.
        status: String,
    },
}

impl Ended {
    /// Its stable name.
    pub fn error_type(&self) -> &str {
        match self {
            Self::Failed { error_type, .. } => error_type,
            Self::Stopped { .. } => "Backfill.Stopped",
        }
    }
}

/// An execution of the state machine.
struct Execution<'a> {
    arn: String,
    account: Option<&'a str>,
    was_running: bool,
}

/// What became of following one.
enum Followed {
    Answered(Value),
    Interrupted,
}

impl Backfill<'_> {
    /// Starts a backfill for each target, or takes up the one that runs, and follows them one after the other.
    ///
    /// # Errors
    /// [`Fault`]; [`Ended`] where it was for one account alone.
    pub async fn run(&self, function: &Function, targets: &Targets) -> Result<Exit, Error> {
        let mut executions = Vec::new();
        for account in targets.accounts() {
            executions.push(self.start(account).await?);
        }
        if self.follow == Follow::No {
            let answers: Vec<Value> = executions.iter().map(|execution| self.started(execution)).collect();
            match self.output {
                Output::Table => executions.iter().for_each(|execution| self.say_started(execution)),
                Output::Json => crate::print_answers(&answers, targets.are_several(), self.output)?,
            }
            return Ok(Exit::Done);
        }
        let mut exit = Exit::Done;
        let mut answers = Vec::new();
        for execution in &executions {
            if self.output == Output::Table {
                self.say_started(execution);
            }
            match self.follow(function, execution).await {
                Ok(Followed::Answered(answer)) => {
                    exit = exit.worse(Exit::of_answer(&answer));
                    answers.push(answer);
                }
                Ok(Followed::Interrupted) => {
                    eprintln!(
                        "the backfill goes on without you; look at it with `lastpass-elastic status`, or give the same command again"
                    );
                    return Ok(Exit::Unfinished);
                }
                Err(Error::Backfill(ended)) if targets.are_several() => {
                    exit = exit.worse(Exit::Failed);
                    answers.push(json!({
                        "account": execution.account,
                        "error": {"type": ended.error_type(), "message": ended.to_string()},
                    }));
                }
                Err(error) => return Err(error),
            }
        }
        crate::print_answers(&answers, targets.are_several(), self.output)?;
        if self.output == Output::Table && exit == Exit::Failed {
            eprintln!("\nonce that is mended, the same command reads what is missing, and nothing else");
        }
        Ok(exit)
    }

    /// What the execution is given. The same range is the same text, so that one that runs is found.
    fn input(&self, account: Option<&str>) -> Value {
        let mut input = json!({"from": self.range.from, "to": self.range.to});
        if self.alert {
            input["alert"] = true.into();
        }
        function::for_account(&input, account)
    }

    fn fault<E, R>(&self, error: &aws_sdk_sfn::error::SdkError<E, R>, action: &'static str, on: &str) -> Fault
    where
        E: aws_sdk_sfn::error::ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        Fault::of(error, Call::new(action, on), self.aws.region())
    }

    async fn start<'b>(&self, account: Option<&'b str>) -> Result<Execution<'b>, Error> {
        let input = self.input(account);
        if let Some(arn) = self.find_running(&input).await? {
            return Ok(Execution { arn, account, was_running: true });
        }
        let machine = &self.stack.state_machine;
        let started = self.aws.states().start_execution().state_machine_arn(machine).input(input.to_string());
        let started = started.send().await.map_err(|error| self.fault(&error, "states:StartExecution", machine))?;
        Ok(Execution { arn: started.execution_arn, account, was_running: false })
    }

    /// The execution of the same range that runs already.
    async fn find_running(&self, input: &Value) -> Result<Option<String>, Error> {
        let (client, machine) = (self.aws.states(), &self.stack.state_machine);
        let running = client.list_executions().state_machine_arn(machine).status_filter(ExecutionStatus::Running);
        let running = running.send().await.map_err(|error| self.fault(&error, "states:ListExecutions", machine))?;
        for execution in running.executions {
            let arn = execution.execution_arn;
            let described = client.describe_execution().execution_arn(&arn).send().await;
            let described = described.map_err(|error| self.fault(&error, "states:DescribeExecution", &arn))?;
            let found: Option<Value> = described.input.and_then(|text| serde_json::from_str(&text).ok());
            if found.as_ref() == Some(input) {
                return Ok(Some(arn));
            }
        }
        Ok(None)
    }

    fn say_started(&self, execution: &Execution<'_>) {
        let account = execution.account.map_or_else(String::new, |account| format!(" of the account {account}"));
        let how = if execution.was_running { "runs already" } else { "is started" };
        eprintln!("the backfill{account} {how}: {}", execution.arn);
        if self.follow == Follow::No {
            eprintln!("look at it with `lastpass-elastic status`, or give the same command with --follow");
        }
    }

    fn started(&self, execution: &Execution<'_>) -> Value {
        let answer = json!({
            "action": "backfill", "stream": "event_report", "from": self.range.from, "to": self.range.to,
            "status": "running", "execution": execution.arn,
        });
        function::for_account(&answer, execution.account)
    }

    async fn follow(&self, function: &Function, execution: &Execution<'_>) -> Result<Followed, Error> {
        let mut progress = Progress::new();
        let mut misses = 0;
        loop {
            match self.look(function, execution, &mut progress).await {
                Ok(Some(answer)) => {
                    progress.end();
                    return Ok(Followed::Answered(answer));
                }
                Ok(None) => misses = 0,
                // The network of who looks is not the backfill's.
                Err(Error::Aws(fault)) if fault.is_transient() && misses < MOST_MISSES => misses += 1,
                Err(error) => {
                    progress.end();
                    return Err(error);
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = tokio::signal::ctrl_c() => {
                    progress.end();
                    return Ok(Followed::Interrupted);
                }
            }
        }
    }

    /// Looks at the execution, and shows how far it is; its answer where it has ended.
    async fn look(
        &self,
        function: &Function,
        execution: &Execution<'_>,
        progress: &mut Progress,
    ) -> Result<Option<Value>, Error> {
        let arn = &execution.arn;
        let described = self.aws.states().describe_execution().execution_arn(arn).send().await;
        let described = described.map_err(|error| self.fault(&error, "states:DescribeExecution", arn))?;
        match described.status {
            ExecutionStatus::Running | ExecutionStatus::PendingRedrive => {
                let status = function::for_account(&json!({"action": "status"}), execution.account);
                match function.invoke(&status).await {
                    Ok(status) => progress.show(&Reached::find(&status, self.range)),
                    // How far it is can't be told now; that it runs is known.
                    Err(Error::Function(_)) => {}
                    Err(error) => return Err(error),
                }
                Ok(None)
            }
            ExecutionStatus::Succeeded => {
                let output = described.output.unwrap_or_default();
                Ok(Some(serde_json::from_str(&output).unwrap_or(Value::String(output))))
            }
            ExecutionStatus::Failed => {
                let error_type = described.error.unwrap_or_else(|| "States.Unknown".to_owned());
                let message = described.cause.unwrap_or_else(|| format!("the execution {arn} tells more"));
                let message = message.trim_end_matches('.').to_owned();
                Err(Ended::Failed { error_type, message }.into())
            }
            other => Err(Ended::Stopped { arn: arn.clone(), status: other.as_str().to_owned() }.into()),
        }
    }
}

/// How far a backfill is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Reached {
    events: u64,
    slices: u64,
    complete: u64,
    /// The share of the range that is read, from 0 to 1. Slices hold about as many events as one another.
    share: f64,
}

impl Reached {
    /// Takes it from the answer to `status`; nothing where the slices are not made yet.
    fn find(status: &Value, range: Range) -> Self {
        let (from, to) = (json!(range.from), json!(range.to));
        let backfills = status["backfills"].as_array().map(Vec::as_slice).unwrap_or_default();
        let Some(backfill) = backfills.iter().find(|backfill| backfill["from"] == from && backfill["to"] == to) else {
            return Self::default();
        };
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        let (slices, complete) = (number(&backfill["slices"]["total"]), number(&backfill["slices"]["complete"]));
        let unfinished = backfill["slices"]["unfinished"].as_array().map(Vec::as_slice).unwrap_or_default();
        let begun: f64 = unfinished.iter().map(share_read).sum();
        #[expect(clippy::cast_precision_loss, reason = "there are 200 slices at most")]
        let share = if slices == 0 { 0.0 } else { (complete as f64 + begun) / slices as f64 };
        Self { events: number(&backfill["events"]), slices, complete, share }
    }
}

/// The share of a slice that is read, from its end downwards.
fn share_read(slice: &Value) -> f64 {
    let second = |name: &str| Some(slice[name].as_str()?.parse::<jiff::Timestamp>().ok()?.as_second());
    let (Some(from), Some(to), Some(position)) = (second("from"), second("to"), second("position")) else {
        return 0.0;
    };
    #[expect(clippy::cast_precision_loss, reason = "seconds of some years")]
    let share = (to - position) as f64 / (to - from).max(1) as f64;
    share.clamp(0.0, 1.0)
}

/// What is shown of it: a bar in a terminal, else a line now and then.
struct Progress {
    bar: Option<ProgressBar>,
    said_at: Option<Instant>,
    /// What was reached when it was first seen to move, and when: rate and time left count from there.
    first: Option<(Reached, Instant)>,
}

impl Progress {
    fn new() -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(PARTS);
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, said_at: None, first: None }
    }

    fn show(&mut self, reached: &Reached) {
        if self.first.is_none() && reached.slices > 0 {
            self.first = Some((*reached, Instant::now()));
        }
        let text = text(reached, self.first.map(|(first, since)| (first, since.elapsed())));
        match &self.bar {
            Some(bar) => {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1000")]
                bar.set_position((reached.share * PARTS as f64) as u64);
                bar.set_message(text);
            }
            None if self.said_at.is_none_or(|at| at.elapsed() >= SAY_EVERY) => {
                self.said_at = Some(Instant::now());
                // Where nobody reads, nothing is lost.
                let _ = writeln!(io::stderr(), "{:>3.0} %  {text}", reached.share * 100.0);
            }
            None => {}
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Events, slices, rate and time left, as far as they are known; `first` is where and how long ago the watch began.
fn text(reached: &Reached, first: Option<(Reached, Duration)>) -> String {
    if reached.slices == 0 {
        return "the range is being split".to_owned();
    }
    let mut text =
        format!("{} events, {} of {} slices", table::thousands(reached.events), reached.complete, reached.slices);
    let Some((first, since)) = first else { return text };
    let (share, seconds) = (reached.share - first.share, since.as_secs_f64());
    if seconds >= 1.0 && reached.events > first.events {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate is for the eye"
        )]
        let rate = ((reached.events - first.events) as f64 / seconds) as u64;
        text.push_str(&format!(", {}/s", table::thousands(rate)));
    }
    if share > 0.0 && reached.share < 1.0 {
        #[expect(clippy::cast_possible_truncation, reason = "an estimate")]
        let left = (seconds * (1.0 - reached.share) / share) as i64;
        text.push_str(&format!(", about {} left", when::span(left)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range() -> Range {
        let at = |text: &str| text.parse().expect("a time of the test");
        Range { from: at("2025-01-01T00:00:00Z"), to: at("2025-03-01T00:00:00Z") }
    }

    fn status(slices: &Value) -> Value {
        let (from, to) = (json!(range().from), json!(range().to));
        let other = json!({"from": "2024-01-01T00:00:00Z", "to": to, "events": 7, "slices": null});
        json!({"backfills": [other, {"from": from, "to": to, "events": 120_000, "slices": slices}]})
    }

    #[test]
    fn what_is_reached_is_that_of_the_same_range() {
        let half =
            json!({"from": "2025-01-01T00:00:00Z", "to": "2025-01-03T00:00:00Z", "position": "2025-01-02T00:00:00Z"});
        let found = Reached::find(&status(&json!({"total": 4, "complete": 1, "unfinished": [half]})), range());
        assert_eq!(found, Reached { events: 120_000, slices: 4, complete: 1, share: 0.375 });
        assert_eq!(Reached::find(&json!({"backfills": []}), range()), Reached::default());
        assert_eq!(Reached::find(&json!(null), range()), Reached::default());
    }

    #[test]
    fn progress_tells_events_slices_rate_and_the_time_left() {
        let reached = |events, complete, share| Reached { events, slices: 8, complete, share };
        assert_eq!(text(&Reached::default(), None), "the range is being split");
        let (first, now) = (reached(10_000, 1, 0.125), reached(1_210_000, 4, 0.5));
        assert_eq!(text(&first, Some((first, Duration::ZERO))), "10,000 events, 1 of 8 slices");
        assert_eq!(
            text(&now, Some((first, Duration::from_secs(300)))),
            "1,210,000 events, 4 of 8 slices, 4,000/s, about 6 min 40 s left"
        );
    }
}
