//! The writer and `setup` on a real Elasticsearch with security, with API keys that have only the privileges of the two
//! roles. Each test has its own namespace; all share the templates.

use std::{collections::BTreeMap, fs, net::IpAddr, path::Path, time::Duration};

use jiff::Timestamp;
use lastpass_elastic::{
    clock::Deadline,
    document::{AccountNumber, DataStream, DocId, Document, Namespace, Stream},
    elastic::{
        self, BulkWriter, Client, Delivery, Login, Origin, Role, SetupOptions, fetch_cluster_info,
        fetch_missing_privileges, is_set_up, setup, waiting_dead_letters,
    },
    endpoint::Endpoint,
};
use lastpass_harness::{DATA_STREAMS, Elasticsearch, IndexMode, variable};
use serde_json::{Value, json};

use crate::{
    official_client::Witness,
    stage::{SETTING_UP, seen_at_set_up, services},
};

const NOW: &str = "2031-05-06T07:08:09Z";

/// The node, with superuser rights.
struct Node {
    elasticsearch: Elasticsearch,
    http: reqwest::Client,
    namespace: Namespace,
    /// The official client.
    witness: Witness,
}

impl Node {
    /// Returns the node of the environment. Without one the test is skipped; in CI it fails.
    #[expect(clippy::disallowed_methods, reason = "tests have a client of their own")]
    async fn find() -> Option<Self> {
        seen_at_set_up().await?;
        let elasticsearch = services().await?.elasticsearch;
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        let namespace = format!("it{:012x}", fastrand::u64(0..1 << 48));
        let [user, password] = ["USER", "PASSWORD"].map(|name| variable(&format!("LOCAL_ELASTICSEARCH_{name}")));
        let witness = Witness::new(elasticsearch.url(), &user.expect("a user"), &password.expect("a password"));
        Some(Self { elasticsearch, http, namespace: Namespace::new(&namespace).expect("a namespace"), witness })
    }

    /// Sends a request as superuser and expects success.
    async fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        let (method, body) = (method.parse().expect("a method"), Some(&body).filter(|body| !body.is_null()));
        self.elasticsearch.request(method, &format!("/{path}"), body).await.expect("success")
    }

    fn client_with(&self, key: &str) -> Client {
        let endpoint = Endpoint::from_url(self.elasticsearch.url()).expect("the node's URL");
        Client::new(self.http.clone(), endpoint, &Login::ApiKey(key.into()), deadline()).expect("a key")
    }

    /// Creates a client whose API key has only this role.
    async fn client_as(&self, role: &Value) -> Client {
        let key = self.elasticsearch.create_key("integration test", role).await.expect("a key");
        self.client_with(&key.encoded)
    }

    fn users(&self) -> DataStream {
        Stream::User.data_stream(&self.namespace)
    }

    fn letters(&self) -> DataStream {
        DataStream::dead_letter(&self.namespace)
    }

    fn origin() -> Origin {
        Origin {
            account: AccountNumber::new("1234567").expect("a number"),
            request_id: "8f1c".to_owned(),
            request: json!({"action": "collect", "stream": "user", "nested": {"list": [1, "two", {"three": null}]}}),
        }
    }

    fn writer(&self, client: &Client) -> BulkWriter {
        BulkWriter::new(client, self.users(), self.letters(), Self::origin())
    }

    async fn roll_over(&self) {
        self.ask("POST", &format!("{}/_rollover", self.users()), Value::Null).await;
    }

    /// Returns all documents of a data stream with their backing indices.
    async fn stored(&self, data_stream: &DataStream) -> Vec<(String, String, Value)> {
        self.witness.documents(data_stream.as_str()).await
    }

    /// Returns every `_id` with its number of documents.
    async fn ids(&self) -> BTreeMap<String, usize> {
        let mut ids = BTreeMap::new();
        for (id, _, _) in self.stored(&self.users()).await {
            *ids.entry(id).or_default() += 1;
        }
        ids
    }

    async fn backing_indices(&self) -> Vec<String> {
        self.witness.backing_indices(self.users().as_str()).await
    }
}

