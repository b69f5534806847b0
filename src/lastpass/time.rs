//! Converts between the API's local time and UTC.
//!
//! Every such conversion is in this module. The API writes and reads the wall time of one zone without naming the zone
//! (LASTPASS_API.md, "reporting"). An hour repeats when daylight saving time ends (a *fold*, the repeated hour), and
//! one is skipped when it begins (a *gap*). Each conversion from wall time to UTC states its choice at a fold and at a
//! gap.
//!
//! ```
//! use lastpass_elastic::lastpass::time::ApiZone;
//!
//! let zone = ApiZone::new("US/Eastern").unwrap();
//! let noon = "2025-07-17T16:00:00Z".parse().unwrap();
//! assert_eq!(zone.wall_time(noon), "2025-07-17 12:00:00");
//! ```

use jiff::{
    Timestamp,
    civil::DateTime,
    fmt::strtime,
    tz::{AmbiguousOffset, Offset, TimeZone},
};
use serde_json::Value;

use crate::redact::Quoted;

/// The zone in which the API writes and reads times. It is a setting, because accounts differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiZone {
    name: String,
    zone: TimeZone,
}

/// A zone setting that names no zone.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} is not a time zone: use a name of the IANA time zone database such as US/Eastern or Europe/Berlin, or UTC",
    Quoted(name)
)]
pub struct UnknownZone {
    name: String,
}

/// A `Time` that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Time is not of the form YYYY-MM-DD hh:mm:ss, or no such time exists")]
pub struct UnreadableTime;

/// A repeated hour (in some zones half an hour): the wall clock shows it twice, because daylight saving time ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fold {
    /// When the first pass begins.
    pub begin: Timestamp,
    /// When the clock is set back: the first pass ends and the second begins.
    pub set_back: Timestamp,
    /// When the second pass ends.
    pub end: Timestamp,
}

/// A readable `Time`: a wall time and the instants that it can mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    civil: DateTime,
    first: Timestamp,
    second: Option<Timestamp>,
}

/// The instant that was chosen for an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTime {
    /// When the event happened, to the second.
    pub timestamp: Timestamp,
    /// Whether the wall clock shows its time twice.
    pub is_repeated: bool,
    /// Whether the wall time repeats and its pass is unknown.
    pub ambiguous: bool,
}

impl ApiZone {
    /// Parses a zone setting: an IANA name, `UTC`, `±hh:mm` or `±hhmm`.
    ///
    /// # Errors
    /// [`UnknownZone`] if `name` is not a zone.
    pub fn new(name: &str) -> Result<Self, UnknownZone> {
        let zone = parse_offset(name).map(TimeZone::fixed).or_else(|| TimeZone::get(name).ok());
        let name = name.to_owned();
        match zone {
            Some(zone) => Ok(Self { name, zone }),
            None => Err(UnknownZone { name }),
        }
    }

    /// Returns the setting as written, which is the value of `event.timezone`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the zone's offset from UTC at `instant`.
    #[must_use]
    pub fn offset_at(&self, instant: Timestamp) -> Offset {
        self.zone.to_offset(instant)
    }

    /// Formats `instant` as the API writes it in requests: `YYYY-MM-DD hh:mm:ss`.
    #[must_use]
    pub fn wall_time(&self, instant: Timestamp) -> String {
        self.zone.to_datetime(instant).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// Reads a `Time`. An absent value, `null` and `""` are `None`.
    ///
    /// # Errors
    /// [`UnreadableTime`] for anything but a real wall time of the documented form.
    pub fn read(&self, time: Option<&Value>) -> Result<Option<LocalTime>, UnreadableTime> {
        match time {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => self.read_text(text),
            Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => Err(UnreadableTime),
        }
    }

    /// Reads the text of a `Time`. `""` is `None`.
    ///
    /// # Errors
    /// [`UnreadableTime`] for anything but a real wall time of the documented form.
    pub fn read_text(&self, text: &str) -> Result<Option<LocalTime>, UnreadableTime> {
        if text.is_empty() {
            return Ok(None);
        }
        parse_wall_time(text).and_then(|civil| self.locate(civil)).map(Some).ok_or(UnreadableTime)
    }

    /// Returns the earliest instant that a wall time can mean.
    #[must_use]
    pub fn earliest(&self, civil: DateTime) -> Option<Timestamp> {
        self.locate(civil).map(|time| time.earliest())
    }

    /// Returns the instants that `civil` can mean: two in a fold; in a gap one, moved forward by the length of the gap.
    fn locate(&self, civil: DateTime) -> Option<LocalTime> {
        let at = |offset: Offset| offset.to_timestamp(civil).ok();
        let (first, second) = match self.zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => (at(offset)?, None),
            // With the offset before the gap, the instant is as far after the gap's end as `civil` is after its
            // beginning.
            AmbiguousOffset::Gap { before, .. } => (at(before)?, None),
            AmbiguousOffset::Fold { before, after } => (at(before)?, Some(at(after)?)),
        };
        Some(LocalTime { civil, first, second })
    }

