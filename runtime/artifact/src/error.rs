//! Why an artifact is refused or could not be written: one sentence each, with the file and what to do.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{} is not a compiled network: {}; compile one with `vsrc compile MODEL.vsr`", .0.display(), .1)]
    NotAnArtifact(PathBuf, &'static str),
    #[error("{} was written in format {found}, this version reads format {known}; compile the source again", .path.display())]
    UnknownFormat {
        path: PathBuf,
        found: u64,
        known: u32,
    },
    #[error("{} was compiled for runtime interface {found}, this version has {known}; compile the source again", .path.display())]
    UnknownAbi {
        path: PathBuf,
        found: u64,
        known: u32,
    },
    #[error("{} is damaged: {why}; compile the source again", .path.display())]
    Damaged { path: PathBuf, why: String },
    #[error("{} is code for {found}, this machine is {here}; compile for it with `vsrc compile --target cpu-portable`", .path.display())]
    WrongArch {
        path: PathBuf,
        found: String,
        here: &'static str,
    },
    #[error("{} needs {}, which this processor does not have; compile with `vsrc compile --target cpu-portable`", .path.display(), .missing.join(", "))]
    MissingFeatures { path: PathBuf, missing: Vec<String> },
    #[error("{} is in the way: it is not of a compiled network, so it is not replaced; choose another folder with -o", .0.display())]
    InTheWay(PathBuf),
    #[error("{} is being written by another process; try again when that has ended", .0.display())]
    Busy(PathBuf),
    #[error("source file name {0:?} leads out of the artifact")]
    SourceName(String),
    #[error("cannot {what} {}: {}", .path.display(), reason(.error))]
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
    use std::io::ErrorKind::{NotFound, StorageFull, UnexpectedEof};
    match error.kind() {
        NotFound => "there is no such file or folder".into(),
        StorageFull => "the disk is full".into(),
        UnexpectedEof => "it ends too early".into(),
        _ => {
            let text = error.to_string();
            let words = text.split(" (os error").next().unwrap_or_default();
            words.to_lowercase()
        }
    }
}
