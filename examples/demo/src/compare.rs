//! Bicubic, ours, the truth, side by side. Enters: a frame of each, of one size. Leaves: one picture of the place where the network
//! gains most, enlarged by repeating pixels, so that the difference can be seen and nothing is shown that is not there.

use vsr_runtime::picture::{Picture, beside};

/// Pixels of a frame that are shown; `beside` makes four of each along both axes.
const SHOWN: (usize, usize) = (64, 80);
/// Places are tried at multiples of this.
const STEP: usize = 8;

/// A frame of 8-bit RGB without its time.
pub struct Frames<'a> {
    pub size: (usize, usize),
    pub bicubic: &'a [u8],
    pub ours: &'a [u8],
    pub truth: &'a [u8],
}

impl Frames<'_> {
    /// The picture, and the corner of what it shows.
    pub fn compare(&self) -> (Picture, (usize, usize)) {
        let corner = self.best_corner();
        let crop = |rgb| cropped(rgb, self.size.0, corner, self.shown());
        let picture = beside(&[
            ("bicubic", crop(self.bicubic)),
            ("ours", crop(self.ours)),
            ("original", crop(self.truth)),
        ]);
        (picture, corner)
    }

    fn shown(&self) -> (usize, usize) {
        (SHOWN.0.min(self.size.0), SHOWN.1.min(self.size.1))
    }

    /// Where the squared error of bicubic falls most.
    fn best_corner(&self) -> (usize, usize) {
        let (w, h) = self.shown();
        let columns = (0..=self.size.0 - w).step_by(STEP);
        let rows = (0..=self.size.1 - h).step_by(STEP);
        let corners = rows.flat_map(|y| columns.clone().map(move |x| (x, y)));
        // The first of equal ones.
        let gains = corners.map(|corner| (self.gain(corner), std::cmp::Reverse(corner)));
        gains.max().map_or((0, 0), |(_, corner)| corner.0)
    }

    fn gain(&self, corner: (usize, usize)) -> i64 {
        let (w, h) = self.shown();
        let rows = (corner.1..corner.1 + h).map(|y| 3 * (y * self.size.0 + corner.0));
        rows.flat_map(|start| start..start + 3 * w)
            .map(|i| error(self.bicubic[i], self.truth[i]) - error(self.ours[i], self.truth[i]))
            .sum()
    }
}

fn error(a: u8, b: u8) -> i64 {
    (i64::from(a) - i64::from(b)).pow(2)
}

fn cropped(rgb: &[u8], width: usize, (x, y): (usize, usize), (w, h): (usize, usize)) -> Picture {
    let rows = (y..y + h).flat_map(|row| &rgb[3 * (row * width + x)..][..3 * w]);
    Picture {
        width: w,
        height: h,
        rgb: rows.copied().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ours is right in one block alone, and bicubic nowhere.
    #[test]
    fn the_place_that_gains_most_is_shown() {
        let size = (160, 120);
        let truth = vec![100; 3 * size.0 * size.1];
        let bicubic = vec![90; truth.len()];
        let mut ours = bicubic.clone();
        for y in 32..112 {
            ours[3 * (y * size.0 + 88)..][..3 * 64].fill(100);
        }
        let frames = Frames {
            size,
            bicubic: &bicubic,
            ours: &ours,
            truth: &truth,
        };
        let (picture, corner) = frames.compare();
        assert_eq!(corner, (88, 32));
        assert!(picture.width >= 3 * 4 * 64 && picture.height >= 4 * 80);
    }

    /// Frames smaller than what is shown are shown whole.
    #[test]
    fn small_frames_are_shown_whole() {
        let rgb = vec![0; 3 * 32 * 24];
        let frames = Frames {
            size: (32, 24),
            bicubic: &rgb,
            ours: &rgb,
            truth: &rgb,
        };
        assert_eq!(frames.compare().1, (0, 0));
    }
}
