//! Pickles as data: a stack machine that knows containers, numbers, strings and names, and calls nothing.
//!
//! Enters a pickle's bytes; leaves values in one flat list that refer to each other by number, so that no nesting,
//! however deep, costs stack. What a pickle asks to be called stays a record of its name and arguments.

use std::collections::HashMap;

pub type Id = usize;

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A name: `torch._utils._rebuild_tensor_v2`.
    Global(String),
    /// A name and what it is to be called with. Nobody calls it.
    Call(Id, Id),
    /// A reference to something outside of the pickle: a tensor's storage.
    Outside(Id),
}

/// All values that a pickle makes, and which of them is its result.
#[derive(Debug)]
pub struct Pickle {
    pub values: Vec<Value>,
    pub root: Id,
}

impl Pickle {
    pub fn get(&self, id: Id) -> &Value {
        &self.values[id]
    }

    pub fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Value::Text(t) => Some(t),
            _ => None,
        }
    }

    pub fn int(&self, id: Id) -> Option<i64> {
        match self.get(id) {
            Value::Int(i) => Some(*i),
            _ => None,
        }
    }

    pub fn items(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Tuple(items) | Value::List(items) => Some(items),
            _ => None,
        }
    }
}

struct Machine<'b> {
    bytes: &'b [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

type Step<T> = Result<T, String>;

const SHORT: &str = "holds a pickle that ends too early";

pub fn read(bytes: &[u8]) -> Step<Pickle> {
    let mut machine = Machine {
        bytes,
        at: 0,
        values: vec![],
        stack: vec![],
        marks: vec![],
        memo: HashMap::new(),
    };
    loop {
        let op = machine.take(1)?[0];
        if op == b'.' {
            let root = machine.pop()?;
            return Ok(Pickle {
                values: machine.values,
                root,
            });
        }
        machine.step(op)?;
    }
}

