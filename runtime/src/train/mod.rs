//! Training: epochs of compiled steps on clips, checked on held-out clips, saved so that any stop can be resumed.
//!
//! Enters: a session, clips, options. Leaves, in the run's folder: `metrics.jsonl`, `plot.svg`, `preview.png`,
//! `best.safetensors`, `last.safetensors` and `state.safetensors`. No tensor arithmetic happens here: forward, losses,
//! backward and optimiser are one entry of the network. What a run computes depends on the artifact, the seed, the
//! data and the options; never on when it was interrupted.

mod epoch;
mod origin;
mod plot;
mod preview;
mod state;
#[cfg(test)]
mod tests;

use crate::data::{ClipSource, DataOptions};
use crate::error::{Error, Result};
use crate::progress::{Progress, clock, remaining};
use crate::session::Session;
use crate::tensors::Mapped;
use crate::video::Limits;
use crate::weights::Scope;
use crate::{files, interrupt};
use epoch::{Past, Record};
use state::{Setup, State};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use vsr_artifact::{console, shown_path};

/// Where batches come from.
pub trait Batches {
    fn train(&mut self, epoch: u64, step: u64) -> Result<Vec<f32>>;
    fn valid(&mut self, index: u64) -> Result<Vec<f32>>;
}

impl Batches for ClipSource {
    fn train(&mut self, epoch: u64, step: u64) -> Result<Vec<f32>> {
        Ok(ClipSource::train(self, epoch, step)?)
    }

    fn valid(&mut self, index: u64) -> Result<Vec<f32>> {
        Ok(ClipSource::valid(self, index)?)
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
    /// The run's folder.
    pub out: PathBuf,
    /// Go on with the run in `out`.
    pub resume: bool,
    /// A resumed run has its own.
    pub seed: Option<u64>,
    /// Held-out batches after each epoch.
    pub valid: Option<u64>,
    /// Refuse weights that are not finite.
    pub strict: bool,
    pub limits: Limits,
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

/// Trains as the options say, with clips from a folder or made ones.
pub fn train(session: &mut Session, options: &Options) -> Result<Outcome> {
    let (state, mut setup) = begin(session, options)?;
    let port = data_port(session)?;
    let mut data = DataOptions::new(setup.data.as_deref(), &port.1, setup.seed, setup.steps)?;
    data.limits = options.limits;
    data.before = std::mem::take(&mut setup.clips);
    let mut source = ClipSource::open(&data)?;
    setup.clips = source.clips().to_vec();
    let change = origin::data_change(&data.before, &setup.clips);
    if let Some(change) = change.filter(|_| options.resume) {
        console::err(&format!("note: {change}\n"));
    }
    if !options.quiet {
        console::err(&format!("{}\n", source.describe()));
    }
    Trainer::new(session, options, state, setup)?.run(&mut source, &interrupt::asked)
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

/// First weights and position: new, from a file, or from the run that is resumed.
fn begin(session: &mut Session, options: &Options) -> Result<(State, Setup)> {
    let train = session.manifest().train.as_ref().ok_or_else(no_train)?;
    let (epochs, steps) = (train.epochs, train.steps);
    let path = options.out.join(state::FILE);
    let (state, mut setup) = if options.resume {
        let (state, setup) = state::load(session, &path)?;
        check_best(&options.out.join(BEST))?;
        let now = origin::facts(session.manifest());
        if let Some(change) = origin::artifact_change(&setup.artifact, &now) {
            console::err(&format!("note: {change}\n"));
        }
        if let Some(seed) = options.seed.filter(|s| *s != setup.seed) {
            let (out, own) = (shown_path(&options.out), setup.seed);
            return Err(Error::user(format!(
                "the run in {out} has seed {own}, and goes on with it: leave --seed {seed} out, or begin another run"
            )));
        }
        (state, setup)
    } else {
        if path.exists() {
            let out = shown_path(&options.out);
            return Err(Error::user(format!(
                "{out} holds another run; go on with it by `--resume {out}`, or choose another folder with --out"
            )));
        }
        let seed = options.seed.unwrap_or(0);
        session.init_weights(seed);
        if let Some(weights) = &options.weights {
            session.load_weights(weights, Scope::Model)?;
        }
        let weights = options.weights.as_deref();
        if let Some(text) = session.check_finite(weights, options.strict)? {
            console::err(&format!("warning: {text}\n"));
        }
        (
            State::default(),
            Setup {
                seed,
                steps,
                epochs,
                valid: VALID_BATCHES,
                rate: None,
                data: None,
                artifact: Default::default(),
                clips: vec![],
            },
        )
    };
    setup.steps = options.steps.unwrap_or(setup.steps).max(1);
    setup.epochs = options.epochs.unwrap_or(setup.epochs);
    setup.valid = options.valid.unwrap_or(setup.valid);
    setup.rate = options.rate.or(setup.rate);
    setup.data = options.data.clone().or(setup.data);
    setup.artifact = origin::facts(session.manifest());
    Ok((state, setup))
}

/// The best weights so far are kept until there are better ones: damage is told now, not when they are needed.
fn check_best(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let checked = Mapped::open(path).and_then(|file| file.verify());
    checked.map_err(|e| Error::user(format!("{e}; the run goes on without this file")))
}

pub(crate) struct Trainer<'a> {
    session: &'a mut Session,
    options: &'a Options,
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
}

impl<'a> Trainer<'a> {
    pub(crate) fn new(
        session: &'a mut Session,
        options: &'a Options,
        state: State,
        setup: Setup,
    ) -> Result<Trainer<'a>> {
        files::sweep(&options.out);
        let path = options.out.join(epoch::FILE);
        let past = epoch::read(&path, state.epoch)?;
        if past.is_torn {
            let name = shown_path(&path);
            console::err(&format!(
                "note: {name}: its last line is torn, and left out\n"
            ));
            epoch::write(&path, &past)?;
        }
        Ok(Trainer {
            train: session.find("train", "")?,
            eval: session.entry("eval", ""),
            data: data_port(session)?.0,
            session,
            options,
            state,
            setup,
            past,
            progress: Progress::new(options.quiet),
            started: Instant::now(),
            saved: Instant::now(),
            steps_here: 0,
        })
    }

    /// `asked` is looked at after every step: whether the user wants to stop.
    pub(crate) fn run(
        &mut self,
        source: &mut dyn Batches,
        asked: &dyn Fn() -> bool,
    ) -> Result<Outcome> {
        self.save()?;
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
            let best = self.options.out.join(BEST);
            let made = if best.exists() {
                best
            } else {
                self.options.out.join(LAST)
            };
            console::out(&format!("trained: weights in {}\n", shown_path(&made)))?;
        }
        Ok(Outcome::Finished)
    }

