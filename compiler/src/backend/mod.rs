//! Back ends: verified tile programs enter, the code of one target leaves. They know scalars, loops and vectors, never an
//! operator's name.
//!
//! A new one is a folder here and a [`Target`].

pub mod clif;
mod interpreter;
mod target;
pub mod wide;

pub use target::Target;

use crate::diag;
use crate::tile::Kernel;
use vsr_artifact::machine::Machine;

/// Says which kernel, of those a user knows, is worked on.
pub type Around<'a> = &'a (dyn Fn(usize) -> diag::Context + Sync);

pub trait Backend {
    /// The code of all kernels, planned for this machine. Err: there is no thread to work on.
    fn compile(
        &self,
        kernels: &[Kernel],
        machine: &Machine,
        around: Around<'_>,
    ) -> std::io::Result<Code>;

    /// What the code is made from, for people.
    fn text(&self, kernels: &[Kernel], machine: &Machine) -> String;
}

/// All kernels' code in one piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code {
    pub bytes: Vec<u8>,
    /// In the order of the kernels.
    pub kernels: Vec<KernelPlace>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelPlace {
    /// Where it starts.
    pub offset: u64,
    /// Where its wide rows start, for AVX2 and for AVX-512.
    pub rows: Vec<[u64; 2]>,
    /// Scratch that one thread needs to run it, in bytes.
    pub scratch: u64,
}

impl Code {
    /// Puts a part at the next multiple of `align`, behind as many bytes of `padding` as that takes; where it starts.
    fn append(&mut self, part: &[u8], align: usize, padding: u8) -> u64 {
        self.bytes
            .resize(self.bytes.len().next_multiple_of(align), padding);
        self.bytes.extend(part);
        (self.bytes.len() - part.len()) as u64
    }
}
