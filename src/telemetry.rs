//! Sets up the log, and writes the metrics of an invocation.
//!
//! This module knows nothing of the work of other modules. Logs are JSON lines: messages are fixed texts, and values
//! are fields. Metrics are also log lines, in CloudWatch's embedded metric format (EMF), which needs no call and no
//! permission. They are written regardless of `LOG_LEVEL`. Every metric costs more per month than the function, so only
//! values that an alarm or the dashboard shows are metrics. All other values are fields of the summary line.
//!
//! Source: [Amazon CloudWatch User Guide, "Specification: Embedded metric
//! format"](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).

use std::{
    collections::BTreeMap,
    io::Write as _,
    iter::Sum,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{EnvFilter, fmt};

use crate::{
    counters::Counters,
    document::{AccountName, Stream},
};

/// The first part of the namespace of all metrics. The function's name follows, so that two stacks in one AWS account
/// have separate metrics. `template.yaml` uses the same namespace.
const NAMESPACE: &str = "LastPassElastic";
/// The only dimension of every metric: the stream.
const DIMENSION: &str = "stream";

/// A metric as CloudWatch lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Metric {
    /// The name of the metric.
    name: &'static str,
    /// One of CloudWatch's units.
    unit: &'static str,
}

/// Age of the watermark, before which everything is acknowledged. For snapshots: time since the last complete one was
/// due.
const FRESHNESS: Metric = Metric { name: "Freshness", unit: "Seconds" };
/// Documents that are new in Elasticsearch.
const CREATED: Metric = Metric { name: "Created", unit: "Count" };
/// Records that Elasticsearch rejected permanently.
const DEAD_LETTERS: Metric = Metric { name: "DeadLetters", unit: "Count" };
/// Runs that failed. A crash or a timeout counts only in AWS's own metric `Errors`.
const ERRORS: Metric = Metric { name: "Errors", unit: "Count" };
/// Requests that LastPass throttled: with 429, with a 403 that does not come from its API, or with a message.
const LASTPASS_THROTTLED: Metric = Metric { name: "LastPassThrottled", unit: "Count" };
/// Comparisons of two snapshots that were not possible, so that their changes are not known. Written only if there are any.
const COMPARISONS_SKIPPED: Metric = Metric { name: "ComparisonsSkipped", unit: "Count" };

/// Writes logs of `level` and above as JSON lines to standard output. Other crates log only warnings and errors,
/// because at `debug` the HTTP crates log headers.
pub fn init(level: LevelFilter) {
    let filter = EnvFilter::new(format!("warn,lastpass_elastic={level},bootstrap={level}"));
    // Lambda adds its own time to each line. Ours is the time of the event.
    fmt().json().flatten_event(true).with_current_span(true).with_span_list(false).with_env_filter(filter).init();
}

/// The record of one run, whether it succeeded or not.
#[derive(Debug, Clone, Copy)]
pub struct RunRecord {
    /// The stream of the run.
    pub stream: Stream,
    /// The totals of the run.
    pub totals: Totals,
    /// Whether the run failed.
    pub failed: bool,
}

/// The function and the account whose metrics are written.
#[derive(Debug, Clone, Copy)]
pub struct Emitter<'a> {
    /// The name of the function.
    pub function_name: &'a str,
    /// The account, in a deployment of several accounts.
    pub account: Option<&'a AccountName>,
}

/// The runs and watermarks of an invocation so far.
#[derive(Debug, Default)]
pub struct Journal(Mutex<Records>);

#[derive(Debug, Default)]
struct Records {
    runs: Vec<RunRecord>,
    watermarks: BTreeMap<Stream, Timestamp>,
}

/// The totals of one run or, in the summary line, of an invocation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// The document counters.
    pub counters: Counters,
    /// Requests to LastPass.
    pub lastpass_requests: u64,
    /// Requests that LastPass throttled.
    pub lastpass_throttled: u64,
    /// Bulk requests to Elasticsearch.
    pub bulk_requests: u64,
    /// New documents of changes between snapshots.
    pub changes: u64,
    /// Comparisons of snapshots that were not possible.
    pub comparisons_skipped: u64,
}

