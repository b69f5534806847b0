//! Times and ranges as people write and read them. Pure: the clock and the local zone are arguments.
//!
//! Every time is in UTC or has a zone. A time without a zone is refused, because two people would read it differently. A
//! range is described in UTC and in the local zone, so that a mistake is noticed.

use std::fmt;

use jiff::{RoundMode, SignedDuration, Timestamp, TimestampRound, ToSpan as _, Unit, civil, tz::TimeZone};
use lastpass_elastic::request::parse_time;

use crate::failure::Failure;

/// The valid forms of a time, for help and error texts.
pub const FORMS: &str = "a date (2025-01-01: midnight UTC), a time with a zone (2025-01-01T08:00:00+01:00), \
    an age (90d or 4w, rounded down to midnight UTC; 12h, rounded down to the hour), now, today or yesterday \
    (midnight UTC)";

/// Returns the help after the options of a command that take a TIME.
pub fn help() -> String {
    format!("A TIME is {}.", FORMS)
}

/// A text that is not a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTime {
    /// The text is a time without a zone.
    #[error("{0:?} has no time zone: write {0}Z for UTC, or append the offset, as in {0}+01:00")]
    NoZone(String),
    /// The text has no valid form.
    #[error("{0:?} is not a time: write {FORMS}")]
    NotATime(String),
}

/// An invalid time or range on the command line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The value of an option is not a time.
    #[error("{option}: {reason}")]
    Option { option: &'static str, reason: InvalidTime },
    /// The range ends before it begins.
    #[error("--from ({from}) is not before --to ({to}), which is exclusive")]
    Empty { from: Timestamp, to: Timestamp },
    /// The range begins in the future.
    #[error("--from ({from}) is in the future: the current time is {now:.0}")]
    Future { from: Timestamp, now: Timestamp },
}

impl Failure for Error {
    fn error_type(&self) -> &str {
        "Usage.Invalid"
    }
}

/// Parses the value of an option at the time `now`.
///
/// # Errors
/// [`Error::Option`], which lists the valid forms.
pub fn parse_option(option: &'static str, text: &str, now: Timestamp) -> Result<Timestamp, Error> {
    parse(text, now).map_err(|reason| Error::Option { option, reason })
}

/// Parses a time at the time `now`.
fn parse(text: &str, now: Timestamp) -> Result<Timestamp, InvalidTime> {
    let text = text.trim();
    let instant = match text {
        "now" => Some(now),
        "today" => midnight(now),
        "yesterday" => midnight(now).and_then(|midnight| midnight.checked_sub(24.hours()).ok()),
        _ => match Age::parse(text) {
            Some(age) => age.before(now),
            None => parse_time(text),
        },
    };
    // Events have whole seconds.
    instant.and_then(|instant| Timestamp::from_second(instant.as_second()).ok()).ok_or_else(|| {
        let has_time_of_day = text.contains(['T', ' ']) && text.parse::<civil::DateTime>().is_ok();
        let error = if has_time_of_day { InvalidTime::NoZone } else { InvalidTime::NotATime };
        error(text.to_owned())
    })
}

/// Returns the start of the next hour, or `now` if it is the start of an hour.
#[must_use]
pub fn next_hour(now: Timestamp) -> Timestamp {
    let up_to_the_hour = TimestampRound::new().smallest(Unit::Hour).mode(RoundMode::Ceil);
    // In the last hour that the type can represent, there is no next one.
    now.round(up_to_the_hour).unwrap_or(Timestamp::MAX)
}

const HOUR_SECONDS: i64 = 3_600;
const DAY_SECONDS: i64 = 24 * HOUR_SECONDS;

/// An age, such as `90d`. It is rounded, so that a repeated command means the same range and continues it.
struct Age {
    span: SignedDuration,
    rounded_to_seconds: i64,
}

impl Age {
    /// Parses `90d`, `4w` or `12h`, also with the word `ago`.
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix("ago").map_or(text, str::trim_end);
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let (unit_seconds, rounded_to_seconds) = match unit {
            "h" => (HOUR_SECONDS, HOUR_SECONDS),
            "d" => (DAY_SECONDS, DAY_SECONDS),
            "w" => (7 * DAY_SECONDS, DAY_SECONDS),
            _ => return None,
        };
        let number: u32 = number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok())??;
        Some(Self { span: SignedDuration::from_secs(i64::from(number) * unit_seconds), rounded_to_seconds })
    }

    fn before(&self, now: Timestamp) -> Option<Timestamp> {
        floor(now.checked_sub(self.span).ok()?, self.rounded_to_seconds)
    }
}

