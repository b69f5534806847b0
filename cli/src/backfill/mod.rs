//! A backfill by the stack's state machine: starts it, or continues one of the same range, and follows its progress.

mod command;
mod display;
mod error;
mod progress;
mod state_machine;

pub use self::{command::Backfill, state_machine::StateMachine};
