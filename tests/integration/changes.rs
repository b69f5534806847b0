//! The changes between snapshots: exactly those that happened, however the comparison is interrupted.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lastpass_harness::{
    Answer, Error, Fault, Function, Installation, Invocation, Method, Outcome, Rule, System, compare_changes, now,
};
use lastpass_simulator::{CompanySize, Happening, World};
use serde_json::{Value, json};

use crate::stage::{ago, complete, number, plan};

const STREAMS: [&str; 2] = ["user", "detailed_shared_folder"];

/// Returns the time `minutes` before the tests began: the same time in every call.
fn before(minutes: i64) -> Timestamp {
    static BEGUN: OnceLock<Timestamp> = OnceLock::new();
    *BEGUN.get_or_init(|| ago(SignedDuration::ZERO)) - SignedDuration::from_mins(minutes)
}

/// Returns the request for the snapshot that was due `minutes` before the tests began.
fn due(stream: &str, minutes: i64) -> Value {
    json!({"action": "collect", "stream": stream, "scheduled_time": before(minutes).to_string()})
}

/// Makes Elasticsearch answer a call with an error.
fn error_of(call: &str, status: u16, error_type: &str) -> Rule {
    let body = json!({"error": {"type": error_type, "reason": "no"}, "status": status});
    Rule::on(System::Elasticsearch, call, Fault::Answer(Answer::json(status, &body)))
}

fn world(users: usize, folders: usize) -> World {
    let size = CompanySize { events: 0, users, folders, max_folder_users: 8, ..CompanySize::default() };
    World::company(23, &size, now())
}

/// Takes the first snapshot of both streams, and then changes the company. Returns what happened.
async fn snapshot_then_change_company(
    installation: &Installation,
    function: &mut Function,
) -> Result<Vec<Happening>, Error> {
    for stream in STREAMS {
        let first = complete(function, due(stream, 90)).await?;
        assert_eq!(first.get("changes"), None, "the first snapshot has no changes: {first}");
    }
    let happened = installation.simulator.with_world(|world| world.turn_over(7, 40));
    assert!(happened.len() > 30, "{happened:?}");
    Ok(happened)
}

#[tokio::test]
async fn each_change_between_two_snapshots_is_written_once() -> Result<(), Error> {
    let Some((services, plan)) = plan("changes").await else { return Ok(()) };
    let installation = plan.world(world(120, 60)).make(&services).await?;
    let mut function = installation.function();
    let mut happened = snapshot_then_change_company(&installation, &mut function).await?;
    for round in 0..4 {
        for stream in STREAMS {
            let answer = complete(&mut function, due(stream, 60 - round)).await?;
            assert_eq!(answer["changes"]["status"], "complete", "{answer}");
            // A retry adds nothing, and has the same answer.
            let again = complete(&mut function, due(stream, 60 - round)).await?;
            assert_eq!(again["changes"], answer["changes"]);
        }
        let told = compare_changes(&happened, &installation.documents("change").await?);
        assert!(told.is_exact(), "round {round}: {told}");
        happened.extend(installation.simulator.with_world(|world| world.turn_over(100 + round.unsigned_abs(), 40)));
    }
    let status = function.ask(json!({"action": "status"})).await?;
    assert_eq!(status["streams"]["user"]["changes"]["status"], "complete", "{status}");
    assert_eq!(status["streams"]["event_report"].get("changes"), None, "{status}");
    Ok(())
}

