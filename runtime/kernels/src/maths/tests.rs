//! Each function against `libm` in f64, over all exponents and signs, and at the edges; all levels bit for bit.

use super::*;

type Scalar = (Map, fn(f32) -> f32);

/// Units in the last place that a result may be off.
fn limit(f: Map) -> f64 {
    match f {
        Map::Exp | Map::Log => 1.5,
        Map::Tanh => 2.5,
        Map::Erf => 2.0,
        Map::Silu | Map::Sigmoid => 3.0,
        Map::Round => 0.0,
        _ => 1.0,
    }
}

/// Every 9973rd bit pattern, a dense ramp, and the edges.
fn arguments() -> Vec<f32> {
    let mut out: Vec<f32> = (0..=u32::MAX / 9973)
        .map(|i| f32::from_bits(i * 9973))
        .collect();
    out.extend((-40_000..40_000).map(|i| i as f32 * 1e-3));
    out.extend((-3000..3000).map(|i| i as f32 * 0.05));
    out.extend(edges());
    out
}

fn edges() -> Vec<f32> {
    let mut out = vec![
        0.0,
        -0.0,
        1.0,
        -1.0,
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
    ];
    out.extend([
        f32::MIN_POSITIVE,
        f32::MAX,
        f32::MIN,
        f32::from_bits(1),
        f32::from_bits(0x8000_0001),
    ]);
    out.extend([
        f32::from_bits(0x007f_ffff),
        88.7,
        88.73,
        -87.4,
        -103.9,
        -104.1,
        0.6,
        4.0,
        1e6,
        -1e6,
        1.1e6,
        1e-3,
        0.5,
        -0.5,
        0.499_999_97,
        1.5,
        -2.5,
        4_194_303.5,
        8_388_607.5,
        8_388_609.0,
        // Next to poles of the tangent.
        std::f32::consts::FRAC_PI_2,
        -4.712_389,
        999_999.0,
    ]);
    out
}

fn apply(level: Level, f: Map, x: &[f32]) -> Vec<f32> {
    let mut y = x.to_vec();
    let call = Call::plain(y.as_mut_ptr(), y.as_ptr(), y.len() as i64);
    // SAFETY: y has so many floats, and is both source and destination; callers take levels that are available.
    unsafe { map(level, f, call) };
    y
}

/// Distance in units in the last place of the rounded truth; subnormal spacing is the smallest unit.
fn ulps(got: f32, want: f64) -> f64 {
    let rounded = want as f32;
    if got.is_nan() && want.is_nan() || got == rounded {
        return 0.0;
    }
    if !got.is_finite() || !rounded.is_finite() {
        return if rounded.is_infinite() && got.abs() > 3.4e38 {
            1.0
        } else {
            f64::INFINITY
        };
    }
    let exponent = (f64::from(rounded.abs()).log2().floor() as i32).clamp(-126, 127);
    (f64::from(got) - want).abs() / libm::exp2(f64::from(exponent - 23))
}

#[test]
fn close_to_the_truth_everywhere() {
    let x = arguments();
    for f in Map::ALL.iter().copied() {
        let y = apply(Level::detect(), f, &x);
        let mut worst = (0.0, 0.0f32, 0.0f32);
        for (x, y) in x.iter().zip(&y) {
            // below -88 e^-x overflows: silu and sigmoid are then 0 by their formula
            if matches!(f, Map::Silu | Map::Sigmoid) && *x < -87.0 {
                continue;
            }
            let off = ulps(*y, f.of(f64::from(*x)));
            if off > worst.0 {
                worst = (off, *x, *y);
            }
        }
        assert!(
            worst.0 <= limit(f),
            "{f:?}: {} ulp at {:e}, got {:e}",
            worst.0,
            worst.1,
            worst.2
        );
    }
}

#[test]
fn all_levels_give_the_same_bits() {
    let x: Vec<f32> = arguments().into_iter().step_by(7).chain(edges()).collect();
    for f in Map::ALL.iter().copied() {
        let want = apply(Level::Portable, f, &x);
        for level in Level::available() {
            let got = apply(level, f, &x);
            for ((x, a), b) in x.iter().zip(&want).zip(&got) {
                let same = a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
                assert!(same, "{f:?} {level:?} at {x:e}: {a:e} {b:e}");
            }
        }
    }
}

#[test]
fn scalar_forms_equal_tiles() {
    let x = edges();
    let scalar: [Scalar; 11] = [
        (Map::Exp, exp),
        (Map::Log, log),
        (Map::Sin, sin),
        (Map::Cos, cos),
        (Map::Tanh, tanh),
        (Map::Erf, erf),
        (Map::Silu, silu),
        (Map::Sigmoid, sigmoid),
        (Map::Tan, tan),
        (Map::Asinh, asinh),
        (Map::Round, round),
    ];
    for (f, one) in scalar {
        for (x, y) in x.iter().zip(apply(Level::detect(), f, &x)) {
            assert!(
                one(*x).to_bits() == y.to_bits() || y.is_nan(),
                "{f:?} {x:e}"
            );
        }
    }
}

