//! One installation with one seed. Checks the result of every invocation.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use fastrand::Rng;
use futures_util::future::try_join_all;
use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use lastpass_harness::{
    Call, Calls, Comparison, Error, Function, Gate, Installation, Invocation, Outcome, Services, StoredDocument,
    canonical, now,
};
use lastpass_simulator::{Clock, Quirks, Repeats, TruthEvent, World};
use serde_json::{Value, json};

use crate::tally::Tally;
use crate::worlds::whole_second;

/// Timeout of an invocation without faults.
pub const CALM: Duration = Duration::from_secs(60);
/// Timeout of an invocation during which a system may be down. It must end early by itself.
pub const HINDERED: Duration = Duration::from_secs(4);
/// Most invocations of a play that Lambda may have to end at their deadline. Chosen: a busy machine can delay one of them.
const MOST_TIMED_OUT: u32 = 1;
/// The key of the live checkpoint, and the prefix of the keys of backfill checkpoints.
const LIVE: &str = "stream#event_report";
const BACKFILL: &str = "backfill#event_report#";
/// Most repetitions of a request until it is complete. More than any scenario needs.
const MOST_REPETITIONS: usize = 200;

/// Function errors that mean that a system failed. The request is repeated later.
pub const PASSING: &[&str] = &[
    "LastPass.Throttled",
    "LastPass.Unreachable",
    "LastPass.BadAnswer",
    "LastPass.Refused",
    "Elasticsearch.Throttled",
    "Elasticsearch.Unreachable",
    "Checkpoint.Unreachable",
    "Secret.Unreachable",
];

/// The parameters of a scenario.
#[derive(Debug, Clone)]
pub struct Context {
    pub services: Services,
    pub binary: PathBuf,
    pub scenario: &'static str,
    pub seed: u64,
    /// Snapshots of each stream in the scenario `changes`.
    pub snapshots: i64,
}

impl Context {
    /// Returns the random generator of this scenario and seed.
    pub fn rng(&self) -> Rng {
        let name = self.scenario.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(131).wrapping_add(byte.into()));
        Rng::with_seed(self.seed ^ name)
    }

    /// Creates an installation on the cluster that reads this world from its beginning.
    pub async fn stage(&self, world: World, quirks: Quirks) -> Result<Stage, Error> {
        self.stage_with(world, quirks, &[]).await
    }

    /// Creates the installation with additional variables of the function.
    pub async fn stage_with(&self, world: World, quirks: Quirks, variables: &[(&str, &str)]) -> Result<Stage, Error> {
        let time_zone = quirks.time_zone.clone();
        let zone = time_zone.iana_name().unwrap_or("UTC").to_owned();
        let mut plan = Installation::plan("soak", self.binary.clone())
            .variable("INITIAL_LOOKBACK", "40d")
            .variable("LASTPASS_TIME_ZONE", &zone)
            // Log everything, so that everything is searched for secrets.
            .variable("LOG_LEVEL", "trace");
        for (name, value) in variables {
            plan = plan.variable(name, value);
        }
        let with_reporting_events = quirks.page_size >= smallest_page_with_reporting_events(quirks.next_repeats);
        let mut plan = plan.world(world).quirks(quirks);
        if with_reporting_events {
            plan = plan.reporting_events();
        }
        let installation = plan.make(&self.services).await?;
        let begin = now() - SignedDuration::from_hours(40 * 24);
        Ok(Stage {
            installation,
            tally: Tally::default(),
            accepted: Vec::new(),
            begin,
            ahead: SignedDuration::ZERO,
            shown_to_window: Vec::new(),
            may_be_killed: false,
            timed_out: 0,
            repeated_hour: None,
            zone: time_zone,
        })
    }
}

/// An installation and its results so far.
pub struct Stage {
    pub installation: Installation,
    pub tally: Tally,
    /// Function errors that are currently not a failure of the product.
    pub accepted: Vec<&'static str>,
    /// The function must not deliver events before this time.
    pub begin: Timestamp,
    /// Whether functions are killed on purpose.
    pub may_be_killed: bool,
    /// The invocations that Lambda had to end.
    timed_out: u32,
    /// Both passes of the repeated hour in the stage's time. A watermark must not be inside.
    pub repeated_hour: Option<(Timestamp, Timestamp)>,
    /// LastPass's zone.
    zone: TimeZone,
    /// The events that LastPass showed when the unfinished live window was begun.
    shown_to_window: Vec<TruthEvent>,
    ahead: SignedDuration,
}

