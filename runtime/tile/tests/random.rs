//! Kernels drawn from a seed: every form of statement and expression, with odd names and odd numbers.
//!
//! Enters a seed; leaves a kernel whose references hold. It need not compute anything: nothing here is run.

use vsr_tile::{
    ArgFact, Bound, Buffer, BufferKind, Compute, Contract, ContractInit, Digit, Int, Kernel, Mode,
    Reduce, ReduceOp, Stmt, TaskAxis, Tile, TileKind, To, Val, Var, Wide,
};
use vsr_tile::{Binary, Lit, Relation, Unary};

pub struct Draw {
    state: u64,
    bound: Vec<Var>,
    n_args: u64,
}

const NAMES: [&str; 22] = [
    "x",
    "",
    " ",
    " x",
    "x ",
    "a b",
    "a  b",
    "#",
    "a # b",
    "\"",
    "\"q\"",
    "\\",
    "a\\n",
    "\n",
    "a\tb",
    "\r",
    "{",
    "x {",
    "größe 数 🎞",
    "\u{85}",
    "\u{2028}",
    "max(a, b) [c] kernel }",
];

const NUMBERS: [f64; 17] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.1,
    1e-5,
    123_456.789,
    1e300,
    -1e300,
    f64::MAX,
    f64::MIN,
    f64::MIN_POSITIVE,
    5e-324,
    f64::EPSILON,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

/// Buffers and tiles of each sort, by their numbers.
const NUMBER_BUFFERS: [u32; 3] = [0, 1, 3];
const TABLES: [u32; 2] = [2, 4];
const NUMBER_TILES: [u32; 2] = [0, 2];
const ROWS: [u32; 2] = [1, 3];

