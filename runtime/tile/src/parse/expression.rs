//! Expressions: integers, values in f32 and wide ones in f64.
//!
//! Enters what the grammar found; leaves trees whose references hold, none deeper than the limit.

use pest::iterators::Pair;

use super::Rule;
use super::error::{Result, wrong};
use super::parts::{Parts, number};
use super::scope::{Scope, Sort};
use crate::{Binary, Bound, Int, Lit, Relation, Unary, Val, Wide};

type Part<'t> = Pair<'t, Rule>;
type Wides = Wide<Val, Int>;

impl Scope {
    /// A chain of terms or of factors, from the left: so many operators are so many levels.
    pub fn int(&mut self, pair: Part<'_>) -> Result<Int> {
        let mut parts: Parts<'_> = Parts::of(pair.clone());
        let mut levels = parts.clone().count() / 2;
        let first = parts.one();
        let mut sum = self.below(levels, &pair, |scope| scope.operand(first))?;
        while let Some(operator) = parts.next() {
            let next = parts.one();
            let next = self.below(levels, &pair, |scope| scope.operand(next))?;
            let join = match operator.as_str() {
                "+" => Int::Add,
                "-" => Int::Sub,
                "*" => Int::Mul,
                "//" => Int::Div,
                _ => Int::Rem,
            };
            sum = join(Box::new(sum), Box::new(next));
            levels -= 1;
        }
        Ok(sum)
    }

    fn operand(&mut self, pair: Part<'_>) -> Result<Int> {
        match pair.as_rule() {
            Rule::int | Rule::term => self.int(pair),
            Rule::constant => Ok(Int::Const(number(&pair)?)),
            Rule::var => Ok(Int::Var(self.var(&pair)?)),
            Rule::arg_id => Ok(Int::Arg(self.arg(&pair)?)),
            _ => self.below(1, &pair.clone(), |scope| scope.compound_int(pair)),
        }
    }

    fn compound_int(&mut self, pair: Part<'_>) -> Result<Int> {
        let rule = pair.as_rule();
        let mut parts = Parts::of(pair);
        let first = parts.one();
        Ok(match rule {
            Rule::table_at => {
                let table = self.buffer(&first, Sort::Integers)?;
                Int::Table(table, Box::new(self.int(parts.one())?))
            }
            Rule::row_at => {
                let tile = self.tile(&first, Sort::Integers)?;
                Int::Tile(tile, Box::new(self.int(parts.one())?))
            }
            Rule::floor => Int::Floor(Box::new(self.val(first)?)),
            Rule::whole => Int::Whole(Box::new(self.wide(first)?)),
            _ => {
                let join = match first.as_str() {
                    "min" => Int::Min,
                    _ => Int::Max,
                };
                let a = Box::new(self.int(parts.one())?);
                join(a, Box::new(self.int(parts.one())?))
            }
        })
    }

    pub fn val(&mut self, pair: Part<'_>) -> Result<Val> {
        match pair.as_rule() {
            Rule::literal => Ok(Val::Lit(literal(&pair)?)),
            _ => self.below(1, &pair.clone(), |scope| scope.compound_val(pair)),
        }
    }

    fn compound_val(&mut self, pair: Part<'_>) -> Result<Val> {
        let rule = pair.as_rule();
        let mut parts = Parts::of(pair);
        let first = parts.one();
        match rule {
            Rule::element_at => {
                let buffer = self.buffer(&first, Sort::Numbers)?;
                Ok(Val::Buf(buffer, self.int(parts.one())?))
            }
            Rule::tile_at => {
                let tile = self.tile(&first, Sort::Numbers)?;
                Ok(Val::Tile(tile, self.int(parts.one())?))
            }
            Rule::from_int => Ok(Val::FromInt(self.int(first)?)),
            Rule::call => self.call(&first, parts),
            Rule::select => {
                let (relation, args) = self.select(first, parts, Scope::val)?;
                Ok(Val::Select(relation, args))
            }
            Rule::random => self.random(&first, parts),
            _ => self.group(first, parts),
        }
    }

    fn call(&mut self, name: &Part<'_>, mut parts: Parts<'_>) -> Result<Val> {
        let (a, b) = (parts.one(), parts.next());
        let word = name.as_str();
        let two = Binary::named(word).filter(|op| !op.facts().is_sign());
        match (Unary::named(word), two, b) {
            (Some(op), _, None) => Ok(Val::Unary(op, Box::new(self.val(a)?))),
            (_, Some(op), Some(b)) => {
                let a = Box::new(self.val(a)?);
                Ok(Val::Binary(op, a, Box::new(self.val(b)?)))
            }
            (None, None, _) => wrong(name, format!("there is no function `{word}`")),
            (_, _, Some(_)) => wrong(name, format!("`{word}` takes one value")),
            (_, _, None) => wrong(name, format!("`{word}` takes two values")),
        }
    }

