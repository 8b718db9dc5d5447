//! A generated program as data: what the generator grows, the shrinker cuts, and the tests read as text.
//!
//! Enters nothing; leaves `.vsr` text. Shapes are known here, values are not.

use std::fmt::{self, Display, Formatter, Write};

/// A model, and the training of it if there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    pub inputs: Vec<Tensor>,
    pub weights: Vec<Tensor>,
    /// Stored tensors that training rewrites.
    pub states: Vec<Tensor>,
    pub lines: Vec<Line>,
    /// Names of results; several make a list.
    pub outputs: Vec<String>,
    pub train: Option<Train>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub name: String,
    pub shape: Vec<i64>,
}

/// One statement of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub name: String,
    pub shape: Vec<i64>,
    /// Whether its values are whole, so that it may be a position.
    pub whole: bool,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `name[free…] = body`
    Equation { free: Vec<Index>, body: Expr },
    /// `name = template`, with `{0}`, `{1}`… for the arguments.
    Text { template: String, args: Vec<String> },
    /// `if training { next name = arg }`: from here on the state has its new value.
    Next { arg: String },
}

impl Value {
    pub fn each_operand(&self, f: &mut impl FnMut(&str)) {
        match self {
            Value::Equation { body, .. } => body.each_operand(f),
            Value::Text { args, .. } => args.iter().for_each(|a| f(a)),
            Value::Next { arg } => f(arg),
        }
    }
}

impl Expr {
    /// The parts that it is made of.
    pub fn children(&self) -> Vec<&Expr> {
        match self {
            Expr::Num(_) | Expr::Int(_) | Expr::Var(_) => vec![],
            Expr::Read { at, .. } => at.iter().collect(),
            Expr::Unary(_, a) => vec![a],
            Expr::Binary(_, a, b) => vec![a, b],
            Expr::Call(_, args) => args.iter().collect(),
            Expr::Select(_, args) => args.iter().collect(),
            Expr::Reduce { body, .. } => vec![body],
        }
    }

    fn each_operand(&self, f: &mut impl FnMut(&str)) {
        if let Expr::Read { of, .. } = self {
            f(of);
        }
        self.children().into_iter().for_each(|c| c.each_operand(f));
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Index {
    pub name: String,
    pub low: i64,
    pub high: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    Num(f64),
    Int(i64),
    Var(String),
    Read {
        of: String,
        at: Vec<Expr>,
        other: Option<f64>,
    },
    Unary(&'static str, Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    Call(&'static str, Vec<Expr>),
    Select(&'static str, Box<[Expr; 4]>),
    Reduce {
        how: &'static str,
        over: Vec<Index>,
        body: Box<Expr>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Train {
    /// As it is called: `Adam()`; `Gradient()` stores the gradient in the weight's place.
    pub optimizer: String,
    /// How each output enters the loss: `mean({})`, `mean({}**2)`.
    pub terms: Vec<String>,
    pub clip: Option<f64>,
    pub ema: Option<f64>,
    pub metric: bool,
}

/// The optimiser that makes gradients visible.
pub const GRADIENT: &str = "Gradient()";

/// Its definition: in the place of a weight it stores the gradient.
pub const GRADIENT_BLOCK: &str = "block Gradient()(w: [...S], g: [...S], rate: []) -> [...S] = g";

impl Program {
    /// A tensor's shape by name.
    pub fn shape(&self, name: &str) -> Option<&[i64]> {
        let stored = self.inputs.iter().chain(&self.weights).chain(&self.states);
        let mut known = stored.map(|t| (&t.name, &t.shape));
        let mut lines = self.lines.iter().map(|l| (&l.name, &l.shape));
        let found = known.find(|(n, _)| *n == name);
        found
            .or_else(|| lines.find(|(n, _)| *n == name))
            .map(|(_, s)| s.as_slice())
    }

    /// Without what no result needs: lines, weights, inputs, states.
    pub fn tidy(&mut self) {
        let mut needed: Vec<String> = self.outputs.clone();
        let mut kept = vec![];
        for line in self.lines.drain(..).rev() {
            let is_next = matches!(line.value, Value::Next { .. });
            if is_next || needed.contains(&line.name) {
                line.value
                    .each_operand(&mut |name| needed.push(name.to_string()));
                if is_next {
                    needed.push(line.name.clone());
                }
                kept.push(line);
            }
        }
        self.lines = kept.into_iter().rev().collect();
        for stored in [&mut self.inputs, &mut self.weights, &mut self.states] {
            stored.retain(|t| needed.contains(&t.name));
        }
    }

    /// Elements of the largest tensor.
    pub fn largest(&self) -> i64 {
        let stored = self.inputs.iter().chain(&self.weights).chain(&self.states);
        let shapes = stored
            .map(|t| &t.shape)
            .chain(self.lines.iter().map(|l| &l.shape));
        shapes.map(|s| s.iter().product()).max().unwrap_or(1)
    }
}

fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let all: Vec<String> = items.into_iter().map(|i| i.to_string()).collect();
    all.join(", ")
}

impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let inputs = list(&self.inputs);
        writeln!(f, "model Random()({inputs}) {{")?;
        for weight in &self.weights {
            writeln!(f, "  param {weight} = uniform(-1, 1)")?;
        }
        for state in &self.states {
            writeln!(f, "  state {state} = 0.5")?;
        }
        for line in &self.lines {
            writeln!(f, "  {line}")?;
        }
        match self.outputs.as_slice() {
            [one] => writeln!(f, "  {one}\n}}")?,
            several => writeln!(f, "  [{}]\n}}", list(several))?,
        }
        if let Some(train) = &self.train {
            writeln!(f, "\n{GRADIENT_BLOCK}")?;
            writeln!(f, "\ntrain random() = Random() {{")?;
            self.train_body(train, f)?;
            writeln!(f, "}}\n\nprofile train {{ }}")?;
        }
        writeln!(f, "\nprofile p {{ }}")
    }
}

impl Program {
    fn train_body(&self, train: &Train, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  epochs = 1\n  steps = 1\n  rate = 0.125\n  optimizer = {}",
            train.optimizer
        )?;
        if let Some(clip) = train.clip {
            writeln!(f, "  clip = {clip}")?;
        }
        if let Some(ema) = train.ema {
            writeln!(f, "  ema = {ema}")?;
        }
        // A training without data is refused.
        if self.inputs.is_empty() {
            writeln!(f, "  data unused: [1] = clips(\"data\")")?;
        }
        for input in &self.inputs {
            writeln!(f, "  data {input} = clips(\"data\")")?;
        }
        let results: Vec<String> = (0..self.outputs.len()).map(|i| format!("y{i}")).collect();
        let given = list(self.inputs.iter().map(|i| &i.name));
        writeln!(f, "  {} = random({given})", results.join(", "))?;
        let term = |(t, y): (&String, &String)| t.replace("{}", y);
        let terms: Vec<String> = train.terms.iter().zip(&results).map(term).collect();
        if train.metric {
            writeln!(f, "  metric first = {}", terms[0])?;
        }
        writeln!(f, "  loss = {}", terms.join(" + "))
    }
}

impl Display for Tensor {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: [{}]", self.name, list(&self.shape))
    }
}

