//! Decides which failures are retried, and waits between the attempts.

use std::time::Duration;

use tokio::time::Instant;

use super::error::Error;
use crate::clock::{Backoff, Deadline};

/// First pause before a request is repeated. Chosen: short, because it doubles.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Longest pause before a request is repeated. Chosen: a cluster that responds again is noticed soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long to retry an unreachable cluster that has not responded in this invocation. Chosen: longer than a proxy takes to
/// restart, and short enough that a wrong address is reported soon.
pub(super) const RETRY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to retry an unreachable cluster that has responded in this invocation: until the deadline. The cluster is
/// probably restarting, and a run that fails in the meantime raises an alarm.
pub(super) const RESTART_RETRY_TIMEOUT: Duration = Duration::MAX;

/// The pauses between the attempts of one request, and when to give up.
pub(super) struct Pauses {
    backoff: Backoff,
    /// The first failure of the current kind, and how long failures of this kind are retried.
    first_failure: Option<(Instant, Duration)>,
    last: Option<Error>,
    retry_timeout: Duration,
    deadline: Deadline,
}

impl Pauses {
    /// Starts with a pause of about `first`, and gives up on an unreachable cluster after `retry_timeout`, and on any at
    /// `deadline`.
    pub(super) const fn new(first: Duration, retry_timeout: Duration, deadline: Deadline) -> Self {
        Self { backoff: Backoff::new(first, LONGEST_PAUSE), first_failure: None, last: None, retry_timeout, deadline }
    }

    /// Waits before the request that failed with `error` is repeated.
    ///
    /// # Errors
    /// `error` if it cannot be retried, if the retry timeout is over, or if the pause would not end before the deadline. If
    /// the deadline interrupted an attempt, the error that made the attempt necessary, because it says more.
    pub(super) async fn before_repeating(&mut self, error: Error) -> Result<(), Error> {
        if !error.is_retryable() {
            return Err(error);
        }
        let mut pause = self.backoff.pause();
        let retry_timeout = match &error {
            Error::OutOfTime { .. } => return Err(self.last.take().unwrap_or(error)),
            Error::Throttled { retry_after, .. } => {
                pause = pause.max(retry_after.unwrap_or_default());
                None
            }
            Error::Unreachable { fault, .. } if !fault.may_be_a_restart() => {
                Some(self.retry_timeout.min(RETRY_TIMEOUT))
            }
            // A cluster that restarts, or an index that becomes readable when a node with its shards has restarted.
            _ => Some(self.retry_timeout),
        };
        if retry_timeout.is_some_and(|retry_timeout| self.since_first(retry_timeout) + pause > retry_timeout)
            || !self.deadline.allows(pause)
        {
            return Err(error);
        }
        tracing::warn!(error = %error, pause_ms = pause.as_millis() as u64, "Elasticsearch request failed; retrying");
        self.last = Some(error);
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Returns the time since the first of the failures in a row that are retried for `retry_timeout`.
    fn since_first(&mut self, retry_timeout: Duration) -> Duration {
        let same = self.first_failure.filter(|(_, timeout)| *timeout == retry_timeout);
        self.first_failure.insert(same.unwrap_or_else(|| (Instant::now(), retry_timeout))).0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elastic::{Operation, Unanswered};

    fn unreachable(status: u16) -> Error {
        Error::Unreachable {
            host: "es.example.com".to_owned(),
            operation: Operation::Write,
            fault: Unanswered::Status(status),
            source: None,
        }
    }

    fn long() -> Deadline {
        Deadline::after(Duration::from_secs(3_600))
    }

    #[tokio::test(start_paused = true)]
    async fn an_unreachable_cluster_is_retried_until_the_retry_timeout() {
        let retry_timeout = Duration::from_millis(200);
        let started = Instant::now();
        let mut pauses = Pauses::new(Duration::from_millis(10), retry_timeout, long());
        let mut calls = 1;
        while pauses.before_repeating(unreachable(503)).await.is_ok() {
            calls += 1;
        }
        assert!(started.elapsed() <= retry_timeout);
        assert!((3..15).contains(&calls), "{calls}");
    }

    #[tokio::test(start_paused = true)]
    async fn each_kind_of_failure_has_a_retry_timeout_of_its_own() {
        let mut pauses = Pauses::new(FIRST_PAUSE, RESTART_RETRY_TIMEOUT, long());
        pauses.before_repeating(unreachable(503)).await.unwrap();
        tokio::time::sleep(RETRY_TIMEOUT).await;
        let started = Instant::now();
        pauses.before_repeating(unreachable(500)).await.unwrap();
        while pauses.before_repeating(unreachable(500)).await.is_ok() {}
        assert!(started.elapsed() <= RETRY_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn no_pause_passes_the_deadline() {
        let deadline = Deadline::after(Duration::from_secs(59));
        let mut pauses = Pauses::new(FIRST_PAUSE, RETRY_TIMEOUT, deadline);
        let throttled = |retry_after| Error::Throttled {
            host: "es.example.com".to_owned(),
            operation: Operation::Write,
            retry_after: Some(Duration::from_secs(retry_after)),
        };
        let started = Instant::now();
        let error = pauses.before_repeating(throttled(60)).await.unwrap_err();
        assert_eq!(error.error_type(), "Elasticsearch.Throttled");
        assert_eq!(started.elapsed(), Duration::ZERO);
        pauses.before_repeating(throttled(1)).await.unwrap();
        assert!(started.elapsed() >= Duration::from_secs(1));
    }

    #[tokio::test]
    async fn an_attempt_cut_off_by_the_deadline_reports_the_error_before_it() {
        let out_of_time = || Error::OutOfTime { host: "es.example.com".to_owned(), operation: Operation::Write };
        let mut pauses = Pauses::new(Duration::from_millis(1), RETRY_TIMEOUT, long());
        assert!(pauses.before_repeating(out_of_time()).await.unwrap_err().is_out_of_time());
        pauses.before_repeating(unreachable(502)).await.unwrap();
        let error = pauses.before_repeating(out_of_time()).await.unwrap_err();
        assert!(error.to_string().contains("returned 502"), "{error}");
    }
}