/// Returns the smallest page size at which each request becomes an event. With smaller pages, a run makes more events
/// than it reads. If `next` repeats events, the page must be larger than the number of requests in a second: otherwise
/// no reader can tell repeats from twins (docs/reliability.md).
const fn smallest_page_with_reporting_events(next_repeats: Repeats) -> usize {
    match next_repeats {
        Repeats::Nothing => 10,
        _ => 80,
    }
}

/// The events that LastPass showed and the state of the checkpoints before an invocation.
pub struct Before {
    shown: Vec<TruthEvent>,
    checkpoints: BTreeMap<String, Reached>,
}

/// The state of a checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Reached {
    watermark: Option<Timestamp>,
    /// The bounds of the unfinished window.
    window: Option<(Timestamp, Timestamp)>,
    /// The window is acknowledged from this time on.
    position: Option<Timestamp>,
    complete: bool,
}

/// A range that a checkpoint newly declares as acknowledged.
struct Claim<'a> {
    what: String,
    from: Timestamp,
    to: Timestamp,
    /// The events that LastPass showed before the range was read.
    shown: &'a [TruthEvent],
}

impl Stage {
    pub fn calls(&self) -> &Calls {
        &self.installation.calls
    }

    /// Returns an execution environment of the function, with its clock set to the stage's time.
    pub async fn function(&self) -> Function {
        let mut function = self.installation.function();
        function.set_clock(self.ahead).await;
        function
    }

    /// Returns the stage's time.
    pub fn now(&self) -> Timestamp {
        now() + self.ahead
    }

    /// Sets LastPass's clock, which keeps running from this time.
    pub fn set_now(&mut self, time: Timestamp) {
        self.ahead = time.duration_since(now());
        self.installation.simulator.set_clock(Clock::OffsetSeconds(self.ahead.as_secs()));
    }

    /// Returns the difference between the stage's time and the machine's.
    pub fn ahead(&self) -> SignedDuration {
        self.ahead
    }

    /// Invokes the function and checks the result.
    pub async fn invoke(&mut self, function: &mut Function, invocation: Invocation) -> Result<Outcome, Error> {
        let before = self.before().await?;
        let outcome = function.invoke(invocation).await?;
        self.check(&before, std::slice::from_ref(&outcome)).await?;
        Ok(outcome)
    }

    /// Invokes all at once and checks the results.
    pub async fn invoke_together(
        &mut self,
        functions: &mut [Function],
        invocations: Vec<Invocation>,
    ) -> Result<Vec<Outcome>, Error> {
        let before = self.before().await?;
        let running = functions.iter_mut().zip(invocations).map(|(function, invocation)| function.invoke(invocation));
        let outcomes = try_join_all(running).await?;
        self.check(&before, &outcomes).await?;
        Ok(outcomes)
    }

    /// Invokes the function, and runs `meanwhile` while a call waits at the gate.
    pub async fn invoke_with(
        &mut self,
        function: &mut Function,
        invocation: Invocation,
        gate: &Gate,
        meanwhile: impl Future<Output = Result<(), Error>>,
    ) -> Result<Outcome, Error> {
        let before = self.before().await?;
        let mut running = Box::pin(function.invoke(invocation));
        let outcome = tokio::select! {
            outcome = &mut running => outcome?,
            () = gate.reached() => {
                // The call, and with it the function, waits.
                meanwhile.await?;
                gate.open();
                running.await?
            }
        };
        self.check(&before, std::slice::from_ref(&outcome)).await?;
        Ok(outcome)
    }

    /// Repeats a request until it is complete, as a schedule does. Faults remain in effect.
    pub async fn until_complete(&mut self, function: &mut Function, invocation: &Invocation) -> Result<Value, Error> {
        for _ in 0..MOST_REPETITIONS {
            let again = Invocation::new(invocation.payload.clone()).with_timeout(invocation.timeout);
            if let Outcome::Answer(answer) = self.invoke(function, again).await? {
                match answer["status"].as_str() {
                    Some("complete") => return Ok(answer),
                    Some("skipped") if answer["reason"] == "lease_held" => {
                        self.installation.expire_leases().await?;
                    }
                    _ => {}
                }
            }
        }
        self.tally.fail(format!("{} is not complete after {MOST_REPETITIONS} invocations", invocation.payload));
        Ok(Value::Null)
    }

    /// Removes all faults, lets the function finish, and compares the events.
    pub async fn finish(mut self) -> Result<Tally, Error> {
        self.calm().await?;
        let mut function = self.function().await;
        let shown = polls(&self.before().await?.shown);
        self.until_complete(&mut function, &Invocation::new(collect_events()).with_timeout(CALM)).await?;
        let own = polls(&self.installation.simulator.truth_events()).saturating_sub(shown);
        let held = self.compare_events().await?;
        let to_come = held.polls_to_come;
        self.tally.expect(to_come <= own, || {
            format!("{to_come} events of requests are missing, of which the last runs made only {own}")
        });
        self.tally.compare(&held);
        self.end().await
    }

