//! Kernels as text, a statement a line; and their identity, which is that text without names.
//!
//! Enters a kernel; leaves its text, which `parse` reads back: whatever differs in two kernels differs in their texts.

use crate::{Binary, Lit};
use crate::{
    Bound, BufferKind, Compute, Contract, ContractInit, Int, Kernel, Mode, ReduceOp, Stmt,
    TileKind, To, Val, Var, Wide,
};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt::Write;

/// The kernel's text, headed by its name and those of its buffers and tiles.
pub fn print(kernel: &Kernel) -> String {
    let mut text = format!("kernel {} {{\n", name(&kernel.name));
    for (i, buffer) in kernel.buffers.iter().enumerate() {
        line(
            &mut text,
            1,
            &format!(
                "{} b{i}  # {}",
                buffer_kind(buffer.kind),
                name(&buffer.name)
            ),
        );
    }
    for (i, tile) in kernel.tiles.iter().enumerate() {
        line(
            &mut text,
            1,
            &format!(
                "tile t{i}: {}[{}]  # {}",
                tile_kind(tile.kind),
                tile.len,
                name(&tile.name)
            ),
        );
    }
    text += &rest(kernel);
    text + "}\n"
}

/// Equal for kernels that may share one body: blake3 of the text without names.
pub fn identity(kernel: &Kernel) -> [u8; 32] {
    let mut text = String::new();
    for buffer in &kernel.buffers {
        line(&mut text, 1, buffer_kind(buffer.kind));
    }
    for tile in &kernel.tiles {
        line(
            &mut text,
            1,
            &format!("tile {}[{}]", tile_kind(tile.kind), tile.len),
        );
    }
    text += &rest(kernel);
    *blake3::hash(text.as_bytes()).as_bytes()
}

/// As it is, or as JSON's string where brackets, quotes, controls or blanks at its ends would make another name of it.
fn name(name: &str) -> Cow<'_, str> {
    let is_mark = |c: char| r#""\#()[]{}"#.contains(c);
    let is_odd = |c: char| is_mark(c) || c != ' ' && (c.is_control() || c.is_whitespace());
    match name.is_empty() || name.trim() != name || name.contains(is_odd) {
        true => Value::from(name).to_string().into(),
        false => name.into(),
    }
}

fn rest(kernel: &Kernel) -> String {
    let mut text = String::new();
    for (i, arg) in kernel.args.iter().enumerate() {
        line(&mut text, 1, &format!("arg a{i}%{}", arg.multiple_of));
    }
    for task in &kernel.tasks {
        line(
            &mut text,
            1,
            &format!(
                "task v{} in 0..{} by {}",
                task.var,
                int(&task.extent),
                task.step
            ),
        );
    }
    body(&mut text, 1, &kernel.body);
    text
}

fn line(text: &mut String, depth: usize, content: &str) {
    writeln!(text, "{}{content}", "  ".repeat(depth)).expect("a string takes any text");
}

fn buffer_kind(kind: BufferKind) -> &'static str {
    match kind {
        BufferKind::In => "in",
        BufferKind::Out => "out",
        BufferKind::InOut => "inout",
        BufferKind::Table => "table",
    }
}

fn tile_kind(kind: TileKind) -> &'static str {
    match kind {
        TileKind::F32 => "f32",
        TileKind::I64 => "i64",
    }
}

fn body(text: &mut String, depth: usize, stmts: &[Stmt]) {
    for stmt in stmts {
        match stmt {
            Stmt::For {
                var,
                extent,
                step,
                body: inner,
            } => {
                line(
                    text,
                    depth,
                    &format!("for v{var} in 0..{} by {step} {{", int(extent)),
                );
                body(text, depth + 1, inner);
                line(text, depth, "}");
            }
            Stmt::Let { var, value } => line(text, depth, &format!("let v{var} = {}", int(value))),
            Stmt::If {
                bounds,
                body: inner,
            } => {
                line(text, depth, &format!("if {} {{", conditions(bounds)));
                body(text, depth + 1, inner);
                line(text, depth, "}");
            }
            Stmt::Compute(c) => line(text, depth, &compute(c)),
            Stmt::Rows {
                tile,
                first,
                extent,
                digits,
                value,
            } => {
                let digits: Vec<String> = digits
                    .iter()
                    .map(|d| format!("v{}:{}", d.var, int(&d.extent)))
                    .collect();
                let (digits, extent) = (digits.join(","), int(extent));
                line(
                    text,
                    depth,
                    &format!(
                        "rows t{tile}[0..{extent}] = {} with {digits} of {}",
                        int(value),
                        int(first)
                    ),
                );
            }
            Stmt::Contract(c) => line(text, depth, &contract(c)),
        }
    }
}

fn compute(c: &Compute) -> String {
    let operator = match c.mode {
        Mode::Store => "=",
        Mode::NonTemporal => "=stream",
        Mode::Add => "+=",
        Mode::Max => "max=",
        Mode::Min => "min=",
    };
    let reduce = c.reduce.as_ref().map_or(String::new(), |r| {
        let name = match r.op {
            ReduceOp::Sum => "sum",
            ReduceOp::Max => "max",
            ReduceOp::Min => "min",
        };
        format!("{name}.{}[{}] ", r.lanes, dims(&r.dims))
    });
    let skips = if c.bounds.is_empty() {
        String::new()
    } else {
        format!(" if {}", conditions(&c.bounds))
    };
    let space = match c.to {
        To::Buf(b) => format!("b{b}"),
        To::Tile(t) => format!("t{t}"),
    };
    format!(
        "{space}[{}] {operator} {reduce}{} for {}{skips}",
        int(&c.at),
        val(&c.value),
        dims(&c.dims)
    )
}

