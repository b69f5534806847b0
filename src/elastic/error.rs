//! What can go wrong with Elasticsearch, told so that the reader can mend it.
//!
//! A text says what was refused, why, and which setting or page mends it. It holds no body, no record and no key:
//! what Elasticsearch answers may echo what was sent. The cause is the `source()`, never part of the text.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::rights::OLDEST_VERSION;
use crate::http::TlsFault;

/// What was being asked of Elasticsearch when something went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// `GET /`.
    ReadInfo,
    /// `POST _security/user/_has_privileges`.
    CheckRights,
    /// `GET _index_template`, `GET _component_template`.
    ReadTemplates,
    /// `PUT _index_template`, `PUT _component_template`.
    InstallTemplate,
    /// `PUT _ingest/pipeline`.
    InstallPipeline,
    /// `GET _resolve/index`, `GET <index>/_mapping`.
    ListBackingIndices,
    /// `POST _mget`.
    FindIds,
    /// `POST <data stream>/_bulk` with documents.
    Write,
    /// `POST <data stream>/_bulk` with dead letters.
    WriteDeadLetter,
    /// `POST <data stream>/_search`.
    ReadDeadLetters,
    /// `POST <data stream>/_search`, `GET <data stream>/_field_caps`.
    SearchDocuments,
    /// `POST <data stream>/_rollover`, `PUT _data_stream/<data stream>/_lifecycle` and `/_options`.
    UpdateDataStream,
}

impl Doing {
    const fn needs(self) -> &'static str {
        match self {
            Self::ReadInfo | Self::ReadTemplates => "the cluster privilege `monitor`",
            Self::CheckRights => "to be a valid key",
            Self::InstallTemplate => "the cluster privilege `manage_index_templates`",
            Self::InstallPipeline => "the cluster privilege `manage_ingest_pipelines`",
            Self::ListBackingIndices => "the privilege `view_index_metadata` on `logs-lastpass.*-*`",
            Self::FindIds | Self::ReadDeadLetters | Self::SearchDocuments => {
                "the privilege `read` on `logs-lastpass.*-*`"
            }
            Self::Write | Self::WriteDeadLetter => {
                "the privileges `create_doc` and `auto_configure` on `logs-lastpass.*-*`"
            }
            Self::UpdateDataStream => "the privilege `manage` on `logs-lastpass.*-*`",
        }
    }

    const fn role(self) -> &'static str {
        match self {
            Self::InstallTemplate | Self::InstallPipeline | Self::UpdateDataStream => {
                "the installer role, as `elastic_setup_api_key`"
            }
            Self::ReadInfo
            | Self::CheckRights
            | Self::ReadTemplates
            | Self::ListBackingIndices
            | Self::FindIds
            | Self::Write
            | Self::WriteDeadLetter
            | Self::ReadDeadLetters
            | Self::SearchDocuments => "the writer role, as `elastic_api_key`",
        }
    }
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadInfo => "read the version of the cluster",
            Self::CheckRights => "read the rights of the API key",
            Self::ReadTemplates => "read the templates",
            Self::InstallTemplate => "install a template",
            Self::InstallPipeline => "install the ingest pipeline",
            Self::ListBackingIndices => "list the backing indices of a data stream",
            Self::FindIds => "look up which documents exist",
            Self::Write => "write documents",
            Self::WriteDeadLetter => "write a dead letter",
            Self::ReadDeadLetters => "read the dead letters",
            Self::SearchDocuments => "search the data streams",
            Self::UpdateDataStream => "update a data stream",
        })
    }
}

/// What is wrong with an API key that Elasticsearch refused, where it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFault {
    /// It did not say.
    Unsaid,
    /// Its time is over.
    Expired,
    /// Someone invalidated it.
    Invalidated,
    /// There is no key of that id.
    NoSuchKey,
    /// There is a key of that id, with another secret.
    WrongSecret,
    /// It is not the base64 of `id:key`.
    NotEncoded,
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsaid => "",
            Self::Expired => ", which has expired",
            Self::Invalidated => ", which has been invalidated",
            Self::NoSuchKey => ", which this cluster doesn't know (is it another cluster's?)",
            Self::WrongSecret => ", whose id is right and whose rest is not (was it copied whole?)",
            Self::NotEncoded => ", which is not in its encoded form",
        })
    }
}

