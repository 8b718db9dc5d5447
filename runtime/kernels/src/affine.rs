//! What happens to a row's elements on their way into a function or to memory. One number enters, one leaves.

/// `scale·x + shift`. The scale is ±1 or the shift -0, so there is one rounding, at every level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    pub scale: f32,
    pub shift: f32,
}

impl Affine {
    /// Adding -0 keeps the sign of zeros.
    pub const IDENTITY: Affine = Affine {
        scale: 1.0,
        shift: -0.0,
    };

    #[inline(always)]
    pub fn of(self, x: f32) -> f32 {
        self.scale * x + self.shift
    }
}
