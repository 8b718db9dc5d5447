//! Intervals of integers: exact for sums of independent variables, refined by conditions that hold.

use crate::{Int, TileId, Var};
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub lo: i64,
    pub hi: i64,
}

/// Numbers beyond this are as good as unknown.
const MAX_KNOWN: i64 = 1 << 48;
const UNKNOWN: Range = Range {
    lo: -MAX_KNOWN,
    hi: MAX_KNOWN,
};

impl Range {
    fn point(at: i64) -> Range {
        Range { lo: at, hi: at }
    }

    fn add(self, other: Range) -> Range {
        Range {
            lo: (self.lo + other.lo).max(-MAX_KNOWN),
            hi: (self.hi + other.hi).min(MAX_KNOWN),
        }
    }

    fn scale(self, by: i64) -> Range {
        let ends = [self.lo.saturating_mul(by), self.hi.saturating_mul(by)];
        Range {
            lo: ends[0].min(ends[1]).max(-MAX_KNOWN),
            hi: ends[0].max(ends[1]).min(MAX_KNOWN),
        }
    }

    fn meet(self, other: Range) -> Range {
        Range {
            lo: self.lo.max(other.lo),
            hi: self.hi.min(other.hi),
        }
    }
}

/// `constant + Σ coefficient · atom`; an atom is a variable, or an expression that is no sum.
#[derive(Clone, Debug, PartialEq)]
struct Linear {
    terms: Vec<(Int, i64)>,
    constant: i64,
}

impl Linear {
    fn add(mut self, other: &Linear, by: i64) -> Linear {
        for (atom, k) in &other.terms {
            match self.terms.iter_mut().find(|(a, _)| a == atom) {
                Some((_, have)) => *have += k * by,
                None => self.terms.push((atom.clone(), k * by)),
            }
        }
        self.terms.retain(|(_, k)| *k != 0);
        self.constant += other.constant * by;
        self
    }

    fn times(&self, by: i64) -> Linear {
        let nothing = Linear {
            terms: vec![],
            constant: 0,
        };
        nothing.add(self, by)
    }
}

/// What is known of variables, tiles and conditions.
pub struct Facts<'a> {
    args: &'a [i64],
    ranges: BTreeMap<Var, Range>,
    aliases: BTreeMap<Var, Linear>,
    tiles: BTreeMap<TileId, Range>,
    /// `0 <= linear < extent`
    conditions: Vec<(Linear, i64)>,
}

