//! Adds up the results of scenarios.

use std::ops::AddAssign;

use lastpass_harness::Comparison;

/// Most failures recorded for one scenario with one seed.
const FAILURES: usize = 5;

/// Counts of one scenario.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    pub truth: usize,
    pub lost: usize,
    pub doubled: usize,
    pub mistimed: usize,
    pub ambiguous_time: usize,
    pub invocations: usize,
    /// Number of leaked secrets.
    pub leaked: usize,
    /// Descriptions of other failures.
    pub failures: Vec<String>,
}

impl Tally {
    /// Adds the result of a comparison.
    pub fn compare(&mut self, held: &Comparison) {
        self.truth += held.truth;
        self.lost += held.lost.len();
        self.doubled += held.doubled.len();
        self.mistimed += held.mistimed.len();
        self.ambiguous_time += held.ambiguous_time;
        if !held.is_exact() {
            self.fail(held.to_string());
        }
    }

    /// Records a failure.
    pub fn fail(&mut self, what: String) {
        if self.failures.len() < FAILURES && !self.failures.contains(&what) {
            self.failures.push(what);
        }
    }

    /// Records a failure unless a condition holds.
    pub fn expect(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.fail(what());
        }
    }

    pub fn is_clean(&self) -> bool {
        self.lost + self.doubled + self.mistimed + self.leaked == 0 && self.failures.is_empty()
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.truth += other.truth;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.mistimed += other.mistimed;
        self.ambiguous_time += other.ambiguous_time;
        self.invocations += other.invocations;
        self.leaked += other.leaked;
        self.failures.extend(other.failures);
    }
}
