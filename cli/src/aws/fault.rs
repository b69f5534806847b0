//! Why AWS could not be used, judged once for all services, with what mends it.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_lambda::error::{ProvideErrorMetadata, SdkError};

/// A call, as texts name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The IAM action that it needs, such as `lambda:InvokeFunction`.
    pub action: &'static str,
    /// What it is made on: an ARN or a name.
    pub resource: String,
}

impl Call {
    /// `action` on `resource`.
    #[must_use]
    pub fn new(action: &'static str, resource: impl Into<String>) -> Self {
        Self { action, resource: resource.into() }
    }

    fn service(&self) -> &'static str {
        self.action.split_once(':').map_or(self.action, |(service, _)| service)
    }
}

/// Why AWS could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nothing tells the region.
    #[error(
        "no AWS region is set: give --region eu-west-1 (that of the stack), set AWS_REGION, or name a profile that has one with --profile; `aws configure list-profiles` lists them"
    )]
    NoRegion,
    /// Nobody is logged in.
    #[error(
        "there are no AWS credentials: log in with `aws login`, `aws sso login` or `aws configure`, and name the profile with --profile or AWS_PROFILE where it isn't the default one ({cause})"
    )]
    NoCredentials {
        /// What the search for them said.
        cause: String,
    },
    /// The login has run out.
    #[error(
        "the AWS login has expired: log in again (`aws sso login`, `aws login`, or new session credentials in the environment), with --profile where it isn't the default one ({cause})"
    )]
    Expired {
        /// What was said of it.
        cause: String,
    },
    /// AWS doesn't know the key, or its secret is wrong.
    #[error(
        "AWS refuses the credentials: {cause}. See with `aws sts get-caller-identity` which are used; AWS_ACCESS_KEY_ID in the environment goes before a profile, and session credentials need AWS_SESSION_TOKEN too. The machine's clock has to be right"
    )]
    WrongCredentials {
        /// AWS's own words.
        cause: String,
    },
    /// Whoever is logged in lacks a permission.
    #[error(
        "the permission {action} on {resource} is missing: have it added to the user or role that you are logged in as, or take another --profile (AWS says: {cause})"
    )]
    Forbidden {
        /// The IAM action.
        action: String,
        /// What it is needed on.
        resource: String,
        /// AWS's own words.
        cause: String,
    },
    /// Nothing answered.
    #[error(
        "{service} in {region} can't be reached: see whether the network, a proxy (HTTPS_PROXY) or VPN lets it through, and whether the region is spelled as AWS does ({cause})"
    )]
    Unreachable {
        /// The service.
        service: &'static str,
        /// The region, or where else it was looked for.
        region: String,
        /// What the network said.
        cause: String,
    },
    /// AWS asks to come back later.
    #[error("{service} is asked too often: try again in a minute ({cause})")]
    Throttled {
        /// The service.
        service: &'static str,
        /// AWS's own words.
        cause: String,
    },
    /// Any other refusal.
    #[error("AWS refused {action} on {resource}: {cause}")]
    Refused {
        /// The IAM action.
        action: &'static str,
        /// What it was made on.
        resource: String,
        /// AWS's own words.
        cause: String,
        /// AWS's name of the refusal.
        code: String,
    },
}

/// What a code of AWS means, whichever service gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Expired,
    WrongCredentials,
    Forbidden,
    Throttled,
}

/// Source: "Common Error Types" and the error lists of the API references of CloudFormation, Lambda, Step Functions and
/// STS. What isn't listed is told as it is.
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

