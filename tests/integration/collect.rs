//! The main journey: every LastPass record arrives in Elasticsearch exactly once.

use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, ToSpan as _};
use lastpass_harness::{Comparison, Error, Fault, Installation, Rule, System};
use lastpass_simulator::{Bound, CompanySize, Event, NextIs, Order, Quirks, World};
use serde_json::Value;

use crate::stage::{ago, assert_accounted, collect, company, number, plan, twins};

fn assert_exact(comparison: &Comparison, what: &str) {
    assert!(comparison.is_exact() && comparison.truth == comparison.documents, "{what}: {comparison}");
}

#[tokio::test]
async fn all_three_streams_arrive_completely() -> Result<(), Error> {
    let Some((services, plan)) = plan("streams").await else { return Ok(()) };
    let size = CompanySize { events: 3_000, days: 20, users: 300, folders: 40, ..CompanySize::default() };
    let world = World::company(7, &size, lastpass_harness::now());
    let installation = plan.world(world).make(&services).await?;
    let mut function = installation.function();

    for stream in ["event_report", "user", "detailed_shared_folder"] {
        let answer = function.ask(collect(stream)).await?;
        assert_eq!(answer["status"], "complete", "{answer}");
        assert_accounted(&answer);
        assert_eq!(number(&answer, "dead_letters"), 0, "{answer}");
    }
    let events = installation.compare_events().await?;
    assert_eq!(events.truth, 3_000);
    assert_exact(&events, "events");
    assert_exact(&installation.compare_users().await?, "users");
    let folders = installation.compare_folders().await?;
    assert_eq!(folders.truth, installation.simulator.folder_documents());
    assert_exact(&folders, "folders");
    Ok(())
}

#[tokio::test]
async fn every_form_of_next_leads_through_all_pages() -> Result<(), Error> {
    for next_is in [NextIs::EvenAtTheEnd, NextIs::AfterAnEmptyPage, NextIs::WholeSecond] {
        let Some((services, plan)) = plan("next").await else { return Ok(()) };
        let quirks = Quirks { page_size: 50, next_is, ..Quirks::default() };
        let installation = plan.world(company(9, 400, 10)).quirks(quirks).make(&services).await?;
        let mut function = installation.function();
        let answer = function.ask(collect("event_report")).await?;
        assert_eq!((&answer["status"], number(&answer, "fetched")), (&Value::from("complete"), 400), "{answer}");
        assert!(number(&answer, "lastpass_requests") < 30, "{next_is:?}: {answer}");
        assert_exact(&installation.compare_events().await?, &format!("{next_is:?}"));
    }
    Ok(())
}

#[tokio::test]
async fn a_second_run_adds_only_new_events() -> Result<(), Error> {
    let Some((services, plan)) = plan("again").await else { return Ok(()) };
    let installation = plan.world(company(2, 500, 10)).make(&services).await?;
    let recent = Event::at(ago(SignedDuration::from_mins(3))).by("twin@example.com").doing("Log in");
    installation.simulator.push_events([recent.clone()]);
    let mut function = installation.function();
    function.ask(collect("event_report")).await?;

    let again = function.ask(collect("event_report")).await?;
    assert_eq!(number(&again, "created"), 0, "{again}");
    assert_exact(&installation.compare_events().await?, "read twice");

    // A new event, a late one, and another twin of a known event.
    let late = Event::at(ago(SignedDuration::from_mins(5))).by("late@example.com").doing("Log in");
    let new = Event::at(ago(SignedDuration::ZERO)).by("new@example.com").doing("Log in");
    installation.simulator.push_events([late, recent, new]);
    let third = function.ask(collect("event_report")).await?;
    assert_exact(&installation.compare_events().await?, "with new ones");
    // Events newer than the watermark are not late.
    assert_eq!((number(&third, "created"), number(&third, "late")), (3, 2), "{third}");
    Ok(())
}

