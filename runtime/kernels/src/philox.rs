//! Random numbers by counter: Philox4x32-10 (Salmon and others, 2011). Number i of a (seed, step, key) is always the
//! same, whoever asks, in any order and on any machine.
//!
//! Block `i / 4` is the counter's low half, the step its high half; seed and key, mixed, are Philox's key. A uniform
//! number is the top 24 bits over 2²⁴, in [0, 1). Normal numbers come in pairs by Box and Muller: words 0 and 1 of a
//! block give numbers 0 and 1.

#![allow(clippy::needless_range_loop, reason = "lanes read best by index")]

use crate::{Level, maths};

const M: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const W: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// Philox4x32-10.
#[inline(always)]
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let (mut c, mut k) = (counter, key);
    for _ in 0..10 {
        let a = u64::from(M[0]) * u64::from(c[0]);
        let b = u64::from(M[1]) * u64::from(c[2]);
        c = [
            (b >> 32) as u32 ^ c[1] ^ k[0],
            b as u32,
            (a >> 32) as u32 ^ c[3] ^ k[1],
            a as u32,
        ];
        k = [k[0].wrapping_add(W[0]), k[1].wrapping_add(W[1])];
    }
    c
}

/// Seed and key as one Philox key (the finaliser of SplitMix64 over both).
pub fn mix(seed: u64, key: u64) -> u64 {
    let mut z = seed
        .wrapping_add(key.rotate_left(32))
        .wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ key ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[inline(always)]
fn block(mixed: u64, step: u64, index: u64) -> [u32; 4] {
    let counter = [
        index as u32,
        (index >> 32) as u32,
        step as u32,
        (step >> 32) as u32,
    ];
    philox(counter, [mixed as u32, (mixed >> 32) as u32])
}

#[inline(always)]
fn unit(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// Box and Muller's pair from two words; the logarithm's argument is in (0, 1].
#[inline(always)]
fn pair(a: u32, b: u32) -> [f32; 2] {
    let radius = (-2.0 * maths::log(((a >> 8) + 1) as f32 * (1.0 / 16_777_216.0))).sqrt();
    let angle = unit(b) * std::f32::consts::TAU;
    [
        radius * maths::cos_near(angle),
        radius * maths::sin_near(angle),
    ]
}

/// Number `index` in [0, 1).
pub fn uniform(seed: u64, step: u64, key: u64, index: u64) -> f32 {
    unit(block(mix(seed, key), step, index / 4)[(index % 4) as usize])
}

/// Number `index` of the standard normal distribution.
pub fn normal(seed: u64, step: u64, key: u64, index: u64) -> f32 {
    let w = block(mix(seed, key), step, index / 4);
    let half = (index % 4 / 2) as usize;
    pair(w[2 * half], w[2 * half + 1])[(index % 2) as usize]
}

/// Blocks that are computed together, as many lanes.
const LANES: usize = 16;

/// `dst[i]` = number `first + i`. `level` must be available on this machine; it changes no bit.
pub fn fill(
    level: Level,
    dst: &mut [f32],
    seed: u64,
    step: u64,
    key: u64,
    normal: bool,
    first: u64,
) {
    let mixed = mix(seed, key);
    let mut done = 0;
    while done < dst.len() {
        let index = first + done as u64;
        let mut four = [0.0; 4 * LANES];
        // SAFETY: no address is used but that of `four`; the caller takes a level whose instructions this machine has.
        unsafe {
            match level {
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => avx512(&mut four, mixed, step, index / 4, normal),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => avx2(&mut four, mixed, step, index / 4, normal),
                _ => sixteen(&mut four, mixed, step, index / 4, normal),
            }
        }
        let skip = (index % 4) as usize;
        let take = (4 * LANES - skip).min(dst.len() - done);
        dst[done..done + take].copy_from_slice(&four[skip..skip + take]);
        done += take;
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
fn avx512(out: &mut [f32; 4 * LANES], mixed: u64, step: u64, block: u64, normal: bool) {
    sixteen(out, mixed, step, block, normal);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(out: &mut [f32; 4 * LANES], mixed: u64, step: u64, block: u64, normal: bool) {
    sixteen(out, mixed, step, block, normal);
}

/// The numbers of sixteen blocks, word by word so that lanes are vectors.
#[inline(always)]
fn sixteen(out: &mut [f32; 4 * LANES], mixed: u64, step: u64, first: u64, normal: bool) {
    let mut words = [[0u32; LANES]; 4];
    for lane in 0..LANES {
        let w = block(mixed, step, first + lane as u64);
        for i in 0..4 {
            words[i][lane] = w[i];
        }
    }
    let mut numbers = [[0.0f32; LANES]; 4];
    for half in [0, 2] {
        for lane in 0..LANES {
            let (a, b) = (words[half][lane], words[half + 1][lane]);
            let two = if normal {
                pair(a, b)
            } else {
                [unit(a), unit(b)]
            };
            numbers[half][lane] = two[0];
            numbers[half + 1][lane] = two[1];
        }
    }
    for lane in 0..LANES {
        for i in 0..4 {
            out[4 * lane + i] = numbers[i][lane];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        assert_eq!(
            philox([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        let (counter, key) = (
            [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
            [0xa409_3822, 0x299f_31d0],
        );
        assert_eq!(
            philox(counter, key),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn any_piece_equals_the_whole() {
        for normal_numbers in [false, true] {
            let mut whole = vec![0.0; 103];
            fill(Level::Portable, &mut whole, 1, 2, 3, normal_numbers, 0);
            for level in Level::available() {
                let mut again = vec![0.0; 103];
                fill(level, &mut again, 1, 2, 3, normal_numbers, 0);
                assert_eq!(again, whole);
            }
            for first in 0..9 {
                let mut piece = vec![0.0; 103 - first];
                fill(
                    Level::detect(),
                    &mut piece,
                    1,
                    2,
                    3,
                    normal_numbers,
                    first as u64,
                );
                assert_eq!(piece, whole[first..]);
                let one = if normal_numbers { normal } else { uniform };
                assert_eq!(one(1, 2, 3, first as u64), whole[first]);
            }
        }
    }

    #[test]
    fn moments() {
        let mut x = vec![0.0; 200_000];
        fill(Level::detect(), &mut x, 5, 0, 9, false, 0);
        let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / x.len() as f64;
        assert!((mean - 0.5).abs() < 3e-3 && x.iter().all(|v| (0.0..1.0).contains(v)));
        fill(Level::detect(), &mut x, 5, 0, 9, true, 0);
        let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / x.len() as f64;
        let var = x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / x.len() as f64;
        assert!(
            mean.abs() < 1e-2 && (var - 1.0).abs() < 2e-2,
            "{mean} {var}"
        );
        fill(Level::detect(), &mut x[..4], 6, 0, 9, false, 0);
        let other: Vec<f32> = (0..4).map(|i| uniform(5, 0, 9, i)).collect();
        assert_ne!(&x[..4], &other[..]);
    }
}
