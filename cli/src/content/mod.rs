//! `content install`: installs the dashboards and detection rules in Kibana.
//!
//! - `address`: the address of Kibana and the space in it
//! - `api_key`: the API key, from the environment or a hidden prompt
//! - `bundle`: the content to install
//! - `digest`: distinguishes a user's changes to a rule from ours
//! - `kibana`: the requests, and the meaning of a refusal
//! - `rules`: the plan for each rule
//! - `report`: the answer

mod address;
mod api_key;
mod bundle;
mod digest;
mod error;
mod install;
mod kibana;
mod report;
mod rules;

pub use self::{address::Address, error::VARIABLE, install::install, report::render};
