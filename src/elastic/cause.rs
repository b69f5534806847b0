//! The causes of failed requests, as error texts name them.

use std::fmt;
use std::time::Duration;

/// The fault of a rejected API key, if Elasticsearch names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFault {
    /// Elasticsearch did not say.
    Unknown,
    /// It has expired.
    Expired,
    /// It was invalidated.
    Invalidated,
    /// No key has its ID.
    NoSuchKey,
    /// The key with its ID has another secret.
    WrongSecret,
    /// It is not the base64 of `id:key`.
    NotEncoded,
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "",
            Self::Expired => ", which has expired",
            Self::Invalidated => ", which has been invalidated",
            Self::NoSuchKey => ", which this cluster does not know (does it belong to another cluster?)",
            Self::WrongSecret => ", whose ID exists but whose secret is wrong (was it copied completely?)",
            Self::NotEncoded => ", which is not in the encoded form",
        })
    }
}

/// The cause of a missing or unusable response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unanswered {
    /// Kibana responded.
    Kibana,
    /// There was no connection, or it was interrupted.
    Connection,
    /// There was no complete response within this time.
    Timeout(Duration),
    /// The status says that the cluster is unavailable, or the response is from a proxy.
    Status(u16),
    /// The response was a redirect, which is not followed because it could send the API key elsewhere.
    Redirect,
    /// The response is not JSON of Elasticsearch.
    NotElasticsearch,
    /// The response is about another number of items, or about other items, than were sent.
    ItemMismatch {
        /// Items sent.
        sent: usize,
        /// Items in the response.
        answered: usize,
    },
    /// The point in time of the search is gone.
    PointInTimeLost,
    /// Single items failed with this status and error type.
    Items {
        /// The status of the item. 0 if the response has none.
        status: u16,
        /// The `error.type` of the item.
        error_type: String,
    },
}

impl Unanswered {
    /// Returns whether a restarting cluster, or a proxy in front of it, fails like this.
    pub(super) const fn may_be_a_restart(&self) -> bool {
        match self {
            Self::Connection | Self::Timeout(_) | Self::Status(502..=504) | Self::Items { status: 0 | 503, .. } => true,
            Self::Status(_)
            | Self::Redirect
            | Self::Kibana
            | Self::NotElasticsearch
            | Self::ItemMismatch { .. }
            | Self::PointInTimeLost
            | Self::Items { .. } => false,
        }
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection => f.write_str("could not be reached, or closed the connection"),
            Self::Timeout(waited) => write!(f, "did not respond within {} s", waited.as_secs_f32().ceil()),
            Self::Kibana => f.write_str("responded like Kibana (the address is not that of Elasticsearch)"),
            Self::Status(401) => f.write_str(
                "returned 401 in a form that is not Elasticsearch's, as from a proxy that requires its own credentials",
            ),
            Self::Status(403) => {
                f.write_str("returned 403 in a form that is not Elasticsearch's, as a traffic filter or a proxy does")
            }
            Self::Status(404) => f.write_str(
                "returned 404 in a form that is not Elasticsearch's, as Elastic Cloud does for a deployment that does \
                 not exist",
            ),
            Self::Status(407) => f.write_str("was not reached: a proxy on the way to it requires credentials (407)"),
            Self::Status(status) => write!(f, "returned {status}"),
            Self::Redirect => {
                f.write_str("returned a redirect, which is not followed (Kibana and login pages redirect)")
            }
            Self::NotElasticsearch => {
                f.write_str("returned something other than Elasticsearch's JSON (as a proxy or a login page does)")
            }
            Self::ItemMismatch { sent, answered } => {
                write!(
                    f,
                    "returned items that do not match the documents that were sent ({answered} items for {sent} documents)"
                )
            }
            Self::PointInTimeLost => {
                f.write_str("no longer has the point in time of the search, because a node was restarted")
            }
            Self::Items { status: 0, error_type } => write!(f, "returned items with {error_type}"),
            Self::Items { status, error_type } => write!(f, "returned items with {status} ({error_type})"),
        }
    }
}

/// The reason why a backing index cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// It is closed.
    Closed,
    /// Reading it is blocked.
    Blocked,
    /// Every attempt failed, most often because one of its shards is on no node.
    NotNow {
        /// The `error.type` of the last attempt.
        error_type: String,
    },
}

impl Unreadable {
    /// Describes the problem of `index` and the remedy, which never is to delete it, because its documents would be stored
    /// again.
    pub(super) fn describe(&self, index: &str) -> String {
        match self {
            Self::Closed => format!("is closed: open it (POST {index}/_open), then send the request again"),
            Self::Blocked => format!(
                "is blocked for reads: remove the block (index.blocks in GET {index}/_settings, such as index.blocks.read; \
                 cluster.blocks in GET _cluster/settings), then send the request again"
            ),
            Self::NotNow { error_type } => format!(
                "cannot be read now ({error_type}), usually because one of its shards is not assigned to a node: GET \
                 _cluster/allocation/explain shows why. Bring the missing node back and wait until the index is no \
                 longer red, or restore the index from a snapshot; then send the request again"
            ),
        }
    }
}
