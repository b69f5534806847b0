//! The errors of LastPass and their remedies.

use std::time::Duration;

use secrecy::SecretString;

use crate::{document::AccountNumber, redact::echoes};

use super::{
    command::{Command, MAX_RESPONSE_MB},
    contradiction::Contradiction,
    time::ApiZone,
};

/// A failed request to LastPass. No text contains a record, a body or a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The hash was reset, or belongs to another account. Not retried; the checkpoint is unchanged.
    #[error(
        "LastPass refused the account number {account} or its provisioning hash{said}: look them up in the LastPass \
         Admin Console, the number on the Dashboard and the hash under Advanced > Enterprise API, and store them as \
         `account_number` and `provisioning_hash` in the secret that SECRET_ARN names (with several accounts, in this \
         account's own secret, whose name begins with SECRET_PREFIX). If they are correct, check whether an IP \
         restriction of the account or a proxy blocks the function"
    )]
    Unauthorized {
        /// The account number that was sent.
        account: AccountNumber,
        /// The reason that LastPass gave, quoted, or nothing.
        said: Reason,
    },
    /// LastPass understood the command and refused it. Not retried; the checkpoint is unchanged.
    #[error(
        "LastPass refused the command `{command}`{said}: only LastPass Business accounts have the Enterprise API; see Advanced > Enterprise API in the Admin Console"
    )]
    Refused {
        /// The command that was refused.
        command: Command,
        /// The reason that LastPass gave, quoted, or nothing.
        said: Reason,
    },
    /// LastPass limits the rate of requests. Retried while the deadline allows.
    #[error(
        "LastPass throttles `{command}` ({form}): the request was retried for {waited:?}, as long as this invocation \
         could wait; the checkpoint keeps the progress, and the next run continues from there. If this persists, \
         lower the rate of the schedules or check what else uses this account's Enterprise API{}",
        form.remedy()
    )]
    Throttled {
        /// The command that was throttled.
        command: Command,
        /// How long the client retried.
        waited: Duration,
        /// The form of the last throttling response.
        form: ThrottlingForm,
    },
    /// The connection was refused, cut or timed out, or the response was 5xx. Retried a few times.
    #[error(
        "LastPass at {host} gave no usable response within {waited:?} ({why}): check the setting LASTPASS_URL, or \
         OTHER_LASTPASS_URL if it is set, and that the function has access to the internet; the checkpoint keeps the \
         progress, and the next run continues from there"
    )]
    Unreachable {
        /// The host of the request.
        host: String,
        /// How long the client retried.
        waited: Duration,
        /// The last fault.
        why: String,
        /// The cause, if the connection gave one. Its URL is removed.
        source: Option<reqwest::Error>,
    },
    /// The response does not come from the API. Retried a few times, because maintenance pages have status 200.
    #[error(
        "LastPass responded to `{command}` with something other than its API's JSON ({why}): check that LASTPASS_URL, \
         or OTHER_LASTPASS_URL if it is set, is the address of enterpriseapi.php and that no proxy responds in its \
         place; a maintenance page of LastPass needs no action, because the next run continues from the checkpoint"
    )]
    BadAnswer {
        /// The command that was sent.
        command: Command,
        /// The problem of the response; never its text.
        why: &'static str,
    },
    /// The response is longer than the function can hold. Not retried unchanged, because smaller pages may be short
    /// enough.
    #[error(
        "LastPass responded to `{command}` with more than {MAX_RESPONSE_MB} MB, which is more than the function reads; \
         the request was for {asked}: check that LASTPASS_URL, or OTHER_LASTPASS_URL if it is set, is the address of \
         enterpriseapi.php and that no proxy responds in its place. If the response is LastPass's own, check that \
         page in the Admin Console for unusually large entries; the checkpoint keeps the progress"
    )]
    TooLarge {
        /// The command that was sent.
        command: Command,
        /// The `data` of the request, which identifies the page.
        asked: String,
    },
    /// The zone setting contradicts the clock or LastPass's own absolute times.
    #[error(
        "the time zone {zone} cannot be that of this LastPass account: {proof}. Set LASTPASS_TIME_ZONE (parameter \
         LastPassTimeZone), or `time_zone` in the secret if it has that field, to the zone in which the Admin Console shows times; nothing from this \
         response was stored, and the checkpoint is unchanged"
    )]
    WrongTimeZone {
        /// The zone setting.
        zone: String,
        /// The evidence against the setting.
        proof: String,
    },
}

