//! Continues unfinished work: first snapshots and their comparisons, then redrives, then backfills, the oldest of each
//! kind first. A backfill may take hours and must not delay the others.
//!
//! A schedule sends `resume` every few minutes, so that work which a deadline interrupted continues without an
//! operator. The unfinished window of the event report is continued by its next run.

use jiff::Timestamp;

use super::{Session, backfill::backfill, live::collect, redrive::redrive};
use crate::{
    answer::ResumeAnswer,
    checkpoint::{Item, Key, SnapshotPosition, Unfinished},
    document::Stream,
    error::Error,
    request::Backfill,
};

/// Unfinished work, in the order in which it is continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum PendingWork {
    Snapshot { scheduled_time: Timestamp, stream: Stream },
    Redrive { position: Timestamp, stream: Stream },
    Backfill { from: Timestamp, to: Timestamp, alert: bool },
}

/// Returns whether there is unfinished work. If there is none, neither the secret nor LastPass nor Elasticsearch is
/// needed.
#[must_use]
pub fn has_pending_work(items: &[Item]) -> bool {
    items.iter().any(|item| pending_work(item).is_some())
}

/// Continues unfinished work until it is complete or the deadline comes. Skips work whose lease another run holds.
///
/// # Errors
/// The error of the first piece of work that fails, after the others were continued; see [`super::collect`].
pub async fn resume(session: &Session<'_>, items: &[Item]) -> Result<ResumeAnswer, Error> {
    let mut pending: Vec<PendingWork> = items.iter().filter_map(pending_work).collect();
    pending.sort_unstable();
    let mut resumed = Vec::new();
    let mut first_error = None;
    for work in pending {
        if session.is_nearly_over() {
            return Ok(ResumeAnswer::interrupted(resumed));
        }
        let answer = match work {
            PendingWork::Snapshot { scheduled_time, stream } => collect(session, stream, Some(scheduled_time)).await,
            PendingWork::Redrive { stream, .. } => redrive(session, stream).await,
            PendingWork::Backfill { from, to, alert } => {
                backfill(session, Backfill { from, to, skip_completed: true, alert }).await
            }
        };
        match answer {
            Ok(answer) => resumed.push(answer),
            Err(error) if session.is_nearly_over() && error.is_retryable() && !resumed.is_empty() => {
                tracing::warn!(%error, "the deadline was reached; the next run continues");
                return Ok(ResumeAnswer::interrupted(resumed));
            }
            // Failed work must not delay the rest.
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    match first_error {
        Some(error) => Err(error),
        None => Ok(ResumeAnswer::ended(resumed)),
    }
}

/// Returns the unfinished work of an item. Includes a complete backfill that is still listed as unfinished, because its run
/// removes it from the list.
fn pending_work(item: &Item) -> Option<PendingWork> {
    if let (Key::Backfill { from, to, .. }, true) = (item.key, item.state.complete) {
        return Some(PendingWork::Backfill { from, to, alert: false });
    }
    if let (Key::Stream(stream), Some(comparison), Some(snapshot), None) =
        (item.key, &item.state.comparison, item.state.snapshot, item.state.unfinished)
        && comparison.is_pending()
    {
        return Some(PendingWork::Snapshot { scheduled_time: snapshot.scheduled_time, stream });
    }
    match (item.key, item.state.unfinished?) {
        (
            Key::Stream(stream @ (Stream::User | Stream::DetailedSharedFolder)),
            Unfinished::Snapshot(SnapshotPosition { scheduled_time, .. }),
        ) => Some(PendingWork::Snapshot { scheduled_time, stream }),
        (Key::Redrive(stream), Unfinished::Redrive { position }) => Some(PendingWork::Redrive { position, stream }),
        (Key::Backfill { from, to, .. }, Unfinished::Window { alert, .. }) => {
            Some(PendingWork::Backfill { from, to, alert })
        }
        // The sender repeats a plan. Its slices are backfills.
        (Key::Plan { .. }, _)
        | (Key::Stream(Stream::EventReport), Unfinished::Snapshot(_))
        | (Key::Stream(_), Unfinished::Window { .. } | Unfinished::Redrive { .. })
        | (Key::Backfill { .. }, Unfinished::Snapshot(_) | Unfinished::Redrive { .. })
        | (Key::Redrive(_), Unfinished::Window { .. } | Unfinished::Snapshot(_)) => None,
    }
}
