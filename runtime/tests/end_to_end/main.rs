//! `vsr-run` itself, as a user calls it, on networks that compile in milliseconds: training that is killed, stopped and
//! resumed, running means of weights, film in and out, and every kind of bad input.
//!
//! Only temporary folders are written to. No network, no GPU, no other program but `sh`, `kill` and `mkfifo`.

mod bad_input;
mod checkpoints;
mod common;
mod film;
mod layouts;
mod limits;
mod mean;
mod names;
mod pipes;
mod resume;
