//! Runs passes: after each, the program is verified, timed and printed, as it was asked.
//!
//! Enters an intermediate program (graph, schedule, tile program) and the list of its passes; leaves the program as the last pass made it.
//! A pass that breaks an invariant of its form ends compiling with the pass's name: it is a fault of ours, never the text's.
//! No pass is chosen, reordered or left out here.

use std::time::{Duration, Instant};

/// One rewriting of a whole program.
pub struct Pass<P> {
    pub name: &'static str,
    /// Passes of the same form that must have run before.
    pub needs: &'static [&'static str],
    /// What it is for, and why it stands where it stands.
    pub why: &'static str,
    pub run: fn(&mut P),
}

/// A form of the program that passes rewrite: its intermediate representation.
pub trait Ir {
    const NAME: &'static str;
    /// The first invariant that does not hold.
    fn verify(&self) -> Result<(), String>;
    fn text(&self) -> String;
}

/// What `--emit` asks for of what is made of the graphs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emit {
    Schedule,
    Tile,
    Clif,
    /// The program after the pass of this name.
    After(&'static str),
}

/// What is asked of a compilation beside its result, and what came of it.
#[derive(Debug)]
pub struct PassManager {
    /// Whether the program is verified after each pass, and every kernel.
    pub verifies: bool,
    pub emit: Option<Emit>,
    /// What was asked for, as text.
    pub text: String,
    /// Stages and what they consist of, in the order in which they first began, over all entries.
    pub times: Vec<Time>,
    /// Stages under way.
    depth: usize,
}

#[derive(Clone, Debug)]
pub struct Time {
    pub name: String,
    /// 0: a stage; deeper: a part of what stands before it.
    pub depth: usize,
    pub taken: Duration,
}

/// Debug builds, which run the tests, verify everything.
impl Default for PassManager {
    fn default() -> PassManager {
        PassManager {
            verifies: cfg!(debug_assertions),
            emit: None,
            text: String::new(),
            times: vec![],
            depth: 0,
        }
    }
}

impl PassManager {
    pub fn emitting(emit: Option<Emit>) -> PassManager {
        PassManager {
            emit,
            ..PassManager::default()
        }
    }

    /// Whether it verifies is said, and no matter of the build.
    pub fn verifying(verifies: bool) -> PassManager {
        PassManager {
            verifies,
            ..PassManager::default()
        }
    }

    /// All passes in order.
    ///
    /// # Panics
    /// Where a pass stands before one that it needs, or leaves a program that does not verify: that is our own fault.
    pub fn run<P: Ir>(&mut self, program: &mut P, passes: &[Pass<P>]) {
        for (at, pass) in passes.iter().enumerate() {
            let name = pass.name;
            let has_run = |needed: &&str| passes[..at].iter().any(|p| p.name == *needed);
            let missing = pass.needs.iter().find(|needed| !has_run(needed));
            assert_eq!(missing, None, "pass {name} stands before what it needs");
            self.timed(&format!("{}: {name}", P::NAME), || (pass.run)(program));
            if self.verifies
                && let Err(flaw) = program.verify()
            {
                panic!("pass {name} broke the {}: {flaw}", P::NAME);
            }
            if self.emit == Some(Emit::After(name)) {
                self.text += &program.text();
            }
        }
    }

    /// Times add up under one name.
    pub fn timed<R>(&mut self, name: &str, work: impl FnOnce() -> R) -> R {
        self.stage(name, |_| work())
    }

    /// As [`timed`](Self::timed), for what has parts.
    pub fn stage<R>(&mut self, name: &str, work: impl FnOnce(&mut PassManager) -> R) -> R {
        let known = self.times.iter().position(|time| time.name == name);
        let at = known.unwrap_or_else(|| {
            self.times.push(Time {
                name: name.to_string(),
                depth: self.depth,
                taken: Duration::ZERO,
            });
            self.times.len() - 1
        });
        let start = Instant::now();
        self.depth += 1;
        let result = work(self);
        self.depth -= 1;
        self.times[at].taken += start.elapsed();
        result
    }

    /// A line above each entry's part of what is printed.
    pub fn heading(&mut self, line: &str) {
        if matches!(self.emit, Some(Emit::After(_))) {
            self.text += &format!("# {line}\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Steps(Vec<&'static str>);

    impl Ir for Steps {
        const NAME: &'static str = "steps";

        fn verify(&self) -> Result<(), String> {
            match self.0.len() {
                0..=2 => Ok(()),
                n => Err(format!("{n} steps")),
            }
        }

        fn text(&self) -> String {
            self.0.join(" ")
        }
    }

    const FIRST: Pass<Steps> = Pass {
        name: "first",
        needs: &[],
        why: "",
        run: |steps| steps.0.push("first"),
    };
    const SECOND: Pass<Steps> = Pass {
        name: "second",
        needs: &["first"],
        why: "",
        run: |steps| steps.0.push("second"),
    };

    #[test]
    fn passes_run_in_order_and_are_printed() {
        let (mut steps, mut manager) = (Steps(vec![]), PassManager::verifying(true));
        manager.emit = Some(Emit::After("first"));
        manager.run(&mut steps, &[FIRST, SECOND]);
        assert_eq!(steps.0, ["first", "second"]);
        assert_eq!(manager.text, "first");
        let names: Vec<&str> = manager.times.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["steps: first", "steps: second"]);
    }

    #[test]
    #[should_panic(expected = "pass second stands before what it needs")]
    fn a_pass_stands_behind_what_it_needs() {
        PassManager::default().run(&mut Steps(vec![]), &[SECOND, FIRST]);
    }

    #[test]
    #[should_panic(expected = "pass second broke the steps: 3 steps")]
    fn what_a_pass_breaks_has_its_name() {
        PassManager::verifying(true).run(&mut Steps(vec!["none"]), &[FIRST, SECOND]);
    }
}
