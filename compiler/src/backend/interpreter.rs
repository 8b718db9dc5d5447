//! The target `interpreter`: a program's code is its own text, which the runtime reads and runs step by step. It holds other
//! devices, and the contract that they keep, against what the programs say.
//!
//! Enters verified kernels; leaves their text, one behind the other. Nothing is rewritten.

use super::{Around, Backend, Code, KernelPlace};
use crate::tile::{self, Kernel};
use vsr_artifact::machine::Machine;

pub struct Interpreter;

impl Backend for Interpreter {
    fn compile(&self, kernels: &[Kernel], _: &Machine, _: Around<'_>) -> std::io::Result<Code> {
        let mut code = Code::default();
        for kernel in kernels {
            let offset = code.append(tile::print(kernel).as_bytes(), 1, 0);
            code.kernels.push(KernelPlace {
                offset,
                rows: vec![],
                scratch: 0,
            });
        }
        Ok(code)
    }

    fn text(&self, kernels: &[Kernel], _: &Machine) -> String {
        let kernels: Vec<String> = kernels.iter().map(tile::print).collect();
        kernels.join("\n")
    }
}
