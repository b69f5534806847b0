//! Items of the table, changed by hand or by another program.

use serde_json::Value;

use super::{Ended, check_text, records::at};
use crate::{
    checkpoint::{Destination, Key, LastRun, SnapshotPosition, State, Unfinished, fuzz},
    document::{AccountNumber, Namespace, Stream},
};

/// DynamoDB's own JSON of an item.
pub(super) fn play(input: &[u8]) -> Ended {
    let Ok(Value::Object(attributes)) = serde_json::from_slice(input) else { return Ended::Empty };
    match fuzz::read(&attributes) {
        // Of a newer version, or of another program: left alone.
        Ok(None) => Ended::Empty,
        Ok(Some(item)) => {
            let written = fuzz::written(item.key, &item.state, &item.destination, at("2025-05-01T12:00:00Z"));
            let again = fuzz::read(written.as_object().expect("an item")).expect("what is written can be read");
            let again = again.expect("what is written has a key");
            assert_eq!((again.key, again.state, again.destination), (item.key, item.state, item.destination));
            Ended::Taken
        }
        Err(error) => {
            check_text(&error.to_string(), &["DynamoDB console"]);
            Ended::Refused
        }
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let time = at("2025-05-01T12:00:00Z");
    let destination = Destination {
        host: "es.example".to_owned(),
        namespace: Namespace::new("default").expect("a namespace"),
        account: AccountNumber::new("12345").expect("an account number"),
        cluster_uuid: Some("Zn0TcqB1RHqL4mY2kX8i3w".to_owned()),
    };
    let last_run = Some(LastRun {
        finished_at: time,
        request_id: "request-1".to_owned(),
        status: "complete".to_owned(),
        error_type: Some("LastPass.Unreachable".to_owned()),
        fetched: 7,
        created: 4,
        duplicates: 2,
        dead_letters: 1,
        late: 0,
    });
    let position = SnapshotPosition {
        scheduled_time: time,
        timestamp: Some(time),
        pass: 1,
        page_index: 3,
        page_size: Some(2_000),
        read: 6_000,
        total: Some(9_000),
        seen: 12,
        seen_before: None,
    };
    let plan = Key::Plan { stream: Stream::EventReport, from: at("2025-01-01T00:00:00Z"), to: time };
    let backfill = Key::Backfill { stream: Stream::EventReport, from: at("2025-01-01T00:00:00Z"), to: time };
    let states = [
        (
            Key::Stream(Stream::EventReport),
            Some(Unfinished::Window { from: time, to: time, position: time, alert: true }),
        ),
        (Key::Stream(Stream::User), Some(Unfinished::Snapshot(position))),
        (Key::Redrive(Stream::User), Some(Unfinished::Redrive { position: time })),
        (backfill, None),
        (plan, None),
    ];
    let item = |(key, unfinished): (Key, Option<Unfinished>)| {
        let complete = unfinished.is_none();
        let state = State {
            watermark: Some(time),
            unfinished,
            reread_at: Some(time),
            last_run: last_run.clone(),
            complete,
            events: 7,
            zone_polls: vec![(at("2025-01-01T00:00:00Z"), time)],
            slice_starts: vec![time, at("2025-01-01T00:00:00Z")],
        };
        fuzz::written(key, &state, &destination, time).to_string().into_bytes()
    };
    states.into_iter().map(item).collect()
}
