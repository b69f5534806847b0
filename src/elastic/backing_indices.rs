//! Lists the backing indices of data streams, each with the time at which it ended.
//!
//! Elasticsearch writes to an index until it creates the next one. An index that ended before a document can have been
//! written cannot hold the document and is not searched for it. Therefore an old index that is closed or lacks a shard stops
//! only the runs that need it.
//!
//! An index ended when the next one was created, or at the time of its newest document if that is later: this time does not
//! depend on the clock of the cluster. Only indices with the names that Elasticsearch gives are left out, because the content
//! of a restored, shrunk or added index under another name is unknown.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use elasticsearch::MsearchParts;
use elasticsearch::indices::{IndicesGetSettingsParts, IndicesResolveIndexParts};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::cause::Unanswered;
use super::client::Client;
use super::encode::gzip;
use super::error::Error;
use super::operation::Operation;
use super::transport::{Body, Request};

/// How much later than the end of an index, by its cluster's clock, a document in it can have happened, by LastPass's
/// clock. Chosen: 5 minutes that LastPass's clock may be fast (an event further ahead stops a run), 5 that the clock of the
/// cluster's master node may be slow, and 5 in which a bulk request that began before the rollover still writes.
const WRITTEN_AFTER_END: SignedDuration = SignedDuration::from_mins(15);

const LIST_REMEDY: &str = "check whether something else in this cluster has the name of the data stream";

/// A backing index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BackingIndex {
    pub(super) name: String,
    /// The latest time at which it was written to. None if that is unknown, as for the index that is written to now.
    ended: Option<Timestamp>,
}

impl BackingIndex {
    /// Creates an index that ended at this time.
    #[cfg(test)]
    pub(super) fn ended(name: &str, ended: Option<Timestamp>) -> Self {
        Self { name: name.to_owned(), ended }
    }

    /// Returns whether it can hold a document that was written at `since` or later.
    pub(super) fn can_hold(&self, since: Option<Timestamp>) -> bool {
        let (Some(ended), Some(since)) = (self.ended, since) else { return true };
        since.duration_since(ended) <= WRITTEN_AFTER_END
    }
}

/// Lists backing indices, and remembers what it has learned about them.
#[derive(Debug)]
pub(super) struct BackingIndices {
    client: Client,
    learned: Mutex<Learned>,
}

/// Facts about backing indices, by their names.
#[derive(Debug, Default)]
struct Learned {
    /// The creation date of each. None if its settings are hidden.
    created: HashMap<String, Option<Timestamp>>,
    /// The time of the newest document in each that is no longer written to. None if a search did not return it.
    newest: HashMap<String, Option<Timestamp>>,
}

impl BackingIndices {
    /// Creates a list that knows nothing yet.
    pub(super) fn new(client: Client) -> Self {
        Self { client, learned: Mutex::default() }
    }

