//! Continues unfinished work: first snapshots and their comparisons, then redrives, then backfills, the oldest of each
//! kind first. A backfill may take hours and must not delay the others.
//!
//! A schedule sends `resume` every few minutes, so that work which a deadline interrupted continues without an
//! operator.

use jiff::Timestamp;

use super::{Session, backfill::continue_backfill, live::collect, redrive::redrive};
use crate::{
    answer::{ResumeAnswer, RunAnswer},
    checkpoint::{Comparison, Item, Key, SnapshotPosition, State, Unfinished, WindowPosition},
    document::Stream,
    error::Error,
    request::Window,
};

/// Unfinished work, in the order in which it is continued. A complete backfill is pending if its run could not remove it
/// from the list of the unfinished ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum PendingWork {
    CompleteBackfill(Window),
    Snapshot { scheduled_time: Timestamp, stream: Stream },
    Redrive { position: Timestamp, stream: Stream },
    Backfill { window: Window, alert: bool },
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
    let is_over = || session.is_nearly_over();
    continue_each(in_order(items), is_over, async |work| match work {
        PendingWork::CompleteBackfill(window) => continue_backfill(session, window, None).await,
        PendingWork::Snapshot { scheduled_time, stream } => collect(session, stream, Some(scheduled_time)).await,
        PendingWork::Redrive { stream, .. } => redrive(session, stream).await,
        PendingWork::Backfill { window, alert } => continue_backfill(session, window, Some(alert)).await,
    })
    .await
}

/// Returns the unfinished work of all items, in the order in which it is continued.
fn in_order(items: &[Item]) -> Vec<PendingWork> {
    let mut pending: Vec<PendingWork> = items.iter().filter_map(pending_work).collect();
    pending.sort_unstable();
    pending
}

