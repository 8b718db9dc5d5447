//! Files that appear whole or not at all. Enters a path and its new bytes; leaves the new file, or the old one and why.
//!
//! The bytes are written beside their place, flushed to the disk and renamed. Until then the file is locked: one that
//! is found beside its place and is not locked was left by a process that died, and goes. What is no regular file (a
//! pipe, `/dev/stdout`) is written to as it is. A link stays a link; permissions stay what they were.

use crate::Error;
use crate::place::{MadeFolders, folder_of, follow, is_at, is_stream, replaceable, sync_folder};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Result, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Replaces one file.
pub fn file(path: &Path, bytes: &[u8]) -> std::result::Result<(), Error> {
    Pending::write(path, bytes)?.commit()
}

/// Replaces files of which one belongs to the other: all are on the disk before the first takes its place.
pub fn files<'b>(
    files: impl IntoIterator<Item = (PathBuf, &'b [u8])>,
) -> std::result::Result<(), Error> {
    let mut written = vec![];
    for (path, bytes) in files {
        match Pending::write(&path, bytes) {
            Ok(pending) => written.push(pending),
            Err(error) => {
                // Folders that were made for later files lie in those of earlier ones.
                while written.pop().is_some() {}
                return Err(error);
            }
        }
    }
    written.into_iter().try_for_each(Pending::commit)
}

/// A file whose bytes are on the disk beside its place. Dropped without `commit`, it leaves nothing.
struct Pending {
    target: PathBuf,
    /// None: the bytes went straight to where they belong.
    beside: Option<PathBuf>,
    /// Holds the lock.
    file: Option<File>,
    folders: MadeFolders,
}

impl Pending {
    /// Writes the bytes beside their place, whose folder is made where it is missing.
    fn write(path: &Path, bytes: &[u8]) -> std::result::Result<Pending, Error> {
        Pending::written(path, bytes).map_err(|error| Error::Io {
            what: "write",
            path: path.to_path_buf(),
            error,
        })
    }

    fn written(path: &Path, bytes: &[u8]) -> Result<Pending> {
        if is_stream(path) {
            straight(path, bytes)?;
            return Ok(Pending {
                target: path.to_path_buf(),
                beside: None,
                file: None,
                folders: MadeFolders::default(),
            });
        }
        let target = follow(path)?;
        replaceable(&target)?;
        let folders = MadeFolders::make(&folder_of(&target), |folder| fs::create_dir(folder))?;
        sweep(&target);
        let (beside, file) = create(&target)?;
        let mut pending = Pending {
            target,
            beside: Some(beside),
            file: Some(file),
            folders,
        };
        pending.fill(bytes)?;
        Ok(pending)
    }

    fn fill(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        if let Ok(old) = fs::metadata(&self.target) {
            file.set_permissions(old.permissions())?;
            let new = file.metadata()?;
            if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
                // Who may not give files away keeps the new one.
                let _ = std::os::unix::fs::fchown(&*file, Some(old.uid()), Some(old.gid()));
            }
        }
        file.write_all(bytes)?;
        file.sync_all()
    }

    /// Puts the file in its place.
    fn commit(mut self) -> std::result::Result<(), Error> {
        let Some(beside) = self.beside.take() else {
            return Ok(());
        };
        if let Err(error) = fs::rename(&beside, &self.target) {
            let path = self.target.clone();
            self.beside = Some(beside);
            return Err(Error::Io {
                what: "write",
                path,
                error,
            });
        }
        self.folders.keep();
        // The file is in its place: an error would say that the old one is still there.
        let _ = sync_folder(&folder_of(&self.target));
        Ok(())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            // The first error is the one to tell.
            let _ = fs::remove_file(beside);
        }
    }
}

