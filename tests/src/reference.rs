//! Weights of the reference networks: a function of key and shape, the same as in `tests/goldens/make_networks.py`.
//!
//! Nothing is read; the same key gives the same numbers everywhere.

/// The 64-bit hash of Fowler, Noll and Vo.
pub fn fnv(text: &str) -> u64 {
    let step = |h: u64, b: u8| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Numbers in [-1, 1): splitmix64 from the key's hash, as in `make_networks.py`.
pub fn noise(key: &str, n: usize) -> Vec<f64> {
    let mut state = fnv(key);
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) >> 40) as f64 / f64::from(1 << 23) - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn count(shape: &[i64]) -> usize {
    shape.iter().product::<i64>() as usize
}

/// A weight that keeps the size of what passes through it.
pub fn weight(key: &str, shape: &[i64]) -> Vec<f64> {
    let u = noise(key, count(shape));
    let round = |x: f64| f64::from(x as f32);
    if shape.len() >= 2 {
        let inputs = count(&shape[1..]) as f64;
        let scale = (0.5 + 0.5 * (4.5 / inputs).log2()).floor().exp2();
        u.iter().map(|x| round(x * scale)).collect()
    } else if key.ends_with("weight") {
        u.iter().map(|x| round(1.0 + 0.25 * x)).collect()
    } else {
        u.iter().map(|x| round(0.125 * x)).collect()
    }
}
