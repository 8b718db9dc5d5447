//! The binary interface between compiled code and the runtime. Changing anything here changes `ABI_VERSION`.

use std::mem::offset_of;
use vsr_tile::{Map, Map2};

/// Raised by each function more, and by `LAYOUT` whenever this file changes meaning otherwise.
pub const ABI_VERSION: u32 = LAYOUT + (Map::COUNT + Map2::COUNT) as u32;
const LAYOUT: u32 = 0;

/// `extern "C" fn(env, first task, end task, scratch)`: runs tasks `first..end`. Scratch is 64-byte aligned.
pub type KernelFn = unsafe extern "C" fn(*const Env, i64, i64, *mut u8);

/// What a kernel sees of one launch.
#[repr(C)]
pub struct Env {
    pub fns: *const FnTable,
    /// Base address of each of the kernel's buffers.
    pub buffers: *const *mut u8,
    pub args: *const i64,
    /// The kernel's wide rows, for this machine.
    pub rows: *const RowFn,
    pub seed: u64,
    pub step: u64,
}

/// What a kernel does along a row of `n` elements: see `KernelInfo::rows`. The arguments are the kernel's affair.
pub type RowFn = unsafe extern "C" fn(arguments: *const u8, n: i64);

/// dst[i] = f(scale·src[i] + shift) for i in 0..n; dst may be src. scale is ±1 or shift is -0. Unless `sums` is null,
/// dst[i] is also added to sums[i % 32], i ascending.
pub type MapFn = unsafe extern "C" fn(
    dst: *mut f32,
    src: *const f32,
    n: i64,
    sums: *mut [f32; 32],
    scale: f32,
    shift: f32,
);

/// dst[i] = f(a[i], b[i])
pub type Map2Fn = unsafe extern "C" fn(dst: *mut f32, a: *const f32, b: *const f32, n: i64);

/// Functions that stand before what else is called; those that came later stand behind it, so that places are kept.
const N_FIRST: usize = 8;
const N_FIRST2: usize = 1;

/// Every call out of generated code. All fields are pointers, read by their position (8 bytes each).
#[repr(C)]
pub struct FnTable {
    pub contract: unsafe extern "C" fn(*const ContractCall),
    /// In the order of `Map`.
    pub maps: [MapFn; N_FIRST],
    /// In the order of `Map2`.
    pub maps2: [Map2Fn; N_FIRST2],
    /// dst[i] = random number `first + i` of (env.seed, env.step, key)
    pub random: unsafe extern "C" fn(
        env: *const Env,
        dst: *mut f32,
        key: u64,
        normal: i64,
        first: i64,
        n: i64,
    ),
    /// dst[i] = scale·src[i] + shift (scale is ±1 or shift is -0), by non-temporal stores where that helps.
    pub copy_non_temporal:
        unsafe extern "C" fn(dst: *mut f32, src: *const f32, n: i64, scale: f32, shift: f32),
    /// dst[n_rows·i + k] = src[k·step + i] for i in 0..n; by non-temporal stores if `non_temporal` is 1.
    pub interleave: unsafe extern "C" fn(
        dst: *mut f32,
        src: *const f32,
        step: i64,
        n_rows: i64,
        n: i64,
        non_temporal: i64,
    ),
    /// dst[r·dst_step + i] = src[i·src_step + r] for r in 0..rows, i in 0..n; by non-temporal stores if `non_temporal` is 1.
    /// Meanwhile, next[i·next_step + r] is prefetched, which need not exist.
    pub transpose: unsafe extern "C" fn(
        dst: *mut f32,
        dst_step: i64,
        src: *const f32,
        src_step: i64,
        rows: i64,
        n: i64,
        next: *const f32,
        next_step: i64,
        non_temporal: i64,
    ),
    pub later_maps: [MapFn; Map::COUNT - N_FIRST],
    pub later_maps2: [Map2Fn; Map2::COUNT - N_FIRST2],
}

impl FnTable {
    /// Where the function's address lies.
    pub fn offset_of_map(map: Map) -> usize {
        match map as usize {
            n if n < N_FIRST => offset_of!(FnTable, maps) + 8 * n,
            n => offset_of!(FnTable, later_maps) + 8 * (n - N_FIRST),
        }
    }

    pub fn offset_of_map2(map: Map2) -> usize {
        match map as usize {
            n if n < N_FIRST2 => offset_of!(FnTable, maps2) + 8 * n,
            n => offset_of!(FnTable, later_maps2) + 8 * (n - N_FIRST2),
        }
    }

    /// Functions in the order of their numbers, as the first and those that came later.
    pub fn split<F: Copy, const N: usize, const FIRST: usize, const LATER: usize>(
        all: [F; N],
    ) -> ([F; FIRST], [F; LATER]) {
        const { assert!(FIRST + LATER == N) };
        let later = std::array::from_fn(|i| all[FIRST + i]);
        (std::array::from_fn(|i| all[i]), later)
    }
}

/// The arguments of one `contract`: see `vsr_compiler::tile::Contract`. Offsets and steps are in elements.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ContractCall {
    pub c: *mut f32,
    pub ldc: i64,
    pub m: i64,
    pub n: i64,
    /// 0: start from zero. 1: go on with c. 2: start from the row vector `bias`.
    pub init: i64,
    pub bias: *const f32,
    pub a: *const f32,
    pub rows: *const i64,
    pub a_step: i64,
    /// `n_taps` pairs (offset in a, offset in b).
    pub taps: *const i64,
    pub n_taps: i64,
    pub k: i64,
    pub b: *const f32,
    pub b_step: i64,
    pub b_panel: i64,
}
