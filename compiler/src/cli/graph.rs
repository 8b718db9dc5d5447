//! `vsrc graph`: a network as a picture.

use super::{Failure, Files, print_document, setting};
use std::path::{Path, PathBuf};
use vsr_artifact::EXIT_CODES;
use vsr_artifact::shown_path;
use vsr_compiler::diag::{self, Problems};
use vsr_compiler::picture::{self, Picture};
use vsr_compiler::sema::Options;

#[derive(clap::Args)]
#[command(after_help = format!("Examples:
  vsrc graph models/vsr.vsr -o vsr.svg                     the picture for a paper
  vsrc graph models/vsr.vsr -o vsr.svg --depth 2           every block opened once
  vsrc graph models/sdxl-unet.vsr -o unet.html             a page in which blocks unfold by click; needs no network
  vsrc graph models/vdsr.vsr -o - --format dot | dot -Tpdf -o vdsr.pdf

{EXIT_CODES}"))]
pub struct Graph {
    /// The .vsr file
    file: String,
    /// Which `train` item or model, if the file has several
    name: Option<String>,
    /// Where the picture goes: a file that ends in .svg, .html or .dot, or `-` for standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Instead of what the file's name says
    #[arg(long, value_parser = ["svg", "html", "dot"])]
    format: Option<String>,
    /// The profile whose sizes are shown [default: the first that is not `train`]
    #[arg(long)]
    profile: Option<String>,
    /// Override a dim of the profiles or a parameter of the model: --set H=128, --set ch=16
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// Levels of blocks: 1 draws each block folded, 2 opens them once, and so on
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=32))]
    depth: u8,
}

pub fn run(args: &Graph) -> Result<(), Failure> {
    let _context = diag::context(&args.file);
    let format = format(&args.output, args.format.as_deref())?;
    let options = Options {
        name: args.name.clone(),
        profiles: args.profile.iter().cloned().collect(),
        set: args.set.clone(),
    };
    let (mut files, mut problems) = (Files::default(), Problems::new());
    let Some(picture) = picture::picture(&mut files, &args.file, &options, &mut problems) else {
        return Err(files.refuse(problems));
    };
    let text = drawn(&picture, format, usize::from(args.depth));
    if args.output == Path::new("-") {
        return print_document(&text);
    }
    Ok(vsr_artifact::replace::file(&args.output, text.as_bytes())?)
}

fn format<'a>(output: &'a Path, wanted: Option<&'a str>) -> Result<&'a str, Failure> {
    let ending = output.extension().and_then(|e| e.to_str());
    match wanted.or(ending) {
        Some(format @ ("svg" | "html" | "dot")) => Ok(format),
        _ => Err(Failure::User(format!(
            "{}: which kind of picture? End the name in .svg, .html or .dot, or give --format",
            shown_path(output)
        ))),
    }
}

fn drawn(picture: &Picture, format: &str, depth: usize) -> String {
    match format {
        "svg" => picture.svg(depth),
        "html" => picture.html(depth),
        _ => picture.dot(depth),
    }
}
