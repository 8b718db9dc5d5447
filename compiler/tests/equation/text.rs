//! `y[b,o,i] = sum[c,p] k[o,c,p]*~x[b,c,i+p-1]` as an equation; `~` reads 0 outside.

use super::Case;
use std::collections::BTreeMap;
use vsr_compiler::equation::index::Ix;
use vsr_compiler::equation::{Binary, Equation, Expr, Lit, Pos, Read, Reducer, Relation, Unary};

/// `tensors`: "x=2,4,6 k=3" ; `ranges`: "i=4 j=5". Other ranges come from reads at the bare index.
pub fn parse(name: &str, text: &str, tensors: &str, ranges: &str) -> Case {
    let tensors: Vec<(String, Vec<i64>)> = pairs(tensors);
    let mut sizes: BTreeMap<String, i64> = BTreeMap::new();
    for (index, n) in pairs(ranges) {
        sizes.insert(index, n[0]);
    }
    let (left, right) = text.split_once('=').expect("an equation");
    let free = names(left);
    let (reducer, reduced, body) = reduction(right.trim());
    infer(body, &tensors, &mut sizes);
    let order: Vec<String> = free.iter().chain(&reduced).cloned().collect();
    let extent = |v: &String| {
        *sizes
            .get(v)
            .unwrap_or_else(|| panic!("{name}: range of {v}"))
    };
    let mut p = Parser {
        text: body.as_bytes(),
        at: 0,
        tensors: &tensors,
        order: &order,
    };
    let value = p.sum();
    assert_eq!(p.at, body.len(), "{name}: rest of `{body}`");
    let extents = |list: &[String]| list.iter().map(extent).collect::<Vec<_>>();
    Case {
        name: name.to_string(),
        out: extents(&free),
        equation: Equation {
            free: extents(&free),
            reduced: extents(&reduced),
            reducer,
            body: value.expr(),
            guards: vec![],
            write: (0..free.len()).map(|v| Pos::Ix(Ix::var(v))).collect(),
        },
        operands: tensors.iter().map(|t| t.0.clone()).collect(),
        shapes: tensors.iter().map(|t| t.1.clone()).collect(),
    }
}

fn pairs(text: &str) -> Vec<(String, Vec<i64>)> {
    let one = |word: &str| {
        let (name, list) = word.split_once('=').expect("name=…");
        let numbers = list.split(',').filter(|n| !n.is_empty());
        (
            name.to_string(),
            numbers.map(|n| n.parse().expect("a number")).collect(),
        )
    };
    text.split_whitespace().map(one).collect()
}

/// The names between the brackets.
fn names(text: &str) -> Vec<String> {
    let inner = text
        .split_once('[')
        .map_or("", |(_, rest)| rest.split(']').next().unwrap_or(""));
    inner
        .split(',')
        .filter(|n| !n.is_empty())
        .map(|n| n.trim().to_string())
        .collect()
}

fn reduction(text: &str) -> (Reducer, Vec<String>, &str) {
    let reducers = [
        ("sum[", Reducer::Sum),
        ("max[", Reducer::Max),
        ("min[", Reducer::Min),
        ("lse[", Reducer::Lse),
        ("var[", Reducer::Var),
    ];
    for (word, reducer) in reducers {
        if text.starts_with(word) {
            let (head, body) = text.split_once(']').expect("a bracket");
            return (reducer, names(&format!("{head}]")), body.trim());
        }
    }
    (Reducer::Map, vec![], text)
}

/// Ranges from `x[…, i, …]`.
fn infer(body: &str, tensors: &[(String, Vec<i64>)], sizes: &mut BTreeMap<String, i64>) {
    for (name, shape) in tensors {
        for (start, _) in body.match_indices(&format!("{name}[")) {
            let inside = &body[start + name.len() + 1..];
            let mut depth = 0;
            let mut at = 0;
            let mut axis = 0;
            for (i, c) in inside.char_indices() {
                let ends = depth == 0 && (c == ',' || c == ']');
                if ends {
                    let word = inside[at..i].trim();
                    if !word.is_empty() && word.chars().all(char::is_alphabetic) {
                        sizes.entry(word.to_string()).or_insert(shape[axis]);
                    }
                    (at, axis) = (i + 1, axis + 1);
                }
                match c {
                    '[' | '(' => depth += 1,
                    ']' if depth == 0 => break,
                    ']' | ')' => depth -= 1,
                    _ => {}
                }
            }
        }
    }
}

/// Index arithmetic stays an index expression as long as it can.
enum Value {
    Ix(Ix),
    Ex(Expr),
}

