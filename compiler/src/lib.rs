//! vsr-compiler: a neural network for video, as text, to an artifact in memory. The library does no IO.
//!
//! This is the architecture page. `pipeline.rs` has every stage of every command in one list: parse, elaborate, differentiate,
//! optimise, schedule, lower, code, assemble. Passes over a graph, a schedule or a tile program have one form
//! (`pass_manager.rs`): a name, a reason for their place, and a verifier of their level behind each, always in debug builds,
//! else by `--verify`; a schedule is verified and printed as the graph that it means.
//!
//! | stage | folder | in -> out |
//! |---|---|---|
//! | parse | `syntax/` | text -> tree with spans; linear time, depth limits, several errors in one run |
//! | elaborate | `sema/` | trees -> graph: names, dims as integers, blocks, labels; everything but equations runs here |
//! | differentiate | `training.rs`, `autodiff/` | a loss -> gradients, clipping, the optimiser's new weights, their running means |
//! | calculus | `equation/` | index equations -> affine pieces; adjoints in gather form; classes; the f64 oracle |
//! | optimise | `ir/`, `pass/` | the only user of petgraph; built canonical, verified, printed as text that parses |
//! | schedule | `schedule/` | graph -> groups, layouts, contractions, memory, launches |
//! | lower | `schedule/`, `tile/`, `lower.rs` | kernels as small programs over tiles (`vsr_tile`: printed as text that parses, verified, interpreted); lifted, each once, rewritten for rows |
//! | code | `backend/` | tiles -> one target's code: `clif/` position-independent machine code, `interpreter.rs` their own text |
//! | wide vectors | `backend/wide/` | straight-line code along a row -> the widest vectors of each ISA level |
//! | assemble | `assemble.rs` | plans, kernels, code -> manifest, code, constants |
//! | report | `report/` | plans -> parameters, FLOPs, bytes, memory, time by block; no code is made |
//! | picture | `picture/` | the elaborated graph and its calls -> boxes and wires: SVG, a page, Graphviz text |
//! | pages | `doc/` | `##` comments and signatures -> HTML or Markdown |
//! | project | `project/` | a name -> the texts of a new project (`vsrc new`) |
//!
//! Tools from the same parser: `syntax/format` (`vsrc fmt`: tokens with the tree's structure, never the tree alone, so
//! that nothing written gets lost), `sema/check.rs` (`vsrc check`: all errors, also beside broken items), and in the
//! binary `cli/lsp` (`vsrc lsp`: the check's editor hints and the names' occurrences).
//!
//! Arrows: doc -> picture -> report -> pipeline -> {assemble, lower, syntax, sema, training, autodiff, pass, schedule, tile, backend} -> ir ->
//! equation -> {vsr-tile, diag}. The runtime shares three crates with this one: `vsr-artifact`; `vsr-weightfile`, which reads
//! the headers of weight files; `vsr-tile`, the IR of kernels and the table of scalar functions (`vsr_tile::scalar`): their names,
//! values, derivatives, bounds and codes stand in it alone.
//! The language is described in `stdlib/README.md`.
//!
//! # What holds of each form
//!
//! Checked behind every pass:
//!
//! | form | where | invariants |
//! |---|---|---|
//! | graph | `ir/verify.rs` | operands come before their users; an equation reads all of its operands, by as many positions as they have axes; every index is bound; reads are inside, or say what lies outside; writes are inside, and no two pieces write one element; an update is of its weight's shape |
//! | schedule | `schedule/draft.rs` | operands exist, layouts and borders fit them, no value needs itself, a contraction's operands are as it says; the graph that all of it means is such a graph |
//! | tile program | `vsr_tile::verify` | for the arguments and lengths of each launch, every address is inside of its buffer or tile (where data decides that, the interpreter looks); every name is bound |
//!
//! # What never happens
//! - No Rust file knows an operator's name: the standard library is text, templates are chosen by an equation's shape.
//! - No result depends on the number of threads, on addresses, or on the order of a hash table.
//! - The schedule asks for no target: what differs between two is in its `Rules`.
//! - No extent is part of a kernel's identity: `tile::lift` turns them into arguments, so kernels of one shape are one.
//!
//! # Where determinism comes from
//! The same text gives the same bytes: nodes, groups, kernels and constants are numbered in the order of their first use, hash tables
//! are asked and never walked, and helpers' results are put in order before anybody sees them (`stack::each`). The same artifact
//! gives the same numbers: a sum's chains and lanes are stated in its kernel, tasks own what they write, partial sums have fixed
//! places, and all levels of instructions do the same operations in the same order. Random numbers are a function of seed, step, node and
//! element (Philox). A described machine (`vsr_artifact::machine`) decides sizes of tasks and tiles, and no bit.
//!
//! # Recipes
//! - **An operator**: a paragraph in `stdlib/*.vsr`, an example in its `##` comment, a case in `tests/goldens/op_cases.py`. No Rust.
//! - **A scalar function**: `vsr_tile::scalar` (its name, its value, its derivative), and its kernel in `runtime/kernels` if it is computed there.
//! - **A pass**: a file in `pass/`, `schedule/` or `tile/`, and its line in that level's list of passes: name, why it stands there, what it needs.
//! - **A back end**: a folder in `backend/` that implements `Backend`, a `Target`, a `CodeForm`; in the runtime a folder in `device/` that
//!   implements `Device`, and its line in `DEVICES`. Nothing else knows of it.
//! - **A container of video**: a module in `runtime/src/video/`, and its line in `open.rs`.
//! - **A command**: a module in `cli/` (or in the runtime), a variant of the command line's enum; it stops at one of `pipeline::STAGES`.
//!
//! Why things are as they are: `compiler/DECISIONS.md`.
#![doc = include_str!("walkthrough.md")]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)
)]

pub mod assemble;
pub mod autodiff;
pub mod backend;
pub mod diag;
pub mod doc;
pub mod equation;
pub mod ir;
pub mod lower;
pub mod pass;
pub mod pass_manager;
pub mod picture;
pub mod pipeline;
pub mod project;
pub mod report;
pub mod schedule;
pub mod sema;
pub mod stack;
pub mod syntax;
pub mod tile;
pub mod training;
