//! Weights that a file keeps in a layout of its own: parts of its tensors, sliced and transposed to the network's
//! weights.
//!
//! Enters a checked manifest, and the places that it gives for each weight: of frozen networks, whose files are opened
//! here, and of public layouts, whose file `weights.rs` opens. Leaves the weights filled, or a sentence about the file
//! that does not fit. No file is written, and no number is copied before its tensor's type and shape are the network's.

use crate::device::{self, Buffer};
use crate::error::{Error, Result};
use crate::tensors::Mapped;
use crate::weights::elements;
use std::path::{Path, PathBuf};
use vsr_artifact::manifest::{Manifest, Stored, Weight};
use vsr_artifact::{shown, shown_path};

/// Reads every frozen weight. `dir` is the artifact's folder.
pub fn load(manifest: &Manifest, storage: &mut dyn Buffer, dir: &Path) -> Result<()> {
    for (index, name) in manifest.frozen.files.iter().enumerate() {
        let path = find(dir, name)?;
        let file = Mapped::open(&path)?;
        file.verify()?;
        for tensor in manifest
            .frozen
            .tensors
            .iter()
            .filter(|t| t.file as usize == index)
        {
            let place = &tensor.stored;
            let weight = manifest.weights.iter().find(|w| w.key == place.weight);
            if let Some(weight) = weight {
                check(&file, place, weight).map_err(|why| {
                    Error::file(
                        &path,
                        format!("is not the file that was compiled with: {why}"),
                    )
                })?;
                copy(&file, place, weight, storage)?;
            }
        }
    }
    Ok(())
}

/// Where a weight file may lie: in the artifact's folder, under the last part of its name, or else where the name leads
/// from the current folder.
pub fn places(dir: &Path, name: &str) -> impl Iterator<Item = PathBuf> {
    let own = Path::new(name);
    let beside = own.file_name().map(|file| dir.join(file));
    beside.into_iter().chain([own.to_path_buf()])
}

fn find(dir: &Path, name: &str) -> Result<PathBuf> {
    let mut tried = vec![];
    for place in places(dir, name) {
        if place.is_file() {
            return Ok(place);
        }
        tried.push(shown_path(&place));
    }
    let tried = tried.join(" nor ");
    let why = format!(
        "the weights of a frozen network are neither {tried}: copy the file into the compiled folder"
    );
    Err(Error::user(why))
}

/// Whether a part of the file is the weight; if not, why.
pub fn check(file: &Mapped, place: &Stored, weight: &Weight) -> std::result::Result<(), String> {
    let key = &place.key;
    let named = shown(key);
    let shape = file
        .shape(key)
        .ok_or_else(|| format!("it has no {named}"))?;
    file.check_type(key).map_err(|e| e.to_string())?;
    let mut part = shape.to_vec();
    if let (Some([low, high]), Some(rows)) = (place.rows, part.first_mut()) {
        *rows = high.min(*rows).saturating_sub(low);
    }
    if place.transposed {
        part.reverse();
    }
    // Axes of one element are no difference.
    let plain = |s: &[u64]| s.iter().copied().filter(|n| *n != 1).collect::<Vec<u64>>();
    if plain(&part) == plain(&weight.shape) {
        return Ok(());
    }
    Err(format!(
        "{named} is {shape:?}, the network's {} is {:?}",
        shown(&weight.key),
        weight.shape
    ))
}

/// Copies a part of the file that [`check`] accepts.
pub fn copy(
    file: &Mapped,
    place: &Stored,
    weight: &Weight,
    storage: &mut dyn Buffer,
) -> Result<()> {
    let Some(shape) = file.shape(&place.key) else {
        return Ok(());
    };
    let row = shape.iter().skip(1).product::<u64>() as usize;
    let first = place.rows.map_or(0, |[low, _]| low as usize * row);
    device::edit(storage, weight.offset, elements(weight), |to| {
        if !place.transposed {
            return file.copy_from(&place.key, first, to);
        }
        let mut plain = vec![0.0; to.len()];
        file.copy_from(&place.key, first, &mut plain);
        transpose(&plain, row, to);
    })
}

/// Rows of `row` numbers to columns.
fn transpose(from: &[f32], row: usize, to: &mut [f32]) {
    let n_rows = from.len() / row.max(1);
    for (at, value) in from.iter().enumerate() {
        let (i, j) = (at / row, at % row);
        to[j * n_rows + i] = *value;
    }
}
