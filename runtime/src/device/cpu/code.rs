//! The pages that compiled code runs from: readable and executable, never writable at the same time.

use crate::error::{Error, Result};
use memmap2::{Mmap, MmapMut, MmapOptions};
use std::path::PathBuf;
use vsr_artifact::abi::{KernelFn, RowFn};
use vsr_artifact::manifest::KernelInfo;
use vsr_kernels::Level;

pub struct Code {
    map: Mmap,
    len: usize,
}

impl Code {
    /// Copies checked code to fresh pages; where the system forbids that, maps the file that it came from, which is
    /// asked for only then.
    pub fn load(code: &[u8], file: impl FnOnce() -> Option<PathBuf>) -> Result<Code> {
        let map = match copied(code) {
            Ok(map) => map,
            Err(error) => mapped(code, file()).ok_or_else(|| {
                let why = vsr_artifact::reason(&error);
                let what = match error.kind() {
                    std::io::ErrorKind::OutOfMemory => "there is no room for compiled code".into(),
                    _ => format!("the system does not let compiled code run: executable memory is forbidden ({why})"),
                };
                Error::machine(what)
            })?,
        };
        Ok(Code {
            map,
            len: code.len(),
        })
    }

    /// The kernel, if it lies inside.
    pub fn kernel(&self, kernel: &KernelInfo) -> Option<KernelFn> {
        let start = self.at(kernel.offset)?;
        // SAFETY: the manifest, which came with this code, says that a kernel begins there. It is called with an `Env`
        // of its own launch only, and by a session, which keeps these pages.
        Some(unsafe { std::mem::transmute::<*const u8, KernelFn>(start) })
    }

    /// The kernel's wide rows for a level, if they lie inside.
    pub fn rows(&self, kernel: &KernelInfo, level: Level) -> Option<Vec<RowFn>> {
        let row = |[narrow, wide]: &[u64; 2]| {
            let start = self.at(match level {
                // Code with wide rows needs AVX2 itself.
                Level::Portable | Level::Avx2 => *narrow,
                Level::Avx512 => *wide,
            })?;
            // SAFETY: as for the kernel, which alone calls its rows; this level has their instructions.
            Some(unsafe { std::mem::transmute::<*const u8, RowFn>(start) })
        };
        kernel.rows.iter().map(row).collect()
    }

    fn at(&self, offset: u64) -> Option<*const u8> {
        let at = usize::try_from(offset).ok().filter(|at| *at < self.len)?;
        // SAFETY: `at` is below the length of the code, which the pages hold.
        Some(unsafe { self.map.as_ptr().add(at) })
    }
}

fn copied(code: &[u8]) -> std::io::Result<Mmap> {
    let mut map = MmapMut::map_anon(code.len().max(1))?;
    map[..code.len()].copy_from_slice(code);
    map.make_exec()
}

/// The file's own pages, if they hold just this code.
fn mapped(code: &[u8], file: Option<PathBuf>) -> Option<Mmap> {
    let file = std::fs::File::open(file?).ok()?;
    let offset = vsr_artifact::CODE_OFFSET as u64;
    // SAFETY: the pages are private and only read and run. Who rewrites the file meanwhile changes the code that runs,
    // as with any program; what it holds now is compared below.
    let map = unsafe {
        MmapOptions::new()
            .offset(offset)
            .len(code.len())
            .map_exec(&file)
    }
    .ok()?;
    (map[..] == *code).then_some(map)
}
