//! Makes the calls to DynamoDB: read one item, several or all of them, change one item under a condition, and change a
//! set of texts.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::get_item::builders::GetItemFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, ReturnValue, ReturnValuesOnConditionCheckFailure};
use jiff::Timestamp;

use super::Destination;
use super::Error;
use super::attributes::Attributes;
use super::item::{
    AttributeChange, DESTINATION, EXPIRES, EXPIRES_AT, LEASE, LEASE_TIME, PK, REQUEST_ID, TOKEN, VERSION, WRITE_ID,
    destination_value, lease_value, number,
};
use crate::aws::{self, CallError};
use crate::clock::Deadline;

/// Maximum time for the retries of one call. After that the lease has expired, and the result of the call is out of date.
const RETRY_TIMEOUT: Duration = LEASE_TIME;

/// Maximum number of items in one `BatchGetItem`. Source:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>
const BATCH_KEYS: usize = 100;

const GET: &str = "dynamodb:GetItem";
const UPDATE: &str = "dynamodb:UpdateItem";
const SCAN: &str = "dynamodb:Scan";
const BATCH_GET: &str = "dynamodb:BatchGetItem";

/// The condition of a write. The write fails if it does not hold.
#[derive(Debug, Clone)]
pub(super) enum Condition {
    /// The item does not exist.
    Absent,
    /// The item has not changed since it was read.
    Unchanged {
        /// Its version.
        version: u64,
        /// Its last write. The version would also match an item that was deleted and created again.
        write_id: String,
    },
    /// This run holds the lease, and the item has not changed since its last write.
    Held {
        /// The version of the last write.
        version: u64,
        /// The lease's token.
        token: String,
    },
}

/// One conditional change of an item. Its ID identifies it across retries.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) id: String,
    pub(super) condition: Condition,
    pub(super) changes: Vec<AttributeChange>,
}

/// One write that takes the lease of an item and returns the item as it was before. It takes effect if the item belongs
/// to `destination` and no other run holds its lease. A retry of Lambda has the `request_id` of the first attempt.
#[derive(Debug, Clone)]
pub(super) struct Take<'a> {
    pub(super) write_id: &'a str,
    pub(super) token: &'a str,
    pub(super) request_id: &'a str,
    pub(super) now: Timestamp,
    pub(super) expires: Timestamp,
    pub(super) destination: &'a Destination,
}

/// The outcome of a write.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The write took effect. Contains the item as it was before, if the write requested it.
    Done(Option<Attributes>),
    /// The item does not meet the condition. Contains the item, if there is one.
    Refused(Option<Attributes>),
}

/// The table, with the deadline of its calls. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Table {
    client: Client,
    pub(super) name: String,
    pub(super) deadline: Deadline,
}

impl Table {
    pub(super) fn new(client: &Client, name: String, deadline: Deadline) -> Self {
        let config = client.config().to_builder().retry_config(aws::retries()).timeout_config(aws::timeouts());
        Self { client: Client::from_conf(config.build()), name, deadline }
    }

    pub(super) async fn get(&self, pk: &str) -> Result<Option<Attributes>, Error> {
        let request = self.get_request(pk);
        let answer = aws::call(GET, RETRY_TIMEOUT, self.deadline, || request.clone().send()).await;
        Ok(answer.map_err(|fault| Error::of_call(fault, GET, &self.name))?.item)
    }

    /// Reads an item, which may be absent, to get the time of DynamoDB's response (`Date`, to the second). Returns
    /// `None` if the response has no such header.
    pub(super) async fn server_time(&self, pk: &str) -> Result<Option<Timestamp>, Error> {
        let date = DateHeader::default();
        let request = self.get_request(pk);
        let answer = aws::call(GET, RETRY_TIMEOUT, self.deadline, || {
            request.clone().customize().interceptor(date.clone()).send()
        });
        answer.await.map_err(|fault| Error::of_call(fault, GET, &self.name))?;
        Ok(date.seen())
    }

    fn get_request(&self, pk: &str) -> GetItemFluentBuilder {
        let key = AttributeValue::S(pk.to_owned());
        self.client.get_item().table_name(&self.name).key(PK, key).consistent_read(true)
    }