/// Returns the role that the product ships.
fn role(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("assets/roles/{name}.json"));
    serde_json::from_str(&fs::read_to_string(path).expect("a role")).expect("JSON")
}

fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(300))
}

fn document(id: &str, fields: Value) -> Document {
    let mut source = json!({"@timestamp": NOW, "event": {"kind": "state"}});
    source.as_object_mut().expect("an object").extend(fields.as_object().expect("fields").clone());
    let original = format!("{{\"record\":\"{id}\"}}");
    Document { id: doc_id(id), timestamp: at(NOW), source: source.to_string(), original, since: None }
}

fn doc_id(id: &str) -> DocId {
    serde_json::from_value(json!(id)).expect("an id")
}

fn documents(ids: std::ops::Range<usize>) -> Vec<Document> {
    ids.map(|id| document(&format!("u{id:05}"), json!({"lastpass": {"user": {"sites": id}}}))).collect()
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// Returns whether `_source` equals the sent document. With synthetic `_source`, Elasticsearch normalizes times,
/// addresses and numbers, converts the values of text fields to text, omits `null`, and may write a list of one value
/// as that value. Without logsdb, lists are also sorted and hold each value once. docs/documents.md describes this.
fn is_kept(sent: &Value, came_back: &Value) -> bool {
    fn address(text: &str) -> Option<Value> {
        let (address, _zone) = text.split_once('%').unwrap_or((text, ""));
        address.parse::<IpAddr>().ok().map(|address| json!(address.to_canonical()))
    }
    fn spelled(value: &Value) -> Value {
        match value {
            Value::String(text) => {
                let time = text.parse::<Timestamp>().ok().map(|time| json!(time));
                time.or_else(|| address(text)).unwrap_or_else(|| value.clone())
            }
            Value::Number(number) => number.as_f64().map_or_else(|| value.clone(), |number| json!(number.to_string())),
            Value::Bool(flag) => json!(flag.to_string()),
            Value::Null => Value::Null,
            Value::Array(values) => {
                let mut values: Vec<Value> = values.iter().map(spelled).collect();
                if IndexMode::of_the_stack() == IndexMode::Synthetic {
                    values.sort_by_key(Value::to_string);
                    values.dedup();
                }
                if values.len() == 1 { values.remove(0) } else { Value::Array(values) }
            }
            Value::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| (name.clone(), spelled(value)));
                let is_there = |value: &Value| !value.is_null() && value.as_object().is_none_or(|it| !it.is_empty());
                fields.filter(|(_, value)| is_there(value)).collect()
            }
        }
    }
    let is_synthetic = matches!(IndexMode::of_the_stack(), IndexMode::LogsDbSynthetic | IndexMode::Synthetic);
    sent == came_back || is_synthetic && spelled(sent) == spelled(came_back)
}

async fn deliver(writer: &BulkWriter, documents: &[Document]) -> Vec<Delivery> {
    writer.deliver(documents, at(NOW)).await.expect("all are delivered")
}

async fn error_type(writer: &BulkWriter, documents: &[Document]) -> &'static str {
    let error = writer.deliver(documents, at(NOW)).await.expect_err("a refusal");
    eprintln!("{error}");
    error.error_type()
}

#[tokio::test]
async fn documents_are_stored_once_across_chunks_repetitions_and_rollovers() {
    let Some(node) = Node::find().await else { return };
    let client = node.client_as(&role("writer")).await;
    let all = documents(0..4_500);
    let writer = node.writer(&client);
    assert_eq!(deliver(&writer, &all).await, [Delivery::Created; 4_500]);
    assert_eq!(writer.requests(), 3);
    assert_eq!(deliver(&node.writer(&client), &all).await, [Delivery::AlreadyThere; 4_500]);

    node.roll_over().await;
    let more = documents(4_000..5_000);
    let deliveries = deliver(&writer, &more).await;
    assert_eq!(deliveries[..500], [Delivery::AlreadyThere; 500]);
    assert_eq!(deliveries[500..], [Delivery::Created; 500]);
    node.roll_over().await;
    assert_eq!(deliver(&writer, &documents(0..5_000)).await, [Delivery::AlreadyThere; 5_000]);

    let stored = node.ids().await;
    assert_eq!(stored.len(), 5_000);
    assert!(stored.values().all(|count| *count == 1));
    assert_eq!(writer.rollover_duplicates(), 0);
}

