//! `local collect`: reads a stream with the function's own code, without Lambda and without Elasticsearch.

use std::{
    collections::BTreeMap,
    fs, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use lastpass_elastic::{
    clock::Deadline,
    collect::{Preview, SnapshotKind},
    config::Config,
    document::{Document, Stream},
    error::Error as LibraryError,
    request::Window,
    secrets::{self, PLACEHOLDER},
};
use secrecy::SecretString;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};

use crate::{
    exit::Exit,
    failure::{Error as CommandError, Failure},
    output::{self, Format, Reader},
    stream_name::StreamName,
    times::{self, Range},
};

/// The options of `local collect`.
#[derive(Debug, clap::Args)]
pub struct LocalCollect {
    pub stream: StreamName,
    /// Start of the range of events; default: 24 hours ago
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// End of the range, exclusive; default: now
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub to: Option<String>,
    /// JSON file with the secret (account_number, provisioning_hash), or - for standard input
    #[arg(long, value_name = "FILE")]
    pub secret_file: PathBuf,
    /// Print the documents, one line of JSON each, instead of the summary
    #[arg(long)]
    pub dry_run: bool,
}

/// Returns the help after the list of options.
pub fn help() -> String {
    format!(
        "{} The environment variables LASTPASS_URL, OTHER_LASTPASS_URL, LASTPASS_TIME_ZONE, LASTPASS_USER_TIME_ZONE, \
         LASTPASS_API_USER, NAMESPACE, TAGS, PRESERVE_ORIGINAL_EVENT and PRESERVE_DUPLICATE_CUSTOM_FIELDS have the same \
         meaning as for the function.",
        times::help()
    )
}

/// Longest time to read a stream, including retries while LastPass throttles. Chosen: the longest run of a function.
const TIMEOUT: Duration = Duration::from_secs(900);
/// The length of the default range.
const DEFAULT_RANGE: SignedDuration = SignedDuration::from_hours(24);

/// Settings that the library requires and that `local collect` does not use, because it writes to no destination.
const UNUSED_SETTINGS: [(&str, &str); 3] =
    [("SECRET_ARN", "local"), ("CHECKPOINT_TABLE", "local"), ("ELASTICSEARCH_URL", "http://127.0.0.1:9200")];
/// Settings that contradict [`UNUSED_SETTINGS`] or are not used either. They are not read from the environment.
const IGNORED_SETTINGS: [&str; 7] = [
    "SECRET_PREFIX",
    "ELASTIC_CLOUD_ID",
    "ELASTICSEARCH_CA",
    "LOG_LEVEL",
    "INITIAL_LOOKBACK",
    "OVERLAP",
    "SNAPSHOT_CHANGES",
];

