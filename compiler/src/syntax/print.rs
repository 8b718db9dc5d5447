//! The tree as text, for `--emit ast`: one line per item, statement and clause, indented; expressions as prefix forms
//! in brackets, so that what binds to what is plain to see. Spans are left out.

use super::ast::*;

/// Prints a file's tree.
pub fn print_ast(file: &File) -> String {
    let mut printer = Printer {
        out: String::new(),
        indent: 0,
    };
    printer.doc(&file.doc);
    for item in &file.items {
        printer.item(item);
    }
    printer.out
}

struct Printer {
    out: String,
    indent: usize,
}

impl Printer {
    fn line(&mut self, text: impl AsRef<str>) {
        self.out += &"  ".repeat(self.indent);
        self.out += text.as_ref();
        self.out.push('\n');
    }

    fn inside(&mut self, write: impl FnOnce(&mut Printer)) {
        self.indent += 1;
        write(self);
        self.indent -= 1;
    }

    fn doc(&mut self, doc: &str) {
        for line in doc.lines() {
            self.line(format!("doc {line:?}"));
        }
    }

    fn item(&mut self, item: &Item) {
        self.doc(&item.doc);
        match &item.kind {
            ItemKind::Use(use_) => {
                let names: Vec<_> = use_.names.iter().map(|name| name.text.as_str()).collect();
                self.line(format!("use {} from {:?}", names.join(" "), use_.file.text));
            }
            ItemKind::Op(op) => self.op(op),
            ItemKind::Block(block) => self.block(block),
            ItemKind::Weights(weights) => {
                self.line(format!("weights {}", weights.name.text));
                self.inside(|p| {
                    weights
                        .rules
                        .iter()
                        .for_each(|rule| p.line(weight_rule(&rule.kind)))
                });
            }
            ItemKind::Frozen(frozen) => self.line(frozen_line(frozen)),
            ItemKind::Train(train) => {
                self.line(format!(
                    "train {} = {}",
                    train.name.text,
                    made(&train.network)
                ));
                self.inside(|p| {
                    p.inputs("param", &train.params);
                    p.body(&train.body);
                });
            }
            ItemKind::Profile(profile) => {
                let settings: Vec<_> = profile.settings.iter().map(setting).collect();
                self.line(format!(
                    "profile {} {}",
                    profile.name.text,
                    settings.join(" ")
                ));
            }
        }
    }

    fn op(&mut self, op: &Op) {
        self.line(format!("op {}", op.name.text));
        self.inside(|p| {
            p.inputs("input", &op.inputs);
            p.clauses(&op.result, &op.conditions);
            if let Some(kernel) = &op.kernel {
                p.line(format!("kernel {}", kernel.text));
            }
            p.body(&op.body);
            if let Some(grad) = &op.grad {
                p.line(format!("grad {} {}", grad.result.text, grad.cotangent.text));
                p.inside(|p| p.body(&grad.body));
            }
        });
    }

    fn block(&mut self, block: &Block) {
        let kind = if block.is_model { "model" } else { "block" };
        self.line(format!("{kind} {}", block.name.text));
        self.inside(|p| {
            p.inputs("param", &block.params);
            p.inputs("input", &block.inputs);
            p.clauses(&block.result, &block.conditions);
            p.body(&block.body);
        });
    }

    fn inputs(&mut self, kind: &str, inputs: &[Input]) {
        for input in inputs {
            let default = input
                .default
                .as_ref()
                .map_or(String::new(), |value| format!(" = {}", expr(value)));
            self.line(format!(
                "{kind} {}: {}{default}",
                input.name.text,
                ty(&input.ty)
            ));
        }
    }

    fn clauses(&mut self, result: &Option<Type>, conditions: &[Expr]) {
        if let Some(result) = result {
            self.line(format!("result {}", ty(result)));
        }
        for condition in conditions {
            self.line(format!("where {}", expr(condition)));
        }
    }

    fn body(&mut self, body: &Body) {
        for stmt in &body.stmts {
            self.stmt(&stmt.kind);
        }
        if let Some(value) = &body.value {
            self.line(format!("value {}", expr(value)));
        }
    }

