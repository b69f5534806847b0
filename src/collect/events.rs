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
    windows::{Advance, LivePlan, Past, Reach},
};
use crate::{
    answer::RunAnswer,
    checkpoint::{Key, State, Unfinished},
    clock::{self, now, whole_second},
    document::{Document, Stream},
    error::Error,
    lastpass::{
        self,
        own_polls::Poll,
        reporting::Page,
        whole_seconds::{WholeSeconds, WindowReader},
    },
    streams::{self, Mapper, event_report},
};

/// How long a backfill that yields to the live run waits before it checks again whether the live run has ended. Chosen:
/// a live run takes seconds unless LastPass throttles it.
const LIVE_RUN_POLL: Duration = Duration::from_secs(5);

/// A window of the event report and how its events are delivered.
#[derive(Debug, Clone, Copy)]
pub(super) struct EventWindow {
    /// The beginning of the window.
    pub(super) from: Timestamp,
    /// The end of the window, as the checkpoint stores it.
    pub(super) to: Timestamp,
    /// Everything from this instant on is acknowledged.
    pub(super) position: Timestamp,
    /// Events before this instant count as late.
    pub(super) late_before: Option<Timestamp>,
    /// Whether detection rules evaluate the documents.
    pub(super) alert: bool,
}

impl EventWindow {
    /// Returns what the checkpoint stores when everything from `position` on is acknowledged.
    pub(super) const fn unfinished(self, position: Timestamp) -> Unfinished {
        Unfinished::Window { from: self.from, to: self.to, position, alert: self.alert }
    }
}

/// Reads the event report from its watermark to now, after the unfinished window of an earlier run.
///
/// # Errors
/// See [`super::collect`].
pub async fn collect_events(session: &Session<'_>, scheduled_time: Option<Timestamp>) -> Result<RunAnswer, Error> {
    let run = match Run::begin(session, "collect", Key::Stream(Stream::EventReport)).await? {
        Begun::Run(run) => run,
        Begun::Busy(answer) => return Ok(answer),
    };
    let clock = now();
    let now = whole_second(scheduled_time.map_or(clock, |scheduled| scheduled.min(clock)));
    let state = run.lease.state();
    let reach = Reach { initial_lookback: session.config.initial_lookback, overlap: session.config.overlap };
    let plan = LivePlan::new(now, past(&state), reach, &session.mapper.zone);
    let ended = run.work(run.read_up_to(now, reach)).await;
    run.end(ended, Some(plan.window)).await
}

