//! What networks are trained on. Enters: a folder of footage or nothing, and the shape [B, 3, T, H, W] that the
//! compiled train step declares. Leaves: batches of RGB in 0 to 1, made ahead on a thread, each decided by (seed,
//! epoch, step) alone. Degradation is not done here: it is part of the compiled network. Footage that cannot be used is
//! left out and told.

pub mod find;
pub mod leaves;
pub mod library;
pub mod rng;
pub mod scene;
pub mod texture;

use crate::error::OnFault;
use crate::video::{Limits, MediaError, Result};
use find::{Faults, Listed};
use library::Library;
use rng::Rng;
use scene::Scenes;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use vsr_artifact::shown_path;

#[derive(Clone, Debug)]
pub struct DataOptions {
    /// Footage; `None` makes scenes.
    pub folder: Option<PathBuf>,
    /// [B, 3, T, H, W].
    pub shape: [usize; 5],
    pub seed: u64,
    /// After this many steps the next epoch begins: what to prepare ahead.
    pub steps_per_epoch: u64,
    /// For decoded frames. Footage beyond it is drawn anew each epoch, so it is part of what decides a batch.
    pub budget_bytes: usize,
    pub limits: Limits,
    /// The clips that a resumed run had when it was stopped.
    pub before: Vec<Listed>,
    /// Of films that are damaged, or cannot be used: those are left out.
    pub faults: OnFault,
}

impl DataOptions {
    pub const DEFAULT_BUDGET_BYTES: usize = 2 << 30;

    /// `port_shape` is the shape of the train entry's data input.
    pub fn new(
        folder: Option<&Path>,
        port_shape: &[u64],
        seed: u64,
        steps_per_epoch: u64,
    ) -> Result<DataOptions> {
        let shape: Vec<usize> = port_shape.iter().map(|&n| n as usize).collect();
        let shape: [usize; 5] = shape.try_into().map_err(|_| unfit(port_shape))?;
        if shape[1] != 3 || shape.contains(&0) {
            return Err(unfit(port_shape));
        }
        Ok(DataOptions {
            folder: folder.map(Into::into),
            shape,
            seed,
            steps_per_epoch,
            budget_bytes: Self::DEFAULT_BUDGET_BYTES,
            limits: Limits::default(),
            before: vec![],
            faults: OnFault::default(),
        })
    }
}

fn unfit(shape: &[u64]) -> MediaError {
    MediaError::user(format!(
        "this network trains on data of shape {shape:?}, and clips are [batch, 3, frames, height, width]"
    ))
}

/// Which batch: of training, or of what is held out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Train {
        epoch: u64,
        step: u64,
    },
    /// The same in every epoch.
    Valid {
        index: u64,
    },
}

/// A batch, or why there is none.
struct Made {
    place: Place,
    batch: Result<Vec<f32>>,
    /// What was left out to make it.
    left_out: Vec<String>,
}

pub struct ClipSource {
    requests: Sender<Place>,
    batches: Receiver<Made>,
    asked: std::collections::VecDeque<Place>,
    steps_per_epoch: u64,
    description: String,
    clips: Vec<Listed>,
    left_out: Vec<String>,
    damaged: Vec<String>,
}

/// Batches made before they are asked for.
const N_AHEAD: usize = 2;

impl ClipSource {
    pub fn open(options: &DataOptions) -> Result<ClipSource> {
        let Opened {
            maker,
            description,
            clips,
            faults,
        } = Maker::open(options)?;
        let (requests, wanted) = mpsc::channel();
        let (made, batches) = mpsc::sync_channel(N_AHEAD);
        let thread = std::thread::Builder::new()
            .name("data".into())
            .spawn(move || work(maker, &wanted, &made));
        thread.map_err(|e| {
            let why = vsr_artifact::reason(&e);
            MediaError::Machine(format!("cannot start a thread for the data: {why}"))
        })?;
        let steps_per_epoch = options.steps_per_epoch.max(1);
        Ok(ClipSource {
            requests,
            batches,
            asked: Default::default(),
            steps_per_epoch,
            description,
            clips,
            left_out: faults.left_out,
            damaged: faults.damaged,
        })
    }

    /// What was left out since the last call, each film once, and why.
    pub fn left_out(&mut self) -> Vec<String> {
        std::mem::take(&mut self.left_out)
    }

    /// Films of which only a part is there, and is used.
    pub fn damaged(&self) -> &[String] {
        &self.damaged
    }

    /// One line for the user: where the clips come from.
    pub fn describe(&self) -> &str {
        &self.description
    }

    /// The footage by its names; none where scenes are made.
    pub fn clips(&self) -> &[Listed] {
        &self.clips
    }

    /// Batch [B, 3, T, H, W] of a training step. The following ones are prepared meanwhile.
    pub fn train(&mut self, epoch: u64, step: u64) -> Result<Vec<f32>> {
        self.take(Place::Train { epoch, step })
    }

    /// Batch `index` of what is held out.
    pub fn valid(&mut self, index: u64) -> Result<Vec<f32>> {
        self.take(Place::Valid { index })
    }

