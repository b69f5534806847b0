//! Backfills a range of the event report.

use jiff::Timestamp;

use super::{
    Session,
    events::EventWindow,
    run::{Begun, Ended, Run},
    windows::backfill_window,
};
use crate::{
    answer::{Counters, Reason, RunAnswer, RunStatus},
    checkpoint::{Key, State, Unfinished},
    clock::{now, whole_second},
    document::Stream,
    error::Error,
    request::{Backfill, Window},
};

/// Reads a range of events, from the position of an earlier run. Reads a complete range again, which adds only missing
/// events.
///
/// # Errors
/// See [`super::collect`].
pub async fn backfill(session: &Session<'_>, request: Backfill) -> Result<RunAnswer, Error> {
    let Backfill { from, to, skip_completed, alert } = request;
    let key = Key::Backfill { stream: Stream::EventReport, from, to };
    let run = match Run::begin(session, "backfill", key).await? {
        Begun::Run(run) => run,
        Begun::Busy(answer) => return Ok(answer),
    };
    let state = run.lease.state();
    let window = Window { from, to };
    // A range that reached into the future was read only up to the time of the run.
    let was_read_whole = state.complete && state.watermark.is_none_or(|read_to| read_to >= to);
    if skip_completed && was_read_whole {
        return run.leave(state, window).await;
    }
    let ended = run.work(run.read_backfill(from, to, alert)).await;
    run.end(ended, Some(window)).await
}

impl Run<'_> {
    /// Releases the lease of a complete backfill without changing its checkpoint.
    async fn leave(self, state: State, window: Window) -> Result<RunAnswer, Error> {
        // An earlier run may have been killed before it could do this.
        self.session.store.leave_unfinished(self.lease.key()).await?;
        match self.lease.release(state, now()).await {
            // Another run holds the lease now and finds the same complete backfill.
            Err(error) if error.is_lease_lost() => {}
            released => released?,
        }
        Ok(RunAnswer {
            status: RunStatus::Complete,
            window: Some(window),
            counters: Counters::default(),
            checkpoint: Some(window.from),
            ..RunAnswer::skipped(self.action, Stream::EventReport, Reason::AlreadyComplete)
        })
    }

    async fn read_backfill(&self, from: Timestamp, to: Timestamp, alert: bool) -> Result<Ended, Error> {
        let zone = &self.session.mapper.zone;
        let mut state = self.lease.state();
        let window = match state.unfinished {
            Some(Unfinished::Window { from, to, position, alert }) => {
                EventWindow { from, to, position, late_before: None, alert }
            }
            Some(Unfinished::Snapshot(_) | Unfinished::Redrive { .. }) | None => {
                let Window { from, to } = backfill_window(Window { from, to }, whole_second(now()), zone);
                EventWindow { from, to, position: to, late_before: None, alert }
            }
        };
        self.session.store.enter_unfinished(self.lease.key()).await?;
        state.complete = false;
        state.unfinished = Some(window.unfinished(window.position));
        state.events = self.acknowledged_events();
        self.save(state).await?;
        if window.from < window.position && self.read_window(window).await? == Ended::DeadlineCame {
            return Ok(Ended::DeadlineCame);
        }
        let mut state = self.lease.state();
        state.complete = true;
        state.watermark = Some(window.to);
        state.unfinished = None;
        state.events = self.acknowledged_events();
        self.save(state).await?;
        self.session.store.leave_unfinished(self.lease.key()).await?;
        Ok(Ended::Complete)
    }
}
