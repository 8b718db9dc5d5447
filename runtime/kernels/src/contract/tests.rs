//! Every level against a plain loop, in shapes that meet each kind of block, tail and chunk.

use super::*;

struct Case {
    m: usize,
    n: usize,
    n_taps: usize,
    k: usize,
    a_step: usize,
    packed: bool,
    init: i64,
}

struct Data {
    a: Vec<f32>,
    b: Vec<f32>,
    bias: Vec<f32>,
    rows: Vec<i64>,
    taps: Vec<i64>,
    c: Vec<f32>,
    ldc: usize,
    b_step: usize,
    b_panel: usize,
}

fn number(seed: &mut u64) -> f32 {
    *seed = seed
        .wrapping_mul(6364136223846793005)
        .wrapping_add(1442695040888963407);
    ((*seed >> 40) as f32 / (1u64 << 24) as f32) - 0.5
}

fn make(case: &Case) -> Data {
    let mut seed = 7 + (case.m * 31 + case.n * 17 + case.k) as u64;
    let (b_step, b_panel) = if case.packed {
        (32, case.n_taps * case.k * 32)
    } else {
        (case.n, 32)
    };
    let b_len = if case.packed {
        case.n.div_ceil(32) * b_panel
    } else {
        case.n_taps * case.k * case.n
    };
    let row_step = if case.a_step == 1 { case.k + 3 } else { 1 };
    let tap_a = if case.a_step == 1 {
        5
    } else {
        case.k * case.a_step
    };
    let a_len = case.m * row_step + case.n_taps * tap_a + case.k * case.a_step + 8;
    let ldc = case.n + 5;
    Data {
        a: (0..a_len).map(|_| number(&mut seed)).collect(),
        b: (0..b_len).map(|_| number(&mut seed)).collect(),
        bias: (0..case.n).map(|_| number(&mut seed)).collect(),
        rows: (0..case.m).map(|m| (m * row_step) as i64).collect(),
        taps: (0..case.n_taps)
            .flat_map(|t| [(t * tap_a) as i64, (t * case.k * b_step) as i64])
            .collect(),
        c: (0..case.m * ldc).map(|_| number(&mut seed)).collect(),
        ldc,
        b_step,
        b_panel,
    }
}

fn call(case: &Case, d: &Data, c: &mut [f32]) -> ContractCall {
    ContractCall {
        c: c.as_mut_ptr(),
        ldc: d.ldc as i64,
        m: case.m as i64,
        n: case.n as i64,
        init: case.init,
        bias: d.bias.as_ptr(),
        a: d.a.as_ptr(),
        rows: d.rows.as_ptr(),
        a_step: case.a_step as i64,
        taps: d.taps.as_ptr(),
        n_taps: case.n_taps as i64,
        k: case.k as i64,
        b: d.b.as_ptr(),
        b_step: d.b_step as i64,
        b_panel: d.b_panel as i64,
    }
}

/// The formula, chain by chain; `fused` picks FMA or multiply-then-add.
fn plain(case: &Case, d: &Data, fused: bool) -> Vec<f32> {
    let mut c = d.c.clone();
    for m in 0..case.m {
        for n in 0..case.n {
            let at = m * d.ldc + n;
            let mut sum = [0.0, c[at], d.bias[n]][case.init as usize];
            for t in 0..case.n_taps {
                for k in 0..case.k {
                    let a = d.a[(d.rows[m] + d.taps[2 * t]) as usize + k * case.a_step];
                    let b = d.b
                        [d.taps[2 * t + 1] as usize + n / 32 * d.b_panel + k * d.b_step + n % 32];
                    sum = if fused {
                        a.mul_add(b, sum)
                    } else {
                        sum + a * b
                    };
                }
            }
            c[at] = sum;
        }
    }
    c
}

fn cases() -> Vec<Case> {
    let mut out = Vec::new();
    for (i, m) in (1..=17).chain([48, 64]).enumerate() {
        for (j, n) in [1, 3, 8, 12, 16, 17, 31, 32, 33, 48, 64, 70, 128, 130]
            .into_iter()
            .enumerate()
        {
            let (n_taps, k) = [(1, 3), (9, 3), (9, 64), (2, 300), (1, 0), (27, 16)][(i + j) % 6];
            let a_step = if (i + j) % 2 == 0 { 1 } else { m + 2 };
            out.push(Case {
                m,
                n,
                n_taps,
                k,
                a_step,
                packed: (i * j) % 3 != 1,
                init: ((i + 2 * j) % 3) as i64,
            });
        }
    }
    // Weight gradients of wide layers, whose B is copied together first.
    for (m, n, n_taps, k) in [(48, 256, 9, 64), (40, 272, 2, 300), (33, 257, 27, 16)] {
        let a_step = m + 2;
        out.push(Case {
            m,
            n,
            n_taps,
            k,
            a_step,
            packed: false,
            init: 2,
        });
    }
    out
}

#[test]
fn every_level_is_one_chain_an_element() {
    for case in cases() {
        let d = make(&case);
        for level in Level::available() {
            let mut c = d.c.clone();
            // SAFETY: `make` gives each operand the elements that the formula names of this case, and the level is
            // available.
            unsafe { contract(level, &call(&case, &d, &mut c)) };
            let want = plain(&case, &d, level != Level::Portable);
            let same = c.iter().zip(&want).all(|(x, y)| x.to_bits() == y.to_bits());
            assert!(
                same,
                "{level:?} m {} n {} taps {} k {}",
                case.m, case.n, case.n_taps, case.k
            );
        }
    }
}

#[test]
fn chunks_cover_the_chain_in_order() {
    for (n_taps, k) in [
        (9, 64),
        (1, 57600),
        (180, 320),
        (27, 3),
        (0, 5),
        (5, 0),
        (3, 256),
    ] {
        let case = Case {
            m: 16,
            n: 32,
            n_taps,
            k,
            a_step: 1,
            packed: true,
            init: 0,
        };
        let d = make(&Case {
            n_taps: 1,
            k: 1,
            ..case
        });
        let mut c = d.c.clone();
        let call = ContractCall {
            n_taps: n_taps as i64,
            k: k as i64,
            ..call(&case, &d, &mut c)
        };
        let mut seen = Vec::new();
        let chunks = Chunks::of(&call, 2);
        for i in 0..chunks.count {
            let (t, s) = chunks.get(i);
            for tap in t.0..t.1 {
                seen.extend((s.0..s.1).map(|step| tap * k as i64 + step));
            }
        }
        assert!(
            seen.iter().copied().eq(0..(n_taps * k) as i64),
            "{n_taps} {k}"
        );
    }
}
