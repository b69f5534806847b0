//! The function as Lambda runs it: one process, one invocation at a time, restarted when the process has ended.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::process::Process;
use crate::runtime_api::{RuntimeApi, Work};
use crate::{Error, Killer, Output, Watch};

/// Longest time until a process requests its first invocation. Source: Lambda's limit for the init phase.
const INIT_LIMIT: Duration = Duration::from_secs(10);
/// Polling interval for the state of a process that is being frozen.
const FREEZE_POLL: Duration = Duration::from_millis(1);
/// `Timeout` in `template.yaml`.
const TIMEOUT: Duration = Duration::from_secs(300);

/// An invocation of the function.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The payload.
    pub payload: Value,
    /// Lambda's request ID. A retry by Lambda has the ID of the first attempt.
    pub request_id: String,
    /// The function's timeout.
    pub timeout: Duration,
}

impl Invocation {
    /// Returns an invocation with a new request ID and the timeout of the template.
    #[must_use]
    pub fn new(payload: Value) -> Self {
        let bits = fastrand::u128(..);
        let request_id = format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            bits >> 96,
            (bits >> 80) & 0xffff,
            (bits >> 64) & 0xffff,
            (bits >> 48) & 0xffff,
            bits & 0xffff_ffff_ffff
        );
        Self { payload, request_id, timeout: TIMEOUT }
    }

    /// Sets the request ID.
    #[must_use]
    pub fn with_request_id(self, request_id: &str) -> Self {
        Self { request_id: request_id.to_owned(), ..self }
    }

    /// Sets the timeout.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }
}

/// The outcome of an invocation.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// A response.
    Answer(Value),
    /// A function error.
    Error {
        /// `errorType`.
        error_type: String,
        /// `errorMessage`.
        error_message: String,
    },
    /// The process ended or was killed.
    Died {
        /// Its exit status.
        how: String,
    },
    /// The deadline passed, and the process was killed, as Lambda does.
    TimedOut,
}

impl Outcome {
    /// Returns the response.
    ///
    /// # Errors
    /// [`Error::Answer`] with any other outcome.
    pub fn answer(self) -> Result<Value, Error> {
        match self {
            Self::Answer(answer) => Ok(answer),
            other => Err(Error::Answer(format!("an answer was expected; there was {other:?}"))),
        }
    }

    /// Returns `errorType` and `errorMessage`.
    ///
    /// # Errors
    /// [`Error::Answer`] with any other outcome.
    pub fn error(self) -> Result<(String, String), Error> {
        match self {
            Self::Error { error_type, error_message } => Ok((error_type, error_message)),
            other => Err(Error::Answer(format!("a function error was expected; there was {other:?}"))),
        }
    }

    /// Returns whether the process ended or was killed.
    #[must_use]
    pub const fn is_dead(&self) -> bool {
        matches!(self, Self::Died { .. } | Self::TimedOut)
    }
}

/// One execution environment of the function. Its process is frozen between invocations, as in Lambda. Dropping it kills
/// its process, and fails the test if any output or response contains a secret.
#[derive(Debug)]
pub struct Function {
    binary: PathBuf,
    environment: BTreeMap<String, String>,
    clock: Clock,
    output: Output,
    watch: Watch,
    killer: Killer,
    sandbox: Option<Sandbox>,
}

#[derive(Debug)]
struct Sandbox {
    process: Process,
    api: RuntimeApi,
}

