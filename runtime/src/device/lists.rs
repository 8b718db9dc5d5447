//! Lists of launches that a device holds, by the numbers that it gave for them.
//!
//! Enters what a device makes of a list; leaves it to who names its number, until it is given back. A number that was given back
//! may stand for another list later; nobody else has it then.

use super::ListId;

pub struct Lists<T>(Vec<Option<T>>);

impl<T> Default for Lists<T> {
    fn default() -> Lists<T> {
        Lists(vec![])
    }
}

impl<T> Lists<T> {
    pub fn insert(&mut self, list: T) -> ListId {
        let free = self.0.iter().position(Option::is_none);
        let at = free.unwrap_or_else(|| {
            self.0.push(None);
            self.0.len() - 1
        });
        self.0[at] = Some(list);
        ListId(at)
    }

    /// # Panics
    /// If it was given back: only who bound a list has its number.
    pub fn get(&self, id: ListId) -> &T {
        let bound = self.0.get(id.0).and_then(Option::as_ref);
        bound.expect("a list runs only while it is bound")
    }

    pub fn remove(&mut self, id: ListId) {
        if let Some(list) = self.0.get_mut(id.0) {
            *list = None;
        }
    }

    /// Gives all back: the code that they call has gone.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_used_again_and_lists_stay_apart() {
        let mut lists = Lists::default();
        let [a, b] = ["a", "b"].map(|list| lists.insert(list));
        assert_eq!((*lists.get(a), *lists.get(b)), ("a", "b"));
        lists.remove(a);
        let c = lists.insert("c");
        assert_eq!((c, *lists.get(c), *lists.get(b)), (a, "c", "b"));
        for _ in 0..100 {
            let one = lists.insert("d");
            lists.remove(one);
        }
        assert_eq!(lists.0.len(), 3);
    }

    #[test]
    #[should_panic(expected = "only while it is bound")]
    fn what_was_given_back_is_gone() {
        let mut lists = Lists::default();
        let a = lists.insert(1);
        lists.clear();
        lists.get(a);
    }
}
