//! Which documents a data stream has: asked by real-time `_mget` on its backing indices.
//!
//! `_id` is unique only within a backing index, a search doesn't see what was just written, and `_mget` on the name of
//! the data stream fails for every document in an answer of 200. So the backing indices are listed first and asked by
//! name; an entry with an error is never taken for "absent".
//!
//! An index is written to until the next one is made. One that ended before a document can have been written is not
//! asked for it, so that an old index that is closed or lacks a shard stops only what needs it. The cluster's clock tells
//! when the next one was made. Where the index can be searched, its newest document must agree: that has its times from
//! LastPass and from the function, as what is looked for has. Only indices with the names that Elasticsearch gives are left
//! out: of one that was restored, shrunk or added under another name, nothing tells what it holds.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::client::{Answer, Body, Call, Client, FIRST_PAUSE, PATIENCE, Pauses};
use super::encode::{FOUND, gzip, none_found};
use super::error::{CLUSTER_BLOCK, Doing, Error, Fault, Unreadable, read_error_type};
use crate::deadline::Deadline;
use crate::document::DocId;
use crate::text::Text;

/// Most documents asked for in one `_mget`. Chosen: about 1.5 MB of body and as much of answer.
const MAX_LOOKUPS: usize = 10_000;

/// How much later than an index ended by its cluster's clock, by LastPass's clock, a document in it can have happened.
/// Chosen: 5 minutes that LastPass's clock may be ahead (an event further ahead stops a run), 5 that the clock of the
/// cluster's master node may be behind, and 5 in which a bulk request that began before the rollover still writes.
const WRITTEN_AFTER_END: SignedDuration = SignedDuration::from_mins(15);

const LIST_REMEDY: &str = "see whether the name of the data stream is that of something else in this cluster";
const FIND_REMEDY: &str = "see the log of Elasticsearch for why, and whether the data stream can be read";
const TOO_LARGE_REMEDY: &str = "even a request for one ID is too large for it: raise the limit of what refuses it, which \
                                is http.max_content_length of Elasticsearch (elasticsearch.yml), client_max_body_size \
                                of an nginx before it, or the like of another proxy";

/// A backing index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BackingIndex {
    pub(super) name: String,
    /// When it was written to last, at the latest; none where nothing tells, as of the one that is written to.
    ended: Option<Timestamp>,
}

impl BackingIndex {
    /// One of which nothing else is known.
    #[cfg(test)]
    pub(super) fn of_name(name: &str) -> Self {
        Self { name: name.to_owned(), ended: None }
    }

    /// Whether it can hold a document that was written at `since` or later.
    fn can_hold(&self, since: Option<Timestamp>) -> bool {
        let (Some(ended), Some(since)) = (self.ended, since) else { return true };
        since.duration_since(ended) <= WRITTEN_AFTER_END
    }
}

/// A document that is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) id: &'a DocId,
    /// The earliest moment at which it can have been written; none where nothing tells.
    pub(super) since: Option<Timestamp>,
}

/// Looks documents up, and keeps what it has learned of the way to do it.
#[derive(Debug)]
pub(super) struct Finder {
    client: Client,
    learned: Mutex<Learned>,
    /// Fewer than the limit once a 413 said so.
    max_lookups: AtomicUsize,
}

/// What is known of backing indices, by their names.
#[derive(Debug, Default)]
struct Learned {
    /// When each was made, where its settings tell.
    made: HashMap<String, Option<Timestamp>>,
    /// The time of the newest document of each that is no longer written to, where a search tells.
    newest: HashMap<String, Option<Timestamp>>,
}

impl Finder {
    pub(super) fn new(client: Client) -> Self {
        Self { client, learned: Mutex::default(), max_lookups: AtomicUsize::new(MAX_LOOKUPS) }
    }

