//! The stage of the journeys: the real services, set up once for all tests.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lastpass_harness::{
    Call, Error, Fault, Function, Installation, Invocation, Node, Plan, Rule, Services, System, binary, check_of, now,
    variable,
};
use lastpass_simulator::{CompanySize, Event, Timeline, World};
use serde_json::{Value, json};
use tokio::sync::{Mutex, OnceCell};

/// The responses from the setup of the cluster. Index templates belong to the cluster, so it is set up once for all
/// tests.
#[derive(Debug)]
pub struct SetUp {
    /// The response of `collect` before `setup`. `None` if an earlier test run set the cluster up.
    pub collect_before: Option<Value>,
    /// The response of `setup`.
    pub setup: Value,
}

/// Held during `setup`, which checks every data stream. Two concurrent ones would both roll a data stream over.
pub static SETTING_UP: Mutex<()> = Mutex::const_new(());

static SET_UP: OnceCell<SetUp> = OnceCell::const_new();

/// A timeout in which a run on a busy machine makes progress, but does not finish [`slow_pages`].
pub const SHORT: Duration = Duration::from_secs(8);

/// Makes LastPass so slow that some pages take longer than [`SHORT`].
pub fn slow_pages() -> Rule {
    Rule::on(System::LastPass, "", Fault::Delay(Duration::from_secs(1)))
}

/// Returns the services of the local stack. `None` with a message on the terminal if there are none; a failure in CI.
pub async fn services() -> Option<Services> {
    match Services::from_environment().await {
        Ok(services) => Some(services),
        Err(missing) => {
            skip(&missing.to_string());
            None
        }
    }
}

/// Prints that a test is skipped. Fails in CI.
pub fn skip(why: &str) {
    assert!(variable("CI").is_none(), "{why}");
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    // Not `eprintln`, because the test harness hides the output of passing tests.
    writeln!(std::io::stderr(), "SKIPPED {name}: {why}").expect("a terminal");
}

/// Starts a new node for one test, with the AWS services of the local stack. `None` with a message on the terminal if
/// there is no stack; a failure in CI.
pub async fn own_node() -> Result<Option<(Node, Services)>, Error> {
    let Some(Services { aws, .. }) = services().await else { return Ok(None) };
    if variable("LOCAL_ELASTICSEARCH_NODE").is_none() {
        skip("LOCAL_ELASTICSEARCH_NODE is not set: start the local stack again");
        return Ok(None);
    }
    let node = Node::start().await?;
    let elasticsearch = node.elasticsearch();
    Ok(Some((node, Services { elasticsearch, aws })))
}

/// Returns the path of the function under test.
pub fn bootstrap() -> PathBuf {
    binary(env!("CARGO_BIN_EXE_bootstrap"))
}

/// Plans an installation on a cluster that is set up. `None` if the services are not available.
pub async fn plan(name: &str) -> Option<(Services, Plan)> {
    let services = services().await?;
    SET_UP.get_or_init(|| async { set_up(&services).await.expect("the cluster can be set up") }).await;
    // Reads the whole history, unless a test changes it.
    let plan = Installation::plan(name, bootstrap()).variable("INITIAL_LOOKBACK", "40d");
    // Log everything, so that everything is searched for secrets.
    Some((services, plan.variable("LOG_LEVEL", "trace")))
}

/// Returns the responses from the setup of the cluster.
pub async fn seen_at_set_up() -> Option<&'static SetUp> {
    plan("first").await?;
    SET_UP.get()
}

async fn set_up(services: &Services) -> Result<SetUp, Error> {
    let path = "/_index_template/lastpass-elastic.*";
    let (_, found) = services.elasticsearch.try_request("GET".parse().expect("GET"), path, None).await?;
    let templates_are_there = found["index_templates"].as_array().is_some_and(|templates| !templates.is_empty());
    let world = company(1, 20, 2);
    let installation = Installation::plan("first", bootstrap()).world(world).make(services).await?;
    let mut function = installation.function();
    let collect_before = if templates_are_there {
        None
    } else {
        Some(function.ask(json!({"action": "collect", "stream": "event_report"})).await?)
    };
    let setup = function.ask(json!({"action": "setup"})).await?;
    Ok(SetUp { collect_before, setup })
}

/// Returns a company with this number of events in the last `days`, and a few users and folders.
pub fn company(seed: u64, events: usize, days: u32) -> World {
    company_until(now(), seed, events, days)
}

/// Returns a company whose last event is before `end`. Its events are those of a Friday in New York, moved to `end`, so that a
/// test has as many recent events at night as in office hours. The last logins of its users are not among them.
pub fn company_until(end: Timestamp, seed: u64, events: usize, days: u32) -> World {
    let size = CompanySize { events, days, ..CompanySize::default() };
    let friday: Timestamp = "2025-11-07T22:00:00Z".parse().expect("a time");
    let later = end.duration_since(friday);
    let mut world = World::company(seed, &size, end);
    let history = World::company(seed, &size, friday).events;
    world.events = Timeline::default();
    world.events.extend(history.iter().map(|event| Event { instant: event.instant + later, ..event.clone() }));
    world
}