fn midnight(instant: Timestamp) -> Option<Timestamp> {
    floor(instant, DAY_SECONDS)
}

fn floor(instant: Timestamp, seconds: i64) -> Option<Timestamp> {
    Timestamp::from_second(instant.as_second().div_euclid(seconds) * seconds).ok()
}

/// A range of time with an exclusive end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first second.
    pub from: Timestamp,
    /// The second after the last one.
    pub to: Timestamp,
}

impl Range {
    /// Checks the range [`from`, `to`) at the time `now`.
    ///
    /// # Errors
    /// [`Error::Empty`] or [`Error::Future`] if no event can be in the range.
    pub fn new(from: Timestamp, to: Timestamp, now: Timestamp) -> Result<Self, Error> {
        if from > now {
            Err(Error::Future { from, now })
        } else if from >= to {
            Err(Error::Empty { from, to })
        } else {
            Ok(Self { from, to })
        }
    }

    /// Describes the range: a line in UTC, and one in `zone` if that differs.
    #[must_use]
    pub fn describe(&self, zone: &TimeZone) -> String {
        match self.local(zone) {
            Some(local) => format!("{self}\n{local}"),
            None => self.to_string(),
        }
    }

    /// Formats the range in `zone`; `None` if that equals UTC.
    fn local(&self, zone: &TimeZone) -> Option<String> {
        let ends = [self.from, self.to].map(|end| end.to_zoned_datetime(zone.clone()));
        if ends.iter().all(|end| end.offset().seconds() == 0) {
            return None;
        }
        let [from, to] = ends.map(|end| end.strftime("%Y-%m-%d %H:%M:%S %:z").to_string());
        let name = zone.iana_name().map_or_else(|| "local time".to_owned(), |name| format!("local time, {name}"));
        Some(format!("{from} to {to} ({name})"))
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {} (UTC, end exclusive)", minute(self.from), minute(self.to))
    }
}

/// Formats a time in UTC for tables, without the seconds if they are zero.
#[must_use]
pub fn minute(instant: Timestamp) -> String {
    let format = if instant.as_second() % 60 == 0 { "%Y-%m-%d %H:%M" } else { "%Y-%m-%d %H:%M:%S" };
    instant.strftime(format).to_string()
}

