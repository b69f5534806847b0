//! LastPass throttles for ten minutes. No manual action is needed: the failure queue stays empty, and everything is
//! delivered.
//!
//! The schedule, Lambda and the function run on a clock that is faster than the machine's, with the function's own
//! pauses and the template's own values.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{join, join_all, try_join_all};
use jiff::{SignedDuration, Timestamp};
use lastpass_harness::{Answer, Call, Error, Fault, Installation, Invocation, Outcome, Rule, System, now};
use lastpass_simulator::{Event, Quirks};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::stage::{ago, collect, company, number, plan};

/// Speed of the clock relative to the machine's.
const TIMES: u32 = 10;
/// The error if the emulator of DynamoDB responds too slowly for a clock that is so fast.
const SLOW_MACHINE: &str = "Checkpoint.Unreachable";
/// How long LastPass throttles.
const THROTTLED: Duration = Duration::from_secs(600);
/// `Timeout`, `EventReportRate` and the rate of `resume` in `template.yaml`.
const TIMEOUT: Duration = Duration::from_secs(300);
const EVERY: Duration = Duration::from_secs(300);
/// Lambda's delay before it retries a failed invocation. Source: "How Lambda handles errors and retries with
/// asynchronous invocation", AWS.
const BEFORE_REPETITION: Duration = Duration::from_secs(60);
/// `MaximumRetryAttempts` in `template.yaml`, plus the first attempt.
const ATTEMPTS: usize = 2;

/// `EvaluationPeriods` of `ErrorsAlarm` in `template.yaml`.
const ERRORS_ALARM_PERIODS: usize = 3;

/// `BackfillConcurrency` in `template.yaml`.
const BACKFILLS: i64 = 2;
/// The wait of `statemachines/backfill.asl.yaml` after a temporary failure or while another run has the slice.
const BEFORE_SLICE_IS_REPEATED: Duration = Duration::from_secs(30);
/// Events between two live runs, and events per page.
const NEW_EVENTS: i64 = 80;
const PAGE: usize = 40;

/// The `Retry-After` header while LastPass throttles.
#[derive(Debug, Clone, Copy)]
enum RetryAfter {
    None,
    Seconds(u64),
    /// The remaining time.
    Left,
}

/// Lambda and the schedules of a stack.
struct Stack {
    installation: Installation,
    begun: Timestamp,
    /// Messages in the failure queue.
    failures: AtomicUsize,
    invocations: AtomicUsize,
    /// The periods of five minutes with failed runs, by their start.
    failed_periods: Mutex<BTreeSet<i64>>,
}

impl Stack {
    /// Invokes the function as a schedule does, this long after the beginning, in its own sandbox.
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
                Outcome::Error { error_type, .. } if error_type == SLOW_MACHINE => {}
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

/// Plays twenty minutes of a stack. LastPass throttles for ten of them.
async fn play(nth: u64, retry_after: RetryAfter, throttled_from: Duration) -> Result<(), Error> {
    let Some((services, plan)) = plan("throttled").await else { return Ok(()) };
    let installation = plan.world(company(98, 150, 10)).make(&services).await?;
    // Not all at once, because the start of a process on a busy machine seems much longer on this clock.
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
    assert!(failed_periods < ERRORS_ALARM_PERIODS, "{what}: the alarm of failed runs would be in ALARM");
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
    // Three streams, each with about 13 requests in five minutes.
    let most = match retry_after {
        RetryAfter::None | RetryAfter::Seconds(1) => 100,
        // Each invocation sends one request at its beginning and one at its end.
        RetryAfter::Seconds(_) | RetryAfter::Left => 2 * invocations,
    };
    assert!((3..=most).contains(&refused), "{what}: {refused} requests of {invocations} invocations");
    Ok(())
}

#[tokio::test]
async fn ten_minutes_of_429_need_no_manual_action() -> Result<(), Error> {
    let at_once = Duration::ZERO;
    let plays = [
        play(0, RetryAfter::None, at_once),
        play(4, RetryAfter::Seconds(600), at_once),
        play(8, RetryAfter::Left, at_once),
        play(12, RetryAfter::Seconds(1), Duration::from_secs(200)),
    ];
    join_all(plays).await.into_iter().collect()
}

/// In the middle of a run, its progress is kept and there is no error.
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

/// LastPass's limit: a number of requests in each period, whoever sends them. Counts the accepted and the rejected
/// requests.
struct RateLimit {
    begun: Timestamp,
    requests: u64,
    per: Duration,
    /// The current period and the number of requests accepted in it.
    span: Mutex<(u128, u64)>,
    live: AtomicU64,
    live_refused: AtomicU64,
    backfill: AtomicU64,
    backfill_refused: watch::Sender<u64>,
    /// Whether the backfill is complete.
    backfill_ended: watch::Sender<bool>,
}

impl RateLimit {
    fn new(begun: Timestamp, requests: u64, per: Duration) -> Self {
        Self {
            begun,
            requests,
            per,
            span: Mutex::default(),
            live: AtomicU64::default(),
            live_refused: AtomicU64::default(),
            backfill: AtomicU64::default(),
            backfill_refused: watch::Sender::default(),
            backfill_ended: watch::Sender::default(),
        }
    }