    /// The backing indices of `data_stream`, oldest first, the write index last. None where it doesn't exist yet.
    ///
    /// # Errors
    /// [`Error`].
    pub(super) async fn backing_indices(
        &self,
        data_stream: &str,
        deadline: Deadline,
    ) -> Result<Vec<BackingIndex>, Error> {
        let names = index_names(&self.client, data_stream, deadline).await?;
        // Of a single one, nothing has to be known.
        if names.len() > 1 && !names.iter().all(|name| self.learned().made.contains_key(name)) {
            let mut told = creation_dates(&self.client, data_stream, deadline).await?;
            self.learned().made.extend(names.iter().map(|name| (name.clone(), told.remove(name))));
        }
        let mut indices = with_ends(data_stream, names, &self.learned().made);
        let ended = indices.iter().filter(|index| index.ended.is_some()).map(|index| index.name.as_str());
        let unknown: Vec<&str> = ended.filter(|name| !self.learned().newest.contains_key(*name)).collect();
        if !unknown.is_empty() {
            let told = newest_documents(&self.client, &unknown, deadline).await?;
            self.learned().newest.extend(unknown.into_iter().map(str::to_owned).zip(told));
        }
        for index in &mut indices {
            let newest = self.learned().newest.get(&index.name).copied().flatten();
            index.ended = index.ended.map(|ended| ended.max(newest.unwrap_or(ended)));
        }
        Ok(indices)
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which of `wanted` are in one of `indices`: the position of each that is, and the index.
    ///
    /// # Errors
    /// [`Error`], also where only one document's entry is an error: it may exist.
    pub(super) async fn find(
        &self,
        data_stream: &str,
        wanted: &[Wanted<'_>],
        indices: &[BackingIndex],
        deadline: Deadline,
    ) -> Result<HashMap<usize, String>, Error> {
        let mut indices = indices.to_vec();
        let write_index = indices.last().map(|index| index.name.clone());
        let mut pauses = self.client.pauses();
        // While a cluster restarts, its newest index can't be read either.
        let mut pauses_for_older = Pauses::new(FIRST_PAUSE, PATIENCE);
        loop {
            match self.try_find(wanted, &indices, deadline).await? {
                Lookup::Found(found) => return Ok(found),
                // Deleted by its lifecycle since it was listed: what was in it is no longer in the data stream.
                Lookup::Gone => {
                    let listed = index_names(&self.client, data_stream, deadline).await?;
                    indices.retain(|index| listed.contains(&index.name));
                }
                Lookup::NotNow { index, error_type } => {
                    let is_older = write_index.as_ref() != Some(&index);
                    let error = self.unreadable(index, Unreadable::NotNow { error_type });
                    if is_older { &mut pauses_for_older } else { &mut pauses }
                        .before_repeating(error, deadline)
                        .await?;
                }
                Lookup::Overloaded => {
                    let (host, doing) = (self.client.host(), Doing::FindIds);
                    let error = Error::Throttled { host, doing, retry_after: None };
                    pauses.before_repeating(error, deadline).await?;
                }
            }
        }
    }

    fn unreadable(&self, index: String, why: Unreadable) -> Error {
        Error::IndexUnreadable { host: self.client.host(), doing: Doing::FindIds, index, why }
    }

    async fn try_find(
        &self,
        wanted: &[Wanted<'_>],
        indices: &[BackingIndex],
        deadline: Deadline,
    ) -> Result<Lookup, Error> {
        let client = &self.client;
        let mut found = HashMap::new();
        let mut asked = 0;
        loop {
            let begin = asked;
            let most = self.max_lookups.load(Ordering::Relaxed);
            let batch = next_questions(wanted, indices, most, &mut asked, &found);
            if batch.is_empty() {
                return Ok(Lookup::Found(found));
            }
            let answer = mget(client, &batch, deadline).await?;
            if answer.status == 413 && batch.len() > 1 {
                self.max_lookups.fetch_min(batch.len() / 2, Ordering::Relaxed);
                asked = begin;
                continue;
            }
            if answer.status == 413 {
                return Err(client.refused(&answer, TOO_LARGE_REMEDY));
            }
            if !answer.status.is_success() {
                return Err(client.refused(&answer, FIND_REMEDY));
            }
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
                let index = question.index.to_owned();
                match (&entry.error, entry.found) {
                    (None, Some(true)) => {
                        found.insert(question.position, index);
                    }
                    (None, Some(false)) => {}
                    (None, None) => return Err(mismatch()),
                    (Some(error), _) => match error.error_type.as_str() {
                        "index_not_found_exception" => return Ok(Lookup::Gone),
                        "security_exception" => {
                            return Err(Error::Forbidden { host: client.host(), doing: Doing::FindIds });
                        }
                        "index_closed_exception" => return Err(self.unreadable(index, Unreadable::Closed)),
                        CLUSTER_BLOCK => return Err(self.unreadable(index, Unreadable::Blocked)),
                        "es_rejected_execution_exception" => return Ok(Lookup::Overloaded),
                        other => return Ok(Lookup::NotNow { index, error_type: other.to_owned() }),
                    },
                }
            }
        }
    }
}

/// When each backing index of `data_stream` was made, as far as its settings tell. They may be hidden: then the names
/// have to do.
///
/// Source: <https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-indices-get-settings> (the privilege
/// `view_index_metadata`; serverless has it as well).
async fn creation_dates(
    client: &Client,
    data_stream: &str,
    deadline: Deadline,
) -> Result<HashMap<String, Timestamp>, Error> {
    #[derive(Deserialize)]
    struct Told {
        settings: Settings,
    }
    #[derive(Deserialize)]
    struct Settings {
        index: Index,
    }
    #[derive(Deserialize)]
    struct Index {
        creation_date: String,
    }
    let path = [data_stream, "_settings", "index.creation_date"];
    let call = Call {
        query: &[("filter_path", "*.settings.index.creation_date")],
        ..Call::new(Doing::ListBackingIndices, Method::GET, &path)
    };
    let answer = match client.ask(&call, deadline).await {
        Ok(answer) if answer.status.is_success() => answer,
        Ok(answer) => {
            tracing::debug!(status = answer.status.as_u16(), "the ages of the backing indices are hidden");
            return Ok(HashMap::new());
        }
        Err(Error::Forbidden { .. }) => return Ok(HashMap::new()),
        Err(error) => return Err(error),
    };
    let told: HashMap<String, Told> = client.parse(&answer)?;
    let made = |told: Told| Timestamp::from_millisecond(told.settings.index.creation_date.parse().ok()?).ok();
    Ok(told.into_iter().filter_map(|(name, told)| Some((name, made(told)?))).collect())
}

/// The time of the newest document of each of `indices`: of the event, or of its reading. None where a search can't tell,
/// as of an index that is closed, that lacks a shard or that has no document.
async fn newest_documents(
    client: &Client,
    indices: &[&str],
    deadline: Deadline,
) -> Result<Vec<Option<Timestamp>>, Error> {
    #[derive(Deserialize)]
    struct Answers {
        responses: Vec<Found>,
    }
    #[derive(Deserialize)]
    struct Found {
        _shards: Option<Shards>,
        aggregations: Option<HashMap<String, Newest>>,
    }
    #[derive(Deserialize)]
    struct Shards {
        failed: u64,
    }
    #[derive(Deserialize)]
    struct Newest {
        /// Milliseconds since 1970.
        value: Option<f64>,
    }
    // Nothing but the largest value of a field is asked for, which the index has at hand.
    let max = |field| json!({"max": {"field": field}});
    let query = json!({
        "size": 0, "track_total_hits": false,
        "aggs": {"event": max("@timestamp"), "reading": max("event.created")},
    });
    let searches: String = indices.iter().map(|index| format!("{}\n{query}\n", json!({ "index": index }))).collect();
    // Writing into memory can't fail; if it did, nothing would have been asked.
    let body = gzip(searches.as_bytes()).map_err(|_| client.unreachable(Doing::FindIds, Fault::Connection))?;
    let call = Call {
        query: &[("filter_path", "responses._shards.failed,responses.aggregations,responses.status")],
        body: Body::GzipNdjson(body),
        ..Call::new(Doing::FindIds, Method::POST, &["_msearch"])
    };
    let answer = client.ask(&call, deadline).await?;
    if !answer.status.is_success() {
        tracing::debug!(status = answer.status.as_u16(), "the newest documents of the backing indices are not told");
        return Ok(vec![None; indices.len()]);
    }
    let responses = client.parse::<Answers>(&answer)?.responses;
    if responses.len() != indices.len() {
        let fault = Fault::ItemMismatch { sent: indices.len(), answered: responses.len() };
        return Err(client.unreachable(Doing::FindIds, fault));
    }
    let newest = |found: Found| {
        found._shards.filter(|shards| shards.failed == 0)?;
        let values = found.aggregations.into_iter().flatten().filter_map(|(_, newest)| newest.value);
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds fit, and what is larger is the largest")]
        values.filter_map(|value| Timestamp::from_millisecond(value as i64).ok()).max()
    };
    Ok(responses.into_iter().map(newest).collect())
}

/// The indices of `data_stream` with their ends: each ended when the next generation was made. `made` is what is known of
/// that; where it isn't, the name tells the day.
fn with_ends(data_stream: &str, names: Vec<String>, made: &HashMap<String, Option<Timestamp>>) -> Vec<BackingIndex> {
    let generations: Vec<Option<Generation>> = names.iter().map(|name| Generation::read(data_stream, name)).collect();
    let made = |position: usize| {
        let generation = generations[position]?;
        let told = made.get(&names[position]).copied().flatten();
        Some((generation.number, told.or_else(|| generation.made_before())))
    };
    let all: Vec<(u64, Option<Timestamp>)> = (0..names.len()).filter_map(made).collect();
    let newest = names.len().saturating_sub(1);
    let end = |position: usize| {
        let number = generations[position].filter(|_| position != newest)?.number;
        all.iter().filter(|(other, _)| *other > number).min_by_key(|(other, _)| *other)?.1
    };
    let ends: Vec<Option<Timestamp>> = (0..names.len()).map(end).collect();
    names.into_iter().zip(ends).map(|(name, ended)| BackingIndex { name, ended }).collect()
}

/// What Elasticsearch's own name of a backing index says: `.ds-<data stream>-<yyyy.MM.dd>-<generation>`, with the day in
/// UTC. Source: <https://www.elastic.co/docs/manage-data/data-store/data-streams#backing-indices>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Generation {
    number: u64,
    day: Date,
}

impl Generation {
    fn read(data_stream: &str, name: &str) -> Option<Self> {
        let rest = name.strip_prefix(".ds-")?.strip_prefix(data_stream)?.strip_prefix('-')?;
        let (day, number) = rest.split_once('-')?;
        let is_number = number.len() >= 6 && number.bytes().all(|byte| byte.is_ascii_digit());
        let day = Date::strptime("%Y.%m.%d", day).ok()?;
        Some(Self { number: number.parse().ok().filter(|_| is_number)?, day })
    }

