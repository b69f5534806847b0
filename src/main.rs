//! The `bootstrap` binary.
fn main() {}
