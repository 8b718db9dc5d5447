//! Whether a JPEG file is all there. Enters: its bytes. Leaves: yes or no; decoders paint grey what is missing, and say
//! nothing. No pixel is decoded here.

const FILL: u8 = 0xff;
const START: u8 = 0xd8;
const END: u8 = 0xd9;
/// Markers that no length follows: restarts, and one that means nothing.
const BARE: [u8; 9] = [0x01, 0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7];

/// A JPEG that ends before its end marker. What is no JPEG is not cut.
pub fn is_cut_short(bytes: &[u8]) -> bool {
    match bytes.strip_prefix(&[FILL, START, FILL]) {
        Some(rest) => !has_end(&bytes[bytes.len() - rest.len() - 1..]),
        None => false,
    }
}

/// Walks from marker to marker. Thumbnails lie inside segments, so their end is not taken for the picture's.
fn has_end(mut rest: &[u8]) -> bool {
    loop {
        let Some(at) = rest
            .windows(2)
            .position(|w| w[0] == FILL && is_marker(w[1]))
        else {
            return false;
        };
        let (marker, tail) = (rest[at + 1], &rest[at + 2..]);
        rest = match marker {
            END => return true,
            bare if BARE.contains(&bare) => tail,
            // Coded data follows the head of a scan: its bytes of 255 are no markers.
            _ => match tail.first_chunk().map(|n| u16::from_be_bytes(*n)) {
                Some(length) if usize::from(length) <= tail.len() => &tail[usize::from(length)..],
                _ => return false,
            },
        };
    }
}

/// 0 stuffs a byte of 255 within coded data, 255 fills.
fn is_marker(byte: u8) -> bool {
    byte != 0 && byte != FILL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pictures_own_end_counts() {
        let thumbnail = [0xff, 0xe1, 0, 6, 0xff, 0xd9, 1, 2];
        let scan = [0xff, 0xda, 0, 3, 0, 7, 0xff, 0, 8, 0xff, 0xd0, 9];
        let whole = [
            &[0xff, 0xd8][..],
            &thumbnail,
            &scan,
            &[0xff, 0xff, 0xd9, 0, 0],
        ]
        .concat();
        assert!(!is_cut_short(&whole), "what follows the end does not count");
        for length in 3..whole.len() - 2 {
            assert!(is_cut_short(&whole[..length]), "{length}");
        }
        assert!(!is_cut_short(b"\x89PNG") && !is_cut_short(&[]));
    }
}
