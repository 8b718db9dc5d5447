//! The scalar texts. Polynomials are Chebyshev fits of the function named beside them, highest power first.

#![allow(clippy::excessive_precision, reason = "coefficients as fitted")]

/// 1.5·2²³: adding it to a number of size below 2²² rounds that to a whole number in the low bits.
pub(super) const MAGIC: f32 = 12_582_912.0;

/// ln 2 in two parts, the first of few bits: its product with a small whole number is exact.
pub(super) const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// (e^f - 1 - f)/f² on ±0.35
pub(super) const EXP: [f32; 5] = [
    1.392_626_8e-3,
    8.363_246_7e-3,
    4.166_655_4e-2,
    1.666_657_7e-1,
    0.5,
];

#[inline(always)]
fn poly<const N: usize>(x: f32, c: [f32; N]) -> f32 {
    let mut y = c[0];
    for c in &c[1..] {
        y = y.mul_add(x, *c);
    }
    y
}

/// Two coefficients at a time (Estrin): known sooner than one after another, by as many operations where x² is needed
/// anyway.
#[inline(always)]
fn by_pairs<const N: usize>(x: f32, square: f32, c: [f32; N]) -> f32 {
    let pair = |c: &[f32]| c[0].mul_add(x, c[1]);
    let (mut y, rest) = match N % 2 {
        0 => (pair(&c[..2]), &c[2..]),
        _ => (c[0], &c[1..]),
    };
    for c in rest.chunks_exact(2) {
        y = y.mul_add(square, pair(c));
    }
    y
}

/// x = n·ln 2 + f, e^f = 1 + f + f²·q(f): that, and n in the low bits.
#[inline(always)]
fn exp_fraction(x: f32) -> (f32, f32) {
    let shifted = x.mul_add(std::f32::consts::LOG2_E, MAGIC);
    let n = shifted - MAGIC;
    let f = n.mul_add(-LN_2[0], x);
    let f = n.mul_add(-LN_2[1], f);
    let square = f * f;
    (square.mul_add(by_pairs(f, square, EXP), f) + 1.0, shifted)
}

/// e^x, 2^n in two factors (so results may be subnormal).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let (y, shifted) = exp_fraction(x);
    let n = (shifted.to_bits() as i32).wrapping_sub(MAGIC.to_bits() as i32);
    let half = n >> 1;
    y * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// ln x: x = m·2^e with m in [√½, √2), ln m = f - f²/2 + f³·p(f), f = m - 1.
#[inline(always)]
pub fn log(x: f32) -> f32 {
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = if tiny { x * 8_388_608.0 } else { x };
    let bits = scaled.to_bits() as i32;
    let e = bits.wrapping_sub(0x3f35_04f3) >> 23;
    let m = f32::from_bits(bits.wrapping_sub(e << 23) as u32);
    let e = (e as f32) - if tiny { 23.0 } else { 0.0 };
    let f = m - 1.0;
    // (ln(1+f) - f + f²/2)/f³ on [√½ - 1, √2 - 1]
    let p = poly(
        f,
        [
            6.980_702e-2,
            -1.149_454_7e-1,
            1.168_907_1e-1,
            -1.242_403_8e-1,
            1.424_855_1e-1,
            -1.666_785_1e-1,
            2.000_073e-1,
            -2.499_999_7e-1,
            3.333_333e-1,
        ],
    );
    let ff = f * f;
    let low = e.mul_add(-2.121_944_4e-4, ff.mul_add(-0.5, ff * f * p));
    let y = e.mul_add(0.693_359_4, f + low);
    let y = if x == f32::INFINITY { x } else { y };
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    if x < 0.0 || x.is_nan() { f32::NAN } else { y }
}

/// e^x for x in [-87, 88], where 2^n is one factor; its exponent is the low bits of what rounded n.
#[inline(always)]
fn exp_near(x: f32) -> f32 {
    let (y, shifted) = exp_fraction(x);
    y * power_of_two(shifted.to_bits() as i32)
}

/// e^-x for x no less than -88, and e^-87 beyond 87.
#[inline(always)]
fn exp_minus(x: f32) -> f32 {
    exp_near(-if x > 87.0 { 87.0 } else { x })
}

/// 1/(1 + e^-x), x at least -88.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let x = if x < -88.0 { -88.0 } else { x };
    1.0 / (1.0 + exp_minus(x))
}

/// x/(1 + e^-x), x at least -88.
#[inline(always)]
pub fn silu(x: f32) -> f32 {
    let x = if x < -88.0 { -88.0 } else { x };
    x / (1.0 + exp_minus(x))
}

/// Near zero x + x³·p(x²); else 1 - 2/(e^2|x| + 1) with x's sign.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let (a, s) = (x.abs(), x * x);
    // (tanh(x)/x - 1)/x² on x² in [0, 0.37]
    let p = poly(
        s,
        [
            -6.212_138_8e-3,
            2.107_438_4e-2,
            -5.386_675e-2,
            1.333_287_1e-1,
            -3.333_333e-1,
        ],
    );
    let near = (s * x).mul_add(p, x);
    let far = (1.0 - 2.0 / (exp(a + a) + 1.0)).copysign(x);
    if a < 0.6 { near } else { far }
}

/// Near zero x + x·p(x²); else 1 - e^g(|x|), g a fit of ln erfc.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let (a, s) = (x.abs(), x * x);
    // erf(x)/x - 1 on x² in [0, 1]
    let p = poly(
        s,
        [
            -9.667_044e-6,
            1.126_595_9e-4,
            -8.484_08e-4,
            5.221_032e-3,
            -2.686_543e-2,
            1.128_378_25e-1,
            -3.761_263_8e-1,
            1.283_791_7e-1,
        ],
    );
    let near = x.mul_add(p, x);
    let t = if a > 4.0 { 4.0 } else { a };
    // ln erfc(t) on [1, 4]
    let g = poly(
        t,
        [
            1.637_151_4e-6,
            -4.605_804_4e-5,
            5.968_056e-4,
            -4.759_596_4e-3,
            2.642_113_6e-2,
            -1.100_800_8e-1,
            -6.318_260_4e-1,
            -1.130_233_4,
            3.201_380_5e-4,
        ],
    );
    let far = (1.0 - exp(g)).copysign(x);
    if a < 1.0 { near } else { far }
}

/// To the nearest whole number, half to even: adding 2²³ leaves no digits behind the point, and above it there are none.
#[inline(always)]
pub fn round(x: f32) -> f32 {
    const WHOLE: f32 = 8_388_608.0;
    let a = x.abs();
    let y = ((a + WHOLE) - WHOLE).copysign(x);
    if a < WHOLE { y } else { x }
}
