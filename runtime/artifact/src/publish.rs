//! Writing an artifact into a folder, which may hold other things (weights, runs): these stay as they are.
//!
//! The files lie in a folder of their own whose name is their hash; the manifest says which. They are written first, so
//! that renaming the manifest is the one moment at which the old artifact becomes the new one. Then the old one's files
//! go. Writers of one folder follow each other; what a killed one left goes with the next.

use crate::code::{self, Header};
use crate::folder::{Artifact, FORMAT, MANIFEST, Result, all_files, io, source_hash};
use crate::manifest_file::{self, Names};
use crate::place::{self, MadeFolders, sync_folder};
use crate::replace;
use crate::{Error, abi};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a writer waits for another one.
const PATIENCE: Duration = Duration::from_secs(30);

/// Puts an artifact into a folder, in the place of the one that is there: a reader sees the old one or the new one.
pub fn write(dir: &Path, artifact: &Artifact) -> Result<()> {
    let new = Laid::out(artifact)?;
    let dir = &io("follow", dir, place::follow(dir))?;
    if dir.exists() && !dir.is_dir() {
        return Err(Error::InTheWay(dir.to_path_buf()));
    }
    let mut made = io("create", dir, MadeFolders::make(dir, |f| fs::create_dir(f)))?;
    let lock = Lock::take(dir)?;
    let old = replaceable(dir)?;
    if lock.is_held() {
        sweep_unfinished(dir)?;
    }
    new.put(dir)?;
    replace::file(&dir.join(MANIFEST), &new.manifest)?;
    made.keep();
    // The new artifact is there; what cannot be removed now is only in the way of nobody.
    let _ = old.map(|old| remove_old(dir, &old, &new.content));
    if lock.is_held() {
        let _ = sweep_unnamed(dir, &new.content);
    }
    Ok(())
}

/// All bytes of an artifact with their names.
struct Laid {
    manifest: Vec<u8>,
    content: String,
    files: Vec<(String, Vec<u8>)>,
}

impl Laid {
    fn out(artifact: &Artifact) -> Result<Laid> {
        let mut manifest = artifact.manifest.clone();
        let code_hash = blake3::hash(&artifact.code);
        manifest.format = FORMAT;
        manifest.abi = abi::ABI_VERSION;
        manifest.source_hash = source_hash(&artifact.sources);
        manifest.code_hash = code_hash.to_hex().to_string();
        manifest.consts_hash = blake3::hash(&artifact.consts).to_hex().to_string();
        let header = Header {
            arch: manifest.target.form.arch().to_string(),
            features: manifest.target.features.clone(),
            code_hash: *code_hash.as_bytes(),
        };
        let mut files = vec![
            (
                "code.bin".to_string(),
                code::encode(&header, &artifact.code),
            ),
            ("consts.bin".to_string(), artifact.consts.clone()),
        ];
        for (name, text) in &artifact.sources {
            if !manifest_file::is_inside(name) {
                return Err(Error::SourceName(name.clone()));
            }
            files.push((format!("source/{name}"), text.clone()));
        }
        files.sort();
        let content = manifest_file::content_name(&source_hash(&files));
        let names: Vec<&str> = files.iter().map(|f| f.0.as_str()).collect();
        Ok(Laid {
            manifest: manifest_file::text(&manifest, &content, &names),
            content,
            files,
        })
    }

    /// The content's folder, whole; what is there already stays.
    fn put(&self, dir: &Path) -> Result<()> {
        let place = dir.join(&self.content);
        if place.exists() {
            return self.mend(&place);
        }
        let unfinished = io("create", &place, replace::unfinished(&place))?;
        let beside = Beside(dir.join(unfinished));
        io("create", &beside.0, fs::create_dir(&beside.0))?;
        for (name, bytes) in &self.files {
            let written = replace::file(&beside.0.join(name), bytes);
            written.map_err(|error| error.at(&place.join(name)))?;
        }
        let _ = sync_folder(&beside.0);
        io("write", &place, fs::rename(&beside.0, &place))?;
        // Nothing names the content yet, and the manifest is synced with its folder.
        let _ = sync_folder(dir);
        Ok(())
    }

