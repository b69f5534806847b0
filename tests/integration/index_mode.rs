//! Index modes that change how Elasticsearch stores a document: `logsdb` and synthetic `_source`.
//!
//! `make test-logsdb` runs the whole test suite in each mode. The tests here run always, on a separate node.

use jiff::SignedDuration;
use lastpass_harness::{
    DATA_STREAMS, Error, Function, IndexMode, Installation, Method, Node, StoredDocument, compare_changes,
};
use lastpass_simulator::Event;
use serde_json::json;

use crate::stage::{ago, bootstrap, collect, company, complete, next_snapshot, number, own_node, plan, repair, spoil};

const STREAMS: [&str; 3] = ["event_report", "user", "detailed_shared_folder"];

async fn stage(mode: IndexMode) -> Result<Option<(Node, Installation, Function)>, Error> {
    let Some((node, services)) = own_node().await? else { return Ok(None) };
    services.elasticsearch.put_index_mode(mode).await?;
    let plan = Installation::plan("index_mode", bootstrap()).variable("INITIAL_LOOKBACK", "40d");
    let installation = plan.world(company(131, 300, 10)).make(&services).await?;
    let mut function = installation.function();
    complete(&mut function, json!({"action": "setup"})).await?;
    Ok(Some((node, installation, function)))
}

/// Asserts that every index of the installation has this mode.
async fn assert_mode(installation: &Installation, streams: &[&str], mode: IndexMode) -> Result<(), Error> {
    let text = |name: &str| mode.settings()[name].as_str().map(str::to_owned);
    let expected = (text("index.mode"), text("index.mapping.source.mode"));
    let elasticsearch = &installation.services.elasticsearch;
    for stream in streams {
        for index in elasticsearch.backing_indices(&installation.data_stream(stream)).await? {
            assert_eq!(elasticsearch.index_mode(&index).await?, expected, "{index}");
        }
    }
    Ok(())
}

/// Returns the fields with values that Elasticsearch stored but did not index.
async fn ignored(installation: &Installation) -> Result<Vec<String>, Error> {
    let mut fields = Vec::new();
    for stream in DATA_STREAMS {
        let data_stream = installation.data_stream(stream);
        // Refreshes, so that the search finds everything.
        installation.services.elasticsearch.count(&data_stream).await?;
        let query = json!({"size": 1_000, "_source": false, "query": {"exists": {"field": "_ignored"}}});
        let path = format!("/{data_stream}/_search");
        let answer = installation.services.elasticsearch.request(Method::POST, &path, Some(&query)).await?;
        for hit in answer["hits"]["hits"].as_array().expect("hits") {
            let names = hit["_ignored"].as_array().expect("names").iter();
            fields.extend(names.map(|name| format!("{stream}: {}", name.as_str().expect("a name"))));
        }
    }
    Ok(fields)
}

#[tokio::test]
async fn the_indices_have_the_mode_that_the_stack_was_started_with() -> Result<(), Error> {
    let Some((services, plan)) = plan("mode").await else { return Ok(()) };
    let installation = plan.world(company(130, 40, 2)).make(&services).await?;
    let mut function = installation.function();
    for stream in STREAMS {
        complete(&mut function, collect(stream)).await?;
    }
    assert_mode(&installation, &STREAMS, IndexMode::of_the_stack()).await
}

async fn journey(mode: IndexMode) -> Result<(), Error> {
    let Some((_node, installation, mut function)) = stage(mode).await? else { return Ok(()) };
    for stream in STREAMS {
        complete(&mut function, collect(stream)).await?;
    }
    assert!(installation.compare_events().await?.is_exact());
    assert!(installation.compare_users().await?.is_exact());
    assert!(installation.compare_folders().await?.is_exact());

    let happened = installation.simulator.with_world(|world| world.turn_over(7, 20));
    for stream in ["user", "detailed_shared_folder"] {
        let answer = complete(&mut function, next_snapshot(stream)).await?;
        assert_eq!(answer["changes"]["status"], "complete", "{answer}");
    }
    let told = compare_changes(&happened, &installation.documents("change").await?);
    assert!(told.is_exact() && told.truth > 20, "{told}");

    // Values of the wrong type are rejected and kept completely in dead letters.
    spoil(&installation, "event_report", "event.action").await?;
    installation.services.elasticsearch.roll_over(&installation.data_stream("event_report")).await?;
    let long = "x".repeat(20_000);
    let late: Vec<Event> = (1..=6)
        .map(|minute| {
            let data = if minute == 1 { long.as_str() } else { "example.com" };
            Event::at(ago(SignedDuration::from_mins(minute))).by("ann@example.com").doing("Log in").with_data(data)
        })
        .collect();
    installation.simulator.push_events(late);
    let answer = complete(&mut function, collect("event_report")).await?;
    assert_eq!((number(&answer, "created"), number(&answer, "dead_letters")), (0, 6), "{answer}");
    assert_mode(&installation, &DATA_STREAMS, mode).await?;
    let letters = installation.documents("dead_letter").await?;
    let is_long = |letter: &StoredDocument| letter.text("event.original").is_some_and(|text| text.contains(&long));
    assert!(letters.len() == 6 && letters.iter().any(is_long), "{}", letters.len());

    // After a redrive, a rollover and another read, each record is stored once.
    repair(&installation, "event_report").await?;
    let answer = complete(&mut function, json!({"action": "redrive", "stream": "event_report"})).await?;
    assert_eq!(number(&answer, "created"), 6, "{answer}");
    installation.services.elasticsearch.roll_over(&installation.data_stream("event_report")).await?;
    let (from, to) = (ago(SignedDuration::from_hours(12 * 24)), ago(SignedDuration::ZERO));
    let range = json!({"action": "backfill", "stream": "event_report", "from": from, "to": to});
    let answer = complete(&mut function, range).await?;
    assert_eq!((number(&answer, "created"), number(&answer, "dead_letters")), (0, 0), "{answer}");
    let held = installation.compare_events().await?;
    assert!(held.is_exact() && held.truth == 306, "{held}");
    // A keyword of 20,000 characters is in `_source` in every mode. `event.original` of that length does not count,
    // because it is not indexed.
    assert_eq!(ignored(&installation).await?, ["event_report: lastpass.event_report.data.login_site"]);
    assert_mode(&installation, &DATA_STREAMS, mode).await?;
    assert_eq!(function.ask(json!({"action": "check"})).await?["status"], "ok");
    Ok(())
}

#[tokio::test]
async fn logsdb_with_synthetic_source_loses_nothing_and_ignores_nothing() -> Result<(), Error> {
    journey(IndexMode::LogsDbSynthetic).await
}