impl Fault {
    /// Judges why `call` failed in `region`.
    pub(crate) fn of<E, R>(error: &SdkError<E, R>, call: Call, region: &str) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
        R: std::fmt::Debug + 'static,
    {
        if let Some(fault) = Self::of_credentials(error) {
            return fault;
        }
        match error {
            SdkError::ServiceError(refused) => {
                let refused = refused.err();
                match refused.code() {
                    Some(code) => Self::answered(code, refused.message().unwrap_or("no message"), call),
                    None => Self::unreachable(&call, region, "what answered is not AWS: a proxy, as a rule".to_owned()),
                }
            }
            SdkError::ResponseError(_) => {
                Self::unreachable(&call, region, format!("the answer is not AWS's: {}", chain(error)))
            }
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => Self::unreachable(&call, region, chain(error)),
            _ => Self::Refused {
                action: call.action,
                resource: call.resource,
                cause: chain(error),
                code: "InvalidRequest".to_owned(),
            },
        }
    }

    /// Judges a refusal by its code.
    fn answered(code: &str, message: &str, call: Call) -> Self {
        let cause = format!("{code}: {}", message.trim_end_matches('.'));
        match CODES.iter().find(|(known, _)| *known == code).map(|(_, meaning)| *meaning) {
            Some(Meaning::Expired) => Self::Expired { cause },
            Some(Meaning::WrongCredentials) => Self::WrongCredentials { cause },
            Some(Meaning::Forbidden) => {
                let (action, resource) = denied(message);
                Self::Forbidden {
                    action: action.unwrap_or(call.action).to_owned(),
                    resource: resource.map_or(call.resource, str::to_owned),
                    cause,
                }
            }
            Some(Meaning::Throttled) => Self::Throttled { service: call.service(), cause },
            None => Self::Refused { action: call.action, resource: call.resource, cause, code: code.to_owned() },
        }
    }

    fn unreachable(call: &Call, region: &str, cause: String) -> Self {
        Self::Unreachable { service: call.service(), region: region.to_owned(), cause }
    }

    /// The fault of the login itself, if that is among the causes of `error`.
    fn of_credentials(error: &(dyn StdError + 'static)) -> Option<Self> {
        let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(fault) = error.downcast_ref::<CredentialsError>() {
                let said = chain(fault);
                let is_over = ["expired", "Expired", "refresh"].iter().any(|word| said.contains(word));
                return Some(if is_over { Self::Expired { cause: said } } else { Self::NoCredentials { cause: said } });
            }
            cause = error.source();
        }
        None
    }

    /// The service whose fault it is, where it may be over in a minute, without anyone's doing.
    #[must_use]
    pub const fn transient(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable { service, .. } | Self::Throttled { service, .. } => Some(service),
            Self::NoRegion
            | Self::NoCredentials { .. }
            | Self::Expired { .. }
            | Self::WrongCredentials { .. }
            | Self::Forbidden { .. }
            | Self::Refused { .. } => None,
        }
    }

    /// Its stable name.
    #[must_use]
    pub const fn error_type(&self) -> &'static str {
        match self {
            Self::NoRegion => "Aws.NoRegion",
            Self::NoCredentials { .. } => "Aws.NoCredentials",
            Self::Expired { .. } => "Aws.Expired",
            Self::WrongCredentials { .. } => "Aws.WrongCredentials",
            Self::Forbidden { .. } => "Aws.Forbidden",
            Self::Unreachable { .. } => "Aws.Unreachable",
            Self::Throttled { .. } => "Aws.Throttled",
            Self::Refused { .. } => "Aws.Refused",
        }
    }
}

/// The action and the resource of "… is not authorized to perform: A on resource: R because …".
fn denied(message: &str) -> (Option<&str>, Option<&str>) {
    let word_after = |lead: &str| {
        let (_, rest) = message.split_once(lead)?;
        rest.split_whitespace().next().map(|word| word.trim_end_matches(['.', ','])).filter(|word| !word.is_empty())
    };
    (word_after("not authorized to perform: "), word_after("on resource: "))
}

