//! Delivers dead letters again.
//!
//! Each record is mapped again, so that a newer mapping can fix it. The document keeps the `_id` and the instant of the
//! refused document. A document that is refused again remains a dead letter.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    Session,
    run::{Begun, Ended, Run},
};
use crate::{
    answer::RunAnswer,
    checkpoint::{Key, State, Unfinished},
    clock::now,
    document::{DataStream, Document, Stream},
    elastic::{DeadLetter, Delivery, LetterFilter, WaitingLetters},
    error::Error,
    streams::{self, Identity, Mapper, Stamps, event_report::AMBIGUOUS_TIME},
};

/// Delivers the waiting dead letters of `stream`, oldest first, from the position of an earlier run.
///
/// # Errors
/// See [`super::collect`].
pub async fn redrive(session: &Session<'_>, stream: Stream) -> Result<RunAnswer, Error> {
    let run = match Run::begin(session, Key::Redrive(stream)).await? {
        Begun::Run(run) => run,
        Begun::Busy(answer) => return Ok(answer),
    };
    let mut refused = BTreeMap::new();
    let ended = run.work(run.redeliver_letters(stream, &mut refused)).await;
    if !refused.is_empty() {
        tracing::warn!(error_types = ?refused, "records were refused again; they remain dead letters");
    }
    run.end(ended, None).await
}

impl Run<'_> {
    /// Delivers the dead letters. Counts documents that are refused again in `refused`, by their `error.type`.
    async fn redeliver_letters(&self, stream: Stream, refused: &mut BTreeMap<String, u64>) -> Result<Ended, Error> {
        let session = self.session;
        let namespace = &session.mapper.namespace;
        let filter = LetterFilter {
            target: stream.data_stream(namespace),
            account: session.mapper.account.clone(),
            refused_from: match self.lease.state().unfinished {
                Some(Unfinished::Redrive { position }) => Some(position),
                Some(Unfinished::Window(_) | Unfinished::Snapshot(_)) | None => None,
            },
        };
        let mut waiting = WaitingLetters::new(session.elastic, DataStream::dead_letter(namespace), &filter);
        loop {
            let letters = waiting.fetch().await?;
            let (Some(first), Some(last)) = (letters.first(), letters.last()) else {
                let events = self.acknowledged_events();
                let state = State { complete: true, unfinished: None, events, ..self.lease.state() };
                self.save(state).await?;
                return Ok(Ended::Complete);
            };
            self.save_redrive(first.refused_at).await?;
            let documents: Vec<Document> =
                letters.iter().map(|letter| document(session.mapper, stream, letter, now())).collect();
            self.confirm_cluster().await?;
            let outcomes = self.writer.redeliver(&documents).await?.into_iter();
            let deliveries = outcomes.map(|outcome| {
                outcome.unwrap_or_else(|error_type| {
                    *refused.entry(error_type).or_default() += 1;
                    Delivery::DeadLetter
                })
            });
            self.progress.count(documents.iter().map(|document| document.timestamp).zip(deliveries), None);
            if session.is_nearly_over() {
                self.save_redrive(last.refused_at).await?;
                return Ok(Ended::DeadlineCame);
            }
        }
    }

    /// Saves that all dead letters before `position` were delivered again.
    async fn save_redrive(&self, position: Timestamp) -> Result<(), Error> {
        let before = self.lease.state();
        let (unfinished, events) = (Some(Unfinished::Redrive { position }), self.acknowledged_events());
        let state = State { complete: false, unfinished, events, ..before.clone() };
        if state == before {
            return Ok(());
        }
        self.save(state).await
    }
}

/// Builds the document of a dead letter, to be sent at `clock`.
pub(crate) fn document(mapper: &Mapper, stream: Stream, letter: &DeadLetter, clock: Timestamp) -> Document {
    let stamps =
        Stamps { created: letter.created.unwrap_or(letter.refused_at), ingested: was_live(letter).then_some(clock) };
    let identity = Identity {
        stream,
        id: letter.document_id.clone(),
        timestamp: letter.timestamp,
        ambiguous: letter.tags.iter().any(|tag| tag == AMBIGUOUS_TIME),
    };
    let document = streams::remap(mapper, &stamps, identity, &letter.original);
    Document { since: letter.since.or(document.since), ..document }
}

