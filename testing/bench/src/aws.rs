//! A minimal stand-in for DynamoDB and Secrets Manager: one secret, and a table that accepts every write.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Response, header},
};
use serde_json::{Map, Value, json};

use crate::{Error, server::Server};

/// A running stand-in.
pub(crate) struct Aws {
    server: Server,
    shared: Arc<Shared>,
}

struct Shared {
    secret: String,
    table: Mutex<Table>,
}

/// The items of the table by their key, and the operations that were called.
#[derive(Default)]
struct Table {
    items: BTreeMap<String, Map<String, Value>>,
    operations: Vec<String>,
}

impl Aws {
    /// Starts a stand-in with this text in its secret, and an empty table.
    pub(crate) async fn start(secret: String, delay: Duration) -> Result<Self, Error> {
        let shared = Arc::new(Shared { secret, table: Mutex::default() });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        Ok(Self { server: Server::start(router, delay).await?, shared })
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// Returns the operations since the last call.
    pub(crate) fn take_operations(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.table().operations)
    }

    /// Deletes all items.
    pub(crate) fn empty_table(&self) {
        self.shared.table().items.clear();
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = target.split_once('.').map_or(target, |(_, operation)| operation);
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut table = shared.table();
    table.operations.push(operation.to_owned());
    let key = request["Key"]["pk"]["S"].as_str().unwrap_or_default();
    let answer = match operation {
        "GetSecretValue" => json!({"ARN": "arn", "Name": "bench", "SecretString": shared.secret}),
        "GetItem" => table.items.get(key).map_or(json!({}), |item| json!({"Item": item})),
        "Scan" | "Query" => json!({"Items": table.items.values().collect::<Vec<_>>()}),
        "UpdateItem" => update(table.items.entry(key.to_owned()).or_default(), &request),
        _ => json!({}),
    };
    drop(table);
    let mut response = Response::new(Body::from(answer.to_string()));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/x-amz-json-1.0"));
    response
}

/// Applies `SET #name = :value, … REMOVE #name, …` to an item. Its condition holds, because only one run changes it.
fn update(item: &mut Map<String, Value>, request: &Value) -> Value {
    let before = item.clone();
    item.insert("pk".to_owned(), request["Key"]["pk"].clone());
    let expression = request["UpdateExpression"].as_str().unwrap_or_default();
    let (set, remove) = expression.split_once(" REMOVE ").unwrap_or((expression, ""));
    let name = |placeholder: &str| request["ExpressionAttributeNames"][placeholder.trim()].as_str();
    for assignment in set.trim_start_matches("SET ").split(", ") {
        if let Some((placeholder, value)) = assignment.split_once(" = ")
            && let Some(name) = name(placeholder)
        {
            item.insert(name.to_owned(), request["ExpressionAttributeValues"][value.trim()].clone());
        }
    }
    for name in remove.split(", ").filter_map(name) {
        item.remove(name);
    }
    match request["ReturnValues"].as_str() {
        Some("ALL_NEW") => json!({"Attributes": item}),
        Some("ALL_OLD") if !before.is_empty() => json!({"Attributes": before}),
        _ => json!({}),
    }
}
