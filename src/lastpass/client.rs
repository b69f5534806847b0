//! Sends commands to the Enterprise API and judges the responses.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use reqwest::{StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    backoff::{FIRST_LOW_PRIORITY_PAUSE, FIRST_PAUSE, Throttled},
    command::{Command, MAX_RESPONSE_BYTES},
    error::{Error, Reason, ThrottlingForm},
    problem::is_refusal,
    wire,
};
use crate::{
    clock::{Backoff, Deadline},
    document::AccountNumber,
    endpoint::LastPassUrl,
    http::{TlsFault, retry_after},
};

/// Longest wait for one response. Chosen: LastPass takes seconds for a page of 10,000 events, so a minute of silence is
/// a dead connection.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest time spent in pauses before an unreachable host is given up. Chosen: about five tries. After that, the next
/// scheduled run is the better retry.
const FAULT_RETRY_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest part of an error's body that is read. Chosen: LastPass's own refusals are one line.
const MAX_REFUSAL_BYTES: usize = 64 << 10;

/// The credentials of a LastPass account.
#[derive(Clone)]
pub struct Account {
    /// The account number.
    pub number: AccountNumber,
    /// The provisioning hash.
    pub provisioning_hash: SecretString,
}

/// A client for one account of the Enterprise API, whose requests end at a deadline. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    url: LastPassUrl,
    account: Account,
    api_user: Option<String>,
    first_throttled_pause: Duration,
    deadline: Deadline,
    history: Arc<History>,
}

/// The requests of a client and all its clones.
#[derive(Default)]
struct History {
    requests: AtomicU64,
    throttled: AtomicU64,
    /// The reason that LastPass gave when it refused these credentials. They are not sent again.
    refused: OnceLock<Reason>,
}

/// Prints neither the hash nor the path of the URL.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("host", &self.url.host())
            .field("account", &self.account.number)
            .finish_non_exhaustive()
    }
}

/// The failure of one try.
enum Fault {
    Throttled { form: ThrottlingForm, retry_after: Option<Duration> },
    Unreachable { why: String, source: Option<reqwest::Error> },
    BadAnswer { why: &'static str },
    Final(Error),
}

impl Client {
    /// Builds a client for `account` at `url` (`LASTPASS_URL`).
    #[must_use]
    pub fn new(http: reqwest::Client, url: LastPassUrl, account: Account, deadline: Deadline) -> Self {
        Self {
            http,
            url,
            account,
            api_user: None,
            first_throttled_pause: FIRST_PAUSE,
            deadline,
            history: Arc::default(),
        }
    }

    /// Returns this client with another deadline. Both count their requests together.
    #[must_use]
    pub fn with_deadline(&self, deadline: Deadline) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// Returns when its requests end.
    #[must_use]
    pub const fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Makes this a client for low-priority work: when LastPass throttles, live runs retry first.
    #[must_use]
    pub fn low_priority(self) -> Self {
        Self { first_throttled_pause: FIRST_LOW_PRIORITY_PAUSE, ..self }
    }

    /// Adds `api_user` to `reporting` requests (`apiuser`), if it is set.
    #[must_use]
    pub fn with_api_user(self, api_user: Option<String>) -> Self {
        Self { api_user, ..self }
    }

    /// Returns the user that its `reporting` requests name.
    #[must_use]
    pub fn api_user(&self) -> Option<&str> {
        self.api_user.as_deref()
    }

    /// Returns how many requests were sent, retries included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.history.requests.load(Ordering::Relaxed)
    }

    /// Returns how many requests LastPass throttled: with 429, with a 403 that its API did not send, or with a message
    /// that there are too many requests.
    #[must_use]
    pub fn throttled(&self) -> u64 {
        self.history.throttled.load(Ordering::Relaxed)
    }

