//! A LastPass response to one of the three commands becomes documents, or an error that says what to check.
//!
//! The first byte of an input chooses the command; the rest is the body of the first response of a server on loopback.
//! Later responses are those of an empty account, so that each input ends.

use std::{collections::HashMap, ops::ControlFlow, sync::LazyLock, time::Duration};

use lastpass_elastic::{
    clock::Deadline,
    collect::{Preview, SnapshotKind},
    document::Document,
    request::Window,
};
use secrecy::SecretString;
use serde_json::json;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
};

use super::{HASH, KEY, answer, check_document, check_no_secret, check_text, config};

/// Shorter than the first pause before a retry, so that a retryable response ends as an error.
const DEADLINE: Duration = Duration::from_millis(200);

/// The names that a LastPass error may contain.
const THINGS: [&str; 5] = ["LASTPASS_URL", "LASTPASS_TIME_ZONE", "Admin Console", "Enterprise API", "next run"];

/// The response of an empty account to each command.
const EMPTY: [&[u8]; 3] = [br#"{"status":"OK","data":{}}"#, br#"{"Users":{},"total":0}"#, b"{}"];

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_all().build().expect("a runtime"));
static LISTENER: LazyLock<TcpListener> =
    LazyLock::new(|| RUNTIME.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port"));
static PREVIEW: LazyLock<Preview> = LazyLock::new(|| {
    let url = format!("http://{}/enterpriseapi.php", LISTENER.local_addr().expect("an address"));
    let settings = [
        ("SECRET_ARN", "local"),
        ("CHECKPOINT_TABLE", "local"),
        ("ELASTICSEARCH_URL", "https://es.example"),
        ("OTHER_LASTPASS_URL", &url),
    ];
    let settings: HashMap<_, _> = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let secret = json!({"account_number": "1234567", "provisioning_hash": HASH, "elastic_api_key": KEY});
    let config = config(&settings).expect("the settings are valid");
    Preview::new(&config, &SecretString::from(secret.to_string()), "local").expect("the secret is valid")
});

/// Checks one input. Returns the number of its documents, which is 0 if the response is refused. Returns `None` if the input
/// lacks the byte that chooses the command.
pub fn check(input: &[u8]) -> Option<usize> {
    let (command, body) = input.split_first()?;
    let window = Window {
        from: "2014-01-01T00:00:00Z".parse().expect("a time"),
        to: "2026-01-01T00:00:00Z".parse().expect("a time"),
    };
    let empty = EMPTY[usize::from(command % 3)];
    let mut count = 0;
    let take = |documents: Vec<Document>| -> ControlFlow<()> {
        documents.iter().for_each(check_document);
        count += documents.len();
        ControlFlow::Continue(())
    };
    let read = async {
        let (preview, deadline) = (&*PREVIEW, Deadline::after(DEADLINE));
        let read = async {
            match command % 3 {
                0 => preview.events(window, deadline, take).await,
                1 => preview.snapshot(SnapshotKind::Users, deadline, take).await,
                _ => preview.snapshot(SnapshotKind::SharedFolders, deadline, take).await,
            }
        };
        tokio::select! {
            read = read => read,
            () = answer(&LISTENER, body, empty) => panic!("the server stopped accepting connections"),
        }
    };
    LazyLock::force(&PREVIEW);
    if let Err(error) = RUNTIME.block_on(read) {
        check_text(&error.with_causes(), &THINGS);
        check_no_secret(&format!("{} {error:?}", error.with_causes()));
        return Some(0);
    }
    Some(count)
}
