//! What a kernel's text may refer to: the buffers, tiles and arguments that it declares, and the variables that are bound at a
//! place.
//!
//! Enters tokens; leaves their numbers, each declared and of the kind that the place wants, or an error there.

use pest::iterators::Pair;

use super::Rule;
use super::error::{Result, wrong};
use super::nesting::{MAX_NESTING, too_deep};
use super::parts::index;
use crate::{BufferId, BufferKind, Kernel, TileId, TileKind, To, Var};

/// Interpreters keep a slot for each variable up to the largest.
const MAX_VARS: Var = 1 << 16;

/// What a place reads or writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Numbers,
    Integers,
}

impl Sort {
    fn text(self) -> &'static str {
        match self {
            Sort::Numbers => "numbers",
            Sort::Integers => "integers",
        }
    }
}

pub(super) struct Scope {
    /// Its declarations are complete before its body is read.
    pub kernel: Kernel,
    bound: Vec<Var>,
    depth: usize,
}

impl Scope {
    pub fn new(name: String) -> Scope {
        let kernel = Kernel {
            name,
            buffers: vec![],
            args: vec![],
            tasks: vec![],
            tiles: vec![],
            body: vec![],
        };
        Scope {
            kernel,
            bound: vec![],
            depth: 0,
        }
    }

    /// How many variables are bound: for `leave`.
    pub fn enter(&self) -> usize {
        self.bound.len()
    }

    pub fn leave(&mut self, n_bound: usize) {
        self.bound.truncate(n_bound);
    }

    /// Works so many levels further down.
    pub fn below<T>(
        &mut self,
        levels: usize,
        at: &Pair<'_, Rule>,
        work: impl FnOnce(&mut Scope) -> Result<T>,
    ) -> Result<T> {
        if self.depth + levels > MAX_NESTING {
            return wrong(at, too_deep());
        }
        self.depth += levels;
        let done = work(self);
        self.depth -= levels;
        done
    }

    pub fn bind(&mut self, pair: &Pair<'_, Rule>) -> Result<Var> {
        let var: Var = index(pair)?;
        let name = pair.as_str();
        if var >= MAX_VARS {
            return wrong(pair, format!("{name}: variables end at v{}", MAX_VARS - 1));
        }
        if self.bound.contains(&var) {
            return wrong(
                pair,
                format!("{name} is bound already; take another number"),
            );
        }
        self.bound.push(var);
        Ok(var)
    }

    pub fn var(&self, pair: &Pair<'_, Rule>) -> Result<Var> {
        let var = index(pair)?;
        if !self.bound.contains(&var) {
            return wrong(pair, format!("{} is not bound here", pair.as_str()));
        }
        Ok(var)
    }

    pub fn arg(&self, pair: &Pair<'_, Rule>) -> Result<u32> {
        let arg: u32 = index(pair)?;
        declared(pair, arg, self.kernel.args.len(), "argument")
    }

    pub fn buffer(&self, pair: &Pair<'_, Rule>, wanted: Sort) -> Result<BufferId> {
        let buffer: BufferId = index(pair)?;
        declared(pair, buffer, self.kernel.buffers.len(), "buffer")?;
        let sort = match self.kernel.buffers[buffer as usize].kind {
            BufferKind::Table => Sort::Integers,
            BufferKind::In | BufferKind::Out | BufferKind::InOut => Sort::Numbers,
        };
        expect(pair, sort, wanted)?;
        Ok(buffer)
    }

    pub fn tile(&self, pair: &Pair<'_, Rule>, wanted: Sort) -> Result<TileId> {
        let tile: TileId = index(pair)?;
        declared(pair, tile, self.kernel.tiles.len(), "tile")?;
        let sort = match self.kernel.tiles[tile as usize].kind {
            TileKind::I64 => Sort::Integers,
            TileKind::F32 => Sort::Numbers,
        };
        expect(pair, sort, wanted)?;
        Ok(tile)
    }

    /// A buffer or a tile of numbers.
    pub fn space(&self, pair: &Pair<'_, Rule>) -> Result<To> {
        match pair.as_rule() {
            Rule::buffer_id => Ok(To::Buf(self.buffer(pair, Sort::Numbers)?)),
            _ => Ok(To::Tile(self.tile(pair, Sort::Numbers)?)),
        }
    }
}

fn declared(pair: &Pair<'_, Rule>, number: u32, n_declared: usize, what: &str) -> Result<u32> {
    let name = pair.as_str();
    if number as usize >= n_declared {
        return wrong(pair, format!("there is no {what} {name}"));
    }
    Ok(number)
}

fn expect(pair: &Pair<'_, Rule>, sort: Sort, wanted: Sort) -> Result<()> {
    if sort != wanted {
        let (has, wants) = (sort.text(), wanted.text());
        let name = pair.as_str();
        return wrong(
            pair,
            format!("{name} holds {has}, and {wants} are expected here"),
        );
    }
    Ok(())
}

/// Declarations are numbered in their order.
pub(super) fn numbered(pair: &Pair<'_, Rule>, next: usize) -> Result<()> {
    let (name, number) = (pair.as_str(), index::<u32>(pair)?);
    if number as usize != next {
        let expected = format!("{}{next}", &name[..1]);
        return wrong(
            pair,
            format!("expected {expected}, found {name}: declarations are numbered in their order"),
        );
    }
    Ok(())
}