#[tokio::test]
async fn n_equal_events_in_one_second_are_n_documents() -> Result<(), Error> {
    let Some((services, plan)) = plan("twins").await else { return Ok(()) };
    let instant = ago(SignedDuration::from_mins(8));
    let installation = plan.world(World::of_events(twins(instant, 7))).make(&services).await?;
    let mut function = installation.function();
    let first = function.ask(collect("event_report")).await?;
    assert_eq!(number(&first, "created"), 7, "{first}");
    let again = function.ask(collect("event_report")).await?;
    assert_eq!((number(&again, "created"), number(&again, "duplicates")), (0, 7), "{again}");
    // The eighth twin, after the others were stored.
    installation.simulator.push_events(twins(instant, 1));
    let more = function.ask(collect("event_report")).await?;
    assert_eq!((number(&more, "created"), number(&more, "duplicates")), (1, 7), "{more}");
    assert_exact(&installation.compare_events().await?, "twins");
    Ok(())
}

/// Twins and other events in the same seconds, so that pages of every size end inside a second.
fn bursts() -> World {
    let begin = ago(SignedDuration::from_hours(2));
    let mut world = World::default();
    for burst in 0..6_i64 {
        let instant = begin + (burst * 97).seconds();
        world.events.extend(twins(instant, 3));
        let others = ["Log in", "Log out", "Site Added"].map(|action| {
            Event::at(instant).by("ann@example.com").from_ip("2001:db8::1").doing(action).with_data("example.com")
        });
        world.events.extend(others);
        world.events.extend(twins(instant + 1.second(), 2));
    }
    world
}

async fn read_bursts(quirks: Quirks, what: &str) -> Result<Installation, Error> {
    let (services, plan) = plan("pages").await.expect("services, seen before");
    let installation = plan.world(bursts()).quirks(quirks).make(&services).await?;
    let mut function = installation.function();
    for reading in ["first", "second"] {
        let answer = function.ask(collect("event_report")).await?;
        assert_eq!(answer["status"], "complete", "{what}, {reading}: {answer}");
        assert_exact(&installation.compare_events().await?, &format!("{what}, {reading}"));
    }
    Ok(installation)
}

