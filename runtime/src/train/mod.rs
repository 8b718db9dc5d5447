//! Training: epochs of compiled steps on clips, checked on held-out clips, saved so that any stop can be resumed.
//!
//! Enters: a session, clips, options. Leaves, in the run's folder: `metrics.jsonl`, `plot.svg`, `preview.png`,
//! `best.safetensors`, `last.safetensors` and `state.safetensors`. No tensor arithmetic happens here: forward, losses,
//! backward and optimiser are one entry of the network. What a run computes depends on the artifact, the seed, the
//! data and the options; never on when it was interrupted.

mod begin;
mod epoch;
mod plot;
mod preview;
mod provenance;
mod state;
#[cfg(test)]
mod tests;

use crate::data::{ClipSource, DataOptions};
use crate::error::{Error, OnFault, Result};
use crate::progress::{Progress, clock, remaining};
use crate::session::Session;
use crate::video::Limits;
use crate::weights::Scope;
use crate::{files, interrupt};
use begin::{Begun, RunFolder};
use epoch::{Pace, Past, Record};
use state::{Setup, State};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use vsr_artifact::{console, shown_path};

/// Where batches come from.
pub trait Batches {
    fn train(&mut self, epoch: u64, step: u64) -> Result<Vec<f32>>;
    fn valid(&mut self, index: u64) -> Result<Vec<f32>>;

    /// What was left out since the last call, each film once, and why.
    fn left_out(&mut self) -> Vec<String> {
        Vec::new()
    }
}

impl Batches for ClipSource {
    fn train(&mut self, epoch: u64, step: u64) -> Result<Vec<f32>> {
        Ok(ClipSource::train(self, epoch, step)?)
    }

    fn valid(&mut self, index: u64) -> Result<Vec<f32>> {
        Ok(ClipSource::valid(self, index)?)
    }

    fn left_out(&mut self) -> Vec<String> {
        ClipSource::left_out(self)
    }
}

/// What the command line says; `None` takes what the source, or the resumed run, says.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub data: Option<PathBuf>,
    pub epochs: Option<u64>,
    pub steps: Option<u64>,
    pub rate: Option<f64>,
    /// First weights.
    pub weights: Option<PathBuf>,
    /// The run's folder; without it, a new one under `runs/`.
    pub out: Option<PathBuf>,
    /// Go on with the run in `out`.
    pub resume: bool,
    /// Replace the run that is in `out`.
    pub overwrite: bool,
    /// A resumed run has its own.
    pub seed: Option<u64>,
    /// Held-out batches after each epoch.
    pub valid: Option<u64>,
    /// Refuse weights that are not finite, and films that are damaged or cannot be used.
    pub strict: bool,
    /// Frames of more pixels are refused.
    pub limit_pixels: Option<u64>,
    pub json: bool,
    pub quiet: bool,
    /// How the user called, up to the options: for the hint on how to go on.
    pub command: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Finished,
    Interrupted,
}

/// Held-out batches, unless the user says how many.
const VALID_BATCHES: u64 = 8;

/// Time between checkpoints inside a long epoch.
const SAVE_EVERY: Duration = Duration::from_secs(600);

/// Weights of the best epoch, and of the last one: what the network is used with.
const BEST: &str = "best.safetensors";
const LAST: &str = "last.safetensors";
const PLOT: &str = "plot.svg";
const PREVIEW: &str = "preview.png";

