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
use crate::diag;
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// AVX2 and FMA.
    X86_64V3,
    /// Any x86-64 processor with SSE4.2.
    Portable,
}

impl Target {
    pub fn from_name(name: &str) -> Option<Target> {
        [Target::X86_64V3, Target::Portable]
            .into_iter()
            .find(|t| t.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Target::X86_64V3 => "x86-64-v3",
            Target::Portable => "cpu-portable",
        }
    }

    /// What the code needs, as `is_x86_feature_detected!` names it.
    pub fn features(self) -> &'static [&'static str] {
        const PORTABLE: &[&str] = &["sse3", "ssse3", "sse4.1", "sse4.2", "popcnt"];
        const V3: &[&str] = &[
            "sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "avx", "avx2", "fma", "bmi1", "bmi2",
            "lzcnt",
        ];
        match self {
            Target::X86_64V3 => V3,
            Target::Portable => PORTABLE,
        }
    }

    fn isa(self) -> Result<OwnedTargetIsa, Error> {
        let refused = |e: &dyn std::fmt::Display| Error::Target {
            name: self.name(),
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
        let mut builder =
            isa::lookup_by_name("x86_64-unknown-linux-gnu").map_err(|e| refused(&e))?;
        // The preset x86-64-v3 sets AVX2 and FMA, but not AVX, without which FMA becomes calls of a library.
        let presets: &[&str] = match self {
            Target::X86_64V3 => &["x86-64-v3", "has_avx", "has_avx2", "has_fma"],
            Target::Portable => &["x86-64-v2"],
        };
        for preset in presets {
            builder.enable(preset).map_err(|e| refused(&e))?;
        }
        builder
            .finish(settings::Flags::new(flags))
            .map_err(|e| refused(&e))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no code can be made for target {name}: {reason}")]
    Target { name: &'static str, reason: String },
    #[error("kernel {kernel}: {reason}")]
    Kernel { kernel: String, reason: String },
}

/// Machine code of all kernels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    pub bytes: Vec<u8>,
    /// Where each kernel starts.
    pub offsets: Vec<u64>,
    /// Where each kernel's wide rows start, for AVX2 and for AVX-512.
    pub rows: Vec<Vec<[u64; 2]>>,
    /// Scratch that one thread needs to run each kernel, in bytes.
    pub scratch: Vec<u64>,
    /// The target's name.
    pub target: &'static str,
    /// What the processor must have, as `is_x86_feature_detected!` names it.
    pub features: Vec<String>,
}

/// Kernels start at a cache line, so that their constants are aligned, too.
const ALIGN: usize = 64;
const INT3: u8 = 0xcc;

/// Compiles on all processors; the result does not depend on how many there are. `around` says which kernel of those a
/// user knows is worked on. Err: there is no thread to work on.
///
/// # Panics
/// Where a kernel has no code: that is our own fault.
pub fn compile(
    kernels: &[Kernel],
    target: Target,
    machine: &Machine,
    around: &(dyn Fn(usize) -> diag::Context + Sync),
) -> std::io::Result<Code> {
    let isa = target.isa().unwrap_or_else(|fault| panic!("{fault}"));
    let work = |_: &(), i: usize| {
        let _context = around(i);
        let made = machine_code(&kernels[i], &isa, target, machine);
        Some(made.unwrap_or_else(|fault| panic!("{fault}")))
    };
    let parts = stack::each(kernels.len(), usize::MAX, || (), work)?;
    let features = target.features().iter().map(|f| f.to_string()).collect();
    let mut code = Code {
        bytes: vec![],
        offsets: vec![],
        rows: vec![],
        scratch: vec![],
        target: target.name(),
        features,
    };
    let mut known: HashMap<Program, [u64; 2]> = HashMap::new();
    for part in parts {
        let offset = code.append(&part.bytes);
        code.offsets.push(offset);
        let mut rows = vec![];
        for (program, levels) in part.rows {
            let at = known
                .entry(program)
                .or_insert_with(|| levels.map(|bytes| code.append(&bytes)));
            rows.push(*at);
        }
        code.rows.push(rows);
        code.scratch.push(part.scratch);
    }
    Ok(code)
}

impl Code {
    fn append(&mut self, part: &[u8]) -> u64 {
        self.bytes
            .resize(self.bytes.len().next_multiple_of(ALIGN), INT3);
        self.bytes.extend(part);
        (self.bytes.len() - part.len()) as u64
    }
}

/// One kernel's function and wide rows.
struct KernelCode {
    bytes: Vec<u8>,
    scratch: u64,
    rows: Vec<(Program, [Vec<u8>; 2])>,
}

/// The text of the kernels' functions before instruction selection.
pub fn text(kernels: &[Kernel], target: Target, machine: &Machine) -> String {
    let text = |kernel: &Kernel| {
        let (function, rows) = function(kernel, &target.isa()?, target, machine)?;
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

fn function(
    kernel: &Kernel,
    isa: &OwnedTargetIsa,
    target: Target,
    machine: &Machine,
) -> Result<(Function, Vec<Program>), Error> {
    let has_wide_rows = target == Target::X86_64V3;
    lower::lower(kernel, &**isa, has_wide_rows, machine).map_err(|reason| Error::Kernel {
        kernel: kernel.name.clone(),
        reason,
    })
}

fn machine_code(
    kernel: &Kernel,
    isa: &OwnedTargetIsa,
    target: Target,
    machine: &Machine,
) -> Result<KernelCode, Error> {
    let failed = |reason: String| Error::Kernel {
        kernel: kernel.name.clone(),
        reason,
    };
    let (function, rows) = function(kernel, isa, target, machine)?;
    let mut context = Context::for_function(function);
    let code = context
        .compile(&**isa, &mut ControlPlane::default())
        .map_err(|e| failed(format!("{:?} for {}", e.inner, target.name())))?;
    if !code.buffer.relocs().is_empty() {
        return Err(failed(format!(
            "{} relocations for {}",
            code.buffer.relocs().len(),
            target.name()
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
