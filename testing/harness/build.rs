//! Builds the library that gives a function process a faster clock. It is preloaded into the process.

use std::process::{Command, ExitCode};

const SOURCE: &str = "src/fast_clock.c";

#[expect(clippy::disallowed_methods, reason = "how Cargo tells a build script where to write")]
fn main() -> ExitCode {
    println!("cargo::rerun-if-changed={SOURCE}");
    let Ok(folder) = std::env::var("OUT_DIR") else { return ExitCode::FAILURE };
    let library = format!("{folder}/fast_clock.so");
    match Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o", &library, SOURCE]).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        ended => {
            println!("cargo::error=`cc` can't build {SOURCE}: {ended:?}");
            ExitCode::FAILURE
        }
    }
}
