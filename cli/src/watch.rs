//! `status --watch`: shows the status, and refreshes it regularly.

use std::time::Duration;

use console::Term;
use serde_json::json;

use crate::{
    exit::Exit,
    failure::Error,
    output::{self, Format, Reader},
    session::Session,
};

/// The pause between two requests. Chosen: a page takes the function about this long, so each refresh can show progress.
const INTERVAL: Duration = Duration::from_secs(5);

/// Shows the status until Ctrl-C is pressed or the reader of the output closes it. Retries after an outage of the network.
pub async fn watch(session: &Session, format: Format) -> Result<Exit, Error> {
    tokio::select! {
        ended = refresh(session, format) => ended,
        _ = tokio::signal::ctrl_c() => Ok(Exit::Done),
    }
}

async fn refresh(session: &Session, format: Format) -> Result<Exit, Error> {
    let targets = session.status_targets()?;
    let terminal = Term::stdout();
    let is_page = terminal.is_term() && format == Format::Table;
    loop {
        let text = match session.ask(&targets, &json!({"action": "status"})).await {
            Ok((answers, _)) => output::render_answers(&answers, &targets, format),
            Err(error) if error.transient().is_some() => {
                output::print_message(&format!("{error}; retrying"));
                tokio::time::sleep(INTERVAL).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        if is_page {
            terminal.clear_screen().map_err(output::Error::from)?;
        }
        let hint = if is_page { "\n\nPress Ctrl-C to quit" } else { "" };
        if output::print_line(&format!("{text}{hint}"))? == Reader::Closed {
            return Ok(Exit::Done);
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
