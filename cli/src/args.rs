//! The commands and options of the command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use lastpass_elastic::document::Stream;

use crate::{connect, content, exit, times};

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

/// The format of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables for people
    Table,
    /// JSON for scripts
    Json,
}

/// The stack, its accounts and the AWS login of a command.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Stack and login")]
pub struct StackOptions {
    /// Name of the CloudFormation stack
    #[arg(
        long = "stack",
        global = true,
        default_value = "lastpass",
        env = "LASTPASS_ELASTIC_STACK",
        value_name = "NAME"
    )]
    pub name: String,
    /// Name of an account, if the stack reads several; can be repeated
    #[arg(long = "account", global = true, value_name = "NAME")]
    pub accounts: Vec<String>,
    /// All accounts, if the stack reads several
    #[arg(long, global = true, conflicts_with = "accounts")]
    pub all_accounts: bool,
    /// AWS region of the stack; default: the region of the environment or the profile
    #[arg(long, global = true, value_name = "REGION")]
    pub region: Option<String>,
    /// Profile of ~/.aws/config to log in with
    #[arg(long, global = true, value_name = "PROFILE")]
    pub profile: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ask for the credentials of LastPass and Elasticsearch, try them, store them, and start the first runs
    #[command(after_help = connect_help())]
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
    #[command(after_help = time_help())]
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
    #[command(after_help = time_help())]
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

#[derive(Debug, clap::Args)]
pub struct ConnectArgs {
    /// LastPass account number; asked for if it is missing
    #[arg(long, value_name = "NUMBER")]
    pub account_number: Option<String>,
    /// Elasticsearch user who may create API keys; asked for if it is missing
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Ask for two API keys that you create in Kibana, instead of a user; serverless projects require this
    #[arg(long, conflicts_with = "user")]
    pub api_keys: bool,
    /// Read the values from a JSON document on standard input
    #[arg(long)]
    pub secrets_from_stdin: bool,
    /// Replace the provisioning hash
    #[arg(long)]
    pub rotate_hash: bool,
    /// Replace the API key, and invalidate the former one
    #[arg(long)]
    pub rotate_key: bool,
    /// How long Elasticsearch keeps the documents, such as 365d; default: unchanged
    #[arg(long, value_name = "SPAN")]
    pub retention: Option<String>,
    /// Take over data streams that another index template or an Elastic Agent made
    #[arg(long)]
    pub take_over: bool,
    /// Address of Kibana, for a link to the documents; default: the one in the Cloud ID
    #[arg(long, value_name = "URL")]
    pub kibana: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum LocalCommand {
    /// Read a stream from LastPass and summarize the documents; sends nothing, and needs no stack
    #[command(after_help = local_help())]
    Collect(LocalCollect),
}

#[derive(Debug, clap::Args)]
pub struct LocalCollect {
    pub stream: StreamName,
    /// Start of the range of events; default: 24 hours ago
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// End of the range, exclusive; default: now
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub to: Option<String>,
    /// JSON file with the secret (account_number, provisioning_hash), or - for standard input
    #[arg(long, value_name = "FILE")]
    pub secret_file: PathBuf,
    /// Print the documents, one line of JSON each, instead of the summary
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub enum ContentCommand {
    /// Install or update the dashboards and detection rules in Kibana; needs no stack
    #[command(after_help = content_help())]
    Install(ContentInstall),
}

#[derive(Debug, clap::Args)]
pub struct ContentInstall {
    /// Address of Kibana, as the browser shows it
    #[arg(long, value_name = "URL")]
    pub kibana: String,
    /// ID of the space; default: the one in the URL, or default
    #[arg(long, value_name = "ID")]
    pub space: Option<String>,
    /// Also replace values that you changed in the rules; each rule stays enabled or disabled
    #[arg(long)]
    pub overwrite: bool,
}

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

fn content_help() -> String {
    format!(
        "The API key comes from the environment variable {}, or is asked for. Rules that are new are disabled. Rules that you \
         changed keep your values. Dashboards are replaced.",
        content::VARIABLE
    )
}

fn time_help() -> String {
    format!("A TIME is {}.", times::FORMS)
}

fn connect_help() -> String {
    format!(
        "For scripts, the values come from options, from the environment variables {}, or, with --secrets-from-stdin, from a \
         JSON document with the fields {}.",
        connect::variables(),
        connect::names()
    )
}

fn local_help() -> String {
    format!(
        "{} The environment variables LASTPASS_URL, OTHER_LASTPASS_URL, LASTPASS_TIME_ZONE, LASTPASS_USER_TIME_ZONE, \
         LASTPASS_API_USER, NAMESPACE, TAGS, PRESERVE_ORIGINAL_EVENT and PRESERVE_DUPLICATE_CUSTOM_FIELDS have the same \
         meaning as for the function.",
        time_help()
    )
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

    #[test]
    fn streams_have_the_names_of_the_function() {
        for stream in StreamName::value_variants() {
            let value = stream.to_possible_value().expect("a name");
            assert_eq!(value.get_name(), stream.as_str());
        }
        assert_eq!(StreamName::value_variants().len(), Stream::ALL.len());
    }
}
