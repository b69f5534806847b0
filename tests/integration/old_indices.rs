//! Backing indices that cannot be read: closed, blocked, or without a shard. An index that cannot hold the documents of
//! a run does not stop it. One that can is named in the error.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use lastpass_harness::{Answer, Error, Fault, Function, Installation, Invocation, Method, Rule, System};
use lastpass_simulator::{Clock, Event};
use serde_json::{Value, json};

use crate::stage::{collect, company_until, complete, number, plan, repair, spoil};

const STREAMS: [&str; 3] = ["event_report", "user", "detailed_shared_folder"];

/// An installation whose clock the test advances.
struct Stage {
    installation: Installation,
    function: Function,
    ahead: SignedDuration,
}

impl Stage {
    async fn make(name: &str, seed: u64) -> Result<Option<Self>, Error> {
        let Some((services, plan)) = plan(name).await else { return Ok(None) };
        // The last hour has only the events of the test, so the overlap of a later run needs no older index.
        let world = company_until(lastpass_harness::now() - hours(1), seed, 150, 6);
        let installation = plan.world(world).make(&services).await?;
        let function = installation.function();
        Ok(Some(Self { installation, function, ahead: SignedDuration::ZERO }))
    }

    /// Advances the clocks of LastPass and the function. The cluster's clock does not change, so its indices become
    /// older.
    async fn advance(&mut self, time: SignedDuration) {
        self.ahead += time;
        self.installation.simulator.set_clock(Clock::OffsetSeconds(self.ahead.as_secs()));
        self.function.set_clock(self.ahead).await;
    }

    fn now(&self) -> Timestamp {
        lastpass_harness::now() + self.ahead
    }

    /// Adds two equal events at each of these times in the past.
    fn happen(&self, ago: &[SignedDuration]) {
        let at = |ago: &SignedDuration| Timestamp::from_second((self.now() - *ago).as_second()).expect("a time");
        let events = ago.iter().flat_map(|ago| {
            let event = Event::at(at(ago)).by("ann@example.com").from_ip("192.0.2.7").doing("Log in");
            [event.clone(), event]
        });
        self.installation.simulator.push_events(events);
    }

    async fn complete(&mut self, request: Value) -> Result<Value, Error> {
        complete(&mut self.function, request).await
    }

    /// Returns the backfill of the whole past.
    fn backfill(&self) -> Value {
        let at = |hours| (self.now() + SignedDuration::from_hours(hours)).to_string()[..10].to_owned();
        json!({"action": "backfill", "stream": "event_report", "from": at(-24 * 20), "to": at(24)})
    }

    async fn settings(&self, index: &str, settings: Value) -> Result<(), Error> {
        let path = format!("/{index}/_settings");
        self.installation.services.elasticsearch.request(Method::PUT, &path, Some(&settings)).await.map(drop)
    }

    async fn post(&self, index: &str, what: &str) -> Result<(), Error> {
        let path = format!("/{index}/{what}");
        self.installation.services.elasticsearch.request(Method::POST, &path, None).await.map(drop)
    }

    /// Rolls a stream over and returns its previous backing index.
    async fn retire(&self, stream: &str) -> Result<String, Error> {
        let (elasticsearch, data_stream) =
            (&self.installation.services.elasticsearch, self.installation.data_stream(stream));
        // A search finds recent documents only after a refresh.
        self.post(&data_stream, "_refresh?ignore_unavailable=true").await?;
        let index = elasticsearch.backing_indices(&data_stream).await?.pop().expect("a backing index");
        elasticsearch.roll_over(&data_stream).await?;
        Ok(index)
    }

    async fn assert_exact(&self) -> Result<(), Error> {
        let held = self.installation.compare_events().await?;
        assert!(held.is_exact(), "{held}");
        Ok(())
    }