impl<'a> Facts<'a> {
    pub fn new(args: &'a [i64]) -> Facts<'a> {
        Facts {
            args,
            ranges: BTreeMap::new(),
            aliases: BTreeMap::new(),
            tiles: BTreeMap::new(),
            conditions: vec![],
        }
    }

    pub fn is_bound(&self, var: Var) -> bool {
        self.ranges.contains_key(&var) || self.aliases.contains_key(&var)
    }

    /// `var` runs over `0..extent`.
    pub fn bind(&mut self, var: Var, extent: &Int) {
        let hi = self.range(extent).hi - 1;
        self.bind_range(var, Range { lo: 0, hi });
        self.below(var, extent);
    }

    pub fn bind_range(&mut self, var: Var, range: Range) {
        self.aliases.remove(&var);
        self.ranges.insert(var, range);
    }

    pub fn alias(&mut self, var: Var, value: &Int) {
        let linear = self.linear(value);
        self.aliases.insert(var, linear);
    }

    pub fn tile(&mut self, tile: TileId, range: Range) {
        self.tiles.insert(tile, range);
    }

    /// `var < extent`, where the extent depends on other variables: `min(48, n - v)` says `var + v < n`, and `5*min(48, n - v)` says
    /// `var + 5*v < 5*n`.
    pub fn below(&mut self, var: Var, extent: &Int) {
        for most in self.upper_bounds(extent) {
            if most.terms.is_empty() {
                continue;
            }
            let index = Linear {
                terms: vec![(Int::Var(var), 1)],
                constant: 0,
            };
            let moving = Linear {
                terms: most.terms,
                constant: 0,
            };
            let index = index.add(&moving, -1);
            let grows = index.terms.iter().all(|(_, k)| *k > 0);
            if !index.terms.is_empty() && grows && most.constant > 0 {
                self.conditions.push((index, most.constant));
            }
        }
    }

    /// None of these is less than the integer.
    fn upper_bounds(&self, int: &Int) -> Vec<Linear> {
        let factor = |int: &Int| {
            let linear = self.linear(int);
            (linear.terms.is_empty() && linear.constant > 0).then_some(linear.constant)
        };
        match int {
            Int::Min(a, b) => [self.upper_bounds(a), self.upper_bounds(b)].concat(),
            Int::Mul(a, b) => match (factor(a), factor(b)) {
                (_, Some(k)) => self.upper_bounds(a).iter().map(|a| a.times(k)).collect(),
                (Some(k), _) => self.upper_bounds(b).iter().map(|b| b.times(k)).collect(),
                _ => vec![self.linear(int)],
            },
            int => vec![self.linear(int)],
        }
    }

    pub fn mark(&self) -> usize {
        self.conditions.len()
    }

    pub fn forget(&mut self, mark: usize) {
        self.conditions.truncate(mark);
    }

    pub fn assume(&mut self, index: &Int, extent: &Int) {
        let condition = (self.linear(index), self.range(extent).hi);
        self.conditions.push(condition);
    }

    pub fn range(&self, int: &Int) -> Range {
        self.range_by(int, self.conditions.len())
    }

    /// By the first so many conditions. One that speaks of `v // 2` brings that into what is asked of `v`: within, only
    /// conditions before it are used, so that there is an end.
    fn range_by(&self, int: &Int, n_conditions: usize) -> Range {
        self.refined(self.linear(int), n_conditions)
    }

    /// Both ends are reached: a sum of variables that no condition ties together. (What confines one alone is in its range.)
    pub fn is_exact(&self, int: &Int) -> bool {
        let linear = self.linear(int);
        let plain = |(atom, _): &(Int, i64)| matches!(atom, Int::Var(_));
        let tied = |(atom, _): &(Int, i64)| {
            self.conditions
                .iter()
                .any(|(c, _)| c.terms.len() > 1 && c.terms.iter().any(|(a, _)| a == atom))
        };
        linear.terms.iter().all(|t| plain(t) && !tied(t))
    }

    /// No point is left where all conditions hold.
    pub fn is_impossible(&self) -> bool {
        let empty = |(atom, _): &(Int, i64)| match atom {
            Int::Var(v) => {
                let range = self.var(*v);
                range.lo > range.hi
            }
            _ => false,
        };
        let never = |(c, extent): &(Linear, i64)| {
            if c.terms.iter().any(empty) {
                return true;
            }
            let range = self.plain(c, self.conditions.len());
            range.lo > range.hi || range.hi < 0 || range.lo >= *extent
        };
        self.conditions.iter().any(never)
    }

    /// A variable's own range, narrowed by the conditions on it alone.
    fn var(&self, var: Var) -> Range {
        let own = self.ranges.get(&var).copied().unwrap_or(UNKNOWN);
        let alone = self
            .conditions
            .iter()
            .filter_map(|(c, extent)| match c.terms.as_slice() {
                [(Int::Var(v), k)] if *v == var => Some((*k, c.constant, *extent)),
                _ => None,
            });
        // 0 <= k·v + d < n, in whole numbers.
        alone.fold(own, |range, (k, d, n)| {
            let ceil = |a: i64, b: i64| -(-a).div_euclid(b);
            range.meet(match k > 0 {
                true => Range {
                    lo: ceil(-d, k),
                    hi: (n - 1 - d).div_euclid(k),
                },
                false => Range {
                    lo: ceil(d - (n - 1), -k),
                    hi: d.div_euclid(-k),
                },
            })
        })
    }

    /// The interval, with one condition after another put in the place of its variables where that narrows it.
    fn refined(&self, linear: Linear, n_conditions: usize) -> Range {
        let mut best = self.plain(&linear, n_conditions);
        for (i, (condition, extent)) in self.conditions[..n_conditions].iter().enumerate() {
            for (atom, k) in &condition.terms {
                let Some((_, have)) = linear.terms.iter().find(|(a, _)| a == atom) else {
                    continue;
                };
                if have % k != 0 {
                    continue;
                }
                let rest = linear.clone().add(condition, -(have / k));
                let inside = Range {
                    lo: 0,
                    hi: extent - 1,
                }
                .scale(have / k);
                best = best.meet(self.refined(rest, i).add(inside));
            }
        }
        best
    }

    fn plain(&self, linear: &Linear, n_conditions: usize) -> Range {
        let terms = linear
            .terms
            .iter()
            .map(|(atom, k)| self.atom(atom, n_conditions).scale(*k));
        terms.fold(Range::point(linear.constant), Range::add)
    }

    fn atom(&self, atom: &Int, n_conditions: usize) -> Range {
        let of = |int: &Int| self.range_by(int, n_conditions);
        let two = |a: &Int, b: &Int| (of(a), of(b));
        match atom {
            Int::Var(v) => self.var(*v),
            Int::Div(a, b) => {
                let (a, b) = two(a, b);
                if b.lo < 1 {
                    UNKNOWN
                } else {
                    Range {
                        lo: a.lo.div_euclid(if a.lo < 0 { b.lo } else { b.hi }),
                        hi: a.hi.div_euclid(if a.hi < 0 { b.hi } else { b.lo }),
                    }
                }
            }
            Int::Rem(a, b) => {
                let (a, b) = two(a, b);
                if a.lo >= 0 && a.hi < b.lo {
                    a
                } else {
                    Range {
                        lo: 0,
                        hi: b.hi - 1,
                    }
                }
            }
            Int::Min(a, b) => {
                let (a, b) = two(a, b);
                Range {
                    lo: a.lo.min(b.lo),
                    hi: a.hi.min(b.hi),
                }
            }
            Int::Max(a, b) => {
                let (a, b) = two(a, b);
                Range {
                    lo: a.lo.max(b.lo),
                    hi: a.hi.max(b.hi),
                }
            }
            Int::Tile(t, _) => self.tiles.get(t).copied().unwrap_or(UNKNOWN),
            Int::Floor(_) => Range {
                lo: i64::from(i32::MIN),
                hi: i64::from(i32::MAX),
            },
            _ => UNKNOWN,
        }
    }

    fn linear(&self, int: &Int) -> Linear {
        let constant = |c: i64| Linear {
            terms: vec![],
            constant: c,
        };
        match int {
            Int::Const(c) => constant(*c),
            Int::Arg(a) => constant(self.args.get(*a as usize).copied().unwrap_or(0)),
            Int::Var(v) => match self.aliases.get(v) {
                Some(linear) => linear.clone(),
                None => Linear {
                    terms: vec![(int.clone(), 1)],
                    constant: 0,
                },
            },
            Int::Add(a, b) => self.linear(a).add(&self.linear(b), 1),
            Int::Sub(a, b) => self.linear(a).add(&self.linear(b), -1),
            Int::Mul(a, b) => {
                let (a, b) = (self.linear(a), self.linear(b));
                match (a.terms.is_empty(), b.terms.is_empty()) {
                    (_, true) => constant(0).add(&a, b.constant),
                    (true, _) => constant(0).add(&b, a.constant),
                    _ => Linear {
                        terms: vec![(int.clone(), 1)],
                        constant: 0,
                    },
                }
            }
            atom => {
                let range = self.atom(atom, self.conditions.len());
                if range.lo == range.hi {
                    constant(range.lo)
                } else {
                    Linear {
                        terms: vec![(atom.clone(), 1)],
                        constant: 0,
                    }
                }
            }
        }
    }

    /// How far the address reaches without the tasks' part, and (stride, count) of each task axis of more than one.
    /// None where the address does not move evenly with the tasks.
    pub fn split(&self, at: &Int, tasks: &[(Var, i64, i64)]) -> Option<(i64, Vec<(i64, i64)>)> {
        let linear = self.linear(at);
        let is_task = |atom: &Int| matches!(atom, Int::Var(v) if tasks.iter().any(|t| t.0 == *v));
        let mut own = linear.clone();
        own.terms.retain(|(a, _)| !is_task(a));
        if own.terms.iter().any(|(a, _)| !matches!(a, Int::Var(_))) {
            return None;
        }
        let range = self.plain(&own, self.conditions.len());
        let strides = tasks.iter().filter(|t| t.2 > 1).map(|(var, step, count)| {
            let k = linear
                .terms
                .iter()
                .find(|(a, _)| *a == Int::Var(*var))
                .map_or(0, |(_, k)| *k);
            (k.abs() * step, *count)
        });
        Some((range.hi - range.lo, strides.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(var: Var) -> Int {
        Int::Var(var)
    }
    fn c(value: i64) -> Int {
        Int::Const(value)
    }
    fn add(a: Int, b: Int) -> Int {
        Int::Add(Box::new(a), Box::new(b))
    }
    fn mul(a: Int, b: i64) -> Int {
        Int::Mul(Box::new(a), Box::new(c(b)))
    }

    #[test]
    fn sums_of_variables_are_exact() {
        let mut facts = Facts::new(&[]);
        facts.bind(0, &c(5));
        facts.bind(1, &c(7));
        let at = add(mul(v(0), -7), add(v(1), c(3)));
        assert_eq!(facts.range(&at), Range { lo: -25, hi: 9 });
        assert_eq!(
            facts.range(&Int::Sub(Box::new(v(0)), Box::new(v(0)))),
            Range { lo: 0, hi: 0 }
        );
    }

    #[test]
    fn conditions_narrow_addresses() {
        let mut facts = Facts::new(&[]);
        facts.bind(0, &c(5));
        facts.bind(1, &c(7));
        let (i, j) = (add(v(0), c(-1)), add(v(1), c(2)));
        facts.assume(&i, &c(5));
        facts.assume(&j, &c(7));
        assert_eq!(facts.range(&add(mul(i, 7), j)), Range { lo: 2, hi: 27 });
    }

    #[test]
    fn a_condition_on_a_part_of_itself_has_an_end() {
        let mut facts = Facts::new(&[]);
        facts.bind(0, &c(10));
        let half = Int::Div(Box::new(v(0)), Box::new(c(2)));
        facts.assume(&add(half.clone(), v(0)), &c(6));
        assert_eq!(facts.range(&v(0)), Range { lo: 0, hi: 5 });
        assert_eq!(facts.range(&half), Range { lo: 0, hi: 2 });
    }

    #[test]
    fn tails_end_where_the_whole_ends() {
        let mut facts = Facts::new(&[]);
        facts.bind_range(0, Range { lo: 0, hi: 96 });
        let rest = Int::Min(
            Box::new(c(48)),
            Box::new(Int::Sub(Box::new(c(100)), Box::new(v(0)))),
        );
        facts.bind(1, &rest);
        assert_eq!(facts.range(&add(v(0), v(1))), Range { lo: 0, hi: 99 });
    }

    #[test]
    fn joined_tails_end_where_the_whole_ends() {
        let mut facts = Facts::new(&[]);
        facts.bind_range(0, Range { lo: 0, hi: 96 });
        let left = Int::Sub(Box::new(c(100)), Box::new(v(0)));
        let rest = Int::Min(Box::new(c(48)), Box::new(left));
        facts.bind(1, &mul(mul(rest, 5), 2));
        let at = add(mul(v(0), 10), v(1));
        assert_eq!(facts.range(&at), Range { lo: 0, hi: 999 });
    }
}
