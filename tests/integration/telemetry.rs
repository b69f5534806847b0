//! The function's own output: one summary line per invocation, and the metrics of the alarms and the dashboard.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use lastpass_harness::{Error, Function, now};
use lastpass_simulator::{Event, Fault as LastPassFault, FaultRule, Quirks, World};
use serde_json::{Value, json};

use crate::stage::{collect, company, number, plan, spoil};

const METRICS: [&str; 6] = ["Freshness", "Created", "DeadLetters", "Errors", "LastPassThrottled", "ComparisonsSkipped"];
const STREAMS: [&str; 3] = ["event_report", "user", "detailed_shared_folder"];

/// Returns the metrics and log lines since the last call. Each line must be a JSON object.
async fn written(function: &mut Function, seen: &mut usize) -> (Vec<Value>, Vec<Value>) {
    function.stop().await;
    let lines = function.output().lines();
    let new = lines[*seen..].iter().map(|line| {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|fault| panic!("{fault}: {line}"));
        assert!(value.is_object(), "{line}");
        value
    });
    let parts = new.partition(|line| line.get("_aws").is_some());
    *seen = lines.len();
    parts
}

/// Returns the only metric line of a stream. It must declare exactly the metrics that it contains.
fn metrics_of<'a>(lines: &'a [Value], stream: &str) -> &'a Value {
    let mut of_stream = lines.iter().filter(|line| line["stream"] == stream);
    let line = of_stream.next().unwrap_or_else(|| panic!("no metrics of {stream} in {lines:?}"));
    assert_eq!(of_stream.next(), None, "one line a stream");
    let directive = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(directive["Namespace"], "LastPassElastic/lastpass-elastic", "{line}");
    assert_eq!(directive["Dimensions"], json!([["stream"]]), "{line}");
    let mut declared: Vec<&str> = directive["Metrics"]
        .as_array()
        .expect("metrics")
        .iter()
        .map(|metric| metric["Name"].as_str().expect("a name"))
        .collect();
    let mut held: Vec<&str> =
        line.as_object().expect("an object").keys().map(String::as_str).filter(|key| METRICS.contains(key)).collect();
    assert_eq!(line.as_object().expect("an object").len(), held.len() + 2, "{line}");
    declared.sort_unstable();
    held.sort_unstable();
    assert_eq!(declared, held, "{line}");
    line
}

fn summaries(lines: &[Value]) -> Vec<&Value> {
    lines.iter().filter(|line| line["message"] == "invocation ended").collect()
}

#[tokio::test]
async fn a_run_ends_with_one_summary_line_and_the_metrics_of_its_stream() -> Result<(), Error> {
    let Some((services, plan)) = plan("telemetry").await else { return Ok(()) };
    let installation = plan.world(company(81, 120, 5)).make(&services).await?;
    installation.simulator.add_fault(FaultRule::next(LastPassFault::throttled(None)).times(2));
    let mut function = installation.function();
    let mut seen = 0;
    for stream in STREAMS {
        let answer = function.ask(collect(stream)).await?;
        let (metrics, logs) = written(&mut function, &mut seen).await;
        assert_eq!(metrics.len(), 1, "{metrics:?}");
        let line = metrics_of(&metrics, stream);
        let throttled = if stream == "event_report" { 2 } else { 0 };
        for (name, expected) in [
            ("Created", number(&answer, "created")),
            ("DeadLetters", 0),
            ("Errors", 0),
            ("LastPassThrottled", throttled),
        ] {
            assert_eq!(line[name], expected, "{name} in {line}");
        }
        let watermark: Timestamp = answer["checkpoint"].as_str().expect("a watermark").parse().expect("a time");
        let age = now().duration_since(watermark).as_secs();
        assert!((0..=age).contains(&line["Freshness"].as_i64().expect("a number")), "{line} after {age} s");

        let [summary] = summaries(&logs)[..] else { panic!("not one summary line in {logs:?}") };
        assert_eq!(summary["level"], "INFO", "{summary}");
        for name in ["status", "checkpoint", "fetched", "created", "duplicates", "dead_letters", "late"] {
            assert_eq!(summary[name], answer[name], "{name} in {summary}");
        }
        for name in ["lastpass_requests", "bulk_requests"] {
            assert_eq!(summary[name], answer[name], "{name} in {summary}");
        }
        assert_eq!(summary["lastpass_throttled"], throttled, "{summary}");
        assert!(summary["duration_ms"].is_u64() && summary["time_left_ms"].is_u64(), "{summary}");
        assert_eq!((&summary["span"]["action"], &summary["span"]["stream"]), (&json!("collect"), &json!(stream)));
        assert!(summary["span"]["request_id"].is_string(), "{summary}");
    }
    // Actions without a stream log a summary and no metrics.
    for action in ["check", "status"] {
        function.ask(json!({"action": action})).await?;
        let (metrics, logs) = written(&mut function, &mut seen).await;
        assert_eq!((metrics.len(), summaries(&logs).len()), (0, 1), "{action}");
    }
    Ok(())
}