/// Affine arguments and running sums are what separate steps give, whatever the length, in place, too.
#[test]
fn arguments_and_sums_are_those_of_separate_steps() {
    let edges = edges();
    let x: Vec<f32> = (0..203)
        .map(|i| match i % 7 {
            0 => edges[i % edges.len()],
            _ => (i as f32 - 90.0) * 0.31,
        })
        .collect();
    let shift = Affine {
        shift: -1.7,
        ..Affine::IDENTITY
    };
    let scale = Affine {
        scale: -0.3,
        ..Affine::IDENTITY
    };
    let cases = [Affine::IDENTITY, shift, scale]
        .into_iter()
        .flat_map(|a| [0, 1, 15, 16, 33, 64, 130, 203].map(|n| (a, n)));
    for ((argument, n), f) in cases.flat_map(|c| Map::ALL.iter().map(move |f| (c, *f))) {
        let moved: Vec<f32> = x[..n].iter().map(|x| argument.of(*x)).collect();
        let want = apply(Level::Portable, f, &moved);
        let mut sums = [0.25f32; 32];
        want.iter().enumerate().for_each(|(i, y)| sums[i % 32] += y);
        for level in Level::available() {
            let (mut y, mut lanes) = (x.clone(), [0.25f32; 32]);
            let call = Call {
                dst: y.as_mut_ptr(),
                src: y.as_ptr(),
                n: n as i64,
                argument,
                sums: Some(&mut lanes),
            };
            // SAFETY: y has n floats or more, and is both source and destination; the level is available.
            unsafe { map(level, f, call) };
            let same = |a: &[f32], b: &[f32]| {
                let pairs = a.iter().zip(b);
                pairs.fold(true, |ok, (a, b)| {
                    ok && (a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan())
                })
            };
            assert!(same(&y[..n], &want), "{f:?} {level:?} {argument:?} {n}");
            assert!(same(&y[n..], &x[n..]), "{f:?} {level:?} wrote past {n}");
            assert!(same(&lanes, &sums), "{f:?} {level:?} {argument:?} sums {n}");
        }
    }
}

/// Every pair of edges, powers of ten and quotients near 1.
fn pairs() -> (Vec<f32>, Vec<f32>) {
    let mut numbers = edges();
    numbers.extend((-44..39).map(|e| 10f32.powi(e)));
    numbers.extend([1.000_001, 0.999, -2.0, 3.5, -150.0, 126.9, 1e9]);
    let all = numbers
        .iter()
        .flat_map(|a| numbers.iter().map(|b| (*a, *b)));
    all.unzip()
}

#[test]
fn functions_of_two_follow_the_truth_at_all_levels() {
    let (a, b) = pairs();
    for f in Map2::ALL.iter().copied() {
        for level in Level::available() {
            let mut y = a.clone();
            let (to, n) = (y.as_mut_ptr(), y.len() as i64);
            // SAFETY: y and b have so many floats, and y is both source and destination; the level is available.
            unsafe { map2(level, f, to, to, b.as_ptr(), n) };
            for (y, (a, b)) in y.iter().zip(a.iter().zip(&b)) {
                let want = f.of(f64::from(*a), f64::from(*b));
                let same_zero = *y != 0.0 || y.is_sign_negative() == want.is_sign_negative();
                assert!(
                    ulps(*y, want) <= 1.0 && same_zero,
                    "{level:?} {f:?} of {a:e}, {b:e} is {y:e}, not {want:e}"
                );
            }
        }
    }
}

#[test]
fn scalar_forms_of_two_equal_rows() {
    let (a, b) = pairs();
    for (f, one) in [
        (Map2::Pow, pow as fn(f32, f32) -> f32),
        (Map2::Atan2, atan2),
    ] {
        let mut y = a.clone();
        let (to, n) = (y.as_mut_ptr(), y.len() as i64);
        // SAFETY: y and b have so many floats, and y is both source and destination; the level is available.
        unsafe { map2(Level::detect(), f, to, to, b.as_ptr(), n) };
        for (y, (a, b)) in y.iter().zip(a.iter().zip(&b)) {
            let same = one(*a, *b).to_bits() == y.to_bits() || y.is_nan();
            assert!(same, "{f:?} of {a:e}, {b:e}");
        }
    }
}

/// Zeros keep their sign, and ties go to even numbers.
#[test]
fn signs_of_zeros_are_kept() {
    for (f, one) in [
        (Map::Tan, tan as fn(f32) -> f32),
        (Map::Asinh, asinh),
        (Map::Round, round),
    ] {
        for x in [0.0f32, -0.0] {
            assert_eq!(one(x).to_bits(), x.to_bits(), "{f:?}");
        }
    }
    assert_eq!(round(-0.3).to_bits(), (-0.0f32).to_bits());
    let ties = [0.5, 1.5, 2.5, -0.5, -1.5, -2.5].map(round);
    assert_eq!(ties, [0.0, 2.0, 2.0, -0.0, -2.0, -2.0]);
}
