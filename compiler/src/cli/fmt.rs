//! `vsrc fmt`: files in the one canonical style. A file that does not parse is left alone and reported; one that is
//! rewritten is written beside itself first and renamed, so that it is never half there.

use super::{Failure, Files, print, print_document, read};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use vsr_artifact::shown;
use vsr_compiler::diag::Problems;
use vsr_compiler::syntax;

#[derive(clap::Args)]
#[command(
    after_help = "The style has no options: two spaces, 110 columns, comments kept, formatting twice changes \
nothing. Only blanks, line breaks and commas before closing brackets change.

Examples:
  vsrc fmt models/*.vsr
  vsrc fmt --check models/*.vsr     # change nothing; name what would change, exit code 1 if anything
  vsrc fmt - < model.vsr            # from standard input to standard output"
)]
pub struct Fmt {
    /// The .vsr files; `-` is standard input
    #[arg(required = true)]
    files: Vec<String>,
    /// Change nothing; print the names of files that are not in canonical style
    #[arg(long)]
    check: bool,
}

pub fn run(args: &Fmt) -> Result<(), Failure> {
    let (mut files, mut problems) = (Files::default(), Problems::new());
    let mut n_changed = 0;
    for path in &args.files {
        let text = match path.as_str() {
            "-" => standard_input(),
            path => read(path),
        };
        let text = text.map_err(|e| Failure::User(format!("{}: {e}", shown(path))))?;
        let name = if path == "-" { "<stdin>" } else { path };
        let id = files.sources.add(name, text.as_str());
        let Some(formatted) = syntax::format(id, &text, &mut problems) else {
            continue;
        };
        let is_changed = formatted != text;
        if args.check {
            if is_changed {
                n_changed += 1;
                print(&format!("{}\n", shown(name)))?;
            }
        } else if path == "-" {
            print_document(&formatted)?;
        } else if is_changed {
            replace(Path::new(path), &formatted)
                .map_err(|e| Failure::Machine(format!("{}: {e}", shown(path))))?;
        }
    }
    if !problems.is_empty() {
        return Err(Failure::Problems(
            Box::new(problems),
            Box::new(files.sources),
        ));
    }
    if n_changed > 0 {
        let files = if n_changed == 1 {
            "file is"
        } else {
            "files are"
        };
        return Err(Failure::User(format!(
            "{n_changed} {files} not formatted: run `vsrc fmt` on what is named above"
        )));
    }
    Ok(())
}

fn standard_input() -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().read_to_end(&mut bytes);
    read.map_err(|e| e.to_string())?;
    String::from_utf8(bytes).map_err(|_| "the text is not in UTF-8".to_string())
}

/// The new text instead of the old one, with the old one's permissions; a link stays a link.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let path = std::fs::canonicalize(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside: PathBuf = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = write_all(&beside, text)
        .and_then(|()| std::fs::set_permissions(&beside, std::fs::metadata(&path)?.permissions()))
        .and_then(|()| std::fs::rename(&beside, &path));
    if written.is_err() {
        // The first error is the one to tell.
        std::fs::remove_file(&beside).ok();
    }
    written
}

fn write_all(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
