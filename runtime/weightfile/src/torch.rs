//! The archives of `torch.save`: a pickle that names tensors, and one file for each storage.
//!
//! Enters the archive's bytes; leaves a header. What is read here is compared with its checksum; storages are by
//! `Mapped::verify`.

use crate::{Checked, Header, archive, state, unpickle};

pub fn header(bytes: &[u8]) -> Result<Header, String> {
    let entries = archive::entries(bytes)?;
    let name = entries.keys().find(|k| k.ends_with("/data.pkl"));
    let name = name.ok_or("is an archive, but not one of `torch.save` (it has no data.pkl)")?;
    let folder = &name[..name.len() - "data.pkl".len()];
    let order = format!("{folder}byteorder");
    if let Some(entry) = entries.get(&order)
        && entry.read(&order, bytes)? != b"little"
    {
        return Err("was saved on a big-endian machine, which is not read".into());
    }
    let text = entries[name].read(name, bytes)?;
    let (pickle, length) = unpickle::read(text)?;
    if length != text.len() {
        return Err(format!(
            "is damaged: something stands behind the end of {name}"
        ));
    }
    let data = format!("{folder}data/");
    let storages = entries
        .iter()
        .filter_map(|(name, e)| Some((name.strip_prefix(&data)?.to_string(), e.at.clone())));
    let mut header = state::header(&pickle, &storages.collect())?;
    let checked = |(name, e): (&String, &archive::Entry)| {
        Some(Checked {
            name: name.clone(),
            at: e.at.clone(),
            crc32: e.crc32?,
        })
    };
    header.checked = entries.iter().filter_map(checked).collect();
    Ok(header)
}
