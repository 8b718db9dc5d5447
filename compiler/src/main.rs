//! vsrc: compiles a network in `.vsr` to a folder that `vsr-run` trains and runs.
//!
//! Reads the command line and calls the command; each is a file in `cli/`. Exit codes: 0, 1 for a user's error, 2 for a
//! machine's or vsrc's own.

// A reader that has gone must end no program: `console` speaks.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod cli;

use clap::{Parser, Subcommand};
use cli::{Failure, check, compile, doc, finish, fmt, graph, lsp, machine, new, print, report};
use std::process::ExitCode;
use vsr_artifact::{EXIT_CODES, console};
use vsr_compiler::{diag, stack};

#[global_allocator]
static MEMORY: machine::Memory = machine::Memory;

#[derive(Parser)]
#[command(
    name = "vsrc",
    version,
    about = "Compiles a neural network for video, written in .vsr",
    after_help = EXIT_CODES
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Begin a project: a folder with a small network that compiles and trains
    New(new::New),
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
    machine::prepare();
    let ended = match Cli::try_parse() {
        Ok(cli) => diag::catch(|| stack::deep(|| run(cli.command))),
        Err(words) => return usage(&words),
    };
    let why = match ended {
        Ok(Ok(code)) => return code,
        Ok(Err(error)) => stack::no_thread(&error),
        Err(crash) => crash.to_string(),
    };
    console::err(&format!("error: {why}\n"));
    ExitCode::from(2)
}

fn run(command: Command) -> ExitCode {
    match command {
        Command::New(args) => finish(new::run(&args), false),
        Command::Compile(args) => finish(compile::run(&args), args.json),
        Command::Check(args) => finish(check::run(&args), false),
        Command::Lsp(args) => finish(lsp::run(&args), false),
        Command::Fmt(args) => finish(fmt::run(&args), false),
        Command::Report(args) => finish(report::run(&args), args.json),
        Command::Graph(args) => finish(graph::run(&args), false),
        Command::Doc(args) => finish(doc::run(&args), false),
    }
}

/// Help that was asked for, or what is wrong with the command line: that is the user's.
fn usage(words: &clap::Error) -> ExitCode {
    if words.use_stderr() {
        console::err(&words.render().to_string());
        return finish(Err(Failure::Shown), false);
    }
    finish(print(&words.render().to_string()), false)
}
