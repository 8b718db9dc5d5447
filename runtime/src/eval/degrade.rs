//! The small pictures of published tables. Enters: 8-bit RGB whose size the scale divides. Leaves: 8-bit RGB.

use crate::metrics::resize::imresize_rgb;
use crate::metrics::{Plane, channels};
use crate::upscale::tiles::mirror;
use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Degradation {
    /// MATLAB's `imresize`, bicubic.
    #[serde(rename = "BI")]
    Bicubic,
    /// A Gaussian of deviation 1.6 on 13x13 pixels, then every s-th pixel from the first.
    #[serde(rename = "BD")]
    Blur,
}

impl std::fmt::Display for Degradation {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(if *self == Degradation::Bicubic {
            "BI"
        } else {
            "BD"
        })
    }
}

impl std::str::FromStr for Degradation {
    type Err = String;

    fn from_str(text: &str) -> Result<Degradation, String> {
        match text.to_ascii_uppercase().as_str() {
            "BI" => Ok(Degradation::Bicubic),
            "BD" => Ok(Degradation::Blur),
            _ => Err(format!(
                "there is no protocol {text}: BI (bicubic) and BD (blur, every s-th pixel) are known"
            )),
        }
    }
}

impl Degradation {
    pub fn apply(self, rgb: &[u8], width: usize, height: usize, scale: usize) -> Vec<u8> {
        let (small_width, small_height) = (width / scale, height / scale);
        if self == Degradation::Bicubic {
            return imresize_rgb(rgb, (width, height), (small_width, small_height));
        }
        let mut out = vec![0; small_width * small_height * 3];
        for (c, plane) in channels(rgb, width, height).iter().enumerate() {
            let small = blur_and_pick(plane, scale);
            out[c..]
                .iter_mut()
                .step_by(3)
                .zip(small)
                .for_each(|(o, v)| *o = v.round().clamp(0.0, 255.0) as u8);
        }
        out
    }
}

const REACH: i64 = 6;

fn blur_and_pick(plane: &Plane, scale: usize) -> Vec<f32> {
    let mut taps: Vec<f32> = (-REACH..=REACH)
        .map(|i| (-(i as f32 / 1.6).powi(2) / 2.0).exp())
        .collect();
    let sum: f32 = taps.iter().sum();
    taps.iter_mut().for_each(|t| *t /= sum);
    let (small_width, small_height) = (plane.width / scale, plane.height / scale);
    let mut out = Vec::with_capacity(small_width * small_height);
    let mut row = vec![0.0; plane.width];
    for y in 0..small_height {
        row.fill(0.0);
        for (tap, i) in taps.iter().zip(-REACH..) {
            let source = mirror((y * scale) as i64 + i, plane.height) * plane.width;
            row.iter_mut()
                .zip(&plane.data[source..])
                .for_each(|(o, v)| *o += tap * v);
        }
        let at = |x: usize, i: i64| row[mirror((x * scale) as i64 + i, plane.width)];
        out.extend((0..small_width).map(|x| {
            taps.iter()
                .zip(-REACH..)
                .map(|(tap, i)| tap * at(x, i))
                .sum::<f32>()
        }));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blur_keeps_flat_fields_and_spreads_points() {
        assert_eq!(
            Degradation::Blur.apply(&[77; 24 * 16 * 3], 24, 16, 4),
            vec![77; 6 * 4 * 3]
        );
        let mut point = vec![0u8; 24 * 24 * 3];
        point[(12 * 24 + 12) * 3] = 255;
        let small = Degradation::Blur.apply(&point, 24, 24, 4);
        // 255 · g(0)² at the picked pixel, 255 · g(0) g(4) beside it; the sum of exp(-x²/5.12) over -6..6 is 4.0101.
        assert_eq!(small[(3 * 6 + 3) * 3], 16);
        assert_eq!(small[(3 * 6 + 4) * 3], 1);
    }

    #[test]
    fn names() {
        assert_eq!("bd".parse(), Ok(Degradation::Blur));
        assert!("BX".parse::<Degradation>().is_err());
    }
}
