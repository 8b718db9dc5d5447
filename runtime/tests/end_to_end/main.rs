//! `vsr-run` itself, as a user calls it, on networks that compile in milliseconds: training that is killed, stopped and
//! resumed, running means of weights, film in and out, and every kind of bad input.
//!
//! Only temporary folders are written to. No network, no GPU, no other program but `sh`, `kill`, `mkfifo`, and, where they
//! are there, `ffmpeg` and `unshare`.

mod bad_input;
mod checkpoints;
mod common;
mod damaged;
mod exhaustion;
mod film;
mod layouts;
mod leftovers;
mod limits;
mod mean;
mod names;
mod outputs;
mod pipes;
mod resume;