#[tokio::test]
async fn rollovers_at_any_moment_double_nothing() {
    let Some(node) = Node::find().await else { return };
    let client = node.client_as(&role("writer")).await;
    let writer = node.writer(&client);
    deliver(&writer, &documents(0..1)).await;
    let delivering = async {
        for round in 0..12 {
            deliver(&writer, &documents(0..200 + round)).await;
        }
    };
    let rolling = async {
        for _ in 0..8 {
            node.roll_over().await;
        }
    };
    tokio::join!(delivering, rolling);
    let stored = node.ids().await;
    assert_eq!(stored.len(), 211);
    let doubles: Vec<_> = stored.iter().filter(|(_, count)| **count > 1).collect();
    assert!(doubles.is_empty(), "{doubles:?} {}", node.users());
    assert_eq!(writer.rollover_duplicates(), 0);
}

#[tokio::test]
async fn a_document_that_cannot_be_indexed_is_kept_until_it_is_delivered() {
    let Some(node) = Node::find().await else { return };
    let client = node.client_as(&role("writer")).await;
    let writer = node.writer(&client);
    assert_eq!(waiting(&node, &client, "1234567").await.expect("none yet"), 0);
    let mut bad = document("bad", json!({"lastpass": {"user": {"sites": "many"}}}));
    bad.original = json!({"sites": "many", "long": "ü".repeat(100_000)}).to_string();
    let batch = [document("good", json!({})), bad.clone(), document("worse", json!({"lastpass": 7}))];
    let expected = [Delivery::Created, Delivery::DeadLetter, Delivery::DeadLetter];
    assert_eq!(deliver(&writer, &batch).await, expected);
    assert_eq!(deliver(&writer, &batch).await, [Delivery::AlreadyThere; 3], "a second refusal adds none");

    let letters = node.stored(&node.letters()).await;
    assert_eq!(letters.len(), 2);
    let (_, _, letter) = letters.iter().find(|(.., it)| it["event"]["original"] == bad.original).expect("it is whole");
    assert!(is_kept(&json!(NOW), &letter["@timestamp"]), "{letter}");
    assert_eq!(letter["error"]["type"], "document_parsing_exception");
    assert!(letter["error"]["message"].as_str().expect("a reason").contains("lastpass.user.sites"));
    let told = &letter["lastpass"]["dead_letter"];
    assert_eq!(told["data_stream"], node.users().as_str());
    assert_eq!((&told["document_id"], &told["account"]), (&json!("bad"), &json!("1234567")));
    assert_eq!(told["request"]["nested"], json!({"list": [1, "two", {"three": null}]}));

    assert_eq!(waiting(&node, &client, "1234567").await.expect("a count"), 2);
    deliver(&writer, &[document("bad", json!({}))]).await;
    node.roll_over().await;
    assert_eq!(waiting(&node, &client, "1234567").await.expect("a count"), 1);
    assert_eq!(waiting(&node, &client, "7654321").await.expect("a count"), 0, "of another account");
}

async fn waiting(node: &Node, client: &Client, account: &str) -> Result<u64, elastic::Error> {
    let account = AccountNumber::new(account).expect("an account number");
    waiting_dead_letters(client, &node.namespace, &account).await
}

#[tokio::test]
async fn new_long_and_large_values_are_not_refused() {
    let Some(node) = Node::find().await else { return };
    let client = node.client_as(&role("writer")).await;
    let batch = [
        document("new", json!({"brand": {"new": [1, {"a": "b"}]}, "lastpass": {"user": {"unheard_of": {"x": 1}}}})),
        document("long", json!({"user": {"full_name": "x".repeat(40_000)}, "tags": ["y".repeat(40_000)]})),
        document("large", json!({"event": {"original": "z".repeat(6 << 20)}})),
    ];
    assert_eq!(deliver(&node.writer(&client), &batch).await, [Delivery::Created; 3]);
    for (id, _, source) in node.stored(&node.users()).await {
        let sent = batch.iter().find(|document| document.id.as_str() == id).expect("one of those sent");
        let sent = serde_json::from_str::<Value>(&sent.source).expect("JSON");
        assert!(is_kept(&sent, &source), "kept as it was sent: {source}");
    }
}

