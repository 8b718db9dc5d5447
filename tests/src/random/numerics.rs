//! Thresholds that no back end has: sums cut into two terms each and never cut, Winograd everywhere and nowhere, kernels of one member
//! and of many.
//!
//! Enters a seed; leaves a record. Whatever it is, results are right up to roundings.

use super::machine::machine;
use super::rng::Rng;
use std::cell::RefCell;
use vsr_compiler::schedule::Numerics;

/// Every threshold at a size that random programs reach, at the default, or out of reach.
pub fn numerics(seed: u64) -> Numerics {
    let rng = RefCell::new(Rng::new(seed ^ 0x6e75_6d65));
    let usual = Numerics::default();
    let any = |few: &[i64], usual: i64| {
        let mut rng = rng.borrow_mut();
        match rng.int(0, 9) {
            0 => 1 << 20,
            1..=3 => usual,
            _ => *rng.pick(few),
        }
    };
    let count = |few: &[i64], usual: u64| any(few, usual as i64) as u64;
    Numerics {
        min_contraction_multiplications: any(&[0, 16, 64], usual.min_contraction_multiplications),
        min_contraction_extent: any(&[1, 2, 4, 16], usual.min_contraction_extent),
        min_weight_columns: any(&[1, 3, 16, 64], usual.min_weight_columns),
        min_weight_rows: any(&[1, 4, 8], usual.min_weight_rows),
        max_counted_columns: any(&[1, 4, 16], usual.max_counted_columns),
        max_padding_extents: any(&[1, 3], usual.max_padding_extents),
        min_padding: any(&[1, 2, 4], usual.min_padding),
        min_depth_extent: any(&[1, 2, 16], usual.min_depth_extent),
        min_winograd_multiplications: any(&[0, 1, 512, 4096], usual.min_winograd_multiplications),
        max_winograd_quarters: any(&[1, 2, 4, 16], usual.max_winograd_quarters),
        max_winograd_axes: any(&[1, 2], 2).min(3) as u32,
        max_winograd_tile: any(&[2, 3, 4, 5], usual.max_winograd_tile),
        winograd_transfer_cost: any(&[1, 4], usual.winograd_transfer_cost),
        winograd_term_cost: any(&[1, 8], usual.winograd_term_cost),
        max_winograd_tap_elements: any(&[64, 1024], usual.max_winograd_tap_elements),
        min_part_terms: any(&[1, 2, 8, 32], usual.min_part_terms),
        min_parts: any(&[1, 2, 5, 64], usual.min_parts),
        max_part_cells: any(&[1, 16, 256], usual.max_part_cells),
        max_idle_cells: any(&[1, 4, 256], usual.max_idle_cells),
        min_split_terms: any(&[1, 16, 256], usual.min_split_terms),
        max_idle_adjacent_cells: any(&[1, 4, 64], usual.max_idle_adjacent_cells),
        min_split_adjacent_terms: any(&[1, 16, 256], usual.min_split_adjacent_terms),
        max_blocks: any(&[1, 2, 3, 7, 16], usual.max_blocks),
        min_cut_extent: any(&[1, 2, 3, 9], usual.min_cut_extent),
        min_lossy_terms: any(&[2, 5, 16, 100], usual.min_lossy_terms),
        max_lossy_cells: any(&[1, 16, 256], usual.max_lossy_cells),
        min_chain_terms: any(&[1, 2, 5, 17, 64], usual.min_chain_terms),
        min_whole_chains_terms: any(&[1, 32, 96], usual.min_whole_chains_terms),
        min_two_chains_terms: any(&[1, 3, 33, 40], usual.min_two_chains_terms),
        min_adjacent_sums: any(&[1, 2, 9, 32], usual.min_adjacent_sums),
        min_across_extent: any(&[1, 2, 5, 8], usual.min_across_extent),
        min_across_terms: any(&[1, 2, 16], usual.min_across_terms),
        min_innermost_extent: any(&[1, 2, 5, 16], usual.min_innermost_extent),
        min_pass_elements: any(&[1, 2, 8, 32], usual.min_pass_elements),
        reference: machine(seed ^ 0x7265_6665),
        max_cached_terms: any(&[1, 4, 16, 100], usual.max_cached_terms),
        min_block_terms: any(&[1, 2, 8], usual.min_block_terms),
        max_softmax_row: any(&[1, 2, 7, 16], usual.max_softmax_row),
        max_body_nodes: count(&[1, 4, 12, 400], usual.max_body_nodes),
        max_body_reads: count(&[1, 2, 4, 40], usual.max_body_reads),
        max_cheap_arithmetic: count(&[1, 2, 10], usual.max_cheap_arithmetic),
        max_cheap_reads: count(&[1, 3, 8], usual.max_cheap_reads),
        max_recomputed: any(&[1, 2, 16], usual.max_recomputed),
        max_inlined_points: any(&[1, 16, 256], usual.max_inlined_points),
        max_inlined_nodes: count(&[1, 4, 16, 64], usual.max_inlined_nodes),
        min_hoisted_ratio: any(&[1, 2, 4], usual.min_hoisted_ratio),
        min_hoisted_row: any(&[1, 2, 8], usual.min_hoisted_row),
        max_unrolled_terms: any(&[1, 2, 9, 16], usual.max_unrolled_terms).min(64),
        max_unrolled_extent: any(&[1, 3, 4], usual.max_unrolled_extent),
        min_gathered_row: any(&[1, 2, 3, 16], usual.min_gathered_row),
        min_reads_per_element: any(&[1, 2], usual.min_reads_per_element),
        max_kernel_members: any(&[1, 2, 3, 5, 12], usual.max_kernel_members as i64).min(32)
            as usize,
        max_cached_row: any(&[1, 4, 16, 100], usual.max_cached_row),
        min_fused_row: any(&[1, 2, 3, 16], usual.min_fused_row),
    }
}