/// Formats a span in its two largest units.
#[must_use]
pub fn span(seconds: i64) -> String {
    let (sign, seconds) = if seconds < 0 { ("-", seconds.unsigned_abs()) } else { ("", seconds.unsigned_abs()) };
    let units = [("d", seconds / 86_400), ("h", seconds / 3_600 % 24), ("min", seconds / 60 % 60), ("s", seconds % 60)];
    let first = units.iter().position(|(_, count)| *count > 0).unwrap_or(units.len() - 1);
    let parts: Vec<String> = units
        .iter()
        .skip(first)
        .take(2)
        .enumerate()
        .filter(|(place, (_, count))| *place == 0 || *count > 0)
        .map(|(_, (unit, count))| format!("{count} {unit}"))
        .collect();
    format!("{sign}{}", parts.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The current time of the tests.
    const NOW: &str = "2025-06-15T13:45:30.5Z";

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time of the test")
    }

    #[test]
    fn every_form_is_parsed() {
        for (text, instant) in [
            ("2025-01-01", "2025-01-01T00:00:00Z"),
            ("2025-01-01T08:00:00+01:00", "2025-01-01T07:00:00Z"),
            ("2025-01-01T08:00:00.9Z", "2025-01-01T08:00:00Z"),
            ("now", "2025-06-15T13:45:30Z"),
            ("today", "2025-06-15T00:00:00Z"),
            ("yesterday", "2025-06-14T00:00:00Z"),
            ("90d", "2025-03-17T00:00:00Z"),
            ("4w", "2025-05-18T00:00:00Z"),
            ("0d", "2025-06-15T00:00:00Z"),
            ("12h", "2025-06-15T01:00:00Z"),
            ("12h ago", "2025-06-15T01:00:00Z"),
            (" 1d ", "2025-06-14T00:00:00Z"),
        ] {
            assert_eq!(parse(text, at(NOW)), Ok(at(instant)), "{text}");
        }
    }

    #[test]
    fn an_age_means_the_same_time_all_day() {
        for word in ["90d", "4w", "today", "yesterday"] {
            assert_eq!(parse(word, at("2025-06-15T00:00:00Z")), parse(word, at("2025-06-15T23:59:59Z")), "{word}");
        }
    }

    #[test]
    fn an_invalid_time_is_refused_with_the_valid_forms() {
        for text in
            ["", "soon", "90", "d", "-3d", "90m", "2025-13-01", "2025-1-1", "99999999999d", "4000000000d", "+1d"]
        {
            let message = parse(text, at(NOW)).expect_err(text).to_string();
            assert!(message.contains("90d") && message.contains("2025-01-01"), "{text}: {message}");
        }
        let message = parse("2025-01-01T08:00:00", at(NOW)).expect_err("no zone").to_string();
        assert_eq!(
            message,
            "\"2025-01-01T08:00:00\" has no time zone: write 2025-01-01T08:00:00Z for UTC, or append the offset, as in \
             2025-01-01T08:00:00+01:00"
        );
    }

    #[test]
    fn a_zone_can_be_added_as_the_error_says() {
        for text in ["2025-01-01T08:00:00", "2025-01-01 08:00"] {
            assert_eq!(parse(&format!("{text}Z"), at(NOW)), Ok(at("2025-01-01T08:00:00Z")), "{text}");
            assert_eq!(parse(&format!("{text}+01:00"), at(NOW)), Ok(at("2025-01-01T07:00:00Z")), "{text}");
        }
    }

    #[test]
    fn a_range_ends_after_it_begins() {
        let (from, to) = (at("2025-01-01T00:00:00Z"), at("2025-01-02T00:00:00Z"));
        assert!(Range::new(from, to, at(NOW)).is_ok());
        for (from, to) in [(to, from), (from, from)] {
            assert!(Range::new(from, to, at(NOW)).expect_err("empty").to_string().contains("is not before --to"));
        }
    }

    #[test]
    fn a_range_begins_in_the_past() {
        let error = Range::new(at("2025-06-16T00:00:00Z"), at("2025-06-17T00:00:00Z"), at(NOW)).expect_err("future");
        assert_eq!(
            error.to_string(),
            "--from (2025-06-16T00:00:00Z) is in the future: the current time is 2025-06-15T13:45:30Z"
        );
        // The end may be the next hour.
        assert!(Range::new(at("2025-06-15T13:00:00Z"), at("2025-06-15T14:00:00Z"), at(NOW)).is_ok());
    }

    #[test]
    fn a_range_is_described_in_utc_and_in_the_local_zone() {
        let range = Range { from: at("2025-01-01T00:00:00Z"), to: at("2025-06-15T14:00:05Z") };
        assert_eq!(range.to_string(), "2025-01-01 00:00 to 2025-06-15 14:00:05 (UTC, end exclusive)");
        let berlin = TimeZone::get("Europe/Berlin").expect("a zone");
        assert_eq!(
            range.local(&berlin).as_deref(),
            Some("2025-01-01 01:00:00 +01:00 to 2025-06-15 16:00:05 +02:00 (local time, Europe/Berlin)")
        );
        assert_eq!(range.local(&TimeZone::UTC), None);
        assert_eq!(range.describe(&TimeZone::UTC), range.to_string());
        assert_eq!(range.describe(&berlin).lines().count(), 2);
        // London has UTC in winter only.
        assert!(range.local(&TimeZone::get("Europe/London").expect("a zone")).is_some());
    }

    #[test]
    fn the_next_hour_is_not_before_now() {
        assert_eq!(next_hour(at(NOW)), at("2025-06-15T14:00:00Z"));
        assert_eq!(next_hour(at("2025-06-15T14:00:00Z")), at("2025-06-15T14:00:00Z"));
        assert_eq!(next_hour(at("2025-06-15T14:00:00.1Z")), at("2025-06-15T15:00:00Z"));
    }

    #[test]
    fn a_span_is_formatted_in_its_two_largest_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_700, "1 h 1 min"),
            (7_201, "2 h"),
            (270_000, "3 d 3 h"),
            (-90, "-1 min 30 s"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}
