//! Computes which range of the event report a run reads. Pure arithmetic.

use jiff::{SignedDuration, Timestamp};

use crate::{
    lastpass::{time::ApiZone, whole_seconds::CLOCK_TOLERANCE},
    request::Window,
};

/// How far past its `now` a live run requests events. The first run, and one run each day, also read this far back.
/// Chosen: two zones are at most 26 hours apart, so an event appears in this range even if the zone setting is wrong.
pub const ZONE_REACH: SignedDuration = SignedDuration::from_hours(26);
/// How often [`ZONE_REACH`] is read again. Chosen: a wrong zone setting is found within a day.
const REREAD_EVERY: SignedDuration = SignedDuration::from_hours(24);

/// The range that one live run reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LivePlan {
    /// The window that the answer shows: from the watermark to the `now` of the run.
    pub window: Window,
    /// Where reading begins: before the window, because of late events and clock errors.
    pub read_from: Timestamp,
    /// Where reading ends: later than any possible event.
    pub read_to: Timestamp,
    /// Whether the run reads the wide range: it begins [`ZONE_REACH`] before `now`, so that the zone setting can be judged.
    pub is_wide: bool,
}

/// The distance that a run reads back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookBack {
    /// The setting `INITIAL_LOOKBACK`.
    pub initial_lookback: SignedDuration,
    /// The setting `OVERLAP`.
    pub overlap: SignedDuration,
}

/// The positions of earlier runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Past {
    /// Everything before this instant is acknowledged.
    pub watermark: Option<Timestamp>,
    /// When the wide range ([`LivePlan::is_wide`]) was last read.
    pub reread_at: Option<Timestamp>,
}

impl LivePlan {
    /// Plans a run at `now` after the runs of the `past`.
    ///
    /// Reading begins [`LookBack::overlap`] plus [`CLOCK_TOLERANCE`] before the watermark. The watermark was taken from a
    /// clock that may have been ahead by the tolerance. Without this margin, the run would miss an event that appears
    /// later than the overlap minus the clock error.
    #[must_use]
    pub fn new(now: Timestamp, past: Past, look_back: LookBack, zone: &ApiZone) -> Self {
        let Past { watermark, reread_at } = past;
        let from = watermark.unwrap_or_else(|| before(now, look_back.initial_lookback));
        // A repeated schedule may be older than the watermark.
        let to = now.max(from);
        let is_wide = reread_at.is_none_or(|at| to.duration_since(at) >= REREAD_EVERY);
        let overlapped =
            if watermark.is_some() { before(before(from, look_back.overlap), CLOCK_TOLERANCE) } else { from };
        let read_from = if is_wide { overlapped.min(before(to, ZONE_REACH)) } else { overlapped };
        Self {
            window: Window { from, to },
            read_from: zone.begin_outside_fold(read_from),
            read_to: open_end(zone, to),
            is_wide,
        }
    }
}

impl Past {
    /// Returns the past once everything from `read_from` to the open end is acknowledged, for a window that ends at
    /// `to`. The watermark never moves back. In a repeated hour it stays at the beginning, because both passes may still
    /// bring events.
    #[must_use]
    pub fn after(self, read_from: Timestamp, to: Timestamp, zone: &ApiZone) -> Self {
        let was_wide = to.duration_since(read_from) >= ZONE_REACH;
        Self {
            watermark: self.watermark.max(Some(zone.begin_outside_fold(to))),
            reread_at: if was_wide { Some(to) } else { self.reread_at },
        }
    }
}

/// Returns the range that a backfill of `requested` reads at `now`: the part before `now`, extended to the whole of each
/// repeated hour that it cuts.
#[must_use]
pub fn backfill_window(requested: Window, now: Timestamp, zone: &ApiZone) -> Window {
    let from = zone.begin_outside_fold(requested.from);
    Window { from, to: zone.end_outside_fold(requested.to.min(now)).max(from) }
}

/// Returns the end of a request without an upper limit, sent at `now`. The wall time of every event so far is earlier, in
/// any zone.
#[must_use]
pub fn open_end(zone: &ApiZone, now: Timestamp) -> Timestamp {
    zone.end_outside_fold(now.saturating_add(ZONE_REACH).unwrap_or(now))
}

