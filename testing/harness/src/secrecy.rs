//! Searches everything written or sent for secrets, in all their encodings.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::sync::{Arc, Mutex};

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use flate2::read::GzDecoder;
use serde_json::Value;

use crate::process::lock;

/// From this length, half of a secret counts as a leak. Chosen: half of it cannot occur by chance.
const SHORTEST_WITH_HALVES: usize = 20;
/// Shorter values are not treated as secrets: they are placeholders or parts of invalid keys.
const SHORTEST: usize = 6;
/// Characters before a leaked secret that are reported, to help find the place.
const EXCERPT_CHARS: usize = 120;

/// The system that a secret gives access to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// LastPass: the secret may be in `provhash` of requests to it, and nowhere else.
    LastPass,
    /// Elasticsearch: the secret may be in `Authorization` of requests to it, and nowhere else.
    Elasticsearch,
    /// Any other system: the secret may be nowhere.
    Other,
}

/// Secrets by name. Its `Debug` shows only the names.
#[derive(Clone, Default)]
pub struct Secrets(Vec<Secret>);

#[derive(Clone)]
struct Secret {
    name: String,
    value: String,
    lock: Lock,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|secret| &secret.name)).finish()
    }
}

impl Secrets {
    /// Adds a secret.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.add(name, value, Lock::Other);
        self
    }

    fn add(&mut self, name: &str, value: &str, lock: Lock) -> bool {
        let is_new = value.len() >= SHORTEST && !self.0.iter().any(|known| known.value == value);
        if is_new {
            self.0.push(Secret { name: name.to_owned(), value: value.to_owned(), lock });
        }
        is_new
    }

    /// Returns the names of the secrets that a text contains in any encoding, also as part of a longer text.
    #[must_use]
    pub fn found_in(&self, text: &str) -> Vec<String> {
        let searcher = Searcher::new(self);
        let found: BTreeSet<usize> = searcher.found_in(text.as_bytes()).map(|(secret, _)| secret).collect();
        found.into_iter().map(|secret| self.0[secret].name.clone()).collect()
    }
}

/// Searches for all encodings of all secrets at once.
struct Searcher {
    needles: Option<AhoCorasick>,
    /// The index of the secret of each needle.
    secrets: Vec<usize>,
}

impl Searcher {
    fn new(secrets: &Secrets) -> Self {
        let needles = secrets
            .0
            .iter()
            .enumerate()
            .flat_map(|(number, secret)| encoded_forms(&secret.value).into_iter().map(move |form| (number, form)));
        let (secrets, needles): (Vec<usize>, Vec<String>) = needles.unzip();
        // It fails only for more needles than fit in memory.
        let needles = AhoCorasick::builder().ascii_case_insensitive(false).build(needles).ok();
        Self { needles, secrets }
    }

    /// Returns the secrets in a text and their ranges.
    fn found_in<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> + 'a {
        let matches = self.needles.iter().flat_map(move |needles| needles.find_overlapping_iter(text));
        matches.map(|found| (self.secrets[found.pattern().as_usize()], found.range()))
    }
}

/// Returns the forms that a value can have in logs, URLs, byte dumps, JSON and Base64, and both halves of a long value.
fn encoded_forms(value: &str) -> BTreeSet<String> {
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    let percent = |upper: bool| {
        let escape = |byte: u8| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            _ if upper => format!("%{byte:02X}"),
            _ => format!("%{byte:02x}"),
        };
        value.bytes().map(escape).collect::<String>()
    };
    let numbers: Vec<String> = value.bytes().map(|byte| byte.to_string()).collect();
    let quoted = Value::from(value).to_string();
    let mut all = BTreeSet::from([
        value.to_owned(),
        quoted.trim_matches('"').to_owned(),
        value.replace('/', "\\/"),
        percent(true),
        percent(false),
        hex.to_uppercase(),
        hex,
        // Bytes as `{:?}` prints them, and as JSON.
        numbers.join(", "),
        numbers.join(","),
    ]);
    if value.len() >= SHORTEST_WITH_HALVES && value.is_ascii() {
        let (first, second) = value.split_at(value.len() / 2);
        all.extend([first.to_owned(), second.to_owned()]);
    }
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        // The value may begin at any of the three bytes of a group. Characters shared with neighbouring bytes are left
        // out.
        for before in 0..3 {
            let mut bytes = vec![0; before];
            bytes.extend(value.bytes());
            let encoded = engine.encode(&bytes);
            let skip = (before * 8).div_ceil(6);
            let whole = bytes.len() * 8 / 6;
            all.extend(encoded.get(skip..whole).map(str::to_owned));
        }
    }
    all
}

