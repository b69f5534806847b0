//! Every way in which the real API is known, or must be feared, to differ. The default is the documented behaviour.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The zone the API's documentation names.
const DOCUMENTED_ZONE: &str = "US/Eastern";
/// Most events in one `reporting` answer, by the API's documentation.
const DOCUMENTED_PAGE: usize = 10_000;
/// What recordings of the API show, also of answers in JSON.
const RECORDED_CONTENT_TYPE: &str = "text/xml;charset=UTF-8";
/// The largest `pagesize` that public clients use for `getuserdata`.
const LARGEST_USER_PAGE: usize = 2_000;

/// The switches. In JSON each may be left out; unknown ones are refused by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quirks {
    /// Zone of `Time`, `from` and `to`. Default `US/Eastern`.
    #[serde(with = "jiff::fmt::serde::tz::required")]
    pub time_zone: TimeZone,
    /// Zone of the dates of users. Default: that of `Time`, as in a recording.
    #[serde(with = "jiff::fmt::serde::tz::optional")]
    pub user_time_zone: Option<TimeZone>,
    /// Whether each `reporting` request becomes an event itself, as in recordings. Default `true`.
    pub reporting_events: bool,
    /// How many seconds after the request such an event appears. Default 0: to the next request.
    pub reporting_events_late_seconds: u32,
    /// Which pass of a repeated hour `from` and `to` mean. Default the first.
    pub repeated_hour: Pass,
    /// Most events in an answer. Default 10,000; 0 counts as 1.
    pub page_size: usize,
    /// Order of the events inside an answer. Default descending. Pages always run from newest to oldest.
    pub order: Order,
    /// Whether the second of `from` belongs to the answer. Default inclusive.
    pub from: Bound,
    /// Whether the second of `to` belongs to the answer. Default inclusive.
    pub to: Bound,
    /// Which event's position `next` is. Default the last one returned.
    pub next_is: NextIs,
    /// What a request with `next` repeats of the page before. Default nothing.
    pub next_repeats: Repeats,
    /// `next` as a string of digits. Default `false`.
    pub next_as_string: bool,
    /// Form of `data` in `reporting`. Default as the request's `format` asks.
    pub event_data: EventData,
    /// How an empty `Username`, `IP_Address` or `Data` is spelled. Default `""`.
    pub empty_value: EmptyValue,
    /// Adds a field to each event that no documentation names. Default `false`.
    pub unknown_field: bool,
    /// Days after which events are shown no more. Default none.
    pub retention_days: Option<u32>,
    /// Most users in an answer, whatever `pagesize` says. Default 2,000.
    pub user_page_cap: usize,
    /// Adds `attribs` with a `password` to each user. Default `false`.
    pub user_passwords: bool,
    /// Whether `getdetailedsfdata` heeds `pagesize` and `pageindex`. Default honoured.
    pub folder_paging: FolderPaging,
    /// Most folders in an answer, whatever `pagesize` says. Default none.
    pub folder_page_cap: Option<usize>,
    /// By which size pages of users and folders are counted where a cap cuts them. Default by that of the cap.
    pub pages_counted: PagesCounted,
    /// Whether super admins are listed in folders only for a request with `"data": "all"`. Default `true`.
    pub super_admins_only_with_all: bool,
    /// An empty map is written `[]`, as PHP does. Default `true`.
    pub empty_map_as_list: bool,
    /// `total` and `count` as strings. Default `false`.
    pub totals_as_strings: bool,
    /// Leaves `total` and `count` out. Default `false`.
    pub totals_absent: bool,
    /// Slashes and characters beyond ASCII escaped, as PHP's `json_encode` does by default. Default `false`.
    pub php_escapes: bool,
    /// `status` of a good `reporting` answer, `null` for none. Default `OK`.
    pub event_status: Option<String>,
    /// `status` of a good `getuserdata` answer. Default none.
    pub user_status: Option<String>,
    /// `status` of a good `getdetailedsfdata` answer, beside the folders. Default none.
    pub folder_status: Option<String>,
    /// `status` of a refusal. Default `FAIL`.
    pub fail_status: String,
    /// Under which key a refusal tells its reason. Default `error`.
    pub error_key: ErrorKey,
    /// In which form it tells it. Default a list.
    pub error_form: ErrorForm,
    /// What is said to a wrong account number or hash. Default LastPass's own words.
    pub unauthorized_text: String,
    /// In which form it is said. Default XML with a declaration, as LastPass does.
    pub unauthorized_form: UnauthorizedForm,
    /// `Content-Type` of answers in JSON. Default `text/xml;charset=UTF-8`, as LastPass has it.
    pub content_type: String,
    /// What stands before an answer. Default nothing.
    pub before_answers: String,
    /// HTTP status of a refusal. Default 200.
    pub fail_http_status: u16,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            // The zone is in the bundled database; UTC would only stand in if that were left out of the build.
            time_zone: TimeZone::get(DOCUMENTED_ZONE).unwrap_or(TimeZone::UTC),
            user_time_zone: None,
            reporting_events: true,
            reporting_events_late_seconds: 0,
            repeated_hour: Pass::First,
            page_size: DOCUMENTED_PAGE,
            order: Order::Descending,
            from: Bound::Inclusive,
            to: Bound::Inclusive,
            next_is: NextIs::LastReturned,
            next_repeats: Repeats::Nothing,
            next_as_string: false,
            event_data: EventData::AsAsked,
            empty_value: EmptyValue::EmptyString,
            unknown_field: false,
            retention_days: None,
            user_page_cap: LARGEST_USER_PAGE,
            user_passwords: false,
            folder_paging: FolderPaging::Honoured,
            folder_page_cap: None,
            pages_counted: PagesCounted::Given,
            super_admins_only_with_all: true,
            empty_map_as_list: true,
            totals_as_strings: false,
            totals_absent: false,
            php_escapes: false,
            event_status: Some("OK".to_owned()),
            user_status: None,
            folder_status: None,
            fail_status: "FAIL".to_owned(),
            error_key: ErrorKey::Error,
            error_form: ErrorForm::List,
            unauthorized_text: "Authorization Error".to_owned(),
            unauthorized_form: UnauthorizedForm::Xml,
            content_type: RECORDED_CONTENT_TYPE.to_owned(),
            before_answers: String::new(),
            fail_http_status: 200,
        }
    }
}

