//! Copies the data streams of a LastPass Business account into Elasticsearch, every event exactly once.

mod aws;
pub mod checkpoint;
pub mod deadline;
pub mod document;
pub mod elastic;
pub mod lastpass;
pub mod secrets;
pub mod streams;
