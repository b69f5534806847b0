//! The error of an AWS call: classifies the failures of all services, and names the remedy of each.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_lambda::error::{ProvideErrorMetadata, SdkError};
use lastpass_elastic::error::with_causes;

use crate::failure::Failure;

/// A call, as error texts name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The required IAM action, such as `lambda:InvokeFunction`.
    pub action: &'static str,
    /// The ARN or the name of the resource.
    pub resource: String,
}

impl Call {
    /// Names the call of `action` on `resource`.
    #[must_use]
    pub fn new(action: &'static str, resource: impl Into<String>) -> Self {
        Self { action, resource: resource.into() }
    }

    fn service(&self) -> &'static str {
        self.action.split_once(':').map_or(self.action, |(service, _)| service)
    }
}

/// A failed AWS call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Neither the options nor the environment nor the profile set a region.
    #[error(
        "no AWS region is set: pass --region eu-west-1 (the region of the stack), set AWS_REGION, or select a profile that sets a region with --profile; `aws configure list-profiles` lists the profiles"
    )]
    NoRegion,
    /// No credentials were found.
    #[error(
        "there are no AWS credentials: log in with `aws login`, `aws sso login` or `aws configure`, and select the profile with --profile or AWS_PROFILE if it is not the default profile ({0})"
    )]
    NoCredentials(String),
    /// The login has expired.
    #[error(
        "the AWS login has expired: log in again (`aws sso login`, `aws login`, or new session credentials in the environment), with --profile if it is not the default profile ({0})"
    )]
    Expired(String),
    /// AWS does not know the access key, or its secret is wrong.
    #[error(
        "AWS refuses the credentials: {0}. `aws sts get-caller-identity` shows which credentials are used; AWS_ACCESS_KEY_ID in the environment takes precedence over AWS_PROFILE and the default profile, and session credentials also need AWS_SESSION_TOKEN. The clock of this machine must be correct"
    )]
    WrongCredentials(String),
    /// The user or role lacks a permission.
    #[error(
        "the permission {action} on {resource} is missing: have it added to the user or role that you are logged in as, or select another --profile (AWS says: {cause})"
    )]
    Forbidden { action: String, resource: String, cause: String },
    /// AWS did not respond.
    #[error(
        "{service} in {region} cannot be reached: check that the network, a proxy (HTTPS_PROXY) or VPN allows the connection, and that the region is spelled correctly ({cause})"
    )]
    Unreachable { service: &'static str, region: String, cause: String },
    /// AWS throttles requests.
    #[error("{service} throttles requests: try again in a minute ({cause})")]
    Throttled { service: &'static str, cause: String },
    /// Any other refusal.
    #[error("AWS refused {action} on {resource}: {cause}")]
    Refused { action: &'static str, resource: String, cause: String },
}

/// The meaning of an error code, which is the same for all services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Expired,
    WrongCredentials,
    Forbidden,
    Throttled,
}

/// The error codes that have a remedy of their own; all others are [`Error::Refused`]. Source: "Common Error Types" and the
/// error lists of the API references of CloudFormation, Lambda, Step Functions and STS.
const CODES: &[(&str, Meaning)] = &[
    ("ExpiredToken", Meaning::Expired),
    ("ExpiredTokenException", Meaning::Expired),
    ("RequestExpired", Meaning::Expired),
    ("AuthFailure", Meaning::WrongCredentials),
    ("IncompleteSignature", Meaning::WrongCredentials),
    ("IncompleteSignatureException", Meaning::WrongCredentials),
    ("InvalidAccessKeyId", Meaning::WrongCredentials),
    ("InvalidClientTokenId", Meaning::WrongCredentials),
    ("InvalidSignatureException", Meaning::WrongCredentials),
    ("MissingAuthenticationToken", Meaning::WrongCredentials),
    ("MissingAuthenticationTokenException", Meaning::WrongCredentials),
    ("SignatureDoesNotMatch", Meaning::WrongCredentials),
    ("UnrecognizedClientException", Meaning::WrongCredentials),
    ("AccessDenied", Meaning::Forbidden),
    ("AccessDeniedException", Meaning::Forbidden),
    ("UnauthorizedOperation", Meaning::Forbidden),
    ("RequestLimitExceeded", Meaning::Throttled),
    ("Throttling", Meaning::Throttled),
    ("ThrottlingException", Meaning::Throttled),
    ("TooManyRequestsException", Meaning::Throttled),
];

impl Error {
    /// Judges why `call` failed in `region`.
    pub fn new<E, R>(error: &SdkError<E, R>, call: Call, region: &str) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
        R: std::fmt::Debug + 'static,
    {
        if let Some(login_error) = Self::of_credentials(error) {
            return login_error;
        }
        match error {
            SdkError::ServiceError(refused) => {
                let refused = refused.err();
                match refused.code() {
                    Some(code) => Self::of_refusal(code, refused.message().unwrap_or("no message"), call),
                    None => Self::unreachable(
                        &call,
                        region,
                        "the response is not from AWS, but probably from a proxy".to_owned(),
                    ),
                }
            }
            SdkError::ResponseError(_) => {
                Self::unreachable(&call, region, format!("the response is not from AWS: {}", with_causes(error)))
            }
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => {
                Self::unreachable(&call, region, with_causes(error))
            }
            _ => Self::Refused { action: call.action, resource: call.resource, cause: with_causes(error) },
        }
    }

    /// Judges a refusal by its code.
    fn of_refusal(code: &str, message: &str, call: Call) -> Self {
        let cause = format!("{code}: {}", message.trim_end_matches('.'));
        match CODES.iter().find(|(known, _)| *known == code).map(|(_, meaning)| *meaning) {
            Some(Meaning::Expired) => Self::Expired(cause),
            Some(Meaning::WrongCredentials) => Self::WrongCredentials(cause),
            Some(Meaning::Forbidden) => {
                let (action, resource) = denied(message);
                Self::Forbidden {
                    action: action.unwrap_or(call.action).to_owned(),
                    resource: resource.map_or(call.resource, str::to_owned),
                    cause,
                }
            }
            Some(Meaning::Throttled) => Self::Throttled { service: call.service(), cause },
            None => Self::Refused { action: call.action, resource: call.resource, cause },
        }
    }

    fn unreachable(call: &Call, region: &str, cause: String) -> Self {
        Self::Unreachable { service: call.service(), region: region.to_owned(), cause }
    }

    /// Finds an error of the login among the causes of `error`.
    fn of_credentials(error: &(dyn StdError + 'static)) -> Option<Self> {
        let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(login_error) = error.downcast_ref::<CredentialsError>() {
                let cause = with_causes(login_error);
                let is_expired = ["expired", "Expired", "refresh"].iter().any(|word| cause.contains(word));
                return Some(if is_expired { Self::Expired(cause) } else { Self::NoCredentials(cause) });
            }
            cause = error.source();
        }
        None
    }
}

impl Failure for Error {
    fn error_type(&self) -> &str {
        match self {
            Self::NoRegion => "Aws.NoRegion",
            Self::NoCredentials(_) => "Aws.NoCredentials",
            Self::Expired(_) => "Aws.Expired",
            Self::WrongCredentials(_) => "Aws.WrongCredentials",
            Self::Forbidden { .. } => "Aws.Forbidden",
            Self::Unreachable { .. } => "Aws.Unreachable",
            Self::Throttled { .. } => "Aws.Throttled",
            Self::Refused { .. } => "Aws.Refused",
        }
    }

    fn transient(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable { service, .. } | Self::Throttled { service, .. } => Some(service),
            Self::NoRegion
            | Self::NoCredentials(_)
            | Self::Expired(_)
            | Self::WrongCredentials(_)
            | Self::Forbidden { .. }
            | Self::Refused { .. } => None,
        }
    }
}

