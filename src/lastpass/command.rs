//! The commands of the Enterprise API, and the limit of their responses.

use std::fmt;

/// Longest response that is read, decompressed. Chosen: ten times the measured size of 10,000 events (2.1 MB with
/// `lastpass-simulator`; 2,000 users take 1.1 MB). Together with the records made of it, it leaves a fifth of the
/// memory of the smallest function, 128 MB, free.
pub(super) const MAX_RESPONSE_BYTES: usize = 24 << 20;
/// [`MAX_RESPONSE_BYTES`] in megabytes, for the text of an error.
pub(super) const MAX_RESPONSE_MB: usize = MAX_RESPONSE_BYTES >> 20;
/// A command of the Enterprise API (`cmd`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `reporting`: the event report.
    Reporting,
    /// `getuserdata`: users.
    GetUserData,
    /// `getdetailedsfdata`: shared folders.
    GetDetailedSfData,
}

impl Command {
    /// Returns the command as the API spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reporting => "reporting",
            Self::GetUserData => "getuserdata",
            Self::GetDetailedSfData => "getdetailedsfdata",
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
