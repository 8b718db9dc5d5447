//! `vsrc doc`: pages about the standard library and models.

use super::{Failure, Files, Unread, print};
use std::path::{Path, PathBuf};
use vsr_artifact::EXIT_CODES;
use vsr_artifact::{replace, shown_path};
use vsr_compiler::diag::Problems;
use vsr_compiler::doc::{self, Format};

#[derive(clap::Args)]
#[command(after_help = format!("Examples:
  vsrc doc                                  the standard library and models/*.vsr, to doc/
  vsrc doc my.vsr blocks/ -o pages          a file and all files of a folder, beside the standard library
  vsrc doc --markdown -o docs

The pages need no network.

{EXIT_CODES}"))]
pub struct Doc {
    /// Files, or folders of files [default: models, where there is such a folder]
    files: Vec<PathBuf>,
    /// Folder to write
    #[arg(short, long, default_value = "doc", value_name = "DIR")]
    output: PathBuf,
    /// Markdown instead of HTML
    #[arg(long)]
    markdown: bool,
    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

pub fn run(args: &Doc) -> Result<(), Failure> {
    let paths = paths(&args.files)?;
    let format = if args.markdown {
        Format::Markdown
    } else {
        Format::Html
    };
    let (mut files, mut problems) = (Files::default(), Problems::new());
    let Some(pages) = doc::pages(&mut files, &paths, format, &mut problems) else {
        return Err(files.refuse(problems));
    };
    let files = pages
        .iter()
        .map(|page| (args.output.join(&page.path), page.text.as_bytes()));
    replace::files(files)?;
    if args.quiet {
        return Ok(());
    }
    let first = args.output.join(&pages[0].path);
    print(&format!(
        "wrote {} files; open {}\n",
        pages.len(),
        shown_path(&first)
    ))
}

/// The files that are meant, those of folders by name.
fn paths(given: &[PathBuf]) -> Result<Vec<String>, Failure> {
    let models = PathBuf::from("models");
    let standard = [models.clone()];
    let given = match given {
        [] if models.is_dir() => &standard,
        given => given,
    };
    let mut paths = vec![];
    for path in given {
        if path.is_dir() {
            paths.extend(of_folder(path)?);
        } else {
            paths.push(text(path)?);
        }
    }
    Ok(paths)
}

fn of_folder(folder: &Path) -> Result<Vec<String>, Failure> {
    let fail = |e: std::io::Error| Unread::from(e).of(&folder.to_string_lossy());
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.extension().is_some_and(|e| e == "vsr") && path.is_file() {
            found.push(text(&path)?);
        }
    }
    found.sort();
    Ok(found)
}

fn text(path: &Path) -> Result<String, Failure> {
    let text = path.to_str().map(str::to_string);
    text.ok_or_else(|| Failure::User(format!("{} is no name in UTF-8", shown_path(path))))
}
