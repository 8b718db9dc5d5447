//! One kernel to one function: prologue, the loop over tasks, scopes of values, and loops.

use super::plan::Scratch;
use super::stmt::Sums;
use crate::backend::wide::Program;
use crate::tile::dag::{BoundId, Dag, NodeId, Space};
use crate::tile::sum::{AtomId, Sum};
use crate::tile::{Compute, Int, Kernel, TileKind, Var};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{
    AbiParam, Block, BlockArg, Function, InstBuilder, MemFlagsData, SigRef, Signature, StackSlot,
    StackSlotData, StackSlotKind, Type, UserFuncName, Value,
};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use std::collections::{HashMap, HashSet};
use std::mem::{offset_of, size_of};
use vsr_artifact::abi::{ContractCall, Env};
use vsr_artifact::machine::Machine;

/// Loads and stores cannot fault, and need no alignment.
pub const MEMORY: MemFlagsData = MemFlagsData::new().with_notrap();

/// Takes the loop's index or range and the carried values; returns the carried values of the next iteration.
pub type LoopBody<'a, S, I> = &'a mut dyn FnMut(&mut S, I, &[Value]) -> Vec<Value>;

pub struct Lower<'k, 'f> {
    pub b: FunctionBuilder<'f>,
    pub has_avx: bool,
    pub kernel: &'k Kernel,
    pub scratch_layout: Scratch,
    pub machine: Machine,
    pub env: Value,
    pub fns: Value,
    pub scratch: Value,
    /// Zeros, read where a guard fails.
    pub zeros: Value,
    pub buffers: Vec<Value>,
    pub args: Vec<Value>,
    pub signatures: HashMap<Vec<Type>, SigRef>,
    pub contract_slot: Option<StackSlot>,
    /// Value of each variable in scope, and what is known of it.
    pub vars: HashMap<Var, KnownInt>,
    pub dag: Dag,
    pub scopes: Vec<Scope>,
    /// Loops of the statement that are open or will be: level of each variable (1 is the outermost).
    pub levels: HashMap<Var, usize>,
    /// The vectorised variable, while vector code is emitted.
    pub vector: Option<Var>,
    /// Vectors that one iteration computes.
    pub unroll: u32,
    /// The variable that rows of maths results are indexed by.
    pub row_var: Option<Var>,
    pub sums: Sums,
    /// The statement before, if the current one copies what it has left in a tile.
    pub producer: Option<Compute>,
    /// The target may have wide rows.
    pub has_wide_rows: bool,
    /// Those of this kernel.
    pub wide_rows: Vec<Program>,
    pub row_signature: Option<SigRef>,
}

#[derive(Clone, Copy, Debug)]
pub struct KnownInt {
    pub value: Value,
    pub not_negative: bool,
    pub multiple_of: i64,
}

/// What has been computed in an enclosing block. `lane` or `unroll` distinguish elements of a vectorised loop.
#[derive(Default)]
pub struct Scope {
    pub sums: HashMap<(Sum, u32), Value>,
    pub atoms: HashMap<(AtomId, u32), Value>,
    pub pointers: HashMap<(Space, Sum, u32), Value>,
    pub nodes: HashMap<(NodeId, u32), Value>,
    pub vectors: HashMap<(NodeId, u32), Value>,
    pub bounds: HashMap<(BoundId, u32), Value>,
    /// Vectors of whole numbers.
    pub floors: HashMap<(NodeId, u32), Value>,
    /// `coefficient · variable` in bytes, advanced by the loop itself.
    pub inductions: HashMap<(Var, Sum), Value>,
    /// Rows of maths results, less the first element's index: (row) -> address.
    pub rows: HashMap<NodeId, Value>,
    /// Bounds that hold here.
    pub assumed: HashSet<BoundId>,
}