    /// Returns the fold that contains `instant`, if any.
    #[must_use]
    pub fn fold_at(&self, instant: Timestamp) -> Option<Fold> {
        let civil = self.zone.to_datetime(instant);
        let AmbiguousOffset::Fold { before, after } = self.zone.to_ambiguous_timestamp(civil).offset() else {
            return None;
        };
        let length = before.duration_since(after);
        let latest = instant.checked_add(length).and_then(|end| end.checked_add(jiff::Span::new().nanoseconds(1)));
        let set_back = self.zone.preceding(latest.ok()?).next()?.timestamp();
        Some(Fold { begin: set_back.checked_sub(length).ok()?, set_back, end: set_back.checked_add(length).ok()? })
    }

    /// Returns `instant`, or the beginning of the fold that contains it, because no window may begin inside a fold.
    #[must_use]
    pub fn begin_outside_fold(&self, instant: Timestamp) -> Timestamp {
        self.fold_at(instant).map_or(instant, |fold| fold.begin)
    }

    /// Returns `instant`, or the end of the fold that contains it, because no window may end inside a fold.
    #[must_use]
    pub fn end_outside_fold(&self, instant: Timestamp) -> Timestamp {
        match self.fold_at(instant) {
            Some(fold) if fold.begin < instant => fold.end,
            _ => instant,
        }
    }
}

impl LocalTime {
    /// Returns the wall time as it was read.
    #[must_use]
    pub const fn civil(&self) -> DateTime {
        self.civil
    }

    /// Returns the earliest instant that the wall time can mean.
    #[must_use]
    pub const fn earliest(&self) -> Timestamp {
        self.first
    }

    /// Returns the latest instant that the wall time can mean.
    #[must_use]
    pub fn latest(&self) -> Timestamp {
        self.second.unwrap_or(self.first)
    }

    /// Returns the instants that the wall time can mean, the earlier one first.
    pub fn instants(&self) -> impl Iterator<Item = Timestamp> + use<> {
        std::iter::once(self.first).chain(self.second)
    }

    /// Returns whether the wall clock shows this time twice.
    #[must_use]
    pub const fn is_repeated(&self) -> bool {
        self.second.is_some()
    }

    /// Returns whether both times are in the same repeated hour.
    #[must_use]
    pub fn shares_fold(&self, other: &Self) -> bool {
        // The second pass follows the first, so the first instants of two times in one fold are less than a pass apart.
        let is_near =
            |second: Timestamp| self.first.duration_since(other.first).abs() < second.duration_since(self.first);
        other.is_repeated() && self.second.is_some_and(is_near)
    }

    /// Returns the instant in the first pass, or the only instant.
    #[must_use]
    pub const fn first_pass(&self) -> EventTime {
        EventTime { timestamp: self.first, is_repeated: self.is_repeated(), ambiguous: false }
    }

    /// Returns the instant in the second pass, or the only instant.
    #[must_use]
    pub fn second_pass(&self) -> EventTime {
        EventTime { timestamp: self.latest(), ..self.first_pass() }
    }

    /// Returns the instant in the first pass, marked as ambiguous if the time repeats. For times whose pass is unknown.
    #[must_use]
    pub const fn either_pass(&self) -> EventTime {
        EventTime { ambiguous: self.is_repeated(), ..self.first_pass() }
    }
}

