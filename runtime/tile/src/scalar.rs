//! Scalars: numbers compared by their bits, and the operations on them: what each is called in text, and what it gives for
//! numbers. Every part that names, folds or evaluates one asks here; what machine code computes is compared with it.

/// A number in an expression, compared by its bits so that equations can be interned.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lit(u64);

impl Lit {
    pub fn new(value: f64) -> Lit {
        Lit(value.to_bits())
    }
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl std::fmt::Debug for Lit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.get())
    }
}

/// The position that is none: no bound holds for it, whatever is added to it.
pub const NOWHERE: i64 = -(1 << 60);
/// Whole numbers below this are exact in f64.
pub const EXACT: f64 = (1u64 << 53) as f64;

/// A computed position, which is a whole number, as an integer: what is no number or not exact is nowhere.
pub fn whole(x: f64) -> i64 {
    if x.abs() < EXACT { x as i64 } else { NOWHERE }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unary {
    Neg,
    Exp,
    Log,
    Sqrt,
    Sin,
    Cos,
    Tanh,
    Erf,
    Abs,
    Floor,
    /// Identity whose gradient is zero; removed after differentiation.
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Min,
    Max,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
}

impl Unary {
    /// The function's name; a sign's is the sign.
    pub fn name(self) -> &'static str {
        match self {
            Unary::Neg => "-",
            Unary::Exp => "exp",
            Unary::Log => "log",
            Unary::Sqrt => "sqrt",
            Unary::Sin => "sin",
            Unary::Cos => "cos",
            Unary::Tanh => "tanh",
            Unary::Erf => "erf",
            Unary::Abs => "abs",
            Unary::Floor => "floor",
            Unary::Stop => "stop",
        }
    }

    pub fn of(self, x: f64) -> f64 {
        match self {
            Unary::Neg => -x,
            Unary::Exp => libm::exp(x),
            Unary::Log => libm::log(x),
            Unary::Sqrt => x.sqrt(),
            Unary::Sin => libm::sin(x),
            Unary::Cos => libm::cos(x),
            Unary::Tanh => libm::tanh(x),
            Unary::Erf => libm::erf(x),
            Unary::Abs => x.abs(),
            Unary::Floor => x.floor(),
            Unary::Stop => x,
        }
    }
}

impl Binary {
    pub fn of(self, x: f64, y: f64) -> f64 {
        match self {
            Binary::Add => x + y,
            Binary::Sub => x - y,
            Binary::Mul => x * y,
            Binary::Div => x / y,
            Binary::Pow if y == 2.0 => x * x,
            Binary::Pow => libm::pow(x, y),
            // As the language says them: `select(x < y, x, y)`, also for what is no number.
            Binary::Min if x < y => x,
            Binary::Max if x > y => x,
            Binary::Min | Binary::Max => y,
        }
    }
}

impl Relation {
    pub fn text(self) -> &'static str {
        match self {
            Relation::Lt => "<",
            Relation::Le => "<=",
            Relation::Gt => ">",
            Relation::Ge => ">=",
            Relation::Eq => "==",
            Relation::Ne => "!=",
        }
    }

    /// For numbers of one kind; nothing but `!=` holds of what is no number.
    pub fn holds<T: PartialOrd>(self, x: T, y: T) -> bool {
        match self {
            Relation::Lt => x < y,
            Relation::Le => x <= y,
            Relation::Gt => x > y,
            Relation::Ge => x >= y,
            Relation::Eq => x == y,
            Relation::Ne => x != y,
        }
    }
}
