//! vsrc: compiles a network in `.vsr` to a folder that `vsr-run` trains and runs.
//!
//! Reads files, prints problems, writes the artifact. Exit codes: 0, 1 for a user's error, 2 for a machine's.

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "vsrc",
    version,
    about = "Compiles a neural network for video, written in .vsr"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compile a network to a folder of native code
    #[command(
        after_help = "Examples:\n  vsrc compile models/vsr.vsr\n  vsrc compile models/vsr.vsr -o small --set ch=16 --profile train --profile tile\n  vsrc compile models/vdsr.vsr --emit schedule"
    )]
    Compile(Compile),
}

#[derive(clap::Args)]
struct Compile {
    /// The .vsr file
    file: String,
    /// Which `train` item or model, if the file has several
    name: Option<String>,
    /// Folder to write
    #[arg(short, long, default_value = "compiled")]
    output: String,
    /// Compile only this profile (repeat for more)
    #[arg(long)]
    profile: Vec<String>,
    /// Override a dim of the profiles or a parameter of the model: --set H=128, --set ch=16
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Print a stage instead of writing the artifact
    #[arg(long, value_parser = ["ast", "graph", "grad", "schedule", "tile", "clif"])]
    emit: Option<String>,
    /// x86-64-v3 (AVX2 and FMA; AVX-512 is used where it is) or cpu-portable
    #[arg(long, default_value = "x86-64-v3", value_parser = ["x86-64-v3", "cpu-portable"])]
    target: String,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

fn main() {
    let _ = Cli::parse();
}
