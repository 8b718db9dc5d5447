//! Constants above 16 become arguments, so that kernels of one shape share one body.
//!
//! Addresses in tiles keep their constants: tile sizes are part of the kernel. What is known of an argument is only
//! which power of two divides it.

use super::walk::{Role, ints_mut};
use super::{ArgFact, Int, Kernel};

/// Larger constants become arguments.
const MAX_LITERAL: i64 = 16;
/// Larger powers of two that divide an argument are not told.
const MAX_KNOWN_DIVISOR: i64 = 64;

/// The kernel with its large constants replaced, and their values. Equal values share one argument.
pub fn lift(kernel: &Kernel) -> (Kernel, Vec<i64>) {
    let mut lifted = kernel.clone();
    let mut values = vec![];
    ints_mut(&mut lifted, &mut |int, role| {
        if role == Role::Free {
            replace(int, &mut values);
        }
    });
    lifted.args = values
        .iter()
        .map(|v| ArgFact {
            multiple_of: divisor(*v),
        })
        .collect();
    (lifted, values)
}

/// The largest power of two, up to 64, that divides the value.
fn divisor(value: i64) -> i64 {
    (1 << value.trailing_zeros().min(62)).min(MAX_KNOWN_DIVISOR)
}

/// Arguments are positive: a negative constant is subtracted. Addresses inside have been visited already.
fn replace(int: &mut Int, values: &mut Vec<i64>) {
    match int {
        Int::Const(c) if *c > MAX_LITERAL => *int = argument(*c, values),
        Int::Const(c) if *c < -MAX_LITERAL => {
            *int = Int::Sub(Box::new(Int::Const(0)), Box::new(argument(-*c, values)));
        }
        _ => int
            .operands_mut()
            .into_iter()
            .flatten()
            .for_each(|operand| {
                replace(operand, values);
            }),
    }
}

fn argument(value: i64, values: &mut Vec<i64>) -> Int {
    let at = values.iter().position(|v| *v == value).unwrap_or_else(|| {
        values.push(value);
        values.len() - 1
    });
    Int::Arg(at as u32)
}
