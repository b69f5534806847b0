//! Paging, bounds, repeated hours and spellings of the event report.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::*;
use crate::quirks::Pass;

fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A page as the client sees it: (Time, Username) in order, and `next`.
type Seen = (Vec<(String, String)>, Value);

fn ask(timeline: &Timeline, data: &Value, quirks: &Quirks) -> Seen {
    let Answer::Page(page) = answer(timeline, data, quirks, instant("2030-01-01T00:00:00Z")) else {
        panic!("refused");
    };
    let body: Value = serde_json::from_str(&page.body).unwrap();
    let records: Vec<Value> = match &body["data"] {
        Value::Object(map) => map.values().cloned().collect(),
        Value::Array(list) => list.clone(),
        other => panic!("data is {other}"),
    };
    assert_eq!(records.len(), page.records);
    let text = |record: &Value, key: &str| record[key].as_str().unwrap().to_owned();
    let seen = records.iter().map(|record| (text(record, "Time"), text(record, "Username"))).collect();
    (seen, body["next"].clone())
}

fn read_all(timeline: &Timeline, data: &Value, quirks: &Quirks) -> Vec<Vec<(String, String)>> {
    let mut data = data.clone();
    let mut pages = Vec::new();
    loop {
        let (page, next) = ask(timeline, &data, quirks);
        pages.push(page);
        assert!(pages.len() < 1_000, "paging never ends");
        if next.is_null() {
            return pages;
        }
        data["next"] = next;
    }
}

fn utc() -> Quirks {
    Quirks { time_zone: TimeZone::UTC, ..Quirks::default() }
}

fn window(from: &str, to: &str) -> Value {
    json!({"from": from, "to": to, "user": "allusers"})
}

/// Returns 40 events: five seconds with 1, 2, 4, 8 and 25 events, each with a different name.
fn crowded() -> Timeline {
    let mut timeline = Timeline::default();
    let start = instant("2025-06-01T12:00:00Z");
    for (second, count) in [1, 2, 4, 8, 25].into_iter().enumerate() {
        let at = start + SignedDuration::from_secs(second as i64);
        timeline.extend((0..count).map(|rank| Event::at(at).by(format!("{second}-{rank}"))));
    }
    timeline
}

const CROWDED: (&str, &str) = ("2025-06-01 12:00:00", "2025-06-01 12:00:04");

#[test]
fn every_page_size_and_order_gives_each_event_once() {
    let timeline = crowded();
    let orders =
        [Order::Descending, Order::Ascending, Order::DescendingByTime, Order::AscendingByTime, Order::Shuffled(9)];
    for page_size in 1..=41 {
        for order in orders {
            let quirks = Quirks { page_size, order, ..utc() };
            let pages = read_all(&timeline, &window(CROWDED.0, CROWDED.1), &quirks);
            assert_eq!(pages.len(), 40_usize.div_ceil(page_size));
            let mut names: Vec<_> = pages.concat().into_iter().map(|(_, name)| name).collect();
            assert_eq!(names.len(), 40);
            names.sort();
            names.dedup();
            assert_eq!(names.len(), 40, "page size {page_size}, {order:?}");
        }
    }
}

#[test]
fn pages_run_from_newest_to_oldest_whatever_the_order_inside() {
    for order in [Order::Ascending, Order::Shuffled(1)] {
        let quirks = Quirks { page_size: 7, order, ..utc() };
        let pages = read_all(&crowded(), &window(CROWDED.0, CROWDED.1), &quirks);
        for pair in pages.windows(2) {
            let oldest = pair[0].iter().map(|seen| &seen.0).min().unwrap();
            assert!(pair[1].iter().all(|(time, _)| time <= oldest));
        }
    }
}

#[test]
fn each_bound_is_inclusive_or_exclusive_independently() {
    let at = |second: i64| Event::at(instant("2025-06-01T12:00:00Z") + SignedDuration::from_secs(second));
    let timeline = {
        let mut timeline = Timeline::default();
        timeline.extend((0..5).map(|second| at(second).by(second.to_string())));
        timeline
    };
    let cases = [
        (Bound::Inclusive, Bound::Inclusive, "123"),
        (Bound::Exclusive, Bound::Inclusive, "23"),
        (Bound::Inclusive, Bound::Exclusive, "12"),
        (Bound::Exclusive, Bound::Exclusive, "2"),
    ];
    for (from, to, expected) in cases {
        let quirks = Quirks { from, to, order: Order::Ascending, ..utc() };
        let (seen, _) = ask(&timeline, &window("2025-06-01 12:00:01", "2025-06-01 12:00:03"), &quirks);
        assert_eq!(seen.into_iter().map(|(_, name)| name).collect::<String>(), expected);
    }
}

