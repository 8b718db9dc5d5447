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
//! | lower | `schedule/`, `tile/`, `lower.rs` | kernels as small programs over tiles; lifted, each once, rewritten for rows, printed as text that parses, interpreted |
//! | code | `backend/clif/` | tiles -> position-independent machine code |
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
//! equation -> diag. The runtime shares only two crates with this one: `vsr-artifact`, and `vsr-weightfile`, which reads
//! the headers of weight files.
//! The language is described in `stdlib/README.md`.
//!
//! # What never happens
//! - No Rust file knows an operator's name: the standard library is text, templates are chosen by an equation's shape.
//! - No result depends on the number of threads, on addresses, or on the order of a hash table.
//! - The schedule asks for no target: what differs between two is in its `Rules`.
//! - No extent is part of a kernel's identity: `tile::lift` turns them into arguments, so kernels of one shape are one.
//!
//! # Decisions that differ from the first plan, and why
//! - **The graph is canonical by construction.** `ir::build::Builder` canonicalises, folds and shares each equation as
//!   it enters, so node order is a topological order and no pass meets a surface form.
//! - **A check is a shape-only elaboration.** `Builder::sketch` keeps equations as they are written: nothing is folded, shared or
//!   differentiated, since shapes, bounds and names need none of it. So all profiles of a network are checked at the
//!   speed of typing; gradients are replaced by which weights the loss reaches.
//! - **An optimiser is elaborated before its gradients are known.** `sema` hands over a `TrainStep`: the loss, and for each weight
//!   that it depends on the optimiser's equations for a placeholder. The stage `differentiate` derives the gradients, clips
//!   them, and copies those equations with the real ones in the placeholder's place, as it does with a `grad` clause.
//! - **The grammar reads text without trivia.** The scan, which must walk over brackets and comments anyway, leaves one space for
//!   the blanks and comments between two tokens, and a map back to the source: a grammar that skips blanks itself asks at
//!   every step.
//! - **Errors stand at the user's line.** What fails inside of the standard library is reported at the call that led
//!   there, with the library's line as the second place.
//! - **Canonical style, finer.** Heads that do not fit have rules of their own; all are in the language reference, §11.
//! - **Physical zero padding instead of zero rows.** A tensor that a contraction reads outside of its bounds is stored with
//!   its padding. All addresses are then affine: an offset of m plus a tap's offset, in forward, input gradient and weight
//!   gradient alike; there is no guard and no indirection table for each tap in the inner loop.
//! - **One loop form.** Map, store, reduce and scatter are one tile statement, `Compute`: a box, an optional
//!   reduction, a value, a destination. Only `contract` and `rows` stand beside it.
//! - **A weight gradient reads its activations once.** Where both operands are activations and the reduction is long, the
//!   macro-tile is chosen by the memory traffic of all tasks (`schedule/matmul/tiling.rs`): a task holds the accumulators of several
//!   taps. With few results the reduction is split (split-K) into whole blocks at fixed places, so that threads have work and the
//!   bits stay.
//! - **Convolutions over three taps are Winograd's.** Before anything is planned, `schedule/winograd` rewrites such sums by
//!   minimal filtering, F(m, 3) along up to two axes (time is one), where a count of the work says so: input and filter
//!   transforms, one product with fewer terms, the output transform. Filter gradients likewise. It is a rewrite of equations, so
//!   fusion, layouts, packing and the microkernel stay as they are. `infer` of a network with a finite receptive field does
//!   without: its tiles agree to the bit.
//!   `flops` in manifests and reports are those of the equations; each launch also knows what its kernel does.
//! - **Softmax normalisation computes each exponential once.** `exp(t - lse t)` becomes exponentials over their sum
//!   (`schedule/softmax.rs`), by the shape of the two equations, and stays one kernel.
//! - **Multi-pass reductions are fused at row granularity, so each pass hits L1.** Where members of a loop nest go over long rows
//!   (softmax, layer norm), the loop over a task's rows is outside of all of them. A call of maths whose results the next
//!   statement sums up returns their sum, too (a fused reduction). Calls read and write in place, and scale or shift their
//!   argument.
//! - **Vectors are wider than Cranelift's.** Loops, addresses and guards are Cranelift's, which has 128 bits. What a
//!   statement does along a row without branches becomes a straight-line program (`backend/clif/wide.rs`), and that a function
//!   in 256 and in 512 bits (`backend/wide/`): the runtime dispatches on the machine's ISA level. Operations and their order are
//!   as written, so all widths give the same bits; tails are masked. Exponential, logistic function and SiLU are such operations,
//!   too (`backend/wide/maths.rs`), with the bits of the runtime's functions, which short rows call. A horizontal reduction
//!   stays in registers: store-to-load forwarding fails where 64 bytes are loaded soon after 16 of them were stored. Loops are
//!   unrolled by two vectors, for instruction-level parallelism beyond the out-of-order window.
//! - **Rows are software-pipelined** (`tile/software_pipeline.rs`): the next row's reduction is issued before this row's last
//!   statement, where that stores, so loads of one row overlap the stores of another and the reduction's latency is hidden.
//!   Softmax.
//! - **Transpositions are tiled.** Where results are contiguous along one index and operands along another, both are
//!   tiled (`schedule/chunks.rs`), and both loops of the copy are one call, which transposes squares of a cache line each way in
//!   registers (`backend/clif/transpose.rs`). A map with arithmetic runs along its operand, into a tile that is stored transposed.
//! - **Rows of a pixel shuffle are interleaved.** Along the contiguous index there are two or four elements: rows are computed
//!   along the long one, and the runtime interleaves them (`backend/clif/interleave.rs`).
//! - **Mean and variance take one pass.** Over more terms than a cache holds, both are computed block by block and the partial
//!   moments combined (`schedule/moments.rs`).
//! - **A machine is described, and changes no bit.** Sizes of tasks, tiles, strips and rows follow from one record
//!   (`vsr_artifact::machine`): caches, line, vectors, threads. It is an argument (`vsrc compile --machine FILE`), never what compiles,
//!   and stands in the artifact. What a result's bits depend on is no part of it, but of a second record, `Numerics`
//!   (`schedule/numerics.rs`): where sums are cut, Winograd's tiles, which sums are contractions, what is inlined, hoisted or fused. So one
//!   network has the same bits whatever machine it is planned for, and that is a test over random machines. Random thresholds are held to
//!   the oracle's tolerance.
//! - **What is not fused has a reason.** Fusion answers with a member or a `Refusal` (`schedule/refusal.rs`), and `--emit schedule` prints it
//!   for every two kernels of which one reads the other's results. It is found from the finished groups, so nobody else pays for it.
//! - **Static partition with work stealing.** Each thread begins a launch with the same part of its tasks, and steals from others
//!   when it is done: consecutive kernels go over the same data, which is then in that core's cache. On cores with split L3
//!   this is a tenth of a tile's time. Inputs are copied by the same partition. Tasks that read the same are scheduled one after
//!   another (`schedule/chunks.rs`).
//! - **A product without an epilogue stores to its destination** (`schedule/matmul/direct.rs`): stores of one block of
//!   rows overlap the computation of the next.
//! - **A strided gather is preceded by a copy** (`schedule/gathers.rs`) that makes its rows contiguous: a deformable convolution of
//!   an input.
//! - **Intermediates of load-time folding have no memory of their own.** Producers are inlined into the panel that is
//!   prepacked; what is still left in between lies in the arena while weights are folded, before inputs are written.
//! - **Prepacked weights replace stored ones.** The `setup` list runs in steps (`vsr_artifact::folding`), and after each the
//!   runtime releases the pages of weights that no launch reads any more; a later read faults them in from their file. Weights that
//!   a training step made are in no file, and stay.
//! - **List scheduling shortens live ranges.** `schedule/order.rs` moves a kernel up to where it is the last use of something
//!   larger than its result (one frame of a picture, for a skip connection), or down to its first reader.
//! - **Packing is an equation.** Weights reach the microkernel's panels through an ordinary map: the `setup` list prepacks them
//!   once at load (and every step while they change).
//! - **Checkpoint layouts are detected, not chosen.** The `weights` items beside a model are resolved while compiling, key by key,
//!   and stored in the artifact: `--weights` takes a public checkpoint in any of them, without a switch.
//! - **SDXL's UNet takes its prompt.** The text's tokens are an input; zeros fold away, and the frozen weights that only they
//!   reach are not loaded.
//! - **Weights are updated in place** when every read of the old value comes before (no write-after-read hazard is left); Adam's
//!   three tensors and the weight are one kernel. Where updates depend on each other's old values in a cycle, one of them is copied
//!   first (`schedule/updates.rs`).
//! - **Positions are integers, or f64.** One floored value, times a constant and with indices beside it, is a conversion to
//!   32 bits and integer arithmetic; any other position is computed in f64 (`tile/wide.rs`; `schedule/positions.rs` decides).
//!   What is no such number lies at `i32::MIN`, or at `equation::NOWHERE`, far outside of every tensor: every read is
//!   inside or takes its `else`, and every write is inside or is none.
//! - **Long reductions are split for accuracy, too.** The rounding error of a running sum in f32 grows with its terms; from some
//!   thousands of terms on there are 64 partial sums (`schedule/split.rs`), whether threads need them or not. Matrix products,
//!   which have many accumulators at once, and results of very many elements are not split for that.
//! - **Differential testing of random programs.** `tests/src/random` generates programs from seeds and compares each stage with
//!   the equations as they are written (`sema::as_written`): the graph, gradients against differences of losses, the tile
//!   verifier, the plan as it is interpreted over memory full of NaN (`schedule/interpret.rs`), native code on both targets.
//!   The rules of the schedule are values (`Rules`), so that each also runs without fusion, with Winograd and
//!   every template even where they do not pay at its size, and by random thresholds (`Numerics`).

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