/// Returns whether detection rules evaluate the document. They do not evaluate documents of a backfill unless it has
/// `"alert": true`.
fn was_live(letter: &DeadLetter) -> bool {
    // A dead letter of an older version has neither `timestamp` nor `ingested`, so the request decides.
    let is_older = letter.timestamp.is_none();
    let is_without_alerts = letter.request["action"] == "backfill" && letter.request["alert"] != true;
    letter.ingested.is_some() || (is_older && !is_without_alerts)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::streams::testing::plain_mapper;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time of the test")
    }

    fn letter(letter: Value) -> DeadLetter {
        let mut whole = json!({"@timestamp": "2025-11-03T00:00:00Z", "event": {"original": "{}"}});
        for (name, value) in letter.as_object().expect("an object") {
            whole[name] = value.clone();
        }
        serde_json::from_value(whole).expect("a dead letter")
    }

    fn source(letter: &DeadLetter, stream: Stream) -> Value {
        let document = document(&plain_mapper(), stream, letter, at("2025-11-04T00:00:00Z"));
        assert_eq!(document.id, letter.document_id);
        serde_json::from_str(&document.source).expect("a source is JSON")
    }

    #[test]
    fn a_document_keeps_its_id_its_instant_and_its_reading_time() {
        let letter = letter(json!({
            "event": {
                "original": r#"{"Time":"2025-11-02 01:30:00","Action":"Log in"}"#,
                "created": "2025-11-02T07:00:00.123Z",
                "ingested": "2025-11-02T07:00:00.123Z",
            },
            "tags": ["eu", "ambiguous_time"],
            "lastpass": {"dead_letter": {"document_id": "a1", "timestamp": "2025-11-02T06:30:00Z"}},
        }));
        let source = source(&letter, Stream::EventReport);
        assert_eq!(source["@timestamp"], "2025-11-02T06:30:00.000Z", "the second pass");
        assert_eq!(source["event"]["created"], "2025-11-02T07:00:00.123Z");
        assert_eq!(source["event"]["ingested"], "2025-11-04T00:00:00.000Z");
        assert_eq!(source["tags"], json!(["ambiguous_time"]), "all other tags come from the current settings");
    }

    #[test]
    fn a_dead_letter_of_an_older_version_is_mapped() {
        let older = |original: &str, stream| {
            let letter = letter(json!({
                "event": {"original": original},
                "lastpass": {"dead_letter": {"document_id": "a1", "request": {"action": "collect"}}},
            }));
            source(&letter, stream)
        };
        let event = older(r#"{"Time":"2025-07-17 09:51:51"}"#, Stream::EventReport);
        assert_eq!(event["@timestamp"], "2025-07-17T13:51:51.000Z");
        let user = older(r#"{"username":"a","id":"7"}"#, Stream::User);
        for field in [&user["@timestamp"], &user["event"]["created"]] {
            assert_eq!(field, "2025-11-03T00:00:00.000Z");
        }
        assert_eq!(user["event"]["ingested"], "2025-11-04T00:00:00.000Z");
    }

    #[test]
    fn only_documents_of_live_runs_are_evaluated_by_detection_rules() {
        let live = |timestamp: Value, ingested: Value, request: Value| {
            was_live(&letter(json!({
                "event": {"original": "{}", "ingested": ingested},
                "lastpass": {"dead_letter": {"document_id": "a1", "timestamp": timestamp, "request": request}},
            })))
        };
        let instant = json!("2025-11-02T06:30:00Z");
        let quiet = json!({"action": "backfill", "alert": false});
        let older = |request| live(Value::Null, Value::Null, request);
        assert!(live(instant.clone(), instant.clone(), json!({"action": "resume"})));
        assert!(!live(instant.clone(), Value::Null, json!({"action": "resume"})));
        assert!(older(json!({"action": "collect"})) && older(json!({"action": "backfill", "alert": true})));
        assert!(!older(quiet) && !older(json!({"action": "backfill"})));
    }
}
