//! What is unfinished lies hidden beside its place: `.NAME.part-PID`. Enters: a place. Leaves: a file or folder that
//! nobody else uses, gone when it is dropped. It is locked while its process lives, and the system takes the lock away
//! with the process: so leftovers are told from work, whatever number a process has, and are swept by the next who
//! writes there.

use super::disk;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};
use vsr_artifact::place::{folder_of, is_at};

const MARK: &str = ".part-";
/// Files of earlier versions.
const OLD_MARK: &str = ".new-";
/// Room for the mark within the 255 bytes that a name may have.
const MAX_NAME_BYTES: usize = 200;

/// What this process has not finished: an end that runs no destructor removes it all the same.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A hidden file or folder, removed when dropped.
pub struct Hidden {
    path: PathBuf,
    /// Of a folder, held until it is removed.
    lock: Option<File>,
}

/// A file system without locks gives none. A sweeper that came between making and locking has taken what was made: then
/// the name is free again.
fn lock(handle: &File, path: &Path) -> io::Result<()> {
    match handle.lock() {
        Ok(()) if !is_at(handle, path) => Err(io::Error::from(io::ErrorKind::AlreadyExists)),
        _ => Ok(()),
    }
}

impl Hidden {
    /// A new file beside `place`, locked while it is open.
    pub fn file(place: &Path) -> io::Result<(Hidden, File)> {
        sweep(&folder_of(place));
        free_name(place, |path| {
            let file = disk::create_new(path)?;
            let hidden = Hidden::new(path);
            lock(&file, path)?;
            Ok((hidden, file))
        })
    }

    /// A new folder beside `place`.
    pub fn folder(place: &Path) -> io::Result<Hidden> {
        sweep(&folder_of(place));
        free_name(place, |path| {
            disk::create_dir(path)?;
            let mut hidden = Hidden::new(path);
            // Where folders cannot be opened they cannot be locked.
            if cfg!(unix) {
                let handle = File::open(path)?;
                lock(&handle, path)?;
                hidden.lock = Some(handle);
            }
            Ok(hidden)
        })
    }

    fn new(path: &Path) -> Hidden {
        unfinished(|all| all.push(path.to_path_buf()));
        Hidden {
            path: path.to_path_buf(),
            lock: None,
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// It has its own name now: nothing is to be removed.
    pub fn keep(mut self) {
        self.forget();
        self.path.clear();
    }

    fn forget(&self) {
        unfinished(|all| all.retain(|p| *p != self.path));
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // Where descriptors are few, that of the lock is needed to look into a folder.
            self.lock = None;
            remove(&self.path);
            self.forget();
        }
    }
}

/// Removes what this process has not finished; for ends that run no destructors.
pub fn abandon() {
    // Whoever holds the list may be the one who ends the process: then the next run sweeps.
    if let Ok(all) = UNFINISHED.try_lock() {
        all.iter().for_each(|path| remove(path));
    }
}

fn unfinished(act: impl FnOnce(&mut Vec<PathBuf>)) {
    act(&mut UNFINISHED.lock().unwrap_or_else(|e| e.into_inner()));
}

/// Nothing is left to report to: it was never promised. What cannot be removed is swept later.
fn remove(path: &Path) {
    let is_folder = fs::symlink_metadata(path).is_ok_and(|m| m.is_dir());
    let _ = match is_folder {
        // An empty folder goes where there is no descriptor left to look into it.
        true => fs::remove_dir(path).or_else(|_| fs::remove_dir_all(path)),
        false => fs::remove_file(path),
    };
}

/// Tries `.NAME.part-PID`, then `.NAME.part-PID-2` and on, until one is free.
fn free_name<T>(place: &Path, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<T> {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let end = (0..=name.len().min(MAX_NAME_BYTES))
        .rev()
        .find(|&end| name.is_char_boundary(end));
    let name = &name[..end.unwrap_or(0)];
    let mut n = 1;
    loop {
        let number = match n {
            1 => String::new(),
            n => format!("-{n}"),
        };
        let hidden = format!(".{name}{MARK}{}{number}", std::process::id());
        match make(&folder_of(place).join(hidden)) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && n < 10_000 => n += 1,
            done => return done,
        }
    }
}

/// Removes what dead processes had begun to write in a folder.
pub fn sweep(folder: &Path) {
    sweep_if(folder, |process, changed| !lived_at(process, changed));
}

/// Removes all that is unfinished and not locked in a folder that no other process works in, whatever number it has.
pub(super) fn sweep_own(folder: &Path) {
    sweep_if(folder, |_, _| true);
}

fn sweep_if(folder: &Path, is_dead: impl Fn(u32, SystemTime) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some((process, is_ours)) = process_of(&name.to_string_lossy()) else {
            continue;
        };
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_file() || (kind.is_dir() && is_ours) {
            sweep_one(&entry.path(), |changed| is_dead(process, changed));
        }
    }
}

