//! One call to Elasticsearch: sends it with its key and a timeout, reads the answer, and turns what isn't one into an
//! [`Error`].
//!
//! Knows statuses and error types, not what a document is. What is repeated, and for how long, is decided here for
//! calls that may be repeated blindly ([`Client::ask`]) and in `send` for `_bulk`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::endpoint::Endpoint;
use super::error::{
    CLUSTER_BLOCK, Doing, Error, Fault, KeyFault, LICENCE_REMEDY, Unreadable, has_form_of_a_name, known_remedy,
    read_error_type,
};
use crate::deadline::{Backoff, Deadline};
use crate::echo::KeyParts;
use crate::http::TlsFault;

/// Longest time of one call. Chosen: a bulk of 4 MB is answered within 2 s on two cores, and a cluster that needs ten
/// times as long is better asked again than waited for.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest answer that is read. Chosen: 2,000 refused items with long reasons are below 4 MB; what is larger is not an
/// answer to what was asked, and must not fill the function's memory.
const MAX_ANSWER_BYTES: usize = 32 << 20;

/// First pause before a call is repeated.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Longest pause before a call is repeated.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long after its first failure an unreachable cluster is asked again that was not heard of before. Chosen: longer
/// than the restart of a proxy, short enough that a wrong address is told soon.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The same for a cluster that has answered in this invocation: until the deadline. It restarts, and whoever fails
/// meanwhile has to be looked after.
pub(super) const PATIENCE_IN_A_RESTART: Duration = Duration::MAX;

