//! Functions that go through f64, since f32 has not the digits that they need on the way.
//!
//! Enters numbers of f32; leaves the nearest or a neighbour. Nothing depends on the level that it is compiled for.

#[inline(always)]
fn poly64<const N: usize>(x: f64, c: [f64; N]) -> f64 {
    let mut y = c[0];
    for c in &c[1..] {
        y = y.mul_add(x, *c);
    }
    y
}

/// x^e as C's `powf`.
#[inline]
pub fn pow(x: f32, e: f32) -> f32 {
    if pow_is_plain(x, e) {
        pow_plain(x, e)
    } else {
        libm::powf(x, e)
    }
}

#[inline(always)]
pub(super) fn pow_is_plain(x: f32, e: f32) -> bool {
    x > 0.0 && x < f32::INFINITY && e.abs() < f32::INFINITY
}

/// 2^(e·log₂ x) in f64, for positive finite x and finite e.
#[inline(always)]
pub(super) fn pow_plain(x: f32, e: f32) -> f32 {
    let y = f64::from(e) * log2_64(f64::from(x));
    let y = if y > 150.0 { 150.0 } else { y };
    let y = if y < -170.0 { -170.0 } else { y };
    exp2_64(y) as f32
}

/// log₂ x = exponent + 2/ln 2·atanh((m-1)/(m+1)), m in [√½, √2).
#[inline(always)]
fn log2_64(x: f64) -> f64 {
    let bits = x.to_bits() as i64;
    let e = bits.wrapping_sub(0x3fe6_a09e_667f_3bcd) >> 52;
    let m = f64::from_bits(bits.wrapping_sub(e << 52) as u64);
    let s = (m - 1.0) / (m + 1.0);
    let p = poly64(
        s * s,
        [
            1.0 / 15.0,
            1.0 / 13.0,
            1.0 / 11.0,
            1.0 / 9.0,
            1.0 / 7.0,
            1.0 / 5.0,
            1.0 / 3.0,
            1.0,
        ],
    );
    // the exponent's low bits, read through 1.5·2⁵²
    let e =
        f64::from_bits((e as u64).wrapping_add(0x4338_0000_0000_0000)) - 6_755_399_441_055_744.0;
    (s * p).mul_add(2.0 * std::f64::consts::LOG2_E, e)
}

/// 2^y for |y| < 1000: y = n + f, 2^f by its Taylor series.
#[inline(always)]
fn exp2_64(y: f64) -> f64 {
    let shifted = y + 6_755_399_441_055_744.0;
    let f = (y - (shifted - 6_755_399_441_055_744.0)) * std::f64::consts::LN_2;
    let p = poly64(
        f,
        [
            1.0 / 3_628_800.0,
            1.0 / 362_880.0,
            1.0 / 40_320.0,
            1.0 / 5040.0,
            1.0 / 720.0,
            1.0 / 120.0,
            1.0 / 24.0,
            1.0 / 6.0,
            0.5,
            1.0,
            1.0,
        ],
    );
    let n = shifted.to_bits().wrapping_sub(0x4338_0000_0000_0000);
    p * f64::from_bits(n.wrapping_add(1023) << 52)
}

/// arsinh x = ln(|x| + √(x² + 1)) with x's sign; near zero, where that sum loses digits, x - x³/6.
#[inline(always)]
pub fn asinh(x: f32) -> f32 {
    let a = f64::from(x.abs());
    let square = a * a;
    let near = (a * square).mul_add(-1.0 / 6.0, a);
    let far = log2_64(a + (square + 1.0).sqrt()) * std::f64::consts::LN_2;
    let y = if a < 1e-3 { near } else { far };
    let y = (y as f32).copysign(x);
    // What is infinite, or no number, stays so.
    if x.abs() < f32::INFINITY { y } else { x }
}

/// The angle of (x, y) as C's `atan2f`.
#[inline]
pub fn atan2(y: f32, x: f32) -> f32 {
    if atan2_is_plain(y, x) {
        atan2_plain(y, x)
    } else {
        libm::atan2f(y, x)
    }
}

#[inline(always)]
pub(super) fn atan2_is_plain(y: f32, x: f32) -> bool {
    y.abs() < f32::INFINITY && x.abs() < f32::INFINITY && (y != 0.0 || x != 0.0)
}

/// atan t = t + t³·p(t²) for the smaller coordinate over the larger, then by octants; for finite coordinates, not both 0.
#[inline(always)]
pub(super) fn atan2_plain(y: f32, x: f32) -> f32 {
    let (high, wide) = (f64::from(y.abs()), f64::from(x.abs()));
    let is_steep = high > wide;
    let t = if is_steep { wide / high } else { high / wide };
    let square = t * t;
    // (atan(t)/t - 1)/t² on t² in [0, 1]
    let p = poly64(
        square,
        [
            -9.362_994_719_496_015e-4,
            6.207_254_533_780_05e-3,
            -1.926_108_132_276_588_3e-2,
            3.832_744_598_306_484_6e-2,
            -5.760_716_083_128_117e-2,
            7.417_496_964_300_51e-2,
            -9.036_742_342_070_782e-2,
            1.110_470_678_864_422e-1,
            -1.428_531_796_390_730_4e-1,
            1.999_999_027_594_727_1e-1,
            -3.333_333_329_330_117_6e-1,
        ],
    );
    let angle = (t * square).mul_add(p, t);
    let angle = if is_steep {
        std::f64::consts::FRAC_PI_2 - angle
    } else {
        angle
    };
    let angle = if x.is_sign_negative() {
        std::f64::consts::PI - angle
    } else {
        angle
    };
    (angle as f32).copysign(y)
}
