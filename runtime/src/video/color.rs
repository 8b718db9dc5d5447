//! Y'CbCr planes to 8-bit RGB and back, in fixed point. Enters: planes of one of the layouts below, a matrix and a
//! range. Leaves: rows of RGB triples, or planes. Chroma is interpolated linearly and filtered at the place where it is
//! sited, the same both ways. No other colour science happens here: transfer curves and primaries stay as they are.

use super::Result;
use crate::memory;

/// Where the chroma samples lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// 4:2:0, on the left column of each 2x2 block, between its rows (MPEG-2, H.264).
    Half,
    /// 4:2:0, in the middle of each 2x2 block (JPEG).
    HalfCentred,
    /// 4:2:2, on the left column.
    Wide,
    /// 4:4:4.
    Full,
    /// Luma only.
    Mono,
}

impl Layout {
    /// Width and height of a chroma plane.
    pub fn chroma_size(self, width: usize, height: usize) -> (usize, usize) {
        match self {
            Layout::Half | Layout::HalfCentred => (width.div_ceil(2), height.div_ceil(2)),
            Layout::Wide => (width.div_ceil(2), height),
            Layout::Full => (width, height),
            Layout::Mono => (0, 0),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matrix {
    Bt601,
    Bt709,
    Bt2020,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coding {
    pub matrix: Matrix,
    /// 0..255 instead of 16..235.
    pub full_range: bool,
}

impl Coding {
    /// What players assume when a stream says nothing: BT.709 from 720p on, BT.601 below.
    pub fn assumed(width: usize, height: usize) -> Coding {
        let matrix = if width >= 1280 || height >= 720 {
            Matrix::Bt709
        } else {
            Matrix::Bt601
        };
        Coding {
            matrix,
            full_range: false,
        }
    }

    fn weights(self) -> (f64, f64) {
        match self.matrix {
            Matrix::Bt601 => (0.299, 0.114),
            Matrix::Bt709 => (0.2126, 0.0722),
            Matrix::Bt2020 => (0.2627, 0.0593),
        }
    }

    fn scales(self) -> (f64, f64, i32) {
        if self.full_range {
            (255.0, 255.0, 0)
        } else {
            (219.0, 224.0, 16)
        }
    }
}

/// Borrowed planes, each with its distance between rows.
#[derive(Clone, Copy)]
pub struct Planes<'a> {
    pub y: &'a [u8],
    pub u: &'a [u8],
    pub v: &'a [u8],
    pub y_stride: usize,
    pub c_stride: usize,
    pub layout: Layout,
}

/// Owned planes without padding between rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaneBuffer {
    pub y: Vec<u8>,
    pub u: Vec<u8>,
    pub v: Vec<u8>,
}

/// RGB of a `width` x `height` picture.
/// cost: about 20 operations a pixel
pub fn to_rgb(planes: &Planes, width: usize, height: usize, coding: Coding) -> Result<Vec<u8>> {
    let mut rgb = memory::zeroed(width * height * 3, "a frame")?;
    let mut u = memory::zeroed(width, "a frame")?;
    u.fill(2048);
    let mut v = u.clone();
    let decode = Decode::new(coding);
    for (row, out) in rgb.chunks_exact_mut(width * 3).enumerate() {
        if planes.layout != Layout::Mono {
            chroma_row(planes.u, planes, row, width, height, &mut u);
            chroma_row(planes.v, planes, row, width, height, &mut v);
        }
        let y = &planes.y[row * planes.y_stride..][..width];
        for (((out, &y), &u), &v) in out.chunks_exact_mut(3).zip(y).zip(&u).zip(&v) {
            decode.pixel(y, u, v, out);
        }
    }
    Ok(rgb)
}

/// Factors in 1/65536; chroma comes in sixteenths.
struct Decode {
    y: i32,
    y_zero: i32,
    rv: i32,
    gu: i32,
    gv: i32,
    bu: i32,
}

impl Decode {
    fn new(coding: Coding) -> Decode {
        let (kr, kb) = coding.weights();
        let kg = 1.0 - kr - kb;
        let (y_scale, c_scale, y_zero) = coding.scales();
        let fixed = |x: f64| (x * 65536.0).round() as i32;
        let c = 255.0 / c_scale * 2.0;
        Decode {
            y: fixed(255.0 / y_scale),
            y_zero,
            rv: fixed(c * (1.0 - kr)),
            gu: fixed(-c * (1.0 - kb) * kb / kg),
            gv: fixed(-c * (1.0 - kr) * kr / kg),
            bu: fixed(c * (1.0 - kb)),
        }
    }

    #[inline]
    fn pixel(&self, y: u8, u: i32, v: i32, out: &mut [u8]) {
        let luma = self.y * (i32::from(y) - self.y_zero) * 16 + (1 << 19);
        let (u, v) = (u - 2048, v - 2048);
        out[0] = ((luma + self.rv * v) >> 20).clamp(0, 255) as u8;
        out[1] = ((luma + self.gu * u + self.gv * v) >> 20).clamp(0, 255) as u8;
        out[2] = ((luma + self.bu * u) >> 20).clamp(0, 255) as u8;
    }
}

/// One row of chroma at full width, in sixteenths.
fn chroma_row(
    plane: &[u8],
    planes: &Planes,
    row: usize,
    width: usize,
    height: usize,
    out: &mut [i32],
) {
    let (c_width, c_height) = planes.layout.chroma_size(width, height);
    let line = |r: usize| &plane[r * planes.c_stride..][..c_width];
    if planes.layout == Layout::Full {
        for (out, &c) in out.iter_mut().zip(line(row)) {
            *out = i32::from(c) * 16;
        }
        return;
    }
    let (near, far) = match planes.layout {
        Layout::Wide => (row, row),
        _ if row.is_multiple_of(2) => (row / 2, (row / 2).saturating_sub(1)),
        _ => (row / 2, (row / 2 + 1).min(c_height - 1)),
    };
    let (near, far) = (line(near), line(far));
    let at = |x: usize| 3 * i32::from(near[x]) + i32::from(far[x]);
    for (x, out) in out.iter_mut().enumerate() {
        let here = x / 2;
        let next = (here + 1).min(c_width - 1);
        *out = match (planes.layout, x % 2) {
            (Layout::HalfCentred, 0) => 3 * at(here) + at(here.saturating_sub(1)),
            (Layout::HalfCentred, _) => 3 * at(here) + at(next),
            (_, 0) => 4 * at(here),
            _ => 2 * (at(here) + at(next)),
        };
    }
}

/// Planes of a picture; `layout` is `Half` or `Full`.
pub fn from_rgb(
    rgb: &[u8],
    width: usize,
    height: usize,
    layout: Layout,
    coding: Coding,
) -> Result<PlaneBuffer> {
    let encode = Encode::new(coding);
    let (c_width, c_height) = layout.chroma_size(width, height);
    let mut buffer = PlaneBuffer::default();
    memory::reserve(&mut buffer.y, width * height, "a frame")?;
    memory::reserve(&mut buffer.u, c_width * c_height, "a frame")?;
    memory::reserve(&mut buffer.v, c_width * c_height, "a frame")?;
    let luma = |p: &[u8]| encode.luma(i32::from(p[0]), i32::from(p[1]), i32::from(p[2]));
    buffer.y.extend(rgb.chunks_exact(3).map(luma));
    if layout == Layout::Full {
        for p in rgb.chunks_exact(3) {
            let eight = [p[0], p[1], p[2]].map(|c| i32::from(c) * 8);
            buffer.push_chroma(&encode, eight);
        }
        return Ok(buffer);
    }
    let mut sums = memory::zeroed::<[i32; 3]>(width, "a frame")?;
    for row in 0..c_height {
        let upper = &rgb[2 * row * width * 3..][..width * 3];
        let lower = &rgb[(2 * row + 1).min(height - 1) * width * 3..][..width * 3];
        for ((sum, a), b) in sums
            .iter_mut()
            .zip(upper.chunks_exact(3))
            .zip(lower.chunks_exact(3))
        {
            *sum = [0, 1, 2].map(|c| i32::from(a[c]) + i32::from(b[c]));
        }
        for x in 0..c_width {
            let (left, here, right) = (
                sums[(2 * x).saturating_sub(1)],
                sums[2 * x],
                sums[(2 * x + 1).min(width - 1)],
            );
            buffer.push_chroma(&encode, [0, 1, 2].map(|c| left[c] + 2 * here[c] + right[c]));
        }
    }
    Ok(buffer)
}

impl PlaneBuffer {
    fn push_chroma(&mut self, encode: &Encode, eight: [i32; 3]) {
        self.u.push(encode.chroma(encode.u, eight));
        self.v.push(encode.chroma(encode.v, eight));
    }
}

struct Encode {
    y: [i32; 3],
    u: [i32; 3],
    v: [i32; 3],
    y_zero: i32,
}

impl Encode {
    fn new(coding: Coding) -> Encode {
        let (kr, kb) = coding.weights();
        let kg = 1.0 - kr - kb;
        let (y_scale, c_scale, y_zero) = coding.scales();
        let fixed = |x: f64, scale: f64| (x * scale / 255.0 * 65536.0).round() as i32;
        // The middle factor closes the sum, so that grey stays grey.
        let rows = |a: f64, c: f64, total: i32, scale: f64| {
            let (a, c) = (fixed(a, scale), fixed(c, scale));
            [a, total - a - c, c]
        };
        let u = [-kr / (1.0 - kb) / 2.0, -kg / (1.0 - kb) / 2.0, 0.5];
        let v = [0.5, -kg / (1.0 - kr) / 2.0, -kb / (1.0 - kr) / 2.0];
        Encode {
            y: rows(kr, kb, fixed(1.0, y_scale), y_scale),
            u: rows(u[0], u[2], 0, c_scale),
            v: rows(v[0], v[2], 0, c_scale),
            y_zero,
        }
    }

    #[inline]
    fn luma(&self, r: i32, g: i32, b: i32) -> u8 {
        ((self.y[0] * r + self.y[1] * g + self.y[2] * b + (1 << 15)) >> 16)
            .saturating_add(self.y_zero)
            .clamp(0, 255) as u8
    }

    /// Of eight times the mean colour.
    #[inline]
    fn chroma(&self, factors: [i32; 3], eight: [i32; 3]) -> u8 {
        let sum = factors[0] * eight[0] + factors[1] * eight[1] + factors[2] * eight[2];
        (((sum + (1 << 18)) >> 19) + 128).clamp(0, 255) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planes(buffer: &PlaneBuffer, width: usize, layout: Layout) -> Planes<'_> {
        let c_stride = layout.chroma_size(width, 1).0;
        Planes {
            y: &buffer.y,
            u: &buffer.u,
            v: &buffer.v,
            y_stride: width,
            c_stride,
            layout,
        }
    }

    #[test]
    fn published_colours_of_each_matrix() {
        let red = [255, 0, 0];
        let of = |matrix, full_range| {
            let b = from_rgb(&red, 1, 1, Layout::Full, Coding { matrix, full_range }).unwrap();
            (b.y[0], b.u[0], b.v[0])
        };
        assert_eq!(of(Matrix::Bt601, false), (81, 90, 240));
        assert_eq!(of(Matrix::Bt709, false), (63, 102, 240));
        assert_eq!(of(Matrix::Bt601, true), (76, 85, 255));
    }

    #[test]
    fn full_chroma_returns_within_rounding() {
        let rgb: Vec<u8> = (0..32 * 8 * 3).map(|i| (i * 37 % 256) as u8).collect();
        for matrix in [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020] {
            let coding = Coding {
                matrix,
                full_range: false,
            };
            let back = to_rgb(
                &planes(
                    &from_rgb(&rgb, 32, 8, Layout::Full, coding).unwrap(),
                    32,
                    Layout::Full,
                ),
                32,
                8,
                coding,
            )
            .unwrap();
            let worst = rgb.iter().zip(&back).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(worst <= Some(2), "{matrix:?}: {worst:?}");
        }
    }

    #[test]
    fn half_chroma_keeps_grey_and_ramps_at_any_size() {
        for (width, height) in [(1, 1), (3, 5), (16, 2)] {
            let grey: Vec<u8> = (0..width * height)
                .flat_map(|i| [(i * 9 % 256) as u8; 3])
                .collect();
            let coding = Coding::assumed(width, height);
            let back = to_rgb(
                &planes(
                    &from_rgb(&grey, width, height, Layout::Half, coding).unwrap(),
                    width,
                    Layout::Half,
                ),
                width,
                height,
                coding,
            )
            .unwrap();
            let worst = grey.iter().zip(&back).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(worst <= Some(1), "{width}x{height}: {worst:?}");
        }
        // A linear ramp of colour survives exactly where the filters see no border: the siting agrees both ways.
        let ramp: Vec<u8> = (0..8)
            .flat_map(|_| (0..64).flat_map(|x| [x * 3, 96, 192 - x * 2]))
            .collect();
        let coding = Coding::assumed(64, 8);
        let back = to_rgb(
            &planes(
                &from_rgb(&ramp, 64, 8, Layout::Half, coding).unwrap(),
                64,
                Layout::Half,
            ),
            64,
            8,
            coding,
        )
        .unwrap();
        for x in 2..60 {
            for c in 0..3 {
                let at = (4 * 64 + x) * 3 + c;
                assert!(
                    ramp[at].abs_diff(back[at]) <= 3,
                    "column {x}: {} {}",
                    ramp[at],
                    back[at]
                );
            }
        }
    }
}