    /// The same network was compiled before: whatever has been damaged since is written again.
    fn mend(&self, place: &Path) -> Result<()> {
        for (name, bytes) in &self.files {
            let path = place.join(name);
            if fs::read(&path).ok().as_ref() != Some(bytes) {
                replace::file(&path, bytes)?;
            }
        }
        Ok(())
    }
}

/// A folder that goes unless it has been renamed.
struct Beside(PathBuf);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The manifest that is there, which must be ours.
fn replaceable(dir: &Path) -> Result<Option<Vec<u8>>> {
    let path = dir.join(MANIFEST);
    if !path.exists() {
        return Ok(None);
    }
    if !path.is_file() {
        return Err(Error::InTheWay(path));
    }
    let text = io("read", &path, fs::read(&path))?;
    match manifest_file::is_own(&text) {
        true => Ok(Some(text)),
        false => Err(Error::InTheWay(path)),
    }
}

/// The folder itself, locked against other writers. Not every file system has locks.
struct Lock(Option<File>);

impl Lock {
    fn take(dir: &Path) -> Result<Lock> {
        let file = io("open", dir, File::open(dir))?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock(Some(file))),
                Err(TryLockError::WouldBlock) if start.elapsed() > PATIENCE => {
                    return Err(Error::Busy(dir.to_path_buf()));
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
                Err(TryLockError::Error(_)) => return Ok(Lock(None)),
            }
        }
    }

    fn is_held(&self) -> bool {
        self.0.is_some()
    }
}

/// The files of the artifact that was there before, unless the new one is the same.
fn remove_old(dir: &Path, manifest: &[u8], new: &str) -> std::io::Result<()> {
    let Some(old) = manifest_file::names(manifest).filter(|old| old.content != *new) else {
        return Ok(());
    };
    let place = dir.join(&old.content);
    let found = all_files(&place)?;
    if found.iter().all(|(name, _)| old.files.contains(name)) {
        return remove_whole(&place);
    }
    remove_named(&place, &old);
    Ok(())
}

/// At once for every reader: first the name, then the files.
fn remove_whole(place: &Path) -> std::io::Result<()> {
    let hidden = place.with_file_name(replace::unfinished(place)?);
    fs::rename(place, &hidden)?;
    fs::remove_dir_all(hidden)
}

/// Somebody keeps other files among ours: only what the manifest names is ours to remove.
fn remove_named(place: &Path, old: &Names) {
    for name in &old.files {
        let mut path = place.join(name);
        let _ = fs::remove_file(&path);
        // A folder goes with its last file.
        while path.pop() && path.starts_with(place) && fs::remove_dir(&path).is_ok() {}
    }
}

/// Folders that a killed writer had begun.
fn sweep_unfinished(dir: &Path) -> Result<()> {
    for name in folders(dir)? {
        let of_content = name.get(1..).and_then(|rest| rest.split_once('.'));
        if let Some((content, _)) = of_content
            && manifest_file::is_content(content)
            && replace::is_unfinished(&name, content)
        {
            let path = dir.join(&name);
            io("remove", &path, fs::remove_dir_all(&path))?;
        }
    }
    Ok(())
}

/// Whole contents that no manifest names: their writer was killed just before, or just after it renamed the manifest.
fn sweep_unnamed(dir: &Path, named: &str) -> Result<()> {
    for name in folders(dir)? {
        if name == named || !manifest_file::is_content(&name) {
            continue;
        }
        let place = dir.join(&name);
        let found = io("read", &place, all_files(&place))?;
        if manifest_file::content_name(&source_hash(&found)) == name {
            io("remove", &place, remove_whole(&place))?;
        }
    }
    Ok(())
}

fn folders(dir: &Path) -> Result<Vec<String>> {
    let mut names = vec![];
    for entry in io("read", dir, fs::read_dir(dir))? {
        let entry = io("read", dir, entry)?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            names.extend(entry.file_name().into_string());
        }
    }
    Ok(names)
}
