//! Files that are read from beginning to end, twice where need be. Enters: a path. Leaves: an open file, or why there
//! is none. Pipes, devices and sockets are never opened: they wait for ever, or have no end.

use std::fs::{File, FileType};
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

/// Opens a regular file for reading.
pub fn open_file(path: &Path) -> Result<File> {
    let kind = std::fs::metadata(path)?.file_type();
    match other_than_file(kind) {
        None => File::open(path),
        Some(what) => {
            let why = format!("it is {what}, and a file is expected");
            Err(Error::new(ErrorKind::InvalidInput, why))
        }
    }
}

fn other_than_file(kind: FileType) -> Option<&'static str> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return Some("a pipe");
        }
        if kind.is_char_device() || kind.is_block_device() {
            return Some("a device");
        }
        if kind.is_socket() {
            return Some("a socket");
        }
    }
    if kind.is_dir() {
        return Some("a folder");
    }
    (!kind.is_file()).then_some("something else")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason;

    #[test]
    fn only_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let refused = |path: &Path| reason(&open_file(path).unwrap_err());
        assert_eq!(refused(&path), "there is no such file or folder");
        assert_eq!(
            refused(dir.path()),
            "it is a folder, and a file is expected"
        );
        std::fs::write(&path, "x").unwrap();
        assert!(open_file(&path).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn pipes_and_devices_are_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let refused = |path: &Path| reason(&open_file(path).unwrap_err());
        assert_eq!(refused(&pipe), "it is a pipe, and a file is expected");
        assert_eq!(
            refused(Path::new("/dev/null")),
            "it is a device, and a file is expected"
        );
    }
}