/// Trains as the options say, with clips from a folder or made ones.
pub fn train(session: &mut Session, options: &Options) -> Result<Outcome> {
    let mut begun = begin::begin(session, options)?;
    let (port, setup) = (data_port(session)?, &mut begun.setup);
    let data = DataOptions {
        limits: setup
            .limit_pixels
            .map_or_else(Limits::default, |pixels| Limits { pixels }),
        before: std::mem::take(&mut setup.clips),
        faults: OnFault::of_strict(options.strict),
        ..DataOptions::new(setup.data.as_deref(), &port.1, setup.seed, setup.steps)?
    };
    let mut source = ClipSource::open(&data)?;
    setup.clips = source.clips().to_vec();
    let change = provenance::data_change(&data.before, &setup.clips);
    if let Some(change) = change.filter(|_| options.resume) {
        console::err(&format!("note: {change}\n"));
    }
    if !options.quiet {
        console::err(&format!("{}\n", source.describe()));
    }
    for part in source.damaged() {
        console::err(&format!("warning: {part}\n"));
    }
    Trainer::new(session, options, begun)?.run(&mut source, &interrupt::asked)
}

/// Name and shape of the training data.
fn data_port(session: &Session) -> Result<(String, Vec<u64>)> {
    let train = session.manifest().train.as_ref().ok_or_else(no_train)?;
    match train.data.as_slice() {
        [port] => Ok((port.name.clone(), port.shape.clone())),
        other => {
            let n = other.len();
            Err(Error::user(format!(
                "this network trains on {n} data tensors; `train` feeds one"
            )))
        }
    }
}

fn no_train() -> Error {
    Error::user(
        "this network was compiled without training: its source has no `train` item, or --profile left it out",
    )
}

/// What `metrics.jsonl` holds of the epochs that are over, without a line that was torn.
fn past_epochs(path: &Path, epochs: u64) -> Result<Past> {
    let past = epoch::read(path, epochs)?;
    if past.is_torn {
        let name = shown_path(path);
        console::err(&format!(
            "note: {name}: its last line is torn, and left out\n"
        ));
        epoch::write(path, &past)?;
    }
    Ok(past)
}

pub(crate) struct Trainer<'a> {
    session: &'a mut Session,
    options: &'a Options,
    folder: RunFolder,
    state: State,
    setup: Setup,
    train: usize,
    eval: Option<usize>,
    data: String,
    past: Past,
    progress: Progress,
    started: Instant,
    saved: Instant,
    /// Steps done by this process.
    steps_here: u64,
    /// Films that are not used.
    n_left_out: usize,
}

