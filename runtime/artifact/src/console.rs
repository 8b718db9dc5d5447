//! What both programs say on standard output and standard error. Enters: text. Leaves: the text, or why it did not.
//! A reader that has gone (`| head -1`) never ends a program: it has seen enough, and what the program makes it makes
//! all the same, so its exit code stays what it would have been. A full disk is an error like any other.

use crate::Error;
use std::io::{ErrorKind, Write};

/// Text to standard output.
pub fn out(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::Io {
            what: "write to",
            path: "standard output".into(),
            error,
        }),
        _ => Ok(()),
    }
}

/// Text to standard error. Where that fails there is nobody left to tell.
pub fn err(text: &str) {
    let mut err = std::io::stderr().lock();
    err.write_all(text.as_bytes())
        .and_then(|()| err.flush())
        .ok();
}
