//! The official Elasticsearch client with its own transport, as an independent witness: the tests read the function's
//! documents through it. It shares neither HTTP code nor request bodies with the function.

use elasticsearch::{
    CountParts, Elasticsearch, GetParts, SearchParts,
    auth::Credentials,
    cluster::ClusterGetComponentTemplateParts,
    http::{
        response::{Exception, Response},
        transport::{SingleNodeConnectionPool, TransportBuilder},
    },
    indices::{IndicesGetIndexTemplateParts, IndicesGetMappingParts, IndicesRefreshParts, IndicesResolveIndexParts},
};
use serde_json::{Value, json};

/// Reads a local cluster.
pub struct Witness(Elasticsearch);

impl Witness {
    /// Connects as a user.
    pub fn new(url: &str, user: &str, password: &str) -> Self {
        Self::with(url, Credentials::Basic(user.to_owned(), password.to_owned()))
    }

    /// Connects with an API key in its encoded form.
    pub fn with_api_key(url: &str, key: &str) -> Self {
        Self::with(url, Credentials::EncodedApiKey(key.to_owned()))
    }

    fn with(url: &str, credentials: Credentials) -> Self {
        let pool = SingleNodeConnectionPool::new(url.parse().expect("the URL of a local cluster"));
        let transport = TransportBuilder::new(pool).auth(credentials).disable_proxy().build().expect("a transport");
        Self(Elasticsearch::new(transport))
    }

    /// Returns all documents of a data stream, after a refresh: `_id`, backing index and `_source`.
    pub async fn documents(&self, data_stream: &str) -> Vec<(String, String, Value)> {
        self.refresh(data_stream).await;
        let query = json!({"size": 10_000, "query": {"match_all": {}}, "track_total_hits": true});
        let found = read(self.0.search(SearchParts::Index(&[data_stream])).body(query).send().await).await;
        let hits = found["hits"]["hits"].as_array().expect("hits");
        assert_eq!(found["hits"]["total"]["value"], hits.len(), "all of them");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        hits.iter().map(|hit| (text(&hit["_id"]), text(&hit["_index"]), hit["_source"].clone())).collect()
    }

    /// Counts the documents of a data stream, after a refresh.
    pub async fn count(&self, data_stream: &str) -> u64 {
        self.refresh(data_stream).await;
        let found = read(self.0.count(CountParts::Index(&[data_stream])).send().await).await;
        found["count"].as_u64().expect("a count")
    }

    /// Returns the `_source` of one document of a backing index.
    pub async fn document(&self, index: &str, id: &str) -> Value {
        read(self.0.get(GetParts::IndexId(index, id)).send().await).await["_source"].take()
    }

    /// Returns the backing indices of a data stream, oldest first.
    pub async fn backing_indices(&self, data_stream: &str) -> Vec<String> {
        let request = self.0.indices();
        let mut found = read(request.resolve_index(IndicesResolveIndexParts::Name(&[data_stream])).send().await).await;
        serde_json::from_value(found["data_streams"][0]["backing_indices"].take()).expect("a list of indices")
    }

    /// Returns the mapping of an index.
    pub async fn mapping(&self, index: &str) -> Value {
        let request = self.0.indices();
        read(request.get_mapping(IndicesGetMappingParts::Index(&[index])).send().await).await[index]["mappings"].take()
    }

    /// Returns an index template.
    pub async fn index_template(&self, name: &str) -> Value {
        let request = self.0.indices();
        let mut found = read(request.get_index_template(IndicesGetIndexTemplateParts::Name(name)).send().await).await;
        found["index_templates"][0]["index_template"].take()
    }

    /// Returns a component template.
    pub async fn component_template(&self, name: &str) -> Value {
        let request = self.0.cluster();
        let mut found =
            read(request.get_component_template(ClusterGetComponentTemplateParts::Name(&[name])).send().await).await;
        found["component_templates"][0]["component_template"].take()
    }

    /// Searches a data stream, and returns the error that Elasticsearch responds with.
    pub async fn refusal(&self, data_stream: &str) -> Exception {
        let response = self.0.search(SearchParts::Index(&[data_stream])).send().await.expect("a response");
        response.exception().await.expect("JSON").expect("an error")
    }

    async fn refresh(&self, data_stream: &str) {
        read(self.0.indices().refresh(IndicesRefreshParts::Index(&[data_stream])).send().await).await;
    }
}

/// Reads the body of a success.
async fn read(response: Result<Response, elasticsearch::Error>) -> Value {
    let response = response.expect("the node responds").error_for_status_code().expect("a success");
    response.json().await.expect("JSON")
}
