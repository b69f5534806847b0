//! The options of `connect`.

use super::field;

/// The options of `connect`.
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

/// Returns the help after the list of options.
pub fn help() -> String {
    format!(
        "For scripts, the values come from options, from the environment variables {}, or, with --secrets-from-stdin, from a \
         JSON document with the fields {}.",
        field::variables(),
        field::names()
    )
}
