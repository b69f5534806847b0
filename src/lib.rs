//! Copies the data streams of a LastPass Business account into Elasticsearch, every event exactly once.
//!
//! Data flows one way, [`lastpass`] → [`streams`] → [`elastic`], with [`collect`] as the only conductor and
//! [`checkpoint`] as its memory.

pub mod deadline;
pub mod document;
pub mod lastpass;
pub mod streams;