    /// Removes all faults.
    pub async fn calm(&mut self) -> Result<(), Error> {
        self.calls().clear();
        self.installation.simulator.clear_faults();
        self.installation.expire_leases().await?;
        self.accepted.clear();
        Ok(())
    }

    /// Compares the events from the stage's beginning on with all documents. Only events of a repeated hour may be
    /// ambiguous.
    pub async fn compare_events(&mut self) -> Result<Comparison, Error> {
        let end = self.now() + SignedDuration::from_hours(48);
        let held = self.installation.compare_events_in(self.begin, end).await?;
        let is_repeated = |event: &&TruthEvent| {
            let time = event.time.parse::<DateTime>();
            event.instant >= self.begin && time.is_ok_and(|time| self.zone.to_ambiguous_timestamp(time).is_ambiguous())
        };
        let repeated = self.installation.simulator.truth_events().iter().filter(is_repeated).count();
        let ambiguous = held.ambiguous_time;
        self.tally.expect(ambiguous <= repeated, || {
            format!("{ambiguous} documents are ambiguous, but only {repeated} events are in a repeated hour")
        });
        Ok(held)
    }

    /// Searches all output and stored data for secrets, and removes the installation.
    pub async fn end(mut self) -> Result<Tally, Error> {
        self.installation.look_at_all().await?;
        let leaks = self.installation.watch.take_leaks();
        self.tally.leaked += leaks.len();
        leaks.into_iter().for_each(|leak| self.tally.fail(leak));
        self.installation.remove().await?;
        Ok(self.tally)
    }

    pub async fn before(&self) -> Result<Before, Error> {
        // Runs read only whole seconds, and earlier requests in the current second are events too.
        let present = whole_second(self.now());
        let mut shown = self.installation.simulator.truth_events();
        shown.retain(|event| !event.is_poll || event.instant < present);
        Ok(Before { shown, checkpoints: self.reached().await? })
    }

    /// Checks outcomes, and that the checkpoints declare only what Elasticsearch has acknowledged.
    pub async fn check(&mut self, before: &Before, outcomes: &[Outcome]) -> Result<(), Error> {
        for outcome in outcomes {
            self.tally.invocations += 1;
            match outcome {
                Outcome::Answer(answer) => self.check_answer(answer),
                Outcome::Error { error_type, error_message } => {
                    if !self.accepted.contains(&error_type.as_str()) {
                        self.tally.fail(format!("{error_type}: {error_message}"));
                    }
                }
                Outcome::Died { how } => self.tally.expect(self.may_be_killed, || format!("the process ended: {how}")),
                Outcome::TimedOut => {
                    self.timed_out += 1;
                    self.tally.expect(self.timed_out <= MOST_TIMED_OUT, || {
                        format!("Lambda had to end {} invocations at their deadlines", self.timed_out)
                    });
                }
            }
        }
        self.check_checkpoints(before).await
    }

    fn check_answer(&mut self, answer: &Value) {
        for run in answer["resumed"].as_array().into_iter().flatten().chain([answer]) {
            let number = |name: &str| run[name].as_u64().unwrap_or_default();
            if number("fetched") != number("created") + number("duplicates") + number("dead_letters") {
                self.tally.fail(format!("not every record is accounted for: {run}"));
            }
        }
    }

