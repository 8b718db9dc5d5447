//! What a source lacks: it was cut short, a picture is missing, a part cannot be decoded. Enters: what a reader
//! noticed. Leaves: one sentence each, and where in the film; `Strict` makes the first one an error. A reader that
//! hands out fewer frames than its source had, and says nothing, is a fault of that reader.

use super::{Frame, FrameReader, Info, Result};
use crate::error::OnFault;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Frames that came before it.
    pub frame: u64,
    /// `FILE: what is wrong`.
    pub text: String,
    /// Frames are lost for certain; otherwise it may be as it was meant.
    pub is_loss: bool,
}

impl Damage {
    pub fn lost(frame: u64, text: String) -> Damage {
        Damage {
            frame,
            text,
            is_loss: true,
        }
    }

    pub fn suspected(frame: u64, text: String) -> Damage {
        Damage {
            is_loss: false,
            ..Damage::lost(frame, text)
        }
    }

    /// It lies within the first frames, which are all that is wanted.
    pub fn is_within(&self, limit: Option<u64>) -> bool {
        limit.is_none_or(|limit| self.frame < limit)
    }
}

/// Sentences that are listed before the rest is only counted.
const LISTED: usize = 8;

/// One line each; of many, the first ones and how many more there are.
pub fn lines(damage: &[Damage]) -> Vec<String> {
    let mut lines: Vec<String> = damage.iter().take(LISTED).map(|d| d.text.clone()).collect();
    if damage.len() > LISTED {
        lines.push(format!("and {} more like these", damage.len() - LISTED));
    }
    lines
}

/// A reader whose source must be whole.
pub struct Strict {
    inner: Box<dyn FrameReader>,
    limit: Option<u64>,
}

impl Strict {
    /// `limit`: only so many frames are wanted, and have to be whole.
    pub fn new(inner: Box<dyn FrameReader>, limit: Option<u64>) -> Result<Strict> {
        let strict = Strict { inner, limit };
        strict.check()?;
        Ok(strict)
    }

    fn check(&self) -> Result<()> {
        let damage = self.inner.damage();
        let within = damage.iter().filter(|d| d.is_within(self.limit));
        OnFault::Refuse.check(within.map(|d| &d.text))
    }
}

impl FrameReader for Strict {
    fn info(&self) -> &Info {
        self.inner.info()
    }

    fn next_frame(&mut self) -> Result<Option<Frame>> {
        let frame = self.inner.next_frame()?;
        if frame.is_none() {
            self.check()?;
        }
        Ok(frame)
    }

    fn skip_frames(&mut self, n: u64) -> Result<()> {
        self.inner.skip_frames(n)
    }

    fn damage(&self) -> Vec<Damage> {
        self.inner.damage()
    }
}