#[test]
fn next_repeats_the_configured_events_and_paging_still_ends() {
    let timeline = crowded();
    for next_repeats in [
        Repeats::Nothing,
        Repeats::LastEvent,
        Repeats::Events(1),
        Repeats::Events(3),
        Repeats::Events(99),
        Repeats::BoundarySecond,
    ] {
        for (page_size, next_is) in (1..=41).flat_map(|size| [(size, NextIs::LastReturned), (size, NextIs::FirstLeft)])
        {
            let quirks = Quirks { page_size, next_is, next_repeats, ..utc() };
            let pages = read_all(&timeline, &window(CROWDED.0, CROWDED.1), &quirks);
            assert!(pages.iter().all(|page| page.len() <= page_size));
            let mut names = pages.concat();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), 40, "{next_repeats:?}, page size {page_size}, {next_is:?}");
        }
    }
    let quirks = Quirks { page_size: 10, next_repeats: Repeats::Events(3), ..utc() };
    let pages = read_all(&timeline, &window(CROWDED.0, CROWDED.1), &quirks);
    assert_eq!(pages[0][7..], pages[1][..3]);
    let quirks = Quirks { page_size: 30, next_repeats: Repeats::BoundarySecond, ..utc() };
    let pages = read_all(&timeline, &window(CROWDED.0, CROWDED.1), &quirks);
    assert_eq!(pages[0][25..], pages[1][..5], "the five events of 12:00:03 that were on the page before");
}

#[test]
fn each_form_of_next_cuts_its_pages() {
    for (next_is, expected) in [
        (NextIs::LastReturned, vec![30, 10]),
        (NextIs::FirstLeft, vec![30, 10]),
        (NextIs::EvenAtTheEnd, vec![30, 10, 0]),
        (NextIs::AfterAnEmptyPage, vec![0, 30, 10]),
        // 5 of the 8 events in 12:00:03 are on the first page, and all of them on the second.
        (NextIs::WholeSecond, vec![30, 15]),
    ] {
        let quirks = Quirks { page_size: 30, next_is, ..utc() };
        let pages = read_all(&crowded(), &window(CROWDED.0, CROWDED.1), &quirks);
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), expected, "{next_is:?}");
        let mut names = pages.concat();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 40, "{next_is:?}");
    }
}

#[test]
fn a_next_that_was_never_returned_is_a_valid_instant() {
    let timeline = crowded();
    // 25 events in 12:00:04, the last second; 8 in 12:00:03.
    let third = instant("2025-06-01T12:00:03Z").as_microsecond();
    let first = |next: i64, quirks: Quirks| {
        let mut asked = window(CROWDED.0, CROWDED.1);
        asked["next"] = next.into();
        let (page, _) = ask(&timeline, &asked, &Quirks { page_size: 30, ..quirks });
        (page.first().cloned().expect("an event").1, page.len())
    };
    for next_is in [NextIs::LastReturned, NextIs::FirstLeft] {
        for next_repeats in [Repeats::Nothing, Repeats::LastEvent, Repeats::BoundarySecond] {
            let quirks = Quirks { next_is, next_repeats, ..utc() };
            // The last microsecond of a second returns all of it and nothing newer.
            assert_eq!(first(third + 999_999, quirks.clone()), ("3-7".to_owned(), 15), "{quirks:?}");
        }
    }
    let last_returned = |next_repeats| Quirks { next_repeats, ..utc() };
    let first_left = |next_repeats| Quirks { next_is: NextIs::FirstLeft, next_repeats, ..utc() };
    assert_eq!(first(third + 2, last_returned(Repeats::Nothing)), ("3-1".to_owned(), 9));
    assert_eq!(first(third + 2, last_returned(Repeats::LastEvent)), ("3-2".to_owned(), 10));
    assert_eq!(first(third + 2, last_returned(Repeats::Events(3))), ("3-4".to_owned(), 12));
    assert_eq!(first(third + 2, last_returned(Repeats::BoundarySecond)), ("3-7".to_owned(), 15));
    assert_eq!(first(third + 2, first_left(Repeats::Nothing)), ("3-2".to_owned(), 10));
    assert_eq!(first(third + 2, first_left(Repeats::LastEvent)), ("3-2".to_owned(), 10));
    assert_eq!(first(third + 2, first_left(Repeats::Events(3))), ("3-5".to_owned(), 13));
    assert_eq!(first(third + 2, first_left(Repeats::BoundarySecond)), ("3-7".to_owned(), 15));
}

