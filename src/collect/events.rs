//! Reads windows of the event report page by page, for live runs and backfills, and collects the event report up to now.
//!
//! The position is saved only after every document of the page was acknowledged. If the function is killed in between,
//! the next run reads the page again and finds its documents by their `_id`.

use std::{pin::pin, time::Duration};

use futures_util::future;
use jiff::Timestamp;

use super::{
    Session,
    run::{Begun, Ended, Run},
    windows::{LivePlan, LookBack, Past},
};
use crate::{
    answer::RunAnswer,
    checkpoint::{Key, State, Unfinished, WindowPosition},
    clock::{now, whole_second},
    config::Config,
    document::{Document, Stream},
    error::Error,
    lastpass::{
        self,
        own_polls::Poll,
        reporting::Page,
        whole_seconds::{WholeSeconds, WindowReader},
    },
    request::Window,
    streams::{self, Mapper, event_report},
};

/// How long a backfill that yields to the live run waits before it checks again whether the live run has ended. Chosen:
/// a live run takes seconds unless LastPass throttles it.
const LIVE_RUN_POLL: Duration = Duration::from_secs(5);

/// Reads the event report from its watermark to now, after the unfinished window of an earlier run.
///
/// # Errors
/// See [`super::collect`].
pub async fn collect_events(session: &Session<'_>, scheduled_time: Option<Timestamp>) -> Result<RunAnswer, Error> {
    let run = match Run::begin(session, Key::Stream(Stream::EventReport)).await? {
        Begun::Run(run) => run,
        Begun::Busy(answer) => return Ok(answer),
    };
    let read_at = now();
    let up_to = whole_second(scheduled_time.map_or(read_at, |scheduled| scheduled.min(read_at)));
    let plan = run.plan(up_to, past(&run.lease.state()));
    let ended = run.work(run.read_up_to(up_to, plan)).await;
    run.end(ended, Some(plan.window)).await
}