/// What an error and its causes say, each once.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = String::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_lambda::error::{ConnectorError, ErrorMetadata};

    const FUNCTION: &str = "arn:aws:lambda:eu-west-1:1:function:f";

    fn call() -> Call {
        Call::new("lambda:InvokeFunction", FUNCTION)
    }

    fn answered(code: &str, message: &str) -> Fault {
        let metadata = ErrorMetadata::builder().code(code).message(message).build();
        let error = aws_sdk_lambda::operation::invoke::InvokeError::generic(metadata);
        Fault::of(&SdkError::service_error(error, ()), call(), "eu-west-1")
    }

    #[test]
    fn a_missing_permission_is_named_with_what_it_is_missing_on() {
        let other = "arn:aws:states:eu-west-1:1:stateMachine:s";
        let said = answered(
            "AccessDeniedException",
            &format!(
                "User: arn:aws:iam::1:user/ann is not authorized to perform: states:StartExecution on resource: {other} because no identity-based policy allows it"
            ),
        );
        let text = said.to_string();
        assert!(text.starts_with(&format!("the permission states:StartExecution on {other} is missing")), "{text}");
        assert!(text.contains("user/ann") && said.error_type() == "Aws.Forbidden");
        // Where AWS doesn't name it, the call does.
        let text = answered("AccessDenied", "Access denied").to_string();
        assert!(text.starts_with(&format!("the permission lambda:InvokeFunction on {FUNCTION} is missing")), "{text}");
    }

    #[test]
    fn a_login_that_is_over_is_told_from_a_wrong_one() {
        let text =
            answered("ExpiredTokenException", "The security token included in the request is expired").to_string();
        assert!(text.contains("has expired: log in again (`aws sso login`"), "{text}");
        let text = answered("UnrecognizedClientException", "The security token included in the request is invalid.");
        assert!(text.to_string().contains("`aws sts get-caller-identity`"), "{text}");
    }

    #[test]
    fn what_may_be_over_in_a_minute_is_known() {
        let throttled = answered("TooManyRequestsException", "Rate Exceeded.");
        assert!(throttled.transient().is_some() && throttled.to_string().contains("try again in a minute"));
        let refused = answered("ResourceNotFoundException", "Function not found");
        assert_eq!(refused.transient(), None);
        assert_eq!(
            refused.to_string(),
            format!("AWS refused lambda:InvokeFunction on {FUNCTION}: ResourceNotFoundException: Function not found")
        );
    }

    #[test]
    fn nothing_that_answers_is_told_with_its_region() {
        type Failure = SdkError<aws_sdk_lambda::operation::invoke::InvokeError, ()>;
        let refused = std::io::Error::other("Connection refused (os error 111)");
        let failure = Failure::dispatch_failure(ConnectorError::io(refused.into()));
        let fault = Fault::of(&failure, call(), "eu-wst-1");
        let text = fault.to_string();
        assert!(
            text.starts_with("lambda in eu-wst-1 can't be reached") && text.contains("Connection refused"),
            "{text}"
        );
        assert_eq!(fault.transient(), Some("lambda"));
        let strange = answered_without_code();
        assert!(strange.to_string().contains("what answered is not AWS"), "{strange}");
    }

    fn answered_without_code() -> Fault {
        let error = aws_sdk_lambda::operation::invoke::InvokeError::generic(ErrorMetadata::builder().build());
        Fault::of(&SdkError::service_error(error, ()), call(), "eu-west-1")
    }

    #[test]
    fn no_login_is_told_how_to_log_in() {
        type Failure = SdkError<aws_sdk_lambda::operation::invoke::InvokeError, ()>;
        let of = |error: CredentialsError| {
            Fault::of(&Failure::dispatch_failure(ConnectorError::other(error.into(), None)), call(), "eu-west-1")
        };
        let none = of(CredentialsError::not_loaded("no providers in chain provided credentials"));
        assert_eq!(none.error_type(), "Aws.NoCredentials");
        for way in ["`aws login`", "`aws sso login`", "`aws configure`", "AWS_PROFILE", "no providers in chain"] {
            assert!(none.to_string().contains(way), "{way} in {none}");
        }
        let over = of(CredentialsError::provider_error("the SSO token has expired"));
        assert_eq!(over.error_type(), "Aws.Expired");
    }
}
