//! Places of the manifest to addresses of a session's memory.
//!
//! Enters a checked plan; leaves calls, and views of what lies at a place. Nothing runs here.

use super::{Bound, Session};
use crate::device::cpu::{Call, Memory};
use crate::error::{Error, Result};
use crate::weights;
use vsr_artifact::manifest::{Launch, Place, Port};

impl Session {
    pub(super) fn bind(&mut self, entry: usize) -> Result<()> {
        if self.bound[entry].is_some() {
            return Ok(());
        }
        let plan = &self.manifest.entries[entry];
        let arena = Memory::zeroed(plan.arena_bytes, &format!("the arena of {}", plan.name))?;
        let folded = Memory::zeroed(
            plan.folded_bytes,
            &format!("the folded weights of {}", plan.name),
        )?;
        let address = |place: &Place| match place {
            Place::Arena(at) => arena.base().wrapping_add(*at as usize),
            Place::Folded(at) => folded.base().wrapping_add(*at as usize),
            Place::Storage(at) => self.storage.base().wrapping_add(*at as usize),
            Place::Consts(at) => self.consts.base().wrapping_add(*at as usize),
        };
        let call = |launch: &Launch| {
            let kernel = self.manifest.kernels.get(launch.kernel as usize)?;
            Some(Call {
                kernel: self.code.kernel(kernel)?,
                rows: self.code.rows(kernel, self.level)?,
                buffers: launch.buffers.iter().map(address).collect(),
                args: launch.args.clone(),
                tasks: launch.tasks as i64,
                cost: launch.flops + launch.bytes,
            })
        };
        let bind_all = |list: &[Launch]| list.iter().map(call).collect::<Option<Vec<_>>>();
        let (launches, setup) = (bind_all(&plan.launches), bind_all(&plan.setup));
        let (Some(launches), Some(setup)) = (launches, setup) else {
            return Err(self.damaged("a launch names a kernel that is not there"));
        };
        self.bound[entry] = Some(Bound {
            arena,
            folded,
            launches,
            setup,
            stale: true,
        });
        Ok(())
    }

    pub(super) fn port(&self, entry: usize, port: &Port) -> Option<&[f32]> {
        let n = port.shape.iter().product::<u64>() as usize;
        let bound = self.bound[entry].as_ref()?;
        match port.at {
            Place::Arena(at) => bound.arena.floats(at, n),
            Place::Folded(at) => bound.folded.floats(at, n),
            Place::Storage(at) => self.storage.memory().floats(at, n),
            Place::Consts(at) => self.consts.floats(at, n),
        }
    }

    pub(super) fn memory_mut(&mut self, entry: usize, place: Place) -> Option<(&mut Memory, u64)> {
        let bound = self.bound[entry].as_mut()?;
        match place {
            Place::Arena(at) => Some((&mut bound.arena, at)),
            Place::Folded(at) => Some((&mut bound.folded, at)),
            Place::Storage(at) => Some((self.storage.memory_mut(), at)),
            Place::Consts(_) => None,
        }
    }

    /// No place, kernel or weight of the manifest lies outside its memory.
    pub(super) fn check(&self) -> Result<()> {
        let m = &self.manifest;
        let kernels = m
            .kernels
            .iter()
            .all(|k| self.code.kernel(k).is_some() && self.code.rows(k, self.level).is_some());
        let weights = m.weights.iter().all(|w| {
            let memory = self.storage.memory();
            memory.floats(w.offset, weights::elements(w)).is_some()
        });
        let entries = m.entries.iter().all(|e| {
            let inside = |place: &Place| match place {
                Place::Arena(at) => *at <= e.arena_bytes,
                Place::Folded(at) => *at <= e.folded_bytes,
                Place::Storage(at) => *at <= m.storage_bytes,
                Place::Consts(at) => *at <= self.consts.len() as u64,
            };
            let ports = e.inputs.iter().chain(&e.outputs).all(|p| inside(&p.at));
            let launches = e.launches.iter().chain(&e.setup);
            ports
                && launches
                    .into_iter()
                    .all(|l| l.buffers.iter().all(inside) && (l.kernel as usize) < m.kernels.len())
        });
        if kernels && weights && entries {
            Ok(())
        } else {
            Err(self.damaged("its plan does not fit its memory"))
        }
    }

    pub(super) fn damaged(&self, why: &str) -> Error {
        Error::Artifact(vsr_artifact::Error::Damaged {
            path: self.dir.clone(),
            why: why.to_string(),
        })
    }
}