    /// Sends `command` until LastPass responds, and passes the response to `read`.
    ///
    /// # Errors
    /// Every [`Error`] but `WrongTimeZone`. Faults are retried with backoff while the deadline allows. A response that
    /// the API did not send is such a fault. Credentials that were refused once are not sent again.
    pub(super) async fn call<T>(
        &self,
        command: Command,
        data: &Value,
        read: impl Fn(&str) -> Result<T, wire::Problem>,
    ) -> Result<T, Error> {
        if let Some(said) = self.history.refused.get() {
            return Err(Error::Unauthorized { account: self.account.number.clone(), said: said.clone() });
        }
        let started = Instant::now();
        let mut backoff = Backoff::new(FIRST_PAUSE, FAULT_RETRY_TIMEOUT);
        let mut throttled = Throttled::new(self.first_throttled_pause);
        let mut paused = Duration::ZERO;
        loop {
            let fault = match self.send(command, data, &read).await {
                Ok(result) => return Ok(result),
                Err(fault) => fault,
            };
            let pause = match &fault {
                Fault::Throttled { retry_after, .. } => {
                    self.history.throttled.fetch_add(1, Ordering::Relaxed);
                    throttled.pause(*retry_after, self.deadline.remaining())
                }
                Fault::Unreachable { source: Some(error), .. }
                    if TlsFault::of(error).is_some_and(|fault| !fault.is_transient()) =>
                {
                    None
                }
                Fault::Unreachable { .. } | Fault::BadAnswer { .. } => {
                    let pause = backoff.pause();
                    paused += pause;
                    Some(pause).filter(|pause| paused <= FAULT_RETRY_TIMEOUT && self.deadline.allows(*pause))
                }
                Fault::Final(_) => None,
            };
            let Some(pause) = pause else {
                return Err(self.error(command, fault, started.elapsed()));
            };
            tracing::info!(command = command.as_str(), ?pause, "the request to LastPass failed; retrying");
            tokio::time::sleep(pause).await;
        }
    }

    async fn send<T>(
        &self,
        command: Command,
        data: &Value,
        read: impl Fn(&str) -> Result<T, wire::Problem>,
    ) -> Result<T, Fault> {
        let hash = self.account.provisioning_hash.expose_secret();
        let body =
            json!({"cid": self.account.number.as_str(), "provhash": hash, "cmd": command.as_str(), "data": data});
        self.history.requests.fetch_add(1, Ordering::Relaxed);
        let mut response = self
            .http
            .post(self.url.as_url().clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .timeout(self.deadline.timeout(CALL_TIMEOUT))
            .body(body.to_string())
            .send()
            .await
            .map_err(unreachable)?;
        let status = response.status();
        let limit = if status.is_success() { MAX_RESPONSE_BYTES } else { MAX_REFUSAL_BYTES };
        let headers = std::mem::take(response.headers_mut());
        let mut bytes = Vec::new();
        if status.is_success() || may_refuse(status) {
            while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
                if bytes.len() + chunk.len() > limit {
                    if status.is_success() {
                        return Err(Fault::Final(Error::TooLarge { command, asked: data.to_string() }));
                    }
                    break;
                }
                bytes.extend_from_slice(&chunk);
            }
        }
        self.judge(command, (status, &headers, &bytes), read)
    }

