//! Receptive fields, resampling matrices, promises, and what a canonical form may not do.

use crate::equation::{Case, Random, close, parse};
use vsr_compiler::equation::Reducer;
use vsr_compiler::equation::classify::{Anchor, Piece, classify, promise};
use vsr_compiler::equation::eval::{Tensor, eval};
use vsr_compiler::equation::field::fields;
use vsr_compiler::equation::matrix::as_matrix;

fn conv_s2() -> Case {
    parse(
        "conv",
        "y[b,o,i,j] = sum[c,p,q] k[o,c,p,q]*~x[b,c,2*i+p-1,2*j+q-1]",
        "x=1,3,40,40 k=4,3,3,3",
        "i=20 j=20",
    )
}

#[test]
fn the_field_of_a_strided_convolution() {
    let case = conv_s2();
    let found = fields(
        &case.pieces(),
        &case.shapes(),
        &[(0, 0), (0, 3), (8, 11), (2, 2)],
    );
    assert_eq!(found[0], Some(vec![(0, 0), (0, 2), (15, 23), (3, 5)]));
    assert_eq!(found[1], Some(vec![(0, 3), (0, 2), (0, 2), (0, 2)]));
}

#[test]
fn the_field_of_a_pixel_shuffle_and_of_a_sample() {
    let case = parse(
        "shuffle",
        "y[c,i,j] = x[c*4+(i%2)*2+j%2,i//2,j//2]",
        "x=12,20,20",
        "c=3 i=40 j=40",
    );
    let found = fields(&case.pieces(), &case.shapes(), &[(1, 1), (16, 23), (5, 5)]);
    assert_eq!(found[0], Some(vec![(5, 7), (8, 11), (2, 2)]));
    let case = parse("sample", "y[c,i] = ~x[c,floor(s[i])+1]", "x=3,9 s=7", "");
    let found = fields(&case.pieces(), &case.shapes(), &[(0, 1), (2, 4)]);
    assert_eq!(found, [Some(vec![(0, 1), (0, 8)]), Some(vec![(2, 4)])]);
}

/// Nothing outside of the field matters, and its first row does.
#[test]
fn fields_are_tight() {
    let case = conv_s2();
    let output = [(0, 0), (0, 3), (8, 11), (8, 11)];
    let field = fields(&case.pieces(), &case.shapes(), &output)
        .remove(0)
        .expect("x is read");
    let x = Random(1).tensors(&case.shapes);
    let changed = |first: i64| {
        let mut moved = x.clone();
        for (at, cell) in moved[0].data.iter_mut().enumerate() {
            let row = at as i64 / 40 % 40;
            if row < first || row > field[2].1 {
                *cell += 9.0;
            }
        }
        let (a, b) = (case.value(&x), case.value(&moved));
        let inside =
            |at: usize| (8..=11).contains(&(at / 20 % 20)) && (8..=11).contains(&(at % 20));
        (0..a.data.len()).any(|at| inside(at) && a.data[at] != b.data[at])
    };
    assert!(!changed(field[2].0));
    assert!(changed(field[2].0 + 1));
}

/// Bilinear weights and positions as constants: the equation becomes a product with a matrix, and its gradient too.
#[test]
fn resampling_is_a_product() {
    let case = parse(
        "resize",
        "y[s,i] = sum[k] w[i,k]/v[i]*x[s,min(max(f[i]+k,0),6)]",
        "x=3,7 w=11,2 v=11 f=11",
        "",
    );
    let mut given = Random(5).tensors(&case.shapes);
    for i in 0..11usize {
        let u = (i as f64 + 0.5) * 7.0 / 11.0 - 0.5;
        given[3].data[i] = u.floor();
        given[1].data[2 * i] = 1.0 - (u - u.floor());
        given[1].data[2 * i + 1] = u - u.floor();
        given[2].data[i] = 1.0 + 0.1 * i as f64;
    }
    let [piece] = case.pieces().try_into().expect("one piece");
    let consts = [None, Some(&given[1]), Some(&given[2]), Some(&given[3])];
    let made = as_matrix(&piece, &case.shapes(), &consts).expect("a resampling");
    assert_eq!(made.shape, [11, 7]);
    assert_eq!(classify(&made.equation).anchor, Anchor::Contraction);
    let matrix = Tensor {
        shape: made.shape,
        data: made.data,
    };
    let operands: Vec<&Tensor> = given.iter().chain([&matrix]).collect();
    close(
        &eval(&[made.equation], &operands, &case.out),
        &case.value(&given),
        "resize",
    );
    let unknown = [None, Some(&given[1]), None, Some(&given[3])];
    assert!(as_matrix(&piece, &case.shapes(), &unknown).is_none());
}

