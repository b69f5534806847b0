//! The orchestration: window → pages → documents → bulk → checkpoint.
//!
//! The only room that knows both LastPass and Elasticsearch. It keeps one invariant: a position is saved only after
//! every document before it was acknowledged. A run may end anywhere and anyhow; the next one begins at the saved
//! position and delivers again what it can't know to be there, under the same `_id`s.

mod backfill;
mod events;
#[cfg(test)]
mod events_properties;
mod preview;
mod redrive;
mod reset;
mod resume;
mod slices;
mod snapshot;
mod windows;
mod zone;

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;

pub(crate) use self::zone::{Account, polls_of};
pub use self::{
    backfill::backfill,
    events::collect_events,
    preview::{Preview, SnapshotOf},
    redrive::redrive,
    reset::{ResetAnswer, reset},
    resume::{ResumeAnswer, resume},
    slices::{plan, slices},
    snapshot::collect_snapshot,
    windows::ZONE_REACH,
};
use crate::{
    checkpoint::{Acquired, Key, LastRun, Lease, State, Store},
    config::Config,
    deadline::Deadline,
    document::{AccountName, DataStream, Document, Organization, Stream},
    elastic::{self, BulkWriter, Delivery, Origin},
    error::Error,
    lastpass,
    request::{Counters, Reason, RunAnswer, RunStatus, Window},
    secrets::Credentials,
    streams::Mapper,
    telemetry::{Journal, RunRecord, Totals},
};

/// How often a lease of 60 s is renewed while a run works. Chosen: two renewals may fail.
const RENEW_EVERY: Duration = Duration::from_secs(20);
/// Documents that are delivered and then counted together: two bulks, which are under way at once.
const COUNTED_TOGETHER: usize = 4_000;

/// The clock. Leases, deadlines and `event.created` use it; a run's *now* is never later than its `scheduled_time`.
#[must_use]
pub fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the one place where the clock is read")]
    Timestamp::now()
}

/// Everything an invocation works with.
pub struct Session<'a> {
    /// The settings.
    pub config: &'a Config,
    /// The account that is read.
    pub lastpass: &'a lastpass::Client,
    /// The cluster that is written.
    pub elastic: &'a elastic::Client,
    /// The checkpoints.
    pub store: &'a Store,
    /// What every document carries.
    pub mapper: &'a Mapper,
    /// What dead letters say of the invocation.
    pub origin: &'a Origin,
    /// What the invocation does, for its summary and metrics.
    pub journal: &'a Journal,
    /// Lambda's request id.
    pub request_id: &'a str,
    /// When work stops, before Lambda's own deadline.
    pub deadline: Deadline,
    /// When the last checkpoint has to be written.
    pub save_deadline: Deadline,
    /// The latest moment up to which a lease may run.
    pub lease_until: Timestamp,
}

/// What the documents of an account carry: what its secret says, or else the settings. An organisation without a name has
/// that of the account.
#[must_use]
pub fn mapper(config: &Config, credentials: &Credentials, account: Option<&AccountName>) -> Mapper {
    let profile = &credentials.profile;
    let Organization { id, name } = profile.organization.clone();
    Mapper {
        account: credentials.account_number.clone(),
        organization: Organization { id, name: name.or_else(|| account.map(ToString::to_string)) },
        namespace: profile.namespace.as_ref().unwrap_or(&config.namespace).clone(),
        zone: profile.zone.as_ref().unwrap_or(&config.zone).clone(),
        user_zone: profile.user_zone.as_ref().unwrap_or(&config.user_zone).clone(),
        tags: config.tags.clone(),
        preserve_original_event: config.preserve_original_event,
        preserve_duplicate_custom_fields: config.preserve_duplicate_custom_fields,
    }
}

/// How the work of one run ended, when it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Complete,
    DeadlineCame,
}

/// What a run has done so far. It survives the failure of the run, so that what was acknowledged is counted.
#[derive(Debug, Default)]
struct Progress {
    counters: Mutex<Counters>,
    /// Answers of LastPass, or pages of dead letters, that were taken.
    pages: AtomicU64,
}

