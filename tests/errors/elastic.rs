//! Error responses of Elasticsearch or a proxy in front of it, and the resulting texts.
//!
//! Responses marked M come from a real node (8.19) and are shortened.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::json;

use super::backing_indices::BackingIndex;
use super::fake::{Fake, Fault as Wrong, KEY};
use super::lookup::{Finder, Wanted};
use super::response::Response;
use super::testing::judge_bulk;
use super::*;
use crate::clock::Deadline;
use crate::document::{AccountNumber, DataStream, DocId, Document, Namespace, Stream};
use crate::endpoint::Endpoint;
use crate::errors::{Case, case, review};
use crate::http::TlsFault;

const USERS: &str = "logs-lastpass.user-default";
const BACKING: &str = ".ds-logs-lastpass.user-default-2026.11.23-000001";

fn client(fake: &Fake) -> Client {
    let endpoint = Endpoint::from_url(&fake.url).unwrap();
    Client::new(crate::http::for_tests(), endpoint, &Login::ApiKey(KEY.into()), deadline()).unwrap()
}

fn user(fake: &Fake) -> Client {
    let endpoint = Endpoint::from_url(&fake.url).unwrap();
    let login = Login::User { name: "ann".to_owned(), password: SecretString::from("correct horse") };
    Client::new(crate::http::for_tests(), endpoint, &login, deadline()).unwrap()
}

fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

/// Replaces the host, because the port of the stand-in changes.
fn at_one_host(error: Error) -> Error {
    let host = || "es.example".to_owned();
    match error {
        Error::Forbidden { operation, .. } => Error::Forbidden { host: host(), operation },
        Error::Unauthorized { why, .. } => Error::Unauthorized { host: host(), why },
        Error::UserForbidden { user, operation, .. } => Error::UserForbidden { host: host(), user, operation },
        Error::UserUnauthorized { user, .. } => Error::UserUnauthorized { host: host(), user },
        Error::IndexUnreadable { operation, index, why, .. } => {
            Error::IndexUnreadable { host: host(), operation, index, why }
        }
        Error::Refused { operation, status, error_type, reason, remedy, .. } => {
            Error::Refused { host: host(), operation, status, error_type, reason, remedy }
        }
        Error::TooOld { version, .. } => Error::TooOld { host: host(), version },
        Error::OthersWrite { data_streams, .. } => Error::OthersWrite { host: host(), data_streams },
        other => panic!("{other}"),
    }
}

/// Returns a 401 with this reason for the key. M.
fn unauthorized(said: &str) -> String {
    let reason =
        "unable to authenticate with provided credentials and anonymous access is not allowed for this request";
    let error = json!({"type": "security_exception", "reason": reason, "additional_unsuccessful_credentials": said});
    json!({"error": error, "status": 401}).to_string()
}

fn refusal(status: u16, error_type: &str, reason: &str) -> String {
    json!({"error": {"type": error_type, "reason": reason}, "status": status}).to_string()
}

/// Returns a bulk response in which one item is rejected.
fn item(status: u16, index: &str, error_type: &str, reason: &str) -> String {
    let error = json!({"type": error_type, "reason": reason});
    json!({"errors": true, "items": [{"create": {"_index": index, "_id": "a0", "status": status, "error": error}}]})
        .to_string()
}

