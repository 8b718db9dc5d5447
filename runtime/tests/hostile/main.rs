//! Files of every kind that is read, damaged in every way that is systematic: cut off everywhere, each byte changed,
//! each 32-bit field made large. Each is read, or refused in one sentence; nothing panics, nothing aborts, and memory
//! stays within a bound that the file's size and the limit of pixels give.
//!
//! Only temporary folders are written to. No network, no GPU, no other program.

mod counting;
mod damage;
mod fragments;
mod specimens;
mod valid;
