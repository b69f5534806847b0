//! Calls AWS services, retries the calls and judges their errors.
//!
//! This module judges errors for [`checkpoint`](crate::checkpoint) and [`secrets`](crate::secrets), which add the
//! remedy. It knows nothing of items or credentials. A [`CallError`] never holds a response, because the response of
//! Secrets Manager is the secret.
//!
//! The SDK's own retries are disabled ([`retries`]). They stop after three attempts within about a second, ignore the
//! invocation's deadline, and do not appear in the log. Retries are safe, because every write carries an ID that
//! identifies it.

use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use tokio::time::{Instant, sleep, timeout_at};

use crate::clock::{Backoff, Deadline};

/// The cause of an error, for `source()`.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Longest wait for one response. Chosen: both services respond within 0.1 s. A connection that died while the sandbox
/// was frozen must not use up the time of a short invocation.
const ATTEMPT: Duration = Duration::from_secs(3);

/// First pause before a retry. Chosen: the SDK's own retries for DynamoDB begin with 50 ms.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Longest pause before a retry. Chosen: short, because the lease expires meanwhile.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// The class of an error, which determines how the caller handles it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The error may be temporary. The call is retried within the deadline.
    Transient,
    /// The role lacks a permission, or its credentials are refused.
    Forbidden,
    /// A KMS key cannot be used because of its policy, its state, or the role's permissions.
    Key,
    /// The resource does not exist.
    Missing,
    /// Any other error. A retry does not help.
    Refused,
}

/// The verdicts on the error codes of both services. A code that is not listed is judged by its HTTP status.
///
/// Sources: "Error handling with DynamoDB", "GetSecretValue: Errors" and "Common Error Types" of the AWS API
/// references.
const CODES: &[(&str, Verdict)] = &[
    // The throughput of the table or the account, or the limit of the control plane, was exceeded.
    ("ProvisionedThroughputExceededException", Verdict::Transient),
    ("RequestLimitExceeded", Verdict::Transient),
    ("ThrottlingException", Verdict::Transient),
    ("Throttling", Verdict::Transient),
    // Another write of the same item was in progress.
    ("TransactionConflictException", Verdict::Transient),
    ("ReplicatedWriteConflictException", Verdict::Transient),
    ("InternalServerError", Verdict::Transient),
    ("InternalServiceError", Verdict::Transient),
    ("InternalFailure", Verdict::Transient),
    ("ServiceUnavailable", Verdict::Transient),
    ("RequestTimeout", Verdict::Transient),
    ("RequestTimeoutException", Verdict::Transient),
    ("AccessDeniedException", Verdict::Forbidden),
    ("AccessDenied", Verdict::Forbidden),
    ("UnrecognizedClientException", Verdict::Forbidden),
    ("InvalidSignatureException", Verdict::Forbidden),
    ("IncompleteSignature", Verdict::Forbidden),
    ("IncompleteSignatureException", Verdict::Forbidden),
    ("MissingAuthenticationToken", Verdict::Forbidden),
    ("MissingAuthenticationTokenException", Verdict::Forbidden),
    ("RequestExpired", Verdict::Forbidden),
    ("ExpiredTokenException", Verdict::Forbidden),
    ("InvalidClientTokenId", Verdict::Forbidden),
    ("OptInRequired", Verdict::Forbidden),
    ("DecryptionFailure", Verdict::Key),
    ("KMSAccessDeniedException", Verdict::Key),
    ("KMSDisabledException", Verdict::Key),
    ("KMSInvalidStateException", Verdict::Key),
    ("KMSNotFoundException", Verdict::Key),
    ("ResourceNotFoundException", Verdict::Missing),
];

/// The cause of a failed call. Holds no part of the request or response except the service's error code and message.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct CallError {
    pub(crate) verdict: Verdict,
    text: String,
    source: Option<BoxError>,
}

impl CallError {
    /// Builds a temporary fault, such as a call without time left for a response.
    pub(crate) fn transient(text: impl Into<String>) -> Self {
        Self { verdict: Verdict::Transient, text: text.into(), source: None }
    }

    /// Judges an error response. `code` and `message` are `None` if the response is not the service's own.
    pub(crate) fn answered(status: u16, code: Option<&str>, message: Option<&str>) -> Self {
        let Some(code) = code else {
            return Self::transient(format!("the response with HTTP status {status} does not come from the service"));
        };
        let message = message.unwrap_or("no message");
        let listed = CODES.iter().find(|(known, _)| *known == code).map(|(_, verdict)| *verdict);
        let verdict = match listed {
            // An error of a KMS key has no code of its own here. Only the message identifies it.
            Some(Verdict::Forbidden) if message.contains("KMS") || message.contains("kms:") => Verdict::Key,
            Some(verdict) => verdict,
            None if status >= 500 || status == 429 => Verdict::Transient,
            None => Verdict::Refused,
        };
        Self { verdict, text: format!("{code}: {message}"), source: None }
    }
}

