//! `vsrc new`: a folder with a small network that compiles and trains. Only a new folder, or an empty one, is written to;
//! all its files are on the disk before the first takes its place.

use super::{Failure, Unread, print};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use vsr_artifact::EXIT_CODES;
use vsr_artifact::{replace, shown, shown_path};
use vsr_compiler::project::{self, Project};

#[derive(clap::Args)]
#[command(after_help = format!("The network makes video twice as large: a few convolutions and a pixel shuffle, added to bicubic interpolation. \
It is a start, to be changed. The folder holds NAME.vsr, a README.md with the commands, and a .gitignore; its model \
is named after it: my-net has MyNet, 4x has Net4x.

Examples:
  vsrc new my-net
  vsrc new work/my-net
  cd my-net && vsrc compile my-net.vsr && vsr-run train compiled/

{EXIT_CODES}"))]
pub struct New {
    /// The folder: a new one, or an empty one
    #[arg(value_name = "NAME")]
    path: PathBuf,
    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

pub fn run(args: &New) -> Result<(), Failure> {
    let refuse = |why: String| Failure::User(format!("{}: {why}", shown_path(&args.path)));
    let name = name(&args.path).map_err(refuse)?;
    let project = project::project(&name).map_err(refuse)?;
    check_place(&args.path)?;
    let files = project.files.iter();
    replace::files(files.map(|(name, text)| (args.path.join(name), text.as_bytes())))?;
    if args.quiet {
        return Ok(());
    }
    print(&summary(&args.path, &project))
}

/// The folder's own name, also where the path ends in `.` or `..`.
fn name(path: &Path) -> Result<String, String> {
    let whole = match path.file_name() {
        Some(_) => path.to_path_buf(),
        None => fs::canonicalize(path).unwrap_or_default(),
    };
    match whole.file_name() {
        Some(name) => Ok(name.to_string_lossy().into_owned()),
        None => Err("a project needs a name, such as my-net".into()),
    }
}

/// Nothing of the user's may be in the way.
fn check_place(path: &Path) -> Result<(), Failure> {
    let refuse = |why: &str| Err(Failure::User(format!("{}: {why}", shown_path(path))));
    match fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            Some(_) => refuse("this folder is not empty; choose another name"),
            None => Ok(()),
        },
        Err(error) if fs::symlink_metadata(path).is_ok() => match error.kind() {
            ErrorKind::NotADirectory => refuse("a file has this name; choose another one"),
            ErrorKind::NotFound => refuse("this is a link that leads nowhere; choose another name"),
            _ => Err(Unread::from(error).of(&path.to_string_lossy())),
        },
        // It is made, or the writer says why it cannot be.
        Err(_) => Ok(()),
    }
}

fn summary(path: &Path, project: &Project) -> String {
    let names: Vec<&str> = project
        .files
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let (names, source) = (names.join(", "), shown(&project.source));
    let run = project.model.to_lowercase();
    format!(
        "wrote {}: {names}; model {}\n
next, in that folder:
  vsrc compile {source}
  vsr-run train compiled/
  vsr-run upscale compiled/ in.mp4 -o out.mp4 --weights runs/{run}-1/best.safetensors\n",
        shown_path(path),
        project.model
    )
}
