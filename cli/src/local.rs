//! `local collect`: what would be sent, read by the function's own code, without Lambda and without Elasticsearch.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _},
    path::Path,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use lastpass_elastic::{
    collect::{Preview, SnapshotOf},
    config::Config,
    deadline::Deadline,
    document::{Document, Stream},
    request::Window,
    secrets::{self, PLACEHOLDER},
};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::{
    args::{LocalCollect, Output},
    error::Error as CliError,
    exit::Exit,
    print::{self, Reader},
    when::{self, Range},
};

/// How long it may take, and LastPass be asked again while it throttles. Chosen: as long as a run of the function.
const PATIENCE: Duration = Duration::from_secs(900);

/// Settings of places that nothing is written to, so that none need be given.
const NOT_USED: [(&str, &str); 3] =
    [("SECRET_ARN", "local"), ("CHECKPOINT_TABLE", "local"), ("ELASTICSEARCH_URL", "http://127.0.0.1:9200")];

/// Why there is nothing to look at.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The secret's file.
    #[error(
        "the secret can't be read from {path} ({source}): give --secret-file a file with the JSON that the stack's secret holds"
    )]
    Secret {
        /// Its path.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// What stands in it can't be used. The library's own text is about the secret of a stack.
    #[error("the secret in {path} can't be used: {problems}")]
    Unusable {
        /// Its path.
        path: String,
        /// Everything that is wrong with it.
        problems: String,
    },
    /// A range for what has none.
    #[error("{stream} is read as it is now: leave --from and --to out, which are for event_report")]
    NoRange {
        /// The stream.
        stream: &'static str,
    },
    /// The library refused, or LastPass did.
    #[error("{}", .0.with_causes())]
    Library(#[from] lastpass_elastic::error::Error),
}

impl Error {
    /// How it ends the command.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Secret { .. } | Self::Unusable { .. } | Self::NoRange { .. } => Exit::Usage,
            Self::Library(lastpass_elastic::error::Error::Config(_)) => Exit::Usage,
            Self::Library(_) => Exit::Failed,
        }
    }

    /// Its stable name.
    pub const fn error_type(&self) -> &'static str {
        match self {
            Self::Secret { .. } | Self::NoRange { .. } => "Usage.Invalid",
            Self::Unusable { .. } => "Secret.Invalid",
            Self::Library(error) => error.error_type(),
        }
    }
}

/// What the documents come to.
#[derive(Default)]
struct Summary {
    documents: u64,
    with_error: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    actions: BTreeMap<String, u64>,
}

impl Summary {
    fn add(&mut self, document: &Document) {
        self.documents += 1;
        self.first = Some(self.first.map_or(document.timestamp, |first| first.min(document.timestamp)));
        self.last = Some(self.last.map_or(document.timestamp, |last| last.max(document.timestamp)));
        let source: Value = serde_json::from_str(&document.source).unwrap_or_default();
        self.with_error += u64::from(source["error"].is_object());
        if let Some(action) = source["event"]["action"].as_str() {
            *self.actions.entry(action.to_owned()).or_default() += 1;
        }
    }

    fn answer(&self, stream: Stream, data_stream: &str) -> Value {
        json!({
            "action": "local collect", "stream": stream.as_str(), "data_stream": data_stream,
            "documents": self.documents, "with_error": self.with_error, "first": self.first, "last": self.last,
            "actions": self.actions,
        })
    }
}

/// Reads a stream, and prints its documents or what they come to.
///
/// # Errors
/// [`Error`]; a time or range that can't be.
pub async fn collect(args: &LocalCollect, output: Output, now: Timestamp) -> Result<Exit, CliError> {
    let stream = args.stream.stream();
    let range = range(args, now)?;
    let preview = open(&args.secret_file)?;
    if output == Output::Table && stream == Stream::EventReport {
        range.tell();
    }
    let (mut summary, mut printed) = (Summary::default(), Ok(Reader::Reads));
    let unread = Notify::new();
    let take = |documents: Vec<Document>| {
        for document in documents {
            summary.add(&document);
            if args.dry_run && matches!(printed, Ok(Reader::Reads)) {
                printed = print::line(&document.source);
            }
        }
        if !matches!(printed, Ok(Reader::Reads)) {
            unread.notify_one();
        }
    };
    let deadline = Deadline::after(PATIENCE);
    let read = async {
        match stream {
            Stream::EventReport => preview.events(Window { from: range.from, to: range.to }, deadline, take).await,
            Stream::User => preview.snapshot(SnapshotOf::Users, deadline, take).await,
            Stream::DetailedSharedFolder => preview.snapshot(SnapshotOf::SharedFolders, deadline, take).await,
        }
    };
    tokio::select! {
        read = read => read.map_err(Error::from)?,
        // LastPass isn't asked for pages that nobody will see.
        () = unread.notified() => {}
    }
    printed?;
    if !args.dry_run {
        print::answers(&[summary.answer(stream, &preview.data_stream(stream))], false, output)?;
    }
    Ok(Exit::Done)
}

fn open(secret_file: &Path) -> Result<Preview, Error> {
    let secret = read_secret(secret_file)?;
    let path = name(secret_file);
    let config = Config::read(setting).map_err(lastpass_elastic::error::Error::from)?;
    Preview::new(&config, &secret, &path).map_err(|error| match error {
        lastpass_elastic::error::Error::Secret(secrets::Error::Invalid { problems, .. }) => {
            Error::Unusable { path, problems: problems.to_string() }
        }
        lastpass_elastic::error::Error::Secret(secrets::Error::Placeholder { fields, .. }) => {
            Error::Unusable { path, problems: format!("it still holds {PLACEHOLDER} in {}", fields.join(", ")) }
        }
        error => error.into(),
    })
}

fn range(args: &LocalCollect, now: Timestamp) -> Result<Range, CliError> {
    if args.stream.stream() != Stream::EventReport && (args.from.is_some() || args.to.is_some()) {
        return Err(Error::NoRange { stream: args.stream.name() }.into());
    }
    let time = |option, text: &Option<String>, default| match text {
        Some(text) => when::parse(text, now).map_err(|fault| CliError::Time { option, fault }),
        None => Ok(default),
    };
    let from = time("--from", &args.from, now.saturating_sub(SignedDuration::from_hours(24)).unwrap_or(now))?;
    Ok(Range::new(from, time("--to", &args.to, now)?, now)?)
}

/// The secret's file, as texts name it.
fn name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

/// The secret's JSON. The key of Elasticsearch is not needed, because nothing is sent there.
fn read_secret(path: &Path) -> Result<SecretString, Error> {
    let unreadable = |source| Error::Secret { path: name(path), source };
    let text = if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map_err(unreadable)?;
        text
    } else {
        fs::read_to_string(path).map_err(unreadable)?
    };
    let text = match serde_json::from_str::<Value>(&text) {
        Ok(Value::Object(mut fields)) => {
            fields.insert("elastic_api_key".to_owned(), "unused".into());
            Value::Object(fields).to_string()
        }
        _ => text,
    };
    Ok(SecretString::from(text))
}

/// A setting of the function, from the environment.
fn setting(name: &str) -> Option<String> {
    match NOT_USED.iter().find(|(unused, _)| *unused == name) {
        Some((_, value)) => Some((*value).to_owned()),
        None if ["SECRET_PREFIX", "ELASTIC_CLOUD_ID", "ELASTICSEARCH_CA"].contains(&name) => None,
        None =>
        {
            #[expect(
                clippy::disallowed_methods,
                reason = "settings are checked by `config`, which is given this reader"
            )]
            std::env::var(name).ok()
        }
    }
}
