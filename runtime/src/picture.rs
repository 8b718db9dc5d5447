//! Pictures side by side under captions, for people to look at. Enters: frames of 8-bit RGB with a word each. Leaves:
//! one frame. Small pictures are enlarged by repeating pixels, so that nothing is shown that is not there.

/// A frame of 8-bit RGB.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    pub width: usize,
    pub height: usize,
    pub rgb: Vec<u8>,
}

/// White around captions and between pictures, at least.
const GAP: usize = 6;
const WHITE: u8 = 255;
const INK: u8 = 40;
/// Pictures narrower than this are shown larger.
const COMFORTABLE: usize = 256;

/// All pictures in a row, at the top, each under its caption.
pub fn beside(pictures: &[(&str, Picture)]) -> Picture {
    let widest = pictures.iter().map(|p| p.1.width).max().unwrap_or(0);
    let zoom = (COMFORTABLE / widest.max(1)).clamp(1, 16);
    let shown: Vec<(&str, Picture)> = pictures
        .iter()
        .map(|(c, p)| (*c, enlarge(p, zoom)))
        .collect();
    // Letters grow with the pictures, as far as the longest caption fits.
    let letter = shown
        .iter()
        .map(|(c, p)| p.width / text_width(c).max(1))
        .min();
    let letter = letter.unwrap_or(1).clamp(1, 1 + widest * zoom / 200);
    let top = GAP + letter * GLYPH_HEIGHT + GAP / 2;
    let mut out = Picture::blank(
        shown
            .iter()
            .map(|(_, p)| p.width + GAP)
            .sum::<usize>()
            .saturating_sub(GAP),
        top + shown.iter().map(|(_, p)| p.height).max().unwrap_or(0),
    );
    let mut left = 0;
    for (caption, picture) in &shown {
        let margin = picture.width.saturating_sub(letter * text_width(caption)) / 2;
        out.write(caption, left + margin, GAP, letter);
        out.paste(picture, left, top);
        left += picture.width + GAP;
    }
    out
}

fn enlarge(picture: &Picture, zoom: usize) -> Picture {
    let mut out = Picture::blank(picture.width * zoom, picture.height * zoom);
    for (i, pixel) in out.rgb.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (x, y) = (
            i % (picture.width * zoom) / zoom,
            i / (picture.width * zoom) / zoom,
        );
        pixel.copy_from_slice(&picture.rgb[3 * (y * picture.width + x)..][..3]);
    }
    out
}

impl Picture {
    fn blank(width: usize, height: usize) -> Picture {
        Picture {
            width,
            height,
            rgb: vec![WHITE; width * height * 3],
        }
    }

    /// What lies outside is left out.
    fn set(&mut self, x: usize, y: usize, rgb: [u8; 3]) {
        if x < self.width && y < self.height {
            let at = 3 * (y * self.width + x);
            self.rgb[at..at + 3].copy_from_slice(&rgb);
        }
    }

    fn paste(&mut self, picture: &Picture, left: usize, top: usize) {
        for (i, rgb) in picture.rgb.as_chunks::<3>().0.iter().enumerate() {
            self.set(left + i % picture.width, top + i / picture.width, *rgb);
        }
    }

    /// Writes text with its upper left corner there; `size` pixels for each dot of a letter.
    fn write(&mut self, text: &str, left: usize, top: usize, size: usize) {
        for (n, c) in text.chars().enumerate() {
            for (y, row) in glyph(c).iter().enumerate() {
                let dots = row.bytes().enumerate().filter(|d| d.1 == b'#');
                for (x, _) in dots {
                    let (x0, y0) = (left + (n * ADVANCE + x) * size, top + y * size);
                    for i in 0..size * size {
                        self.set(x0 + i % size, y0 + i / size, [INK; 3]);
                    }
                }
            }
        }
    }
}

const GLYPH_WIDTH: usize = 5;
const GLYPH_HEIGHT: usize = 9;
const ADVANCE: usize = GLYPH_WIDTH + 1;

/// Dots of a text along a row.
fn text_width(text: &str) -> usize {
    (text.chars().count() * ADVANCE).saturating_sub(1)
}

/// Rows of dots: seven above the base line, two below it.
fn glyph(c: char) -> [&'static str; GLYPH_HEIGHT] {
    let at = LETTERS.chars().position(|l| l == c.to_ascii_lowercase());
    at.map_or([""; GLYPH_HEIGHT], |n| {
        DOTS.map(|row| &row[n * ADVANCE..][..GLYPH_WIDTH])
    })
}

