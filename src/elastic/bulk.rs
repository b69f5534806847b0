//! One `_bulk` request: sends documents with the operation `create`, and reads the outcome of each.

use std::ops::ControlFlow;

use elasticsearch::BulkParts;
use reqwest::Method;
use serde::Deserialize;

use super::cause::{KeyFault, Unanswered};
use super::client::Client;
use super::encode::{Line, bulk_body};
use super::error::Error;
use super::judge::{Item, ItemOutcome, StopCause};
use super::operation::Operation;
use super::outcome::{Delivery, Outcome};
use super::remedy::{CLUSTER_BLOCK, SHARD_LIMIT, known_remedy};
use super::response::Response;
use super::transport::{Body, Request};
use crate::document::{DataStream, DocId};

const FAILURE_STORE_REMEDY: &str = "documents went into the failure store of the data stream, where no search finds \
    them: disable it (PUT _data_stream/<name>/_options {\"failure_store\": {\"enabled\": false}}) and roll over the \
    data stream; the failure store (<name>::failures) shows why they were refused";
const UNKNOWN_REMEDY: &str = "this version does not know this kind of refusal, so no dead letters were written: see \
    the Elasticsearch log, and report the refusal to the project";
const NO_TEMPLATE: &str = "no index template matches the name of the data stream";
const PIPELINE: &str = "documents were refused before they reached an index, which happens if the template names an \
    ingest pipeline that does not exist (index.final_pipeline, perhaps in a @custom component template) or that fails";

/// The outcomes of the documents of one request.
pub(super) struct BulkOutcomes {
    /// The outcome of each document, in order. None if the document has to be sent again.
    pub(super) outcomes: Vec<Option<Outcome>>,
    /// The positions of the documents that were created in a doubtful index: one that is newer than the lookup, or any index
    /// after a request whose response was lost, so that another index may contain the documents as well.
    pub(super) doubtful: Vec<usize>,
    /// The last doubtful index.
    pub(super) doubtful_index: Option<String>,
    /// Why some documents have to be sent again.
    pub(super) cause: Option<Error>,
}

/// The `_bulk` API of one data stream.
#[derive(Debug)]
pub(super) struct BulkApi {
    pub(super) client: Client,
    pub(super) data_stream: DataStream,
    pub(super) operation: Operation,
}