    fn stmt(&mut self, kind: &StmtKind) {
        match kind {
            StmtKind::Bind { names, value } => {
                self.line(format!("bind {} {}", idents(names), expr(value)))
            }
            StmtKind::Typed {
                name,
                ty: of,
                value,
            } => {
                self.line(format!("typed {}: {} {}", name.text, ty(of), expr(value)));
            }
            StmtKind::Equation { name, index, value } => {
                self.line(format!(
                    "equation {}{} {}",
                    name.text,
                    ixs(index),
                    expr(value)
                ));
            }
            StmtKind::Param {
                name,
                label,
                ty: of,
                init,
            } => {
                let label = label
                    .as_ref()
                    .map_or(String::new(), |label| format!(" @{}", path(&label.path)));
                let init = init
                    .as_ref()
                    .map_or(String::new(), |init| format!(" = {}", expr(init)));
                self.line(format!("param {}{label}: {}{init}", name.text, ty(of)));
            }
            StmtKind::State {
                name,
                label,
                ty: of,
                init,
            } => {
                let label = label
                    .as_ref()
                    .map_or(String::new(), |label| format!(" @{}", path(&label.path)));
                self.line(format!(
                    "state {}{label}: {} = {}",
                    name.text,
                    ty(of),
                    expr(init)
                ));
            }
            StmtKind::Next { name, value } => {
                self.line(format!("next {} {}", name.text, expr(value)))
            }
            StmtKind::Data {
                name,
                ty: of,
                value,
            } => {
                self.line(format!("data {}: {} {}", name.text, ty(of), expr(value)));
            }
            StmtKind::Metric { name, value } => {
                self.line(format!("metric {} {}", name.text, expr(value)))
            }
            StmtKind::For {
                names,
                domain: over,
                body,
            } => {
                self.line(format!("for {} in {}", idents(names), domain(over)));
                self.inside(|p| p.body(body));
            }
            StmtKind::If(if_) => self.if_(if_),
        }
    }

    fn if_(&mut self, if_: &If) {
        self.line(format!("if {}", expr(&if_.condition)));
        self.inside(|p| p.body(&if_.then));
        if let Some(otherwise) = &if_.otherwise {
            self.line("else");
            self.inside(|p| p.body(otherwise));
        }
    }
}

