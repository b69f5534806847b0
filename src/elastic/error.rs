//! The errors of Elasticsearch.
//!
//! A text says what was refused, why, and which setting or page fixes it. It contains no body, no record and no key, because
//! Elasticsearch may repeat what was sent. The cause is the `source()`, never part of the text.

use std::time::Duration;

use super::cause::{KeyFault, Unanswered, Unreadable};
use super::operation::Operation;
use super::remedy::tls_remedy;
use crate::http::TlsFault;

/// The oldest version that can be used: the first with `require_data_stream`, without which a bulk could create an
/// ordinary index. Source: Elasticsearch, `190_require_data_stream.yml`, "introduced in 8.13.0"
/// (<https://github.com/elastic/elasticsearch/pull/101872>).
pub const OLDEST_VERSION: (u32, u32) = (8, 13);

/// An error of Elasticsearch, or of the connection to it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 401, or a key that cannot be sent: revoked, expired or not in its encoded form. Nothing was written.
    #[error(
        "Elasticsearch at {host} refused the API key{why}: create one in Kibana under Stack Management > API keys with the \
         role in `roles/` of the release (`assets/roles/` in the sources), copy its encoded form and store it as \
         `elastic_api_key` (for setup, `elastic_setup_api_key`) in the secret"
    )]
    Unauthorized {
        /// The cluster.
        host: String,
        /// What is wrong with the key.
        why: KeyFault,
    },
    /// 403: the key is valid but lacks a privilege.
    #[error(
        "Elasticsearch at {host} does not let the API key {operation}: it needs {}; create a key with {} in the \
         secret (both roles are in `roles/` of the release, `assets/roles/` in the sources)",
        .operation.needs(), .operation.role()
    )]
    Forbidden {
        /// The cluster.
        host: String,
        /// The refused operation.
        operation: Operation,
    },
    /// 401: there is no user of this name, or the password is wrong.
    #[error(
        "Elasticsearch at {host} refused the user {user:?} or the password: try both in Kibana. A user who logs in to Kibana \
         through single sign-on, and every user of a serverless project, has no password in Elasticsearch: create two API \
         keys in Kibana, and pass --api-keys"
    )]
    UserUnauthorized {
        /// The cluster.
        host: String,
        /// The name of the user.
        user: String,
    },
    /// 403: the user is valid but lacks a privilege.
    #[error(
        "Elasticsearch at {host} does not let the user {user:?} {operation}: the user needs {}; log in as another user, or have an \
         administrator grant the privilege",
        .operation.needs()
    )]
    UserForbidden {
        /// The cluster.
        host: String,
        /// The name of the user.
        user: String,
        /// The refused operation.
        operation: Operation,
    },
    /// 429 until the next pause would not have ended before the deadline.
    #[error(
        "Elasticsearch at {host} is overloaded (429) and did not {operation} in time; the next run continues. If this \
         persists, give the cluster more capacity or schedule the runs at other times"
    )]
    Throttled {
        /// The cluster.
        host: String,
        /// The operation.
        operation: Operation,
        /// The pause that the response asked for.
        retry_after: Option<Duration>,
    },
    /// No usable response of Elasticsearch, even after retries.
    #[error(
        "The request to {operation} failed, because Elasticsearch at {host} {fault}: check ELASTICSEARCH_URL or \
         ELASTIC_CLOUD_ID, the health of the cluster, and everything on the way to it (proxy, traffic filter, VPC); the next run continues"
    )]
    Unreachable {
        /// The cluster.
        host: String,
        /// The operation.
        operation: Operation,
        /// How it failed.
        fault: Unanswered,
        /// The transport's own error, without its URL.
        source: Option<reqwest::Error>,
    },
    /// There is no safe connection. Not retried, because a certificate does not change within an invocation.
    #[error("Elasticsearch at {host} is not trusted: {fault}. {}", tls_remedy(.fault))]
    NotTrusted {
        /// The cluster.
        host: String,
        /// What is wrong.
        fault: TlsFault,
        /// The transport's own error, without its URL.
        source: Option<reqwest::Error>,
    },
    /// The deadline of the invocation came before the response. Elasticsearch may be healthy.
    #[error(
        "the deadline of this invocation was reached before Elasticsearch at {host} could {operation}; the next run \
         continues"
    )]
    OutOfTime {
        /// The cluster.
        host: String,
        /// The operation.
        operation: Operation,
    },
    /// An asset that `setup` installs is missing.
    #[error(
        "Elasticsearch at {host} did not {operation}: {missing}; invoke the function with {{\"action\": \"setup\"}}"
    )]
    NotSetUp {
        /// The cluster.
        host: String,
        /// The operation.
        operation: Operation,
        /// What is missing.
        missing: &'static str,
    },
    /// A backing index that may hold the documents cannot be read, so it is unknown whether they exist.
    #[error(
        "Elasticsearch at {host} could not {operation}: the backing index {index}, which may contain some of them, \
         {}. Runs that do not need it continue", why.describe(index)
    )]
    IndexUnreadable {
        /// The cluster.
        host: String,
        /// The operation.
        operation: Operation,
        /// The index.
        index: String,
        /// Why, and what to do.
        why: Unreadable,
    },
    /// The version of the cluster is too old. Nothing was installed.
    #[error(
        "Elasticsearch at {host} has version {version}, but {}.{} or later is required: upgrade the cluster; `setup` \
         changed nothing",
        OLDEST_VERSION.0, OLDEST_VERSION.1
    )]
    TooOld {
        /// The cluster.
        host: String,
        /// Its version.
        version: String,
    },
    /// `setup` would take over data streams of others. Nothing was installed.
    #[error(
        "`setup` changed nothing in Elasticsearch at {host}, because other programs write to its data streams: {}. \
         The index templates of lastpass-elastic would replace theirs immediately or at the next rollover, and \
         documents that an Elastic Agent still writes would be stored unparsed. Stop the agent's LastPass \
         integration, as docs/from-elastics-integration.md describes, then send {{\"action\": \"setup\", \
         \"take_over\": true}}",
        few(.data_streams)
    )]
    OthersWrite {
        /// The cluster.
        host: String,
        /// Each data stream and who created it.
        data_streams: Vec<String>,
    },
    /// A permanent refusal: a retry is useless until someone has fixed the cause.
    #[error("Elasticsearch at {host} refused to {operation} ({status} {error_type}{}): {remedy}", detail(.reason))]
    Refused {
        /// The cluster.
        host: String,
        /// The operation.
        operation: Operation,
        /// The status of the response or item.
        status: u16,
        /// Its `error.type`.
        error_type: String,
        /// Its reason, only if it cannot contain parts of a record.
        reason: Option<String>,
        /// What to do.
        remedy: &'static str,
    },
}

