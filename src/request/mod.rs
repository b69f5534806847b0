//! The payload of an invocation.
//!
//! This module knows nothing of AWS or HTTP. A payload is checked completely, and every fault is named. Unknown fields
//! are rejected, because a misspelled field would otherwise be ignored silently.

mod action;
mod parse;

pub use self::{
    action::{Action, Backfill, Window, Work},
    parse::{Invalid, Request, parse_time},
};