#[test]
fn both_passes_of_the_repeated_hour_are_served_in_true_order() {
    let quirks = Quirks { order: Order::Ascending, ..Quirks::default() };
    let at = |text: &str| Event::at(instant(text)).by(text);
    let timeline = {
        let mut timeline = Timeline::default();
        timeline.extend([
            at("2025-11-02T04:59:59Z"),
            at("2025-11-02T05:30:00Z"),
            at("2025-11-02T05:45:00Z"),
            at("2025-11-02T06:30:00Z"),
            at("2025-11-02T07:00:00Z"),
        ]);
        timeline
    };
    let times = |from: &str, to: &str, quirks: &Quirks| -> Vec<String> {
        let (seen, _) = ask(&timeline, &window(from, to), quirks);
        seen.into_iter().map(|(time, _)| time[11..16].to_owned()).collect()
    };
    let (from, to) = ("2025-11-02 00:00:00", "2025-11-02 03:00:00");
    assert_eq!(times(from, to, &quirks), ["00:59", "01:30", "01:45", "01:30", "02:00"]);
    let mixed = Quirks { order: Order::AscendingByTime, ..quirks.clone() };
    assert_eq!(times(from, to, &mixed), ["00:59", "01:30", "01:30", "01:45", "02:00"]);
    assert_eq!(times("2025-11-02 01:00:00", to, &quirks).len(), 4);
    let second = Quirks { repeated_hour: Pass::Second, ..quirks };
    assert_eq!(times("2025-11-02 01:00:00", to, &second), ["01:30", "02:00"]);
}

#[test]
fn late_events_are_shown_from_their_appearance_on() {
    let mut timeline = Timeline::default();
    let at = instant("2025-06-01T12:00:00Z");
    timeline.extend([Event::at(at).by("late").appearing(at + SignedDuration::from_mins(5)), Event::at(at).by("soon")]);
    let count = |now: &str| match answer(&timeline, &window(CROWDED.0, CROWDED.1), &utc(), instant(now)) {
        Answer::Page(page) => page.records,
        other => panic!("{other:?}"),
    };
    assert_eq!(count("2025-06-01T11:59:59Z"), 0);
    assert_eq!(count("2025-06-01T12:00:00Z"), 1);
    assert_eq!(count("2025-06-01T12:05:00Z"), 2);
}

#[test]
fn retention_and_future_ranges_answer_an_empty_list() {
    let quirks = Quirks { retention_days: Some(30), ..utc() };
    for (from, to) in [CROWDED, ("2031-01-01 00:00:00", "2032-01-01 00:00:00")] {
        let Answer::Page(page) = answer(&crowded(), &window(from, to), &quirks, instant("2030-01-01T00:00:00Z")) else {
            panic!("refused");
        };
        assert_eq!(page.body, r#"{"status":"OK","next":null,"data":[]}"#);
    }
}

#[test]
fn spellings_follow_their_switches() {
    let mut timeline = Timeline::default();
    let at = instant("2025-06-01T12:00:00Z");
    timeline
        .extend([Event::at(at).doing("Log in").with_data("a \"b\""), Event::at(at).with_raw(&json!(["{time}", 7]))]);
    let body = |quirks: &Quirks, data: &Value| match answer(&timeline, data, quirks, at) {
        Answer::Page(page) => page.body,
        other => panic!("{other:?}"),
    };
    let mut asked = window(CROWDED.0, CROWDED.1);
    let quirks = Quirks { empty_value: EmptyValue::Null, event_status: None, ..utc() };
    let record =
        r#"{"Time":"2025-06-01 12:00:00","Username":null,"IP_Address":null,"Action":"Log in","Data":"a \"b\""}"#;
    let raw = r#"["2025-06-01 12:00:00",7]"#;
    assert_eq!(body(&quirks, &asked), format!(r#"{{"next":null,"data":{{"Event1":{raw},"Event2":{record}}}}}"#));
    asked["format"] = json!("siem");
    assert_eq!(body(&quirks, &asked), format!(r#"{{"next":null,"data":[{raw},{record}]}}"#));
    let quirks = Quirks { page_size: 1, next_as_string: true, ..utc() };
    assert!(body(&quirks, &asked).starts_with(r#"{"status":"OK","next":"1748779200000001","data":["#));
}

#[test]
fn incomplete_requests_and_those_for_one_user_are_refused() {
    let one_user = json!({"from": CROWDED.0, "to": CROWDED.1, "user": "4-3"});
    for data in [json!("all"), window("2025-01-01 00:00:00", "tomorrow"), one_user] {
        assert!(matches!(answer(&crowded(), &data, &utc(), instant("2030-01-01T00:00:00Z")), Answer::Refusal(_)));
    }
}