/// How an answer failed to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// An answer in the form that Kibana's have.
    Kibana,
    /// No connection, or one that was cut.
    Connection,
    /// No whole answer within this time.
    Timeout(Duration),
    /// An answer with this status that says "not now", or that a proxy gave.
    Status(u16),
    /// A redirect, which is not followed: it could carry the key elsewhere.
    Redirect,
    /// An answer that isn't Elasticsearch's JSON.
    NotElasticsearch,
    /// An answer to another number of items, or to other ones, than were sent.
    ItemMismatch {
        /// Items sent.
        sent: usize,
        /// Items answered.
        answered: usize,
    },
    /// Single items were answered with this status and error type.
    Items {
        /// The item's status, 0 where the answer has none.
        status: u16,
        /// The item's `error.type`.
        error_type: String,
    },
}

impl Fault {
    /// Whether a cluster that restarts, or a proxy before it, fails like this.
    pub(super) const fn may_be_a_restart(&self) -> bool {
        match self {
            Self::Connection | Self::Timeout(_) | Self::Status(502..=504) | Self::Items { status: 0 | 503, .. } => true,
            Self::Status(_)
            | Self::Redirect
            | Self::Kibana
            | Self::NotElasticsearch
            | Self::ItemMismatch { .. }
            | Self::Items { .. } => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection => f.write_str("could not be reached, or cut the connection"),
            Self::Timeout(waited) => write!(f, "did not answer within {} s", waited.as_secs_f32().ceil()),
            Self::Kibana => f.write_str("answered as Kibana does (its address is not that of Elasticsearch)"),
            Self::Status(401) => f.write_str(
                "answered 401 in a form that isn't Elasticsearch's, as a proxy does that wants credentials of its own",
            ),
            Self::Status(403) => {
                f.write_str("answered 403 in a form that isn't Elasticsearch's, as a traffic filter or a proxy does")
            }
            Self::Status(404) => f.write_str(
                "answered 404 in a form that isn't Elasticsearch's, as Elastic Cloud does for a deployment that \
                 doesn't exist",
            ),
            Self::Status(407) => f.write_str("was not asked: a proxy in between wants credentials of its own (407)"),
            Self::Status(status) => write!(f, "answered {status}"),
            Self::Redirect => {
                f.write_str("answered with a redirect, which is not followed (Kibana and login pages do)")
            }
            Self::NotElasticsearch => {
                f.write_str("answered something that isn't Elasticsearch's JSON (a proxy or a login page does)")
            }
            Self::ItemMismatch { sent, answered } => {
                write!(f, "answered {answered} items for {sent} that were sent, or others than these")
            }
            Self::Items { status: 0, error_type } => write!(f, "answered items with {error_type}"),
            Self::Items { status, error_type } => write!(f, "answered items with {status} ({error_type})"),
        }
    }
}

