//! What `cargo demo` starts: says what comes and how long it takes, then has cargo build and run the demo. Builds in a
//! second, since it needs nothing; everything after it may take minutes.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let mut said = String::new();
    if !is_built(&root) {
        said += "\
cargo demo builds the compiler, the runtime and the demo first: about 8 minutes on 2 cores, and 2.1 GB in target/.
Cargo fetches what they need from its registry. Later runs start at once.
";
    }
    said += "\
The demo compiles the flagship at width 24, trains it for ten steps, upscales three frames of a film, scores them and
draws the comparison: about a minute on 2 cores, into out/ (cargo demo --help: other sizes and folders).
";
    // Nobody may be there to read it.
    std::io::stderr().write_all(said.as_bytes()).ok();
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut demo = Command::new(cargo);
    demo.args(["run", "--package", "vsr-demo", "--manifest-path"]);
    demo.arg(root.join("Cargo.toml"))
        .arg("--")
        .args(std::env::args_os().skip(1));
    let error = demo.exec();
    writeln!(std::io::stderr(), "error: cargo does not start: {error}").ok();
    ExitCode::from(2)
}

/// The demo's program is there, beside this one.
fn is_built(root: &Path) -> bool {
    let own = std::env::current_exe().unwrap_or(root.join("target/debug/start"));
    own.with_file_name("vsr-demo").is_file()
}
