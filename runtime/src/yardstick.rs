//! What a device can do at most, measured like a launch: all workers at once, best of several.
//!
//! Enters a device; leaves operations and bytes a second. Nothing is assumed of it, and no speed of another run is used.

use crate::device::{self, Buffer, Device};
use crate::error::Result;

/// Floats that are copied: more than the caches hold.
const FLOATS: usize = 16 << 20;

/// Copies between the same two places, which lie as an entry's buffers do, and keeps the best time.
pub struct Copy {
    from: Box<dyn Buffer>,
    to: Box<dyn Buffer>,
    seconds: f64,
}

impl Copy {
    pub fn new(device: &dyn Device) -> Result<Copy> {
        let room = || device.alloc(4 * FLOATS as u64, "measuring copies");
        let mut from = room()?;
        // A page that was never written is no memory yet.
        device::edit(&mut *from, 0, FLOATS, |values| values.fill(1.0))?;
        Ok(Copy {
            from,
            to: room()?,
            seconds: f64::INFINITY,
        })
    }

    pub fn run(&mut self, device: &mut dyn Device) -> Result<()> {
        let time = device.timed_copy(&*self.from, &mut *self.to)?;
        self.seconds = self.seconds.min(time.as_secs_f64());
        Ok(())
    }

    /// Bytes read and written a second, at best so far.
    pub fn bandwidth(&self) -> f64 {
        8.0 * FLOATS as f64 / self.seconds
    }
}

/// Multiply-adds and copied bytes a second, where nothing else is measured.
pub fn machine(device: &mut dyn Device) -> Result<(f64, f64)> {
    const REPEATS: usize = 12;
    let peak = device.peak_flops()?;
    let mut copy = Copy::new(device)?;
    for _ in 0..REPEATS {
        copy.run(device)?;
    }
    Ok((peak, copy.bandwidth()))
}