impl BulkApi {
    /// Sends one request that creates `lines`.
    ///
    /// # Errors
    /// [`Error`]: it is unknown which documents were created.
    pub(super) async fn create<'a>(&self, lines: impl Iterator<Item = Line<'a>> + Clone) -> Result<Response, Error> {
        let request = Request {
            query: &[
                ("require_data_stream", "true"),
                // Switches off a default pipeline, not the final one, which our own template may name.
                ("pipeline", "_none"),
                // Less than the timeout of the request, so that Elasticsearch responds while it waits for a shard.
                ("timeout", "20s"),
                (
                    "filter_path",
                    "items.create._id,items.create._index,items.create.status,items.create.failure_store,\
                     items.create.error.type,items.create.error.reason,items.create.error.caused_by",
                ),
            ],
            body: Body::GzipNdjson(bulk_body(lines)),
            ..Request::new(self.operation, Method::POST, BulkParts::Index(self.data_stream.as_str()).url())
        };
        self.client.send(&request).await
    }

    /// Reads the response to a request that creates documents with these `ids`. Breaks if the request was too large.
    /// Documents that were created in an index for which `is_doubtful` holds may be in another index as well.
    ///
    /// # Errors
    /// [`Error`] if the response is not about these documents, or if it stops the run.
    pub(super) fn read<'a>(
        &self,
        response: &Response,
        ids: impl ExactSizeIterator<Item = &'a DocId> + Clone,
        is_doubtful: impl Fn(&str) -> bool,
    ) -> Result<ControlFlow<(), BulkOutcomes>, Error> {
        #[derive(Deserialize)]
        struct Items<'a> {
            #[serde(borrow)]
            items: Vec<Action<'a>>,
        }
        #[derive(Deserialize)]
        struct Action<'a> {
            #[serde(borrow)]
            create: Item<'a>,
        }
        if let Some(error) = self.client.general_error(response) {
            return Err(error);
        }
        match response.status.as_u16() {
            200 => {}
            413 => return Ok(ControlFlow::Break(())),
            status => return Err(self.request_refused(status, response.error_type())),
        }
        let sent = ids.len();
        if let Some(index) = index_of_all(response, ids.clone()) {
            let items = (0..sent).map(|_| Item::created(index));
            return self.judge(items, is_doubtful).map(ControlFlow::Continue);
        }
        let items = self.client.parse::<Items<'_>>(response)?.items;
        let is_same = |(id, action): (&DocId, &Action<'_>)| {
            let Item { id: answered, index, .. } = &action.create;
            answered.as_ref().is_some_and(|answered| answered.as_str() == id.as_str()) && index.is_some()
        };
        if items.len() != sent || !ids.zip(&items).all(is_same) {
            let fault = Unanswered::ItemMismatch { sent, answered: items.len() };
            return Err(self.client.unreachable(self.operation, fault));
        }
        self.judge(items.into_iter().map(|action| action.create), is_doubtful).map(ControlFlow::Continue)
    }

    /// Gives each item its outcome.
    fn judge<'a>(
        &self,
        items: impl ExactSizeIterator<Item = Item<'a>>,
        is_doubtful: impl Fn(&str) -> bool,
    ) -> Result<BulkOutcomes, Error> {
        let outcomes = Vec::with_capacity(items.len());
        let mut result = BulkOutcomes { outcomes, doubtful: Vec::new(), doubtful_index: None, cause: None };
        for (position, item) in items.enumerate() {
            let doubtful = is_doubtful(item.index()).then(|| item.index().to_owned());
            result.outcomes.push(match item.judge(self.data_stream.as_str()) {
                ItemOutcome::Created => {
                    if doubtful.is_some() {
                        result.doubtful.push(position);
                        result.doubtful_index = doubtful;
                    }
                    Some(Ok(Delivery::Created))
                }
                ItemOutcome::AlreadyThere => Some(Ok(Delivery::AlreadyThere)),
                ItemOutcome::DeadLetter(refusal) => Some(Err(refusal)),
                ItemOutcome::RetryLater { status, error_type } => {
                    // Another cause than throttling takes precedence, because it limits the retries.
                    if result.cause.as_ref().is_none_or(|cause| matches!(cause, Error::Throttled { .. })) {
                        result.cause = Some(self.retry_cause(status, error_type));
                    }
                    None
                }
                ItemOutcome::Stop { cause, status, error_type } => return Err(self.stop(cause, status, error_type)),
            });
        }
        Ok(result)
    }

    fn retry_cause(&self, status: u16, error_type: String) -> Error {
        match status {
            429 => Error::Throttled { host: self.client.host(), operation: self.operation, retry_after: None },
            _ => self.client.unreachable(self.operation, Unanswered::Items { status, error_type }),
        }
    }

    /// Returns the error of a request that was refused as a whole.
    fn request_refused(&self, status: u16, error_type: String) -> Error {
        let cause = match error_type.as_str() {
            CLUSTER_BLOCK => StopCause::Blocked,
            SHARD_LIMIT => StopCause::ShardLimit,
            "index_not_found_exception" => StopCause::NoTemplate,
            _ => StopCause::Unknown,
        };
        self.stop(cause, status, error_type)
    }

    /// Returns the error of an item that stops the run.
    pub(super) fn stop(&self, cause: StopCause, status: u16, error_type: String) -> Error {
        let (host, operation) = (self.client.host(), self.operation);
        let refused =
            |host, error_type, remedy| Error::Refused { host, operation, status, error_type, reason: None, remedy };
        match cause {
            StopCause::FailureStore => refused(host, error_type, FAILURE_STORE_REMEDY),
            StopCause::Blocked | StopCause::ShardLimit | StopCause::Unknown => {
                let remedy = known_remedy(&error_type).unwrap_or(UNKNOWN_REMEDY);
                refused(host, error_type, remedy)
            }
            StopCause::Unauthorized => Error::Unauthorized { host, why: KeyFault::Unknown },
            StopCause::Forbidden => Error::Forbidden { host, operation },
            StopCause::NoTemplate => Error::NotSetUp { host, operation, missing: NO_TEMPLATE },
            StopCause::Pipeline => Error::NotSetUp { host, operation, missing: PIPELINE },
        }
    }
}

/// Returns the index in which all documents with these `ids` were created, if the response says only that.
fn index_of_all<'r, 'a>(response: &'r Response, ids: impl Iterator<Item = &'a DocId>) -> Option<&'r str> {
    const BEGIN: &str = r#"{"items":[{"create":{"_index":""#;
    let index = response.text()?.strip_prefix(BEGIN)?.split('"').next()?;
    let begin = format!(r#"{BEGIN}{index}","_id":""#);
    let between = format!(r#"","status":201}}}},{{"create":{{"_index":"{index}","_id":""#);
    response.is_about_each(ids, [&begin, &between, r#"","status":201}}]}"#]).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_documents_that_were_all_created_in_one_index_have_an_index_of_all() {
        let item = |index: &str, id: &str, rest: &str| {
            format!(r#"{{"create":{{"_index":"{index}","_id":"{id}","status":{rest}}}}}"#)
        };
        let ids = ["x", "y"].map(|id| DocId(id.to_owned()));
        let of = |items: &[String]| {
            let body = format!(r#"{{"items":[{}]}}"#, items.join(","));
            let (operation, status) = (Operation::Write, reqwest::StatusCode::OK);
            let response = Response { operation, status, retry_after: None, body: body.into_bytes() };
            index_of_all(&response, ids.iter()).map(str::to_owned)
        };
        let created = item(".ds-1", "x", "201");
        assert_eq!(of(&[created.clone(), item(".ds-1", "y", "201")]).as_deref(), Some(".ds-1"));
        for other in [
            item(".ds-2", "y", "201"),
            item(".ds-1", "z", "201"),
            item(".ds-1", "y", "200"),
            item(".ds-1", "y", "409"),
            item(".ds-1", "y", r#"201,"failure_store":"used""#),
            item(".ds-1", "y", r#"201,"error":{"type":"x"}"#),
        ] {
            assert_eq!(of(&[created.clone(), other.clone()]), None, "{other}");
        }
        assert_eq!(of(&[created]), None);
        assert_eq!(of(&[]), None);
    }
}
