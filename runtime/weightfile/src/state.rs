//! What a pickle of `torch.save` says about tensors: a dictionary of them, or a whole network.
//!
//! Enters a pickle and the places of the storages that it refers to; leaves a header. A dictionary may stand alone or
//! under one of the names that training scripts use. Of a network's objects the parameters, buffers and parts are read,
//! as `state_dict()` would list them; their classes stay names. Anything else in a tensor's place is refused.

use crate::Header;
use crate::pickle::{Id, Pickle, Value};
use crate::tensor::{Storages, Tensors};
use std::collections::BTreeSet;

/// What checkpoints call the dictionary of weights, the one to prefer first.
const WRAPPERS: [&str; 6] = [
    "params_ema",
    "params",
    "state_dict",
    "model_state_dict",
    "model",
    "generator",
];
/// A wrapper in a wrapper, and so on.
const MAX_WRAPPERS: usize = 4;
/// A network's part in a part, and so on; more only where one contains itself.
const MAX_DEPTH: usize = 64;
/// Letters of all keys and entries of all lists together: a small file could name a few of them again and again.
const MAX_WORK: usize = 1 << 24;
/// As much of that is granted to any pickle, and so much more for each of its values.
const WORK: usize = 1 << 20;
const WORK_A_VALUE: usize = 256;
/// What a tensor counts beside its name.
const TENSOR: usize = 64;

struct Reader<'b> {
    pickle: &'b Pickle,
    tensors: Tensors<'b>,
    header: Header,
    work: usize,
}

pub fn header(pickle: &Pickle, storages: &Storages) -> Result<Header, String> {
    let mut reader = Reader {
        pickle,
        tensors: Tensors { pickle, storages },
        header: Header::default(),
        work: 0,
    };
    let found = reader.unwrapped()?;
    match reader.state(found) {
        Some(state) => reader.network(state, "", 0)?,
        None => reader.dictionary(found)?,
    }
    if reader.header.tensors.is_empty() {
        return Err("holds no tensors".into());
    }
    Ok(reader.header)
}

impl<'b> Reader<'b> {
    /// The dictionary that holds the tensors, or the network.
    fn unwrapped(&self) -> Result<Id, String> {
        let holds =
            |id: &Id| matches!(self.pickle.get(*id), Value::Dict(_)) || self.state(*id).is_some();
        let mut id = self.pickle.root;
        for _ in 0..MAX_WRAPPERS {
            if !holds(&id) {
                let what = self.pickle.describe(id);
                return Err(format!(
                    "holds {what}, neither a dictionary of tensors nor a network: save the network's `state_dict()`"
                ));
            }
            let inner = |name: &&str| self.pickle.entry(id, name).filter(holds);
            match WRAPPERS.iter().find_map(inner) {
                Some(inner) => id = inner,
                None => return Ok(id),
            }
        }
        Err("wraps its tensors in too many dictionaries".into())
    }

    fn pairs(&self, id: Id) -> &'b [(Id, Id)] {
        match self.pickle.get(id) {
            Value::Dict(pairs) => pairs,
            _ => &[],
        }
    }

    fn dictionary(&mut self, id: Id) -> Result<(), String> {
        for (key, value) in self.pairs(id) {
            let Some(name) = self.pickle.text(*key) else {
                return Err("names a tensor by something that is no text".into());
            };
            match self.pickle.get(*value) {
                Value::Call { .. } => self.add(name, *value)?,
                // Counters beside the weights.
                Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {
                }
                _ => {
                    let what = self.pickle.describe(*value);
                    return Err(format!(
                        "holds {what} at {name}, where a tensor is expected"
                    ));
                }
            }
        }
        Ok(())
    }

    /// The attributes of a network, or of a part of one.
    fn state(&self, id: Id) -> Option<Id> {
        let Value::Call { state, .. } = self.pickle.get(id) else {
            return None;
        };
        let is_network = |state: &Id| {
            let has = |name: &str| self.pickle.entry(*state, name).is_some();
            has("_parameters") && has("_modules")
        };
        state.filter(is_network)
    }

    /// Parameters, buffers, then the parts, each with its name before theirs.
    fn network(&mut self, state: Id, prefix: &str, depth: usize) -> Result<(), String> {
        let within = |name: &str| {
            let found = self.pickle.entry(state, name);
            found.map(|id| self.pairs(id)).unwrap_or_default()
        };
        let (parameters, buffers) = (within("_parameters"), within("_buffers"));
        let parts = within("_modules");
        let passing = self.pickle.entry(state, "_non_persistent_buffers_set");
        let passing = passing.map(|id| self.names(id)).unwrap_or_default();
        let n = self.pairs(state).len() + parameters.len() + buffers.len() + parts.len();
        self.count(n + passing.len())?;
        let stays = |key: Id| !self.pickle.text(key).is_some_and(|k| passing.contains(k));
        let kept = buffers.iter().filter(|(key, _)| stays(*key));
        for (key, value) in parameters.iter().chain(kept) {
            if self.is_there(*value) {
                let name = self.name(prefix, *key)?;
                self.add(&name, *value)?;
            }
        }
        for (key, part) in parts {
            if !self.is_there(*part) {
                continue;
            }
            let name = self.name(prefix, *key)?;
            let what = || format!("holds {} as its part {name}", self.pickle.describe(*part));
            let inner = self.state(*part).ok_or_else(what)?;
            if depth == MAX_DEPTH {
                return Err("nests the parts of its network too deeply".into());
            }
            self.count(name.len())?;
            self.network(inner, &format!("{name}."), depth + 1)?;
        }
        Ok(())
    }

    fn is_there(&self, id: Id) -> bool {
        *self.pickle.get(id) != Value::None
    }

    fn name(&self, prefix: &str, key: Id) -> Result<String, String> {
        let key = self.pickle.text(key);
        let key = key.ok_or("names a part of its network by something that is no text")?;
        Ok(format!("{prefix}{key}"))
    }

    /// Work that a name, or an entry of a list, costs.
    fn count(&mut self, n: usize) -> Result<(), String> {
        self.work += n + 1;
        let granted = WORK + WORK_A_VALUE * self.pickle.values.len();
        if self.work > MAX_WORK.min(granted) {
            return Err("has more names than a network has".into());
        }
        Ok(())
    }

    /// The texts of a set, which is a list or a call with one.
    fn names(&self, id: Id) -> BTreeSet<&'b str> {
        let items = match self.pickle.get(id) {
            Value::Call { arguments, .. } => match self.pickle.items(*arguments) {
                Some([list]) => self.pickle.items(*list),
                _ => None,
            },
            _ => self.pickle.items(id),
        };
        let items = items.unwrap_or_default().iter();
        items.filter_map(|i| self.pickle.text(*i)).collect()
    }

    fn add(&mut self, name: &str, value: Id) -> Result<(), String> {
        self.count(TENSOR + name.len())?;
        let tensor = self.tensors.read(name, value)?;
        self.header.tensors.insert(name.to_string(), tensor);
        Ok(())
    }
}
