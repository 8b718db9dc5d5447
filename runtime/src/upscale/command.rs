//! `vsr-run upscale`: a film through a network. Enters: flags and a session. Leaves: a film, and lines that say what
//! was done.

use super::session::SessionNetworks;
use super::{Progress, Upscaler, film, fit};
use crate::files::guard::{Inputs, is_replaced};
use crate::progress::Progress as ProgressLine;
use crate::session::Session;
use crate::video::damage::{self, Strict};
use crate::video::sequence::{Pattern, files_in};
use crate::video::{
    FrameReader, Limits, Older, OutputSpec, create_writer, numbered_output, open_reader_within,
};
use crate::{Error, Result, interrupt, memory};
use serde::Serialize;
use std::path::{Path, PathBuf};
use vsr_artifact::{console, shown_path};

/// Enlarge a video, or pictures
#[derive(clap::Args)]
#[command(after_help = "Example:
  vsr-run upscale compiled/ in.mp4 -o out.mp4 --weights best.safetensors
  vsr-run upscale compiled/ frames/ -o big/%05d.png
  ffmpeg -i in.mkv -f yuv4mpegpipe - | vsr-run upscale compiled/ - -o - | ffmpeg -i - out.mkv")]
pub struct UpscaleArgs {
    /// Folder that vsrc wrote
    pub compiled: PathBuf,
    /// Video, folder of pictures, pattern (in/%05d.png), or - for Y4M from stdin
    pub input: PathBuf,
    /// Video (.mp4, .y4m; .mkv and others with ffmpeg), folder, pattern, or - for Y4M to stdout
    #[arg(short, long)]
    pub output: PathBuf,
    /// Weights; without them, first weights from the seed
    #[arg(long)]
    pub weights: Option<PathBuf>,
    /// Compiled shape to use; by default the one that costs least
    #[arg(long, default_value = "")]
    pub profile: String,
    /// Pixels that neighbouring tiles share, where the network sees a whole tile
    #[arg(long, default_value_t = 16)]
    pub overlap: usize,
    /// Times larger, for luma networks that keep the size; others know it
    #[arg(long)]
    pub scale: Option<usize>,
    /// Refuse frames of more pixels
    #[arg(long, value_name = "N", default_value_t = Limits::DEFAULT_PIXELS)]
    pub limit_pixels: u64,
    /// Stop after this many frames
    #[arg(long)]
    pub limit: Option<u64>,
    /// Replace the pictures that are in the output's folder under such names, or come there meanwhile
    #[arg(long)]
    pub overwrite: bool,
    /// A source that is damaged, cut short or incomplete is an error, instead of giving what is there; all commands
    /// have `--strict`
    #[arg(skip)]
    pub strict: bool,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub input: [usize; 2],
    pub output: [usize; 2],
    pub profile: String,
    pub n_tiles: usize,
    /// Tiles equal the whole frame, bit for bit.
    pub is_exact: bool,
    pub n_frames: u64,
    pub seconds: f64,
    pub frames_per_second: f64,
    pub notes: Vec<String>,
    /// What the source lacks, one sentence each.
    pub damage: Vec<String>,
}

impl Summary {
    pub fn text(&self) -> String {
        let Summary {
            input: [w, h],
            output: [ow, oh],
            n_frames,
            frames_per_second,
            ..
        } = self;
        let notes: String = self.notes.iter().map(|n| format!("  {n}")).collect();
        format!("done   {w}x{h} -> {ow}x{oh}  {n_frames} frames  {frames_per_second:.2} fps{notes}")
    }
}

/// Runs the command. `say` gets the plan before the first frame.
pub fn run(
    session: &mut Session,
    args: &UpscaleArgs,
    seed: u64,
    is_quiet: bool,
    mut say: impl FnMut(&str) -> Result<()>,
) -> Result<Summary> {
    interrupt::install();
    check_output(args, session)?;
    let mut reader = open_source(args)?;
    let mut told = Told::new(args.limit);
    told.tell(&*reader);
    let info = reader.info().clone();
    let mut networks = SessionNetworks::new(session, &args.profile, seed)?;
    let options = networks.options(args.overlap, args.scale)?;
    let (profile, mut upscaler) = fit(&mut networks, info.width, info.height, options)?;
    let what = format!(
        "enlarging {}x{} frames of {}",
        info.width,
        info.height,
        shown_path(&args.input)
    );
    memory::check(upscaler.frame_bytes(), &what)?;
    let source = (args.input != Path::new("-")).then_some(args.input.as_path());
    let scaled = OutputSpec::scaled(&info, upscaler.scale(), source);
    let spec = OutputSpec {
        is_cut: args.limit.is_some(),
        older: match args.overwrite {
            true => Older::Replaced,
            false => Older::Kept,
        },
        ..scaled
    };
    let writer = create_writer(&args.output, &spec)?;
    say(&plan(
        &upscaler,
        &profile,
        &spec,
        [info.width, info.height],
        args.overlap,
    ))?;
    if let Some(note) = replaced(&args.output)?.filter(|_| !is_quiet) {
        console::err(&format!("note: {note}\n"));
    }

    let mut line = ProgressLine::new(is_quiet);
    let report = |p: Progress| {
        line.update(
            p.n_done,
            p.n_total.unwrap_or(0),
            &format!("{} frames, {:.2} fps", p.n_done, p.frames_per_second()),
        );
        !interrupt::asked()
    };
    let (progress, notes) = film(&mut upscaler, &mut *reader, writer, args.limit, report)?;
    drop(line);
    told.tell(&*reader);
    Ok(Summary {
        input: [info.width, info.height],
        output: [spec.width, spec.height],
        profile,
        n_tiles: upscaler.n_tiles(),
        is_exact: upscaler.is_exact(),
        n_frames: progress.n_done,
        seconds: progress.elapsed.as_secs_f64(),
        frames_per_second: progress.frames_per_second(),
        notes,
        damage: told.losses,
    })
}

