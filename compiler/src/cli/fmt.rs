//! `vsrc fmt`: files in the one canonical style. A file that does not parse is left alone and reported; one that is
//! rewritten is written beside itself first and renamed, so that it is never half there.

use super::{Failure, Files, print, print_document, read, read_from};
use std::path::Path;
use vsr_artifact::EXIT_CODES;
use vsr_artifact::{replace, shown};
use vsr_compiler::diag::{self, Problems};
use vsr_compiler::syntax;

#[derive(clap::Args)]
#[command(
    after_help = format!("The style has no options: two spaces, 110 columns, comments kept, formatting twice changes \
nothing. Only blanks, line breaks and commas before closing brackets change.

Examples:
  vsrc fmt models/*.vsr
  vsrc fmt --check models/*.vsr     # change nothing; name what would change, exit code 1 if anything
  vsrc fmt - < model.vsr            # from standard input to standard output

{EXIT_CODES}")
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
            "-" => read_from(std::io::stdin()),
            path => read(path),
        };
        let text = text.map_err(|unread| unread.of(path))?;
        let _context = diag::context(path);
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
            replace::file(Path::new(path), formatted.as_bytes())?;
        }
    }
    if !problems.is_empty() {
        return Err(files.refuse(problems));
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
