//! `vsrc report`: what a network costs, before anything runs.

use super::{Failure, Files, print, setting};
use std::path::Path;
use vsr_artifact::EXIT_CODES;
use vsr_artifact::roofs::{self, Roofs};
use vsr_compiler::diag::{self, Problems};
use vsr_compiler::report::{self, Roofline};
use vsr_compiler::sema::Options;

#[derive(clap::Args)]
#[command(after_help = format!("Examples:
  vsrc report models/vsr.vsr
  vsrc report models/vsr.vsr --profile tile --set ch=16 --depth 1
  vsrc report models/sdxl-unet.vsr --profile side512 --roofs desktop --threads 4
  vsrc report models/vdsr.vsr --json | jq .entries.infer.flops

Times come from the roofs of a machine: the file that `vsr-run bench --roofs` wrote, or nominal numbers by name
(laptop, desktop).

{EXIT_CODES}"))]
pub struct Report {
    /// The .vsr file
    file: String,
    /// Which `train` item or model, if the file has several
    name: Option<String>,
    /// Only this profile (repeat for more)
    #[arg(long)]
    profile: Vec<String>,
    /// Override a dim of the profiles or a parameter of the model: --set H=128, --set ch=16
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// Fold label paths to so many segments; 0: keep them whole
    #[arg(long, default_value_t = 2)]
    depth: usize,
    /// Roofs for the predicted times: a file, `laptop` or `desktop` [default: what `vsr-run bench --roofs` measured here,
    /// else `laptop`]
    #[arg(long, value_name = "FILE|NAME")]
    roofs: Option<String>,
    /// The roof of so many threads [default: the most]
    #[arg(long)]
    threads: Option<u64>,
    /// One JSON object on standard output; problems, too
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &Report) -> Result<(), Failure> {
    let _context = diag::context(&args.file);
    let roof = roofline(args.roofs.as_deref(), args.threads)?;
    let options = Options {
        name: args.name.clone(),
        profiles: args.profile.clone(),
        set: args.set.clone(),
    };
    let depth = (args.depth > 0).then_some(args.depth);
    let (mut files, mut problems) = (Files::default(), Problems::new());
    let made = report::report(&mut files, &args.file, &options, depth, roof, &mut problems);
    let Some(made) = made else {
        return Err(files.refuse(problems));
    };
    if args.json {
        let text = serde_json::to_string_pretty(&made).expect("a report is plain data");
        print(&(text + "\n"))
    } else {
        print(&report::text(&made))
    }
}

fn roofline(wanted: Option<&str>, threads: Option<u64>) -> Result<Roofline, Failure> {
    let (roofs, file) = match wanted {
        Some(name) => match roofs::named(name) {
            Some(roofs) => (roofs, None),
            None => (read(Path::new(name))?, Some(name.to_string())),
        },
        None => match roofs::default_path().filter(|p| p.is_file()) {
            Some(path) => (read(&path)?, Some(path.to_string_lossy().into_owned())),
            None => (roofs::named("laptop").expect("a name of the list"), None),
        },
    };
    let Some(roof) = roofs.of(threads) else {
        let known: Vec<String> = roofs.roofs.iter().map(|r| r.threads.to_string()).collect();
        return Err(Failure::User(format!(
            "there is no roof for {} threads of {}; there is one for {}",
            threads.unwrap_or_default(),
            roofs.machine,
            known.join(", ")
        )));
    };
    Ok(Roofline {
        name: roofs.machine,
        file,
        roof,
    })
}

fn read(path: &Path) -> Result<Roofs, Failure> {
    let names: Vec<&str> = roofs::NAMED.iter().map(|n| n.0).collect();
    let help = format!("named roofs: {}", names.join(", "));
    super::parsed(path, Roofs::parse, &help)
}
