//! Memory for tensors: zeroed, 64-byte aligned, taken from the system page by page as it is touched.

use crate::device::{Buffer, outside};
use crate::error::{Error, Result};
use memmap2::MmapMut;
use std::ops::Range;

/// Room before and after, so that a vector that starts or ends past the last element stays inside.
const SLACK: usize = 256;
/// The system's page, at most: pages that nobody may touch are so long.
const GUARD: usize = 64 << 10;
/// A NaN that no arithmetic makes: what lies around guarded memory.
const POISON: [u8; 4] = 0x7fc0_dead_u32.to_le_bytes();
/// From here on, large pages are worth asking for: walks over whole images miss fewer translations.
const LARGE: usize = 8 << 20;
/// Pages are given back by so many bytes at once: a multiple of the system's page.
#[cfg(target_os = "linux")]
const PAGES: usize = if cfg!(target_arch = "x86_64") {
    4 << 10
} else {
    64 << 10
};

pub struct Memory {
    map: MmapMut,
    start: usize,
    len: usize,
}

impl Memory {
    /// `bytes` zero bytes.
    pub fn zeroed(bytes: u64, what: &str) -> Result<Memory> {
        let fail = || {
            let mb = bytes as f64 / 1e6;
            Error::machine(format!(
                "there is no room for {what}: {mb:.1} MB; choose a smaller profile or free memory"
            ))
        };
        let len = usize::try_from(bytes).map_err(|_| fail())?;
        let total = len.checked_add(2 * SLACK).ok_or_else(fail)?;
        let map = MmapMut::map_anon(total).map_err(|_| fail())?;
        #[cfg(target_os = "linux")]
        if total >= LARGE {
            // A hint only: without it everything works, slower.
            let _ = map.advise(memmap2::Advice::HugePage);
        }
        Ok(Memory {
            map,
            start: SLACK,
            len,
        })
    }

    /// As `zeroed`, for tests: between pages that nobody may touch, with poison in what lies between.
    pub fn guarded(bytes: u64, what: &str) -> Result<Memory> {
        let fail = || {
            Error::machine(format!(
                "there is no guarded memory for {what}: {bytes} bytes"
            ))
        };
        let len = usize::try_from(bytes).map_err(|_| fail())?;
        // It begins at a cache line and ends, with its slack, where the page behind begins.
        let inner = (len.next_multiple_of(64) + 2 * SLACK).next_multiple_of(GUARD);
        let mut map = MmapMut::map_anon(inner + 2 * GUARD).map_err(|_| fail())?;
        let start = GUARD + inner - SLACK - len.next_multiple_of(64);
        map[GUARD..GUARD + inner].as_chunks_mut().0.fill(POISON);
        map[start..start + len].fill(0);
        for page in [0, GUARD + inner] {
            forbid(&mut map[page..page + GUARD]).map_err(|_| fail())?;
        }
        Ok(Memory { map, start, len })
    }

    /// Whether something was written beside guarded memory.
    pub fn is_spoilt(&self) -> bool {
        let end = (self.start + self.len).next_multiple_of(4);
        let parts = [
            &self.map[GUARD..self.start],
            &self.map[end..self.map.len() - GUARD],
        ];
        parts
            .iter()
            .any(|p| p.as_chunks().0.iter().any(|c| *c != POISON))
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// First byte; 64-byte aligned.
    pub fn base(&self) -> *mut u8 {
        self.map.as_ptr().cast_mut().wrapping_add(self.start)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.map[self.start..self.start + self.len]
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.map[self.start..self.start + self.len]
    }

    /// `n` floats from a byte offset, if they lie inside.
    pub fn floats(&self, offset: u64, n: usize) -> Option<&[f32]> {
        let from = self.checked(offset, n)?;
        // SAFETY: n floats lie inside and are aligned, mapped memory is initialised, and any bits are a float. Runs,
        // which write by address, borrow the session, and with it this memory, alone.
        Some(unsafe { std::slice::from_raw_parts(from.cast(), n) })
    }

    pub fn floats_mut(&mut self, offset: u64, n: usize) -> Option<&mut [f32]> {
        let from = self.checked(offset, n)?;
        // SAFETY: as above, and `self` is borrowed alone.
        Some(unsafe { std::slice::from_raw_parts_mut(from.cast(), n) })
    }

    /// Gives whole pages of a range back to the system, which makes them zero; returns their bytes. They may be used as
    /// before: what is written to them takes pages again.
    #[cfg(target_os = "linux")]
    pub fn give_back(&mut self, range: &Range<u64>) -> u64 {
        let end = (range.end.min(self.len as u64)) as usize + self.start;
        let start = (range.start.min(self.len as u64)) as usize + self.start;
        let (first, last) = (start.next_multiple_of(PAGES), end / PAGES * PAGES);
        if first >= last {
            return 0;
        }
        let drop = memmap2::UncheckedAdvice::DontNeed;
        // SAFETY: these are private pages of no file, within the map, and lent to nobody: `self` is borrowed alone.
        let given = unsafe { self.map.unchecked_advise_range(drop, first, last - first) };
        given.map_or(0, |()| (last - first) as u64)
    }

    #[cfg(not(target_os = "linux"))]
    pub fn give_back(&mut self, _: &Range<u64>) -> u64 {
        0
    }

    fn checked(&self, offset: u64, n: usize) -> Option<*mut u8> {
        let offset = usize::try_from(offset).ok()?;
        let end = offset.checked_add(n.checked_mul(4)?)?;
        (end <= self.len && offset.is_multiple_of(4)).then(|| self.base().wrapping_add(offset))
    }
}

impl Buffer for Memory {
    fn address(&self) -> u64 {
        self.base() as u64
    }

