//! The simulator over HTTP: responses, disconnections, admin endpoints, stopping.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use lastpass_simulator::{Answered, Clock, Command, CompanySize, Event, Fault, FaultRule, Quirks, Simulator, World};
use serde_json::{Value, json};

/// The data received until the connection closed.
struct Received {
    status: Option<u16>,
    head: String,
    body: String,
    promised_bytes: usize,
}

fn send(address: SocketAddr, method: &str, path: &str, body: &str) -> Received {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    // A closed connection may also end in an error.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    Received {
        status: head.get(9..12).and_then(|status| status.parse().ok()),
        promised_bytes: length.map_or(0, |length| length.parse().unwrap()),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

fn ask(simulator: &Simulator, request: &Value) -> Received {
    send(simulator.address(), "POST", "/enterpriseapi.php", &request.to_string())
}

fn admin(simulator: &Simulator, method: &str, path: &str, body: &Value) -> Received {
    send(simulator.address(), method, &format!("/_simulator/{path}"), &body.to_string())
}

fn reporting() -> Value {
    json!({"cid": "7", "provhash": "hash", "cmd": "reporting", "data": {
        "from": "2025-10-01 00:00:00", "to": "2025-11-12 00:00:00", "user": "allusers"
    }})
}

fn start(events: usize) -> Simulator {
    let size = CompanySize { events, ..CompanySize::default() };
    let world = World::company(1, &size, "2025-11-10T00:00:00Z".parse().unwrap()).with_credentials("7", "hash");
    Simulator::start(world, Quirks::default()).unwrap()
}

#[test]
fn events_served_over_http_equal_the_truth() {
    let simulator = start(500);
    // Read before the request, which becomes an event itself.
    let mut held: Vec<String> = simulator.truth_events().into_iter().map(|event| event.record).collect();
    let received = ask(&simulator, &reporting());
    assert_eq!(received.status, Some(200));
    let body: Value = serde_json::from_str(&received.body).unwrap();
    let mut seen: Vec<String> = body["data"].as_object().unwrap().values().map(Value::to_string).collect();
    seen.sort();
    held.sort();
    assert_eq!(seen, held);
    let requests = simulator.requests();
    assert_eq!(requests[0].answered, Answered::Page { records: 500, more: false });
    assert_eq!((requests[0].number, requests.len()), (1, 1));
}

#[test]
fn a_connection_is_cut_before_the_answer_or_inside_its_body() {
    let simulator = start(500);
    let of_events = Some(Command::Reporting);
    simulator.add_fault(FaultRule { command: of_events, ..FaultRule::next(Fault::CutBeforeAnswer) });
    simulator.add_fault(FaultRule::next(Fault::CutInsideBody));
    let cut = ask(&simulator, &reporting());
    assert_eq!((cut.status, cut.head.as_str(), cut.body.as_str()), (None, "", ""));
    let half = ask(&simulator, &reporting());
    assert_eq!(half.status, Some(200));
    assert!(half.promised_bytes > 1_000);
    assert!(half.body.len().abs_diff(half.promised_bytes / 2) < 8, "{} of {}", half.body.len(), half.promised_bytes);
    let whole = ask(&simulator, &reporting());
    assert_eq!(whole.body.len(), whole.promised_bytes);
    let is_fault: Vec<bool> =
        simulator.requests().iter().map(|request| matches!(request.answered, Answered::Fault(_))).collect();
    assert_eq!(is_fault, [true, true, false]);
}

#[test]
fn statuses_and_headers_of_faults_arrive() {
    let simulator = start(1);
    let rules = [Fault::throttled(Some(7)), Fault::throttled(None), Fault::status(503), Fault::html()];
    rules.into_iter().for_each(|fault| simulator.add_fault(FaultRule::next(fault)));
    let first = ask(&simulator, &reporting());
    assert_eq!((first.status, first.head.contains("retry-after: 7")), (Some(429), true));
    let second = ask(&simulator, &reporting());
    assert_eq!((second.status, second.head.contains("retry-after")), (Some(429), false));
    assert_eq!(ask(&simulator, &reporting()).status, Some(503));
    let page = ask(&simulator, &reporting());
    assert_eq!(
        (page.status, page.head.contains("text/html"), page.body.starts_with("<!DOCTYPE")),
        (Some(200), true, true)
    );
    ask(&simulator, &reporting());
    assert!(matches!(simulator.requests().last().unwrap().answered, Answered::Page { .. }), "no fault is left");
}

#[test]
fn a_delay_holds_the_response_back() {
    let simulator = start(1);
    simulator.add_fault(FaultRule::next(Fault::Delay { milliseconds: 150 }));
    let begun = Instant::now();
    assert_eq!(ask(&simulator, &reporting()).status, Some(200));
    assert!(begun.elapsed() >= Duration::from_millis(150));
    assert_eq!(simulator.requests()[0].delayed_ms, 150);
}

#[test]
fn the_admin_endpoints_read_and_change_everything() {
    let simulator = start(20);
    let truth = admin(&simulator, "GET", "truth/events", &Value::Null);
    let lines: Vec<Value> = truth.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 20);
    assert!(lines.iter().all(|line| line["record"]["Time"] == line["time"] && line["instant"].is_string()));
    let parsed =
        |path: &str| -> Value { serde_json::from_str(&admin(&simulator, "GET", path, &Value::Null).body).unwrap() };
    assert_eq!(parsed("truth/users")["documents"], 50);
    assert_eq!(parsed("truth/folders")["documents"], simulator.folder_documents());

    let event = json!({"instant": "2025-11-02T06:30:00Z", "username": "late", "raw": {"Time": "{time}", "Action": 7}});
    assert_eq!(admin(&simulator, "POST", "events", &json!([event, event])).status, Some(200));
    assert!(
        simulator.truth_events().iter().any(|event| event.record == r#"{"Time":"2025-11-02 01:30:00","Action":7}"#)
    );
    for (path, truth) in [("users", "truth/users"), ("folders", "truth/folders")] {
        let change = |body: &Value| admin(&simulator, "POST", path, body).status;
        assert_eq!(change(&json!({"7": {"username": "a@example.com"}, "8": {"username": "b@example.com"}})), Some(200));
        assert_eq!(change(&json!({"7": {"username": "c@example.com"}, "8": null})), Some(200));
        let held = parsed(truth);
        assert_eq!(held[path]["7"]["username"], "c@example.com");
        assert!(held[path].get("8").is_none());
        assert_eq!(change(&json!([])), Some(400));
    }
    assert_eq!(admin(&simulator, "POST", "clock", &json!({"fixed": "2025-11-01T00:00:00Z"})).status, Some(200));
    assert!(simulator.truth_events().len() < 20);
    simulator.set_clock(Clock::Real);

    assert_eq!(admin(&simulator, "POST", "quirks", &json!({"page_size": 5})).status, Some(200));
    assert_eq!(simulator.quirks().page_size, 5);
    assert_eq!(admin(&simulator, "POST", "quirks", &json!({"pagesize": 5})).status, Some(400));
    assert_eq!(
        admin(&simulator, "POST", "faults", &json!({"fault": {"kind": "response", "status": 502}})).status,
        Some(200)
    );
    assert_eq!(ask(&simulator, &reporting()).status, Some(502));
    assert_eq!(admin(&simulator, "POST", "provisioning-hash", &json!({"provisioning_hash": "new"})).status, Some(200));
    assert!(ask(&simulator, &reporting()).body.contains("<lastpass rc=\"Authorization Error\"/>"));
    let requests = admin(&simulator, "GET", "requests", &Value::Null).body;
    assert!(!requests.contains("hash"), "{requests}");
    assert_eq!(serde_json::from_str::<Value>(&requests).unwrap()["requests"].as_array().unwrap().len(), 2);
}

#[test]
fn dropping_the_last_handle_stops_the_simulator_even_in_asynchronous_code() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let address = runtime.block_on(async {
        let simulator = start(1);
        let handle = simulator.clone();
        drop(simulator);
        assert_eq!(ask(&handle, &reporting()).status, Some(200));
        handle.address()
    });
    let deadline = Instant::now() + Duration::from_secs(5);
    while TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < deadline, "still listening");
        std::thread::yield_now();
    }
}

#[test]
fn a_full_page_of_a_long_history_is_served_within_two_seconds() {
    let simulator = start(60_000);
    simulator.push_events([Event::at("2025-11-09T00:00:00Z".parse().unwrap())]);
    let begun = Instant::now();
    let received = ask(&simulator, &reporting());
    let elapsed = begun.elapsed();
    let body: Value = serde_json::from_str(&received.body).unwrap();
    assert_eq!(body["data"].as_object().unwrap().len(), 10_000);
    assert!(body["next"].is_i64());
    println!("10,000 events in {elapsed:?}");
    assert!(elapsed < Duration::from_secs(2));
}
