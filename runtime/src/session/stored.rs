//! The storage of all weights and states, and where its numbers can be had again.
//!
//! Once an entry has folded its weights, the pages that hold the stored ones are given back to the system; who needs
//! them later calls [`Stored::whole`], which fills them again from where they came. Numbers that exist here alone (a
//! training step made them) are never given back.

use crate::device::{Buffer, Device};
use crate::error::Result;
use crate::{frozen, weights};
use std::ops::Range;
use std::path::{Path, PathBuf};
use vsr_artifact::manifest::Manifest;

pub struct Stored {
    memory: Box<dyn Buffer>,
    provenance: Provenance,
    /// Bytes of `memory` that are zero now, whatever the weights are.
    given_back: u64,
    /// The artifact's folder: frozen weights lie in files that it knows.
    dir: PathBuf,
}

/// Where the numbers that no frozen file holds came from.
pub enum Provenance {
    /// They are here alone.
    Here,
    /// First values, by seed.
    Start(u64),
    File(Box<weights::Source>),
}

impl Stored {
    /// Zeros, and the frozen weights.
    pub fn open(device: &dyn Device, manifest: &Manifest, dir: &Path) -> Result<Stored> {
        let mut memory = device.alloc(manifest.storage_bytes, "the weights")?;
        frozen::load(manifest, &mut *memory, dir)?;
        Ok(Stored {
            memory,
            provenance: Provenance::Here,
            given_back: 0,
            dir: dir.to_path_buf(),
        })
    }

    /// Bytes that are taken from the system, at most.
    pub fn bytes(&self) -> u64 {
        self.memory.len() - self.given_back
    }

    /// Whatever is there: zeros, where it was given back.
    pub fn buffer(&self) -> &dyn Buffer {
        &*self.memory
    }

    /// Fills all weights from their provenance.
    pub fn fill(&mut self, manifest: &Manifest, provenance: Provenance) -> Result<()> {
        self.provenance = provenance;
        // What was given back, frozen weights too, is filled when it is needed.
        match self.given_back {
            0 => self.refill(manifest),
            _ => Ok(()),
        }
    }

    fn refill(&mut self, manifest: &Manifest) -> Result<()> {
        match &self.provenance {
            Provenance::Here => Ok(()),
            Provenance::Start(seed) => weights::init(manifest, &mut *self.memory, *seed),
            Provenance::File(source) => source.fill(manifest, &mut *self.memory),
        }
    }

    /// All weights, after what was given back is filled again.
    pub fn whole(&mut self, manifest: &Manifest) -> Result<&mut dyn Buffer> {
        if self.given_back > 0 {
            frozen::load(manifest, &mut *self.memory, &self.dir)?;
            self.refill(manifest)?;
            self.given_back = 0;
        }
        Ok(&mut *self.memory)
    }

    /// As [`Stored::whole`], to be changed: no provenance has the numbers after that.
    pub fn owned(&mut self, manifest: &Manifest) -> Result<&mut dyn Buffer> {
        self.whole(manifest)?;
        self.provenance = Provenance::Here;
        Ok(&mut *self.memory)
    }

    /// Nobody reads these ranges before the next call of [`Stored::whole`]. They hold all that was given back before.
    pub fn give_back(&mut self, ranges: &[Range<u64>]) {
        if !matches!(self.provenance, Provenance::Here) {
            let given = ranges.iter().map(|r| self.memory.give_back(r));
            self.given_back = given.sum();
        }
    }
}
