//! `vsr-run eval`: scores of a network on footage. Enters: flags and a session. Leaves: a report.

use super::degrade::Degradation;
use super::{Channel, Protocol, Report, find_clips};
use crate::error::OnFault;
use crate::progress::Progress;
use crate::session::Session;
use crate::upscale::session::SessionNetworks;
use crate::upscale::{Networks, TileOptions};
use crate::video::Limits;
use crate::{Result, interrupt};
use std::path::PathBuf;

/// PSNR and SSIM against bicubic, by a protocol that every line names
#[derive(clap::Args)]
#[command(after_help = "Example:
  vsr-run eval compiled/ --data clips/ --weights best.safetensors
  vsr-run eval compiled/ --data vid4/ --weights best.safetensors --protocol BD --crop 8 --skip-ends 2 --json")]
pub struct EvalArgs {
    /// Folder that vsrc wrote
    pub compiled: PathBuf,
    /// Ground truth: a video, or a folder of videos or of folders of pictures (its valid/, if there is one)
    #[arg(long)]
    pub data: PathBuf,
    /// Weights; without them, first weights from the seed
    #[arg(long)]
    pub weights: Option<PathBuf>,
    /// BI: MATLAB's bicubic. BD: Gaussian of 1.6, every s-th pixel
    #[arg(long, default_value = "BI")]
    pub protocol: Degradation,
    /// Compare R, G and B instead of luma
    #[arg(long)]
    pub rgb: bool,
    /// Pixels left out at each border
    #[arg(long, default_value_t = 0)]
    pub crop: usize,
    /// Frames left out at each end of a clip
    #[arg(long, default_value_t = 0)]
    pub skip_ends: usize,
    /// Only the first frames of each clip
    #[arg(long)]
    pub limit: Option<u64>,
    /// Refuse frames of more pixels
    #[arg(long, value_name = "N", default_value_t = Limits::DEFAULT_PIXELS)]
    pub limit_pixels: u64,
    /// Compiled shape to use; by default the one that costs least
    #[arg(long, default_value = "")]
    pub profile: String,
    /// Pixels that neighbouring tiles share, where the network sees a whole tile
    #[arg(long, default_value_t = 16)]
    pub overlap: usize,
    /// Times larger, for luma networks that keep the size; others know it
    #[arg(long)]
    pub scale: Option<usize>,
    /// A clip that is damaged or cannot be scored is an error, instead of being left out; all commands have `--strict`
    #[arg(skip)]
    pub strict: bool,
}

impl EvalArgs {
    fn protocol(&self, scale: usize) -> Protocol {
        let channel = if self.rgb { Channel::Rgb } else { Channel::Y };
        Protocol {
            degradation: self.protocol,
            scale,
            channel,
            crop: self.crop,
            skip_ends: self.skip_ends,
            limit: self.limit,
        }
    }
}

pub fn run(session: &mut Session, args: &EvalArgs, seed: u64, is_quiet: bool) -> Result<Report> {
    interrupt::install();
    let limits = Limits {
        pixels: args.limit_pixels,
    };
    let (clips, mut left_out) = find_clips(&args.data, &limits)?;
    let on_fault = OnFault::of_strict(args.strict);
    on_fault.check(&left_out)?;
    let mut networks = SessionNetworks::new(session, &args.profile, seed)?;
    let options: TileOptions = networks.options(args.overlap, args.scale)?;
    let scale = networks.shapes()[0].form.scale * options.enlarge_first;
    let mut line = Progress::new(is_quiet);
    let n_clips = clips.len();
    let mut report = super::run(
        &mut networks,
        &clips,
        args.protocol(scale),
        options,
        on_fault,
        &limits,
        |clip, frame| {
            line.update(
                0,
                0,
                &format!("clip {} of {n_clips}, frame {frame}", clip + 1),
            );
            !interrupt::asked()
        },
    )?;
    left_out.append(&mut report.left_out);
    report.left_out = left_out;
    Ok(report)
}