/// Searches everything that the functions of an installation write and send. Clones share the findings.
#[derive(Clone, Default)]
pub struct Watch(Arc<Mutex<Watched>>);

#[derive(Default)]
struct Watched {
    secrets: Secrets,
    searcher: Option<Searcher>,
    /// The text before each leak, by place and secret.
    leaks: BTreeMap<String, String>,
    bytes: u64,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Watch({:?})", lock(&self.0).secrets)
    }
}

impl Watch {
    /// Adds a secret.
    pub fn add(&self, name: &str, value: &str, opens: Lock) {
        let mut watched = lock(&self.0);
        if watched.secrets.add(name, value, opens) {
            watched.searcher = None;
        }
    }

    /// Adds an API key: its encoded form and both of its halves.
    pub fn add_key(&self, name: &str, encoded: &str) {
        self.add(name, encoded, Lock::Elasticsearch);
        let decoded = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some((id, key)) = decoded.as_deref().and_then(|decoded| decoded.split_once(':')) {
            self.add(&format!("the id of {name}"), id, Lock::Elasticsearch);
            self.add(&format!("the key of {name}"), key, Lock::Elasticsearch);
        }
    }

    /// Adds all secrets in the content of the function's secret.
    pub(crate) fn add_document(&self, document: &str) {
        let Ok(Value::Object(fields)) = serde_json::from_str(document) else { return };
        for (name, value) in &fields {
            match (name.as_str(), value.as_str()) {
                (_, None | Some("REPLACE_ME"))
                | ("account_number" | "namespace" | "time_zone" | "organization_id" | "organization_name", _) => {}
                ("provisioning_hash", Some(hash)) => self.add(name, hash, Lock::LastPass),
                (_, Some(key)) => self.add_key(name, key),
            }
        }
    }

    /// Searches output or a request. `at` names it.
    pub fn look(&self, at: &str, bytes: &[u8]) {
        self.look_except_for(None, at, bytes);
    }

    /// Searches for all secrets except those of the allowed system.
    pub(crate) fn look_except_for(&self, allowed: Option<Lock>, at: &str, bytes: &[u8]) {
        let mut watched = lock(&self.0);
        let watched = &mut *watched;
        watched.bytes += bytes.len() as u64;
        let searcher = watched.searcher.get_or_insert_with(|| Searcher::new(&watched.secrets));
        for (secret, range) in searcher.found_in(bytes) {
            let Secret { name, lock, .. } = &watched.secrets.0[secret];
            if Some(*lock) == allowed {
                continue;
            }
            let before = String::from_utf8_lossy(&bytes[..range.start]);
            let begin = before.char_indices().rev().nth(EXCERPT_CHARS).map_or(0, |(at, _)| at);
            // The excerpt must not show the first half of a secret.
            let before = &before[begin..];
            let is_clean = searcher.found_in(before.as_bytes()).next().is_none();
            let before = if is_clean { before } else { "" };
            watched.leaks.entry(format!("{at} holds {name}")).or_insert_with(|| before.to_owned());
        }
    }

    /// Searches content that may be compressed.
    pub(crate) fn look_into(&self, at: &str, bytes: &[u8]) {
        let mut unpacked = Vec::new();
        match GzDecoder::new(bytes).read_to_end(&mut unpacked) {
            Ok(_) => self.look(at, &unpacked),
            Err(_) => self.look(at, bytes),
        }
    }

