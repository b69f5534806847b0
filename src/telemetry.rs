//! Log set-up and the summary of an invocation.
//!
//! Knows nothing of the other rooms' work. Logs are JSON lines; messages are fixed texts and values are fields.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{EnvFilter, fmt};

/// Writes logs of `level` and above as JSON lines to standard output. Other crates are heard from warnings on: at
/// `debug` the HTTP crates log headers.
pub fn init(level: LevelFilter) {
    let filter = EnvFilter::new(format!("warn,lastpass_elastic={level},bootstrap={level}"));
    // Lambda stamps each line with its own time as well; ours is the one of the event.
    fmt().json().flatten_event(true).with_current_span(true).with_span_list(false).with_env_filter(filter).init();
}
