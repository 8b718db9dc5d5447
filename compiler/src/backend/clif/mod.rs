//! Tile kernels to native code with Cranelift: kernels enter, one position-independent blob leaves.
//!
//! Cranelift's vectors have 128 bits. What can be done along a row in wider ones is left to `backend::wide` and called through
//! `abi::Env`.
//!
//! No relocation, no symbol and no property of this machine ever gets into the code: calls go through the function
//! table of `abi::Env`, and the instruction set is that of the named target. The runtime issues `vzeroupper` before it
//! calls the code and before each of its functions returns.

mod calls;
mod contract;
mod emit;
mod integer;
mod interleave;
mod lower;
mod nest;
mod plan;
mod reduce;
mod stmt;
mod sweep;
mod transpose;
mod wide;

use crate::backend::wide::{Level, Program, emit};
use crate::backend::{Around, Backend, Code, KernelPlace};
use crate::stack;
use crate::tile::Kernel;
use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::Function;
use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use std::collections::HashMap;
use vsr_artifact::machine::Machine;

#[cfg(test)]
mod tests;

pub use plan::scratch_bytes;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no code can be made for target {name}: {reason}")]
    Target { name: &'static str, reason: String },
    #[error("kernel {kernel}: {reason}")]
    Kernel { kernel: String, reason: String },
}

/// What Cranelift makes code for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processor {
    /// x86-64-v3: AVX2 and FMA.
    V3,
    /// x86-64-v2: any with SSE4.2.
    V2,
}

impl Processor {
    fn name(self) -> &'static str {
        match self {
            Processor::V3 => "x86-64-v3",
            Processor::V2 => "x86-64-v2",
        }
    }
}

impl Backend for Processor {
    /// # Panics
    /// Where a kernel has no code: that is our own fault.
    fn compile(
        &self,
        kernels: &[Kernel],
        machine: &Machine,
        around: Around<'_>,
    ) -> std::io::Result<Code> {
        let isa = isa(*self).unwrap_or_else(|fault| panic!("{fault}"));
        let work = |_: &(), i: usize| {
            let _context = around(i);
            let made = machine_code(&kernels[i], &isa, *self, machine);
            Some(made.unwrap_or_else(|fault| panic!("{fault}")))
        };
        let parts = stack::each(kernels.len(), usize::MAX, || (), work)?;
        let mut code = Code::default();
        let mut known: HashMap<Program, [u64; 2]> = HashMap::new();
        for part in parts {
            let offset = code.append(&part.bytes, ALIGN, INT3);
            let row = |(program, levels): (Program, [Vec<u8>; 2])| {
                let new = || levels.map(|bytes| code.append(&bytes, ALIGN, INT3));
                *known.entry(program).or_insert_with(new)
            };
            let rows = part.rows.into_iter().map(row).collect();
            code.kernels.push(KernelPlace {
                offset,
                rows,
                scratch: part.scratch,
            });
        }
        Ok(code)
    }

    /// The kernels' functions before instruction selection.
    fn text(&self, kernels: &[Kernel], machine: &Machine) -> String {
        let text = |kernel: &Kernel| {
            let (function, rows) = function(kernel, &isa(*self)?, *self, machine)?;
            let row = |(i, row): (usize, &Program)| format!("; row {i}\n{row}");
            let rows: String = rows.iter().enumerate().map(row).collect();
            Ok(format!("{}{rows}", function.display()))
        };
        let show = |kernel: &Kernel| match text(kernel) {
            Ok(text) => format!("; {}\n{text}", kernel.name),
            Err::<_, Error>(e) => format!("; {e}\n"),
        };
        kernels.iter().map(show).collect::<Vec<_>>().join("\n")
    }
}

/// Cranelift's settings for a processor.
fn isa(processor: Processor) -> Result<OwnedTargetIsa, Error> {
    let refused = |e: &dyn std::fmt::Display| Error::Target {
        name: processor.name(),
        reason: e.to_string(),
    };
    let mut flags = settings::builder();
    let options = [
        ("opt_level", "none"),
        ("is_pic", "true"),
        ("enable_probestack", "false"),
        ("unwind_info", "false"),
        // Debug builds run all tests; what a user compiles is what they have seen.
        (
            "enable_verifier",
            if cfg!(debug_assertions) {
                "true"
            } else {
                "false"
            },
        ),
    ];
    for (name, value) in options {
        flags.set(name, value).map_err(|e| refused(&e))?;
    }
    let mut builder = isa::lookup_by_name("x86_64-unknown-linux-gnu").map_err(|e| refused(&e))?;
    // The preset x86-64-v3 sets AVX2 and FMA, but not AVX, without which FMA becomes calls of a library.
    let presets: &[&str] = match processor {
        Processor::V3 => &["x86-64-v3", "has_avx", "has_avx2", "has_fma"],
        Processor::V2 => &["x86-64-v2"],
    };
    for preset in presets {
        builder.enable(preset).map_err(|e| refused(&e))?;
    }
    builder
        .finish(settings::Flags::new(flags))
        .map_err(|e| refused(&e))
}

/// Kernels start at a cache line, so that their constants are aligned, too.
const ALIGN: usize = 64;
const INT3: u8 = 0xcc;

/// One kernel's function and wide rows.
struct KernelCode {
    bytes: Vec<u8>,
    scratch: u64,
    rows: Vec<(Program, [Vec<u8>; 2])>,
}

fn function(
    kernel: &Kernel,
    isa: &OwnedTargetIsa,
    processor: Processor,
    machine: &Machine,
) -> Result<(Function, Vec<Program>), Error> {
    let has_wide_rows = processor == Processor::V3;
    lower::lower(kernel, &**isa, has_wide_rows, machine).map_err(|reason| Error::Kernel {
        kernel: kernel.name.clone(),
        reason,
    })
}

fn machine_code(
    kernel: &Kernel,
    isa: &OwnedTargetIsa,
    processor: Processor,
    machine: &Machine,
) -> Result<KernelCode, Error> {
    let failed = |reason: String| Error::Kernel {
        kernel: kernel.name.clone(),
        reason,
    };
    let (function, rows) = function(kernel, isa, processor, machine)?;
    let mut context = Context::for_function(function);
    let code = context
        .compile(&**isa, &mut ControlPlane::default())
        .map_err(|e| failed(format!("{:?} for {}", e.inner, processor.name())))?;
    if !code.buffer.relocs().is_empty() {
        return Err(failed(format!(
            "{} relocations for {}",
            code.buffer.relocs().len(),
            processor.name()
        )));
    }
    let levels = |row: Program| {
        let code = [Level::Avx2, Level::Avx512].map(|level| emit(&row, level));
        let [Some(narrow), Some(wide)] = code else {
            unreachable!("a row that does not fit is not called")
        };
        (row, [narrow, wide])
    };
    Ok(KernelCode {
        bytes: code.code_buffer().to_vec(),
        scratch: plan::scratch_bytes(kernel, machine),
        rows: rows.into_iter().map(levels).collect(),
    })
}
