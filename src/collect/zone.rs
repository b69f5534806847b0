//! Compares the zone setting with the events of the function's own requests: see [`own_polls`].
//!
//! A live run that reads [`ZONE_REACH`] compares them before it delivers anything. The action `check` does the same.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{
    run::Run,
    windows::{ZONE_REACH, open_end},
};
use crate::{
    checkpoint::State,
    clock::{Deadline, now},
    error::Error,
    lastpass::{
        self,
        own_polls::{self, Evidence, Poll, Verdict},
        reporting::{Page, Request},
        time::ApiZone,
    },
};

/// Pauses before further requests, in milliseconds. The first request is sent without a pause and is enough to prove a
/// correct zone. The other pauses are random, so that no client with a regular schedule has the same pattern.
const PAUSES_MS: std::ops::Range<u64> = 1_200..2_800;
/// Maximum number of further requests. Chosen: three events in different seconds are a pattern, and the last response
/// cannot contain the event of its own request.
const MOST_REQUESTS: usize = 4;
/// After how many further requests polling stops if no new event has appeared since the first page. Chosen: the search
/// ends within seconds. Events that appear later also form a pattern.
const MOST_WITHOUT_NEW_EVENTS: usize = 3;
/// Maximum time for all further requests. Chosen: a live run has minutes, and `check` less than one.
const LONGEST_SEARCH: Duration = Duration::from_secs(20);
/// The divisor of the remaining time. Chosen: further requests take at most a quarter of it, so that the run gets the most.
const TIME_DIVISOR: u32 = 4;
/// How far before the newest event a further request begins. Chosen: longer than the delay between the events of
/// simultaneous requests, which may appear out of order.
const BEFORE_NEWEST: SignedDuration = SignedDuration::from_mins(2);
/// How long after an earlier run's requests a live run still looks for their events. Chosen: events appear minutes late.
const SEARCH_UNTIL: SignedDuration = SignedDuration::from_mins(30);
/// How long after an earlier run's requests a live run begins to look for their events. Chosen: until then, the earlier
/// run still looks for them.
const SEARCH_AFTER: SignedDuration = SignedDuration::from_mins(1);

/// Proves or refutes the zone setting of a LastPass account.
pub(crate) struct ZoneProof<'a> {
    pub(crate) lastpass: &'a lastpass::Client,
    pub(crate) zone: &'a ApiZone,
}

impl ZoneProof<'_> {
    /// Judges the zone setting by `page`, which holds the newest events up to [`ZONE_REACH`] ahead of the clock, and by
    /// `polls`, the requests of this invocation so far. Sends further requests until the zone is proven, and adds them
    /// to `polls`.
    ///
    /// Never fails: a request without a response proves nothing. Sends no further request when LastPass throttles.
    pub(crate) async fn prove_zone(&self, page: &Page, polls: &mut Vec<Poll>) -> Verdict {
        let deadline = self.own_deadline();
        let lastpass = self.lastpass.with_deadline(deadline);
        let mut verdict = self.judge(page, polls);
        let from = self.begin_of_newer_events(page);
        let newest = own_polls::newest_wall_time(page);
        let mut has_new = false;
        for number in 0..MOST_REQUESTS {
            let pause = if number == 0 { Duration::ZERO } else { Duration::from_millis(fastrand::u64(PAUSES_MS)) };
            let is_futile = number >= MOST_WITHOUT_NEW_EVENTS && !has_new;
            if verdict != Verdict::Unknown || is_futile || self.lastpass.throttled() > 0 || !deadline.allows(pause) {
                break;
            }
            tokio::time::sleep(pause).await;
            let Some((page, poll)) = self.poll(&lastpass, from).await else { break };
            polls.push(poll);
            verdict = self.judge(&page, polls);
            has_new |= own_polls::newest_wall_time(&page) > newest;
        }
        verdict
    }

    /// Looks for the events of requests that an earlier run sent.
    async fn find(&self, polls: &[Poll]) -> Verdict {
        let Some(oldest) = polls.first() else { return Verdict::Unknown };
        let from = oldest.sent.saturating_sub(ZONE_REACH + BEFORE_NEWEST).unwrap_or(oldest.sent);
        match self.poll(&self.lastpass.with_deadline(self.own_deadline()), from).await {
            Some((page, _)) => self.judge(&page, polls),
            None => Verdict::Unknown,
        }
    }

    /// Returns when further requests must end.
    fn own_deadline(&self) -> Deadline {
        Deadline::after(LONGEST_SEARCH.min(self.lastpass.deadline().remaining() / TIME_DIVISOR))
    }

    /// Requests the events from `from` to the open end. Returns the page, and when the request was sent and answered.
    async fn poll(&self, lastpass: &lastpass::Client, from: Timestamp) -> Option<(Page, Poll)> {
        let sent = now();
        let request =
            Request { from: self.zone.begin_outside_fold(from), to: open_end(self.zone, sent), next_us: None };
        match lastpass.fetch_events(&request, self.zone).await {
            Ok(page) => Some((page, Poll { sent, answered: now() })),
            Err(error) => {
                tracing::info!(%error, "the time zone was not compared with the events of our own requests");
                None
            }
        }
    }

    pub(crate) fn judge(&self, page: &Page, polls: &[Poll]) -> Verdict {
        let (zone, api_user) = (self.zone, self.lastpass.api_user());
        Evidence { zone, api_user, polls, clock: now() }.judge(page)
    }

    /// Returns where a further request begins, to find events that are newer than those of `page`.
    fn begin_of_newer_events(&self, page: &Page) -> Timestamp {
        let now = now();
        let reach = |hours: SignedDuration| now.saturating_add(hours).unwrap_or(now);
        let (earliest, latest) = (reach(-ZONE_REACH), reach(ZONE_REACH));
        let newest = own_polls::newest_wall_time(page).and_then(|time| self.zone.earliest(time));
        let newest = newest.filter(|newest| (earliest..=latest).contains(newest)).unwrap_or(earliest);
        newest.saturating_sub(BEFORE_NEWEST).unwrap_or(newest)
    }

    /// Builds the error for a zone setting whose offset is wrong.
    pub(crate) fn wrong(&self, offset: jiff::tz::Offset) -> lastpass::Error {
        lastpass::Error::WrongTimeZone {
            zone: self.zone.name().to_owned(),
            proof: own_polls::explain(self.zone, offset, now()),
        }
    }
}

