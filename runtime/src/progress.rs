//! One line on a terminal's stderr that says how far a command is and how long it will still take.
//! Nothing is written with `-q` or when stderr is not a terminal.

use std::io::IsTerminal;
use std::time::{Duration, Instant};
use vsr_artifact::console::{self, CLEAR_LINE};

pub struct Progress {
    shown: bool,
    started: Instant,
    last: Option<Instant>,
}

impl Progress {
    pub fn new(is_quiet: bool) -> Progress {
        let shown = !is_quiet && std::io::stderr().is_terminal();
        Progress {
            shown,
            started: Instant::now(),
            last: None,
        }
    }

    /// `done` of `total` (0: unknown) units; `text` says of what. Draws at most ten times a second.
    pub fn update(&mut self, done: u64, total: u64, text: &str) {
        let due = self
            .last
            .is_none_or(|t| t.elapsed() > Duration::from_millis(100));
        if !self.shown || !due {
            return;
        }
        self.last = Some(Instant::now());
        let left = remaining(self.started.elapsed(), done, total);
        let left = left
            .map(|d| format!(", {} left", clock(d)))
            .unwrap_or_default();
        let share = (100 * done).checked_div(total);
        let share = share.map(|s| format!("{s:3} % ")).unwrap_or_default();
        console::err(&format!("{CLEAR_LINE}{share}{text}{left}"));
    }

    /// Takes the line away, so that other text can follow.
    pub fn clear(&mut self) {
        if self.shown && self.last.take().is_some() {
            console::err(CLEAR_LINE);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Time for the rest at the pace so far.
pub fn remaining(elapsed: Duration, done: u64, total: u64) -> Option<Duration> {
    (done > 0 && total >= done).then(|| elapsed.mul_f64((total - done) as f64 / done as f64))
}

/// `12 s`, `3:05 min`, `2:10 h`.
pub fn clock(d: Duration) -> String {
    let s = d.as_secs();
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{}:{:02} min", s / 60, s % 60),
        _ => format!("{}:{:02} h", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(
            remaining(Duration::from_secs(10), 5, 20),
            Some(Duration::from_secs(30))
        );
        assert_eq!(remaining(Duration::from_secs(10), 0, 20), None);
        let texts = [59, 61, 7290].map(|s| clock(Duration::from_secs(s)));
        assert_eq!(texts, ["59 s", "1:01 min", "2:01 h"]);
    }
}
