//! Times as people write them. Pure but for what is told: the clock and the zone of who looks are arguments.
//!
//! Every time is one of UTC, or says its zone; a time without a zone is refused, because two people would read it as
//! two. What is a range is said again as it was understood, in UTC and in the zone of who looks.

use std::fmt;

use jiff::{SignedDuration, Timestamp, ToSpan as _, civil, tz::TimeZone};

use crate::print;

/// What can be written for a time, for help texts.
pub const FORMS: &str = "a date (2025-01-01: its midnight in UTC), a time with its zone (2025-01-01T08:00:00+01:00), \
    how long ago (90d, 4w: cut to midnight UTC; 12h: to the full hour), now, today or yesterday (midnight UTC)";

/// A text that is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A time that could mean two instants.
    #[error("{text:?} says no zone: write {text}Z for UTC, or its offset, as in {text}+01:00")]
    NoZone {
        /// What was written.
        text: String,
    },
    /// Anything else.
    #[error("{text:?} is no time: write {FORMS}")]
    NoTime {
        /// What was written.
        text: String,
    },
}

/// Reads a time, when the clock shows `now`.
///
/// # Errors
/// [`Invalid`], which says what can be written.
pub fn parse(text: &str, now: Timestamp) -> Result<Timestamp, Invalid> {
    let text = text.trim();
    let invalid = || Invalid::NoTime { text: text.to_owned() };
    let instant = match text {
        "now" => Some(now),
        "today" => midnight(now),
        "yesterday" => midnight(now).and_then(|midnight| midnight.checked_sub(24.hours()).ok()),
        _ if text.len() == "2025-01-31".len() && text.parse::<civil::Date>().is_ok() => {
            let date: civil::Date = text.parse().map_err(|_| invalid())?;
            date.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
        }
        _ => match (ago(text), text.parse::<Timestamp>()) {
            (Some(ago), _) => ago.before(now),
            (None, Ok(instant)) => Some(instant),
            (None, Err(_)) if text.contains(['T', ' ']) && text.parse::<civil::DateTime>().is_ok() => {
                return Err(Invalid::NoZone { text: text.to_owned() });
            }
            (None, Err(_)) => None,
        },
    };
    // Events have whole seconds.
    instant.and_then(|instant| Timestamp::from_second(instant.as_second()).ok()).ok_or_else(invalid)
}

/// The instant of a date or of a time with its zone: what the function takes.
pub fn instant(text: &str) -> Option<Timestamp> {
    let date = || text.parse::<civil::Date>().ok()?.to_zoned(TimeZone::UTC).ok();
    text.parse().ok().or_else(|| date().map(|midnight| midnight.timestamp()))
}

/// The start of the next full hour, or `now` where it is one.
#[must_use]
pub fn next_hour(now: Timestamp) -> Timestamp {
    let last = floor(now, HOUR_SECONDS).unwrap_or(now);
    if last == now { now } else { last.saturating_add(SignedDuration::from_hours(1)).unwrap_or(now) }
}

const HOUR_SECONDS: i64 = 3_600;
const DAY_SECONDS: i64 = 24 * HOUR_SECONDS;

/// A span before now, and to which seconds its beginning is cut: the same text names the same instant for a while, so
/// that a command that is repeated takes up the range that it began.
struct Ago {
    span: SignedDuration,
    cut_seconds: i64,
}

impl Ago {
    fn before(&self, now: Timestamp) -> Option<Timestamp> {
        floor(now.checked_sub(self.span).ok()?, self.cut_seconds)
    }
}

/// `90d`, `4w` or `12h`, also with the word `ago`.
fn ago(text: &str) -> Option<Ago> {
    let text = text.strip_suffix("ago").map_or(text, str::trim_end);
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let (unit_seconds, cut_seconds) = match unit {
        "h" => (HOUR_SECONDS, HOUR_SECONDS),
        "d" => (DAY_SECONDS, DAY_SECONDS),
        "w" => (7 * DAY_SECONDS, DAY_SECONDS),
        _ => return None,
    };
    let number: u32 = number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok())??;
    Some(Ago { span: SignedDuration::from_secs(i64::from(number) * unit_seconds), cut_seconds })
}

fn midnight(instant: Timestamp) -> Option<Timestamp> {
    floor(instant, DAY_SECONDS)
}

fn floor(instant: Timestamp, seconds: i64) -> Option<Timestamp> {
    Timestamp::from_second(instant.as_second().div_euclid(seconds) * seconds).ok()
}

/// A range of time, its end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first second.
    pub from: Timestamp,
    /// The second after the last one.
    pub to: Timestamp,
}

/// A range in which nothing can lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It ends before it begins.
    #[error("--from ({from}) is not before --to ({to}), which is exclusive")]
    Empty {
        /// Where it begins.
        from: Timestamp,
        /// Where it ends.
        to: Timestamp,
    },
    /// Nothing has happened in it yet.
    #[error("--from ({from}) lies in the future: now it is {now}")]
    Future {
        /// Where it begins.
        from: Timestamp,
        /// The clock.
        now: Timestamp,
    },
}

impl Range {
    /// The range [`from`, `to`), when the clock shows `now`.
    ///
    /// # Errors
    /// [`Unusable`] where nothing lies in it.
    pub fn new(from: Timestamp, to: Timestamp, now: Timestamp) -> Result<Self, Unusable> {
        if from > now {
            Err(Unusable::Future { from, now: Timestamp::from_second(now.as_second()).unwrap_or(now) })
        } else if from >= to {
            Err(Unusable::Empty { from, to })
        } else {
            Ok(Self { from, to })
        }
    }

