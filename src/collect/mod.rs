//! Orchestrates a run: window → pages → documents → bulk requests → checkpoint.
//!
//! Only this module knows both LastPass and Elasticsearch. It keeps one invariant: a position is saved only after every
//! document before it was acknowledged. A run may end at any point and in any way. The next run begins at the saved
//! position and delivers again, under the same `_id`s, every document that may not have arrived.

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
    windows::{ZONE_REACH, open_end},
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

/// The interval at which a run renews its lease of 60 s. Chosen: two renewals may fail.
const RENEW_EVERY: Duration = Duration::from_secs(20);
/// How many documents are delivered before they are counted: two bulk requests, which are in progress at the same time.
const COUNTED_TOGETHER: usize = 4_000;

/// Reads the clock, which leases, deadlines and `event.created` use. The `now` of a run is never later than its
/// `scheduled_time`.
#[must_use]
pub fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the one place where the clock is read")]
    Timestamp::now()
}

/// The settings, clients and limits of one invocation.
pub struct Session<'a> {
    /// The settings.
    pub config: &'a Config,
    /// The client of the LastPass account.
    pub lastpass: &'a lastpass::Client,
    /// The client of the Elasticsearch cluster.
    pub elastic: &'a elastic::Client,
    /// The checkpoint store.
    pub store: &'a Store,
    /// Maps records to documents.
    pub mapper: &'a Mapper,
    /// Describes the invocation in dead letters.
    pub origin: &'a Origin,
    /// Records the runs of the invocation, for its summary and metrics.
    pub journal: &'a Journal,
    /// The Lambda request ID.
    pub request_id: &'a str,
    /// When work stops. It is before Lambda's own deadline.
    pub deadline: Deadline,
    /// The deadline for writing the last checkpoint.
    pub save_deadline: Deadline,
    /// The latest instant at which a lease may expire.
    pub lease_until: Timestamp,
}

/// Builds the mapper of an account. Values in the account's secret override the settings. An organization without a
/// name gets the name of the account.
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

/// How a run ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Complete,
    DeadlineCame,
}

/// The progress of a run. It outlives a failure of the run, so that acknowledged documents are counted.
#[derive(Debug, Default)]
struct Progress {
    counters: Mutex<Counters>,
    /// Responses of LastPass, or pages of dead letters, that were read.
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

/// One run: a lease, a writer for its data stream, and its progress.
struct Run<'a> {
    session: &'a Session<'a>,
    action: &'static str,
    lease: Lease,
    writer: BulkWriter,
    progress: Progress,
    /// How many events earlier runs of this unfinished backfill or redrive acknowledged.
    events_before: u64,
    lastpass_requests_before: u64,
    lastpass_throttled_before: u64,
}

/// A run, or the answer if another run holds the lease.
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

    /// Delivers documents and counts their outcomes. The iterator is read in chunks, so that memory holds only the
    /// documents whose delivery is in progress.
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

    /// Returns how many events a backfill or redrive has acknowledged.
    fn acknowledged_events(&self) -> u64 {
        match self.lease.key() {
            Key::Backfill { .. } | Key::Redrive(_) => self.events_before + self.progress.counters().fetched,
            Key::Stream(_) | Key::Plan { .. } => 0,
        }
    }

    /// Saves a state. Everything before its positions must be acknowledged.
    async fn save(&self, state: State) -> Result<(), Error> {
        Ok(self.lease.save(state, now(), self.session.save_deadline).await?)
    }

    /// Runs `work` and renews the lease meanwhile. Ends early if the lease is lost.
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

    /// Returns whether the deadline ended the run, rather than a fault. A run that has read a page made progress,
    /// because the next run skips the documents that it delivered.
    fn was_cut_short(&self, error: &Error) -> bool {
        let is_out_of_time = error.is_out_of_time() || (error.is_retryable() && self.session.is_nearly_over());
        is_out_of_time && self.progress.pages.load(Ordering::Relaxed) > 0
    }

    /// Releases the lease, unless another run holds it, and records the run in the journal. Returns the answer, or the
    /// error if the run failed for another reason than its deadline.
    async fn end(self, ended: Result<Ended, Error>, window: Option<Window>) -> Result<RunAnswer, Error> {
        let counters = self.progress.counters();
        let mut is_lease_lost = false;
        let outcome = match ended {
            Ok(Ended::Complete) => Ok(RunStatus::Complete),
            Ok(Ended::DeadlineCame) => Ok(RunStatus::Partial),
            Err(error) if self.was_cut_short(&error) => {
                tracing::warn!(%error, "the deadline was reached; the next run continues");
                Ok(RunStatus::Partial)
            }
            Err(error) if error.is_lease_lost() => {
                tracing::warn!(%error, "another run has taken over and continues");
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
                tracing::warn!(%error, "another run has taken over and continues");
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
    /// Returns whether too little time is left to begin another page.
    fn is_nearly_over(&self) -> bool {
        !self.deadline.allows(Duration::from_secs(1))
    }
}

/// Collects a stream up to now.
///
/// # Errors
/// Any error of an outside system. The checkpoint is then at the last acknowledged page.
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