    /// Asserts that a request fails with an error that names the index and the remedy, and recommends nothing that
    /// loses data.
    async fn assert_named(&mut self, request: Value, index: &str, error: &str, says: &str) -> Result<(), Error> {
        // Requests to an index that may become readable are retried until the deadline.
        let invocation = Invocation::new(request).with_timeout(Duration::from_secs(60));
        let (error_type, text) = self.function.invoke(invocation).await?.error()?;
        assert_eq!(error_type, error, "{text}");
        for word in [index, says] {
            assert!(text.contains(word), "{word:?} is not in: {text}");
        }
        for word in ["delete", "ELASTICSEARCH_URL"] {
            assert!(!text.contains(word), "{word:?} is in: {text}");
        }
        Ok(())
    }
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

#[tokio::test]
async fn a_closed_index_from_before_the_overlap_stops_no_live_run_and_is_named_by_a_backfill() -> Result<(), Error> {
    let Some(mut stage) = Stage::make("old_closed", 211).await? else { return Ok(()) };
    for stream in STREAMS {
        stage.complete(collect(stream)).await?;
    }
    let mut closed = Vec::new();
    for stream in STREAMS {
        closed.push(stage.retire(stream).await?);
    }
    for index in &closed {
        stage.post(index, "_close").await?;
    }
    stage.advance(hours(2)).await;
    stage.happen(&[minutes(1), minutes(14)]);
    for stream in STREAMS {
        let answer = stage.complete(collect(stream)).await?;
        assert!(number(&answer, "created") > 0, "{answer}");
    }
    let asked = stage.installation.calls.count_of(System::Elasticsearch, &format!("{}/_mget", closed[0]));
    assert!(asked <= 1, "only the first of all runs asked it: {asked}");
    stage
        .assert_named(stage.backfill(), &closed[0], "Elasticsearch.Refused", &format!("POST {}/_open", closed[0]))
        .await?;
    stage.post(&closed[0], "_open").await?;
    stage.complete(stage.backfill()).await?;
    stage.assert_exact().await
}

/// Once a day a run reads 26 hours again. If it cannot, it reads only the overlap, as other runs do.
#[tokio::test]
async fn a_closed_index_of_the_last_day_stops_no_live_run_when_the_day_is_read_again() -> Result<(), Error> {
    let Some(mut stage) = Stage::make("old_day", 212).await? else { return Ok(()) };
    stage.happen(&[minutes(30)]);
    stage.complete(collect("event_report")).await?;
    let closed = stage.retire("event_report").await?;
    stage.advance(hours(2)).await;
    stage.complete(collect("event_report")).await?;
    stage.advance(hours(21)).await;
    stage.complete(collect("event_report")).await?;
    stage.post(&closed, "_close").await?;
    stage.advance(hours(2)).await;
    stage.happen(&[minutes(2), hours(20)]);
    let answer = stage.complete(collect("event_report")).await?;
    assert_eq!(number(&answer, "created"), 2, "{answer}");
    let answer = stage.complete(collect("event_report")).await?;
    assert_eq!(number(&answer, "created"), 0, "{answer}");
    // When the index can be read again, the day is read again.
    stage.post(&closed, "_open").await?;
    stage.advance(minutes(5)).await;
    let answer = stage.complete(collect("event_report")).await?;
    assert_eq!((number(&answer, "created"), number(&answer, "late")), (2, 2), "{answer}");
    stage.assert_exact().await
}

#[tokio::test]
async fn an_unreadable_index_within_the_overlap_stops_a_live_run_and_is_named() -> Result<(), Error> {
    let Some(mut stage) = Stage::make("old_recent", 213).await? else { return Ok(()) };
    stage.happen(&[minutes(1)]);
    stage.complete(collect("event_report")).await?;
    let closed = stage.retire("event_report").await?;
    stage.post(&closed, "_close").await?;
    let says = format!("POST {closed}/_open");
    stage.assert_named(collect("event_report"), &closed, "Elasticsearch.Refused", &says).await?;
    stage.post(&closed, "_open").await?;
    stage.settings(&closed, json!({"index.blocks.read": true})).await?;
    stage.assert_named(collect("event_report"), &closed, "Elasticsearch.Refused", "index.blocks.read").await?;
    stage.settings(&closed, json!({"index.blocks.read": null})).await?;
    stage.complete(collect("event_report")).await?;
    stage.assert_exact().await
}

/// Creates a backing index whose shard was never assigned, as if its node were gone, and the index after it.
async fn red_index(stage: &Stage) -> Result<String, Error> {
    let elasticsearch = &stage.installation.services.elasticsearch;
    let data_stream = stage.installation.data_stream("event_report");
    let path = format!("/_index_template/{data_stream}");
    let template = json!({
        "index_patterns": [data_stream], "priority": 400, "data_stream": {},
        "composed_of": ["lastpass-elastic.event_report"],
        "template": {"settings": {"index.routing.allocation.enable": "none"}},
    });
    elasticsearch.request(Method::PUT, &path, Some(&template)).await?;
    elasticsearch.roll_over(&data_stream).await?;
    elasticsearch.request(Method::DELETE, &path, None).await?;
    let index = stage.retire("event_report").await?;
    let health = elasticsearch.request(Method::GET, &format!("/_cluster/health/{index}"), None).await?;
    assert_eq!(health["status"], "red", "{health}");
    Ok(index)
}

#[tokio::test]
async fn a_red_index_from_before_the_overlap_stops_no_live_run_and_is_named_by_a_backfill() -> Result<(), Error> {
    let Some(mut stage) = Stage::make("old_red", 214).await? else { return Ok(()) };
    stage.complete(collect("event_report")).await?;
    let red = red_index(&stage).await?;
    stage.advance(hours(3)).await;
    stage.happen(&[minutes(1), minutes(14)]);
    let begun = Instant::now();
    let answer = stage.complete(collect("event_report")).await?;
    assert_eq!(number(&answer, "created"), 4, "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());

    // The error is not that of an unavailable cluster, because the user must learn the cause.
    let allocation = "GET _cluster/allocation/explain";
    stage.assert_named(stage.backfill(), &red, "Elasticsearch.Unreachable", allocation).await?;
    stage.settings(&red, json!({"index.routing.allocation.enable": null})).await?;
    stage.complete(stage.backfill()).await?;
    stage.assert_exact().await
}

/// The node with the newest index is gone.
#[tokio::test]
async fn a_red_write_index_is_named() -> Result<(), Error> {
    let Some(mut stage) = Stage::make("old_write", 215).await? else { return Ok(()) };
    stage.complete(collect("event_report")).await?;
    let red = red_index(&stage).await?;
    stage.happen(&[minutes(1)]);
    let allocation = "GET _cluster/allocation/explain";
    stage.assert_named(collect("event_report"), &red, "Elasticsearch.Unreachable", allocation).await?;
    stage.settings(&red, json!({"index.routing.allocation.enable": null})).await?;
    stage.complete(collect("event_report")).await?;
    stage.assert_exact().await
}

/// Late, repeated and unordered events are found in older indices and are not stored twice.
#[tokio::test]
async fn rollovers_as_time_passes_double_nothing() -> Result<(), Error> {
    let Some(mut stage) = Stage::make("old_rollovers", 216).await? else { return Ok(()) };
    stage.complete(collect("event_report")).await?;
    for hop in [minutes(3), minutes(12), minutes(25), hours(2), hours(26), hours(60)] {
        stage.retire("event_report").await?;
        stage.advance(hop).await;
        stage.happen(&[minutes(1), minutes(10), minutes(19), hours(5)]);
        stage.complete(collect("event_report")).await?;
        stage.retire("event_report").await?;
        stage.complete(collect("event_report")).await?;
        stage.complete(stage.backfill()).await?;
    }
    stage.complete(stage.backfill()).await?;
    stage.assert_exact().await
}

/// A record without a readable `Time`, read in two runs with a rollover between them.
#[tokio::test]
async fn a_record_without_a_time_is_found_after_a_rollover_despite_a_closed_older_index() -> Result<(), Error> {
    let Some(mut stage) = Stage::make("old_timeless", 217).await? else { return Ok(()) };
    stage.complete(collect("event_report")).await?;
    let closed = stage.retire("event_report").await?;
    stage.advance(hours(2)).await;
    stage.complete(collect("event_report")).await?;
    stage.post(&closed, "_close").await?;
    stage.advance(minutes(30)).await;
    let at = stage.now() - minutes(2);
    let record =
        json!({"Time": "yesterday", "Username": "ann@example.com", "Action": "Log in", "Data": "", "IP_Address": ""});
    stage.installation.simulator.push_events([Event::at(at).with_raw(&record)]);
    let first = stage.complete(collect("event_report")).await?;
    assert_eq!(number(&first, "created"), 1, "{first}");
    stage.retire("event_report").await?;
    let second = stage.complete(collect("event_report")).await?;
    assert_eq!((number(&second, "created"), number(&second, "duplicates")), (0, 1), "{second}");
    Ok(())
}

/// Dead letters and their redrive need only the old indices that can hold them.
#[tokio::test]
async fn dead_letters_and_their_redrive_do_not_need_older_indices() -> Result<(), Error> {
    let Some(mut stage) = Stage::make("old_letters", 218).await? else { return Ok(()) };
    stage.complete(collect("event_report")).await?;
    let closed = stage.retire("event_report").await?;
    stage.post(&closed, "_close").await?;
    stage.advance(hours(4)).await;
    stage.happen(&[minutes(1), minutes(14)]);
    spoil(&stage.installation, "event_report", "event.action").await?;
    stage.retire("event_report").await?;
    let read = stage.complete(collect("event_report")).await?;
    assert_eq!(number(&read, "dead_letters"), 4, "{read}");
    stage.installation.documents("dead_letter").await?;
    let letters = stage.retire("dead_letter").await?;
    let again = stage.complete(collect("event_report")).await?;
    assert_eq!((number(&again, "dead_letters"), number(&again, "duplicates")), (0, 4), "found in {letters}: {again}");
    let status = stage.function.ask(json!({"action": "status"})).await?;
    assert_eq!(status["dead_letters"], 4, "{status}");

    repair(&stage.installation, "event_report").await?;
    let redriven = stage.complete(json!({"action": "redrive", "stream": "event_report"})).await?;
    assert_eq!(number(&redriven, "created"), 4, "{redriven}");
    Ok(())
}

/// If the creation time of an index is not available, its name gives the day.
#[tokio::test]
async fn the_name_of_an_index_gives_its_day_if_its_settings_are_hidden() -> Result<(), Error> {
    let Some(mut stage) = Stage::make("old_names", 219).await? else { return Ok(()) };
    stage.complete(collect("event_report")).await?;
    let closed = stage.retire("event_report").await?;
    stage.post(&closed, "_close").await?;
    stage.advance(hours(50)).await;
    stage.happen(&[minutes(1), minutes(14)]);
    let hidden = Answer::json(410, &json!({"error": {"type": "api_not_available_exception"}, "status": 410}));
    stage.installation.calls.add(Rule::on(System::Elasticsearch, "/_settings", Fault::Answer(hidden)));
    let answer = stage.complete(collect("event_report")).await?;
    assert_eq!(number(&answer, "created"), 4, "{answer}");
    stage.assert_named(stage.backfill(), &closed, "Elasticsearch.Refused", "_open").await?;
    stage.installation.calls.clear();
    stage.post(&closed, "_open").await?;
    stage.complete(stage.backfill()).await?;
    stage.assert_exact().await
}

/// A proxy limits the size of a request body.
#[tokio::test]
async fn a_lookup_that_is_too_large_is_halved() -> Result<(), Error> {
    let Some(stage) = Stage::make("old_413", 220).await? else { return Ok(()) };
    let too_large = |call: &lastpass_harness::Call| {
        call.system == System::Elasticsearch && call.operation.ends_with("_mget") && call.body.len() > 1_000
    };
    stage.installation.calls.add(Rule::when(too_large, Fault::Answer(Answer::html(413))));
    let mut stage = stage;
    stage.complete(collect("event_report")).await?;
    stage.retire("event_report").await?;
    stage.complete(stage.backfill()).await?;
    stage.assert_exact().await?;
    stage.installation.calls.clear();
    stage.installation.calls.add(Rule::on(System::Elasticsearch, "_mget", Fault::Answer(Answer::html(413))));
    let (error_type, text) = stage.function.expect_error(stage.backfill()).await?;
    assert_eq!(error_type, "Elasticsearch.Refused", "{text}");
    for word in ["http.max_content_length", "client_max_body_size", "413"] {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
    assert!(!text.contains("delete"), "{text}");
    Ok(())
}
