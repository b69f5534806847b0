//! Measures each part of processing an event up to its document: `cargo bench --bench hot`. The page comes from the simulator.

#![allow(
    missing_docs,
    clippy::expect_used,
    reason = "criterion makes functions of its own; a bench may stop where it likes"
)]

#[path = "../tests/integration/mapper.rs"]
mod mapper;

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use lastpass_elastic::{
    lastpass::{
        reporting::{Page, parse_page},
        time::{ApiZone, EventTime},
        whole_seconds::WindowReader,
    },
    streams::{Stamps, event_report},
};
use lastpass_simulator::{CompanySize, World};
use serde_json::json;

use self::mapper::plain_mapper;

/// Events of the page: one fewer than a full page, because a full page would count as truncated.
const EVENTS: usize = 9_999;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// Returns a LastPass response, newest event first.
fn answer(zone: &ApiZone, end: Timestamp) -> String {
    let size = CompanySize { events: EVENTS, users: 2_500, ..CompanySize::default() };
    let world = World::company(1, &size, end);
    let events: Vec<_> = world.events.iter().collect();
    let entries = events.iter().rev().enumerate().map(|(index, event)| {
        let record = json!({
            "Time": zone.wall_time(event.instant), "Username": &*event.username, "IP_Address": &*event.ip,
            "Action": &*event.action, "Data": &*event.data,
        });
        format!("\"Event{}\":{record}", index + 1)
    });
    format!("{{\"status\":\"OK\",\"next\":null,\"data\":{{{}}}}}", entries.collect::<Vec<_>>().join(","))
}

fn whole(zone: &ApiZone, page: Page, end: Timestamp) -> Vec<(String, Option<EventTime>)> {
    let mut reading = WindowReader::new(zone, at("2025-05-01T00:00:00Z"), end);
    reading.take(page, end).expect("whole seconds").events
}

fn hot(criterion: &mut Criterion) {
    let end = at("2025-07-01T00:00:00Z");
    let mapper = plain_mapper();
    let answer = answer(&mapper.zone, end);
    let stamps = Stamps { created: end, ingested: None };
    let page = || parse_page(&answer, &mapper.zone).expect("a page");
    let events = whole(&mapper.zone, page(), end);
    assert_eq!(event_report::documents(&mapper, &stamps, events.clone()).count(), EVENTS);

    let mut group = criterion.benchmark_group("page");
    group.throughput(Throughput::Elements(EVENTS as u64)).measurement_time(Duration::from_secs(5)).sample_size(20);
    group.bench_function("parse", |bencher| bencher.iter(|| black_box(page())));
    group.bench_function("order", |bencher| {
        bencher.iter_batched(page, |page| black_box(whole(&mapper.zone, page, end)), criterion::BatchSize::LargeInput);
    });
    group.bench_function("map", |bencher| {
        bencher.iter_batched(
            || events.clone(),
            |events| event_report::documents(&mapper, &stamps, events).for_each(|document| drop(black_box(document))),
            criterion::BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, hot);
criterion_main!(benches);
