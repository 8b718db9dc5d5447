//! Walks over the syntax tree that several checks share. Nothing is evaluated here.

use crate::syntax::ast::{self, ExprKind as E, IxKind as I, StmtKind as S};

/// Calls `f` with every expression directly inside `e`; bodies of `if` count.
pub fn each_child<'a>(e: &'a ast::Expr, f: &mut dyn FnMut(&'a ast::Expr)) {
    match &e.kind {
        E::Int(_) | E::Float(_) | E::Str(_) | E::Bool(_) | E::Name(_) | E::Dim(_) => {}
        E::List(items) => items.iter().for_each(f),
        E::Each { body, domain, .. } => {
            each_in_domain(domain, f);
            f(body);
        }
        E::Unary { operand, .. } => f(operand),
        E::Binary { left, right, .. } => {
            f(left);
            f(right);
        }
        E::Pipe { value, stage } => {
            f(value);
            match stage {
                ast::Stage::Apply { args, .. } => args.iter().for_each(|a| f(&a.value)),
                ast::Stage::Made(made) => each_in_made(made, f),
            }
        }
        E::Call { args, .. } => args.iter().for_each(|a| f(&a.value)),
        E::Made(made) => each_in_made(made, f),
        E::Index {
            base,
            index,
            otherwise,
        } => {
            f(base);
            each_in_index(index, f);
            otherwise.iter().for_each(|x| f(x));
        }
        E::Reduce { index, body, .. } => {
            each_in_index(index, f);
            f(body);
        }
        E::If(choice) => each_in_if(choice, f),
    }
}

pub fn each_in_made<'a>(made: &'a ast::Made, f: &mut dyn FnMut(&'a ast::Expr)) {
    made.params.iter().for_each(|a| f(&a.value));
    made.inputs.iter().flatten().for_each(|a| f(&a.value));
    if let Some(label) = &made.label {
        for piece in label.path.segments.iter().flat_map(|s| &s.pieces) {
            if let ast::Piece::Hole(e) = piece {
                f(e);
            }
        }
    }
}

fn each_in_index<'a>(index: &'a [ast::Ix], f: &mut dyn FnMut(&'a ast::Expr)) {
    for ix in index {
        match &ix.kind {
            I::At(e) => f(e),
            I::Pack(_) => {}
            I::Range { low, high, .. } => {
                f(low);
                f(high);
            }
            I::Slice { low, high } => low.iter().chain(high).for_each(|e| f(e)),
        }
    }
}

fn each_in_domain<'a>(domain: &'a ast::Domain, f: &mut dyn FnMut(&'a ast::Expr)) {
    match domain {
        ast::Domain::Range(low, high) => {
            f(low);
            f(high);
        }
        ast::Domain::List(list) => f(list),
    }
}

fn each_in_if<'a>(choice: &'a ast::If, f: &mut dyn FnMut(&'a ast::Expr)) {
    f(&choice.condition);
    each_in_body(&choice.then, f);
    choice.otherwise.iter().for_each(|b| each_in_body(b, f));
}

/// Calls `f` with every expression directly inside a body, those of nested statements too.
pub fn each_in_body<'a>(body: &'a ast::Body, f: &mut dyn FnMut(&'a ast::Expr)) {
    for stmt in &body.stmts {
        match &stmt.kind {
            S::Bind { value, .. } | S::Next { value, .. } | S::Metric { value, .. } => f(value),
            S::Typed { ty, value, .. } | S::Data { ty, value, .. } => {
                each_in_type(ty, f);
                f(value);
            }
            S::Equation { index, value, .. } => {
                each_in_index(index, f);
                f(value);
            }
            S::Param { ty, init, .. } => {
                each_in_type(ty, f);
                init.iter().for_each(&mut *f);
            }
            S::State { ty, init, .. } => {
                each_in_type(ty, f);
                f(init);
            }
            S::For { domain, body, .. } => {
                each_in_domain(domain, f);
                each_in_body(body, f);
            }
            S::If(choice) => each_in_if(choice, f),
        }
    }
    body.value.iter().for_each(|e| f(e));
}

pub fn each_in_type<'a>(ty: &'a ast::Type, f: &mut dyn FnMut(&'a ast::Expr)) {
    if let ast::TypeKind::Tensor { axes, .. } = &ty.kind {
        for axis in axes {
            if let ast::Axis::Dim(e) = axis {
                f(e);
            }
        }
    }
}

/// Calls `f` with every name that a body binds, those inside `for` and `if` too.
pub fn each_bound<'a>(body: &'a ast::Body, f: &mut dyn FnMut(&'a ast::Ident)) {
    for stmt in &body.stmts {
        each_bound_here(stmt, f);
        match &stmt.kind {
            S::For { body, .. } => each_bound(body, f),
            S::If(choice) => {
                each_bound(&choice.then, f);
                choice.otherwise.iter().for_each(|b| each_bound(b, f));
            }
            _ => {}
        }
    }
}

/// The same for one statement, without what its bodies bind.
pub fn each_bound_here<'a>(stmt: &'a ast::Stmt, f: &mut dyn FnMut(&'a ast::Ident)) {
    match &stmt.kind {
        S::Bind { names, .. } | S::For { names, .. } => names.iter().for_each(f),
        S::Typed { name, .. }
        | S::Equation { name, .. }
        | S::Param { name, .. }
        | S::State { name, .. }
        | S::Next { name, .. }
        | S::Data { name, .. }
        | S::Metric { name, .. } => f(name),
        S::If(_) => {}
    }
}

/// Calls `f` with every statement, those inside `for` and `if` too.
pub fn each_statement<'a>(body: &'a ast::Body, f: &mut dyn FnMut(&'a ast::Stmt)) {
    for stmt in &body.stmts {
        f(stmt);
        match &stmt.kind {
            S::For { body, .. } => each_statement(body, f),
            S::If(choice) => {
                each_statement(&choice.then, f);
                choice.otherwise.iter().for_each(|b| each_statement(b, f));
            }
            _ => {}
        }
    }
}

/// The condition under which an `if` of the body binds `name`, and whether it must hold.
pub fn binding_condition<'a>(body: &'a ast::Body, name: &str) -> Option<(&'a ast::Expr, bool)> {
    let binds = |body: &'a ast::Body| {
        let mut found = false;
        each_bound(body, &mut |n| found |= n.text == name);
        found
    };
    for stmt in &body.stmts {
        match &stmt.kind {
            S::If(choice) if binds(&choice.then) => return Some((&choice.condition, true)),
            S::If(choice) if choice.otherwise.as_ref().is_some_and(binds) => {
                return Some((&choice.condition, false));
            }
            S::For { body, .. } => {
                if let Some(found) = binding_condition(body, name) {
                    return Some(found);
                }
            }
            _ => {}
        }
    }
    None
}

/// An equation stands in the body, or in a branch of it.
pub fn has_equation(body: &ast::Body) -> bool {
    body.stmts.iter().any(|stmt| match &stmt.kind {
        S::Equation { .. } => true,
        S::For { body, .. } => has_equation(body),
        S::If(choice) => {
            has_equation(&choice.then) || choice.otherwise.as_ref().is_some_and(has_equation)
        }
        _ => false,
    })
}

/// Calls `f` with every lower name that is not called, and its place.
pub fn each_name<'a>(e: &'a ast::Expr, f: &mut dyn FnMut(&'a str, crate::diag::Span)) {
    if let E::Name(name) = &e.kind {
        f(name, e.span);
    }
    each_child(e, &mut |x| each_name(x, f));
}
