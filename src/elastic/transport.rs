//! Sends one request to Elasticsearch, with a login, a timeout and a limit on the size of the response.
//!
//! # Why the official client does not send the requests
//! The crate `elasticsearch` supplies the paths of the APIs (`BulkParts`, `MgetParts` and so on), the media types, and
//! the type of error responses (see [`super::response`]). Its transport, as of 9.1.0-alpha.1, accepts no
//! [`reqwest::Client`] (<https://github.com/elastic/elasticsearch-rs/issues/55>), and with its own one it would break
//! promises of this project:
//!
//! - It follows redirects. A redirect from https to http of the same host sends the API key in plain text.
//! - It reads responses of any unpacked size: 1.5 MB of gzip took 3 GB of memory.
//! - It has no connect timeout, and resumes no TLS session.
//! - It accepts a CA of the cluster's own only with ring, a second crypto provider, and with built-in roots.
//! - The `Debug` form of its credentials contains the API key.
//!
//! When a release accepts our client, [`Transport::send`] can call it, and no other file has to change.
//!
//! Nor does the crate write the bodies of bulk requests: `BulkOperation` takes a document as a value, not as the JSON
//! text that `streams` has already written, and keeps the whole body in memory before it is compressed. A test in
//! [`super::encode`] compares our bodies with the crate's.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::encode::json;
use super::error::Error;
use super::login::Login;
use super::operation::Operation;
use super::response::Response;
use crate::endpoint::Endpoint;
use crate::http::retry_after;
use crate::redact::SecretParts;
use elasticsearch::http::headers::{
    ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, DEFAULT_ACCEPT, DEFAULT_CONTENT_TYPE, HeaderValue,
};
use reqwest::Method;
use serde::Serialize;

/// Maximum size of a response that is read, in bytes. Chosen: 2,000 refused items with long reasons are below 4 MB. Anything
/// larger is not a response to our requests, and must not fill the function's memory.
const MAX_RESPONSE_BYTES: usize = 32 << 20;

/// The media type of bulk bodies. It names no version, because the next major version would refuse that of this one.
const NDJSON: &str = "application/x-ndjson";

/// Sends requests to one cluster with one login.
#[derive(Clone)]
pub(super) struct Transport {
    http: reqwest::Client,
    endpoint: Endpoint,
    /// None sends no login, to learn only whether Elasticsearch responds.
    authorization: Option<HeaderValue>,
    /// Removed from responses, because some proxies repeat the headers that they reject.
    secret: Arc<SecretParts>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Transport {
    /// Prepares requests to the cluster at `endpoint`.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] for a key that cannot be sent in a header, such as one with a line break.
    pub(super) fn new(http: reqwest::Client, endpoint: Endpoint, login: &Login) -> Result<Self, Error> {
        let authorization = login.authorization(endpoint.host())?;
        Ok(Self { http, endpoint, authorization, secret: Arc::new(login.parts()) })
    }

    /// Returns the host of the cluster, for error texts.
    pub(super) fn host(&self) -> &str {
        self.endpoint.host()
    }

    /// Sends `request` once and reads the response, whatever its status.
    ///
    /// # Errors
    /// [`Failure`]: it is unknown whether Elasticsearch performed the request.
    pub(super) async fn send(&self, request: &Request<'_>, timeout: Duration) -> Result<Response, Failure> {
        let url = self.endpoint.join(&request.path, request.query);
        let mut builder =
            self.http.request(request.method.clone(), url.clone()).timeout(timeout).header(ACCEPT, DEFAULT_ACCEPT);
        if let Some(authorization) = &self.authorization {
            builder = builder.header(AUTHORIZATION, authorization.clone());
        }
        builder = match &request.body {
            Body::None => builder,
            Body::Json(bytes) => builder.header(CONTENT_TYPE, DEFAULT_CONTENT_TYPE).body(bytes.clone()),
            Body::GzipJson(bytes) => {
                builder.header(CONTENT_TYPE, DEFAULT_CONTENT_TYPE).header(CONTENT_ENCODING, "gzip").body(bytes.clone())
            }
            Body::GzipNdjson(bytes) => {
                builder.header(CONTENT_TYPE, NDJSON).header(CONTENT_ENCODING, "gzip").body(bytes.clone())
            }
        };
        let mut response = builder.send().await?;
        if response.status().is_redirection() || *response.url() != url {
            return Err(Failure::Redirect);
        }
        let status = response.status();
        let retry_after = retry_after(response.headers());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_RESPONSE_BYTES {
                return Err(Failure::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response { operation: request.operation, status, retry_after, body: self.secret.redact(body) })
    }
}

/// The cause of a missing response.
pub(super) enum Failure {
    /// The response was a redirect, which is not followed.
    Redirect,
    /// The response was larger than [`MAX_RESPONSE_BYTES`].
    TooLarge,
    /// The connection failed, or the time was over.
    Http(reqwest::Error),
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error)
    }
}

/// A request to one API of Elasticsearch.
pub(super) struct Request<'a> {
    /// What the request is for, for error texts.
    pub(super) operation: Operation,
    pub(super) method: Method,
    /// The path of the API, as the official client builds it.
    pub(super) path: Cow<'static, str>,
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) body: Body,
}

impl Request<'_> {
    /// Creates a request without query and body.
    pub(super) const fn new(operation: Operation, method: Method, path: Cow<'static, str>) -> Self {
        Self { operation, method, path, query: &[], body: Body::None }
    }

    /// Returns this request with a body.
    pub(super) fn with_json(self, body: &impl Serialize) -> Self {
        Self { body: Body::Json(json(body)), ..self }
    }
}

/// A body with its media type.
pub(super) enum Body {
    None,
    Json(Vec<u8>),
    GzipJson(Vec<u8>),
    GzipNdjson(Vec<u8>),
}
