//! The older files of `torch.save`, of PyTorch before version 1.6: pickles one behind the other, then the storages.
//!
//! Enters the file's bytes; leaves a header. The pickles are a mark, a version, facts about the machine, the object,
//! and a list of storages' keys; each storage is its number of elements in eight bytes, and the elements.

use crate::pickle::{Pickle, Value};
use crate::tensor::{Storages, element_bytes, storage_kind};
use crate::{Header, state, unpickle};
use std::collections::BTreeMap;

/// The mark as a pickle has it: an integer of ten bytes, and the end.
const MAGIC: [u8; 13] = [
    0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.',
];
const VERSION: i64 = 1001;

/// Where the mark ends in a file that begins with it. Before it stand the pickle's protocol and perhaps a frame.
pub fn magic(bytes: &[u8]) -> Option<usize> {
    let at = match bytes {
        [0x80, _, 0x95, ..] => 11,
        [0x80, ..] => 2,
        _ => return None,
    };
    bytes
        .get(at..)
        .is_some_and(|rest| rest.starts_with(&MAGIC))
        .then_some(at + MAGIC.len())
}

/// Reads what stands from `at` on, behind the mark.
pub fn header(bytes: &[u8], mut at: usize) -> Result<Header, String> {
    let mut next = || {
        let (pickle, length) = unpickle::read(bytes.get(at..).unwrap_or_default())?;
        at += length;
        Ok::<Pickle, String>(pickle)
    };
    let (version, machine) = (next()?, next()?);
    match version.get(version.root) {
        Value::Int(VERSION) => {}
        _ => {
            return Err("was saved by PyTorch in a version of its format that is not known".into());
        }
    }
    let little = machine.entry(machine.root, "little_endian");
    if little.is_some_and(|id| *machine.get(id) == Value::Bool(false)) {
        return Err("was saved on a big-endian machine, which is not read".into());
    }
    let (object, keys) = (next()?, next()?);
    let storages = storages(bytes, at, &object, &keys)?;
    state::header(&object, &storages)
}

/// Where each storage lies, from `at` on.
fn storages(
    bytes: &[u8],
    mut at: usize,
    object: &Pickle,
    keys: &Pickle,
) -> Result<Storages, String> {
    const NO_LIST: &str = "is damaged: it has no list of its storages";
    let sizes = element_sizes(object)?;
    let mut found = Storages::new();
    for key in keys.items(keys.root).ok_or(NO_LIST)? {
        let key = keys.text(*key).ok_or(NO_LIST)?;
        let size = sizes
            .get(key)
            .ok_or_else(|| format!("is damaged: it stores {key}, which nothing in it refers to"))?;
        let short =
            || format!("is damaged: its storage {key} ends behind the file's end: was it cut off?");
        let (count, rest) = bytes
            .get(at..)
            .and_then(|rest| rest.split_first_chunk())
            .ok_or_else(short)?;
        let length = usize::try_from(u64::from_le_bytes(*count))
            .ok()
            .and_then(|n| n.checked_mul(*size))
            .filter(|n| *n <= rest.len())
            .ok_or_else(short)?;
        let start = at + count.len();
        at = start + length;
        found.insert(key.to_string(), start..at);
    }
    match bytes.len() - at {
        0 => Ok(found),
        n => Err(format!(
            "is damaged: {n} bytes stand behind its last storage"
        )),
    }
}

/// How large an element of each storage is, by whoever refers to it first.
fn element_sizes(object: &Pickle) -> Result<BTreeMap<&str, usize>, String> {
    let mut sizes = BTreeMap::new();
    for value in &object.values {
        let Value::Outside(reference) = value else {
            continue;
        };
        if let Some((kind, key)) = storage_kind(object, *reference) {
            let size = element_bytes(kind)
                .ok_or_else(|| format!("holds numbers as {kind}, which is not read"))?;
            sizes.entry(key).or_insert(size);
        }
    }
    Ok(sizes)
}
