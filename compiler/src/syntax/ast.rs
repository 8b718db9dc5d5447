//! The tree of one `.vsr` file, as written. Every node knows its place; nothing here is resolved, folded or checked
//! beyond the grammar. The parser makes these, elaboration reads them; nobody else changes one. What is large and seldom
//! stands in boxes, since every expression is as large as the largest form.

use crate::diag::Span;

/// A file: the `##` lines at its top, and its items in order.
#[derive(Debug, Clone, PartialEq)]
pub struct File {
    pub id: u32,
    /// The `##` lines that open the file, when a blank line or a `use` parts them from the first definition.
    pub doc: String,
    pub items: Vec<Item>,
    /// Names of items with syntax errors, whether they are among `items` or left out.
    pub broken: Vec<String>,
}

/// A name with its place. `Upper` names are blocks or dims, `lower` ones values, ops and indices.
#[derive(Debug, Clone, PartialEq)]
pub struct Ident {
    pub text: String,
    pub span: Span,
}

/// A string literal, without its quotes.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    pub text: String,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The `##` lines right above the item, joined by newlines; empty when there are none.
    pub doc: String,
    pub kind: ItemKind,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ItemKind {
    Use(Use),
    Op(Op),
    Block(Block),
    Weights(Weights),
    Frozen(Frozen),
    Train(Train),
    Profile(Profile),
}

/// `use A, b from "file.vsr"`
#[derive(Debug, Clone, PartialEq)]
pub struct Use {
    pub names: Vec<Ident>,
    pub file: Text,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Op {
    pub name: Ident,
    pub inputs: Vec<Input>,
    pub result: Option<Type>,
    pub conditions: Vec<Expr>,
    /// `kernel conv`: the promise of a fast shape.
    pub kernel: Option<Ident>,
    pub body: Body,
    pub grad: Option<Grad>,
}

/// `grad(y, dy) = …`
#[derive(Debug, Clone, PartialEq)]
pub struct Grad {
    pub result: Ident,
    pub cotangent: Ident,
    pub body: Body,
    pub span: Span,
}

/// A `block`, or a `model` (which can be built on its own).
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    pub is_model: bool,
    pub name: Ident,
    /// The first list: compile-time parameters.
    pub params: Vec<Input>,
    /// The second list: tensors.
    pub inputs: Vec<Input>,
    pub result: Option<Type>,
    pub conditions: Vec<Expr>,
    pub body: Body,
}

