//! The calls that need room on a disk, and nothing else. Enters: paths and bytes. Leaves: what the system says. Everything
//! that this crate writes goes through here, so that tests can let the disk be full at any point.

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

pub fn create_dir(path: &Path) -> io::Result<()> {
    room::spend_entry()?;
    fs::create_dir(path)
}

pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    room::spend_entry()?;
    fs::rename(from, to)
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

    /// When a full disk is noticed.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub enum Noticed {
        /// By the call that writes, as local disks do.
        AtOnce,
        /// Only when all has to be on the disk: quotas, network file systems.
        AtSync,
    }

    #[derive(Clone, Copy)]
    struct Room {
        left: u64,
        used: u64,
        is_over: bool,
        noticed: Noticed,
    }

    thread_local! {
        static ROOM: Cell<Option<Room>> = const { Cell::new(None) };
    }

    /// An entry of a folder takes room, too.
    const ENTRY: u64 = 1;

    /// Runs `act` on a disk with that many bytes left; how many it took of them is the other result.
    pub fn with<T>(bytes: u64, noticed: Noticed, act: impl FnOnce() -> T) -> (T, u64) {
        let room = Room {
            left: bytes,
            used: 0,
            is_over: false,
            noticed,
        };
        ROOM.set(Some(room));
        let done = act();
        let used = ROOM.take().map_or(0, |r| r.used);
        (done, used)
    }

    fn full() -> Error {
        Error::from(ErrorKind::StorageFull)
    }

    /// How many of `n` bytes there is room for; none at all is an error.
    pub fn spend(n: usize) -> Result<usize> {
        let Some(mut room) = ROOM.get() else {
            return Ok(n);
        };
        let fits = (n as u64).min(room.left);
        room.left -= fits;
        room.used += fits;
        room.is_over |= fits < n as u64;
        ROOM.set(Some(room));
        match room.noticed {
            Noticed::AtSync => Ok(n),
            Noticed::AtOnce if fits == 0 && n > 0 => Err(full()),
            Noticed::AtOnce => Ok(fits as usize),
        }
    }

    pub fn spend_entry() -> Result<()> {
        spend(ENTRY as usize).map(|_| ())
    }

    pub fn check_sync() -> Result<()> {
        match ROOM.get() {
            Some(room) if room.is_over && room.noticed == Noticed::AtSync => Err(full()),
            _ => Ok(()),
        }
    }
}
