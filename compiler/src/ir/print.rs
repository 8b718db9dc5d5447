//! A graph as `.vsr` text that parses back: one model, one index equation for each piece.
//!
//! Numbers stay exact. A piece that does not fill its tensor becomes a tensor over its own box, and is then put in place
//! by an equation that solves the write map for the box's indices. A scatter becomes the sum over all points that it
//! would add, chosen by position. Nothing here is read by the compiler itself.

use std::fmt::Write;

use crate::equation::index::{Atom, Ix};
use crate::equation::{Equation, Pos, Reducer};
use crate::ir::graph::{Graph, Init, Node, NodeId, Op};
use crate::ir::print_expr::{Names, constant, number};
use crate::ir::region::whole;

/// The graph as a model named `Printed`.
pub fn print(graph: &Graph) -> String {
    let updates = graph
        .ids()
        .filter(|id| matches!(graph.node(*id).op, Op::Update));
    let roots: Vec<NodeId> = graph
        .outputs
        .iter()
        .map(|(_, id)| *id)
        .chain(updates)
        .collect();
    let needed = graph.ancestors(&roots);
    let ids: Vec<NodeId> = graph.ids().filter(|id| needed[id.index()]).collect();
    let mut out = Printer {
        graph,
        text: String::new(),
    };
    out.head(&ids);
    for id in &ids {
        out.node(*id);
    }
    out.tail();
    out.text
}

/// How other nodes call this one.
pub fn name(graph: &Graph, id: NodeId) -> String {
    match &graph.node(id).op {
        Op::Input { name } => name.clone(),
        _ => format!("n{}", id.index()),
    }
}

struct Printer<'a> {
    graph: &'a Graph,
    text: String,
}

impl Printer<'_> {
    fn line(&mut self, text: &str) {
        self.text += "  ";
        self.text += text;
        self.text += "\n";
    }

    fn head(&mut self, ids: &[NodeId]) {
        let inputs: Vec<String> = (ids.iter())
            .filter(|id| matches!(self.graph.node(**id).op, Op::Input { .. }))
            .map(|id| format!("{}: {}", name(self.graph, *id), list(self.graph.shape(*id))))
            .collect();
        let result = match self.graph.outputs.first() {
            Some((_, id)) => format!(" -> {}", list(self.graph.shape(*id))),
            None => String::new(),
        };
        let _ = writeln!(
            self.text,
            "model Printed()({}){result} {{",
            inputs.join(", ")
        );
    }

    fn tail(&mut self) {
        for (output, id) in &self.graph.outputs {
            let _ = writeln!(self.text, "  # output {output}: {}", name(self.graph, *id));
        }
        if let Some((_, id)) = self.graph.outputs.first() {
            let _ = writeln!(self.text, "  {}", name(self.graph, *id));
        }
        self.text += "}\n";
    }

    fn node(&mut self, id: NodeId) {
        let node = self.graph.node(id);
        let me = name(self.graph, id);
        let shape = list(&node.shape);
        let operand = |i: usize| name(self.graph, node.operands[i]);
        match &node.op {
            Op::Input { .. } => {}
            Op::Param { key, init, .. } => {
                let init = initial(*init).map_or(String::new(), |i| format!(" = {i}"));
                self.line(&format!("param {me} @{key}: {shape}{init}"));
            }
            Op::State { key, init, .. } => {
                let init = initial(*init).unwrap_or("0.0".into());
                self.line(&format!("state {me} @{key}: {shape} = {init}"));
            }
            Op::Const(data) => self.line(&format!("{me} = {}", constant(data, &node.shape))),
            Op::Random { normal, .. } => {
                let call = if *normal { "randn" } else { "rand" };
                self.line(&format!("{me} = {call}({shape})"));
            }
            Op::Equation(pieces) => self.pieces(&me, node, pieces.iter().map(|p| &**p).collect()),
            Op::Scatter(equation) => self.scatter(&me, node, equation),
            Op::Update => {
                let (target, value) = (operand(0), operand(1));
                self.line(&format!("next {target} = {value}"));
                self.line(&format!("{me} = {value}"));
            }
            Op::Custom { .. } => self.line(&format!("{me} = {}", operand(0))),
        }
    }

    fn pieces(&mut self, me: &str, node: &Node, pieces: Vec<&Equation>) {
        if let [piece] = pieces[..]
            && let Some(axes) = whole(piece, &node.shape)
        {
            let left: Vec<String> = (axes.iter().enumerate())
                .map(|(axis, v)| match v {
                    Some(v) => format!("i{v} in 0..{}", piece.free[*v]),
                    None => format!("o{axis} in 0..1"),
                })
                .collect();
            let comment = comment(node);
            return self.line(&format!(
                "{me}[{}] = {}{comment}",
                left.join(", "),
                self.right(node, piece)
            ));
        }
        let mut terms = vec![];
        for (n, piece) in pieces.iter().enumerate() {
            let part = format!("{me}_{n}");
            let left: Vec<String> = bound("i", &piece.free);
            let comment = if n == 0 { comment(node) } else { String::new() };
            self.line(&format!(
                "{part}[{}] = {}{comment}",
                left.join(", "),
                self.right(node, piece)
            ));
            terms.push(placed(&part, piece, &node.shape));
        }
        let terms = if terms.is_empty() {
            "0.0".into()
        } else {
            terms.join(" + ")
        };
        self.line(&format!(
            "{me}[{}] = {terms}",
            bound("i", &node.shape).join(", ")
        ));
    }

    /// What a cell of the piece's box holds.
    fn right(&self, node: &Node, piece: &Equation) -> String {
        let names = Names::new(self.graph, node, piece);
        let nothing = match piece.reducer {
            Reducer::Max | Reducer::Lse => "(-3e38)",
            Reducer::Min => "3e38",
            _ => "0.0",
        };
        let body = names.guarded(&piece.guards, names.expr(&piece.body), nothing);
        reduction(piece.reducer, &bound("r", &piece.reduced), body)
    }

    fn scatter(&mut self, me: &str, node: &Node, equation: &Equation) {
        // The box's indices are reduced; the output's axes are free.
        let names = Names::scatter(self.graph, node, equation);
        let mut body = names.guarded(&equation.guards, names.expr(&equation.body), "0.0");
        for (axis, p) in equation.write.iter().enumerate() {
            let at = match p {
                Pos::Ix(ix) => names.ix(ix),
                Pos::Computed(e) => names.whole(e),
            };
            body = format!("select({at} == i{axis}, {body}, 0.0)");
        }
        let reduced = bound("r", &equation.free);
        let left = bound("i", &node.shape).join(", ");
        let comment = comment(node);
        self.line(&format!(
            "{me}[{left}] = {}{comment}",
            reduction(Reducer::Sum, &reduced, body)
        ));
    }
}

