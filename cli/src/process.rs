//! The protection of the process's memory, which holds passwords and keys.

use rustix::process::{Resource, Rlimit, setrlimit};

/// Switches off core dumps. On Linux, also the access of other processes of the same user to the memory and the environment,
/// and core dumps that a program receives (`core_pattern`), to which the limit does not apply.
///
/// Source: <https://man7.org/linux/man-pages/man5/core.5.html>, `PR_SET_DUMPABLE` in
/// <https://man7.org/linux/man-pages/man2/pr_set_dumpable.2const.html>.
pub fn keep_memory_private() {
    // A refusal is no reason not to work: whoever may not lower a limit has it at zero.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}
