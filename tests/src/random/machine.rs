//! Descriptions of machines that nobody has: caches from the smallest to the largest, few threads and many.
//!
//! Enters a seed; leaves a description. Whatever it is, results have the same bits.

use super::rng::Rng;
use vsr_artifact::machine::Machine;

pub fn machine(seed: u64) -> Machine {
    let mut rng = Rng::new(seed ^ 0x6d61_6368);
    let l1_bytes = *rng.pick(&[4, 8, 16, 32, 48, 64, 192]) << 10;
    let l2_bytes = l1_bytes * rng.pick(&[1, 2, 4, 8, 27, 64]);
    let machine = Machine {
        threads: *rng.pick(&[1, 2, 3, 8, 16, 64, 256]),
        vector_bits: *rng.pick(&[128, 256, 512]),
        line_bytes: *rng.pick(&[16, 32, 64, 128, 256]),
        l1_bytes,
        l2_bytes,
        l3_bytes: l2_bytes * rng.pick(&[0, 1, 4, 16, 64]),
        l3_threads: *rng.pick(&[1, 2, 8, 64]),
        min_parallel_cost: *rng.pick(&[0, 1_000, 40_000, 1 << 30]),
    };
    debug_assert_eq!(machine.validate(), Ok(()));
    machine
}