/// An error of Elasticsearch, or of the way to it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 401, or a key that can't be a header: revoked, expired or not in its encoded form. Nothing was written.
    #[error(
        "Elasticsearch at {host} refused the API key{why}: create one in Kibana under Stack Management > API keys with the \
         role in assets/roles, copy its encoded form and store it as `elastic_api_key` (for setup, \
         `elastic_setup_api_key`) in the secret"
    )]
    Unauthorized {
        /// The cluster.
        host: String,
        /// What is wrong with the key.
        why: KeyFault,
    },
    /// 403: the key is valid but lacks a right.
    #[error(
        "Elasticsearch at {host} does not let the API key {doing}: it needs {}; create a key with {}, in the secret \
         (assets/roles has both roles)",
        .doing.needs(), .doing.role()
    )]
    Forbidden {
        /// The cluster.
        host: String,
        /// What was refused.
        doing: Doing,
    },
    /// 429 until no further pause fitted before the deadline.
    #[error(
        "Elasticsearch at {host} is overloaded (429) and did not {doing} in time; the next run takes it up. If this \
         stays, give the cluster more capacity or let the schedules run at other times"
    )]
    Throttled {
        /// The cluster.
        host: String,
        /// What was asked.
        doing: Doing,
        /// The pause the answer asked for.
        retry_after: Option<Duration>,
    },
    /// No answer of Elasticsearch's own, also after repetitions.
    #[error(
        "Elasticsearch at {host} {fault}, asked to {doing}: check ELASTICSEARCH_URL or ELASTIC_CLOUD_ID, the health of \
         the cluster, and what lies between (proxy, traffic filter, VPC); the next run takes it up"
    )]
    Unreachable {
        /// The cluster.
        host: String,
        /// What was asked.
        doing: Doing,
        /// How it failed.
        fault: Fault,
        /// The transport's own error, without its URL.
        source: Option<reqwest::Error>,
    },
    /// No safe connection could be made. Not repeated: a certificate doesn't change within an invocation.
    #[error("Elasticsearch at {host} is not trusted: {fault}. {}", mending(.fault))]
    NotTrusted {
        /// The cluster.
        host: String,
        /// What is wrong.
        fault: TlsFault,
        /// The transport's own error, without its URL.
        source: Option<reqwest::Error>,
    },
    /// The invocation's deadline came before the answer. Says nothing against Elasticsearch.
    #[error(
        "the deadline of this invocation came before Elasticsearch at {host} could {doing}; the next run takes it up"
    )]
    OutOfTime {
        /// The cluster.
        host: String,
        /// What was asked.
        doing: Doing,
    },
    /// What `setup` installs is missing.
    #[error("Elasticsearch at {host} did not {doing}: {missing}; invoke the function with {{\"action\": \"setup\"}}")]
    NotSetUp {
        /// The cluster.
        host: String,
        /// What was asked.
        doing: Doing,
        /// What is missing.
        missing: &'static str,
    },
    /// A backing index that may hold the documents can't be read, so nothing tells whether they exist.
    #[error(
        "Elasticsearch at {host} could not {doing}: the backing index {index}, which may hold some of them, {}. Runs that \
         don't need it go on meanwhile", why.told(index)
    )]
    IndexUnreadable {
        /// The cluster.
        host: String,
        /// What was asked.
        doing: Doing,
        /// The index.
        index: String,
        /// Why, and what to do.
        why: Unreadable,
    },
    /// The cluster is older than what is needed. Nothing was installed.
    #[error(
        "Elasticsearch at {host} has version {version}, and {}.{} or later is needed: upgrade the cluster; `setup` \
         changed nothing",
        OLDEST_VERSION.0, OLDEST_VERSION.1
    )]
    TooOld {
        /// The cluster.
        host: String,
        /// Its version.
        version: String,
    },
    /// `setup` would take data streams over from others. Nothing was installed.
    #[error(
        "`setup` changed nothing in Elasticsearch at {host}, because others write there: {}. The index templates of \
         lastpass-elastic would take the place of theirs at once or at the next rollover, and what an Elastic Agent goes on \
         writing would be stored unparsed. Stop the agent's LastPass integration, as docs/from-elastics-integration.md \
         tells, then repeat with {{\"action\": \"setup\", \"take_over\": true}}",
        few(.data_streams)
    )]
    OthersWrite {
        /// The cluster.
        host: String,
        /// Each data stream and whose it is.
        data_streams: Vec<String>,
    },
    /// Elasticsearch's own, lasting refusal: repeating it is of no use before someone mends the cause.
    #[error("Elasticsearch at {host} refused to {doing} ({status} {error_type}{}): {remedy}", detail(.reason))]
    Refused {
        /// The cluster.
        host: String,
        /// What was asked.
        doing: Doing,
        /// The status of the answer or item.
        status: u16,
        /// Its `error.type`.
        error_type: String,
        /// Its reason; only where nothing of a record can be in it.
        reason: Option<String>,
        /// What to do.
        remedy: &'static str,
    },
}

/// Why a backing index can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// It is closed.
    Closed,
    /// Reading it is blocked.
    Blocked,
    /// It could not be read until patience ended: a shard of it is on no node, most often.
    NotNow {
        /// The `error.type` of what was asked.
        error_type: String,
    },
}

impl Unreadable {
    /// What is wrong with `index`, and what to do. Never to delete it: what it holds would be stored again.
    fn told(&self, index: &str) -> String {
        match self {
            Self::Closed => format!("is closed: open it (POST {index}/_open), then send the request again"),
            Self::Blocked => format!(
                "must not be read: take the block off (index.blocks in GET {index}/_settings, such as index.blocks.read; \
                 cluster.blocks in GET _cluster/settings), then send the request again"
            ),
            Self::NotNow { error_type } => format!(
                "can't be read now ({error_type}), most often because one of its shards is on no node: GET \
                 _cluster/allocation/explain tells why. Bring that node back and wait until the index is not red, or \
                 restore the index from a snapshot; then send the request again"
            ),
        }
    }
}

