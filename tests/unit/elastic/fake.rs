//! A stand-in for Elasticsearch in the tests of this module. Unlike a real cluster, it fails on request: it cuts connections,
//! responds as a proxy would, refuses single items, and rolls a data stream over at the worst moment.
//!
//! It keeps backing indices with their documents, so that a test can count duplicates.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read as _;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The only valid key.
pub(super) const KEY: &str = "ZmFrZS1pZDpmYWtlLXNlY3JldA==";

/// A fault of one request.
pub(super) enum Fault {
    /// Sends this response without performing the request.
    Answer(u16, &'static str),
    /// Sends this response, with this header, without performing the request.
    AnswerWith(u16, (&'static str, &'static str), &'static str),
    /// Cuts the connection without performing the request.
    Cut,
    /// Performs the request, then cuts the connection before the response.
    TakeThenCut,
    /// Performs the request, then sends this response, as a proxy would.
    TakeThenAnswer(u16, &'static str),
    /// Performs the request, then cuts the connection in the middle of the response.
    TakeThenCutBody,
    /// Refuses these items of a bulk with this status and `error.type`, and creates the others.
    RefuseItems(Vec<usize>, u16, &'static str),
    /// Rolls all data streams over, then performs the request.
    RollOver,
    /// Performs the request of another writer with the same documents, rolls all data streams over, then performs the request.
    AnotherWriter,
    /// Performs an earlier request with the same documents late, in the oldest backing index, then performs the request.
    LateInOldest,
    /// Performs the request, and changes the response.
    Change(fn(&mut Value)),
    /// Never responds.
    Hang,
}

/// A received request.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

/// The name of a backing index, and its documents by `_id`.
type BackingIndex = (String, BTreeMap<String, Value>);

#[derive(Default)]
pub(super) struct State {
    /// The backing indices of each data stream, oldest first.
    streams: BTreeMap<String, Vec<BackingIndex>>,
    faults: VecDeque<(&'static str, Fault)>,
    seen: Vec<Seen>,
    puts: BTreeMap<String, Value>,
    version: Option<String>,
}

pub(super) struct Fake {
    pub(super) url: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { url, state, task }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Adds a fault for the next request whose path contains `word`, after the faults added before.
    pub(super) fn fault(&self, word: &'static str, fault: Fault) {
        self.state().faults.push_back((word, fault));
    }

    pub(super) fn faults_left(&self) -> usize {
        self.state().faults.len()
    }

    /// Returns the received requests whose path contains `word`.
    pub(super) fn seen(&self, word: &str) -> Vec<Seen> {
        self.state().seen.iter().filter(|seen| seen.path.contains(word)).cloned().collect()
    }

    pub(super) fn set_version(&self, version: &str) {
        self.state().version = Some(version.to_owned());
    }

    pub(super) fn roll_over(&self, data_stream: &str) {
        self.state().roll_over(data_stream);
    }

    /// Deletes the oldest backing index.
    pub(super) fn drop_oldest(&self, data_stream: &str) {
        self.state().streams.get_mut(data_stream).unwrap().remove(0);
    }

    pub(super) fn insert(&self, data_stream: &str, id: &str) {
        let _ = self.state().create(data_stream, id, Value::Null);
    }

    /// Returns the documents of all backing indices, oldest first. A duplicate is listed once for each index.
    pub(super) fn documents(&self, data_stream: &str) -> Vec<(String, Value)> {
        let state = self.state();
        let indices = state.streams.get(data_stream).into_iter().flatten();
        indices.flat_map(|(_, documents)| documents.clone()).collect()
    }

    pub(super) fn ids(&self, data_stream: &str) -> Vec<String> {
        self.documents(data_stream).into_iter().map(|(id, _)| id).collect()
    }

    pub(super) fn put(&self, path: &str, body: Value) {
        self.state().puts.insert(path.to_owned(), body);
    }

    pub(super) fn installed(&self, path: &str) -> Option<Value> {
        self.state().puts.get(path).cloned()
    }
}

impl State {
    fn roll_over(&mut self, data_stream: &str) {
        let indices = self.streams.entry(data_stream.to_owned()).or_default();
        let name = format!(".ds-{data_stream}-2026.11.23-{:06}", indices.len() + 1);
        indices.push((name, BTreeMap::new()));
    }

    /// Creates a document in the write index. Returns the name of the index, and whether the document is new there.
    fn create(&mut self, data_stream: &str, id: &str, source: Value) -> (String, bool) {
        if !self.streams.contains_key(data_stream) {
            self.roll_over(data_stream);
        }
        let (name, documents) = self.streams.get_mut(data_stream).unwrap().last_mut().unwrap();
        let is_new = !documents.contains_key(id);
        documents.entry(id.to_owned()).or_insert(source);
        (name.clone(), is_new)
    }

    fn answer(&mut self, seen: &Seen, refused: &[usize], status: u16, error_type: &str) -> (u16, Value) {
        if seen.headers.get("authorization") != Some(&format!("ApiKey {KEY}")) {
            return (401, json!({"error": {"type": "security_exception", "reason": "no"}, "status": 401}));
        }
        let path = seen.path.split('?').next().unwrap().to_owned();
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (seen.method.as_str(), &segments[..]) {
            ("GET", [""]) => (
                200,
                json!({"cluster_name": "fake", "cluster_uuid": "u", "version": {
                    "number": self.version.as_deref().unwrap_or("8.19.21")}}),
            ),
            ("GET", ["_resolve", "index", name]) => {
                let fits = |stream: &&String| {
                    *stream == name || name.strip_suffix('*').is_some_and(|it| stream.starts_with(it))
                };
                let found: Vec<Value> = self
                    .streams
                    .iter()
                    .filter(|(stream, _)| fits(stream))
                    .map(|(stream, indices)| {
                        json!({"name": stream, "backing_indices": indices.iter().map(|i| &i.0).collect::<Vec<_>>()})
                    })
                    .collect();
                if found.is_empty() && !name.contains('*') {
                    return (404, json!({"error": {"type": "index_not_found_exception"}, "status": 404}));
                }
                (200, json!({"indices": [], "aliases": [], "data_streams": found}))
            }
            ("POST", ["_mget"] | [_, "_mget"]) => {
                let question: Value = serde_json::from_str(&seen.body).unwrap();
                let answer = |doc: &Value| {
                    let (index, id) = match (doc, &segments[..]) {
                        (Value::String(id), [index, _]) => (*index, id.as_str()),
                        _ => (doc["_index"].as_str().unwrap(), doc["_id"].as_str().unwrap()),
                    };
                    let documents = self.streams.values().flatten().find(|(name, _)| name == index);
                    match documents {
                        Some((_, documents)) => {
                            json!({"_index": index, "_id": id, "found": documents.contains_key(id)})
                        }
                        None => json!({"_index": index, "_id": id, "error": {"type": "index_not_found_exception"}}),
                    }
                };
                (
                    200,
                    json!({"docs": question.get("docs").unwrap_or(&question["ids"]).as_array().unwrap().iter().map(answer).collect::<Vec<_>>()}),
                )
            }
            ("POST", [data_stream, "_bulk"]) => {
                let lines: Vec<Value> = seen.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
                let items: Vec<Value> = lines
                    .chunks(2)
                    .enumerate()
                    .map(|(at, pair)| {
                        let id = pair[0]["create"]["_id"].as_str().unwrap();
                        if refused.contains(&at) {
                            let index = format!(".ds-{data_stream}-2026.11.23-000001");
                            let error = json!({"type": error_type, "reason": "refused by the test"});
                            return json!({"create": {"_index": index, "_id": id, "status": status, "error": error}});
                        }
                        match self.create(data_stream, id, pair[1].clone()) {
                            (index, true) => json!({"create": {"_index": index, "_id": id, "status": 201}}),
                            (index, false) => json!({"create": {"_index": index, "_id": id, "status": 409, "error": {
                                "type": "version_conflict_engine_exception", "reason": "there"}}}),
                        }
                    })
                    .collect();
                (200, json!({"items": items}))
            }
            ("POST", [name, "_rollover"]) => {
                self.roll_over(name);
                (200, json!({"acknowledged": true}))
            }
            ("PUT", _) => {
                self.puts.insert(path, serde_json::from_str(&seen.body).unwrap());
                (200, json!({"acknowledged": true}))
            }
            ("GET", ["_component_template", name]) => match self.puts.get(&path) {
                Some(body) => (200, json!({"component_templates": [{"name": name, "component_template": body}]})),
                None => (404, json!({"error": {"type": "resource_not_found_exception"}, "status": 404})),
            },
            ("GET", ["_index_template", pattern]) => {
                let prefix = format!("/_index_template/{}", pattern.trim_end_matches('*'));
                let found: Vec<Value> = self
                    .puts
                    .iter()
                    .filter(|(path, _)| path.starts_with(&prefix))
                    .map(|(path, body)| json!({"name": path.rsplit('/').next(), "index_template": body}))
                    .collect();
                (if found.is_empty() { 404 } else { 200 }, json!({"index_templates": found}))
            }
            ("GET", [data_stream, "_settings", "index.creation_date"]) => {
                let names = self.streams.get(*data_stream).into_iter().flatten().map(|(name, _)| name);
                // The indices were created a day apart, the first one on the day in the names.
                let made = |age: usize| 1_795_392_000_000_u64 + 86_400_000 * age as u64;
                let of = |age| json!({"settings": {"index": {"creation_date": made(age).to_string()}}});
                (
                    200,
                    names
                        .enumerate()
                        .map(|(age, name)| (name.clone(), of(age)))
                        .collect::<serde_json::Map<_, _>>()
                        .into(),
                )
            }
            ("POST", ["_msearch"]) => {
                let found = json!({"_shards": {"failed": 0}, "aggregations": {"event": {"value": null}}});
                (200, json!({"responses": vec![found; seen.body.lines().count() / 2]}))
            }
            // By default, an older version of the assets created the index.
            ("GET", [index, "_mapping"]) => (
                200,
                self.puts.get(&path).cloned().unwrap_or_else(|| {
                    let meta = json!({"lastpass_elastic": {"version": 1}});
                    json!({(*index): {"mappings": {"_meta": meta}}})
                }),
            ),
            _ => (400, json!({"error": format!("no handler found for uri [{path}]"), "status": 400})),
        }
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) -> Option<()> {
    let seen = read(&mut stream).await?;
    let fault = {
        let mut state = state.lock().unwrap();
        state.seen.push(seen.clone());
        let at = state.faults.iter().position(|(word, _)| seen.path.contains(word));
        at.and_then(|at| state.faults.remove(at)).map(|(_, fault)| fault)
    };
    let take =
        |refused: &[usize], status, error_type: &str| state.lock().unwrap().answer(&seen, refused, status, error_type);
    let mut header = String::new();
    let mut cut = false;
    let (status, body) = match fault {
        Some(Fault::Answer(status, body)) => (status, body.to_owned()),
        Some(Fault::AnswerWith(status, (name, value), body)) => {
            header = format!("{name}: {value}\r\n");
            (status, body.to_owned())
        }
        Some(Fault::Cut) => return None,
        Some(Fault::Hang) => {
            std::future::pending::<()>().await;
            return None;
        }
        Some(Fault::TakeThenCut) => {
            take(&[], 0, "");
            return None;
        }
        Some(Fault::TakeThenAnswer(status, body)) => {
            take(&[], 0, "");
            (status, body.to_owned())
        }
        Some(Fault::TakeThenCutBody) => {
            cut = true;
            let (status, body) = take(&[], 0, "");
            (status, body.to_string())
        }
        Some(Fault::RefuseItems(refused, status, error_type)) => {
            let (whole, body) = take(&refused, status, error_type);
            (whole, body.to_string())
        }
        Some(fault @ (Fault::RollOver | Fault::AnotherWriter)) => {
            if matches!(fault, Fault::AnotherWriter) {
                take(&[], 0, "");
            }
            {
                let mut state = state.lock().unwrap();
                for name in state.streams.keys().cloned().collect::<Vec<_>>() {
                    state.roll_over(&name);
                }
            }
            let (status, body) = take(&[], 0, "");
            (status, body.to_string())
        }
        Some(Fault::LateInOldest) => {
            let newer: Vec<_> =
                state.lock().unwrap().streams.values_mut().map(|indices| indices.split_off(1)).collect();
            take(&[], 0, "");
            for (indices, newer) in state.lock().unwrap().streams.values_mut().zip(newer) {
                indices.extend(newer);
            }
            let (status, body) = take(&[], 0, "");
            (status, body.to_string())
        }
        Some(Fault::Change(change)) => {
            let (status, mut body) = take(&[], 0, "");
            change(&mut body);
            (status, body.to_string())
        }
        None => {
            let (status, body) = take(&[], 0, "");
            (status, body.to_string())
        }
    };
    let head = format!("HTTP/1.1 {status} X\r\n{header}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.ok()?;
    let sent = if cut { body.len() / 2 } else { body.len() };
    stream.write_all(&body.as_bytes()[..sent]).await.ok()?;
    stream.shutdown().await.ok()
}

/// Reads one request, and decompresses its body.
async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    // Of the characters in our names, the official client encodes only this one.
    let (method, path) = (first.next()?.to_owned(), first.next()?.replace("%40", "@"));
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    while bytes.len() < head_end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let raw = &bytes[head_end + 4..];
    let mut body = String::new();
    if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        flate2::read::GzDecoder::new(raw).read_to_string(&mut body).unwrap();
    } else {
        body = String::from_utf8(raw.to_vec()).unwrap();
    }
    Some(Seen { method, path, headers, body })
}
