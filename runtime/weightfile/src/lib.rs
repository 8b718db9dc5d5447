//! Named tensors in files: safetensors, and what `torch.save` writes, in its present and its older form.
//!
//! Enters bytes that nobody vouches for; leaves names, types, shapes and places, all checked to lie inside of the file.
//! Nothing of a file is ever executed: a pickle is read as data, and one that asks for more is refused.

mod archive;
mod copy;
mod legacy;
pub mod pattern;
mod pickle;
mod state;
mod tensor;
mod torch;
mod unpickle;

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

/// One tensor: little-endian elements, all of them within `at` in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub dtype: DType,
    pub shape: Vec<u64>,
    /// How many elements lie between neighbours along each axis.
    pub strides: Vec<u64>,
    pub at: Range<usize>,
}

impl Tensor {
    /// A tensor whose rows lie one behind the other.
    pub fn packed(dtype: DType, shape: Vec<u64>, at: Range<usize>) -> Tensor {
        let mut strides = vec![1u64; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
        }
        Tensor {
            dtype,
            shape,
            strides,
            at,
        }
    }

    /// Whether its rows lie one behind the other; the stride of an axis with one element says nothing.
    pub fn is_packed(&self) -> bool {
        let mut wanted = 1u64;
        for (size, stride) in self.shape.iter().zip(&self.strides).rev() {
            if *size > 1 && *stride != wanted {
                return false;
            }
            wanted = wanted.saturating_mul(*size);
        }
        true
    }
}

/// What a file says about itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Header {
    pub tensors: BTreeMap<String, Tensor>,
    pub metadata: BTreeMap<String, String>,
    /// Parts that the file has a checksum of.
    pub checked: Vec<Checked>,
}

/// A part of a file and the checksum that it should have.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    pub name: String,
    pub at: Range<usize>,
    pub crc32: u32,
}

/// Reads the header of a file's bytes. An error is the end of a sentence that begins with the file's name.
pub fn header(bytes: &[u8]) -> Result<Header, String> {
    if bytes.starts_with(b"PK\x03\x04") {
        return torch::header(bytes);
    }
    if let Some(behind) = legacy::magic(bytes) {
        return legacy::header(bytes, behind);
    }
    if bytes.get(257..262) == Some(b"ustar") {
        let why = "is a tar archive, as PyTorch before version 0.1.10 saved: load it there and save it again";
        return Err(why.into());
    }
    safe_header(bytes)
}

fn safe_header(bytes: &[u8]) -> Result<Header, String> {
    let damaged = |e: safetensors::SafeTensorError| {
        format!("is neither safetensors nor a file of `torch.save`, or is damaged ({e})")
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
        let tensor = Tensor::packed(dtype, shape, at);
        header.tensors.insert(name, tensor);
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
            Fault::Io(e) => write!(f, "cannot be read: {}", vsr_artifact::reason(e)),
            Fault::Content(why) => f.write_str(why),
        }
    }
}

impl Mapped {
    pub fn open(path: &Path) -> Result<Mapped, Fault> {
        let file = vsr_artifact::open_file(path).map_err(Fault::Io)?;
        // SAFETY: the map is only read, and what a file holds is checked as it is used. One that another program
        // shortens meanwhile ends this one: that is what mapping costs.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(Fault::Io)?;
        let header = header(&map).map_err(Fault::Content)?;
        Ok(Mapped { map, header })
    }

    /// Gives the file's pages back to the system: they are read again when a tensor is.
    pub fn rest(&self) {
        // A hint only: without it everything works.
        #[cfg(unix)]
        // SAFETY: these pages are never written, so the system reads the same from the file again.
        let _ = unsafe {
            self.map
                .unchecked_advise(memmap2::UncheckedAdvice::DontNeed)
        };
    }

    /// Compares every part that the file has a checksum of; an error names the first that is damaged. Reads all of
    /// them, and keeps little of it in memory.
    pub fn verify(&self) -> Result<(), String> {
        for part in &self.header.checked {
            let mut hasher = crc32fast::Hasher::new();
            self.walk(part.at.clone(), |bytes| hasher.update(bytes));
            if hasher.finalize() != part.crc32 {
                return Err(archive::spoilt(&part.name));
            }
        }
        Ok(())
    }

    /// Hands out a part of the file piece by piece, and gives the pages back.
    pub fn walk(&self, at: Range<usize>, mut take: impl FnMut(&[u8])) {
        const PIECE_BYTES: usize = 4 << 20;
        for piece in self.map.get(at).unwrap_or_default().chunks(PIECE_BYTES) {
            take(piece);
            self.rest();
        }
    }

    /// Length of the file.
    pub fn file_bytes(&self) -> usize {
        self.map.len()
    }

    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.header.tensors.get(name)
    }

    /// Elements of a float tensor as f32, from element `first` on, as many as `to` takes; what is not there stays.
    pub fn copy(&self, tensor: &Tensor, first: usize, to: &mut [f32]) {
        let bytes = self.map.get(tensor.at.clone()).unwrap_or_default();
        copy::floats(tensor, bytes, first, to);
    }
}

#[cfg(test)]
mod tests;
