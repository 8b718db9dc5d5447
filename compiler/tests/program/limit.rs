//! A program that may take only so much of something of the system's. Enters: a command that has not started. Leaves: the
//! same command, whose process limits itself before it is the program. Limits of the tests' own process never change.

use std::os::unix::process::CommandExt;
use std::process::Command;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub type Resource = libc::__rlimit_resource_t;
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub type Resource = libc::c_int;

/// The command may take no more than this of something.
pub fn limit(command: &mut Command, resource: Resource, most: u64) {
    let set = move || {
        let limit = libc::rlimit {
            rlim_cur: most as libc::rlim_t,
            rlim_max: most as libc::rlim_t,
        };
        // SAFETY: a system call, and nothing else, between fork and exec.
        match unsafe { libc::setrlimit(resource, &limit) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec, `set` makes one system call, and allocates nothing.
    unsafe { command.pre_exec(set) };
}
