//! How deep a text may nest: what parses it, and what walks over its kernels, recurses as deep.
//!
//! Enters a text, before the grammar sees it; leaves an error at the bracket that is one too many.

use super::error::{self, Result};

/// Levels of brackets, and of statements and expressions inside of each other: a sum of n terms has n - 1.
pub const MAX_NESTING: usize = 500;

pub(super) fn too_deep() -> String {
    format!("this is nested too deeply: at most {MAX_NESTING} levels")
}

/// Names in quotes and what stands behind `#` have no brackets.
pub(super) fn check(text: &str) -> Result<()> {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0usize);
    while at < bytes.len() {
        match bytes[at] {
            b'#' => at = line_end(bytes, at),
            b'"' => at = string_end(bytes, at),
            b'(' | b'[' | b'{' if depth == MAX_NESTING => {
                return Err(error::at(text, at, too_deep()));
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

fn line_end(bytes: &[u8], from: usize) -> usize {
    let rest = bytes[from..].iter().position(|b| *b == b'\n');
    rest.map_or(bytes.len(), |n| from + n)
}

/// The closing quote, or the line's end if there is none.
fn string_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while at < bytes.len() && !matches!(bytes[at], b'"' | b'\n') {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at
}
