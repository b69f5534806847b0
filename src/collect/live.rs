//! Collects a stream up to now: the event report in windows, users and shared folders in snapshots.

use jiff::Timestamp;

use super::{Session, events::collect_events, snapshot::collect_snapshot, snapshot_kind::SnapshotKind};
use crate::{answer::RunAnswer, document::Stream, error::Error};

/// Collects a stream up to now.
///
/// # Errors
/// Any error of an outside system. The checkpoint is then at the last acknowledged page.
pub async fn collect(
    session: &Session<'_>,
    stream: Stream,
    scheduled_time: Option<Timestamp>,
) -> Result<RunAnswer, Error> {
    match stream {
        Stream::EventReport => collect_events(session, scheduled_time).await,
        Stream::User => collect_snapshot(session, SnapshotKind::Users, scheduled_time).await,
        Stream::DetailedSharedFolder => collect_snapshot(session, SnapshotKind::SharedFolders, scheduled_time).await,
    }
}
