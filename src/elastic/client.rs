//! Sends requests to Elasticsearch, retries those that are safe to repeat, and turns refusals into an [`Error`].
//!
//! Knows statuses and error types, not documents. A `_bulk` request is not safe to repeat, so its retries are in `send`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::cause::Unanswered;
use super::error::Error;
use super::login::Login;
use super::operation::Operation;
use super::remedy::{CLUSTER_BLOCK, LICENCE_REMEDY, known_remedy};
use super::response::Response;
use super::retry::{FIRST_PAUSE, Pauses, RESTART_RETRY_TIMEOUT, RETRY_TIMEOUT};
use super::transport::{Failure, Request, Transport};
use crate::clock::Deadline;
use crate::endpoint::Endpoint;
use crate::http::TlsFault;

/// Longest time for one request. Chosen: Elasticsearch responds to a bulk of 4 MB within 2 s on two cores. If a cluster
/// needs ten times as long, a retry is better than waiting longer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A client for one cluster with one login. Cheap to clone.
///
/// The `reqwest::Client` should follow no redirects (`redirect::Policy::none()`): a response from another URL is refused,
/// but only after the request was made.
#[derive(Debug, Clone)]
pub struct Client {
    transport: Transport,
    deadline: Deadline,
    /// The name of the user, if a user is logged in and not an API key.
    user: Option<Arc<str>>,
    /// Whether Elasticsearch has responded. Clones share it.
    has_responded: Arc<AtomicBool>,
}

impl Client {
    /// Creates a client for the cluster at `endpoint` with `login`. Its requests end at `deadline`.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] for a key that cannot be sent in a header, such as one with a line break.
    pub fn new(http: reqwest::Client, endpoint: Endpoint, login: &Login, deadline: Deadline) -> Result<Self, Error> {
        let (user, transport) = (login.user().map(Arc::from), Transport::new(http, endpoint, login)?);
        Ok(Self { transport, deadline, user, has_responded: Arc::default() })
    }

    /// Returns this client with another deadline.
    #[must_use]
    pub fn with_deadline(&self, deadline: Deadline) -> Self {
        Self { deadline, ..self.clone() }
    }

    pub(super) fn host(&self) -> String {
        self.transport.host().to_owned()
    }

    /// Sends `request` once.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::NotTrusted`] or [`Error::OutOfTime`]: it is unknown whether Elasticsearch performed
    /// the request.
    pub(super) async fn send(&self, request: &Request<'_>) -> Result<Response, Error> {
        let operation = request.operation;
        let timeout = self.deadline.timeout(REQUEST_TIMEOUT);
        if timeout.is_zero() {
            return Err(Error::OutOfTime { host: self.host(), operation });
        }
        self.transport.send(request, timeout).await.map_err(|failure| match failure {
            Failure::Redirect => self.unreachable(operation, Unanswered::Redirect),
            Failure::TooLarge => self.unreachable(operation, Unanswered::NotElasticsearch),
            Failure::Http(error) => self.http_error(operation, error, timeout),
        })
    }

    /// Returns the pauses between the attempts of a request that may be repeated.
    pub(super) fn pauses(&self) -> Pauses {
        let has_responded = self.has_responded.load(Ordering::Relaxed);
        self.pauses_of(FIRST_PAUSE, if has_responded { RESTART_RETRY_TIMEOUT } else { RETRY_TIMEOUT })
    }

    /// Returns pauses that begin with about `first`, until an unreachable cluster is given up after `retry_timeout`.
    pub(super) fn pauses_of(&self, first: Duration, retry_timeout: Duration) -> Pauses {
        Pauses::new(first, retry_timeout, self.deadline)
    }

    /// Sends `request`, and retries while Elasticsearch is overloaded or unreachable. Only for requests that are safe to
    /// repeat.
    ///
    /// # Errors
    /// Any [`Error`] except [`Error::Refused`]: a refusal is a response, see [`Client::read`].
    pub(super) async fn send_with_retries(&self, request: &Request<'_>) -> Result<Response, Error> {
        let mut pauses = self.pauses();
        loop {
            match self.send_once(request).await {
                Ok(response) => return Ok(response),
                Err(error) => pauses.before_repeating(error).await?,
            }
        }
    }

    /// Sends `request` once. For requests that are not safe to repeat.
    ///
    /// # Errors
    /// As [`Client::send_with_retries`]. After [`Error::Unreachable`], it is unknown whether Elasticsearch performed the
    /// request.
    pub(super) async fn send_once(&self, request: &Request<'_>) -> Result<Response, Error> {
        let response = self.send(request).await?;
        match self.general_error(&response) {
            None => Ok(response),
            Some(error) => Err(error),
        }
    }