fn open_source(args: &UpscaleArgs) -> Result<Box<dyn FrameReader>> {
    let limits = Limits {
        pixels: args.limit_pixels,
    };
    let reader = open_reader_within(&args.input, &limits)?;
    Ok(match args.strict {
        true => Box::new(Strict::new(reader, args.limit)?),
        false => reader,
    })
}

/// Warnings on standard error, each once, however quiet the command is.
struct Told {
    limit: Option<u64>,
    said: Vec<String>,
    /// Those of lost frames.
    losses: Vec<String>,
}

impl Told {
    fn new(limit: Option<u64>) -> Told {
        Told {
            limit,
            said: vec![],
            losses: vec![],
        }
    }

    fn tell(&mut self, reader: &dyn FrameReader) {
        let mut damage = reader.damage();
        damage.retain(|d| d.is_within(self.limit));
        let losses: Vec<_> = damage.iter().filter(|d| d.is_loss).cloned().collect();
        self.losses = damage::lines(&losses);
        for line in damage::lines(&damage) {
            if !self.said.contains(&line) {
                console::err(&format!("warning: {line}\n"));
                self.said.push(line);
            }
        }
    }
}

/// Refuses an output that would replace what is read, or pictures that nobody said may go.
fn check_output(args: &UpscaleArgs, session: &Session) -> Result<()> {
    let mut read = session.files_read();
    read.extend(args.weights.clone());
    read.extend(source_files(&args.input)?);
    let read = Inputs::of(read);
    let Some(pattern) = numbered_output(&args.output) else {
        return read.refuse(&args.output);
    };
    Inputs::of([args.input.clone(), session.folder().into()]).refuse(&pattern.folder())?;
    let there = pattern.existing_files()?;
    there.iter().try_for_each(|picture| read.refuse(picture))?;
    match there.len() {
        n if n > 0 && !args.overwrite => Err(Error::user(format!(
            "{} holds {n} such pictures already: choose another place, or replace them with --overwrite",
            shown_path(&args.output)
        ))),
        _ => Ok(()),
    }
}

/// The files that an input names.
fn source_files(input: &Path) -> Result<Vec<PathBuf>> {
    let pictures = match Pattern::parse(input) {
        _ if input.is_dir() => files_in(input)?,
        Some(pattern) if !input.exists() => pattern.existing_files()?,
        _ => vec![],
    };
    Ok([vec![input.to_path_buf()], pictures].concat())
}

/// What is there under the output's name, and goes when the film is done.
fn replaced(output: &Path) -> Result<Option<String>> {
    let output_name = shown_path(output);
    Ok(match numbered_output(output) {
        Some(pattern) => match pattern.existing_files()?.len() {
            0 => None,
            n => Some(format!("the {n} pictures in {output_name} are replaced")),
        },
        None => is_replaced(output)
            .then(|| format!("{output_name} is there, and is replaced when this is done")),
    })
}

fn plan<N: super::Network>(
    upscaler: &Upscaler<N>,
    profile: &str,
    spec: &OutputSpec,
    [w, h]: [usize; 2],
    overlap: usize,
) -> String {
    let form = upscaler.form();
    let tiles = match (upscaler.n_tiles(), upscaler.is_exact()) {
        (1, _) => "one tile".to_string(),
        (n, true) => format!("{n} tiles, equal to the whole frame"),
        (n, false) => format!("{n} tiles, {overlap} pixels blended"),
    };
    let frames = if form.frames > 1 {
        format!(", {} frames at a time", form.frames)
    } else {
        String::new()
    };
    format!(
        "plan   {w}x{h} -> {}x{}, profile {profile} ({}x{}{frames}), {tiles}",
        spec.width, spec.height, form.width, form.height
    )
}
