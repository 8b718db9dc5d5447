//! What both programs say on standard output and standard error. Enters: text. Leaves: the text, or why it did not.
//! A reader that has gone (`| head -1`) never ends a program: it has seen enough, and what the program makes it makes
//! all the same, so its exit code stays what it would have been. A full disk is an error like any other.
//! No name out of a file reaches a terminal as it is: see [`crate::text`].

use crate::Error;
use crate::text::guarded;
use std::io::{ErrorKind, IsTerminal, Write};

/// What a line that is drawn again and again begins with.
pub const CLEAR_LINE: &str = "\r\x1b[2K";

/// Messages, and results as text or JSON, to standard output.
pub fn out(text: &str) -> Result<(), Error> {
    write_out(&guarded(text))
}

/// A document (a formatted source, a picture) to standard output: to its byte, unless a terminal would obey it.
pub fn document(text: &str) -> Result<(), Error> {
    match std::io::stdout().is_terminal() {
        true => out(text),
        false => write_out(text),
    }
}

fn write_out(text: &str) -> Result<(), Error> {
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

/// After the last word: what went to a file is on its disk. Pipes and terminals have nothing to sync.
pub fn finish() -> Result<(), Error> {
    match sync() {
        Err(error)
            if !matches!(
                error.kind(),
                ErrorKind::InvalidInput | ErrorKind::Unsupported
            ) =>
        {
            Err(Error::Io {
                what: "write to",
                path: "standard output".into(),
                error,
            })
        }
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn sync() -> std::io::Result<()> {
    use std::os::fd::{AsRawFd, FromRawFd};
    // SAFETY: standard output stays open: what borrows it here never closes it.
    let out = unsafe { std::fs::File::from_raw_fd(std::io::stdout().as_raw_fd()) };
    std::mem::ManuallyDrop::new(out).sync_all()
}

#[cfg(not(unix))]
fn sync() -> std::io::Result<()> {
    Ok(())
}

/// Messages to standard error, and a line of progress, which begins with [`CLEAR_LINE`].
pub fn err(text: &str) {
    let (clear, rest) = match text.strip_prefix(CLEAR_LINE) {
        Some(rest) => (CLEAR_LINE, rest),
        None => ("", text),
    };
    styled(&format!("{clear}{}", guarded(rest)));
}

/// As [`err`], of what was guarded when it was coloured. Where that fails there is nobody left to tell.
pub fn styled(text: &str) {
    let mut err = std::io::stderr().lock();
    err.write_all(text.as_bytes())
        .and_then(|()| err.flush())
        .ok();
}
