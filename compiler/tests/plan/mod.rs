//! Runs a plan with the tile interpreter in f64, memory laid out as the plan says.

use std::collections::BTreeMap;
use vsr_compiler::schedule::{EntryPlan, LaunchPlan, Slot};
use vsr_compiler::tile::interpret::{Data, interpret};

pub struct Memory {
    pub arena: Vec<f64>,
    pub folded: Vec<f64>,
    pub weights: Vec<Vec<f64>>,
}

impl Memory {
    /// Everything poisoned with NaN; what depends on weights alone is folded, then inputs are written.
    pub fn new(
        plan: &EntryPlan,
        inputs: &BTreeMap<String, Vec<f64>>,
        weights: Vec<Vec<f64>>,
    ) -> Memory {
        let nan = |bytes: u64| vec![f64::NAN; bytes as usize / 4 + 64];
        let mut memory = Memory {
            arena: nan(plan.arena_bytes),
            folded: nan(plan.folded_bytes),
            weights,
        };
        plan.setup.iter().for_each(|l| memory.launch(l));
        for port in &plan.inputs {
            let Slot::Arena(at) = port.slot else {
                panic!("an input outside of the arena")
            };
            let values = &inputs[&port.name];
            memory.arena[at as usize / 4..][..values.len()].copy_from_slice(values);
        }
        memory
    }

    fn load(&self, slot: &Slot, table: bool) -> Data<f64> {
        match slot {
            Slot::Arena(at) => Data::Values(self.arena[*at as usize / 4..].to_vec()),
            Slot::Folded(at) => Data::Values(self.folded[*at as usize / 4..].to_vec()),
            Slot::Weight(i) => Data::Values(self.weights[*i].clone()),
            Slot::Data(bytes) if table => Data::Table(
                bytes
                    .chunks(8)
                    .map(|b| i64::from_le_bytes(b.try_into().expect("eight bytes")))
                    .collect(),
            ),
            Slot::Data(bytes) => {
                let value =
                    |b: &[u8]| f64::from(f32::from_le_bytes(b.try_into().expect("four bytes")));
                Data::Values(bytes.chunks(4).map(value).collect())
            }
        }
    }

    fn launch(&mut self, l: &LaunchPlan) {
        let table = |i: usize| l.kernel.buffers[i].kind == vsr_compiler::tile::BufferKind::Table;
        let mut data: Vec<Data<f64>> = l
            .buffers
            .iter()
            .enumerate()
            .map(|(i, s)| self.load(s, table(i)))
            .collect();
        let writes = interpret(&l.kernel, &[], &mut data, &|_, _, _| 0.25)
            .unwrap_or_else(|e| panic!("{}: {e}\n{:?}", l.label, l.kernel));
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
    }

    pub fn run(&mut self, plan: &EntryPlan) {
        plan.launches.iter().for_each(|l| self.launch(l));
    }

    pub fn output(&self, plan: &EntryPlan, name: &str) -> Vec<f64> {
        let port = plan
            .outputs
            .iter()
            .find(|p| p.name == name)
            .expect("an output of this name");
        let Slot::Arena(at) = port.slot else {
            panic!("an output outside of the arena")
        };
        self.arena[at as usize / 4..][..port.shape.iter().product::<i64>() as usize].to_vec()
    }
}
