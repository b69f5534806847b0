//! Compares the events in LastPass with the documents in Elasticsearch, including the instant of each.
//!
//! An event is matched by its record, which its document keeps in `event.original`. Equal records differ only in their
//! number. This module does not know how the product builds an `_id`.

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};
use lastpass_simulator::TruthEvent;
use serde_json::Value;

use crate::StoredDocument;

/// The tag of a document whose instant is ambiguous.
const AMBIGUOUS: &str = "ambiguous_time";
/// The distance between two passes of a repeated hour. It is the longest that a clock change repeats; half an hour in
/// `Australia/Lord_Howe`.
const LONGEST_FOLD: SignedDuration = SignedDuration::from_hours(1);
/// Most examples of each kind in a printed comparison.
const EXAMPLES: usize = 5;

/// The result of a comparison. The lists contain the records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// The number of events in LastPass.
    pub truth: usize,
    /// The number of documents in Elasticsearch.
    pub documents: usize,
    /// Events without a document.
    pub lost: Vec<String>,
    /// Documents in excess of the number of equal events in LastPass.
    pub doubled: Vec<String>,
    /// Documents at another instant than their event. With the ambiguity tag, only if the instants are more than an hour
    /// apart.
    pub mistimed: Vec<String>,
    /// Documents without an event in LastPass, and documents without a record.
    pub extra: Vec<String>,
    /// Documents with the ambiguity tag.
    pub ambiguous_time: usize,
    /// Events of requests that have no document yet. They do not count as lost, because the last run cannot read the events
    /// of its own requests. The caller checks that all events shown before a run have a document.
    pub polls_to_come: usize,
}

impl Comparison {
    /// Returns whether nothing is lost, doubled, mistimed or extra.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.lost.is_empty() && self.doubled.is_empty() && self.mistimed.is_empty() && self.extra.is_empty()
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds =
            [("lost", &self.lost), ("doubled", &self.doubled), ("mistimed", &self.mistimed), ("extra", &self.extra)];
        write!(f, "truth {} documents {}", self.truth, self.documents)?;
        for (name, records) in kinds {
            write!(f, " {name} {}", records.len())?;
        }
        write!(f, " ambiguous_time {} polls_to_come {}", self.ambiguous_time, self.polls_to_come)?;
        for (name, records) in kinds {
            for record in records.iter().take(EXAMPLES) {
                write!(f, "\n  {name}: {record}")?;
            }
        }
        Ok(())
    }
}

/// Compares events with all documents of their stream.
#[must_use]
pub fn compare_events(truth: &[TruthEvent], documents: &[StoredDocument]) -> Comparison {
    /// The events and documents of one record.
    #[derive(Default)]
    struct Both {
        truth: Vec<Timestamp>,
        is_poll: bool,
        documents: Vec<(Option<Timestamp>, bool)>,
    }
    let mut comparison = Comparison { truth: truth.len(), documents: documents.len(), ..Comparison::default() };
    let mut records: BTreeMap<String, Both> = BTreeMap::new();
    for event in truth {
        let both = records.entry(canonical(&event.record)).or_default();
        both.truth.push(event.instant);
        both.is_poll = event.is_poll;
    }
    for document in documents {
        let Some(original) = document.text("event.original") else {
            comparison.extra.push(format!("{} keeps no record", document.id));
            continue;
        };
        let instant = document.text("@timestamp").and_then(|text| text.parse().ok());
        // With synthetic `_source`, a single tag can come back as a string instead of a list.
        let is_ambiguous = match document.get("tags") {
            Some(Value::Array(tags)) => tags.iter().any(|tag| tag == AMBIGUOUS),
            tag => tag.is_some_and(|tag| tag == AMBIGUOUS),
        };
        comparison.ambiguous_time += usize::from(is_ambiguous);
        records.entry(canonical(original)).or_default().documents.push((instant, is_ambiguous));
    }
    for (record, Both { mut truth, is_poll, mut documents }) in records {
        if truth.is_empty() {
            comparison.extra.extend(documents.iter().map(|(instant, _)| name(&record, *instant)));
            continue;
        }
        // Matches equal instants first, so that as few documents as possible count as mistimed.
        documents.retain(|(instant, _)| {
            let equal = truth.iter().position(|held| Some(*held) == *instant);
            equal.map(|index| truth.swap_remove(index)).is_none()
        });
        let has_time = has_readable_time(&record);
        for (instant, is_ambiguous) in documents {
            let is_other_pass = |held: &Timestamp| {
                is_ambiguous && instant.is_some_and(|instant| held.duration_since(instant).abs() <= LONGEST_FOLD)
            };
            let index = truth.iter().position(is_other_pass).or_else(|| truth.len().checked_sub(1));
            match index.map(|index| truth.swap_remove(index)) {
                Some(held) if has_time && !is_other_pass(&held) => {
                    comparison.mistimed.push(format!("{}, at {held}", name(&record, instant)));
                }
                Some(_) => {}
                None => comparison.doubled.push(name(&record, instant)),
            }
        }
        if is_poll {
            comparison.polls_to_come += truth.len();
            continue;
        }
        comparison.lost.extend(truth.into_iter().map(|held| name(&record, Some(held))));
    }
    comparison
}

