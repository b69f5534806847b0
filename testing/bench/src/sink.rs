//! The sink: a fast stand-in for Elasticsearch that accepts every document and keeps none.
//!
//! Its responses have the form of Elasticsearch's: the root, index templates, backing indices, documents (none) and
//! bulk items.

use std::{
    fmt::Write as _,
    io::Read as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, header},
};
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde_json::json;

use crate::{Error, server::Server};

const DATA_STREAM: &str = "logs-lastpass.event_report-default";
const BACKING_INDEX: &str = ".ds-logs-lastpass.event_report-default-2026.01.01-000001";
const PRODUCT: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-elastic-product"), HeaderValue::from_static("Elasticsearch"));

/// A running sink.
pub(crate) struct Sink {
    server: Server,
    shared: Arc<Mutex<Received>>,
}

/// The traffic since the last [`Sink::take`].
#[derive(Debug, Default, Clone)]
pub(crate) struct Received {
    /// The requests: method, and path without the name of the data stream or index.
    pub(crate) operations: Vec<String>,
    /// Bytes of the request bodies, as sent.
    pub(crate) bytes: u64,
    /// Documents in bulk requests.
    pub(crate) documents: u64,
    /// The uncompressed bulk bodies, if they are kept.
    pub(crate) bulks: Vec<Vec<u8>>,
    keeps: bool,
    has_stream: bool,
}

impl Sink {
    /// Starts a sink that answers each request after `delay`.
    pub(crate) async fn start(delay: Duration) -> Result<Self, Error> {
        let shared = Arc::<Mutex<Received>>::default();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        Ok(Self { server: Server::start(router, delay).await?, shared })
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// Returns the traffic so far and clears it. `keeps` decides whether later bulk bodies are kept.
    pub(crate) fn take(&self, keeps: bool) -> Received {
        let mut received = lock(&self.shared);
        let has_stream = received.has_stream;
        std::mem::replace(&mut *received, Received { keeps, has_stream, ..Received::default() })
    }

    /// Deletes the data stream.
    pub(crate) fn delete_stream(&self) {
        lock(&self.shared).has_stream = false;
    }
}

fn lock(shared: &Mutex<Received>) -> MutexGuard<'_, Received> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(
    State(shared): State<Arc<Mutex<Received>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let sent_bytes = body.len() as u64;
    let body = match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        Some(b"gzip") => {
            let mut unpacked = Vec::with_capacity(body.len() * 12);
            if MultiGzDecoder::new(&body[..]).read_to_end(&mut unpacked).is_err() {
                return response(StatusCode::BAD_REQUEST, "{}".to_owned(), &headers);
            }
            unpacked
        }
        _ => body.to_vec(),
    };
    let asks_for = |parameter| uri.query().is_some_and(|query| query.contains(parameter));
    let is_short = asks_for("filter_path");
    let (status, answer, documents) = match uri.path() {
        path if path.ends_with("_bulk") => {
            let (answer, documents) = bulk(&body, is_short);
            (StatusCode::OK, answer, documents)
        }
        path if path.ends_with("_mget") => (StatusCode::OK, mget(&body, !is_short || asks_for("docs._index")), 0),
        path if path.starts_with("/_resolve/index") => match lock(&shared).has_stream {
            true => {
                let found = json!([{"name": DATA_STREAM, "backing_indices": [BACKING_INDEX]}]);
                (StatusCode::OK, json!({"indices": [], "aliases": [], "data_streams": found}).to_string(), 0)
            }
            false => {
                let error = json!({"error": {"type": "index_not_found_exception", "reason": "none"}, "status": 404});
                (StatusCode::NOT_FOUND, error.to_string(), 0)
            }
        },
        path if path.starts_with("/_index_template") => (StatusCode::OK, templates(), 0),
        "/" => (StatusCode::OK, who(), 0),
        _ => (StatusCode::BAD_REQUEST, json!({"error": "no handler", "status": 400}).to_string(), 0),
    };
    let mut received = lock(&shared);
    received.operations.push(operation(&method, uri.path()));
    received.bytes += sent_bytes;
    received.documents += documents;
    if documents > 0 {
        received.has_stream = true;
        if received.keeps {
            received.bulks.push(body);
        }
    }
    drop(received);
    let answer = if method == Method::HEAD { String::new() } else { answer };
    response(status, answer, &headers)
}