/// The process that a hidden name tells of, and whether the name is of this version.
fn process_of(name: &str) -> Option<(u32, bool)> {
    let inside = name.strip_prefix('.')?;
    let numbers = |mark| inside.rsplit_once(mark).map(|(_, numbers)| numbers);
    let (numbers, is_ours) = match numbers(MARK) {
        Some(numbers) => (numbers, true),
        None => (numbers(OLD_MARK)?, false),
    };
    let (process, nth) = numbers.split_once('-').unwrap_or((numbers, "0"));
    let is_number = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    (is_number(nth) && is_number(process)).then_some((process.parse().ok()?, is_ours))
}

/// Holds the lock meanwhile: whoever makes a file of that name notices that it went.
fn sweep_one(path: &Path, is_dead: impl Fn(SystemTime) -> bool) {
    let Ok(handle) = File::open(path) else {
        return;
    };
    if matches!(handle.try_lock(), Err(TryLockError::WouldBlock)) {
        return;
    }
    let modified = handle.metadata().and_then(|m| m.modified());
    if modified.is_ok_and(is_dead) && is_at(&handle, path) {
        remove(path);
    }
}

/// Whether a process of this number lives, and did when a file was changed last: a younger one only has its number.
pub(super) fn lived_at(process: u32, changed: SystemTime) -> bool {
    match started(process) {
        Started::Never => false,
        Started::Unknown => true,
        Started::At(time) => time <= changed + Duration::from_millis(100),
    }
}

enum Started {
    /// There is no such process.
    Never,
    At(SystemTime),
    Unknown,
}

#[cfg(target_os = "linux")]
fn started(process: u32) -> Started {
    let stat = match fs::read_to_string(format!("/proc/{process}/stat")) {
        Ok(stat) => stat,
        Err(e) if e.kind() == io::ErrorKind::NotFound && Path::new("/proc/self/stat").exists() => {
            return Started::Never;
        }
        Err(_) => return Started::Unknown,
    };
    // The 22nd field: ticks of a hundredth of a second after the system began. A name may hold blanks and brackets.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().nth(19);
    let ticks = ticks.and_then(|t| t.parse::<u64>().ok());
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let uptime = uptime.split_whitespace().next();
    let uptime = uptime.and_then(|t| Duration::try_from_secs_f64(t.parse().ok()?).ok());
    match (ticks, uptime) {
        (Some(ticks), Some(uptime)) => {
            let age = uptime.saturating_sub(Duration::from_millis(10 * ticks));
            SystemTime::now()
                .checked_sub(age)
                .map_or(Started::Unknown, Started::At)
        }
        _ => Started::Unknown,
    }
}

/// Without a way to ask, the lock alone decides; a file that could be locked is nobody's.
#[cfg(not(target_os = "linux"))]
fn started(process: u32) -> Started {
    match process == std::process::id() {
        true => Started::Unknown,
        false => Started::Never,
    }
}
