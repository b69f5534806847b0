//! A backfill by the stack's state machine: started, or taken up where one of the same range runs, and followed.

use std::{
    io::{self, IsTerminal as _},
    pin::pin,
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
    print,
    stack::Stack,
    table,
    when::{self, Range},
};

/// How often the execution and the checkpoints are looked at. Chosen: what it costs is not worth a thought, and a person
/// sees that something moves.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// How often a line is written where there is no terminal.
const SAY_EVERY: Duration = Duration::from_secs(30);
/// How long AWS may be out of reach before following is given up. Chosen: a train's tunnel, a laptop's change of network.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long the action `status` is waited for: less than a run may take, because how far it is can be asked again.
const STATUS_PATIENCE: Duration = Duration::from_secs(60);
/// The least columns that leave room for a bar beside what is said.
const BAR_FROM_COLUMNS: u16 = 90;
/// The parts of the progress bar.
const PARTS: u64 = 1_000;

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
    /// What is printed at its end.
    pub output: Output,
}

/// An execution that ended without an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// It failed as a whole: no slices could be made.
    #[error("{message}. Once that is mended, the same command goes on where it was")]
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
}

/// Whether two inputs are for the same range and account, however their times are written.
fn means_the_same(one: &Value, other: &Value) -> bool {
    let meant = |input: &Value| {
        let [from, to] = ["from", "to"].map(|name| when::instant(input[name].as_str()?));
        Some((from?, to?, input["account"].clone(), input["alert"] == true))
    };
    one == other || meant(one).is_some_and(|meant_by_one| meant(other) == Some(meant_by_one))
}