impl Run<'_> {
    /// Reads the unfinished window of an earlier run, and then up to `now`. Once a day, that range begins
    /// [`ZONE_REACH`] before `now`. If that needs a backing index that cannot be read, only the overlap is read,
    /// because the newest events come first. The rest is read when the index is readable again.
    ///
    /// [`ZONE_REACH`]: super::ZONE_REACH
    async fn read_up_to(&self, now: Timestamp, reach: Reach) -> Result<Ended, Error> {
        let state = self.lease.state();
        let (watermark, unfinished) = (state.watermark, state.unfinished);
        let planned = LivePlan::new(now, past(&state), reach, &self.session.mapper.zone).read_from;
        let planned = match unfinished {
            Some(Unfinished::Window { from, .. }) => planned.min(from),
            Some(Unfinished::Snapshot(_) | Unfinished::Redrive { .. }) | None => planned,
        };
        let error = match self.read_all(now, reach).await {
            Err(error) if error.is_unreadable_index() => error,
            ended => return ended,
        };
        // Plans as if the wide range had just been read.
        let least = LivePlan::new(now, Past { watermark, reread_at: Some(now) }, reach, &self.session.mapper.zone);
        if watermark.is_none() || least.read_from <= planned {
            return Err(error);
        }
        tracing::error!(%error, from = %planned, to = %least.read_from, "late events of these hours cannot be read");
        self.read_planned(least).await
    }

    async fn read_all(&self, now: Timestamp, reach: Reach) -> Result<Ended, Error> {
        let zone = &self.session.mapper.zone;
        let mut state = self.lease.state();
        if let Some(Unfinished::Window { from, to, position, alert }) = state.unfinished {
            let late_before = state.watermark;
            let window = EventWindow { from, to, position, late_before, alert };
            if self.read_window(window).await? == Ended::DeadlineCame {
                return Ok(Ended::DeadlineCame);
            }
            state = self.advanced(from, to, state.zone_polls);
            self.save(state.clone()).await?;
        }
        self.read_planned(LivePlan::new(now, past(&state), reach, zone)).await
    }

    async fn read_planned(&self, plan: LivePlan) -> Result<Ended, Error> {
        let window = EventWindow {
            from: plan.read_from,
            to: plan.window.to,
            position: plan.read_to,
            late_before: Some(plan.window.from),
            alert: true,
        };
        let reading = self.begin_window(window);
        let fetch = async {
            let sent = clock::now();
            let page = self.fetch(&reading).await?;
            Ok::<_, Error>((page, Poll { sent, answered: clock::now() }))
        };
        let (fetched, earlier) = self.while_preparing(future::join(fetch, self.find_earlier_polls(plan.is_wide))).await;
        let (page, poll) = fetched?;
        let zone_polls = self.prove_zone(&page, poll, plan.is_wide, earlier).await?;
        if self.read_pages(window, reading, page).await? == Ended::DeadlineCame {
            return Ok(Ended::DeadlineCame);
        }
        self.save_at_end(self.advanced(plan.read_from, plan.window.to, zone_polls));
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
        let mut state = self.lease.state();
        let zone = &self.session.mapper.zone;
        let advance = Advance::new(read_from, to, past(&state), zone);
        state.watermark = Some(advance.watermark);
        state.reread_at = advance.reread_at;
        state.unfinished = None;
        state.zone_polls = zone_polls;
        state
    }

    /// Reads and delivers the rest of a window, page by page, and saves the position after each page. Fetches the next
    /// page while it delivers the current one.
    pub(super) async fn read_window(&self, window: EventWindow) -> Result<Ended, Error> {
        let reading = self.begin_window(window);
        let page = self.while_preparing(self.fetch(&reading)).await?;
        self.read_pages(window, reading, page).await
    }

    fn begin_window(&self, window: EventWindow) -> WindowReader<'_> {
        WindowReader::new(&self.session.mapper.zone, window.from, window.position)
    }

    /// Reads and delivers the rest of a window whose first page was fetched.
    async fn read_pages(
        &self,
        window: EventWindow,
        mut reading: WindowReader<'_>,
        mut page: Page,
    ) -> Result<Ended, Error> {
        let session = self.session;
        loop {
            let clock = now();
            let whole = reading
                .take(page, clock)
                .map_err(|contradiction| lastpass::Error::of_contradiction(&contradiction, &session.mapper.zone))?;
            let (position, complete) = (whole.position, whole.complete);
            let stamps = streams::Stamps { created: clock, ingested: window.alert.then_some(clock) };
            let documents = documents(session.mapper, &stamps, whole, window.from);
            if complete {
                self.deliver(documents, window.late_before).await?;
                return Ok(Ended::Complete);
            }
            let (delivered, next) = tokio::join!(self.deliver(documents, window.late_before), self.fetch(&reading));
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
        while session.deadline.allows(LIVE_RUN_POLL) && self.is_live_run_in_progress().await {
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
    async fn save_position(&self, window: EventWindow, position: Timestamp) -> Result<(), Error> {
        if position >= window.position {
            return Ok(());
        }
        let mut state = self.lease.state();
        let unfinished = Some(window.unfinished(position));
        if state.unfinished == unfinished {
            return Ok(());
        }
        state.unfinished = unfinished;
        state.events = self.acknowledged_events();
        self.save(state).await
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
    let events = whole.events.into_iter().map(|(event, time)| event_report::Event { record: event.record, time });
    // The request began at `from`, so an event whose time cannot be read happened after it.
    event_report::each(mapper, stamps, events)
        .map(move |document| Document { since: document.since.or(Some(from)), ..document })
}
