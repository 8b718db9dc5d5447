//! vsrc: compiles a network in `.vsr` to a folder that `vsr-run` trains and runs.
//!
//! Reads the command line and calls the command; each is a file in `cli/`. Exit codes: 0, 1 for a user's error, 2 for a
//! machine's.

// A reader that has gone must end no program: `console` speaks.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod cli;

use clap::{Parser, Subcommand};
use cli::{check, compile, doc, finish, fmt, graph, lsp, report};
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
    /// Report all errors of files, and compile nothing
    Check(check::Check),
    /// Rewrite files in the one canonical style
    Fmt(fmt::Fmt),
    /// Serve editors over standard input and output
    Lsp(lsp::Lsp),
    /// What a network costs, block by block: parameters, FLOPs, bytes, memory, time; before anything runs
    Report(report::Report),
    /// Draw a network: blocks, and the shapes between them
    Graph(graph::Graph),
    /// Write pages about the standard library and models, from their comments and signatures
    Doc(doc::Doc),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Compile(args) => finish(compile::run(&args), args.json),
        Command::Check(args) => finish(check::run(&args), false),
        Command::Lsp(args) => finish(lsp::run(&args), false),
        Command::Fmt(args) => finish(fmt::run(&args), false),
        Command::Report(args) => finish(report::run(&args), args.json),
        Command::Graph(args) => finish(graph::run(&args), false),
        Command::Doc(args) => finish(doc::run(&args), false),
    }
}