/// Plain media types: a next major version refuses the versioned ones (`compatible-with`) of this one.
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// Elasticsearch, as one API key sees it. Cheap to clone.
///
/// The `reqwest::Client` should follow no redirects (`redirect::Policy::none()`): an answer from another URL than the
/// one asked is refused, but by then the request was made.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    endpoint: Endpoint,
    authorization: HeaderValue,
    /// What is taken out of answers: some proxies give back the headers that they don't like.
    key: Arc<KeyParts>,
    /// Whether Elasticsearch has answered. Clones share it.
    was_heard: Arc<AtomicBool>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Client {
    /// A client for the cluster at `endpoint` with an API key in its encoded form.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] for a key that no header can carry, such as one with a line break.
    pub fn new(http: reqwest::Client, endpoint: Endpoint, api_key: &SecretString) -> Result<Self, Error> {
        let authorization = authorization(&endpoint, api_key)?;
        let key = Arc::new(KeyParts::of(api_key));
        Ok(Self { http, endpoint, authorization, key, was_heard: Arc::default() })
    }

    pub(super) fn host(&self) -> String {
        self.endpoint.host().to_owned()
    }

    /// Sends `call` once.
    ///
    /// # Errors
    /// [`Error::Unreachable`] or [`Error::OutOfTime`]: then nothing is known of what became of it.
    pub(super) async fn send(&self, call: &Call<'_>, deadline: Deadline) -> Result<Answer, Error> {
        let timeout = deadline.timeout(CALL_TIMEOUT);
        if timeout.is_zero() {
            return Err(Error::OutOfTime { host: self.host(), doing: call.doing });
        }
        let url = self.endpoint.join(call.path, call.query);
        let mut request = self
            .http
            .request(call.method.clone(), url.clone())
            .timeout(timeout)
            .header(AUTHORIZATION, self.authorization.clone())
            .header(ACCEPT, JSON);
        match &call.body {
            Body::None => {}
            Body::Json(bytes) => request = request.header(CONTENT_TYPE, JSON).body(bytes.clone()),
            Body::GzipJson(bytes) => {
                request = request.header(CONTENT_TYPE, JSON).header(CONTENT_ENCODING, "gzip").body(bytes.clone());
            }
            Body::GzipNdjson(bytes) => {
                request = request.header(CONTENT_TYPE, NDJSON).header(CONTENT_ENCODING, "gzip").body(bytes.clone());
            }
        }
        let fail = |error: reqwest::Error| self.transport(call.doing, error, timeout);
        let mut response = request.send().await.map_err(fail)?;
        if response.status().is_redirection() || *response.url() != url {
            return Err(self.unreachable(call.doing, Fault::Redirect));
        }
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let mut body = Vec::with_capacity(call.expected.as_ref().map_or(0, String::len));
        while let Some(chunk) = response.chunk().await.map_err(fail)? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(self.unreachable(call.doing, Fault::NotElasticsearch));
            }
            body.extend_from_slice(&chunk);
        }
        let is_as_expected =
            response.status().is_success() && call.expected.as_deref().map(str::as_bytes) == Some(&body[..]);
        let body = if is_as_expected {
            // Known to the last byte, it repeats no key.
            self.was_heard.store(true, Ordering::Relaxed);
            body
        } else {
            self.key.take_out_of(body)
        };
        Ok(Answer { doing: call.doing, status: response.status(), retry_after, body, is_as_expected })
    }

    /// The pauses of a call that may be repeated.
    pub(super) fn pauses(&self) -> Pauses {
        let was_heard = self.was_heard.load(Ordering::Relaxed);
        Pauses::new(FIRST_PAUSE, if was_heard { PATIENCE_IN_A_RESTART } else { PATIENCE })
    }

    /// Sends `call` until Elasticsearch answers it: pauses and repeats where it is overloaded or can't be reached.
    /// For calls that may be repeated without harm.
    ///
    /// # Errors
    /// [`Error`], of any kind but [`Error::Refused`]: refusals are answers, see [`Client::read`].
    pub(super) async fn ask(&self, call: &Call<'_>, deadline: Deadline) -> Result<Answer, Error> {
        let mut pauses = self.pauses();
        loop {
            let error = match self.send(call, deadline).await {
                Ok(answer) => match self.trouble(&answer) {
                    None => return Ok(answer),
                    Some(error) => error,
                },
                Err(error) => error,
            };
            pauses.before_repeating(error, deadline).await?;
        }
    }

    /// [`Client::ask`], and the answer's body where it is a success.
    ///
    /// # Errors
    /// [`Error`], also of kind [`Error::Refused`] with `remedy`.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        remedy: &'static str,
        deadline: Deadline,
    ) -> Result<T, Error> {
        let answer = self.ask(call, deadline).await?;
        if !answer.status.is_success() {
            return Err(self.refused(&answer, remedy));
        }
        self.parse(&answer)
    }

    /// Reads the body of a success.
    ///
    /// # Errors
    /// [`Error::Unreachable`] for a body that isn't what this API answers: then something else has answered.
    pub(super) fn parse<'a, T: Deserialize<'a>>(&self, answer: &'a Answer) -> Result<T, Error> {
        // Checked in one pass, which is faster than text by text.
        let body = std::str::from_utf8(&answer.body).ok().and_then(|body| serde_json::from_str(body).ok());
        let body = body.ok_or_else(|| self.unreachable(answer.doing, Fault::NotElasticsearch))?;
        self.was_heard.store(true, Ordering::Relaxed);
        Ok(body)
    }

    /// What is wrong with an answer whatever was asked: its sender, the key, or the moment.
    pub(super) fn trouble(&self, answer: &Answer) -> Option<Error> {
        let (host, doing) = (self.host(), answer.doing);
        match answer.status.as_u16() {
            200..=299 => None,
            _ if answer.is_kibanas() => Some(self.unreachable(doing, Fault::Kibana)),
            401 if answer.error().is_some() => Some(Error::Unauthorized { host, why: answer.key_fault() }),
            429 if answer.error_type() != CLUSTER_BLOCK => {
                Some(Error::Throttled { host, doing, retry_after: answer.retry_after })
            }
            403 if answer.error_type() == "security_exception" => Some(match answer.expired_feature() {
                Some(feature) => Error::Refused {
                    host,
                    doing,
                    status: 403,
                    error_type: answer.error_type(),
                    reason: Some(format!("licensed feature: {feature}")),
                    remedy: LICENCE_REMEDY,
                },
                None => Error::Forbidden { host, doing },
            }),
            // A proxy says these, a restarting cluster 503: Elasticsearch may have done what was asked, or not.
            status @ 500..=599 => Some(self.unreachable(doing, Fault::Status(status))),
            // Needs no body to be understood, and a proxy may give it.
            413 => None,
            404 if answer.lists_templates() => None,
            status if answer.error().is_none() => Some(self.unreachable(doing, Fault::Status(status))),
            _ => None,
        }
    }

    /// The [`Error::Refused`] of an answer, without its reason.
    pub(super) fn refused(&self, answer: &Answer, remedy: &'static str) -> Error {
        let error_type = answer.error_type();
        Error::Refused {
            host: self.host(),
            doing: answer.doing,
            status: answer.status.as_u16(),
            remedy: known_remedy(&error_type).unwrap_or(remedy),
            error_type,
            reason: None,
        }
    }

    pub(super) fn unreachable(&self, doing: Doing, fault: Fault) -> Error {
        Error::Unreachable { host: self.host(), doing, fault, source: None }
    }

    fn transport(&self, doing: Doing, error: reqwest::Error, timeout: Duration) -> Error {
        let host = self.host();
        if error.is_timeout() && timeout < CALL_TIMEOUT {
            return Error::OutOfTime { host, doing };
        }
        // A proxy whose cluster restarts may lack its certificate for a while.
        let may_pass = |fault: &TlsFault| {
            matches!(fault, TlsFault::Version | TlsFault::NotTls) && self.was_heard.load(Ordering::Relaxed)
        };
        if let Some(fault) = TlsFault::of(&error).filter(|fault| !may_pass(fault)) {
            return Error::NotTrusted { host, fault, source: Some(error.without_url()) };
        }
        let fault = if error.is_timeout() {
            Fault::Timeout(timeout)
        } else if error.is_decode() {
            Fault::NotElasticsearch
        } else {
            Fault::Connection
        };
        Error::Unreachable { host, doing, fault, source: Some(error.without_url()) }
    }
}