fn reduction(reducer: Reducer, reduced: &[String], body: String) -> String {
    let word = match reducer {
        Reducer::Map => return body,
        Reducer::Sum => "sum",
        Reducer::Max => "max",
        Reducer::Min => "min",
        Reducer::Lse => "lse",
        Reducer::Var => "var",
    };
    match (reduced, reducer) {
        ([], Reducer::Var) => "0.0".into(),
        ([], _) => body,
        _ => format!("{word}[{}] ({body})", reduced.join(", ")),
    }
}

/// The value of a piece at the output's own indices, 0 where it does not write.
fn placed(part: &str, piece: &Equation, shape: &[i64]) -> String {
    let mut solved: Vec<Option<Ix>> = vec![None; piece.free.len()];
    let mut conditions = vec![];
    for (axis, p) in piece.write.iter().enumerate() {
        let Pos::Ix(at) = p else { continue };
        if shape[axis] == 1 && at.as_constant() == Some(0) {
            continue;
        }
        let mut rest = Ix::var(axis).offset(-at.constant);
        let mut digits: Vec<(i64, usize)> = vec![];
        for (atom, c) in &at.terms {
            let Atom::Var(v) = atom else { continue };
            match &solved[*v] {
                Some(known) => rest = rest.sub(&known.scale(*c)),
                None => digits.push((*c, *v)),
            }
        }
        digits.sort_by_key(|(c, _)| std::cmp::Reverse(c.abs()));
        for (c, v) in digits {
            let size = c.abs();
            solved[v] = Some(rest.div(size).scale(c.signum()));
            rest = rest.rem(size);
        }
        if rest.as_constant() != Some(0) {
            conditions.push(rest);
        }
    }
    let axis_name = |v: usize| format!("i{v}");
    let at: Vec<String> = (solved.iter())
        .map(|ix| {
            crate::ir::print_expr::ix_text(ix.as_ref().unwrap_or(&Ix::constant(0)), &axis_name)
        })
        .collect();
    let read = match at.as_slice() {
        [] => part.to_string(),
        at => format!("{part}[{}] else 0.0", at.join(", ")),
    };
    conditions.iter().fold(read, |value, rest| {
        format!(
            "select({} == 0, {value}, 0.0)",
            crate::ir::print_expr::ix_text(rest, &axis_name)
        )
    })
}

fn bound(prefix: &str, extents: &[i64]) -> Vec<String> {
    (extents.iter().enumerate())
        .map(|(v, n)| format!("{prefix}{v} in 0..{n}"))
        .collect()
}

fn initial(init: Init) -> Option<String> {
    match init {
        Init::Constant(x) => Some(number(x)),
        Init::Uniform(lo, hi) => Some(format!("uniform({}, {})", number(lo), number(hi))),
        Init::Normal(mean, std) => Some(format!("normal({}, {})", number(mean), number(std))),
        Init::Required => None,
    }
}

/// Where the node comes from.
fn comment(node: &Node) -> String {
    match format!("{} {}", node.origin.path, node.origin.name).trim() {
        "" => String::new(),
        place => format!("  # {place}"),
    }
}

fn list(shape: &[i64]) -> String {
    let sizes: Vec<String> = shape.iter().map(i64::to_string).collect();
    format!("[{}]", sizes.join(", "))
}