/// What mends a connection that is not safe.
fn mending(fault: &TlsFault) -> &'static str {
    match fault {
        TlsFault::UnknownAuthority => {
            "For a self-managed cluster with an authority of its own, set ELASTICSEARCH_CA (the stack's parameter \
             ElasticsearchCa) to the PEM of that authority's certificate, which Elasticsearch keeps as http_ca.crt; \
             where it is set, it is another authority's"
        }
        TlsFault::OtherName { .. } => {
            "Set ELASTICSEARCH_URL to a host name that the certificate holds, or give the cluster a certificate for this one"
        }
        TlsFault::Expired => "Give the cluster a new certificate",
        TlsFault::NotYetValid => {
            "Give the cluster a certificate that is valid now, and look at the clock of who made it"
        }
        TlsFault::Certificate => {
            "Give the cluster a certificate for its host name, signed by the authority in ELASTICSEARCH_CA or a public \
             one; that of the authority itself does not serve"
        }
        TlsFault::Version => "Have the cluster, or the proxy before it, offer TLS 1.2 or 1.3",
        TlsFault::NotTls => {
            "Check the port in ELASTICSEARCH_URL, and that TLS is on for HTTP (xpack.security.http.ssl.enabled)"
        }
    }
}

/// What mends a refusal by its `error.type` alone, whatever was asked.
static REMEDIES: &[(&str, &str)] = &[
    (
        CLUSTER_BLOCK,
        "the index or the whole cluster is write-blocked or read-only, as Elasticsearch itself makes it when a disk is \
         nearly full (flood-stage watermark): look at GET _cat/allocation, at index.blocks in GET \
         <data stream>/_settings and at cluster.blocks in GET _cluster/settings, give it disk space, and take the \
         block off",
    ),
    (
        SHARD_LIMIT,
        "the cluster has as many shards open as cluster.max_shards_per_node allows, so it makes no index: delete old \
         indices, add a data node, or raise that setting (PUT _cluster/settings)",
    ),
    ("index_closed_exception", "a backing index of the data stream is closed: open it (POST <index>/_open)"),
];

/// The `error.type` of a write-blocked or full index (403, 429) and of a cluster without a master (503).
pub(super) const CLUSTER_BLOCK: &str = "cluster_block_exception";

/// The `error.type` of an index that may not be made because of the limit of shards (400).
pub(super) const SHARD_LIMIT: &str = "validation_exception";

/// Reads an `error.type`. Texts repeat it, so what has not the form of one is not taken over: whatever answers in
/// Elasticsearch's place may put anything there.
///
/// # Errors
/// Where it isn't a text.
pub(super) fn read_error_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(if has_form_of_a_name(&text) { text } else { "unreadable_error_type".to_owned() })
}

/// Whether a text is such as Elasticsearch's names for errors and features are.
pub(super) fn has_form_of_a_name(text: &str) -> bool {
    /// Chosen: the longest of Elasticsearch's own is half of it.
    const MAX_CHARS: usize = 100;
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    (1..=MAX_CHARS).contains(&text.len()) && text.bytes().all(is_part)
}

/// What mends an expired licence, or one that lacks a feature (403).
pub(super) const LICENCE_REMEDY: &str = "the licence of the cluster has expired, or does not cover what is named: see \
    Kibana under Stack Management > License management";

/// What mends a refusal of `error_type`, if that is known without knowing what was asked.
pub(super) fn known_remedy(error_type: &str) -> Option<&'static str> {
    REMEDIES.iter().find(|(known, _)| *known == error_type).map(|(_, remedy)| *remedy)
}

/// A list as a text, cut where it is long.
fn few(names: &[String]) -> String {
    /// Chosen: what a reader looks at.
    const MOST: usize = 8;
    let (named, rest) = names.split_at(names.len().min(MOST));
    let more = if rest.is_empty() { String::new() } else { format!("; and {} more", rest.len()) };
    format!("{}{more}", named.join("; "))
}

fn detail(reason: &Option<String>) -> String {
    reason.as_ref().map(|reason| format!(", {reason}")).unwrap_or_default()
}