impl Draw {
    pub fn new(seed: u64) -> Draw {
        Draw {
            state: seed,
            bound: vec![],
            n_args: 0,
        }
    }

    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    fn list<T>(&mut self, most: usize, mut one: impl FnMut(&mut Draw) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| one(self)).collect()
    }

    fn name(&mut self) -> String {
        self.one_of(&NAMES).to_string()
    }

    fn number(&mut self) -> Lit {
        Lit::new(match self.below(8) {
            0 => f64::from_bits(self.bits()),
            1 => f64::from_bits(self.bits() | 0x7ff0_0000_0000_0000),
            2 => self.below(100) as f64 / 8.0,
            _ => self.one_of(&NUMBERS),
        })
    }

    /// A variable that is not bound: numbers are taken again where they are free.
    fn bind(&mut self) -> Var {
        let var = loop {
            let var = self.below(60) as Var;
            if !self.bound.contains(&var) {
                break var;
            }
        };
        self.bound.push(var);
        var
    }

    fn step(&mut self) -> i64 {
        self.one_of(&[1, 2, 48, i64::MAX])
    }

    pub fn kernel(&mut self) -> Kernel {
        use BufferKind::{In, InOut, Out, Table};
        let buffers = [In, Out, Table, InOut, Table].map(|kind| Buffer {
            name: self.name(),
            kind,
        });
        let kinds = [TileKind::F32, TileKind::I64, TileKind::F32, TileKind::I64];
        let tiles = kinds.map(|kind| {
            let (name, len) = (self.name(), self.one_of(&[0, 1, 64, i64::MAX]));
            Tile { name, kind, len }
        });
        let args = self.list(3, |d| ArgFact {
            multiple_of: 1 << d.below(7),
        });
        self.n_args = args.len() as u64;
        let axes = self.list(3, |d| (d.int(2), d.step()));
        let task = |(extent, step)| TaskAxis {
            var: self.bind(),
            extent,
            step,
        };
        let tasks = axes.into_iter().map(task).collect();
        Kernel {
            name: self.name(),
            buffers: buffers.into(),
            args,
            tasks,
            tiles: tiles.into(),
            body: self.statements(3),
        }
    }

    fn statements(&mut self, depth: usize) -> Vec<Stmt> {
        let mark = self.bound.len();
        let body = self.list(4, |d| d.statement(depth));
        self.bound.truncate(mark);
        body
    }

    /// What `work` binds ends with it.
    fn inside<T>(&mut self, work: impl FnOnce(&mut Draw) -> T) -> T {
        let mark = self.bound.len();
        let made = work(self);
        self.bound.truncate(mark);
        made
    }

    fn statement(&mut self, depth: usize) -> Stmt {
        match self.below(if depth == 0 { 4 } else { 6 }) {
            0 => {
                let value = self.int(3);
                Stmt::Let {
                    var: self.bind(),
                    value,
                }
            }
            1 => Stmt::Contract(Box::new(self.contract())),
            2 => self.inside(Draw::rows),
            3 => Stmt::Compute(self.inside(Draw::compute)),
            4 => {
                let (extent, step) = (self.int(2), self.step());
                self.inside(|d| Stmt::For {
                    var: d.bind(),
                    extent,
                    step,
                    body: d.statements(depth - 1),
                })
            }
            _ => Stmt::If {
                bounds: self.bounds(),
                body: self.statements(depth - 1),
            },
        }
    }

    fn dims(&mut self) -> Vec<(Var, Int)> {
        self.list(3, |d| {
            let extent = d.int(2);
            (d.bind(), extent)
        })
    }

    fn compute(&mut self) -> Compute {
        let dims = self.dims();
        let at = self.int(3);
        let reduces = self.below(2) == 0;
        let reduce = reduces.then(|| Reduce {
            dims: self.dims(),
            op: self.one_of(&[ReduceOp::Sum, ReduceOp::Max, ReduceOp::Min]),
            lanes: self.one_of(&[1, 16, 32]),
        });
        Compute {
            dims,
            reduce,
            value: self.val(4),
            to: self.space(),
            at,
            bounds: self.bounds(),
            mode: self.one_of(&[
                Mode::Store,
                Mode::NonTemporal,
                Mode::Add,
                Mode::Max,
                Mode::Min,
            ]),
        }
    }

    fn rows(&mut self) -> Stmt {
        let (first, extent) = (self.int(2), self.int(2));
        let extents = self.list(3, |d| d.int(2));
        let digit = |extent| Digit {
            var: self.bind(),
            extent,
        };
        let digits = extents.into_iter().map(digit).collect();
        Stmt::Rows {
            tile: self.one_of(&ROWS),
            first,
            extent,
            digits,
            value: self.int(3),
        }
    }

    fn contract(&mut self) -> Contract {
        let init = match self.below(3) {
            0 => ContractInit::Zero,
            1 => ContractInit::Keep,
            _ => ContractInit::Bias(self.one_of(&NUMBER_BUFFERS), self.int(2)),
        };
        Contract {
            c: self.space(),
            c_at: self.int(2),
            ldc: self.int(2),
            m: self.int(2),
            n: self.int(2),
            init,
            a: self.space(),
            rows: self.one_of(&ROWS),
            rows_at: self.int(2),
            a_at: self.int(2),
            a_step: self.int(2),
            taps: self.one_of(&TABLES),
            taps_at: self.int(2),
            n_taps: self.int(2),
            k: self.int(2),
            b: self.space(),
            b_at: self.int(2),
            b_step: self.int(2),
            b_panel: self.int(2),
        }
    }

    fn space(&mut self) -> To {
        match self.below(2) {
            0 => To::Buf(self.one_of(&NUMBER_BUFFERS)),
            _ => To::Tile(self.one_of(&NUMBER_TILES)),
        }
    }

    fn bounds(&mut self) -> Vec<Bound> {
        self.list(2, |d| Bound {
            index: d.int(2),
            extent: d.int(2),
        })
    }

    fn int(&mut self, depth: usize) -> Int {
        if depth == 0 {
            return match self.below(3) {
                0 if !self.bound.is_empty() => Int::Var(self.one_of(&self.bound.clone())),
                1 if self.n_args > 0 => Int::Arg((self.bits() % self.n_args) as u32),
                _ => Int::Const(self.one_of(&[0, 1, -1, 7, 16, -40, i64::MAX, i64::MIN])),
            };
        }
        let two = |d: &mut Draw| [Box::new(d.int(depth - 1)), Box::new(d.int(depth - 1))];
        match self.below(14) {
            n @ 0..=8 => {
                let [a, b] = two(self);
                let join = [
                    Int::Add,
                    Int::Sub,
                    Int::Mul,
                    Int::Div,
                    Int::Rem,
                    Int::Min,
                    Int::Max,
                    Int::Add,
                    Int::Sub,
                ];
                join[n](a, b)
            }
            9 => Int::Floor(Box::new(self.val(depth - 1))),
            10 => Int::Whole(Box::new(self.wide(depth))),
            11 => Int::Table(self.one_of(&TABLES), Box::new(self.int(depth - 1))),
            12 => Int::Tile(self.one_of(&ROWS), Box::new(self.int(depth - 1))),
            _ => self.int(0),
        }
    }

    fn val(&mut self, depth: usize) -> Val {
        if depth == 0 {
            return Val::Lit(self.number());
        }
        let next = |d: &mut Draw| d.val(depth - 1);
        match self.below(9) {
            0 => Val::Lit(self.number()),
            1 => Val::Buf(self.one_of(&NUMBER_BUFFERS), self.int(depth - 1)),
            2 => Val::Tile(self.one_of(&NUMBER_TILES), self.int(depth - 1)),
            3 => Val::FromInt(self.int(depth - 1)),
            4 => Val::Unary(self.unary(), Box::new(next(self))),
            5 => Val::Binary(self.binary(), Box::new(next(self)), Box::new(next(self))),
            6 => Val::Select(
                self.relation(),
                Box::new([next(self), next(self), next(self), next(self)]),
            ),
            7 => Val::Guarded(self.bounds(), Box::new(next(self)), self.number()),
            _ => Val::Random {
                key: self.bits() >> self.below(64),
                normal: self.below(2) == 0,
                at: self.int(depth - 1),
            },
        }
    }

    fn wide(&mut self, depth: usize) -> Wide<Val, Int> {
        if depth == 0 {
            return Wide::Lit(self.number());
        }
        let next = |d: &mut Draw| d.wide(depth - 1);
        match self.below(6) {
            0 => Wide::Lit(self.number()),
            1 => Wide::Val(self.val(depth - 1)),
            2 => Wide::Int(self.int(depth - 1)),
            3 => {
                let steps = Unary::ALL.iter().copied().filter(|op| op.facts().is_step());
                let op = self.one_of(&steps.collect::<Vec<_>>());
                Wide::Step(op, Box::new(next(self)))
            }
            4 => Wide::Binary(self.operator(), Box::new(next(self)), Box::new(next(self))),
            _ => Wide::Select(
                self.relation(),
                Box::new([next(self), next(self), next(self), next(self)]),
            ),
        }
    }

    fn unary(&mut self) -> Unary {
        self.one_of(Unary::ALL)
    }

    fn binary(&mut self) -> Binary {
        self.one_of(Binary::ALL)
    }

    /// One that is no call.
    fn operator(&mut self) -> Binary {
        let inline = Binary::ALL
            .iter()
            .copied()
            .filter(|op| op.facts().is_inline());
        self.one_of(&inline.collect::<Vec<_>>())
    }

    fn relation(&mut self) -> Relation {
        use Relation::*;
        self.one_of(&[Lt, Le, Gt, Ge, Eq, Ne])
    }
}