fn authorization(endpoint: &Endpoint, api_key: &SecretString) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(&format!("ApiKey {}", api_key.expose_secret()))
        .map_err(|_| Error::Unauthorized { host: endpoint.host().to_owned(), why: KeyFault::NotEncoded })?;
    value.set_sensitive(true);
    Ok(value)
}

/// What is to be sent.
pub(super) struct Call<'a> {
    pub(super) doing: Doing,
    pub(super) method: Method,
    pub(super) path: &'a [&'a str],
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) body: Body,
    /// The body that nearly every answer has, to the last byte: it then needs no reading.
    pub(super) expected: Option<String>,
}

impl<'a> Call<'a> {
    /// A call without query and body, of whose answer nothing is known.
    pub(super) const fn new(doing: Doing, method: Method, path: &'a [&'a str]) -> Self {
        Self { doing, method, path, query: &[], body: Body::None, expected: None }
    }
}

/// A body with its media type.
pub(super) enum Body {
    None,
    Json(Vec<u8>),
    GzipJson(Vec<u8>),
    GzipNdjson(Vec<u8>),
}

/// An answer, whatever its status.
pub(super) struct Answer {
    pub(super) doing: Doing,
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Vec<u8>,
    /// Whether it is a success with the body that was expected.
    pub(super) is_as_expected: bool,
}

