//! Events that happen while the simulator is running.

use jiff::{SignedDuration, Timestamp};

use crate::company::{Company, CompanySize};
use crate::event::Event;

/// The longest delay of a late event, in seconds.
const LATEST: usize = 300;

/// The settings of live events.
#[derive(Debug, Clone)]
pub struct Live {
    /// The seed of the company, so that the same employees continue.
    pub seed: u64,
    /// The size of the company.
    pub company: CompanySize,
    /// Average events per second of the simulator's clock. May be below 1.
    pub per_second: f64,
    /// Share of events that appear late, by up to five minutes.
    pub late_share: f64,
}

/// The source of live events.
pub(crate) struct LiveEvents {
    company: Company,
    per_second: f64,
    late_share: f64,
    start: Timestamp,
    made: u64,
}

impl LiveEvents {
    pub(crate) fn new(live: &Live, start: Timestamp) -> Self {
        let company = Company::new(live.seed, &live.company).with_actions_from(live.seed ^ start.as_second() as u64);
        Self { company, per_second: live.per_second, late_share: live.late_share, start, made: 0 }
    }

    /// Returns the events since the last call.
    pub(crate) fn until(&mut self, now: Timestamp) -> Vec<Event> {
        let passed = now.duration_since(self.start).as_secs_f64().max(0.0);
        let due = (passed * self.per_second) as u64;
        let mut events = Vec::new();
        while self.made < due {
            self.made += 1;
            let after = SignedDuration::from_secs_f64(self.made as f64 / self.per_second);
            let instant = self.start.saturating_add(after).unwrap_or(now);
            let event = self.company.act(instant);
            let late = self.company.rng().chance(self.late_share);
            let by = SignedDuration::from_secs(1 + self.company.rng().below(LATEST) as i64);
            events.push(if late { event.appearing(instant.saturating_add(by).unwrap_or(instant)) } else { event });
        }
        events
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn events_come_at_their_rate_and_never_from_the_future() {
        let live = Live { seed: 1, company: CompanySize::default(), per_second: 2.5, late_share: 0.5 };
        let start: Timestamp = "2025-06-01T12:00:00Z".parse().unwrap();
        let mut events = LiveEvents::new(&live, start);
        let mut all = Vec::new();
        for tenths in 1..=100 {
            let now = start + SignedDuration::from_millis(100 * tenths);
            let due = events.until(now);
            assert!(due.iter().all(|event| event.instant <= now && event.instant <= event.appears_at));
            all.extend(due);
        }
        assert_eq!(all.len(), 25);
    }
}