impl Backfill<'_> {
    /// Starts a backfill for each target, or takes up the one that runs.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn start(&self, targets: &Targets) -> Result<Exit, Error> {
        let executions = self.begin(targets).await?;
        match self.output {
            Output::Table => print::tell(&format!(
                "see how far it is with `{} status`, or give the same command with --follow",
                self.program()
            )),
            Output::Json => {
                let answers: Vec<Value> = executions.iter().map(|execution| self.running(execution)).collect();
                print::answers(&answers, targets.are_several(), self.output)?;
            }
        }
        Ok(Exit::Done)
    }

    /// As [`start`](Self::start), and follows them to their end, one after the other.
    ///
    /// # Errors
    /// [`Fault`]; [`Ended`] where it was for one account alone.
    pub async fn follow(&self, function: &Function, targets: &Targets) -> Result<Exit, Error> {
        // One for all accounts: what is pressed between two of them isn't lost.
        let mut interrupt = pin!(tokio::signal::ctrl_c());
        let executions = self.begin(targets).await?;
        let (mut exit, mut answers) = (Exit::Done, Vec::new());
        for execution in &executions {
            let followed = tokio::select! {
                biased;
                _ = &mut interrupt => None,
                followed = self.follow_one(function, execution) => Some(followed),
            };
            match followed {
                Some(Ok(answer)) => {
                    exit = exit.worse(Exit::of_answer(&answer));
                    answers.push(answer);
                }
                Some(Err(error @ Error::Backfill(_))) if targets.are_several() => {
                    exit = exit.worse(error.exit());
                    answers.push(error.document(execution.account));
                }
                Some(Err(error @ Error::Backfill(_))) => return Err(error),
                Some(Err(error)) => {
                    self.tell_it_goes_on();
                    return Err(error);
                }
                None => {
                    exit = exit.worse(Exit::Unfinished);
                    answers.extend(executions[answers.len()..].iter().map(|execution| self.running(execution)));
                    self.tell_it_goes_on();
                    break;
                }
            }
        }
        print::answers(&answers, targets.are_several(), self.output)?;
        if self.output == Output::Table && answers.iter().any(|answer| answer["status"] == "incomplete") {
            print::tell("\nonce that is mended, the same command reads what is missing, and nothing else");
        }
        Ok(exit)
    }

    fn tell_it_goes_on(&self) {
        print::tell(&format!(
            "the backfill goes on without you: see how far it is with `{} status`, or give the same command again",
            self.program()
        ));
    }

    /// The command line as far as it names the stack.
    fn program(&self) -> String {
        format!("lastpass-elastic --stack {}", self.stack.name)
    }

    async fn begin<'b>(&self, targets: &'b Targets) -> Result<Vec<Execution<'b>>, Error> {
        let mut executions = Vec::new();
        for account in targets.accounts() {
            let (arn, how) = self.find_or_start(account).await?;
            if self.output == Output::Table {
                let account = account.map_or_else(String::new, |account| format!(" of the account {account}"));
                print::tell(&format!("the backfill{account} {how}: {arn}"));
            }
            executions.push(Execution { arn, account });
        }
        Ok(executions)
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

    /// The execution for an account, and how it came to be.
    async fn find_or_start(&self, account: Option<&str>) -> Result<(String, &'static str), Error> {
        let input = self.input(account);
        if let Some(arn) = self.find_running(&input).await? {
            return Ok((arn, "runs already"));
        }
        let machine = &self.stack.state_machine;
        let started = self.aws.states().start_execution().state_machine_arn(machine).input(input.to_string());
        let started = started.send().await.map_err(|error| self.fault(&error, "states:StartExecution", machine))?;
        Ok((started.execution_arn, "is started"))
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
            if found.is_some_and(|found| means_the_same(&found, input)) {
                return Ok(Some(arn));
            }
        }
        Ok(None)
    }

    /// What `--output json` says of one that runs.
    fn running(&self, execution: &Execution<'_>) -> Value {
        let answer = json!({
            "action": "backfill", "stream": "event_report", "from": self.range.from, "to": self.range.to,
            "status": "running", "execution": execution.arn,
        });
        function::for_account(&answer, execution.account)
    }

    async fn follow_one(&self, function: &Function, execution: &Execution<'_>) -> Result<Value, Error> {
        let mut progress = Progress::new();
        let mut answered_at = Instant::now();
        loop {
            match self.look(function, execution, &mut progress).await {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => answered_at = Instant::now(),
                // The network of who looks is not the backfill's.
                Err(error) => match error.transient() {
                    Some(service) if answered_at.elapsed() < PATIENCE => {
                        progress.say(&format!("{service} does not answer; trying again"));
                    }
                    Some(_) | None => return Err(error),
                },
            }
            tokio::time::sleep(LOOK_EVERY).await;
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
                match tokio::time::timeout(STATUS_PATIENCE, function.invoke(&status)).await {
                    Ok(Ok(status)) => progress.show(&Reached::find(&status, self.range)),
                    // How far it is can't be told now; that it runs is known.
                    Err(_) | Ok(Err(Error::Function(_))) => {}
                    Ok(Err(error)) => return Err(error),
                }
                Ok(None)
            }
            ExecutionStatus::Succeeded => {
                let answer = described.output.and_then(|output| serde_json::from_str(&output).ok());
                let status = "SUCCEEDED without an answer".to_owned();
                Ok(Some(answer.ok_or(Ended::Stopped { arn: arn.clone(), status })?))
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
            let is_wide = print::width(&io::stderr()).is_none_or(|width| width >= BAR_FROM_COLUMNS);
            let template = if is_wide { "{bar:20} {percent:>3} %  {wide_msg}" } else { "{percent:>3} %  {wide_msg}" };
            if let Ok(style) = ProgressStyle::with_template(template) {
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
        if let Some(bar) = &self.bar {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1000")]
            bar.set_position((reached.share * PARTS as f64) as u64);
            bar.set_message(text);
        } else {
            self.say_now_and_then(&format!("{:>3.0} %  {text}", (reached.share * 100.0).floor()));
        }
    }

    fn say(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None => self.say_now_and_then(text),
        }
    }

    fn say_now_and_then(&mut self, text: &str) {
        if self.said_at.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
            self.said_at = Some(Instant::now());
            print::tell(text);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
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
    fn a_range_that_runs_is_known_however_it_was_written() {
        let ours = json!({"from": range().from, "to": range().to});
        for (same, input) in [
            (true, json!({"to": "2025-03-01", "from": "2025-01-01"})),
            (true, json!({"from": "2025-01-01T01:00:00+01:00", "to": "2025-03-01", "alert": false})),
            (false, json!({"from": "2025-01-01", "to": "2025-03-02"})),
            (false, json!({"from": "2025-01-01", "to": "2025-03-01", "alert": true})),
            (false, json!({"from": "2025-01-01", "to": "2025-03-01", "account": "acme"})),
            (false, json!({"from": 7})),
            (false, json!(null)),
        ] {
            assert_eq!(means_the_same(&input, &ours), same, "{input}");
        }
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
