//! Memory on a device, as the host sees it: bytes that go there and come back. Where the device's memory is the host's own,
//! numbers are seen in place, and nothing is copied.
//!
//! Enters ranges; leaves their bytes, or an error for what lies outside. No kernel is run here, and no caller asks which kind of
//! memory it has.

use crate::error::{Error, Result};
use std::borrow::Cow;
use std::ops::Range;

pub trait Buffer: Send {
    /// Of the first byte, in the device's own terms.
    fn address(&self) -> u64;

    /// In bytes.
    fn len(&self) -> u64;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies bytes from the host to a byte offset.
    fn upload(&mut self, at: u64, from: &[u8]) -> Result<()>;

    /// Copies bytes from a byte offset to the host.
    fn download(&self, at: u64, to: &mut [u8]) -> Result<()>;

    /// `n` numbers in place. None: they lie outside, or where the host cannot look.
    fn view(&self, _at: u64, _n: usize) -> Option<&[f32]> {
        None
    }

    fn view_mut(&mut self, _at: u64, _n: usize) -> Option<&mut [f32]> {
        None
    }

    /// The system may have whole pages of this range, which are zero after that; returns their bytes. They may be used as
    /// before.
    fn give_back(&mut self, _range: &Range<u64>) -> u64 {
        0
    }
}

/// What is said of a range that a plan puts beside its memory.
pub fn outside(at: u64, bytes: usize, len: u64) -> Error {
    Error::machine(format!(
        "{bytes} bytes at {at} lie outside of a buffer of {len}: this is a fault of our own"
    ))
}

/// `n` numbers at a byte offset, copied only if they must be.
pub fn read(buffer: &dyn Buffer, at: u64, n: usize) -> Result<Cow<'_, [f32]>> {
    if let Some(values) = buffer.view(at, n) {
        return Ok(Cow::Borrowed(values));
    }
    let mut values = crate::memory::zeroed(n, "numbers from the device")?;
    buffer.download(at, bytemuck::cast_slice_mut(&mut values))?;
    Ok(Cow::Owned(values))
}

/// Has `fill` write all of `n` numbers at a byte offset. What it finds there is what there was, or zeros: never to be relied on.
pub fn edit<T>(
    buffer: &mut dyn Buffer,
    at: u64,
    n: usize,
    fill: impl FnOnce(&mut [f32]) -> T,
) -> Result<T> {
    if let Some(values) = buffer.view_mut(at, n) {
        return Ok(fill(values));
    }
    let mut values = crate::memory::zeroed(n, "numbers for the device")?;
    let result = fill(&mut values);
    buffer.upload(at, bytemuck::cast_slice(&values))?;
    Ok(result)
}
