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

impl Error {
    pub fn user(text: impl Into<String>) -> Error {
        Error::User(text.into())
    }

    pub fn machine(text: impl Into<String>) -> Error {
        Error::Machine(text.into())
    }

    /// `cannot read PATH: why`: the user's fault if the path is wrong.
    pub fn io(what: &str, path: &Path, error: &std::io::Error) -> Error {
        use std::io::ErrorKind::{
            AlreadyExists, InvalidInput, IsADirectory, NotADirectory, NotFound, PermissionDenied,
        };
        let text = format!("cannot {what} {}: {}", shown_path(path), reason(error));
        match error.kind() {
            AlreadyExists | NotFound | PermissionDenied | IsADirectory | NotADirectory
            | InvalidInput => Error::User(text),
            _ => Error::Machine(text),
        }
    }

    pub fn file(path: &Path, why: impl Display) -> Error {
        Error::User(format!("{}: {why}", shown_path(path)))
    }

    /// 1: the user's, 2: the machine's, 130: interrupted.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::User(_) => 1,
            Error::Machine(_) => 2,
            Error::Artifact(e) => 1 + u8::from(e.is_machine()),
            Error::Media(MediaError::Interrupted) | Error::Interrupted => 130,
            Error::Media(e) => 2 - u8::from(e.is_user()),
        }
    }
}