impl Error {
    /// The stable name that alarms, documentation and callers use.
    #[must_use]
    pub const fn error_type(&self) -> &'static str {
        match self {
            Self::Unauthorized { .. } => "Elasticsearch.Unauthorized",
            Self::Forbidden { .. } => "Elasticsearch.Forbidden",
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

    /// Whether the question for the rights of a key was refused, because the cluster doesn't know a privilege in it: that
    /// says nothing against the key.
    #[must_use]
    pub const fn is_unknown_privilege(&self) -> bool {
        matches!(self, Self::Refused { doing: Doing::CheckRights, status: 400, .. })
    }

    /// Whether another API key may mend it: then the secret is worth reading again.
    #[must_use]
    pub const fn is_auth(&self) -> bool {
        matches!(self, Self::Unauthorized { .. } | Self::Forbidden { .. })
    }

    /// Whether the same may succeed later without anyone's doing.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Throttled { .. } | Self::Unreachable { .. } | Self::OutOfTime { .. } => true,
            Self::IndexUnreadable { why, .. } => matches!(why, Unreadable::NotNow { .. }),
            Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::NotTrusted { .. }
            | Self::NotSetUp { .. }
            | Self::TooOld { .. }
            | Self::OthersWrite { .. }
            | Self::Refused { .. } => false,
        }
    }

    /// Whether a backing index that may hold the documents can't be read.
    #[must_use]
    pub const fn is_unreadable_index(&self) -> bool {
        matches!(self, Self::IndexUnreadable { .. })
    }

    /// Whether only the invocation's deadline was the cause: then the answer is `partial`, not an error.
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
    fn texts_say_who_refused_what_and_what_mends_it() {
        let cases = [
            (
                Error::Unauthorized { host: host(), why: KeyFault::Expired },
                "Elasticsearch.Unauthorized",
                "Elasticsearch at es.example.com refused the API key, which has expired: create one in Kibana under Stack Management > API keys with the role in assets/roles, copy its encoded form and store it as `elastic_api_key` (for setup, `elastic_setup_api_key`) in the secret",
            ),
            (
                Error::Forbidden { host: host(), doing: Doing::Write },
                "Elasticsearch.Forbidden",
                "Elasticsearch at es.example.com does not let the API key write documents: it needs the privileges `create_doc` and `auto_configure` on `logs-lastpass.*-*`; create a key with the writer role, as `elastic_api_key`, in the secret (assets/roles has both roles)",
            ),
            (
                Error::Throttled { host: host(), doing: Doing::Write, retry_after: None },
                "Elasticsearch.Throttled",
                "Elasticsearch at es.example.com is overloaded (429) and did not write documents in time; the next run takes it up. If this stays, give the cluster more capacity or let the schedules run at other times",
            ),
            (
                Error::Unreachable {
                    host: host(),
                    doing: Doing::FindIds,
                    fault: Fault::Timeout(Duration::from_secs(30)),
                    source: None,
                },
                "Elasticsearch.Unreachable",
                "Elasticsearch at es.example.com did not answer within 30 s, asked to look up which documents exist: check ELASTICSEARCH_URL or ELASTIC_CLOUD_ID, the health of the cluster, and what lies between (proxy, traffic filter, VPC); the next run takes it up",
            ),
            (
                Error::OutOfTime { host: host(), doing: Doing::Write },
                "Elasticsearch.Unreachable",
                "the deadline of this invocation came before Elasticsearch at es.example.com could write documents; the next run takes it up",
            ),
            (
                Error::NotSetUp { host: host(), doing: Doing::Write, missing: "there is no index template for it" },
                "Elasticsearch.NotSetUp",
                "Elasticsearch at es.example.com did not write documents: there is no index template for it; invoke the function with {\"action\": \"setup\"}",
            ),
            (
                Error::Refused {
                    host: host(),
                    doing: Doing::InstallTemplate,
                    status: 400,
                    error_type: "illegal_argument_exception".to_owned(),
                    reason: Some("same priority".to_owned()),
                    remedy: "mend it",
                },
                "Elasticsearch.Refused",
                "Elasticsearch at es.example.com refused to install a template (400 illegal_argument_exception, same priority): mend it",
            ),
        ];
        for (error, error_type, text) in cases {
            assert_eq!(error.error_type(), error_type);
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn callers_can_ask_what_to_do() {
        let out_of_time = Error::OutOfTime { host: host(), doing: Doing::Write };
        assert!(out_of_time.is_out_of_time() && out_of_time.is_retryable() && !out_of_time.is_auth());
        let forbidden = Error::Forbidden { host: host(), doing: Doing::Write };
        assert!(forbidden.is_auth() && !forbidden.is_retryable() && !forbidden.is_out_of_time());
    }
}
