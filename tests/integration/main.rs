//! Journeys through the public entry points: one binary, one module each.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod golden;
