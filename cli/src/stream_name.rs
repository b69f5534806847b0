//! The names of the streams on the command line.

use clap::ValueEnum;
use lastpass_elastic::document::Stream;

/// The name of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum StreamName {
    /// The audit events
    EventReport,
    /// All users
    User,
    /// All shared folders
    DetailedSharedFolder,
}

impl StreamName {
    /// Returns the name in requests of the function.
    pub const fn as_str(self) -> &'static str {
        self.stream().as_str()
    }

    /// Returns the stream of the library.
    pub const fn stream(self) -> Stream {
        match self {
            Self::EventReport => Stream::EventReport,
            Self::User => Stream::User,
            Self::DetailedSharedFolder => Stream::DetailedSharedFolder,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_have_the_names_of_the_function() {
        for stream in StreamName::value_variants() {
            let value = stream.to_possible_value().expect("a name");
            assert_eq!(value.get_name(), stream.as_str());
        }
        assert_eq!(StreamName::value_variants().len(), Stream::ALL.len());
    }
}
