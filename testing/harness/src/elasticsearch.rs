//! An Elasticsearch client with superuser rights.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Error;
use crate::http::Http;

/// Documents per scroll page. Chosen: a few megabytes.
const SCROLL_SIZE: usize = 5_000;

/// A document as stored.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct StoredDocument {
    /// `_id`.
    #[serde(rename = "_id")]
    pub id: String,
    /// `_index`: the backing index.
    #[serde(rename = "_index")]
    pub index: String,
    /// `_source`.
    #[serde(rename = "_source")]
    pub source: Value,
}

impl StoredDocument {
    /// Returns a value by its path. The dots of the path separate objects: `event.original`.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(&self.source, |value, key| value.get(key))
    }

    /// Returns a text value by its path.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        self.get(path)?.as_str()
    }
}

/// The index mode of the log indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexMode {
    /// The default of Elasticsearch 8.
    Standard,
    /// Index mode `logsdb` with stored `_source`: the default of a basic licence from version 9.
    LogsDb,
    /// Index mode `logsdb` with synthetic `_source`: the default of a serverless project and of a licence that includes
    /// it.
    LogsDbSynthetic,
    /// Synthetic `_source` in standard index mode.
    Synthetic,
}

impl IndexMode {
    /// Returns the index mode of the local stack: `LOCAL_ELASTICSEARCH_INDEX_MODE`.
    #[must_use]
    pub fn of_the_stack() -> Self {
        match crate::variable("LOCAL_ELASTICSEARCH_INDEX_MODE").as_deref() {
            Some("logsdb") => Self::LogsDb,
            Some("logsdb-synthetic") => Self::LogsDbSynthetic,
            Some("synthetic") => Self::Synthetic,
            Some("standard") | None => Self::Standard,
            Some(other) => panic!("LOCAL_ELASTICSEARCH_INDEX_MODE: there is no {other}"),
        }
    }

    /// Returns the index settings of this mode.
    #[must_use]
    pub fn settings(self) -> Value {
        match self {
            Self::Standard => json!({}),
            Self::LogsDb => json!({"index.mode": "logsdb", "index.mapping.source.mode": "stored"}),
            Self::LogsDbSynthetic => json!({"index.mode": "logsdb", "index.mapping.source.mode": "synthetic"}),
            Self::Synthetic => json!({"index.mapping.source.mode": "synthetic"}),
        }
    }
}

/// An API key. Its `Debug` shows only the ID.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct ApiKey {
    /// Its ID.
    pub id: String,
    /// The secret half.
    #[serde(rename = "api_key")]
    pub key: String,
    /// ID and secret, encoded as Kibana shows them.
    pub encoded: String,
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiKey({})", self.id)
    }
}

/// A client for the superuser.
#[derive(Clone)]
pub struct Elasticsearch {
    url: String,
    authorization: String,
    http: Http,
}

impl std::fmt::Debug for Elasticsearch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Elasticsearch({})", self.url)
    }
}

impl Elasticsearch {
    pub(crate) fn new(url: &str, user: &str, password: &str) -> Self {
        let authorization = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        Self { url: url.trim_end_matches('/').to_owned(), authorization, http: Http::new() }
    }

    /// Returns the URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends a request and returns status and JSON, whatever the status.
    ///
    /// # Errors
    /// [`Error::Unanswered`], [`Error::Json`].
    pub async fn try_request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(u16, Value), Error> {
        let body = body.map(|body| Bytes::from(body.to_string()));
        let url = format!("{}{path}", self.url);
        let (status, body) = self.http.send(&method, &url, &self.authorization, body).await?;
        if body.is_empty() {
            return Ok((status, Value::Null));
        }
        let what = || format!("the answer to {method} {path}");
        let body = serde_json::from_slice(&body).map_err(|source| Error::Json { what: what(), source })?;
        Ok((status, body))
    }

