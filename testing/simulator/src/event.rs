//! One event in LastPass: its instant, the time at which the API begins to show it, and its fields.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The placeholder for the local time in an [`Event::raw`] record.
pub(crate) const TIME_PLACEHOLDER: &str = "{time}";

/// One event. Its texts are shared, because a million events have few users and actions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "EventInput")]
pub struct Event {
    /// The instant in whole seconds. A fraction is cut off when the event is added to a world.
    pub instant: Timestamp,
    /// The time from which the API shows the event. Later than `instant` for a late event.
    pub appears_at: Timestamp,
    /// `Username`: an address, empty, or `API`.
    pub username: Arc<str>,
    /// `IP_Address`: IPv4, IPv6 or empty.
    pub ip: Arc<str>,
    /// `Action`.
    pub action: Arc<str>,
    /// `Data`.
    pub data: Arc<str>,
    /// JSON to serve instead of the record, to test malformed records. `{time}` is replaced by the local time.
    pub raw: Option<Arc<str>>,
    /// Whether a `reporting` request caused it.
    pub is_poll: bool,
}

impl Event {
    /// Returns an event at this instant, visible immediately, with empty texts.
    pub fn at(instant: Timestamp) -> Self {
        let empty: Arc<str> = Arc::from("");
        Self {
            instant,
            appears_at: instant,
            username: empty.clone(),
            ip: empty.clone(),
            action: empty.clone(),
            data: empty,
            raw: None,
            is_poll: false,
        }
    }

    /// Returns the event that LastPass writes for a `reporting` request at this instant. It may name the user
    /// (`apiuser`).
    pub(crate) fn of_poll(instant: Timestamp, api_user: Option<&str>) -> Self {
        let username = api_user.map(|user| format!("API: {user}")).unwrap_or_default();
        let event = Self::at(instant).by(username).doing("Reporting").with_data("Enterprise API");
        Self { is_poll: true, ..event }
    }

    /// Sets the user.
    pub fn by(mut self, username: impl Into<Arc<str>>) -> Self {
        self.username = username.into();
        self
    }

    /// Sets the IP address.
    pub fn from_ip(mut self, ip: impl Into<Arc<str>>) -> Self {
        self.ip = ip.into();
        self
    }

    /// Sets the action.
    pub fn doing(mut self, action: impl Into<Arc<str>>) -> Self {
        self.action = action.into();
        self
    }

    /// Sets the data.
    pub fn with_data(mut self, data: impl Into<Arc<str>>) -> Self {
        self.data = data.into();
        self
    }

    /// Makes the event late: the API shows it from `appears_at` on.
    pub fn appearing(mut self, appears_at: Timestamp) -> Self {
        self.appears_at = appears_at;
        self
    }

    /// Serves this text instead of a well-formed record, for JSON that a value cannot represent, such as a lone
    /// surrogate.
    pub fn with_raw_text(mut self, record: impl Into<Arc<str>>) -> Self {
        self.raw = Some(record.into());
        self
    }

    /// Serves this JSON instead of a well-formed record. The order by `instant` remains.
    pub fn with_raw(mut self, record: &Value) -> Self {
        self.raw = Some(record.to_string().into());
        self
    }
}

/// The JSON form of an event. Only the instant is required.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventInput {
    instant: Timestamp,
    #[serde(default)]
    appears_at: Option<Timestamp>,
    #[serde(default)]
    username: String,
    #[serde(default)]
    ip: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    data: String,
    #[serde(default)]
    raw: Option<Value>,
}

impl From<EventInput> for Event {
    fn from(input: EventInput) -> Self {
        let event = Self::at(input.instant)
            .by(input.username)
            .from_ip(input.ip)
            .doing(input.action)
            .with_data(input.data)
            .appearing(input.appears_at.unwrap_or(input.instant));
        match input.raw {
            Some(record) => event.with_raw(&record),
            None => event,
        }
    }
}