    /// A moment before which it was made: the end of its day.
    fn made_before(self) -> Option<Timestamp> {
        Some(self.day.checked_add(1.day()).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp())
    }
}

enum Lookup {
    Found(HashMap<usize, String>),
    Gone,
    NotNow { index: String, error_type: String },
    Overloaded,
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

/// The next questions of all that are to be asked, `asked` of which are done: every document in every index that can hold
/// it, but those that were found. The newest index first, because what is read again was most often written last.
fn next_questions<'a>(
    wanted: &[Wanted<'a>],
    indices: &'a [BackingIndex],
    most: usize,
    asked: &mut usize,
    found: &HashMap<usize, String>,
) -> Vec<Question<'a>> {
    let mut batch = Vec::new();
    while batch.len() < most && *asked < wanted.len() * indices.len() {
        let (age, position) = (*asked / wanted.len(), *asked % wanted.len());
        *asked += 1;
        let (index, Wanted { id, since }) = (&indices[indices.len() - 1 - age], wanted[position]);
        if !found.contains_key(&position) && index.can_hold(since) {
            batch.push(Question { index: &index.name, id, position });
        }
    }
    batch
}

/// The names of the backing indices of `data_stream`, oldest first, the write index last. None where it doesn't exist yet.
///
/// # Errors
/// [`Error`].
pub(super) async fn index_names(client: &Client, data_stream: &str, deadline: Deadline) -> Result<Vec<String>, Error> {
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

#[derive(Deserialize)]
struct Answers<'a> {
    #[serde(borrow)]
    docs: Vec<Entry<'a>>,
}

/// Asks `batch`.
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
    client.ask(&call, deadline).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA_STREAM: &str = "logs-lastpass.user-default";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn name(rest: &str) -> String {
        format!(".ds-{DATA_STREAM}-{rest}")
    }