/// Returns a record with sorted keys, so that two spellings of one record are equal.
#[must_use]
pub fn canonical(record: &str) -> String {
    serde_json::from_str(record).map_or_else(|_| record.to_owned(), |value: Value| sorted(value).to_string())
}

pub(crate) fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<String, Value> = fields.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            fields.into_iter().collect()
        }
        Value::Array(values) => values.into_iter().map(sorted).collect(),
        other => other,
    }
}

/// Returns whether the time of a record can be read. A record without a readable time has no instant.
fn has_readable_time(record: &str) -> bool {
    let record: Value = serde_json::from_str(record).unwrap_or_default();
    record["Time"].as_str().is_some_and(|time| DateTime::strptime("%Y-%m-%d %H:%M:%S", time).is_ok())
}

fn name(record: &str, instant: Option<Timestamp>) -> String {
    instant.map_or_else(|| format!("{record} at no instant"), |instant| format!("{record} at {instant}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FIRST: &str = "2025-11-02T05:30:00Z";
    const SECOND: &str = "2025-11-02T06:30:00Z";

    fn event(instant: &str, user: &str) -> TruthEvent {
        let time = "2025-11-02 01:30:00".to_owned();
        let record = format!(r#"{{"Time":"{time}","Username":"{user}"}}"#);
        TruthEvent { instant: instant.parse().unwrap_or_default(), time, record, is_poll: false }
    }

    fn document(instant: &str, user: &str, tags: &[&str]) -> StoredDocument {
        let original = format!(r#"{{"Username":"{user}","Time":"2025-11-02 01:30:00"}}"#);
        let source = json!({"@timestamp": instant, "event": {"original": original}, "tags": tags});
        StoredDocument { id: "1".to_owned(), index: ".ds".to_owned(), source }
    }

    fn numbers(truth: &[TruthEvent], documents: &[StoredDocument]) -> [usize; 5] {
        let Comparison { lost, doubled, mistimed, extra, ambiguous_time, .. } = compare_events(truth, documents);
        [lost.len(), doubled.len(), mistimed.len(), extra.len(), ambiguous_time]
    }

    #[test]
    fn equal_events_are_compared_by_their_number() {
        let truth = [event(FIRST, "a"), event(FIRST, "a"), event(SECOND, "a"), event(FIRST, "b")];
        let [a, again, later, b] =
            [(FIRST, "a"), (FIRST, "a"), (SECOND, "a"), (FIRST, "b")].map(|(at, user)| document(at, user, &[]));
        let all = [a.clone(), again.clone(), later.clone(), b.clone()];
        assert_eq!(numbers(&truth, &all), [0, 0, 0, 0, 0]);
        assert_eq!(numbers(&truth, &all[1..]), [1, 0, 0, 0, 0]);
        assert_eq!(numbers(&truth, &[a.clone(), again, later.clone(), b.clone(), a.clone()]), [0, 1, 0, 0, 0]);
        // An event of the first pass has the instant of the second.
        assert_eq!(numbers(&truth, &[a.clone(), later.clone(), later.clone(), b.clone()]), [0, 0, 1, 0, 0]);
        let undecided = document(SECOND, "a", &[AMBIGUOUS]);
        assert_eq!(numbers(&truth, &[a.clone(), later.clone(), undecided, b.clone()]), [0, 0, 0, 0, 1]);
        // The tag excuses the other pass, and no other instant.
        let at_present = document("2025-11-02T07:30:01Z", "a", &[AMBIGUOUS]);
        assert_eq!(numbers(&truth, &[a, later, at_present, b]), [0, 0, 1, 0, 1]);
    }

    #[test]
    fn events_of_requests_may_be_missing_but_not_duplicated() {
        let poll = TruthEvent { is_poll: true, ..event(FIRST, "") };
        let truth = [poll.clone(), poll];
        let one = document(FIRST, "", &[]);
        assert_eq!(numbers(&truth, std::slice::from_ref(&one)), [0, 0, 0, 0, 0]);
        assert_eq!(compare_events(&truth, std::slice::from_ref(&one)).polls_to_come, 1);
        assert_eq!(numbers(&truth, &[one.clone(), one.clone(), one]), [0, 1, 0, 0, 0]);
    }

    #[test]
    fn a_document_without_an_event_is_extra() {
        let no_record =
            StoredDocument { id: "1".to_owned(), index: ".ds".to_owned(), source: json!({"@timestamp": FIRST}) };
        assert_eq!(numbers(&[], &[document(FIRST, "c", &[]), no_record]), [0, 0, 0, 2, 0]);
    }

    #[test]
    fn a_record_without_a_readable_time_is_never_mistimed() {
        let held = TruthEvent { record: r#"{"Time":"soon"}"#.to_owned(), ..event(FIRST, "") };
        let source = json!({"@timestamp": SECOND, "event": {"original": r#"{"Time":"soon"}"#}});
        let kept = StoredDocument { id: "1".to_owned(), index: ".ds".to_owned(), source };
        assert_eq!(numbers(std::slice::from_ref(&held), std::slice::from_ref(&kept)), [0, 0, 0, 0, 0]);
        assert_eq!(numbers(&[held], &[kept.clone(), kept]), [0, 1, 0, 0, 0]);
    }
}
