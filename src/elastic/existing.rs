//! Which documents a data stream has: asked by real-time `_mget` on its backing indices.
//!
//! `_id` is unique only within a backing index, a search doesn't see what was just written, and `_mget` on the name of
//! the data stream fails for every document in an answer of 200. So the backing indices are listed first and asked by
//! name; an entry with an error is never taken for "absent".

use std::collections::HashMap;

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::client::{Answer, Body, Call, Client};
use super::encode::{FOUND, gzip, none_found};
use super::error::{CLUSTER_BLOCK, Doing, Error, Fault, read_error_type};
use crate::deadline::Deadline;
use crate::document::DocId;
use crate::text::Text;

/// Most documents asked for in one `_mget`. Chosen: about 1.5 MB of body and as much of answer.
const MAX_LOOKUPS: usize = 10_000;

const LIST_REMEDY: &str = "see whether the name of the data stream is that of something else in this cluster";
const FIND_REMEDY: &str = "a backing index of the data stream can't be read (closed, or with index.blocks.read), so \
                           nothing tells what it holds: open it, or delete it if its documents may be lost";

/// The backing indices of `data_stream`, oldest first, the write index last. None where it doesn't exist yet.
///
/// # Errors
/// [`Error`].
pub(super) async fn backing_indices(
    client: &Client,
    data_stream: &str,
    deadline: Deadline,
) -> Result<Vec<String>, Error> {
    Ok(data_streams(client, data_stream, Doing::ListBackingIndices, deadline)
        .await?
        .pop()
        .map(|found| found.1)
        .unwrap_or_default())
}

/// The data streams whose names fit `pattern`, each with its backing indices; `doing` is what they are listed for.
///
/// # Errors
/// [`Error`].
pub(super) async fn data_streams(
    client: &Client,
    pattern: &str,
    doing: Doing,
    deadline: Deadline,
) -> Result<Vec<(String, Vec<String>)>, Error> {
    #[derive(Deserialize)]
    struct Resolved {
        data_streams: Vec<Found>,
    }
    #[derive(Deserialize)]
    struct Found {
        name: String,
        backing_indices: Vec<String>,
    }
    let path = ["_resolve", "index", pattern];
    let answer = client.ask(&Call::new(doing, Method::GET, &path), deadline).await?;
    if answer.status == 404 && answer.error_type() == "index_not_found_exception" {
        return Ok(Vec::new());
    }
    if !answer.status.is_success() {
        return Err(client.refused(&answer, LIST_REMEDY));
    }
    let resolved: Resolved = client.parse(&answer)?;
    Ok(resolved.data_streams.into_iter().map(|found| (found.name, found.backing_indices)).collect())
}

/// Which of `ids` are in one of `indices`: the position of each that is, and the index.
///
/// # Errors
/// [`Error`], also where only one document's entry is an error: it may exist.
pub(super) async fn find(
    client: &Client,
    data_stream: &str,
    ids: &[&DocId],
    indices: &[String],
    deadline: Deadline,
) -> Result<HashMap<usize, String>, Error> {
    let mut indices = indices.to_vec();
    let mut pauses = client.pauses();
    loop {
        match try_find(client, ids, &indices, deadline).await? {
            Lookup::Found(found) => return Ok(found),
            // Deleted by its lifecycle since it was listed: what was in it is no longer in the data stream.
            Lookup::Gone => {
                let listed = backing_indices(client, data_stream, deadline).await?;
                indices.retain(|index| listed.contains(index));
            }
            Lookup::NotNow(error_type) => {
                let error = client.unreachable(Doing::FindIds, Fault::Items { status: 0, error_type });
                pauses.before_repeating(error, deadline).await?;
            }
        }
    }
}

enum Lookup {
    Found(HashMap<usize, String>),
    Gone,
    NotNow(String),
}

#[derive(Serialize)]
struct Question<'a> {
    #[serde(rename = "_index")]
    index: &'a str,
    #[serde(rename = "_id")]
    id: &'a DocId,
    #[serde(skip)]
    position: usize,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, rename = "_index")]
    index: Text<'a>,
    #[serde(borrow, rename = "_id")]
    id: Text<'a>,
    found: Option<bool>,
    error: Option<EntryError>,
}

#[derive(Deserialize)]
struct EntryError {
    #[serde(rename = "type", deserialize_with = "read_error_type")]
    error_type: String,
}

