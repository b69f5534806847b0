//! One run: its lease, its writer and its progress, from taking the lease to the answer.

use std::{cell::Cell, time::Duration};

use futures_util::try_join;
use jiff::Timestamp;

use super::Session;
use crate::{
    answer::{ChangesAnswer, Reason, RunAnswer, RunStatus},
    checkpoint::{Acquired, Key, LastRun, Lease, State},
    clock::{now, whole_second},
    counters::Counters,
    document::Document,
    elastic::{BulkWriter, Delivery},
    error::Error,
    request::Window,
    telemetry::{RunRecord, Totals},
};

/// The interval at which a run renews its lease of 60 s. Chosen: two renewals may fail.
const RENEW_EVERY: Duration = Duration::from_secs(20);
/// How many documents are delivered before they are counted. Chosen: two bulk requests, which are in progress at the same
/// time.
const COUNTED_TOGETHER: usize = 4_000;

/// The end of a run without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Complete,
    DeadlineCame,
}

/// The progress of a run. It outlives a failure of the run, so that acknowledged documents are counted.
#[derive(Debug, Default)]
pub(super) struct Progress {
    totals: Cell<Totals>,
    /// See [`Self::finish_page`].
    finished_a_page: Cell<bool>,
}

impl Progress {
    /// Notes that the run is done with a page of LastPass or of a snapshot, which may have no documents.
    pub(super) fn finish_page(&self) {
        self.finished_a_page.set(true);
    }

    /// Returns whether a page was finished or a document delivered.
    fn has_any(&self) -> bool {
        self.finished_a_page.get() || self.counters().fetched > 0
    }

    fn counters(&self) -> Counters {
        self.totals.get().counters
    }

    /// Adds to the totals of the run.
    pub(super) fn add(&self, add: impl FnOnce(&mut Totals)) {
        let mut totals = self.totals.get();
        add(&mut totals);
        self.totals.set(totals);
    }

    /// Counts the outcomes of documents. Those before `late_before` count as late.
    pub(super) fn count(
        &self,
        deliveries: impl Iterator<Item = (Timestamp, Delivery)>,
        late_before: Option<Timestamp>,
    ) {
        self.add(|Totals { counters, .. }| {
            for (timestamp, delivery) in deliveries {
                counters.fetched += 1;
                match delivery {
                    Delivery::Created => {
                        counters.created += 1;
                        counters.late += u64::from(late_before.is_some_and(|begin| timestamp < begin));
                    }
                    Delivery::AlreadyThere => counters.duplicates += 1,
                    Delivery::DeadLetter => counters.dead_letters += 1,
                }
            }
        });
    }
}

/// One run: a lease, a writer for its data stream, and its progress.
pub(super) struct Run<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) action: &'static str,
    pub(super) lease: Lease,
    pub(super) writer: BulkWriter,
    pub(super) progress: Progress,
    /// See [`Self::save_at_end`].
    last_state: Cell<Option<State>>,
    /// How many events earlier runs of this unfinished backfill or redrive acknowledged.
    events_before: u64,
    lastpass_requests_before: u64,
    lastpass_throttled_before: u64,
}

/// A run, or the answer if another run holds the lease.
pub(super) enum Begun<'a> {
    Run(Box<Run<'a>>),
    Busy(RunAnswer),
}

