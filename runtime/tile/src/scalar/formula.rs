//! Formulas of the table: derivatives.
//!
//! Enters a text of the table; leaves its tree, for those who make expressions of it. A text that is none is a fault of the
//! table, and panics. `**` binds more than a sign, that more than `*` and `/`, those more than `+` and `-`.

use super::{Binary, Relation, Unary};

#[derive(Clone, Debug, PartialEq)]
pub enum Formula {
    Number(f64),
    Name(&'static str),
    Unary(Unary, Box<Formula>),
    Binary(Binary, Box<[Formula; 2]>),
    /// `relation(args[0], args[1]) ? args[2] : args[3]`
    Select(Relation, Box<[Formula; 4]>),
}

impl Formula {
    pub fn parse(text: &'static str) -> Formula {
        let mut parser = Parser { text, rest: text };
        let formula = parser.sum();
        match parser.rest {
            "" => formula,
            _ => parser.fail(),
        }
    }

    /// Whether some name in it passes.
    pub fn names(&self, test: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Formula::Number(_) => false,
            Formula::Name(name) => test(name),
            Formula::Unary(_, a) => a.names(test),
            Formula::Binary(_, args) => args.iter().any(|a| a.names(test)),
            Formula::Select(_, args) => args.iter().any(|a| a.names(test)),
        }
    }

    /// Its value in f64, for values of its names.
    pub fn value(&self, of: &dyn Fn(&str) -> f64) -> f64 {
        match self {
            Formula::Number(number) => *number,
            Formula::Name(name) => of(name),
            Formula::Unary(op, a) => op.of(a.value(of)),
            Formula::Binary(op, args) => op.of(args[0].value(of), args[1].value(of)),
            Formula::Select(relation, args) => {
                let holds = relation.holds(args[0].value(of), args[1].value(of));
                args[if holds { 2 } else { 3 }].value(of)
            }
        }
    }
}

struct Parser {
    text: &'static str,
    rest: &'static str,
}

impl Parser {
    fn sum(&mut self) -> Formula {
        let mut sum = self.product();
        loop {
            sum = match () {
                _ if self.takes("+ ") => two(Binary::Add, sum, self.product()),
                _ if self.takes("- ") => two(Binary::Sub, sum, self.product()),
                _ => return sum,
            };
        }
    }

    fn product(&mut self) -> Formula {
        let mut product = self.signed();
        loop {
            product = match () {
                _ if self.takes("*") => two(Binary::Mul, product, self.signed()),
                _ if self.takes("/") => two(Binary::Div, product, self.signed()),
                _ => return product,
            };
        }
    }

    fn signed(&mut self) -> Formula {
        if self.takes("-") {
            return Formula::Unary(Unary::Neg, Box::new(self.signed()));
        }
        let base = self.atom();
        match self.takes("**") {
            true => two(Binary::Pow, base, self.signed()),
            false => base,
        }
    }

    fn atom(&mut self) -> Formula {
        if self.takes("(") {
            return self.argument(")");
        }
        self.rest = self.rest.trim_start();
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '.';
        let end = self.rest.find(|c| !is_word(c));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        match word.parse() {
            Ok(number) => Formula::Number(number),
            Err(_) if word.is_empty() => self.fail(),
            Err(_) if self.takes("(") => self.call(word),
            Err(_) => Formula::Name(word),
        }
    }

    fn call(&mut self, name: &str) -> Formula {
        if name == "select" {
            let (a, relation) = (self.sum(), self.relation());
            let args = [
                a,
                self.argument(","),
                self.argument(","),
                self.argument(")"),
            ];
            return Formula::Select(relation, Box::new(args));
        }
        if let Some(op) = Unary::named(name) {
            return Formula::Unary(op, Box::new(self.argument(")")));
        }
        match Binary::named(name) {
            Some(op) => two(op, self.argument(","), self.argument(")")),
            None => self.fail(),
        }
    }

    fn argument(&mut self, end: &str) -> Formula {
        let argument = self.sum();
        match self.takes(end) {
            true => argument,
            false => self.fail(),
        }
    }

    fn relation(&mut self) -> Relation {
        let found = [
            (Relation::Le, "<= "),
            (Relation::Ge, ">= "),
            (Relation::Lt, "< "),
            (Relation::Gt, "> "),
            (Relation::Eq, "== "),
        ];
        let found = found.into_iter().find(|(_, sign)| self.takes(sign));
        found.map_or_else(|| self.fail(), |(relation, _)| relation)
    }

    /// Past blanks; `*` is not the beginning of `**`.
    fn takes(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start();
        let is_power = token == "*" && rest.starts_with("**");
        match rest.strip_prefix(token) {
            Some(rest) if !is_power => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn fail<T>(&self) -> T {
        panic!(
            "the formula `{}` is wrong before `{}`",
            self.text, self.rest
        )
    }
}

fn two(op: Binary, a: Formula, b: Formula) -> Formula {
    Formula::Binary(op, Box::new([a, b]))
}