    /// Describes the leaks so far, without the secrets.
    #[must_use]
    pub fn leaks(&self) -> Vec<String> {
        lock(&self.0).leaks.iter().map(|(what, before)| format!("{what}, after {before:?}")).collect()
    }

    /// Describes the leaks so far, and clears them.
    #[must_use]
    pub fn take_leaks(&self) -> Vec<String> {
        let leaks = self.leaks();
        lock(&self.0).leaks.clear();
        leaks
    }

    /// Returns the number of bytes searched.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        lock(&self.0).bytes
    }

    /// Fails the test if a secret was printed. Call it when everything is written, at the latest in `drop`.
    pub(crate) fn expect_none(&self) {
        let leaks = self.leaks();
        // A second panic in a failing test would abort the process.
        assert!(leaks.is_empty() || std::thread::panicking(), "secrets were printed:\n{}", leaks.join("\n"));
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    #[test]
    fn a_secret_is_found_in_every_encoding() {
        let value = "s3cret/>>?hash~~\"";
        let secrets = Secrets::default().with("hash", value);
        for before in ["", "a", "ab", "abc"] {
            for after in ["", "x", "xy"] {
                let text = format!("{before}{value}{after}");
                let json = Value::from(text.clone()).to_string();
                let bytes = text.as_bytes();
                let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
                let url: String = url_encoded(&text);
                let escaped = json.replace('/', "\\/").replace("\\\"", "\"");
                for spelling in [
                    text.clone(),
                    STANDARD.encode(&text),
                    URL_SAFE.encode(&text),
                    json,
                    escaped,
                    hex.to_lowercase(),
                    hex,
                    url.to_lowercase(),
                    url,
                    format!("{bytes:?}"),
                    Value::from(bytes).to_string(),
                ] {
                    assert_eq!(secrets.found_in(&format!("said {spelling}!")), ["hash"], "{spelling}");
                }
            }
        }
        assert!(secrets.found_in(&STANDARD.encode("another text, and nothing of it")).is_empty());
    }

    fn url_encoded(text: &str) -> String {
        let escape = |byte: u8| match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        };
        text.bytes().map(escape).collect()
    }

    #[test]
    fn half_of_a_secret_is_found_and_both_halves_of_a_key() {
        let secrets = Secrets::default().with("hash", "0123456789abcdef0123456789abcdef");
        assert_eq!(secrets.found_in("cut off: 0123456789abcdef…"), ["hash"]);

        let watch = Watch::default();
        watch.add_document(&format!(
            r#"{{"account_number": "1234567", "provisioning_hash": "REPLACE_ME", "elastic_api_key": "{}"}}"#,
            STANDARD.encode("VuaCfGcBCdbkQm-e5aOx:ui2lp2axTNmsyakw9tvNnw")
        ));
        watch.look("a log", b"account 1234567 REPLACE_ME");
        assert!(watch.leaks().is_empty());
        watch.look("a log", b"key id VuaCfGcBCdbkQm-e5aOx");
        watch.look("an answer", b"key ui2lp2axTNmsyakw9tvNnw");
        watch.look_except_for(Some(Lock::Elasticsearch), "a header", b"key ui2lp2axTNmsyakw9tvNnw");
        let leaks = watch.take_leaks();
        assert_eq!(leaks.len(), 2, "{leaks:?}");
        assert!(leaks[0].starts_with("a log holds the id of elastic_api_key"), "{leaks:?}");
        assert!(watch.take_leaks().is_empty() && watch.bytes() > 0);
    }

    #[test]
    fn compressed_content_is_searched() {
        let watch = Watch::default();
        watch.add("hash", "s3cret-hash", Lock::LastPass);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, b"a document with s3cret-hash").unwrap();
        watch.look_into("a bulk", &packed.finish().unwrap());
        assert_eq!(watch.leaks(), ["a bulk holds hash, after \"a document with \""]);
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", Secrets::default().with("hash", "s3cret")), "[\"hash\"]");
    }
}
