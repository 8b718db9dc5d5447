//! The archives of `torch.save`: a pickle that names tensors, and one file for each storage.
//!
//! Enters the archive's bytes; leaves a header. Tensors are read from a dictionary of them, alone or under one of the
//! names that training scripts use. Anything else in a tensor's place is refused.

use crate::pickle::{self, Id, Pickle, Value};
use crate::{DType, Header, Tensor, archive};
use std::collections::BTreeMap;
use std::ops::Range;

/// What checkpoints call the dictionary of weights, the one to prefer first.
const WRAPPERS: [&str; 6] = [
    "params_ema",
    "params",
    "state_dict",
    "model_state_dict",
    "model",
    "generator",
];
/// A wrapper in a wrapper, and so on.
const MAX_WRAPPERS: usize = 4;

struct Reader<'b> {
    pickle: &'b Pickle,
    entries: &'b BTreeMap<String, Range<usize>>,
    /// The archive's folder, with its slash.
    folder: &'b str,
}

pub fn header(bytes: &[u8]) -> Result<Header, String> {
    let entries = archive::entries(bytes)?;
    let name = entries.keys().find(|k| k.ends_with("/data.pkl"));
    let name = name.ok_or("is an archive, but not one of `torch.save` (it has no data.pkl)")?;
    let folder = &name[..name.len() - "data.pkl".len()];
    if let Some(order) = entries.get(&format!("{folder}byteorder"))
        && &bytes[order.clone()] != b"little"
    {
        return Err("was saved on a big-endian machine, which is not read".into());
    }
    let pickle = pickle::read(&bytes[entries[name].clone()])?;
    let reader = Reader {
        pickle: &pickle,
        entries: &entries,
        folder,
    };
    let dict = reader.unwrapped(pickle.root)?;
    reader.tensors(dict)
}

