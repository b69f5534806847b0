//! Planned faults and the requests that meet them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::command::Command;
use crate::rng::Rng;

/// A fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// HTTP 429 with an HTML page.
    Throttled {
        /// `Retry-After` as sent. `None` omits the header.
        #[serde(default)]
        retry_after: Option<String>,
    },
    /// Any response, for example 503, a proxy's 502, or an HTML page with status 200.
    Response {
        /// HTTP status.
        status: u16,
        /// `Content-Type`.
        #[serde(default = "html")]
        content_type: String,
        /// The body.
        #[serde(default = "maintenance_page")]
        body: String,
    },
    /// HTTP 403 with the page "Access Denied" of the content delivery network.
    AccessDenied,
    /// The connection is closed before the response.
    CutBeforeAnswer,
    /// The successful response with its full `Content-Length`, but the connection closes after half of it.
    CutInsideBody,
    /// HTTP 200 with the status `FAIL`.
    Fail {
        /// `error` or `errors`.
        #[serde(default = "error_key")]
        key: String,
        /// The value of that key: string, list or map.
        value: Value,
    },
    /// A delayed response, which can meet another fault.
    Delay {
        /// The delay in milliseconds.
        milliseconds: u64,
    },
}

impl Fault {
    /// Returns status 429, with or without `Retry-After` in seconds.
    pub fn throttled(retry_after_seconds: Option<u64>) -> Self {
        Self::Throttled { retry_after: retry_after_seconds.map(|seconds| seconds.to_string()) }
    }

    /// Returns this status with an HTML page, as a proxy or a maintenance page does.
    pub fn status(status: u16) -> Self {
        Self::Response { status, content_type: html(), body: maintenance_page() }
    }

    /// Returns an HTML page with status 200.
    pub fn html() -> Self {
        Self::status(200)
    }

    /// Returns `FAIL` with this text in a list under `error`.
    pub fn fail(text: &str) -> Self {
        Self::Fail { key: error_key(), value: Value::from(vec![text]) }
    }
}

fn html() -> String {
    "text/html; charset=utf-8".to_owned()
}

pub(crate) fn maintenance_page() -> String {
    "<!DOCTYPE html><html><head><title>Maintenance</title></head><body><h1>We'll be back soon</h1></body></html>"
        .to_owned()
}

pub(crate) fn access_denied_page() -> String {
    "<HTML><HEAD><TITLE>Access Denied</TITLE></HEAD><BODY><H1>Access Denied</H1>You don't have permission to access this \
     server. Reference #18.5d1a2f17.1</BODY></HTML>"
        .to_owned()
}

fn error_key() -> String {
    "error".to_owned()
}

/// The requests of a rule that meet its fault.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The next request that no earlier rule handles. Several such rules form a queue.
    #[default]
    Next,
    /// The n-th request from now on, counted from 1.
    Nth(u64),
    /// Every k-th request from now on.
    Every(u64),
    /// Each request with this probability, drawn from a seed.
    Random {
        /// 0.0 to 1.0.
        probability: f64,
        /// The seed.
        seed: u64,
    },
}

/// A fault with its trigger. Rules apply in the order in which they were added; the first match wins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// The command whose requests count. `None`: all requests.
    #[serde(default)]
    pub command: Option<Command>,
    /// The requests that meet the fault.
    #[serde(default)]
    pub on: Trigger,
    /// The maximum number of faults. Default: once for `next` and `nth`, otherwise unlimited.
    #[serde(default)]
    pub times: Option<u64>,
    /// The fault.
    pub fault: Fault,
}

impl FaultRule {
    /// Applies the fault to the next request.
    pub fn next(fault: Fault) -> Self {
        Self { command: None, on: Trigger::Next, times: None, fault }
    }

    /// Applies the fault to the n-th request from now on.
    pub fn nth(n: u64, fault: Fault) -> Self {
        Self { on: Trigger::Nth(n), ..Self::next(fault) }
    }

    /// Applies the fault to every k-th request.
    pub fn every(k: u64, fault: Fault) -> Self {
        Self { on: Trigger::Every(k), ..Self::next(fault) }
    }

    /// Applies the fault to each request with this probability.
    pub fn random(probability: f64, seed: u64, fault: Fault) -> Self {
        Self { on: Trigger::Random { probability, seed }, ..Self::next(fault) }
    }

    /// Limits the number of faults.
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }
}

/// The fault that a request meets.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Met {
    pub(crate) delay_ms: u64,
    pub(crate) fault: Option<Fault>,
}

