//! Random numbers by counter: Philox4x32-10 (Salmon and others, 2011), as the runtime computes them.
//!
//! Number `index` of a (seed, step, key) is always the same. Block `index / 4` is the counter's low half, the step its
//! high half; seed and key, mixed, are Philox's key. Nothing here keeps a state.

const M: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const W: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

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
fn mix(seed: u64, key: u64) -> u64 {
    let mut z = seed
        .wrapping_add(key.rotate_left(32))
        .wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ key ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// One run's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stream {
    pub seed: u64,
    pub step: u64,
}

impl Stream {
    /// Number `index` of `key`: uniform in [0, 1), or standard normal (Box and Muller, in pairs).
    pub fn number(&self, key: u64, normal: bool, index: u64) -> f64 {
        let mixed = mix(self.seed, key);
        let block = index / 4;
        let counter = [
            block as u32,
            (block >> 32) as u32,
            self.step as u32,
            (self.step >> 32) as u32,
        ];
        let words = philox(counter, [mixed as u32, (mixed >> 32) as u32]);
        let lane = (index % 4) as usize;
        if !normal {
            return unit(words[lane]);
        }
        let (a, b) = (words[lane & 2], words[(lane & 2) + 1]);
        let radius = libm::sqrt(-2.0 * libm::log(f64::from((a >> 8) + 1) / 16_777_216.0));
        let angle = unit(b) * std::f64::consts::TAU;
        let turn = [libm::cos(angle), libm::sin(angle)];
        radius * turn[lane & 1]
    }
}

fn unit(word: u32) -> f64 {
    f64::from(word >> 8) / 16_777_216.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors() {
        assert_eq!(
            philox([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
    }

    #[test]
    fn moments() {
        let stream = Stream { seed: 3, step: 5 };
        let n = 4096;
        let draw = |normal| (0..n).map(move |i| stream.number(9, normal, i));
        let mean: f64 = draw(true).sum::<f64>() / n as f64;
        let square: f64 = draw(true).map(|x| x * x).sum::<f64>() / n as f64;
        assert!(
            mean.abs() < 0.05 && (square - 1.0).abs() < 0.08,
            "{mean} {square}"
        );
        assert!(draw(false).all(|x| (0.0..1.0).contains(&x)));
    }
}
