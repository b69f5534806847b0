//! Tests the writer and `setup` against the in-process stand-in, mostly with faults.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::fake::{Fake, Fault as Wrong, KEY};
use super::send::Limits;
use super::*;
use crate::clock::Deadline;
use crate::document::{AccountNumber, Namespace, Stream};
use crate::document::{DataStream, DocId, Document};
use crate::endpoint::Endpoint;

const USERS: &str = "logs-lastpass.user-default";
const LETTERS: &str = "logs-lastpass.dead_letter-default";
const NOW: &str = "2026-11-23T04:05:06Z";

#[expect(clippy::disallowed_methods, reason = "the tests' own client, which has no TLS to set up")]
fn try_client(url: &str, key: &str, deadline: Deadline) -> Result<Client, Error> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    Client::new(http, Endpoint::from_url(url).unwrap(), &Login::ApiKey(key.into()), deadline)
}

fn client_with_key(url: &str, key: &str) -> Client {
    try_client(url, key, deadline()).unwrap()
}

fn client(fake: &Fake) -> Client {
    client_with_key(&fake.url, KEY)
}

fn origin() -> Origin {
    Origin {
        account: AccountNumber::new("1234567").unwrap(),
        request_id: "request-1".to_owned(),
        request: json!({"action": "collect", "stream": "user"}),
    }
}

fn limits() -> Limits {
    Limits { first_pause: Duration::from_millis(2), retry_timeout: Duration::from_millis(200), ..Limits::default() }
}

fn writer_of(client: &Client, limits: Limits) -> BulkWriter {
    let namespace = Namespace::new("default").unwrap();
    let users = Stream::User.data_stream(&namespace);
    BulkWriter::new(client, users, DataStream::dead_letter(&namespace), origin()).with_limits(limits)
}

fn writer_with(fake: &Fake, limits: Limits) -> BulkWriter {
    writer_of(&client(fake), limits)
}

fn writer_until(fake: &Fake, deadline: Deadline) -> BulkWriter {
    writer_of(&try_client(&fake.url, KEY, deadline).unwrap(), limits())
}

fn writer(fake: &Fake) -> BulkWriter {
    writer_with(fake, limits())
}

fn documents(ids: std::ops::Range<usize>) -> Vec<Document> {
    ids.map(|id| Document {
        id: DocId(format!("id{id:04}")),
        timestamp: NOW.parse().unwrap(),
        source: json!({"@timestamp": NOW, "n": format!("{id:04}"), "event": {"created": NOW, "kind": "state"}, "tags": ["eu"]})
            .to_string(),
        original: json!({"n": id, "whole": "record"}).to_string(),
        since: None,
    })
    .collect()
}

fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

async fn deliver(writer: &BulkWriter, documents: &[Document]) -> Result<Vec<Delivery>, Error> {
    writer.deliver(documents, NOW.parse::<Timestamp>().unwrap()).await
}

fn ids(documents: &[Document]) -> Vec<String> {
    documents.iter().map(|document| document.id.to_string()).collect()
}

