//! `local collect`: what would be sent, read by the function's own code, without Lambda and without Elasticsearch.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _, Write as _},
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
};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::{
    args::{LocalCollect, Output},
    error::Error as CliError,
    exit::Exit,
    table,
    when::{self, Range},
};

/// How long it may take. Chosen: whoever looks at a year waits for it, and not for ever.
const PATIENCE: Duration = Duration::from_secs(3_600);

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
    /// The library refused, or LastPass did.
    #[error("{}: {}", .0.error_type(), .0.with_causes())]
    Library(#[from] lastpass_elastic::error::Error),
}

impl Error {
    /// How it ends the command.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Secret { .. } => Exit::Usage,
            Self::Library(_) => Exit::Failed,
        }
    }

    /// Its stable name.
    pub const fn error_type(&self) -> &'static str {
        match self {
            Self::Secret { .. } => "Usage.Invalid",
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
    let window = window(args, now)?;
    let secret = read_secret(&args.secret_file)?;
    let config = Config::read(setting).map_err(lastpass_elastic::error::Error::from).map_err(Error::from)?;
    let path = args.secret_file.display().to_string();
    let preview = Preview::new(&config, &secret, &path).map_err(Error::from)?;
    let (mut summary, mut failed) = (Summary::default(), None);
    let take = |documents: Vec<Document>| {
        let mut out = io::stdout().lock();
        for document in documents {
            summary.add(&document);
            if args.dry_run && failed.is_none() {
                failed = writeln!(out, "{}", document.source).err();
            }
        }
    };
    let stream = args.stream.stream();
    let deadline = Deadline::after(PATIENCE);
    let read = match stream {
        Stream::EventReport => preview.events(window, deadline, take).await,
        Stream::User => preview.snapshot(SnapshotOf::Users, deadline, take).await,
        Stream::DetailedSharedFolder => preview.snapshot(SnapshotOf::SharedFolders, deadline, take).await,
    };
    read.map_err(Error::from)?;
    match failed {
        // Whoever reads has seen enough, such as `head`.
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Done),
        Some(error) => return Err(error.into()),
        None => {}
    }
    if !args.dry_run {
        let answer = summary.answer(stream, &preview.data_stream(stream));
        let text = if output == Output::Json { answer.to_string() } else { table::of_answer(&answer) };
        writeln!(io::stdout(), "{text}")?;
    }
    Ok(Exit::Done)
}

fn window(args: &LocalCollect, now: Timestamp) -> Result<Window, CliError> {
    let time = |option, text: &Option<String>, default| match text {
        Some(text) => when::parse(text, now).map_err(|fault| CliError::Time { option, fault }),
        None => Ok(default),
    };
    let from = time("--from", &args.from, now.saturating_sub(SignedDuration::from_hours(24)).unwrap_or(now))?;
    let Range { from, to } = Range::new(from, time("--to", &args.to, now)?)?;
    Ok(Window { from, to })
}

/// The secret's JSON. The key of Elasticsearch is not needed, because nothing is sent there.
fn read_secret(path: &Path) -> Result<SecretString, Error> {
    let unreadable = |source| Error::Secret { path: path.display().to_string(), source };
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
