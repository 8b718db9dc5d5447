//! The table agrees with itself: derivatives are the slopes of values, names are their own, calls have values.

use super::*;

const ARGUMENTS: [f64; 6] = [0.3, 1.7, -0.4, -2.3, 2.9, 0.05];

/// Within what the difference of two values near each other shows.
fn assert_near(found: f64, wanted: f64, what: &str) {
    let near = (found - wanted).abs() <= 1e-6 * wanted.abs().max(1.0);
    assert!(
        near || found.is_nan() && wanted.is_nan(),
        "{what}: {found}, not {wanted}"
    );
}

#[test]
fn derivatives_are_the_slopes_of_values() {
    const STEP: f64 = 1e-6;
    for f in Unary::ALL {
        for x in ARGUMENTS.into_iter().filter(|x| !f.of(*x).is_nan()) {
            let of = |name: &str| match name {
                "x" => x,
                "dx" => 1.0,
                _ => f.of(x),
            };
            let found = f.derivative().value(&of);
            let slope = (f.of(x + STEP) - f.of(x - STEP)) / (2.0 * STEP);
            let wanted = if f.facts().is_flat() { 0.0 } else { slope };
            assert_near(found, wanted, &format!("{f:?} at {x}"));
        }
    }
    let pairs = ARGUMENTS.iter().flat_map(|x| ARGUMENTS.map(|y| (*x, y)));
    for (f, (x, y)) in Binary::ALL
        .iter()
        .flat_map(|f| pairs.clone().map(move |p| (f, p)))
    {
        if x == y {
            continue;
        }
        for (dx, dy) in [(1.0, 0.0), (0.0, 1.0)] {
            // A power of a negative base has a slope along the base alone, which is not asked for here.
            if *f == Binary::Pow && x < 0.0 {
                continue;
            }
            let of = |name: &str| match name {
                "x" => x,
                "y" => y,
                "dx" => dx,
                "dy" => dy,
                _ => f.of(x, y),
            };
            let at = |by: f64| f.of(x + by * dx, y + by * dy);
            let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            assert_near(
                f.derivative().value(&of),
                slope,
                &format!("{f:?} at {x}, {y}"),
            );
        }
    }
}

/// Where PyTorch has other values than the formulas alone.
#[test]
fn the_angle_of_the_origin_has_no_slope() {
    let of = |name: &str| if name == "dx" { 1.0 } else { 0.0 };
    assert_eq!(Binary::Atan2.derivative().value(&of), 0.0);
}

#[test]
fn names_are_their_own() {
    let unary = Unary::ALL.iter().map(|f| f.name());
    let binary = Binary::ALL.iter().map(|f| f.name());
    let mut names: Vec<&str> = unary.chain(binary).collect();
    names.extend(DEFINED.iter().map(|d| d.0));
    // Words of tile programs, which stand where a function's name could.
    names.extend(["f32", "select", "uniform", "normal", "sum"]);
    let n_names = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), n_names);
    assert!(
        Unary::ALL
            .iter()
            .all(|f| Unary::named(f.name()) == Some(*f))
    );
    assert!(
        Binary::ALL
            .iter()
            .all(|f| Binary::named(f.name()) == Some(*f))
    );
}

#[test]
fn every_call_has_a_value() {
    assert!(Map::ALL.iter().all(|f| f.of(0.5).is_finite()));
    assert!(Map2::ALL.iter().all(|f| f.of(0.5, 0.25).is_finite()));
}

#[test]
fn a_function_that_is_another_has_its_values() {
    let [(_, chain)] = DEFINED else {
        panic!("{DEFINED:?}")
    };
    let ceil = |x: f64| chain.iter().fold(x, |x, f| f.of(x));
    for x in [0.0, -0.0, 0.3, -0.3, 2.0, -2.0, 1e300, f64::INFINITY] {
        assert_eq!(ceil(x).to_bits(), x.ceil().to_bits(), "{x}");
    }
    assert!(ceil(f64::NAN).is_nan());
}

#[test]
fn formulas_bind_as_in_networks() {
    let value = |text| Formula::parse(text).value(&|name| if name == "a" { 3.0 } else { 5.0 });
    assert_eq!(value("a + b*2 - 1"), 12.0);
    assert_eq!(value("-a**2/b"), -1.8);
    assert_eq!(value("2*a**(b - 4)"), 6.0);
    assert_eq!(value("a - (b - a) - 1"), 0.0);
    assert_eq!(value("select(a <= b, max(a, b), -1)"), 5.0);
}

#[test]
#[should_panic(expected = "is wrong before `)`")]
fn a_wrong_formula_is_found() {
    Formula::parse("dx*(x + )");
}