#[tokio::test]
async fn documents_are_created_once_and_answered_in_their_order() {
    let fake = Fake::start().await;
    let writer = writer_with(&fake, Limits { max_documents: 3, ..limits() });
    let documents = documents(0..10);
    fake.insert(USERS, "id0004");
    let deliveries = deliver(&writer, &documents).await.unwrap();
    let expected: Vec<_> = (0..10).map(|id| if id == 4 { Delivery::AlreadyThere } else { Delivery::Created }).collect();
    assert_eq!(deliveries, expected);
    assert_eq!(fake.ids(USERS), ids(&documents));
    assert_eq!(writer.requests(), 4);
    assert_eq!(deliver(&writer, &documents).await.unwrap(), [Delivery::AlreadyThere; 10]);
    assert_eq!(fake.ids(USERS), ids(&documents));
    assert!(deliver(&writer, &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_bulk_request_has_the_form_that_elasticsearch_requires() {
    let fake = Fake::start().await;
    deliver(&writer(&fake), &documents(0..1)).await.unwrap();
    let bulk = &fake.seen("_bulk")[0];
    assert!(bulk.path.starts_with("/logs-lastpass.user-default/_bulk?require_data_stream=true&pipeline=_none&"));
    assert_eq!(bulk.headers["content-type"], "application/x-ndjson");
    assert_eq!(bulk.headers["accept"], "application/json");
    assert_eq!(bulk.headers["content-encoding"], "gzip");
    assert_eq!(bulk.headers["authorization"], format!("ApiKey {KEY}"));
    assert_eq!(bulk.body, format!("{{\"create\":{{\"_id\":\"id0000\"}}}}\n{}\n", documents(0..1)[0].source));
}

#[tokio::test]
async fn no_debug_output_and_no_error_contains_the_key() {
    let key = "c2VjcmV0LWtleQ==";
    let fake = Fake::start().await;
    let client = client_with_key(&fake.url, key);
    let writer = BulkWriter::new(
        &client,
        Stream::User.data_stream(&Namespace::new("default").unwrap()),
        DataStream::dead_letter(&Namespace::new("default").unwrap()),
        origin(),
    );
    let error = deliver(&writer, &documents(0..1)).await.unwrap_err();
    assert_eq!(error.error_type(), "Elasticsearch.Unauthorized");
    assert!(error.is_auth());
    for text in [format!("{client:?}"), format!("{writer:?}"), format!("{error:?}"), error.to_string()] {
        assert!(!text.contains(key), "{text}");
    }
    let error = try_client(&fake.url, "broken\nkey", deadline()).unwrap_err();
    assert_eq!(error.error_type(), "Elasticsearch.Unauthorized");
    assert!(!format!("{error:?} {error}").contains("broken"));
}

#[tokio::test]
async fn only_items_that_were_not_accepted_are_sent_again() {
    let fake = Fake::start().await;
    fake.fault("_bulk", Wrong::RefuseItems(vec![1, 3], 429, "es_rejected_execution_exception"));
    fake.fault("_bulk", Wrong::RefuseItems(vec![0], 503, "unavailable_shards_exception"));
    let documents = documents(0..5);
    let deliveries = deliver(&writer(&fake), &documents).await.unwrap();
    assert_eq!(deliveries, [Delivery::Created; 5]);
    assert_eq!(fake.ids(USERS), ids(&documents));
    let sent: Vec<_> = fake.seen("_bulk").iter().map(|bulk| bulk.body.lines().count() / 2).collect();
    assert_eq!(sent, [5, 2, 1]);
}

#[tokio::test]
async fn items_that_stay_throttled_end_at_the_deadline() {
    let fake = Fake::start().await;
    for _ in 0..200 {
        fake.fault("_bulk", Wrong::RefuseItems(vec![0], 429, "es_rejected_execution_exception"));
    }
    // Long enough for a first response on a busy machine.
    let deadline = Deadline::after(Duration::from_secs(3));
    let error = writer_until(&fake, deadline).deliver(&documents(0..1), Timestamp::MIN).await.unwrap_err();
    assert_eq!(error.error_type(), "Elasticsearch.Throttled", "{error}");
}

#[tokio::test]
async fn items_that_stay_unavailable_end_at_the_retry_timeout() {
    let fake = Fake::start().await;
    for _ in 0..200 {
        fake.fault("_bulk", Wrong::RefuseItems(vec![0], 503, "unavailable_shards_exception"));
    }
    let error = deliver(&writer(&fake), &documents(0..1)).await.unwrap_err();
    assert_eq!(error.error_type(), "Elasticsearch.Unreachable");
    assert!(error.to_string().contains("returned items with 503 (unavailable_shards_exception)"), "{error}");
}

#[tokio::test]
async fn a_throttled_request_is_retried_after_the_requested_pause() {
    let fake = Fake::start().await;
    let busy = "{\"error\": {\"type\": \"es_rejected_execution_exception\", \"reason\": \"busy\"}, \"status\": 429}";
    fake.fault("_bulk", Wrong::AnswerWith(429, ("retry-after", "1"), busy));
    let started = Instant::now();
    assert_eq!(deliver(&writer(&fake), &documents(0..2)).await.unwrap(), [Delivery::Created; 2]);
    assert!(started.elapsed() >= Duration::from_secs(1));

    fake.fault("_bulk", Wrong::AnswerWith(429, ("retry-after", "3600"), "busy"));
    let error = deliver(&writer(&fake), &documents(2..4)).await.unwrap_err();
    assert_eq!(error.error_type(), "Elasticsearch.Throttled");
    assert!(error.is_retryable() && !error.is_out_of_time());
}

#[tokio::test]
async fn a_bulk_whose_response_was_lost_duplicates_nothing() {
    for lost in [
        Wrong::TakeThenCut,
        Wrong::TakeThenCutBody,
        Wrong::TakeThenAnswer(502, "<html>Bad gateway</html>"),
        Wrong::TakeThenAnswer(504, ""),
        Wrong::TakeThenAnswer(200, "<html>Sign in</html>"),
        Wrong::Change(|answer| {
            answer["items"].as_array_mut().unwrap().pop();
        }),
        Wrong::Change(|answer| answer["items"].as_array_mut().unwrap().swap(0, 1)),
    ] {
        let fake = Fake::start().await;
        let documents = documents(0..3);
        fake.fault("_bulk", lost);
        // The data stream is rolled over before the retry, which has to look into every backing index.
        fake.fault("_resolve", Wrong::Change(|_| {}));
        fake.fault("_resolve", Wrong::RollOver);
        let deliveries = deliver(&writer(&fake), &documents).await.unwrap();
        assert_eq!(deliveries, [Delivery::AlreadyThere; 3]);
        assert_eq!(fake.ids(USERS), ids(&documents));
        assert_eq!(fake.seen("_bulk").len(), 1, "found by the lookup, so not sent again");
        assert_eq!(fake.faults_left(), 0);
    }
}

#[tokio::test]
async fn a_bulk_that_was_not_performed_is_sent_again() {
    for lost in [Wrong::Cut, Wrong::Answer(503, "{\"error\": {\"type\": \"x\"}, \"status\": 503}")] {
        let fake = Fake::start().await;
        fake.fault("_bulk", lost);
        assert_eq!(deliver(&writer(&fake), &documents(0..3)).await.unwrap(), [Delivery::Created; 3]);
        assert_eq!(fake.ids(USERS), ids(&documents(0..3)));
    }
}

#[tokio::test]
async fn a_document_in_an_older_backing_index_is_not_sent() {
    let fake = Fake::start().await;
    for id in ["id0001", "id0002"] {
        fake.insert(USERS, id);
        fake.roll_over(USERS);
    }
    let deliveries = deliver(&writer(&fake), &documents(0..4)).await.unwrap();
    let (created, there) = (Delivery::Created, Delivery::AlreadyThere);
    assert_eq!(deliveries, [created, there, there, created]);
    assert_eq!(fake.documents(USERS).len(), 4);
    let asked = &fake.seen("_mget")[0];
    assert_eq!(asked.body.matches("_index").count(), 12, "three backing indices, four documents");
    assert_eq!(fake.seen("_bulk")[0].body.lines().count(), 4, "two of the four exist");
}

#[tokio::test]
async fn a_rollover_between_lookup_and_write_duplicates_no_existing_document() {
    let fake = Fake::start().await;
    fake.insert(USERS, "id0001");
    fake.fault("_bulk", Wrong::RollOver);
    let writer = writer(&fake);
    let (created, there) = (Delivery::Created, Delivery::AlreadyThere);
    assert_eq!(deliver(&writer, &documents(0..3)).await.unwrap(), [created, there, created]);
    assert_eq!(fake.documents(USERS).len(), 3);
    assert_eq!(writer.rollover_duplicates(), 0);
}

#[tokio::test]
async fn a_duplicate_by_two_writers_and_a_rollover_is_counted() {
    let fake = Fake::start().await;
    fake.insert(USERS, "id0001");
    fake.fault("_bulk", Wrong::AnotherWriter);
    let writer = writer(&fake);
    deliver(&writer, &documents(0..3)).await.unwrap();
    assert_eq!(fake.documents(USERS).len(), 5);
    assert_eq!(writer.rollover_duplicates(), 2);
    // Later deliveries find the documents, in either index.
    assert_eq!(deliver(&writer, &documents(0..3)).await.unwrap(), [Delivery::AlreadyThere; 3]);
    assert_eq!(writer.rollover_duplicates(), 2);
}

#[tokio::test]
async fn a_duplicate_by_an_interrupted_bulk_and_a_rollover_is_counted() {
    let fake = Fake::start().await;
    for _ in 0..2 {
        fake.roll_over(USERS);
    }
    fake.fault("_bulk", Wrong::Cut);
    fake.fault("_bulk", Wrong::LateInOldest);
    let writer = writer(&fake);
    assert_eq!(deliver(&writer, &documents(0..3)).await.unwrap(), [Delivery::Created; 3]);
    assert_eq!(fake.documents(USERS).len(), 6);
    assert_eq!(writer.rollover_duplicates(), 3);
}

#[tokio::test]
async fn a_rollover_with_new_documents_reports_nothing() {
    let fake = Fake::start().await;
    fake.fault("_bulk", Wrong::RollOver);
    let writer = writer(&fake);
    deliver(&writer, &documents(0..3)).await.unwrap();
    fake.fault("_bulk", Wrong::RollOver);
    deliver(&writer, &documents(3..6)).await.unwrap();
    assert_eq!(writer.rollover_duplicates(), 0);
    assert_eq!(fake.documents(USERS).len(), 6);
}

#[tokio::test]
async fn an_entry_with_an_error_is_not_taken_for_absent() {
    /// Replaces the last entry, which is about the older index.
    fn error(answer: &mut Value, error_type: &str) {
        let entry = answer["docs"].as_array_mut().unwrap().last_mut().unwrap();
        *entry = json!({"_index": entry["_index"], "_id": entry["_id"], "error": {"type": error_type}});
    }
    let fake = Fake::start().await;
    fake.insert(USERS, "id0000");
    fake.roll_over(USERS);
    fake.fault("_mget", Wrong::Change(|answer| error(answer, "no_shard_available_action_exception")));
    assert_eq!(deliver(&writer(&fake), &documents(0..1)).await.unwrap(), [Delivery::AlreadyThere]);
    for (wrong, error_type) in [
        (Wrong::Change(|answer| error(answer, "index_closed_exception")), "Elasticsearch.Refused"),
        (Wrong::Change(|answer| error(answer, "cluster_block_exception")), "Elasticsearch.Refused"),
        (Wrong::Change(|answer| error(answer, "security_exception")), "Elasticsearch.Forbidden"),
        (Wrong::Change(|answer| *answer = json!({"docs": []})), "Elasticsearch.Unreachable"),
    ] {
        fake.fault("_mget", wrong);
        let error = deliver(&writer(&fake), &documents(0..1)).await.unwrap_err();
        assert_eq!(error.error_type(), error_type, "{error}");
    }
    assert!(fake.seen("_bulk").is_empty());
}

/// Sets the earliest time of the documents. The fake creates its indices a day apart, from 2026-11-23 on.
fn since(documents: Vec<Document>, time: &str) -> Vec<Document> {
    documents.into_iter().map(|document| Document { since: time.parse().ok(), ..document }).collect()
}

#[tokio::test]
async fn an_index_that_ended_before_a_document_existed_is_not_searched_for_it() {
    let fake = Fake::start().await;
    for id in ["id0001", "id0002"] {
        fake.insert(USERS, id);
        fake.roll_over(USERS);
    }
    let writer = writer(&fake);
    // After the end of the first index, and before that of the second.
    let recent = since(documents(2..4), "2026-11-24T00:20:00Z");
    let (created, there) = (Delivery::Created, Delivery::AlreadyThere);
    assert_eq!(deliver(&writer, &recent).await.unwrap(), [there, created]);
    let asked: Vec<String> = fake.seen("_mget").iter().map(|seen| seen.body.clone()).collect();
    assert!(!asked.iter().any(|body| body.contains("000001")), "{asked:?}");
    assert!(asked.iter().any(|body| body.contains("000002")), "{asked:?}");
    // The newest document of the first index is later than the end by the cluster's clock.
    fn newer(answer: &mut Value) {
        answer["responses"][0]["aggregations"]["reading"] = json!({"value": 1_795_485_600_000_u64});
    }
    fake.fault("_msearch", Wrong::Change(newer));
    let doubtful = since(documents(1..2), "2026-11-24T02:10:00Z");
    assert_eq!(deliver(&self::writer(&fake), &doubtful).await.unwrap(), [there]);
    // Documents without an earliest time, and older ones, are looked for in every index.
    assert_eq!(deliver(&writer, &documents(1..2)).await.unwrap(), [there]);
    assert_eq!(deliver(&writer, &since(documents(1..2), "2026-11-24T00:10:00Z")).await.unwrap(), [there]);
    assert_eq!((fake.seen("_settings").len(), fake.seen("_msearch").len()), (2, 2), "each is requested only once");
    assert_eq!(fake.documents(USERS).len(), 3);
}

#[tokio::test]
async fn a_lookup_that_is_too_large_is_halved_down_to_one() {
    let fake = Fake::start().await;
    for id in ["id0001", "id0006"] {
        fake.insert(USERS, id);
        fake.roll_over(USERS);
    }
    let writer = writer(&fake);
    for _ in 0..3 {
        fake.fault("_mget", Wrong::Answer(413, "<html>Request Entity Too Large</html>"));
    }
    let deliveries = deliver(&writer, &documents(0..8)).await.unwrap();
    assert_eq!(deliveries.iter().filter(|one| **one == Delivery::AlreadyThere).count(), 2);
    let sizes: Vec<usize> = fake.seen("_mget").iter().map(|seen| seen.body.matches("id0").count()).collect();
    assert_eq!(sizes[..4], [24, 12, 6, 3]);
    assert!(sizes[4..].iter().all(|size| *size <= 3), "what was learned is kept: {sizes:?}");
    let asked: Vec<String> = fake.seen("_mget").iter().skip(3).map(|seen| seen.body.clone()).collect();
    for id in ids(&documents(0..8)) {
        assert!(asked.iter().any(|body| body.contains(&id)), "{id} was passed over");
    }
    assert_eq!(fake.documents(USERS).len(), 8);

    for _ in 0..4 {
        fake.fault("_mget", Wrong::Answer(413, ""));
    }
    let error = deliver(&writer, &documents(8..10)).await.unwrap_err();
    assert_eq!(error.error_type(), "Elasticsearch.Refused");
    assert!(error.to_string().contains("http.max_content_length"), "{error}");
    assert_eq!(fake.documents(USERS).len(), 8);
}

#[tokio::test]
async fn a_backing_index_deleted_after_the_listing_is_skipped() {
    let fake = Fake::start().await;
    for id in ["id0000", "id0001"] {
        fake.insert(USERS, id);
        fake.roll_over(USERS);
    }
    // The list still contains the deleted index.
    fake.fault(
        "_resolve",
        Wrong::Change(|answer| {
            let indices = answer["data_streams"][0]["backing_indices"].as_array_mut().unwrap();
            indices.insert(0, json!(".ds-logs-lastpass.user-default-2026.11.23-000001"));
        }),
    );
    fake.drop_oldest(USERS);
    let deliveries = deliver(&writer(&fake), &documents(0..2)).await.unwrap();
    assert_eq!(deliveries, [Delivery::Created, Delivery::AlreadyThere]);
}

#[tokio::test]
async fn a_refused_document_is_kept_as_one_dead_letter() {
    let fake = Fake::start().await;
    let writer = writer(&fake);
    let documents = documents(0..3);
    fake.fault("_bulk", Wrong::RefuseItems(vec![1], 400, "document_parsing_exception"));
    let deliveries = deliver(&writer, &documents).await.unwrap();
    assert_eq!(deliveries, [Delivery::Created, Delivery::DeadLetter, Delivery::Created]);
    assert_eq!(fake.ids(USERS), ["id0000", "id0002"]);
    let letters = fake.documents(LETTERS);
    assert_eq!(
        letters[0].1,
        json!({
            "@timestamp": NOW,
            "data_stream": {"type": "logs", "dataset": "lastpass.dead_letter", "namespace": "default"},
            "event": {"original": documents[1].original, "created": NOW},
            "tags": ["eu"],
            "error": {"type": "document_parsing_exception", "message": "refused by the test"},
            "lastpass": {"dead_letter": {
                "data_stream": USERS,
                "document_id": "id0001",
                "timestamp": NOW,
                "account": "1234567",
                "request_id": "request-1",
                "request": {"action": "collect", "stream": "user"},
            }},
        })
    );
    // The other two exist, so only this document is sent.
    fake.fault("_bulk", Wrong::RefuseItems(vec![0], 400, "document_parsing_exception"));
    assert_eq!(deliver(&writer, &documents).await.unwrap(), [Delivery::AlreadyThere; 3]);
    assert_eq!(fake.ids(LETTERS).len(), 1);
    assert_eq!(writer.requests(), 3, "the lookup finds the dead letter as well");
}

#[tokio::test]
async fn a_redelivery_writes_no_dead_letters_even_if_most_documents_are_refused() {
    let fake = Fake::start().await;
    fake.insert(USERS, "id0000");
    fake.fault("_bulk", Wrong::RefuseItems((0..22).collect(), 400, "document_parsing_exception"));
    let writer = writer(&fake);
    let outcomes = writer.redeliver(&documents(0..30)).await.unwrap();
    let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    let refused = Err("document_parsing_exception".to_owned());
    let expected = [Ok(Delivery::Created), Ok(Delivery::AlreadyThere), refused];
    assert_eq!(expected.map(count), [7, 1, 22], "{outcomes:?}");
    assert!(fake.ids(LETTERS).is_empty());
    assert_eq!(writer.requests(), 1);

    fake.fault("_bulk", Wrong::RefuseItems(vec![0], 403, "security_exception"));
    let error = writer.redeliver(&documents(30..31)).await.unwrap_err();
    assert_eq!(error.error_type(), "Elasticsearch.Forbidden");
}

#[tokio::test]
async fn a_cluster_that_has_not_formed_yet_has_no_uuid() {
    for (uuid, expected) in [(json!("Xy-1"), Some("Xy-1")), (json!("_na_"), None), (Value::Null, None)] {
        let fake = Fake::start().await;
        let body = json!({"cluster_name": "c", "cluster_uuid": uuid, "version": {"number": "8.19.0"}}).to_string();
        fake.fault("/", Wrong::Answer(200, body.leak()));
        assert_eq!(fetch_cluster_info(&client(&fake)).await.unwrap().uuid.as_deref(), expected);
    }
}

#[tokio::test]
async fn a_refused_dead_letter_stops() {
    let fake = Fake::start().await;
    fake.fault("user-default/_bulk", Wrong::RefuseItems(vec![1], 400, "document_parsing_exception"));
    fake.fault("dead_letter-default/_bulk", Wrong::RefuseItems(vec![0], 400, "document_parsing_exception"));
    let error = deliver(&writer(&fake), &documents(0..3)).await.unwrap_err();
    assert_eq!(error.error_type(), "Elasticsearch.Refused");
    assert!(error.to_string().contains("the dead letter of a document was refused as well"), "{error}");
    assert!(!error.to_string().contains("refused by the test"), "a reason may echo the record");
}

#[tokio::test]
async fn a_bulk_that_is_mostly_refused_stops_without_dead_letters() {
    let fake = Fake::start().await;
    fake.fault("_bulk", Wrong::RefuseItems((0..11).collect(), 400, "document_parsing_exception"));
    let error = deliver(&writer(&fake), &documents(0..20)).await.unwrap_err();
    assert_eq!(error.error_type(), "Elasticsearch.Refused");
    assert!(error.to_string().contains("more than half"), "{error}");
    assert!(fake.ids(LETTERS).is_empty());

    fake.fault("_bulk", Wrong::RefuseItems((0..10).collect(), 400, "document_parsing_exception"));
    let half = deliver(&writer(&fake), &documents(100..120)).await.unwrap();
    assert_eq!(half.iter().filter(|delivery| **delivery == Delivery::DeadLetter).count(), 10);
    fake.fault("_bulk", Wrong::RefuseItems((0..19).collect(), 400, "document_parsing_exception"));
    assert_eq!(deliver(&writer(&fake), &documents(200..219)).await.unwrap(), [Delivery::DeadLetter; 19]);
}

#[tokio::test]
async fn a_bulk_that_is_too_large_is_halved_and_the_limit_is_remembered() {
    let fake = Fake::start().await;
    fake.fault("_bulk", Wrong::Answer(413, "<html>Too large</html>"));
    fake.fault("_bulk", Wrong::Answer(413, ""));
    let writer = writer(&fake);
    assert_eq!(deliver(&writer, &documents(0..8)).await.unwrap(), [Delivery::Created; 8]);
    let sent = |from: usize| -> Vec<usize> {
        fake.seen("_bulk")[from..].iter().map(|bulk| bulk.body.lines().count() / 2).collect()
    };
    assert_eq!(sent(0), [8, 4, 2, 2, 4]);
    deliver(&writer, &documents(8..12)).await.unwrap();
    assert_eq!(sent(5), [2, 2]);
}

#[tokio::test]
async fn a_document_that_exceeds_the_limit_by_itself_is_a_dead_letter() {
    let fake = Fake::start().await;
    fake.fault("user-default/_bulk", Wrong::Answer(413, ""));
    fake.fault("user-default/_bulk", Wrong::Answer(413, ""));
    let deliveries = deliver(&writer(&fake), &documents(0..2)).await.unwrap();
    assert_eq!(deliveries, [Delivery::DeadLetter, Delivery::Created]);
    assert_eq!(fake.documents(LETTERS)[0].1["error"]["type"], "request_too_large");
    for _ in 0..2 {
        fake.fault("_bulk", Wrong::Answer(413, ""));
    }
    let error = deliver(&writer(&fake), &documents(2..3)).await.unwrap_err();
    assert_eq!(error.error_type(), "Elasticsearch.Refused");
}

#[tokio::test]
async fn a_document_in_a_failure_store_stops() {
    for change in [
        (|answer| answer["items"][1]["create"]["failure_store"] = json!("used")) as fn(&mut Value),
        |answer| answer["items"][1]["create"]["_index"] = json!(".fs-logs-lastpass.user-default-2026.11.23-000002"),
        |answer| {
            for item in answer["items"].as_array_mut().unwrap() {
                item["create"]["_index"] = json!(".fs-logs-lastpass.user-default-2026.11.23-000002");
            }
        },
    ] {
        let fake = Fake::start().await;
        fake.fault("_bulk", Wrong::Change(change));
        let error = deliver(&writer(&fake), &documents(0..3)).await.unwrap_err();
        assert_eq!(error.error_type(), "Elasticsearch.Refused");
        assert!(error.to_string().contains("_options {\"failure_store\": {\"enabled\": false}}"), "{error}");
    }
}

#[tokio::test]
async fn a_permanent_refusal_stops_at_once_with_its_error_type() {
    let whole = [
        (401, "security_exception", "Elasticsearch.Unauthorized"),
        (403, "security_exception", "Elasticsearch.Forbidden"),
        (403, "cluster_block_exception", "Elasticsearch.Refused"),
        (429, "cluster_block_exception", "Elasticsearch.Refused"),
        (404, "index_not_found_exception", "Elasticsearch.NotSetUp"),
        (400, "action_request_validation_exception", "Elasticsearch.Refused"),
    ];
    for (status, refusal, error_type) in whole {
        let fake = Fake::start().await;
        let body = json!({"error": {"type": refusal, "reason": "r"}, "status": status}).to_string();
        fake.fault("_bulk", Wrong::Answer(status, body.leak()));
        let error = deliver(&writer(&fake), &documents(0..3)).await.unwrap_err();
        assert_eq!(error.error_type(), error_type, "{status} {refusal}: {error}");
        assert_eq!(fake.seen("_bulk").len(), 1);
        fake.fault("_bulk", Wrong::RefuseItems(vec![2], status, refusal));
        if status != 400 {
            let error = deliver(&writer(&fake), &documents(0..3)).await.unwrap_err();
            assert_eq!(error.error_type(), error_type, "item {status} {refusal}: {error}");
        }
    }
    let fake = Fake::start().await;
    fake.fault(
        "_bulk",
        Wrong::Change(|answer| {
            for item in answer["items"].as_array_mut().unwrap() {
                item["create"] = json!({"_index": USERS, "_id": item["create"]["_id"], "status": 400, "error": {
                "type": "illegal_argument_exception", "reason": "pipeline with id [x] does not exist"}});
            }
        }),
    );
    let error = deliver(&writer(&fake), &documents(0..3)).await.unwrap_err();
    assert_eq!(error.error_type(), "Elasticsearch.NotSetUp");
    assert!(error.to_string().contains("index.final_pipeline"), "{error}");
}

#[tokio::test]
async fn a_response_of_something_else_counts_as_unreachable() {
    for (status, body) in [
        (200, "<html>Sign in</html>"),
        (200, "{\"ok\": true}"),
        (404, "{\"ok\": false, \"message\": \"Unknown resource.\"}"),
        (403, "{\"ok\": false, \"message\": \"Forbidden\"}"),
        (502, "<html>Bad gateway</html>"),
    ] {
        let fake = Fake::start().await;
        for _ in 0..50 {
            fake.fault("_bulk", Wrong::Answer(status, body));
        }
        let error = deliver(&writer(&fake), &documents(0..3)).await.unwrap_err();
        assert_eq!(error.error_type(), "Elasticsearch.Unreachable", "{status} {body}: {error}");
        assert!(!error.to_string().contains(body));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Fake::start().await;
    let fake = Fake::start().await;
    for _ in 0..50 {
        let location = format!("{}/elsewhere", target.url).leak();
        fake.fault("_bulk", Wrong::AnswerWith(307, ("location", location), ""));
    }
    let error = deliver(&writer(&fake), &documents(0..1)).await.unwrap_err();
    assert_eq!(error.error_type(), "Elasticsearch.Unreachable");
    assert!(error.to_string().contains("redirect"), "{error}");
    assert!(target.seen("").is_empty());
}

#[tokio::test]
async fn a_response_after_the_deadline_is_out_of_time() {
    let fake = Fake::start().await;
    fake.fault("_bulk", Wrong::Hang);
    let deadline = Deadline::after(Duration::from_millis(300));
    let error = writer_until(&fake, deadline).deliver(&documents(0..1), Timestamp::MIN).await.unwrap_err();
    assert!(error.is_out_of_time(), "{error}");
    let passed = Deadline::after(Duration::ZERO);
    let error = writer_until(&fake, passed).deliver(&documents(0..1), Timestamp::MIN).await.unwrap_err();
    assert!(error.is_out_of_time(), "{error}");
    assert_eq!(fake.seen("_bulk").len(), 1);
}

#[tokio::test]
async fn an_unreachable_cluster_is_reported_before_the_deadline() {
    let url = {
        let fake = Fake::start().await;
        fake.url.clone()
    };
    let deadline = Deadline::after(Duration::from_secs(2));
    let client = try_client(&url, KEY, deadline).unwrap();
    let error = fetch_cluster_info(&client).await.unwrap_err();
    assert_eq!(error.error_type(), "Elasticsearch.Unreachable");
    assert!(!error.is_out_of_time() && !deadline.remaining().is_zero());
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(!source.contains("http://"), "{source}");
}

/// A resolver that never answers.
struct SilentResolver;

impl reqwest::dns::Resolve for SilentResolver {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        Box::pin(std::future::pending())
    }
}

#[expect(clippy::disallowed_methods, reason = "a client whose connect timeout is short")]
#[tokio::test]
async fn a_connection_that_is_not_established_in_time_is_no_late_response() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    for deadline in [Deadline::after(Duration::from_secs(10)), Deadline::after(Duration::from_secs(3_600))] {
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_millis(20))
            .dns_resolver(std::sync::Arc::new(SilentResolver))
            .build()
            .unwrap();
        let endpoint = Endpoint::from_url("https://es.example").unwrap();
        let client = Client::new(http, endpoint, &Login::ApiKey(KEY.into()), deadline).unwrap();
        let request = transport::Request::new(Operation::ReadInfo, reqwest::Method::GET, "/".into());
        let error = client.send(&request).await.map(drop).unwrap_err();
        assert!(matches!(error, Error::Unreachable { fault: Unanswered::Connection, .. }), "{error}");
    }
}

#[tokio::test]
async fn snapshots_are_read_only_after_every_shard_was_refreshed() {
    fn error(answer: &mut Value, error_type: &str) {
        answer["docs"][7]["error"] = json!({"type": error_type});
    }
    let fake = Fake::start().await;
    let client = client(&fake);
    fake.insert(USERS, "a");
    let namespace = Namespace::new("default").unwrap();
    let query = SnapshotQuery {
        data_stream: Stream::User.data_stream(&namespace),
        letters: DataStream::dead_letter(&namespace),
        account: AccountNumber::new("1234567").unwrap(),
        organization: crate::document::Organization { id: None, name: None },
        timestamps: [NOW.parse().unwrap(); 2],
        key: &["user.id"],
        fields: &["user.id"],
    };
    let mut requests = Vec::new();
    for wrong in [
        Wrong::Change(|answer| error(answer, "es_rejected_execution_exception")),
        Wrong::Change(|answer| error(answer, "no_shard_available_action_exception")),
        // The search leaves these indices out as well.
        Wrong::Change(|answer| error(answer, "index_not_found_exception")),
        Wrong::Change(|answer| error(answer, "index_closed_exception")),
        // The search reports these errors.
        Wrong::Change(|answer| error(answer, "cluster_block_exception")),
        Wrong::Change(|answer| error(answer, "security_exception")),
    ] {
        let before = fake.seen("_mget").len();
        fake.fault("_mget", wrong);
        fake.fault("_pit", Wrong::Answer(200, r#"{"id": "p"}"#));
        assert!(Snapshots::open(&client, query.clone()).await.unwrap().is_some());
        requests.push(fake.seen("_mget").len() - before);
    }
    assert_eq!(requests, [2, 2, 1, 1, 1, 1]);
    assert_eq!(fake.faults_left(), 0);
}

#[tokio::test]
async fn every_data_stream_with_documents_of_others_is_named() {
    const EVENTS: &str = "logs-lastpass.event_report-default";
    let fake = Fake::start().await;
    for data_stream in [USERS, EVENTS] {
        fake.insert(data_stream, "a");
    }
    let index = |data_stream| format!(".ds-{data_stream}-2026.11.23-000001");
    // More documents in one index than a search returns.
    let answer = json!({
        "hits": {"total": {"value": 301}, "hits": vec![json!({"_index": index(USERS), "_id": "a"}); 200]},
        "aggregations": {"indices": {"buckets": [{"key": index(USERS)}, {"key": index(EVENTS)}]}},
    });
    fake.fault("_search", Wrong::Answer(200, answer.to_string().leak()));
    let namespace = Namespace::new("default").unwrap();
    let found = fetch_other_writers(&client(&fake), &namespace).await.unwrap();
    assert_eq!(found, Some((301, vec![EVENTS.to_owned(), USERS.to_owned()])));
}

#[tokio::test]
async fn a_deleted_index_that_is_still_listed_is_looked_up_with_pauses() {
    fn gone(answer: &mut Value) {
        answer["docs"][0]["error"] = json!({"type": "index_not_found_exception"});
    }
    let fake = Fake::start().await;
    fake.insert(USERS, "id0000");
    for _ in 0..200 {
        fake.fault("_mget", Wrong::Change(gone));
    }
    let writer = writer_until(&fake, Deadline::after(Duration::from_secs(2)));
    let error = deliver(&writer, &documents(0..1)).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert!(fake.seen("_mget").len() < 20, "{}", fake.seen("_mget").len());
}

#[tokio::test]
async fn delivered_letters_cost_no_search_for_letters() {
    let fake = Fake::start().await;
    let client = client(&fake);
    fake.insert(USERS, "a");
    let page = json!({"hits": {"total": {"value": 1}, "hits": [{
        "_id": "l",
        "_source": {"lastpass": {"dead_letter": {"data_stream": USERS, "document_id": "a"}}},
        "sort": [0, USERS, "a"],
    }]}});
    let end = r#"{"hits": {"total": {"value": 1}, "hits": []}}"#;
    let namespace = Namespace::new("default").unwrap();
    let filter = LetterFilter {
        target: Stream::User.data_stream(&namespace),
        account: AccountNumber::new("1234567").unwrap(),
        refused_from: None,
    };
    let mut letters = WaitingLetters::new(&client, DataStream::dead_letter(&namespace), &filter);
    fake.fault("_search", Wrong::Answer(200, page.to_string().leak()));
    fake.fault("_search", Wrong::Answer(200, end));
    assert_eq!(letters.fetch().await.unwrap(), []);
    assert_eq!(fake.seen("_search").len(), 2, "two pages");
}

#[test]
fn a_delivery_can_move_between_threads() {
    fn is_send<T: Send>(_: T) {}
    fn with(writer: &BulkWriter, documents: &[Document]) {
        is_send(writer.deliver(documents, Timestamp::MIN));
    }
    let _ = with;
}

// ---- setup

fn names() -> [&'static str; 5] {
    ["change", "dead_letter", "detailed_shared_folder", "event_report", "user"]
}

#[tokio::test]
async fn setup_installs_every_asset_and_can_be_repeated() {
    let fake = Fake::start().await;
    let client = client(&fake);
    assert!(!is_set_up(&client).await.unwrap());
    for _ in 0..2 {
        let installed = setup(&client, &SetupOptions::default()).await.unwrap();
        assert_eq!(installed.len(), 12);
        assert!(installed.contains(&"index template lastpass-elastic.user".to_owned()));
    }
    assert!(is_set_up(&client).await.unwrap());
    let events = fake.installed("/_component_template/lastpass-elastic.event_report").unwrap();
    assert_eq!(events["template"]["settings"]["index"]["final_pipeline"], "lastpass-elastic-geoip");
    assert!(fake.installed("/_ingest/pipeline/lastpass-elastic-geoip").is_some());
    assert!(fake.seen("_rollover").is_empty());
}

#[tokio::test]
async fn templates_of_a_newer_version_suffice_and_older_ones_do_not() {
    let fake = Fake::start().await;
    let client = client(&fake);
    for (version, is_enough) in [(assets::VERSION - 1, false), (assets::VERSION, true), (assets::VERSION + 1, true)] {
        for name in names() {
            let body = json!({"_meta": {"lastpass_elastic": {"version": version}}});
            fake.put(&format!("/_index_template/lastpass-elastic.{name}"), body);
        }
        assert_eq!(is_set_up(&client).await.unwrap(), is_enough, "{version}");
    }
    fake.put("/_index_template/lastpass-elastic.user", json!({"_meta": {}}));
    assert!(!is_set_up(&client).await.unwrap());
}

#[tokio::test]
async fn without_a_geoip_processor_no_template_names_the_pipeline() {
    let fake = Fake::start().await;
    let refusal = r#"{"error": {"type": "parse_exception", "reason": "No processor type exists with name [geoip]", "processor_type": "geoip"}, "status": 400}"#;
    fake.fault("_ingest", Wrong::Answer(400, refusal));
    let installed = setup(&client(&fake), &SetupOptions::default()).await.unwrap();
    assert_eq!(installed.len(), 11);
    for name in names() {
        let template = fake.installed(&format!("/_component_template/lastpass-elastic.{name}")).unwrap();
        assert_eq!(template["template"]["settings"], json!({"index": {"mapping": {"ignore_malformed": false}}}));
    }
}

#[tokio::test]
async fn a_cluster_without_failure_stores_gets_templates_that_do_not_mention_them() {
    let fake = Fake::start().await;
    let unknown = r#"{"error": {"type": "x_content_parse_exception", "reason": "[1:79] [index_template] failed to parse field [template]"}, "status": 400}"#;
    for _ in names() {
        fake.fault("_index_template", Wrong::Answer(400, unknown));
        setup(&client(&fake), &SetupOptions::default()).await.unwrap();
    }
    for name in names() {
        let template = fake.installed(&format!("/_index_template/lastpass-elastic.{name}")).unwrap();
        let has_switch = template.pointer("/template/data_stream_options/failure_store/enabled") == Some(&json!(false));
        assert!(has_switch || template.get("template").is_none());
    }
    let first = fake.installed("/_index_template/lastpass-elastic.event_report").unwrap();
    assert_eq!(first.get("template"), None);
}

#[tokio::test]
async fn a_retention_is_set_and_kept() {
    let fake = Fake::start().await;
    let client = client(&fake);
    let path = "/_component_template/lastpass-elastic@lifecycle";
    let lifecycle = || fake.installed(path).unwrap()["template"]["lifecycle"].clone();
    setup(&client, &SetupOptions::default()).await.unwrap();
    assert_eq!(lifecycle(), json!({"enabled": true}));
    let year = SetupOptions { retention: Some("365d".to_owned()), ..SetupOptions::default() };
    setup(&client, &year).await.unwrap();
    assert_eq!(lifecycle(), json!({"enabled": true, "data_retention": "365d"}));
    setup(&client, &SetupOptions::default()).await.unwrap();
    assert_eq!(lifecycle(), json!({"enabled": true, "data_retention": "365d"}));
    // A change by the user stays as well.
    fake.put(path, json!({"template": {"lifecycle": {"enabled": false}}}));
    setup(&client, &SetupOptions::default()).await.unwrap();
    assert_eq!(lifecycle(), json!({"enabled": false}));
    assert!(fake.seen("_lifecycle").is_empty(), "there is no data stream yet");

    fake.insert(USERS, "a");
    setup(&client, &SetupOptions::default()).await.unwrap();
    assert!(fake.installed(&format!("/_data_stream/{USERS}/_lifecycle")).is_none());
    setup(&client, &year).await.unwrap();
    let applied = fake.installed(&format!("/_data_stream/{USERS}/_lifecycle")).unwrap();
    assert_eq!(applied, json!({"data_retention": "365d"}));
}

#[tokio::test]
async fn data_streams_with_an_older_template_version_are_rolled_over_once() {
    let fake = Fake::start().await;
    let client = client(&fake);
    let mapping = |version: u64, at: usize| {
        let index = format!(".ds-{USERS}-2026.11.23-{at:06}");
        let mut mappings = serde_json::Map::new();
        mappings.insert(index.clone(), json!({"mappings": {"_meta": {"lastpass_elastic": {"version": version}}}}));
        fake.put(&format!("/{index}/_mapping"), Value::Object(mappings));
    };
    fake.insert(USERS, "a");
    mapping(assets::VERSION - 1, 1);
    setup(&client, &SetupOptions::default()).await.unwrap();
    assert_eq!(fake.seen("_rollover").len(), 1);
    let options = fake.installed(&format!("/_data_stream/{USERS}/_options")).unwrap();
    assert_eq!(options, json!({"failure_store": {"enabled": false}}));
    mapping(assets::VERSION, 2);
    setup(&client, &SetupOptions::default()).await.unwrap();
    assert_eq!(fake.seen("_rollover").len(), 1);
}

#[tokio::test]
async fn a_rollover_whose_response_was_lost_is_not_repeated() {
    for (lost, rollovers) in
        [(Wrong::TakeThenCut, 1), (Wrong::TakeThenAnswer(504, ""), 1), (Wrong::Cut, 2), (Wrong::Answer(503, ""), 2)]
    {
        let fake = Fake::start().await;
        fake.insert(USERS, "a");
        let newer = format!(".ds-{USERS}-2026.11.23-000002");
        let meta = json!({"lastpass_elastic": {"version": assets::VERSION}});
        fake.put(&format!("/{newer}/_mapping"), json!({newer: {"mappings": {"_meta": meta}}}));
        fake.fault("_rollover", lost);
        setup(&client(&fake), &SetupOptions::default()).await.unwrap();
        assert_eq!(fake.seen("_rollover").len(), rollovers);
    }
}

#[tokio::test]
async fn data_streams_of_others_are_taken_over_only_on_request() {
    const TEAM_B: &str = "logs-lastpass.event_report-team_b";
    let fleet = json!({"package": {"name": "lastpass"}, "managed_by": "fleet", "managed": true});
    for (data_stream, meta, words) in [
        (USERS, fleet.clone(), "created by Fleet for the integration \"lastpass\", index template logs-lastpass"),
        // In another namespace: its next rollover would use our template.
        (TEAM_B, fleet, "created by Fleet"),
        (LETTERS, json!({"managed_by": "somebody"}), "created by \"somebody\""),
        ("logs-lastpass.detailed_shared_folder-default", Value::Null, "created by another index template"),
    ] {
        let fake = Fake::start().await;
        let client = client(&fake);
        for (name, pattern, priority) in
            [("logs", "logs-*-*", 100), ("logs-lastpass.x", "logs-lastpass.*-*", 200), ("other", "logs-other*", 300)]
        {
            let template = json!({"index_patterns": [pattern], "priority": priority});
            fake.put(&format!("/_index_template/{name}"), template);
        }
        fake.insert(data_stream, "a");
        let index = format!(".ds-{data_stream}-2026.11.23-000001");
        let mut mappings = serde_json::Map::new();
        mappings.insert(index.clone(), json!({"mappings": {"_meta": meta}}));
        fake.put(&format!("/{index}/_mapping"), Value::Object(mappings));

        let error = setup(&client, &SetupOptions::default()).await.unwrap_err();
        assert_eq!(error.error_type(), "Elasticsearch.Refused");
        let text = error.to_string();
        for word in [data_stream, words, "\"take_over\": true", "changed nothing", "unparsed", "logs-lastpass.x"] {
            assert!(text.contains(word), "{word} is not in: {text}");
        }
        assert!(!error.is_auth() && !error.is_retryable());
        assert!(fake.seen("lastpass-elastic").is_empty(), "nothing was installed");

        let options = SetupOptions { take_over: true, ..SetupOptions::default() };
        assert_eq!(setup(&client, &options).await.unwrap().len(), 12);
        assert_eq!(fake.seen("_rollover").len(), 1);
        // `setup` no longer needs permission.
        setup(&client, &SetupOptions::default()).await.unwrap();
    }
}

#[tokio::test]
async fn setup_changes_nothing_in_a_cluster_that_is_too_old() {
    let fake = Fake::start().await;
    for version in ["7.17.29", "8.12.2", "8.12.2-SNAPSHOT"] {
        fake.set_version(version);
        let error = setup(&client(&fake), &SetupOptions::default()).await.unwrap_err();
        assert_eq!(error.error_type(), "Elasticsearch.Refused");
        let text = error.to_string();
        assert!(text.contains(version) && text.contains("8.13 or later"), "{text}");
    }
    assert!(fake.seen("lastpass-elastic").is_empty());
    for version in ["8.13.0", "9.1.0-SNAPSHOT"] {
        fake.set_version(version);
        setup(&client(&fake), &SetupOptions::default()).await.unwrap();
    }
}

/// Returns the privileges in the last `_has_privileges` request, on the cluster and on indices.
fn asked_privileges(fake: &Fake) -> Vec<String> {
    let questions = fake.seen("_has_privileges");
    let question: Value = serde_json::from_str(&questions.last().unwrap().body).unwrap();
    let on_indices = question["index"].as_array().unwrap().iter().flat_map(|on| on["privileges"].as_array().unwrap());
    let all = question["cluster"].as_array().unwrap().iter().chain(on_indices);
    all.map(|privilege| privilege.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_serverless_project_is_asked_only_about_privileges_that_it_knows() {
    /// Source: Elasticsearch, `ServerlessSupportedPrivilegesRegistry`.
    const KNOWN: &str = "all cancel_task manage manage_api_key manage_behavioral_analytics manage_enrich \
        manage_index_templates manage_ingest_pipelines manage_logstash_pipelines manage_ml manage_own_api_key \
        manage_pipeline manage_search_application manage_search_query_rules manage_search_synonyms manage_security \
        manage_transform monitor monitor_enrich monitor_ml monitor_transform none post_behavioral_analytics_event \
        read_pipeline read_security \
        auto_configure create create_doc create_index delete delete_index index maintenance \
        manage_data_stream_lifecycle read view_index_metadata write";
    let known: Vec<&str> = KNOWN.split_whitespace().collect();
    let fake = Fake::start().await;
    let client = client(&fake);
    let namespace = Namespace::new("default").unwrap();
    let nothing = r#"{"cluster": {}, "index": {}}"#;
    let cluster =
        |serverless| ClusterInfo { name: "c".to_owned(), uuid: None, version: "8.11.0".to_owned(), serverless };
    fake.fault("_has_privileges", Wrong::Answer(200, nothing));
    fetch_excess_privileges(&client, &cluster(true), &namespace).await.unwrap();
    let asked = asked_privileges(&fake);
    assert!(asked.iter().all(|privilege| known.contains(&privilege.as_str())), "{asked:?}");
    assert!(
        ["all", "manage_security", "manage_own_api_key", "delete"].iter().all(|it| asked.contains(&(*it).to_owned()))
    );
    for role in [Role::Writer, Role::Installer] {
        fake.fault("_has_privileges", Wrong::Answer(200, nothing));
        fetch_missing_privileges(&client, role, &namespace).await.unwrap();
        assert!(asked_privileges(&fake).iter().all(|privilege| known.contains(&privilege.as_str())));
    }
    // Other clusters are asked about all privileges.
    fake.fault("_has_privileges", Wrong::Answer(200, nothing));
    fetch_excess_privileges(&client, &cluster(false), &namespace).await.unwrap();
    assert!(["manage_ilm", "grant_api_key"].iter().all(|it| asked_privileges(&fake).contains(&(*it).to_owned())));
}

#[tokio::test]
async fn a_refused_template_is_reported_with_its_reason() {
    let fake = Fake::start().await;
    let refusal =
        r#"{"error": {"type": "illegal_argument_exception", "reason": "same priority [350]"}, "status": 400}"#;
    fake.fault("_index_template", Wrong::Answer(400, refusal));
    let error = setup(&client(&fake), &SetupOptions::default()).await.unwrap_err();
    assert_eq!(error.error_type(), "Elasticsearch.Refused");
    assert!(error.to_string().contains("same priority [350]"), "{error}");
}

#[tokio::test]
async fn a_data_stream_deleted_during_setup_is_skipped() {
    const FORBIDDEN: &str = r#"{"error": {"type": "security_exception", "reason": "no"}, "status": 403}"#;
    const GONE: &str = r#"{"error": {"type": "index_not_found_exception", "reason": "no"}, "status": 404}"#;
    let fake = Fake::start().await;
    let client = client(&fake);
    fake.insert(USERS, "a");
    // Deleted before its creator is read, and before it is updated.
    for _ in 0..2 {
        fake.fault("_mapping", Wrong::Answer(403, FORBIDDEN));
        fake.fault("_resolve/index/logs-lastpass.user-default", Wrong::Answer(404, GONE));
    }
    setup(&client, &SetupOptions::default()).await.unwrap();
    assert!(fake.seen("_rollover").is_empty());

    // After a rollover in the meantime, the new write index is checked.
    fake.fault("_mapping", Wrong::Answer(403, FORBIDDEN));
    fake.fault("_resolve/index/logs-lastpass.user-default", Wrong::RollOver);
    setup(&client, &SetupOptions::default()).await.unwrap();
    assert_eq!(fake.seen("_mapping").last().unwrap().path, format!("/.ds-{USERS}-2026.11.23-000002/_mapping"));
    assert_eq!(fake.faults_left(), 0);

    // A privilege that is really missing is still reported.
    fake.fault("_mapping", Wrong::Answer(403, FORBIDDEN));
    let error = setup(&client, &SetupOptions::default()).await.unwrap_err();
    assert_eq!(error.error_type(), "Elasticsearch.Forbidden");
    assert!(error.to_string().contains("`manage`"), "{error}");
}
