//! The admin endpoints `/_simulator/…`: other programs read and control the simulator in JSON. Loopback only, without
//! credentials.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Response, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::entries::Entries;
use crate::event::Event;
use crate::faults::FaultRule;
use crate::json::push_string;
use crate::shared_state::SharedState;
use crate::truth::truth_events as events_as_shown;
use crate::users::truth as users_as_shown;
use crate::world::ProvisioningHash;

/// One element or a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<Value>),
    One(Value),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewHash {
    provisioning_hash: String,
}

/// Returns NDJSON, oldest first: `instant`, `time`, `record`, and `poll` if a request caused it.
pub(crate) async fn truth_events(State(state): State<SharedState>) -> Response<Body> {
    let events = {
        let state = state.lock();
        events_as_shown(&state.world.events, &state.quirks, state.clock.now())
    };
    let mut out = String::with_capacity(events.len() * 256);
    for event in events {
        out.push_str("{\"instant\":\"");
        out.push_str(&event.instant.to_string());
        out.push_str("\",\"time\":");
        push_string(&mut out, &event.time);
        out.push_str(",\"record\":");
        out.push_str(&event.record);
        out.push_str(if event.is_poll { ",\"poll\":true}\n" } else { "}\n" });
    }
    answer(StatusCode::OK, "application/x-ndjson", out)
}

pub(crate) async fn truth_users(State(state): State<SharedState>) -> Response<Body> {
    let state = state.lock();
    let users: serde_json::Map<String, Value> = users_as_shown(&state.world, &state.quirks).into_iter().collect();
    ok(&json!({"documents": users.len(), "users": users}))
}

pub(crate) async fn truth_folders(State(state): State<SharedState>) -> Response<Body> {
    let state = state.lock();
    let folders: serde_json::Map<String, Value> =
        state.world.folders.iter().map(|(key, folder)| (key.to_owned(), folder.clone())).collect();
    ok(&json!({"documents": state.world.folder_documents(), "folders": folders}))
}

pub(crate) async fn requests(State(state): State<SharedState>) -> Response<Body> {
    ok(&json!({"requests": state.lock().requests}))
}

pub(crate) async fn forget_requests(State(state): State<SharedState>) -> Response<Body> {
    state.lock().requests.clear();
    ok(&json!({}))
}

pub(crate) async fn quirks(State(state): State<SharedState>) -> Response<Body> {
    ok(&json!(state.lock().quirks))
}

pub(crate) async fn change_quirks(State(state): State<SharedState>, body: Bytes) -> Response<Body> {
    let mut state = state.lock();
    let changed = parse::<Value>(&body).and_then(|changes| state.quirks.patched(&changes).map_err(|e| e.to_string()));
    match changed {
        Ok(quirks) => {
            state.quirks = quirks;
            ok(&json!(state.quirks))
        }
        Err(reason) => refused(&reason),
    }
}

pub(crate) async fn add_faults(State(state): State<SharedState>, body: Bytes) -> Response<Body> {
    match parse_many::<FaultRule>(&body) {
        Ok(rules) => {
            let added = rules.len();
            let mut state = state.lock();
            rules.into_iter().for_each(|rule| state.faults.add(rule));
            ok(&json!({"added": added}))
        }
        Err(reason) => refused(&reason),
    }
}

pub(crate) async fn clear_faults(State(state): State<SharedState>) -> Response<Body> {
    state.lock().faults.clear();
    ok(&json!({}))
}

pub(crate) async fn add_events(State(state): State<SharedState>, body: Bytes) -> Response<Body> {
    match parse_many::<Event>(&body) {
        Ok(events) => {
            let added = events.len();
            state.lock().world.events.extend(events);
            ok(&json!({"added": added}))
        }
        Err(reason) => refused(&reason),
    }
}

pub(crate) async fn change_users(State(state): State<SharedState>, body: Bytes) -> Response<Body> {
    changed(&body, &mut state.lock().world.users)
}

pub(crate) async fn change_folders(State(state): State<SharedState>, body: Bytes) -> Response<Body> {
    changed(&body, &mut state.lock().world.folders)
}

/// Adds, replaces or, where the value is `null`, removes entries.
fn changed(body: &[u8], entries: &mut Entries) -> Response<Body> {
    match parse::<serde_json::Map<String, Value>>(body) {
        Ok(changes) => {
            let changed = changes.len();
            for (key, value) in changes {
                match value {
                    Value::Null => _ = entries.remove(&key),
                    value => entries.put(key, value),
                }
            }
            ok(&json!({"changed": changed}))
        }
        Err(reason) => refused(&reason),
    }
}

pub(crate) async fn set_clock(State(state): State<SharedState>, body: Bytes) -> Response<Body> {
    match parse::<Clock>(&body) {
        Ok(clock) => {
            state.lock().clock = clock;
            ok(&json!({"now": clock.now()}))
        }
        Err(reason) => refused(&reason),
    }
}

pub(crate) async fn set_provisioning_hash(State(state): State<SharedState>, body: Bytes) -> Response<Body> {
    match parse::<NewHash>(&body) {
        Ok(new) => {
            state.lock().world.provisioning_hash = ProvisioningHash::new(new.provisioning_hash);
            ok(&json!({}))
        }
        // The parser's error text could contain the hash.
        Err(_) => refused("expected {\"provisioning_hash\": \"…\"}"),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn parse_many<T: DeserializeOwned>(body: &[u8]) -> Result<Vec<T>, String> {
    let values = match parse(body)? {
        OneOrMany::Many(values) => values,
        OneOrMany::One(value) => vec![value],
    };
    values.into_iter().map(|value| serde_json::from_value(value).map_err(|error| error.to_string())).collect()
}

fn ok(body: &Value) -> Response<Body> {
    answer(StatusCode::OK, "application/json", body.to_string())
}

fn refused(reason: &str) -> Response<Body> {
    answer(StatusCode::BAD_REQUEST, "application/json", json!({"error": reason}).to_string())
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}
