//! A walk over a syntax tree, parent before child, in the order of the text. Whoever needs some nodes implements
//! `Visit` for these; the defaults go on to what is inside. Nothing is changed here.

use super::ast::*;

pub trait Visit<'a>: Sized {
    fn item(&mut self, item: &'a Item) {
        walk_item(self, item);
    }
    fn body(&mut self, body: &'a Body) {
        walk_body(self, body);
    }
    fn stmt(&mut self, stmt: &'a Stmt) {
        walk_stmt(self, stmt);
    }
    fn input(&mut self, input: &'a Input) {
        self.ty(&input.ty);
        input.default.iter().for_each(|e| self.expr(e));
    }
    fn ty(&mut self, ty: &'a Type) {
        walk_type(self, ty);
    }
    fn expr(&mut self, expr: &'a Expr) {
        walk_expr(self, expr);
    }
    fn made(&mut self, made: &'a Made) {
        walk_made(self, made);
    }
    fn stage(&mut self, stage: &'a Stage) {
        match stage {
            Stage::Apply { args, .. } => args.iter().for_each(|arg| self.expr(&arg.value)),
            Stage::Made(made) => self.made(made),
        }
    }
    fn ix(&mut self, ix: &'a Ix) {
        walk_ix(self, ix);
    }
    fn path(&mut self, path: &'a Path) {
        for piece in path.segments.iter().flat_map(|segment| &segment.pieces) {
            if let Piece::Hole(hole) = piece {
                self.expr(hole);
            }
        }
    }
}

pub fn walk_item<'a>(v: &mut impl Visit<'a>, item: &'a Item) {
    match &item.kind {
        ItemKind::Use(_) | ItemKind::Profile(_) => {}
        ItemKind::Op(op) => {
            op.inputs.iter().for_each(|input| v.input(input));
            op.result.iter().for_each(|ty| v.ty(ty));
            op.conditions.iter().for_each(|e| v.expr(e));
            v.body(&op.body);
            op.grad.iter().for_each(|grad| v.body(&grad.body));
        }
        ItemKind::Block(block) => {
            let inputs = block.params.iter().chain(&block.inputs);
            inputs.for_each(|input| v.input(input));
            block.result.iter().for_each(|ty| v.ty(ty));
            block.conditions.iter().for_each(|e| v.expr(e));
            v.body(&block.body);
        }
        ItemKind::Weights(weights) => {
            for rule in &weights.rules {
                if let WeightRuleKind::Rename { from, to, rows, .. } = &rule.kind {
                    v.path(from);
                    v.path(to);
                    rows.iter().for_each(|rows| {
                        v.expr(&rows.0);
                        v.expr(&rows.1);
                    });
                }
            }
        }
        ItemKind::Frozen(frozen) => v.made(&frozen.network),
        ItemKind::Train(train) => {
            train.params.iter().for_each(|input| v.input(input));
            v.made(&train.network);
            v.body(&train.body);
        }
    }
}

pub fn walk_body<'a>(v: &mut impl Visit<'a>, body: &'a Body) {
    body.stmts.iter().for_each(|stmt| v.stmt(stmt));
    body.value.iter().for_each(|value| v.expr(value));
}

pub fn walk_stmt<'a>(v: &mut impl Visit<'a>, stmt: &'a Stmt) {
    match &stmt.kind {
        StmtKind::Bind { value, .. }
        | StmtKind::Next { value, .. }
        | StmtKind::Metric { value, .. } => v.expr(value),
        StmtKind::Typed { ty, value, .. } | StmtKind::Data { ty, value, .. } => {
            v.ty(ty);
            v.expr(value);
        }
        StmtKind::Equation { index, value, .. } => {
            index.iter().for_each(|ix| v.ix(ix));
            v.expr(value);
        }
        StmtKind::Param {
            label, ty, init, ..
        } => {
            label.iter().for_each(|label| v.path(&label.path));
            v.ty(ty);
            init.iter().for_each(|e| v.expr(e));
        }
        StmtKind::State {
            label, ty, init, ..
        } => {
            label.iter().for_each(|label| v.path(&label.path));
            v.ty(ty);
            v.expr(init);
        }
        StmtKind::For { domain, body, .. } => {
            walk_domain(v, domain);
            v.body(body);
        }
        StmtKind::If(choice) => walk_if(v, choice),
    }
}

pub fn walk_type<'a>(v: &mut impl Visit<'a>, ty: &'a Type) {
    if let TypeKind::Tensor { axes, .. } = &ty.kind {
        for axis in axes {
            if let Axis::Dim(dim) = axis {
                v.expr(dim);
            }
        }
    }
}

pub fn walk_expr<'a>(v: &mut impl Visit<'a>, expr: &'a Expr) {
    match &expr.kind {
        ExprKind::Int(_)
        | ExprKind::Float(_)
        | ExprKind::Str(_)
        | ExprKind::Bool(_)
        | ExprKind::Name(_)
        | ExprKind::Dim(_) => {}
        ExprKind::List(items) => items.iter().for_each(|e| v.expr(e)),
        ExprKind::Each { body, domain, .. } => {
            v.expr(body);
            walk_domain(v, domain);
        }
        ExprKind::Unary { operand, .. } => v.expr(operand),
        ExprKind::Binary { left, right, .. } => {
            v.expr(left);
            v.expr(right);
        }
        ExprKind::Pipe { value, stage } => {
            v.expr(value);
            v.stage(stage);
        }
        ExprKind::Call { args, .. } => args.iter().for_each(|arg| v.expr(&arg.value)),
        ExprKind::Made(made) => v.made(made),
        ExprKind::Index {
            base,
            index,
            otherwise,
        } => {
            v.expr(base);
            index.iter().for_each(|ix| v.ix(ix));
            otherwise.iter().for_each(|e| v.expr(e));
        }
        ExprKind::Reduce { index, body, .. } => {
            index.iter().for_each(|ix| v.ix(ix));
            v.expr(body);
        }
        ExprKind::If(choice) => walk_if(v, choice),
    }
}

pub fn walk_made<'a>(v: &mut impl Visit<'a>, made: &'a Made) {
    made.params.iter().for_each(|arg| v.expr(&arg.value));
    let inputs = made.inputs.iter().flatten();
    inputs.for_each(|arg| v.expr(&arg.value));
    made.label.iter().for_each(|label| v.path(&label.path));
}

pub fn walk_ix<'a>(v: &mut impl Visit<'a>, ix: &'a Ix) {
    match &ix.kind {
        IxKind::At(at) => v.expr(at),
        IxKind::Pack(_) => {}
        IxKind::Range { low, high, .. } => {
            v.expr(low);
            v.expr(high);
        }
        IxKind::Slice { low, high } => low.iter().chain(high).for_each(|e| v.expr(e)),
    }
}

fn walk_domain<'a>(v: &mut impl Visit<'a>, domain: &'a Domain) {
    match domain {
        Domain::Range(low, high) => {
            v.expr(low);
            v.expr(high);
        }
        Domain::List(list) => v.expr(list),
    }
}

fn walk_if<'a>(v: &mut impl Visit<'a>, choice: &'a If) {
    v.expr(&choice.condition);
    v.body(&choice.then);
    choice.otherwise.iter().for_each(|body| v.body(body));
}