/// The rules with their counters.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan {
    rules: Vec<Armed>,
}

#[derive(Debug)]
struct Armed {
    rule: FaultRule,
    seen: u64,
    left: u64,
    rng: Rng,
}

impl FaultPlan {
    pub(crate) fn add(&mut self, rule: FaultRule) {
        let (seed, once) = match rule.on {
            Trigger::Next | Trigger::Nth(_) => (0, true),
            Trigger::Every(_) => (0, false),
            Trigger::Random { seed, .. } => (seed, false),
        };
        let left = rule.times.unwrap_or(if once { 1 } else { u64::MAX });
        self.rules.push(Armed { rule, seen: 0, left, rng: Rng::new(seed) });
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    /// Decides the fault of one request. Each rule counts every request of its command, including those that another
    /// rule handles.
    pub(crate) fn meet(&mut self, command: Option<Command>) -> Met {
        let mut met = Met::default();
        for armed in &mut self.rules {
            if armed.rule.command.is_some() && armed.rule.command != command {
                continue;
            }
            armed.seen += 1;
            let due = match armed.rule.on {
                Trigger::Next => true,
                // `>=`, because `times` may allow more requests, or an earlier rule may have handled the n-th.
                Trigger::Nth(n) => armed.seen >= n,
                Trigger::Every(k) => armed.seen.is_multiple_of(k.max(1)),
                Trigger::Random { probability, .. } => armed.rng.chance(probability),
            };
            if !due || armed.left == 0 || met.fault.is_some() {
                continue;
            }
            armed.left -= 1;
            match &armed.rule.fault {
                Fault::Delay { milliseconds } => met.delay_ms += milliseconds,
                fault => met.fault = Some(fault.clone()),
            }
        }
        self.rules.retain(|armed| armed.left > 0);
        met
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn statuses(plan: &mut FaultPlan, requests: usize) -> Vec<u16> {
        let status = |met: Met| match met.fault {
            Some(Fault::Response { status, .. }) => status,
            Some(other) => panic!("{other:?}"),
            None => 0,
        };
        (0..requests).map(|_| status(plan.meet(Some(Command::Reporting)))).collect()
    }

    #[test]
    fn rules_for_the_next_request_are_a_queue() {
        let mut plan = FaultPlan::default();
        for code in [503, 502, 500] {
            plan.add(FaultRule::next(Fault::status(code)));
        }
        assert_eq!(statuses(&mut plan, 4), [503, 502, 500, 0]);
        assert!(plan.rules.is_empty());
    }

    #[test]
    fn rules_by_number_count_from_their_addition() {
        let mut plan = FaultPlan::default();
        plan.add(FaultRule::nth(2, Fault::status(503)).times(2));
        plan.add(FaultRule::every(3, Fault::status(502)));
        plan.add(FaultRule { command: Some(Command::GetUserData), ..FaultRule::nth(1, Fault::status(500)) });
        assert_eq!(statuses(&mut plan, 7), [0, 503, 503, 0, 0, 502, 0]);
    }

    #[test]
    fn equal_seeds_give_equal_random_faults() {
        let drawn = |seed| {
            let mut plan = FaultPlan::default();
            plan.add(FaultRule::random(0.3, seed, Fault::status(503)));
            statuses(&mut plan, 200)
        };
        assert_eq!(drawn(1), drawn(1));
        let hits = drawn(1).into_iter().filter(|status| *status == 503).count();
        assert!((30..90).contains(&hits), "{hits}");
    }

    #[test]
    fn a_delay_can_meet_another_fault() {
        let mut plan = FaultPlan::default();
        plan.add(FaultRule::next(Fault::Delay { milliseconds: 5 }));
        plan.add(FaultRule::next(Fault::CutBeforeAnswer));
        assert_eq!(plan.meet(None), Met { delay_ms: 5, fault: Some(Fault::CutBeforeAnswer) });
    }

    #[test]
    fn rules_are_read_from_json() {
        let rule: FaultRule = serde_json::from_str(
            r#"{"command":"reporting","on":{"nth":3},"fault":{"kind":"throttled","retry_after":"2"}}"#,
        )
        .unwrap();
        let expected = FaultRule::nth(3, Fault::throttled(Some(2)));
        assert_eq!(rule, FaultRule { command: Some(Command::Reporting), ..expected });
        let rule: FaultRule = serde_json::from_str(r#"{"fault":{"kind":"response","status":503}}"#).unwrap();
        assert_eq!(rule, FaultRule::next(Fault::status(503)));
    }
}
