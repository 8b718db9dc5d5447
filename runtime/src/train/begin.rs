//! Where a run begins, and in which folder. Enters: a session and options. Leaves: a folder that no other process works
//! in, and first weights with their position: new ones, from a file, or those of the run that is resumed. Nothing that
//! lies in the folder is replaced unless the user says so.

use super::state::{self, Setup, State};
use super::{BEST, LAST, Options, PLOT, PREVIEW, VALID_BATCHES, epoch, no_train, provenance};
use crate::error::{Error, OnFault, Result};
use crate::files::FolderLock;
use crate::files::guard::Inputs;
use crate::session::Session;
use crate::tensors::Mapped;
use crate::weights::Scope;
use std::path::{Path, PathBuf};
use vsr_artifact::{console, shown_path};

/// All that a run writes.
const FILES: [&str; 6] = [state::FILE, LAST, BEST, epoch::FILE, PLOT, PREVIEW];

pub struct Begun {
    pub folder: RunFolder,
    pub state: State,
    pub setup: Setup,
}

/// The folder of a run, locked while the run works in it.
pub struct RunFolder {
    path: PathBuf,
    _lock: FolderLock,
    /// Files of an older run, to be removed once a checkpoint of this one stands.
    replaced: Vec<PathBuf>,
}

impl RunFolder {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what is left of an older run. Call it after the first checkpoint: until then nothing is lost.
    pub fn clear(&mut self) -> Result<()> {
        for path in self.replaced.drain(..) {
            std::fs::remove_file(&path).map_err(|e| Error::io("replace", &path, &e))?;
        }
        Ok(())
    }

    /// `runs/MODEL-1`, or the next number that nobody has taken.
    fn new_default(session: &Session) -> Result<RunFolder> {
        let model = session.manifest().model.name.to_lowercase();
        let folders = (1..).map(|n: u64| Path::new("runs").join(format!("{model}-{n}")));
        let (path, lock) = FolderLock::take_new(folders)?;
        Ok(RunFolder {
            path,
            _lock: lock,
            replaced: vec![],
        })
    }

    fn new_given(path: &Path, options: &Options) -> Result<RunFolder> {
        let lock = FolderLock::take(path)?;
        let there = FILES.map(|name| path.join(name));
        let there: Vec<PathBuf> = there.into_iter().filter(|p| p.exists()).collect();
        let names = list(&there);
        if !there.is_empty() && !options.overwrite {
            return Err(in_the_way(path, &names));
        }
        let read = Inputs::of(options.weights.clone());
        there.iter().try_for_each(|file| read.refuse(file))?;
        if !there.is_empty() {
            let folder = shown_path(path);
            console::err(&format!("{folder}: replacing {names} of an older run\n"));
        }
        // A checkpoint takes the place of the older one by itself.
        let is_checkpoint = |p: &PathBuf| p.ends_with(state::FILE) || p.ends_with(LAST);
        Ok(RunFolder {
            path: path.to_path_buf(),
            _lock: lock,
            replaced: there.into_iter().filter(|p| !is_checkpoint(p)).collect(),
        })
    }

    fn resumed(path: &Path) -> Result<RunFolder> {
        if !path.join(state::FILE).exists() {
            return Err(state::none_in(path));
        }
        Ok(RunFolder {
            path: path.to_path_buf(),
            _lock: FolderLock::take(path)?,
            replaced: vec![],
        })
    }
}

fn list(files: &[PathBuf]) -> String {
    let name = |p: &PathBuf| {
        p.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    files.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn in_the_way(path: &Path, names: &str) -> Error {
    let folder = shown_path(path);
    let resume = match path.join(state::FILE).exists() {
        true => format!("go on with it by `--resume {folder}`, "),
        false => String::new(),
    };
    Error::user(format!(
        "{folder} holds another run ({names}); {resume}choose another folder with --out, or replace them with \
            --overwrite"
    ))
}

/// First weights and position: new, from a file, or from the run that is resumed.
pub fn begin(session: &mut Session, options: &Options) -> Result<Begun> {
    session.manifest().train.as_ref().ok_or_else(no_train)?;
    let mut begun = match (&options.out, options.resume) {
        (Some(out), true) => resume(session, options, out)?,
        (None, true) => return Err(Error::user("which run to resume is not said")),
        (out, false) => new(session, options, out.as_deref())?,
    };
    let setup = &mut begun.setup;
    setup.steps = options.steps.unwrap_or(setup.steps).max(1);
    setup.epochs = options.epochs.unwrap_or(setup.epochs);
    setup.valid = options.valid.unwrap_or(setup.valid);
    setup.rate = options.rate.or(setup.rate);
    setup.limit_pixels = options.limit_pixels.or(setup.limit_pixels);
    setup.data = options.data.clone().or(setup.data.take());
    setup.artifact = provenance::facts(session.manifest());
    let read = setup.data.iter().cloned().chain([session.folder().into()]);
    Inputs::of(read).refuse(begun.folder.path())?;
    Ok(begun)
}

fn resume(session: &mut Session, options: &Options, out: &Path) -> Result<Begun> {
    let folder = RunFolder::resumed(out)?;
    let (state, setup) = state::load(session, &out.join(state::FILE))?;
    check_best(&out.join(BEST))?;
    let now = provenance::facts(session.manifest());
    if let Some(change) = provenance::artifact_change(&setup.artifact, &now) {
        console::err(&format!("note: {change}\n"));
    }
    if let Some(seed) = options.seed.filter(|s| *s != setup.seed) {
        let (out, own) = (shown_path(out), setup.seed);
        return Err(Error::user(format!(
            "the run in {out} has seed {own}, and goes on with it: leave --seed {seed} out, or begin another run"
        )));
    }
    Ok(Begun {
        folder,
        state,
        setup,
    })
}

/// The best weights so far are kept until there are better ones: damage is told now, not when they are needed.
fn check_best(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let checked = Mapped::open(path).and_then(|file| file.verify());
    checked.map_err(|e| match e {
        Error::User(why) => Error::User(format!(
            "the best weights of the run cannot be used: move {} away, and the run goes on without this file ({why})",
            shown_path(path)
        )),
        other => other,
    })
}

fn new(session: &mut Session, options: &Options, out: Option<&Path>) -> Result<Begun> {
    let seed = options.seed.unwrap_or(0);
    session.init_weights(seed)?;
    if let Some(weights) = &options.weights {
        session.load_weights(weights, Scope::Model)?;
    }
    let weights = options.weights.as_deref();
    if let Some(text) = session.check_finite(weights, OnFault::of_strict(options.strict))? {
        console::err(&format!("warning: {text}\n"));
    }
    let folder = match out {
        Some(out) => RunFolder::new_given(out, options)?,
        None => RunFolder::new_default(session)?,
    };
    let train = session.manifest().train.as_ref().ok_or_else(no_train)?;
    let setup = Setup {
        seed,
        steps: train.steps,
        epochs: train.epochs,
        valid: VALID_BATCHES,
        rate: None,
        limit_pixels: None,
        data: None,
        artifact: Default::default(),
        clips: vec![],
    };
    Ok(Begun {
        folder,
        state: State::default(),
        setup,
    })
}
