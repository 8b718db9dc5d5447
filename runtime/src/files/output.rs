//! One file that appears whole or not at all. Enters: a path, then bytes. Leaves: nothing until `commit`, which flushes
//! to the disk and gives the file its name. Dropped before, it leaves what was there. A device or a pipe cannot be
//! replaced: it is written to as it stands.

use super::disk::{self, DiskFile};
use super::hidden::Hidden;
use super::make_folders;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, BufWriter, Error, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use vsr_artifact::place::{MadeFolders, folder_of, follow, is_stream, replaceable, sync_folder};

const BUFFER_BYTES: usize = 1 << 16;

pub struct Output {
    out: BufWriter<DiskFile>,
    place: Place,
    /// Folders that were made for it.
    folders: MadeFolders,
}

enum Place {
    /// Written hidden, to be renamed.
    Beside {
        hidden: Hidden,
        target: PathBuf,
        /// Of the file that is replaced.
        permissions: Option<Permissions>,
    },
    /// What cannot be renamed, or lies in a hidden folder already.
    Here,
}

impl Output {
    /// For a file in a folder that is there.
    pub fn create(path: &Path) -> io::Result<Output> {
        if is_stream(path) {
            return Output::here(path);
        }
        let target = follow(path)?;
        if target.file_name().is_none() {
            return Err(Error::new(ErrorKind::IsADirectory, "it names no file"));
        }
        let permissions = replaceable(&target)?;
        let (hidden, file) = Hidden::file(&target)?;
        let place = Place::Beside {
            hidden,
            target,
            permissions,
        };
        Ok(Output::new(DiskFile(file), place))
    }

    /// As [`Output::create`], in folders that are made if they are missing.
    pub fn create_with_folders(path: &Path) -> io::Result<Output> {
        let folders = make_folders(&folder_of(path))?;
        let mut output = Output::create(path)?;
        output.folders = folders;
        Ok(output)
    }

    /// What cannot be replaced.
    fn here(path: &Path) -> io::Result<Output> {
        let file = OpenOptions::new().write(true).open(path)?;
        Ok(Output::new(DiskFile(file), Place::Here))
    }

    /// A file of a hidden folder, which appears with it.
    pub(super) fn inside(path: &Path) -> io::Result<Output> {
        Ok(Output::new(DiskFile(disk::create_new(path)?), Place::Here))
    }

    fn new(file: DiskFile, place: Place) -> Output {
        Output {
            out: BufWriter::with_capacity(BUFFER_BYTES, file),
            place,
            folders: MadeFolders::default(),
        }
    }

    /// All of it to the disk, then to its name.
    pub fn commit(mut self) -> io::Result<()> {
        self.out.flush()?;
        match self.out.get_ref().sync() {
            // Pipes, devices and some file systems have nothing to sync, and say so.
            Err(e) if has_no_disk(&e) => {}
            done => done?,
        }
        let Place::Beside {
            hidden,
            target,
            permissions,
        } = self.place
        else {
            return Ok(());
        };
        if let Some(permissions) = permissions {
            // File systems without permissions refuse them.
            let _ = fs::set_permissions(hidden.path(), permissions);
        }
        disk::rename(hidden.path(), &target)?;
        hidden.keep();
        self.folders.keep();
        sync_folder(&folder_of(&target))
    }
}

fn has_no_disk(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidInput | ErrorKind::Unsupported
    )
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Seek for Output {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.out.seek(to)
    }
}