    fn len(&self) -> u64 {
        self.len as u64
    }

    fn upload(&mut self, at: u64, from: &[u8]) -> Result<()> {
        let place = range(at, from.len()).and_then(|range| self.bytes_mut().get_mut(range));
        match place {
            Some(place) => place.copy_from_slice(from),
            None => return Err(outside(at, from.len(), self.len as u64)),
        }
        Ok(())
    }

    fn download(&self, at: u64, to: &mut [u8]) -> Result<()> {
        let place = range(at, to.len()).and_then(|range| self.bytes().get(range));
        to.copy_from_slice(place.ok_or_else(|| outside(at, to.len(), self.len as u64))?);
        Ok(())
    }

    fn view(&self, at: u64, n: usize) -> Option<&[f32]> {
        self.floats(at, n)
    }

    fn view_mut(&mut self, at: u64, n: usize) -> Option<&mut [f32]> {
        self.floats_mut(at, n)
    }

    fn give_back(&mut self, range: &Range<u64>) -> u64 {
        Memory::give_back(self, range)
    }
}

fn range(at: u64, bytes: usize) -> Option<Range<usize>> {
    let at = usize::try_from(at).ok()?;
    Some(at..at.checked_add(bytes)?)
}

/// Pages that nobody may read or write from now on.
#[cfg(unix)]
fn forbid(pages: &mut [u8]) -> std::io::Result<()> {
    // SAFETY: the pages are ours alone, and no reference to them is kept.
    match unsafe { libc::mprotect(pages.as_mut_ptr().cast(), pages.len(), libc::PROT_NONE) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

#[cfg(not(unix))]
fn forbid(_: &mut [u8]) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn whole_pages_are_given_back_and_nothing_beside_them() {
        let (n, kept) = (1 << 20, 100_000);
        let mut m = Memory::zeroed(4 * n as u64, "a test").unwrap();
        m.floats_mut(0, n).unwrap().fill(1.0);
        let given = m.give_back(&(4 * kept..4 * (n as u64 - kept)));
        assert!(given > 3_000_000 && given.is_multiple_of(4096), "{given}");
        let values = m.floats(0, n).unwrap();
        let zeros = values.iter().filter(|v| **v == 0.0).count();
        assert_eq!(4 * zeros as u64, given);
        assert!(values[..kept as usize].iter().all(|v| *v == 1.0));
        assert!(values[n - kept as usize..].iter().all(|v| *v == 1.0));
        assert_eq!(
            m.give_back(&(0..4000)) + m.give_back(&(u64::MAX - 1..u64::MAX)),
            0
        );
        m.floats_mut(0, n).unwrap().fill(2.0);
        assert!(m.floats(0, n).unwrap().iter().all(|v| *v == 2.0));
    }

    #[test]
    fn zeroed_aligned_and_checked() {
        let mut m = Memory::zeroed(64, "a test").unwrap();
        assert_eq!(m.base() as usize % 64, 0);
        assert!(m.bytes().iter().all(|b| *b == 0) && m.len() == 64);
        m.floats_mut(60, 1).unwrap()[0] = 1.0;
        assert_eq!(m.floats(60, 1).unwrap(), [1.0]);
        assert!(
            m.floats(61, 1).is_none()
                && m.floats(64, 1).is_none()
                && m.floats(u64::MAX, 1).is_none()
        );
        assert_eq!(
            Memory::zeroed(u64::MAX, "a test")
                .err()
                .unwrap()
                .exit_code(),
            2
        );
    }
}