/// The kernel's function, and its wide rows if the target has any.
pub fn lower(
    kernel: &Kernel,
    isa: &dyn TargetIsa,
    has_wide_rows: bool,
    machine: &Machine,
) -> Result<(Function, Vec<Program>), String> {
    let call_conv = isa.default_call_conv();
    let mut signature = Signature::new(call_conv);
    signature.params.extend([AbiParam::new(I64); 4]);
    let mut function = Function::with_name_signature(UserFuncName::user(0, 0), signature);
    let mut context = FunctionBuilderContext::new();
    let mut b = FunctionBuilder::new(&mut function, &mut context);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    let params = b.block_params(entry).to_vec();
    let (env, first, last, scratch) = (params[0], params[1], params[2], params[3]);
    let mut lower = Lower {
        fns: env,
        b,
        has_avx: isa
            .isa_flags()
            .iter()
            .any(|f| f.name == "has_avx" && f.as_bool() == Some(true)),
        kernel,
        scratch_layout: Scratch::of(kernel, machine),
        machine: *machine,
        env,
        scratch,
        zeros: scratch,
        buffers: vec![],
        args: vec![],
        signatures: HashMap::new(),
        contract_slot: None,
        vars: HashMap::new(),
        dag: Dag::new(None),
        scopes: vec![Scope::default()],
        levels: HashMap::new(),
        vector: None,
        unroll: 1,
        row_var: None,
        sums: Sums::Unwanted,
        producer: None,
        has_wide_rows,
        wide_rows: vec![],
        row_signature: None,
    };
    lower.prologue();
    lower.tasks(first, last);
    lower.b.ins().return_(&[]);
    lower.b.seal_all_blocks();
    let rows = std::mem::take(&mut lower.wide_rows);
    lower.b.finalize(isa.frontend_config());
    Ok((function, rows))
}

impl Lower<'_, '_> {
    fn prologue(&mut self) {
        let field = |s: &mut Self, offset: usize| s.b.ins().load(I64, MEMORY, s.env, offset as i32);
        self.fns = field(self, offset_of!(Env, fns));
        let buffers = field(self, offset_of!(Env, buffers));
        for i in 0..self.kernel.buffers.len() {
            let base = self.b.ins().load(I64, MEMORY, buffers, (8 * i) as i32);
            self.buffers.push(base);
        }
        if self.scratch_layout.n_zeros > 0 {
            self.zeros = self.plus(self.scratch, self.scratch_layout.zeros);
            let zero = self.vector_constant([0; 4]);
            for at in (0..self.scratch_layout.n_zeros).step_by(16) {
                self.b.ins().store(MEMORY, zero, self.zeros, at as i32);
            }
        }
        if !self.kernel.args.is_empty() {
            let args = field(self, offset_of!(Env, args));
            for i in 0..self.kernel.args.len() {
                let arg = self.b.ins().load(I64, MEMORY, args, (8 * i) as i32);
                self.args.push(arg);
            }
        }
    }

    /// Task t is a mixed-radix number, the last axis its fastest digit.
    fn tasks(&mut self, first: Value, last: Value) {
        let kernel = self.kernel;
        let counts: Vec<Value> = kernel
            .tasks
            .iter()
            .map(|axis| self.count(&axis.extent, axis.step))
            .collect();
        self.counted(first, last, 1, &[], &mut |s, t, _| {
            let mut rest = t;
            for (i, axis) in kernel.tasks.iter().enumerate().rev() {
                let index = match i {
                    0 => rest,
                    _ => {
                        let quotient = s.b.ins().udiv(rest, counts[i]);
                        let whole = s.b.ins().imul(quotient, counts[i]);
                        let index = s.b.ins().isub(rest, whole);
                        rest = quotient;
                        index
                    }
                };
                let value = s.scaled(index, axis.step);
                s.vars.insert(
                    axis.var,
                    KnownInt {
                        value,
                        not_negative: true,
                        multiple_of: axis.step.max(1),
                    },
                );
            }
            s.body(&kernel.body);
            vec![]
        });
    }

    fn count(&mut self, extent: &Int, step: i64) -> Value {
        let step = step.max(1);
        let up = self.dag.int(extent, None).add(&Sum::constant(step - 1));
        let up = self.sum(&up);
        match step {
            1 => up,
            step => {
                let step = self.iconst(step);
                self.b.ins().sdiv(up, step)
            }
        }
    }

    /// A new statement: nothing computed so far is known, but for the variables.
    pub fn fresh(&mut self, written: Option<Space>) {
        self.dag = Dag::new(written);
        self.scopes = vec![Scope::default()];
        self.levels.clear();
        self.vector = None;
        self.unroll = 1;
        self.row_var = None;
    }

    pub fn iconst(&mut self, value: i64) -> Value {
        self.b.ins().iconst(I64, value)
    }

    pub fn plus(&mut self, value: Value, by: i64) -> Value {
        match by {
            0 => value,
            by => self.b.ins().iadd_imm_s(value, by),
        }
    }

    pub fn scaled(&mut self, value: Value, by: i64) -> Value {
        match by {
            1 => value,
            by if by > 0 && by & (by - 1) == 0 => self
                .b
                .ins()
                .ishl_imm_u(value, i64::from(by.trailing_zeros())),
            by => self.b.ins().imul_imm_s(value, by),
        }
    }

