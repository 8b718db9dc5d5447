//! The processor as a device: code pages, memory, the function table and the threads that run tasks.

mod code;
mod guard;
mod launch;
mod memory;
mod pool;
mod table;

pub use code::Code;
pub use guard::{Guarded, all as run_guarded};
pub use launch::{Call, Run};
pub use memory::Memory;
pub use pool::{Barrier, Pool, copy, n_cores, n_threads_for};
pub use table::table;