    fn step(&mut self, source: &mut dyn Batches) -> Result<()> {
        let (epoch, step) = (self.state.epoch, self.state.step);
        let clip = source.train(epoch, step)?;
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
            shown_path(&self.options.out),
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
        let said = self.report(&record, is_best);
        self.past.push(record);
        let out = &self.options.out;
        if is_best {
            self.session
                .save_weights(&out.join(BEST), Scope::Model, &Default::default())?;
        }
        epoch::write(&out.join(epoch::FILE), &self.past)?;
        files::write_whole(
            &out.join("plot.svg"),
            &[plot::svg(&self.past.records).as_bytes()],
        )?;
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
                preview::write(
                    self.session,
                    eval,
                    &self.data,
                    &clip,
                    &self.options.out.join("preview.png"),
                )?;
            }
        }
        Ok(sums.means())
    }

    fn report(&mut self, record: &Record, is_best: bool) -> Result<()> {
        self.progress.clear();
        if self.options.json {
            console::out(&format!("{}\n", record.json()))?;
        } else if !self.options.quiet {
            let mut line = record.text(self.setup.epochs);
            if record.seconds_left > 0.0 {
                line.push_str(&format!(
                    "  {} left",
                    clock(Duration::from_secs_f64(record.seconds_left))
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
        let out = &self.options.out;
        self.session
            .save_weights(&out.join(LAST), Scope::Model, &Default::default())?;
        state::save(
            self.session,
            &out.join(state::FILE),
            &self.state,
            &self.setup,
        )?;
        self.saved = Instant::now();
        Ok(())
    }

    fn stop(&mut self) -> Result<Outcome> {
        self.save()?;
        self.progress.clear();
        let (step, epoch, out) = (
            self.state.step,
            self.state.epoch + 1,
            shown_path(&self.options.out),
        );
        let command = &self.options.command;
        console::err(&format!(
            "stopped after step {step} of epoch {epoch}; go on with: {command} --resume {out}\n"
        ));
        Ok(Outcome::Interrupted)
    }
}

/// `runs/NAME-1`, or the next number that is free.
pub fn new_folder(model: &str) -> PathBuf {
    let free = |n: &u32| !Path::new("runs").join(format!("{model}-{n}")).exists();
    let n = (1..).find(free).unwrap_or(1);
    Path::new("runs").join(format!("{model}-{n}"))
}
