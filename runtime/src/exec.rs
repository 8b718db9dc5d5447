//! `exec`: one entry on tensors from a file, its outputs to a file.

use crate::error::{Error, Result};
use crate::files::guard::{self, Inputs};
use crate::session::Session;
use crate::tensors::{self, Mapped, Tensor, View};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use vsr_artifact::manifest::Entry;
use vsr_artifact::shown;

/// Refuses outputs that would replace what is read, or each other.
pub fn check_outputs(
    session: &Session,
    inputs: &[&Path],
    output: &Path,
    save_weights: Option<&Path>,
) -> Result<()> {
    let mut read = session.files_read();
    read.extend(inputs.iter().map(PathBuf::from));
    let read = Inputs::of(read);
    read.refuse(output)?;
    let Some(weights) = save_weights else {
        return Ok(());
    };
    read.refuse(weights)?;
    match guard::is_one_place(output, weights) {
        true => Err(Error::file(
            weights,
            "is where -o and --save-weights both write: give them names of their own",
        )),
        false => Ok(()),
    }
}

/// Runs entry `entry` on the tensors of `inputs` and writes every output to `output`.
pub fn exec(
    session: &mut Session,
    entry: usize,
    inputs: &Path,
    output: &Path,
    seed: u64,
    step: u64,
) -> Result<()> {
    let plan = session.manifest().entries[entry].clone();
    let file = read(inputs, &plan)?;
    let given: Vec<(&str, &[f32])> = file
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor.data.as_slice()))
        .collect();
    session
        .run(entry, &given, seed, step)
        .map_err(|e| match e {
            Error::User(text) => Error::file(inputs, text),
            other => other,
        })?;
    let views: Vec<View> = plan
        .outputs
        .iter()
        .map(|p| View {
            name: &p.name,
            shape: &p.shape,
            data: session.output(entry, &p.name),
        })
        .collect();
    tensors::write(output, &views, &BTreeMap::new())
}

/// The entry's inputs out of a file. Nothing is read before its name and shape are the entry's, so the file decides
/// nothing about how much memory that takes.
fn read(path: &Path, entry: &Entry) -> Result<Vec<(String, Tensor)>> {
    let file = Mapped::open(path)?;
    file.verify()?;
    for (name, got) in file.shapes() {
        let named = shown(name);
        let Some(port) = entry.inputs.iter().find(|p| p.name == *name) else {
            let all: Vec<&str> = entry.inputs.iter().map(|p| p.name.as_str()).collect();
            let why = format!("there is no input {named}; there are: {}", all.join(", "));
            return Err(Error::file(path, why));
        };
        if port.shape != got {
            let why = format!(
                "{named} has shape {got:?}, the entry takes {:?}",
                port.shape
            );
            return Err(Error::file(path, why));
        }
    }
    let names = file.shapes().map(|(name, _)| name);
    names
        .map(|name| Ok((name.to_string(), file.tensor(name)?)))
        .collect()
}
