//! Files that appear whole or not at all: written beside their place, flushed to the disk, renamed.

use crate::error::{Error, Result};
use std::fs;
use std::io::Write;
use std::path::Path;

/// Between the hidden name of a file that is being written and the number of the process.
const UNFINISHED: &str = ".new-";

/// Removes what a killed process had begun to write in a folder that one process at a time writes to.
pub fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') && name.contains(UNFINISHED) {
            // It is nobody's: if it cannot be removed, it does no harm either.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Writes `parts` one after the other as one file. When anything fails, what was at `path` is still there.
pub fn write_whole(path: &Path, parts: &[&[u8]]) -> Result<()> {
    let parent = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let fail = |e: std::io::Error| Error::io("write", path, &e);
    fs::create_dir_all(parent).map_err(fail)?;
    let name = path
        .file_name()
        .ok_or_else(|| Error::user(format!("{} names no file", vsr_artifact::shown_path(path))))?;
    let temporary = parent.join(format!(
        ".{}{UNFINISHED}{}",
        name.to_string_lossy(),
        std::process::id()
    ));
    let written = write_parts(&temporary, parts).and_then(|()| fs::rename(&temporary, path));
    if let Err(e) = written {
        let _ = fs::remove_file(&temporary);
        return Err(fail(e));
    }
    // The rename itself reaches the disk with its folder; not every file system offers that.
    if let Ok(folder) = fs::File::open(parent) {
        let _ = folder.sync_all();
    }
    Ok(())
}

fn write_parts(path: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
    let mut file = fs::File::create(path)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b.bin");
        write_whole(&path, &[b"one ", b"two"]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one two");
        let blocked = dir.path().join("a/b.bin/c");
        assert_eq!(write_whole(&blocked, &[b"x"]).unwrap_err().exit_code(), 1);
        assert_eq!(fs::read(&path).unwrap(), b"one two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_process_left_is_swept_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            ".a.safetensors.new-7",
            "a.safetensors",
            ".hidden",
            "b.new-1",
        ] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        sweep(dir.path());
        assert!(!dir.path().join(".a.safetensors.new-7").exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    }
}
