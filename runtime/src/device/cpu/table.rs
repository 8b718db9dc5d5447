//! The functions that compiled code may call, one table for each level of the microkernels.

use std::sync::LazyLock;
use vsr_artifact::abi::{ContractCall, Env, FnTable, Map2Fn, MapFn};
use vsr_kernels::interleave::{Interleave, interleave};
use vsr_kernels::maths::{Call, Lanes, Map, Map2};
use vsr_kernels::transpose::{Transpose, transpose};
use vsr_kernels::{Affine, Level, maths, non_temporal, philox};
use vsr_tile::scalar::Each;

/// The table for a level. It lives as long as the process.
pub fn table(level: Level) -> &'static FnTable {
    match level {
        Level::Portable => &portable::TABLE,
        Level::Avx2 => &avx2::TABLE,
        Level::Avx512 => &avx512::TABLE,
    }
}

// Both crates state the layout of a contraction's arguments; they must agree.
const _: () = {
    use std::mem::{offset_of, size_of};
    use vsr_kernels::ContractCall as Ours;
    assert!(size_of::<ContractCall>() == size_of::<Ours>());
    assert!(offset_of!(ContractCall, c) == offset_of!(Ours, c));
    assert!(offset_of!(ContractCall, init) == offset_of!(Ours, init));
    assert!(offset_of!(ContractCall, a) == offset_of!(Ours, a));
    assert!(offset_of!(ContractCall, rows) == offset_of!(Ours, rows));
    assert!(offset_of!(ContractCall, taps) == offset_of!(Ours, taps));
    assert!(offset_of!(ContractCall, b) == offset_of!(Ours, b));
    assert!(offset_of!(ContractCall, b_panel) == offset_of!(Ours, b_panel));
};

macro_rules! tables {
    ($($name:ident $level:expr;)*) => { $(
        mod $name {
            use super::*;
            const LEVEL: Level = $level;

            unsafe extern "C" fn contract(call: *const ContractCall) {
                // SAFETY: compiled code passes a call whose elements lie in the buffers of its launch, laid out alike
                // in both crates; a run takes the table of a level that the machine has (`Run::all`). So it is for all
                // functions here.
                unsafe { vsr_kernels::contract(LEVEL, &*call.cast()) }
            }
            unsafe extern "C" fn map<const F: usize>(
                dst: *mut f32, src: *const f32, n: i64, sums: *mut Lanes, scale: f32, shift: f32,
            ) {
                let sums = (!sums.is_null()).then_some(sums);
                let argument = Affine { scale, shift };
                // SAFETY: compiled code has n floats at src and dst, and room for a row of sums unless that is null.
                unsafe { maths::map(LEVEL, Map::ALL[F], Call { dst, src, n, argument, sums }) }
            }
            unsafe extern "C" fn map2<const F: usize>(dst: *mut f32, a: *const f32, b: *const f32, n: i64) {
                // SAFETY: compiled code has n floats at each of the three.
                unsafe { maths::map2(LEVEL, Map2::ALL[F], dst, a, b, n) }
            }
            unsafe extern "C" fn random(env: *const Env, dst: *mut f32, key: u64, normal: i64, first: i64, n: i64) {
                // SAFETY: env is that of the launch; compiled code has n floats at dst, which only this task uses.
                unsafe {
                    let to = std::slice::from_raw_parts_mut(dst, n.max(0) as usize);
                    philox::fill(LEVEL, to, (*env).seed, (*env).step, key, normal != 0, first as u64)
                }
            }
            unsafe extern "C" fn copy(dst: *mut f32, src: *const f32, n: i64, scale: f32, shift: f32) {
                // SAFETY: compiled code has n floats at src and dst, which are apart.
                unsafe { non_temporal::copy(LEVEL, dst, src, n, Affine { scale, shift }) }
            }

            unsafe extern "C" fn rows(dst: *mut f32, src: *const f32, step: i64, n_rows: i64, n: i64, non_temporal: i64) {
                let non_temporal = non_temporal == 1;
                // SAFETY: compiled code has n floats in each row, and n_rows·n at dst, apart from them.
                unsafe { interleave(LEVEL, n_rows, Interleave { dst, src, step, n, non_temporal }) }
            }

            unsafe extern "C" fn strided(
                dst: *mut f32, dst_step: i64, src: *const f32, src_step: i64, rows: i64, n: i64,
                next: *const f32, next_step: i64, non_temporal: i64,
            ) {
                let non_temporal = non_temporal == 1;
                // SAFETY: compiled code has the elements of all rows at src and dst, which are apart.
                unsafe { transpose(LEVEL, Transpose { dst, dst_step, src, src_step, rows, n, next, next_step, non_temporal }) }
            }

            struct Maps;
            impl Each for Maps {
                type Made = MapFn;
                fn make<const F: usize>() -> MapFn { map::<F> }
            }
            struct Maps2;
            impl Each for Maps2 {
                type Made = Map2Fn;
                fn make<const F: usize>() -> Map2Fn { map2::<F> }
            }

            pub static TABLE: LazyLock<FnTable> = LazyLock::new(|| {
                let (maps, later_maps) = FnTable::split(Map::each::<Maps>());
                let (maps2, later_maps2) = FnTable::split(Map2::each::<Maps2>());
                FnTable {
                    contract,
                    maps,
                    maps2,
                    random,
                    copy_non_temporal: copy,
                    interleave: rows,
                    transpose: strided,
                    later_maps,
                    later_maps2,
                }
            });
        }
    )* };
}

tables! {
    portable Level::Portable;
    avx2 Level::Avx2;
    avx512 Level::Avx512;
}
