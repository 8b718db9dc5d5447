//! What can go wrong while running: one clear sentence each, with where, what, and what to do. Never a panic.

use crate::video::MediaError;
use std::fmt::Display;
use std::path::Path;
use vsr_artifact::{reason, shown_path};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user can mend it: a wrong path, another network's weights, a bad option.
    #[error("{0}")]
    User(String),
    /// The machine failed: disk full, no memory.
    #[error("{0}")]
    Machine(String),
    /// Ctrl-C, after everything was left in order.
    #[error("interrupted")]
    Interrupted,
    #[error(transparent)]
    Artifact(#[from] vsr_artifact::Error),
    #[error(transparent)]
    Media(#[from] MediaError),
}

pub type Result<T> = std::result::Result<T, Error>;

/// Exit code of a command that did its work, but whose source was cut short, damaged or incomplete.
pub const DAMAGED_SOURCE: u8 = 3;

/// Whether a failed call is the user's to mend: a wrong name, a missing permission, a file that ends too early. Full disks,
/// limits of the system and broken devices are the machine's.
pub fn is_users(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::*;
    matches!(
        error.kind(),
        AlreadyExists
            | InvalidData
            | InvalidFilename
            | InvalidInput
            | IsADirectory
            | NotADirectory
            | NotFound
            | NotSeekable
            | PermissionDenied
            | ReadOnlyFilesystem
            | UnexpectedEof
    )
}

impl Error {
    pub fn user(text: impl Into<String>) -> Error {
        Error::User(text.into())
    }

    pub fn machine(text: impl Into<String>) -> Error {
        Error::Machine(text.into())
    }

    /// `cannot read PATH: why`: the user's fault if the path is wrong.
    pub fn io(what: &str, path: &Path, error: &std::io::Error) -> Error {
        let text = format!("cannot {what} {}: {}", shown_path(path), reason(error));
        match is_users(error) {
            true => Error::User(text),
            false => Error::Machine(text),
        }
    }

    pub fn file(path: &Path, why: impl Display) -> Error {
        Error::User(format!("{}: {why}", shown_path(path)))
    }

    /// 1: the user's, 2: the machine's, 130: interrupted. A result that was made from a damaged source is no error: see
    /// [`DAMAGED_SOURCE`].
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::User(_) => 1,
            Error::Machine(_) => 2,
            Error::Artifact(vsr_artifact::Error::Io { error, .. }) => 2 - u8::from(is_users(error)),
            Error::Artifact(_) => 1,
            Error::Media(MediaError::Interrupted) | Error::Interrupted => 130,
            Error::Media(e) => 2 - u8::from(e.is_user()),
        }
    }
}
