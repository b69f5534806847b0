//! Splits a range of the event report into slices that can be backfilled in parallel.
//!
//! LastPass returns no counts, so the number of events in a range is known only after reading it. One request for each
//! slice measures the rest of the range. Its response holds at most one page of the newest events, and the time that
//! this page covers determines the length of the slice. A rest that fits in one page is the last slice.
//!
//! The checkpoint stores the slices. A repeated request therefore gets the same slices, and each slice keeps the
//! checkpoint of its backfill.

use jiff::{SignedDuration, Timestamp};

use super::{
    Session,
    run::{Begun, Ended, Run},
    windows::backfill_window,
};
use crate::{
    answer::PlanAnswer,
    checkpoint::Key,
    clock::{now, whole_second},
    error::Error,
    lastpass::{
        self,
        time::ApiZone,
        whole_seconds::{WholeSeconds, WindowReader},
    },
    request::Window,
};

/// Target number of events in a slice. Chosen: six pages, so that the measuring request is a small share of all
/// requests and one invocation completes a slice.
const SLICE_EVENTS: i64 = 50_000;
/// After how many slices the target doubles. Chosen: a year of 300 million events then needs at most [`MAX_SLICES`].
const DOUBLED_EVERY: usize = 25;
/// Maximum number of slices of a plan. Chosen: they fit in a checkpoint, and their answers fit in the 256 KB of a state
/// machine.
const MAX_SLICES: usize = 200;
/// The beginning of a slice is rounded down to this unit, and no slice is shorter. Chosen: readable times.
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Splits `window` into slices, newest first, and saves them. If the plan is complete, returns its slices without any
/// request to LastPass.
///
/// # Errors
/// See [`super::collect`].
pub async fn plan(session: &Session<'_>, window: Window) -> Result<PlanAnswer, Error> {
    let run = match Run::begin(session, Key::Plan(window)).await? {
        Begun::Run(run) => run,
        Begun::Busy(answer) => return Ok(PlanAnswer::new(answer, window, &[])),
    };
    let ended = run.work(run.split(window)).await;
    let starts = run.lease.state().slice_starts;
    Ok(PlanAnswer::new(run.end(ended, Some(window)).await?, window, &starts))
}

impl Run<'_> {
    async fn split(&self, requested: Window) -> Result<Ended, Error> {
        let zone = &self.session.mapper.zone;
        let window = backfill_window(requested, whole_second(now()), zone);
        let mut state = self.lease.state();
        while !state.complete {
            let planned = state.slice_starts.len();
            // The future holds no events to measure.
            let end = state.slice_starts.last().map_or(window.to, |start| (*start).min(window.to));
            let start = if end > window.from && planned + 1 < MAX_SLICES {
                let newest = self.measure(window.from, end).await?;
                slice_start(Window { to: end, ..window }, &newest, planned, zone)
            } else {
                window.from
            };
            state.complete = start <= window.from;
            state.slice_starts.push(if state.complete { requested.from } else { start });
            self.save(state.clone()).await?;
            self.progress.finish_page();
            if !state.complete && self.session.is_nearly_over() {
                return Ok(Ended::DeadlineCame);
            }
        }
        Ok(Ended::Complete)
    }

    /// Reads the newest page of a range, to measure how much time it covers.
    async fn measure(&self, from: Timestamp, to: Timestamp) -> Result<WholeSeconds, Error> {
        let zone = &self.session.mapper.zone;
        let mut reading = WindowReader::new(zone, from, to);
        let page = self.fetch(&reading).await?;
        let newest = reading.take(page, now());
        Ok(newest.map_err(|contradiction| lastpass::Error::of_contradiction(&contradiction, zone))?)
    }
}

