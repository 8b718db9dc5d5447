//! Sine, cosine and tangent: reduced by π/2 in f64, where three products give all bits that f32 can show.

/// Past this, the reduction by two constants would lose bits: `libm` takes over.
pub(super) const LIMIT: f32 = 1.0e6;

/// π/2 as a sum of two f64.
const HALF_PI: f64 = std::f64::consts::FRAC_PI_2;
const HALF_PI_LOW: f64 = 6.123_233_995_736_766e-17;
/// 1.5·2⁵²
const MAGIC: f64 = 6_755_399_441_055_744.0;

/// sin x for any x.
#[inline]
pub fn sin(x: f32) -> f32 {
    if x.abs() <= LIMIT {
        sin_near(x)
    } else {
        libm::sinf(x)
    }
}

/// cos x for any x.
#[inline]
pub fn cos(x: f32) -> f32 {
    if x.abs() <= LIMIT {
        cos_near(x)
    } else {
        libm::cosf(x)
    }
}

/// tan x for any x.
#[inline]
pub fn tan(x: f32) -> f32 {
    if x.abs() <= LIMIT {
        tan_near(x)
    } else {
        libm::tanf(x)
    }
}

#[inline(always)]
pub(crate) fn sin_near(x: f32) -> f32 {
    let y = quarter(f64::from(x), 0) as f32;
    // keeps -0
    if x == 0.0 { x } else { y }
}

#[inline(always)]
pub(crate) fn cos_near(x: f32) -> f32 {
    quarter(f64::from(x), 1) as f32
}

/// tan r, or -1/tan r where an odd number of quarters was taken off.
#[inline(always)]
pub(crate) fn tan_near(x: f32) -> f32 {
    let (r, quarters) = reduced(f64::from(x));
    let y = r * r;
    // (tan(r)/r - 1)/r² on r² in [0, 0.62]
    let t = 1.791_585_391_848_547_6e-3;
    let t = y.mul_add(t, -4.656_117_138_863_914e-6);
    let t = y.mul_add(t, 4.428_939_753_512_301e-3);
    let t = y.mul_add(t, 8.607_862_263_199_364e-3);
    let t = y.mul_add(t, 2.191_094_723_057_731e-2);
    let t = y.mul_add(t, 5.396_499_107_853_575e-2);
    let t = y.mul_add(t, 1.333_334_302_428_82e-1);
    let t = y.mul_add(t, 3.333_333_328_649_046_3e-1);
    let tangent = (r * y).mul_add(t, r);
    let v = if quarters & 1 == 0 {
        tangent
    } else {
        -1.0 / tangent
    };
    // keeps -0
    if x == 0.0 { x } else { v as f32 }
}

/// x less a whole number of quarters of a turn; and that number, in its low bits.
#[inline(always)]
fn reduced(x: f64) -> (f64, u64) {
    let shifted = x.mul_add(std::f64::consts::FRAC_2_PI, MAGIC);
    let n = shifted - MAGIC;
    let r = n.mul_add(-HALF_PI_LOW, n.mul_add(-HALF_PI, x));
    (r, shifted.to_bits())
}

/// sin(x + turn·π/2)
#[inline(always)]
fn quarter(x: f64, turn: u64) -> f64 {
    let (r, quarters) = reduced(x);
    let q = quarters.wrapping_add(turn);
    let y = r * r;
    // (sin(r)/r - 1)/r² and (cos(r) - 1)/r² on r² in [0, 0.62]
    let s = -2.480_438_374_989_973_8e-8;
    let s = y.mul_add(s, 2.755_597_737_311_976_4e-6);
    let s = y.mul_add(s, -1.984_126_687_206_717_1e-4);
    let s = y.mul_add(s, 8.333_333_331_032_916e-3);
    let s = y.mul_add(s, -1.666_666_666_666_381_4e-1);
    let sine = (r * y).mul_add(s, r);
    let c = -2.723_551_457_691_943e-7;
    let c = y.mul_add(c, 2.479_984_459_244_298_4e-5);
    let c = y.mul_add(c, -1.388_888_503_308_857_2e-3);
    let c = y.mul_add(c, 4.166_666_663_679_492e-2);
    let c = y.mul_add(c, -4.999_999_999_996_296e-1);
    let cosine = y.mul_add(c, 1.0);
    let v = if q & 1 == 0 { sine } else { cosine };
    f64::from_bits(v.to_bits() ^ ((q & 2) << 62))
}
