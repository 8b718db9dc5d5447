//! `contract`: fills one `ContractCall` on the stack and calls the runtime.

use super::lower::Lower;
use crate::tile::dag::Space;
use crate::tile::{Contract, ContractInit, Int, To};
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, Value};
use std::mem::offset_of;
use vsr_artifact::abi::{ContractCall, FnTable};

impl From<To> for Space {
    fn from(to: To) -> Space {
        match to {
            To::Buf(b) => Space::Buf(b),
            To::Tile(t) => Space::Tile(t),
        }
    }
}

impl Lower<'_, '_> {
    pub fn contract(&mut self, c: &Contract) {
        let (init, bias) = match &c.init {
            ContractInit::Zero => (0, None),
            ContractInit::Keep => (1, None),
            ContractInit::Bias(buffer, at) => (2, Some((Space::Buf(*buffer), at))),
        };
        let bias = match bias {
            Some((space, at)) => self.element(space, at),
            None => self.iconst(0),
        };
        let (init, ldc) = (self.iconst(init), self.int(&c.ldc));
        let taps_at = Int::Mul(Box::new(c.taps_at.clone()), Box::new(Int::Const(2)));
        let fields = [
            (
                offset_of!(ContractCall, c),
                self.element(c.c.into(), &c.c_at),
            ),
            (offset_of!(ContractCall, ldc), ldc),
            (offset_of!(ContractCall, m), self.int(&c.m)),
            (offset_of!(ContractCall, n), self.int(&c.n)),
            (offset_of!(ContractCall, init), init),
            (offset_of!(ContractCall, bias), bias),
            (
                offset_of!(ContractCall, a),
                self.element(c.a.into(), &c.a_at),
            ),
            (
                offset_of!(ContractCall, rows),
                self.element(Space::Tile(c.rows), &c.rows_at),
            ),
            (offset_of!(ContractCall, a_step), self.int(&c.a_step)),
            (
                offset_of!(ContractCall, taps),
                self.element(Space::Buf(c.taps), &taps_at),
            ),
            (offset_of!(ContractCall, n_taps), self.int(&c.n_taps)),
            (offset_of!(ContractCall, k), self.int(&c.k)),
            (
                offset_of!(ContractCall, b),
                self.element(c.b.into(), &c.b_at),
            ),
            (offset_of!(ContractCall, b_step), self.int(&c.b_step)),
            (offset_of!(ContractCall, b_panel), self.int(&c.b_panel)),
        ];
        let slot = self.contract_slot();
        for (offset, value) in fields {
            self.b.ins().stack_store(I64, value, slot, offset as i32);
        }
        let call = self.b.ins().stack_addr(I64, slot, 0);
        self.call(offset_of!(FnTable, contract), &[call]);
    }

    /// The address of one element.
    fn element(&mut self, space: Space, at: &Int) -> Value {
        let at = self.dag.int(at, None);
        let (pointer, offset) = self.pointer(space, &at);
        self.plus(pointer, i64::from(offset))
    }
}