/// The `error` of an Elasticsearch answer: an object, or a text where no handler took the request.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum ErrorBody {
    Typed {
        #[serde(rename = "type", deserialize_with = "read_error_type")]
        error_type: String,
        #[serde(default)]
        reason: Option<String>,
        #[serde(default)]
        processor_type: Option<String>,
        /// What was wrong with the key, in words.
        #[serde(default)]
        additional_unsuccessful_credentials: Option<String>,
        /// The feature that the licence doesn't cover.
        #[serde(default, rename = "license.expired.feature")]
        expired_feature: Option<String>,
    },
    Text(String),
}

impl Answer {
    pub(super) fn error(&self) -> Option<ErrorBody> {
        #[derive(Deserialize)]
        struct Body {
            error: ErrorBody,
        }
        serde_json::from_slice::<Body>(&self.body).ok().map(|body| body.error)
    }

    /// What is wrong with a key that was refused. Elasticsearch has words for it, and no code.
    fn key_fault(&self) -> KeyFault {
        const WORDS: &[(&str, KeyFault)] = &[
            ("is expired", KeyFault::Expired),
            ("has been invalidated", KeyFault::Invalidated),
            ("unable to find apikey", KeyFault::NoSuchKey),
            ("invalid credentials for API key", KeyFault::WrongSecret),
            ("invalid ApiKey value", KeyFault::NotEncoded),
            ("Illegal base64", KeyFault::NotEncoded),
        ];
        let said = match self.error() {
            Some(ErrorBody::Typed { additional_unsuccessful_credentials: Some(said), .. }) => said,
            _ => return KeyFault::Unsaid,
        };
        WORDS.iter().find(|(words, _)| said.contains(words)).map_or(KeyFault::Unsaid, |(_, fault)| *fault)
    }

    /// The feature that the cluster's licence doesn't cover, where that is why it refused.
    fn expired_feature(&self) -> Option<String> {
        match self.error() {
            Some(ErrorBody::Typed { expired_feature: Some(feature), .. }) if has_form_of_a_name(&feature) => {
                Some(feature)
            }
            Some(ErrorBody::Typed { expired_feature: Some(_), .. }) => Some("unnamed".to_owned()),
            Some(ErrorBody::Typed { expired_feature: None, .. }) => None,
            Some(ErrorBody::Text(_)) | None => None,
        }
    }

    /// Whether this is an error of Kibana: it has a `statusCode` where Elasticsearch's have a `status`.
    fn is_kibanas(&self) -> bool {
        #[derive(Deserialize)]
        struct Body {
            #[expect(dead_code, reason = "only its presence counts")]
            #[serde(rename = "statusCode")]
            status_code: u16,
            #[expect(dead_code, reason = "only its presence counts")]
            error: String,
        }
        !self.status.is_success() && serde_json::from_slice::<Body>(&self.body).is_ok()
    }

    /// Whether this is the list of index templates that a pattern fits: a 404 without `error` where none does.
    fn lists_templates(&self) -> bool {
        #[derive(Deserialize)]
        struct Body {
            #[expect(dead_code, reason = "only its presence counts")]
            index_templates: Vec<serde::de::IgnoredAny>,
        }
        serde_json::from_slice::<Body>(&self.body).is_ok()
    }

    /// The `error.type`, or a word for an answer without one.
    pub(super) fn error_type(&self) -> String {
        match self.error() {
            Some(ErrorBody::Typed { error_type, .. }) => error_type,
            Some(ErrorBody::Text(_)) => "no_handler".to_owned(),
            None => "no_error_type".to_owned(),
        }
    }
}

/// The pauses between the repetitions of one call, and when to stop repeating it.
pub(super) struct Pauses {
    backoff: Backoff,
    first_failure: Option<Instant>,
    last: Option<Error>,
    patience: Duration,
}

impl Pauses {
    pub(super) const fn new(first: Duration, patience: Duration) -> Self {
        Self { backoff: Backoff::new(first, LONGEST_PAUSE), first_failure: None, last: None, patience }
    }

