//! Text to kernels: the way back from `print`, for which `parse(print(kernel))` is the kernel, to the bit.
//!
//! Enters any text; leaves its kernels, or one error that says where, what was found and what was expected. Never a
//! panic, and never a kernel that refers to what it does not declare.
//!
//! ```text
//! # The heading: a name, or JSON's string if it is empty or has brackets, quotes, `#` or controls.
//! kernel scaled rows {
//!   in b0  # x
//!   out b1  # y
//!   table b2  # taps
//!   in b3
//!   tile t0: f32[256]  # sums
//!   tile t1: i64[8]  # rows
//!   arg a0%4
//!   task v0 in 0..a0 by 8
//!   let v1 = v0*64
//!   for v2 in 0..min(8,a0-v0) by 2 {
//!     if 0<=v2<4 and 0<=v0-1<a0 {
//!       # A map over the box v3 < 64; then a reduction in 32 lanes, with no box and one condition.
//!       t0[v3] = (b0[v1+v3] * 0.5) for v3:64
//!       b1[v0] += sum.32[v3:64] t0[v3] for  if 0<=v2<a0
//!     }
//!   }
//!   # Digits of v0 + i, the fastest first; and a product that goes by them.
//!   rows t1[0..8] = v4*16+v5 with v5:16,v4:16 of v0
//!   contract t0[0; 8:32,32:1] = 0 + sum[9 of b2[0], k:16] b0[t1[0]+0+k*1] * b3[0+k*32, panel 512]
//! }
//! ```
//!
//! Declarations stand in this order, each kind numbered from 0. Buffers are `in`, `out` and `inout`, of numbers, and `table`, of
//! integers; tiles are `f32`, or `i64` for offsets of rows. Behind `#` is a buffer's or tile's name, without which it is `b3`;
//! anywhere else `#` begins a comment. An argument has a power of two up to 64 that divides it.
//!
//! | of `contract` | is, in [`Contract`](crate::Contract) |
//! |---|---|
//! | `t0[c_at; m:ldc,n:1]` | where the sums go: `m` rows, `ldc` apart |
//! | `= 0`, `= keep`, `= b4[at]` | `init`; the last a bias |
//! | `sum[n_taps of b2[taps_at], k:k]` | the table of taps, and the terms of each |
//! | `b0[t1[rows_at]+a_at+k*a_step]` | the left operand, and the tile of its rows' offsets |
//! | `b3[b_at+k*b_step, panel b_panel]` | the right operand |
//!
//! | sort | forms |
//! |---|---|
//! | integer | `-3` `v0` `a0`; `a+b` `a-b` `a*b` `a//b` `a%b`, from the left; `min(a,b)` `max(a,b)` `floor(value)` `whole(wide)` |
//! | | `b0[i]` of a table, `t0[i]` of an i64 tile |
//! | value, f32 | `-0.5` `inf` `NaN` `NaN:0x7ff8000000000001` (its bits); `b0[i]` `t0[i]` `f32(i)` `uniform(0x1,i)` `normal(0x1,i)` |
//! | | `exp(x)` … `pow(x, y)` `min(x, y)` `max(x, y)`; `(x + y)` and `-` `*` `/` |
//! | | `select(x < y, yes, no)`, `(x if 0<=i<n else 0)` |
//! | wide, f64 | literals, `widen(value)`, `f64(integer)`; `floor(w)` `round(w)` `min(w, w)` `max(w, w)` `(w + w)` … `select(w < w, w, w)` |
//!
//! Operations on values stand in brackets, always: `(a + (b * c))`. Modes of storing are `=`, `=stream` (non-temporal), `+=`, `max=`
//! and `min=`. Variables are bound by tasks, `for`, `let`, the boxes of a statement and the digits of `rows`, and to the end of what
//! binds them; none is bound twice at once.

mod build;
mod error;
mod expression;
mod nesting;
mod parts;
mod scope;

use std::panic::resume_unwind;
use std::thread::{Builder, scope};

use pest::Parser;

use crate::Kernel;
pub use error::ParseError;
use error::Result;
pub use nesting::MAX_NESTING;

/// Enough for the deepest nesting in any build; only touched pages cost anything.
const STACK_BYTES: usize = 64 << 20;

#[derive(pest_derive::Parser)]
#[grammar = "tile.pest"]
struct Grammar;

/// The kernels of a text, in its order; none is no error.
pub fn parse(text: &str) -> Result<Vec<Kernel>> {
    read(Rule::program, text)
}

/// The one kernel of a text.
pub fn parse_kernel(text: &str) -> Result<Kernel> {
    let mut kernels = read(Rule::single, text)?;
    Ok(kernels.pop().expect("the grammar has one kernel here"))
}

fn read(rule: Rule, text: &str) -> Result<Vec<Kernel>> {
    nesting::check(text)?;
    scope(|scope| {
        let thread = Builder::new().stack_size(STACK_BYTES);
        let parsing = thread.spawn_scoped(scope, || parse_here(rule, text));
        let parsing = parsing.map_err(|error| {
            ParseError::Machine(format!("the system gives no thread to parse on: {error}"))
        })?;
        parsing.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

fn parse_here(rule: Rule, text: &str) -> Result<Vec<Kernel>> {
    let pairs = Grammar::parse(rule, text).map_err(|error| error::explain(text, &error))?;
    let kernels = pairs.flat_map(|all| all.into_inner());
    kernels
        .filter(|pair| pair.as_rule() == Rule::kernel)
        .map(build::kernel)
        .collect()
}