/// The form in which LastPass reports throttling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThrottlingForm {
    /// HTTP 429.
    TooManyRequests,
    /// HTTP 403 without a response of the API. LastPass's front end also limits rates in this way.
    Forbidden,
    /// A message in a response with status 200.
    Reported,
}

impl ThrottlingForm {
    /// Names other possible causes and their remedies.
    const fn remedy(self) -> &'static str {
        match self {
            Self::TooManyRequests | Self::Reported => "",
            Self::Forbidden => {
                ". An IP restriction of the account or a proxy may also be the cause: allow the function's address \
                 there. If neither is the cause, compare `account_number` and `provisioning_hash` in the secret with \
                 the Admin Console"
            }
        }
    }
}

impl std::fmt::Display for ThrottlingForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TooManyRequests => "HTTP 429",
            Self::Forbidden => {
                "HTTP 403 with a page that does not come from its API, which its front end sends when \
                                it limits the rate of requests"
            }
            Self::Reported => "it reported too many requests",
        })
    }
}

/// The reason that LastPass gave, safe to print: short, one line, and without the provisioning hash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reason(Option<String>);

impl Reason {
    /// Maximum number of characters of a reason that are kept. Chosen: a sentence or two.
    const MAX_CHARS: usize = 200;

    /// Keeps `reason`, unless it echoes `secret` or a part of it in any spelling.
    #[must_use]
    pub(crate) fn new(reason: &str, secret: &SecretString) -> Self {
        let line: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).take(Self::MAX_CHARS).collect();
        Self((!echoes(reason, secret) && !line.trim().is_empty()).then(|| line.trim().to_owned()))
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(reason) => write!(f, " (it said: {reason:?})"),
            None => Ok(()),
        }
    }
}

impl Error {
    /// Returns the error for a response that contradicts itself, the clock or `zone`.
    #[must_use]
    pub fn of_contradiction(contradiction: &Contradiction, zone: &ApiZone) -> Self {
        let proof = match contradiction {
            Contradiction::AheadOfClock { event, clock } => {
                format!("it places an event at {event}, which is in the future: the clock shows {clock:.0}")
            }
            Contradiction::NextAfterPage { next, oldest } => format!(
                "LastPass says that its next page begins at {next:.0} or earlier, but the zone places the previous \
                 page at {oldest}"
            ),
            Contradiction::NextBeforePage { next, event } => format!(
                "LastPass says that its next page begins at {next:.0} or earlier, but the zone places an event of \
                 that page at {event}"
            ),
            Contradiction::NextNotAdvancing => {
                return Self::BadAnswer { command: Command::Reporting, why: "its `next` does not advance" };
            }
        };
        Self::WrongTimeZone { zone: zone.name().to_owned(), proof }
    }

    /// Returns the stable name of this error in answers, alarms and docs.
    #[must_use]
    pub const fn error_type(&self) -> &'static str {
        match self {
            Self::Unauthorized { .. } => "LastPass.Unauthorized",
            Self::Refused { .. } => "LastPass.Refused",
            Self::Throttled { .. } => "LastPass.Throttled",
            Self::Unreachable { .. } => "LastPass.Unreachable",
            Self::BadAnswer { .. } | Self::TooLarge { .. } => "LastPass.BadAnswer",
            Self::WrongTimeZone { .. } => "LastPass.WrongTimeZone",
        }
    }

    /// Returns whether other credentials may fix the error. LastPass has no error code for this, so every refusal
    /// counts.
    #[must_use]
    pub const fn is_auth(&self) -> bool {
        matches!(self, Self::Unauthorized { .. } | Self::Refused { .. })
    }

    /// Returns whether the invocation's deadline ended the call. Throttled requests are retried until then.
    #[must_use]
    pub const fn is_out_of_time(&self) -> bool {
        matches!(self, Self::Throttled { .. })
    }

    /// Returns whether a response with fewer entries may be short enough.
    #[must_use]
    pub const fn is_too_large(&self) -> bool {
        matches!(self, Self::TooLarge { .. })
    }

    /// Returns whether a later run may succeed without an operator.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Throttled { .. } | Self::Unreachable { .. } | Self::BadAnswer { .. } | Self::TooLarge { .. }
        )
    }
}