/// Runs in every index mode of the stack, because synthetic `_source` is rebuilt from indexed values.
#[tokio::test]
async fn every_golden_document_is_stored_and_comes_back_as_it_was_sent() {
    let Some(node) = Node::find().await else { return };
    let client = node.client_as(&role("writer")).await;
    let mut differences = Vec::new();
    for (stream, documents) in crate::golden::documents() {
        let data_stream = Stream::ALL.into_iter().find(|known| known.as_str() == stream).expect("a stream");
        let data_stream = data_stream.data_stream(&node.namespace);
        let documents: Vec<Document> = documents
            .into_iter()
            .enumerate()
            // Some records occur in several cases.
            .map(|(number, document)| Document { id: doc_id(&format!("golden{number:04}")), ..document })
            .collect();
        let letters = DataStream::dead_letter(&node.namespace);
        let writer = BulkWriter::new(&client, data_stream.clone(), letters, Node::origin());
        // An object in a keyword field is rejected in every mode.
        let is_refused = |document: &Document| document.source.contains("\"site\":{");
        let (refused, documents): (Vec<Document>, Vec<Document>) = documents.into_iter().partition(is_refused);
        assert_eq!(deliver(&writer, &refused).await, vec![Delivery::DeadLetter; refused.len()], "{stream}");
        assert_eq!(deliver(&writer, &documents).await, vec![Delivery::Created; documents.len()], "{stream}");
        let stored: BTreeMap<String, Value> =
            node.stored(&data_stream).await.into_iter().map(|(id, _, source)| (id, source)).collect();
        for document in &documents {
            let sent: Value = serde_json::from_str(&document.source).expect("JSON");
            let came_back = &stored[document.id.as_str()];
            if !is_kept(&sent, came_back) {
                differences.push(format!("{stream}\n  sent      {sent}\n  came back {came_back}"));
            }
        }
        // Only values that are too long for a keyword are not indexed.
        let query = json!({"size": 100, "query": {"exists": {"field": "_ignored"}}});
        let ignored = node.ask("POST", &format!("{data_stream}/_search"), query).await;
        for hit in ignored["hits"]["hits"].as_array().expect("hits") {
            for field in hit["_ignored"].as_array().expect("fields") {
                let pointer = format!("/_source/{}", field.as_str().expect("a name").replace('.', "/"));
                let value = hit.pointer(&pointer).and_then(Value::as_str).expect("a text");
                assert!(value.chars().count() > 1_024, "{field}: {value}");
            }
        }
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

#[tokio::test]
async fn each_refusal_has_its_error_type_and_stores_nothing() {
    let Some(node) = Node::find().await else { return };
    let client = node.client_as(&role("writer")).await;
    deliver(&node.writer(&client), &documents(0..1)).await;
    let settings = format!("{}/_settings", node.users());
    let writer = node.writer(&client);
    for block in ["index.blocks.write", "index.blocks.read_only_allow_delete"] {
        node.ask("PUT", &settings, json!({block: true})).await;
        assert_eq!(error_type(&writer, &documents(1..3)).await, "Elasticsearch.Refused");
        node.ask("PUT", &settings, json!({block: null})).await;
    }
    node.ask("PUT", &settings, json!({"index.final_pipeline": "no-such-pipeline"})).await;
    assert_eq!(error_type(&writer, &documents(1..3)).await, "Elasticsearch.NotSetUp");
    node.ask("PUT", &settings, json!({"index.final_pipeline": null})).await;
    let all_bad: Vec<_> = (0..20).map(|id| document(&format!("b{id}"), json!({"lastpass": id}))).collect();
    assert_eq!(error_type(&writer, &all_bad).await, "Elasticsearch.Refused");

    // It is unknown which documents a closed older backing index has.
    node.roll_over().await;
    let oldest = node.backing_indices().await.remove(0);
    node.ask("POST", &format!("{oldest}/_close"), Value::Null).await;
    assert_eq!(error_type(&writer, &documents(0..1)).await, "Elasticsearch.Refused");
    node.ask("POST", &format!("{oldest}/_open"), Value::Null).await;

    let wrong = node.writer(&node.client_with("bm8ta2V5Om5vLXNlY3JldA=="));
    assert_eq!(error_type(&wrong, &documents(1..3)).await, "Elasticsearch.Unauthorized");
    for privileges in [json!(["read", "view_index_metadata"]), json!(["create_doc"])] {
        let names = json!(["logs-lastpass.*-*"]);
        let role = json!({"cluster": ["monitor"], "indices": [{"names": names, "privileges": privileges}]});
        let writer = node.writer(&node.client_as(&role).await);
        assert_eq!(error_type(&writer, &documents(1..3)).await, "Elasticsearch.Forbidden");
    }
    let ids: Vec<String> = node.ids().await.into_keys().collect();
    assert_eq!(ids, ["u00000"]);
}

#[tokio::test]
async fn the_two_roles_have_all_rights_and_missing_ones_are_named() {
    let Some(node) = Node::find().await else { return };
    let (writer, installer) = (node.client_as(&role("writer")).await, node.client_as(&role("installer")).await);
    let missing =
        async |client: &Client, role| fetch_missing_privileges(client, role, &node.namespace).await.expect("an answer");
    assert!(missing(&writer, Role::Writer).await.is_empty());
    assert!(missing(&installer, Role::Installer).await.is_empty());
    assert_eq!(
        missing(&writer, Role::Installer).await,
        [
            "manage_index_templates on the cluster",
            "manage_ingest_pipelines on the cluster",
            "manage on logs-lastpass.*-*"
        ]
    );
    let users = node.users();
    let narrow = json!({"indices": [{"names": [users.as_str()], "privileges": ["read", "view_index_metadata"]}]});
    let narrow = missing(&node.client_as(&narrow).await, Role::Writer).await;
    assert!(narrow.contains(&"monitor on the cluster".to_owned()));
    assert!(narrow.contains(&format!("create_doc on {users}")) && !narrow.contains(&format!("read on {users}")));

    let info = fetch_cluster_info(&writer).await.expect("the writer may ask");
    assert!(info.version.starts_with("8.") || info.version.starts_with("9."), "{info:?}");
    assert!(!info.serverless);
    assert!(is_set_up(&writer).await.expect("the writer may ask"));
    // `setup` rejects data streams of other templates first. Another test may have one.
    let _guard = SETTING_UP.lock().await;
    let error = setup(&writer, &SetupOptions::default()).await.expect_err("the writer may not");
    assert_eq!(error.error_type(), "Elasticsearch.Forbidden");
}

#[tokio::test]
async fn setup_rolls_over_data_streams_of_other_templates_once() {
    let Some(node) = Node::find().await else { return };
    let users = node.users();
    let other = format!("integration-test-{}", node.namespace);
    let template = json!({"index_patterns": [users.as_str()], "priority": 400, "data_stream": {},
        "template": {"mappings": {"properties": {"@timestamp": {"type": "date"}}}}});
    node.ask("PUT", &format!("_index_template/{other}"), template).await;
    let client = node.client_as(&role("writer")).await;
    let writer = node.writer(&client);
    // Until the data stream is taken over, every `setup` fails.
    let _guard = SETTING_UP.lock().await;
    deliver(&writer, &documents(0..2)).await;
    node.ask("DELETE", &format!("_index_template/{other}"), Value::Null).await;

    let installer = node.client_as(&role("installer")).await;
    let refusal = setup(&installer, &SetupOptions::default()).await.expect_err("others write there");
    assert!(refusal.to_string().contains(users.as_str()), "{refusal}");
    for take_over in [true, false] {
        let options = SetupOptions { take_over, ..SetupOptions::default() };
        let installed = setup(&installer, &options).await.expect("setup");
        assert!(installed.contains(&"index template lastpass-elastic.user".to_owned()), "{installed:?}");
        assert_eq!(node.backing_indices().await.len(), 2);
    }
    assert_eq!(deliver(&writer, &documents(0..3)).await[..2], [Delivery::AlreadyThere; 2]);
    let indices = node.backing_indices().await;
    let mapping = node.witness.mapping(&indices[1]).await;
    assert!(mapping["_meta"]["lastpass_elastic"]["version"].is_u64());
}

#[tokio::test]
async fn a_users_own_component_templates_come_last() {
    let Some(node) = Node::find().await else { return };
    let path = "_index_template/_simulate_index";
    for dataset in DATA_STREAMS {
        let simulated = node.ask("POST", &format!("{path}/logs-lastpass.{dataset}-default"), Value::Null).await;
        let template = &simulated["template"];
        assert_eq!(template["mappings"]["dynamic"], "false");
        assert_eq!(template["data_stream_options"]["failure_store"]["enabled"], false);
        assert_eq!(template["lifecycle"]["enabled"], true);
        let template = node.witness.index_template(&format!("lastpass-elastic.{dataset}")).await;
        let parts = &template["composed_of"];
        let custom = json!(format!("logs-lastpass.{dataset}@custom"));
        assert_eq!(parts.as_array().and_then(|parts| parts.last()), Some(&custom));
    }
}

/// The official client finds the documents without our paths and request bodies.
#[tokio::test]
async fn the_official_client_finds_what_setup_and_the_writer_wrote() {
    let Some(node) = Node::find().await else { return };
    let client = node.client_as(&role("writer")).await;
    let mut written = documents(0..3);
    written.push(document("a \"quoted\" id/ü", json!({"user": {"full_name": "Zoë \\ \u{1f511}"}})));
    deliver(&node.writer(&client), &written).await;
    let users = node.users();
    assert_eq!(node.witness.count(users.as_str()).await, 4);
    let index = &node.backing_indices().await[0];
    for sent in &written {
        let found = node.witness.document(index, sent.id.as_str()).await;
        assert!(is_kept(&serde_json::from_str(&sent.source).expect("JSON"), &found), "{found}");
    }
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/elasticsearch");
    let asset = |path: String| -> Value {
        serde_json::from_str(&fs::read_to_string(assets.join(path)).expect("an asset")).expect("JSON")
    };
    for dataset in DATA_STREAMS {
        let name = format!("lastpass-elastic.{dataset}");
        let template = node.witness.index_template(&name).await;
        let ours = asset(format!("index_templates/{name}.json"));
        for part in ["index_patterns", "composed_of", "priority", "_meta"] {
            assert_eq!(template[part], ours[part], "{name} {part}");
        }
        let component = node.witness.component_template(&name).await;
        let ours = asset(format!("component_templates/{name}.json"));
        assert_eq!(
            component["template"]["mappings"]["properties"], ours["template"]["mappings"]["properties"],
            "{name}"
        );
    }
    let refused =
        Witness::with_api_key(node.elasticsearch.url(), "bm8ta2V5Om5vLXNlY3JldA==").refusal(users.as_str()).await;
    assert_eq!((refused.status(), refused.error().ty()), (Some(401), Some("security_exception")));
}

/// The index has a type for every field that the integration's pipelines create.
#[test]
fn every_field_of_the_golden_documents_has_a_type() {
    fn has_type(properties: &Value, value: &Value, path: &str) {
        for (name, value) in value.as_object().expect("an object") {
            let (field, path) = (&properties[name], format!("{path}.{name}"));
            if field["type"].is_null() {
                assert!(value.is_object() && field["properties"].is_object(), "{path} has no type");
                has_type(&field["properties"], value, &path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: String| fs::read_to_string(root.join(path)).expect("a file");
    for stream in Stream::ALL {
        let template = read(format!("assets/elasticsearch/component_templates/lastpass-elastic.{stream}.json"));
        let template: Value = serde_json::from_str(&template).expect("JSON");
        for set in ["plain", "preserved"] {
            for line in read(format!("tests/golden/{stream}.{set}.ndjson")).lines() {
                let mut case: Value = serde_json::from_str(line).expect("JSON");
                // The record as a failed pipeline leaves it. It is kept in `_source` but not indexed.
                case["expected"].as_object_mut().expect("a document").remove("json");
                has_type(&template["template"]["mappings"]["properties"], &case["expected"], stream.as_str());
            }
        }
    }
}
