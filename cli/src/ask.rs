//! Prompts on the terminal.

use std::{
    io::{self, IsTerminal as _, Write as _},
    thread,
};

use rustix::termios::{self, LocalModes, OptionalActions, Termios};
use secrecy::{SecretString, zeroize::Zeroizing};
use tokio::sync::oneshot;

/// The reason why nothing was read from the terminal.
#[derive(Debug)]
pub enum Error {
    /// The terminal cannot be used.
    Terminal(io::Error),
    /// Ctrl-C, or the end of the input.
    Interrupted,
}

/// Longest line that a terminal delivers. Source: termios(3), "canonical mode".
const LONGEST_LINE: usize = 4_096;

/// Returns whether a person can be asked: prompts go to standard error, and input comes from standard input.
pub fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Prints `prompt`, and returns the line that is typed. If `is_hidden`, the terminal does not show it.
///
/// # Errors
/// [`Error::Interrupted`] after Ctrl-C or at the end of the input; [`Error::Terminal`].
pub async fn ask(prompt: &'static str, is_hidden: bool) -> Result<SecretString, Error> {
    let before = termios::tcgetattr(io::stdin()).map_err(|error| Error::Terminal(error.into()))?;
    let mut mode = before.clone();
    if is_hidden {
        mode.local_modes.remove(LocalModes::ECHO);
        mode.local_modes.insert(LocalModes::ECHONL);
    }
    // The echo is off before the prompt appears, and typed input is kept, so that fast typing is neither shown nor lost.
    let restored = Restored(before);
    set(&mode)?;
    let (sender, receiver) = oneshot::channel();
    // A thread of its own and not one of the runtime, which would wait for the input when it ends.
    thread::spawn(move || {
        let line = write!(io::stderr(), "{prompt}").and_then(|()| read_line());
        // Nobody receives the line after Ctrl-C.
        let _ = sender.send(line);
    });
    let line = tokio::select! {
        line = receiver => line.map_err(|_| Error::Interrupted),
        _ = tokio::signal::ctrl_c() => Err(Error::Interrupted),
    };
    drop(restored);
    line?.map_err(Error::Terminal)?.ok_or(Error::Interrupted)
}

/// The former mode of the terminal, to which it returns even if the prompt is abandoned.
struct Restored(Termios);

impl Drop for Restored {
    fn drop(&mut self) {
        // A terminal that is gone needs no mode.
        let _ = set(&self.0);
    }
}

fn set(mode: &Termios) -> Result<(), Error> {
    termios::tcsetattr(io::stdin(), OptionalActions::Now, mode).map_err(|error| Error::Terminal(error.into()))
}

/// Reads a line; `None` at the end of the input. Without the buffer of `io::stdin`, which would keep a copy.
fn read_line() -> io::Result<Option<SecretString>> {
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST_LINE));
    let mut buffer = Zeroizing::new([0; LONGEST_LINE]);
    while !line.ends_with(b"\n") {
        let length = match rustix::io::read(io::stdin(), &mut buffer[..]) {
            Ok(0) if line.is_empty() => return Ok(None),
            Ok(0) => break,
            Ok(length) => length,
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        line.extend_from_slice(&buffer[..length]);
    }
    let text = std::str::from_utf8(&line).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok(Some(text.trim_end_matches(['\n', '\r']).into()))
}
