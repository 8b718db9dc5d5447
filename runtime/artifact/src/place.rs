//! Places that files are written to: what both atomic writers, [`crate::replace`] here and the runtime's, know of them.
//! Enters: a path. Leaves: where it leads, what may be replaced there, and the folders that are made for it. No content
//! is written here.

use std::fs::{self, File, Permissions};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Links that lead to links: more are a ring.
const MAX_LINKS: usize = 40;

/// The folder that a path lies in.
pub fn folder_of(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_path_buf()
}

/// Where a path leads, whether something is there or not: a link stays, and what it names is replaced.
pub fn follow(path: &Path) -> Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(to) => path = folder_of(&path).join(to),
            Err(_) => return Ok(path),
        }
    }
    let why = "it is a link that leads in a circle";
    Err(Error::new(ErrorKind::InvalidInput, why))
}

/// A device, a pipe, or another name of an open file: nothing can be renamed to it, so it is written to as it is.
pub fn is_stream(path: &Path) -> bool {
    let open = ["/proc", "/dev/fd", "/dev/stdout", "/dev/stderr"];
    let is_open = open.iter().any(|names| path.starts_with(names));
    fs::metadata(path).is_ok_and(|there| !there.is_dir() && (is_open || !there.is_file()))
}

/// The permissions of the file that is replaced, if there is one and it may be.
pub fn replaceable(target: &Path) -> Result<Option<Permissions>> {
    let there = match fs::metadata(target) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        there => there?,
    };
    if there.is_dir() {
        let why = "it is a folder, and a file is to be written";
        return Err(Error::new(ErrorKind::IsADirectory, why));
    }
    if there.permissions().readonly() {
        let why = "it is write-protected";
        return Err(Error::new(ErrorKind::PermissionDenied, why));
    }
    Ok(Some(there.permissions()))
}

/// Whether a path still leads to an open file.
pub fn is_at(handle: &File, path: &Path) -> bool {
    let of = |m: fs::Metadata| (m.dev(), m.ino());
    match (handle.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(there)) => of(open) == of(there),
        _ => false,
    }
}

/// The name of a folder's entry reaches the disk with the folder; not every file system offers that.
pub fn sync_folder(folder: &Path) -> Result<()> {
    use ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    match File::open(folder).and_then(|f| f.sync_all()) {
        Err(e) if !matches!(e.kind(), InvalidInput | PermissionDenied | Unsupported) => Err(e),
        _ => Ok(()),
    }
}

/// Folders that were made for an output, and go again if it does not come.
#[derive(Default)]
pub struct MadeFolders(Vec<PathBuf>);

impl MadeFolders {
    /// Makes `folder` and all above it that are missing, each by `create`.
    pub fn make(folder: &Path, create: impl Fn(&Path) -> Result<()>) -> Result<MadeFolders> {
        let missing = folder
            .ancestors()
            .take_while(|f| !f.as_os_str().is_empty() && !f.exists());
        let missing: Vec<_> = missing.map(PathBuf::from).collect();
        let mut made = MadeFolders::default();
        for folder in missing.into_iter().rev() {
            match create(&folder) {
                // Another process was quicker.
                Err(e) if e.kind() == ErrorKind::AlreadyExists && folder.is_dir() => {}
                done => {
                    done?;
                    made.push(folder);
                }
            }
        }
        Ok(made)
    }

    /// One more, which lies below the others.
    pub fn push(&mut self, folder: PathBuf) {
        self.0.push(folder);
    }

    /// The output has come: they stay.
    pub fn keep(&mut self) {
        self.0.clear();
    }
}

impl Drop for MadeFolders {
    fn drop(&mut self) {
        for folder in self.0.iter().rev() {
            // Only an empty folder goes: another process may use it by now.
            let _ = fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_were_made_for_nothing_go_again() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        let make = || MadeFolders::make(&deep, |f| fs::create_dir(f)).unwrap();
        drop(make());
        assert!(!dir.path().join("a").exists());
        // One that cannot be made takes those before it along.
        let fails = |f: &Path| match f.ends_with("c") {
            true => Err(Error::from(ErrorKind::StorageFull)),
            false => fs::create_dir(f),
        };
        assert!(MadeFolders::make(&deep, fails).is_err());
        assert!(!dir.path().join("a").exists());
        let made = make();
        fs::write(dir.path().join("a/mine"), "x").unwrap();
        drop(made);
        assert!(!dir.path().join("a/b").exists() && dir.path().join("a/mine").exists());
        make().keep();
        assert!(deep.is_dir());
    }

    #[test]
    fn links_are_followed_to_where_something_may_be_written() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (link, to) in [("one", "two"), ("two", "sub/new"), ("ring", "ring")] {
            symlink(to, at(link)).unwrap();
        }
        assert_eq!(follow(&at("one")).unwrap(), at("sub/new"));
        assert_eq!(
            follow(&at("ring")).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
        assert!(replaceable(&at("sub/new")).unwrap().is_none());
        assert_eq!(
            replaceable(dir.path()).unwrap_err().kind(),
            ErrorKind::IsADirectory
        );
        fs::write(at("kept"), "x").unwrap();
        fs::set_permissions(at("kept"), Permissions::from_mode(0o400)).unwrap();
        assert_eq!(
            replaceable(&at("kept")).unwrap_err().kind(),
            ErrorKind::PermissionDenied
        );
        assert!(
            is_stream(Path::new("/dev/null")) && !is_stream(dir.path()) && !is_stream(&at("none"))
        );
    }
}
