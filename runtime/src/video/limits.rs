//! How large a frame may be. Enters: the size that a file states, before anything of that size is made. Leaves:
//! nothing, or one sentence. A file of a few bytes can state any size: none is believed.

use super::{MediaError, Result};
use crate::memory;
use std::path::Path;
use vsr_artifact::shown_path;

/// What a file's frames may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of one frame.
    pub pixels: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            pixels: Limits::DEFAULT_PIXELS,
        }
    }
}

impl Limits {
    /// 8192 x 8192: more than 8K video, and most photographs.
    pub const DEFAULT_PIXELS: u64 = 1 << 26;

    /// Checks the size of a frame and the memory that reading one takes, which is `bytes_a_pixel` times as much.
    pub fn check(
        &self,
        path: &Path,
        width: usize,
        height: usize,
        bytes_a_pixel: u64,
    ) -> Result<()> {
        if width == 0 || height == 0 {
            let why = format!("states frames of {width}x{height} pixels");
            return Err(MediaError::file(path, why));
        }
        let pixels = (width as u64).saturating_mul(height as u64);
        if pixels > self.pixels {
            let limit = self.pixels;
            return Err(MediaError::file(
                path,
                format!(
                    "has frames of {width}x{height}, {pixels} pixels, and the limit is {limit}: raise it with \
                        --limit-pixels {pixels}"
                ),
            ));
        }
        let what = format!("a frame of {width}x{height} of {}", shown_path(path));
        memory::check(pixels.saturating_mul(bytes_a_pixel), &what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_checked_against_the_limit_and_the_memory() {
        let said = |pixels: u64, size: (usize, usize), bytes: u64| {
            let checked = Limits { pixels }.check(Path::new("a.png"), size.0, size.1, bytes);
            checked.err().map(|e| (e.is_user(), e.to_string()))
        };
        assert_eq!(said(100, (10, 10), 3), None);
        let (user, text) = said(100, (10, 11), 3).unwrap();
        assert!(
            user && text.contains("a.png") && text.contains("--limit-pixels 110"),
            "{text}"
        );
        let (user, text) = said(u64::MAX, (1 << 30, 1 << 30), 3).unwrap();
        assert!(!user && text.contains("not enough memory"), "{text}");
        let (user, _) = said(u64::MAX, (usize::MAX, usize::MAX), u64::MAX).unwrap();
        assert!(!user);
        assert!(said(100, (0, 10), 3).unwrap().1.contains("0x10"));
    }
}