    /// Passes the body of a success to `read`, and classifies any other response.
    fn judge<T>(
        &self,
        command: Command,
        (status, headers, bytes): (StatusCode, &header::HeaderMap, &[u8]),
        read: impl Fn(&str) -> Result<T, wire::Problem>,
    ) -> Result<T, Fault> {
        let body = wire::text_of(bytes);
        if status.is_success() {
            return read(&body).map_err(|problem| self.fault(command, problem));
        }
        if may_refuse(status)
            && let Some(problem) = wire::refusal(&body)
        {
            return Err(self.fault(command, problem));
        }
        let code = format!("HTTP {}", status.as_u16());
        Err(match status {
            StatusCode::TOO_MANY_REQUESTS => {
                Fault::Throttled { form: ThrottlingForm::TooManyRequests, retry_after: retry_after(headers) }
            }
            // LastPass's front end returns 403 at random when it limits rates (LASTPASS_API.md, "Recordings and other
            // clients"). The API itself returns 200.
            StatusCode::FORBIDDEN => {
                Fault::Throttled { form: ThrottlingForm::Forbidden, retry_after: retry_after(headers) }
            }
            StatusCode::UNAUTHORIZED => self.credentials_refused(&code),
            _ if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
                Fault::Unreachable { why: format!("it returned {code}"), source: None }
            }
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::GONE => {
                Fault::BadAnswer { why: "there is no API at that address" }
            }
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Fault::BadAnswer { why: "a proxy on the way to it requires credentials" }
            }
            _ if status.is_redirection() => Fault::BadAnswer { why: "it redirects to another address" },
            _ => self.refused(command, &code),
        })
    }

    /// Converts the problem of a body that is not the response to `command` to a fault.
    fn fault(&self, command: Command, problem: wire::Problem) -> Fault {
        match problem {
            wire::Problem::NotTheApi(why) => Fault::BadAnswer { why },
            wire::Problem::Throttled => Fault::Throttled { form: ThrottlingForm::Reported, retry_after: None },
            wire::Problem::Fail { reason } if is_refusal(&reason) => self.credentials_refused(&reason),
            wire::Problem::Fail { reason } if is_about_credentials(&reason) => self.unauthorized(&reason),
            wire::Problem::Fail { reason } => self.refused(command, &reason),
        }
    }

    /// Returns the error of a call that is given up after `waited`.
    fn error(&self, command: Command, fault: Fault, waited: Duration) -> Error {
        match fault {
            Fault::Throttled { form, .. } => Error::Throttled { command, waited, form },
            Fault::Unreachable { why, source } => {
                Error::Unreachable { host: self.url.host().to_owned(), waited, why, source }
            }
            Fault::BadAnswer { why } => Error::BadAnswer { command, why },
            Fault::Final(error) => error,
        }
    }

    fn refused(&self, command: Command, reason: &str) -> Fault {
        let said = Reason::new(reason, &self.account.provisioning_hash);
        Fault::Final(Error::Refused { command, said })
    }

    /// Returns the error of a command that the credentials do not allow. Others may be allowed.
    fn unauthorized(&self, reason: &str) -> Fault {
        let said = Reason::new(reason, &self.account.provisioning_hash);
        Fault::Final(Error::Unauthorized { account: self.account.number.clone(), said })
    }

    /// Returns the error of credentials that no command accepts, and remembers it.
    fn credentials_refused(&self, reason: &str) -> Fault {
        self.history.refused.get_or_init(|| Reason::new(reason, &self.account.provisioning_hash));
        self.unauthorized(reason)
    }
}

/// Returns whether the body of an error response may be LastPass's own refusal. The body of a 401 adds nothing.
fn may_refuse(status: StatusCode) -> bool {
    const OTHERS: &[StatusCode] = &[
        StatusCode::UNAUTHORIZED,
        StatusCode::NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED,
        StatusCode::PROXY_AUTHENTICATION_REQUIRED,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::GONE,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    status.is_client_error() && !OTHERS.contains(&status)
}

/// Returns whether the reason of a `FAIL` may be about the credentials. The wording is not documented. The result only
/// chooses between two errors, both of which make the function read the secret again.
fn is_about_credentials(reason: &str) -> bool {
    const WORDS: &[&str] =
        &["auth", "hash", "credential", "cid", "account number", "secret", "denied", "permission", "login", "api key"];
    let reason = reason.to_lowercase();
    WORDS.iter().any(|word| reason.contains(word))
}

fn unreachable(error: reqwest::Error) -> Fault {
    let why = if let Some(fault) = TlsFault::of(&error) {
        fault.to_string()
    } else if error.is_connect() {
        "no connection".to_owned()
    } else if error.is_timeout() {
        "it did not respond in time".to_owned()
    } else {
        "the connection was closed".to_owned()
    };
    Fault::Unreachable { why, source: Some(error.without_url()) }
}

/// Judges responses without a server.
#[cfg(test)]
impl Client {
    /// Reads a response with this status and body by `read`.
    pub(super) fn read_response<T>(
        &self,
        command: Command,
        (status, body): (u16, &[u8]),
        read: impl Fn(&str) -> Result<T, wire::Problem>,
    ) -> Result<T, Error> {
        let status = StatusCode::from_u16(status).unwrap_or_default();
        self.judge(command, (status, &header::HeaderMap::new(), body), read)
            .map_err(|fault| self.error(command, fault, Duration::from_secs(10)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_echoes_the_hash_is_left_out() {
        let hash = &SecretString::from("0123456789abcdef0123456789abcdef");
        for echo in [
            format!("bad hash {}", hash.expose_secret()),
            "bad MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY= here".to_owned(),
            "the hash 01234567… is unknown".to_owned(),
            "the hash ********89ABCDEF is unknown".to_owned(),
        ] {
            assert_eq!(Reason::new(&echo, hash).to_string(), "", "{echo}");
        }
        assert_eq!(Reason::new("no", &SecretString::from("")).to_string(), " (it said: \"no\")");
        assert_eq!(Reason::new("Authorization\nError", hash).to_string(), " (it said: \"Authorization Error\")");
    }
}
