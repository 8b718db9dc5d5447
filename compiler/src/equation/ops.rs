//! The scalar operations: what each is called in text, and what it gives for numbers. Every part that names, folds or
//! evaluates one asks here; what machine code computes is compared with it.

use super::{Binary, Relation, Unary};

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
