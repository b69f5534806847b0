//! Backfills a range of the event report.

use jiff::Timestamp;

use super::{
    Session,
    events::EventWindow,
    run::{Begun, Ended, Run},
    windows::backfill_window,
};
use crate::{
    answer::{Reason, RunAnswer, RunStatus},
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
    // A range that reached into the future was read only up to the time of the run.
    let was_read_whole = |state: &State| state.complete && state.watermark.is_none_or(|read_to| read_to >= to);
    perform(session, Window { from, to }, alert, |state| skip_completed && was_read_whole(state)).await
}

/// Continues an unfinished backfill; `alert` is that of its item. If the item was complete, `alert` is `None`, and the
/// backfill is only removed from the list of the unfinished ones. Does not read the range of a complete backfill again,
/// because the item no longer knows whether detection rules evaluate the documents.
///
/// # Errors
/// See [`super::collect`].
pub(super) async fn continue_backfill(
    session: &Session<'_>,
    window: Window,
    alert: Option<bool>,
) -> Result<RunAnswer, Error> {
    // The item of a complete backfill has no state if the destination has changed.
    let is_done = |state: &State| state.complete || (alert.is_none() && state.unfinished.is_none());
    perform(session, window, alert.unwrap_or_default(), is_done).await
}

async fn perform(
    session: &Session<'_>,
    window: Window,
    alert: bool,
    is_done: impl Fn(&State) -> bool,
) -> Result<RunAnswer, Error> {
    let Window { from, to } = window;
    let key = Key::Backfill { stream: Stream::EventReport, from, to };
    let run = match Run::begin(session, "backfill", key).await? {
        Begun::Run(run) => run,
        Begun::Busy(answer) => return Ok(answer),
    };
    let state = run.lease.state();
    if is_done(&state) {
        return run.end_already_complete(state, window).await;
    }
    let ended = run.work(run.read_backfill(from, to, alert)).await;
    run.end(ended, Some(window)).await
}

impl Run<'_> {
    /// Releases the lease of a complete backfill without changing its checkpoint.
    async fn end_already_complete(self, state: State, window: Window) -> Result<RunAnswer, Error> {
        // An earlier run may have been killed before it could do this.
        self.session.store.remove_from_unfinished(self.lease.key()).await?;
        match self.lease.release(state, now()).await {
            // Another run holds the lease now and finds the same complete backfill.
            Err(error) if error.is_lease_lost() => {}
            released => released?,
        }
        Ok(RunAnswer {
            status: RunStatus::Complete,
            window: Some(window),
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
        self.session.store.add_to_unfinished(self.lease.key()).await?;
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
        self.session.store.remove_from_unfinished(self.lease.key()).await?;
        Ok(Ended::Complete)
    }
}
