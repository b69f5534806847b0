//! Backfills a range of the event report.

use super::{
    Session,
    run::{Begun, Ended, Run},
    windows::backfill_window,
};
use crate::{
    answer::{Reason, RunAnswer, RunStatus},
    checkpoint::{Key, State, Unfinished, WindowPosition},
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
    let Backfill { window, skip_completed, alert } = request;
    // A range that reached into the future was read only up to the time of the run.
    let was_read_whole = |state: &State| state.complete && state.watermark.is_none_or(|read_to| read_to >= window.to);
    run_unless_done(session, window, alert, |state| skip_completed && was_read_whole(state)).await
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
    // In another destination than that of its item, a complete backfill has no state.
    let is_done = |state: &State| state.complete || (alert.is_none() && state.unfinished.is_none());
    run_unless_done(session, window, alert.unwrap_or_default(), is_done).await
}

/// Runs a backfill, unless its state shows that it is done.
async fn run_unless_done(
    session: &Session<'_>,
    window: Window,
    alert: bool,
    is_done: impl Fn(&State) -> bool,
) -> Result<RunAnswer, Error> {
    let run = match Run::begin(session, Key::Backfill(window)).await? {
        Begun::Run(run) => run,
        Begun::Busy(answer) => return Ok(answer),
    };
    let state = run.lease.state();
    if is_done(&state) {
        return run.end_already_complete(state, window).await;
    }
    let ended = run.work(run.read_backfill(window, alert)).await;
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

    async fn read_backfill(&self, requested: Window, alert: bool) -> Result<Ended, Error> {
        let zone = &self.session.mapper.zone;
        let state = self.lease.state();
        let window = match state.unfinished {
            Some(Unfinished::Window(window)) => window,
            Some(Unfinished::Snapshot(_) | Unfinished::Redrive { .. }) | None => {
                let Window { from, to } = backfill_window(requested, whole_second(now()), zone);
                WindowPosition { from, to, position: to, alert }
            }
        };
        self.session.store.add_to_unfinished(self.lease.key()).await?;
        let (unfinished, events) = (Some(Unfinished::Window(window)), self.acknowledged_events());
        self.save(State { complete: false, unfinished, events, ..state }).await?;
        if window.from < window.position && self.read_window(window, None).await? == Ended::DeadlineCame {
            return Ok(Ended::DeadlineCame);
        }
        let (watermark, events) = (Some(window.to), self.acknowledged_events());
        let state = State { complete: true, watermark, unfinished: None, events, ..self.lease.state() };
        self.save(state).await?;
        self.session.store.remove_from_unfinished(self.lease.key()).await?;
        Ok(Ended::Complete)
    }
}
