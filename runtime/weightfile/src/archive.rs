//! Zip archives whose entries are stored as they are, the only kind that `torch.save` writes.
//!
//! Enters the archive's bytes; leaves names, the places of their contents and their checksums. Nothing is unpacked.

use std::collections::BTreeMap;
use std::ops::Range;

const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const LOCATOR_64: &[u8] = b"PK\x06\x07";
const CENTRAL: &[u8] = b"PK\x01\x02";
const LOCAL: &[u8] = b"PK\x03\x04";
const DAMAGED: &str = "is a damaged archive";

/// Little-endian numbers at places that may lie outside.
struct Bytes<'b>(&'b [u8]);

impl Bytes<'_> {
    fn u16(&self, at: usize) -> Result<u64, String> {
        self.number(at, 2)
    }

    fn u32(&self, at: usize) -> Result<u64, String> {
        self.number(at, 4)
    }

    fn u64(&self, at: usize) -> Result<u64, String> {
        self.number(at, 8)
    }

    fn number(&self, at: usize, n: usize) -> Result<u64, String> {
        let bytes = at.checked_add(n).and_then(|end| self.0.get(at..end));
        let digits = bytes.ok_or(DAMAGED)?.iter().rev();
        Ok(digits.fold(0, |x, b| x << 8 | u64::from(*b)))
    }

    fn is(&self, at: usize, mark: &[u8]) -> bool {
        self.0.get(at..).is_some_and(|b| b.starts_with(mark))
    }
}

/// One file of the archive.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub at: Range<usize>,
    /// None in archives without checksums, which PyTorch writes when told so: zero for all entries.
    pub crc32: Option<u32>,
}

impl Entry {
    /// The entry's bytes, if they are those that were written.
    pub fn read<'b>(&self, name: &str, bytes: &'b [u8]) -> Result<&'b [u8], String> {
        let content = bytes.get(self.at.clone()).ok_or(DAMAGED)?;
        match self.crc32.is_none_or(|sum| crc32fast::hash(content) == sum) {
            true => Ok(content),
            false => Err(spoilt(name)),
        }
    }
}

/// What is said of an entry whose checksum is another one.
pub fn spoilt(name: &str) -> String {
    format!("is damaged: the checksum of {name} in it does not match")
}

/// Every file of the archive.
pub fn entries(bytes: &[u8]) -> Result<BTreeMap<String, Entry>, String> {
    let b = Bytes(bytes);
    let (count, mut at, end) = directory(&b)?;
    let mut found = BTreeMap::new();
    for _ in 0..count {
        if !b.is(at, CENTRAL) {
            return Err(DAMAGED.into());
        }
        let (name, extra, comment) = (b.u16(at + 28)?, b.u16(at + 30)?, b.u16(at + 32)?);
        let (name_at, extra_at) = (at + 46, at + 46 + name as usize);
        let next = extra_at + extra as usize;
        let text = bytes.get(name_at..extra_at).ok_or(DAMAGED)?;
        let name = String::from_utf8_lossy(text).into_owned();
        let crc32 = b.u32(at + 16)? as u32;
        let (size, place) = sizes(&b, at, extra_at..next)?;
        if b.u16(at + 10)? != 0 {
            return Err(format!(
                "holds {name} compressed, which `torch.save` never does"
            ));
        }
        let entry = Entry {
            at: contents(&b, place, size, text)?,
            crc32: Some(crc32),
        };
        if found.insert(name.clone(), entry).is_some() {
            return Err(format!("is damaged: it holds {name} twice"));
        }
        at = next + comment as usize;
    }
    if found.values().all(|e| e.crc32 == Some(0)) {
        found.values_mut().for_each(|e| e.crc32 = None);
    }
    match at == end {
        true => Ok(found),
        false => Err("is damaged: its directory does not end where its end begins".into()),
    }
}

/// Count of the entries, and where their directory begins and ends.
fn directory(b: &Bytes<'_>) -> Result<(u64, usize, usize), String> {
    let len = b.0.len();
    let lowest = len.saturating_sub(22 + 65_535);
    // Behind the end stands a comment whose length it tells, and nothing else.
    let is_end = |at: &usize| {
        let comment = b.u16(at + 20);
        b.is(*at, END) && comment.is_ok_and(|n| at + 22 + n as usize == len)
    };
    let end = (lowest..len.saturating_sub(21)).rev().find(is_end);
    let end = end.ok_or(
        "is an archive without an end: was it cut off, or does something stand behind it?",
    )?;
    let locator = end.wrapping_sub(20);
    if end >= 20 && b.is(locator, LOCATOR_64) {
        let at = b.u64(locator + 8)? as usize;
        // Nothing stands between it and its locator.
        let behind = (b.u64(at.saturating_add(4))? as usize)
            .checked_add(at)
            .and_then(|n| n.checked_add(12));
        if !b.is(at, END_64) || behind != Some(locator) {
            return Err(DAMAGED.into());
        }
        return Ok((b.u64(at + 32)?, b.u64(at + 48)? as usize, at));
    }
    Ok((b.u16(end + 10)?, b.u32(end + 16)? as usize, end))
}

/// Size and place of an entry; where 32 bits do not hold them, they stand in the extra field.
fn sizes(b: &Bytes<'_>, at: usize, extra: Range<usize>) -> Result<(u64, u64), String> {
    let short = [b.u32(at + 24)?, b.u32(at + 20)?, b.u32(at + 42)?];
    let mut numbers = short;
    let mut field = extra.start;
    while field + 4 <= extra.end {
        let (tag, n) = (b.u16(field)?, b.u16(field + 2)?);
        if tag == 1 {
            let mut place = field + 4;
            for number in numbers.iter_mut().filter(|n| **n == 0xffff_ffff) {
                *number = b.u64(place)?;
                place += 8;
            }
        }
        field += 4 + n as usize;
    }
    Ok((numbers[0], numbers[2]))
}

/// An entry's bytes, behind a header that repeats its name.
fn contents(b: &Bytes<'_>, place: u64, size: u64, name: &[u8]) -> Result<Range<usize>, String> {
    let at = usize::try_from(place).map_err(|_| DAMAGED)?;
    if !b.is(at, LOCAL) || !b.is(at.saturating_add(30), name) {
        return Err(DAMAGED.into());
    }
    let start = at + 30 + b.u16(at + 26)? as usize + b.u16(at + 28)? as usize;
    let end = usize::try_from(size)
        .ok()
        .and_then(|n| start.checked_add(n));
    match end.filter(|end| *end <= b.0.len()) {
        Some(end) => Ok(start..end),
        None => Err(DAMAGED.into()),
    }
}
