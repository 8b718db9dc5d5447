//! Devices: what runs compiled entries. A device allocates, uploads, launches and times; sessions, weights and benchmarks
//! know nothing else of it.
//!
//! Enters the code of a network and the addresses of its buffers; leaves what its launches write there. No device decides what is
//! launched, in which order, or where anything lies: the plan does.
//!
//! A new device is a folder here, and a line in [`DEVICES`].

mod buffer;
pub mod cpu;
mod interpreter;
mod lists;

pub use buffer::{Buffer, edit, outside, read};

use crate::error::{Error, Result};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;
use vsr_artifact::Artifact;
use vsr_artifact::manifest::{CodeForm, Launch, Place};
use vsr_kernels::Level;

/// What the user may choose of a device.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// One of [`DEVICES`] by name; `None`: the first.
    pub device: Option<String>,
    /// As [`cpu::n_threads_for`] takes them: 0 is one for each core.
    pub threads: usize,
    /// Widest instructions of the processor's microkernels; `None`: the best there are.
    pub level: Option<Level>,
    /// For tests: each launch runs with its buffers between pages that nobody may touch. So does everything if the
    /// variable `VSR_GUARD` is set.
    pub is_guarded: bool,
}

/// A kind of device.
pub struct Kind {
    pub name: &'static str,
    /// What it runs.
    form: CodeForm,
    open: fn(&Options) -> Result<Box<dyn Device>>,
}

/// All there are.
pub const DEVICES: &[Kind] = &[
    Kind {
        name: "cpu",
        form: CodeForm::Native,
        open: |options| Ok(Box::new(cpu::Cpu::open(options)?)),
    },
    Kind {
        name: "interpreter",
        form: CodeForm::Tile,
        open: |_| Ok(Box::new(interpreter::Interpreter::default())),
    },
];

/// What `--device` takes.
pub fn names() -> impl IntoIterator<Item = &'static str> {
    DEVICES.iter().map(|kind| kind.name)
}

/// The device that is chosen, or else the first.
pub fn open(options: &Options) -> Result<Box<dyn Device>> {
    let kind = options.device.as_deref().map_or(Ok(&DEVICES[0]), named)?;
    (kind.open)(options)
}

/// The device that is chosen for code of this form, or else the first that runs it.
pub fn open_for(form: CodeForm, options: &Options) -> Result<Box<dyn Device>> {
    let kind = match &options.device {
        Some(name) => named(name)?,
        None => of_form(form)?,
    };
    if kind.form != form {
        let (device, target) = (kind.name, kind.form.target());
        return Err(Error::user(format!(
            "the network was not compiled for the device {device}: compile it with `vsrc compile --target {target}`"
        )));
    }
    (kind.open)(options)
}

fn named(name: &str) -> Result<&'static Kind> {
    let kind = DEVICES.iter().find(|kind| kind.name == name);
    kind.ok_or_else(|| {
        let names: Vec<&str> = DEVICES.iter().map(|k| k.name).collect();
        Error::user(format!(
            "there is no device {}: this version runs on `--device {}`",
            vsr_artifact::shown(name),
            names.join("` or `--device ")
        ))
    })
}

fn of_form(form: CodeForm) -> Result<&'static Kind> {
    let kind = DEVICES.iter().find(|kind| kind.form == form);
    kind.ok_or_else(|| Error::user("this version has no device for the code of this network"))
}

/// Launches that a device was given with the addresses of their buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListId(usize);

/// What all launches of a run share: Philox' key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Run {
    pub seed: u64,
    pub step: u64,
}

pub trait Device: Send {
    /// Workers side by side.
    fn n_threads(&self) -> usize;

    /// The widest instructions that it uses.
    fn level(&self) -> &'static str;

    /// `bytes` zero bytes. `what` they are for is said where there is no room.
    fn alloc(&self, bytes: u64, what: &str) -> Result<Box<dyn Buffer>>;

    /// Numbers to a byte offset, as fast as the device can.
    fn upload(&mut self, to: &mut dyn Buffer, at: u64, from: &[f32]) -> Result<()> {
        to.upload(at, bytemuck::cast_slice(from))
    }

    /// Takes an artifact's code, which lies in that folder; lists of another one are given back. Refused: kernels without code.
    fn load(&mut self, artifact: &Artifact, dir: &Path) -> Result<()>;

    /// Launches of the artifact that was loaded, in order, to be run as often as wanted.
    ///
    /// # Safety
    /// Until the list is given to [`Device::unbind`], each address is that of a buffer of this device, there is as much behind it
    /// as the launch says, and no reference to it is kept while a list runs. Launches and their arguments are the artifact's.
    unsafe fn bind(
        &mut self,
        launches: &[Launch],
        address: &dyn Fn(&Place) -> u64,
    ) -> Result<ListId>;

    fn unbind(&mut self, list: ListId);

    /// Runs a part of a list.
    fn run(&mut self, list: ListId, part: Range<usize>, run: Run) -> Result<()>;

    /// Runs a list; the time of each launch.
    fn timed(&mut self, list: ListId, run: Run) -> Result<Vec<Duration>>;

    /// Scratch of all workers, in bytes.
    fn scratch_bytes(&self) -> u64;

    /// Multiply-adds a second that all workers reach together, measured now.
    fn peak_flops(&mut self) -> Result<f64>;

    /// Copies a whole buffer to another one of the same length past the caches; how long that took.
    fn timed_copy(&mut self, from: &dyn Buffer, to: &mut dyn Buffer) -> Result<Duration>;
}

/// What is said of an artifact whose parts do not fit each other.
pub(crate) fn damaged(dir: &Path, why: &str) -> Error {
    Error::Artifact(vsr_artifact::Error::Damaged {
        path: dir.to_path_buf(),
        why: why.to_string(),
    })
}