/// Parses exactly `YYYY-MM-DD hh:mm:ss` in ASCII digits; real dates from year 1 on.
fn parse_wall_time(text: &str) -> Option<DateTime> {
    const FORM: &[u8] = b"dddd-dd-dd dd:dd:dd";
    let bytes = text.as_bytes();
    let fits = bytes.len() == FORM.len()
        && bytes.iter().zip(FORM).all(|(byte, form)| if *form == b'd' { byte.is_ascii_digit() } else { byte == form });
    if !fits {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i16>().ok();
    let small = |from: usize| i8::try_from(number(from, from + 2)?).ok();
    let year = number(0, 4).filter(|year| *year >= 1)?;
    DateTime::new(year, small(5)?, small(8)?, small(11)?, small(14)?, small(17)?, 0).ok()
}

/// Parses `±hh:mm` or `±hhmm`.
fn parse_offset(text: &str) -> Option<Offset> {
    let format = if text.contains(':') { "%:z" } else { "%z" };
    // Without the limit, an offset with seconds would be accepted.
    strtime::parse(format, text).ok()?.offset().filter(|_| text.len() <= "+hh:mm".len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time of the test")
    }

    fn read(zone: &str, time: &str) -> Option<LocalTime> {
        ApiZone::new(zone).expect("a zone").read(Some(&Value::from(time))).ok().flatten()
    }

    #[test]
    fn the_repeated_hour_has_two_instants() {
        let time = read("US/Eastern", "2025-11-02 01:30:00").expect("readable");
        assert_eq!((time.earliest(), time.latest()), (at("2025-11-02T05:30:00Z"), at("2025-11-02T06:30:00Z")));
        assert!(time.either_pass().ambiguous);
    }

    #[test]
    fn a_time_in_the_skipped_hour_is_moved_forward_by_the_gap() {
        let time = read("US/Eastern", "2025-03-09 02:30:00").expect("readable");
        assert_eq!((time.earliest(), time.is_repeated()), (at("2025-03-09T07:30:00Z"), false));
    }

    #[test]
    fn folds_are_found_from_any_instant_in_them() {
        for (zone, begin, set_back, end) in [
            ("US/Eastern", "2025-11-02T05:00:00Z", "2025-11-02T06:00:00Z", "2025-11-02T07:00:00Z"),
            ("Europe/London", "2025-10-26T00:00:00Z", "2025-10-26T01:00:00Z", "2025-10-26T02:00:00Z"),
            ("Australia/Lord_Howe", "2025-04-05T14:30:00Z", "2025-04-05T15:00:00Z", "2025-04-05T15:30:00Z"),
            ("America/New_York", "2045-11-05T05:00:00Z", "2045-11-05T06:00:00Z", "2045-11-05T07:00:00Z"),
        ] {
            let zone = ApiZone::new(zone).expect("a zone");
            let fold = Fold { begin: at(begin), set_back: at(set_back), end: at(end) };
            let second = jiff::Span::new().seconds(1);
            for inside in [fold.begin, fold.set_back - second, fold.set_back, fold.end - second] {
                assert_eq!(zone.fold_at(inside), Some(fold), "{inside}");
            }
            assert_eq!(zone.fold_at(fold.begin - second), None);
            assert_eq!(zone.fold_at(fold.end), None);
            assert_eq!(zone.end_outside_fold(fold.begin), fold.begin);
            assert_eq!(zone.end_outside_fold(fold.set_back), fold.end);
            assert_eq!(zone.begin_outside_fold(fold.set_back), fold.begin);
        }
    }

    #[test]
    fn only_the_documented_form_is_a_time() {
        for time in [
            "2025-02-30 00:00:00",
            "2025-13-01 00:00:00",
            "2025-07-17 24:00:00",
            "2025-07-17 09:51:60",
            "2025-07-17 09:51",
            "2025-7-17 09:51:51",
            "2025-07-17T09:51:51Z",
            "2025-07-17 09:51:51 ",
            "0000-01-01 00:00:00",
            "٢٠٢٥-07-17 09:51:51",
        ] {
            assert_eq!(read("UTC", time), None, "{time}");
        }
    }

    #[test]
    fn offsets_are_zones() {
        for zone in ["+02:00", "+0200"] {
            let time = read(zone, "2025-07-17 09:51:51").expect("readable");
            assert_eq!(time.earliest(), at("2025-07-17T07:51:51Z"));
        }
        for zone in ["+2", "+02:60", "+02:00:00", "+020000", "+25:00:00", "Mars/Olympus", "", "+ab:cd", "+26:00"] {
            assert!(ApiZone::new(zone).is_err(), "{zone}");
        }
    }
}