#[tokio::test]
async fn a_page_that_ends_inside_a_second_loses_nothing_in_any_order() -> Result<(), Error> {
    if plan("pages").await.is_none() {
        return Ok(());
    }
    let orders =
        [Order::Descending, Order::Ascending, Order::Shuffled(5), Order::DescendingByTime, Order::AscendingByTime];
    for (order, page_size) in orders.into_iter().zip([9, 10, 11, 13, 7]) {
        let quirks = Quirks { order, page_size, ..Quirks::default() };
        read_bursts(quirks, &format!("{order:?}, pages of {page_size}")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn inclusive_and_exclusive_bounds_make_no_difference() -> Result<(), Error> {
    if plan("pages").await.is_none() {
        return Ok(());
    }
    for (from, to) in [
        (Bound::Inclusive, Bound::Exclusive),
        (Bound::Exclusive, Bound::Inclusive),
        (Bound::Exclusive, Bound::Exclusive),
    ] {
        let quirks = Quirks { from, to, page_size: 10, ..Quirks::default() };
        read_bursts(quirks, &format!("from {from:?}, to {to:?}")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_second_with_more_events_than_a_page_is_read_completely() -> Result<(), Error> {
    if plan("pages").await.is_none() {
        return Ok(());
    }
    for page_size in [1, 2, 5] {
        let quirks = Quirks { page_size, ..Quirks::default() };
        read_bursts(quirks, &format!("pages of {page_size}")).await?;
    }
    Ok(())
}

/// PHP passes on half of a surrogate pair if a text was truncated.
#[tokio::test]
async fn a_lone_surrogate_loses_one_field_and_no_event() -> Result<(), Error> {
    let Some((services, plan)) = plan("surrogates").await else { return Ok(()) };
    let instant = ago(SignedDuration::from_hours(2));
    let event = |user: &str, data: &str| {
        let raw = format!(
            r#"{{"Time":"{{time}}","Username":"{user}","IP_Address":"192.0.2.7","Action":"Log in","Data":"{data}"}}"#
        );
        Event::at(instant).with_raw_text(raw)
    };
    let (half, other) = (r"ann\ud83d", r"ann\ud83e");
    let events = [event(half, "a"), event(half, "a"), event(other, "a"), event("ann", r"\udc00"), event("ann", "")];
    let installation = plan.world(World::of_events(events)).make(&services).await?;
    let mut function = installation.function();
    for created in [5, 0] {
        let answer = function.ask(collect("event_report")).await?;
        assert_eq!((&answer["status"], number(&answer, "created")), (&Value::from("complete"), created), "{answer}");
        assert_eq!(number(&answer, "dead_letters"), 0, "{answer}");
    }
    let held = installation.compare_events().await?;
    assert!(held.is_exact() && held.truth == 5, "{held}");
    for document in installation.documents("event_report").await? {
        assert_eq!(document.text("event.kind"), Some("event"), "{:?}", document.source);
        let is_whole = document.source.get("error").is_none();
        assert_eq!(is_whole, document.text("event.original").is_some_and(|original| !original.contains("\\ud")));
        assert!(document.text("source.ip").is_some(), "{:?}", document.source);
    }
    Ok(())
}

/// The largest possible response. The memory limit of the soak applies here too, if `BOOTSTRAP` sets one.
#[tokio::test]
async fn a_page_just_below_the_response_limit_is_read() -> Result<(), Error> {
    let Some((services, plan)) = plan("large_page").await else { return Ok(()) };
    let (begin, data) = (ago(SignedDuration::from_hours(9)), "d".repeat(2_600));
    let events = (0..9_000).map(|second| {
        Event::at(begin + SignedDuration::from_secs(second))
            .by("ann@example.com")
            .doing("Log in")
            .with_data(data.clone())
    });
    let installation = plan.world(World::of_events(events)).make(&services).await?;
    let mut function = installation.function();
    let answer = function.ask(collect("event_report")).await?;
    assert_eq!((&answer["status"], number(&answer, "created")), (&Value::from("complete"), 9_000), "{answer}");
    Ok(())
}

/// `is_about_each` in `src/elastic/response.rs` saves time only if Elasticsearch writes exactly these fields in this order.
#[tokio::test]
async fn elasticsearch_answers_about_documents_in_the_form_that_is_not_parsed() -> Result<(), Error> {
    let Some((services, plan)) = plan("usual").await else { return Ok(()) };
    let installation = plan.world(company(3, 50, 5)).make(&services).await?;
    let mut function = installation.function();
    function.ask(collect("event_report")).await?;
    let new = Event::at(lastpass_harness::now()).by("new@example.com").doing("Log in");
    installation.simulator.push_events([new]);

    let [lookups, bulks] = ["_mget", "_bulk"].map(|operation| {
        let answers = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&answers);
        let keep = move |answer: Value| {
            kept.lock().expect("the answers").push(answer.clone());
            answer
        };
        installation.calls.add(Rule::on(System::Elasticsearch, operation, Fault::Change(Arc::new(keep))));
        answers
    });
    function.ask(collect("event_report")).await?;

    let assert_form = |answer: &Value, name: &str, entry: &dyn Fn(&Value) -> String| {
        let entries = answer[name].as_array().expect("a list").iter().map(entry);
        assert_eq!(answer.to_string(), format!(r#"{{"{name}":[{}]}}"#, entries.collect::<Vec<_>>().join(",")));
    };
    let lookups = lookups.lock().expect("the lookups");
    assert!(lookups.iter().any(|answer| answer["docs"].to_string().contains("false")), "{lookups:?}");
    for answer in lookups.iter() {
        assert_form(answer, "docs", &|doc| format!(r#"{{"_id":{},"found":{}}}"#, doc["_id"], doc["found"]));
    }
    let bulks = bulks.lock().expect("the bulk requests");
    assert!(!bulks.is_empty());
    for answer in bulks.iter() {
        assert_form(answer, "items", &|item| {
            let (index, id) = (&item["create"]["_index"], &item["create"]["_id"]);
            format!(r#"{{"create":{{"_index":{index},"_id":{id},"status":201}}}}"#)
        });
    }
    Ok(())
}
