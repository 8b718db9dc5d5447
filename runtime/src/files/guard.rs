//! An output that is an input. Enters: the path of an output, and what is read. Leaves: an error where writing would
//! replace what is read, whatever its names: other spellings, links, standard input. Nothing is opened here.

use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use vsr_artifact::place::{folder_of, follow, is_stream, replaceable};
use vsr_artifact::shown_path;

/// What a path leads to, or standard input or output (`-`) where that is a file.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Identity(#[cfg(unix)] (u64, u64), #[cfg(not(unix))] PathBuf);

/// Files and folders that are read.
pub struct Inputs(BTreeMap<Identity, PathBuf>);

impl Inputs {
    /// What is not there is not read; `-` is standard input.
    pub fn of(paths: impl IntoIterator<Item = PathBuf>) -> Inputs {
        let pair = |path: PathBuf| Some((identity(&path, Stream::Input)?, path));
        Inputs(paths.into_iter().filter_map(pair).collect())
    }

    /// An error if `output` (`-`: standard output) is one of them.
    pub fn refuse(&self, output: &Path) -> Result<()> {
        let written = identity(output, Stream::Output);
        match written.and_then(|written| self.0.get(&written)) {
            Some(input) => Err(refused(output, input)),
            None => Ok(()),
        }
    }
}

/// What `-` stands for.
#[derive(Clone, Copy)]
enum Stream {
    Input,
    Output,
}

fn refused(output: &Path, input: &Path) -> Error {
    let name = |path: &Path, stream: &str| match path == Path::new("-") {
        true => stream.to_string(),
        false => shown_path(path),
    };
    let (output, input) = (
        name(output, "standard output"),
        name(input, "standard input"),
    );
    Error::user(format!(
        "{output}: is the same as {input}, which is read: choose another name for the output"
    ))
}

fn identity(path: &Path, stream: Stream) -> Option<Identity> {
    match path == Path::new("-") {
        true => standard(stream),
        false => {
            let metadata = fs::metadata(path).ok()?;
            has_content(&metadata).then(|| of(&metadata, path))?
        }
    }
}

/// A terminal or a pipe that is read and written replaces nothing.
fn has_content(metadata: &Metadata) -> bool {
    metadata.is_file() || metadata.is_dir()
}

#[cfg(unix)]
fn of(metadata: &Metadata, _: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    Some(Identity((metadata.dev(), metadata.ino())))
}

#[cfg(unix)]
fn standard(stream: Stream) -> Option<Identity> {
    use std::os::fd::AsFd;
    let file = match stream {
        Stream::Input => std::io::stdin().as_fd().try_clone_to_owned(),
        Stream::Output => std::io::stdout().as_fd().try_clone_to_owned(),
    };
    let metadata = fs::File::from(file.ok()?).metadata().ok()?;
    has_content(&metadata).then(|| of(&metadata, Path::new("-")))?
}

#[cfg(not(unix))]
fn of(_: &Metadata, path: &Path) -> Option<Identity> {
    fs::canonicalize(path).ok().map(Identity)
}

#[cfg(not(unix))]
fn standard(_: Stream) -> Option<Identity> {
    None
}

/// The regular file that writing to `path` makes or replaces.
pub fn target(path: &Path) -> std::io::Result<PathBuf> {
    if is_stream(path) {
        return Err(std::io::ErrorKind::NotSeekable.into());
    }
    let target = follow(path)?;
    replaceable(&target)?;
    Ok(target)
}

/// Whether two outputs, which need not be there yet, go to one place.
pub fn is_one_place(a: &Path, b: &Path) -> bool {
    let place = |path: &Path| {
        let path = follow(path).ok()?;
        let folder = identity(&folder_of(&path), Stream::Output);
        Some((folder?, path.file_name()?.to_owned()))
    };
    let is_one = |a: Option<_>, b: Option<_>| a.is_some() && a == b;
    let there = |path: &Path| identity(path, Stream::Output).map(|i| (i, Default::default()));
    a == b || is_one(place(a), place(b)) || is_one(there(a), there(b))
}

/// Whether a file is there that would be replaced.
pub fn is_replaced(output: &Path) -> bool {
    !is_stream(output) && follow(output).is_ok_and(|path| path.is_file())
}
