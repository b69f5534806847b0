//! Standard output and standard error.
//!
//! Whoever reads may have seen enough and gone, such as `head`: that is no error, and never a panic.

use std::io::{self, ErrorKind, IsTerminal, Write as _};

use serde_json::Value;

use crate::{args::Output, table};

/// Whether what is printed is still read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// It is.
    Reads,
    /// Nobody will see what comes now.
    Gone,
}

/// Prints a line, or several.
///
/// # Errors
/// Why it can't be written, such as a full disk.
pub fn line(text: &str) -> io::Result<Reader> {
    match writeln!(io::stdout().lock(), "{text}") {
        Ok(()) => Ok(Reader::Reads),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(error),
    }
}

/// Prints answers: a table each, or JSON, which is a list where several accounts were asked for.
///
/// # Errors
/// As [`line`].
pub fn answers(answers: &[Value], are_several: bool, output: Output) -> io::Result<()> {
    let text = match output {
        Output::Table => {
            let width = width(&io::stdout());
            answers.iter().map(|answer| table::of_answer(answer, width)).collect::<Vec<_>>().join("\n\n")
        }
        Output::Json if are_several => Value::from(answers.to_vec()).to_string(),
        Output::Json => answers.iter().map(Value::to_string).collect::<Vec<_>>().join("\n"),
    };
    line(&text).map(|_| ())
}

/// The columns of a terminal; none where there is no terminal.
pub fn width(stream: &impl IsTerminal) -> Option<u16> {
    stream.is_terminal().then(terminal_size::terminal_size).flatten().map(|(width, _)| width.0)
}

/// Says something beside the result. Where nobody reads it, nothing is lost.
pub fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
