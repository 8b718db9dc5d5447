//! The processor as a device: code pages, memory, the function table and the threads that run tasks.
//!
//! Enters machine code and lists of launches; leaves their results, the same whatever the number of threads. Code is never writable
//! while it may run.

mod code;
mod guard;
mod launch;
mod memory;
mod pool;
mod roofs;
mod table;

pub use memory::Memory;
pub use pool::{n_cores, n_threads_for};

use crate::device::lists::Lists;
use crate::device::{self, Buffer, Device, ListId, Options, damaged};
use crate::error::Result;
use code::Code;
use guard::Guarded;
use launch::{Call, Run};
use pool::{Pool, copy};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vsr_artifact::Artifact;
use vsr_artifact::abi::{KernelFn, RowFn};
use vsr_artifact::manifest::{KernelInfo, Launch, Place};
use vsr_kernels::Level;

pub struct Cpu {
    level: Level,
    pool: Pool,
    is_guarded: bool,
    program: Program,
    lists: Lists<List>,
}

const UNKNOWN: &str = "a launch names a kernel that is not there";

/// What was loaded.
#[derive(Default)]
struct Program {
    /// Its pages hold the kernels.
    _code: Option<Code>,
    kernels: Vec<(KernelFn, Vec<RowFn>)>,
    /// One for each thread.
    scratch: Vec<Memory>,
    min_parallel_cost: u64,
    /// Where it lies.
    dir: PathBuf,
}

struct List {
    calls: Vec<Call>,
    /// For guarded runs: bytes of each buffer, and the launch's name.
    guarded: Vec<(Vec<u64>, String)>,
}

// SAFETY: all addresses inside are of code that it owns, which stays where it is if it moves, or of buffers that live while
// lists are bound (`Device::bind`); no thread's own data is among them.
unsafe impl Send for Cpu {}

impl Cpu {
    pub fn open(options: &Options) -> Result<Cpu> {
        let best = Level::detect();
        Ok(Cpu {
            level: options.level.map_or(best, |level| level.min(best)),
            pool: Pool::new(n_threads_for(options.threads))?,
            is_guarded: options.is_guarded || std::env::var_os("VSR_GUARD").is_some(),
            program: Program::default(),
            lists: Lists::default(),
        })
    }
}

impl Program {
    fn load(artifact: &Artifact, dir: &Path, level: Level, n_threads: usize) -> Result<Program> {
        let manifest = &artifact.manifest;
        let code = Code::load(&artifact.code, || vsr_artifact::code_file(dir))?;
        let kernel = |k: &KernelInfo| Some((code.kernel(k)?, code.rows(k, level)?));
        let kernels: Option<Vec<_>> = manifest.kernels.iter().map(kernel).collect();
        let kernels = kernels.ok_or_else(|| damaged(dir, UNKNOWN))?;
        let bytes = manifest.entries.iter().map(|e| e.scratch_bytes).max();
        let scratch = || Memory::zeroed(bytes.unwrap_or(0), "scratch");
        Ok(Program {
            _code: Some(code),
            kernels,
            scratch: (0..n_threads).map(|_| scratch()).collect::<Result<_>>()?,
            min_parallel_cost: manifest.min_parallel_cost(),
            dir: dir.to_path_buf(),
        })
    }

    fn call(&self, launch: &Launch, address: &dyn Fn(&Place) -> u64) -> Option<Call> {
        let (kernel, rows) = self.kernels.get(launch.kernel as usize)?;
        let buffers = launch.buffers.iter().map(|place| address(place) as *mut u8);
        Some(Call {
            kernel: *kernel,
            rows: rows.clone(),
            buffers: buffers.collect(),
            args: launch.args.clone(),
            tasks: launch.tasks as i64,
            cost: launch.flops + launch.bytes,
        })
    }

    fn run(&self, level: Level, run: device::Run) -> Run<'_> {
        Run {
            level,
            seed: run.seed,
            step: run.step,
            min_parallel_cost: self.min_parallel_cost,
            scratch: &self.scratch,
        }
    }
}

impl Device for Cpu {
    fn n_threads(&self) -> usize {
        self.pool.n_threads()
    }

    fn level(&self) -> &'static str {
        self.level.name()
    }

    fn alloc(&self, bytes: u64, what: &str) -> Result<Box<dyn Buffer>> {
        Ok(Box::new(Memory::zeroed(bytes, what)?))
    }

    fn upload(&mut self, to: &mut dyn Buffer, at: u64, from: &[f32]) -> Result<()> {
        let len = to.len();
        let to = to.view_mut(at, from.len());
        let to = to.ok_or_else(|| device::outside(at, size_of_val(from), len))?;
        // SAFETY: as many floats lie there, which are borrowed alone.
        unsafe { copy(&mut self.pool, from, to.as_mut_ptr()) };
        Ok(())
    }

    fn load(&mut self, artifact: &Artifact, dir: &Path) -> Result<()> {
        let program = Program::load(artifact, dir, self.level, self.pool.n_threads())?;
        self.lists.clear();
        self.program = program;
        Ok(())
    }

    unsafe fn bind(
        &mut self,
        launches: &[Launch],
        address: &dyn Fn(&Place) -> u64,
    ) -> Result<ListId> {
        let calls = launches.iter().map(|l| self.program.call(l, address));
        let calls: Option<Vec<Call>> = calls.collect();
        let guarded = launches.iter().filter(|_| self.is_guarded);
        Ok(self.lists.insert(List {
            calls: calls.ok_or_else(|| damaged(&self.program.dir, UNKNOWN))?,
            guarded: guarded.map(|l| (l.lens.clone(), l.label.clone())).collect(),
        }))
    }

    fn unbind(&mut self, list: ListId) {
        self.lists.remove(list);
    }

    fn run(&mut self, list: ListId, part: Range<usize>, run: device::Run) -> Result<()> {
        let run = self.program.run(self.level, run);
        let list = self.lists.get(list);
        let calls = &list.calls[part.clone()];
        if !self.is_guarded {
            // SAFETY: who bound the calls vouches for them; the level is this machine's.
            unsafe { run.all(&mut self.pool, calls) };
            return Ok(());
        }
        let all = calls.iter().zip(&list.guarded[part]);
        let guarded = all.map(|(call, (lens, label))| Guarded { call, lens, label });
        let all: Vec<Guarded<'_>> = guarded.collect();
        // SAFETY: as above; the plan that they were bound from knows the length of each buffer.
        unsafe { guard::all(&run, &mut self.pool, &all) }
    }

    fn timed(&mut self, list: ListId, run: device::Run) -> Result<Vec<Duration>> {
        let run = self.program.run(self.level, run);
        let calls = &self.lists.get(list).calls;
        // SAFETY: who bound the calls vouches for them; the level is this machine's.
        Ok(unsafe { run.timed(&mut self.pool, calls) })
    }

    fn scratch_bytes(&self) -> u64 {
        self.program.scratch.iter().map(|m| m.len() as u64).sum()
    }

    fn peak_flops(&mut self) -> Result<f64> {
        Ok(roofs::peak_flops(&mut self.pool, self.level))
    }

    fn timed_copy(&mut self, from: &dyn Buffer, to: &mut dyn Buffer) -> Result<Duration> {
        let n = (from.len() / 4) as usize;
        let (from, len) = (from.view(0, n), to.len());
        let both = from.zip(to.view_mut(0, n));
        let (from, to) = both.ok_or_else(|| device::outside(0, 4 * n, len))?;
        Ok(roofs::copy(&mut self.pool, self.level, from, to))
    }
}
