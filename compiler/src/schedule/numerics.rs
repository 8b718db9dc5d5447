//! The thresholds on which the bits of results depend: where sums are cut, by how many chains they are added up, which of them are
//! contractions or Winograd's, what is inlined, hoisted, unrolled or fused.
//!
//! Enters nothing; leaves one record, which a back end hands over in its `Rules`. No file of the schedule has such a number of its own,
//! or asks for which target it works. Results by two records differ in their roundings, never by more. What changes no bit (sizes of
//! tasks and tiles) follows from the `Machine`; what a format or the algebra demands is a constant in its own file.

use super::winograd;
use vsr_artifact::machine::Machine;

/// All extents, terms, cells and points are counted in elements. Names with `min` are the least number for which something is done,
/// those with `max` the greatest. Every number is at least 1, where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numerics {
    // Which sums are contractions (`contraction`).
    /// Multiplications from which a sum of products is a contraction: below, packing and the microkernel's calls cost more than they
    /// save. With 0, all are.
    pub min_contraction_multiplications: i64,
    /// Rows or columns, whichever are more, of a contraction: a vector of the narrowest kind of twice four. Less where fewer
    /// multiplications than that are worth one.
    pub min_contraction_extent: i64,
    /// Weights with fewer columns than this supply the rows, since a panel has 32 of them.
    pub min_weight_columns: i64,
    /// Rows beside them from which that pays: one panel.
    pub min_weight_rows: i64,
    /// Columns of a contraction above which more are no better: of two indices that are longer, the later one is the column. Four panels.
    pub max_counted_columns: i64,
    /// Zeros around an axis that an operand may be stored with, in its extents: above, it is written out for the contraction.
    pub max_padding_extents: i64,
    /// Zeros that are always allowed: a border of 8 on both sides, for small pictures.
    pub min_padding: i64,
    /// Extent of an index of the depth from which the other operand's rows should run along it: a vector.
    pub min_depth_extent: i64,

    // Which of them are computed by minimal filtering (`winograd`).
    /// Multiplications of a sum from which it may be: below, kernels more cost what they save. With 0, all that can be are, whatever the
    /// count of their work says.
    pub min_winograd_multiplications: i64,
    /// Quarters of the sum's multiplications below which the rewritten sum's cost must be: what is not counted (kernels more, worse shapes)
    /// is a quarter.
    pub max_winograd_quarters: i64,
    /// Axes along which one sum is rewritten: errors multiply with each.
    pub max_winograd_axes: u32,
    /// Results of one tile: errors grow with them, and beyond six there are no points left that keep them small. At least 2.
    pub max_winograd_tile: i64,
    /// What an element costs on its way to memory and back, in multiplications of the sum: a core does that many in the time.
    pub winograd_transfer_cost: i64,
    /// What one term of an element's transform costs: an addition and a load.
    pub winograd_term_cost: i64,
    /// Elements that the taps of one sum may grow to: 32 MB. Memory would be missed more than products.
    pub max_winograd_tap_elements: i64,

    // Where sums are cut (`split`).
    /// Terms of a product that each of its parts has: the result of a part is stored and read once more.
    pub min_part_terms: i64,
    /// Parts of a product that there should be: three for each of four threads.
    pub min_parts: i64,
    /// Cells that one part of a product may hold: 192 KB stay in a second-level cache.
    pub max_part_cells: i64,
    /// Cells of a sum up to which threads would idle without a cut,
    pub max_idle_cells: i64,
    /// and terms of all of them from which that matters.
    pub min_split_terms: i64,
    /// The same of adjacent sums (a bias's gradient), of which one task takes many:
    pub max_idle_adjacent_cells: i64,
    /// they are read at the speed of memory, so that more terms pass before it matters.
    pub min_split_adjacent_terms: i64,
    /// Blocks that a sum is cut into: more than any machine's threads that share it with profit.
    pub max_blocks: i64,
    /// Extent of an index that is cut into blocks.
    pub min_cut_extent: i64,
    /// Terms from which one running sum in f32 loses too many digits, however many threads there are: its error grows with the terms
    /// (4e-4 of the sum for these many equal ones).
    pub min_lossy_terms: i64,
    /// Cells up to which such a sum is cut: above, partial sums would take memory worth naming.
    pub max_lossy_cells: i64,

    // In which order and by how many chains a sum is added up (`nest`, `chunks`, `layout`).
    /// Terms along adjacent elements from which a sum has 16 partial sums: a vector register's worth twice, on most machines.
    pub min_chain_terms: i64,
    /// Terms, in whole numbers of 32, from which it has 32: two chains of additions are under way at once.
    pub min_whole_chains_terms: i64,
    /// Terms from which it has 32 in any case: a rest is paid element by element.
    pub min_two_chains_terms: i64,
    /// Adjacent sums from which they are vectors of sums instead, each in the order of its terms: half of the narrowest vectors' bytes.
    pub min_adjacent_sums: i64,
    /// Adjacent results for which a reduction may run in its operand's order instead of theirs,
    pub min_across_extent: i64,
    /// and terms of it: below, the results are most of what is touched.
    pub min_across_terms: i64,
    /// Extent of the innermost loop: where the adjacent index is shorter (pixel shuffle: two), another one runs innermost.
    pub min_innermost_extent: i64,
    /// Elements of a member's own from which one pass over them is worth a loop around all members, row by row.
    pub min_pass_elements: i64,
    /// The machine whose plan says which of a sum's loops is the innermost, whatever it is planned for.
    pub reference: Machine,

    // How mean and variance are found (`moments`).
    /// Terms that stay in a second-level cache between two passes: above, mean and variance take one pass, block by block.
    pub max_cached_terms: i64,
    /// Terms of a block that is worth sums of its own.
    pub min_block_terms: i64,
    /// Elements of a row up to which softmax keeps its exponentials in a tile: half of a first-level cache.
    pub max_softmax_row: i64,

    // What is computed where it is read (`inline`, `compute_at`).
    /// Operations of a body that inlining may build: registers end, and so does the compiler's patience.
    pub max_body_nodes: u64,
    /// Reads of such a body: each is an address, of which a core has sixteen registers.
    pub max_body_reads: u64,
    /// Additions and multiplications of a map that is cheap enough to be computed more than once,
    pub max_cheap_arithmetic: u64,
    /// and its reads.
    pub max_cheap_reads: u64,
    /// How often each point of a cheap map may be computed for its one reader: about what storing and loading it cost.
    pub max_recomputed: i64,
    /// Points up to which a cheap map is computed however often: a kernel of its own would cost more.
    pub max_inlined_points: i64,
    /// Nodes that a kernel's member may become where other members are computed inside of it.
    pub max_inlined_nodes: u64,

    // What is computed once for many (`hoist`, `unroll`, `gathers`).
    /// Points of an equation for each point of a part, from which the part (a division, a root, maths) is a value of its own.
    pub min_hoisted_ratio: i64,
    /// Elements of a row before which a division costs nothing: what is fixed along it stays, and a row is multiplied by an inverse.
    pub min_hoisted_row: i64,
    /// Terms that a sum over corners of a sampling position is written out into: those of a plane.
    pub max_unrolled_terms: i64,
    /// Values of one index of such a sum.
    pub max_unrolled_extent: i64,
    /// Adjacent elements that make a row of a gather, or of an index's digit. Layouts order the sums of scatters.
    pub min_gathered_row: i64,
    /// Reads of an element from which a gathered input is copied, so that its rows are adjacent: a copy reads and writes each once.
    pub min_reads_per_element: i64,

    // What shares a kernel (`fuse`), and so how a variance is found.
    /// Members of one kernel: each keeps tiles in the first-level cache.
    pub max_kernel_members: usize,
    /// Elements of a row that stay in a cache between two passes: twice a first-level cache.
    pub max_cached_row: i64,
    /// Adjacent elements that are worth a loop: a shorter digit of a member's index would be the innermost one.
    pub min_fused_row: i64,
}

