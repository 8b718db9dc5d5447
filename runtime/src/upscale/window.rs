//! The frames around each frame, as a film streams by. Enters: frames in order, then the news that there are no more.
//! Leaves: groups of T frames with what each result is for. Both ends of the film are mirrored. Never holds more frames
//! than one group and what it reaches ahead.

use super::tiles::mirror;
use std::collections::VecDeque;
use std::rc::Rc;

/// Frames for one run of a network.
pub struct Group<F> {
    pub frames: Vec<Rc<F>>,
    /// (place in the result's time axis, number of the frame it is for).
    pub results: Vec<(usize, usize)>,
}

pub struct Window<F> {
    n_frames: usize,
    /// The network returns all its frames instead of the middle one.
    returns_all: bool,
    kept: VecDeque<Rc<F>>,
    /// Number of the first frame kept.
    first: usize,
    /// The next frame that needs a result.
    next: usize,
    total: Option<usize>,
}

impl<F> Window<F> {
    pub fn new(n_frames: usize, returns_all: bool) -> Window<F> {
        Window {
            n_frames,
            returns_all,
            kept: VecDeque::new(),
            first: 0,
            next: 0,
            total: None,
        }
    }

    pub fn push(&mut self, frame: F) {
        self.kept.push_back(Rc::new(frame));
    }

    /// There are no more frames.
    pub fn end(&mut self) {
        self.total = Some(self.first + self.kept.len());
    }

    /// The next group, once its frames are here.
    pub fn group(&mut self) -> Option<Group<F>> {
        let n_here = self.first + self.kept.len();
        let n = self.n_frames;
        let before = if self.returns_all { 0 } else { n / 2 };
        let mut start = self.next as i64 - before as i64;
        let reaches = start + n as i64;
        match self.total {
            Some(total) if self.next >= total => return None,
            // The last group of a network that returns all is moved back so that it is full.
            Some(total) if self.returns_all && reaches > total as i64 => {
                start = total.saturating_sub(n).max(self.first) as i64
            }
            Some(_) => {}
            None if reaches > n_here as i64 => return None,
            None => {}
        }
        let limit = self.total.unwrap_or(n_here);
        let oldest = self.first;
        let at = |i: i64| mirror(i, limit).clamp(oldest, n_here - 1) - oldest;
        let frames = (start..start + n as i64)
            .map(|i| self.kept[at(i)].clone())
            .collect();
        let results: Vec<_> = match self.returns_all {
            false => vec![(0, self.next)],
            true => (self.next..limit.min(start as usize + n))
                .map(|i| (i - start as usize, i))
                .collect(),
        };
        self.next += results.len();
        self.forget();
        Some(Group { frames, results })
    }

    /// Drops what no later group can need.
    fn forget(&mut self) {
        let reach_back = if self.returns_all {
            self.n_frames
        } else {
            self.n_frames / 2
        };
        // Mirroring at the end reaches back as far as a group reaches ahead.
        let needed = self
            .next
            .saturating_sub(reach_back.max(self.n_frames - reach_back));
        while self.first < needed && self.kept.len() > 1 {
            self.kept.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frame numbers of a group, and its results.
    type Listed = (Vec<usize>, Vec<(usize, usize)>);

    fn groups(n_film: usize, n_frames: usize, returns_all: bool) -> Vec<Listed> {
        let mut window = Window::new(n_frames, returns_all);
        let mut out = Vec::new();
        let mut take = |w: &mut Window<usize>| {
            while let Some(g) = w.group() {
                out.push((g.frames.iter().map(|f| **f).collect(), g.results));
            }
            assert!(
                w.kept.len() <= 2 * n_frames,
                "memory does not grow with the film"
            );
        };
        for i in 0..n_film {
            window.push(i);
            take(&mut window);
        }
        window.end();
        take(&mut window);
        out
    }

    #[test]
    fn the_middle_frame_of_mirrored_ends() {
        let five = groups(6, 5, false);
        let frames: Vec<_> = five.iter().map(|g| g.0.clone()).collect();
        assert_eq!(frames[0], [2, 1, 0, 1, 2]);
        assert_eq!(frames[1], [1, 0, 1, 2, 3]);
        assert_eq!(frames[3], [1, 2, 3, 4, 5]);
        assert_eq!(frames[5], [3, 4, 5, 4, 3]);
        assert_eq!(
            five.iter().map(|g| g.1[0]).collect::<Vec<_>>(),
            (0..6).map(|i| (0, i)).collect::<Vec<_>>()
        );
    }

    #[test]
    fn every_frame_gets_one_result() {
        for (n_film, n_frames, all) in [
            (1, 5, false),
            (2, 5, false),
            (9, 4, false),
            (1, 1, false),
            (7, 3, true),
            (2, 3, true),
            (1, 5, true),
            (40, 7, true),
        ] {
            let groups = groups(n_film, n_frames, all);
            let numbers: Vec<usize> = groups
                .iter()
                .flat_map(|g| g.1.iter().map(|r| r.1))
                .collect();
            assert_eq!(
                numbers,
                (0..n_film).collect::<Vec<_>>(),
                "{n_film} {n_frames} {all}"
            );
            for (frames, results) in &groups {
                assert_eq!(frames.len(), n_frames);
                let place = |slot: usize| frames[if all { slot } else { n_frames / 2 }];
                assert!(results.iter().all(|&(slot, frame)| place(slot) == frame));
            }
        }
    }
}