impl Display for Index {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}..{}", self.name, self.low, self.high)
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Equation { free, body } => {
                write!(f, "{}[{}] = {}", self.name, list(free), root(body))
            }
            Value::Text { template, args } => {
                write!(f, "{} = {}", self.name, filled(template, args))
            }
            Value::Next { arg } => write!(f, "if training {{ next {} = {arg} }}", self.name),
        }
    }
}

fn filled(template: &str, args: &[String]) -> String {
    let hole = |text: String, (i, arg): (usize, &String)| text.replace(&format!("{{{i}}}"), arg);
    args.iter().enumerate().fold(template.to_string(), hole)
}

/// A reduction at the root stands without brackets: it then is the equation's own.
fn root(body: &Expr) -> String {
    match body {
        Expr::Reduce { how, over, body } => format!("{how}[{}] ({body})", list(over)),
        body => body.to_string(),
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Num(x) if *x < 0.0 => write!(f, "(-{})", -x),
            Expr::Num(x) => write!(f, "{x:?}"),
            Expr::Int(i) if *i < 0 => write!(f, "(-{})", -i),
            Expr::Int(i) => write!(f, "{i}"),
            Expr::Var(name) => f.write_str(name),
            Expr::Read { of, at, other } => {
                write!(f, "{of}[{}]", list(at))?;
                match other {
                    Some(x) => write!(f, " else {x}"),
                    None => Ok(()),
                }
            }
            Expr::Unary("-", a) => write!(f, "(-({a}))"),
            Expr::Unary(name, a) => write!(f, "{name}({a})"),
            Expr::Binary(op, a, b) => {
                f.write_char('(')?;
                operand(a, f)?;
                write!(f, " {op} ")?;
                operand(b, f)?;
                f.write_char(')')
            }
            Expr::Call(name, args) => write!(f, "{name}({})", list(args)),
            Expr::Select(relation, args) => {
                let [a, b, yes, no] = &**args;
                write!(f, "select({a} {relation} {b}, {yes}, {no})")
            }
            Expr::Reduce { .. } => write!(f, "({})", root(self)),
        }
    }
}

/// `else` takes all that follows it: a read with one stands in brackets.
fn operand(e: &Expr, f: &mut Formatter<'_>) -> fmt::Result {
    match e {
        Expr::Read { other: Some(_), .. } => write!(f, "({e})"),
        e => write!(f, "{e}"),
    }
}
