//! How far each stream is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    checkpoint::{Item, Key, LastRun, Listing, SnapshotPosition, Unfinished},
    document::Stream,
    request::{Counters, Window},
};

/// The answer to `status`.
#[derive(Debug, Serialize)]
pub struct StatusAnswer {
    action: &'static str,
    streams: BTreeMap<Stream, StreamStatus>,
    backfills: Vec<BackfillStatus>,
    /// Those that are not complete.
    redrives: Vec<RedriveStatus>,
    /// Why a checkpoint can't be read: runs of its stream fail until it is mended.
    unreadable: Vec<String>,
    /// Dead letters whose document is still missing; none where Elasticsearch could not be asked.
    dead_letters: Option<u64>,
}

#[derive(Debug, Default, Serialize)]
struct StreamStatus {
    watermark: Option<Timestamp>,
    lag_seconds: Option<i64>,
    unfinished: Option<UnfinishedStatus>,
    lease_expires: Option<Timestamp>,
    last_run: Option<LastRunStatus>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum UnfinishedStatus {
    Window { window: Window, position: Timestamp },
    Snapshot { scheduled_time: Timestamp, page_index: u32, read: u64, total: Option<u64> },
}

#[derive(Debug, Serialize)]
struct LastRunStatus {
    finished_at: Timestamp,
    status: String,
    error_type: Option<String>,
    request_id: String,
    #[serde(flatten)]
    counters: Counters,
}

#[derive(Debug, Serialize)]
struct BackfillStatus {
    from: Timestamp,
    to: Timestamp,
    position: Option<Timestamp>,
    status: &'static str,
    lease_expires: Option<Timestamp>,
    last_run: Option<LastRunStatus>,
}

#[derive(Debug, Serialize)]
struct RedriveStatus {
    stream: Stream,
    /// When the dead letters were refused that were taken up last.
    position: Timestamp,
    lease_expires: Option<Timestamp>,
    last_run: Option<LastRunStatus>,
}

impl StatusAnswer {
    /// Makes the answer of what is in the table at `now`.
    #[must_use]
    pub fn new(listing: &Listing, dead_letters: Option<u64>, now: Timestamp) -> Self {
        let mut streams: BTreeMap<Stream, StreamStatus> =
            Stream::ALL.into_iter().map(|stream| (stream, StreamStatus::default())).collect();
        let mut backfills = Vec::new();
        let mut redrives = Vec::new();
        for item in &listing.items {
            match (item.key, item.state.unfinished) {
                (Key::Stream(stream), _) => {
                    streams.insert(stream, stream_status(item, now));
                }
                (Key::Redrive(stream), Some(Unfinished::Redrive { position })) => redrives.push(RedriveStatus {
                    stream,
                    position,
                    lease_expires: lease_expires(item, now),
                    last_run: item.state.last_run.as_ref().map(last_run_status),
                }),
                // One that a reset gave up remembers nothing.
                (Key::Backfill { from, to, .. }, unfinished) if item.state.complete || unfinished.is_some() => {
                    backfills.push(backfill_status(item, from, to, now));
                }
                (Key::Backfill { .. } | Key::Plan { .. } | Key::Redrive(_), _) => {}
            }
        }
        backfills.sort_by_key(|backfill| (backfill.from, backfill.to));
        redrives.sort_by_key(|redrive| redrive.stream);
        let unreadable = listing.broken.iter().map(ToString::to_string).collect();
        Self { action: "status", streams, backfills, redrives, unreadable, dead_letters }
    }
}

fn lease_expires(item: &Item, now: Timestamp) -> Option<Timestamp> {
    item.lease.as_ref().map(|lease| lease.expires).filter(|expires| *expires > now)
}

fn stream_status(item: &Item, now: Timestamp) -> StreamStatus {
    let state = &item.state;
    StreamStatus {
        watermark: state.watermark,
        lag_seconds: state.watermark.map(|watermark| now.duration_since(watermark).as_secs()),
        unfinished: state.unfinished.and_then(|unfinished| match unfinished {
            Unfinished::Window { from, to, position, .. } => {
                Some(UnfinishedStatus::Window { window: Window { from, to }, position })
            }
            Unfinished::Snapshot(SnapshotPosition { scheduled_time, page_index, read, total, .. }) => {
                Some(UnfinishedStatus::Snapshot { scheduled_time, page_index, read, total })
            }
            // A redrive has an item of its own.
            Unfinished::Redrive { .. } => None,
        }),
        lease_expires: lease_expires(item, now),
        last_run: state.last_run.as_ref().map(last_run_status),
    }
}

fn last_run_status(last_run: &LastRun) -> LastRunStatus {
    LastRunStatus {
        finished_at: last_run.finished_at,
        status: last_run.status.clone(),
        error_type: last_run.error_type.clone(),
        request_id: last_run.request_id.clone(),
        counters: Counters {
            fetched: last_run.fetched,
            created: last_run.created,
            duplicates: last_run.duplicates,
            dead_letters: last_run.dead_letters,
            late: last_run.late,
        },
    }
}

fn backfill_status(item: &Item, from: Timestamp, to: Timestamp, now: Timestamp) -> BackfillStatus {
    BackfillStatus {
        from,
        to,
        position: item.key.reached(&item.state),
        status: if item.state.complete { "complete" } else { "unfinished" },
        lease_expires: lease_expires(item, now),
        last_run: item.state.last_run.as_ref().map(last_run_status),
    }
}