/// What processors have.
impl Default for Numerics {
    fn default() -> Numerics {
        Numerics {
            min_contraction_multiplications: 512,
            min_contraction_extent: 8,
            min_weight_columns: 8,
            min_weight_rows: 32,
            max_counted_columns: 128,
            max_padding_extents: 2,
            min_padding: 16,
            min_depth_extent: 8,
            min_winograd_multiplications: 1 << 24,
            max_winograd_quarters: 3,
            max_winograd_axes: 2,
            max_winograd_tile: winograd::MAX_TILE_RESULTS,
            winograd_transfer_cost: 16,
            winograd_term_cost: 2,
            max_winograd_tap_elements: 1 << 23,
            min_part_terms: 1024,
            min_parts: 12,
            max_part_cells: 48 * 1024,
            max_idle_cells: 64,
            min_split_terms: 32 * 1024,
            max_idle_adjacent_cells: 256,
            min_split_adjacent_terms: 1024 * 1024,
            max_blocks: 64,
            min_cut_extent: 4,
            min_lossy_terms: 8192,
            max_lossy_cells: 16 * 1024,
            min_chain_terms: 16,
            min_whole_chains_terms: 64,
            min_two_chains_terms: 512,
            min_adjacent_sums: 4,
            min_across_extent: 16,
            min_across_terms: 4,
            min_innermost_extent: 8,
            min_pass_elements: 128,
            reference: Machine::default(),
            max_cached_terms: 32 * 1024,
            min_block_terms: 256,
            max_softmax_row: 4096,
            max_body_nodes: 96,
            max_body_reads: 14,
            max_cheap_arithmetic: 3,
            max_cheap_reads: 2,
            max_recomputed: 4,
            max_inlined_points: 4096,
            max_inlined_nodes: 192,
            min_hoisted_ratio: 16,
            min_hoisted_row: 64,
            max_unrolled_terms: 4,
            max_unrolled_extent: 2,
            min_gathered_row: 8,
            min_reads_per_element: 4,
            max_kernel_members: 8,
            max_cached_row: 16 * 1024,
            min_fused_row: 8,
        }
    }
}
