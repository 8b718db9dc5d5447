//! The archives of `torch.save`: a pickle that names tensors, and one file for each storage.
//!
//! Enters the archive's bytes; leaves a header.

use crate::{Header, archive, state, unpickle};

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
    let (pickle, _) = unpickle::read(&bytes[entries[name].clone()])?;
    let data = format!("{folder}data/");
    let storages = entries
        .iter()
        .filter_map(|(name, place)| Some((name.strip_prefix(&data)?.to_string(), place.clone())));
    state::header(&pickle, &storages.collect())
}