/// A failed `local collect`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The secret's file cannot be read.
    #[error(
        "the secret cannot be read from {path} ({source}): pass --secret-file with a file that holds the JSON of the stack's secret"
    )]
    SecretFile { path: String, source: io::Error },
    /// The secret is invalid. The library's own text is about the secret of a stack.
    #[error("the secret in {path} is invalid: {problems}")]
    Secret { path: String, problems: String },
    /// A range was given for a snapshot.
    #[error("{0} is a snapshot of the present: omit --from and --to, which are only for event_report")]
    SnapshotRange(&'static str),
    /// The settings are invalid, or LastPass could not be read.
    #[error("{}", .0.with_causes())]
    Library(#[from] LibraryError),
    /// A document is not the JSON that the summary expects.
    #[error("a document cannot be summarized ({0}): run the command with --dry-run, and report the document as a bug")]
    Document(#[from] serde_json::Error),
}

impl Failure for Error {
    fn error_type(&self) -> &str {
        match self {
            Self::SecretFile { .. } | Self::SnapshotRange(_) => "Usage.Invalid",
            Self::Secret { .. } => "Secret.Invalid",
            Self::Library(error) => error.error_type(),
            Self::Document(_) => "Document.Invalid",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Secret { .. } | Self::Library(LibraryError::Config(_)) => Exit::Usage,
            Self::SecretFile { .. } | Self::SnapshotRange(_) | Self::Library(_) | Self::Document(_) => {
                Exit::of_error(self.error_type())
            }
        }
    }

    fn is_documented(&self) -> bool {
        matches!(self, Self::Library(_))
    }
}

/// Reads a stream, and prints its documents or a summary of them.
pub async fn collect(args: &LocalCollect, format: Format, now: Timestamp) -> Result<Exit, CommandError> {
    let stream = args.stream.stream();
    let range = range(args, now)?;
    let preview = open(&args.secret_file)?;
    if format == Format::Table && stream == Stream::EventReport {
        output::print_message(&range.describe(&TimeZone::system()));
    }
    let mut summary = Summary::default();
    let mut take_one = |document: &Document| -> Result<Reader, CommandError> {
        if args.dry_run {
            return Ok(output::print_line(&document.source)?);
        }
        summary.add(document).map_err(Error::from)?;
        Ok(Reader::Open)
    };
    // No more pages are requested once nobody reads the output.
    let take = |documents: Vec<Document>| {
        for document in &documents {
            match take_one(document) {
                Ok(Reader::Open) => {}
                Ok(Reader::Closed) => return ControlFlow::Break(Ok(())),
                Err(error) => return ControlFlow::Break(Err(error)),
            }
        }
        ControlFlow::Continue(())
    };
    let deadline = Deadline::after(TIMEOUT);
    let read = match stream {
        Stream::EventReport => preview.events(Window { from: range.from, to: range.to }, deadline, take).await,
        Stream::User => preview.snapshot(SnapshotKind::Users, deadline, take).await,
        Stream::DetailedSharedFolder => preview.snapshot(SnapshotKind::SharedFolders, deadline, take).await,
    };
    if let ControlFlow::Break(stopped) = read.map_err(Error::from)? {
        stopped?;
    }
    if !args.dry_run {
        output::print_answer(&summary.answer(stream, &preview.data_stream(stream)), format)?;
    }
    Ok(Exit::Done)
}

/// The summary of a stream's documents.
#[derive(Default)]
struct Summary {
    documents: u64,
    with_error: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    actions: BTreeMap<String, u64>,
}

/// The fields of a document that a summary counts.
#[derive(Deserialize)]
struct Summarized {
    error: Option<IgnoredAny>,
    event: SummarizedEvent,
}

#[derive(Deserialize)]
struct SummarizedEvent {
    action: Option<String>,
}

impl Summary {
    fn add(&mut self, document: &Document) -> Result<(), serde_json::Error> {
        let Summarized { error, event } = serde_json::from_str(&document.source)?;
        self.documents += 1;
        self.first = Some(self.first.map_or(document.timestamp, |first| first.min(document.timestamp)));
        self.last = Some(self.last.map_or(document.timestamp, |last| last.max(document.timestamp)));
        self.with_error += u64::from(error.is_some());
        if let Some(action) = event.action {
            *self.actions.entry(action).or_default() += 1;
        }
        Ok(())
    }

    fn answer(&self, stream: Stream, data_stream: &str) -> Value {
        json!({
            "action": "local collect", "stream": stream.as_str(), "data_stream": data_stream,
            "documents": self.documents, "with_error": self.with_error, "first": self.first, "last": self.last,
            "actions": self.actions,
        })
    }
}

/// Reads the secret and the settings.
fn open(secret_file: &Path) -> Result<Preview, Error> {
    let path = display_name(secret_file);
    let secret = read_secret(secret_file).map_err(|source| Error::SecretFile { path: path.clone(), source })?;
    let config = Config::read(setting).map_err(LibraryError::from)?;
    Preview::new(&config, &secret, &path).map_err(|error| match error {
        LibraryError::Secret(secrets::Error::Invalid { problems, .. }) => {
            Error::Secret { path, problems: problems.to_string() }
        }
        LibraryError::Secret(secrets::Error::Placeholder { fields, .. }) => {
            Error::Secret { path, problems: format!("{} still has the value {PLACEHOLDER}", fields.join(", ")) }
        }
        error => error.into(),
    })
}

fn range(args: &LocalCollect, now: Timestamp) -> Result<Range, CommandError> {
    if args.stream.stream() != Stream::EventReport && (args.from.is_some() || args.to.is_some()) {
        return Err(Error::SnapshotRange(args.stream.as_str()).into());
    }
    let time = |option, text: &Option<String>, default| match text {
        Some(text) => times::parse_option(option, text, now),
        None => Ok(default),
    };
    let from = time("--from", &args.from, now - DEFAULT_RANGE)?;
    Ok(Range::new(from, time("--to", &args.to, now)?, now)?)
}

fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

/// Names the secret's file for error texts.
fn display_name(path: &Path) -> String {
    if is_standard_input(path) { "standard input".to_owned() } else { path.display().to_string() }
}

/// Reads the secret's JSON, and adds the API key of Elasticsearch, which the library requires and `local collect` does not
/// use.
fn read_secret(path: &Path) -> io::Result<SecretString> {
    let text = if is_standard_input(path) { io::read_to_string(io::stdin()) } else { fs::read_to_string(path) }?;
    Ok(with_api_key(text).into())
}

fn with_api_key(text: String) -> String {
    match serde_json::from_str(secrets::without_byte_order_mark(&text)) {
        Ok(Value::Object(mut fields)) => {
            fields.insert("elastic_api_key".to_owned(), "unused".into());
            Value::Object(fields).to_string()
        }
        // The library explains what is wrong with it.
        Ok(_) | Err(_) => text,
    }
}

/// Reads a setting of the function from the environment.
fn setting(name: &str) -> Option<String> {
    if IGNORED_SETTINGS.contains(&name) {
        return None;
    }
    if let Some((_, value)) = UNUSED_SETTINGS.iter().find(|(unused, _)| *unused == name) {
        return Some((*value).to_owned());
    }
    #[expect(clippy::disallowed_methods, reason = "`Config` reads and checks the settings through this function")]
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_key_is_added_after_a_byte_order_mark() {
        for mark in ["", "\u{feff}", "\u{ef}\u{bb}\u{bf}"] {
            let text = with_api_key(format!("{mark}{{\"account_number\":1}}"));
            assert_eq!(text, r#"{"account_number":1,"elastic_api_key":"unused"}"#, "{mark:?}");
        }
        assert_eq!(with_api_key("[]".to_owned()), "[]");
    }
}