impl Value {
    fn expr(self) -> Expr {
        match self {
            Value::Ix(ix) => Expr::index(ix),
            Value::Ex(e) => e,
        }
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    tensors: &'a [(String, Vec<i64>)],
    order: &'a [String],
}

impl Parser<'_> {
    fn peek(&mut self) -> u8 {
        while self.text.get(self.at) == Some(&b' ') {
            self.at += 1;
        }
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn eat(&mut self, word: &str) -> bool {
        self.peek();
        let hit = self.text[self.at..].starts_with(word.as_bytes());
        if hit {
            self.at += word.len();
        }
        hit
    }

    fn want(&mut self, word: &str) {
        assert!(
            self.eat(word),
            "`{word}` at {} of {}",
            self.at,
            String::from_utf8_lossy(self.text)
        );
    }

    fn sum(&mut self) -> Value {
        let mut a = self.product();
        loop {
            let op = if self.eat("+") {
                Binary::Add
            } else if self.eat("-") {
                Binary::Sub
            } else {
                return a;
            };
            let b = self.product();
            a = match (a, b, op) {
                (Value::Ix(a), Value::Ix(b), Binary::Add) => Value::Ix(a.add(&b)),
                (Value::Ix(a), Value::Ix(b), _) => Value::Ix(a.sub(&b)),
                (a, b, op) => binary(op, a, b),
            };
        }
    }

    fn product(&mut self) -> Value {
        let mut a = self.factor();
        loop {
            if self.eat("//") {
                let (a_ix, n) = (index(a), constant(self.factor()));
                a = Value::Ix(a_ix.div(n));
            } else if self.eat("%") {
                let (a_ix, n) = (index(a), constant(self.factor()));
                a = Value::Ix(a_ix.rem(n));
            } else if self.eat("*") {
                a = match (a, self.factor()) {
                    (Value::Ix(a), Value::Ix(b)) if b.as_constant().is_some() => {
                        Value::Ix(a.scale(b.constant))
                    }
                    (Value::Ix(a), Value::Ix(b)) if a.as_constant().is_some() => {
                        Value::Ix(b.scale(a.constant))
                    }
                    (a, b) => binary(Binary::Mul, a, b),
                };
            } else if self.eat("/") {
                let b = self.factor();
                a = binary(Binary::Div, a, b);
            } else {
                return a;
            }
        }
    }

    fn factor(&mut self) -> Value {
        if self.eat("(") {
            let v = self.sum();
            self.want(")");
            return v;
        }
        if self.eat("-") {
            return match self.factor() {
                Value::Ix(ix) => Value::Ix(ix.scale(-1)),
                Value::Ex(e) => Value::Ex(Expr::Unary(Unary::Neg, Box::new(e))),
            };
        }
        let guarded = self.eat("~");
        if self.peek().is_ascii_digit() {
            return self.number();
        }
        let name = self.name();
        if self.eat("[") {
            return Value::Ex(self.read(&name, guarded));
        }
        if self.eat("(") {
            return Value::Ex(self.call(&name));
        }
        let v = self.order.iter().position(|n| *n == name);
        Value::Ix(Ix::var(v.unwrap_or_else(|| panic!("no index {name}"))))
    }

    fn number(&mut self) -> Value {
        let start = self.at;
        while self
            .text
            .get(self.at)
            .is_some_and(|c| c.is_ascii_digit() || *c == b'.')
        {
            self.at += 1;
        }
        let text = std::str::from_utf8(&self.text[start..self.at]).expect("digits");
        match text.parse::<i64>() {
            Ok(n) => Value::Ix(Ix::constant(n)),
            Err(_) => Value::Ex(Expr::lit(text.parse().expect("a number"))),
        }
    }

    fn name(&mut self) -> String {
        let start = self.at;
        while self
            .text
            .get(self.at)
            .is_some_and(|c| c.is_ascii_alphanumeric())
        {
            self.at += 1;
        }
        String::from_utf8_lossy(&self.text[start..self.at]).into_owned()
    }

    fn read(&mut self, name: &str, guarded: bool) -> Expr {
        let operand = self.tensors.iter().position(|t| t.0 == name);
        let operand = operand.unwrap_or_else(|| panic!("no tensor {name}"));
        let mut at = vec![];
        while !self.eat("]") {
            at.push(match self.sum() {
                Value::Ix(ix) => Pos::Ix(ix),
                Value::Ex(e) => Pos::Computed(Box::new(e)),
            });
            self.eat(",");
        }
        Expr::Read(Read {
            operand,
            at,
            outside: guarded.then_some(Lit::new(0.0)),
        })
    }

    fn call(&mut self, name: &str) -> Expr {
        if name == "sel" {
            let a = self.sum().expr();
            let relations = [
                ("<=", Relation::Le),
                (">=", Relation::Ge),
                ("==", Relation::Eq),
                ("!=", Relation::Ne),
                ("<", Relation::Lt),
                (">", Relation::Gt),
            ];
            let relation = relations
                .into_iter()
                .find(|(word, _)| self.eat(word))
                .expect("a relation")
                .1;
            let b = self.sum().expr();
            self.want(",");
            let yes = self.sum().expr();
            self.want(",");
            let no = self.sum().expr();
            self.want(")");
            return Expr::Select(relation, Box::new([a, b, yes, no]));
        }
        let a = self.sum().expr();
        if let Some(op) = Binary::named(name) {
            self.want(",");
            let b = self.sum().expr();
            self.want(")");
            return Expr::Binary(op, Box::new(a), Box::new(b));
        }
        self.want(")");
        let op = Unary::named(name).unwrap_or_else(|| panic!("no function {name}"));
        Expr::Unary(op, Box::new(a))
    }
}

fn binary(op: Binary, a: Value, b: Value) -> Value {
    Value::Ex(Expr::Binary(op, Box::new(a.expr()), Box::new(b.expr())))
}

fn index(v: Value) -> Ix {
    match v {
        Value::Ix(ix) => ix,
        Value::Ex(e) => panic!("not an index: {e:?}"),
    }
}

fn constant(v: Value) -> i64 {
    index(v).as_constant().expect("a constant divisor")
}
