//! Kernels drawn from a seed: shapes, values, guards, reductions and modes in all combinations.

use super::cases::{add, bin, bound, c, lit, mul, sub, un, v};
use super::harness::{check, kernel, random, values};
use crate::equation::{Binary, Lit, Relation, Unary};
use crate::tile::BufferKind::{In, InOut};
use crate::tile::{
    Bound, Compute, Int, Kernel, Mode, Reduce, ReduceOp, Stmt, TaskAxis, Tile, TileKind, To, Val,
    Var,
};

struct Draw {
    seed: u64,
    at: i64,
}

impl Draw {
    fn below(&mut self, n: i64) -> i64 {
        self.at += 1;
        (random(self.seed, true, self.at) * n as f64) as i64
    }

    fn one_of<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as i64) as usize].clone()
    }
}

/// A box of variables with their extents, and a way to address a buffer of a given size.
struct Space {
    dims: Vec<(Var, i64)>,
}

const LEN: i64 = 24_000;

impl Space {
    /// An address inside of a buffer with small strides, one of them usually 1.
    fn address(&self, d: &mut Draw) -> Int {
        let mut sum = c(d.below(5));
        let unit = d.below(self.dims.len() as i64 + 1);
        for (i, (var, _)) in self.dims.iter().enumerate() {
            let stride = if i as i64 == unit {
                1
            } else {
                d.one_of(&[0, 1, 2, 3, 5, 17, 24])
            };
            sum = add(sum, mul(v(*var), c(stride)));
        }
        if d.below(8) == 0 {
            Int::Rem(Box::new(sum), Box::new(c(d.one_of(&[7, 16, 33]))))
        } else {
            sum
        }
    }

    fn bounds(&self, d: &mut Draw) -> Vec<Bound> {
        let n = 1 + d.below(2);
        (0..n)
            .map(|_| {
                let (var, extent) = d.one_of(&self.dims);
                let k = d.one_of(&[1, 1, 1, 2, -1]);
                let index = add(mul(v(var), c(k)), c(d.below(7) - 3));
                let (other, _) = d.one_of(&self.dims);
                let index = if other != var && d.below(3) == 0 {
                    add(index, v(other))
                } else {
                    index
                };
                bound(index, (extent - d.below(3)).max(1))
            })
            .collect()
    }

    fn value(&self, d: &mut Draw, depth: i64, maths: bool) -> Val {
        if depth == 0 {
            return match d.below(8) {
                0 => lit(d.below(9) as f64 * 0.25 - 1.0),
                1 => Val::FromInt(sub(self.address(d), c(20))),
                2 => Val::Tile(0, Int::Rem(Box::new(self.address(d)), Box::new(c(40)))),
                _ => Val::Buf(d.one_of(&[0, 2]), self.address(d)),
            };
        }
        let next = |d: &mut Draw| self.value(d, depth - 1, maths);
        match d.below(if maths { 9 } else { 6 }) {
            0 => Val::Guarded(
                self.bounds(d),
                Box::new(next(d)),
                Lit::new(d.one_of(&[0.75, 0.0, 0.0])),
            ),
            1 => un(d.one_of(&[Unary::Neg, Unary::Abs, Unary::Floor]), next(d)),
            2 => Val::Select(
                d.one_of(&[Relation::Lt, Relation::Ge, Relation::Ne]),
                Box::new([next(d), next(d), next(d), next(d)]),
            ),
            3 => self.value(d, 0, maths),
            4 | 5 => bin(
                d.one_of(&[
                    Binary::Add,
                    Binary::Sub,
                    Binary::Mul,
                    Binary::Max,
                    Binary::Min,
                ]),
                next(d),
                next(d),
            ),
            6 => {
                let calls = Unary::ALL.iter().copied();
                let tame = |f: &Unary| f.facts().is_finite && !f.facts().is_inline();
                un(d.one_of(&calls.filter(tame).collect::<Vec<_>>()), next(d))
            }
            7 => bin(Binary::Atan2, next(d), next(d)),
            _ => Val::Random {
                key: 5,
                normal: false,
                at: self.address(d),
            },
        }
    }
}

