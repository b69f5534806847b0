//! How far each stream is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    checkpoint::{Item, Key, LastRun, SnapshotPosition, Unfinished},
    document::Stream,
    request::{Counters, Window},
};

/// The answer to `status`.
#[derive(Debug, Serialize)]
pub struct StatusAnswer {
    action: &'static str,
    streams: BTreeMap<Stream, StreamStatus>,
    backfills: Vec<BackfillStatus>,
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
}

impl StatusAnswer {
    /// Makes the answer of `items` at `now`.
    #[must_use]
    pub fn new(items: &[Item], dead_letters: Option<u64>, now: Timestamp) -> Self {
        let mut streams: BTreeMap<Stream, StreamStatus> =
            Stream::ALL.into_iter().map(|stream| (stream, StreamStatus::default())).collect();
        let mut backfills = Vec::new();
        for item in items {
            match item.key {
                Key::Stream(stream) => {
                    streams.insert(stream, stream_status(item, now));
                }
                // One that a reset gave up remembers nothing.
                Key::Backfill { from, to, .. } if item.state.complete || item.state.unfinished.is_some() => {
                    backfills.push(backfill_status(item, from, to));
                }
                Key::Backfill { .. } | Key::Redrive(_) => {}
            }
        }
        backfills.sort_by_key(|backfill| (backfill.from, backfill.to));
        Self { action: "status", streams, backfills, dead_letters }
    }
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
        lease_expires: item.lease.as_ref().map(|lease| lease.expires).filter(|expires| *expires > now),
        last_run: state.last_run.as_ref().map(last_run_status),
    }
}

fn last_run_status(last_run: &LastRun) -> LastRunStatus {
    LastRunStatus {
        finished_at: last_run.finished_at,
        status: last_run.status.clone(),
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

fn backfill_status(item: &Item, from: Timestamp, to: Timestamp) -> BackfillStatus {
    let position = item.key.reached(&item.state);
    BackfillStatus { from, to, position, status: if item.state.complete { "complete" } else { "unfinished" } }
}
