//! The table of scalar functions: a row for each, and in it all that any part knows of one.
//!
//! A new function is a row here, and a kernel in `vsr_kernels::maths` if compiled code calls it. From the row follow its name
//! in networks and tile programs, folding, gradients, bounds, costs, and its place in the binary interface.
//!
//! A derivative is a formula of the arguments, of their derivatives (`dx` that of `x`) and of the value itself, `result`.

use super::function::{Bounds, Code, Function, Values, calls, functions};

functions! {
    /// Of one number.
    Unary: fn(f64) -> f64, calls Map;

    /// The sign is an operator of the language.
    Neg = |x| -x, Function {
        name: "neg", args: &[], derivative: "-dx", values: Values::AsArguments, ..Function::INLINE
    };
    Exp = libm::exp, Function {
        name: "exp", derivative: "dx*result", code: Code::Call(Map::Exp), is_finite: false, ..Function::OF_X
    };
    Log = libm::log, Function {
        name: "log", derivative: "dx/x", code: Code::Call(Map::Log), is_finite: false, ..Function::OF_X
    };
    Sqrt = f64::sqrt, Function {
        name: "sqrt", derivative: "dx*0.5/result", is_finite: false, ..Function::OF_X
    };
    Sin = libm::sin, Function {
        name: "sin", derivative: "dx*cos(x)", code: Code::Call(Map::Sin), ..Function::OF_X
    };
    Cos = libm::cos, Function {
        name: "cos", derivative: "-(dx*sin(x))", code: Code::Call(Map::Cos), ..Function::OF_X
    };
    Tan = libm::tan, Function {
        name: "tan", derivative: "dx*(1 + result*result)", code: Code::Call(Map::Tan), ..Function::OF_X
    };
    Asinh = libm::asinh, Function {
        name: "asinh", derivative: "dx/sqrt(x*x + 1)", code: Code::Call(Map::Asinh), ..Function::OF_X
    };
    Tanh = libm::tanh, Function {
        name: "tanh", derivative: "dx*(1 - result*result)", code: Code::Call(Map::Tanh), ..Function::OF_X
    };
    Erf = libm::erf, Function {
        name: "erf", derivative: "dx*(1.1283791670955126*exp(-(x*x)))", code: Code::Call(Map::Erf), ..Function::OF_X
    };
    Abs = f64::abs, Function {
        name: "abs", derivative: "select(x > 0, dx, select(x < 0, -dx, 0))",
        values: Values::AsArguments, bounds: Bounds::Even, ..Function::OF_X
    };
    Floor = f64::floor, Function {
        name: "floor", derivative: "0", values: Values::Whole, bounds: Bounds::Increasing, ..Function::OF_X
    };
    /// Half to even.
    Round = f64::round_ties_even, Function {
        name: "round", derivative: "0", values: Values::Whole, bounds: Bounds::Increasing,
        code: Code::Call(Map::Round), ..Function::OF_X
    };
    /// Identity whose gradient is zero; removed after differentiation.
    Stop = |x| x, Function {
        name: "stop", derivative: "0", values: Values::AsArguments, bounds: Bounds::Increasing, ..Function::OF_X
    };
}

functions! {
    /// Of two numbers.
    Binary: fn(f64, f64) -> f64, calls Map2;

    Add = |x, y| x + y, Function {
        name: "+", derivative: "dx + dy", values: Values::AsArguments, ..Function::INLINE
    };
    Sub = |x, y| x - y, Function {
        name: "-", derivative: "dx - dy", values: Values::AsArguments, ..Function::INLINE
    };
    Mul = |x, y| x * y, Function {
        name: "*", derivative: "dx*y + dy*x", values: Values::AsArguments, ..Function::INLINE
    };
    Div = |x, y| x / y, Function {
        name: "/", derivative: "dx/y - dy*(result/y)", ..Function::INLINE
    };
    /// `x**y`
    Pow = |x, y| if y == 2.0 { x * x } else { libm::pow(x, y) }, Function {
        name: "pow", derivative: "dx*(y*x**(y - 1)) + dy*(result*log(x))",
        code: Code::Call(Map2::Pow), is_finite: false, ..Function::INLINE
    };
    /// `select(x < y, x, y)`, also for what is no number.
    Min = |x, y| if x < y { x } else { y }, Function {
        name: "min", args: &["a", "b"], derivative: "select(x < y, dx, dy)",
        values: Values::AsArguments, ..Function::INLINE
    };
    Max = |x, y| if x > y { x } else { y }, Function {
        name: "max", args: &["a", "b"], derivative: "select(x > y, dx, dy)",
        values: Values::AsArguments, ..Function::INLINE
    };
    /// The angle of the point (y, x), in [-π, π]: its first argument is the height.
    Atan2 = libm::atan2, Function {
        name: "atan2", args: &["y", "x"], derivative: "select(x*x + y*y == 0, 0, (dx*y - dy*x)/(x*x + y*y))",
        code: Code::Call(Map2::Atan2), ..Function::INLINE
    };
}

calls! {
    /// What compiled code calls along a row of numbers, in the order of the binary interface: a new one stands at the end.
    Map: Exp, Log, Sin, Cos, Tanh, Erf, Silu, Sigmoid, Tan, Asinh, Round
}

calls! {
    /// As `Map`, along two rows.
    Map2: Pow, Atan2
}

/// Functions of the language that are others, one behind the other, to the bit.
pub const DEFINED: &[(&str, &[Unary])] = &[("ceil", &[Unary::Neg, Unary::Floor, Unary::Neg])];

impl Unary {
    /// The value, for numbers of f64.
    pub fn of(self, x: f64) -> f64 {
        self.function()(x)
    }
}

impl Binary {
    /// The value, for numbers of f64.
    pub fn of(self, x: f64, y: f64) -> f64 {
        self.function()(x, y)
    }
}

impl Map {
    /// The value, for numbers of f64.
    pub fn of(self, x: f64) -> f64 {
        match self {
            Map::Silu => x / (1.0 + libm::exp(-x)),
            Map::Sigmoid => 1.0 / (1.0 + libm::exp(-x)),
            map => {
                let is_own = |f: &&Unary| f.facts().code == Code::Call(map);
                let function = Unary::ALL.iter().find(is_own);
                function.map_or(f64::NAN, |f| f.of(x))
            }
        }
    }
}

impl Map2 {
    /// The value, for numbers of f64.
    pub fn of(self, x: f64, y: f64) -> f64 {
        let is_own = |f: &&Binary| f.facts().code == Code::Call(self);
        let function = Binary::ALL.iter().find(is_own);
        function.map_or(f64::NAN, |f| f.of(x, y))
    }
}
