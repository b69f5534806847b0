//! LastPass throttles for ten minutes, and nobody has to do anything: not a message is left for someone to look at, and
//! all is delivered.
//!
//! Schedule, Lambda and function live on a clock that is faster than the machine's: with the function's own pauses and
//! the template's own numbers.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use jiff::{SignedDuration, Timestamp};
use lastpass_harness::{Answer, Error, Fault, Installation, Invocation, Outcome, Rule, System, now};
use serde_json::{Value, json};

use crate::stage::{company, plan};

/// How much faster than the machine's the clock is.
const TIMES: u32 = 10;
/// How long LastPass throttles.
const THROTTLED: Duration = Duration::from_secs(600);
/// `Timeout`, `EventReportRate` and the rate of `resume` in `template.yaml`.
const TIMEOUT: Duration = Duration::from_secs(300);
const EVERY: Duration = Duration::from_secs(300);
/// How long Lambda waits before it repeats an invocation that failed. Source: "How Lambda handles errors and retries with
/// asynchronous invocation", AWS.
const BEFORE_REPETITION: Duration = Duration::from_secs(60);
/// `MaximumRetryAttempts` in `template.yaml`, and the first attempt.
const ATTEMPTS: usize = 2;

/// `EvaluationPeriods` of `ErrorsAlarm` in `template.yaml`.
const ERRORS_ALARM_PERIODS: usize = 3;

/// What `Retry-After` says while LastPass throttles.
#[derive(Debug, Clone, Copy)]
enum RetryAfter {
    None,
    Seconds(u64),
    /// What is left.
    Left,
}

/// A stack's Lambda and its schedules.
struct Stack {
    installation: Installation,
    begun: Timestamp,
    /// Messages in the failure queue.
    failures: AtomicUsize,
    invocations: AtomicUsize,
    /// In which periods of five minutes runs failed, by when they were started.
    failed_periods: Mutex<BTreeSet<i64>>,
}

