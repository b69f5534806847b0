//! Which range of the event report a run reads. Pure arithmetic.

use jiff::{SignedDuration, Timestamp};

use crate::{
    lastpass::{time::ApiZone, whole_seconds::CLOCK_TOLERANCE},
    request::Window,
};

/// How far past the run's now a live request reaches, and how far back the first run and one run a day read again.
/// Chosen: two zones are never further apart than 26 hours, so that an event of a wrongly set zone shows up.
pub const ZONE_REACH: SignedDuration = SignedDuration::from_hours(26);
/// How often [`ZONE_REACH`] is read again. Chosen: a zone that was set wrongly is found within a day.
const REREAD_EVERY: SignedDuration = SignedDuration::from_hours(24);

/// What one live run reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LivePlan {
    /// The window as the answer shows it: from the watermark to the run's now.
    pub window: Window,
    /// Where reading begins: before the window, for late events and a wrong clock.
    pub read_from: Timestamp,
    /// Where reading ends: open, beyond every event there can be.
    pub read_to: Timestamp,
    /// Whether [`ZONE_REACH`] is read again, so that the zone can be judged.
    pub is_wide: bool,
}

/// How far back a run reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// `INITIAL_LOOKBACK`.
    pub initial_lookback: SignedDuration,
    /// `OVERLAP`.
    pub overlap: SignedDuration,
}

impl LivePlan {
    /// Plans a run at `now` after one that ended at `watermark`; `reread_at` is when the wide range was last read.
    ///
    /// Reading begins [`Reach::overlap`] and [`CLOCK_TOLERANCE`] before the watermark. A clock set the watermark, and may
    /// have been ahead by the tolerance: without that room, an event would be missed that comes later than the overlap
    /// less the clock's error.
    #[must_use]
    pub fn new(
        now: Timestamp,
        watermark: Option<Timestamp>,
        reread_at: Option<Timestamp>,
        reach: Reach,
        zone: &ApiZone,
    ) -> Self {
        let from = watermark.unwrap_or_else(|| before(now, reach.initial_lookback));
        // A schedule's repetition may be older than what was read since.
        let to = now.max(from);
        let is_wide = reread_at.is_none_or(|at| to.duration_since(at) >= REREAD_EVERY);
        let overlapped = if watermark.is_some() { before(before(from, reach.overlap), CLOCK_TOLERANCE) } else { from };
        let read_from = if is_wide { overlapped.min(before(to, ZONE_REACH)) } else { overlapped };
        Self {
            window: Window { from, to },
            read_from: zone.begin_outside_fold(read_from),
            read_to: zone.end_outside_fold(to.saturating_add(ZONE_REACH).unwrap_or(to)),
            is_wide,
        }
    }
}

/// What is true once [`read_from`, `to`) is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advance {
    /// The new watermark. In a repeated hour it waits at the beginning, because either pass may still bring events.
    pub watermark: Timestamp,
    /// When the wide range was last read.
    pub reread_at: Option<Timestamp>,
}

impl Advance {
    /// The advance after reading from `read_from` to the open end, with the window's end at `to`. Never backwards.
    #[must_use]
    pub fn new(
        read_from: Timestamp,
        to: Timestamp,
        watermark: Option<Timestamp>,
        reread_at: Option<Timestamp>,
        zone: &ApiZone,
    ) -> Self {
        let reached = zone.begin_outside_fold(to);
        let was_wide = to.duration_since(read_from) >= ZONE_REACH;
        Self {
            watermark: watermark.map_or(reached, |watermark| watermark.max(reached)),
            reread_at: if was_wide { Some(to) } else { reread_at },
        }
    }
}

/// What a backfill of `asked` reads at `now`: what has happened of it, with the whole of a repeated hour that it cuts.
#[must_use]
pub fn backfill_window(asked: Window, now: Timestamp, zone: &ApiZone) -> Window {
    let from = zone.begin_outside_fold(asked.from);
    Window { from, to: zone.end_outside_fold(asked.to.min(now)).max(from) }
}

