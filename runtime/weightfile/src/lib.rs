//! Named tensors in files: safetensors, and the zip archives that `torch.save` writes.
//!
//! Enters bytes that nobody vouches for; leaves names, types, shapes and places, all checked to lie inside of the file.
//! Nothing of a file is ever executed: a pickle is read as data, and one that asks for more is refused.

mod archive;
pub mod pattern;
mod pickle;
mod torch;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

/// How one element is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DType {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl DType {
    pub fn bytes(self) -> usize {
        match self {
            DType::F64 | DType::I64 => 8,
            DType::F32 | DType::I32 => 4,
            DType::F16 | DType::BF16 | DType::I16 => 2,
            DType::I8 | DType::U8 | DType::Bool => 1,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            DType::F64 => "f64",
            DType::F32 => "f32",
            DType::F16 => "f16",
            DType::BF16 => "bf16",
            DType::I64 => "i64",
            DType::I32 => "i32",
            DType::I16 => "i16",
            DType::I8 => "i8",
            DType::U8 => "u8",
            DType::Bool => "bool",
        }
    }

    /// Whether a weight can be read from it.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F64 | DType::F32 | DType::F16 | DType::BF16)
    }
}

/// One tensor: row-major elements, little-endian, at `at` in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub dtype: DType,
    pub shape: Vec<u64>,
    pub at: Range<usize>,
}

/// What a file says about itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Header {
    pub tensors: BTreeMap<String, Tensor>,
    pub metadata: BTreeMap<String, String>,
}

/// Reads the header of a file's bytes. An error is the end of a sentence that begins with the file's name.
pub fn header(bytes: &[u8]) -> Result<Header, String> {
    if bytes.starts_with(b"PK\x03\x04") {
        return torch::header(bytes);
    }
    if bytes.starts_with(&[0x80, 2, 0x8a, 10]) {
        return Err(
            "was saved by PyTorch before version 1.6: load it there and save it again".into(),
        );
    }
    safe_header(bytes)
}

fn safe_header(bytes: &[u8]) -> Result<Header, String> {
    let damaged = |e: safetensors::SafeTensorError| {
        format!("is neither safetensors nor an archive of `torch.save`, or is damaged ({e})")
    };
    let (length, meta) = safetensors::SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let start = 8 + length;
    let mut header = Header::default();
    for (name, info) in meta.tensors() {
        let dtype = safe_type(info.dtype)
            .ok_or_else(|| format!("holds {name} as {:?}, which is not read", info.dtype))?;
        let (from, to) = info.data_offsets;
        let at = start + from..start + to;
        if at.end > bytes.len() {
            return Err(format!("is damaged: {name} ends behind the file's end"));
        }
        let shape = info.shape.iter().map(|n| *n as u64).collect();
        header.tensors.insert(name, Tensor { dtype, shape, at });
    }
    let metadata = meta.metadata().iter().flatten();
    header.metadata = metadata.map(|(k, v)| (k.clone(), v.clone())).collect();
    Ok(header)
}

fn safe_type(dtype: safetensors::Dtype) -> Option<DType> {
    use safetensors::Dtype as S;
    Some(match dtype {
        S::F64 => DType::F64,
        S::F32 => DType::F32,
        S::F16 => DType::F16,
        S::BF16 => DType::BF16,
        S::I64 => DType::I64,
        S::I32 => DType::I32,
        S::I16 => DType::I16,
        S::I8 => DType::I8,
        S::U8 => DType::U8,
        S::BOOL => DType::Bool,
        _ => return None,
    })
}

/// A file in memory by its pages: its header is read, its tensors are not until they are asked for.
pub struct Mapped {
    map: memmap2::Mmap,
    pub header: Header,
}

/// Why a file could not be opened.
#[derive(Debug)]
pub enum Fault {
    Io(std::io::Error),
    /// The end of a sentence that begins with the file's name.
    Content(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Io(e) => write!(f, "cannot be read: {e}"),
            Fault::Content(why) => f.write_str(why),
        }
    }
}

impl Mapped {
    pub fn open(path: &Path) -> Result<Mapped, Fault> {
        let file = std::fs::File::open(path).map_err(Fault::Io)?;
        // A file that another program shortens meanwhile ends this one: that is what mapping costs.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(Fault::Io)?;
        let header = header(&map).map_err(Fault::Content)?;
        Ok(Mapped { map, header })
    }

    /// Gives the file's pages back to the system: they are read again when a tensor is.
    pub fn rest(&self) {
        // A hint only, on pages that are never written: without it everything works.
        #[cfg(unix)]
        let _ = unsafe {
            self.map
                .unchecked_advise(memmap2::UncheckedAdvice::DontNeed)
        };
    }

    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.header.tensors.get(name)
    }

    /// Elements of a float tensor as f32, from element `first` on, as many as `to` takes; what is not there stays.
    pub fn copy(&self, tensor: &Tensor, first: usize, to: &mut [f32]) {
        let size = tensor.dtype.bytes();
        let bytes = self.map.get(tensor.at.clone()).unwrap_or_default();
        let bytes = bytes.get(first * size..).unwrap_or_default();
        let twos = || {
            bytes
                .as_chunks::<2>()
                .0
                .iter()
                .map(|b| u16::from_le_bytes(*b))
        };
        match tensor.dtype {
            DType::F32 => fill(
                to,
                bytes
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|b| f32::from_le_bytes(*b)),
            ),
            DType::F64 => {
                let eights = bytes.as_chunks::<8>().0.iter();
                fill(to, eights.map(|b| f64::from_le_bytes(*b) as f32));
            }
            DType::BF16 => fill(to, twos().map(|w| f32::from_bits(u32::from(w) << 16))),
            DType::F16 => fill(to, twos().map(half)),
            _ => {}
        }
    }
}

fn fill(to: &mut [f32], from: impl Iterator<Item = f32>) {
    to.iter_mut().zip(from).for_each(|(v, x)| *v = x);
}

/// f16 as f32, exactly.
fn half(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let (exponent, fraction) = (u32::from(bits >> 10 & 31), u32::from(bits & 1023));
    let magnitude = match exponent {
        0 => (fraction as f32 / 16_777_216.0).to_bits(),
        31 => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 112) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

#[cfg(test)]
mod tests;