fn before(instant: Timestamp, duration: SignedDuration) -> Timestamp {
    instant.saturating_sub(duration).unwrap_or(instant)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK_BACK: LookBack =
        LookBack { initial_lookback: SignedDuration::from_hours(24), overlap: SignedDuration::from_mins(15) };

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time of the test")
    }

    fn past(watermark: Option<Timestamp>, reread_at: Option<Timestamp>) -> Past {
        Past { watermark, reread_at }
    }

    fn zone() -> ApiZone {
        ApiZone::new("US/Eastern").expect("a zone")
    }

    #[test]
    fn the_first_run_looks_back_and_reads_the_reach_of_zones() {
        let plan = LivePlan::new(at("2025-07-02T12:00:00Z"), past(None, None), LOOK_BACK, &zone());
        assert_eq!(plan.window, Window { from: at("2025-07-01T12:00:00Z"), to: at("2025-07-02T12:00:00Z") });
        assert_eq!(plan.read_from, at("2025-07-01T10:00:00Z"));
        assert_eq!(plan.read_to, at("2025-07-03T14:00:00Z"));
    }

    #[test]
    fn later_runs_read_the_overlap_again_and_once_a_day_the_wide_range() {
        let now = at("2025-07-02T12:05:00Z");
        let watermark = Some(at("2025-07-02T12:00:00Z"));
        let plan = LivePlan::new(now, past(watermark, Some(at("2025-07-02T00:00:00Z"))), LOOK_BACK, &zone());
        // 15 minutes for late events, and 5 because the clock may have been ahead when it set the watermark.
        assert_eq!(plan.read_from, at("2025-07-02T11:40:00Z"));
        assert_eq!(plan.window.from, at("2025-07-02T12:00:00Z"));
        let plan = LivePlan::new(now, past(watermark, Some(at("2025-07-01T12:05:00Z"))), LOOK_BACK, &zone());
        assert_eq!(plan.read_from, at("2025-07-01T10:05:00Z"));
    }

    #[test]
    fn a_backfill_reads_whole_repeated_hours_and_no_future() {
        let requested = Window { from: at("2025-11-02T05:30:00Z"), to: at("2025-11-02T06:30:00Z") };
        let fold = Window { from: at("2025-11-02T05:00:00Z"), to: at("2025-11-02T07:00:00Z") };
        assert_eq!(backfill_window(requested, at("2026-01-01T00:00:00Z"), &zone()), fold);
        assert_eq!(backfill_window(requested, at("2025-11-02T05:45:00Z"), &zone()), fold);
        let nothing = backfill_window(requested, at("2025-01-01T00:00:00Z"), &zone());
        assert_eq!(nothing, Window { from: fold.from, to: fold.from });
    }

    #[test]
    fn an_older_schedule_never_moves_the_watermark_back() {
        let watermark = at("2025-07-02T12:00:00Z");
        let plan =
            LivePlan::new(at("2025-07-02T11:00:00Z"), past(Some(watermark), Some(watermark)), LOOK_BACK, &zone());
        assert_eq!(plan.window, Window { from: watermark, to: watermark });
        let past = past(Some(watermark), None);
        assert_eq!(past.after(plan.read_from, plan.window.to, &zone()).watermark, Some(watermark));
        let older = at("2025-07-02T11:00:00Z");
        assert_eq!(past.after(older, older, &zone()).watermark, Some(watermark));
    }

    #[test]
    fn the_watermark_waits_at_the_beginning_of_a_repeated_hour() {
        let begin = at("2025-11-02T05:00:00Z");
        for now in ["2025-11-02T05:30:00Z", "2025-11-02T06:30:00Z"] {
            let past = past(Some(at("2025-11-02T04:55:00Z")), None).after(begin, at(now), &zone());
            assert_eq!(past.watermark, Some(begin));
        }
        let after = at("2025-11-02T07:05:00Z");
        assert_eq!(past(Some(begin), None).after(begin, after, &zone()).watermark, Some(after));
        // The overlap does not begin inside the repeated hour.
        let plan = LivePlan::new(at("2025-11-02T07:10:00Z"), past(Some(after), Some(after)), LOOK_BACK, &zone());
        assert_eq!(plan.read_from, begin);
    }
}
