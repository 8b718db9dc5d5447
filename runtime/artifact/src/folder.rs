//! The folder, read and checked whole: a manifest, and the files that it names. [`crate::write`] makes it.
//!
//! A folder may be replaced while it is read: then its manifest has changed, and is read anew. What is handed out is
//! one artifact, never parts of two.

use crate::code::{self, Fault, Header};
use crate::manifest::{CodeForm, Manifest};
use crate::manifest_file::{self, Names};
use crate::{Error, abi, host};
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Raised whenever the manifest changes meaning.
pub const FORMAT: u32 = 2;
pub(crate) const MANIFEST: &str = "manifest.json";
/// How often a folder may be replaced while one reader is at it.
const MAX_TRIES: usize = 1000;

/// A compiled network in memory. `write` fills in the manifest's format, ABI and hashes.
#[derive(Clone, Debug, PartialEq)]
pub struct Artifact {
    pub manifest: Manifest,
    pub code: Vec<u8>,
    pub consts: Vec<u8>,
    /// Name under `source/` and text of every file it was compiled from, and the lock file.
    pub sources: Vec<(String, Vec<u8>)>,
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// blake3 of all source files with their names, in the order of their names, hex.
pub fn source_hash(sources: &[(String, Vec<u8>)]) -> String {
    let mut sorted: Vec<_> = sources.iter().collect();
    sorted.sort();
    let mut hasher = blake3::Hasher::new();
    for (name, text) in sorted {
        for part in [name.as_bytes(), text] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    hasher.finalize().to_hex().to_string()
}

/// Reads and checks everything.
pub fn read(dir: &Path) -> Result<Artifact> {
    let mut manifest = ManifestFile::read(dir)?;
    for _ in 0..MAX_TRIES {
        let artifact = load(dir, &manifest.text);
        if artifact.is_ok() {
            return artifact;
        }
        let now = ManifestFile::read(dir)?;
        if now == manifest {
            return artifact;
        }
        manifest = now;
    }
    load(dir, &manifest.text)
}

/// The file that holds the code of the artifact in a folder, for who must map it.
pub fn code_file(dir: &Path) -> Option<PathBuf> {
    let names = manifest_file::names(&ManifestFile::read(dir).ok()?.text)?;
    Some(dir.join(names.content).join("code.bin"))
}

/// The files of the artifact in a folder: its manifest, and all that this names.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = vec![dir.join(MANIFEST)];
    let names = ManifestFile::read(dir).map(|file| manifest_file::names(&file.text));
    if let Ok(Some(names)) = names {
        let content = dir.join(&names.content);
        files.extend(names.files.iter().map(|name| content.join(name)));
    }
    files
}

/// The manifest, and which file it was: the same text may have come back in another one.
#[derive(PartialEq)]
struct ManifestFile {
    text: Vec<u8>,
    inode: u64,
    changed: (i64, i64),
}

impl ManifestFile {
    fn read(dir: &Path) -> Result<ManifestFile> {
        let path = dir.join(MANIFEST);
        if !path.is_file() {
            let why = "it has no manifest.json";
            return Err(Error::NotAnArtifact(dir.to_path_buf(), why));
        }
        let mut file = io("read", &path, fs::File::open(&path))?;
        let found = io("read", &path, file.metadata())?;
        let mut text = vec![];
        io("read", &path, file.read_to_end(&mut text))?;
        Ok(ManifestFile {
            text,
            inode: found.ino(),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

/// The artifact of a manifest.
fn load(dir: &Path, text: &[u8]) -> Result<Artifact> {
    check_versions(dir, text)?;
    let damaged = |why: &str| Error::Damaged {
        path: dir.to_path_buf(),
        why: why.to_string(),
    };
    if !manifest_file::is_whole(text) {
        return Err(damaged("manifest.json does not match its checksum"));
    }
    let names =
        manifest_file::names(text).ok_or_else(|| damaged("manifest.json names no files"))?;
    let manifest: Manifest =
        serde_json::from_slice(text).map_err(|e| damaged(&format!("manifest.json: {e}")))?;
    let place = dir.join(&names.content);
    let bytes = part(dir, &place, "code.bin")?;
    let (header, code) = code::decode(&bytes).map_err(|fault| match fault {
        Fault::Damaged(why) => damaged(why),
        Fault::Abi(found) => Error::UnknownAbi {
            path: dir.to_path_buf(),
            found,
            known: abi::ABI_VERSION,
        },
    })?;
    if blake3::Hash::from_bytes(header.code_hash).to_hex().as_str() != manifest.code_hash {
        return Err(damaged("code.bin belongs to another manifest.json"));
    }
    check_host(dir, &header, manifest.target.form)?;
    let consts = part(dir, &place, "consts.bin")?;
    if blake3::hash(&consts).to_hex().as_str() != manifest.consts_hash {
        return Err(damaged("consts.bin does not match its hash"));
    }
    let sources = sources(dir, &place, &names)?;
    if source_hash(&sources) != manifest.source_hash {
        return Err(damaged("source/ does not match its hash"));
    }
    Ok(Artifact {
        manifest,
        code: code.to_vec(),
        consts,
        sources,
    })
}

/// One file of the content.
fn part(dir: &Path, place: &Path, name: &str) -> Result<Vec<u8>> {
    let path = place.join(name);
    if !path.is_file() {
        return Err(Error::Damaged {
            path: dir.to_path_buf(),
            why: format!("{name} is missing"),
        });
    }
    io("read", &path, fs::read(&path))
}

/// The texts that the manifest names, by name.
fn sources(dir: &Path, place: &Path, names: &Names) -> Result<Vec<(String, Vec<u8>)>> {
    let mut sources = vec![];
    for file in &names.files {
        if let Some(name) = file.strip_prefix("source/") {
            sources.push((name.to_string(), part(dir, place, file)?));
        }
    }
    sources.sort();
    Ok(sources)
}

/// The manifest's first questions; all else is skipped.
#[derive(serde::Deserialize)]
struct Versions {
    format: Option<serde_json::Value>,
    abi: Option<serde_json::Value>,
}

/// Format and ABI first, so that a newer file is called new and not damaged.
fn check_versions(dir: &Path, text: &[u8]) -> Result<()> {
    let path = dir.to_path_buf();
    let versions: Versions = serde_json::from_slice(text).map_err(|e| Error::Damaged {
        path: path.clone(),
        why: format!("manifest.json is not JSON ({e})"),
    })?;
    let number = |value: Option<serde_json::Value>| value?.as_u64();
    match (number(versions.format), number(versions.abi)) {
        (Some(found), _) if found != u64::from(FORMAT) => Err(Error::UnknownFormat {
            path,
            found,
            known: FORMAT,
        }),
        (_, Some(found)) if found != u64::from(abi::ABI_VERSION) => Err(Error::UnknownAbi {
            path,
            found,
            known: abi::ABI_VERSION,
        }),
        (Some(_), Some(_)) => Ok(()),
        _ => Err(Error::NotAnArtifact(
            path,
            "its manifest.json is another program's",
        )),
    }
}

fn check_host(dir: &Path, header: &Header, form: CodeForm) -> Result<()> {
    if header.arch != form.arch() {
        let (path, found) = (dir.to_path_buf(), header.arch.clone());
        return Err(Error::WrongArch {
            path,
            found,
            here: form.arch(),
        });
    }
    let missing = host::missing(&header.features);
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Error::MissingFeatures {
            path: dir.to_path_buf(),
            missing,
        })
    }
}

/// All files under a folder, by name.
pub(crate) fn all_files(root: &Path) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut out = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path
                .strip_prefix(root)
                .expect("it lies below")
                .to_string_lossy()
                .replace('\\', "/");
            out.push((name, fs::read(&path)?));
        }
    }
    out.sort();
    Ok(out)
}

pub(crate) fn io<T>(what: &'static str, path: &Path, result: std::io::Result<T>) -> Result<T> {
    result.map_err(|error| Error::Io {
        what,
        path: path.to_path_buf(),
        error,
    })
}
