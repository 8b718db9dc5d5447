//! Tile programs run as they are written: the device that proves the others.
//!
//! Enters the text of a network's kernels; leaves what it says, every access checked. The host sees none of its memory, so that
//! whoever works with it works with any device. One thread, and slow.

use super::cpu::Memory;
use super::lists::Lists;
use super::{Buffer, Device, ListId, Run, damaged};
use crate::error::{Error, Result};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use vsr_artifact::Artifact;
use vsr_artifact::manifest::{Launch, Place};
use vsr_kernels::philox;
use vsr_tile::interpret::{Data, interpret};
use vsr_tile::{BufferKind, Kernel, parse};

#[derive(Default)]
pub struct Interpreter {
    kernels: Vec<Kernel>,
    lists: Lists<Vec<Call>>,
    /// Where the artifact lies.
    dir: PathBuf,
}

/// One launch with its addresses bound.
struct Call {
    kernel: usize,
    buffers: Vec<Span>,
    args: Vec<i64>,
    label: String,
}

/// Bytes that `Device::bind`'s caller vouches for.
#[derive(Clone, Copy)]
struct Span {
    address: u64,
    bytes: u64,
}

/// Memory that the host cannot look into.
struct Hidden(Memory);

impl Buffer for Hidden {
    fn address(&self) -> u64 {
        self.0.address()
    }

    fn len(&self) -> u64 {
        Buffer::len(&self.0)
    }

    fn upload(&mut self, at: u64, from: &[u8]) -> Result<()> {
        self.0.upload(at, from)
    }

    fn download(&self, at: u64, to: &mut [u8]) -> Result<()> {
        self.0.download(at, to)
    }
}

impl Span {
    fn bytes(&self) -> &[u8] {
        // SAFETY: so many bytes lie there while the list is bound, and nobody writes them meanwhile (`Device::bind`).
        unsafe { std::slice::from_raw_parts(self.address as *const u8, self.bytes as usize) }
    }

    fn load(&self, kind: BufferKind) -> Data<f32> {
        let (words, longs) = (self.bytes().as_chunks().0, self.bytes().as_chunks().0);
        match kind {
            BufferKind::Table => {
                Data::Table(longs.iter().map(|b| i64::from_le_bytes(*b)).collect())
            }
            _ => Data::Values(words.iter().map(|b| f32::from_le_bytes(*b)).collect()),
        }
    }

    /// Puts the values there that were written.
    fn store(&self, data: &Data<f32>, writes: &[u32]) {
        let Data::Values(values) = data else {
            return;
        };
        for (i, value) in values.iter().enumerate().filter(|(i, _)| writes[*i] > 0) {
            // SAFETY: so many values lie there, and nobody looks at them meanwhile (`Device::bind`).
            unsafe { (self.address as *mut f32).add(i).write(*value) };
        }
    }
}

impl Call {
    fn run(&self, kernel: &Kernel, run: Run) -> Result<()> {
        let buffers = self.buffers.iter().zip(&kernel.buffers);
        let mut data: Vec<Data<f32>> = buffers.map(|(span, b)| span.load(b.kind)).collect();
        let random = |key, normal, at: i64| {
            let number = match normal {
                true => philox::normal,
                false => philox::uniform,
            };
            f64::from(number(run.seed, run.step, key, at as u64))
        };
        let writes = interpret(kernel, &self.args, &mut data, &random);
        let writes = writes.map_err(|fault| Error::machine(format!("{}: {fault}", self.label)))?;
        for ((span, data), writes) in self.buffers.iter().zip(&data).zip(&writes) {
            span.store(data, writes);
        }
        Ok(())
    }
}

impl Interpreter {
    fn call(&self, launch: &Launch, address: &dyn Fn(&Place) -> u64) -> Option<Call> {
        let kernel = self.kernels.get(launch.kernel as usize)?;
        let places = launch.buffers.iter().zip(&launch.lens);
        let span = |(place, bytes): (&Place, &u64)| Span {
            address: address(place),
            bytes: *bytes,
        };
        let buffers: Vec<Span> = places.map(span).collect();
        let fits = buffers.len() == kernel.buffers.len() && launch.args.len() == kernel.args.len();
        fits.then(|| Call {
            kernel: launch.kernel as usize,
            buffers,
            args: launch.args.clone(),
            label: launch.label.clone(),
        })
    }

    fn no_speed<T>() -> Result<T> {
        Err(Error::user(
            "the device interpreter proves numbers and is not measured: choose `--device cpu`",
        ))
    }
}

impl Device for Interpreter {
    fn n_threads(&self) -> usize {
        1
    }

    fn level(&self) -> &'static str {
        "interpreter"
    }

    fn alloc(&self, bytes: u64, what: &str) -> Result<Box<dyn Buffer>> {
        Ok(Box::new(Hidden(Memory::zeroed(bytes, what)?)))
    }

    fn load(&mut self, artifact: &Artifact, dir: &Path) -> Result<()> {
        let damaged = |why: &str| damaged(dir, why);
        let text =
            std::str::from_utf8(&artifact.code).map_err(|_| damaged("code.bin is no text"))?;
        let kernels = parse(text).map_err(|e| damaged(&format!("code.bin: {e}")))?;
        self.lists.clear();
        self.kernels = kernels;
        self.dir = dir.to_path_buf();
        match self.kernels.len() == artifact.manifest.kernels.len() {
            true => Ok(()),
            false => Err(damaged("code.bin has not the kernels of manifest.json")),
        }
    }

    unsafe fn bind(
        &mut self,
        launches: &[Launch],
        address: &dyn Fn(&Place) -> u64,
    ) -> Result<ListId> {
        let calls: Option<Vec<Call>> = launches.iter().map(|l| self.call(l, address)).collect();
        let why = "a launch does not fit its kernel";
        let calls = calls.ok_or_else(|| damaged(&self.dir, why))?;
        Ok(self.lists.insert(calls))
    }

    fn unbind(&mut self, list: ListId) {
        self.lists.remove(list);
    }

    fn run(&mut self, list: ListId, part: Range<usize>, run: Run) -> Result<()> {
        let mut calls = self.lists.get(list)[part].iter();
        calls.try_for_each(|call| call.run(&self.kernels[call.kernel], run))
    }

    fn timed(&mut self, list: ListId, run: Run) -> Result<Vec<Duration>> {
        let time = |call: &Call| {
            let start = Instant::now();
            call.run(&self.kernels[call.kernel], run)?;
            Ok(start.elapsed())
        };
        self.lists.get(list).iter().map(time).collect()
    }

    fn scratch_bytes(&self) -> u64 {
        0
    }

    fn peak_flops(&mut self) -> Result<f64> {
        Interpreter::no_speed()
    }

    fn timed_copy(&mut self, _: &dyn Buffer, _: &mut dyn Buffer) -> Result<Duration> {
        Interpreter::no_speed()
    }
}
