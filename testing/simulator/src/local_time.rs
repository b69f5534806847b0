//! Conversion between instants and the local time of the API's zone.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Disambiguation, Offset, TimeZone};

use crate::quirks::Pass;

/// Offsets change only at quarters of an hour UTC, so one lookup serves each quarter (seconds).
const QUARTER_HOUR: i64 = 900;

/// Parses `YYYY-MM-DD HH:MM:SS` as PHP's `strtotime` does in this zone: a time in a skipped hour moves forward by the
/// gap, and `pass` decides about a repeated hour. `None` if it cannot be parsed.
pub(crate) fn parse(text: &str, zone: &TimeZone, pass: Pass) -> Option<Timestamp> {
    let civil = DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok()?;
    let choice = match pass {
        Pass::First => Disambiguation::Compatible,
        Pass::Second => Disambiguation::Later,
    };
    zone.to_ambiguous_timestamp(civil).disambiguate(choice).ok()
}

/// Writes instants as the API shows them. Fast for instants close to each other.
#[derive(Debug)]
pub(crate) struct LocalTime<'a> {
    zone: &'a TimeZone,
    known: Option<(i64, Offset)>,
}

impl<'a> LocalTime<'a> {
    pub(crate) fn new(zone: &'a TimeZone) -> Self {
        Self { zone, known: None }
    }

    /// Returns the local time of an instant.
    pub(crate) fn civil(&mut self, instant: Timestamp) -> DateTime {
        let quarter = instant.as_second().div_euclid(QUARTER_HOUR);
        let offset = match self.known {
            Some((known, offset)) if known == quarter => offset,
            _ => self.zone.to_offset(instant),
        };
        self.known = Some((quarter, offset));
        offset.to_datetime(instant)
    }

    /// Appends `YYYY-MM-DD HH:MM:SS`.
    pub(crate) fn push(&mut self, instant: Timestamp, out: &mut String) {
        let civil = self.civil(instant);
        let mut two = |value: i8, before: Option<char>| {
            out.extend(before);
            out.push(digit(value / 10));
            out.push(digit(value % 10));
        };
        let year = civil.year();
        two((year / 100) as i8, None);
        two((year % 100) as i8, None);
        two(civil.month(), Some('-'));
        two(civil.day(), Some('-'));
        two(civil.hour(), Some(' '));
        two(civil.minute(), Some(':'));
        two(civil.second(), Some(':'));
    }
}

fn digit(value: i8) -> char {
    char::from(b'0' + value.unsigned_abs() % 10)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn shown(instant: &str, zone: &str) -> String {
        let zone = TimeZone::get(zone).unwrap();
        let mut out = String::new();
        LocalTime::new(&zone).push(instant.parse().unwrap(), &mut out);
        out
    }

    fn read(text: &str, zone: &str, pass: Pass) -> String {
        parse(text, &TimeZone::get(zone).unwrap(), pass).unwrap().to_string()
    }

    #[test]
    fn both_passes_of_the_repeated_hour_show_the_same_time() {
        assert_eq!(shown("2025-11-02T05:30:00Z", "US/Eastern"), "2025-11-02 01:30:00");
        assert_eq!(shown("2025-11-02T06:30:00Z", "US/Eastern"), "2025-11-02 01:30:00");
        assert_eq!(shown("2025-04-05T15:15:00Z", "Australia/Lord_Howe"), "2025-04-06 01:45:00");
    }

    #[test]
    fn local_times_follow_a_change_of_the_offset() {
        let zone = TimeZone::get("Australia/Lord_Howe").unwrap();
        let mut local = LocalTime::new(&zone);
        let start = Timestamp::from_second("2025-04-05T13:00:00Z".parse::<Timestamp>().unwrap().as_second()).unwrap();
        for minutes in 0..240 {
            let instant = start + jiff::SignedDuration::from_mins(minutes);
            assert_eq!(local.civil(instant), instant.to_zoned_datetime(zone.clone()).datetime());
        }
    }

    #[test]
    fn a_time_in_the_repeated_hour_means_the_requested_pass() {
        assert_eq!(read("2025-11-02 01:30:00", "US/Eastern", Pass::First), "2025-11-02T05:30:00Z");
        assert_eq!(read("2025-11-02 01:30:00", "US/Eastern", Pass::Second), "2025-11-02T06:30:00Z");
    }

    #[test]
    fn a_bound_in_the_skipped_hour_is_moved_forward_by_the_gap() {
        for pass in [Pass::First, Pass::Second] {
            assert_eq!(read("2025-03-09 02:30:00", "US/Eastern", pass), "2025-03-09T07:30:00Z");
            assert_eq!(read("2025-10-05 02:15:00", "Australia/Lord_Howe", pass), "2025-10-04T15:45:00Z");
        }
    }

    #[test]
    fn other_forms_of_time_are_not_read() {
        for text in ["", "2025-01-01", "2025-02-30 00:00:00", "2025-01-01T00:00:00Z", "yesterday"] {
            assert_eq!(parse(text, &TimeZone::UTC, Pass::First), None, "{text}");
        }
    }
}
