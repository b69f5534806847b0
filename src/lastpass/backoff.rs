//! The backoff while LastPass throttles.

use std::time::Duration;

use crate::clock::Backoff;

/// First pause after a fault. Chosen: a connection that was cut is usable again after half a second.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// First pause of low-priority work after LastPass throttled it. Chosen: long enough that a live run, which retries after
/// [`FIRST_PAUSE`], comes first.
pub(super) const FIRST_LOW_PRIORITY_PAUSE: Duration = Duration::from_secs(15);
/// Longest pause between two tries while LastPass throttles. Chosen: one request a minute is no load, and the client
/// notices within a minute that the limit is lifted.
const LONGEST_THROTTLED_PAUSE: Duration = Duration::from_secs(60);
/// How long before the deadline the last try is sent at the latest, even if the pause or `Retry-After` has not ended.
/// Chosen: LastPass takes seconds for a page of 10,000 events, and so does its delivery.
const LAST_TRY: Duration = Duration::from_secs(20);

/// The backoff while LastPass throttles. It lasts as long as the deadline allows. Failing earlier would not help,
/// because the next invocation could only wait too, and a failed invocation leaves a message for an operator.
pub(super) struct Throttled {
    backoff: Backoff,
    /// The time between the last try and the deadline. None until it is chosen.
    last_try: Option<Duration>,
    is_last: bool,
}

impl Throttled {
    pub(super) const fn new(first_pause: Duration) -> Self {
        Self { backoff: Backoff::new(first_pause, LONGEST_THROTTLED_PAUSE), last_try: None, is_last: false }
    }

    /// Returns the pause before the next try, or `None` after the last one. Respects `Retry-After`, except for the last
    /// try before the deadline, which is `remains` from now.
    pub(super) fn pause(&mut self, retry_after: Option<Duration>, remains: Duration) -> Option<Duration> {
        if self.is_last {
            return None;
        }
        let pause = self.backoff.pause().max(retry_after.unwrap_or_default());
        let last_try = *self.last_try.get_or_insert(LAST_TRY.min(remains / 2));
        let last = remains.saturating_sub(last_try);
        self.is_last = pause >= last;
        Some(pause.min(last)).filter(|pause| !pause.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the times of the tries while LastPass keeps throttling, in seconds since the first 429.
    fn tries(retry_after: Option<u64>, remains: u64) -> Vec<f64> {
        tries_from(FIRST_PAUSE, retry_after, remains)
    }

    fn tries_from(first_pause: Duration, retry_after: Option<u64>, remains: u64) -> Vec<f64> {
        let remains = Duration::from_secs(remains);
        let mut throttled = Throttled::new(first_pause);
        let mut passed = Duration::ZERO;
        let mut tries = Vec::new();
        while let Some(pause) = throttled.pause(retry_after.map(Duration::from_secs), remains - passed) {
            passed += pause;
            tries.push(passed.as_secs_f64());
        }
        tries
    }

    #[test]
    fn a_throttled_run_retries_until_its_deadline_with_long_pauses() {
        let long = tries(None, 290);
        assert!((10..18).contains(&long.len()), "{long:?}");
        assert!(long.windows(2).all(|pair| pair[1] - pair[0] <= 60.0), "{long:?}");
        assert_eq!(long.last(), Some(&270.0), "{long:?}");
        assert_eq!(tries(None, 4).last(), Some(&2.0));
    }

    #[test]
    fn low_priority_work_retries_later_than_a_live_run() {
        let (waiting, live) = (tries_from(FIRST_LOW_PRIORITY_PAUSE, None, 290), tries(None, 290));
        assert!(live.iter().filter(|at| **at < waiting[0]).count() >= 3, "{live:?} {waiting:?}");
        assert_eq!(waiting.last(), Some(&270.0), "{waiting:?}");
    }

    #[test]
    fn retry_after_is_respected_except_by_the_last_try_before_the_deadline() {
        assert_eq!(tries(Some(600), 290), [270.0]);
        assert_eq!(tries(Some(100), 290), [100.0, 200.0, 270.0]);
        let short = tries(Some(1), 290);
        assert!(short[0] == 1.0 && short[1] == 2.0 && short.last() == Some(&270.0), "{short:?}");
    }
}