/// Performs each piece of work until the time `is_over`. Returns the first error at the end, because failed work must not
/// delay the rest.
async fn continue_each(
    pending: Vec<PendingWork>,
    is_over: impl Fn() -> bool,
    perform: impl AsyncFn(PendingWork) -> Result<RunAnswer, Error>,
) -> Result<ResumeAnswer, Error> {
    let mut resumed = Vec::new();
    let mut first_error = None;
    let mut is_cut_short = false;
    for work in pending {
        is_cut_short = is_over();
        if is_cut_short {
            break;
        }
        match perform(work).await {
            Ok(answer) => resumed.push(answer),
            Err(error) if is_over() && error.is_retryable() && !resumed.is_empty() => {
                tracing::warn!(%error, "the deadline was reached; the next run continues");
                is_cut_short = true;
                break;
            }
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    match first_error {
        Some(error) => Err(error),
        None => Ok(ResumeAnswer::new(resumed, is_cut_short)),
    }
}

/// Returns the unfinished work of an item.
fn pending_work(item: &Item) -> Option<PendingWork> {
    let State { unfinished, complete, snapshot, comparison, .. } = &item.state;
    match (item.key, *unfinished) {
        (Key::Backfill(window), _) if *complete => Some(PendingWork::CompleteBackfill(window)),
        (Key::Backfill(window), Some(Unfinished::Window(WindowPosition { alert, .. }))) => {
            Some(PendingWork::Backfill { window, alert })
        }
        (Key::Redrive(stream), Some(Unfinished::Redrive { position })) => {
            Some(PendingWork::Redrive { position, stream })
        }
        (Key::Stream(stream), Some(Unfinished::Snapshot(SnapshotPosition { scheduled_time, .. }))) => {
            Some(PendingWork::Snapshot { scheduled_time, stream })
        }
        (Key::Stream(stream), None) if comparison.as_ref().is_some_and(Comparison::is_pending) => {
            snapshot.map(|snapshot| PendingWork::Snapshot { scheduled_time: snapshot.scheduled_time, stream })
        }
        // The next run of the event report continues its window. The sender repeats a plan. Its slices are backfills.
        (Key::Stream(_) | Key::Backfill(_) | Key::Plan(_) | Key::Redrive(_), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::{
        answer::{Reason, RunStatus},
        checkpoint::Destination,
        document::{AccountNumber, Namespace},
        lastpass::{self, Command},
        request,
    };

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time of the test")
    }

    fn item(key: Key, state: State) -> Item {
        let destination = Destination {
            host: "es.example".to_owned(),
            namespace: Namespace::new("default").expect("a namespace"),
            account: AccountNumber::new("7").expect("an account number"),
            cluster_uuid: None,
        };
        Item::of(key, state, destination)
    }

    fn backfill(month: i8) -> PendingWork {
        let (from, to) = (at("2025-01-01T00:00:00Z"), at(&format!("2025-0{month}-01T00:00:00Z")));
        PendingWork::Backfill { window: Window { from, to }, alert: false }
    }

    /// Continues more work than there are `outcomes`. The time is over after the last one.
    async fn after(outcomes: Vec<Result<RunAnswer, Error>>) -> Result<RunStatus, &'static str> {
        let outcomes = RefCell::new(outcomes.into_iter());
        let is_over = || outcomes.borrow().len() == 0;
        let next = async |_| outcomes.borrow_mut().next().expect("the time is not over");
        let answer = continue_each((2..9).map(backfill).collect(), is_over, next).await;
        answer.map(|answer| answer.status).map_err(|error| error.error_type())
    }

    #[tokio::test]
    async fn the_deadline_does_not_hide_an_error() {
        let failed = || Err(request::Invalid::account_missing().into());
        let done = || Ok(RunAnswer::skipped("backfill", Stream::EventReport, Reason::AlreadyComplete));
        let cut = || Err(lastpass::Error::BadAnswer { command: Command::Reporting, why: "it was cut" }.into());
        assert_eq!(after(vec![failed(), done()]).await, Err("Request.Invalid"));
        assert_eq!(after(vec![failed(), done(), cut()]).await, Err("Request.Invalid"));
        assert_eq!(after(vec![done(), cut()]).await, Ok(RunStatus::Partial));
        assert_eq!(after(vec![done(), done()]).await, Ok(RunStatus::Partial));
        assert_eq!(after(vec![cut()]).await, Err("LastPass.BadAnswer"));
    }

    #[test]
    fn snapshots_come_first_and_then_redrives_and_the_oldest_backfill() {
        let stream = Stream::User;
        let unfinished = |unfinished| State { unfinished: Some(unfinished), ..State::default() };
        let part = |month| {
            let PendingWork::Backfill { window, alert } = backfill(month) else { unreachable!("a backfill") };
            let Window { from, to } = window;
            item(
                Key::Backfill(window),
                unfinished(Unfinished::Window(WindowPosition { from, to, position: to, alert })),
            )
        };
        let complete = Window { from: at("2026-01-01T00:00:00Z"), to: at("2026-02-01T00:00:00Z") };
        let (scheduled_time, position) = (at("2026-03-01T00:00:00Z"), at("2025-01-01T00:00:00Z"));
        let items = [
            part(3),
            part(2),
            item(Key::Redrive(stream), unfinished(Unfinished::Redrive { position })),
            item(Key::Stream(stream), unfinished(Unfinished::Snapshot(SnapshotPosition::begin(scheduled_time)))),
            item(Key::Backfill(complete), State { complete: true, ..State::default() }),
        ];
        assert_eq!(
            in_order(&items),
            [
                PendingWork::CompleteBackfill(complete),
                PendingWork::Snapshot { scheduled_time, stream },
                PendingWork::Redrive { position, stream },
                backfill(2),
                backfill(3),
            ]
        );
    }

    #[test]
    fn a_complete_backfill_is_not_read_again() {
        let (from, to) = (at("2025-01-01T00:00:00Z"), at("2025-02-01T00:00:00Z"));
        let window = Window { from, to };
        let pending = |state| pending_work(&item(Key::Backfill(window), state));
        // It reached into the future, and the same request would read the rest of its range.
        let complete = State { complete: true, watermark: Some(from), ..State::default() };
        assert_eq!(pending(complete), Some(PendingWork::CompleteBackfill(window)));
        let unfinished = Some(Unfinished::Window(WindowPosition { from, to, position: to, alert: true }));
        let begun = State { unfinished, ..State::default() };
        assert_eq!(pending(begun), Some(PendingWork::Backfill { window, alert: true }));
    }
}
