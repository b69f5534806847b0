//! Judges responses of Elasticsearch without a server that sends them.

#![allow(clippy::expect_used, reason = "only for tests")]

use std::sync::LazyLock;

use elasticsearch::http::StatusCode;
use jiff::Timestamp;
use serde_json::json;

use super::bulk::BulkApi;
use super::judge::Refusal;
use super::response::Response;
use super::{Client, Error, Login, Operation, Origin, dead_letter};
use crate::clock::Deadline;
use crate::document::{AccountNumber, DataStream, DocId, Document, Namespace, Stream};
use crate::endpoint::Endpoint;

static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    let endpoint = Endpoint::from_url("https://es.example:9243").expect("an endpoint");
    let key = Login::ApiKey("ZnV6ei1rZXktaWRlbnRpdHk6ZnV6ei1rZXktdGhhdC1pcy1zZWNyZXQ=".into());
    Client::new(crate::http::for_tests(), endpoint, &key, Deadline::after(std::time::Duration::from_secs(3_600)))
        .expect("a client")
});

/// Judges a response to a bulk of the documents `ids`.
pub(crate) fn judge_bulk(status: u16, body: &[u8], ids: &[&str]) -> Result<(), Error> {
    let namespace = Namespace::new("default").expect("a namespace");
    let operation = Operation::Write;
    let bulk = BulkApi { client: CLIENT.clone(), data_stream: Stream::User.data_stream(&namespace), operation };
    let ids: Vec<DocId> = ids.iter().map(|id| DocId((*id).to_owned())).collect();
    let status = StatusCode::from_u16(status).expect("a status");
    let response = Response { operation, status, retry_after: None, body: body.to_vec() };
    bulk.read(&response, ids.iter(), |_| false).map(drop)
}

/// Returns the dead letter of a document that `target` refused.
pub(crate) fn letter(target: &DataStream, document: &Document, now: Timestamp) -> String {
    let letters = DataStream::dead_letter(&Namespace::new("default").expect("a namespace"));
    let refusal = Refusal { error_type: "document_parsing_exception".to_owned(), reason: "because".to_owned() };
    let origin = Origin {
        account: AccountNumber::new("12345").expect("an account number"),
        request_id: "request-1".to_owned(),
        request: json!({"action": "collect"}),
    };
    dead_letter::letter_source(&dead_letter::Letter {
        letters: &letters,
        target,
        document,
        refusal: &refusal,
        origin: &origin,
        now,
    })
}
