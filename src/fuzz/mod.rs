//! Inputs that nobody would write, played through every place where bytes from outside come in.
//!
//! A [`Target`] has seeds (real answers, payloads, secrets, settings and items), and [`Target::play`] takes any bytes in
//! their place: it panics where something doesn't hold that the rest of the program relies on, and says how the input
//! ended. Compiled for tests and for `cargo fuzz` alone. `make fuzz` looks for inputs by what code they reach; the tests
//! here play some thousands that [`mutate`](mutate::mutate) makes of the seeds.

#![allow(clippy::expect_used, reason = "a target fails by panicking")]

mod checkpoints;
mod elasticsearch;
mod lastpass;
pub mod mutate;
mod payloads;
mod records;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::document::Document;

/// Credentials in every seed that has any. No text may hold a piece of one.
const HASH: &str = "c0ffee5ec4e7badcafe0c0ffee5ec4e7";
/// base64 of `fuzz-key-identity:fuzz-key-that-is-secret`.
const KEY: &str = "ZnV6ei1rZXktaWRlbnRpdHk6ZnV6ei1rZXktdGhhdC1pcy1zZWNyZXQ=";

/// How many characters of a secret in a row give it away.
const TELLING: usize = 8;

/// Longest text that an error may have. Chosen: a log line that is still read; what a user wrote is cut in it.
const MAX_TEXT: usize = 4_000;

/// Where bytes come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// An answer to `reporting`, to its documents.
    Reporting,
    /// An answer to `getuserdata`, to its documents.
    GetUserData,
    /// An answer to `getdetailedsfdata`, to its documents.
    GetDetailedSfData,
    /// One record of any stream, to its documents, their dead letters, and those delivered again.
    Record,
    /// An invocation's payload.
    Payload,
    /// The document in Secrets Manager.
    Secret,
    /// The environment.
    Settings,
    /// An answer of Elasticsearch to a bulk.
    Elasticsearch,
    /// An item of the DynamoDB table.
    Checkpoint,
}

/// How an input ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// In documents, all of them mapped.
    Documents,
    /// In documents, at least one of which says that its record can't be mapped.
    PipelineError,
    /// In the dead letters: Elasticsearch refused a document for good.
    DeadLetter,
    /// It was taken: a request, credentials, settings, an item, an acknowledgement.
    Taken,
    /// There was nothing in it.
    Empty,
    /// In an error whose text says what is wrong.
    Refused,
}

impl Target {
    /// Every target.
    pub const ALL: [Self; 9] = [
        Self::Reporting,
        Self::GetUserData,
        Self::GetDetailedSfData,
        Self::Record,
        Self::Payload,
        Self::Secret,
        Self::Settings,
        Self::Elasticsearch,
        Self::Checkpoint,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reporting => "reporting",
            Self::GetUserData => "getuserdata",
            Self::GetDetailedSfData => "getdetailedsfdata",
            Self::Record => "record",
            Self::Payload => "payload",
            Self::Secret => "secret",
            Self::Settings => "settings",
            Self::Elasticsearch => "elasticsearch",
            Self::Checkpoint => "checkpoint",
        }
    }

    /// Inputs to start from: good ones, and those that once broke something.
    #[must_use]
    pub fn seeds(self) -> Vec<Vec<u8>> {
        match self {
            Self::Reporting => lastpass::event_seeds(),
            Self::GetUserData => lastpass::user_seeds(),
            Self::GetDetailedSfData => lastpass::folder_seeds(),
            Self::Record => records::seeds(),
            Self::Payload => payloads::request_seeds(),
            Self::Secret => payloads::secret_seeds(),
            Self::Settings => payloads::settings_seeds(),
            Self::Elasticsearch => elasticsearch::seeds(),
            Self::Checkpoint => checkpoints::seeds(),
        }
    }

    /// Plays one input.
    ///
    /// # Panics
    /// Where it breaks what the program relies on.
    #[must_use]
    pub fn play(self, input: &[u8]) -> Ended {
        match self {
            Self::Reporting => lastpass::play_events(input),
            Self::GetUserData => lastpass::play_users(input),
            Self::GetDetailedSfData => lastpass::play_folders(input),
            Self::Record => records::play(input),
            Self::Payload => payloads::play_request(input),
            Self::Secret => payloads::play_secret(input),
            Self::Settings => payloads::play_settings(input),
            Self::Elasticsearch => elasticsearch::play(input),
            Self::Checkpoint => checkpoints::play(input),
        }
    }
}

/// How many inputs ended in which way.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally([u64; 6]);

