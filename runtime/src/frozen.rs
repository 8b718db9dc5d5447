//! Frozen networks' weights: from the files that the artifact names straight to their place, cut and turned on the way.
//!
//! Enters a checked manifest; leaves its frozen weights filled, or a sentence about the file that does not fit.

use crate::device::cpu::Memory;
use crate::error::{Error, Result};
use crate::tensors::Mapped;
use crate::weights::elements;
use std::path::{Path, PathBuf};
use vsr_artifact::manifest::{FrozenTensor, Manifest, Weight};

/// Reads every frozen weight. `dir` is the artifact's folder.
pub fn load(manifest: &Manifest, storage: &mut Memory, dir: &Path) -> Result<()> {
    for (index, name) in manifest.frozen.files.iter().enumerate() {
        let path = find(dir, name)?;
        let file = Mapped::open(&path)?;
        for place in manifest
            .frozen
            .tensors
            .iter()
            .filter(|t| t.file as usize == index)
        {
            let weight = manifest.weights.iter().find(|w| w.key == place.weight);
            if let Some(weight) = weight {
                load_one(&file, &path, place, weight, storage)?;
            }
        }
    }
    Ok(())
}

/// A weight file lies in the artifact's folder, by its name alone, or where the compiler found it.
fn find(dir: &Path, name: &str) -> Result<PathBuf> {
    let own = Path::new(name);
    let beside = own.file_name().map(|file| dir.join(file));
    let places = beside.into_iter().chain([own.to_path_buf()]);
    let mut tried = vec![];
    for place in places {
        if place.is_file() {
            return Ok(place);
        }
        tried.push(place.display().to_string());
    }
    let tried = tried.join(" nor ");
    let why = format!(
        "the weights of a frozen network are neither {tried}: copy the file into the compiled folder"
    );
    Err(Error::user(why))
}

fn load_one(
    file: &Mapped,
    path: &Path,
    place: &FrozenTensor,
    weight: &Weight,
    storage: &mut Memory,
) -> Result<()> {
    let key = &place.key;
    let changed = |why: String| {
        Error::file(
            path,
            format!("is not the file that was compiled with: {why}"),
        )
    };
    let shape = file
        .shape(key)
        .ok_or_else(|| changed(format!("it has no {key}")))?;
    file.check_type(key)?;
    let row = shape.iter().skip(1).product::<u64>() as usize;
    let rows = shape.first().copied().unwrap_or(1);
    let (low, high) = place
        .rows
        .map_or((0, rows), |[low, high]| (low, high.min(rows)));
    let n = high.saturating_sub(low) as usize * row;
    if n != elements(weight) {
        let (got, want) = (shape, &weight.shape);
        return Err(changed(format!(
            "{key} is {got:?}, the network takes {want:?}"
        )));
    }
    let Some(to) = storage.floats_mut(weight.offset, n) else {
        return Ok(());
    };
    let first = low as usize * row;
    if place.transposed {
        let mut plain = vec![0.0; n];
        file.copy_from(key, first, &mut plain);
        transpose(&plain, row, to);
    } else {
        file.copy_from(key, first, to);
    }
    Ok(())
}

/// Rows of `row` numbers to columns.
fn transpose(from: &[f32], row: usize, to: &mut [f32]) {
    let n_rows = from.len() / row.max(1);
    for (at, value) in from.iter().enumerate() {
        let (i, j) = (at / row, at % row);
        to[j * n_rows + i] = *value;
    }
}
