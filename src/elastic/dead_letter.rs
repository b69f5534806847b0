//! Dead letters: documents that keep a record which Elasticsearch rejected permanently.
//!
//! The `_id` of a letter is derived from its target and the document's `_id`, so a second refusal adds none. Besides the
//! record, a letter holds everything else that the document was made from, so that `redrive` makes the same document.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::judge::Refusal;
use crate::{
    document::{AccountNumber, DataStream, DocId, Document},
    text::compact,
};

/// The first character of a dead letter's `_id`, which names the scheme. The scheme never changes.
const ID_SCHEME: &str = "d";

/// The origin of documents, which their dead letters name.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The LastPass account.
    pub account: AccountNumber,
    /// The request ID of the invocation.
    pub request_id: String,
    /// The payload of the invocation.
    pub request: serde_json::Value,
}

/// Returns the `_id` of the dead letter for `document_id`, which `target` refused.
pub(super) fn letter_id(target: &str, document_id: &DocId) -> DocId {
    let mut hash = Sha256::new();
    for part in [target, document_id.as_str()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    DocId(format!("{ID_SCHEME}{}", URL_SAFE_NO_PAD.encode(hash.finalize())))
}

/// The content of a dead letter.
pub(super) struct Letter<'a> {
    /// The data stream of the dead letters.
    pub(super) letters: &'a DataStream,
    /// The data stream that refused the document.
    pub(super) target: &'a DataStream,
    pub(super) document: &'a Document,
    pub(super) refusal: &'a Refusal,
    pub(super) origin: &'a Origin,
    pub(super) now: Timestamp,
}

/// Returns the `_source` of a dead letter.
#[expect(clippy::expect_used, reason = "the mapping writes the source, and `Namespace` and `Stream` the name")]
pub(super) fn letter_source(letter: &Letter<'_>) -> String {
    let Letter { letters, target, document, refusal, origin, now } = *letter;
    // Only these fields are read, because values in others may be nested more deeply than the parser accepts.
    #[derive(Deserialize)]
    struct Made {
        event: MadeEvent,
        tags: Option<Value>,
    }
    #[derive(Deserialize)]
    struct MadeEvent {
        created: Option<Value>,
        ingested: Option<Value>,
    }
    // A namespace has no hyphen, so the last one ends the dataset.
    let (_, namespace) = letters.as_str().rsplit_once('-').expect("the name of a data stream has hyphens");
    let made: Made = serde_json::from_str(&document.source).expect("a source is JSON with an event");
    let mut event = Map::new();
    for (name, value) in [("created", made.event.created), ("ingested", made.event.ingested)] {
        event.extend(value.map(|value| (name.to_owned(), value)));
    }
    event.insert("original".to_owned(), compact(&document.original).into());
    let mut letter = json!({
        "@timestamp": now,
        "data_stream": {"type": "logs", "dataset": "lastpass.dead_letter", "namespace": namespace},
        "event": event,
        "error": {"type": refusal.error_type, "message": refusal.reason},
        "lastpass": {"dead_letter": {
            "data_stream": target,
            "document_id": document.id,
            "timestamp": document.timestamp,
            "account": origin.account,
            "request_id": origin.request_id,
            "request": origin.request,
        }},
    });
    if let Some(tags) = made.tags {
        letter["tags"] = tags;
    }
    if let Some(since) = document.since {
        letter["lastpass"]["dead_letter"]["since"] = since.to_string().into();
    }
    letter.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another value would create a second dead letter for a record that has one.
    #[test]
    fn the_id_of_a_dead_letter_never_changes() {
        let id = |target, document: &str| letter_id(target, &DocId(document.to_owned())).0;
        assert_eq!(id("logs-lastpass.user-default", "u1"), "dhJ1F_4gWgBI2pcgpti_sFSgpZCfYVtFQfjq5G23MZ6E");
        assert_ne!(id("logs-lastpass.user-default", "u1"), id("logs-lastpass.user-other", "u1"));
        assert_ne!(id("ab", "c"), id("a", "bc"));
    }
}