/// Returns method and path, with the last part of the path that names an API: `POST _bulk`, `GET /`.
fn operation(method: &Method, path: &str) -> String {
    let api = path.split('/').rfind(|part| part.starts_with('_')).unwrap_or("/");
    format!("{method} {api}")
}

fn response(status: StatusCode, answer: String, asked: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::from(answer));
    *response.status_mut() = status;
    // Respond with the requested media type, as Elasticsearch does.
    let accepted = asked.get(header::ACCEPT).filter(|accepted| accepted.as_bytes() != b"*/*");
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, accepted.cloned().unwrap_or(json));
    response.headers_mut().insert(PRODUCT.0, PRODUCT.1);
    response
}

fn who() -> String {
    json!({
        "name": "sink", "cluster_name": "sink", "cluster_uuid": "AAAAAAAAAAAAAAAAAAAAAA",
        "version": {"number": "9.5.3", "build_flavor": "default"}, "tagline": "You Know, for Search",
    })
    .to_string()
}

fn templates() -> String {
    let template = |stream: &str| {
        json!({
            "name": format!("lastpass-elastic.{stream}"),
            "index_template": {"_meta": {"lastpass_elastic": {"version": 1_000}}},
        })
    };
    let streams = ["event_report", "user", "detailed_shared_folder", "dead_letter", "change"];
    json!({"index_templates": streams.map(template)}).to_string()
}

/// Returns a response in which every item is created, and the number of items.
fn bulk(body: &[u8], is_short: bool) -> (String, u64) {
    #[derive(Deserialize)]
    struct Action<'a> {
        #[serde(borrow)]
        create: Create<'a>,
    }
    #[derive(Deserialize)]
    struct Create<'a> {
        #[serde(rename = "_id")]
        id: &'a str,
    }
    let mut answer = String::with_capacity(body.len() / 4);
    answer.push_str(if is_short { r#"{"items":["# } else { r#"{"errors":false,"took":7,"items":["# });
    let mut documents = 0;
    for action in body.split(|byte| *byte == b'\n').step_by(2).filter(|line| !line.is_empty()) {
        let Ok(Action { create: Create { id } }) = serde_json::from_slice(action) else { continue };
        let separator = if documents == 0 { "" } else { "," };
        // Writing to a string does not fail.
        let _ = if is_short {
            write!(answer, r#"{separator}{{"create":{{"_index":"{BACKING_INDEX}","_id":"{id}","status":201}}}}"#)
        } else {
            write!(
                answer,
                r#"{separator}{{"create":{{"_index":"{BACKING_INDEX}","_id":"{id}","_version":1,"result":"created","_shards":{{"total":2,"successful":1,"failed":0}},"_seq_no":{documents},"_primary_term":1,"status":201}}}}"#
            )
        };
        documents += 1;
    }
    answer.push_str("]}");
    (answer, documents)
}

/// Returns a response in which no document is found, with or without the name of each document's index.
fn mget(body: &[u8], names_indices: bool) -> String {
    #[derive(Deserialize)]
    struct Question<'a> {
        #[serde(borrow, rename = "_index", default)]
        index: Option<&'a str>,
        #[serde(borrow, rename = "_id")]
        id: &'a str,
    }
    #[derive(Deserialize)]
    struct Questions<'a> {
        #[serde(borrow, default)]
        docs: Vec<Question<'a>>,
        #[serde(borrow, default)]
        ids: Vec<&'a str>,
    }
    let Ok(asked) = serde_json::from_slice::<Questions<'_>>(body) else { return "{}".to_owned() };
    let all = asked.docs.iter().map(|question| (question.index.unwrap_or(BACKING_INDEX), question.id));
    let all = all.chain(asked.ids.iter().map(|id| (BACKING_INDEX, *id)));
    let entry = |(index, id)| match names_indices {
        true => format!(r#"{{"_index":"{index}","_id":"{id}","found":false}}"#),
        false => format!(r#"{{"_id":"{id}","found":false}}"#),
    };
    let entries: Vec<String> = all.map(entry).collect();
    format!(r#"{{"docs":[{}]}}"#, entries.join(","))
}
