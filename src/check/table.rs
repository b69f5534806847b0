//! Checks the table of checkpoints, and the clock against DynamoDB's.

use jiff::Timestamp;

use super::Systems;
use crate::{
    answer::{Checks, Name},
    clock,
    error::Error,
    lastpass::whole_seconds::CLOCK_TOLERANCE,
};

pub(super) async fn check_table(systems: &Systems<'_>) -> Checks {
    let mut checks = Checks::default();
    match systems.store.check_access().await {
        Ok(server_time) => {
            checks.add(Name::Checkpoint, Ok("the table can be read and written".to_owned()));
            checks.add(Name::Clock, judge_clock(clock::now(), server_time));
        }
        Err(error) => {
            checks.add(Name::Checkpoint, Err(Error::from(error).with_causes()));
            let because = "the checkpoint table must be readable first";
            checks.skip(Name::CheckpointDestination, because);
            checks.skip(Name::Clock, because);
        }
    }
    checks
}

pub(super) async fn check_destination(systems: &Systems<'_>, cluster_uuid: Option<String>) -> Result<String, String> {
    let store = systems.store.in_cluster(cluster_uuid);
    match store.check_items().await {
        Ok(true) => Ok(format!("the checkpoints belong to {}", store.destination())),
        Ok(false) => Ok(format!(
            "no checkpoint is bound yet: the first page that Elasticsearch acknowledges binds its stream to {}",
            store.destination()
        )),
        Err(error) => Err(Error::from(error).with_causes()),
    }
}

/// Compares the clock with `server_time`, the time of DynamoDB's response to the second.
fn judge_clock(clock: Timestamp, server_time: Option<Timestamp>) -> Result<String, String> {
    let Some(server_time) = server_time else {
        return Ok("DynamoDB's response contains no time to compare the clock with, so nothing contradicts the clock"
            .to_owned());
    };
    if clock.duration_since(server_time).abs() > CLOCK_TOLERANCE {
        return Err(format!(
            "the function's clock shows {clock:.0}, but AWS's clock shows {server_time}: synchronize the machine's \
             clock with NTP (Lambda's clock always is synchronized)"
        ));
    }
    Ok("the clock agrees with AWS's".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time of the test")
    }

    #[test]
    fn a_wrong_clock_is_reported_with_both_times() {
        let clock = at("2026-10-05T12:00:00Z");
        assert!(judge_clock(clock, None).is_ok());
        assert!(judge_clock(clock, Some(at("2026-10-05T12:05:00Z"))).is_ok());
        for server_time in ["2026-10-05T12:05:01Z", "2026-10-05T11:54:59Z"] {
            let text = judge_clock(clock, Some(at(server_time))).expect_err("a wrong clock");
            assert!(
                text.contains("2026-10-05T12:00:00Z") && text.contains(server_time) && text.contains("NTP"),
                "{text}"
            );
        }
    }
}
