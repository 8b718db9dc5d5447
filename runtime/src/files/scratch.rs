//! A hidden folder beside a place, or in it, if it is a folder: moving never leads to another disk. Enters: the place.
//! Leaves: room for files that are not yet to be seen, and then all of them at their place: as a folder that appears at
//! once, or moved into one that is there, which is as it was if any of them cannot be moved. Dropped before, nothing is
//! left.

use super::disk;
use super::hidden::Hidden;
use super::output::Output;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use vsr_artifact::place::{folder_of, sync_folder};

pub struct Scratch {
    hidden: Hidden,
}

impl Scratch {
    pub fn at(place: &Path) -> io::Result<Scratch> {
        let place = absolute(place);
        let name = place.file_name().unwrap_or_default();
        let hidden = match place.is_dir() {
            true => Hidden::folder(&place.join(name))?,
            false => Hidden::folder(&place)?,
        };
        Ok(Scratch { hidden })
    }

    /// Where a file of that name lies meanwhile.
    pub fn path(&self, name: &str) -> PathBuf {
        self.hidden.path().join(name)
    }

    /// A file to be committed into the folder.
    pub fn file(&self, name: &str) -> io::Result<Output> {
        Output::inside(&self.path(name))
    }

    /// Gives one of its files, which another program wrote, a name beside the folder.
    pub fn publish_file(self, name: &str, target: &Path) -> io::Result<()> {
        let made = self.path(name);
        fs::File::open(&made)?.sync_all()?;
        disk::rename(&made, target)?;
        sync_folder(&folder_of(target))
    }

    /// All of it becomes `folder`, or is moved into it. What `replaced` lists goes first; any other file that has one
    /// of the names is an error of the kind `AlreadyExists`, and stays.
    pub fn publish(self, folder: &Path, replaced: &[PathBuf]) -> io::Result<()> {
        sync_folder(self.hidden.path())?;
        if !folder.exists() {
            match disk::rename(self.hidden.path(), folder) {
                // Another program was quicker: its files stay.
                Err(e) if e.kind() == ErrorKind::DirectoryNotEmpty => {}
                done => {
                    done?;
                    self.hidden.keep();
                    return sync_folder(&folder_of(folder));
                }
            }
        }
        let mut moved = Moved::default();
        let old = self.hidden.path().join(OLD);
        let new = files_of(self.hidden.path())?;
        if !replaced.is_empty() {
            disk::create_dir(&old)?;
        }
        for from in replaced {
            moved.to(from, old.join(from.file_name().unwrap_or_default()))?;
        }
        for from in &new {
            moved.to(from, folder.join(from.file_name().unwrap_or_default()))?;
        }
        sync_folder(folder)?;
        moved.0.clear();
        Ok(())
    }
}

/// Where replaced files lie until the new ones are all there; no name that a picture has.
const OLD: &str = ".old";

fn files_of(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?;
    let mut files: Vec<PathBuf> = entries
        .map(|e| e.map(|e| e.path()))
        .collect::<io::Result<_>>()?;
    files.sort();
    Ok(files)
}

/// Files that were moved, to be moved back unless all of them were.
#[derive(Default)]
struct Moved(Vec<(PathBuf, PathBuf)>);

impl Moved {
    fn to(&mut self, from: &Path, to: PathBuf) -> io::Result<()> {
        disk::rename_new(from, &to)?;
        self.0.push((from.to_path_buf(), to));
        Ok(())
    }
}

impl Drop for Moved {
    fn drop(&mut self) {
        for (from, to) in self.0.iter().rev() {
            // The way back needs no more room than the files had before.
            let _ = fs::rename(to, from);
        }
    }
}

/// A path with a last component, also for `.` and `shot/`.
fn absolute(path: &Path) -> PathBuf {
    let path = fs::canonicalize(path)
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.into());
    path.components().collect()
}
