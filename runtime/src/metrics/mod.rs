//! How close two pictures are, and MATLAB's bicubic. Enters: pictures of 8-bit values. Leaves: decibels, similarity,
//! resized pictures. The conventions are those of published tables: luma of BT.601 in studio range, 255 as the peak,
//! the valid area of an 11x11 Gaussian window. No averaging over frames or clips happens here.

pub mod resize;

/// One channel of a picture, values 0 to 255, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    pub width: usize,
    pub height: usize,
    pub data: Vec<f32>,
}

impl Plane {
    pub fn new(width: usize, height: usize, data: Vec<f32>) -> Plane {
        assert_eq!(data.len(), width * height, "a plane of {width}x{height}");
        Plane {
            width,
            height,
            data,
        }
    }

    /// The picture without `border` pixels on each side.
    pub fn cropped(&self, border: usize) -> Plane {
        let (width, height) = (
            self.width.saturating_sub(2 * border),
            self.height.saturating_sub(2 * border),
        );
        let row = |y: usize| &self.data[(y + border) * self.width + border..][..width];
        let data = (0..height).flat_map(|y| row(y).iter().copied()).collect();
        Plane {
            width,
            height,
            data,
        }
    }

    /// Rounded to whole values and limited to 0..255, as storing in 8 bits does.
    pub fn to_8_bit(&self) -> Plane {
        let data = self
            .data
            .iter()
            .map(|v| v.round().clamp(0.0, 255.0))
            .collect();
        Plane { data, ..*self }
    }
}

/// Luma of BT.601 in studio range: 16 + 65.481 R + 128.553 G + 24.966 B for R, G, B of 0 to 1. Not rounded.
pub fn luma(rgb: &[u8], width: usize, height: usize) -> Plane {
    let y = |p: &[u8]| {
        let [r, g, b] = [0, 1, 2].map(|c| f64::from(p[c]) / 255.0);
        (16.0 + 65.481 * r + 128.553 * g + 24.966 * b) as f32
    };
    Plane::new(width, height, rgb.chunks_exact(3).map(y).collect())
}

/// The three channels of an RGB picture.
pub fn channels(rgb: &[u8], width: usize, height: usize) -> Vec<Plane> {
    let channel = |c: usize| rgb[c..].iter().step_by(3).map(|&v| f32::from(v)).collect();
    (0..3)
        .map(|c| Plane::new(width, height, channel(c)))
        .collect()
}

/// Peak signal to noise ratio in dB over all planes together; infinite for equal pictures.
pub fn psnr(a: &[Plane], b: &[Plane]) -> f64 {
    let (mut sum, mut n) = (0.0, 0usize);
    for (a, b) in a.iter().zip(b) {
        assert_eq!(
            (a.width, a.height),
            (b.width, b.height),
            "sizes of the pictures compared"
        );
        sum += a
            .data
            .iter()
            .zip(&b.data)
            .map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2))
            .sum::<f64>();
        n += a.data.len();
    }
    10.0 * (255.0 * 255.0 * n as f64 / sum).log10()
}

/// Structural similarity, mean over planes; `None` for pictures smaller than its 11x11 window.
/// cost: 110 multiplications a pixel
pub fn ssim(a: &[Plane], b: &[Plane]) -> Option<f64> {
    let each: Option<Vec<f64>> = a.iter().zip(b).map(|(a, b)| ssim_plane(a, b)).collect();
    each.filter(|e| !e.is_empty())
        .map(|e| e.iter().sum::<f64>() / e.len() as f64)
}

const WINDOW: usize = 11;

fn window() -> [f64; WINDOW] {
    let mut taps = std::array::from_fn(|i| (-((i as f64 - 5.0) / 1.5).powi(2) / 2.0).exp());
    let sum: f64 = taps.iter().sum();
    taps.iter_mut().for_each(|t| *t /= sum);
    taps
}

fn ssim_plane(a: &Plane, b: &Plane) -> Option<f64> {
    assert_eq!(
        (a.width, a.height),
        (b.width, b.height),
        "sizes of the pictures compared"
    );
    if a.width < WINDOW || a.height < WINDOW {
        return None;
    }
    let blurred = |f: &dyn Fn(f64, f64) -> f64| {
        let product: Vec<f64> = a
            .data
            .iter()
            .zip(&b.data)
            .map(|(x, y)| f(f64::from(*x), f64::from(*y)))
            .collect();
        blur(&product, a.width, a.height)
    };
    let (mean_a, mean_b) = (blurred(&|x, _| x), blurred(&|_, y| y));
    let (aa, bb, ab) = (
        blurred(&|x, _| x * x),
        blurred(&|_, y| y * y),
        blurred(&|x, y| x * y),
    );
    let (c1, c2) = ((0.01f64 * 255.0).powi(2), (0.03f64 * 255.0).powi(2));
    let mut sum = 0.0;
    for i in 0..mean_a.len() {
        let (ma, mb) = (mean_a[i], mean_b[i]);
        let (var_a, var_b, cov) = (aa[i] - ma * ma, bb[i] - mb * mb, ab[i] - ma * mb);
        sum += (2.0 * ma * mb + c1) * (2.0 * cov + c2)
            / ((ma * ma + mb * mb + c1) * (var_a + var_b + c2));
    }
    Some(sum / mean_a.len() as f64)
}

