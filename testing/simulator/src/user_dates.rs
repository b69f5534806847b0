//! The dates of users: stored in UTC, shown in the local time of a zone.
//!
//! LastPass does not document the zone. A recording shows the account's own (LASTPASS_API.md, "Recordings and other
//! clients"), so that is the default.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use crate::local_time::LocalTime;
use crate::quirks::Quirks;

/// The date fields.
const FIELDS: [&str; 3] = ["created", "last_pw_change", "last_login"];
/// The date format.
const FORM: &str = "%Y-%m-%d %H:%M:%S";

/// Returns an instant in the stored form.
pub(crate) fn to_stored(instant: Timestamp) -> String {
    instant.strftime(FORM).to_string()
}

/// Returns a user's JSON as it is served.
pub(crate) fn shown(user: &str, quirks: &Quirks) -> String {
    let zone = quirks.user_time_zone.as_ref().unwrap_or(&quirks.time_zone);
    let mut user = user.to_owned();
    if *zone == TimeZone::UTC {
        return user;
    }
    let mut local = LocalTime::new(zone);
    for field in FIELDS {
        let name = format!("\"{field}\":\"");
        let Some(begin) = user.find(&name).map(|at| at + name.len()) else { continue };
        let Some(length) = user[begin..].find('"') else { continue };
        let Ok(civil) = DateTime::strptime(FORM, &user[begin..begin + length]) else { continue };
        let Ok(instant) = Offset::UTC.to_timestamp(civil) else { continue };
        let mut time = String::new();
        local.push(instant, &mut time);
        user.replace_range(begin..begin + length, &time);
    }
    user
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn dates_are_shown_in_the_accounts_zone_unless_another_is_set() {
        let user = r#"{"username":"a","created":"2025-07-01 22:02:00","last_pw_change":"","last_login":null}"#;
        assert!(shown(user, &Quirks::default()).contains(r#""created":"2025-07-01 18:02:00""#));
        let quirks = Quirks { user_time_zone: Some(TimeZone::UTC), ..Quirks::default() };
        assert_eq!(shown(user, &quirks), user);
    }
}
