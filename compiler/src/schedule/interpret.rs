//! Runs a plan with the tile interpreter in f64, memory laid out as the plan says: what native code is held against.
//!
//! Enters a plan, inputs and weights; leaves outputs and new weights. Memory that nobody has written holds NaN, no access
//! leaves its buffer, and no two tasks of a launch touch what one of them writes: else there is an error, never a panic.

use super::{EntryPlan, LaunchPlan, Slot};
use crate::ir::philox::Stream;
use crate::tile::BufferKind;
use crate::tile::interpret::{Data, interpret};
use std::collections::BTreeMap;

pub struct Memory {
    pub arena: Vec<f64>,
    pub folded: Vec<f64>,
    pub weights: Vec<Vec<f64>>,
    pub stream: Stream,
}

impl Memory {
    /// What depends on weights alone is folded, then inputs are written.
    pub fn new(
        plan: &EntryPlan,
        inputs: &BTreeMap<String, Vec<f64>>,
        weights: Vec<Vec<f64>>,
    ) -> Result<Memory, String> {
        let nan = |bytes: u64| vec![f64::NAN; bytes as usize / 4];
        let mut memory = Memory {
            arena: nan(plan.arena_bytes),
            folded: nan(plan.folded_bytes),
            weights,
            stream: Stream::default(),
        };
        for launch in &plan.setup {
            memory.launch(launch)?;
        }
        for port in &plan.inputs {
            let Slot::Arena(at) = port.slot else {
                return Err(format!("the input {} lies outside of the arena", port.name));
            };
            let values = inputs
                .get(&port.name)
                .ok_or(format!("no input {}", port.name))?;
            memory.arena[at as usize / 4..][..values.len()].copy_from_slice(values);
        }
        Ok(memory)
    }

    pub fn run(&mut self, plan: &EntryPlan) -> Result<(), String> {
        plan.launches.iter().try_for_each(|l| self.launch(l))
    }

    pub fn output(&self, plan: &EntryPlan, name: &str) -> Option<Vec<f64>> {
        let port = plan.outputs.iter().find(|p| p.name == name)?;
        let n = port.shape.iter().product::<i64>() as usize;
        match &port.slot {
            Slot::Arena(at) => Some(self.arena[*at as usize / 4..][..n].to_vec()),
            Slot::Folded(at) => Some(self.folded[*at as usize / 4..][..n].to_vec()),
            Slot::Weight(w) => Some(self.weights[*w].clone()),
            Slot::Data(bytes) => Some(numbers(bytes)),
        }
    }

    fn launch(&mut self, l: &LaunchPlan) -> Result<(), String> {
        let buffers = l.buffers.iter().zip(&l.lens).zip(&l.kernel.buffers);
        let load = |((slot, len), b): ((&Slot, &u64), &crate::tile::Buffer)| {
            self.load(slot, *len as usize, b.kind == BufferKind::Table)
        };
        let mut data: Vec<Data<f64>> = buffers.map(load).collect::<Result<_, String>>()?;
        let stream = self.stream;
        let random = |key, normal, at: i64| stream.number(key, normal, at as u64);
        let writes = interpret(&l.kernel, &[], &mut data, &random)
            .map_err(|fault| format!("{}: {fault}", l.label))?;
        for (i, slot) in l.buffers.iter().enumerate() {
            let Data::Values(values) = &data[i] else {
                continue;
            };
            let (memory, at) = match slot {
                Slot::Arena(at) => (&mut self.arena, *at as usize / 4),
                Slot::Folded(at) => (&mut self.folded, *at as usize / 4),
                Slot::Weight(w) => (&mut self.weights[*w], 0),
                Slot::Data(_) => continue,
            };
            for (j, _) in writes[i].iter().enumerate().filter(|(_, n)| **n > 0) {
                memory[at + j] = values[j];
            }
        }
        Ok(())
    }

    fn load(&self, slot: &Slot, len: usize, is_table: bool) -> Result<Data<f64>, String> {
        let part = |of: &[f64], at: usize| match of.get(at..at + len) {
            Some(part) => Ok(Data::Values(part.to_vec())),
            None => Err(format!(
                "a buffer of {len} elements ends outside of its memory"
            )),
        };
        match slot {
            Slot::Arena(at) => part(&self.arena, *at as usize / 4),
            Slot::Folded(at) => part(&self.folded, *at as usize / 4),
            Slot::Weight(w) => part(&self.weights[*w], 0),
            Slot::Data(bytes) if is_table => Ok(Data::Table(integers(bytes))),
            Slot::Data(bytes) => part(&numbers(bytes), 0),
        }
    }
}

fn integers(bytes: &[u8]) -> Vec<i64> {
    let words = bytes.as_chunks().0.iter();
    words.map(|b| i64::from_le_bytes(*b)).collect()
}

fn numbers(bytes: &[u8]) -> Vec<f64> {
    let words = bytes.as_chunks().0.iter();
    words.map(|b| f64::from(f32::from_le_bytes(*b))).collect()
}