/// Returns the requests of earlier runs whose events have not appeared yet.
pub(crate) fn polls_of(state: &State) -> Vec<Poll> {
    state.zone_polls.iter().map(|(sent, answered)| Poll { sent: *sent, answered: *answered }).collect()
}

/// Returns whether an earlier run has stopped looking for the events of these requests.
fn is_due(polls: &[Poll], clock: Timestamp) -> bool {
    polls.last().is_some_and(|last| clock.duration_since(last.sent) >= SEARCH_AFTER)
}

/// Returns the requests that can prove the zone later, as the checkpoint stores them.
fn to_remember(polls: Vec<Poll>) -> Vec<(Timestamp, Timestamp)> {
    polls.into_iter().filter(Poll::is_sharp).map(|poll| (poll.sent, poll.answered)).collect()
}

impl Run<'_> {
    /// Looks for the events of requests that an earlier run sent, if they had not appeared yet. The page of a wide window
    /// shows them without a further request.
    pub(super) async fn judge_by_earlier_polls(&self, is_wide: bool) -> Option<Verdict> {
        let waiting = polls_of(&self.lease.state());
        if is_wide || !is_due(&waiting, now()) {
            return None;
        }
        Some(self.zone_proof().find(&waiting).await)
    }

    fn zone_proof(&self) -> ZoneProof<'_> {
        ZoneProof { lastpass: self.session.lastpass, zone: &self.session.mapper.zone }
    }

    /// Judges the zone setting by the first page of a live window, before any of its events are delivered. Uses the
    /// requests of this run if the window is wide or if an event is ahead of the clock. Uses the requests of an earlier
    /// run if their events had not appeared yet: `earlier` is the verdict of [`Self::judge_by_earlier_polls`]. Returns the
    /// requests whose events a later run must look for.
    ///
    /// # Errors
    /// [`lastpass::Error::WrongTimeZone`]: nothing may be delivered.
    pub(super) async fn prove_zone(
        &self,
        page: &Page,
        poll: Poll,
        is_wide: bool,
        earlier: Option<Verdict>,
    ) -> Result<Vec<(Timestamp, Timestamp)>, Error> {
        let proof = self.zone_proof();
        let clock = now();
        let mut waiting = polls_of(&self.lease.state());
        let earlier = if is_wide && is_due(&waiting, clock) { Some(proof.judge(page, &waiting)) } else { earlier };
        if let Some(verdict) = earlier {
            match verdict {
                Verdict::Differs { offset } => return Err(proof.wrong(offset).into()),
                Verdict::Agrees if !is_wide => return Ok(Vec::new()),
                Verdict::Agrees => waiting.clear(),
                Verdict::Unknown => waiting.retain(|poll| clock.duration_since(poll.sent) < SEARCH_UNTIL),
            }
        }
        let is_ahead = lastpass::whole_seconds::ahead_of_clock(page, clock).is_some();
        if !is_wide && !is_ahead {
            return Ok(to_remember(waiting));
        }
        let mut polls = vec![poll];
        match proof.prove_zone(page, &mut polls).await {
            Verdict::Differs { offset } => Err(proof.wrong(offset).into()),
            Verdict::Agrees => Ok(Vec::new()),
            Verdict::Unknown => Ok(to_remember(if waiting.is_empty() { polls } else { waiting })),
        }
    }
}