impl<'a> Trainer<'a> {
    pub(crate) fn new(
        session: &'a mut Session,
        options: &'a Options,
        begun: Begun,
    ) -> Result<Trainer<'a>> {
        let Begun {
            folder,
            state,
            setup,
        } = begun;
        let past = past_epochs(&folder.path().join(epoch::FILE), state.epoch)?;
        Ok(Trainer {
            train: session.find("train", "")?,
            eval: session.entry("eval", ""),
            data: data_port(session)?.0,
            session,
            options,
            folder,
            state,
            setup,
            past,
            progress: Progress::new(options.quiet),
            started: Instant::now(),
            saved: Instant::now(),
            steps_here: 0,
            n_left_out: 0,
        })
    }

    /// `asked` is looked at after every step: whether the user wants to stop.
    pub(crate) fn run(
        &mut self,
        source: &mut dyn Batches,
        asked: &dyn Fn() -> bool,
    ) -> Result<Outcome> {
        self.tell_left_out(source);
        self.save()?;
        self.folder.clear()?;
        while self.state.epoch < self.setup.epochs {
            while self.state.step < self.setup.steps {
                self.step(source)?;
                if asked() && self.state.step < self.setup.steps {
                    return self.stop();
                }
                if self.saved.elapsed() > SAVE_EVERY {
                    self.save()?;
                }
            }
            self.finish_epoch(source)?;
            if asked() && self.state.epoch < self.setup.epochs {
                return self.stop();
            }
        }
        self.progress.clear();
        if !self.options.quiet && !self.options.json {
            let best = self.path(BEST);
            let made = if best.exists() { best } else { self.path(LAST) };
            let left_out = match self.n_left_out {
                0 => String::new(),
                1 => "; 1 clip was left out".to_string(),
                n => format!("; {n} clips were left out"),
            };
            let made = shown_path(&made);
            console::out(&format!("trained: weights in {made}{left_out}\n"))?;
        }
        Ok(Outcome::Finished)
    }

    /// A file of the run.
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Each film that is not used is named once, however quiet the run is: it is missing from what the weights know.
    fn tell_left_out(&mut self, source: &mut dyn Batches) {
        for why in source.left_out() {
            self.progress.clear();
            self.n_left_out += 1;
            console::err(&format!("warning: left out: {why}\n"));
        }
    }

    fn step(&mut self, source: &mut dyn Batches) -> Result<()> {
        let (epoch, step) = (self.state.epoch, self.state.step);
        let clip = source.train(epoch, step)?;
        self.tell_left_out(source);
        let global = self.state.global;
        let (epoch_in, rate_in) = ([epoch as f32], [self.setup.rate.map_or(-1.0, |r| r as f32)]);
        let ports = &self.session.manifest().entries[self.train].inputs;
        let has = |name: &str| ports.iter().any(|p| p.name == name);
        let mut inputs: Vec<(&str, &[f32])> = vec![(&self.data, &clip)];
        inputs.extend(has("epoch").then_some(("epoch", epoch_in.as_slice())));
        inputs.extend(has("rate").then_some(("rate", rate_in.as_slice())));
        self.session
            .run(self.train, &inputs, self.setup.seed, global)?;
        let values = epoch::scalars(self.session, self.train);
        self.check_finite(&values)?;
        self.state.add(&values);
        self.state.step += 1;
        self.state.global += 1;
        self.steps_here += 1;
        self.show(values.first().map_or(0.0, |v| v.1));
        Ok(())
    }

    /// NaN or infinity in the loss: nothing more is saved, the last checkpoint stays.
    fn check_finite(&mut self, values: &[(String, f64)]) -> Result<()> {
        if values.iter().all(|v| v.1.is_finite()) {
            return Ok(());
        }
        let bad = values.iter().filter(|v| !v.1.is_finite());
        let mut terms: Vec<String> = bad.map(|(name, v)| format!("{name} is {v}")).collect();
        if terms.len() > 1 {
            terms.retain(|t| !t.starts_with("loss "));
        }
        Err(self.diverged(&terms.join(", ")))
    }

    fn diverged(&mut self, what: &str) -> Error {
        self.progress.clear();
        let (step, epoch, out) = (
            self.state.step + 1,
            self.state.epoch + 1,
            shown_path(self.folder.path()),
        );
        Error::user(format!(
            "training went wrong at step {step} of epoch {epoch}: {what}; {out}/{} still holds the last good \
             checkpoint: go on from it with a lower --rate and `--resume {out}`",
            state::FILE
        ))
    }

    fn show(&mut self, loss: f64) {
        let (epochs, steps) = (self.setup.epochs, self.setup.steps);
        let left =
            epochs * steps - (self.state.epoch * steps + self.state.step).min(epochs * steps);
        let (epoch, step) = (self.state.epoch + 1, self.state.step);
        let text = format!("epoch {epoch}/{epochs}, step {step}/{steps}, loss {loss:.5}");
        self.progress
            .update(self.steps_here, self.steps_here + left, &text);
    }

    fn finish_epoch(&mut self, source: &mut dyn Batches) -> Result<()> {
        let valid = self.validate(source)?;
        let elapsed = self.started.elapsed();
        let left = (self.setup.epochs - self.state.epoch - 1) * self.setup.steps;
        let record = Record {
            epoch: self.state.epoch + 1,
            steps: self.state.global,
            train: self.state.means(),
            valid,
        };
        let pace = Pace {
            steps_per_second: self.steps_here as f64 / elapsed.as_secs_f64(),
            seconds_left: remaining(elapsed, self.steps_here, self.steps_here + left)
                .map_or(0.0, |d| d.as_secs_f64()),
        };
        let score = record.score();
        let is_best = self.state.best.is_none_or(|best| score > best);
        if is_best {
            self.state.best = Some(score);
        }
        self.state.next_epoch();
        self.check_weights()?;
        let said = self.report(&record, pace, is_best);
        self.past.records.push(record);
        if is_best {
            let path = self.path(BEST);
            self.session
                .save_weights(&path, Scope::Model, &Default::default())?;
        }
        epoch::write(&self.path(epoch::FILE), &self.past)?;
        let plot = plot::svg(&self.past.records);
        files::write_whole(&self.path(PLOT), &[plot.as_bytes()])?;
        self.save()?;
        said
    }

    /// Means of the eval entry's scalars over the held-out batches, of the network that a checkpoint holds: with `ema`,
    /// that of the mean weights.
    fn validate(&mut self, source: &mut dyn Batches) -> Result<Vec<(String, f64)>> {
        let Some(eval) = self.eval else {
            return Ok(vec![]);
        };
        self.session.swap_means()?;
        let means = self.held_out(eval, source);
        self.session.swap_means()?;
        means
    }

    /// The first batch is shown as a picture.
    fn held_out(&mut self, eval: usize, source: &mut dyn Batches) -> Result<Vec<(String, f64)>> {
        let mut sums = State::default();
        for index in 0..self.setup.valid {
            let clip = source.valid(index)?;
            self.tell_left_out(source);
            let epoch = [self.state.epoch as f32];
            let has_epoch = self.session.manifest().entries[eval]
                .inputs
                .iter()
                .any(|p| p.name == "epoch");
            let mut inputs: Vec<(&str, &[f32])> = vec![(&self.data, &clip)];
            inputs.extend(has_epoch.then_some(("epoch", epoch.as_slice())));
            self.session.run(eval, &inputs, self.setup.seed, index)?;
            sums.add(&epoch::scalars(self.session, eval));
            sums.step += 1;
            if index == 0 {
                preview::write(self.session, eval, &self.data, &clip, &self.path(PREVIEW))?;
            }
        }
        Ok(sums.means())
    }

    fn report(&mut self, record: &Record, pace: Pace, is_best: bool) -> Result<()> {
        self.progress.clear();
        if self.options.json {
            console::out(&format!("{}\n", record.json(pace)))?;
        } else if !self.options.quiet {
            let mut line = record.text(self.setup.epochs, pace);
            if pace.seconds_left > 0.0 {
                line.push_str(&format!(
                    "  {} left",
                    clock(Duration::from_secs_f64(pace.seconds_left))
                ));
            }
            let best = if is_best { "  best" } else { "" };
            console::out(&format!("{line}{best}\n"))?;
        }
        Ok(())
    }

    /// A finite loss can hide a gradient that was not: such weights never replace a checkpoint.
    fn check_weights(&mut self) -> Result<()> {
        let bad = self.session.first_non_finite()?;
        match bad.map(str::to_string) {
            None => Ok(()),
            Some(key) => Err(self.diverged(&format!("the weight {key} is not finite"))),
        }
    }

    fn save(&mut self) -> Result<()> {
        self.check_weights()?;
        let (last, state) = (self.path(LAST), self.path(state::FILE));
        self.session
            .save_weights(&last, Scope::Model, &Default::default())?;
        state::save(self.session, &state, &self.state, &self.setup)?;
        self.saved = Instant::now();
        Ok(())
    }

    fn stop(&mut self) -> Result<Outcome> {
        self.save()?;
        self.progress.clear();
        let (step, epoch, out) = (
            self.state.step,
            self.state.epoch + 1,
            shown_path(self.folder.path()),
        );
        let command = &self.options.command;
        console::err(&format!(
            "stopped after step {step} of epoch {epoch}; go on with: {command} --resume {out}\n"
        ));
        Ok(Outcome::Interrupted)
    }
}
