//! The folder: written whole beside its place and renamed, read and checked whole.

use crate::code::{self, Fault, Header};
use crate::manifest::Manifest;
use crate::{Error, abi, host};
use std::fs;
use std::io::Write;
use std::path::{Component, Path, PathBuf};

/// Raised whenever the manifest changes meaning.
pub const FORMAT: u32 = 1;

/// A compiled network in memory. `write` fills in the manifest's format, ABI and hashes.
#[derive(Clone, Debug, PartialEq)]
pub struct Artifact {
    pub manifest: Manifest,
    pub code: Vec<u8>,
    pub consts: Vec<u8>,
    /// Name under `source/` and text of every file it was compiled from, and the lock file.
    pub sources: Vec<(String, Vec<u8>)>,
}

type Result<T> = std::result::Result<T, Error>;

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

/// Writes the folder beside its place, then renames it there: a reader sees the old artifact or the new one.
pub fn write(dir: &Path, artifact: &Artifact) -> Result<()> {
    let is_artifact = dir.join("manifest.json").exists();
    let is_empty = fs::read_dir(dir)
        .map(|mut d| d.next().is_none())
        .unwrap_or(true);
    if (dir.exists() && !dir.is_dir()) || (dir.is_dir() && !is_artifact && !is_empty) {
        return Err(Error::InTheWay(dir.to_path_buf()));
    }
    if let Some(parent) = dir.parent().filter(|p| !p.as_os_str().is_empty()) {
        io("create", parent, fs::create_dir_all(parent))?;
    }
    let new = beside(dir, "new");
    let _ = fs::remove_dir_all(&new);
    let written = write_files(&new, artifact).and_then(|()| exchange(dir, &new));
    if written.is_err() {
        let _ = fs::remove_dir_all(&new);
    }
    written
}

fn beside(dir: &Path, what: &str) -> PathBuf {
    let name = dir
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_else(|| "compiled".into());
    dir.with_file_name(format!(".{name}.{what}-{}", std::process::id()))
}

fn exchange(dir: &Path, new: &Path) -> Result<()> {
    let old = beside(dir, "old");
    if dir.exists() {
        io("replace", dir, fs::rename(dir, &old))?;
    }
    let renamed = io("write", dir, fs::rename(new, dir));
    if renamed.is_err() {
        let _ = fs::rename(&old, dir);
    }
    let _ = fs::remove_dir_all(&old);
    renamed
}

fn write_files(dir: &Path, artifact: &Artifact) -> Result<()> {
    io("create", dir, fs::create_dir_all(dir))?;
    let mut manifest = artifact.manifest.clone();
    let code_hash = blake3::hash(&artifact.code);
    manifest.format = FORMAT;
    manifest.abi = abi::ABI_VERSION;
    manifest.source_hash = source_hash(&artifact.sources);
    manifest.code_hash = code_hash.to_hex().to_string();
    manifest.consts_hash = blake3::hash(&artifact.consts).to_hex().to_string();
    let mut text = serde_json::to_vec(&manifest).expect("a manifest is plain data");
    text.push(b'\n');
    let header = Header {
        arch: host::ARCH.to_string(),
        features: manifest.target.features.clone(),
        code_hash: *code_hash.as_bytes(),
        manifest_hash: *blake3::hash(&text).as_bytes(),
    };
    file(&dir.join("manifest.json"), &text)?;
    file(
        &dir.join("code.bin"),
        &code::encode(&header, &artifact.code),
    )?;
    file(&dir.join("consts.bin"), &artifact.consts)?;
    for (name, text) in &artifact.sources {
        let inside = Path::new(name)
            .components()
            .all(|c| matches!(c, Component::Normal(_)));
        if !inside || name.is_empty() {
            return Err(Error::SourceName(name.clone()));
        }
        let path = dir.join("source").join(name);
        let parent = path.parent().expect("it lies in source/");
        io("create", parent, fs::create_dir_all(parent))?;
        file(&path, text)?;
    }
    Ok(())
}

fn file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut out = io("create", path, fs::File::create(path))?;
    io("write", path, out.write_all(bytes))?;
    io("write", path, out.sync_all())
}

/// Reads and checks everything but the sources, which are read as they are and compared with their hash.
pub fn read(dir: &Path) -> Result<Artifact> {
    let path = dir.join("manifest.json");
    if !path.is_file() {
        return Err(Error::NotAnArtifact(dir.to_path_buf()));
    }
    let text = io("read", &path, fs::read(&path))?;
    check_versions(dir, &text)?;
    let damaged = |why: &str| Error::Damaged {
        path: dir.to_path_buf(),
        why: why.to_string(),
    };
    let code_path = dir.join("code.bin");
    if !code_path.is_file() || !dir.join("consts.bin").is_file() {
        return Err(damaged("code.bin or consts.bin is missing"));
    }
    let bytes = io("read", &code_path, fs::read(&code_path))?;
    let (header, code) = code::decode(&bytes).map_err(|fault| match fault {
        Fault::Damaged(why) => damaged(why),
        Fault::Abi(found) => Error::UnknownAbi {
            path: dir.to_path_buf(),
            found,
            known: abi::ABI_VERSION,
        },
    })?;
    if blake3::hash(&text).as_bytes() != &header.manifest_hash {
        return Err(damaged("manifest.json does not match its hash"));
    }
    check_host(dir, &header)?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|e| damaged(&format!("manifest.json: {e}")))?;
    let consts_path = dir.join("consts.bin");
    let consts = io("read", &consts_path, fs::read(&consts_path))?;
    if blake3::hash(&consts).to_hex().as_str() != manifest.consts_hash {
        return Err(damaged("consts.bin does not match its hash"));
    }
    let sources = read_sources(&dir.join("source"))?;
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
        _ => Err(Error::Damaged {
            path,
            why: "manifest.json names no format".to_string(),
        }),
    }
}

fn check_host(dir: &Path, header: &Header) -> Result<()> {
    if header.arch != host::ARCH {
        let (path, found) = (dir.to_path_buf(), header.arch.clone());
        return Err(Error::WrongArch {
            path,
            found,
            here: host::ARCH,
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

/// All files under `source/`, by name.
fn read_sources(root: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut out = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        if !folder.is_dir() {
            continue;
        }
        for entry in io("read", &folder, fs::read_dir(&folder))? {
            let path = io("read", &folder, entry)?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path
                .strip_prefix(root)
                .expect("it lies below")
                .to_string_lossy()
                .replace('\\', "/");
            out.push((name, io("read", &path, fs::read(&path))?));
        }
    }
    out.sort();
    Ok(out)
}

fn io<T>(what: &'static str, path: &Path, result: std::io::Result<T>) -> Result<T> {
    result.map_err(|error| Error::Io {
        what,
        path: path.to_path_buf(),
        error,
    })
}