impl Progress {
    fn counters(&self) -> Counters {
        *self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, deliveries: impl Iterator<Item = (Timestamp, Delivery)>, window_from: Option<Timestamp>) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        for (timestamp, delivery) in deliveries {
            counters.fetched += 1;
            match delivery {
                Delivery::Created => {
                    counters.created += 1;
                    counters.late += u64::from(window_from.is_some_and(|from| timestamp < from));
                }
                Delivery::AlreadyThere => counters.duplicates += 1,
                Delivery::DeadLetter => counters.dead_letters += 1,
            }
        }
    }
}

/// One run: a lease, a writer for its stream, and what was done.
struct Run<'a> {
    session: &'a Session<'a>,
    action: &'static str,
    lease: Lease,
    writer: BulkWriter,
    progress: Progress,
    /// How many events an unfinished backfill or redrive has acknowledged before this run.
    events_before: u64,
    lastpass_requests_before: u64,
    lastpass_throttled_before: u64,
}

/// A run, or the answer of one that may not begin.
enum Begun<'a> {
    Run(Box<Run<'a>>),
    Busy(RunAnswer),
}

impl<'a> Run<'a> {
    /// Takes the lease of `key`.
    async fn begin(session: &'a Session<'a>, action: &'static str, key: Key) -> Result<Begun<'a>, Error> {
        let stream = key.stream();
        let held = session.store.acquire(key, session.request_id, now(), session.lease_until, session.deadline).await?;
        let lease = match held {
            Acquired::Held(lease) => *lease,
            Acquired::Busy { expires } => {
                let mut answer = RunAnswer::skipped(action, stream, Reason::LeaseHeld);
                answer.lease_expires = Some(expires);
                return Ok(Begun::Busy(answer));
            }
        };
        let namespace = &session.mapper.namespace;
        let writer = BulkWriter::new(
            session.elastic,
            stream.data_stream(namespace),
            DataStream::dead_letter(namespace),
            session.origin.clone(),
        );
        let state = lease.state();
        Ok(Begun::Run(Box::new(Self {
            session,
            action,
            lease,
            writer,
            progress: Progress::default(),
            events_before: if state.unfinished.is_some() { state.events } else { 0 },
            lastpass_requests_before: session.lastpass.requests(),
            lastpass_throttled_before: session.lastpass.throttled(),
        })))
    }

    /// Delivers documents and counts what became of each. They are made as they are sent: no more of them are held than
    /// are under way.
    async fn deliver(
        &self,
        documents: impl IntoIterator<Item = Document>,
        window_from: Option<Timestamp>,
    ) -> Result<(), Error> {
        let mut documents = documents.into_iter();
        loop {
            let documents: Vec<Document> = documents.by_ref().take(COUNTED_TOGETHER).collect();
            if documents.is_empty() {
                return Ok(());
            }
            let deliveries = self.writer.deliver(&documents, now(), self.session.deadline).await?;
            let timestamps = documents.iter().map(|document| document.timestamp);
            self.progress.count(timestamps.zip(deliveries), window_from);
        }
    }

    /// How many events a backfill or redrive has acknowledged.
    fn acknowledged_events(&self) -> u64 {
        match self.lease.key() {
            Key::Backfill { .. } | Key::Redrive(_) => self.events_before + self.progress.counters().fetched,
            Key::Stream(_) | Key::Plan { .. } => 0,
        }
    }

    /// Saves a state whose positions are all acknowledged.
    async fn save(&self, state: State) -> Result<(), Error> {
        Ok(self.lease.save(state, now(), self.session.save_deadline).await?)
    }

    /// Does `work` while the lease is renewed. It ends early when the lease is lost.
    async fn work(&self, work: impl Future<Output = Result<Ended, Error>>) -> Result<Ended, Error> {
        let renewing = async {
            loop {
                tokio::time::sleep(RENEW_EVERY).await;
                match self.lease.renew(now(), self.session.save_deadline).await {
                    Err(error) if error.is_lease_lost() => return error,
                    Err(error) => tracing::warn!(%error, "the lease was not renewed; trying again"),
                    Ok(()) => {}
                }
            }
        };
        tokio::select! {
            ended = work => ended,
            lost = renewing => Err(lost.into()),
        }
    }

    /// Whether the deadline ended the run rather than a fault: as long as pages come, the run gets on, and what
    /// it has delivered is skipped by the next one.
    fn was_cut_short(&self, error: &Error) -> bool {
        let is_out_of_time = error.is_out_of_time() || (error.is_retryable() && self.session.is_nearly_over());
        is_out_of_time && self.progress.pages.load(Ordering::Relaxed) > 0
    }

    /// Gives the lease up, unless it is another's already, enters the run in the journal, and makes the answer, or the
    /// error if the run failed for more than its deadline.
    async fn end(self, ended: Result<Ended, Error>, window: Option<Window>) -> Result<RunAnswer, Error> {
        let counters = self.progress.counters();
        let mut is_lease_lost = false;
        let outcome = match ended {
            Ok(Ended::Complete) => Ok(RunStatus::Complete),
            Ok(Ended::DeadlineCame) => Ok(RunStatus::Partial),
            Err(error) if self.was_cut_short(&error) => {
                tracing::warn!(%error, "the deadline came first; the next run goes on");
                Ok(RunStatus::Partial)
            }
            Err(error) if error.is_lease_lost() => {
                tracing::warn!(%error, "another run goes on in this one's place");
                is_lease_lost = true;
                Ok(RunStatus::Partial)
            }
            Err(error) => Err(error),
        };
        let mut state = self.lease.state();
        let key = self.lease.key();
        let checkpoint = key.reached(&state);
        let (stream, watermark) = (key.stream(), state.watermark);
        state.last_run = Some(LastRun {
            finished_at: events::whole_second(now()),
            request_id: self.session.request_id.to_owned(),
            status: outcome.as_ref().map_or("failed", |status| status.as_str()).to_owned(),
            error_type: outcome.as_ref().err().map(|error| error.error_type().to_owned()),
            fetched: counters.fetched,
            created: counters.created,
            duplicates: counters.duplicates,
            dead_letters: counters.dead_letters,
            late: counters.late,
        });
        let released =
            if is_lease_lost { Ok(()) } else { self.lease.release(state, now(), self.session.save_deadline).await };
        let outcome = match released {
            Ok(()) => outcome,
            Err(error) if error.is_lease_lost() => {
                tracing::warn!(%error, "another run goes on in this one's place");
                is_lease_lost = true;
                outcome.map(|_| RunStatus::Partial)
            }
            Err(error) if outcome.is_err() => {
                tracing::warn!(%error, "the lease was not given up; it runs out by itself");
                outcome
            }
            Err(error) => Err(error.into()),
        };
        let totals = Totals {
            counters,
            lastpass_requests: self.session.lastpass.requests() - self.lastpass_requests_before,
            lastpass_throttled: self.session.lastpass.throttled() - self.lastpass_throttled_before,
            bulk_requests: self.writer.requests(),
        };
        self.session.journal.enter_run(RunRecord { stream, totals, failed: outcome.is_err() });
        if let (Key::Stream(_), Some(watermark)) = (key, watermark) {
            self.session.journal.enter_watermark(stream, watermark);
        }
        Ok(RunAnswer {
            action: self.action,
            stream,
            status: outcome?,
            reason: is_lease_lost.then_some(Reason::LeaseLost),
            window,
            counters,
            lastpass_requests: totals.lastpass_requests,
            bulk_requests: totals.bulk_requests,
            checkpoint,
            lease_expires: None,
        })
    }
}

impl Session<'_> {
    /// Whether too little time is left for another page to be worth beginning.
    fn is_nearly_over(&self) -> bool {
        !self.deadline.allows(Duration::from_secs(1))
    }
}

/// Reads a stream up to now.
///
/// # Errors
/// Every one that an outside system gives; the checkpoint is then where the last acknowledged page left it.
pub async fn collect(
    session: &Session<'_>,
    stream: Stream,
    scheduled_time: Option<Timestamp>,
) -> Result<RunAnswer, Error> {
    match stream {
        Stream::EventReport => collect_events(session, scheduled_time).await,
        Stream::User | Stream::DetailedSharedFolder => collect_snapshot(session, stream, scheduled_time).await,
    }
}
