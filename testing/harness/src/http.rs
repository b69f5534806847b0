//! HTTP without TLS, to services on this machine.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::http::request::Builder;
use hyper::{Method, Request, Response};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;

use crate::Error;

/// A client with a connection pool. Clones share the pool.
#[derive(Debug, Clone)]
pub(crate) struct Http(Client<HttpConnector, Full<Bytes>>);

impl Http {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self(Client::builder(TokioExecutor::new()).build(connector))
    }

    /// Sends a request and reads the whole response. `Ok(Err(head))` if the body is incomplete.
    pub(crate) async fn forward(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Result<Response<Bytes>, Response<()>>, hyper_util::client::legacy::Error> {
        let (head, body) = self.0.request(request).await?.into_parts();
        Ok(match body.collect().await {
            Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
            Err(_) => Err(Response::from_parts(head, ())),
        })
    }

    /// Sends a request and returns status and body.
    pub(crate) async fn send(
        &self,
        method: &Method,
        url: &str,
        authorization: &str,
        body: Option<Bytes>,
    ) -> Result<(u16, Bytes), Error> {
        let unanswered = |source| Error::Unanswered { method: method.to_string(), url: url.to_owned(), source };
        let mut request: Builder = Request::builder().method(method).uri(url).header("Authorization", authorization);
        if body.is_some() {
            request = request.header("Content-Type", "application/json");
        }
        let request = request.body(Full::new(body.unwrap_or_default())).map_err(|error| unanswered(error.into()))?;
        match self.forward(request).await {
            Ok(Ok(answer)) => Ok((answer.status().as_u16(), answer.into_body())),
            Ok(Err(_)) => Err(unanswered("its answer broke off".into())),
            Err(error) => Err(unanswered(error.into())),
        }
    }
}