#[tokio::test]
async fn metrics_are_written_whatever_the_log_level_is() -> Result<(), Error> {
    let Some((services, plan)) = plan("metrics_level").await else { return Ok(()) };
    let installation = plan.world(company(82, 30, 5)).variable("LOG_LEVEL", "error").make(&services).await?;
    let mut function = installation.function();
    function.ask(collect("event_report")).await?;
    let (metrics, logs) = written(&mut function, &mut 0).await;
    assert_eq!(metrics_of(&metrics, "event_report")["Created"], 30);
    assert_eq!(logs, Vec::<Value>::new());
    Ok(())
}

#[tokio::test]
async fn a_failed_run_counts_as_an_error_and_shows_how_late_its_stream_is() -> Result<(), Error> {
    let Some((services, plan)) = plan("metrics_failure").await else { return Ok(()) };
    let installation = plan.world(company(83, 30, 5)).make(&services).await?;
    let mut function = installation.function();
    function.ask(collect("event_report")).await?;
    let to = now() - SignedDuration::from_hours(5);
    function.ask(json!({"action": "reset", "stream": "event_report", "to": to})).await?;
    let mut seen = 0;
    written(&mut function, &mut seen).await;

    installation.simulator.set_provisioning_hash("another-hash-of-this-test");
    let (error_type, text) = function.expect_error(collect("event_report")).await?;
    let (metrics, logs) = written(&mut function, &mut seen).await;
    let line = metrics_of(&metrics, "event_report");
    assert_eq!((&line["Errors"], &line["Created"]), (&json!(1), &json!(0)), "{line}");
    let freshness = line["Freshness"].as_i64().expect("a number");
    assert!((5 * 3600..6 * 3600).contains(&freshness), "{line}");
    let [summary] = summaries(&logs)[..] else { panic!("not one summary line in {logs:?}") };
    assert_eq!((&summary["level"], &summary["status"]), (&json!("ERROR"), &json!("failed")), "{summary}");
    assert_eq!((&summary["error_type"], &summary["error"]), (&json!(error_type), &json!(text)), "{summary}");

    // The run fails before it begins, so only the error is known.
    installation.put_secret("no JSON").await?;
    function.expect_error(collect("user")).await?;
    let (metrics, _) = written(&mut function, &mut seen).await;
    assert_eq!(metrics_of(&metrics, "user")["Errors"], 1);
    Ok(())
}

#[tokio::test]
async fn resume_shows_how_late_every_stream_is() -> Result<(), Error> {
    let Some((services, plan)) = plan("metrics_resume").await else { return Ok(()) };
    let installation = plan.world(company(84, 30, 5)).make(&services).await?;
    let mut function = installation.function();
    for stream in STREAMS {
        function.ask(collect(stream)).await?;
    }
    let to = now() - SignedDuration::from_hours(30);
    function.ask(json!({"action": "reset", "stream": "user", "to": to})).await?;
    let mut seen = 0;
    written(&mut function, &mut seen).await;
    function.ask(json!({"action": "resume"})).await?;
    let (metrics, logs) = written(&mut function, &mut seen).await;
    assert_eq!(summaries(&logs).len(), 1);
    for stream in STREAMS {
        let line = metrics_of(&metrics, stream);
        let freshness = line["Freshness"].as_i64().expect("a number");
        assert_eq!(freshness > 29 * 3600, stream == "user", "{line}");
        assert_eq!(line.get("Created"), None, "nothing was read: {line}");
    }

    // Also while other systems are unavailable. Otherwise the alarms of all streams would report their failures.
    installation.put_secret("no JSON").await?;
    function.ask(json!({"action": "resume"})).await?;
    let (metrics, _) = written(&mut function, &mut seen).await;
    for stream in STREAMS {
        assert!(metrics_of(&metrics, stream)["Freshness"].is_i64());
    }
    let status = function.ask(json!({"action": "status"})).await?;
    assert!(status["dead_letters"].is_null() && status["streams"]["user"]["watermark"].is_string(), "{status}");
    Ok(())
}

