//! Journeys through the public entry points: one binary, one module each.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod accounts;
mod aws_emulator;
mod aws_faults;
mod backfill;
mod check;
mod checkpoint;
mod collect;
mod crash;
mod daylight_saving;
mod elastic;
mod errors;
mod first_day;
mod golden;
mod index_mode;
mod leaks;
mod lease;
mod old_indices;
mod readme;
mod redrive;
mod reset;
mod restart;
mod resume;
mod rotation;
mod secrets;
mod security;
mod serverless;
mod setup;
mod slices;
mod snapshot;
mod stage;
mod status;
mod take_over;
mod telemetry;
mod throttled;
mod tls;