    fn random(&mut self, distribution: &Part<'_>, mut parts: Parts<'_>) -> Result<Val> {
        let key = parts.one();
        let Ok(number) = u64::from_str_radix(&key.as_str()[2..], 16) else {
            return wrong(&key, format!("{} has more than 64 bits", key.as_str()));
        };
        Ok(Val::Random {
            key: number,
            normal: distribution.as_str() == "normal",
            at: self.int(parts.one())?,
        })
    }

    /// `(a + b)`, or `(a if 0<=i<n else 0)`.
    fn group(&mut self, first: Part<'_>, mut parts: Parts<'_>) -> Result<Val> {
        let first = Box::new(self.val(first)?);
        let next = parts.one();
        if next.as_rule() == Rule::bounds {
            let bounds = self.bounds(next)?;
            return Ok(Val::Guarded(bounds, first, literal(&parts.one())?));
        }
        let second = Box::new(self.val(parts.one())?);
        Ok(Val::Binary(binary(next.as_str()), first, second))
    }

    pub fn wide(&mut self, pair: Part<'_>) -> Result<Wides> {
        match pair.as_rule() {
            Rule::literal => Ok(Wide::Lit(literal(&pair)?)),
            _ => self.below(1, &pair.clone(), |scope| scope.compound_wide(pair)),
        }
    }

    fn compound_wide(&mut self, pair: Part<'_>) -> Result<Wides> {
        let rule = pair.as_rule();
        let mut parts = Parts::of(pair);
        let first = parts.one();
        match rule {
            Rule::widened => Ok(Wide::Val(self.val(first)?)),
            Rule::wide_int => Ok(Wide::Int(self.int(first)?)),
            Rule::wide_step => {
                let step = Unary::named(first.as_str()).expect("the grammar has no other");
                Ok(Wide::Step(step, Box::new(self.wide(parts.one())?)))
            }
            Rule::wide_call => {
                let a = Box::new(self.wide(parts.one())?);
                let b = Box::new(self.wide(parts.one())?);
                Ok(Wide::Binary(binary(first.as_str()), a, b))
            }
            Rule::wide_select => {
                let (relation, args) = self.select(first, parts, Scope::wide)?;
                Ok(Wide::Select(relation, args))
            }
            _ => {
                let a = Box::new(self.wide(first)?);
                let operator = parts.one();
                let b = Box::new(self.wide(parts.one())?);
                Ok(Wide::Binary(binary(operator.as_str()), a, b))
            }
        }
    }

    fn select<T>(
        &mut self,
        first: Part<'_>,
        mut parts: Parts<'_>,
        argument: fn(&mut Scope, Part<'_>) -> Result<T>,
    ) -> Result<(Relation, Box<[T; 4]>)> {
        let a = argument(self, first)?;
        let relation = relation(parts.one().as_str());
        let b = argument(self, parts.one())?;
        let yes = argument(self, parts.one())?;
        let no = argument(self, parts.one())?;
        Ok((relation, Box::new([a, b, yes, no])))
    }

    pub fn bounds(&mut self, pair: Part<'_>) -> Result<Vec<Bound>> {
        Parts::of(pair)
            .map(|bound| {
                let mut parts = Parts::of(bound);
                Ok(Bound {
                    index: self.int(parts.one())?,
                    extent: self.int(parts.one())?,
                })
            })
            .collect()
    }
}

/// A number in f64, to the bit.
fn literal(pair: &Part<'_>) -> Result<Lit> {
    let text = pair.as_str();
    if let Some(bits) = text.strip_prefix("NaN:0x") {
        return match u64::from_str_radix(bits, 16).map(f64::from_bits) {
            Ok(value) if value.is_nan() => Ok(Lit::new(value)),
            _ => wrong(pair, format!("0x{bits} are no bits of a NaN in f64")),
        };
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_infinite() && !text.ends_with("inf") => {
            wrong(pair, format!("{text} is too large for f64; write `inf`"))
        }
        Ok(value) => Ok(Lit::new(value)),
        Err(_) => wrong(pair, format!("{text} is no number")),
    }
}

/// One of the operators and functions of the grammar.
fn binary(name: &str) -> Binary {
    Binary::named(name).expect("the grammar has no other")
}

fn relation(sign: &str) -> Relation {
    match sign {
        "<" => Relation::Lt,
        "<=" => Relation::Le,
        ">" => Relation::Gt,
        ">=" => Relation::Ge,
        "==" => Relation::Eq,
        _ => Relation::Ne,
    }
}