impl<'a> Run<'a> {
    /// Takes the lease of `key`.
    pub(super) async fn begin(session: &'a Session<'a>, key: Key) -> Result<Begun<'a>, Error> {
        let action = match key {
            Key::Stream(_) => "collect",
            Key::Backfill(_) => "backfill",
            Key::Plan(_) => "plan",
            Key::Redrive(_) => "redrive",
        };
        let stream = key.stream();
        let held = session.store.acquire(key, &session.origin.request_id, now(), session.limits.lease_until).await?;
        let lease = match held {
            Acquired::Held(lease) => lease.with_deadline(session.limits.save_deadline),
            Acquired::Busy { expires } => {
                let mut answer = RunAnswer::skipped(action, stream, Reason::LeaseHeld);
                answer.lease_expires = Some(expires);
                return Ok(Begun::Busy(answer));
            }
        };
        let state = lease.state();
        Ok(Begun::Run(Box::new(Self {
            session,
            action,
            lease,
            writer: session.writer(stream.data_stream(&session.mapper.namespace)),
            progress: Progress::default(),
            last_state: Cell::default(),
            events_before: if state.unfinished.is_some() { state.events } else { 0 },
            lastpass_requests_before: session.lastpass.requests(),
            lastpass_throttled_before: session.lastpass.throttled(),
        })))
    }

    /// Delivers documents and counts their outcomes. The iterator is read in chunks, so that memory holds only the
    /// documents whose delivery is in progress.
    pub(super) async fn deliver(
        &self,
        documents: impl IntoIterator<Item = Document>,
        late_before: Option<Timestamp>,
    ) -> Result<(), Error> {
        self.confirm_cluster().await?;
        let mut documents = documents.into_iter();
        loop {
            let documents: Vec<Document> = documents.by_ref().take(COUNTED_TOGETHER).collect();
            if documents.is_empty() {
                return Ok(());
            }
            let deliveries = self.writer.deliver(&documents, now()).await?;
            let timestamps = documents.iter().map(|document| document.timestamp);
            self.progress.count(timestamps.zip(deliveries), late_before);
        }
    }

    /// Returns how many events a backfill or redrive has acknowledged.
    pub(super) fn acknowledged_events(&self) -> u64 {
        match self.lease.key() {
            Key::Backfill(_) | Key::Redrive(_) => self.events_before + self.progress.counters().fetched,
            Key::Stream(_) | Key::Plan(_) => 0,
        }
    }

    /// Saves a state. Everything before its positions must be acknowledged.
    pub(super) async fn save(&self, state: State) -> Result<(), Error> {
        self.confirm_cluster().await?;
        Ok(self.lease.save(state, now()).await?)
    }

    /// Keeps a state that [`Self::end`] saves when it releases the lease, in one write. Everything before its positions must
    /// be acknowledged.
    pub(super) fn save_at_end(&self, state: State) {
        self.last_state.set(Some(state));
    }

    /// Waits until the cluster is confirmed. Required before each write.
    pub(super) async fn confirm_cluster(&self) -> Result<(), Error> {
        self.session.cluster.confirm(self.lease.key()).await
    }

    /// Runs `work`, and meanwhile confirms the cluster and renews the lease. Ends early if the lease is lost.
    pub(super) async fn work(&self, work: impl Future<Output = Result<Ended, Error>>) -> Result<Ended, Error> {
        let renewing = async {
            loop {
                tokio::time::sleep(RENEW_EVERY).await;
                match self.lease.renew(now()).await {
                    Err(error) if error.is_lease_lost() => return error,
                    Err(error) => tracing::warn!(%error, "the lease was not renewed; retrying"),
                    Ok(()) => {}
                }
            }
        };
        tokio::select! {
            ended = async { try_join!(self.confirm_cluster(), work) } => ended.map(|((), ended)| ended),
            lost = renewing => Err(lost.into()),
        }
    }

    /// Returns whether the deadline ended the run, rather than a fault. A run that made no progress,
    /// because it only waited for a system, failed.
    fn was_cut_short(&self, error: &Error) -> bool {
        let is_out_of_time = error.is_out_of_time() || (error.is_retryable() && self.session.is_nearly_over());
        is_out_of_time && self.progress.has_any()
    }

    /// Returns the status of the run, or its error, and whether another run took over the lease.
    fn outcome(&self, ended: Result<Ended, Error>) -> (Result<RunStatus, Error>, bool) {
        match ended {
            Ok(Ended::Complete) => (Ok(RunStatus::Complete), false),
            Ok(Ended::DeadlineCame) => (Ok(RunStatus::Partial), false),
            Err(error) if self.was_cut_short(&error) => {
                tracing::warn!(%error, "the deadline was reached; the next run continues");
                (Ok(RunStatus::Partial), false)
            }
            Err(error) if error.is_lease_lost() => {
                tracing::warn!(%error, "another run has taken over and continues");
                (Ok(RunStatus::Partial), true)
            }
            Err(error) => (Err(error), false),
        }
    }

    /// Describes the run for `status`.
    fn last_run(&self, outcome: &Result<RunStatus, Error>) -> LastRun {
        LastRun {
            finished_at: whole_second(now()),
            status: outcome.as_ref().map_or("failed", |status| status.as_str()).to_owned(),
            error_type: outcome.as_ref().err().map(|error| error.error_type().to_owned()),
            request_id: self.session.origin.request_id.clone(),
            counters: self.progress.counters(),
        }
    }

    /// Releases the lease, unless another run holds it, and records the run in the journal. Returns the answer, or the
    /// error if the run failed for another reason than its deadline.
    pub(super) async fn end(self, ended: Result<Ended, Error>, window: Option<Window>) -> Result<RunAnswer, Error> {
        let (mut outcome, mut is_lease_lost) = self.outcome(ended);
        let mut saved = self.lease.state();
        let key = self.lease.key();
        let stream = key.stream();
        let last_run = Some(self.last_run(&outcome));
        let last_state = State { last_run, ..self.last_state.take().unwrap_or_else(|| saved.clone()) };
        if !is_lease_lost {
            match self.lease.release(last_state.clone(), now()).await {
                Ok(()) => saved = last_state,
                Err(error) if error.is_lease_lost() => {
                    tracing::warn!(%error, "another run has taken over and continues");
                    is_lease_lost = true;
                    outcome = outcome.map(|_| RunStatus::Partial);
                }
                Err(error) if outcome.is_err() => {
                    tracing::warn!(%error, "the lease was not released; it expires by itself");
                }
                Err(error) => outcome = Err(error.into()),
            }
        }
        self.progress.add(|totals| {
            totals.lastpass_requests += self.session.lastpass.requests() - self.lastpass_requests_before;
            totals.lastpass_throttled += self.session.lastpass.throttled() - self.lastpass_throttled_before;
            totals.bulk_requests += self.writer.requests();
        });
        let totals = self.progress.totals.get();
        self.session.journal.record_run(RunRecord { stream, totals, failed: outcome.is_err() });
        if let (Key::Stream(_), Some(watermark)) = (key, saved.watermark) {
            self.session.journal.record_watermark(stream, watermark);
        }
        Ok(RunAnswer {
            action: self.action,
            stream,
            status: outcome?,
            reason: is_lease_lost.then_some(Reason::LeaseLost),
            window,
            counters: totals.counters,
            lastpass_requests: totals.lastpass_requests,
            bulk_requests: totals.bulk_requests,
            checkpoint: saved.reached(key),
            lease_expires: None,
            changes: ChangesAnswer::of(&saved).map(Box::new),
        })
    }
}