impl Tally {
    const NAMES: [(Ended, &'static str); 6] = [
        (Ended::Documents, "documents"),
        (Ended::PipelineError, "pipeline_error"),
        (Ended::DeadLetter, "dead_letter"),
        (Ended::Taken, "taken"),
        (Ended::Empty, "nothing_in_it"),
        (Ended::Refused, "refused"),
    ];

    /// Counts one input.
    pub fn count(&mut self, ended: Ended) {
        for ((kind, _), count) in Self::NAMES.iter().zip(&mut self.0) {
            *count += u64::from(*kind == ended);
        }
    }

    /// Inputs counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Inputs that ended in this way.
    #[must_use]
    pub fn of(&self, ended: Ended) -> u64 {
        Self::NAMES.iter().zip(self.0).filter(|((kind, _), _)| *kind == ended).map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "inputs={}", self.total())?;
        for ((_, name), count) in Self::NAMES.iter().zip(self.0) {
            write!(f, " {name}={count}")?;
        }
        Ok(())
    }
}

/// Checks the text of an error: it names one of `things`, can be read, and gives no secret away.
fn check_text(text: &str, things: &[&str]) {
    assert!(things.iter().any(|thing| text.contains(thing)), "none of {things:?} is named in: {text}");
    assert!(text.len() <= MAX_TEXT, "{} bytes: {}", text.len(), text.chars().take(500).collect::<String>());
    assert!(!text.contains(char::is_control), "not one line: {text:?}");
}

/// Checks the text of an error about what a user wrote. A piece of a secret that was pasted where something else belongs
/// may be repeated, but never a whole one.
fn check_text_for_user(text: &str, things: &[&str]) {
    check_text(text, things);
    for secret in [HASH, KEY] {
        assert!(!text.contains(secret), "a secret is in: {text}");
    }
}

/// Checks that no piece of a secret is in `text`.
fn check_silence(text: &str) {
    check_silence_about(&[HASH, KEY, "fuzz-key-that-is-secret"], text);
}

/// Checks that no piece of any of `secrets` is in `text`.
fn check_silence_about(secrets: &[&str], text: &str) {
    for secret in secrets {
        for start in 0..=secret.len() - TELLING {
            let piece = &secret[start..start + TELLING];
            assert!(!text.contains(piece), "a piece of a secret ({piece}) is in: {text}");
        }
    }
}

/// Checks what everything that handles a document relies on; `pipeline_error` or not.
fn check_document(document: &Document) -> Ended {
    #[derive(serde::Deserialize)]
    struct Source {
        #[serde(rename = "@timestamp")]
        timestamp: jiff::Timestamp,
        data_stream: DataStream,
        event: Event,
        error: Option<serde::de::IgnoredAny>,
    }
    #[derive(serde::Deserialize)]
    struct DataStream {
        dataset: String,
    }
    #[derive(serde::Deserialize)]
    struct Event {
        dataset: String,
        kind: String,
        original: Option<String>,
        created: jiff::Timestamp,
    }
    let Document { id, timestamp, source, original, since: _ } = document;
    assert!(!source.contains('\n'), "a bulk is one line a document");
    let read: Source = serde_json::from_str(source).expect("a source is a JSON object with what every document has");
    assert_eq!(read.timestamp.as_millisecond(), timestamp.as_millisecond());
    assert!(read.event.created > jiff::Timestamp::UNIX_EPOCH);
    assert_eq!(read.data_stream.dataset, read.event.dataset);
    let is_stopped = read.event.kind == "pipeline_error";
    assert!(is_stopped || read.event.kind == "event" || read.event.kind == "state", "{}", read.event.kind);
    // What could not be read has to be somewhere.
    assert!(!is_stopped || read.error.is_some(), "an error without a text");
    assert!(read.error.is_none() || read.event.original.as_ref() == Some(original), "the record is lost");
    assert!(id.as_str().len() == 24 && id.as_str().starts_with('a'), "{id}");
    // A record may stand in several fields, and each character of it may need an escape.
    assert!(source.len() <= 4_096 + 32 * original.len(), "{} bytes of {}", source.len(), original.len());
    if is_stopped { Ended::PipelineError } else { Ended::Documents }
}

/// Checks documents and tells how their input ended.
fn check_documents<'d>(documents: impl IntoIterator<Item = &'d Document>) -> Ended {
    documents
        .into_iter()
        .map(check_document)
        .fold(Ended::Documents, |worst, ended| if worst == Ended::PipelineError { worst } else { ended })
}
