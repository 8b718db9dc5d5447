//! What code can be made for, by the names that a user knows.
//!
//! Enters a name; leaves the back end for it, and what an artifact says of it. Nothing asks the machine that compiles.

use super::Backend;
use super::clif::Processor;
use super::interpreter::Interpreter;
use vsr_artifact::machine::Machine;
use vsr_artifact::manifest::{self, CodeForm};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// AVX2 and FMA.
    X86_64V3,
    /// Any x86-64 processor with SSE4.2.
    Portable,
    /// The tile programs themselves.
    Interpreter,
}

impl Target {
    /// All there are; the first is what a user gets who names none.
    pub const ALL: [Target; 3] = [Target::X86_64V3, Target::Portable, Target::Interpreter];

    pub fn from_name(name: &str) -> Option<Target> {
        Target::ALL.into_iter().find(|t| t.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Target::X86_64V3 => "x86-64-v3",
            Target::Portable => "cpu-portable",
            Target::Interpreter => "interpreter",
        }
    }

    pub fn backend(self) -> &'static dyn Backend {
        match self {
            Target::X86_64V3 => &Processor::V3,
            Target::Portable => &Processor::V2,
            Target::Interpreter => &Interpreter,
        }
    }

    /// What the code needs, as `is_x86_feature_detected!` names it.
    pub fn features(self) -> &'static [&'static str] {
        const PORTABLE: &[&str] = &["sse3", "ssse3", "sse4.1", "sse4.2", "popcnt"];
        const V3: &[&str] = &[
            "sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "avx", "avx2", "fma", "bmi1", "bmi2",
            "lzcnt",
        ];
        match self {
            Target::X86_64V3 => V3,
            Target::Portable => PORTABLE,
            Target::Interpreter => &[],
        }
    }

    /// What the artifact says of it.
    pub fn stated(self, machine: Machine) -> manifest::Target {
        manifest::Target {
            name: self.name().to_string(),
            form: match self {
                Target::X86_64V3 | Target::Portable => CodeForm::Native,
                Target::Interpreter => CodeForm::Tile,
            },
            features: self.features().iter().map(|f| f.to_string()).collect(),
            machine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The runtime says how code of each form is made.
    #[test]
    fn the_target_that_a_form_names_makes_it() {
        for form in [CodeForm::Native, CodeForm::Tile] {
            let target = Target::from_name(form.target()).expect("a target");
            assert_eq!(target.stated(Machine::default()).form, form);
        }
    }
}