    fn elapsed(&self) -> Duration {
        Duration::try_from(now().duration_since(self.begun)).unwrap_or_default() * TIMES
    }

    fn refuses(&self, call: &Call) -> bool {
        if call.system != System::LastPass {
            return false;
        }
        let number = self.elapsed().as_millis() / self.per.as_millis();
        let mut span = self.span.lock().expect("the span");
        if span.0 != number {
            *span = (number, 0);
        }
        span.1 += 1;
        let is_refused = span.1 > self.requests;
        // The slices end half a day ago, and the live runs read the last minutes. Local times are four or five hours
        // behind.
        let between = self.begun - SignedDuration::from_hours(10);
        let body: Value = serde_json::from_slice(&call.body).expect("a request");
        let is_live = body["data"]["to"].as_str() > Some(between.strftime("%F %T").to_string().as_str());
        match (is_live, is_refused) {
            (true, false) => drop(self.live.fetch_add(1, Ordering::Relaxed)),
            (true, true) => drop(self.live_refused.fetch_add(1, Ordering::Relaxed)),
            (false, false) => drop(self.backfill.fetch_add(1, Ordering::Relaxed)),
            (false, true) => self.backfill_refused.send_modify(|refused| *refused += 1),
        }
        is_refused
    }

    /// Waits until a backfill is rejected again because it has used up the limit, or until it is complete.
    async fn used_up(&self) {
        let before = *self.backfill_refused.borrow();
        let mut refused = self.backfill_refused.subscribe();
        let mut ended = self.backfill_ended.subscribe();
        tokio::select! {
            refusal = refused.wait_for(|refused| *refused > before) => drop(refusal.expect("a sender")),
            end = ended.wait_for(|ended| *ended) => drop(end.expect("a sender")),
        }
    }
}

/// Repeats one slice until it is complete, as the state machine of backfills does.
async fn read_slice(
    installation: &Installation,
    begun: Timestamp,
    (from, to): (Timestamp, Timestamp),
) -> Result<(), Error> {
    let mut function = installation.function();
    function.set_fast_clock(begun, TIMES).await;
    let request = json!({"action": "backfill", "stream": "event_report", "from": from, "to": to});
    loop {
        match function.invoke(Invocation::new(request.clone()).with_timeout(TIMEOUT)).await? {
            Outcome::Answer(answer) if answer["status"] == "complete" => return Ok(()),
            Outcome::Answer(answer) if answer["status"] == "skipped" => {
                tokio::time::sleep(BEFORE_SLICE_IS_REPEATED / TIMES).await;
            }
            Outcome::Error { error_type, .. } if error_type == SLOW_MACHINE => {}
            Outcome::Error { error_type, .. } => {
                assert_eq!(error_type, "LastPass.Throttled");
                tokio::time::sleep(BEFORE_SLICE_IS_REPEATED / TIMES).await;
            }
            // On a busy machine, saving may take longer than this clock allows.
            Outcome::Answer(_) | Outcome::TimedOut => {}
            died @ Outcome::Died { .. } => panic!("{died:?}"),
        }
    }
}

/// Plays live runs while slices of a backfill use up a limit of `requests` in `per`.
async fn live_beside_backfills(requests: u64, per: Duration) -> Result<(), Error> {
    let Some((services, plan)) = plan("side_by_side").await else { return Ok(()) };
    let plan = plan.variable("INITIAL_LOOKBACK", "24h").world(company(97, 4_000, 30));
    let installation = plan.quirks(Quirks { page_size: PAGE, ..Quirks::default() }).make(&services).await?;
    let begun = now();
    let mut function = installation.function();
    function.set_fast_clock(begun, TIMES).await;
    let first = function.invoke(Invocation::new(collect("event_report")).with_timeout(TIMEOUT)).await?.answer()?;
    assert_eq!(first["status"], "complete", "{first}");

    let limit = Arc::new(RateLimit::new(begun, requests, per));
    let asked = Arc::clone(&limit);
    installation.calls.add(Rule::when(move |call| asked.refuses(call), Fault::Answer(Answer::html(429))));
    let since = limit.elapsed();
    // In parallel, from half a day ago back.
    let ends: Vec<_> =
        (0..=BACKFILLS).map(|nth| ago(SignedDuration::from_hours(12 + nth * 24 * 31 / BACKFILLS))).collect();
    let slices = ends.windows(2).map(|pair| read_slice(&installation, begun, (pair[1], pair[0])));
    let live = async {
        for turn in 0..3 {
            limit.used_up().await;
            // In the overlap, which each run reads again, so that a later run has more to read.
            let instant = |nth| begun - SignedDuration::from_secs(300 - turn * NEW_EVENTS - nth);
            installation.simulator.push_events((0..NEW_EVENTS).map(|nth| Event::at(instant(nth)).doing("Log in")));
            let (started, read) = (function.now(), limit.backfill.load(Ordering::Relaxed));
            let answer =
                function.invoke(Invocation::new(collect("event_report")).with_timeout(TIMEOUT)).await?.answer()?;
            let took = function.now().duration_since(started);
            assert_eq!(
                (&answer["status"], number(&answer, "created")),
                (&json!("complete"), NEW_EVENTS as u64),
                "{answer}"
            );
            assert!(took < SignedDuration::try_from(EVERY).expect("minutes"), "the next run is due: {took:#}");
            let read = limit.backfill.load(Ordering::Relaxed) - read;
            println!("{requests} in {per:?}: a live run took {took:#.0?}, the backfill read {read} pages meanwhile");
        }
        let refused = *limit.backfill_refused.borrow();
        let lasted = limit.elapsed() - since;
        installation.calls.clear();
        let [live, live_refused, backfill] =
            [&limit.live, &limit.live_refused, &limit.backfill].map(|count| count.load(Ordering::Relaxed));
        println!(
            "{requests} in {per:?}: {lasted:.0?}; live {live}, refused {live_refused}; backfill {backfill}, refused {refused}"
        );
        // The backfill makes progress. After each rejection it pauses for at least 7.5 s, half of 15 s.
        let most = BACKFILLS as f64 * (lasted.as_secs_f64() / 7.5 + 1.0);
        assert!(backfill > 0 && refused as f64 <= most, "{refused} refused in {lasted:?}");
        Ok(())
    };
    let slices = async {
        let read = try_join_all(slices).await;
        limit.backfill_ended.send_replace(true);
        read
    };
    let (read, live) = join(slices, live).await;
    live.and(read.map(drop))?;
    let held = installation.compare_events().await?;
    assert!(held.is_exact(), "{held}");
    installation.remove().await
}

/// A live run is complete long before the next one is due.
#[tokio::test]
async fn a_backfill_that_uses_up_the_rate_limit_does_not_hold_up_the_live_runs() -> Result<(), Error> {
    // Limits by the second and by the minute. The rest of a minute goes to whoever sends the next request.
    let plays = [(2, Duration::from_secs(1)), (1, Duration::from_secs(4)), (12, Duration::from_secs(60))];
    join_all(plays.map(|(requests, per)| live_beside_backfills(requests, per))).await.into_iter().collect()
}