/// Rejections of a whole bulk, by the cluster or a proxy in front of it.
fn whole_bulks() -> Vec<Case> {
    const SHARDS: &str = "Validation Failed: 1: this action would add [1] shards, but this cluster currently has [1000]/[1000] maximum normal shards open;";
    let licence = r#"{"error":{"type":"security_exception","reason":"current license is non-compliant for [security]","license.expired.feature":"security"},"status":403}"#;
    let (gone, other) = ("Elasticsearch.Unauthorized", "Elasticsearch.Unreachable");
    let refused = "Elasticsearch.Refused";
    let table: Vec<(&str, u16, String, &'static str)> = vec![
        ("a key that has expired", 401, unauthorized("API key: api key is expired"), gone),
        (
            "a key that was invalidated",
            401,
            unauthorized("API key: api key [vrWrB6IB8OMgvFpvi5NJ] has been invalidated"),
            gone,
        ),
        (
            "a key of another cluster",
            401,
            unauthorized("API key: unable to find apikey with id AAAAfGcBCdbkQm-e5aOx"),
            gone,
        ),
        (
            "a key that was copied in part",
            401,
            unauthorized("API key: invalid credentials for API key [wLWrB6IB8OMgvFpvmZOV]"),
            gone,
        ),
        ("a key that isn't encoded", 401, unauthorized("API key: Illegal base64 character 3a"), gone),
        ("a key that is no key", 401, unauthorized("API key: invalid ApiKey value"), gone),
        (
            "a key that was refused without a reason",
            401,
            refusal(401, "security_exception", "missing authentication credentials"),
            gone,
        ),
        ("401 of a proxy", 401, "<html>".to_owned(), other),
        (
            "no right to write",
            403,
            refusal(403, "security_exception", "action [indices:data/write/bulk] is unauthorized"),
            "Elasticsearch.Forbidden",
        ),
        ("a licence that has expired", 403, licence.to_owned(), refused),
        (
            "a cluster that is read-only",
            403,
            refusal(403, "cluster_block_exception", "blocked by: [FORBIDDEN/6/cluster read-only (api)];"),
            refused,
        ),
        (
            "a cluster that allows only reads and deletions",
            403,
            refusal(
                403,
                "cluster_block_exception",
                "blocked by: [FORBIDDEN/13/cluster read-only / allow delete (api)];",
            ),
            refused,
        ),
        (
            "a disk past the flood stage",
            429,
            refusal(429, "cluster_block_exception", "[TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark]"),
            refused,
        ),
        (
            "a cluster that is overloaded",
            429,
            refusal(429, "es_rejected_execution_exception", "rejected"),
            "Elasticsearch.Throttled",
        ),
        (
            "a circuit breaker",
            429,
            refusal(429, "circuit_breaking_exception", "[parent] Data too large"),
            "Elasticsearch.Throttled",
        ),
        ("no template", 404, refusal(404, "index_not_found_exception", "no such index"), "Elasticsearch.NotSetUp"),
        (
            "no template, item",
            200,
            item(
                404,
                USERS,
                "index_not_found_exception",
                "no such index [logs-lastpass.user-default] and [require_data_stream] request flag is [true]",
            ),
            "Elasticsearch.NotSetUp",
        ),
        (
            "no pipeline, item",
            200,
            item(400, USERS, "illegal_argument_exception", "pipeline with id [lastpass-elastic-geoip] does not exist"),
            "Elasticsearch.NotSetUp",
        ),
        ("too many shards, item", 200, item(400, USERS, "validation_exception", SHARDS), refused),
        ("too many shards", 400, refusal(400, "validation_exception", SHARDS), refused),
        (
            "a write-blocked index, item",
            200,
            item(403, USERS, "cluster_block_exception", "index [x] blocked by: [FORBIDDEN/8/index write (api)];"),
            refused,
        ),
        (
            "a disk past the flood stage, item",
            200,
            item(
                429,
                USERS,
                "cluster_block_exception",
                "[TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block]",
            ),
            refused,
        ),
        ("a key that expired in between, item", 200, item(401, USERS, "security_exception", "no"), gone),
        ("no right to write, item", 200, item(403, USERS, "security_exception", "no"), "Elasticsearch.Forbidden"),
        (
            "a refusal that is new, item",
            200,
            item(400, BACKING, "never_seen_exception", "secret of ann@example.com"),
            refused,
        ),
        (
            "an item without an error",
            200,
            json!({"items": [{"create": {"_index": BACKING, "_id": "a0", "status": 204}}]}).to_string(),
            refused,
        ),
        (
            "a document in a failure store",
            200,
            json!({"items": [{"create": {"_index": BACKING, "_id": "a0", "status": 201, "failure_store": "used"}}]})
                .to_string(),
            refused,
        ),
        (
            "a request that is not valid",
            400,
            refusal(400, "action_request_validation_exception", "no requests added"),
            refused,
        ),
        (
            "an API that isn't there",
            400,
            r#"{"error":"no handler found for uri [/_bulk]","status":400}"#.to_owned(),
            refused,
        ),
        ("items that were left out", 200, r#"{"items":[]}"#.to_owned(), other),
        ("items of other documents", 200, item(201, BACKING, "x", "y").replace("a0", "b0"), other),
        ("a login page", 200, "<html>Sign in</html>".to_owned(), other),
        ("another API's JSON", 200, r#"{"ok":true}"#.to_owned(), other),
        ("502 of a proxy", 502, "<html>Bad gateway</html>".to_owned(), other),
        (
            "a cluster that starts",
            503,
            refusal(
                503,
                "cluster_block_exception",
                "blocked by: [SERVICE_UNAVAILABLE/1/state not recovered / initialized];",
            ),
            other,
        ),
        ("a traffic filter", 403, r#"{"ok":false,"message":"Forbidden"}"#.to_owned(), other),
        ("a deployment that doesn't exist", 404, r#"{"ok":false,"message":"Unknown resource."}"#.to_owned(), other),
        (
            "Kibana instead of Elasticsearch",
            404,
            r#"{"statusCode":404,"error":"Not Found","message":"Not Found"}"#.to_owned(),
            other,
        ),
        (
            "Kibana that refuses a POST",
            400,
            r#"{"statusCode":400,"error":"Bad Request","message":"Request must contain a kbn-xsrf header."}"#
                .to_owned(),
            other,
        ),
        (
            "Kibana that wants a login",
            401,
            r#"{"statusCode":401,"error":"Unauthorized","message":"Unauthorized"}"#.to_owned(),
            other,
        ),
        ("a proxy that wants a login", 407, String::new(), other),
    ];
    let cases =
        table.into_iter().map(|(what, status, body, error_type)| match judge_bulk(status, body.as_bytes(), &["a0"]) {
            Err(error) => {
                assert!(
                    !error.to_string().contains("ann@example.com"),
                    "a reason of an item may hold a record: {error}"
                );
                case(format!("bulk: {what}"), error, error_type)
            }
            Ok(_) => panic!("{what} was taken"),
        });
    cases.collect()
}

/// Connections without a response.
fn connections() -> Vec<Case> {
    let table: &[(&str, Unanswered)] = &[
        ("a connection that was cut", Unanswered::Connection),
        ("no answer in time", Unanswered::Timeout(Duration::from_secs(30))),
        ("a redirect, as from Kibana", Unanswered::Redirect),
        (
            "items that are temporarily unavailable",
            Unanswered::Items { status: 503, error_type: "unavailable_shards_exception".to_owned() },
        ),
    ];
    let host = || "es.example".to_owned();
    let unreachable = |(what, fault): &(&str, Unanswered)| {
        let error =
            Error::Unreachable { host: host(), operation: Operation::Write, fault: fault.clone(), source: None };
        case(format!("connection: {what}"), error, "Elasticsearch.Unreachable")
    };
    let mut cases: Vec<Case> = table.iter().map(unreachable).collect();
    let other_name = TlsFault::OtherName { names: vec!["localhost".to_owned()] };
    let untrusted: [(&str, TlsFault); 7] = [
        ("a self-managed cluster without its CA", TlsFault::UnknownAuthority),
        ("a certificate for another name", other_name),
        ("a certificate that has expired", TlsFault::Expired),
        ("a certificate that isn't valid yet", TlsFault::NotYetValid),
        ("a certificate that isn't a server's", TlsFault::Certificate),
        ("a server with only TLS 1.1", TlsFault::Version),
        ("https to a port of plain http", TlsFault::NotTls),
    ];
    for (what, fault) in untrusted {
        let error = Error::NotTrusted { host: host(), fault, source: None };
        cases.push(case(format!("connection: {what}"), error, "Elasticsearch.Unreachable"));
    }
    let error = Error::OutOfTime { host: host(), operation: Operation::FindIds };
    cases.push(case("connection: the deadline", error, "Elasticsearch.Unreachable"));
    let endpoint = Endpoint::from_url("https://es.example").unwrap();
    let login = Login::ApiKey("a\nb".into());
    let error = Client::new(crate::http::for_tests(), endpoint, &login, deadline()).unwrap_err();
    cases.push(case("connection: a key that no header can carry", error, "Elasticsearch.Unauthorized"));
    cases
}

/// Rejections of every other call, each with its remedy.
async fn other_calls() -> Vec<Case> {
    let fake = Fake::start().await;
    let client = client(&fake);
    let (namespace, account) = (Namespace::new("default").unwrap(), AccountNumber::new("7").unwrap());
    let no_right = || refusal(403, "security_exception", "unauthorized");
    let blocked = || refusal(403, "cluster_block_exception", "blocked by: [FORBIDDEN/6/cluster read-only (api)];");
    let shards = refusal(400, "validation_exception", "this action would add [1] shards");
    let options = SetupOptions::default();
    let year = SetupOptions { retention: Some("365d".to_owned()), ..SetupOptions::default() };
    let answer = |status: u16, body: String| Wrong::Answer(status, body.leak());
    let mut cases = Vec::new();
    let mut push = |what: &str, error: Error, error_type| {
        cases.push(case(what, at_one_host(error), error_type));
    };
    let (forbidden, refused) = ("Elasticsearch.Forbidden", "Elasticsearch.Refused");

    fake.fault("/", answer(403, no_right()));
    let error = fetch_cluster_info(&client).await.unwrap_err();
    push("version: no right", error, forbidden);
    fake.fault("/", answer(401, unauthorized("API key: api key is expired")));
    let error = fetch_cluster_info(&client).await.unwrap_err();
    push("version: a key that has expired", error, "Elasticsearch.Unauthorized");
    fake.fault("/", answer(400, r#"{"error":"no handler found","status":400}"#.to_owned()));
    let error = fetch_cluster_info(&client).await.unwrap_err();
    push("version: another service", error, refused);

    let user = user(&fake);
    fake.fault("/", answer(401, refusal(401, "security_exception", "unable to authenticate user [ann]")));
    let error = fetch_cluster_info(&user).await.unwrap_err();
    push("version: a user who does not exist, or a wrong password", error, "Elasticsearch.Unauthorized");
    fake.fault("_security/api_key", answer(403, no_right()));
    let error = create_writer_key(&user, "name", &json!({})).await.unwrap_err();
    push("API keys: a user who may not create one", error, forbidden);
    fake.fault("_security/api_key", answer(403, no_right()));
    let error = invalidate_keys(&user, Keys::WithId("id")).await.unwrap_err();
    push("API keys: a user who may not invalidate one", error, forbidden);
    fake.fault(
        "_security/api_key",
        answer(400, refusal(400, "feature_not_enabled_exception", "api keys are not enabled")),
    );
    let error = create_writer_key(&user, "name", &json!({})).await.unwrap_err();
    push("API keys: they are switched off", error, refused);

    fake.fault("_index_template", answer(403, no_right()));
    let error = is_set_up(&client).await.unwrap_err();
    push("templates: no right", error, forbidden);

    fake.fault("_has_privileges", answer(400, refusal(400, "illegal_argument_exception", "unknown privilege")));
    let error = fetch_missing_privileges(&client, Role::Writer, &namespace).await.unwrap_err();
    push("rights: a privilege that isn't known", error, refused);

    for (what, word, status, body, error_type) in [
        ("no right to pipelines", "_ingest", 403, no_right(), forbidden),
        ("no right to templates", "PUT _component", 403, no_right(), forbidden),
        ("a cluster that is read-only", "_ingest", 403, blocked(), refused),
        (
            "a template of the same priority",
            "_index_template",
            400,
            refusal(
                400,
                "illegal_argument_exception",
                "index template [lastpass-elastic.user] has index patterns matching patterns from existing templates [x] ... same priority [350]",
            ),
            refused,
        ),
        (
            "a component template that is broken",
            "_index_template",
            400,
            refusal(400, "invalid_index_template_exception", "component templates [logs@custom] do not exist"),
            refused,
        ),
        (
            "a cluster that is too old",
            "PUT _component",
            400,
            refusal(400, "x_content_parse_exception", "[1:9] [component_template] unknown field [lifecycle]"),
            refused,
        ),
    ] {
        // The lifecycle template is read before it is written.
        if word == "PUT _component" {
            fake.fault(
                "_component_template",
                answer(404, r#"{"error":{"type":"resource_not_found_exception"},"status":404}"#.to_owned()),
            );
        }
        fake.fault(word.trim_start_matches("PUT "), answer(status, body));
        let error = setup(&client, &options).await.unwrap_err();
        push(&format!("setup: {what}"), error, error_type);
    }
    fake.fault(
        "_component_template",
        answer(404, r#"{"error":{"type":"resource_not_found_exception"},"status":404}"#.to_owned()),
    );
    fake.fault(
        "_component_template",
        answer(
            400,
            refusal(400, "illegal_argument_exception", "failed to parse setting [data_retention] with value [365d]"),
        ),
    );
    let error = setup(&client, &year).await.unwrap_err();
    push("setup: a retention that is refused", error, refused);

    fake.set_version("8.12.2");
    let error = setup(&client, &options).await.unwrap_err();
    push("setup: a cluster of a version that is too old", error, refused);
    fake.set_version("8.19.21");
    fake.insert("logs-lastpass.event_report-default", "a");
    let fleet = json!({"package": {"name": "lastpass"}, "managed_by": "fleet"});
    let index = ".ds-logs-lastpass.event_report-default-2026.11.23-000001";
    let mapping = |meta: serde_json::Value| json!({index: {"mappings": {"_meta": meta}}});
    fake.put(&format!("/{index}/_mapping"), mapping(fleet));
    let error = setup(&client, &options).await.unwrap_err();
    push("setup: a data stream of Elastic's integration", error, refused);
    fake.put(&format!("/{index}/_mapping"), mapping(json!({"lastpass_elastic": {"version": assets::VERSION}})));

    fake.insert(USERS, "a");
    for (what, word, status, body, error_type) in [
        ("no right to data streams", "_options", 403, no_right(), forbidden),
        ("no right to the mapping", "_mapping", 403, no_right(), forbidden),
        ("too many shards for a rollover", "_rollover", 400, shards, refused),
        (
            "a rollover while a snapshot is taken",
            "_rollover",
            400,
            refusal(400, "snapshot_in_progress_exception", "cannot roll over data stream that is being snapshotted"),
            refused,
        ),
        ("no right to list", "_resolve", 403, no_right(), forbidden),
    ] {
        fake.fault(word, answer(status, body));
        let error = setup(&client, &options).await.unwrap_err();
        push(&format!("setup: {what}"), error, error_type);
    }

    let data_stream = Stream::User.data_stream(&namespace);
    let ids = [DocId("a".to_owned())];
    let wanted: Vec<Wanted<'_>> = ids.iter().map(|id| Wanted { id, since: None }).collect();
    let finder = Finder::new(client.clone());
    let indices = [BackingIndex::ended(BACKING, None)];
    for (what, body, error_type) in [
        (
            "no right to read",
            json!({"docs": [{"_index": BACKING, "_id": "a", "error": {"type": "security_exception"}}]}),
            forbidden,
        ),
        (
            "a closed index",
            json!({"docs": [{"_index": BACKING, "_id": "a", "error": {"type": "index_closed_exception"}}]}),
            refused,
        ),
        (
            "an index that can't be read",
            json!({"docs": [{"_index": BACKING, "_id": "a", "error": {"type": "cluster_block_exception"}}]}),
            refused,
        ),
    ] {
        fake.fault("_mget", answer(200, body.to_string()));
        let error = finder.find(data_stream.as_str(), &wanted, &indices).await.unwrap_err();
        push(&format!("look-up: {what}"), error, error_type);
    }
    // Created directly, because a real lookup would retry for half a minute.
    let error_type = "no_shard_available_action_exception".to_owned();
    let error = Error::IndexUnreadable {
        host: client.host(),
        operation: Operation::FindIds,
        index: BACKING.to_owned(),
        why: Unreadable::NotNow { error_type },
    };
    push("look-up: a red index", error, "Elasticsearch.Unreachable");
    fake.fault("_mget", answer(413, "<html>Request Entity Too Large</html>".to_owned()));
    let error = finder.find(data_stream.as_str(), &wanted, &indices).await.unwrap_err();
    push("look-up: one ID is too large", error, refused);

    for (what, status, body, error_type) in [
        ("no right to read", 403, no_right(), forbidden),
        (
            "an index that can't be read",
            403,
            refusal(403, "cluster_block_exception", "blocked by: [FORBIDDEN/7/index read (api)];"),
            refused,
        ),
        (
            "a field that can't be sorted by",
            400,
            refusal(400, "search_phase_execution_exception", "all shards failed"),
            refused,
        ),
    ] {
        fake.fault("_search", answer(status, body));
        let error = waiting_dead_letters(&client, &namespace, &account).await.unwrap_err();
        push(&format!("dead letters: {what}"), error, error_type);
    }
    assert_eq!(fake.faults_left(), 0, "a fault that nothing met");
    cases
}

/// Rejections of documents that create no dead letter.
async fn deliveries() -> Vec<Case> {
    let fake = Fake::start().await;
    let namespace = Namespace::new("default").unwrap();
    let origin = Origin { account: AccountNumber::new("7").unwrap(), request_id: "r".to_owned(), request: json!({}) };
    let users = Stream::User.data_stream(&namespace);
    let writer = BulkWriter::new(&client(&fake), users, DataStream::dead_letter(&namespace), origin);
    let document = |id: usize| Document {
        id: DocId(format!("a{id}")),
        timestamp: Timestamp::UNIX_EPOCH,
        source: r#"{"event":{}}"#.to_owned(),
        original: "{}".to_owned(),
        since: None,
    };
    let documents: Vec<Document> = (0..20).map(document).collect();
    fake.fault("_bulk", Wrong::RefuseItems((0..11).collect(), 400, "document_parsing_exception"));
    let most = writer.deliver(&documents, Timestamp::UNIX_EPOCH).await.unwrap_err();
    fake.fault("user-default/_bulk", Wrong::RefuseItems(vec![0], 400, "document_parsing_exception"));
    fake.fault("dead_letter-default/_bulk", Wrong::RefuseItems(vec![0], 400, "mapper_parsing_exception"));
    let letter = writer.deliver(&[document(99)], Timestamp::UNIX_EPOCH).await.unwrap_err();
    vec![
        case("delivery: most of a bulk is refused", at_one_host(most), "Elasticsearch.Refused"),
        case("delivery: a dead letter is refused", at_one_host(letter), "Elasticsearch.Refused"),
    ]
}

#[tokio::test]
async fn answers_of_elasticsearch() {
    let mut cases = whole_bulks();
    cases.extend(connections());
    cases.extend(other_calls().await);
    cases.extend(deliveries().await);
    review("elasticsearch", &cases);
}

#[test]
fn only_what_is_kibanas_is_taken_for_kibana() {
    let answer = |status: u16, body: &str| Response {
        operation: Operation::ReadInfo,
        status: reqwest::StatusCode::from_u16(status).unwrap(),
        retry_after: None,
        body: body.as_bytes().to_vec(),
    };
    let endpoint = Endpoint::from_url("https://es.example").unwrap();
    let client = Client::new(crate::http::for_tests(), endpoint, &Login::ApiKey(KEY.into()), deadline()).unwrap();
    let is_kibana = |status, body: &str| {
        matches!(
            client.general_error(&answer(status, body)),
            Some(Error::Unreachable { fault: Unanswered::Kibana, .. })
        )
    };
    assert!(is_kibana(404, r#"{"statusCode":404,"error":"Not Found","message":"Not Found"}"#));
    assert!(!is_kibana(400, r#"{"error":"no handler found","status":400}"#));
    assert!(!is_kibana(401, &unauthorized("API key: api key is expired")));
    assert!(!is_kibana(200, r#"{"statusCode":200,"error":"x"}"#));
}
