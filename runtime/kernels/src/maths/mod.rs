//! Maths over tiles: `dst[i] = f(scale·src[i] + shift)`, f32, for every finite and non-finite argument.
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
mod wide;

use crate::{Affine, Level};
pub use scalar::{erf, exp, log, round, sigmoid, silu, tanh};
pub use trig::{cos, sin, tan};
pub(crate) use trig::{cos_near, sin_near};
pub use vsr_tile::{Map, Map2};
pub use wide::{asinh, atan2, pow};

/// Elements that are computed together, and those of a row's rest.
const BLOCK: usize = 64;
const SHORT: usize = 16;

/// On whole cache lines: a vector that straddles two costs twice.
#[repr(align(64))]
struct Aligned([f32; SHORT]);

/// Running sums: element e of a row goes to number e % 32.
pub type Lanes = [f32; LANES];
const LANES: usize = 32;

/// What a row is computed from and where it goes.
#[derive(Clone, Copy)]
pub struct Call {
    pub dst: *mut f32,
    pub src: *const f32,
    pub n: i64,
    pub argument: Affine,
    /// Where results are also summed up.
    pub sums: Option<*mut Lanes>,
}

impl Call {
    /// Elements as they are, results nowhere else.
    pub fn plain(dst: *mut f32, src: *const f32, n: i64) -> Call {
        Call {
            dst,
            src,
            n,
            argument: Affine::IDENTITY,
            sums: None,
        }
    }
}

/// A row on its way through a function.
struct Row<F> {
    f: F,
    rare: Option<Rare>,
    argument: Affine,
}

impl<F: Fn(f32) -> f32> Row<F> {
    #[inline(always)]
    unsafe fn run(&self, dst: *mut f32, src: *const f32, n: i64, mut lanes: Option<&mut Lanes>) {
        let n = n.max(0) as usize;
        let mut at = 0;
        // SAFETY: each block ends at n or before, and the caller vouches for n floats; the rest goes through blocks of
        // our own.
        unsafe {
            while at + BLOCK <= n {
                self.whole::<BLOCK>(dst, src, at, lanes.as_deref_mut());
                at += BLOCK;
            }
            while at + SHORT <= n {
                self.whole::<SHORT>(dst, src, at, lanes.as_deref_mut());
                at += SHORT;
            }
            if at < n {
                let mut x = Aligned([1.0; SHORT]);
                std::ptr::copy_nonoverlapping(src.add(at), x.0.as_mut_ptr(), n - at);
                let y = Aligned(self.block(x.0));
                std::ptr::copy_nonoverlapping(y.0.as_ptr(), dst.add(at), n - at);
                if let Some(lanes) = lanes {
                    let rest = y.0[..n - at].iter().zip(&mut lanes[at % LANES..]);
                    rest.for_each(|(y, lane)| *lane += y);
                }
            }
        }
    }

    /// The block at element `at`; it is read before it is written: dst may be src.
    #[inline(always)]
    unsafe fn whole<const N: usize>(
        &self,
        dst: *mut f32,
        src: *const f32,
        at: usize,
        lanes: Option<&mut Lanes>,
    ) {
        // SAFETY: the caller has N floats from `at` on; an array of floats is aligned as one is.
        let y = self.block(unsafe { *(src.add(at) as *const [f32; N]) });
        // SAFETY: as above, and the block has been read: dst may be src.
        unsafe { *(dst.add(at) as *mut [f32; N]) = y };
        if let Some(lanes) = lanes {
            let mut sums = *lanes;
            for part in (0..N).step_by(SHORT) {
                for i in 0..SHORT {
                    sums[(at + part) % LANES + i] += y[part + i];
                }
            }
            *lanes = sums;
        }
    }

    #[inline(always)]
    fn block<const N: usize>(&self, mut x: [f32; N]) -> [f32; N] {
        let mut y = [0.0; N];
        for i in 0..N {
            x[i] = self.argument.of(x[i]);
            y[i] = (self.f)(x[i]);
        }
        if let Some(rare) = self.rare {
            rare.repair(&x, &mut y);
        }
        y
    }
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

/// A function of two numbers: `plain` where `is_plain` says so, which is vectorised, else `f`.
struct Pairs<P, I> {
    plain: P,
    is_plain: I,
    f: fn(f32, f32) -> f32,
}

impl<P: Fn(f32, f32) -> f32, I: Fn(f32, f32) -> bool> Pairs<P, I> {
    #[inline(always)]
    unsafe fn run(&self, dst: *mut f32, a: *const f32, b: *const f32, n: i64) {
        for at in (0..n.max(0) as usize).step_by(BLOCK) {
            let len = BLOCK.min(n as usize - at);
            let (mut x, mut y) = ([1.0f32; BLOCK], [1.0f32; BLOCK]);
            // SAFETY: `len` floats are left of the n that the caller vouches for, and no block is longer than BLOCK.
            unsafe {
                std::ptr::copy_nonoverlapping(a.add(at), x.as_mut_ptr(), len);
                std::ptr::copy_nonoverlapping(b.add(at), y.as_mut_ptr(), len);
            }
            let z = self.block(&x, &y);
            // SAFETY: as above; a and b have been read, so dst may be one of them.
            unsafe { std::ptr::copy_nonoverlapping(z.as_ptr(), dst.add(at), len) };
        }
    }