impl Function {
    /// Returns a function that runs `binary` with these variables in addition to Lambda's own. The first invocation
    /// starts it.
    #[must_use]
    pub fn new(binary: PathBuf, variables: BTreeMap<String, String>, watch: Watch) -> Self {
        let lambda = [
            ("AWS_LAMBDA_FUNCTION_NAME", "lastpass-elastic"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/lastpass-elastic"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "local"),
            ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023"),
            ("TZ", ":UTC"),
        ];
        let mut environment: BTreeMap<String, String> =
            lambda.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        environment.extend(variables);
        Self {
            binary,
            environment,
            clock: Clock::default(),
            output: Output::watched(watch.clone()),
            watch,
            killer: Killer::default(),
            sandbox: None,
        }
    }

    /// Sets an environment variable. Ends a running process first.
    pub async fn set(&mut self, name: &str, value: &str) {
        self.stop().await;
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Sets its clock, and Lambda's deadlines, this far ahead of the machine's clock. Negative: behind. Ends a running
    /// process first.
    pub async fn set_clock(&mut self, ahead: SignedDuration) {
        self.stop().await;
        self.clock = Clock::Ahead(ahead);
    }

    /// Makes its clock run this many times as fast as the machine's clock, starting from equal times at `since`.
    /// Lambda's deadlines and the timeouts follow. Ends a running process first.
    pub async fn set_fast_clock(&mut self, since: Timestamp, times: u32) {
        self.stop().await;
        self.clock = Clock::Fast { since, times };
    }

    /// Returns the time on its clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns the output of its processes so far. The output of a running process may lag behind: call
    /// [`Function::stop`] first.
    #[must_use]
    pub const fn output(&self) -> &Output {
        &self.output
    }

    /// Starts its process and waits until it requests its first invocation.
    ///
    /// # Errors
    /// [`Error`] if the process cannot be started, or ends before it requests an invocation.
    pub async fn start_up(&mut self) -> Result<(), Error> {
        self.stop().await;
        self.sandbox = Some(self.start().await?);
        Ok(())
    }

    /// Returns the ID of its process, if one is running.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.sandbox.as_ref().and_then(|_| self.killer.process_id())
    }

    /// Waits until its process is frozen, which happens shortly after the outcome of an invocation.
    pub async fn frozen(&self) {
        while !self.is_frozen() {
            tokio::time::sleep(FREEZE_POLL).await;
        }
    }

    fn is_frozen(&self) -> bool {
        let status = self.process_id().and_then(|id| std::fs::read_to_string(format!("/proc/{id}/stat")).ok());
        // The state is the field after the name in parentheses.
        status.is_some_and(|status| status.rsplit(')').next().is_some_and(|fields| fields.starts_with(" T")))
    }

    /// Returns a handle that kills its process at any time.
    #[must_use]
    pub fn killer(&self) -> Killer {
        self.killer.clone()
    }

    /// Invokes the function. Starts a process if none is running.
    ///
    /// # Errors
    /// [`Error`] if a process cannot be started, or ends before it requests an invocation.
    pub async fn invoke(&mut self, invocation: Invocation) -> Result<Outcome, Error> {
        let Invocation { payload, request_id, timeout } = invocation;
        let mut sandbox = match self.sandbox.take() {
            Some(sandbox) => sandbox,
            None => self.start().await?,
        };
        let (sender, outcome) = oneshot::channel();
        let deadline = self.clock.now() + SignedDuration::try_from(timeout).unwrap_or(SignedDuration::MAX);
        let payload = Bytes::from(payload.to_string());
        self.killer.thaw();
        sandbox.api.hand_over(Work { request_id, deadline, payload, outcome: sender });
        let ends = tokio::time::sleep(self.clock.real(timeout));
        tokio::pin!(ends);
        let outcome = tokio::select! {
            biased;
            Ok(outcome) = outcome => outcome,
            how = sandbox.process.ended() => return Ok(Outcome::Died { how }),
            () = &mut ends => Outcome::TimedOut,
        };
        // Lambda freezes the sandbox once the process waits for its next invocation.
        let is_waiting = outcome != Outcome::TimedOut
            && tokio::select! {
                () = sandbox.api.ready() => true,
                _ = sandbox.process.ended() => false,
                () = &mut ends => false,
            };
        self.sandbox = Some(sandbox);
        if is_waiting {
            self.killer.freeze();
        } else {
            self.stop().await;
        }
        Ok(outcome)
    }

    /// Invokes the function and expects a response.
    ///
    /// # Errors
    /// [`Error::Answer`] for any other outcome.
    pub async fn ask(&mut self, payload: Value) -> Result<Value, Error> {
        self.invoke(Invocation::new(payload)).await?.answer()
    }

    /// Invokes the function and expects a function error. Returns its type and message.
    ///
    /// # Errors
    /// [`Error::Answer`] for any other outcome.
    pub async fn expect_error(&mut self, payload: Value) -> Result<(String, String), Error> {
        self.invoke(Invocation::new(payload)).await?.error()
    }

    /// Ends its process. Afterwards [`Function::output`] is complete and the next invocation is a cold start.
    pub async fn stop(&mut self) {
        if let Some(mut sandbox) = self.sandbox.take() {
            self.killer.kill();
            sandbox.process.ended().await;
        }
    }

    async fn start(&self) -> Result<Sandbox, Error> {
        let api = RuntimeApi::start(self.watch.clone()).await?;
        let mut environment = self.environment.clone();
        environment.insert("AWS_LAMBDA_RUNTIME_API".to_owned(), api.address());
        environment.extend(self.clock.variables()?);
        let mut process = Process::start(&self.binary, &environment, self.clock, self.killer.clone(), &self.output)?;
        let how = tokio::select! {
            biased;
            () = api.ready() => return Ok(Sandbox { process, api }),
            how = process.ended() => how,
            () = tokio::time::sleep(INIT_LIMIT) => format!("not ready after {INIT_LIMIT:?}"),
        };
        Err(Error::Start { how, output: self.output.text() })
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // Dropping the process ends it and reads its remaining output.
        self.sandbox = None;
        self.watch.expect_none();
    }
}
