//! Lambda's Runtime API for one process. Source: "Using the Lambda runtime API for custom runtimes", AWS.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::{get, post};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::process::lock;
use crate::{Error, Outcome, Watch};

/// An invocation on its way to the process.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) request_id: String,
    pub(crate) deadline: Timestamp,
    pub(crate) payload: Bytes,
    pub(crate) outcome: oneshot::Sender<Outcome>,
}

/// A server on its own port. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    address: SocketAddr,
    work: mpsc::UnboundedSender<Work>,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    /// Notified when the process requests an invocation.
    ready: Notify,
    waiting: tokio::sync::Mutex<mpsc::UnboundedReceiver<Work>>,
    current: Mutex<Option<(String, oneshot::Sender<Outcome>)>>,
    watch: Watch,
}

impl RuntimeApi {
    pub(crate) async fn start(watch: Watch) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(Error::Listen)?;
        let address = listener.local_addr().map_err(Error::Listen)?;
        let (work, waiting) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            ready: Notify::new(),
            waiting: tokio::sync::Mutex::new(waiting),
            current: Mutex::new(None),
            watch,
        });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            // It never returns an error.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, work, shared, server })
    }

    /// `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Waits until the process has requested an invocation. Each request is reported once.
    pub(crate) async fn ready(&self) {
        self.shared.ready.notified().await;
    }

    pub(crate) fn hand_over(&self, work: Work) {
        // The receiver lives as long as `shared`.
        let _ = self.work.send(work);
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn next(State(shared): State<Arc<Shared>>) -> Response<Body> {
    shared.ready.notify_one();
    let work = shared.waiting.lock().await.recv().await;
    let Some(Work { request_id, deadline, payload, outcome }) = work else {
        return status(StatusCode::GONE);
    };
    let mut response = Response::new(Body::from(payload));
    let headers = [
        ("Content-Type", "application/json".to_owned()),
        ("Lambda-Runtime-Aws-Request-Id", request_id.clone()),
        ("Lambda-Runtime-Deadline-Ms", deadline.as_millisecond().to_string()),
        (
            "Lambda-Runtime-Invoked-Function-Arn",
            "arn:aws:lambda:us-east-1:000000000000:function:lastpass-elastic".to_owned(),
        ),
        ("Lambda-Runtime-Trace-Id", "Root=1-00000000-000000000000000000000000;Parent=0;Sampled=0".to_owned()),
    ];
    for (name, value) in headers {
        let Ok(value) = value.parse() else { return status(StatusCode::INTERNAL_SERVER_ERROR) };
        response.headers_mut().insert(name, value);
    }
    *lock(&shared.current) = Some((request_id, outcome));
    response
}

async fn response(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> Response<Body> {
    shared.watch.look("an answer", &body);
    finish(&shared, &id, serde_json::from_slice::<Value>(&body).map(Outcome::Answer))
}

async fn error(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Diagnostic {
        error_type: String,
        error_message: String,
    }
    shared.watch.look("an error", &body);
    for value in headers.values() {
        shared.watch.look("a header of an error", value.as_bytes());
    }
    let outcome = serde_json::from_slice(&body)
        .map(|Diagnostic { error_type, error_message }| Outcome::Error { error_type, error_message });
    finish(&shared, &id, outcome)
}

fn finish(shared: &Shared, id: &str, outcome: Result<Outcome, serde_json::Error>) -> Response<Body> {
    let Ok(outcome) = outcome else { return status(StatusCode::BAD_REQUEST) };
    match lock(&shared.current).take_if(|(current, _)| current == id) {
        Some((_, sender)) => {
            // Nobody waits for the outcome after the deadline.
            let _ = sender.send(outcome);
            status(StatusCode::ACCEPTED)
        }
        None => status(StatusCode::BAD_REQUEST),
    }
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