    /// Waits before the call that ended with `error` is repeated.
    ///
    /// # Errors
    /// `error`, where a repetition is of no use, patience is at its end, or the pause would pass the deadline. Where
    /// the deadline cut short a repetition, the error that made it necessary: it tells more.
    pub(super) async fn before_repeating(&mut self, error: Error, deadline: Deadline) -> Result<(), Error> {
        let mut pause = self.backoff.pause();
        match &error {
            Error::Throttled { retry_after, .. } => pause = pause.max(retry_after.unwrap_or_default()),
            Error::Unreachable { fault, .. } => {
                let since = *self.first_failure.get_or_insert_with(Instant::now);
                let patience = if fault.may_be_a_restart() { self.patience } else { self.patience.min(PATIENCE) };
                if since.elapsed() + pause > patience {
                    return Err(error);
                }
            }
            // It may come back, as the shards of a node do that restarts.
            Error::IndexUnreadable { why: Unreadable::NotNow { .. }, .. } => {
                let since = *self.first_failure.get_or_insert_with(Instant::now);
                if since.elapsed() + pause > self.patience {
                    return Err(error);
                }
            }
            Error::OutOfTime { .. } => return Err(self.last.take().unwrap_or(error)),
            Error::Unauthorized { .. }
            | Error::Forbidden { .. }
            | Error::NotTrusted { .. }
            | Error::NotSetUp { .. }
            | Error::IndexUnreadable { .. }
            | Error::TooOld { .. }
            | Error::OthersWrite { .. }
            | Error::Refused { .. } => return Err(error),
        }
        if !deadline.allows(pause) {
            return Err(error);
        }
        tracing::warn!(error = %error, pause_ms = pause.as_millis() as u64, "Elasticsearch is asked again");
        self.last = Some(error);
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreachable(status: u16) -> Error {
        Error::Unreachable {
            host: "es.example.com".to_owned(),
            doing: Doing::Write,
            fault: Fault::Status(status),
            source: None,
        }
    }

    fn long() -> Deadline {
        Deadline::after(Duration::from_secs(3_600))
    }

    #[tokio::test(start_paused = true)]
    async fn an_unreachable_cluster_is_asked_until_patience_ends() {
        let patience = Duration::from_millis(200);
        let started = Instant::now();
        let mut pauses = Pauses::new(Duration::from_millis(10), patience);
        let mut calls = 1;
        while pauses.before_repeating(unreachable(503), long()).await.is_ok() {
            calls += 1;
        }
        assert!(started.elapsed() <= patience);
        assert!((3..15).contains(&calls), "{calls}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_pause_passes_the_deadline() {
        let mut pauses = Pauses::new(FIRST_PAUSE, PATIENCE);
        let throttled = |retry_after| Error::Throttled {
            host: "es.example.com".to_owned(),
            doing: Doing::Write,
            retry_after: Some(Duration::from_secs(retry_after)),
        };
        let deadline = Deadline::after(Duration::from_secs(59));
        let started = Instant::now();
        let error = pauses.before_repeating(throttled(60), deadline).await.unwrap_err();
        assert_eq!(error.error_type(), "Elasticsearch.Throttled");
        assert_eq!(started.elapsed(), Duration::ZERO);
        pauses.before_repeating(throttled(1), deadline).await.unwrap();
        assert!(started.elapsed() >= Duration::from_secs(1));
    }

    #[tokio::test]
    async fn what_a_deadline_cut_short_is_told_by_what_came_before() {
        let out_of_time = || Error::OutOfTime { host: "es.example.com".to_owned(), doing: Doing::Write };
        let mut pauses = Pauses::new(Duration::from_millis(1), PATIENCE);
        assert!(pauses.before_repeating(out_of_time(), long()).await.unwrap_err().is_out_of_time());
        pauses.before_repeating(unreachable(502), long()).await.unwrap();
        let error = pauses.before_repeating(out_of_time(), long()).await.unwrap_err();
        assert!(error.to_string().contains("answered 502"), "{error}");
    }
}
