//! The command line of lastpass-elastic: sets up, inspects and backfills a deployed stack.
//!
//! Results go to standard output, as tables or with `--output json` as the function's own answers. Progress and errors go
//! to standard error.

mod accounts;
mod answers;
mod args;
mod ask;
mod aws;
mod backfill;
mod check_page;
mod commands;
mod connect;
mod content;
mod exit;
mod failure;
mod function;
mod kibana_address;
mod local;
mod output;
mod paint;
mod payload;
mod process;
mod render;
mod session;
mod stack;
mod stream_name;
mod times;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;
use jiff::Timestamp;

use crate::{args::Args, failure::Failure, output::Format};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    process::keep_memory_private();
    let args = Args::parse();
    let format = args.output;
    #[expect(clippy::disallowed_methods, reason = "the only place where the command line reads the clock")]
    let now = Timestamp::now();
    let exit = commands::run(args, now).await.unwrap_or_else(|error| {
        report(&*error, format);
        error.exit()
    });
    exit.into()
}

/// Prints an error: as JSON to standard output if requested, otherwise, or if that fails, to standard error.
fn report(error: &dyn Failure, format: Format) {
    if format == Format::Table || output::print_line(&error.document().to_string()).is_err() {
        output::print_message(&format!("error: {}", error.text()));
    }
}