impl Sum for Totals {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, one| {
            sum.counters += one.counters;
            sum.lastpass_requests += one.lastpass_requests;
            sum.lastpass_throttled += one.lastpass_throttled;
            sum.bulk_requests += one.bulk_requests;
            sum.changes += one.changes;
            sum.comparisons_skipped += one.comparisons_skipped;
            sum
        })
    }
}

impl Journal {
    fn records(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a run that has ended.
    pub fn record_run(&self, run: RunRecord) {
        self.records().runs.push(run);
    }

    /// Records the watermark of a stream.
    pub fn record_watermark(&self, stream: Stream, watermark: Timestamp) {
        self.records().watermarks.insert(stream, watermark);
    }

    /// Clears the failures so far, because the work starts over with other credentials.
    pub fn clear_failures(&self) {
        for run in &mut self.records().runs {
            run.failed = false;
        }
    }

    /// Returns the sum of all runs so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.records().runs.iter().map(|run| run.totals).sum()
    }

    /// Returns the metrics of each stream that the invocation worked on, as lines of the embedded metric format.
    /// `failed` is the stream of a failed invocation, whose failure counts even if no run had begun. The account is a
    /// field of the line. As a dimension, it would multiply the metrics by the number of accounts.
    #[must_use]
    pub fn metric_lines(&self, emitter: Emitter<'_>, failed: Option<Stream>, now: Timestamp) -> Vec<String> {
        let records = self.records();
        Stream::ALL
            .into_iter()
            .filter_map(|stream| {
                let runs: Vec<&RunRecord> = records.runs.iter().filter(|run| run.stream == stream).collect();
                let has_failed = failed == Some(stream);
                let totals: Totals = runs.iter().map(|run| run.totals).sum();
                let failures = runs.iter().filter(|run| run.failed).count() as u64;
                let mut values: Vec<(Metric, Value)> = Vec::new();
                if let Some(watermark) = records.watermarks.get(&stream) {
                    values.push((FRESHNESS, now.duration_since(*watermark).as_secs().into()));
                }
                if !runs.is_empty() {
                    values.push((CREATED, totals.counters.created.into()));
                    values.push((DEAD_LETTERS, totals.counters.dead_letters.into()));
                    values.push((LASTPASS_THROTTLED, totals.lastpass_throttled.into()));
                }
                if totals.comparisons_skipped > 0 {
                    values.push((COMPARISONS_SKIPPED, totals.comparisons_skipped.into()));
                }
                if !runs.is_empty() || has_failed {
                    values.push((ERRORS, failures.max(u64::from(has_failed)).into()));
                }
                (!values.is_empty()).then(|| metric_line(emitter, stream, &values, now))
            })
            .collect()
    }
}

/// Writes the lines of [`Journal::metric_lines`] to standard output, which Lambda forwards to CloudWatch Logs.
pub fn write_metrics(lines: &[String]) {
    let mut output = std::io::stdout().lock();
    for line in lines {
        // A write error cannot be reported, because the log uses the same output.
        let _ = writeln!(output, "{line}");
    }
}

