//! The protection of the process's memory, which holds passwords and keys.

use rustix::process::{Resource, Rlimit, setrlimit};

/// Disables core dumps. On Linux, also prevents other processes of the same user from reading the memory and the environment,
/// and disables core dumps that are piped to a program (`core_pattern`), to which the limit does not apply.
///
/// Source: <https://man7.org/linux/man-pages/man5/core.5.html>, `PR_SET_DUMPABLE` in
/// <https://man7.org/linux/man-pages/man2/pr_set_dumpable.2const.html>.
pub fn keep_memory_private() {
    // Lowering a limit needs no privilege, so a failure is unlikely. The command also works without it.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}