/// Extracts the action and the resource from "… is not authorized to perform: A on resource: R because …".
fn denied(message: &str) -> (Option<&str>, Option<&str>) {
    let word_after = |lead: &str| {
        let (_, rest) = message.split_once(lead)?;
        rest.split_whitespace().next().map(|word| word.trim_end_matches(['.', ','])).filter(|word| !word.is_empty())
    };
    (word_after("not authorized to perform: "), word_after("on resource: "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_lambda::error::{ConnectorError, ErrorMetadata};

    const FUNCTION: &str = "arn:aws:lambda:eu-west-1:1:function:f";

    fn call() -> Call {
        Call::new("lambda:InvokeFunction", FUNCTION)
    }

    fn refusal(code: &str, message: &str) -> Error {
        let metadata = ErrorMetadata::builder().code(code).message(message).build();
        let error = aws_sdk_lambda::operation::invoke::InvokeError::generic(metadata);
        Error::new(&SdkError::service_error(error, ()), call(), "eu-west-1")
    }

    #[test]
    fn a_missing_permission_is_named_with_its_resource() {
        let other = "arn:aws:states:eu-west-1:1:stateMachine:s";
        let error = refusal(
            "AccessDeniedException",
            &format!(
                "User: arn:aws:iam::1:user/ann is not authorized to perform: states:StartExecution on resource: {other} because no identity-based policy allows it"
            ),
        );
        let text = error.to_string();
        assert!(text.starts_with(&format!("the permission states:StartExecution on {other} is missing")), "{text}");
        assert!(text.contains("user/ann") && error.error_type() == "Aws.Forbidden");
        // If AWS does not name them, the call does.
        let text = refusal("AccessDenied", "Access denied").to_string();
        assert!(text.starts_with(&format!("the permission lambda:InvokeFunction on {FUNCTION} is missing")), "{text}");
    }

    #[test]
    fn an_expired_login_and_wrong_credentials_are_different_errors() {
        let text =
            refusal("ExpiredTokenException", "The security token included in the request is expired").to_string();
        assert!(text.contains("has expired: log in again (`aws sso login`"), "{text}");
        let text = refusal("UnrecognizedClientException", "The security token included in the request is invalid.");
        assert!(text.to_string().contains("`aws sts get-caller-identity`"), "{text}");
    }

    #[test]
    fn only_errors_that_a_retry_may_solve_are_transient() {
        let throttled = refusal("TooManyRequestsException", "Rate Exceeded.");
        assert!(throttled.transient().is_some() && throttled.to_string().contains("try again in a minute"));
        let refused = refusal("ResourceNotFoundException", "Function not found");
        assert_eq!(refused.transient(), None);
        assert_eq!(
            refused.to_string(),
            format!("AWS refused lambda:InvokeFunction on {FUNCTION}: ResourceNotFoundException: Function not found")
        );
    }

    #[test]
    fn an_unreachable_service_is_named_with_its_region() {
        type Failure = SdkError<aws_sdk_lambda::operation::invoke::InvokeError, ()>;
        let refused = std::io::Error::other("Connection refused (os error 111)");
        let failure = Failure::dispatch_failure(ConnectorError::io(refused.into()));
        let error = Error::new(&failure, call(), "eu-wst-1");
        let text = error.to_string();
        assert!(
            text.starts_with("lambda in eu-wst-1 cannot be reached") && text.contains("Connection refused"),
            "{text}"
        );
        assert_eq!(error.transient(), Some("lambda"));
        let unknown = refusal_without_code();
        assert!(unknown.to_string().contains("the response is not from AWS"), "{unknown}");
    }

    fn refusal_without_code() -> Error {
        let error = aws_sdk_lambda::operation::invoke::InvokeError::generic(ErrorMetadata::builder().build());
        Error::new(&SdkError::service_error(error, ()), call(), "eu-west-1")
    }

    #[test]
    fn missing_credentials_are_reported_with_the_ways_to_log_in() {
        type Failure = SdkError<aws_sdk_lambda::operation::invoke::InvokeError, ()>;
        let of = |error: CredentialsError| {
            Error::new(&Failure::dispatch_failure(ConnectorError::other(error.into(), None)), call(), "eu-west-1")
        };
        let none = of(CredentialsError::not_loaded("no providers in chain provided credentials"));
        assert_eq!(none.error_type(), "Aws.NoCredentials");
        for way in ["`aws login`", "`aws sso login`", "`aws configure`", "AWS_PROFILE", "no providers in chain"] {
            assert!(none.to_string().contains(way), "{way} in {none}");
        }
        let expired = of(CredentialsError::provider_error("the SSO token has expired"));
        assert_eq!(expired.error_type(), "Aws.Expired");
    }
}
