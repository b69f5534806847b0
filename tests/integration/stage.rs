//! Where the journeys take place: the real services, set up once for all of them.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lastpass_harness::{
    Error, Fault, Function, Installation, Invocation, Node, Plan, Rule, Services, System, binary, now, variable,
};
use lastpass_simulator::{CompanySize, Event, World};
use serde_json::{Value, json};
use tokio::sync::{Mutex, OnceCell};

/// What was seen while the cluster was set up. Index templates belong to the cluster, so there is one before and one
/// after for all tests.
#[derive(Debug)]
pub struct SetUp {
    /// What `collect` answered before `setup`; `None` where the cluster was set up by an earlier run of the tests.
    pub collect_before: Option<Value>,
    /// What `setup` answered.
    pub setup: Value,
}

/// Held while `setup` runs: it looks at every data stream there is, so two at once would both roll one over.
pub static SETTING_UP: Mutex<()> = Mutex::const_new(());

static SET_UP: OnceCell<SetUp> = OnceCell::const_new();

/// A timeout in which a run on a busy machine gets on, but not through [`slow_pages`].
pub const SHORT: Duration = Duration::from_secs(6);

/// Has LastPass answer so slowly that some pages take longer than [`SHORT`].
pub fn slow_pages() -> Rule {
    Rule::on(System::LastPass, "", Fault::Delay(Duration::from_millis(700)))
}

/// The services of the local stack. `None`, said on the terminal, where there are none; a failure in CI.
pub async fn services() -> Option<Services> {
    match Services::from_environment().await {
        Ok(services) => Some(services),
        Err(missing) => {
            skip(&missing.to_string());
            None
        }
    }
}

/// Says on the terminal that a test is skipped. Fails in CI.
pub fn skip(why: &str) {
    assert!(variable("CI").is_none(), "{why}");
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    // Past the test harness, which hides what a passing test prints.
    writeln!(std::io::stderr(), "SKIPPED {name}: {why}").expect("a terminal");
}

/// A new node for one test, beside the AWS services of the local stack. `None`, said on the terminal, where there is no
/// stack; a failure in CI.
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

/// The function under test.
pub fn bootstrap() -> PathBuf {
    binary(env!("CARGO_BIN_EXE_bootstrap"))
}

/// Plans an installation on a cluster that is set up; `None` where there are no services.
pub async fn plan(name: &str) -> Option<(Services, Plan)> {
    let services = services().await?;
    SET_UP.get_or_init(|| async { set_up(&services).await.expect("the cluster can be set up") }).await;
    // Whole histories are read, unless a test says otherwise.
    let plan = Installation::plan(name, bootstrap()).variable("INITIAL_LOOKBACK", "40d");
    // All that can be logged is looked at for secrets.
    Some((services, plan.variable("LOG_LEVEL", "trace")))
}

/// What was seen while the cluster was set up.
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

/// A company with so many events in the last `days`, and a few users and folders.
pub fn company(seed: u64, events: usize, days: u32) -> World {
    let size = CompanySize { events, days, ..CompanySize::default() };
    World::company(seed, &size, now())
}

/// As if the time of the event report's lease had passed.
pub async fn let_the_lease_run_out(installation: &Installation) -> Result<(), Error> {
    installation.let_lease_run_out("stream#event_report").await
}

/// `count` equal events at one instant.
pub fn twins(instant: Timestamp, count: usize) -> impl Iterator<Item = Event> {
    let event = Event::at(instant).by("joe.user@example.com").from_ip("192.0.2.7").doing("Failed Login Attempt");
    std::iter::repeat_n(event, count)
}

/// The whole second so long ago.
pub fn ago(duration: SignedDuration) -> Timestamp {
    Timestamp::from_second((now() - duration).as_second()).expect("a time of today")
}

/// Repeats a request, as a schedule does, until its answer is `complete`: all answers.
pub async fn until_complete(function: &mut Function, invocation: &Invocation) -> Result<Vec<Value>, Error> {
    /// More than any test needs.
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

/// One number of an answer.
pub fn number(answer: &Value, name: &str) -> u64 {
    answer[name].as_u64().unwrap_or_else(|| panic!("no number {name} in {answer}"))
}

/// Invokes the function, and asserts that its answer is complete and accounts for every record.
pub async fn complete(function: &mut Function, request: Value) -> Result<Value, Error> {
    let answer = function.ask(request).await?;
    assert_eq!(answer["status"], "complete", "{answer}");
    if answer.get("fetched").is_some() {
        assert_accounted(&answer);
    }
    Ok(answer)
}

/// That every record of an answer is accounted for.
pub fn assert_accounted(answer: &Value) {
    let sum = ["created", "duplicates", "dead_letters"].map(|name| number(answer, name)).iter().sum::<u64>();
    assert_eq!(number(answer, "fetched"), sum, "{answer}");
}

/// A collect request.
pub fn collect(stream: &str) -> Value {
    json!({"action": "collect", "stream": stream})
}

/// Gives the data stream that a stream will have a mapping in which `field` is a number.
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