/// The Gaussian window over the valid area.
fn blur(data: &[f64], width: usize, height: usize) -> Vec<f64> {
    let taps = window();
    let out_height = height + 1 - WINDOW;
    let mut rows = vec![0.0; width * out_height];
    for (y, row) in rows.chunks_exact_mut(width).enumerate() {
        for (t, tap) in taps.iter().enumerate() {
            let source = &data[(y + t) * width..][..width];
            row.iter_mut().zip(source).for_each(|(o, s)| *o += tap * s);
        }
    }
    let out_width = width + 1 - WINDOW;
    let mut out = vec![0.0; out_width * out_height];
    for (out, row) in out
        .chunks_exact_mut(out_width)
        .zip(rows.chunks_exact(width))
    {
        for (t, tap) in taps.iter().enumerate() {
            out.iter_mut()
                .zip(&row[t..])
                .for_each(|(o, s)| *o += tap * s);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::resize::imresize;
    use super::*;

    fn golden() -> serde_json::Value {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/goldens/metrics/metrics.json"
        );
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn numbers(value: &serde_json::Value) -> Vec<f64> {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_f64().unwrap())
            .collect()
    }

    /// The pictures of `tests/goldens/metrics/make.py`.
    fn picture(width: usize, height: usize, seed: usize) -> Vec<u8> {
        let value = |x: usize, y: usize, c: usize| {
            let smooth = (x * 5 + y * 3 + c * 40) % 256;
            let rough = (((x * 73 + y * 151 + c * 31 + seed * 17) * 2654435761) >> 7) % 64;
            ((smooth * 3 / 4) + rough) as u8
        };
        (0..height)
            .flat_map(|y| (0..width).flat_map(move |x| [0, 1, 2].map(|c| value(x, y, c))))
            .collect()
    }

    #[test]
    fn metrics_agree_with_numpy_and_scikit_image() {
        let golden = golden();
        let (a, b) = (picture(37, 29, 1), picture(37, 29, 2));
        let (ya, yb) = (luma(&a, 37, 29), luma(&b, 37, 29));
        for (mine, theirs) in ya.data.iter().zip(numbers(&golden["luma"])) {
            assert!((f64::from(*mine) - theirs).abs() < 1e-4);
        }
        let expect = |key: &str, mine: f64| {
            let theirs = golden[key].as_f64().unwrap();
            assert!((mine - theirs).abs() < 1e-5, "{key}: {mine} and {theirs}");
        };
        expect(
            "psnr_y",
            psnr(std::slice::from_ref(&ya), std::slice::from_ref(&yb)),
        );
        expect(
            "psnr_rgb",
            psnr(&channels(&a, 37, 29), &channels(&b, 37, 29)),
        );
        expect("psnr_y_crop4", psnr(&[ya.cropped(4)], &[yb.cropped(4)]));
        expect("ssim_y", ssim(&[ya], &[yb]).unwrap());
        expect(
            "ssim_rgb",
            ssim(&channels(&a, 37, 29), &channels(&b, 37, 29)).unwrap(),
        );
    }

    #[test]
    fn bicubic_agrees_with_a_dense_matrix_in_numpy() {
        let golden = golden();
        let plane = channels(&picture(36, 28, 1), 36, 28).swap_remove(1);
        for (key, width, height) in [
            ("down4", 9, 7),
            ("down3", 12, 10),
            ("up2", 72, 56),
            ("up4", 144, 112),
            ("odd", 17, 13),
        ] {
            let mine = imresize(&plane, width, height);
            let theirs = numbers(&golden[key]);
            assert_eq!(mine.data.len(), width * height);
            assert_eq!(
                mine.data.len().div_ceil(5),
                theirs.len(),
                "{key}: every fifth value"
            );
            let worst = mine
                .data
                .iter()
                .step_by(5)
                .zip(&theirs)
                .map(|(a, b)| (f64::from(*a) - b).abs())
                .fold(0.0, f64::max);
            assert!(worst < 2e-3, "{key}: {worst}");
        }
    }

    #[test]
    fn equal_pictures_are_infinitely_close() {
        let a = channels(&picture(16, 16, 1), 16, 16);
        assert_eq!(psnr(&a, &a), f64::INFINITY);
        assert!((ssim(&a, &a).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(
            ssim(&[a[0].cropped(3)], &[a[0].cropped(3)]),
            None,
            "smaller than the window"
        );
    }
}
