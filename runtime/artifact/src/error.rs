//! Why an artifact is refused or could not be written: one sentence each, with the file and what to do.

use crate::text::{shown, shown_path};
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{} is not a compiled network: {}; compile one with `vsrc compile MODEL.vsr`", shown_path(.0), .1)]
    NotAnArtifact(PathBuf, &'static str),
    #[error("{} was written in format {found}, this version reads format {known}; compile the source again", shown_path(.path))]
    UnknownFormat {
        path: PathBuf,
        found: u64,
        known: u32,
    },
    #[error("{} was compiled for runtime interface {found}, this version has {known}; compile the source again", shown_path(.path))]
    UnknownAbi {
        path: PathBuf,
        found: u64,
        known: u32,
    },
    #[error("{} is damaged: {}; compile the source again", shown_path(.path), shown(.why))]
    Damaged { path: PathBuf, why: String },
    #[error("{} is code for {}, this machine is {}; compile for it with `vsrc compile --target cpu-portable`", shown_path(.path), shown(.found), .here)]
    WrongArch {
        path: PathBuf,
        found: String,
        here: &'static str,
    },
    #[error("{} needs {}, which this processor does not have; compile with `vsrc compile --target cpu-portable`", shown_path(.path), shown(.missing.join(", ")))]
    MissingFeatures { path: PathBuf, missing: Vec<String> },
    #[error("{} is in the way: it is not of a compiled network, so it is not replaced; choose another folder with -o", shown_path(.0))]
    InTheWay(PathBuf),
    #[error("{} is being written by another process; try again when that has ended", shown_path(.0))]
    Busy(PathBuf),
    #[error("source file name {0:?} leads out of the artifact")]
    SourceName(String),
    #[error("cannot {what} {}: {}", shown_path(.path), reason(.error))]
    Io {
        what: &'static str,
        path: PathBuf,
        error: std::io::Error,
    },
}

impl Error {
    /// The machine's fault (disk, permissions), not the user's or the file's.
    pub fn is_machine(&self) -> bool {
        match self {
            Error::Io { error, .. } => is_machine(error),
            Error::Busy(_) => true,
            _ => false,
        }
    }
}

impl Error {
    /// The same of another path: of the one that a user knows, where a file is written beside it.
    pub(crate) fn at(self, place: &std::path::Path) -> Error {
        match self {
            Error::Io { what, error, .. } => Error::Io {
                what,
                path: place.to_path_buf(),
                error,
            },
            other => other,
        }
    }
}

/// Whether a failure is the machine's: all but names that lead to nothing, or to something of another kind.
pub fn is_machine(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as Kind;
    !matches!(
        error.kind(),
        Kind::NotFound
            | Kind::IsADirectory
            | Kind::NotADirectory
            | Kind::InvalidFilename
            | Kind::InvalidInput
    )
}

/// What the system says of a failure, in plain words and without its number.
pub fn reason(error: &std::io::Error) -> String {
    use std::io::ErrorKind::{
        FileTooLarge, NotFound, NotSeekable, QuotaExceeded, StorageFull, UnexpectedEof,
    };
    match error.kind() {
        NotFound => "there is no such file or folder".into(),
        StorageFull => "the disk is full".into(),
        QuotaExceeded => "the quota of this disk is used up".into(),
        FileTooLarge => "a file may not be so large here (`ulimit -f`, or the file system)".into(),
        NotSeekable => "this needs a plain file, and it is a pipe or a device".into(),
        UnexpectedEof => "it ends too early".into(),
        _ => {
            let text = error.to_string();
            let words = text.split(" (os error").next().unwrap_or_default();
            words.to_lowercase()
        }
    }
}
