//! Why an artifact is refused or could not be written: one sentence each, with the file and what to do.

use crate::text::{shown, shown_path};
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{} is not a compiled network: {}; compile one with `vsrc compile MODEL.vsr`", shown_path(.0), .1)]
    NotAnArtifact(PathBuf, &'static str),
    #[error("{} was written in format {found}, this version reads format {known}; compile the source again",
        shown_path(.path))]
    UnknownFormat {
        path: PathBuf,
        found: u64,
        known: u32,
    },
    #[error("{} was compiled for runtime interface {found}, this version has {known}; compile the source again",
        shown_path(.path))]
    UnknownAbi {
        path: PathBuf,
        found: u64,
        known: u32,
    },
    #[error("{} is damaged: {}; compile the source again", shown_path(.path), shown(.why))]
    Damaged { path: PathBuf, why: String },
    #[error("{} is code for {}, this machine is {}; compile for it with `vsrc compile --target cpu-portable`",
        shown_path(.path), shown(.found), .here)]
    WrongArch {
        path: PathBuf,
        found: String,
        here: &'static str,
    },
    #[error("{} needs {}, which this processor does not have; compile with `vsrc compile --target cpu-portable`",
        shown_path(.path), shown(.missing.join(", ")))]
    MissingFeatures { path: PathBuf, missing: Vec<String> },
    #[error("{} is in the way: it is not of a compiled network, so it is not replaced; choose another folder \
        with -o", shown_path(.0))]
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
    /// Whether the user can mend it: another file, another folder, another text. Otherwise the machine is to blame.
    pub fn is_users(&self) -> bool {
        match self {
            Error::Io { error, .. } => is_users(error),
            Error::Busy(_) => false,
            _ => true,
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

/// What both programs answer for with their exit codes: the end of their help, and of README's part on using them.
pub const EXIT_CODES: &str = "Exit codes:
  0    done
  1    an error of the user's: in a text, a file, its permissions or the command line
  2    an error of the machine's: disk, memory, threads, open files; or a fault of our own
  3    `vsr-run upscale` and `eval`: done, but the source was damaged, cut short or incomplete
       (stderr says what is missing; `--strict` refuses it, with 1)
  130  `vsr-run`: interrupted by Ctrl-C, and everything left in order";

/// Whether a failed call is the user's to mend: a wrong name, a missing permission, a file that ends too early. Full
/// disks, limits of the system and broken devices are the machine's. No other place decides that.
pub fn is_users(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::*;
    matches!(
        error.kind(),
        AlreadyExists
            | DirectoryNotEmpty
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
    ) || error.raw_os_error() == Some(TOO_MANY_LINKS)
}

/// `ELOOP` of Linux, a link that leads to itself: its kind has no stable name.
const TOO_MANY_LINKS: i32 = 40;

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
        NotSeekable => "this needs a regular file, and it is a pipe or a device".into(),
        UnexpectedEof => "it ends too early".into(),
        _ => {
            let text = error.to_string();
            let words = text.split(" (os error").next().unwrap_or_default();
            words.to_lowercase()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Error as Io, ErrorKind};

    #[test]
    fn names_and_permissions_are_the_users_and_the_rest_is_the_machines() {
        // By the numbers of Linux: ENOENT, EACCES, EEXIST, EISDIR, EROFS, ELOOP; EIO, ENOMEM, EMFILE, ENOSPC, EDQUOT.
        for (codes, is_mendable) in [
            (&[2, 13, 17, 21, 30, 40][..], true),
            (&[5, 12, 24, 28, 122], false),
        ] {
            for code in codes {
                assert_eq!(
                    is_users(&Io::from_raw_os_error(*code)),
                    is_mendable,
                    "{code}"
                );
            }
        }
        let of = |kind: ErrorKind| Error::Io {
            what: "read",
            path: "a".into(),
            error: kind.into(),
        };
        assert!(
            of(ErrorKind::PermissionDenied).is_users() && !of(ErrorKind::StorageFull).is_users()
        );
        assert!(!Error::Busy("a".into()).is_users() && Error::InTheWay("a".into()).is_users());
    }

    /// What help shows is what README says.
    #[test]
    fn readme_has_the_exit_codes() {
        let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
        let readme = std::fs::read_to_string(readme).unwrap();
        let shown: Vec<String> = EXIT_CODES.lines().map(|l| format!("    {l}")).collect();
        assert!(
            readme.contains(&shown.join("\n")),
            "README differs from\n{EXIT_CODES}"
        );
    }
}