    /// Returns the backing indices of `data_stream`, oldest first, the write index last. Empty if the data stream does not
    /// exist yet.
    ///
    /// # Errors
    /// [`Error`].
    pub(super) async fn list(&self, data_stream: &str) -> Result<Vec<BackingIndex>, Error> {
        let names = index_names(&self.client, data_stream).await?;
        // A single index is always searched.
        if names.len() > 1 && !names.iter().all(|name| self.learned().created.contains_key(name)) {
            let mut dates = creation_dates(&self.client, data_stream).await?;
            self.learned().created.extend(names.iter().map(|name| (name.clone(), dates.remove(name))));
        }
        let mut indices = with_ends(data_stream, names, &self.learned().created);
        let ended = indices.iter().filter(|index| index.ended.is_some()).map(|index| index.name.as_str());
        let unknown: Vec<&str> = ended.filter(|name| !self.learned().newest.contains_key(*name)).collect();
        if !unknown.is_empty() {
            let times = newest_documents(&self.client, &unknown).await?;
            self.learned().newest.extend(unknown.into_iter().map(str::to_owned).zip(times));
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
}

/// Returns the names of the backing indices of `data_stream`, oldest first, the write index last. Empty if the data stream
/// does not exist yet.
///
/// # Errors
/// [`Error`].
pub(super) async fn index_names(client: &Client, data_stream: &str) -> Result<Vec<String>, Error> {
    let found = data_streams(client, data_stream, Operation::ListBackingIndices).await?.pop();
    Ok(found.map(|(_, indices)| indices).unwrap_or_default())
}

/// Returns the data streams whose names match `pattern`, each with its backing indices. `operation` says why they are
/// listed.
///
/// # Errors
/// [`Error`].
pub(super) async fn data_streams(
    client: &Client,
    pattern: &str,
    operation: Operation,
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
    let request = Request::new(operation, Method::GET, IndicesResolveIndexParts::Name(&[pattern]).url());
    let response = client.send_with_retries(&request).await?;
    if response.status == 404 && response.error_type() == "index_not_found_exception" {
        return Ok(Vec::new());
    }
    let resolved: Resolved = client.accepted(&response, LIST_REMEDY)?;
    Ok(resolved.data_streams.into_iter().map(|found| (found.name, found.backing_indices)).collect())
}

/// Performs `work` of `setup` on the write index of a data stream, and again if the data stream was rolled over in the
/// meantime. None if it was deleted in the meantime. The privileges of a key come from the name of the data stream, so
/// Elasticsearch reports a deleted index as a missing privilege.
///
/// # Errors
/// [`Error`].
pub(super) async fn with_write_index<T>(
    client: &Client,
    name: &str,
    write_index: Option<&String>,
    work: impl AsyncFn(Option<&String>) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    let error = match work(write_index).await {
        Ok(done) => return Ok(Some(done)),
        Err(error) => error,
    };
    match data_streams(client, name, Operation::UpdateDataStream).await?.pop() {
        None => Ok(None),
        Some((_, indices)) if indices.last() != write_index => work(indices.last()).await.map(Some),
        Some(_) => Err(error),
    }
}

/// Returns the creation date of each backing index of `data_stream` whose settings can be read.
///
/// Source: <https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-indices-get-settings> (the privilege
/// `view_index_metadata`; serverless has it as well).
async fn creation_dates(client: &Client, data_stream: &str) -> Result<HashMap<String, Timestamp>, Error> {
    let path = IndicesGetSettingsParts::IndexName(&[data_stream], &["index.creation_date"]).url();
    let request = Request {
        query: &[("filter_path", "*.settings.index.creation_date")],
        ..Request::new(Operation::ListBackingIndices, Method::GET, path)
    };
    let response = match client.send_with_retries(&request).await {
        Ok(response) if response.status.is_success() => response,
        Ok(response) => {
            tracing::debug!(status = response.status.as_u16(), "the creation dates of the backing indices are unknown");
            return Ok(HashMap::new());
        }
        Err(Error::Forbidden { .. }) => return Ok(HashMap::new()),
        Err(error) => return Err(error),
    };
    let found: HashMap<String, Value> = client.parse(&response)?;
    let date = |found: &Value| found.pointer("/settings/index/creation_date")?.as_str()?.parse().ok();
    let created = |found: &Value| Timestamp::from_millisecond(date(found)?).ok();
    Ok(found.into_iter().filter_map(|(name, found)| Some((name, created(&found)?))).collect())
}

/// Returns the time of the newest document in each of `indices`: the larger of `@timestamp` and `event.created`. None for
/// an index that cannot be searched, because it is closed or lacks a shard, and for one without documents.
async fn newest_documents(client: &Client, indices: &[&str]) -> Result<Vec<Option<Timestamp>>, Error> {
    #[derive(Deserialize)]
    struct Responses {
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
    // Without a query, Elasticsearch reads the largest value of a field from the index itself.
    let max = |field| json!({"max": {"field": field}});
    let query = json!({
        "size": 0, "track_total_hits": false,
        "aggs": {"event": max("@timestamp"), "reading": max("event.created")},
    });
    let searches: String = indices.iter().map(|index| format!("{}\n{query}\n", json!({ "index": index }))).collect();
    let request = Request {
        query: &[("filter_path", "responses._shards.failed,responses.aggregations,responses.status")],
        body: Body::GzipNdjson(gzip(searches.as_bytes())),
        ..Request::new(Operation::FindIds, Method::POST, MsearchParts::None.url())
    };
    let response = client.send_with_retries(&request).await?;
    if !response.status.is_success() {
        tracing::debug!(status = response.status.as_u16(), "the newest documents of the backing indices are unknown");
        return Ok(vec![None; indices.len()]);
    }
    let responses = client.parse::<Responses>(&response)?.responses;
    if responses.len() != indices.len() {
        let fault = Unanswered::ItemMismatch { sent: indices.len(), answered: responses.len() };
        return Err(client.unreachable(Operation::FindIds, fault));
    }
    let newest = |found: Found| {
        found._shards.filter(|shards| shards.failed == 0)?;
        let values = found.aggregations.into_iter().flatten().filter_map(|(_, newest)| newest.value);
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds fit, and a larger value becomes the largest")]
        values.filter_map(|value| Timestamp::from_millisecond(value as i64).ok()).max()
    };
    Ok(responses.into_iter().map(newest).collect())
}

/// Returns the indices of `data_stream` with their ends: an index ended when the next generation was created. `created`
/// holds the creation dates that are known. For others, the date in the name is used.
fn with_ends(data_stream: &str, names: Vec<String>, created: &HashMap<String, Option<Timestamp>>) -> Vec<BackingIndex> {
    let generations: Vec<Option<Generation>> = names.iter().map(|name| Generation::read(data_stream, name)).collect();
    let created = |position: usize| {
        let generation = generations[position]?;
        let date = created.get(&names[position]).copied().flatten();
        Some((generation.number, date.or_else(|| generation.created_before())))
    };
    let all: Vec<(u64, Option<Timestamp>)> = (0..names.len()).filter_map(created).collect();
    let newest = names.len().saturating_sub(1);
    let end = |position: usize| {
        let number = generations[position].filter(|_| position != newest)?.number;
        all.iter().filter(|(other, _)| *other > number).min_by_key(|(other, _)| *other)?.1
    };
    let ends: Vec<Option<Timestamp>> = (0..names.len()).map(end).collect();
    names.into_iter().zip(ends).map(|(name, ended)| BackingIndex { name, ended }).collect()
}

/// The parts of Elasticsearch's own name of a backing index: `.ds-<data stream>-<yyyy.MM.dd>-<generation>`, with the day in
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

    /// Returns a time before which the index was created: the end of the day in its name.
    fn created_before(self) -> Option<Timestamp> {
        Some(self.day.checked_add(1.day()).ok()?.to_zoned_datetime(TimeZone::UTC).ok()?.timestamp())
    }
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

    /// Returns the ends of indices with these names. `made` has the known creation dates.
    fn ends(names: &[&str], made: &[(&str, &str)]) -> Vec<Option<Timestamp>> {
        let made = made.iter().map(|(rest, time)| (name(rest), Some(at(time)))).collect();
        let names = names.iter().map(|rest| rest.strip_prefix('=').map_or_else(|| name(rest), str::to_owned));
        with_ends(DATA_STREAM, names.collect(), &made).into_iter().map(|index| index.ended).collect()
    }

    #[test]
    fn an_index_ended_when_the_next_one_was_created() {
        let names = ["2026.01.01-000001", "2026.02.01-000002", "2026.03.01-000003"];
        let made = [
            (names[0], "2026-01-01T08:00:00Z"),
            (names[1], "2026-02-01T09:00:00Z"),
            (names[2], "2026-03-01T10:00:00Z"),
        ];
        assert_eq!(ends(&names, &made), [Some(at(made[1].1)), Some(at(made[2].1)), None]);
        // Without a creation date, the day in the name counts.
        assert_eq!(ends(&names, &made[..2]), [Some(at(made[1].1)), Some(at("2026-03-02T00:00:00Z")), None]);
        // After an index is deleted, its predecessor appears to have ended later.
        assert_eq!(ends(&[names[0], names[2]], &made), [Some(at(made[2].1)), None]);
        assert_eq!(ends(&names[..1], &[]), [None]);
        assert_eq!(ends(&[], &[]), []);
    }

    #[test]
    fn the_end_of_an_index_with_another_name_is_unknown() {
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
        // The write index has not ended, whatever its name is.
        assert_eq!(ends(&["2026.03.01-000003", "2026.02.01-000002"], &[]), [None, None]);
    }

    #[test]
    fn generations_are_ordered_by_number() {
        let names = ["2026.01.01-999999", "2026.02.01-1000000", "2026.03.01-1000001"];
        assert_eq!(ends(&names, &[])[0], Some(at("2026-02-02T00:00:00Z")));
    }

    #[test]
    fn an_index_can_hold_documents_until_its_end_plus_the_clock_error() {
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
}