    /// The ends of indices of these names, some of which were made at a time that is known.
    fn ends(names: &[&str], made: &[(&str, &str)]) -> Vec<Option<Timestamp>> {
        let made = made.iter().map(|(rest, time)| (name(rest), Some(at(time)))).collect();
        let names = names.iter().map(|rest| rest.strip_prefix('=').map_or_else(|| name(rest), str::to_owned));
        with_ends(DATA_STREAM, names.collect(), &made).into_iter().map(|index| index.ended).collect()
    }

    #[test]
    fn an_index_ended_when_the_next_was_made() {
        let names = ["2026.01.01-000001", "2026.02.01-000002", "2026.03.01-000003"];
        let made = [
            (names[0], "2026-01-01T08:00:00Z"),
            (names[1], "2026-02-01T09:00:00Z"),
            (names[2], "2026-03-01T10:00:00Z"),
        ];
        assert_eq!(ends(&names, &made), [Some(at(made[1].1)), Some(at(made[2].1)), None]);
        // By the day, where that is all that is known.
        assert_eq!(ends(&names, &made[..2]), [Some(at(made[1].1)), Some(at("2026-03-02T00:00:00Z")), None]);
        // One that was deleted leaves its predecessor a later end.
        assert_eq!(ends(&[names[0], names[2]], &made), [Some(at(made[2].1)), None]);
        assert_eq!(ends(&names[..1], &[]), [None]);
        assert_eq!(ends(&[], &[]), []);
    }