    /// Reads all items. One page holds 1 MB, which is thousands of items.
    pub(super) async fn scan(&self) -> Result<Vec<Attributes>, Error> {
        let mut items = Vec::new();
        let mut start = None;
        loop {
            let request =
                self.client.scan().table_name(&self.name).consistent_read(true).set_exclusive_start_key(start);
            let answer = aws::call(SCAN, RETRY_TIMEOUT, self.deadline, || request.clone().send()).await;
            let page = answer.map_err(|fault| Error::of_call(fault, SCAN, &self.name))?;
            // DynamoDB always returns a list, which may be empty.
            let found = page.items.ok_or_else(|| {
                Error::of_call(CallError::transient("the response contains no list of items"), SCAN, &self.name)
            })?;
            items.extend(found);
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(items);
            }
        }
    }

    /// Reads several items, up to [`BATCH_KEYS`] in one call. Items that do not exist are left out.
    ///
    /// # Errors
    /// Errors of the calls to DynamoDB.
    #[expect(clippy::expect_used, reason = "the builder needs the keys, and they are set")]
    pub(super) async fn get_all(&self, pks: &[String]) -> Result<Vec<Attributes>, Error> {
        let key = |pk: &String| HashMap::from([(PK.to_owned(), AttributeValue::S(pk.clone()))]);
        let mut items = Vec::new();
        let mut backoff = aws::backoff();
        for pks in pks.chunks(BATCH_KEYS) {
            let keys = KeysAndAttributes::builder().consistent_read(true).set_keys(Some(pks.iter().map(key).collect()));
            let mut wanted = Some(HashMap::from([(self.name.clone(), keys.build().expect("keys"))]));
            while let Some(keys) = wanted {
                let request = self.client.batch_get_item().set_request_items(Some(keys));
                let answer = aws::call(BATCH_GET, RETRY_TIMEOUT, self.deadline, || request.clone().send()).await;
                let page = answer.map_err(|fault| Error::of_call(fault, BATCH_GET, &self.name))?;
                items.extend(page.responses.unwrap_or_default().into_values().flatten());
                // A throttled table leaves keys unprocessed, and returns them.
                wanted = page.unprocessed_keys.filter(|keys| !keys.is_empty());
                if wanted.is_some() {
                    tokio::time::sleep(backoff.pause()).await;
                }
            }
        }
        Ok(items)
    }

    /// Adds `text` to the set `name` of an item, or removes it. `verb` is `ADD` or `DELETE`.
    ///
    /// # Errors
    /// Errors of the call to DynamoDB.
    pub(super) async fn change_set(&self, pk: &str, verb: &str, name: &str, text: String) -> Result<(), Error> {
        let request = self
            .update_request(pk)
            .update_expression(format!("{verb} #name :value"))
            .expression_attribute_names("#name", name)
            .expression_attribute_values(":value", AttributeValue::Ss(vec![text]));
        self.call_update(request).await.map(drop)
    }

    /// Makes a conditional write.
    ///
    /// # Errors
    /// Errors of the call to DynamoDB.
    pub(super) async fn update(&self, pk: &str, write: &Write) -> Result<Outcome, Error> {
        self.call_update(write.request(self.update_request(pk))).await
    }

    /// Takes a lease and reads its item in one call.
    ///
    /// # Errors
    /// Errors of the call to DynamoDB.
    pub(super) async fn take(&self, pk: &str, take: &Take<'_>) -> Result<Outcome, Error> {
        self.call_update(take.request(self.update_request(pk))).await
    }

    fn update_request(&self, pk: &str) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.name)
            .key(PK, AttributeValue::S(pk.to_owned()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    async fn call_update(&self, request: UpdateItemFluentBuilder) -> Result<Outcome, Error> {
        let answer = aws::call(UPDATE, RETRY_TIMEOUT, self.deadline, || {
            let sent = request.clone().send();
            async {
                match sent.await {
                    Ok(done) => Ok(Outcome::Done(done.attributes)),
                    Err(SdkError::ServiceError(answer)) => match answer.err() {
                        UpdateItemError::ConditionalCheckFailedException(failed) => {
                            Ok(Outcome::Refused(failed.item.clone()))
                        }
                        _ => Err(SdkError::ServiceError(answer)),
                    },
                    Err(error) => Err(error),
                }
            }
        });
        answer.await.map_err(|fault| Error::of_call(fault, UPDATE, &self.name))
    }
}

/// Captures the `Date` header of a response.
#[derive(Debug, Clone, Default)]
struct DateHeader(Arc<Mutex<Option<String>>>);

impl DateHeader {
    fn seen(&self) -> Option<Timestamp> {
        let text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(jiff::fmt::rfc2822::parse(text.as_deref()?).ok()?.timestamp())
    }
}

impl Intercept for DateHeader {
    fn name(&self) -> &'static str {
        "DateHeader"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").map(str::to_owned);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

impl Write {
    pub(super) fn new(condition: Condition, changes: Vec<AttributeChange>) -> Self {
        Self { id: random_id(), condition, changes }
    }

    /// Returns the version of the item after this write.
    pub(super) const fn version(&self) -> u64 {
        match self.condition {
            Condition::Absent => 1,
            Condition::Unchanged { version, .. } | Condition::Held { version, .. } => version + 1,
        }
    }

    /// Builds an `UpdateItem`, because a `PutItem` would remove the attributes of a newer version. Uses a placeholder for
    /// every name, because names can be reserved words.
    fn request(&self, mut request: UpdateItemFluentBuilder) -> UpdateItemFluentBuilder {
        let always = [(VERSION, Some(number(self.version()))), (WRITE_ID, Some(AttributeValue::S(self.id.clone())))];
        let (mut set, mut remove) = (Vec::new(), Vec::new());
        for (name, value) in self.changes.iter().cloned().chain(always) {
            request = request.expression_attribute_names(format!("#{name}"), name);
            match value {
                Some(value) => {
                    request = request.expression_attribute_values(format!(":{name}"), value);
                    set.push(format!("#{name} = :{name}"));
                }
                None => remove.push(format!("#{name}")),
            }
        }
        let mut update = format!("SET {}", set.join(", "));
        if !remove.is_empty() {
            update = format!("{update} REMOVE {}", remove.join(", "));
        }
        let request = request.update_expression(update);
        match &self.condition {
            Condition::Absent => {
                request.expression_attribute_names("#pk", PK).condition_expression("attribute_not_exists(#pk)")
            }
            Condition::Unchanged { version, write_id } => request
                .expression_attribute_values(":was_version", number(version))
                .expression_attribute_values(":was_write_id", AttributeValue::S(write_id.clone()))
                .condition_expression("#version = :was_version AND #write_id = :was_write_id"),
            Condition::Held { version, token } => request
                .expression_attribute_names("#lease", LEASE)
                .expression_attribute_names("#token", TOKEN)
                .expression_attribute_values(":was_version", number(version))
                .expression_attribute_values(":was_token", AttributeValue::S(token.clone()))
                .condition_expression("#version = :was_version AND #lease.#token = :was_token"),
        }
    }
}

impl Take<'_> {
    fn request(&self, request: UpdateItemFluentBuilder) -> UpdateItemFluentBuilder {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        // DynamoDB compares the times as texts. With all nine decimals, this time never sorts behind a later `expires`.
        let now = self.now.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string();
        [VERSION, WRITE_ID, LEASE, EXPIRES, REQUEST_ID, EXPIRES_AT, DESTINATION]
            .into_iter()
            .fold(request, |request, name| request.expression_attribute_names(format!("#{name}"), name))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":number", text("N"))
            .expression_attribute_values(":write_id", text(self.write_id))
            .expression_attribute_values(":lease", lease_value(self.token, self.request_id, self.expires))
            .expression_attribute_values(":destination", destination_value(self.destination))
            .expression_attribute_values(":request_id", text(self.request_id))
            .expression_attribute_values(":now", text(&now))
            .update_expression(
                "SET #version = #version + :one, #write_id = :write_id, #lease = :lease REMOVE #expires_at",
            )
            .condition_expression(
                "#destination = :destination AND attribute_type(#version, :number) AND #write_id <> :write_id \
                 AND (attribute_not_exists(#lease) OR #lease.#expires < :now OR #lease.#request_id = :request_id)",
            )
            .return_values(ReturnValue::AllOld)
    }
}