/// Expires the lease of the event report.
pub async fn expire_the_lease(installation: &Installation) -> Result<(), Error> {
    installation.expire_lease("stream#event_report").await
}

/// Returns `count` equal events at one instant.
pub fn twins(instant: Timestamp, count: usize) -> impl Iterator<Item = Event> {
    let event = Event::at(instant).by("joe.user@example.com").from_ip("192.0.2.7").doing("Failed Login Attempt");
    std::iter::repeat_n(event, count)
}

/// Returns the whole second at this time in the past.
pub fn ago(duration: SignedDuration) -> Timestamp {
    Timestamp::from_second((now() - duration).as_second()).expect("a time of today")
}

/// Repeats a request, as a schedule does, until its response is `complete`. Returns all responses.
pub async fn until_complete(function: &mut Function, invocation: &Invocation) -> Result<Vec<Value>, Error> {
    /// More repetitions than any test needs.
    const MOST: usize = 60;
    let mut answers = Vec::new();
    while answers.len() < MOST {
        let next = Invocation::new(invocation.payload.clone()).with_timeout(invocation.timeout);
        let answer = function.invoke(next).await?.answer()?;
        let complete = answer["status"] == "complete";
        answers.push(answer);
        if complete {
            return Ok(answers);
        }
    }
    Err(Error::Answer(format!("not complete after {MOST} invocations: {answers:?}")))
}

/// Returns the message of a check.
pub fn message<'a>(answer: &'a Value, name: &str) -> &'a str {
    check_of(answer, name)["message"].as_str().unwrap_or_else(|| panic!("no check {name} in {answer}"))
}

/// Returns a number from a response.
pub fn number(answer: &Value, name: &str) -> u64 {
    answer[name].as_u64().unwrap_or_else(|| panic!("no number {name} in {answer}"))
}

/// Invokes the function, and asserts that its response is complete and accounts for every record.
pub async fn complete(function: &mut Function, request: Value) -> Result<Value, Error> {
    let answer = function.ask(request).await?;
    assert_eq!(answer["status"], "complete", "{answer}");
    if answer.get("fetched").is_some() {
        assert_accounted(&answer);
    }
    Ok(answer)
}

/// Asserts that a response accounts for every record.
pub fn assert_accounted(answer: &Value) {
    let sum = ["created", "duplicates", "dead_letters"].map(|name| number(answer, name)).iter().sum::<u64>();
    assert_eq!(number(answer, "fetched"), sum, "{answer}");
}

/// Returns a collect request.
pub fn collect(stream: &str) -> Value {
    json!({"action": "collect", "stream": stream})
}

/// Returns the request for another snapshot than that of the current minute. The function accepts a scheduled time that is up to
/// five minutes ahead of its clock.
pub fn next_snapshot(stream: &str) -> Value {
    let scheduled_time = now() + SignedDuration::from_mins(2);
    json!({"action": "collect", "stream": stream, "scheduled_time": scheduled_time.to_string()})
}

/// Gives the future data stream of a stream a mapping in which `field` is a number.
pub async fn spoil(installation: &Installation, stream: &str, field: &str) -> Result<(), Error> {
    let properties = field.rsplit('.').fold(json!({"type": "long"}), |inner, name| match inner.get("type") {
        Some(_) if inner["type"].is_string() => json!({name: inner}),
        _ => json!({name: {"properties": inner}}),
    });
    let template = json!({
        "index_patterns": [installation.data_stream(stream)],
        "priority": 400,
        "data_stream": {},
        "composed_of": [format!("lastpass-elastic.{stream}"), "logs@custom"],
        "ignore_missing_component_templates": ["logs@custom"],
        "template": {"mappings": {"properties": properties}},
    });
    let path = format!("/_index_template/{}", installation.data_stream(stream));
    installation.services.elasticsearch.request("PUT".parse().expect("PUT"), &path, Some(&template)).await.map(drop)
}

/// Undoes [`spoil`], as `setup` would: a new backing index with the product's own mapping.
pub async fn repair(installation: &Installation, stream: &str) -> Result<(), Error> {
    let elasticsearch = &installation.services.elasticsearch;
    let path = format!("/_index_template/{}", installation.data_stream(stream));
    elasticsearch.request("DELETE".parse().expect("DELETE"), &path, None).await?;
    elasticsearch.roll_over(&installation.data_stream(stream)).await
}

/// Returns whether a call reads the cluster info.
pub fn is_cluster_info(call: &Call) -> bool {
    call.system == System::Elasticsearch && call.operation == "GET /"
}

/// Returns a rule that replaces the cluster's UUID in the cluster info.
pub fn another_cluster() -> Rule {
    let change = |mut answer: Value| {
        assert!(answer["cluster_uuid"].is_string(), "{answer}");
        answer["cluster_uuid"] = "another-cluster".into();
        answer
    };
    Rule::when(is_cluster_info, Fault::Change(Arc::new(change)))
}