fn before(instant: Timestamp, duration: SignedDuration) -> Timestamp {
    instant.saturating_sub(duration).unwrap_or(instant)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REACH: Reach =
        Reach { initial_lookback: SignedDuration::from_hours(24), overlap: SignedDuration::from_mins(15) };

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time of the test")
    }

    fn zone() -> ApiZone {
        ApiZone::new("US/Eastern").expect("a zone")
    }

    #[test]
    fn the_first_run_looks_back_and_reads_the_reach_of_zones() {
        let plan = LivePlan::new(at("2025-07-02T12:00:00Z"), None, None, REACH, &zone());
        assert_eq!(plan.window, Window { from: at("2025-07-01T12:00:00Z"), to: at("2025-07-02T12:00:00Z") });
        assert_eq!(plan.read_from, at("2025-07-01T10:00:00Z"));
        assert_eq!(plan.read_to, at("2025-07-03T14:00:00Z"));
    }

    #[test]
    fn later_runs_read_the_overlap_again_and_once_a_day_the_wide_range() {
        let now = at("2025-07-02T12:05:00Z");
        let watermark = Some(at("2025-07-02T12:00:00Z"));
        let plan = LivePlan::new(now, watermark, Some(at("2025-07-02T00:00:00Z")), REACH, &zone());
        // 15 minutes for late events, and 5 in case the clock was ahead when it set the watermark.
        assert_eq!(plan.read_from, at("2025-07-02T11:40:00Z"));
        assert_eq!(plan.window.from, at("2025-07-02T12:00:00Z"));
        let plan = LivePlan::new(now, watermark, Some(at("2025-07-01T12:05:00Z")), REACH, &zone());
        assert_eq!(plan.read_from, at("2025-07-01T10:05:00Z"));
    }

    #[test]
    fn a_backfill_reads_repeated_hours_whole_and_no_future() {
        let asked = Window { from: at("2025-11-02T05:30:00Z"), to: at("2025-11-02T06:30:00Z") };
        let fold = Window { from: at("2025-11-02T05:00:00Z"), to: at("2025-11-02T07:00:00Z") };
        assert_eq!(backfill_window(asked, at("2026-01-01T00:00:00Z"), &zone()), fold);
        assert_eq!(backfill_window(asked, at("2025-11-02T05:45:00Z"), &zone()), fold);
        let nothing = backfill_window(asked, at("2025-01-01T00:00:00Z"), &zone());
        assert_eq!(nothing, Window { from: fold.from, to: fold.from });
    }

    #[test]
    fn an_older_schedule_never_moves_the_watermark_back() {
        let watermark = at("2025-07-02T12:00:00Z");
        let plan = LivePlan::new(at("2025-07-02T11:00:00Z"), Some(watermark), Some(watermark), REACH, &zone());
        assert_eq!(plan.window, Window { from: watermark, to: watermark });
        let advance = Advance::new(plan.read_from, plan.window.to, Some(watermark), None, &zone());
        assert_eq!(advance.watermark, watermark);
        let older = at("2025-07-02T11:00:00Z");
        assert_eq!(Advance::new(older, older, Some(watermark), None, &zone()).watermark, watermark);
    }

    #[test]
    fn the_watermark_waits_at_the_beginning_of_a_repeated_hour() {
        let begin = at("2025-11-02T05:00:00Z");
        for now in ["2025-11-02T05:30:00Z", "2025-11-02T06:30:00Z"] {
            let advance = Advance::new(begin, at(now), Some(at("2025-11-02T04:55:00Z")), None, &zone());
            assert_eq!(advance.watermark, begin);
        }
        let after = at("2025-11-02T07:05:00Z");
        assert_eq!(Advance::new(begin, after, Some(begin), None, &zone()).watermark, after);
        // The overlap doesn't reach into the middle of it.
        let plan = LivePlan::new(at("2025-11-02T07:10:00Z"), Some(after), Some(after), REACH, &zone());
        assert_eq!(plan.read_from, begin);
    }
}