    pub fn element_bytes(&self, space: Space) -> i64 {
        match space {
            Space::Buf(b)
                if self.kernel.buffers[b as usize].kind == crate::tile::BufferKind::Table =>
            {
                8
            }
            Space::Tile(t) if self.kernel.tiles[t as usize].kind == TileKind::I64 => 8,
            _ => 4,
        }
    }

    /// Base address of a space.
    pub fn base(&mut self, space: Space) -> Value {
        match space {
            Space::Buf(b) => self.buffers[b as usize],
            Space::Tile(t) => {
                let offset = self.scratch_layout.tiles[t as usize];
                self.plus(self.scratch, offset)
            }
        }
    }

    pub fn scope(&mut self) -> &mut Scope {
        self.scopes.last_mut().expect("a statement has a scope")
    }

    pub fn cached<T: Copy>(&self, find: impl Fn(&Scope) -> Option<&T>) -> Option<T> {
        self.scopes.iter().rev().find_map(find).copied()
    }

    /// Runs `body` in a scope of its own: what it computes is forgotten afterwards.
    pub fn scoped<T>(&mut self, body: impl FnOnce(&mut Self) -> T) -> T {
        self.scopes.push(Scope::default());
        let result = body(self);
        self.scopes.pop();
        result
    }

    /// `for i in start..end step step`, carrying values from one iteration to the next; returns the last ones.
    pub fn counted(
        &mut self,
        start: Value,
        end: Value,
        step: i64,
        carried: &[Value],
        body: LoopBody<'_, Self, Value>,
    ) -> Vec<Value> {
        let (head, exit) = (self.b.create_block(), self.b.create_block());
        self.b.append_block_param(head, I64);
        for value in carried {
            let ty = self.b.func.dfg.value_type(*value);
            self.b.append_block_param(head, ty);
            self.b.append_block_param(exit, ty);
        }
        let enter = self.b.ins().icmp(IntCC::SignedLessThan, start, end);
        let into: Vec<BlockArg> = [start].iter().chain(carried).map(|v| (*v).into()).collect();
        self.b.ins().brif(enter, head, &into, exit, &into[1..]);
        self.b.switch_to_block(head);
        let params = self.b.block_params(head).to_vec();
        let next = self.scoped(|s| body(s, params[0], &params[1..]));
        let i = self.b.ins().iadd_imm_s(params[0], step);
        let again = self.b.ins().icmp(IntCC::SignedLessThan, i, end);
        let back: Vec<BlockArg> = [i].iter().chain(&next).map(|v| (*v).into()).collect();
        self.b.ins().brif(again, head, &back, exit, &back[1..]);
        self.b.switch_to_block(exit);
        self.b.block_params(exit).to_vec()
    }

    /// Runs one of two bodies.
    pub fn branch(
        &mut self,
        condition: Value,
        then: &mut dyn FnMut(&mut Self),
        otherwise: &mut dyn FnMut(&mut Self),
    ) {
        let (yes, no, join) = (
            self.b.create_block(),
            self.b.create_block(),
            self.b.create_block(),
        );
        self.b.ins().brif(condition, yes, &[], no, &[]);
        self.arm(yes, join, then);
        self.arm(no, join, otherwise);
        self.b.switch_to_block(join);
    }

    fn arm(&mut self, block: Block, join: Block, body: &mut dyn FnMut(&mut Self)) {
        self.b.switch_to_block(block);
        self.scoped(|s| body(s));
        self.b.ins().jump(join, &[]);
    }

    /// Calls the function at byte `offset` of the function table. Every argument is an i64 or an f32.
    pub fn call(&mut self, offset: usize, args: &[Value]) {
        let types: Vec<Type> = args
            .iter()
            .map(|a| self.b.func.dfg.value_type(*a))
            .collect();
        let signature = match self.signatures.get(&types) {
            Some(s) => *s,
            None => {
                let mut signature = Signature::new(self.b.func.signature.call_conv);
                let params = types.iter().map(|t| AbiParam::new(*t));
                signature.params.extend(params);
                let id = self.b.import_signature(signature);
                self.signatures.insert(types, id);
                id
            }
        };
        let callee = self.b.ins().load(I64, MEMORY, self.fns, offset as i32);
        self.b.ins().call_indirect(signature, callee, args);
    }

    pub fn contract_slot(&mut self) -> StackSlot {
        if let Some(slot) = self.contract_slot {
            return slot;
        }
        let data = StackSlotData::new(
            StackSlotKind::ExplicitSlot,
            size_of::<ContractCall>() as u32,
            4,
        );
        let slot = self.b.create_sized_stack_slot(data);
        self.contract_slot = Some(slot);
        slot
    }
}