/// Returns the beginning of the slice that ends at the end of `rest`, after `planned` other slices. Assumes that the rest
/// of the slice is as dense as the `newest` events before its end.
fn slice_start(rest: Window, newest: &WholeSeconds, planned: usize, zone: &ApiZone) -> Timestamp {
    let Window { from, to: end } = rest;
    if newest.complete {
        return from;
    }
    let wanted = SLICE_EVENTS << (planned / DOUBLED_EVERY);
    let measured = i64::try_from(newest.events.len()).unwrap_or(i64::MAX).max(1);
    let reached_s = end.duration_since(newest.position).as_secs();
    // A page that is part of one second covers no time.
    let length_s = (reached_s.saturating_mul(wanted) / measured).max(1);
    let start = end.saturating_sub(SignedDuration::from_secs(length_s)).unwrap_or(from);
    let hours_s = HOUR.as_secs();
    let start = Timestamp::from_second(start.as_second().div_euclid(hours_s) * hours_s).unwrap_or(from);
    zone.begin_outside_fold(start).max(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time of the test")
    }

    fn zone() -> ApiZone {
        ApiZone::new("US/Eastern").expect("a zone")
    }

    /// Builds a page of `events` events that reaches back to `position`.
    fn newest(events: usize, position: &str) -> WholeSeconds {
        WholeSeconds { events: vec![(String::new(), None); events], position: at(position), complete: false }
    }

    const FROM: &str = "2025-01-01T00:00:00Z";
    const END: &str = "2025-07-01T00:00:00Z";

    fn start(newest: &WholeSeconds, planned: usize) -> Timestamp {
        slice_start(Window { from: at(FROM), to: at(END) }, newest, planned, &zone())
    }

    #[test]
    fn a_slice_is_as_long_as_its_events_are_sparse() {
        // 10,000 events in two days: 50,000 in ten days.
        assert_eq!(start(&newest(10_000, "2025-06-29T00:00:00Z"), 0), at("2025-06-21T00:00:00Z"));
        // 10,000 events in one hour: 50,000 in five hours.
        assert_eq!(start(&newest(10_000, "2025-06-30T23:00:00Z"), 0), at("2025-06-30T19:00:00Z"));
    }

    #[test]
    fn later_slices_are_larger() {
        let newest = newest(10_000, "2025-06-29T00:00:00Z");
        assert_eq!(start(&newest, DOUBLED_EVERY - 1), at("2025-06-21T00:00:00Z"));
        assert_eq!(start(&newest, DOUBLED_EVERY), at("2025-06-11T00:00:00Z"));
        let most: i64 = (0..MAX_SLICES).map(|planned| SLICE_EVENTS << (planned / DOUBLED_EVERY)).sum();
        assert!(most > 300_000_000, "{most}");
    }

    #[test]
    fn a_slice_begins_on_the_hour_and_is_never_empty() {
        assert_eq!(start(&newest(9_990, "2025-06-30T22:17:04Z"), 0), at("2025-06-30T15:00:00Z"));
        assert_eq!(start(&newest(9_000, "2025-06-30T23:59:59Z"), 0), at("2025-06-30T23:00:00Z"));
        // One second fills the page.
        assert_eq!(start(&newest(0, END), 0), at("2025-06-30T23:00:00Z"));
        assert_eq!(start(&newest(1, END), 0), at("2025-06-30T23:00:00Z"));
    }

    #[test]
    fn a_slice_neither_leaves_the_range_nor_cuts_a_repeated_hour() {
        assert_eq!(start(&newest(10_000, "2025-02-01T00:00:00Z"), 0), at(FROM));
        assert_eq!(start(&WholeSeconds { complete: true, ..newest(3, FROM) }, 0), at(FROM));
        let rest = Window { from: at("2025-10-01T00:00:00Z"), to: at("2025-11-02T08:00:00Z") };
        // The repeated hour lasts from 05:00 to 07:00 UTC.
        let cut = slice_start(rest, &newest(50_000, "2025-11-02T06:00:00Z"), 0, &zone());
        assert_eq!(cut, at("2025-11-02T05:00:00Z"));
    }
}