fn dims(dims: &[(Var, Int)]) -> String {
    dims.iter()
        .map(|(v, e)| format!("v{v}:{}", int(e)))
        .collect::<Vec<_>>()
        .join(",")
}

fn conditions(bounds: &[Bound]) -> String {
    bounds
        .iter()
        .map(|b| format!("0<={}<{}", int(&b.index), int(&b.extent)))
        .collect::<Vec<_>>()
        .join(" and ")
}

fn contract(c: &Contract) -> String {
    let space = |to: To| match to {
        To::Buf(b) => format!("b{b}"),
        To::Tile(t) => format!("t{t}"),
    };
    let init = match &c.init {
        ContractInit::Zero => "0".to_string(),
        ContractInit::Keep => "keep".to_string(),
        ContractInit::Bias(b, at) => format!("b{b}[{}]", int(at)),
    };
    format!(
        "contract {}[{}; {}:{},{}:1] = {init} + sum[{} of b{}[{}], k:{}] {}[t{}[{}]+{}+k*{}] * {}[{}+k*{}, panel {}]",
        space(c.c),
        int(&c.c_at),
        int(&c.m),
        int(&c.ldc),
        int(&c.n),
        int(&c.n_taps),
        c.taps,
        int(&c.taps_at),
        int(&c.k),
        space(c.a),
        c.rows,
        int(&c.rows_at),
        int(&c.a_at),
        factor(&c.a_step),
        space(c.b),
        int(&c.b_at),
        factor(&c.b_step),
        int(&c.b_panel),
    )
}

/// Sums are joined plainly; everything else that is compound stands in parentheses.
pub fn int(i: &Int) -> String {
    let atom = |i: &Int| match i {
        Int::Const(_)
        | Int::Var(_)
        | Int::Arg(_)
        | Int::Table(..)
        | Int::Tile(..)
        | Int::Floor(_)
        | Int::Whole(_) => int(i),
        i => format!("({})", int(i)),
    };
    match i {
        Int::Const(c) => c.to_string(),
        Int::Var(v) => format!("v{v}"),
        Int::Arg(a) => format!("a{a}"),
        Int::Add(a, b) => format!("{}+{}", int(a), factor(b)),
        Int::Sub(a, b) => format!("{}-{}", int(a), factor(b)),
        Int::Mul(a, b) => format!("{}*{}", atom(a), atom(b)),
        Int::Div(a, b) => format!("{}//{}", atom(a), atom(b)),
        Int::Rem(a, b) => format!("{}%{}", atom(a), atom(b)),
        Int::Min(a, b) => format!("min({},{})", int(a), int(b)),
        Int::Max(a, b) => format!("max({},{})", int(a), int(b)),
        Int::Floor(v) => format!("floor({})", val(v)),
        Int::Whole(w) => format!("whole({})", wide(w)),
        Int::Table(b, at) => format!("b{b}[{}]", int(at)),
        Int::Tile(t, at) => format!("t{t}[{}]", int(at)),
    }
}

/// What is added, subtracted or multiplied.
fn factor(i: &Int) -> String {
    match i {
        Int::Add(..) | Int::Sub(..) => format!("({})", int(i)),
        i => int(i),
    }
}

/// Numbers of `f64`, to the bit.
fn literal(lit: Lit) -> String {
    let value = lit.get();
    match value.is_nan() && value.to_bits() != f64::NAN.to_bits() {
        true => format!("NaN:{:#x}", value.to_bits()),
        false => value.to_string(),
    }
}

fn wide(w: &Wide<Val, Int>) -> String {
    match w {
        Wide::Lit(lit) => literal(*lit),
        Wide::Val(v) => format!("widen({})", val(v)),
        Wide::Int(i) => format!("f64({})", int(i)),
        Wide::Step(op, a) => format!("{}({})", op.name(), wide(a)),
        Wide::Binary(op, a, b) => binary(*op, &wide(a), &wide(b)),
        Wide::Select(relation, args) => {
            let [a, b, yes, no] = [&args[0], &args[1], &args[2], &args[3]].map(wide);
            format!("select({a} {} {b}, {yes}, {no})", relation.text())
        }
    }
}

fn val(v: &Val) -> String {
    match v {
        Val::Lit(lit) => literal(*lit),
        Val::Buf(b, at) => format!("b{b}[{}]", int(at)),
        Val::Tile(t, at) => format!("t{t}[{}]", int(at)),
        Val::FromInt(i) => format!("f32({})", int(i)),
        Val::Unary(op, a) => format!("{}({})", op.name(), val(a)),
        Val::Binary(op, a, b) => binary(*op, &val(a), &val(b)),
        Val::Select(relation, args) => {
            let sign = relation.text();
            format!(
                "select({} {sign} {}, {}, {})",
                val(&args[0]),
                val(&args[1]),
                val(&args[2]),
                val(&args[3])
            )
        }
        Val::Guarded(bounds, inside, outside) => {
            format!(
                "({} if {} else {})",
                val(inside),
                conditions(bounds),
                literal(*outside)
            )
        }
        Val::Random { key, normal, at } => {
            format!(
                "{}({key:#x},{})",
                if *normal { "normal" } else { "uniform" },
                int(at)
            )
        }
    }
}

fn binary(op: Binary, a: &str, b: &str) -> String {
    match op.facts().is_sign() {
        true => format!("({a} {} {b})", op.name()),
        false => format!("{}({a}, {b})", op.name()),
    }
}