fn idents(names: &[Ident]) -> String {
    names
        .iter()
        .map(|name| name.text.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

fn weight_rule(kind: &WeightRuleKind) -> String {
    match kind {
        WeightRuleKind::Ignore(of) => format!("ignore {}", path(of)),
        WeightRuleKind::Rename {
            from,
            to,
            rows,
            transposed,
        } => {
            let rows = rows.as_ref().map_or(String::new(), |rows| {
                format!(" rows {} {}", expr(&rows.0), expr(&rows.1))
            });
            let transposed = if *transposed { " transposed" } else { "" };
            format!("rename {} -> {}{rows}{transposed}", path(from), path(to))
        }
    }
}

fn frozen_line(frozen: &Frozen) -> String {
    let optional = if frozen.is_optional { "?" } else { "" };
    let via = frozen
        .via
        .as_ref()
        .map_or(String::new(), |via| format!(" via {}", via.text));
    let precision = frozen.precision.map_or(String::new(), |precision| {
        format!(" as {}", precision.name())
    });
    let network = made(&frozen.network);
    format!(
        "frozen {}{optional} = {network} from {:?}{via}{precision}",
        frozen.name.text, frozen.file.text
    )
}

fn setting(setting: &Setting) -> String {
    let value = match setting.value {
        SettingValue::Int(n) => n.to_string(),
        SettingValue::Float(x) => format!("{x:?}"),
        SettingValue::Precision(precision) => precision.name().to_string(),
    };
    format!("{}={value}", setting.name.text)
}

fn ty(of: &Type) -> String {
    match &of.kind {
        TypeKind::Int => "int".into(),
        TypeKind::Float => "float".into(),
        TypeKind::Bool => "bool".into(),
        TypeKind::Str => "str".into(),
        TypeKind::List => "list".into(),
        TypeKind::Tensor { precision, axes } => {
            let axes: Vec<_> = axes.iter().map(axis).collect();
            format!("{}[{}]", precision.map_or("", DType::name), axes.join(", "))
        }
    }
}

fn axis(axis: &Axis) -> String {
    match axis {
        Axis::Dim(dim) => expr(dim),
        Axis::Pack(name) => format!("...{}", name.text),
    }
}

fn domain(domain: &Domain) -> String {
    match domain {
        Domain::Range(low, high) => format!("{}..{}", expr(low), expr(high)),
        Domain::List(list) => expr(list),
    }
}

fn expr(of: &Expr) -> String {
    match &of.kind {
        ExprKind::Int(n) => n.to_string(),
        ExprKind::Float(x) => format!("{x:?}"),
        ExprKind::Str(text) => format!("{text:?}"),
        ExprKind::Bool(value) => value.to_string(),
        ExprKind::Name(text) | ExprKind::Dim(text) => text.clone(),
        ExprKind::List(items) => format!("[{}]", exprs(items)),
        ExprKind::Each {
            body,
            names,
            domain: over,
        } => {
            format!("[{} for {} in {}]", expr(body), idents(names), domain(over))
        }
        ExprKind::Unary { op, operand } => format!("({} {})", op.symbol(), expr(operand)),
        ExprKind::Binary {
            op, left, right, ..
        } => format!("({} {} {})", op.symbol(), expr(left), expr(right)),
        ExprKind::Pipe { value, stage } => format!("(|> {} {})", expr(value), stage_text(stage)),
        ExprKind::Call { name, args: given } => format!("{}({})", name.text, args(given)),
        ExprKind::Made(of) => made(of),
        ExprKind::Index {
            base,
            index,
            otherwise,
        } => {
            let otherwise = otherwise
                .as_ref()
                .map_or(String::new(), |value| format!(" else {}", expr(value)));
            format!("{}{}{otherwise}", expr(base), ixs(index))
        }
        ExprKind::Reduce {
            reducer,
            index,
            body,
        } => format!("({}{} {})", reducer.name(), ixs(index), expr(body)),
        ExprKind::If(if_) => if_text(if_),
    }
}

fn exprs(of: &[Expr]) -> String {
    of.iter().map(expr).collect::<Vec<_>>().join(", ")
}

fn if_text(if_: &If) -> String {
    let otherwise = if_.otherwise.as_ref().map_or(String::new(), body_text);
    format!(
        "(if {} {} {otherwise})",
        expr(&if_.condition),
        body_text(&if_.then)
    )
}

/// A body inside an expression: what a block of lines would be, on one.
fn body_text(body: &Body) -> String {
    let mut printer = Printer {
        out: String::new(),
        indent: 0,
    };
    printer.body(body);
    let lines: Vec<_> = printer.out.lines().map(str::trim).collect();
    format!("{{{}}}", lines.join("; "))
}

fn stage_text(stage: &Stage) -> String {
    match stage {
        Stage::Apply {
            name, args: given, ..
        } if given.is_empty() => name.text.clone(),
        Stage::Apply {
            name, args: given, ..
        } => format!("{}({})", name.text, args(given)),
        Stage::Made(of) => made(of),
    }
}

fn made(of: &Made) -> String {
    let inputs = of
        .inputs
        .as_ref()
        .map_or(String::new(), |given| format!("({})", args(given)));
    let label = of
        .label
        .as_ref()
        .map_or(String::new(), |label| format!(" @{}", path(&label.path)));
    format!("{}({}){inputs}{label}", of.block.text, args(&of.params))
}

fn args(of: &[Arg]) -> String {
    let one = |arg: &Arg| match &arg.name {
        Some(name) => format!("{}={}", name.text, expr(&arg.value)),
        None => expr(&arg.value),
    };
    of.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn ixs(of: &[Ix]) -> String {
    let one = |ix: &Ix| match &ix.kind {
        IxKind::At(at) => expr(at),
        IxKind::Pack(name) => format!("...{}", name.text),
        IxKind::Range { name, low, high } => {
            format!("{} in {}..{}", name.text, expr(low), expr(high))
        }
        IxKind::Slice { low, high } => {
            let side = |side: &Option<Box<Expr>>| side.as_deref().map_or(String::new(), expr);
            format!("{}:{}", side(low), side(high))
        }
    };
    format!("[{}]", of.iter().map(one).collect::<Vec<_>>().join(", "))
}

fn path(of: &Path) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Hole(hole) => format!("{{{}}}", expr(hole)),
        Piece::Rest(name) => format!("{{...{}}}", name.text),
    };
    let segment = |segment: &Segment| segment.pieces.iter().map(piece).collect::<String>();
    of.segments
        .iter()
        .map(segment)
        .collect::<Vec<_>>()
        .join(".")
}
