//! The calls that need room on a disk, and nothing else. Enters: paths and bytes. Leaves: what the system says.
//! Everything that this crate writes goes through here, so that tests can let the disk be full at any point.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

/// A new file; what is there already is an error.
pub fn create_new(path: &Path) -> io::Result<File> {
    room::spend_entry()?;
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
}

/// A file that is there, or a new one.
pub fn open_or_create(path: &Path) -> io::Result<File> {
    room::spend_entry()?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path)
}

pub fn create_dir(path: &Path) -> io::Result<()> {
    room::spend_entry()?;
    fs::create_dir(path)
}

pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    room::spend_entry()?;
    fs::rename(from, to)
}

/// As [`rename`] of a file, where what has come to `to` meanwhile is an error and stays.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    room::spend_entry()?;
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from).inspect_err(|_| drop(fs::remove_file(to))),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(e),
        // A file system without links: the name is taken by an empty file, and that one is replaced.
        Err(_) => {
            OpenOptions::new().write(true).create_new(true).open(to)?;
            fs::rename(from, to).inspect_err(|_| drop(fs::remove_file(to)))
        }
    }
}

/// A file to write to.
pub struct DiskFile(pub File);

impl DiskFile {
    /// All that was written is on the disk, or an error.
    pub fn sync(&self) -> io::Result<()> {
        room::check_sync()?;
        self.0.sync_all()
    }
}

impl Write for DiskFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = room::spend(bytes.len())?;
        self.0.write(&bytes[..n])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Seek for DiskFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[cfg(not(test))]
mod room {
    //! As much room as the disk has.
    use std::io::Result;

    pub fn spend(n: usize) -> Result<usize> {
        Ok(n)
    }

    pub fn spend_entry() -> Result<()> {
        Ok(())
    }

    pub fn check_sync() -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
pub mod room {
    //! A disk of a given size, for what the calling thread writes.
    use std::cell::Cell;
    use std::io::{Error, ErrorKind, Result};

    /// What there is too little room for, and when that is noticed.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub enum Full {
        /// Bytes, by the call that writes them, as on local disks. Names still find room, so that a loss that nobody
        /// noticed is not caught by a file that cannot be renamed.
        Bytes,
        /// Bytes, only when all has to be on the disk: quotas, network file systems.
        BytesLate,
        /// Names, by the call that makes or changes one.
        Names,
    }

    #[derive(Clone, Copy)]
    struct Room {
        left: u64,
        used: u64,
        is_over: bool,
        full: Full,
    }

    thread_local! {
        static ROOM: Cell<Option<Room>> = const { Cell::new(None) };
    }

    /// Runs `act` on a disk with room for so many bytes, or names; how many it took is the other result.
    pub fn with<T>(left: u64, full: Full, act: impl FnOnce() -> T) -> (T, u64) {
        let room = Room {
            left,
            used: 0,
            is_over: false,
            full,
        };
        ROOM.set(Some(room));
        let done = act();
        let used = ROOM.take().map_or(0, |r| r.used);
        (done, used)
    }

    fn no_room() -> Error {
        Error::from(ErrorKind::StorageFull)
    }

    /// How many of `n` there is room for.
    fn take(room: &mut Room, n: u64) -> u64 {
        let fits = n.min(room.left);
        room.left -= fits;
        room.used += fits;
        room.is_over |= fits < n;
        ROOM.set(Some(*room));
        fits
    }

    /// How many of `n` bytes there is room for; none at all is an error.
    pub fn spend(n: usize) -> Result<usize> {
        let Some(mut room) = ROOM.get().filter(|r| r.full != Full::Names) else {
            return Ok(n);
        };
        let fits = take(&mut room, n as u64) as usize;
        match room.full {
            Full::BytesLate => Ok(n),
            _ if fits == 0 && n > 0 => Err(no_room()),
            _ => Ok(fits),
        }
    }

    pub fn spend_entry() -> Result<()> {
        match ROOM.get().filter(|r| r.full == Full::Names) {
            Some(mut room) => match take(&mut room, 1) {
                0 => Err(no_room()),
                _ => Ok(()),
            },
            None => Ok(()),
        }
    }

    pub fn check_sync() -> Result<()> {
        match ROOM.get() {
            Some(room) if room.is_over && room.full == Full::BytesLate => Err(no_room()),
            _ => Ok(()),
        }
    }
}
