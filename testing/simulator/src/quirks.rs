//! Every known or possible difference of the real API. The default is the documented behaviour.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The zone that the API documentation names.
const DOCUMENTED_ZONE: &str = "US/Eastern";
/// Most events in one `reporting` response, by the API documentation.
const DOCUMENTED_PAGE: usize = 10_000;
/// The type in recordings of the API, also for JSON responses.
const RECORDED_CONTENT_TYPE: &str = "text/xml;charset=UTF-8";
/// The largest `pagesize` that public clients use for `getuserdata`.
const LARGEST_USER_PAGE: usize = 2_000;

/// The switches. In JSON each is optional; an unknown one is rejected by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quirks {
    /// Zone of `Time`, `from` and `to`. Default `US/Eastern`.
    #[serde(with = "jiff::fmt::serde::tz::required")]
    pub time_zone: TimeZone,
    /// Zone of the dates of users. Default: that of `Time`, as in a recording.
    #[serde(with = "jiff::fmt::serde::tz::optional")]
    pub user_time_zone: Option<TimeZone>,
    /// Whether each `reporting` request becomes an event, as in recordings. Default `true`.
    pub reporting_events: bool,
    /// Seconds after the request at which its event appears. Default 0: visible to the next request.
    pub reporting_events_late_seconds: u32,
    /// The pass that `from` and `to` mean in a repeated hour. Default the first.
    pub repeated_hour: Pass,
    /// Most events in a response. Default 10,000; 0 counts as 1.
    pub page_size: usize,
    /// Order of the events in a response. Default descending. Pages always run from newest to oldest.
    pub order: Order,
    /// Whether the second of `from` belongs to the response. Default inclusive.
    pub from: Bound,
    /// Whether the second of `to` belongs to the response. Default inclusive.
    pub to: Bound,
    /// The event whose position `next` is. Default the last one returned.
    pub next_is: NextIs,
    /// The events of the previous page that a request with `next` repeats. Default none.
    pub next_repeats: Repeats,
    /// Whether `next` is a string of digits. Default `false`.
    pub next_as_string: bool,
    /// Form of `data` in `reporting`. Default as the request's `format` specifies.
    pub event_data: EventData,
    /// Spelling of an empty `Username`, `IP_Address` or `Data`. Default `""`.
    pub empty_value: EmptyValue,
    /// Adds an undocumented field to each event. Default `false`.
    pub unknown_field: bool,
    /// Days after which events are no longer shown. Default unlimited.
    pub retention_days: Option<u32>,
    /// Most users in a response, whatever `pagesize` says. Default 2,000.
    pub user_page_cap: usize,
    /// Adds `attribs` with a `password` to each user. Default `false`.
    pub user_passwords: bool,
    /// Whether `getdetailedsfdata` honours `pagesize` and `pageindex`. Default honoured.
    pub folder_paging: FolderPaging,
    /// Most folders in a response, whatever `pagesize` says. Default unlimited.
    pub folder_page_cap: Option<usize>,
    /// The page size that determines the offset if a cap applies to users or folders. Default the cap.
    pub pages_counted: PagesCounted,
    /// Writes `total` and `count` as strings. Default `false`.
    pub totals_as_strings: bool,
    /// Omits `total` and `count`. Default `false`.
    pub totals_absent: bool,
    /// Escapes slashes and characters outside ASCII, as PHP's `json_encode` does by default. Default `false`.
    pub php_escapes: bool,
    /// `status` of a successful `reporting` response. `null` for none. Default `OK`.
    pub event_status: Option<String>,
    /// `status` of a refusal. Default `FAIL`.
    pub fail_status: String,
    /// Key of the reason in a refusal. Default `error`.
    pub error_key: ErrorKey,
    /// Form of the reason in a refusal. Default a list.
    pub error_form: ErrorForm,
    /// Form of the response to a wrong account number or hash. Default XML with a declaration, as LastPass sends.
    pub unauthorized_form: UnauthorizedForm,
    /// `Content-Type` of JSON responses. Default `text/xml;charset=UTF-8`, as LastPass sends.
    pub content_type: String,
    /// Text before each response. Default empty.
    pub before_answers: String,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            // The zone is in the bundled database. UTC applies only if the build omits the database.
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
            totals_as_strings: false,
            totals_absent: false,
            php_escapes: false,
            event_status: Some("OK".to_owned()),
            fail_status: "FAIL".to_owned(),
            error_key: ErrorKey::Error,
            error_form: ErrorForm::List,
            unauthorized_form: UnauthorizedForm::Xml,
            content_type: RECORDED_CONTENT_TYPE.to_owned(),
            before_answers: String::new(),
        }
    }
}

impl Quirks {
    /// Returns these quirks with the switches of a JSON object changed.
    ///
    /// # Errors
    /// Names the unknown switch or invalid value.
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
    /// The earlier one.
    First,
    /// The later one.
    Second,
}

/// Order of events in one response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Newest instant first; a repeated hour shows as a jump of `Time`.
    Descending,
    /// Oldest instant first.
    Ascending,
    /// By local `Time`, newest first: the passes of a repeated hour are mixed, and no jump is visible.
    DescendingByTime,
    /// By local `Time`, oldest first.
    AscendingByTime,
    /// Random order from this seed.
    Shuffled(u64),
}

/// The treatment of the second of a bound, which belongs to the range or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// It belongs to the range.
    Inclusive,
    /// It does not belong to the range.
    Exclusive,
}

/// The event whose position a `next` is. There is no `next` without remaining events, unless a variant says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextIs {
    /// The oldest event of the page. The remaining events are strictly before it.
    LastReturned,
    /// The newest event not yet returned. The remaining events begin with it.
    FirstLeft,
    /// As `LastReturned`, but each page with events has a `next`, also if no event remains.
    EvenAtTheEnd,
    /// As `FirstLeft`, and the first page is empty.
    AfterAnEmptyPage,
    /// The whole second of the oldest event of the page. The remaining events begin with all events of this second.
    WholeSecond,
}

/// The events that a request with `next` repeats. Repeats count towards the page, but leave room for at least one new
/// event.
///
/// The simulator keeps no state between pages: `next` is an instant, and any instant may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeats {
    /// Nothing.
    Nothing,
    /// The event at `next`, if it was already returned.
    LastEvent,
    /// This many of the oldest events that are newer than the remaining ones.
    Events(usize),
    /// The whole second of `next`.
    BoundarySecond,
}

/// Form of `data` in `reporting`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventData {
    /// A list for `format: siem`, otherwise a map.
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
    /// The key is omitted.
    Absent,
}

/// Paging of shared folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FolderPaging {
    /// Pages work. A page after the end is empty.
    Honoured,
    /// Every response holds all folders.
    Ignored,
}

/// The page size that determines the offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PagesCounted {
    /// The actual page size.
    Given,
    /// The requested page size. Entries beyond the cap are skipped.
    Asked,
}

/// Form of the response to a wrong account number or hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnauthorizedForm {
    /// `<lastpass rc="…"/>` after a declaration.
    Xml,
    /// `<lastpass rc="…"/>` without a declaration.
    XmlWithoutDeclaration,
    /// A refusal in JSON.
    Json,
    /// Plain text.
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
    fn each_switch_is_optional_and_unknown_ones_are_refused_by_name() {
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