/// The watermark waits at the beginning of the repeated hour, so an alarm must tolerate two hours.
#[tokio::test]
async fn the_repeated_hour_makes_a_stream_seem_two_hours_late_at_most() -> Result<(), Error> {
    let change: Timestamp = "2025-11-02T06:00:00Z".parse().expect("a time");
    let Some((services, plan)) = plan("metrics_fold").await else { return Ok(()) };
    let events = (0..60_i64).map(|minute| {
        Event::at(change - SignedDuration::from_mins(180 - minute)).by("ann@example.com").doing("Log in")
    });
    let quirks = Quirks { time_zone: jiff::tz::TimeZone::get("US/Eastern").expect("a zone"), ..Quirks::default() };
    let installation = plan.world(World::of_events(events)).quirks(quirks).make(&services).await?;
    let mut function = installation.function();
    let mut latest = 0;
    let mut seen = 0;
    // Every 5 minutes, like the schedule, from an hour before the repeated hour to an hour after it.
    for minute in (-120..=120_i64).step_by(5) {
        let clock = change + SignedDuration::from_mins(minute);
        function.set_clock(clock.duration_since(now())).await;
        let answer = function.ask(collect("event_report")).await?;
        assert_eq!(answer["status"], "complete", "{answer}");
        let (metrics, _) = written(&mut function, &mut seen).await;
        let freshness = metrics_of(&metrics, "event_report")["Freshness"].as_i64().expect("a number");
        latest = latest.max(freshness);
        if minute >= 60 {
            assert!(freshness < 60, "the hour is over, and {freshness} s late at {clock}");
        }
    }
    assert!((6_900..7_260).contains(&latest), "at most {latest} s late");
    Ok(())
}

#[tokio::test]
async fn resume_reports_an_unreadable_backfill_even_without_other_work() -> Result<(), Error> {
    let Some((services, plan)) = plan("unreadable_backfill").await else { return Ok(()) };
    let installation = plan.world(World::default()).make(&services).await?;
    let pk = "backfill#event_report#2024-01-01T00:00:00Z#2024-01-02T00:00:00Z";
    let aws = &installation.services.aws;
    aws.set_attribute(&installation.table, pk, "version", AttributeValue::S("x".to_owned())).await?;
    let keys = AttributeValue::Ss(vec![pk.to_owned()]);
    aws.set_attribute(&installation.table, "unfinished_backfills", "keys", keys).await?;
    let mut function = installation.function();
    function.ask(json!({"action": "resume"})).await?;
    let (_, logs) = written(&mut function, &mut 0).await;
    let errors: Vec<&Value> = logs.iter().filter(|line| line["level"] == "ERROR").collect();
    let [error] = errors[..] else { panic!("not one error in {logs:?}") };
    assert!(error["error"].as_str().is_some_and(|text| text.contains(pk)), "{error}");
    Ok(())
}

#[tokio::test]
async fn resume_reports_an_unreadable_list_of_backfills() -> Result<(), Error> {
    let Some((services, plan)) = plan("unreadable_list").await else { return Ok(()) };
    let installation = plan.world(World::default()).make(&services).await?;
    let keys = AttributeValue::S("backfill".to_owned());
    installation.services.aws.set_attribute(&installation.table, "unfinished_backfills", "keys", keys).await?;
    let mut function = installation.function();
    function.ask(json!({"action": "resume"})).await?;
    let (_, logs) = written(&mut function, &mut 0).await;
    let is_told = |line: &Value| {
        line["level"] == "ERROR" && line["error"].as_str().is_some_and(|text| text.contains("unfinished_backfills"))
    };
    assert!(logs.iter().any(is_told), "{logs:?}");
    Ok(())
}

/// `info` logs actions, but no records.
#[tokio::test]
async fn no_record_is_logged_at_info() -> Result<(), Error> {
    let Some((services, plan)) = plan("records").await else { return Ok(()) };
    let marked = "marked.user@example.com";
    let events =
        (0..12_i64).map(|minute| Event::at(now() - SignedDuration::from_mins(minute + 1)).by(marked).doing(marked));
    let installation = plan.world(World::of_events(events)).make(&services).await?;
    let mut function = installation.function();
    // Elasticsearch's error quotes the rejected value.
    spoil(&installation, "event_report", "event.action").await?;
    let answer = function.ask(collect("event_report")).await?;
    assert_eq!(number(&answer, "dead_letters"), 12, "{answer}");
    function.ask(json!({"action": "redrive", "stream": "event_report"})).await?;
    function.stop().await;
    let text = function.output().text();
    assert!(!text.contains(marked) && !text.contains("marked"), "{text}");
    Ok(())
}
