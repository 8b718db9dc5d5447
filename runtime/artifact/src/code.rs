//! `code.bin`: a header of one page, then the code, so that the code can be mapped from the file as it lies.
//!
//! Header, little endian: magic (8), header version u32, ABI u32, architecture (16, zero-padded), code bytes u64,
//! code's blake3 (32), length u32 and text of the needed features (one a line), blake3 of all before (32).

use crate::abi::ABI_VERSION;

pub const CODE_OFFSET: usize = 4096;
const MAGIC: &[u8; 8] = b"VSRCODE\0";
const VERSION: u32 = 2;

pub struct Header {
    pub arch: String,
    pub features: Vec<String>,
    pub code_hash: [u8; 32],
}

pub fn encode(header: &Header, code: &[u8]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(VERSION.to_le_bytes());
    out.extend(ABI_VERSION.to_le_bytes());
    let mut arch = header.arch.clone().into_bytes();
    arch.resize(16, 0);
    out.extend(arch);
    out.extend((code.len() as u64).to_le_bytes());
    out.extend(header.code_hash);
    let features = header.features.join("\n");
    out.extend((features.len() as u32).to_le_bytes());
    out.extend(features.as_bytes());
    let hash = blake3::hash(&out);
    out.extend(hash.as_bytes());
    assert!(out.len() <= CODE_OFFSET, "the header fits a page");
    out.resize(CODE_OFFSET, 0);
    out.extend(code);
    out
}

/// Why bytes are not a code file of this version.
pub enum Fault {
    Damaged(&'static str),
    Abi(u64),
}

/// Header and code, whose hash is checked.
pub fn decode(bytes: &[u8]) -> Result<(Header, &[u8]), Fault> {
    let mut at = Reader { bytes, at: 0 };
    if at.take(8)? != MAGIC {
        return Err(Fault::Damaged("code.bin does not begin as one"));
    }
    let (version, abi) = (at.u32()?, at.u32()?);
    if version != VERSION || abi != ABI_VERSION {
        return Err(Fault::Abi(u64::from(if version == VERSION {
            abi
        } else {
            version
        })));
    }
    let arch = at.take(16)?;
    let code_len = u64::from_le_bytes(at.array()?);
    let code_hash = at.array()?;
    let n = at.u32()? as usize;
    let features = at.take(n)?;
    let end = at.at;
    if blake3::hash(&bytes[..end]).as_bytes() != at.take(32)? {
        return Err(Fault::Damaged(
            "the header of code.bin does not match its hash",
        ));
    }
    let padding = bytes.get(at.at..CODE_OFFSET).unwrap_or_default();
    if padding.iter().any(|b| *b != 0) {
        return Err(Fault::Damaged(
            "the header of code.bin is followed by noise",
        ));
    }
    let code = bytes
        .get(CODE_OFFSET..)
        .ok_or(Fault::Damaged("code.bin is cut short"))?;
    if code.len() as u64 != code_len {
        return Err(Fault::Damaged("code.bin is cut short or too long"));
    }
    if blake3::hash(code).as_bytes() != &code_hash {
        return Err(Fault::Damaged("the code does not match its hash"));
    }
    let text = |b: &[u8]| {
        String::from_utf8_lossy(b)
            .trim_end_matches('\0')
            .to_string()
    };
    let features = text(features).lines().map(str::to_string).collect();
    Ok((
        Header {
            arch: text(arch),
            features,
            code_hash,
        },
        code,
    ))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], Fault> {
        let end = self.at.checked_add(n).filter(|e| *e <= CODE_OFFSET);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        self.at += n;
        taken.ok_or(Fault::Damaged("the header of code.bin is cut short"))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("take gives N bytes"))
    }

    fn u32(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(self.array()?))
    }
}
