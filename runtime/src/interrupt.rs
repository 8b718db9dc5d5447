//! Ctrl-C: the first asks the running command to finish its step and save; the second ends the process at once.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);
static INSTALL: Once = Once::new();

/// From now on Ctrl-C sets a flag. Call once a command has something to finish.
pub fn install() {
    INSTALL.call_once(|| {
        // A process that cannot have a handler keeps the system's default: it ends.
        let _ = ctrlc::set_handler(|| {
            if ASKED.swap(true, Ordering::SeqCst) {
                crate::files::abandon();
                std::process::exit(130);
            }
        });
    });
}

/// Whether the user asked to stop.
pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

/// As Ctrl-C does; for commands that stop themselves.
pub fn ask() {
    ASKED.store(true, Ordering::SeqCst);
}
