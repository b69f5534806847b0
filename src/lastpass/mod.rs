//! The LastPass Enterprise API.
pub mod time;