    #[test]
    fn nothing_tells_when_an_index_of_another_name_ended() {
        let foreign = [
            "=restored-.ds-logs-lastpass.user-default-2026.01.01-000001",
            "=shrink-abcd-.ds-logs-lastpass.user-default-2026.01.01-000001",
            "=.ds-logs-lastpass.user-other-2026.01.01-000001",
            "=.ds-logs-lastpass.user-default-000001",
            "=.ds-logs-lastpass.user-default-2026.13.01-000001",
            "=.ds-logs-lastpass.user-default-2026.01.01-1",
            "=.ds-logs-lastpass.user-default-2026.01.01-00000a",
            "=my-old-users",
        ];
        for foreign in foreign {
            let names = [foreign, "2026.02.01-000002", "2026.03.01-000003"];
            assert_eq!(ends(&names, &[]), [None, Some(at("2026-03-02T00:00:00Z")), None], "{foreign}");
        }
        // Nor has one ended that is written to, whatever it is called.
        assert_eq!(ends(&["2026.03.01-000003", "2026.02.01-000002"], &[]), [None, None]);
    }

    #[test]
    fn the_order_of_generations_is_that_of_their_numbers() {
        let names = ["2026.01.01-999999", "2026.02.01-1000000", "2026.03.01-1000001"];
        assert_eq!(ends(&names, &[])[0], Some(at("2026-02-02T00:00:00Z")));
    }

    #[test]
    fn an_index_can_hold_what_was_written_before_its_end_by_any_clock() {
        let ended = |ended| BackingIndex { name: String::new(), ended };
        let end = at("2026-02-01T00:00:00Z");
        assert!(ended(None).can_hold(Some(Timestamp::MAX)));
        assert!(ended(Some(end)).can_hold(None));
        for (since, can) in
            [("2025-01-01T00:00:00Z", true), ("2026-02-01T00:15:00Z", true), ("2026-02-01T00:15:01Z", false)]
        {
            assert_eq!(ended(Some(end)).can_hold(Some(at(since))), can, "{since}");
        }
    }

    #[test]
    fn only_indices_that_can_hold_a_document_are_asked_for_it() {
        let index = |name: &str, ended: Option<&str>| BackingIndex { name: name.to_owned(), ended: ended.map(at) };
        let indices =
            [index("a", Some("2026-02-01T00:00:00Z")), index("b", Some("2026-03-01T00:00:00Z")), index("c", None)];
        let ids = ["old", "new", "unknown"].map(|id| DocId(id.to_owned()));
        let since = [Some("2026-01-15T00:00:00Z"), Some("2026-02-15T00:00:00Z"), None];
        let wanted: Vec<Wanted<'_>> =
            ids.iter().zip(since).map(|(id, since)| Wanted { id, since: since.map(at) }).collect();
        let mut asked = 0;
        let mut all = Vec::new();
        loop {
            let batch = next_questions(&wanted, &indices, 2, &mut asked, &HashMap::new());
            if batch.is_empty() {
                break;
            }
            all.extend(batch.iter().map(|question| format!("{}{}", question.index, question.id)));
        }
        assert_eq!(all, ["cold", "cnew", "cunknown", "bold", "bnew", "bunknown", "aold", "aunknown"]);
    }
}