impl Quirks {
    /// These quirks with the switches of a JSON object changed.
    ///
    /// # Errors
    /// Names the switch or value that isn't known; nothing is changed then.
    pub fn patched(&self, changes: &Value) -> Result<Self, serde_json::Error> {
        let mut all = serde_json::to_value(self)?;
        match (&mut all, changes) {
            (Value::Object(all), Value::Object(changes)) => {
                all.extend(changes.iter().map(|(key, value)| (key.clone(), value.clone())));
            }
            _ => all = changes.clone(),
        }
        serde_json::from_value(all)
    }
}

/// A pass through a repeated hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// The earlier instant.
    First,
    /// The later instant.
    Second,
}

/// Order of events inside one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Newest instant first; a repeated hour shows as a jump of `Time`.
    Descending,
    /// Oldest instant first.
    Ascending,
    /// By `Time` as shown, newest first: the passes of a repeated hour are mixed and no jump is to be seen.
    DescendingByTime,
    /// By `Time` as shown, oldest first.
    AscendingByTime,
    /// In no order, decided by this seed.
    Shuffled(u64),
}

/// Whether a bound belongs to its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// It does.
    Inclusive,
    /// It doesn't.
    Exclusive,
}

/// The event whose position a `next` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextIs {
    /// The oldest event of the page: what is left lies strictly before it.
    LastReturned,
    /// The newest event not yet returned: what is left begins with it.
    FirstLeft,
}

/// What a follow-up request repeats. Repeats count towards the page, but leave room for at least one new event.
///
/// The simulator keeps nothing of the page before: a `next` is an instant, and any instant may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeats {
    /// Nothing.
    Nothing,
    /// The event at `next`, where that is one that was returned.
    LastEvent,
    /// So many of the oldest events that are newer than what is left.
    Events(usize),
    /// All of the second that `next` lies in.
    BoundarySecond,
}

/// Form of `data` in `reporting`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventData {
    /// A list for `format: siem`, else a map.
    AsAsked,
    /// Always a map `Event1`, `Event2` ….
    Map,
    /// Always a list.
    List,
}

/// Spelling of an empty value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyValue {
    /// `""`
    EmptyString,
    /// `null`
    Null,
    /// The key is left out.
    Absent,
}

/// Paging of shared folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FolderPaging {
    /// A page is a page; one behind the end is empty.
    Honoured,
    /// Every answer holds all folders.
    Ignored,
}

/// The size by which pages are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PagesCounted {
    /// The size that is given.
    Given,
    /// The size that was asked for: entries between two pages are in neither.
    Asked,
}

/// Form of what is said to a wrong account number or hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnauthorizedForm {
    /// `<lastpass rc="…"/>` behind a declaration.
    Xml,
    /// The same without a declaration.
    XmlWithoutDeclaration,
    /// A refusal in JSON.
    Json,
    /// The bare text.
    Text,
}

/// Key of the reason in a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKey {
    /// `error`
    Error,
    /// `errors`
    Errors,
}

impl ErrorKey {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Errors => "errors",
        }
    }
}

/// Form of the reason in a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorForm {
    /// `["text"]`
    List,
    /// `"text"`
    String,
    /// `{"0": "text"}`
    Map,
}

impl ErrorForm {
    pub(crate) fn of(self, text: &str) -> Value {
        match self {
            Self::List => Value::from(vec![text]),
            Self::String => Value::from(text),
            Self::Map => serde_json::json!({ "0": text }),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn switches_are_read_one_by_one_and_unknown_ones_refused_by_name() {
        let changes = json!({
            "time_zone": "Europe/London", "order": {"shuffled": 7}, "next_repeats": {"events": 3}, "to": "exclusive"
        });
        let quirks = Quirks::default().patched(&changes).unwrap();
        assert_eq!(quirks.time_zone, TimeZone::get("Europe/London").unwrap());
        assert_eq!(quirks.order, Order::Shuffled(7));
        assert_eq!(quirks.next_repeats, Repeats::Events(3));
        assert_eq!((quirks.from, quirks.to), (Bound::Inclusive, Bound::Exclusive));
        assert_eq!((quirks.reporting_events, &quirks.user_time_zone), (true, &None));
        let dates = quirks.patched(&json!({"user_time_zone": "UTC", "reporting_events": false})).unwrap();
        assert_eq!((dates.reporting_events, dates.user_time_zone), (false, Some(TimeZone::UTC)));
        let again = quirks.patched(&json!({"page_size": 5})).unwrap();
        assert_eq!(again, Quirks { page_size: 5, ..quirks.clone() });
        let refused = quirks.patched(&json!({"paeg_size": 5})).unwrap_err().to_string();
        assert!(refused.contains("paeg_size"), "{refused}");
    }
}