impl Run<'_> {
    fn plan(&self, up_to: Timestamp, past: Past) -> LivePlan {
        let Config { initial_lookback, overlap, .. } = *self.session.config;
        LivePlan::new(up_to, past, LookBack { initial_lookback, overlap }, &self.session.mapper.zone)
    }

    /// Reads the unfinished window of an earlier run, and then the range of the `plan`. Once a day, that range begins
    /// [`ZONE_REACH`] before `up_to`. If that needs a backing index that cannot be read, only the overlap is read,
    /// because the newest events come first. The rest is read when the index is readable again.
    ///
    /// [`ZONE_REACH`]: super::ZONE_REACH
    async fn read_up_to(&self, up_to: Timestamp, plan: LivePlan) -> Result<Ended, Error> {
        let State { watermark, unfinished, .. } = self.lease.state();
        let planned = match unfinished {
            Some(Unfinished::Window(window)) => plan.read_from.min(window.from),
            Some(Unfinished::Snapshot(_) | Unfinished::Redrive { .. }) | None => plan.read_from,
        };
        let error = match self.read_all(up_to, plan).await {
            Err(error) if error.is_unreadable_index() => error,
            ended => return ended,
        };
        // Plans as if the wide range had just been read.
        let least = self.plan(up_to, Past { watermark, reread_at: Some(up_to) });
        if watermark.is_none() || least.read_from <= planned {
            return Err(error);
        }
        tracing::error!(%error, from = %planned, to = %least.read_from, "late events of these hours cannot be read");
        self.read_planned(least).await
    }

    async fn read_all(&self, up_to: Timestamp, mut plan: LivePlan) -> Result<Ended, Error> {
        let State { watermark, unfinished, zone_polls, .. } = self.lease.state();
        if let Some(Unfinished::Window(window)) = unfinished {
            if self.read_window(window, watermark).await? == Ended::DeadlineCame {
                return Ok(Ended::DeadlineCame);
            }
            let state = self.advanced(window.from, window.to, zone_polls);
            plan = self.plan(up_to, past(&state));
            self.save(state).await?;
        }
        self.read_planned(plan).await
    }

    async fn read_planned(&self, plan: LivePlan) -> Result<Ended, Error> {
        let LivePlan { window: Window { from: late_before, to }, read_from, read_to, is_wide } = plan;
        let window = WindowPosition { from: read_from, to, position: read_to, alert: true };
        let reading = self.begin_window(window);
        let fetch = async {
            let sent = now();
            let page = self.fetch(&reading).await?;
            Ok::<_, Error>((page, Poll { sent, answered: now() }))
        };
        let (fetched, earlier) = self.while_preparing(future::join(fetch, self.judge_by_earlier_polls(is_wide))).await;
        let (page, poll) = fetched?;
        let zone_polls = self.prove_zone(&page, poll, is_wide, earlier).await?;
        if self.read_pages(window, Some(late_before), reading, page).await? == Ended::DeadlineCame {
            return Ok(Ended::DeadlineCame);
        }
        self.save_at_end(self.advanced(read_from, to, zone_polls));
        Ok(Ended::Complete)
    }

    /// Waits for LastPass, and meanwhile prepares the first lookup.
    async fn while_preparing<T>(&self, fetch: impl Future<Output = T>) -> T {
        let mut fetch = pin!(fetch);
        tokio::select! {
            biased;
            fetched = &mut fetch => fetched,
            () = self.writer.prepare() => fetch.await,
        }
    }

    /// Returns the state with the watermark past the acknowledged window.
    fn advanced(&self, read_from: Timestamp, to: Timestamp, zone_polls: Vec<(Timestamp, Timestamp)>) -> State {
        let state = self.lease.state();
        let Past { watermark, reread_at } = past(&state).after(read_from, to, &self.session.mapper.zone);
        State { watermark, reread_at, unfinished: None, zone_polls, ..state }
    }

    /// Reads and delivers the rest of a window, page by page, and saves the position after each page. Fetches the next
    /// page while it delivers the current one. Events before `late_before` count as late.
    pub(super) async fn read_window(
        &self,
        window: WindowPosition,
        late_before: Option<Timestamp>,
    ) -> Result<Ended, Error> {
        let reading = self.begin_window(window);
        let page = self.while_preparing(self.fetch(&reading)).await?;
        self.read_pages(window, late_before, reading, page).await
    }

    fn begin_window(&self, window: WindowPosition) -> WindowReader<'_> {
        WindowReader::new(&self.session.mapper.zone, window.from, window.position)
    }

    /// Reads and delivers the rest of a window whose first page was fetched.
    async fn read_pages(
        &self,
        window: WindowPosition,
        late_before: Option<Timestamp>,
        mut reading: WindowReader<'_>,
        mut page: Page,
    ) -> Result<Ended, Error> {
        let session = self.session;
        loop {
            let read_at = now();
            let whole = reading
                .take(page, read_at)
                .map_err(|contradiction| lastpass::Error::of_contradiction(&contradiction, &session.mapper.zone))?;
            let (position, complete) = (whole.position, whole.complete);
            let stamps = streams::Stamps { created: read_at, ingested: window.alert.then_some(read_at) };
            let documents = documents(session.mapper, &stamps, whole, window.from);
            if complete {
                self.deliver(documents, late_before).await?;
                return Ok(Ended::Complete);
            }
            let (delivered, next) = tokio::join!(self.deliver(documents, late_before), self.fetch(&reading));
            delivered?;
            self.progress.finish_page();
            self.save_position(window, position).await?;
            if session.is_nearly_over() {
                return Ok(Ended::DeadlineCame);
            }
            page = next?;
        }
    }

    pub(super) async fn fetch(&self, reading: &WindowReader<'_>) -> Result<Page, Error> {
        let session = self.session;
        self.yield_to_live_run().await;
        Ok(session.lastpass.fetch_events(&reading.request(), &session.mapper.zone).await?)
    }

    /// Waits until no live run is in progress, if LastPass has throttled this invocation and the work can wait.
    /// Otherwise this work would use up the requests that LastPass allows. The live run would back off too, and could
    /// miss its next schedule.
    async fn yield_to_live_run(&self) {
        let session = self.session;
        if matches!(self.lease.key(), Key::Stream(_)) || session.lastpass.throttled() == 0 {
            return;
        }
        while session.limits.deadline.allows(LIVE_RUN_POLL) && self.is_live_run_in_progress().await {
            tokio::time::sleep(LIVE_RUN_POLL).await;
        }
    }

    /// Returns whether a live run holds the lease of the event report. Returns `false` if the lease cannot be read.
    async fn is_live_run_in_progress(&self) -> bool {
        let live = Key::Stream(Stream::EventReport);
        match self.session.store.load(live).await {
            Ok(item) => item.and_then(|item| item.lease).is_some_and(|lease| lease.expires > now()),
            Err(error) => {
                tracing::debug!(%error, "it could not be determined whether a live run is in progress");
                false
            }
        }
    }

    /// Saves that everything from `position` on is acknowledged. Does not save a window without any acknowledged event,
    /// because an unfinished window binds the checkpoint to its destination.
    async fn save_position(&self, window: WindowPosition, position: Timestamp) -> Result<(), Error> {
        if position >= window.position {
            return Ok(());
        }
        let state = self.lease.state();
        let unfinished = Some(Unfinished::Window(WindowPosition { position, ..window }));
        if state.unfinished == unfinished {
            return Ok(());
        }
        self.save(State { unfinished, events: self.acknowledged_events(), ..state }).await
    }
}

/// Returns what the runs before `state` have read.
const fn past(state: &State) -> Past {
    Past { watermark: state.watermark, reread_at: state.reread_at }
}

/// Maps the whole seconds of a window that begins at `from` to documents, lazily.
pub(super) fn documents(
    mapper: &Mapper,
    stamps: &streams::Stamps,
    whole: WholeSeconds,
    from: Timestamp,
) -> impl Iterator<Item = Document> {
    // The request began at `from`, so an event whose time cannot be read happened after it.
    event_report::documents(mapper, stamps, whole.events)
        .map(move |document| Document { since: document.since.or(Some(from)), ..document })
}