impl<'b> Machine<'b> {
    fn take(&mut self, n: usize) -> Step<&'b [u8]> {
        let end = self.at.checked_add(n).ok_or(SHORT)?;
        let bytes = self.bytes.get(self.at..end).ok_or(SHORT)?;
        self.at = end;
        Ok(bytes)
    }

    fn number(&mut self, n: usize) -> Step<u64> {
        let digits = self.take(n)?.iter().rev();
        Ok(digits.fold(0, |x, b| x << 8 | u64::from(*b)))
    }

    fn line(&mut self) -> Step<String> {
        let rest = &self.bytes[self.at..];
        let n = rest.iter().position(|b| *b == b'\n').ok_or(SHORT)?;
        let text = String::from_utf8_lossy(&rest[..n]).into_owned();
        self.at += n + 1;
        Ok(text)
    }

    fn sized_text(&mut self, digits: usize) -> Step<()> {
        let n = self.number(digits)?;
        let bytes = self.take(usize::try_from(n).map_err(|_| SHORT)?)?;
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.push(Value::Text(text));
        Ok(())
    }

    fn push(&mut self, value: Value) {
        self.values.push(value);
        self.stack.push(self.values.len() - 1);
    }

    fn pop(&mut self) -> Step<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.pop() {
            Some(id) if self.stack.len() >= floor => Ok(id),
            _ => Err("holds a pickle that takes more than it put".into()),
        }
    }

    fn top(&self) -> Step<Id> {
        let top = self.stack.last().copied();
        top.ok_or_else(|| "holds a pickle that takes more than it put".into())
    }

    /// What was put since the last mark.
    fn since_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or("holds a pickle without a mark")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn step(&mut self, op: u8) -> Step<()> {
        match op {
            0x80 => self.number(1).map(drop)?, // protocol
            0x95 => self.number(8).map(drop)?, // frame
            b'(' => self.marks.push(self.stack.len()),
            b'0' => self.pop().map(drop)?,
            b'1' => self.since_mark().map(drop)?,
            b'2' => self.stack.push(self.top()?),
            b'N' => self.push(Value::None),
            0x88 | 0x89 => self.push(Value::Bool(op == 0x88)),
            b'J' => {
                let n = self.number(4)? as u32 as i32;
                self.push(Value::Int(n.into()));
            }
            b'K' => self.int(1)?,
            b'M' => self.int(2)?,
            0x8a => self.long()?,
            b'G' => {
                let bytes = self.take(8)?.try_into().map_err(|_| SHORT)?;
                self.push(Value::Float(f64::from_be_bytes(bytes)));
            }
            b'X' | b'T' | b'B' => self.sized_text(4)?,
            0x8c | b'U' | b'C' => self.sized_text(1)?,
            0x8d | 0x8e => self.sized_text(8)?,
            b']' => self.push(Value::List(vec![])),
            b')' => self.push(Value::Tuple(vec![])),
            b'}' => self.push(Value::Dict(vec![])),
            b'l' => {
                let items = self.since_mark()?;
                self.push(Value::List(items));
            }
            b't' => {
                let items = self.since_mark()?;
                self.push(Value::Tuple(items));
            }
            b'd' => {
                let items = self.since_mark()?;
                self.push(Value::Dict(pairs(&items)));
            }
            0x85..=0x87 => self.small_tuple(usize::from(op - 0x84))?,
            b'a' => {
                let item = self.pop()?;
                self.extend(vec![item])?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.extend(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(vec![key, value])?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set(items)?;
            }
            b'q' => self.remember(1)?,
            b'r' => self.remember(4)?,
            0x94 => {
                let (next, top) = (self.memo.len() as u64, self.top()?);
                self.memo.insert(next, top);
            }
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Global(format!("{module}.{name}")));
            }
            0x93 => self.stack_global()?,
            b'R' | 0x81 => {
                let (arguments, callee) = (self.pop()?, self.pop()?);
                self.push(self.call(callee, arguments));
            }
            b'b' => self.build()?,
            b'Q' => {
                let id = self.pop()?;
                self.push(Value::Outside(id));
            }
            other => {
                return Err(format!(
                    "holds a pickle with the instruction {other:#04x}, which no tensor needs"
                ));
            }
        }
        Ok(())
    }

    fn int(&mut self, n: usize) -> Step<()> {
        let value = self.number(n)?;
        self.push(Value::Int(value as i64));
        Ok(())
    }

    /// A two's complement number of at most eight bytes.
    fn long(&mut self) -> Step<()> {
        let n = self.number(1)? as usize;
        if n > 8 {
            return Err("holds a pickle with a number of more than 64 bits".into());
        }
        let bits = self.number(n)?;
        let unused = 64 - 8 * n as u32;
        let value = if n == 0 {
            0
        } else {
            (bits << unused) as i64 >> unused
        };
        self.push(Value::Int(value));
        Ok(())
    }

    fn small_tuple(&mut self, n: usize) -> Step<()> {
        let mut items = vec![];
        for _ in 0..n {
            items.push(self.pop()?);
        }
        items.reverse();
        self.push(Value::Tuple(items));
        Ok(())
    }

    fn extend(&mut self, items: Vec<Id>) -> Step<()> {
        let list = self.top()?;
        match &mut self.values[list] {
            Value::List(all) => all.extend(items),
            _ => return Err("holds a pickle that appends to no list".into()),
        }
        Ok(())
    }

    fn set(&mut self, items: Vec<Id>) -> Step<()> {
        let dict = self.top()?;
        match &mut self.values[dict] {
            Value::Dict(all) => all.extend(pairs(&items)),
            _ => return Err("holds a pickle that sets items of no dictionary".into()),
        }
        Ok(())
    }

    fn remember(&mut self, n: usize) -> Step<()> {
        let (at, top) = (self.number(n)?, self.top()?);
        self.memo.insert(at, top);
        Ok(())
    }

    fn recall(&mut self, n: usize) -> Step<()> {
        let at = self.number(n)?;
        let id = self.memo.get(&at).copied();
        self.stack
            .push(id.ok_or("holds a pickle that recalls what it never stored")?);
        Ok(())
    }

    fn stack_global(&mut self) -> Step<()> {
        let (name, module) = (self.pop()?, self.pop()?);
        let text = |id: Id| match &self.values[id] {
            Value::Text(t) => Ok(t.clone()),
            _ => Err("holds a pickle with a name that is no text"),
        };
        let full = format!("{}.{}", text(module)?, text(name)?);
        self.push(Value::Global(full));
        Ok(())
    }

    /// An ordered dictionary is a dictionary; any other call stays a record.
    fn call(&self, callee: Id, arguments: Id) -> Value {
        let ordered =
            matches!(&self.values[callee], Value::Global(g) if g == "collections.OrderedDict");
        let empty = matches!(&self.values[arguments], Value::Tuple(a) if a.is_empty());
        if ordered && empty {
            return Value::Dict(vec![]);
        }
        Value::Call(callee, arguments)
    }

    /// State set on a dictionary (PyTorch's `_metadata`) holds no tensors; on anything else it is a call's argument.
    fn build(&mut self) -> Step<()> {
        let (state, object) = (self.pop()?, self.top()?);
        if matches!(self.values[object], Value::Dict(_)) {
            return Ok(());
        }
        self.pop()?;
        self.push(Value::Call(object, state));
        Ok(())
    }
}

fn pairs(items: &[Id]) -> Vec<(Id, Id)> {
    items
        .as_chunks::<2>()
        .0
        .iter()
        .map(|[k, v]| (*k, *v))
        .collect()
}