impl<E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static> From<SdkError<E>> for CallError {
    fn from(error: SdkError<E>) -> Self {
        match error {
            SdkError::ServiceError(answer) => {
                let (status, error) = (answer.raw().status().as_u16(), answer.err());
                Self::answered(status, error.code(), error.message())
            }
            SdkError::TimeoutError(_) => Self::transient(format!("no response within {ATTEMPT:?}")),
            // The response is dropped, because it may be the secret.
            SdkError::ResponseError(_) => Self::transient("the response was cut off or could not be read"),
            // Every kind of dispatch failure is transient: the SDK classifies a connection that was cut as "other".
            failure @ SdkError::DispatchFailure(_) => Self {
                source: failure.into_source().ok(),
                ..Self::transient("the request could not be sent, or no response arrived")
            },
            other => Self {
                verdict: Verdict::Refused,
                text: "the request could not be built".into(),
                source: other.into_source().ok(),
            },
        }
    }
}

/// Disables the SDK's retries, because [`call`] retries.
pub(crate) fn retries() -> RetryConfig {
    RetryConfig::disabled()
}

/// Returns the timeouts of one attempt. The SDK applies them, because it then drops the connection, which may be dead.
pub(crate) fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).build()
}

/// Returns the pauses between the attempts of a call.
pub(crate) const fn backoff() -> Backoff {
    Backoff::new(FIRST_PAUSE, LONGEST_PAUSE)
}

/// Makes a call and retries it while its fault is [`Verdict::Transient`], for at most `retry_timeout` and never past
/// `deadline`.
pub(crate) async fn call<T, E, Fut>(
    action: &'static str,
    retry_timeout: Duration,
    deadline: Deadline,
    mut attempt: impl FnMut() -> Fut,
) -> Result<T, CallError>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    Fut: Future<Output = Result<T, SdkError<E>>>,
{
    let stop = deadline.instant().min(Instant::now() + retry_timeout);
    let mut backoff = backoff();
    let mut last = None;
    loop {
        let fault = match timeout_at(stop, attempt()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => CallError::from(error),
            Err(_) => return Err(last.unwrap_or_else(|| CallError::transient("no response before the deadline"))),
        };
        let pause = backoff.pause();
        if fault.verdict != Verdict::Transient || Instant::now() + pause >= stop {
            return Err(fault);
        }
        tracing::warn!(action, cause = %fault, pause_ms = pause.as_millis(), "AWS call failed; retrying");
        sleep(pause).await;
        last = Some(fault);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_and_server_errors_are_retried() {
        for code in ["ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"] {
            assert_eq!(CallError::answered(400, Some(code), None).verdict, Verdict::Transient, "{code}");
        }
        assert_eq!(CallError::answered(503, Some("SomethingNew"), None).verdict, Verdict::Transient);
        assert_eq!(CallError::answered(429, Some("SomethingNew"), None).verdict, Verdict::Transient);
    }

    #[test]
    fn a_response_without_a_code_does_not_come_from_the_service() {
        let fault = CallError::answered(200, None, None);
        assert_eq!(fault.verdict, Verdict::Transient);
        assert_eq!(fault.to_string(), "the response with HTTP status 200 does not come from the service");
    }

    #[test]
    fn a_missing_permission_or_resource_is_not_retried() {
        let denied = CallError::answered(400, Some("AccessDeniedException"), Some("User: x is not authorized"));
        assert_eq!(denied.verdict, Verdict::Forbidden);
        assert_eq!(denied.to_string(), "AccessDeniedException: User: x is not authorized");
        assert_eq!(CallError::answered(400, Some("ExpiredTokenException"), None).verdict, Verdict::Forbidden);
        assert_eq!(CallError::answered(400, Some("ValidationException"), None).verdict, Verdict::Refused);
        assert_eq!(CallError::answered(400, Some("ResourceNotFoundException"), None).verdict, Verdict::Missing);
    }

    #[test]
    fn an_unusable_kms_key_is_distinguished_from_a_missing_permission() {
        let kms = CallError::answered(400, Some("AccessDeniedException"), Some("Access to KMS is not allowed"));
        assert_eq!(kms.verdict, Verdict::Key);
        let role = "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: kms:Decrypt on resource: y";
        assert_eq!(CallError::answered(400, Some("AccessDeniedException"), Some(role)).verdict, Verdict::Key);
        assert_eq!(CallError::answered(400, Some("DecryptionFailure"), None).verdict, Verdict::Key);
    }
}
