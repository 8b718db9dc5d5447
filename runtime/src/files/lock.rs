//! A folder that one process at a time works in. Enters: a folder. Leaves: a lock of the system's on its file
//! `.vsr-run.lock`, which ends with the process however that ends, so that nothing stale is left; or an error that
//! names who holds it. What others left unfinished in the folder goes when it is taken.

use super::disk::{self, DiskFile};
use super::hidden::{lived_at, sweep_own};
use super::make_folders;
use crate::error::{Error, Result};
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use vsr_artifact::place::{MadeFolders, folder_of, is_at};

const NAME: &str = ".vsr-run.lock";

pub struct FolderLock {
    path: PathBuf,
    file: File,
    /// Only empty ones go again.
    _folders: MadeFolders,
}

impl FolderLock {
    /// Makes the folder if it is missing; it goes again if nothing is left in it.
    pub fn take(folder: &Path) -> Result<FolderLock> {
        let failed = |e: io::Error| Error::io("write", folder, &e);
        let folders = make_folders(folder).map_err(failed)?;
        FolderLock::take_in(folder, folders)
    }

    /// The first of `folders` that nobody has made yet, made and locked.
    pub fn take_new(folders: impl Iterator<Item = PathBuf>) -> Result<(PathBuf, FolderLock)> {
        for folder in folders {
            let failed = |e: io::Error| Error::io("write", &folder, &e);
            let mut made = make_folders(&folder_of(&folder)).map_err(failed)?;
            match disk::create_dir(&folder) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => made.keep(),
                Err(e) => return Err(failed(e)),
                Ok(()) => {
                    made.push(folder.clone());
                    let lock = FolderLock::take_in(&folder, made)?;
                    return Ok((folder, lock));
                }
            }
        }
        Err(Error::user("no free folder for a run: give one with --out"))
    }

    fn take_in(folder: &Path, folders: MadeFolders) -> Result<FolderLock> {
        let path = folder.join(NAME);
        let failed = |e: io::Error| Error::io("write", &path, &e);
        loop {
            let mut file = disk::open_or_create(&path).map_err(failed)?;
            let holder = holder(&mut file);
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => return Err(busy(folder, holder.map(|h| h.0))),
                // No locks on this file system: the number in the file must do.
                Err(TryLockError::Error(_)) => {
                    if let Some((process, true)) = holder {
                        return Err(busy(folder, Some(process)));
                    }
                }
                // Who held it removed it meanwhile.
                Ok(()) if !is_at(&file, &path) => continue,
                Ok(()) => {}
            }
            // From here on the file goes again if anything fails.
            let lock = FolderLock {
                path: path.clone(),
                file,
                _folders: folders,
            };
            sign(&lock.file).map_err(failed)?;
            sweep_own(folder);
            return Ok(lock);
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // While it is locked, so that whoever waits for it sees that it has gone.
        let _ = fs::remove_file(&self.path);
    }
}

/// The process that signed last, and whether it lives.
fn holder(file: &mut File) -> Option<(u32, bool)> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let process = text.trim().parse().ok()?;
    let signed = file.metadata().and_then(|m| m.modified()).ok()?;
    let is_other = process != std::process::id();
    Some((process, is_other && lived_at(process, signed)))
}

fn sign(file: &File) -> io::Result<()> {
    file.set_len(0)?;
    let mut to = DiskFile(file.try_clone()?);
    io::Seek::rewind(&mut to)?;
    to.write_all(format!("{}\n", std::process::id()).as_bytes())
}

fn busy(folder: &Path, process: Option<u32>) -> Error {
    let process = process.map(|p| format!(" (process {p})"));
    Error::file(
        folder,
        format!(
            "another run works in this folder{}: wait until it ends, or choose another folder with --out",
            process.unwrap_or_default()
        ),
    )
}
