//! The stack machine of a pickle, which knows containers, numbers, strings and names, and calls nothing.
//!
//! Enters bytes; leaves the values that they make. A pickle that is short, or asks for what no tensor needs, is
//! refused; each byte makes one value at most, so memory stays within a fixed multiple of the pickle's size.

use crate::pickle::{Id, Pickle, Value};
use std::collections::HashMap;

struct Machine<'b> {
    bytes: &'b [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    /// Pairs that went from lists to dictionaries.
    n_copied: usize,
}

type Step<T> = Result<T, String>;

/// Letters of a function's or a class's name.
const MAX_NAME: usize = 1024;
const SHORT: &str = "holds a pickle that ends too early";

/// The pickle at the beginning of `bytes`, and where it ends.
pub fn read(bytes: &[u8]) -> Step<(Pickle, usize)> {
    let mut machine = Machine {
        bytes,
        at: 0,
        values: vec![],
        stack: vec![],
        marks: vec![],
        memo: HashMap::new(),
        n_copied: 0,
    };
    loop {
        let op = machine.take(1)?[0];
        if op == b'.' {
            let root = machine.pop()?;
            let values = machine.values;
            return Ok((Pickle { values, root }, machine.at));
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
        let floor = self.marks.last().copied().unwrap_or(0);
        let top = self.stack.get(floor..).and_then(|above| above.last());
        top.copied()
            .ok_or_else(|| "holds a pickle that takes more than it put".into())
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
            b']' | 0x8f => self.push(Value::List(vec![])), // 0x8f: a set
            b')' => self.push(Value::Tuple(vec![])),
            b'}' => self.push(Value::Dict(vec![])),
            b'l' | 0x91 => {
                let items = self.since_mark()?;
                self.push(Value::List(items));
            }
            b't' => {
                let items = self.since_mark()?;
                self.push(Value::Tuple(items));
            }
            b'd' => {
                let items = self.since_mark()?;
                self.push(Value::Dict(pairs(&items)?));
            }
            0x85..=0x87 => self.small_tuple(usize::from(op - 0x84))?,
            b'a' => {
                let item = self.pop()?;
                self.extend(vec![item])?;
            }
            b'e' | 0x90 => {
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
                let value = self.call(callee, arguments)?;
                self.push(value);
            }
            0x92 => {
                let (_named, arguments, callee) = (self.pop()?, self.pop()?, self.pop()?);
                let value = self.call(callee, arguments)?;
                self.push(value);
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
            Value::Dict(all) => all.extend(pairs(&items)?),
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
            Value::Text(t) => Ok(t),
            _ => Err("holds a pickle with a name that is no text"),
        };
        let (module, name) = (text(module)?, text(name)?);
        if module.len() + name.len() > MAX_NAME {
            return Err("holds a pickle with a name that is too long".into());
        }
        let full = format!("{module}.{name}");
        self.push(Value::Global(full));
        Ok(())
    }

    /// An ordered dictionary, empty or with a list of its pairs, is a dictionary; any other call stays a record.
    fn call(&mut self, callee: Id, arguments: Id) -> Step<Value> {
        let name = &self.values[callee];
        let ordered = matches!(name, Value::Global(g) if g == "collections.OrderedDict");
        let known = match self.items(arguments).filter(|_| ordered) {
            Some([]) => Some(vec![]),
            Some([items]) => self.pairs_of(*items),
            _ => None,
        };
        let Some(pairs) = known else {
            return Ok(Value::Call {
                callee,
                arguments,
                state: None,
            });
        };
        // One list could fill any number of dictionaries.
        self.n_copied += pairs.len();
        if self.n_copied > self.bytes.len() {
            return Err("holds a pickle that copies a list again and again".into());
        }
        Ok(Value::Dict(pairs))
    }

    fn items(&self, id: Id) -> Option<&[Id]> {
        match &self.values[id] {
            Value::List(items) | Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    fn pairs_of(&self, items: Id) -> Option<Vec<(Id, Id)>> {
        let pair = |id: &Id| match self.items(*id) {
            Some([k, v]) => Some((*k, *v)),
            _ => None,
        };
        self.items(items)?.iter().map(pair).collect()
    }

    /// State set on a dictionary (PyTorch's `_metadata`) holds no tensors.
    fn build(&mut self) -> Step<()> {
        let (given, object) = (self.pop()?, self.top()?);
        match &mut self.values[object] {
            Value::Call { state, .. } => *state = Some(given),
            Value::Dict(_) => {}
            _ => return Err("holds a pickle that gives state to no object".into()),
        }
        Ok(())
    }
}

fn pairs(items: &[Id]) -> Step<Vec<(Id, Id)>> {
    match items.as_chunks::<2>() {
        (pairs, []) => Ok(pairs.iter().map(|[k, v]| (*k, *v)).collect()),
        _ => Err("holds a pickle with a key that has no value".into()),
    }
}