async fn try_find(client: &Client, ids: &[&DocId], indices: &[String], deadline: Deadline) -> Result<Lookup, Error> {
    let mut found = HashMap::new();
    let mut asked = 0;
    loop {
        let batch = next_questions(ids, indices, &mut asked, &found);
        if batch.is_empty() {
            return Ok(Lookup::Found(found));
        }
        let answer = mget(client, &batch, deadline).await?;
        if answer.is_as_expected {
            continue;
        }
        let entries = client.parse::<Answers<'_>>(&answer)?.docs;
        let mismatch = || {
            let fault = Fault::ItemMismatch { sent: batch.len(), answered: entries.len() };
            client.unreachable(Doing::FindIds, fault)
        };
        if entries.len() != batch.len() {
            return Err(mismatch());
        }
        for (question, entry) in batch.iter().zip(&entries) {
            if entry.index.as_str() != question.index || entry.id.as_str() != question.id.as_str() {
                return Err(mismatch());
            }
            match (&entry.error, entry.found) {
                (None, Some(true)) => {
                    found.insert(question.position, question.index.to_owned());
                }
                (None, Some(false)) => {}
                (None, None) => return Err(mismatch()),
                (Some(error), _) => match error.error_type.as_str() {
                    "index_not_found_exception" => return Ok(Lookup::Gone),
                    "security_exception" => {
                        return Err(Error::Forbidden { host: client.host(), doing: Doing::FindIds });
                    }
                    "index_closed_exception" | CLUSTER_BLOCK => {
                        return Err(Error::Refused {
                            host: client.host(),
                            doing: Doing::FindIds,
                            status: 200,
                            error_type: error.error_type.clone(),
                            reason: Some(question.index.to_owned()),
                            remedy: FIND_REMEDY,
                        });
                    }
                    other => return Ok(Lookup::NotNow(other.to_owned())),
                },
            }
        }
    }
}

/// The next questions of all that are to be asked, `asked` of which are done: every document in every index, but those
/// that were found. The newest index first, because what is read again was most often written last.
fn next_questions<'a>(
    ids: &[&'a DocId],
    indices: &'a [String],
    asked: &mut usize,
    found: &HashMap<usize, String>,
) -> Vec<Question<'a>> {
    let mut batch = Vec::new();
    while batch.len() < MAX_LOOKUPS && *asked < ids.len() * indices.len() {
        let (age, position) = (*asked / ids.len(), *asked % ids.len());
        *asked += 1;
        if !found.contains_key(&position) {
            batch.push(Question { index: &indices[indices.len() - 1 - age], id: ids[position], position });
        }
    }
    batch
}

#[derive(Deserialize)]
struct Answers<'a> {
    #[serde(borrow)]
    docs: Vec<Entry<'a>>,
}

/// Asks `batch`, and gives the answer where it is a success.
async fn mget(client: &Client, batch: &[Question<'_>], deadline: Deadline) -> Result<Answer, Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "lowercase")]
    enum Questions<'a> {
        Docs(&'a [Question<'a>]),
        Ids(Vec<&'a DocId>),
    }
    // A data stream has mostly one backing index: named once, in the path, it leaves little to send or to pack.
    let one_index = batch.first().map(|first| first.index).filter(|first| batch.iter().all(|one| one.index == *first));
    let (path, questions) = match &one_index {
        Some(index) => (vec![*index, "_mget"], Questions::Ids(batch.iter().map(|question| question.id).collect())),
        None => (vec!["_mget"], Questions::Docs(batch)),
    };
    let body = serde_json::to_vec(&questions).map_err(std::io::Error::from).and_then(|body| match &questions {
        // Ids are as good as random.
        Questions::Ids(_) => Ok(Body::Json(body)),
        Questions::Docs(_) => Ok(Body::GzipJson(gzip(&body)?)),
    });
    // Writing into memory can't fail; if it did, nothing would have been asked.
    let body = body.map_err(|_| client.unreachable(Doing::FindIds, Fault::Connection))?;
    let asked = batch.iter().map(|question| (question.index, question.id));
    let expected = Some(none_found(asked));
    let call = Call {
        doing: Doing::FindIds,
        method: Method::POST,
        path: &path,
        query: &[("_source", "false"), ("realtime", "true"), ("filter_path", FOUND)],
        body,
        expected,
    };
    let answer = client.ask(&call, deadline).await?;
    if answer.status.is_success() { Ok(answer) } else { Err(client.refused(&answer, FIND_REMEDY)) }
}
