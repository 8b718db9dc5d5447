//! The box structure of ISO base media files. Enters: bytes. Leaves: named payloads and big-endian numbers, or `None`
//! where the bytes end. Nothing here trusts a length.

/// Kind and payload of each box in `bytes`; stops at the first one that does not fit.
pub fn boxes(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let mut cursor = Cursor::new(rest);
        let short = cursor.u32()?;
        let kind = cursor.array::<4>()?;
        let (header, size) = match short {
            0 => (8, rest.len()),
            1 => (16, usize::try_from(cursor.u64()?).ok()?),
            n => (8, n as usize),
        };
        let payload = rest.get(header..size)?;
        rest = &rest[size..];
        Some((kind, payload))
    })
}

/// The first box of a kind.
pub fn find<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(bytes)
        .find(|(k, _)| k == kind)
        .map(|(_, payload)| payload)
}

/// A box inside boxes: `path(moov, [b"mdia", b"mdhd"])`.
pub fn path<'a>(bytes: &'a [u8], kinds: &[&[u8; 4]]) -> Option<&'a [u8]> {
    kinds
        .iter()
        .try_fold(bytes, |bytes, kind| find(bytes, kind))
}

pub struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes }
    }

    /// After the version byte and the flags of a full box: both, as (version, flags).
    pub fn full(bytes: &'a [u8]) -> Option<(u8, u32, Cursor<'a>)> {
        let mut cursor = Cursor::new(bytes);
        let word = cursor.u32()?;
        Some(((word >> 24) as u8, word & 0xff_ffff, cursor))
    }

    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.bytes.split_at_checked(N)?;
        self.bytes = tail;
        head.try_into().ok()
    }

    pub fn skip(&mut self, n_bytes: usize) -> Option<()> {
        self.bytes = self.bytes.get(n_bytes..)?;
        Some(())
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// 64 bits where the box's version says so, otherwise 32.
    pub fn word(&mut self, version: u8) -> Option<u64> {
        if version == 1 {
            self.u64()
        } else {
            self.u32().map(u64::from)
        }
    }

    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Writes a box: `f` appends the payload.
pub fn put(out: &mut Vec<u8>, kind: &[u8; 4], f: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(kind);
    f(out);
    let size = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
}

/// A box with version and flags.
pub fn put_full(
    out: &mut Vec<u8>,
    kind: &[u8; 4],
    version: u8,
    flags: u32,
    f: impl FnOnce(&mut Vec<u8>),
) {
    put(out, kind, |out| {
        put32(out, u32::from(version) << 24 | flags);
        f(out);
    });
}

pub fn put16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub fn put32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub fn put64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_be_bytes());
}
