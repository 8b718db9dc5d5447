//! Mean and variance of more terms than a cache holds, in one pass over them.
//!
//! Enters a mean of a nest with the variance that goes with it; leaves statements and the two values. Means and variances
//! that are not of the same terms, or of few, are not touched.
//!
//! Each block of terms gives its mean and its variance about that, the second while the first has left it in the
//! cache. The variance of all is the mean of the blocks' variances and the variance of their means (Chan, Golub and
//! LeVeque 1979, for blocks of one size). Nothing is subtracted that is large beside the result.

use super::Numerics;
use super::group::{Context, Group};
use super::lower::{KernelBuilder, Scope, add, int, mul};
use super::nest::{Loops, Reduction, is_mean_of};
use super::net::ValueId;
use crate::equation::{Binary, Expr, Lit};
use crate::tile::{Compute, Int, Mode, ReduceOp, Stmt, TileId, TileKind, To, Val, Var};

/// A mean and the variance that goes with it.
pub struct Moments {
    pub mean: Val,
    /// The member that is the variance.
    pub of: ValueId,
    pub variance: Val,
}

/// Both, where member `i` is the mean of a variance later in the group, over enough terms.
pub fn of(
    ctx: &Context,
    group: &Group,
    i: usize,
    scope: &Scope,
    loops: &Loops,
    b: &mut KernelBuilder,
) -> Option<Moments> {
    let member = &group.members[i];
    let of = group.members[i + 1..]
        .iter()
        .find(|m| is_mean_of(member, m))?;
    let whole = Reduction::new(ctx, member, scope, loops);
    let blocks = Blocks::of(&ctx.net.numerics, &whole, loops)?;
    // `is_mean_of` has seen the share on the left.
    let Expr::Binary(Binary::Mul, _, term) = &member.equation.body else {
        return None;
    };
    let term = scope.val(b, term);
    Some(blocks.emit(whole, term, of.value, b))
}

/// Reduced indices: those around a block and those within, outermost first.
struct Blocks {
    around: Vec<(Var, Int)>,
    within: Vec<(Var, Int)>,
    count: i64,
    size: i64,
    min_chain_terms: i64,
}

impl Blocks {
    fn of(numerics: &Numerics, whole: &Reduction, loops: &Loops) -> Option<Blocks> {
        let (most, least) = (numerics.max_cached_terms, numerics.min_block_terms);
        let known = |d: &(Var, Int)| match d.1 {
            Int::Const(n) => Some(n),
            _ => None,
        };
        let extents: Vec<i64> = whole.reduced.iter().map(known).collect::<Option<_>>()?;
        let total: i64 = extents.iter().product();
        let (mut at, mut size) = (whole.reduced.len(), 1);
        while at > 0 && size * extents[at - 1] <= most {
            at -= 1;
            size *= extents[at];
        }
        let worth = loops.all.is_empty() && total > most && size >= least && at > 0;
        worth.then(|| Blocks {
            around: whole.reduced[..at].to_vec(),
            within: whole.reduced[at..].to_vec(),
            count: total / size,
            size,
            min_chain_terms: numerics.min_chain_terms,
        })
    }

    fn emit(&self, whole: Reduction, term: Val, of: ValueId, b: &mut KernelBuilder) -> Moments {
        let (means, variances) = (self.tile(b), self.tile(b));
        let before = std::mem::take(&mut b.kernel.body);
        let mut block = whole.over(self.within.clone(), whole.lanes);
        let place = self.place();
        let sum = block.run(b, ReduceOp::Sum, term.clone());
        let mean = times(sum, self.size);
        b.push(put(mean, means, place.clone()));
        let off = minus(term, Val::Tile(means, place.clone()));
        let squares = block.run(b, ReduceOp::Sum, square(off));
        b.push(put(times(squares, self.size), variances, place));
        let body = std::mem::replace(&mut b.kernel.body, before);
        b.kernel.body.extend(self.looped(body));
        self.together(whole, means, variances, of, b)
    }

    /// Mean and variance of all from those of the blocks.
    fn together(
        &self,
        whole: Reduction,
        means: TileId,
        variances: TileId,
        of: ValueId,
        b: &mut KernelBuilder,
    ) -> Moments {
        let over = |b: &mut KernelBuilder, tile: TileId, about: Option<&Val>| {
            let var = b.var();
            let lanes = if self.count >= self.min_chain_terms {
                16
            } else {
                1
            };
            let mut all = whole.over(vec![(var, int(self.count))], lanes);
            let one = Val::Tile(tile, Int::Var(var));
            let one = match about {
                Some(mean) => square(minus(one, mean.clone())),
                None => one,
            };
            all.run(b, ReduceOp::Sum, one)
        };
        let sum = over(b, means, None);
        let mean = whole.over(vec![], 1).settle(b, times(sum, self.count));
        let within = over(b, variances, None);
        let between = over(b, means, Some(&mean));
        let both = Val::Binary(Binary::Add, Box::new(within), Box::new(between));
        Moments {
            mean,
            of,
            variance: times(both, self.count),
        }
    }

    fn tile(&self, b: &mut KernelBuilder) -> TileId {
        let name = format!("m{}", b.kernel.tiles.len());
        b.tile(&name, TileKind::F32, self.count)
    }

    /// Number of the block.
    fn place(&self) -> Int {
        let digit = |at, (var, extent): &(Var, Int)| match extent {
            Int::Const(n) => add(mul(at, *n), Int::Var(*var)),
            _ => unreachable!("blocks have known extents"),
        };
        self.around.iter().fold(int(0), digit)
    }

    fn looped(&self, body: Vec<Stmt>) -> Vec<Stmt> {
        self.around.iter().rev().fold(body, |body, (var, extent)| {
            vec![Stmt::For {
                var: *var,
                extent: extent.clone(),
                step: 1,
                body,
            }]
        })
    }
}

fn put(value: Val, tile: u32, at: Int) -> Stmt {
    Stmt::Compute(Compute {
        dims: vec![],
        reduce: None,
        value,
        to: To::Tile(tile),
        at,
        bounds: vec![],
        mode: Mode::Store,
    })
}

fn times(sum: Val, n: i64) -> Val {
    let share = Val::Lit(Lit::new(1.0 / n as f64));
    Val::Binary(Binary::Mul, Box::new(sum), Box::new(share))
}

fn minus(a: Val, b: Val) -> Val {
    Val::Binary(Binary::Sub, Box::new(a), Box::new(b))
}

fn square(v: Val) -> Val {
    Val::Binary(Binary::Mul, Box::new(v.clone()), Box::new(v))
}
