//! `connect`: asks for the credentials of LastPass and Elasticsearch, tries them, and stores them in the secret of a stack.
//!
//! Everything is proven on this machine before the secret is written. An API key that was created for a connection that then
//! fails is invalidated again. The login that creates the key and installs the index templates is never stored.

mod args;
mod command;
mod connection;
mod document;
mod elasticsearch;
mod error;
mod field;
mod first_runs;
mod input;
mod key;
mod kibana;
mod lastpass;
mod plan;
mod prepare;
mod report;
mod rotation;
mod secret;
mod settings;

pub use self::{
    args::{ConnectArgs, help},
    command::connect,
};
