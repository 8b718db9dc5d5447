//! `vsrc check`: all errors of each file, and of what it uses, in one run. Writes nothing.

use super::{Failure, Files, print, rendered, setting};
use vsr_artifact::EXIT_CODES;
use vsr_artifact::console;
use vsr_compiler::diag::{self, Problems};
use vsr_compiler::pipeline;
use vsr_compiler::sema::Options;

#[derive(clap::Args)]
#[command(
    after_help = format!("Every `train` item and every model of a file is checked under all its profiles; without a profile, \
names and argument lists are. A file with a model and a profile that is right here compiles. An error \
silences what depends on it.

Examples:
  vsrc check models/vsr.vsr
  vsrc check models/*.vsr
  vsrc check models/vsr.vsr --set H=90 --profile tile

With --json, standard output is one list of objects, one an error, in the order found:
  class     syntax import name type param dim shape range where label weight grad cycle kernel
  message   one sentence
  file, line, column, end_line, end_column
            the place, counted from 1 in characters; null where no line is to blame
  start, end
            the same in bytes from 0
  text      what stands under the place, perhaps empty: `[B, 64, H/2, W/2] = [8, 64, 32, 32]`
  labels    the other places, each with the fields of a place and `text`
  notes     more sentences
  help      what to do, or null
  edit      the change that does it, or null: a place and `replacement`
  trail     the calls that led here, innermost first, as labels

{EXIT_CODES}")
)]
pub struct Check {
    /// The .vsr files
    #[arg(required = true)]
    files: Vec<String>,
    /// Check only this `train` item or model, where a file has several to choose from (repeat for more)
    #[arg(long)]
    name: Vec<String>,
    /// Check only this profile (repeat for more)
    #[arg(long)]
    profile: Vec<String>,
    /// Override a dim of the profiles or a parameter of the model: --set H=128, --set ch=16
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// Print a list of objects (below) on standard output
    #[arg(long)]
    json: bool,
    /// Print how long each file, or each name in it, took
    #[arg(long)]
    timings: bool,
}

pub fn run(args: &Check) -> Result<(), Failure> {
    let mut all: Vec<serde_json::Value> = Vec::new();
    let mut texts: Vec<String> = Vec::new();
    let names: Vec<Option<&String>> = match args.name.as_slice() {
        [] => vec![None],
        names => names.iter().map(Some).collect(),
    };
    let runs = args
        .files
        .iter()
        .flat_map(|p| names.iter().map(move |n| (p, *n)));
    for (path, name) in runs {
        let start = std::time::Instant::now();
        let (mut files, mut problems) = (Files::default(), Problems::new());
        let _context = diag::context(path);
        let options = Options {
            name: name.cloned(),
            profiles: args.profile.clone(),
            set: args.set.clone(),
        };
        pipeline::check(&mut files, path, &options, &mut problems);
        files.check(&problems)?;
        if args.timings {
            let ms = start.elapsed().as_secs_f64() * 1e3;
            console::err(&format!("{}: {ms:.1} ms\n", vsr_artifact::shown(path)));
        }
        // Files that are used by several, or by several names, are checked with each, and reported once.
        for value in problems
            .to_json(&files.sources)
            .as_array()
            .into_iter()
            .flatten()
        {
            if !all.contains(value) {
                all.push(value.clone());
            }
        }
        let text = rendered(&problems, &files.sources);
        if !text.is_empty() && !texts.contains(&text) {
            texts.push(text);
        }
    }
    let n = all.len();
    if args.json {
        print(&format!("{}\n", serde_json::Value::Array(all)))?;
    } else {
        console::styled(&texts.concat());
    }
    if n == 0 {
        return Ok(());
    }
    if !args.json {
        let errors = if n == 1 { "error" } else { "errors" };
        console::err(&format!("{n} {errors}\n"));
    }
    Err(Failure::Shown)
}