fn draw(seed: u64, maths: bool) -> Kernel {
    let d = &mut Draw { seed, at: 0 };
    let mut k = kernel(&format!("random {seed}"), &[In, InOut, In]);
    k.tasks = vec![TaskAxis {
        var: 0,
        extent: c(3),
        step: 1,
    }];
    k.tiles = vec![Tile {
        name: "t".into(),
        kind: TileKind::F32,
        len: 40,
    }];
    let fill = Compute {
        dims: vec![(9, c(40))],
        reduce: None,
        value: Val::Buf(0, add(v(9), v(0))),
        to: To::Tile(0),
        at: v(9),
        bounds: vec![],
        mode: Mode::Store,
    };
    let n_dims = d.below(3) as Var;
    let dims: Vec<(Var, i64)> = (1..=n_dims)
        .map(|i| match n_dims {
            1 => (i, d.one_of(&[1, 4, 19, 37, 130, 500])),
            _ => (i, d.one_of(&[1, 2, 4, 5, 19, 37])),
        })
        .collect();
    let n_reduced = d.below(3) as Var;
    let reduced: Vec<(Var, i64)> = (5..5 + n_reduced)
        .map(|i| (i, d.one_of(&[1, 3, 4, 18, 33, 130])))
        .collect();
    let all = Space {
        dims: [&[(0, 3)], dims.as_slice(), &reduced].concat(),
    };
    // Every point of the destination is its own, rows of the last index contiguous or not.
    let mut at = mul(v(0), c(LEN / 3));
    let mut stride = d.one_of(&[1, 1, 1, 2]);
    for (var, extent) in dims.iter().rev() {
        at = add(at, mul(v(*var), c(stride)));
        stride *= extent;
    }
    let depth = 1 + d.below(3);
    let value = all.value(d, depth, maths);
    let list = |dims: &[(Var, i64)]| dims.iter().map(|(v, e)| (*v, c(*e))).collect::<Vec<_>>();
    let op = d.one_of(&[ReduceOp::Sum, ReduceOp::Max, ReduceOp::Min]);
    let lanes = d.one_of(&[1, 16, 32]);
    let reduce = (!reduced.is_empty()).then(|| Reduce {
        dims: list(&reduced),
        op,
        lanes,
    });
    let bounds = if d.below(3) == 0 {
        all.bounds(d)
    } else {
        vec![]
    };
    let mode = d.one_of(&[
        Mode::Store,
        Mode::Store,
        Mode::NonTemporal,
        Mode::Add,
        Mode::Max,
        Mode::Min,
    ]);
    let compute = Compute {
        dims: list(&dims),
        reduce,
        value,
        to: To::Buf(1),
        at,
        bounds,
        mode,
    };
    k.body = vec![Stmt::Compute(fill), Stmt::Compute(compute)];
    k
}

/// How many kernels: `VSR_KERNEL_SEEDS` for long runs.
fn seeds(usual: u64) -> u64 {
    let asked = std::env::var("VSR_KERNEL_SEEDS").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(usual)
}

#[test]
fn random_kernels_are_exact() {
    for seed in 0..seeds(80) {
        check(
            &draw(seed, false),
            &[],
            &[
                values(LEN as usize, 1),
                values(LEN as usize, 2),
                values(LEN as usize, 3),
            ],
            0.0,
        );
    }
}

#[test]
fn random_kernels_with_maths() {
    for seed in 10000..10000 + seeds(50) {
        check(
            &draw(seed, true),
            &[],
            &[
                values(LEN as usize, 1),
                values(LEN as usize, 2),
                values(LEN as usize, 3),
            ],
            1e-5,
        );
    }
}