fn metric_line(emitter: Emitter<'_>, stream: Stream, values: &[(Metric, Value)], now: Timestamp) -> String {
    let Emitter { function_name, account } = emitter;
    let metrics: Vec<Value> =
        values.iter().map(|(metric, _)| json!({"Name": metric.name, "Unit": metric.unit})).collect();
    let directive =
        json!({"Namespace": format!("{NAMESPACE}/{function_name}"), "Dimensions": [[DIMENSION]], "Metrics": metrics});
    let mut line = Map::new();
    line.insert("_aws".to_owned(), json!({"Timestamp": now.as_millisecond(), "CloudWatchMetrics": [directive]}));
    line.insert(DIMENSION.to_owned(), stream.as_str().into());
    if let Some(account) = account {
        line.insert("account".to_owned(), account.as_str().into());
    }
    line.extend(values.iter().map(|(metric, value)| (metric.name.to_owned(), value.clone())));
    Value::Object(line).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time of the test")
    }

    fn run(stream: Stream, created: u64, failed: bool) -> RunRecord {
        RunRecord {
            stream,
            totals: Totals {
                counters: Counters { fetched: created + 2, created, dead_letters: 2, ..Counters::default() },
                lastpass_requests: 5,
                lastpass_throttled: 3,
                bulk_requests: 1,
                changes: 0,
                comparisons_skipped: 0,
            },
            failed,
        }
    }

    fn lines(journal: &Journal, failed: Option<Stream>) -> Vec<Value> {
        journal
            .metric_lines(Emitter { function_name: "lastpass", account: None }, failed, at("2026-10-05T12:00:00.250Z"))
            .iter()
            .map(|line| serde_json::from_str(line).expect("a line is JSON"))
            .collect()
    }

    #[test]
    fn a_run_is_one_line_with_every_metric_of_its_stream() {
        let journal = Journal::default();
        journal.record_watermark(Stream::EventReport, at("2026-10-05T11:55:00Z"));
        journal.record_run(run(Stream::EventReport, 7, false));
        let expected = json!({
            "_aws": {
                "Timestamp": 1_791_201_600_250_i64,
                "CloudWatchMetrics": [{
                    "Namespace": "LastPassElastic/lastpass",
                    "Dimensions": [["stream"]],
                    "Metrics": [
                        {"Name": "Freshness", "Unit": "Seconds"},
                        {"Name": "Created", "Unit": "Count"},
                        {"Name": "DeadLetters", "Unit": "Count"},
                        {"Name": "LastPassThrottled", "Unit": "Count"},
                        {"Name": "Errors", "Unit": "Count"},
                    ],
                }],
            },
            "stream": "event_report",
            "Freshness": 300, "Created": 7, "DeadLetters": 2, "LastPassThrottled": 3, "Errors": 0,
        });
        assert_eq!(lines(&journal, None), [expected]);
    }

    #[test]
    fn the_account_is_a_field_and_no_dimension() {
        let journal = Journal::default();
        journal.record_watermark(Stream::User, at("2026-10-05T11:55:00Z"));
        let account = AccountName::new("globex").expect("a name");
        let lines = journal.metric_lines(
            Emitter { function_name: "lastpass", account: Some(&account) },
            None,
            at("2026-10-05T12:00:00Z"),
        );
        let line: Value = serde_json::from_str(&lines[0]).expect("a line is JSON");
        assert_eq!(line["account"], "globex");
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["stream"]]));
    }

    #[test]
    fn a_failure_counts_once_whether_or_not_a_run_had_begun() {
        let journal = Journal::default();
        assert_eq!(lines(&journal, None), Vec::<Value>::new());
        let before = lines(&journal, Some(Stream::User));
        assert_eq!((&before[0]["stream"], &before[0]["Errors"]), (&json!("user"), &json!(1)));
        assert!(before[0].get("Created").is_none(), "{}", before[0]);
        journal.record_run(run(Stream::User, 1, true));
        assert_eq!(lines(&journal, Some(Stream::User))[0]["Errors"], 1);
        journal.clear_failures();
        journal.record_run(run(Stream::User, 1, false));
        assert_eq!(lines(&journal, None)[0]["Errors"], 0);
        assert_eq!(lines(&journal, None)[0]["Created"], 2);
    }

    #[test]
    fn each_stream_has_its_own_line() {
        let journal = Journal::default();
        for stream in Stream::ALL {
            journal.record_watermark(stream, at("2026-10-05T11:00:00Z"));
        }
        journal.record_run(run(Stream::User, 4, false));
        let lines = lines(&journal, None);
        let created: Vec<_> = lines.iter().map(|line| (&line["stream"], line.get("Created"))).collect();
        let user = json!(4);
        assert_eq!(
            created,
            [(&json!("event_report"), None), (&json!("user"), Some(&user)), (&json!("detailed_shared_folder"), None),]
        );
        assert!(lines.iter().all(|line| line["Freshness"] == 3600));
    }

    #[test]
    fn the_totals_are_those_of_all_runs() {
        let journal = Journal::default();
        journal.record_run(run(Stream::User, 4, true));
        journal.record_run(run(Stream::EventReport, 1, false));
        let expected = Totals {
            counters: Counters { fetched: 9, created: 5, dead_letters: 4, ..Counters::default() },
            lastpass_requests: 10,
            lastpass_throttled: 6,
            bulk_requests: 2,
            changes: 0,
            comparisons_skipped: 0,
        };
        assert_eq!(journal.totals(), expected);
    }
}
