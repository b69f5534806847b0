//! The commands and options of the command line.

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::{
    connect::{self, ConnectArgs},
    content::{self, ContentInstall},
    exit,
    local::{self, LocalCollect},
    output::Format,
    stack::StackOptions,
    stream_name::StreamName,
    times,
};

/// Set up, inspect and backfill a lastpass-elastic stack.
#[derive(Debug, Parser)]
#[command(name = "lastpass-elastic", version, after_help = exit::help(), propagate_version = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    /// Print tables for people, or JSON for scripts
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    pub output: Format,
    #[command(flatten)]
    pub stack: StackOptions,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ask for the credentials of LastPass and Elasticsearch, try them, store them, and start the first runs
    #[command(after_help = connect::help())]
    Connect(ConnectArgs),
    /// Install or update the index templates in Elasticsearch
    Setup {
        /// How long Elasticsearch keeps the documents, such as 365d; default: unchanged
        #[arg(long, value_name = "SPAN")]
        retention: Option<String>,
        /// Take over data streams that another index template or an Elastic Agent made
        #[arg(long)]
        take_over: bool,
    },
    /// Test every system and permission, say what to fix, and show the progress of each stream
    Check,
    /// Show the progress of each stream and backfill
    Status {
        /// Refresh the display every few seconds, until Ctrl-C
        #[arg(long)]
        watch: bool,
    },
    /// Read a range of the event report in parallel slices; a repeated run reads only what is missing
    #[command(after_help = times::help())]
    Backfill {
        /// Start of the range
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
        from: String,
        /// End of the range, exclusive; default: the next full hour
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
        to: Option<String>,
        /// Let detection rules process the documents as if they were new
        #[arg(long)]
        alert: bool,
        /// Show events, rate and time left until the backfill ends; Ctrl-C leaves it running
        #[arg(long)]
        follow: bool,
    },
    /// Set the time from which a stream is read, and confirm a changed destination
    #[command(after_help = times::help())]
    Reset {
        stream: StreamName,
        /// New watermark
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
        to: String,
    },
    /// Send the dead letters of a stream again
    Redrive { stream: StreamName },
    /// Invoke the function with a payload, and print the answer
    Invoke {
        /// JSON, the path of a JSON file, or - for standard input
        payload: String,
    },
    /// Run the function's code on this machine, without Lambda
    Local {
        #[command(subcommand)]
        command: LocalCommand,
    },
    /// Install the dashboards and detection rules in Kibana
    Content {
        #[command(subcommand)]
        command: ContentCommand,
    },
    /// Print the completion script of a shell
    Completions { shell: Shell },
}

#[derive(Debug, Subcommand)]
pub enum LocalCommand {
    /// Read a stream from LastPass and summarize the documents; sends nothing, and needs no stack
    #[command(after_help = local::help())]
    Collect(LocalCollect),
}

#[derive(Debug, Subcommand)]
pub enum ContentCommand {
    /// Install or update the dashboards and detection rules in Kibana; needs no stack
    #[command(after_help = content::help())]
    Install(ContentInstall),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_options_of_the_stack_may_precede_or_follow_the_command() {
        for line in
            [["lastpass-elastic", "--stack", "prod", "status"], ["lastpass-elastic", "status", "--stack", "prod"]]
        {
            assert_eq!(Args::try_parse_from(line).expect("a command line").stack.name, "prod");
        }
    }
}