    /// Says how the range was understood, in UTC and in the zone of who looks.
    pub fn tell(&self) {
        print::tell(&self.to_string());
        if let Some(local) = self.local(&TimeZone::system()) {
            print::tell(&local);
        }
    }

    /// The range as it is for somebody in `zone`; nothing where that is as in UTC.
    #[must_use]
    pub fn local(&self, zone: &TimeZone) -> Option<String> {
        let ends = [self.from, self.to].map(|end| end.to_zoned(zone.clone()));
        if ends.iter().all(|end| end.offset().seconds() == 0) {
            return None;
        }
        let [from, to] = ends.map(|end| end.strftime("%Y-%m-%d %H:%M:%S %:z").to_string());
        let name = zone.iana_name().map_or_else(|| "your zone".to_owned(), |name| format!("your zone, {name}"));
        Some(format!("{from} to {to} ({name})"))
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {} (UTC, the end exclusive)", minute(self.from), minute(self.to))
    }
}

/// A time in UTC as tables show it: without seconds where there are none.
#[must_use]
pub fn minute(instant: Timestamp) -> String {
    let format = if instant.as_second() % 60 == 0 { "%Y-%m-%d %H:%M" } else { "%Y-%m-%d %H:%M:%S" };
    instant.strftime(format).to_string()
}

/// A span as people say it, in its two largest units.
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

    /// The tests' clock.
    const NOW: &str = "2025-06-15T13:45:30.5Z";

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time of the test")
    }

    #[test]
    fn every_form_names_its_instant() {
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
    fn the_same_words_name_the_same_range_all_day() {
        for word in ["90d", "4w", "today", "yesterday"] {
            assert_eq!(parse(word, at("2025-06-15T00:00:00Z")), parse(word, at("2025-06-15T23:59:59Z")), "{word}");
        }
    }

    #[test]
    fn what_is_no_time_is_told_what_is() {
        for text in
            ["", "soon", "90", "d", "-3d", "90m", "2025-13-01", "2025-1-1", "99999999999d", "4000000000d", "+1d"]
        {
            let said = parse(text, at(NOW)).expect_err(text).to_string();
            assert!(said.contains("90d") && said.contains("2025-01-01"), "{text}: {said}");
        }
        let said = parse("2025-01-01T08:00:00", at(NOW)).expect_err("no zone").to_string();
        assert_eq!(
            said,
            "\"2025-01-01T08:00:00\" says no zone: write 2025-01-01T08:00:00Z for UTC, or its offset, as in \
             2025-01-01T08:00:00+01:00"
        );
    }

    #[test]
    fn a_zone_is_added_as_the_text_says() {
        for text in ["2025-01-01T08:00:00", "2025-01-01 08:00"] {
            assert_eq!(parse(&format!("{text}Z"), at(NOW)), Ok(at("2025-01-01T08:00:00Z")), "{text}");
            assert_eq!(parse(&format!("{text}+01:00"), at(NOW)), Ok(at("2025-01-01T07:00:00Z")), "{text}");
        }
    }

    #[test]
    fn a_range_ends_after_its_beginning() {
        let (from, to) = (at("2025-01-01T00:00:00Z"), at("2025-01-02T00:00:00Z"));
        assert!(Range::new(from, to, at(NOW)).is_ok());
        for (from, to) in [(to, from), (from, from)] {
            assert!(Range::new(from, to, at(NOW)).expect_err("empty").to_string().contains("is not before --to"));
        }
    }

    #[test]
    fn a_range_begins_in_the_past() {
        let said = Range::new(at("2025-06-16T00:00:00Z"), at("2025-06-17T00:00:00Z"), at(NOW)).expect_err("future");
        assert_eq!(
            said.to_string(),
            "--from (2025-06-16T00:00:00Z) lies in the future: now it is 2025-06-15T13:45:30Z"
        );
        // Its end may be the next full hour.
        assert!(Range::new(at("2025-06-15T13:00:00Z"), at("2025-06-15T14:00:00Z"), at(NOW)).is_ok());
    }

    #[test]
    fn a_range_is_said_in_utc_and_in_the_zone_of_who_looks() {
        let range = Range { from: at("2025-01-01T00:00:00Z"), to: at("2025-06-15T14:00:05Z") };
        assert_eq!(range.to_string(), "2025-01-01 00:00 to 2025-06-15 14:00:05 (UTC, the end exclusive)");
        let berlin = TimeZone::get("Europe/Berlin").expect("a zone");
        assert_eq!(
            range.local(&berlin).as_deref(),
            Some("2025-01-01 01:00:00 +01:00 to 2025-06-15 16:00:05 +02:00 (your zone, Europe/Berlin)")
        );
        assert_eq!(range.local(&TimeZone::UTC), None);
        // In winter as in UTC, in summer not.
        assert!(range.local(&TimeZone::get("Europe/London").expect("a zone")).is_some());
    }

    #[test]
    fn the_next_full_hour_misses_nothing_until_now() {
        assert_eq!(next_hour(at(NOW)), at("2025-06-15T14:00:00Z"));
        assert_eq!(next_hour(at("2025-06-15T14:00:00Z")), at("2025-06-15T14:00:00Z"));
        assert_eq!(next_hour(at("2025-06-15T14:00:00.1Z")), at("2025-06-15T15:00:00Z"));
    }

    #[test]
    fn a_span_is_said_in_its_two_largest_units() {
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
