//! What a pickle holds, as data (`unpickle` reads it).
//!
//! Values stand in one flat list and refer to each other by number, so that no nesting, however deep, costs stack. What
//! a pickle asks to be called stays a record of its name and arguments.

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
    /// A name and what it is to be called with, and the state its result is to be given. Nobody calls it.
    Call {
        callee: Id,
        arguments: Id,
        state: Option<Id>,
    },
    /// A reference to something that the pickler left to its caller: a tensor's storage, a network's class.
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

    /// What stands under a text in a dictionary.
    pub fn entry(&self, dict: Id, name: &str) -> Option<Id> {
        let Value::Dict(pairs) = self.get(dict) else {
            return None;
        };
        let found = pairs.iter().find(|(k, _)| self.text(*k) == Some(name));
        found.map(|(_, v)| *v)
    }

    /// The name of what is called: a function's, or a class's, which old files give by reference, with its source.
    pub fn class(&self, callee: Id) -> Option<&str> {
        match self.get(callee) {
            Value::Global(name) => Some(name),
            Value::Outside(reference) => match self.items(*reference)? {
                [word, class, ..] if self.text(*word) == Some("module") => match self.get(*class) {
                    Value::Global(name) => Some(name),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    /// A value in a sentence.
    pub fn describe(&self, id: Id) -> String {
        match self.get(id) {
            Value::Dict(_) => "a dictionary".into(),
            Value::List(_) | Value::Tuple(_) => "a list".into(),
            Value::Call { callee, .. } => match self.class(*callee) {
                Some(g) if g.starts_with("torch._utils._rebuild") => "a tensor".into(),
                Some(g) => format!("an object of {g}"),
                None => "an object".into(),
            },
            Value::Global(g) => format!("the name {g}"),
            Value::Outside(_) => "a storage".into(),
            _ => "a number or a text".into(),
        }
    }

    pub fn items(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Tuple(items) | Value::List(items) => Some(items),
            _ => None,
        }
    }
}