    fn take(&mut self, place: Place) -> Result<Vec<f32>> {
        if !self.asked.contains(&place) {
            self.ask(place);
        }
        if let Place::Train { .. } = place {
            let mut next = place;
            for _ in 0..N_AHEAD {
                next = self.after(next);
                if !self.asked.contains(&next) {
                    self.ask(next);
                }
            }
        }
        // What was prepared in vain is dropped on the way.
        loop {
            let made = self
                .batches
                .recv()
                .map_err(|_| MediaError::Machine("the data thread has ended".into()))?;
            self.asked.pop_front();
            self.left_out.extend(made.left_out);
            if made.place == place {
                return made.batch;
            }
            if let Place::Train { .. } = made.place
                && let Place::Valid { .. } = place
            {
                // Validation between epochs: the next epoch's first batches are asked for again later.
                continue;
            }
        }
    }

    fn ask(&mut self, place: Place) {
        // A worker that has ended is noticed when its batch is missed.
        let _ = self.requests.send(place);
        self.asked.push_back(place);
    }

    fn after(&self, place: Place) -> Place {
        match place {
            Place::Train { epoch, step } if step + 1 < self.steps_per_epoch => Place::Train {
                epoch,
                step: step + 1,
            },
            Place::Train { epoch, .. } => Place::Train {
                epoch: epoch + 1,
                step: 0,
            },
            Place::Valid { index } => Place::Valid { index: index + 1 },
        }
    }
}

fn work(mut maker: Maker, wanted: &Receiver<Place>, made: &SyncSender<Made>) {
    while let Ok(place) = wanted.recv() {
        let batch = maker.batch(place);
        let left_out = match &batch {
            Ok(_) => maker.left_out(),
            Err(_) => Vec::new(),
        };
        let done = Made {
            place,
            batch,
            left_out,
        };
        if made.send(done).is_err() {
            return;
        }
    }
}

enum Footage {
    Made(Scenes),
    Found {
        train: Box<Library>,
        valid: Box<Library>,
    },
}

struct Maker {
    footage: Footage,
    shape: [usize; 5],
    seed: u64,
    faults: OnFault,
}

/// A maker, and what there is to say of its footage.
struct Opened {
    maker: Maker,
    description: String,
    clips: Vec<Listed>,
    faults: Faults,
}

impl Maker {
    fn open(options: &DataOptions) -> Result<Opened> {
        let Some(folder) = &options.folder else {
            let made = "data: made scenes (dead leaves in motion); give --data FOLDER for footage";
            return Ok(Opened {
                maker: Maker::new(options, Footage::Made(Scenes::default())),
                description: made.to_string(),
                clips: vec![],
                faults: Faults::default(),
            });
        };
        let [_, _, n_frames, height, width] = options.shape;
        let clip_shape = [n_frames, height, width];
        let split = find::find(folder, clip_shape, &options.limits, &options.before)?;
        options.faults.check(split.faults.all())?;
        let (description, clips) = (describe(folder, &split), split.listed(folder));
        let (seed, limits) = (options.seed, options.limits);
        let library =
            |clips, budget| Box::new(Library::new(clips, clip_shape, budget, seed, limits));
        let budget = options.budget_bytes;
        let found = Footage::Found {
            train: library(split.train, budget / 8 * 7),
            valid: library(split.valid, budget / 8),
        };
        Ok(Opened {
            maker: Maker::new(options, found),
            description,
            clips,
            faults: split.faults,
        })
    }

    fn new(options: &DataOptions, footage: Footage) -> Maker {
        Maker {
            footage,
            shape: options.shape,
            seed: options.seed,
            faults: options.faults,
        }
    }

    fn batch(&mut self, place: Place) -> Result<Vec<f32>> {
        let [n_clips, _, n_frames, height, width] = self.shape;
        let clip_len = 3 * n_frames * height * width;
        let mut out = vec![0.0; n_clips * clip_len];
        for (b, clip) in out.chunks_exact_mut(clip_len).enumerate() {
            // Held-out scenes come from keys that training never uses, the same for every seed.
            let (mut rng, epoch) = match place {
                Place::Train { epoch, step } => {
                    (Rng::keyed(&[1, self.seed, epoch, step, b as u64]), epoch)
                }
                Place::Valid { index } => (Rng::keyed(&[2, index, b as u64]), 0),
            };
            match &mut self.footage {
                Footage::Made(scenes) => scenes.clip(&mut rng, [n_frames, height, width], clip),
                Footage::Found { train, valid } => {
                    let library = if matches!(place, Place::Train { .. }) {
                        train
                    } else {
                        valid
                    };
                    library.clip(epoch, &mut rng, clip)?;
                }
            }
        }
        // What is only told, is told when it is asked for.
        if self.faults == OnFault::Refuse {
            self.faults.check(self.left_out())?;
        }
        Ok(out)
    }

    fn left_out(&mut self) -> Vec<String> {
        match &mut self.footage {
            Footage::Made(_) => Vec::new(),
            Footage::Found { train, valid } => [train.left_out(), valid.left_out()].concat(),
        }
    }
}

fn describe(folder: &Path, split: &find::Split) -> String {
    let n_frames = |clips: &[find::Clip]| clips.iter().map(|c| c.n_frames).sum::<usize>();
    format!(
        "data: {}: {} clips ({} frames) to train, {} clips ({} frames) held out; {}",
        shown_path(folder),
        split.train.len(),
        n_frames(&split.train),
        split.valid.len(),
        n_frames(&split.valid),
        split.how
    )
}

#[cfg(test)]
mod tests;
