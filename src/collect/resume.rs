//! Unfinished snapshots, backfills and redrives, oldest first.
//!
//! A schedule sends `resume` every few minutes, so that work which a deadline cut goes on without anyone's doing. The
//! event report's own window is taken up by its next run.

use jiff::Timestamp;
use serde::Serialize;

use super::{Session, backfill, collect_snapshot, redrive};
use crate::{
    checkpoint::{Item, Key, SnapshotPosition, Unfinished},
    document::Stream,
    error::Error,
    request::{Backfill, RunAnswer, RunStatus},
};

/// The answer to `resume`.
#[derive(Debug, Serialize)]
pub struct ResumeAnswer {
    action: &'static str,
    status: RunStatus,
    /// The answer of each piece of work that was taken up.
    resumed: Vec<RunAnswer>,
}

/// A piece of work that was left.
enum Left {
    Snapshot { key: Key, scheduled_time: Timestamp },
    Backfill { from: Timestamp, to: Timestamp, alert: bool },
    Redrive { stream: Stream },
}

/// Goes on with what is unfinished, until it is done or the deadline comes. Work that another run has the lease of is
/// left to it.
///
/// # Errors
/// That of the first piece of work that fails, after the others were taken up; see [`super::collect`].
pub async fn resume(session: &Session<'_>) -> Result<ResumeAnswer, Error> {
    let listing = session.store.list(session.deadline).await?;
    for error in listing.broken {
        tracing::error!(%error, "a checkpoint can't be read");
    }
    let mut left: Vec<(Timestamp, Left)> = listing.items.iter().filter_map(left_of).collect();
    left.sort_by_key(|(since, _)| *since);
    let mut resumed = Vec::new();
    let mut first_error = None;
    for (_, work) in left {
        if session.is_nearly_over() {
            return Ok(ResumeAnswer { action: "resume", status: RunStatus::Partial, resumed });
        }
        let answer = match work {
            Left::Snapshot { key, scheduled_time } => {
                collect_snapshot(session, key.stream(), Some(scheduled_time)).await
            }
            Left::Backfill { from, to, alert } => {
                backfill(session, Backfill { from, to, skip_completed: true, alert }).await
            }
            Left::Redrive { stream } => redrive(session, stream).await,
        };
        match answer {
            Ok(answer) => resumed.push(answer),
            Err(error) if session.is_nearly_over() && error.is_retryable() && !resumed.is_empty() => {
                tracing::warn!(%error, "the deadline came first; the next run goes on");
                return Ok(ResumeAnswer { action: "resume", status: RunStatus::Partial, resumed });
            }
            // One that fails must not hold up the others.
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    if let Some(error) = first_error {
        return Err(error);
    }
    let is_partial = resumed.iter().any(|answer| answer.status == RunStatus::Partial);
    let status = if is_partial { RunStatus::Partial } else { RunStatus::Complete };
    Ok(ResumeAnswer { action: "resume", status, resumed })
}

/// What is left of an item, and since when.
fn left_of(item: &Item) -> Option<(Timestamp, Left)> {
    match (item.key, item.state.unfinished?) {
        (Key::Stream(_), Unfinished::Snapshot(SnapshotPosition { scheduled_time, .. })) => {
            Some((scheduled_time, Left::Snapshot { key: item.key, scheduled_time }))
        }
        (Key::Backfill { from, to, .. }, Unfinished::Window { alert, .. }) => {
            Some((from, Left::Backfill { from, to, alert }))
        }
        (Key::Redrive(stream), Unfinished::Redrive { position }) => Some((position, Left::Redrive { stream })),
        // Whoever sent a plan sends it again; its slices are backfills.
        (Key::Plan { .. }, _)
        | (Key::Stream(_), Unfinished::Window { .. } | Unfinished::Redrive { .. })
        | (Key::Backfill { .. }, Unfinished::Snapshot(_) | Unfinished::Redrive { .. })
        | (Key::Redrive(_), Unfinished::Window { .. } | Unfinished::Snapshot(_)) => None,
    }
}
