//! Dead letters: documents that keep a record whole which Elasticsearch refused for good.
//!
//! A letter's `_id` is made from its target and the document's `_id`, so a second refusal adds none. A letter waits as
//! long as its target has no document of that `_id`.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::client::{Body, Call, Client};
use super::error::{Doing, Error};
use super::existing;
use super::judge::Refusal;
use crate::deadline::Deadline;
use crate::document::{AccountNumber, DataStream, DocId, Document, Namespace};

/// The first letter of a dead letter's `_id`: it names the scheme, which never changes.
const ID_SCHEME: &str = "d";

/// Dead letters read at once. Chosen: about 300 bytes each.
const PAGE: usize = 1_000;

const READ_REMEDY: &str = "see whether the dead letters' data stream can be searched, and whether `setup` was run";

/// Where documents come from: what a dead letter tells of it.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The LastPass account.
    pub account: AccountNumber,
    /// The invocation's request id.
    pub request_id: String,
    /// The invocation's payload.
    pub request: serde_json::Value,
}

/// The `_id` of the dead letter for `document_id`, which `target` refused.
pub(super) fn letter_id(target: &str, document_id: &DocId) -> DocId {
    let mut hash = Sha256::new();
    for part in [target, document_id.as_str()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    DocId(format!("{ID_SCHEME}{}", URL_SAFE_NO_PAD.encode(hash.finalize())))
}

/// The `_source` of the dead letter for `document`.
pub(super) fn letter_source(
    letters: &DataStream,
    target: &DataStream,
    document: &Document,
    refusal: &Refusal,
    origin: &Origin,
    now: Timestamp,
) -> String {
    // A namespace has no hyphen, so the last one ends the dataset.
    let namespace = letters.as_str().rsplit_once('-').map_or("", |(_, namespace)| namespace);
    json!({
        "@timestamp": now,
        "data_stream": {"type": "logs", "dataset": "lastpass.dead_letter", "namespace": namespace},
        "event": {"original": document.original},
        "error": {"type": refusal.error_type, "message": refusal.reason},
        "lastpass": {"dead_letter": {
            "data_stream": target,
            "document_id": document.id,
            "account": origin.account,
            "request_id": origin.request_id,
            "request": origin.request,
        }},
    })
    .to_string()
}

/// Counts the dead letters of `namespace` that wait: those whose target has no document with their `document_id`.
///
/// A letter of the last second may not be seen yet: this is a search.
///
/// # Errors
/// [`Error`].
pub async fn waiting_dead_letters(client: &Client, namespace: &Namespace, deadline: Deadline) -> Result<u64, Error> {
    let letters = DataStream::dead_letter(namespace);
    let mut waiting = BTreeSet::new();
    let mut after = None;
    loop {
        let page = search(client, &letters, after, deadline).await?;
        let Some(last) = page.last() else { return Ok(waiting.len() as u64) };
        after = Some(last.sort.clone());
        let mut by_target: BTreeMap<&str, Vec<&DocId>> = BTreeMap::new();
        for hit in &page {
            let letter = &hit.source.lastpass.dead_letter;
            by_target.entry(&letter.data_stream).or_default().push(&letter.document_id);
        }
        for (target, ids) in by_target {
            let indices = existing::backing_indices(client, target, deadline).await?;
            let found = existing::find(client, target, &ids, &indices, deadline).await?;
            let missing = ids.iter().enumerate().filter(|(at, _)| !found.contains_key(at));
            waiting.extend(missing.map(|(_, id)| letter_id(target, id)));
        }
    }
}

#[derive(Deserialize)]
struct Hit {
    #[serde(rename = "_source")]
    source: Source,
    sort: serde_json::Value,
}

#[derive(Deserialize)]
struct Source {
    lastpass: Lastpass,
}

#[derive(Deserialize)]
struct Lastpass {
    dead_letter: Letter,
}

#[derive(Deserialize)]
struct Letter {
    data_stream: String,
    document_id: DocId,
}

/// A page of dead letters, oldest first, after the one with these sort values.
async fn search(
    client: &Client,
    letters: &DataStream,
    after: Option<serde_json::Value>,
    deadline: Deadline,
) -> Result<Vec<Hit>, Error> {
    #[derive(Serialize)]
    struct Query {
        size: usize,
        #[serde(rename = "_source")]
        source: [&'static str; 2],
        sort: [&'static str; 3],
        #[serde(skip_serializing_if = "Option::is_none")]
        search_after: Option<serde_json::Value>,
    }
    #[derive(Deserialize)]
    struct Found {
        hits: Hits,
    }
    #[derive(Deserialize)]
    struct Hits {
        hits: Vec<Hit>,
    }
    let query = Query {
        size: PAGE,
        source: ["lastpass.dead_letter.data_stream", "lastpass.dead_letter.document_id"],
        // The three together are a letter's identity, so no page ends between two that can't be told apart.
        sort: ["@timestamp", "lastpass.dead_letter.data_stream", "lastpass.dead_letter.document_id"],
        search_after: after,
    };
    let call = Call {
        doing: Doing::ReadDeadLetters,
        method: Method::POST,
        path: &[letters.as_str(), "_search"],
        query: &[("ignore_unavailable", "true"), ("allow_partial_search_results", "false")],
        body: Body::Json(json!(query).to_string().into_bytes()),
    };
    Ok(client.read::<Found>(&call, READ_REMEDY, deadline).await?.hits.hits)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frozen: another value would make a second letter of a record that has one.
    #[test]
    fn the_id_of_a_letter_never_changes() {
        let id = |target, document: &str| letter_id(target, &DocId(document.to_owned())).0;
        assert_eq!(id("logs-lastpass.user-default", "u1"), "dhJ1F_4gWgBI2pcgpti_sFSgpZCfYVtFQfjq5G23MZ6E");
        assert_ne!(id("logs-lastpass.user-default", "u1"), id("logs-lastpass.user-other", "u1"));
        assert_ne!(id("ab", "c"), id("a", "bc"));
    }
}
