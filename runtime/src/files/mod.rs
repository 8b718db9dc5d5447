//! What is written appears whole or not at all. Enters: a path, and bytes. Leaves: under that path what was there
//! before, or all that is new, flushed to the disk with every result checked. Never here: a half-written file under its
//! own name, an error that nobody hears of, a hidden file of a process that still lives taken away.
//!
//! | file | what |
//! |---|---|
//! | `output.rs` | one file: written hidden beside its place, synced, renamed |
//! | `scratch.rs` | a hidden folder beside a place: pictures before they all appear, what other programs write |
//! | `hidden.rs` | names of what is unfinished, its lock, its removal; leftovers of dead processes |
//! | `lock.rs` | a folder that one process at a time works in |
//! | `guard.rs` | an output that is an input |
//! | `disk.rs` | the calls that take room; in tests, a disk of a given size |

mod disk;
pub mod guard;
mod hidden;
mod lock;
mod output;
mod scratch;

pub use hidden::{abandon, sweep};
pub use lock::FolderLock;
pub use output::Output;
pub use scratch::Scratch;

#[cfg(test)]
pub use disk::room;

use crate::error::{Error, Result};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes `parts` one after the other as one file, in folders that are made if they are missing.
pub fn write_whole(path: &Path, parts: &[&[u8]]) -> Result<()> {
    write_with(path, |out| {
        parts.iter().try_for_each(|part| out.write_all(part))
    })
}

/// As [`write_whole`], for what is made piece by piece.
pub fn write_with(
    path: &Path,
    write: impl FnOnce(&mut Output) -> std::io::Result<()>,
) -> Result<()> {
    let written = Output::create_with_folders(path).and_then(|mut out| {
        write(&mut out)?;
        out.commit()
    });
    written.map_err(|e| Error::io("write", path, &e))
}

/// The folder that a path lies in.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_path_buf()
}

/// The name of a folder's entry reaches the disk with the folder; not every file system offers that.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    use std::io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    if cfg!(not(unix)) {
        return Ok(());
    }
    match std::fs::File::open(folder).and_then(|f| f.sync_all()) {
        Err(e) if !matches!(e.kind(), InvalidInput | PermissionDenied | Unsupported) => Err(e),
        _ => Ok(()),
    }
}

/// Folders that were made for an output, and go again if it does not come.
#[derive(Default)]
struct MadeFolders(Vec<PathBuf>);

impl MadeFolders {
    /// Makes `folder` and all above it that are missing.
    fn make(folder: &Path) -> std::io::Result<MadeFolders> {
        let missing = folder
            .ancestors()
            .take_while(|f| !f.as_os_str().is_empty() && !f.exists());
        let missing: Vec<_> = missing.map(PathBuf::from).collect();
        let mut made = MadeFolders::default();
        for folder in missing.into_iter().rev() {
            match disk::create_dir(&folder) {
                // Another process was quicker.
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && folder.is_dir() => {}
                done => {
                    done?;
                    made.0.push(folder);
                }
            }
        }
        Ok(made)
    }

    fn keep(&mut self) {
        self.0.clear();
    }
}

impl Drop for MadeFolders {
    fn drop(&mut self) {
        for folder in self.0.iter().rev() {
            // Only an empty folder goes: another process may use it by now.
            let _ = std::fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests;