/// Generates 128 random bits in hexadecimal, which identify a write or a lease. They are not a secret.
///
/// The keys of `RandomState` come from the operating system, and every hasher of a process has different keys.
pub(super) fn random_id() -> String {
    let word = || RandomState::new().hash_one(0_u8);
    format!("{:016x}{:016x}", word(), word())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use aws_config::{BehaviorVersion, Region};
    use aws_sdk_dynamodb::config::Credentials;

    use super::*;

    /// Starts a server that answers one call with `body`. Returns its URL.
    fn answer_once(body: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            // The request is complete when its JSON object is.
            while !request.ends_with(b"}") {
                let read = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..read]);
            }
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\nconnection: close";
            write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        });
        url
    }

    async fn scan(body: &'static str) -> Result<Vec<Attributes>, Error> {
        let config = aws_config::defaults(BehaviorVersion::latest())
            .http_client(crate::aws_http::shared(crate::http::for_tests()))
            .endpoint_url(answer_once(body))
            .region(Region::from_static("eu-west-1"))
            .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
            .load()
            .await;
        let deadline = Deadline::after(Duration::from_secs(60));
        Table::new(&Client::new(&config), "checkpoints".to_owned(), deadline).scan().await
    }

    #[tokio::test]
    async fn a_listing_without_items_is_an_error_and_not_an_empty_table() {
        assert_eq!(scan(r#"{"Items":[],"Count":0}"#).await.unwrap().len(), 0);
        let error = scan("{}").await.unwrap_err();
        assert_eq!(error.error_type(), "Checkpoint.Unreachable");
        assert!(format!("{error:?}").contains("no list of items"), "{error:?}");
    }
}
