//! The services that all contestants use: the same LastPass, the same sink, the same AWS.

use std::{collections::BTreeMap, path::Path, time::Duration};

use jiff::{SignedDuration, Timestamp};
use lastpass_simulator::{CompanySize, Event, Fault, FaultRule, Quirks, Simulator, Timeline, World};
use serde_json::{Value, json};

use crate::{
    Error,
    aws::Aws,
    floor,
    sink::{Received, Sink},
};

const ACCOUNT: &str = "7654321";
const PROVISIONING_HASH: &str = "bench-provisioning-hash";
/// As long as a real key, because the function searches responses for it. The sink accepts any key.
const API_KEY: &str = "YmVuY2gtYmVuY2gtYmVuY2g6YmVuY2gtYmVuY2gtYmVuY2gtYg==";
/// The time of the last event. Chosen: the month before it has no repeated hour, which Python does not handle.
const END: &str = "2025-07-01T00:00:00Z";
/// The wait after which the present second is over. Chosen: a second, and a reserve.
const SECOND_IS_OVER: Duration = Duration::from_millis(1_100);
/// Days in which the events happened.
const DAYS: u32 = 30;

/// The services around a run.
pub(crate) struct Stage {
    simulator: Simulator,
    sink: Sink,
    aws: Aws,
    begin: Timestamp,
    end: Timestamp,
}

/// The traffic of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traffic {
    pub(crate) lastpass_requests: u64,
    /// The operations of AWS, such as `UpdateItem`.
    pub(crate) aws_operations: Vec<String>,
    pub(crate) elasticsearch: Received,
}

impl Traffic {
    /// Returns the number of all requests.
    pub(crate) fn requests(&self) -> u64 {
        self.lastpass_requests + (self.aws_operations.len() + self.elasticsearch.operations.len()) as u64
    }
}

/// The time that each system takes to answer a request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Delays {
    pub(crate) lastpass: Duration,
    pub(crate) elasticsearch: Duration,
    pub(crate) aws: Duration,
}

impl Stage {
    /// Creates an account with this number of events.
    pub(crate) async fn with_events(events: usize) -> Result<Self, Error> {
        Self::with_key(events, API_KEY).await
    }

    /// Creates an account with this number of events and this Elasticsearch API key.
    pub(crate) async fn with_key(events: usize, api_key: &str) -> Result<Self, Error> {
        let end: Timestamp = END.parse().map_err(Error::Time)?;
        let begin = end - SignedDuration::from_hours(24 * i64::from(DAYS));
        let size = CompanySize { events, days: DAYS, users: 2_500, ..CompanySize::default() };
        let world = World::company(1, &size, end).with_credentials(ACCOUNT, PROVISIONING_HASH);
        Self::of(world, api_key, Delays::default(), (begin, end)).await
    }

    /// An account without events, whose systems answer with these delays.
    pub(crate) async fn with_delays(delays: Delays) -> Result<Self, Error> {
        let world = World::default().with_credentials(ACCOUNT, PROVISIONING_HASH);
        let now = lastpass_harness::now();
        Self::of(world, API_KEY, delays, (now, now)).await
    }

    async fn of(
        world: World,
        api_key: &str,
        delays: Delays,
        (begin, end): (Timestamp, Timestamp),
    ) -> Result<Self, Error> {
        let simulator = Simulator::start(world, Quirks::default())?;
        if !delays.lastpass.is_zero() {
            let milliseconds = u64::try_from(delays.lastpass.as_millis()).unwrap_or(u64::MAX);
            simulator.add_fault(FaultRule::every(1, Fault::Delay { milliseconds }));
        }
        let secret = json!({
            "account_number": ACCOUNT, "provisioning_hash": PROVISIONING_HASH, "elastic_api_key": api_key,
        });
        let sink = Sink::start(delays.elasticsearch).await?;
        let aws = Aws::start(secret.to_string(), delays.aws).await?;
        Ok(Self { simulator, sink, aws, begin, end })
    }

    /// Stops turning requests for the event report into events, so that a run can find nothing new.
    pub(crate) fn hide_requests(&self) {
        self.simulator.set_quirks(Quirks { reporting_events: false, ..self.simulator.quirks() });
    }

    /// Replaces all events by `count` events of the present second. Waits until that second is over, because runs read
    /// whole seconds.
    pub(crate) async fn let_happen(&self, count: usize) {
        let instant = Timestamp::from_second(lastpass_harness::now().as_second()).unwrap_or_default();
        let event = |number| Event::at(instant).by(format!("user{number}@example.com")).doing("Log in");
        self.simulator.with_world(|world| world.events = Timeline::default());
        self.simulator.push_events((0..count).map(event));
        tokio::time::sleep(SECOND_IS_OVER).await;
    }

    /// Returns the environment variables of a contestant.
    pub(crate) fn variables(&self) -> BTreeMap<String, String> {
        let variables = [
            ("AWS_ENDPOINT_URL", self.aws.url()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "bench".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "bench".to_owned()),
            ("SECRET_ARN", "arn:aws:secretsmanager:us-east-1:000000000000:secret:bench".to_owned()),
            ("CHECKPOINT_TABLE", "bench".to_owned()),
            ("ELASTICSEARCH_URL", self.sink.url()),
            ("LASTPASS_URL", self.simulator.url()),
        ];
        variables.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// Returns the payload that requests all events.
    pub(crate) fn backfill(&self) -> Value {
        // The end is exclusive and in whole seconds.
        let to = self.end + SignedDuration::from_secs(1);
        json!({"action": "backfill", "stream": "event_report", "from": self.begin.to_string(), "to": to.to_string()})
    }

    /// Returns LastPass's responses to the same requests.
    pub(crate) fn answers(&self) -> Result<Vec<Vec<u8>>, Error> {
        let wall_time = |instant: Timestamp| {
            let zone = self.simulator.quirks().time_zone;
            instant.to_zoned_datetime(zone).strftime("%Y-%m-%d %H:%M:%S").to_string()
        };
        let data = json!({
            "from": wall_time(self.begin), "to": wall_time(self.end + SignedDuration::from_secs(1)), "user": "allusers",
        });
        let request = json!({"cid": ACCOUNT, "provhash": PROVISIONING_HASH, "cmd": "reporting", "data": data});
        floor::answers(&self.simulator.address().to_string(), request)
    }

    /// Returns the traffic so far and clears it. `keeps` decides whether later bulk bodies are kept.
    pub(crate) fn take_traffic(&self, keeps: bool) -> Traffic {
        let lastpass_requests = self.simulator.requests().len() as u64;
        self.simulator.forget_requests();
        Traffic { lastpass_requests, aws_operations: self.aws.take_operations(), elasticsearch: self.sink.take(keeps) }
    }

    /// Deletes what earlier runs left: checkpoints and data stream.
    pub(crate) fn empty(&self) {
        self.aws.empty_table();
        self.sink.delete_stream();
    }
}

/// Returns the size of a file.
pub(crate) fn file_bytes(path: &Path) -> Result<u64, Error> {
    std::fs::metadata(path)
        .map(|metadata| metadata.len())
        .map_err(|source| Error::File { path: path.display().to_string(), source })
}
