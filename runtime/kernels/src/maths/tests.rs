//! Each function against `libm` in f64, over all exponents and signs, and at the edges; all levels bit for bit.

use super::*;

type Truth = (Function, fn(f64) -> f64, f64);
type Scalar = (Function, fn(f32) -> f32);

const ALL: [Truth; 8] = [
    (Function::Exp, libm::exp, 1.5),
    (Function::Log, libm::log, 1.5),
    (Function::Sin, libm::sin, 1.0),
    (Function::Cos, libm::cos, 1.0),
    (Function::Tanh, libm::tanh, 2.5),
    (Function::Erf, libm::erf, 2.0),
    (Function::Silu, |x| x / (1.0 + libm::exp(-x)), 3.0),
    (Function::Sigmoid, |x| 1.0 / (1.0 + libm::exp(-x)), 3.0),
];

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
    ]);
    out
}

fn apply(level: Level, f: Function, x: &[f32]) -> Vec<f32> {
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
    for (f, truth, limit) in ALL {
        let y = apply(Level::detect(), f, &x);
        let mut worst = (0.0, 0.0f32, 0.0f32);
        for (x, y) in x.iter().zip(&y) {
            // below -88 e^-x overflows: silu and sigmoid are then 0 by their formula
            if matches!(f, Function::Silu | Function::Sigmoid) && *x < -87.0 {
                continue;
            }
            let off = ulps(*y, truth(f64::from(*x)));
            if off > worst.0 {
                worst = (off, *x, *y);
            }
        }
        assert!(
            worst.0 <= limit,
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
    for (f, ..) in ALL {
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
fn functions_stand_at_their_numbers() {
    let all = Function::ALL.iter().enumerate();
    all.for_each(|(i, f)| assert_eq!(*f as usize, i));
}

#[test]
fn scalar_forms_equal_tiles() {
    let x = edges();
    let scalar: [Scalar; 8] = [
        (Function::Exp, exp),
        (Function::Log, log),
        (Function::Sin, sin),
        (Function::Cos, cos),
        (Function::Tanh, tanh),
        (Function::Erf, erf),
        (Function::Silu, silu),
        (Function::Sigmoid, sigmoid),
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
    for ((argument, n), (f, ..)) in cases.flat_map(|c| ALL.map(|f| (c, f))) {
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

#[test]
fn pow_follows_libm() {
    let bases = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        2.0,
        10.0,
        0.5,
        1e-40,
        3e38,
        f32::INFINITY,
        f32::NAN,
        -2.0,
        1.000_001,
        0.999,
    ];
    let exponents = [
        0.0,
        1.0,
        -1.0,
        2.0,
        0.5,
        3.5,
        -150.0,
        126.9,
        1e9,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
    ];
    let a: Vec<f32> = bases.iter().flat_map(|b| exponents.map(|_| *b)).collect();
    let e: Vec<f32> = bases.iter().flat_map(|_| exponents).collect();
    for level in Level::available() {
        let mut y = a.clone();
        // SAFETY: y and e have so many floats, and y is both source and destination; the level is available.
        unsafe {
            map_pow(
                level,
                y.as_mut_ptr(),
                y.as_ptr(),
                e.as_ptr(),
                y.len() as i64,
            )
        };
        for i in 0..y.len() {
            let want = libm::pow(f64::from(a[i]), f64::from(e[i]));
            assert!(
                ulps(y[i], want) <= 1.0,
                "{level:?} {:e} ** {:e} = {:e}, not {want:e}",
                a[i],
                e[i],
                y[i]
            );
        }
    }
}