    /// Sends `request` as [`Client::send_with_retries`] does, and parses the body of a success.
    ///
    /// # Errors
    /// Any [`Error`]; [`Error::Refused`] with `remedy`.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        request: &Request<'_>,
        remedy: &'static str,
    ) -> Result<T, Error> {
        self.accepted(&self.send_with_retries(request).await?, remedy)
    }

    /// Parses the body of a response.
    ///
    /// # Errors
    /// As [`Client::parse`], and [`Error::Refused`] with `remedy` unless the response is a success.
    pub(super) fn accepted<'a, T: Deserialize<'a>>(
        &self,
        response: &'a Response,
        remedy: &'static str,
    ) -> Result<T, Error> {
        if response.status.is_success() { self.parse(response) } else { Err(self.refused(response, remedy)) }
    }

    /// Parses the body of a success.
    ///
    /// # Errors
    /// [`Error::Unreachable`] for a body that this API does not have: something else responded.
    pub(super) fn parse<'a, T: Deserialize<'a>>(&self, response: &'a Response) -> Result<T, Error> {
        // Checking the whole body for UTF-8 at once is faster than checking each text.
        let body = response.text().and_then(|body| serde_json::from_str(body).ok());
        let body = body.ok_or_else(|| self.unreachable(response.operation, Unanswered::NotElasticsearch))?;
        self.has_responded.store(true, Ordering::Relaxed);
        Ok(body)
    }

    /// Returns the error of a response that does not depend on the API: something else responded, the key is wrong or lacks
    /// a privilege, or the cluster is overloaded.
    pub(super) fn general_error(&self, response: &Response) -> Option<Error> {
        let (host, operation) = (self.host(), response.operation);
        let user = self.user.as_deref().map(str::to_owned);
        match response.status.as_u16() {
            200..=299 => None,
            _ if response.is_from_kibana() => Some(self.unreachable(operation, Unanswered::Kibana)),
            401 if response.error().is_some() => Some(match user {
                Some(user) => Error::UserUnauthorized { host, user },
                None => Error::Unauthorized { host, why: response.key_fault() },
            }),
            429 if response.error_type() != CLUSTER_BLOCK => {
                Some(Error::Throttled { host, operation, retry_after: response.retry_after })
            }
            403 if response.error_type() == "security_exception" => Some(match response.expired_feature() {
                Some(feature) => Error::Refused {
                    host,
                    operation,
                    status: 403,
                    error_type: response.error_type(),
                    reason: Some(format!("licensed feature: {feature}")),
                    remedy: LICENCE_REMEDY,
                },
                None => match user {
                    Some(user) => Error::UserForbidden { host, user, operation },
                    None => Error::Forbidden { host, operation },
                },
            }),
            // From a proxy, or 503 from a restarting cluster: Elasticsearch may have performed the request or not.
            status @ 500..=599 => Some(self.unreachable(operation, Unanswered::Status(status))),
            // A proxy may refuse the size as well, in any form.
            413 => None,
            404 if response.lists_templates() => None,
            status if response.error().is_none() => Some(self.unreachable(operation, Unanswered::Status(status))),
            _ => None,
        }
    }

    /// Returns the [`Error::Refused`] of a response, without Elasticsearch's reason.
    pub(super) fn refused(&self, response: &Response, remedy: &'static str) -> Error {
        let error_type = response.error_type();
        Error::Refused {
            host: self.host(),
            operation: response.operation,
            status: response.status.as_u16(),
            remedy: known_remedy(&error_type).unwrap_or(remedy),
            error_type,
            reason: None,
        }
    }

    pub(super) fn unreachable(&self, operation: Operation, fault: Unanswered) -> Error {
        Error::Unreachable { host: self.host(), operation, fault, source: None }
    }

    fn http_error(&self, operation: Operation, error: reqwest::Error, timeout: Duration) -> Error {
        let host = self.host();
        // The connect timeout is much shorter, so a connection that takes too long is no late response.
        let is_late = error.is_timeout() && !error.is_connect();
        if is_late && timeout < REQUEST_TIMEOUT {
            return Error::OutOfTime { host, operation };
        }
        // While its cluster restarts, a proxy may lack its certificate.
        let is_transient = |fault: &TlsFault| fault.is_transient() && self.has_responded.load(Ordering::Relaxed);
        if let Some(fault) = TlsFault::of(&error).filter(|fault| !is_transient(fault)) {
            return Error::NotTrusted { host, fault, source: Some(error.without_url()) };
        }
        let fault = if is_late {
            Unanswered::Timeout(timeout)
        } else if error.is_decode() {
            Unanswered::NotElasticsearch
        } else {
            Unanswered::Connection
        };
        Error::Unreachable { host, operation, fault, source: Some(error.without_url()) }
    }
}
