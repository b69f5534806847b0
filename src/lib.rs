//! Copies the event report, the users and the shared folders of a LastPass Business account into Elasticsearch, every event exactly once.
//!
//! Data flows one way, [`lastpass`] → [`streams`] → [`elastic`]. [`collect`] orchestrates the runs, and [`checkpoint`]
//! stores their progress.

// So that unit tests can share a file with the integration tests and the bench, which name this library.
#[cfg(test)]
extern crate self as lastpass_elastic;

pub mod answer;
mod aws;
mod aws_http;
mod check;
pub mod checkpoint;
pub mod clock;
mod cluster;
pub mod collect;
pub mod config;
pub mod counters;
pub mod document;
pub mod elastic;
pub mod endpoint;
pub mod error;
#[cfg(test)]
#[path = "../tests/errors/mod.rs"]
mod errors;
pub mod function;
pub mod http;
mod invocation;
pub mod lastpass;
mod limits;
mod redact;
pub mod request;
pub mod secrets;
pub mod streams;
mod surrogates;
pub mod telemetry;
mod text;
