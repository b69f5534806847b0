//! Sets the watermark of a stream by hand.

use jiff::Timestamp;

use super::Session;
use crate::{
    answer::{ResetAnswer, RunStatus},
    checkpoint::{self, Destination, Item, Key, SnapshotPosition, Unfinished},
    clock::now,
    document::Stream,
    error::Error,
};

/// Sets the watermark of `stream` to `to` and its destination to the current one, and discards its unfinished snapshot
/// or window. Abandons unfinished backfills and redrives of the stream for another destination.
///
/// # Errors
/// Errors of the calls to DynamoDB.
pub async fn reset(session: &Session<'_>, stream: Stream, to: Timestamp) -> Result<ResetAnswer, Error> {
    let Session { store, origin, .. } = *session;
    let after = match stream {
        Stream::EventReport => session.mapper.zone.begin_outside_fold(to),
        Stream::User | Stream::DetailedSharedFolder => to,
    };
    let key = Key::Stream(stream);
    let before = match store.reset(key, Some(after), &origin.request_id, now()).await? {
        checkpoint::Reset::Done { before } => before,
        checkpoint::Reset::Busy { expires } => {
            let watermark = store.load(key).await?.and_then(|item| item.state.watermark);
            return Ok(ResetAnswer {
                action: "reset",
                stream,
                status: RunStatus::Skipped,
                before: watermark,
                after: watermark,
                lease_expires: Some(expires),
                message: format!(
                    "nothing was changed: a run of {stream} is in progress; send this again after `lease_expires`"
                ),
            });
        }
    };
    let abandoned = abandon_elsewhere(session, stream).await?;
    let change = Change { stream, before: before.as_deref(), after, destination: store.destination(), abandoned };
    tracing::info!(before = change.watermark_before().map(|at| at.to_string()), %after, "the checkpoint was reset");
    Ok(ResetAnswer {
        action: "reset",
        stream,
        status: RunStatus::Complete,
        before: change.watermark_before(),
        after: Some(after),
        lease_expires: abandoned.busy_until,
        message: change.message(),
    })
}

/// Abandoned work for another destination.
#[derive(Debug, Clone, Copy, Default)]
struct Abandoned {
    backfills: u64,
    /// When the lease of such work expires. Work whose lease a run holds is not abandoned.
    busy_until: Option<Timestamp>,
}

/// Resets the unfinished backfills and the redrive of `stream` that are bound to another destination, so that they
/// begin again in the current one.
async fn abandon_elsewhere(session: &Session<'_>, stream: Stream) -> Result<Abandoned, Error> {
    let Session { store, origin, .. } = *session;
    let mut abandoned = Abandoned::default();
    let listing = store.list().await?;
    for error in listing.broken {
        tracing::error!(%error, "a checkpoint cannot be read");
    }
    for item in listing.items {
        let key = item.key;
        let is_other_work = key.stream() == stream && key != Key::Stream(stream);
        // Work that is not bound continues in the current destination without a reset.
        if !is_other_work || item.state.complete || !item.is_bound() || item.destination.is_same(store.destination()) {
            continue;
        }
        match store.reset(key, None, &origin.request_id, now()).await? {
            checkpoint::Reset::Done { .. } if matches!(key, Key::Backfill(_)) => {
                store.remove_from_unfinished(key).await?;
                abandoned.backfills += 1;
            }
            checkpoint::Reset::Done { .. } => {}
            checkpoint::Reset::Busy { expires } => abandoned.busy_until = abandoned.busy_until.max(Some(expires)),
        }
    }
    Ok(abandoned)
}

/// The changes of a reset.
struct Change<'a> {
    stream: Stream,
    before: Option<&'a Item>,
    after: Timestamp,
    destination: &'a Destination,
    abandoned: Abandoned,
}

