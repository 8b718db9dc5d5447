//! Maths over tiles: `dst[i] = f(src[i])`, f32, for every finite and non-finite argument.
//!
//! One scalar text per function, free of branches, is vectorised for each level; no rule lets the compiler reorder or
//! contract floating-point operations, and `mul_add` is one rounding everywhere (in software where there is no
//! instruction). So all levels give the same bits. The few arguments that a text does not cover go through `libm`,
//! which is the same everywhere, too.

#![allow(
    clippy::neg_cmp_op_on_partial_ord,
    reason = "not-a-number must take the slow path"
)]

mod scalar;
mod trig;

use crate::Level;
pub use scalar::{erf, exp, log, sigmoid, silu, tanh};
pub use trig::{cos, sin};
pub(crate) use trig::{cos_near, sin_near};

/// The functions of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Exp,
    Log,
    Sin,
    Cos,
    Tanh,
    Erf,
    Silu,
    Sigmoid,
}

/// `dst[i] = a[i] ** b[i]`, as C's `powf`.
pub use scalar::pow;

/// Elements that are computed together, and those of a row's rest.
const BLOCK: usize = 64;
const SHORT: usize = 16;

/// On whole cache lines: a vector that straddles two costs twice.
#[repr(align(64))]
struct Aligned([f32; SHORT]);

#[inline(always)]
unsafe fn each(dst: *mut f32, src: *const f32, n: i64, f: impl Fn(f32) -> f32, rare: Option<Rare>) {
    let n = n.max(0) as usize;
    let mut at = 0;
    unsafe {
        while at + BLOCK <= n {
            whole::<BLOCK>(dst.add(at), src.add(at), &f, rare);
            at += BLOCK;
        }
        while at + SHORT <= n {
            whole::<SHORT>(dst.add(at), src.add(at), &f, rare);
            at += SHORT;
        }
        if at < n {
            let mut x = Aligned([1.0; SHORT]);
            std::ptr::copy_nonoverlapping(src.add(at), x.0.as_mut_ptr(), n - at);
            let y = Aligned(block(x.0, &f, rare));
            std::ptr::copy_nonoverlapping(y.0.as_ptr(), dst.add(at), n - at);
        }
    }
}

/// A block that is read before it is written: dst may be src.
#[inline(always)]
unsafe fn whole<const N: usize>(
    dst: *mut f32,
    src: *const f32,
    f: &impl Fn(f32) -> f32,
    rare: Option<Rare>,
) {
    unsafe {
        let x = *(src as *const [f32; N]);
        *(dst as *mut [f32; N]) = block(x, f, rare);
    }
}

#[inline(always)]
fn block<const N: usize>(x: [f32; N], f: &impl Fn(f32) -> f32, rare: Option<Rare>) -> [f32; N] {
    let mut y = [0.0; N];
    for i in 0..N {
        y[i] = f(x[i]);
    }
    if let Some(rare) = rare {
        rare.repair(&x, &mut y);
    }
    y
}

/// Arguments past `limit` (or not a number) take the slow function.
#[derive(Clone, Copy)]
struct Rare {
    limit: f32,
    slow: fn(f32) -> f32,
}

impl Rare {
    #[inline(always)]
    fn repair(&self, x: &[f32], y: &mut [f32]) {
        let mut outside = 0u32;
        for v in x {
            outside |= u32::from(!(v.abs() <= self.limit));
        }
        if outside != 0 {
            self.repair_each(x, y);
        }
    }

    #[cold]
    #[inline(never)]
    fn repair_each(&self, x: &[f32], y: &mut [f32]) {
        for (x, y) in x.iter().zip(y) {
            if !(x.abs() <= self.limit) {
                *y = (self.slow)(*x);
            }
        }
    }
}

#[inline(always)]
unsafe fn power(dst: *mut f32, a: *const f32, b: *const f32, n: i64) {
    for at in (0..n.max(0) as usize).step_by(BLOCK) {
        let len = BLOCK.min(n as usize - at);
        let (mut x, mut e, mut y) = ([1.0f32; BLOCK], [1.0f32; BLOCK], [0.0f32; BLOCK]);
        unsafe {
            std::ptr::copy_nonoverlapping(a.add(at), x.as_mut_ptr(), len);
            std::ptr::copy_nonoverlapping(b.add(at), e.as_mut_ptr(), len);
        }
        let mut outside = 0u32;
        for i in 0..BLOCK {
            y[i] = scalar::pow_plain(x[i], e[i]);
            outside |= u32::from(!scalar::pow_is_plain(x[i], e[i]));
        }
        if outside != 0 {
            for i in 0..BLOCK {
                y[i] = pow(x[i], e[i]);
            }
        }
        unsafe { std::ptr::copy_nonoverlapping(y.as_ptr(), dst.add(at), len) };
    }
}

#[inline(always)]
unsafe fn dispatch(function: Function, dst: *mut f32, src: *const f32, n: i64) {
    let rare = |slow| {
        Some(Rare {
            limit: trig::LIMIT,
            slow,
        })
    };
    unsafe {
        match function {
            Function::Exp => each(dst, src, n, scalar::exp, None),
            Function::Log => each(dst, src, n, scalar::log, None),
            Function::Sin => each(dst, src, n, trig::sin_near, rare(libm::sinf)),
            Function::Cos => each(dst, src, n, trig::cos_near, rare(libm::cosf)),
            Function::Tanh => each(dst, src, n, scalar::tanh, None),
            Function::Erf => each(dst, src, n, scalar::erf, None),
            Function::Silu => each(dst, src, n, scalar::silu, None),
            Function::Sigmoid => each(dst, src, n, scalar::sigmoid, None),
        }
    }
}

/// The same text for each level.
macro_rules! levels {
    ($($level:ident $($features:literal)?;)*) => { $(
        mod $level {
            use super::*;
            $(#[target_feature(enable = $features)])?
            pub unsafe fn map(function: Function, dst: *mut f32, src: *const f32, n: i64) {
                unsafe { dispatch(function, dst, src, n) }
            }
            $(#[target_feature(enable = $features)])?
            pub unsafe fn pow(dst: *mut f32, a: *const f32, b: *const f32, n: i64) {
                unsafe { power(dst, a, b, n) }
            }
        }
    )* };
}

levels! { portable; }
#[cfg(target_arch = "x86_64")]
levels! {
    avx2 "avx2,fma";
    avx512 "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma";
}

/// # Safety
/// `src` and `dst` hold n floats (they may be the same); `level` is available on this machine.
#[inline]
pub unsafe fn map(level: Level, function: Function, dst: *mut f32, src: *const f32, n: i64) {
    unsafe {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512::map(function, dst, src, n),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2::map(function, dst, src, n),
            _ => portable::map(function, dst, src, n),
        }
    }
}

/// # Safety
/// As [`map`], for two sources.
#[inline]
pub unsafe fn map_pow(level: Level, dst: *mut f32, a: *const f32, b: *const f32, n: i64) {
    unsafe {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512::pow(dst, a, b, n),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2::pow(dst, a, b, n),
            _ => portable::pow(dst, a, b, n),
        }
    }
}

#[cfg(test)]
mod tests;
