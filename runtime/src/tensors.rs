//! Named tensors in files, as f32: read from safetensors or PyTorch's archives and checked, written as safetensors,
//! whole, with the same bytes for the same tensors. What is written here carries a hash of all it says, in its
//! metadata, and is refused when that does not match.

use crate::error::{Error, Result};
use crate::{files, memory};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use vsr_artifact::shown;
use vsr_weightfile::Fault;

/// Key of the metadata that holds the hash.
pub const HASH: &str = "blake3";

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

/// A weight file whose header was checked. Its tensors stay in the file until they are asked for.
pub struct Mapped {
    file: vsr_weightfile::Mapped,
    path: PathBuf,
    pub metadata: BTreeMap<String, String>,
}

impl Mapped {
    pub fn open(path: &Path) -> Result<Mapped> {
        let file = vsr_weightfile::Mapped::open(path).map_err(|fault| match fault {
            Fault::Io(e) => Error::io("read", path, &e),
            Fault::Content(why) => Error::file(path, shown(why)),
        })?;
        Ok(Mapped {
            metadata: file.header.metadata.clone(),
            file,
            path: path.to_path_buf(),
        })
    }

    /// Compares all that the file has a checksum of: parts of PyTorch's archives, and what [`write`] wrote.
    pub fn verify(&self) -> Result<()> {
        let damaged = |why| Error::file(&self.path, shown(why));
        self.file.verify().map_err(damaged)?;
        match self.metadata.get(HASH) {
            Some(hash) if *hash != self.hash() => Err(damaged(format!(
                "is damaged: it does not have the {HASH} of its metadata (a program that changes weights on \
                    purpose leaves that out)"
            ))),
            _ => Ok(()),
        }
    }

    fn hash(&self) -> String {
        let mut digest = Digest::new(&self.metadata);
        for (name, tensor) in &self.file.header.tensors {
            digest.name(name, tensor.dtype.name(), &tensor.shape);
            self.file.walk(tensor.at.clone(), |bytes| {
                digest.0.update(bytes);
            });
        }
        digest.finish()
    }

    /// Names and shapes.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, &[u64])> {
        let tensors = self.file.header.tensors.iter();
        tensors.map(|(name, t)| (name.as_str(), t.shape.as_slice()))
    }

    pub fn shape(&self, name: &str) -> Option<&[u64]> {
        self.file.tensor(name).map(|t| t.shape.as_slice())
    }

    /// Whether a tensor's type is one that is read, and if not, the sentence that says so.
    pub fn check_type(&self, name: &str) -> Result<()> {
        match self.file.tensor(name) {
            Some(tensor) if !tensor.dtype.is_float() => {
                let (kind, name) = (tensor.dtype.name(), shown(name));
                let why = format!("{name} is {kind}; only f32, f64, f16 and bf16 are read");
                Err(Error::file(&self.path, why))
            }
            _ => Ok(()),
        }
    }

    /// Gives the file's pages back to the system until a tensor is read again.
    pub fn rest(&self) {
        self.file.rest();
    }

    /// A tensor as f32.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        self.check_type(name)?;
        let shape = self.shape(name).unwrap_or_default().to_vec();
        let n = shape.iter().product::<u64>() as usize;
        let mut data = memory::zeroed(n, &format!("{} of a file", shown(name)))?;
        self.copy(name, &mut data);
        Ok(Tensor { shape, data })
    }

    /// Copies a tensor, as f32, as far as `to` reaches. Call [`Mapped::check_type`] first.
    pub fn copy(&self, name: &str, to: &mut [f32]) {
        self.copy_from(name, 0, to);
    }

    /// As [`Mapped::copy`], from element `first` on.
    pub fn copy_from(&self, name: &str, first: usize, to: &mut [f32]) {
        if let Some(tensor) = self.file.tensor(name) {
            self.file.copy(tensor, first, to);
        }
    }
}

/// Reads every tensor as f32, after the header is known to hold nothing else. A file in which many names share their
/// numbers is refused: it would take any memory.
pub fn read(path: &Path) -> Result<File> {
    let mapped = Mapped::open(path)?;
    mapped.shapes().try_for_each(|t| mapped.check_type(t.0))?;
    let numbers = |shape: &[u64]| shape.iter().product::<u64>();
    let n_bytes: u64 = mapped.shapes().map(|t| 4 * numbers(t.1)).sum();
    // Numbers of 16 bits become twice as large.
    let allowed = 2 * mapped.file.file_bytes() as u64;
    if n_bytes > allowed {
        let n_names = mapped.shapes().count();
        return Err(Error::file(
            path,
            format!(
                "{n_names} names share its numbers: they would take {n_bytes} bytes, many times the file's size"
            ),
        ));
    }
    mapped.verify()?;
    let mut out = File {
        metadata: mapped.metadata.clone(),
        ..File::default()
    };
    for (name, _) in mapped.shapes() {
        out.tensors.insert(name.to_string(), mapped.tensor(name)?);
    }
    Ok(out)
}

/// What the hash of a file is computed of: each text and number, with its length before it.
struct Digest(blake3::Hasher);

impl Digest {
    fn new(metadata: &BTreeMap<String, String>) -> Digest {
        let mut digest = Digest(blake3::Hasher::new());
        let said = metadata.iter().filter(|(key, _)| *key != HASH);
        said.for_each(|(key, value)| {
            digest.text(key);
            digest.text(value);
        });
        digest
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
    }

    fn number(&mut self, n: u64) {
        self.0.update(&n.to_le_bytes());
    }

    /// Before a tensor's bytes.
    fn name(&mut self, name: &str, kind: &str, shape: &[u64]) {
        self.text(name);
        self.text(kind);
        self.number(shape.len() as u64);
        shape.iter().for_each(|n| self.number(*n));
    }

    fn finish(self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}

fn hash_of(tensors: &[View], metadata: &BTreeMap<String, String>) -> String {
    let mut digest = Digest::new(metadata);
    let all: BTreeMap<&str, &View> = tensors.iter().map(|t| (t.name, t)).collect();
    for (name, tensor) in all {
        digest.name(name, vsr_weightfile::DType::F32.name(), tensor.shape);
        for piece in pieces(tensor) {
            digest.0.update(&piece);
        }
    }
    digest.finish()
}

/// Writes tensors in the given order, whole or not at all.
pub fn write(path: &Path, tensors: &[View], metadata: &BTreeMap<String, String>) -> Result<()> {
    let mut metadata = metadata.clone();
    metadata.insert(HASH.into(), hash_of(tensors, &metadata));
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".into(), serde_json::json!(metadata));
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
    files::write_with(path, |out| {
        out.write_all(&(text.len() as u64).to_le_bytes())?;
        out.write_all(&text)?;
        let mut pieces = tensors.iter().flat_map(pieces);
        pieces.try_for_each(|piece| out.write_all(&piece))
    })
}

/// Numbers that are written, or hashed, at once.
const PIECE: usize = 1 << 16;

/// A tensor's bytes in pieces: a network's weights need not fit into memory twice.
fn pieces<'a>(tensor: &'a View) -> impl Iterator<Item = Vec<u8>> + use<'a> {
    let bytes = |data: &[f32]| data.iter().flat_map(|v| v.to_le_bytes()).collect();
    tensor.data.chunks(PIECE).map(bytes)
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
        let mut file = read(&path).unwrap();
        assert_eq!(file.metadata.remove(HASH).map(|h| h.len()), Some(64));
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
}