    #[inline(always)]
    fn block(&self, x: &[f32; BLOCK], y: &[f32; BLOCK]) -> [f32; BLOCK] {
        let mut z = [0.0; BLOCK];
        let mut outside = 0u32;
        for i in 0..BLOCK {
            z[i] = (self.plain)(x[i], y[i]);
            outside |= u32::from(!(self.is_plain)(x[i], y[i]));
        }
        if outside != 0 {
            for i in 0..BLOCK {
                z[i] = (self.f)(x[i], y[i]);
            }
        }
        z
    }
}

/// Sums and plain arguments are known before the loop, so that neither costs where it is not wanted.
#[inline(always)]
unsafe fn each(call: Call, f: impl Fn(f32) -> f32 + Copy, rare: Option<Rare>) {
    let Call {
        dst,
        src,
        n,
        argument,
        sums,
    } = call;
    let plain = Row {
        f,
        rare,
        argument: Affine::IDENTITY,
    };
    let row = Row { f, rare, argument };
    // SAFETY: the caller vouches for n floats each, and that nobody else uses the sums meanwhile.
    unsafe {
        match sums {
            Some(lanes) => row.run(dst, src, n, Some(&mut *lanes)),
            _ if argument == Affine::IDENTITY => plain.run(dst, src, n, None),
            _ => row.run(dst, src, n, None),
        }
    }
}

#[inline(always)]
unsafe fn dispatch(map: Map, call: Call) {
    let rare = |slow| {
        Some(Rare {
            limit: trig::LIMIT,
            slow,
        })
    };
    // SAFETY: as the caller vouches for the call.
    unsafe {
        match map {
            Map::Exp => each(call, scalar::exp, None),
            Map::Log => each(call, scalar::log, None),
            Map::Sin => each(call, trig::sin_near, rare(libm::sinf)),
            Map::Cos => each(call, trig::cos_near, rare(libm::cosf)),
            Map::Tanh => each(call, scalar::tanh, None),
            Map::Erf => each(call, scalar::erf, None),
            Map::Silu => each(call, scalar::silu, None),
            Map::Sigmoid => each(call, scalar::sigmoid, None),
            Map::Tan => each(call, trig::tan_near, rare(libm::tanf)),
            Map::Asinh => each(call, wide::asinh, None),
            Map::Round => each(call, scalar::round, None),
        }
    }
}

#[inline(always)]
unsafe fn dispatch2(map: Map2, dst: *mut f32, a: *const f32, b: *const f32, n: i64) {
    let pow = Pairs {
        plain: wide::pow_plain,
        is_plain: wide::pow_is_plain,
        f: pow,
    };
    let atan2 = Pairs {
        plain: wide::atan2_plain,
        is_plain: wide::atan2_is_plain,
        f: atan2,
    };
    // SAFETY: as the caller vouches for n floats each.
    unsafe {
        match map {
            Map2::Pow => pow.run(dst, a, b, n),
            Map2::Atan2 => atan2.run(dst, a, b, n),
        }
    }
}

/// The same text for each level.
macro_rules! levels {
    ($($level:ident $($features:literal)?;)*) => { $(
        mod $level {
            use super::*;
            /// # Safety
            /// As [`super::map`].
            $(#[target_feature(enable = $features)])?
            pub unsafe fn map(function: Map, call: Call) {
                // SAFETY: as the caller vouches for the call.
                unsafe { dispatch(function, call) }
            }
            /// # Safety
            /// As [`super::map2`].
            $(#[target_feature(enable = $features)])?
            pub unsafe fn map2(function: Map2, dst: *mut f32, a: *const f32, b: *const f32, n: i64) {
                // SAFETY: as the caller vouches for n floats each.
                unsafe { dispatch2(function, dst, a, b, n) }
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
/// `src` and `dst` hold n floats (they may be the same), nobody else uses `dst` and the sums meanwhile, and `level` is
/// available on this machine.
#[inline]
pub unsafe fn map(level: Level, function: Map, call: Call) {
    // SAFETY: the caller vouches for the level, whose instructions each of these needs, and for the call.
    unsafe {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512::map(function, call),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2::map(function, call),
            _ => portable::map(function, call),
        }
    }
}

/// # Safety
/// As [`map`], for two sources.
#[inline]
pub unsafe fn map2(
    level: Level,
    function: Map2,
    dst: *mut f32,
    a: *const f32,
    b: *const f32,
    n: i64,
) {
    // SAFETY: the caller vouches for the level, whose instructions each of these needs, and for n floats each.
    unsafe {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512::map2(function, dst, a, b, n),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2::map2(function, dst, a, b, n),
            _ => portable::map2(function, dst, a, b, n),
        }
    }
}

#[cfg(test)]
mod tests;
