//! What can go wrong with a clip, in one sentence each that names the file. Nothing in here panics or prints.

use std::fmt::Display;
use std::path::Path;
use vsr_artifact::{is_users, reason, shown, shown_path};

#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The user can mend it: a wrong path, a damaged file, a format that is not read.
    #[error("{0}")]
    User(String),
    /// The machine failed: disk full, no memory, a broken pipe.
    #[error("{0}")]
    Machine(String),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

pub type Result<T> = std::result::Result<T, MediaError>;

impl MediaError {
    pub fn user(text: impl Into<String>) -> MediaError {
        MediaError::User(text.into())
    }

    pub fn is_user(&self) -> bool {
        matches!(self, MediaError::User(_))
    }

    /// `path: why`, a fault of the file itself, which may stand in the words.
    pub fn file(path: &Path, why: impl Display) -> MediaError {
        MediaError::User(format!("{}: {}", shown_path(path), shown(why)))
    }

    pub fn cannot_read(path: &Path, error: &std::io::Error) -> MediaError {
        MediaError::io("read", path, error)
    }

    pub fn cannot_write(path: &Path, error: &std::io::Error) -> MediaError {
        MediaError::io("write", path, error)
    }

    fn io(what: &str, path: &Path, error: &std::io::Error) -> MediaError {
        let text = format!("cannot {what} {}: {}", shown_path(path), reason(error));
        match is_users(error) {
            true => MediaError::User(text),
            false => MediaError::Machine(text),
        }
    }
}
