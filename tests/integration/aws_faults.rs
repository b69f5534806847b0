//! A proxy in front of the emulator that injects each planned fault once.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_config::SdkConfig;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

/// A fault of one request.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// Closes the connection before the service receives the request.
    CutBefore,
    /// Closes the connection after the service has processed the request, before the response.
    CutAfter,
    /// Closes the connection in the middle of the response.
    CutInAnswer,
    /// Sends a complete response with broken JSON after the service has processed the request.
    Garbled,
    /// Never sends the response, although the service processes the request.
    Stall,
    /// Holds the request until [`Proxy::let_go`], even if the client gives up.
    Hold,
    /// Sends this response. The service does not receive the request.
    Answer { status: u16, code: &'static str, message: &'static str },
    /// Sends an HTML page, as a proxy between client and service would.
    Page,
    /// Returns all keys of a `BatchGetItem` as unprocessed. The service does not receive the request.
    Unprocessed,
    /// No fault.
    Pass,
}

/// The remaining faults, and the operations so far.
#[derive(Debug, Default)]
struct Plan {
    orders: VecDeque<(&'static str, Fault)>,
    seen: Vec<String>,
    held_is_done: bool,
}

/// A running proxy. Dropping it stops it and closes all its connections.
#[derive(Debug)]
pub struct Proxy {
    pub url: String,
    plan: Arc<Mutex<Plan>>,
    let_go: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    pub async fn start(config: &SdkConfig) -> Self {
        let upstream = config.endpoint_url().unwrap().trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let plan = Arc::new(Mutex::new(Plan::default()));
        let let_go = Arc::new(Notify::new());
        let shared = (Arc::clone(&plan), Arc::clone(&let_go));
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let (upstream, (plan, let_go)) = (upstream.clone(), shared.clone());
                connections
                    .spawn(async move { while serve(&mut client, &upstream, &plan, &let_go).await.is_some() {} });
            }
        });
        Self { url, plan, let_go, task }
    }

    /// Plans one fault for each of the next requests of `operation`.
    pub fn order(&self, operation: &'static str, faults: impl IntoIterator<Item = Fault>) {
        self.plan.lock().unwrap().orders.extend(faults.into_iter().map(|fault| (operation, fault)));
    }

    /// Forwards the held request and waits for the service's response.
    pub async fn let_go(&self) {
        self.let_go.notify_one();
        while !std::mem::take(&mut self.plan.lock().unwrap().held_is_done) {
            tokio::task::yield_now().await;
        }
    }

    /// Returns the number of requests of `operation`.
    pub fn count(&self, operation: &str) -> usize {
        self.plan.lock().unwrap().seen.iter().filter(|seen| *seen == operation).count()
    }
}

impl Plan {
    fn take(&mut self, operation: String) -> Fault {
        let order = self.orders.iter().position(|(ordered, _)| *ordered == operation);
        self.seen.push(operation);
        order.and_then(|at| self.orders.remove(at)).map_or(Fault::Pass, |(_, fault)| fault)
    }
}

/// Serves one request. `None` closes the connection.
async fn serve(client: &mut TcpStream, upstream: &str, plan: &Mutex<Plan>, let_go: &Notify) -> Option<()> {
    let request = read_message(client).await?;
    let fault = plan.lock().unwrap().take(operation(&request)?);
    match fault {
        Fault::CutBefore => return None,
        Fault::Answer { status, code, message } => {
            let body = json!({"__type": code, "message": message}).to_string();
            return answer(client, status, "application/x-amz-json-1.0", &body).await;
        }
        Fault::Page => return answer(client, 200, "text/html", "<html>Please sign in</html>").await,
        Fault::Unprocessed => {
            let body = request.windows(4).position(|end| end == b"\r\n\r\n").map(|at| &request[at + 4..])?;
            let asked: Value = serde_json::from_slice(body).unwrap();
            let body = json!({"Responses": {}, "UnprocessedKeys": asked["RequestItems"]}).to_string();
            return answer(client, 200, "application/x-amz-json-1.0", &body).await;
        }
        Fault::Hold => let_go.notified().await,
        Fault::Pass | Fault::CutAfter | Fault::CutInAnswer | Fault::Garbled | Fault::Stall => {}
    }
    let mut service = TcpStream::connect(upstream).await.ok()?;
    service.write_all(&request).await.ok()?;
    let response = read_message(&mut service).await?;
    match fault {
        Fault::CutAfter => None,
        Fault::CutInAnswer => {
            client.write_all(&response[..response.len() - 2]).await.ok()?;
            None
        }
        Fault::Garbled => {
            let mut garbled = response;
            *garbled.last_mut()? = b'?';
            client.write_all(&garbled).await.ok()
        }
        Fault::Stall => std::future::pending().await,
        Fault::Hold => {
            plan.lock().unwrap().held_is_done = true;
            None
        }
        _ => client.write_all(&response).await.ok(),
    }
}

async fn answer(client: &mut TcpStream, status: u16, content_type: &str, body: &str) -> Option<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} -\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n");
    client.write_all(format!("{head}{body}").as_bytes()).await.ok()
}

/// Reads one HTTP message with a `Content-Length`, as both sides send here.
async fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        let head = message.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4);
        if let Some(head) = head {
            let length = header(&message[..head], "content-length").map_or(0, |text| text.parse().unwrap());
            if message.len() >= head + length {
                return Some(message);
            }
        }
        if stream.read_buf(&mut message).await.ok()? == 0 {
            return None;
        }
    }
}

fn header(head: &[u8], name: &str) -> Option<String> {
    let head = String::from_utf8_lossy(head);
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
}

/// Returns `UpdateItem` for `X-Amz-Target: DynamoDB_20120810.UpdateItem`.
fn operation(request: &[u8]) -> Option<String> {
    header(request, "x-amz-target").and_then(|target| Some(target.split_once('.')?.1.to_owned()))
}
