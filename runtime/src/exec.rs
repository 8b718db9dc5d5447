//! `exec`: one entry on tensors from a file, its outputs to a file.

use crate::error::{Error, Result};
use crate::session::Session;
use crate::tensors::{self, View};
use std::collections::BTreeMap;
use std::path::Path;

/// Runs entry `entry` on the tensors of `inputs` and writes every output to `output`.
pub fn exec(
    session: &mut Session,
    entry: usize,
    inputs: &Path,
    output: &Path,
    seed: u64,
    step: u64,
) -> Result<()> {
    let file = tensors::read(inputs)?;
    let plan = session.manifest().entries[entry].clone();
    for (name, tensor) in &file.tensors {
        let port = plan.inputs.iter().find(|p| p.name == *name);
        if let Some(port) = port.filter(|p| p.shape != tensor.shape) {
            let (got, want) = (&tensor.shape, &port.shape);
            return Err(Error::file(
                inputs,
                format!("{name} has shape {got:?}, the entry takes {want:?}"),
            ));
        }
    }
    let given: Vec<(&str, &[f32])> = file
        .tensors
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
