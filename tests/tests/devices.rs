//! The device `interpreter` and the processor: one contract, one plan, the same numbers.
//!
//! That the numbers are right is told by the tests against PyTorch, which run on both (`native`).

use crate::native::{goldens_of_ops, op};
use vsr_compiler::backend::Target;
use vsr_compiler::equation::{Binary, Unary};
use vsr_tests::golden;

/// Whether a program calls what the processor computes by polynomials of its own: by the table, functions that are calls.
fn has_maths(text: &str) -> bool {
    let unary = Unary::ALL.iter().filter(|f| !f.facts().is_inline());
    let binary = Binary::ALL.iter().filter(|f| !f.facts().is_inline());
    let names = unary.map(|f| f.name()).chain(binary.map(|f| f.name()));
    let mut calls = names.chain(["normal"]).map(|name| format!("{name}("));
    calls.any(|call| text.contains(&call))
}

#[test]
fn what_is_no_maths_has_the_same_bits_on_both_devices() {
    let mut n_equal = 0;
    for file in goldens_of_ops() {
        let golden = golden(&format!("ops/{file}"));
        let (artifact, expected) = op(&golden, Target::Interpreter);
        let text = std::str::from_utf8(&artifact.code).expect("tile programs are text");
        let (native, result) = op(&golden, Target::X86_64V3);
        assert_eq!(
            artifact.manifest.entries.len(),
            native.manifest.entries.len()
        );
        for (a, b) in artifact
            .manifest
            .entries
            .iter()
            .zip(&native.manifest.entries)
        {
            assert_eq!(
                (&a.launches, a.arena_bytes),
                (&b.launches, b.arena_bytes),
                "{file}"
            );
        }
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<u32>>();
        let same = bits(&expected) == bits(&result);
        assert!(same || has_maths(text), "{file} has other bits");
        n_equal += usize::from(same);
    }
    assert!(n_equal > 20, "{n_equal} ops have the same bits");
}