fn straight(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut out = OpenOptions::new().append(true).open(path)?;
    match out.write_all(bytes).and_then(|()| out.flush()) {
        // A reader that has gone has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// A new file beside its place, locked.
fn create(target: &Path) -> Result<(PathBuf, File)> {
    loop {
        let beside = target.with_file_name(unfinished(target)?);
        let file = match OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&beside)
        {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            file => file?,
        };
        // Not every file system has locks; where there are none, nothing is swept.
        let _ = file.try_lock();
        // Between making and locking it, somebody may have taken it for a dead one's.
        if is_at(&file, &beside) {
            return Ok((beside, file));
        }
    }
}

/// `.NAME.PID-N.tmp`, another one each time.
pub(crate) fn unfinished(target: &Path) -> Result<String> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = target.file_name().ok_or(ErrorKind::InvalidFilename)?;
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let pid = std::process::id();
    Ok(format!(".{}.{pid}-{n}.tmp", name.to_string_lossy()))
}

/// Whether a file's name is one that `unfinished` gives for `name`.
pub(crate) fn is_unfinished(found: &str, name: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let middle = found
        .strip_prefix('.')
        .and_then(|rest| rest.strip_prefix(name))
        .and_then(|rest| rest.strip_prefix('.')?.strip_suffix(".tmp"));
    let parts = middle.and_then(|middle| middle.split_once('-'));
    parts.is_some_and(|(pid, n)| number(pid) && number(n))
}

/// Removes what dead processes left beside a file.
fn sweep(target: &Path) {
    let Some(name) = target.file_name().map(|n| n.to_string_lossy()) else {
        return;
    };
    for entry in fs::read_dir(folder_of(target))
        .into_iter()
        .flatten()
        .flatten()
    {
        if is_unfinished(&entry.file_name().to_string_lossy(), &name)
            && entry.file_type().is_ok_and(|kind| kind.is_file())
            && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok())
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap());
        let mut names: Vec<String> = entries
            .map(|e| e.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_through_links_with_its_permissions() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("a.txt", dir.path().join("one")).unwrap();
        symlink("one", dir.path().join("two")).unwrap();
        file(&dir.path().join("two"), b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o640
        );
        assert_eq!(names(dir.path()), ["a.txt", "one", "two"]);
        // A link to nothing leads to where the file goes.
        symlink("later/b.txt", dir.path().join("to")).unwrap();
        file(&dir.path().join("to"), b"there").unwrap();
        assert_eq!(fs::read(dir.path().join("later/b.txt")).unwrap(), b"there");
        symlink("ring", dir.path().join("ring")).unwrap();
        let why = file(&dir.path().join("ring"), b"").unwrap_err().to_string();
        assert!(why.contains("leads in a circle"), "{why}");
    }

    #[test]
    fn what_is_not_committed_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("x/y/z.txt");
        drop(Pending::write(&deep, b"z").unwrap());
        assert!(names(dir.path()).is_empty());
        Pending::write(&deep, b"z").unwrap().commit().unwrap();
        assert_eq!(names(&dir.path().join("x/y")), ["z.txt"]);
    }

    #[test]
    fn leftovers_of_the_dead_are_swept_and_those_of_the_living_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        for name in [
            ".a.txt.12-0.tmp",
            ".a.txt.x-0.tmp",
            ".b.txt.12-0.tmp",
            ".a.txt.tmp",
        ] {
            fs::write(dir.path().join(name), "left").unwrap();
        }
        let living = Pending::write(&path, b"first").unwrap();
        file(&path, b"second").unwrap();
        living.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        let kept = [".a.txt.tmp", ".a.txt.x-0.tmp", ".b.txt.12-0.tmp", "a.txt"];
        assert_eq!(names(dir.path()), kept);
    }

    #[test]
    fn what_is_no_file_is_written_to_as_it_is() {
        file(Path::new("/dev/null"), b"gone").unwrap();
        let full = file(Path::new("/dev/full"), b"x").unwrap_err();
        assert!(
            !full.is_users() && full.to_string().ends_with("the disk is full"),
            "{full}"
        );
        assert!(!fs::metadata("/dev/full").unwrap().is_file());
        let dir = tempfile::tempdir().unwrap();
        let folder = file(dir.path(), b"x").unwrap_err();
        assert!(folder.is_users(), "{folder}");
    }
}
