//! vsrc: compiles a network in `.vsr` to a folder that `vsr-run` trains and runs.
//!
//! Reads the command line and calls the command; each is a file in `cli/`. Exit codes: 0, 1 for a user's error, 2 for a
//! machine's.

mod cli;

use clap::{Parser, Subcommand};
use cli::{compile, finish};
use std::process::ExitCode;

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
    Compile(compile::Compile),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Compile(args) => finish(compile::run(&args), args.json),
    }
}
