//! `content install`: installs the dashboards and detection rules in Kibana.
//!
//! - `api_key`: the API key, from the environment or a hidden prompt
//! - `bundle`: the content to install
//! - `digest`: distinguishes a user's changes to a rule from ours
//! - `kibana`: the requests, and the meaning of a refusal
//! - `rules`: the plan for each rule

mod api_key;
mod bundle;
mod digest;
mod error;
mod install;
mod kibana;
mod rules;

pub use self::install::{ContentInstall, help, install};
