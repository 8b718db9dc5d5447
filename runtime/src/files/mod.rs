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
//! | `vsr_artifact::place` | where a path leads, what may be replaced there, folders that are made: `vsrc` has the same |
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
use std::path::Path;
use vsr_artifact::place::MadeFolders;

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

/// Folders that are missing, made in the room that the disk has.
fn make_folders(folder: &Path) -> std::io::Result<MadeFolders> {
    MadeFolders::make(folder, disk::create_dir)
}

#[cfg(test)]
mod tests;