impl Reader<'_> {
    /// The dictionary that holds the tensors.
    fn unwrapped(&self, root: Id) -> Result<&[(Id, Id)], String> {
        let mut id = root;
        for _ in 0..MAX_WRAPPERS {
            let Value::Dict(pairs) = self.pickle.get(id) else {
                let what = self.describe(id);
                return Err(format!(
                    "holds {what}, not a dictionary of tensors: save the network's `state_dict()`"
                ));
            };
            let named = |name: &&str| {
                let inner = pairs
                    .iter()
                    .find(|(k, _)| self.pickle.text(*k) == Some(name));
                inner
                    .map(|(_, v)| *v)
                    .filter(|v| matches!(self.pickle.get(*v), Value::Dict(_)))
            };
            match WRAPPERS.iter().find_map(named) {
                Some(inner) => id = inner,
                None => return Ok(pairs),
            }
        }
        Err("wraps its tensors in too many dictionaries".into())
    }

    fn tensors(&self, pairs: &[(Id, Id)]) -> Result<Header, String> {
        let mut header = Header::default();
        for (key, value) in pairs {
            let Some(name) = self.pickle.text(*key) else {
                return Err("names a tensor by something that is no text".into());
            };
            match self.pickle.get(*value) {
                Value::Call(..) => {
                    let tensor = self.tensor(name, *value)?;
                    header.tensors.insert(name.to_string(), tensor);
                }
                // Counters beside the weights.
                Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {
                }
                _ => {
                    let what = self.describe(*value);
                    return Err(format!(
                        "holds {what} at {name}, where a tensor is expected"
                    ));
                }
            }
        }
        if header.tensors.is_empty() {
            return Err("holds no tensors".into());
        }
        Ok(header)
    }

    /// `_rebuild_tensor_v2(storage, offset, size, stride, …)`, perhaps inside of `_rebuild_parameter(tensor, …)`.
    fn tensor(&self, name: &str, id: Id) -> Result<Tensor, String> {
        let Value::Call(callee, arguments) = self.pickle.get(id) else {
            return Err(format!(
                "holds {} at {name}, where a tensor is expected",
                self.describe(id)
            ));
        };
        let global = match self.pickle.get(*callee) {
            Value::Global(g) => g.as_str(),
            _ => "an object's state",
        };
        let arguments = self.pickle.items(*arguments).unwrap_or_default();
        match (global, arguments) {
            ("torch._utils._rebuild_parameter", [tensor, ..]) if *tensor != id => {
                self.plain(name, *tensor)
            }
            ("torch._utils._rebuild_tensor_v2", _) => self.plain(name, id),
            _ => Err(format!(
                "asks to call {global} at {name}; only plain tensors are read, nothing is executed"
            )),
        }
    }

    fn plain(&self, name: &str, id: Id) -> Result<Tensor, String> {
        let damaged = || format!("describes {name} in a way that no tensor is");
        let Value::Call(callee, arguments) = self.pickle.get(id) else {
            return Err(damaged());
        };
        let is_tensor = matches!(self.pickle.get(*callee), Value::Global(g) if g == "torch._utils._rebuild_tensor_v2");
        let Some([storage, offset, size, stride, ..]) =
            self.pickle.items(*arguments).filter(|_| is_tensor)
        else {
            return Err(damaged());
        };
        let shape = self.sizes(*size).ok_or_else(damaged)?;
        let strides = self.sizes(*stride).ok_or_else(damaged)?;
        if !contiguous(&shape, &strides) {
            return Err(format!(
                "holds {name} with strides {strides:?}: save it after `.contiguous()`"
            ));
        }
        let offset = self
            .pickle
            .int(*offset)
            .and_then(|n| usize::try_from(n).ok())
            .ok_or_else(damaged)?;
        let (dtype, place) = self.storage(name, *storage)?;
        let elements = shape
            .iter()
            .try_fold(1u64, |n, s| n.checked_mul(*s))
            .and_then(|n| usize::try_from(n).ok());
        let bytes = |n: usize| n.checked_mul(dtype.bytes());
        let range = elements
            .and_then(bytes)
            .zip(bytes(offset))
            .and_then(|(length, skip)| {
                let start = place.start.checked_add(skip)?;
                Some(start..start.checked_add(length)?)
            });
        match range.filter(|r| r.end <= place.end) {
            Some(at) => Ok(Tensor { dtype, shape, at }),
            None => Err(format!("is damaged: {name} is larger than its storage")),
        }
    }

    fn sizes(&self, id: Id) -> Option<Vec<u64>> {
        let items = self.pickle.items(id)?;
        items
            .iter()
            .map(|i| self.pickle.int(*i).and_then(|n| u64::try_from(n).ok()))
            .collect()
    }

    /// `("storage", torch.FloatStorage, "0", "cpu", 64)`
    fn storage(&self, name: &str, id: Id) -> Result<(DType, Range<usize>), String> {
        let damaged = || format!("describes the storage of {name} in a way that is not known");
        let Value::Outside(reference) = self.pickle.get(id) else {
            return Err(damaged());
        };
        let Some([word, kind, key, ..]) = self.pickle.items(*reference) else {
            return Err(damaged());
        };
        let (Some("storage"), Value::Global(kind), Some(key)) = (
            self.pickle.text(*word),
            self.pickle.get(*kind),
            self.pickle.text(*key),
        ) else {
            return Err(damaged());
        };
        let dtype =
            element(kind).ok_or_else(|| format!("holds {name} as {kind}, which is not read"))?;
        let place = self.entries.get(&format!("{}data/{key}", self.folder));
        match place {
            Some(place) => Ok((dtype, place.clone())),
            None => Err(format!(
                "is damaged: the storage {key} of {name} is not in it"
            )),
        }
    }

    fn describe(&self, id: Id) -> String {
        match self.pickle.get(id) {
            Value::Dict(_) => "a dictionary".into(),
            Value::List(_) | Value::Tuple(_) => "a list".into(),
            Value::Call(callee, _) => match self.pickle.get(*callee) {
                Value::Global(g) if g.starts_with("torch._utils._rebuild") => "a tensor".into(),
                Value::Global(g) => format!("an object of {g}"),
                _ => "an object".into(),
            },
            Value::Global(g) => format!("the name {g}"),
            Value::Outside(_) => "a storage".into(),
            _ => "a number or a text".into(),
        }
    }
}

fn element(kind: &str) -> Option<DType> {
    Some(match kind.strip_prefix("torch.")? {
        "DoubleStorage" => DType::F64,
        "FloatStorage" => DType::F32,
        "HalfStorage" => DType::F16,
        "BFloat16Storage" => DType::BF16,
        "LongStorage" => DType::I64,
        "IntStorage" => DType::I32,
        "ShortStorage" => DType::I16,
        "CharStorage" => DType::I8,
        "ByteStorage" => DType::U8,
        "BoolStorage" => DType::Bool,
        _ => return None,
    })
}

/// Row-major; the stride of an axis with one element says nothing.
fn contiguous(shape: &[u64], strides: &[u64]) -> bool {
    if shape.len() != strides.len() {
        return false;
    }
    let mut wanted = 1u64;
    for (size, stride) in shape.iter().zip(strides).rev() {
        if *size > 1 && *stride != wanted {
            return false;
        }
        wanted = wanted.saturating_mul(*size);
    }
    true
}
