//! Places of the manifest to addresses of a session's memory.
//!
//! Enters a checked plan; leaves calls, and views of what lies at a place. Nothing runs here.

use super::{Bound, Session};
use crate::device::{self, Buffer};
use crate::error::{Error, Result};
use crate::weights;
use std::collections::BTreeMap;
use vsr_artifact::manifest::{Entry, Launch, Place, Port};

impl Session {
    pub(super) fn bind(&mut self, entry: usize) -> Result<()> {
        if self.bound[entry].is_some() {
            return Ok(());
        }
        let plan = &self.manifest.entries[entry];
        let room = |bytes, what| {
            let what = format!("the {what} of {}", plan.name);
            self.device.alloc(bytes, &what)
        };
        let arena = room(plan.arena_bytes, "arena")?;
        let folded = room(plan.folded_bytes, "folded weights")?;
        let bases = [&arena, &folded, &self.consts].map(|m| m.address());
        let storage = self.storage.buffer().address();
        let address = |place: &Place| match place {
            Place::Arena(at) => bases[0] + at,
            Place::Folded(at) => bases[1] + at,
            Place::Consts(at) => bases[2] + at,
            Place::Storage(at) => storage + at,
        };
        // SAFETY: these buffers are this session's, and live until the list is given back (here, in `release`, or with the
        // device). `check` has held the plan against their lengths. All of it is borrowed alone while a list runs.
        let launches = unsafe { self.device.bind(&plan.launches, &address)? };
        // SAFETY: as above.
        let setup = unsafe { self.device.bind(&plan.setup, &address) };
        let setup = setup.inspect_err(|_| self.device.unbind(launches))?;
        self.bound[entry] = Some(Bound {
            arena,
            folded,
            launches,
            setup,
            stale: true,
            outputs: BTreeMap::new(),
        });
        Ok(())
    }

    /// What lies at a port, where the host can see it.
    pub(super) fn port(&self, entry: usize, port: &Port) -> Option<&[f32]> {
        let (buffer, at) = self.place(entry, port.at)?;
        buffer.view(at, elements(port))
    }

    pub(super) fn port_copied(&self, entry: usize, port: &Port) -> Result<Vec<f32>> {
        match self.place(entry, port.at) {
            Some((buffer, at)) => Ok(device::read(buffer, at, elements(port))?.into_owned()),
            None => Ok(vec![]),
        }
    }

    fn place(&self, entry: usize, place: Place) -> Option<(&dyn Buffer, u64)> {
        let bound = self.bound[entry].as_ref()?;
        Some(match place {
            Place::Arena(at) => (&*bound.arena, at),
            Place::Folded(at) => (&*bound.folded, at),
            Place::Storage(at) => (self.storage.buffer(), at),
            Place::Consts(at) => (&*self.consts, at),
        })
    }

    /// No buffer, port or weight of the manifest lies outside its memory, or between two numbers.
    pub(super) fn check(&self) -> Result<()> {
        let m = &self.manifest;
        let ends = |e: &Entry, place: &Place, bytes: u64| {
            let (at, len) = match place {
                Place::Arena(at) => (*at, e.arena_bytes),
                Place::Folded(at) => (*at, e.folded_bytes),
                Place::Storage(at) => (*at, m.storage_bytes),
                Place::Consts(at) => (*at, self.consts.len()),
            };
            at.is_multiple_of(4) && at.checked_add(bytes).is_some_and(|end| end <= len)
        };
        let weights = m.weights.iter().all(|w| {
            let end = w.offset.checked_add(4 * weights::elements(w) as u64);
            end.is_some_and(|end| end <= m.storage_bytes) && w.offset.is_multiple_of(4)
        });
        let launch = |e: &Entry, l: &Launch| {
            let known = (l.kernel as usize) < m.kernels.len() && l.lens.len() == l.buffers.len();
            known && l.buffers.iter().zip(&l.lens).all(|(p, n)| ends(e, p, *n))
        };
        let entries = m.entries.iter().all(|e| {
            let mut ports = e.inputs.iter().chain(&e.outputs);
            let mut launches = e.launches.iter().chain(&e.setup);
            ports.all(|p| ends(e, &p.at, 4 * elements(p) as u64)) && launches.all(|l| launch(e, l))
        });
        match weights && entries {
            true => Ok(()),
            false => Err(self.damaged("its plan does not fit its memory")),
        }
    }

    pub(super) fn damaged(&self, why: &str) -> Error {
        device::damaged(&self.dir, why)
    }
}

fn elements(port: &Port) -> usize {
    port.shape.iter().product::<u64>() as usize
}