    /// Sends a request and expects success.
    ///
    /// # Errors
    /// [`Error::Refused`] for every status from 300.
    pub async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let (status, answer) = self.try_request(method.clone(), path, body).await?;
        if status < 300 {
            return Ok(answer);
        }
        let (method, path) = (method.to_string(), path.to_owned());
        Err(Error::Refused { method, path, status, body: answer.to_string() })
    }

    /// Returns every document of a data stream or index after a refresh. Empty if it does not exist.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn documents(&self, target: &str) -> Result<Vec<StoredDocument>, Error> {
        #[derive(Deserialize)]
        struct Page {
            _scroll_id: String,
            hits: Hits,
        }
        #[derive(Deserialize)]
        struct Hits {
            hits: Vec<StoredDocument>,
        }
        let page = |answer| {
            serde_json::from_value::<Page>(answer).map_err(|source| Error::Json { what: "a search".to_owned(), source })
        };
        if !self.refresh(target).await? {
            return Ok(Vec::new());
        }
        let query = json!({"size": SCROLL_SIZE, "sort": ["_doc"], "query": {"match_all": {}}});
        let path = format!("/{target}/_search?scroll=1m");
        let mut found = page(self.request(Method::POST, &path, Some(&query)).await?)?;
        let mut all = Vec::new();
        while !found.hits.hits.is_empty() {
            all.append(&mut found.hits.hits);
            let more = json!({"scroll": "1m", "scroll_id": found._scroll_id});
            found = page(self.request(Method::POST, "/_search/scroll", Some(&more)).await?)?;
        }
        let done = json!({"scroll_id": found._scroll_id});
        self.try_request(Method::DELETE, "/_search/scroll", Some(&done)).await?;
        Ok(all)
    }

    /// Returns the number of documents in a data stream or index after a refresh. 0 if it does not exist.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn count(&self, target: &str) -> Result<u64, Error> {
        if !self.refresh(target).await? {
            return Ok(0);
        }
        let answer = self.request(Method::GET, &format!("/{target}/_count"), None).await?;
        answer["count"].as_u64().ok_or_else(|| Error::Answer(format!("{target} was not counted")))
    }

    /// Refreshes a data stream or index. Returns `false` if it does not exist.
    async fn refresh(&self, target: &str) -> Result<bool, Error> {
        let path = format!("/{target}/_refresh");
        match self.try_request(Method::POST, &path, None).await? {
            (404, _) => Ok(false),
            (200, _) => Ok(true),
            (status, body) => Err(Error::Refused { method: "POST".to_owned(), path, status, body: body.to_string() }),
        }
    }

    /// Returns the backing indices of a data stream, oldest first.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn backing_indices(&self, data_stream: &str) -> Result<Vec<String>, Error> {
        let found = self.find_backing_indices(data_stream).await?;
        found.ok_or_else(|| Error::Answer(format!("there is no data stream {data_stream}")))
    }

    /// Returns the backing indices of a data stream, oldest first. `None` if the data stream does not exist.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn find_backing_indices(&self, data_stream: &str) -> Result<Option<Vec<String>>, Error> {
        let path = format!("/_resolve/index/{data_stream}");
        match self.try_request(Method::GET, &path, None).await? {
            (404, _) => Ok(None),
            (200, answer) => {
                let indices = answer["data_streams"][0]["backing_indices"].as_array().into_iter().flatten();
                Ok(Some(indices.filter_map(|name| name.as_str().map(str::to_owned)).collect()))
            }
            (status, body) => Err(Error::Refused { method: "GET".to_owned(), path, status, body: body.to_string() }),
        }
    }

    /// Rolls a data stream over.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn roll_over(&self, data_stream: &str) -> Result<(), Error> {
        self.request(Method::POST, &format!("/{data_stream}/_rollover"), None).await.map(drop)
    }

    /// Sets the index mode of all new log data streams as a user would, with `logs@custom`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn put_index_mode(&self, mode: IndexMode) -> Result<(), Error> {
        let template = json!({"template": {"settings": mode.settings()}});
        self.request(Method::PUT, "/_component_template/logs@custom", Some(&template)).await.map(drop)
    }

    /// Returns the index mode and the `_source` mode in the settings of an index, if they are set.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn index_mode(&self, index: &str) -> Result<(Option<String>, Option<String>), Error> {
        let settings = self.request(Method::GET, &format!("/{index}/_settings?flat_settings=true"), None).await?;
        let text = |name: &str| settings[index]["settings"][name].as_str().map(str::to_owned);
        Ok((text("index.mode"), text("index.mapping.source.mode")))
    }

    /// Blocks writes to an index or to the indices of a data stream, or allows them again.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn block_writes(&self, target: &str, block: bool) -> Result<(), Error> {
        let settings = json!({"index.blocks.write": block.then_some(true)});
        self.request(Method::PUT, &format!("/{target}/_settings"), Some(&settings)).await.map(drop)
    }

    /// Removes all documents of a data stream, if it exists: rolls it over and deletes the older backing indices. The
    /// local node cannot delete a whole data stream.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn empty(&self, data_stream: &str) -> Result<(), Error> {
        let Some(older) = self.find_backing_indices(data_stream).await? else { return Ok(()) };
        self.roll_over(data_stream).await?;
        for index in older {
            self.request(Method::DELETE, &format!("/{index}"), None).await?;
        }
        Ok(())
    }

    /// Creates an API key with the privileges of `role`: the content of a file such as `assets/roles/writer.json`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn create_key(&self, name: &str, role: &Value) -> Result<ApiKey, Error> {
        let body = json!({"name": name, "role_descriptors": {"role": role}});
        let answer = self.request(Method::POST, "/_security/api_key?refresh=true", Some(&body)).await?;
        serde_json::from_value(answer).map_err(|source| Error::Json { what: "an API key".to_owned(), source })
    }

    /// Invalidates an API key.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn invalidate_key(&self, key: &ApiKey) -> Result<(), Error> {
        let body = json!({"ids": [key.id]});
        self.request(Method::DELETE, "/_security/api_key", Some(&body)).await.map(drop)
    }
}