const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz0123456789.-";
#[rustfmt::skip]
const DOTS: [&str; GLYPH_HEIGHT] = [
    "      #               #         ##        #       #      #  #      ##                                              #                                         ###    #    ###  #####    #  #####   ##  #####  ###   ###              ",
    "      #               #        #  #       #                 #       #                                              #                                        #   #  ##   #   #    #    ##  #      #        # #   # #   #             ",
    " ###  # ##   ###   ## #  ###   #     #### # ##   ##     ##  #  #    #   ## #  # ##   ###  ####   ## # # ##   ###  ###   #   # #   # #   # #   # #   # ##### #  ##   #       #   #    # #  ####  #        #  #   # #   #             ",
    "    # ##  # #     #  ## #   # ###   #   # ##  #   #      #  # #     #   # # # ##  # #   # #   # #  ## ##  # #      #    #   # #   # #   #  # #  #   #    #  # # #   #      #     #  #  #      # ####    #    ###   ####       ##### ",
    " #### #   # #     #   # #####  #    #   # #   #   #      #  ##      #   # # # #   # #   # #   # #   # #      ###   #    #   # #   # # # #   #   #   #   #   ##  #   #     #       # #####     # #   #  #    #   #     #             ",
    "#   # #   # #   # #   # #      #    #   # #   #   #      #  # #     #   #   # #   # #   # ##  # #  ## #         #  #  # #  ##  # #  # # #  # #  #  ##  #    #   #   #    #    #   #    #  #   # #   #  #    #   #    #   ##         ",
    " #### ####   ###   ####  ###   #     #### #   #  ###     #  #  #   ###  #   # #   #  ###  # ##   ## # #     ####    ##   ## #   #    # #  #   #  ## # #####  ###   ###  #####  ###     #   ###   ###   #     ###   ##    ##         ",
    "                                        #             #  #                                #         #                                               #                                                                               ",
    "                                     ###               ##                                 #         #                                            ###                                                                                ",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_has_dots_of_its_own() {
        assert!(DOTS.iter().all(|row| row.len() == LETTERS.len() * ADVANCE));
        let all: Vec<_> = LETTERS.chars().map(glyph).collect();
        for (i, a) in all.iter().enumerate() {
            assert!(a.iter().any(|row| row.contains('#')));
            assert!(all[..i].iter().all(|b| a != b), "letter {i}");
        }
        assert_eq!(glyph('B'), glyph('b'));
        assert_eq!(glyph('€'), [""; GLYPH_HEIGHT]);
    }

    #[test]
    fn pictures_stand_beside_each_other_unchanged_under_captions() {
        let picture = |v: u8| Picture {
            width: 150,
            height: 3,
            rgb: (0..1350).map(|i| (i % 100) as u8 + v).collect(),
        };
        let out = beside(&[("ours", picture(0)), ("target", picture(100))]);
        assert_eq!((out.width, out.height - 3), (306, 6 + 9 + 3));
        let row = |y: usize| &out.rgb[(out.height - 3 + y) * 918..][..918];
        assert_eq!(row(1)[..450], picture(0).rgb[450..900]);
        assert_eq!(row(1)[450..468], [WHITE; 18]);
        assert_eq!(row(2)[468..], picture(100).rgb[900..]);
        let ink = |half: usize| {
            let of = |y: usize| &out.rgb[y * 918 + half * 468..][..450];
            (0..18).flat_map(of).filter(|v| **v == INK).count()
        };
        let dots = |text: &str| {
            3 * text
                .chars()
                .flat_map(glyph)
                .flat_map(str::chars)
                .filter(|c| *c == '#')
                .count()
        };
        assert_eq!([ink(0), ink(1)], ["ours", "target"].map(dots));
    }

    #[test]
    fn small_pictures_are_enlarged_dot_by_dot_and_long_captions_cut() {
        let small = Picture {
            width: 2,
            height: 1,
            rgb: vec![1, 2, 3, 4, 5, 6],
        };
        let out = beside(&[("a caption longer than the picture", small)]);
        assert_eq!(out.width, 32);
        let last = &out.rgb[(out.height - 1) * 96..];
        assert_eq!(
            (&last[..3], &last[45..51], &last[93..]),
            (&[1, 2, 3][..], &[1, 2, 3, 4, 5, 6][..], &[4, 5, 6][..])
        );
    }
}