fn kept(kernel: &str, text: &str, tensors: &str, ranges: &str) -> Result<(), String> {
    let case = parse("op", text, tensors, ranges);
    let (left, right) = text.split_once('=').expect("an equation");
    let bracket = |t: &str| -> Vec<String> {
        let inside = t
            .split_once('[')
            .map_or("", |(_, t)| t.split(']').next().unwrap_or(""));
        inside.split(',').map(str::to_string).collect()
    };
    let reduced = if case.equation.reducer == Reducer::Map {
        vec![]
    } else {
        bracket(right)
    };
    let names = bracket(left).into_iter().chain(reduced).collect();
    let operands = (0..case.operands.len()).collect();
    let piece = Piece {
        equation: case.equation,
        names,
        operands,
        result: usize::MAX,
    };
    promise(kernel, &[piece])
}

#[test]
fn promises() {
    assert_eq!(
        kept(
            "conv",
            "y[o,i] = sum[c,p] k[o,c,p]*~x[c,i+p-1]",
            "k=4,3,3 x=3,9",
            "i=9"
        ),
        Ok(())
    );
    let why = kept(
        "conv",
        "y[c,i] = sum[p] k[c,p]*~x[c,i+p-1]",
        "k=4,3 x=4,9",
        "i=9",
    )
    .unwrap_err();
    assert!(why.contains("`c`"), "{why}");
    let why = kept(
        "conv",
        "y[o,i] = sum[c,p] k[o,c]*~x[c,i+p-1]",
        "k=4,3 x=3,9",
        "i=9 p=3",
    )
    .unwrap_err();
    assert!(why.contains("`p`"), "{why}");
    assert!(
        kept("konv", "y[i] = x[i]", "x=3", "")
            .unwrap_err()
            .contains("there is no kernel `konv`")
    );
}

/// A guard beside a division is not a zero factor: 0·(0/0) is not 0.
#[test]
fn overlapping_maxima_have_finite_gradients() {
    let case = parse("pool", "y[i] = max[p] x[2*i+p]", "x=9", "i=4 p=3");
    let x = Tensor {
        shape: vec![9],
        data: vec![0.0, 1.0, 5.0, 1.0, 5.0, 0.0, 0.0, 0.0, 2.0],
    };
    let y = case.value(std::slice::from_ref(&x));
    let dy = Tensor {
        shape: vec![4],
        data: vec![1.0; 4],
    };
    let g = case.gradients(&[x], &y, &dy).remove(0);
    assert_eq!(g.data, [0.0, 0.0, 1.5, 0.0, 1.5, 0.0, 0.0, 0.0, 1.0]);
}

/// Selects cut the box; a reduced index may be cut only if one side is zero, or cells would be written twice.
#[test]
fn conditions_on_reduced_indices() {
    let prefix = parse("prefix", "y[i] = sum[k] sel(k<3,x[i,k],0)", "x=4,8", "");
    let [piece] = prefix.pieces().try_into().expect("one piece");
    assert_eq!(piece.reduced, [3]);
    let both = parse(
        "both",
        "y[i] = sum[k] sel(k<3,x[i,k],z[i,k])",
        "x=4,8 z=4,8",
        "",
    );
    assert_eq!(both.pieces().len(), 1);
    prefix.check(&mut Random(1));
    both.check(&mut Random(2));
}
