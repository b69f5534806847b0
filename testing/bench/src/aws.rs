//! A minimal stand-in for DynamoDB and Secrets Manager: one secret, and a table that accepts every write.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Response, header},
};
use serde_json::json;

use crate::{Error, server::Server};

/// A running stand-in.
pub(crate) struct Aws {
    server: Server,
    shared: Arc<Shared>,
}

struct Shared {
    secret: String,
    requests: AtomicU64,
}

impl Aws {
    /// Starts a stand-in whose secret has this value.
    pub(crate) async fn start(secret: String) -> Result<Self, Error> {
        let shared = Arc::new(Shared { secret, requests: AtomicU64::new(0) });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        Ok(Self { server: Server::start(router).await?, shared })
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// Returns the number of requests since the last call.
    pub(crate) fn take_requests(&self) -> u64 {
        self.shared.requests.swap(0, Ordering::Relaxed)
    }
}

async fn answer(State(shared): State<Arc<Shared>>, headers: HeaderMap, _body: Bytes) -> Response<Body> {
    shared.requests.fetch_add(1, Ordering::Relaxed);
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let answer = if target.ends_with("GetSecretValue") {
        json!({"ARN": "arn", "Name": "bench", "SecretString": shared.secret}).to_string()
    } else {
        // No item exists, so that every run starts from the beginning.
        "{}".to_owned()
    };
    let mut response = Response::new(Body::from(answer));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/x-amz-json-1.0"));
    response
}
