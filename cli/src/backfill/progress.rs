//! The progress of a backfill, computed from the answer to `status`.

use std::time::Duration;

use indicatif::HumanCount;
use serde::Deserialize as _;
use serde_json::Value;

use crate::{
    answers::{AccountStatus, SliceStatus},
    times::{self, Range},
};

/// The progress of a backfill.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Progress {
    pub events: u64,
    pub slices: u64,
    pub complete: u64,
    /// The share of the range that is read, from 0 to 1. All slices hold about the same number of events.
    pub share: f64,
}

impl Progress {
    /// Reads the progress of the backfill of `range` from the answer to `status`. It is zero before the range is split.
    ///
    /// # Errors
    /// The answer has another form.
    pub fn parse(status: &Value, range: Range) -> Result<Self, serde_json::Error> {
        let status = AccountStatus::deserialize(status)?;
        let backfill = status.backfills.iter().find(|backfill| (backfill.from, backfill.to) == (range.from, range.to));
        let Some((backfill, slices)) = backfill.and_then(|backfill| Some((backfill, backfill.slices.as_ref()?))) else {
            return Ok(Self::default());
        };
        let begun: f64 = slices.unfinished.iter().map(share_of_slice).sum();
        #[expect(clippy::cast_precision_loss, reason = "there are at most 200 slices")]
        let share = if slices.total == 0 { 0.0 } else { (slices.complete as f64 + begun) / slices.total as f64 };
        Ok(Self { events: backfill.events, slices: slices.total, complete: slices.complete, share })
    }

    /// Formats events, slices, rate and time left as far as they are known. `first` is the first progress that was seen, and
    /// the time since then.
    pub fn describe(&self, first: Option<(Self, Duration)>) -> String {
        if self.slices == 0 {
            return "splitting the range into slices".to_owned();
        }
        let mut text = format!("{} events, {} of {} slices", HumanCount(self.events), self.complete, self.slices);
        let Some((first, elapsed)) = first else { return text };
        let seconds = elapsed.as_secs_f64();
        if seconds >= 1.0 && self.events > first.events {
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the rate is an estimate for people"
            )]
            let rate = ((self.events - first.events) as f64 / seconds) as u64;
            text.push_str(&format!(", {}/s", HumanCount(rate)));
        }
        let progress = self.share - first.share;
        if progress > 0.0 && self.share < 1.0 {
            #[expect(clippy::cast_possible_truncation, reason = "the time left is an estimate for people")]
            let left = (seconds * (1.0 - self.share) / progress) as i64;
            text.push_str(&format!(", about {} left", times::span(left)));
        }
        text
    }
}

/// Returns the share of a slice that is read. A slice is read from its end to its start.
fn share_of_slice(slice: &SliceStatus) -> f64 {
    let Some(position) = slice.position else { return 0.0 };
    let share = slice.to.duration_since(position).as_secs_f64() / slice.to.duration_since(slice.from).as_secs_f64();
    share.clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn range() -> Range {
        let at = |text: &str| text.parse().expect("a time of the test");
        Range { from: at("2025-01-01T00:00:00Z"), to: at("2025-03-01T00:00:00Z") }
    }

    fn status(slices: &Value) -> Value {
        let (from, to) = (json!(range().from), json!(range().to));
        let other =
            json!({"from": "2024-01-01T00:00:00Z", "to": to, "status": "complete", "events": 7, "slices": null});
        let ours = json!({"from": from, "to": to, "status": "unfinished", "events": 120_000, "slices": slices});
        json!({"streams": {}, "backfills": [other, ours], "redrives": []})
    }

    #[test]
    fn the_progress_is_read_for_the_same_range() {
        let half =
            json!({"from": "2025-01-01T00:00:00Z", "to": "2025-01-03T00:00:00Z", "position": "2025-01-02T00:00:00Z"});
        let found = Progress::parse(&status(&json!({"total": 4, "complete": 1, "unfinished": [half]})), range());
        assert_eq!(found.expect("a status"), Progress { events: 120_000, slices: 4, complete: 1, share: 0.375 });
        let none = json!({"streams": {}, "backfills": [], "redrives": []});
        assert_eq!(Progress::parse(&none, range()).expect("a status"), Progress::default());
        assert_eq!(Progress::parse(&status(&json!(null)), range()).expect("a status"), Progress::default());
    }

    #[test]
    fn an_answer_of_another_form_is_an_error() {
        for answer in [json!(null), json!({"backfills": {}}), status(&json!({"total": "4"}))] {
            assert!(Progress::parse(&answer, range()).is_err(), "{answer}");
        }
    }

    #[test]
    fn the_description_has_events_slices_rate_and_time_left() {
        let progress = |events, complete, share| Progress { events, slices: 8, complete, share };
        assert_eq!(Progress::default().describe(None), "splitting the range into slices");
        let (first, now) = (progress(10_000, 1, 0.125), progress(1_210_000, 4, 0.5));
        assert_eq!(first.describe(Some((first, Duration::ZERO))), "10,000 events, 1 of 8 slices");
        assert_eq!(
            now.describe(Some((first, Duration::from_secs(300)))),
            "1,210,000 events, 4 of 8 slices, 4,000/s, about 6 min 40 s left"
        );
    }
}
