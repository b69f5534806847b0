//! Unfinished snapshots, redrives and backfills: in this order, and of each the oldest first. A backfill may go on for
//! hours, and must not hold up what is live.
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

/// A piece of work that was left, in the order in which it is taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    Snapshot { scheduled_time: Timestamp, stream: Stream },
    Redrive { position: Timestamp, stream: Stream },
    Backfill { from: Timestamp, to: Timestamp, alert: bool },
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
    let mut left: Vec<Left> = listing.items.iter().filter_map(left_of).collect();
    left.sort_unstable();
    let mut resumed = Vec::new();
    let mut first_error = None;
    for work in left {
        if session.is_nearly_over() {
            return Ok(ResumeAnswer { action: "resume", status: RunStatus::Partial, resumed });
        }
        let answer = match work {
            Left::Snapshot { scheduled_time, stream } => collect_snapshot(session, stream, Some(scheduled_time)).await,
            Left::Redrive { stream, .. } => redrive(session, stream).await,
            Left::Backfill { from, to, alert } => {
                backfill(session, Backfill { from, to, skip_completed: true, alert }).await
            }
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

/// What is left of an item.
fn left_of(item: &Item) -> Option<Left> {
    match (item.key, item.state.unfinished?) {
        (Key::Stream(stream), Unfinished::Snapshot(SnapshotPosition { scheduled_time, .. })) => {
            Some(Left::Snapshot { scheduled_time, stream })
        }
        (Key::Redrive(stream), Unfinished::Redrive { position }) => Some(Left::Redrive { position, stream }),
        (Key::Backfill { from, to, .. }, Unfinished::Window { alert, .. }) => Some(Left::Backfill { from, to, alert }),
        // Whoever sent a plan sends it again; its slices are backfills.
        (Key::Plan { .. }, _)
        | (Key::Stream(_), Unfinished::Window { .. } | Unfinished::Redrive { .. })
        | (Key::Backfill { .. }, Unfinished::Snapshot(_) | Unfinished::Redrive { .. })
        | (Key::Redrive(_), Unfinished::Window { .. } | Unfinished::Snapshot(_)) => None,
    }
}
