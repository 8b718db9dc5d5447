//! Exponential, logistic function and SiLU as operations along a row: so what leads to them and what follows needs no pass of
//! its own. The other functions are calls of the runtime.
//!
//! Enters a number; leaves a value of the program. Coefficients and order are those of the runtime's functions
//! (`vsr_kernels::maths`), whose bits the tests hold these to: rows that are too short to be wide take the calls.

#![allow(clippy::excessive_precision, reason = "coefficients as fitted")]

use super::program::{Op, ValueId};
use crate::equation::Binary;

/// 1.5·2²³: adding it to a number of size below 2²² rounds that to a whole number in the low bits.
const MAGIC: f32 = 12_582_912.0;
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// (e^f - 1 - f)/f² on ±0.35
const EXP: [f32; 5] = [
    1.392_626_8e-3,
    8.363_246_7e-3,
    4.166_655_4e-2,
    1.666_657_7e-1,
    0.5,
];

/// Where operations go: each is kept once, and its value returned.
pub trait Ops {
    fn op(&mut self, op: Op) -> ValueId;

    fn lit(&mut self, x: f32) -> ValueId {
        self.op(Op::Lit(x.to_bits()))
    }

    fn binary(&mut self, op: Binary, a: ValueId, b: ValueId) -> ValueId {
        self.op(Op::Binary(op, a, b))
    }

    /// e^x
    fn exp(&mut self, x: ValueId) -> ValueId {
        let (high, low) = (self.lit(89.0), self.lit(-104.0));
        let x = self.binary(Binary::Min, high, x);
        let x = self.binary(Binary::Max, low, x);
        self.power(x, false)
    }

    /// 1/(1 + e^-x)
    fn sigmoid(&mut self, x: ValueId) -> ValueId {
        let one = self.lit(1.0);
        let (_, gate) = self.gate(x);
        self.binary(Binary::Div, one, gate)
    }

    /// x/(1 + e^-x)
    fn silu(&mut self, x: ValueId) -> ValueId {
        let (x, gate) = self.gate(x);
        self.binary(Binary::Div, x, gate)
    }

    /// x, at least -88, and 1 + e^-x, with x at most 87.
    fn gate(&mut self, x: ValueId) -> (ValueId, ValueId) {
        let (high, low) = (self.lit(87.0), self.lit(-88.0));
        let (sign, one) = (self.lit(-0.0), self.lit(1.0));
        let x = self.binary(Binary::Max, low, x);
        let capped = self.binary(Binary::Min, high, x);
        let minus = self.op(Op::Xor(capped, sign));
        let power = self.power(minus, true);
        (x, self.binary(Binary::Add, one, power))
    }

    /// c or c·f + d
    fn pair(&mut self, c: &[f32], f: ValueId) -> ValueId {
        let first = self.lit(c[0]);
        match c.get(1) {
            None => first,
            Some(c) => {
                let second = self.lit(*c);
                self.op(Op::Fma(first, f, second))
            }
        }
    }

    /// x = n·ln 2 + f, e^x = (1 + f + f²·q(f))·2^n; `near`: 2^n is a number.
    fn power(&mut self, x: ValueId, near: bool) -> ValueId {
        let (log2_e, magic) = (self.lit(std::f32::consts::LOG2_E), self.lit(MAGIC));
        let (high, low) = (self.lit(-LN_2[0]), self.lit(-LN_2[1]));
        let shifted = self.op(Op::Fma(x, log2_e, magic));
        let n = self.binary(Binary::Sub, shifted, magic);
        let f = self.op(Op::Fma(n, high, x));
        let f = self.op(Op::Fma(n, low, f));
        let square = self.binary(Binary::Mul, f, f);
        let (first, rest) = EXP.split_at(2 - EXP.len() % 2);
        let mut q = self.pair(first, f);
        for c in rest.chunks_exact(2) {
            let pair = self.pair(c, f);
            q = self.op(Op::Fma(q, square, pair));
        }
        let one = self.lit(1.0);
        let y = self.op(Op::Fma(square, q, f));
        let y = self.binary(Binary::Add, y, one);
        let bias = self.op(Op::Lit(127));
        self.op(Op::Scale {
            y,
            n,
            shifted,
            bias,
            magic,
            near,
        })
    }
}