/// `name: type = default`
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    pub name: Ident,
    pub ty: Type,
    pub default: Option<Expr>,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    pub name: Ident,
    pub rules: Vec<WeightRule>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct WeightRule {
    pub kind: WeightRuleKind,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub enum WeightRuleKind {
    Ignore(Path),
    Rename {
        from: Path,
        to: Path,
        /// `[a:b]`: rows of the file's tensor.
        rows: Option<Box<(Expr, Expr)>>,
        transposed: bool,
    },
}

/// `frozen name? = Block() from "file" via rules as f32`
#[derive(Debug, Clone, PartialEq)]
pub struct Frozen {
    pub name: Ident,
    pub is_optional: bool,
    pub network: Made,
    pub file: Text,
    pub via: Option<Ident>,
    pub precision: Option<DType>,
}

/// `train name(params) = Model(args) { … }`
#[derive(Debug, Clone, PartialEq)]
pub struct Train {
    pub name: Ident,
    pub params: Vec<Input>,
    pub network: Made,
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    pub name: Ident,
    pub settings: Vec<Setting>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    pub name: Ident,
    pub value: SettingValue,
    pub span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SettingValue {
    Int(i64),
    Float(f64),
    Precision(DType),
}

/// What stands between braces (or after the `=` of an item): statements, then perhaps a value.
///
/// A body that ends in an equation or in an `if` has no `value` of its own: the equation is the value, or the taken
/// branch's. The parser has checked that the body of an op, a block, a `grad` and an `if` expression has one.
#[derive(Debug, Clone, PartialEq)]
pub struct Body {
    pub stmts: Vec<Stmt>,
    pub value: Option<Box<Expr>>,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Stmt {
    pub kind: StmtKind,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub enum StmtKind {
    /// `a = e`, or `a, b = e` which takes a list apart.
    Bind {
        names: Vec<Ident>,
        value: Expr,
    },
    /// `a: type = e`
    Typed {
        name: Ident,
        ty: Type,
        value: Expr,
    },
    /// `y[i, k in 0..n, ...s] = e`; the index holds only `At` of a name or a constant, `Range` and `Pack`.
    Equation {
        name: Ident,
        index: Vec<Ix>,
        value: Expr,
    },
    Param {
        name: Ident,
        label: Option<Label>,
        ty: Type,
        init: Option<Expr>,
    },
    State {
        name: Ident,
        label: Option<Label>,
        ty: Type,
        init: Expr,
    },
    Next {
        name: Ident,
        value: Expr,
    },
    Data {
        name: Ident,
        ty: Type,
        value: Expr,
    },
    Metric {
        name: Ident,
        value: Expr,
    },
    For {
        names: Vec<Ident>,
        domain: Domain,
        body: Body,
    },
    If(If),
}

/// `else if` is an `otherwise` whose one statement is an `If`.
#[derive(Debug, Clone, PartialEq)]
pub struct If {
    pub condition: Box<Expr>,
    pub then: Body,
    pub otherwise: Option<Body>,
}

/// What a `for` goes over: `low..high`, or a list.
#[derive(Debug, Clone, PartialEq)]
pub enum Domain {
    Range(Box<Expr>, Box<Expr>),
    List(Box<Expr>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Type {
    pub kind: TypeKind,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub enum TypeKind {
    Int,
    Float,
    Bool,
    Str,
    List,
    /// `[B, C, ...S]`, `f32[B]`, and `[]`, the scalar.
    Tensor {
        precision: Option<DType>,
        axes: Vec<Axis>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Axis {
    Dim(Expr),
    /// `...S`
    Pack(Ident),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DType {
    F32,
    Tf32,
    Bf16,
    F16,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    Int(i64),
    Float(f64),
    Str(String),
    Bool(bool),
    /// A lower name that is not called.
    Name(String),
    /// An upper name that is not called.
    Dim(String),
    List(Vec<Expr>),
    /// `[body for names in domain]`
    Each {
        body: Box<Expr>,
        names: Vec<Ident>,
        domain: Domain,
    },
    Unary {
        op: UnaryOp,
        operand: Box<Expr>,
    },
    Binary {
        op: BinaryOp,
        op_span: Span,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    /// `value |> stage`
    Pipe {
        value: Box<Expr>,
        stage: Stage,
    },
    /// `f(a, b=c)`
    Call {
        name: Ident,
        args: Vec<Arg>,
    },
    /// `Conv2d(64)`, `Conv2d(64)(x) @conv`
    Made(Box<Made>),
    /// `x[i, 1:, -1] else 0`
    Index {
        base: Box<Expr>,
        index: Vec<Ix>,
        otherwise: Option<Box<Expr>>,
    },
    /// `sum[k in 0..n, ...s] body`
    Reduce {
        reducer: ReduceOp,
        index: Vec<Ix>,
        body: Box<Expr>,
    },
    If(Box<If>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnaryOp {
    Neg,
    Not,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryOp {
    Or,
    And,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Mod,
    Pow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReduceOp {
    Sum,
    Mean,
    Max,
    Min,
    Lse,
    Var,
}

/// What follows `|>`: the piped value comes first among its tensors.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// `relu`, `split([a, b], axis=1)`
    Apply {
        name: Ident,
        args: Vec<Arg>,
        span: Span,
    },
    /// `Conv2d(64) @conv`, `Decode(64)(skip) @up`
    Made(Box<Made>),
}

/// A block with its parameters, and perhaps its tensors and its label.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    pub block: Ident,
    pub params: Vec<Arg>,
    pub inputs: Option<Vec<Arg>>,
    pub label: Option<Label>,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Arg {
    pub name: Option<Ident>,
    pub value: Expr,
    pub span: Span,
}

/// One place between the brackets of a read, a slice, a reducer or an equation's left side.
#[derive(Debug, Clone, PartialEq)]
pub struct Ix {
    pub kind: IxKind,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub enum IxKind {
    At(Expr),
    /// `...s`
    Pack(Ident),
    /// `k in low..high`
    Range {
        name: Ident,
        low: Box<Expr>,
        high: Box<Expr>,
    },
    /// `low:high`, either side of which may be left out
    Slice {
        low: Option<Box<Expr>>,
        high: Option<Box<Expr>>,
    },
}

/// `@a.{i}.b`
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    pub path: Path,
    pub span: Span,
}

/// Segments between dots.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    pub segments: Vec<Segment>,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    pub pieces: Vec<Piece>,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    Text(String),
    /// `{i}`, `{3*i + 1}`
    Hole(Expr),
    /// `{...p}`: one or more segments
    Rest(Ident),
}

impl Item {
    /// The name that the item defines; a `use` defines several and has none.
    pub fn name(&self) -> Option<&Ident> {
        match &self.kind {
            ItemKind::Use(_) => None,
            ItemKind::Op(x) => Some(&x.name),
            ItemKind::Block(x) => Some(&x.name),
            ItemKind::Weights(x) => Some(&x.name),
            ItemKind::Frozen(x) => Some(&x.name),
            ItemKind::Train(x) => Some(&x.name),
            ItemKind::Profile(x) => Some(&x.name),
        }
    }
}

impl Stage {
    pub fn span(&self) -> Span {
        match self {
            Stage::Apply { span, .. } => *span,
            Stage::Made(made) => made.span,
        }
    }
}

impl DType {
    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::Tf32 => "tf32",
            DType::Bf16 => "bf16",
            DType::F16 => "f16",
        }
    }
}

impl UnaryOp {
    pub fn symbol(self) -> &'static str {
        match self {
            UnaryOp::Neg => "-",
            UnaryOp::Not => "not",
        }
    }
}

impl BinaryOp {
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Or => "or",
            BinaryOp::And => "and",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::In => "in",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::FloorDiv => "//",
            BinaryOp::Mod => "%",
            BinaryOp::Pow => "**",
        }
    }
}

impl ReduceOp {
    pub fn name(self) -> &'static str {
        match self {
            ReduceOp::Sum => "sum",
            ReduceOp::Mean => "mean",
            ReduceOp::Max => "max",
            ReduceOp::Min => "min",
            ReduceOp::Lse => "lse",
            ReduceOp::Var => "var",
        }
    }
}
