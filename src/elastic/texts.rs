//! What Elasticsearch, or what stands before it, answers, and the texts that come of it.
//!
//! Answers marked M were given by a real node (8.19) and are shortened.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::json;

use super::backing_indices::BackingIndex;
use super::fake::{Fake, Fault as Wrong, KEY};
use super::fuzz::judge_bulk;
use super::lookup::{Finder, Wanted};
use super::response::Response;
use super::*;
use crate::deadline::Deadline;
use crate::document::{AccountNumber, DataStream, DocId, Document, Namespace, Stream};
use crate::http::TlsFault;
use crate::texts::{Case, case, review};

const USERS: &str = "logs-lastpass.user-default";
const BACKING: &str = ".ds-logs-lastpass.user-default-2026.11.23-000001";
const KEY_PAGE: &[&str] = &["Stack Management > API keys", "`elastic_api_key`", "assets/roles"];
const WAY: &[&str] = &["ELASTICSEARCH_URL", "ELASTIC_CLOUD_ID", "next run"];

fn client(fake: &Fake) -> Client {
    let endpoint = Endpoint::from_url(&fake.url).unwrap();
    Client::new(crate::http::for_tests(), endpoint, &SecretString::from(KEY)).unwrap()
}

fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

/// The port of the stand-in is another one each time.
fn at_one_host(error: Error) -> Error {
    let host = || "es.example".to_owned();
    match error {
        Error::Forbidden { operation, .. } => Error::Forbidden { host: host(), operation },
        Error::Unauthorized { why, .. } => Error::Unauthorized { host: host(), why },
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

/// A 401 that says this of the key. M.
fn unauthorized(said: &str) -> String {
    let reason =
        "unable to authenticate with provided credentials and anonymous access is not allowed for this request";
    let error = json!({"type": "security_exception", "reason": reason, "additional_unsuccessful_credentials": said});
    json!({"error": error, "status": 401}).to_string()
}

fn refusal(status: u16, error_type: &str, reason: &str) -> String {
    json!({"error": {"type": error_type, "reason": reason}, "status": status}).to_string()
}

/// An answer to a bulk in which one item is refused.
fn item(status: u16, index: &str, error_type: &str, reason: &str) -> String {
    let error = json!({"type": error_type, "reason": reason});
    json!({"errors": true, "items": [{"create": {"_index": index, "_id": "a0", "status": status, "error": error}}]})
        .to_string()
}

/// Refusals of a whole bulk, and what stands before the cluster.
fn whole_bulks() -> Vec<Case> {
    const SHARDS: &str = "Validation Failed: 1: this action would add [1] shards, but this cluster currently has [1000]/[1000] maximum normal shards open;";
    let licence = r#"{"error":{"type":"security_exception","reason":"current license is non-compliant for [security]","license.expired.feature":"security"},"status":403}"#;
    let (gone, other) = ("Elasticsearch.Unauthorized", "Elasticsearch.Unreachable");
    let refused = "Elasticsearch.Refused";
    let blocked: &[&'static str] =
        &["cluster_block_exception", "GET _cat/allocation", "index.blocks", "remove the block"];
    let shards: &[&'static str] = &["cluster.max_shards_per_node", "delete old indices"];
    let table: Vec<(&str, u16, String, &'static str, &[&'static str])> = vec![
        (
            "a key that has expired",
            401,
            unauthorized("API key: api key is expired"),
            gone,
            &["has expired", "`elastic_api_key`"],
        ),
        (
            "a key that was invalidated",
            401,
            unauthorized("API key: api key [vrWrB6IB8OMgvFpvi5NJ] has been invalidated"),
            gone,
            &["has been invalidated"],
        ),
        (
            "a key of another cluster",
            401,
            unauthorized("API key: unable to find apikey with id AAAAfGcBCdbkQm-e5aOx"),
            gone,
            &["does not know", "another cluster"],
        ),
        (
            "a key that was copied in part",
            401,
            unauthorized("API key: invalid credentials for API key [wLWrB6IB8OMgvFpvmZOV]"),
            gone,
            &["copied completely"],
        ),
        (
            "a key that isn't encoded",
            401,
            unauthorized("API key: Illegal base64 character 3a"),
            gone,
            &["not in its encoded form"],
        ),
        (
            "a key that is no key",
            401,
            unauthorized("API key: invalid ApiKey value"),
            gone,
            &["not in its encoded form"],
        ),
        (
            "a key that was refused without a word",
            401,
            refusal(401, "security_exception", "missing authentication credentials"),
            gone,
            KEY_PAGE,
        ),
        ("401 of a proxy", 401, "<html>".to_owned(), other, &["answered 401", "credentials of its own", "proxy"]),
        (
            "no right to write",
            403,
            refusal(403, "security_exception", "action [indices:data/write/bulk] is unauthorized"),
            "Elasticsearch.Forbidden",
            &["`create_doc`", "`auto_configure`", "logs-lastpass.*-*", "writer role"],
        ),
        (
            "a licence that has expired",
            403,
            licence.to_owned(),
            refused,
            &["licence", "License management", "security"],
        ),
        (
            "a cluster that is read-only",
            403,
            refusal(403, "cluster_block_exception", "blocked by: [FORBIDDEN/6/cluster read-only (api)];"),
            refused,
            &["cluster.blocks", "GET _cluster/settings"],
        ),
        (
            "a cluster that is read-only but for deletions",
            403,
            refusal(
                403,
                "cluster_block_exception",
                "blocked by: [FORBIDDEN/13/cluster read-only / allow delete (api)];",
            ),
            refused,
            blocked,
        ),
        (
            "a disk past the flood stage",
            429,
            refusal(429, "cluster_block_exception", "[TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark]"),
            refused,
            &["flood-stage", "disk space"],
        ),
        (
            "a cluster that is overloaded",
            429,
            refusal(429, "es_rejected_execution_exception", "rejected"),
            "Elasticsearch.Throttled",
            &["429", "capacity", "next run"],
        ),
        (
            "a circuit breaker",
            429,
            refusal(429, "circuit_breaking_exception", "[parent] Data too large"),
            "Elasticsearch.Throttled",
            &["capacity"],
        ),
        (
            "no template",
            404,
            refusal(404, "index_not_found_exception", "no such index"),
            "Elasticsearch.NotSetUp",
            &["no index template", "\"action\": \"setup\""],
        ),
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
            &["\"action\": \"setup\""],
        ),
        (
            "no pipeline, item",
            200,
            item(400, USERS, "illegal_argument_exception", "pipeline with id [lastpass-elastic-geoip] does not exist"),
            "Elasticsearch.NotSetUp",
            &["index.final_pipeline", "\"action\": \"setup\""],
        ),
        ("too many shards, item", 200, item(400, USERS, "validation_exception", SHARDS), refused, shards),
        ("too many shards", 400, refusal(400, "validation_exception", SHARDS), refused, shards),
        (
            "a write-blocked index, item",
            200,
            item(403, USERS, "cluster_block_exception", "index [x] blocked by: [FORBIDDEN/8/index write (api)];"),
            refused,
            blocked,
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
            &["flood-stage", "index.blocks"],
        ),
        ("a key that expired in between, item", 200, item(401, USERS, "security_exception", "no"), gone, KEY_PAGE),
        (
            "no right to write, item",
            200,
            item(403, USERS, "security_exception", "no"),
            "Elasticsearch.Forbidden",
            &["`create_doc`", "writer role"],
        ),
        (
            "a refusal that is new, item",
            200,
            item(400, BACKING, "never_seen_exception", "secret of ann@example.com"),
            refused,
            &["400 never_seen_exception", "this version does not know", "log of Elasticsearch", "report it"],
        ),
        (
            "an item without an error",
            200,
            json!({"items": [{"create": {"_index": BACKING, "_id": "a0", "status": 204}}]}).to_string(),
            refused,
            &["204 no_error_type", "this version does not know"],
        ),
        (
            "a document in a failure store",
            200,
            json!({"items": [{"create": {"_index": BACKING, "_id": "a0", "status": 201, "failure_store": "used"}}]})
                .to_string(),
            refused,
            &["failure store", "_options"],
        ),
        (
            "a request that is not valid",
            400,
            refusal(400, "action_request_validation_exception", "no requests added"),
            refused,
            &["this version does not know"],
        ),
        (
            "an API that isn't there",
            400,
            r#"{"error":"no handler found for uri [/_bulk]","status":400}"#.to_owned(),
            refused,
            &["no_handler"],
        ),
        ("items that were left out", 200, r#"{"items":[]}"#.to_owned(), other, &["answered 0 items for 1", "proxy"]),
        (
            "items of other documents",
            200,
            item(201, BACKING, "x", "y").replace("a0", "b0"),
            other,
            &["answered 1 items for 1", "others than these"],
        ),
        ("a login page", 200, "<html>Sign in</html>".to_owned(), other, &["is not Elasticsearch's JSON", "login page"]),
        ("another API's JSON", 200, r#"{"ok":true}"#.to_owned(), other, WAY),
        (
            "502 of a proxy",
            502,
            "<html>Bad gateway</html>".to_owned(),
            other,
            &["answered 502", "proxy, traffic filter, VPC"],
        ),
        (
            "a cluster that starts",
            503,
            refusal(
                503,
                "cluster_block_exception",
                "blocked by: [SERVICE_UNAVAILABLE/1/state not recovered / initialized];",
            ),
            other,
            &["answered 503", "health of the cluster"],
        ),
        (
            "a traffic filter",
            403,
            r#"{"ok":false,"message":"Forbidden"}"#.to_owned(),
            other,
            &["answered 403", "traffic filter"],
        ),
        (
            "a deployment that doesn't exist",
            404,
            r#"{"ok":false,"message":"Unknown resource."}"#.to_owned(),
            other,
            &["answered 404", "deployment that does not exist", "ELASTIC_CLOUD_ID"],
        ),
        (
            "Kibana in its place",
            404,
            r#"{"statusCode":404,"error":"Not Found","message":"Not Found"}"#.to_owned(),
            other,
            &["as Kibana does", "ELASTICSEARCH_URL"],
        ),
        (
            "Kibana that refuses a POST",
            400,
            r#"{"statusCode":400,"error":"Bad Request","message":"Request must contain a kbn-xsrf header."}"#
                .to_owned(),
            other,
            &["as Kibana does"],
        ),
        (
            "Kibana that wants a login",
            401,
            r#"{"statusCode":401,"error":"Unauthorized","message":"Unauthorized"}"#.to_owned(),
            other,
            &["as Kibana does"],
        ),
        ("a proxy that wants a login", 407, String::new(), other, &["proxy", "credentials of its own"]),
    ];
    let cases = table.into_iter().map(|(what, status, body, error_type, says)| {
        match judge_bulk(status, body.as_bytes(), &["a0"]) {
            Err(error) => {
                assert!(
                    !error.to_string().contains("ann@example.com"),
                    "a reason of an item may hold a record: {error}"
                );
                case(format!("bulk: {what}"), error, error_type, says)
            }
            Ok(_) => panic!("{what} was taken"),
        }
    });
    cases.collect()
}

/// Connections that bring no answer.
fn ways() -> Vec<Case> {
    let table: &[(&str, Unanswered, &[&'static str])] = &[
        ("a connection that was cut", Unanswered::Connection, WAY),
        ("no answer in time", Unanswered::Timeout(Duration::from_secs(30)), &["30 s", "health of the cluster"]),
        ("a redirect, as of Kibana", Unanswered::Redirect, &["redirect", "Kibana", "ELASTICSEARCH_URL"]),
        (
            "items that are not answered now",
            Unanswered::Items { status: 503, error_type: "unavailable_shards_exception".to_owned() },
            &["503 (unavailable_shards_exception)", "health"],
        ),
    ];
    let host = || "es.example".to_owned();
    let unreachable = |(what, fault, says): &(&str, Unanswered, &[&'static str])| {
        let error =
            Error::Unreachable { host: host(), operation: Operation::Write, fault: fault.clone(), source: None };
        case(format!("way: {what}"), error, "Elasticsearch.Unreachable", says)
    };
    let mut cases: Vec<Case> = table.iter().map(unreachable).collect();
    let other_name = TlsFault::OtherName { names: vec!["localhost".to_owned()] };
    let untrusted: [(&str, TlsFault, &[&'static str]); 7] = [
        (
            "a self-managed cluster without its CA",
            TlsFault::UnknownAuthority,
            &["not trusted", "ELASTICSEARCH_CA", "http_ca.crt"],
        ),
        ("a certificate for another name", other_name, &["another host name: localhost", "ELASTICSEARCH_URL"]),
        ("a certificate that has expired", TlsFault::Expired, &["has expired", "a new certificate"]),
        ("a certificate that isn't valid yet", TlsFault::NotYetValid, &["not valid yet", "clock"]),
        ("a certificate that isn't a server's", TlsFault::Certificate, &["not one for a server", "ELASTICSEARCH_CA"]),
        ("a server with TLS 1.1 alone", TlsFault::Version, &["TLS 1.2"]),
        ("https to a port of plain http", TlsFault::NotTls, &["does not speak TLS", "port in ELASTICSEARCH_URL"]),
    ];
    for (what, fault, says) in untrusted {
        let error = Error::NotTrusted { host: host(), fault, source: None };
        cases.push(case(format!("way: {what}"), error, "Elasticsearch.Unreachable", says));
    }
    let error = Error::OutOfTime { host: host(), operation: Operation::FindIds };
    cases.push(case("way: the deadline", error, "Elasticsearch.Unreachable", &["deadline", "next run"]));
    let endpoint = Endpoint::from_url("https://es.example").unwrap();
    let error = Client::new(crate::http::for_tests(), endpoint, &SecretString::from("a\nb")).unwrap_err();
    cases.push(case("way: a key that no header can carry", error, "Elasticsearch.Unauthorized", KEY_PAGE));
    cases
}

/// Refusals of every other call, each with what mends it.
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
    let mut push = |what: &str, error: Error, error_type, says: &[&'static str]| {
        cases.push(case(what, at_one_host(error), error_type, says));
    };
    let (forbidden, refused) = ("Elasticsearch.Forbidden", "Elasticsearch.Refused");

    fake.fault("/", answer(403, no_right()));
    let error = cluster_info(&client, deadline()).await.unwrap_err();
    push("version: no right", error, forbidden, &["cluster privilege `monitor`", "writer role"]);
    fake.fault("/", answer(401, unauthorized("API key: api key is expired")));
    let error = cluster_info(&client, deadline()).await.unwrap_err();
    push("version: a key that has expired", error, "Elasticsearch.Unauthorized", &["has expired", "`elastic_api_key`"]);
    fake.fault("/", answer(400, r#"{"error":"no handler found","status":400}"#.to_owned()));
    let error = cluster_info(&client, deadline()).await.unwrap_err();
    push("version: another service", error, refused, &["ELASTICSEARCH_URL", "Kibana"]);

    fake.fault("_index_template", answer(403, no_right()));
    let error = is_set_up(&client, deadline()).await.unwrap_err();
    push("templates: no right", error, forbidden, &["cluster privilege `monitor`", "read the templates"]);

    fake.fault("_has_privileges", answer(400, refusal(400, "illegal_argument_exception", "unknown privilege")));
    let error = missing_rights(&client, Role::Writer, &namespace, deadline()).await.unwrap_err();
    push("rights: a privilege that isn't known", error, refused, &["ELASTICSEARCH_URL"]);

    let installer: &[&'static str] = &["installer role", "`elastic_setup_api_key`"];
    for (what, word, status, body, error_type, says) in [
        (
            "no right to pipelines",
            "_ingest",
            403,
            no_right(),
            forbidden,
            &["`manage_ingest_pipelines`", installer[1]][..],
        ),
        (
            "no right to templates",
            "PUT _component",
            403,
            no_right(),
            forbidden,
            &["`manage_index_templates`", installer[0]],
        ),
        ("a cluster that is read-only", "_ingest", 403, blocked(), refused, &["cluster.blocks", "remove the block"]),
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
            &["same priority [350]", "another index template with priority 350"],
        ),
        (
            "a component template that is broken",
            "_index_template",
            400,
            refusal(400, "invalid_index_template_exception", "component templates [logs@custom] do not exist"),
            refused,
            &["logs@custom", "@custom component template"],
        ),
        (
            "a cluster that is too old",
            "PUT _component",
            400,
            refusal(400, "x_content_parse_exception", "[1:9] [component_template] unknown field [lifecycle]"),
            refused,
            &["8.13 or newer"],
        ),
    ] {
        // The lifecycle is read before it is written.
        if word == "PUT _component" {
            fake.fault(
                "_component_template",
                answer(404, r#"{"error":{"type":"resource_not_found_exception"},"status":404}"#.to_owned()),
            );
        }
        fake.fault(word.trim_start_matches("PUT "), answer(status, body));
        let error = setup(&client, &options, deadline()).await.unwrap_err();
        push(&format!("setup: {what}"), error, error_type, says);
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
    let error = setup(&client, &year, deadline()).await.unwrap_err();
    push("setup: a retention that is refused", error, refused, &["`retention`", "365d", "8.13 or newer"]);

    fake.be_of_version("8.12.2");
    let error = setup(&client, &options, deadline()).await.unwrap_err();
    push("setup: a cluster of a version that is too old", error, refused, &["8.12.2", "8.13 or later", "upgrade"]);
    fake.be_of_version("8.19.21");
    fake.insert("logs-lastpass.event_report-default", "a");
    let fleet = json!({"package": {"name": "lastpass"}, "managed_by": "fleet"});
    let index = ".ds-logs-lastpass.event_report-default-2026.11.23-000001";
    let mapping = |meta: serde_json::Value| json!({index: {"mappings": {"_meta": meta}}});
    fake.put(&format!("/{index}/_mapping"), mapping(fleet));
    let error = setup(&client, &options, deadline()).await.unwrap_err();
    let says: &[&'static str] =
        &["logs-lastpass.event_report-default", "Fleet", "take_over", "from-elastics-integration"];
    push("setup: a data stream of Elastic's integration", error, refused, says);
    fake.put(&format!("/{index}/_mapping"), mapping(json!({"lastpass_elastic": {"version": assets::VERSION}})));

    fake.insert(USERS, "a");
    for (what, word, status, body, error_type, says) in [
        (
            "no right to data streams",
            "_options",
            403,
            no_right(),
            forbidden,
            &["`manage` on `logs-lastpass.*-*`", installer[1]][..],
        ),
        (
            "no right to the mapping",
            "_mapping",
            403,
            no_right(),
            forbidden,
            &["`manage` on `logs-lastpass.*-*`", installer[0]],
        ),
        (
            "too many shards for a rollover",
            "_rollover",
            400,
            shards,
            refused,
            &["cluster.max_shards_per_node", "this action would add [1] shards"],
        ),
        (
            "a rollover while a snapshot is taken",
            "_rollover",
            400,
            refusal(400, "snapshot_in_progress_exception", "cannot roll over data stream that is being snapshotted"),
            refused,
            &["Index Management", "snapshotted"],
        ),
        ("no right to list", "_resolve", 403, no_right(), forbidden, &["`manage`", installer[0]]),
    ] {
        fake.fault(word, answer(status, body));
        let error = setup(&client, &options, deadline()).await.unwrap_err();
        push(&format!("setup: {what}"), error, error_type, says);
    }

    let data_stream = Stream::User.data_stream(&namespace);
    let ids = [DocId("a".to_owned())];
    let wanted: Vec<Wanted<'_>> = ids.iter().map(|id| Wanted { id, since: None }).collect();
    let finder = Finder::new(client.clone());
    let indices = [BackingIndex::of_name(BACKING)];
    for (what, body, error_type, says) in [
        (
            "no right to read",
            json!({"docs": [{"_index": BACKING, "_id": "a", "error": {"type": "security_exception"}}]}),
            forbidden,
            &["`read` on `logs-lastpass.*-*`", "writer role"][..],
        ),
        (
            "a closed index",
            json!({"docs": [{"_index": BACKING, "_id": "a", "error": {"type": "index_closed_exception"}}]}),
            refused,
            &[BACKING, "is closed", "/_open"],
        ),
        (
            "an index that can't be read",
            json!({"docs": [{"_index": BACKING, "_id": "a", "error": {"type": "cluster_block_exception"}}]}),
            refused,
            &[BACKING, "index.blocks.read"],
        ),
    ] {
        fake.fault("_mget", answer(200, body.to_string()));
        let error = finder.find(data_stream.as_str(), &wanted, &indices, deadline()).await.unwrap_err();
        push(&format!("look-up: {what}"), error, error_type, says);
    }
    // The stand-in would be asked for half a minute.
    let error_type = "no_shard_available_action_exception".to_owned();
    let error = Error::IndexUnreadable {
        host: client.host(),
        operation: Operation::FindIds,
        index: BACKING.to_owned(),
        why: Unreadable::NotNow { error_type },
    };
    let says = &[BACKING, "GET _cluster/allocation/explain", "restore"];
    push("look-up: a red index", error, "Elasticsearch.Unreachable", says);
    fake.fault("_mget", answer(413, "<html>Request Entity Too Large</html>".to_owned()));
    let error = finder.find(data_stream.as_str(), &wanted, &indices, deadline()).await.unwrap_err();
    let says = &["http.max_content_length", "client_max_body_size"];
    push("look-up: one ID is too large", error, refused, says);

    for (what, status, body, error_type, says) in [
        ("no right to read", 403, no_right(), forbidden, &["`read` on `logs-lastpass.*-*`"][..]),
        (
            "an index that can't be read",
            403,
            refusal(403, "cluster_block_exception", "blocked by: [FORBIDDEN/7/index read (api)];"),
            refused,
            &["index.blocks", "remove the block"],
        ),
        (
            "a field that can't be sorted by",
            400,
            refusal(400, "search_phase_execution_exception", "all shards failed"),
            refused,
            &["dead letters' data stream", "`setup`"],
        ),
    ] {
        fake.fault("_search", answer(status, body));
        let error = waiting_dead_letters(&client, &namespace, &account, deadline()).await.unwrap_err();
        push(&format!("dead letters: {what}"), error, error_type, says);
    }
    assert_eq!(fake.faults_left(), 0, "a fault that nothing met");
    cases
}

/// Documents that are refused in a way that puts none aside.
async fn deliveries() -> Vec<Case> {
    let fake = Fake::start().await;
    let namespace = Namespace::new("default").unwrap();
    let origin = Origin { account: AccountNumber::new("7").unwrap(), request_id: "r".to_owned(), request: json!({}) };
    let users = Stream::User.data_stream(&namespace);
    let writer = BulkWriter::new(&client(&fake), users, DataStream::dead_letter(&namespace), origin);
    let document = |id: usize| Document {
        id: DocId(format!("a{id}")),
        timestamp: Timestamp::UNIX_EPOCH,
        source: "{}".to_owned(),
        original: "{}".to_owned(),
        since: None,
    };
    let documents: Vec<Document> = (0..20).map(document).collect();
    fake.fault("_bulk", Wrong::RefuseItems((0..11).collect(), 400, "document_parsing_exception"));
    let most = writer.deliver(&documents, Timestamp::UNIX_EPOCH, deadline()).await.unwrap_err();
    fake.fault("user-default/_bulk", Wrong::RefuseItems(vec![0], 400, "document_parsing_exception"));
    fake.fault("dead_letter-default/_bulk", Wrong::RefuseItems(vec![0], 400, "mapper_parsing_exception"));
    let letter = writer.deliver(&[document(99)], Timestamp::UNIX_EPOCH, deadline()).await.unwrap_err();
    let says: &[&'static str] = &["mapping", "@custom", "\"action\": \"setup\""];
    vec![
        case("delivery: most of a bulk is refused", at_one_host(most), "Elasticsearch.Refused", says),
        case(
            "delivery: a dead letter is refused",
            at_one_host(letter),
            "Elasticsearch.Refused",
            &["dead letter", "the checkpoint is unchanged", "setup"],
        ),
    ]
}

#[tokio::test]
async fn answers_of_elasticsearch() {
    let mut cases = whole_bulks();
    cases.extend(ways());
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
    let client = Client::new(crate::http::for_tests(), endpoint, &SecretString::from(KEY)).unwrap();
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