/// Joins a list, and counts the rest of a long one.
fn few(names: &[String]) -> String {
    /// Maximum number of names. Chosen: a reader looks at a few.
    const MAX_NAMES: usize = 8;
    let (named, rest) = names.split_at(names.len().min(MAX_NAMES));
    let more = if rest.is_empty() { String::new() } else { format!("; and {} more", rest.len()) };
    format!("{}{more}", named.join("; "))
}

fn detail(reason: &Option<String>) -> String {
    reason.as_ref().map(|reason| format!(", {reason}")).unwrap_or_default()
}

impl Error {
    /// Returns the stable name that alarms, documentation and callers use.
    #[must_use]
    pub const fn error_type(&self) -> &'static str {
        match self {
            Self::Unauthorized { .. } | Self::UserUnauthorized { .. } => "Elasticsearch.Unauthorized",
            Self::Forbidden { .. } | Self::UserForbidden { .. } => "Elasticsearch.Forbidden",
            Self::Throttled { .. } => "Elasticsearch.Throttled",
            Self::Unreachable { .. } | Self::NotTrusted { .. } | Self::OutOfTime { .. } => "Elasticsearch.Unreachable",
            Self::NotSetUp { .. } => "Elasticsearch.NotSetUp",
            Self::IndexUnreadable { why: Unreadable::NotNow { .. }, .. } => "Elasticsearch.Unreachable",
            Self::IndexUnreadable { why: Unreadable::Closed | Unreadable::Blocked, .. }
            | Self::TooOld { .. }
            | Self::OthersWrite { .. }
            | Self::Refused { .. } => "Elasticsearch.Refused",
        }
    }

    /// Returns whether the cluster refused to list the privileges of a key because it does not know one of them. The key may be
    /// valid.
    #[must_use]
    pub const fn is_unknown_privilege(&self) -> bool {
        matches!(self, Self::Refused { operation: Operation::CheckPrivileges, status: 400, .. })
    }

    /// Returns whether another API key may fix it, so that the secret should be read again.
    #[must_use]
    pub const fn is_auth(&self) -> bool {
        matches!(self, Self::Unauthorized { .. } | Self::Forbidden { .. })
    }

    /// Returns whether the same request may succeed later without intervention.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Throttled { .. } | Self::Unreachable { .. } | Self::OutOfTime { .. } => true,
            Self::IndexUnreadable { why, .. } => matches!(why, Unreadable::NotNow { .. }),
            Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::UserUnauthorized { .. }
            | Self::UserForbidden { .. }
            | Self::NotTrusted { .. }
            | Self::NotSetUp { .. }
            | Self::TooOld { .. }
            | Self::OthersWrite { .. }
            | Self::Refused { .. } => false,
        }
    }

    /// Returns whether a backing index that may hold the documents cannot be read.
    #[must_use]
    pub const fn is_unreadable_index(&self) -> bool {
        matches!(self, Self::IndexUnreadable { .. })
    }

    /// Returns whether only the deadline of the invocation was the cause, so that the answer is `partial`, not an error.
    #[must_use]
    pub const fn is_out_of_time(&self) -> bool {
        matches!(self, Self::OutOfTime { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> String {
        "es.example.com".to_owned()
    }

    #[test]
    fn texts_say_which_system_refused_what_and_what_to_do() {
        let cases = [
            (
                Error::Unauthorized { host: host(), why: KeyFault::Expired },
                "Elasticsearch.Unauthorized",
                "Elasticsearch at es.example.com refused the API key, which has expired: create one in Kibana under Stack Management > API keys with the role in `roles/` of the release (`assets/roles/` in the sources), copy its encoded form and store it as `elastic_api_key` (for setup, `elastic_setup_api_key`) in the secret",
            ),
            (
                Error::Forbidden { host: host(), operation: Operation::Write },
                "Elasticsearch.Forbidden",
                "Elasticsearch at es.example.com does not let the API key write documents: it needs the privileges \
                 `create_doc` and `auto_configure` on `logs-lastpass.*-*`; create a key with the writer role, and \
                 store it as `elastic_api_key` in the secret (both roles are in `roles/` of the release, \
                 `assets/roles/` in the sources)",
            ),
            (
                Error::Throttled { host: host(), operation: Operation::Write, retry_after: None },
                "Elasticsearch.Throttled",
                "Elasticsearch at es.example.com is overloaded (429) and did not write documents in time; the next \
                 run continues. If this persists, give the cluster more capacity or schedule the runs at other times",
            ),
            (
                Error::Unreachable {
                    host: host(),
                    operation: Operation::FindIds,
                    fault: Unanswered::Timeout(Duration::from_secs(30)),
                    source: None,
                },
                "Elasticsearch.Unreachable",
                "The request to look up which documents exist failed, because Elasticsearch at es.example.com did not respond \
                 within 30 s: \
                 check ELASTICSEARCH_URL or ELASTIC_CLOUD_ID, the health of the cluster, and everything on the \
                 way to it (proxy, traffic filter, VPC); the next run continues",
            ),
            (
                Error::OutOfTime { host: host(), operation: Operation::Write },
                "Elasticsearch.Unreachable",
                "the deadline of this invocation was reached before Elasticsearch at es.example.com could write \
                 documents; the next run continues",
            ),
            (
                Error::NotSetUp {
                    host: host(),
                    operation: Operation::Write,
                    missing: "there is no index template for it",
                },
                "Elasticsearch.NotSetUp",
                "Elasticsearch at es.example.com did not write documents: there is no index template for it; invoke the function with {\"action\": \"setup\"}",
            ),
            (
                Error::Refused {
                    host: host(),
                    operation: Operation::InstallTemplate,
                    status: 400,
                    error_type: "illegal_argument_exception".to_owned(),
                    reason: Some("same priority".to_owned()),
                    remedy: "fix it",
                },
                "Elasticsearch.Refused",
                "Elasticsearch at es.example.com refused to install a template (400 illegal_argument_exception, same priority): fix it",
            ),
        ];
        for (error, error_type, text) in cases {
            assert_eq!(error.error_type(), error_type);
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn callers_can_ask_how_to_proceed() {
        let out_of_time = Error::OutOfTime { host: host(), operation: Operation::Write };
        assert!(out_of_time.is_out_of_time() && out_of_time.is_retryable() && !out_of_time.is_auth());
        let forbidden = Error::Forbidden { host: host(), operation: Operation::Write };
        assert!(forbidden.is_auth() && !forbidden.is_retryable() && !forbidden.is_out_of_time());
    }
}