#[tokio::test]
async fn a_change_has_the_times_of_both_snapshots_and_ecs_fields() -> Result<(), Error> {
    let Some((services, plan)) = plan("change_fields").await else { return Ok(()) };
    let mut world = World::default();
    world.users.put("7", json!({"username": "ann@example.com", "fullname": "Ann", "admin": 0, "groups": ["Ops"]}));
    let installation = plan.world(world).variable("TAGS", "eu").make(&services).await?;
    let mut function = installation.function();
    complete(&mut function, due("user", 9)).await?;
    installation.simulator.with_world(|world| {
        world
            .users
            .put("7", json!({"username": "ann@example.com", "fullname": "Ann", "admin": "1", "groups": ["Ops"]}));
    });
    complete(&mut function, due("user", 8)).await?;
    let snapshots = installation.documents("user").await?;
    let mut times: Vec<&str> = snapshots.iter().filter_map(|user| user.text("@timestamp")).collect();
    times.sort_unstable();
    let documents = installation.documents("change").await?;
    let [change] = &documents[..] else { panic!("{documents:?}") };
    assert_eq!(change.text("@timestamp"), Some(times[1]));
    assert_eq!((change.text("event.start"), change.text("event.end")), (Some(times[0]), Some(times[1])));
    for (path, expected) in [
        ("event.kind", json!("event")),
        ("event.category", json!(["iam"])),
        ("event.type", json!(["admin", "user", "change"])),
        ("event.action", json!("administrator-granted")),
        ("event.dataset", json!("lastpass.change")),
        ("tags", json!(["eu"])),
        ("related.user", json!(["ann@example.com"])),
        (
            "user.target",
            json!({"id": "7", "email": "ann@example.com", "full_name": "Ann", "roles": ["admin"], "group": {"name": ["Ops"]}}),
        ),
        ("lastpass.change.source", json!("user")),
        ("lastpass.change.field", json!(["roles"])),
        ("lastpass.change.current", json!("admin")),
        ("lastpass.change.snapshot", json!({"previous": times[0], "current": times[1]})),
    ] {
        assert_eq!(change.get(path), Some(&expected), "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn an_interrupted_comparison_continues() -> Result<(), Error> {
    let Some((services, plan)) = plan("change_cut").await else { return Ok(()) };
    let installation = plan.world(world(120, 60)).make(&services).await?;
    let mut function = installation.function();
    let happened = snapshot_then_change_company(&installation, &mut function).await?;
    for stream in STREAMS {
        // The snapshot is written, but its changes are not: first the search fails, then the bulk request.
        for call in ["_pit", "lastpass.change"] {
            installation.calls.add(error_of(call, 400, "illegal_argument_exception"));
            function.expect_error(due(stream, 60)).await?;
            let status = function.ask(json!({"action": "status"})).await?;
            assert_eq!(status["streams"][stream]["changes"]["status"], "unfinished", "{status}");
            installation.calls.clear();
        }
        let resumed = complete(&mut function, json!({"action": "resume"})).await?;
        assert_eq!(resumed["resumed"][0]["changes"]["status"], "complete", "{resumed}");
        let nothing = complete(&mut function, json!({"action": "resume"})).await?;
        assert_eq!(nothing["resumed"], json!([]), "{nothing}");
    }
    let told = compare_changes(&happened, &installation.documents("change").await?);
    assert!(told.is_exact(), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_snapshot_that_is_due_while_a_comparison_fails_is_taken_by_resume() -> Result<(), Error> {
    let Some((services, plan)) = plan("change_due").await else { return Ok(()) };
    let installation = plan.world(world(20, 5)).make(&services).await?;
    let mut function = installation.function();
    complete(&mut function, due("user", 9)).await?;
    installation.calls.add(error_of("_pit", 400, "illegal_argument_exception"));
    function.expect_error(due("user", 8)).await?;
    installation.calls.clear();
    installation.calls.add(error_of("_pit", 403, "security_exception"));
    function.expect_error(due("user", 1)).await?;
    installation.calls.clear();
    let resumed = complete(&mut function, json!({"action": "resume"})).await?;
    assert_eq!(resumed["resumed"][0]["changes"]["status"], "complete", "{resumed}");
    let snapshots: BTreeSet<_> =
        installation.documents("user").await?.iter().map(|user| user.source["@timestamp"].to_string()).collect();
    assert_eq!(snapshots.len(), 3, "{resumed}");
    Ok(())
}

#[tokio::test]
async fn a_comparison_continues_from_its_position_after_a_deadline() -> Result<(), Error> {
    let Some((services, plan)) = plan("change_deadline").await else { return Ok(()) };
    let mut world = World::default();
    for number in 0..12_000 {
        world.users.put(number.to_string(), json!({"username": format!("user{number}@example.com")}));
    }
    let installation = plan.world(world).make(&services).await?;
    let mut function = installation.function();
    complete(&mut function, due("user", 9)).await?;
    installation.simulator.with_world(|world| {
        for number in (0..12_000).step_by(1_000) {
            world.users.remove(&number.to_string());
        }
    });
    // The pages are so slow that the deadline ends the comparison before its last page.
    let search = |call: &lastpass_harness::Call| call.operation.ends_with(" /_search");
    installation.calls.add(Rule::when(search, Fault::Delay(Duration::from_millis(400))));
    let mut answers = Vec::new();
    for _ in 0..40 {
        let invocation = Invocation::new(due("user", 8)).with_timeout(Duration::from_secs(8));
        if let Outcome::Answer(answer) = function.invoke(invocation).await? {
            let is_complete = answer["status"] == "complete";
            answers.push(answer);
            if is_complete {
                break;
            }
        }
    }
    let unfinished = answers.iter().filter(|answer| answer["changes"]["status"] == "unfinished").count();
    assert!(unfinished > 0, "{answers:?}");
    let last = answers.last().expect("an answer");
    assert_eq!((&last["changes"]["status"], number(&last["changes"], "changes")), (&json!("complete"), 12), "{last}");
    let documents = installation.documents("change").await?;
    assert_eq!(documents.len(), 12);
    assert!(documents.iter().all(|change| change.text("event.action") == Some("user-deleted")));
    Ok(())
}

#[tokio::test]
async fn a_snapshot_that_is_gone_or_has_another_mapping_gives_no_changes_and_is_reported() -> Result<(), Error> {
    for (name, reason) in [("change_gone", "previous_gone"), ("change_mapping", "other_mapping")] {
        let Some((services, plan)) = plan(name).await else { return Ok(()) };
        let installation = plan.world(world(50, 20)).make(&services).await?;
        let mut function = installation.function();
        snapshot_then_change_company(&installation, &mut function).await?;
        for stream in STREAMS {
            let data_stream = installation.data_stream(stream);
            let elasticsearch = &services.elasticsearch;
            let older = elasticsearch.backing_indices(&data_stream).await?;
            elasticsearch.roll_over(&data_stream).await?;
            for index in older {
                match reason {
                    "previous_gone" => elasticsearch.request(Method::DELETE, &format!("/{index}"), None).await?,
                    _ => {
                        let meta = json!({"_meta": {"lastpass_elastic": {"version": 1}}});
                        elasticsearch.request(Method::PUT, &format!("/{index}/_mapping"), Some(&meta)).await?
                    }
                };
            }
            let answer = complete(&mut function, due(stream, 60)).await?;
            let changes = &answer["changes"];
            assert_eq!((&changes["status"], &changes["reason"]), (&json!("skipped"), &json!(reason)), "{answer}");
            // The next pair is compared again.
            let next = complete(&mut function, due(stream, 59)).await?;
            assert_eq!((&next["changes"]["status"], number(&next["changes"], "changes")), (&json!("complete"), 0));
        }
        assert_eq!(installation.documents("change").await?, []);
        function.stop().await;
        let lines: Vec<Value> =
            function.output().lines().iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let metrics = lines.iter().filter(|line| line.get("ComparisonsSkipped").is_some());
        let counted: Vec<_> = metrics.map(|line| (&line["stream"], &line["ComparisonsSkipped"])).collect();
        assert_eq!(counted, [(&json!(STREAMS[0]), &json!(1)), (&json!(STREAMS[1]), &json!(1))]);
        let summaries = lines.iter().filter(|line| line["message"] == "invocation ended");
        let counted: Vec<_> = summaries.map(|summary| number(summary, "comparisons_skipped")).collect();
        // The first snapshot of each stream, and then two more of one stream after the other.
        assert_eq!(counted, [0, 0, 1, 0, 1, 0]);
    }
    Ok(())
}

#[tokio::test]
async fn a_snapshot_that_was_abandoned_half_way_is_never_compared() -> Result<(), Error> {
    let Some((services, plan)) = plan("change_given_up").await else { return Ok(()) };
    let mut world = World::default();
    for number in 0..5_000 {
        world.users.put(number.to_string(), json!({"username": format!("user{number}@example.com")}));
    }
    let installation = plan.world(world).make(&services).await?;
    let mut function = installation.function();
    complete(&mut function, due("user", 3 * 24 * 60)).await?;
    // LastPass returns only one page of the next snapshot.
    let refusal = Fault::Answer(Answer::json(400, &json!({})));
    installation.calls.add(Rule::on(System::LastPass, "", refusal).after(1));
    function.expect_error(due("user", 2 * 24 * 60)).await?;
    installation.calls.clear();
    assert!(installation.documents("user").await?.len() > 5_000, "a part of it was written");
    let answer = complete(&mut function, due("user", 60)).await?;
    assert_eq!(
        (&answer["changes"]["status"], number(&answer["changes"], "changes")),
        (&json!("complete"), 0),
        "{answer}"
    );
    assert_eq!(installation.documents("change").await?, []);
    Ok(())
}

#[tokio::test]
async fn an_entry_that_elasticsearch_refused_is_not_reported_as_deleted() -> Result<(), Error> {
    let Some((services, plan)) = plan("change_refused").await else { return Ok(()) };
    let user = |sites: Value| json!({"username": "ann@example.com", "sites": sites});
    let mut world = World::default();
    for number in 0..30 {
        world.users.put(number.to_string(), user(json!(number)));
    }
    let installation = plan.world(world).make(&services).await?;
    let mut function = installation.function();
    complete(&mut function, due("user", 9)).await?;
    installation.simulator.with_world(|world| {
        world.users.put("3", user(json!("many")));
        world.users.remove("4");
    });
    let answer = complete(&mut function, due("user", 8)).await?;
    assert_eq!((number(&answer, "dead_letters"), number(&answer["changes"], "changes")), (1, 1), "{answer}");
    let documents = installation.documents("change").await?;
    assert_eq!(documents[0].text("user.target.id"), Some("4"));
    Ok(())
}

#[tokio::test]
async fn changes_can_be_switched_off() -> Result<(), Error> {
    let Some((services, plan)) = plan("change_off").await else { return Ok(()) };
    let installation = plan.world(world(50, 20)).variable("SNAPSHOT_CHANGES", "false").make(&services).await?;
    let mut function = installation.function();
    snapshot_then_change_company(&installation, &mut function).await?;
    for stream in STREAMS {
        let answer = complete(&mut function, due(stream, 60)).await?;
        assert_eq!(answer.get("changes"), None, "{answer}");
    }
    assert_eq!(installation.documents("change").await?, []);
    Ok(())
}

#[tokio::test]
async fn an_unknown_previous_snapshot_is_reported_after_an_update() -> Result<(), Error> {
    let Some((services, plan)) = plan("change_update").await else { return Ok(()) };
    let installation = plan.world(world(20, 5)).make(&services).await?;
    let mut function = installation.function();
    complete(&mut function, due("user", 9)).await?;
    // An older version saved only the watermark; so does a reset.
    function.ask(json!({"action": "reset", "stream": "user", "to": before(9)})).await?;
    let answer = complete(&mut function, due("user", 8)).await?;
    assert_eq!(answer["changes"]["reason"], "previous_unknown", "{answer}");
    let next = complete(&mut function, due("user", 7)).await?;
    assert_eq!(next["changes"]["status"], "complete", "{next}");
    assert_eq!(installation.documents("change").await?, []);
    assert_eq!(next["changes"]["from"], json!(before(8)));
    Ok(())
}
