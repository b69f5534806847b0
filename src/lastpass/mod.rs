//! The LastPass Enterprise API: client, tolerant wire types, paging, and API local time ↔ UTC.
//!
//! This module knows nothing of Elasticsearch. It reads responses as tolerantly as a PHP back end requires, and returns
//! strict types. Protocol facts cite LASTPASS_API.md ("LastPass Enterprise API: what is known"). The module relies on
//! no other fact.

#[cfg(test)]
#[path = "../../tests/unit/lastpass/answers.rs"]
pub(crate) mod answers;
mod backoff;
mod client;
mod command;
mod contradiction;
mod error;
pub mod folders;
mod follow_up;
#[cfg(test)]
#[path = "../../tests/unit/lastpass/forms.rs"]
mod forms;
mod markup;
pub mod own_polls;
pub mod paging;
mod passes;
mod problem;
pub mod reporting;
#[cfg(test)]
#[path = "../../tests/unit/lastpass/testing.rs"]
pub(crate) mod testing;
pub mod time;
#[cfg(test)]
#[path = "../../tests/unit/lastpass/time_properties.rs"]
mod time_properties;
pub mod user_dates;
pub mod users;
pub mod whole_seconds;
#[cfg(test)]
#[path = "../../tests/unit/lastpass/whole_seconds_properties.rs"]
mod whole_seconds_properties;
mod wire;

pub use client::{Account, Client};
pub use command::Command;
pub use contradiction::Contradiction;
pub use error::Error;
