//! One tensor of a pickle: a record of a call that would rebuild it from a storage.
//!
//! Enters a pickle and the places of its storages; leaves types, shapes, strides and places, all within their storages.
//! The calls are known by their names and never made; any other is refused.

use crate::pickle::{Id, Pickle, Value};
use crate::{DType, Tensor};
use std::collections::BTreeMap;
use std::ops::Range;

/// Places of the storages by their keys.
pub type Storages = BTreeMap<String, Range<usize>>;

/// A call in a call that makes a tensor: a parameter of a tensor with attributes.
const MAX_CALLS: usize = 4;

pub struct Tensors<'b> {
    pub pickle: &'b Pickle,
    pub storages: &'b Storages,
}

impl Tensors<'_> {
    pub fn read(&self, name: &str, id: Id) -> Result<Tensor, String> {
        let (mut callee, mut arguments) = self.call(name, id)?;
        for _ in 0..MAX_CALLS {
            let global = self.pickle.class(callee).unwrap_or("something unnamed");
            let given = self.pickle.items(arguments).unwrap_or_default();
            match (global, given) {
                (
                    "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor",
                    [storage, offset, size, stride, more @ ..],
                ) => {
                    if more.get(2).is_some_and(|facts| self.any_true(*facts)) {
                        return Err(format!("holds {name} as the negative of what it stores"));
                    }
                    return self.plain(name, *storage, *offset, [*size, *stride]);
                }
                (
                    "torch._utils._rebuild_parameter"
                    | "torch._utils._rebuild_parameter_with_state"
                    | "torch.nn.parameter.Parameter",
                    [tensor, ..],
                ) => (callee, arguments) = self.call(name, *tensor)?,
                ("torch._tensor._rebuild_from_type_v2", [function, _, inner, ..]) => {
                    (callee, arguments) = (*function, *inner);
                }
                _ => {
                    return Err(format!(
                        "asks to call {global} at {name}; only plain tensors are read, nothing is executed"
                    ));
                }
            }
        }
        Err(no_tensor(name))
    }

    fn call(&self, name: &str, id: Id) -> Result<(Id, Id), String> {
        match self.pickle.get(id) {
            Value::Call {
                callee, arguments, ..
            } => Ok((*callee, *arguments)),
            _ => Err(format!(
                "holds {} at {name}, where a tensor is expected",
                self.pickle.describe(id)
            )),
        }
    }

    /// Whether a dictionary of facts about the numbers (`conj`, `neg`) says that they are not the stored ones.
    fn any_true(&self, facts: Id) -> bool {
        let Value::Dict(pairs) = self.pickle.get(facts) else {
            return false;
        };
        let is_true = |(_, v): &(Id, Id)| *self.pickle.get(*v) == Value::Bool(true);
        pairs.iter().any(is_true)
    }

    fn plain(
        &self,
        name: &str,
        storage: Id,
        offset: Id,
        [size, stride]: [Id; 2],
    ) -> Result<Tensor, String> {
        let shape = self.sizes(size).ok_or_else(|| no_tensor(name))?;
        let strides = self.sizes(stride).ok_or_else(|| no_tensor(name))?;
        let offset = self.size(offset).ok_or_else(|| no_tensor(name))?;
        if shape.len() != strides.len() {
            return Err(no_tensor(name));
        }
        let (dtype, place) = self.storage(name, storage)?;
        let n_stored = (place.len() / dtype.bytes()) as u64;
        let inside = span(&shape, &strides).filter(|n| {
            let end = offset.checked_add(*n);
            end.is_some_and(|end| end <= n_stored)
        });
        let Some(span) = inside else {
            return Err(format!("is damaged: {name} is larger than its storage"));
        };
        let start = place.start + offset as usize * dtype.bytes();
        Ok(Tensor {
            dtype,
            shape,
            strides,
            at: start..start + span as usize * dtype.bytes(),
        })
    }

    fn size(&self, id: Id) -> Option<u64> {
        self.pickle.int(id).and_then(|n| u64::try_from(n).ok())
    }

    fn sizes(&self, id: Id) -> Option<Vec<u64>> {
        let items = self.pickle.items(id)?;
        items.iter().map(|i| self.size(*i)).collect()
    }

    /// `("storage", torch.FloatStorage, "0", "cpu", 64)`, in old files with a part of it: `("1", 16, 48)`.
    fn storage(&self, name: &str, id: Id) -> Result<(DType, Range<usize>), String> {
        let unknown = || format!("describes the storage of {name} in a way that is not known");
        let Value::Outside(reference) = self.pickle.get(id) else {
            return Err(unknown());
        };
        let (kind, key) = storage_kind(self.pickle, *reference).ok_or_else(unknown)?;
        let dtype =
            element(kind).ok_or_else(|| format!("holds {name} as {kind}, which is not read"))?;
        let place = self.storages.get(key).cloned();
        let place =
            place.ok_or_else(|| format!("is damaged: the storage {key} of {name} is not in it"))?;
        let facts = self.pickle.items(*reference).unwrap_or_default();
        let Some([_, first, count]) = facts.get(5).and_then(|part| self.pickle.items(*part)) else {
            return Ok((dtype, place));
        };
        let bytes = |id: Id| {
            let n = usize::try_from(self.size(id)?).ok()?;
            n.checked_mul(dtype.bytes())
        };
        let (first, count) = bytes(*first).zip(bytes(*count)).ok_or_else(unknown)?;
        let start = place.start.checked_add(first);
        let end = start.and_then(|start| start.checked_add(count));
        match start.zip(end).filter(|(_, end)| *end <= place.end) {
            Some((start, end)) => Ok((dtype, start..end)),
            None => Err(format!(
                "is damaged: a part of the storage {key} is larger than it"
            )),
        }
    }
}

fn no_tensor(name: &str) -> String {
    format!("describes {name} in a way that no tensor is")
}

/// Kind and key of the storage that a reference is to.
pub fn storage_kind(pickle: &Pickle, reference: Id) -> Option<(&str, &str)> {
    let [word, kind, key, ..] = pickle.items(reference)? else {
        return None;
    };
    match (pickle.text(*word), pickle.get(*kind), pickle.text(*key)) {
        (Some("storage"), Value::Global(kind), Some(key)) => Some((kind, key)),
        _ => None,
    }
}

/// Elements from a tensor's first to its last, and one. None where they are fewer than the tensor has, as when a number
/// is repeated: a file of a few bytes could ask for any amount of memory so.
fn span(shape: &[u64], strides: &[u64]) -> Option<u64> {
    let n = shape.iter().try_fold(1u64, |n, s| n.checked_mul(*s))?;
    if n == 0 {
        return Some(0);
    }
    let mut last = 0u64;
    for (size, stride) in shape.iter().zip(strides) {
        last = last.checked_add(stride.checked_mul(size - 1)?)?;
    }
    last.checked_add(1).filter(|span| n <= *span)
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

/// Bytes of a storage's elements, also of those that no tensor is read from.
pub fn element_bytes(kind: &str) -> Option<usize> {
    match kind {
        "torch.ComplexFloatStorage" => Some(8),
        "torch.ComplexDoubleStorage" => Some(16),
        "torch.UntypedStorage" | "torch.storage.UntypedStorage" => Some(1),
        _ => element(kind).map(DType::bytes),
    }
}
