//! Named f32 tensors in safetensors files: read whole and checked, written whole with the same bytes for the same tensors.

use crate::error::{Error, Result};
use crate::files;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub shape: Vec<u64>,
    pub data: Vec<f32>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    pub tensors: BTreeMap<String, Tensor>,
    pub metadata: BTreeMap<String, String>,
}

/// A tensor to be written.
pub struct View<'a> {
    pub name: &'a str,
    pub shape: &'a [u64],
    pub data: &'a [f32],
}

/// A file whose header was checked. Its tensors stay in the file until they are asked for.
pub struct Mapped {
    map: memmap2::Mmap,
    path: PathBuf,
    pub metadata: BTreeMap<String, String>,
    entries: BTreeMap<String, (safetensors::Dtype, Vec<u64>, std::ops::Range<usize>)>,
}

impl Mapped {
    pub fn open(path: &Path) -> Result<Mapped> {
        let file = std::fs::File::open(path).map_err(|e| Error::io("read", path, &e))?;
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(|e| Error::io("read", path, &e))?;
        let damaged = |e| {
            Error::file(
                path,
                format!("is not a safetensors file, or is damaged ({e})"),
            )
        };
        let (_, header) = safetensors::SafeTensors::read_metadata(&map).map_err(damaged)?;
        let parsed = safetensors::SafeTensors::deserialize(&map).map_err(damaged)?;
        let metadata = header.metadata().iter().flatten();
        let metadata = metadata.map(|(k, v)| (k.clone(), v.clone())).collect();
        let base = map.as_ptr() as usize;
        let entries = parsed.iter().map(|(name, view)| {
            let start = view.data().as_ptr() as usize - base;
            let shape = view.shape().iter().map(|n| *n as u64).collect();
            let range = start..start + view.data().len();
            (name.to_string(), (view.dtype(), shape, range))
        });
        let entries = entries.collect();
        Ok(Mapped {
            map,
            path: path.to_path_buf(),
            metadata,
            entries,
        })
    }

    /// Names and shapes.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, &[u64])> {
        self.entries
            .iter()
            .map(|(name, e)| (name.as_str(), e.1.as_slice()))
    }

    pub fn shape(&self, name: &str) -> Option<&[u64]> {
        self.entries.get(name).map(|e| e.1.as_slice())
    }

    /// Whether a tensor's type is one that is read, and if not, the sentence that says so.
    pub fn check_type(&self, name: &str) -> Result<()> {
        use safetensors::Dtype::{BF16, F16, F32};
        match self.entries.get(name) {
            Some((dtype, ..)) if !matches!(dtype, F32 | F16 | BF16) => {
                let why = format!("{name} is {dtype:?}; only f32, f16 and bf16 are read");
                Err(Error::file(&self.path, why))
            }
            _ => Ok(()),
        }
    }

    /// Copies a tensor, as f32, as far as `to` reaches. Call [`Mapped::check_type`] first.
    pub fn copy(&self, name: &str, to: &mut [f32]) {
        let Some((dtype, _, range)) = self.entries.get(name) else {
            return;
        };
        let bytes = &self.map[range.clone()];
        let (fours, _) = bytes.as_chunks::<4>();
        let (twos, _) = bytes.as_chunks::<2>();
        let words = || twos.iter().map(|b| u16::from_le_bytes(*b));
        match dtype {
            safetensors::Dtype::F32 => to
                .iter_mut()
                .zip(fours)
                .for_each(|(v, b)| *v = f32::from_le_bytes(*b)),
            safetensors::Dtype::BF16 => {
                to.iter_mut()
                    .zip(words())
                    .for_each(|(v, w)| *v = f32::from_bits(u32::from(w) << 16));
            }
            _ => to.iter_mut().zip(words()).for_each(|(v, w)| *v = half(w)),
        }
    }
}

/// Reads f32, f16 and bf16 tensors as f32.
pub fn read(path: &Path) -> Result<File> {
    let mapped = Mapped::open(path)?;
    let mut out = File {
        metadata: mapped.metadata.clone(),
        ..File::default()
    };
    for (name, shape) in mapped.shapes() {
        mapped.check_type(name)?;
        let mut data = vec![0.0; shape.iter().product::<u64>() as usize];
        mapped.copy(name, &mut data);
        let shape = shape.to_vec();
        out.tensors.insert(name.to_string(), Tensor { shape, data });
    }
    Ok(out)
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

/// Writes tensors in the given order, whole or not at all.
pub fn write(path: &Path, tensors: &[View], metadata: &BTreeMap<String, String>) -> Result<()> {
    let mut header = serde_json::Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".into(), serde_json::json!(metadata));
    }
    let mut at = 0;
    for t in tensors {
        let end = at + 4 * t.data.len();
        let entry =
            serde_json::json!({ "dtype": "F32", "shape": t.shape, "data_offsets": [at, end] });
        header.insert(t.name.to_string(), entry);
        at = end;
    }
    let mut text = serde_json::to_vec(&header).expect("a header is plain data");
    text.resize(text.len().next_multiple_of(8), b' ');
    let length = (text.len() as u64).to_le_bytes();
    let mut parts: Vec<&[u8]> = vec![&length, &text];
    let little: Vec<Vec<u8>> = tensors.iter().map(|t| bytes(t.data)).collect();
    parts.extend(little.iter().map(Vec::as_slice));
    files::write_whole(path, &parts)
}

fn bytes(data: &[f32]) -> Vec<u8> {
    data.iter().flat_map(|v| v.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.safetensors");
        let view = |name, shape, data| View { name, shape, data };
        let all = [
            view("b.weight", &[2, 2], &[1.0, -0.0, f32::MIN_POSITIVE, 4.0]),
            view("a", &[], &[7.0]),
        ];
        let metadata = BTreeMap::from([("model".to_string(), "Net".to_string())]);
        write(&path, &all, &metadata).unwrap();
        let file = read(&path).unwrap();
        assert_eq!(file.metadata, metadata);
        assert_eq!(
            file.tensors["a"],
            Tensor {
                shape: vec![],
                data: vec![7.0]
            }
        );
        assert_eq!(file.tensors["b.weight"].shape, [2, 2]);
        assert_eq!(
            file.tensors["b.weight"].data[1].to_bits(),
            (-0.0f32).to_bits()
        );
        let once = std::fs::read(&path).unwrap();
        write(&path, &all, &metadata).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), once);
    }

    #[test]
    fn damaged_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.safetensors");
        write(
            &path,
            &[View {
                name: "a",
                shape: &[3],
                data: &[1.0, 2.0, 3.0],
            }],
            &BTreeMap::new(),
        )
        .unwrap();
        let whole = std::fs::read(&path).unwrap();
        for len in 0..whole.len() {
            std::fs::write(&path, &whole[..len]).unwrap();
            assert_eq!(read(&path).unwrap_err().exit_code(), 1, "{len}");
        }
        assert!(
            read(&dir.path().join("none"))
                .unwrap_err()
                .to_string()
                .contains("there is no such file")
        );
    }

    #[test]
    fn halves_are_exact() {
        let cases = [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x0001, 5.960_464_5e-8),
            (0x7bff, 65504.0),
            (0x8000, -0.0),
        ];
        for (bits, value) in cases {
            assert_eq!(half(bits).to_bits(), f32::to_bits(value));
        }
        assert!(half(0x7e00).is_nan() && half(0x7c00).is_infinite());
    }
}
