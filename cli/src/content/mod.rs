//! `content install`: installs the dashboards and detection rules in Kibana.
//!
//! - `address`: the address of Kibana and the space in it
//! - `api_key`: the API key, from the environment or a hidden prompt
//! - `bundle`: what is installed
//! - `digest`: tells a user's changes to a rule from ours
//! - `kibana`: the requests, and what a refusal means
//! - `rules`: what happens to each rule
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

pub use self::{api_key::VARIABLE, error::Error, install::install, report::render};
