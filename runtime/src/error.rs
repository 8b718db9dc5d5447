//! What can go wrong while running: one clear sentence each, with where, what, and what to do. Never a panic.

use crate::video::MediaError;
use std::fmt::Display;
use std::path::Path;
use vsr_artifact::{is_users, reason, shown_path};

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

/// What is done about a fault that leaves something to go on with: a film of which only a part is there, weights that
/// are not finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFault {
    /// It is told, and what is there does.
    #[default]
    Tell,
    /// It is an error.
    Refuse,
}

impl OnFault {
    /// What `--strict` decides.
    pub fn of_strict(is_strict: bool) -> OnFault {
        match is_strict {
            true => OnFault::Refuse,
            false => OnFault::Tell,
        }
    }

    /// The one refusal under `--strict`: of the first fault, if there is any.
    pub fn check<F: Display>(
        self,
        faults: impl IntoIterator<Item = F>,
    ) -> std::result::Result<(), MediaError> {
        match faults.into_iter().next() {
            Some(fault) if self == OnFault::Refuse => Err(MediaError::User(format!(
                "{fault}; leave --strict out to be warned only, and go on with what is there"
            ))),
            _ => Ok(()),
        }
    }
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
            Error::Artifact(e) => 2 - u8::from(e.is_users()),
            Error::Media(MediaError::Interrupted) | Error::Interrupted => 130,
            Error::Media(e) => 2 - u8::from(e.is_user()),
        }
    }
}
