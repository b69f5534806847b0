//! The properties that the fuzz targets check, and what they share: credentials, checks of texts and documents, and a
//! LastPass with a given response. `tests/integration/fuzz_seeds.rs` checks them with the seeds.

pub mod lastpass;
pub mod payload;
pub mod secret;
pub mod settings;

use std::collections::HashMap;

use lastpass_elastic::{
    config::{Config, Invalid},
    document::Document,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// The provisioning hash in the seeds.
pub const HASH: &str = "c0ffee5ec4e7badcafe0c0ffee5ec4e7";
/// The API key in the seeds: base64 of `fuzz-key-identity:fuzz-key-that-is-secret`.
pub const KEY: &str = "ZnV6ei1rZXktaWRlbnRpdHk6ZnV6ei1rZXktdGhhdC1pcy1zZWNyZXQ=";

/// The longest error text, in bytes. Chosen: a log line that a person still reads.
const MAX_TEXT: usize = 4_000;

/// Checks that an error text is one line of a readable length and names one of `things`: a setting, a field or a page.
pub fn check_text(text: &str, things: &[&str]) {
    assert!(things.iter().any(|thing| text.contains(thing)), "none of {things:?} is named in: {text}");
    assert!(text.len() <= MAX_TEXT, "{} bytes: {text:.500}", text.len());
    assert!(!text.contains(char::is_control), "not one line: {text:?}");
}

/// Checks that `text` contains no credential of the seeds.
pub fn check_no_secret(text: &str) {
    for secret in [HASH, KEY, "fuzz-key-that-is-secret"] {
        assert!(!text.contains(secret), "a secret is in: {text}");
    }
}

/// Checks that a document can be sent, and that a record that cannot be mapped is kept with the reason.
pub fn check_document(document: &Document) {
    assert!(!document.source.contains('\n'), "a document is one line of a bulk request");
    let source: Value = serde_json::from_str(&document.source).expect("a document is JSON");
    let kind = source["event"]["kind"].as_str().expect("event.kind");
    assert!(["event", "state", "pipeline_error"].contains(&kind), "{kind}");
    let has_error = !source["error"].is_null();
    assert!(has_error || kind != "pipeline_error", "{source}");
    if has_error {
        check_original(source["event"]["original"].as_str().expect("event.original"), &document.original);
    }
    assert!(source["@timestamp"].is_string() && source["data_stream"]["dataset"] == source["event"]["dataset"]);
    assert_eq!(document.id.as_str().len(), 24);
}

/// Checks that `event.original` is the record without the white space between its tokens.
fn check_original(original: &str, record: &str) {
    let squeezed = |text: &str| text.split_ascii_whitespace().collect::<String>();
    assert_eq!(squeezed(original), squeezed(record));
    if let Ok(value) = serde_json::from_str::<Value>(record) {
        assert_eq!(serde_json::from_str::<Value>(original).expect("event.original is JSON"), value);
    }
}

/// Reads settings from names and values.
pub fn config(settings: &HashMap<String, String>) -> Result<Config, Invalid> {
    Config::read(|name| settings.get(name).cloned())
}

/// Answers the first request with `body`, and each later one with `empty`.
///
/// Closes each connection after its response. The client would use an open one for the next input, when this server no
/// longer serves it, and would get no response.
pub async fn answer(listener: &TcpListener, body: &[u8], empty: &[u8]) {
    let mut body = body;
    while let Ok((mut stream, _)) = listener.accept().await {
        if read_request(&mut stream).await {
            let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            if stream.write_all(&[head.as_bytes(), body].concat()).await.is_err() {
                continue;
            }
            body = empty;
        }
    }
}

/// Reads one request. Returns `false` once the client has closed the connection.
async fn read_request(stream: &mut TcpStream) -> bool {
    let mut request = Vec::new();
    let mut part = [0; 4_096];
    loop {
        if let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if request.len() >= end + 4 + length.unwrap_or(0) {
                return true;
            }
        }
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return false,
            Ok(count) => request.extend_from_slice(&part[..count]),
        }
    }
}
