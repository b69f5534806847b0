//! Standard output and standard error.
//!
//! A reader that closes the pipe early, such as `head`, is neither an error nor a panic.

use std::io::{self, ErrorKind, IsTerminal, Write as _};

use clap::ValueEnum;
use serde_json::Value;

use crate::{accounts::Targets, failure::Failure, paint, render::render_answer};

/// The format of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables for people
    Table,
    /// JSON for scripts
    Json,
}

/// The state of the reader of standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// The reader still reads.
    Open,
    /// The reader has closed the pipe.
    Closed,
}

/// A failed write, such as to a full disk.
#[derive(Debug, thiserror::Error)]
#[error("the output cannot be written: {0}")]
pub struct Error(#[from] io::Error);

impl Failure for Error {
    fn error_type(&self) -> &str {
        "Output.Failed"
    }
}

/// Prints a text and a line break to standard output.
pub fn print_line(text: &str) -> Result<Reader, Error> {
    match writeln!(io::stdout().lock(), "{text}") {
        Ok(()) => Ok(Reader::Open),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Closed),
        Err(error) => Err(error.into()),
    }
}

/// Prints one answer.
///
/// # Errors
/// As [`print_line`].
pub fn print_answer(answer: &Value, format: Format) -> Result<(), Error> {
    print_line(&render(answer, format)).map(|_| ())
}

/// Prints the answers for `targets`: as JSON, a list if there are several targets.
///
/// # Errors
/// As [`print_line`].
pub fn print_answers(answers: &[Value], targets: &Targets, format: Format) -> Result<(), Error> {
    print_line(&render_answers(answers, targets, format)).map(|_| ())
}

/// Renders the answers for `targets`.
pub fn render_answers(answers: &[Value], targets: &Targets, format: Format) -> String {
    let answers: Vec<String> = answers.iter().map(|answer| render(answer, format)).collect();
    match format {
        Format::Table => answers.join("\n\n"),
        Format::Json if targets.is_multiple() => format!("[{}]", answers.join(",")),
        Format::Json => answers.join("\n"),
    }
}

fn render(answer: &Value, format: Format) -> String {
    match format {
        Format::Table => {
            let text = render_answer(answer, width(&io::stdout()));
            if answer["action"] == "status" { paint::table(&text, "last run") } else { text }
        }
        Format::Json => answer.to_string(),
    }
}

/// Returns the columns of a terminal; `None` for anything else.
pub fn width(stream: &impl IsTerminal) -> Option<u16> {
    stream.is_terminal().then(terminal_size::terminal_size).flatten().map(|(width, _)| width.0)
}

/// Prints a message to standard error. A failed write is ignored, because messages are not part of the result.
pub fn print_message(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
