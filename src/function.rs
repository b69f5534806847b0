//! Handles the invocations of a sandbox.
//!
//! This module owns the span, the summary and the metrics of each invocation. The clients that a sandbox keeps are in
//! `invocation`.

use std::time::Duration;

use aws_config::SdkConfig;
use jiff::SignedDuration;
use lambda_runtime::LambdaEvent;
use serde_json::Value;
use tracing::{Instrument, Level};

use crate::{
    answer::{Answer, CheckAnswer},
    clock,
    config::{self, Config, SecretSource},
    document::{AccountName, Stream},
    error::{Error, Failure},
    invocation::{Call, Invocation, Sandbox},
    limits::left_at,
    request::{self, Action, Request},
    telemetry::{Emitter, Journal, Totals, write_metrics},
};

/// The function, for the lifetime of its sandbox.
pub struct Function {
    sandbox: Result<Sandbox, config::Invalid>,
}

impl Function {
    /// Builds the clients, unless the settings are invalid. Every invocation then returns the faults.
    #[must_use]
    pub fn new(config: Result<Config, config::Invalid>, aws: &SdkConfig) -> Self {
        Self { sandbox: config.and_then(|config| Sandbox::new(config, aws)) }
    }

    /// Handles one invocation. At its end, writes one summary line and the metrics of its streams.
    ///
    /// # Errors
    /// [`Failure`], which becomes Lambda's `errorType` and `errorMessage`.
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value, Failure> {
        let LambdaEvent { payload, context } = event;
        let started = clock::now();
        let request = Request::parse(&payload, started);
        let action = request.as_ref().ok().map(|request| &request.action);
        let stream = action.and_then(Action::stream);
        let account = request.as_ref().ok().and_then(|request| request.account.as_ref());
        let span = tracing::info_span!(
            "invocation",
            request_id = context.request_id,
            account = account.map(AccountName::as_str),
            action = action.map(Action::as_str),
            stream = stream.map(Stream::as_str),
        );
        let journal = Journal::default();
        async {
            let answer = match &request {
                Ok(request) => {
                    let call = Call { request, payload: &payload, context: &context, started, journal: &journal };
                    // Boxed, because the future of a whole invocation is too large a type for the compiler to lay out
                    // in one piece.
                    Box::pin(self.answer(call)).await.map(|answer| answer.to_json(account))
                }
                Err(invalid) => Err(invalid.clone().into()),
            };
            let ended = clock::now();
            let failed_stream = stream.filter(|_| answer.is_err());
            let emitter = Emitter { function_name: &context.env_config.function_name, account };
            write_metrics(&journal.metric_lines(emitter, failed_stream, ended));
            // Zero if the clock was set back.
            let took = ended.duration_since(started).max(SignedDuration::ZERO).unsigned_abs();
            summarize(&answer, journal.totals(), took, left_at(ended, &context));
            answer.map_err(|error| Failure { account: account.cloned(), error })
        }
        .instrument(span)
        .await
    }

    async fn answer(&self, call: Call<'_>) -> Result<Answer, Error> {
        let is_check = call.request.action == Action::Check;
        let sandbox = match &self.sandbox {
            Ok(sandbox) => sandbox,
            Err(invalid) if is_check => {
                return Ok(Answer::Check(CheckAnswer::without_settings(&invalid.clone().into())));
            }
            Err(invalid) => return Err(invalid.clone().into()),
        };
        let secret_id = match secret_id(&sandbox.config.secret, call.request) {
            Ok(secret_id) => secret_id,
            Err(invalid) if is_check => return Ok(Answer::Check(CheckAnswer::without_secret(&invalid.into()))),
            Err(invalid) => return Err(invalid.into()),
        };
        let invocation = Invocation::new(sandbox, call);
        match secret_id {
            Some(secret_id) => invocation.answer(&secret_id).await,
            None => invocation.status_of_all_accounts().await,
        }
    }
}

/// Returns the secret that a request needs, or `None` for `status` of all accounts.
fn secret_id(source: &SecretSource, request: &Request) -> Result<Option<String>, request::Invalid> {
    match (source, &request.account) {
        (SecretSource::Arn(arn), None) => Ok(Some(arn.clone())),
        (SecretSource::Arn(_), Some(_)) => Err(request::Invalid::account_without_prefix()),
        (SecretSource::Prefix(prefix), Some(account)) => Ok(Some(format!("{prefix}/{account}"))),
        (SecretSource::Prefix(_), None) if request.action == Action::Status => Ok(None),
        (SecretSource::Prefix(_), None) => Err(request::Invalid::account_missing()),
    }
}

/// Writes the summary line of an invocation. The level is error if it failed, because someone may have to act.
fn summarize(answer: &Result<Value, Error>, totals: Totals, took: Duration, left: Duration) {
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    macro_rules! summarize {
        ($level:expr, $($field:tt)*) => {
            tracing::event!(
                $level,
                $($field)*
                fetched = totals.counters.fetched,
                created = totals.counters.created,
                duplicates = totals.counters.duplicates,
                dead_letters = totals.counters.dead_letters,
                late = totals.counters.late,
                lastpass_requests = totals.lastpass_requests,
                lastpass_throttled = totals.lastpass_throttled,
                bulk_requests = totals.bulk_requests,
                changes = totals.changes,
                comparisons_skipped = totals.comparisons_skipped,
                duration_ms = milliseconds(took),
                time_left_ms = milliseconds(left),
                "invocation ended"
            )
        };
    }
    match answer {
        Ok(answer) => {
            let text = |pointer| answer.pointer(pointer).and_then(Value::as_str);
            summarize!(
                Level::INFO,
                status = text("/status"),
                reason = text("/reason"),
                from = text("/window/from"),
                to = text("/window/to"),
                checkpoint = text("/checkpoint"),
            );
        }
        Err(error) => {
            summarize!(Level::ERROR, status = "failed", error_type = error.error_type(), error = error.with_causes(),)
        }
    }
}
