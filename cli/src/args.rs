//! What can be written on the command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use lastpass_elastic::document::Stream;

use crate::{exit, when};

/// Sets a lastpass-elastic stack up, looks at it, and fills the past back.
#[derive(Debug, Parser)]
#[command(name = "lastpass-elastic", version, after_help = exit::help(), propagate_version = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    /// What is printed: a table for people, or JSON for scripts
    #[arg(long, global = true, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    #[command(flatten)]
    pub on_stack: OnStack,
}

/// Which stack is meant, and with which login.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which stack")]
pub struct OnStack {
    /// The name of the CloudFormation stack
    #[arg(long, global = true, default_value = "lastpass", env = "LASTPASS_ELASTIC_STACK", value_name = "NAME")]
    pub stack: String,
    /// An account of a stack that has several; may be given several times
    #[arg(long = "account", global = true, value_name = "NAME")]
    pub accounts: Vec<String>,
    /// All accounts of a stack that has several
    #[arg(long, global = true, conflicts_with = "accounts")]
    pub all_accounts: bool,
    /// The AWS region of the stack; that of the environment or profile unless given
    #[arg(long, global = true, value_name = "REGION")]
    pub region: Option<String>,
    /// The profile of ~/.aws/config to log in with
    #[arg(long, global = true, value_name = "PROFILE")]
    pub profile: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Install the index templates in Elasticsearch
    Setup {
        /// How long Elasticsearch keeps the documents, such as 365d; what is set stays where it isn't given
        #[arg(long, value_name = "SPAN")]
        retention: Option<String>,
        /// Take over data streams that another index template or an Elastic Agent made
        #[arg(long)]
        take_over: bool,
    },
    /// Try every system and right, and say what has to be mended
    Check,
    /// Tell how far each stream and backfill is
    Status,
    /// Read a range of the event report, in slices side by side; again with the same range: only what is missing
    #[command(after_help = times())]
    Backfill {
        /// Where the range begins
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
        from: String,
        /// Where it ends, exclusive; the next full hour unless given
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
        to: Option<String>,
        /// Let detection rules look at the documents, as if they were new
        #[arg(long)]
        alert: bool,
        /// Show events, rate and time left until it is done; Ctrl-C leaves it running
        #[arg(long)]
        follow: bool,
    },
    /// Set from where on a stream is read, and confirm a destination that has changed
    #[command(after_help = times())]
    Reset {
        stream: StreamName,
        /// The new watermark
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
        to: String,
    },
    /// Deliver a stream's dead letters again
    Redrive { stream: StreamName },
    /// Invoke the function with a payload, and print its answer
    Invoke {
        /// JSON, a file that holds it, or - for standard input
        payload: String,
    },
    /// Run the function's own code here, without Lambda
    Local {
        #[command(subcommand)]
        command: LocalCommand,
    },
    /// Print the completions of a shell
    Completions { shell: Shell },
}

#[derive(Debug, Subcommand)]
pub enum LocalCommand {
    /// Read a stream from LastPass and tell what would be sent to Elasticsearch. Nothing is sent, and no stack is needed
    #[command(after_help = local_help())]
    Collect(LocalCollect),
}

#[derive(Debug, clap::Args)]
pub struct LocalCollect {
    pub stream: StreamName,
    /// Where the range of events begins; 24 hours ago unless given
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// Where it ends, exclusive; now unless given
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub to: Option<String>,
    /// A file with the JSON of the secret (account_number, provisioning_hash), or - for standard input
    #[arg(long, value_name = "FILE")]
    pub secret_file: PathBuf,
    /// Print the documents, one line of JSON each, instead of what they come to
    #[arg(long)]
    pub dry_run: bool,
}

/// A stream.
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
    /// As the function spells it.
    pub const fn name(self) -> &'static str {
        self.stream().as_str()
    }

    /// As the library has it.
    pub const fn stream(self) -> Stream {
        match self {
            Self::EventReport => Stream::EventReport,
            Self::User => Stream::User,
            Self::DetailedSharedFolder => Stream::DetailedSharedFolder,
        }
    }
}

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Tables for people
    Table,
    /// JSON for scripts
    Json,
}

fn times() -> String {
    format!("A TIME is {}.", when::FORMS)
}

fn local_help() -> String {
    format!(
        "{} The settings of LastPass and of the documents (LASTPASS_URL, OTHER_LASTPASS_URL, \
         LASTPASS_TIME_ZONE, NAMESPACE, TAGS, PRESERVE_ORIGINAL_EVENT, PRESERVE_DUPLICATE_CUSTOM_FIELDS) are read \
         from the environment.",
        times()
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn options_of_the_stack_may_stand_on_either_side_of_the_command() {
        for line in
            [["lastpass-elastic", "--stack", "prod", "status"], ["lastpass-elastic", "status", "--stack", "prod"]]
        {
            assert_eq!(Args::try_parse_from(line).expect("a command line").on_stack.stack, "prod");
        }
    }

    #[test]
    fn streams_are_spelled_as_the_function_does() {
        for stream in StreamName::value_variants() {
            let value = stream.to_possible_value().expect("a name");
            assert_eq!(value.get_name(), stream.name());
        }
        assert_eq!(StreamName::value_variants().len(), Stream::ALL.len());
    }
}