impl Stack {
    /// Invokes the function as a schedule does, so long after the beginning: in a sandbox of its own.
    async fn deliver(&self, after: Duration, request: Value) -> Result<(), Error> {
        tokio::time::sleep(after / TIMES).await;
        let mut function = self.installation.function();
        function.set_fast_clock(self.begun, TIMES).await;
        let mut payload = request;
        if payload["action"] == "collect" {
            payload["scheduled_time"] = function.now().to_string().into();
        }
        let invocation = Invocation::new(payload).with_timeout(TIMEOUT);
        for attempt in 1..=ATTEMPTS {
            self.invocations.fetch_add(1, Ordering::Relaxed);
            let started = function.now().duration_since(self.begun);
            match function.invoke(invocation.clone()).await? {
                Outcome::Answer(_) => return Ok(()),
                Outcome::Error { error_type, .. } => {
                    assert_eq!(error_type, "LastPass.Throttled");
                    self.failed_periods.lock().expect("the periods").insert(started.as_secs() / 300);
                }
                other @ (Outcome::Died { .. } | Outcome::TimedOut) => panic!("{other:?}"),
            }
            if attempt < ATTEMPTS {
                tokio::time::sleep(BEFORE_REPETITION / TIMES).await;
            }
        }
        self.failures.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Twenty minutes of a stack, of which LastPass throttles ten from a moment on.
async fn play(nth: u64, retry_after: RetryAfter, throttled_from: Duration) -> Result<(), Error> {
    let Some((services, plan)) = plan("throttled").await else { return Ok(()) };
    let installation = plan.world(company(98, 150, 10)).make(&services).await?;
    // Not all at once: what a busy machine takes to start a process seems much longer on this clock.
    tokio::time::sleep(Duration::from_secs(nth)).await;
    let begun = now();
    let (from, until) = (begun + throttled_from / TIMES, begun + (throttled_from + THROTTLED) / TIMES);
    let refuse = move |_: &[u8]| {
        let mut answer = Answer::html(429);
        let left = until.duration_since(now()).as_secs_f64() * f64::from(TIMES);
        let seconds = match retry_after {
            RetryAfter::None => return answer,
            RetryAfter::Seconds(seconds) => seconds.to_string(),
            RetryAfter::Left => format!("{:.0}", left.ceil().max(1.0)),
        };
        answer.headers.push(("Retry-After".to_owned(), seconds));
        answer
    };
    let is_refused =
        move |call: &lastpass_harness::Call| call.system == System::LastPass && (from..until).contains(&now());
    installation.calls.add(Rule::when(is_refused, Fault::Reply(Arc::new(refuse))));
    let stack = Stack {
        installation,
        begun,
        failures: AtomicUsize::default(),
        invocations: AtomicUsize::default(),
        failed_periods: Mutex::default(),
    };

    let collect = |stream| json!({"action": "collect", "stream": stream});
    let mut deliveries: Vec<_> = [("user", 10), ("detailed_shared_folder", 20)]
        .map(|(stream, second)| stack.deliver(Duration::from_secs(second), collect(stream)))
        .into_iter()
        .collect();
    for turn in 0..4 {
        deliveries.push(stack.deliver(EVERY * turn, collect("event_report")));
        deliveries.push(stack.deliver(EVERY * turn + Duration::from_secs(30), json!({"action": "resume"})));
    }
    try_join_all(deliveries).await?;

    let Stack { installation, failures, invocations, failed_periods, .. } = &stack;
    let what = format!("{retry_after:?} from {throttled_from:?}");
    assert_eq!(failures.load(Ordering::Relaxed), 0, "{what}: messages in the failure queue");
    let failed_periods = failed_periods.lock().expect("the periods").len();
    assert!(failed_periods < ERRORS_ALARM_PERIODS, "{what}: the alarm of failed runs rings");
    for held in [
        installation.compare_events().await?,
        installation.compare_users().await?,
        installation.compare_folders().await?,
    ] {
        assert!(held.is_exact() && held.truth > 0, "{what}: {held}");
    }
    let refused = installation.calls.records().iter().filter(|call| call.fault).count();
    let invocations = invocations.load(Ordering::Relaxed);
    println!("{what}: {invocations} invocations, {refused} requests refused, runs failed in {failed_periods} periods");
    // Three streams, each of which asks about 13 times in five minutes.
    let most = match retry_after {
        RetryAfter::None | RetryAfter::Seconds(1) => 100,
        // Each invocation asks once at its beginning and once at its end.
        RetryAfter::Seconds(_) | RetryAfter::Left => 2 * invocations,
    };
    assert!((3..=most).contains(&refused), "{what}: {refused} requests of {invocations} invocations");
    Ok(())
}

#[tokio::test]
async fn ten_minutes_of_429_leave_nothing_to_be_done() -> Result<(), Error> {
    let at_once = Duration::ZERO;
    let plays = [
        play(0, RetryAfter::None, at_once),
        play(4, RetryAfter::Seconds(600), at_once),
        play(8, RetryAfter::Left, at_once),
        play(12, RetryAfter::Seconds(1), Duration::from_secs(200)),
    ];
    join_all(plays).await.into_iter().collect()
}

/// In the middle of a run its progress is kept, and no error is made of it.
#[tokio::test]
async fn a_run_that_is_throttled_in_its_middle_until_its_deadline_is_partial() -> Result<(), Error> {
    let Some((services, plan)) = plan("throttled_page").await else { return Ok(()) };
    let quirks = lastpass_simulator::Quirks { page_size: 60, ..lastpass_simulator::Quirks::default() };
    let installation = plan.world(company(99, 150, 10)).quirks(quirks).make(&services).await?;
    let throttled = Rule::on(System::LastPass, "", Fault::Answer(Answer::html(429)));
    installation.calls.add(throttled.after(2));
    let mut function = installation.function();
    function.set_fast_clock(now(), TIMES).await;
    let begun = function.now();
    let invocation = Invocation::new(json!({"stream": "event_report"})).with_timeout(TIMEOUT);
    let answer = function.invoke(invocation.clone()).await?.answer()?;
    let took = function.now().duration_since(begun);
    assert_eq!((&answer["status"], &answer["reason"]), (&json!("partial"), &Value::Null), "{answer}");
    assert!(answer["created"].as_u64().is_some_and(|created| created > 0), "{answer}");
    assert!((SignedDuration::from_secs(240)..SignedDuration::from_secs(300)).contains(&took), "{took:#}");
    installation.calls.clear();
    let answer = function.invoke(invocation).await?.answer()?;
    assert_eq!(answer["status"], "complete", "{answer}");
    assert!(installation.compare_events().await?.is_exact());
    Ok(())
}