impl Change<'_> {
    fn watermark_before(&self) -> Option<Timestamp> {
        self.before.and_then(|item| item.state.watermark)
    }

    /// Explains the effect of the reset in plain words.
    fn message(&self) -> String {
        let mut sentences = match self.stream {
            Stream::EventReport => vec![self.next_events()],
            Stream::User | Stream::DetailedSharedFolder => self.next_snapshot(),
        };
        sentences.extend(self.confirmed());
        match self.abandoned.backfills {
            0 => {}
            1 => {
                sentences.push("1 unfinished backfill for another destination was abandoned: send it again".to_owned())
            }
            n => sentences
                .push(format!("{n} unfinished backfills for another destination were abandoned: send them again")),
        }
        if self.abandoned.busy_until.is_some() {
            sentences.push(
                "a backfill or redrive for another destination is still in progress: send this again after \
                 `lease_expires`"
                    .to_owned(),
            );
        }
        sentences.join("; ")
    }

    /// Returns the sentence that confirms a new destination, if the destination changed.
    fn confirmed(&self) -> Option<String> {
        let (item, now) = (self.before?, self.destination);
        let before = &item.destination;
        if before.is_same(now) || !item.is_bound() {
            return None;
        }
        let confirmed = if before.has_same_settings(now) {
            format!("the cluster that now responds at {} is confirmed", now.host)
        } else {
            format!("{now} is confirmed in place of {before}")
        };
        Some(match self.stream {
            Stream::EventReport => {
                format!("{confirmed}: only a backfill writes events from before {} there", self.after)
            }
            Stream::User | Stream::DetailedSharedFolder => confirmed,
        })
    }

    fn next_events(&self) -> String {
        let after = self.after;
        match self.watermark_before() {
            Some(before) if before < after => format!(
                "the next run continues from {after}: events between {before} and {after} that were not delivered yet \
                 are not read by scheduled runs, except late events in the hours that these read again; send \
                 {{\"action\": \"backfill\", \"stream\": \"event_report\", \"from\": \"{before}\", \"to\": \
                 \"{after}\"}} for them"
            ),
            _ => format!(
                "the next run reads the events from {after} onward; events that already exist are found by their \
                 `_id` and count as `duplicates`"
            ),
        }
    }

    fn next_snapshot(&self) -> Vec<String> {
        let (stream, after) = (self.stream, self.after);
        let mut sentences = Vec::new();
        if let Some(Unfinished::Snapshot(SnapshotPosition { scheduled_time, .. })) =
            self.before.and_then(|item| item.state.unfinished)
        {
            sentences.push(format!("the unfinished snapshot of {scheduled_time} was abandoned"));
        }
        sentences.push(format!(
            "the next snapshot is taken by the next run of {stream} whose scheduled time is later than {after}; \
             earlier snapshots count as taken"
        ));
        sentences
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        checkpoint::State,
        document::{AccountNumber, Namespace},
    };

    const EARLIER: &str = "2025-05-01T00:00:00Z";
    const LATER: &str = "2025-06-01T00:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time of the test")
    }

    fn destination(host: &str, cluster_uuid: &str) -> Destination {
        Destination {
            host: host.to_owned(),
            namespace: Namespace::new("default").expect("a namespace"),
            account: AccountNumber::new("7").expect("an account number"),
            cluster_uuid: Some(cluster_uuid.to_owned()),
        }
    }

    fn message(change: (Stream, &str, &str), unfinished: Option<Unfinished>, before: Destination) -> String {
        let (stream, watermark, after) = change;
        let state = State { watermark: Some(at(watermark)), unfinished, ..State::default() };
        let before = Item::of(Key::Stream(stream), state, before);
        let (after, abandoned) = (at(after), Abandoned::default());
        let destination = &destination("es.example", "one");
        Change { stream, before: Some(&before), after, destination, abandoned }.message()
    }

    #[test]
    fn a_message_says_what_is_read_again_and_what_is_not_read() {
        let events =
            |before, after| message((Stream::EventReport, before, after), None, destination("es.example", "one"));
        let back = "the next run reads the events from 2025-05-01T00:00:00Z onward; events that already exist are \
                    found by their `_id` and count as `duplicates`";
        assert_eq!(events(LATER, EARLIER), back);
        assert_eq!(events(EARLIER, EARLIER), back);
        assert_eq!(
            events(EARLIER, LATER),
            "the next run continues from 2025-06-01T00:00:00Z: events between 2025-05-01T00:00:00Z and \
             2025-06-01T00:00:00Z that were not delivered yet are not read by scheduled runs, except late events in \
             the hours that these read again; send {\"action\": \"backfill\", \"stream\": \"event_report\", \"from\": \
             \"2025-05-01T00:00:00Z\", \"to\": \"2025-06-01T00:00:00Z\"} for them"
        );
    }

    #[test]
    fn a_message_says_which_snapshot_is_next() {
        let position = SnapshotPosition::begin(at("2025-06-02T00:00:00Z"));
        let unfinished = Some(Unfinished::Snapshot(position));
        assert_eq!(
            message((Stream::User, LATER, EARLIER), unfinished, destination("es.example", "one")),
            "the unfinished snapshot of 2025-06-02T00:00:00Z was abandoned; the next snapshot is taken by the next \
             run of user whose scheduled time is later than 2025-05-01T00:00:00Z; earlier snapshots count as taken"
        );
    }

    #[test]
    fn a_message_names_the_destination_that_is_confirmed() {
        let other = |host, uuid| message((Stream::EventReport, LATER, LATER), None, destination(host, uuid));
        for (host, uuid, sentence) in [
            ("old.example", "one", "es.example (namespace default, account 7) is confirmed in place of old.example"),
            (
                "es.example",
                "two",
                "the cluster that now responds at es.example is confirmed: only a backfill writes events from before \
                 2025-06",
            ),
        ] {
            let text = other(host, uuid);
            assert!(text.contains(sentence), "{text}");
        }
        assert!(!other("es.example", "one").contains("confirmed"));
    }

    #[test]
    fn a_message_counts_the_backfills_that_were_abandoned() {
        let text = |backfills, busy_until| {
            let abandoned = Abandoned { backfills, busy_until };
            let destination = &destination("es.example", "one");
            Change { stream: Stream::EventReport, before: None, after: at(LATER), destination, abandoned }.message()
        };
        assert!(!text(0, None).contains("abandoned"));
        assert!(text(1, None).ends_with(
            "; 1 unfinished backfill for another destination was abandoned: send it \
                                         again"
        ));
        assert!(text(2, None).contains("; 2 unfinished backfills for another destination were abandoned: send them"));
        assert!(text(0, Some(at(LATER))).ends_with("is still in progress: send this again after `lease_expires`"));
    }
}