    /// Checks that everything that the checkpoints declare as acknowledged is in the data stream or among the dead
    /// letters.
    async fn check_checkpoints(&mut self, before: &Before) -> Result<(), Error> {
        let after = self.reached().await?;
        let live = |checkpoints: &BTreeMap<String, Reached>| checkpoints.get(LIVE).copied().unwrap_or_default();
        let (live_before, live_after) = (live(&before.checkpoints), live(&after));
        if let (Some((begin, end)), Some(watermark)) = (self.repeated_hour, live_after.watermark) {
            let is_inside = begin < watermark && watermark < end;
            self.tally.expect(!is_inside, || format!("the watermark {watermark} is in the repeated hour"));
        }
        let mut claims = Vec::new();
        if let Some(to) = live_after.watermark.filter(|_| live_after.watermark != live_before.watermark) {
            // Events that appeared in seconds that were already read are left to the next run, which reads the overlap.
            let shown = if live_before.window.is_some() { &self.shown_to_window } else { &before.shown };
            claims.push(Claim { what: format!("the watermark {to}"), from: self.begin, to, shown });
        }
        for (key, reached) in &after {
            let earlier = before.checkpoints.get(key).copied().unwrap_or_default();
            let range = match reached.window {
                Some(window) if earlier.window == Some(window) => reached.position.zip(earlier.position),
                Some((_, to)) => reached.position.map(|position| (position, to)),
                None if reached.complete && !earlier.complete => {
                    let range = key.strip_prefix(BACKFILL).and_then(|range| range.split_once('#'));
                    let range = range.and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
                    range.map(|(from, to)| (from, earlier.position.unwrap_or(to)))
                }
                None => None,
            };
            if let Some((from, to)) = range {
                let begin = if key.starts_with(BACKFILL) { from } else { from.max(self.begin) };
                let (what, from) = (format!("{key}, at {from},"), begin);
                claims.push(Claim { what, from, to, shown: &before.shown });
            }
        }
        let missing = self.missing(&claims).await?;
        missing.into_iter().for_each(|missing| self.tally.fail(missing));
        if live_after.window != live_before.window {
            self.shown_to_window.clone_from(&before.shown);
        }
        Ok(())
    }

    /// Describes the claims that are not true.
    async fn missing(&self, claims: &[Claim<'_>]) -> Result<Vec<String>, Error> {
        if claims.iter().all(|claim| claim.from >= claim.to) {
            return Ok(Vec::new());
        }
        let mut documents: BTreeMap<String, usize> = BTreeMap::new();
        for stream in ["event_report", "dead_letter"] {
            for document in self.installation.documents(stream).await? {
                let record = document.text("event.original").map(canonical).unwrap_or_default();
                *documents.entry(record).or_default() += 1;
            }
        }
        let mut wrong = Vec::new();
        for Claim { what, from, to, shown } in claims {
            let mut due: BTreeMap<String, usize> = BTreeMap::new();
            for event in shown.iter().filter(|event| (*from..*to).contains(&event.instant)) {
                *due.entry(canonical(&event.record)).or_default() += 1;
            }
            let held = |record: &String| documents.get(record).copied().unwrap_or_default();
            let missing: usize = due.iter().map(|(record, due)| due.saturating_sub(held(record))).sum();
            if missing > 0 {
                wrong.push(format!("{what} is ahead of Elasticsearch: {missing} events before it are missing"));
            }
        }
        Ok(wrong)
    }

    async fn reached(&self) -> Result<BTreeMap<String, Reached>, Error> {
        let checkpoints = self.installation.checkpoints().await?;
        let reached = checkpoints.into_iter().map(|(key, item)| {
            let unfinished = item.get("unfinished").and_then(|unfinished| unfinished.as_m().ok());
            let part = |name: &str| time(unfinished?.get(name));
            let reached = Reached {
                watermark: time(item.get("watermark")),
                window: part("from").zip(part("to")),
                position: part("position"),
                complete: item.get("complete").is_some_and(|complete| complete.as_bool() == Ok(&true)),
            };
            (key, reached)
        });
        Ok(reached.collect())
    }

    /// Rolls the stream over, if it exists.
    pub async fn roll_over(&self) -> Result<(), Error> {
        roll_over(&self.installation.services, &self.installation.data_stream("event_report")).await
    }

    /// Returns all documents of the event report.
    pub async fn events(&self) -> Result<Vec<StoredDocument>, Error> {
        self.installation.documents("event_report").await
    }
}

/// Rolls a data stream over, if it exists.
pub async fn roll_over(services: &Services, data_stream: &str) -> Result<(), Error> {
    if services.elasticsearch.find_backing_indices(data_stream).await?.is_some() {
        services.elasticsearch.roll_over(data_stream).await?;
    }
    Ok(())
}

/// Returns the number of events that requests have caused.
fn polls(events: &[TruthEvent]) -> usize {
    events.iter().filter(|event| event.is_poll).count()
}

fn time(value: Option<&AttributeValue>) -> Option<Timestamp> {
    value?.as_s().ok()?.parse().ok()
}

/// Returns the payload that collects the event report.
pub fn collect_events() -> Value {
    collect("event_report")
}

/// Returns the payload that collects a stream.
pub fn collect(stream: &str) -> Value {
    json!({"action": "collect", "stream": stream})
}

/// Returns the payload that backfills a range of events.
pub fn backfill(from: Timestamp, to: Timestamp) -> Value {
    json!({"action": "backfill", "stream": "event_report", "from": from, "to": to})
}

/// Returns whether a call writes documents.
pub fn is_bulk(call: &Call) -> bool {
    call.operation.ends_with("/_bulk")
}
