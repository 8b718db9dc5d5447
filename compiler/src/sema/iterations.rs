//! What to say where a loop declares one label again and again. Enters the place of the call; leaves the help, and the
//! change that gives each iteration a label of its own, where the loops' variables make one.

use super::elab::Elab;
use super::error::Fault;
use super::walk;
use crate::diag::Span;
use crate::syntax::ast;

impl<'a> Elab<'a, '_> {
    /// Every iteration of a loop needs a label of its own: with the loops' variables, where these are numbers.
    pub fn label_by_iteration(&self, place: Span, block: &str, fault: Fault) -> Fault {
        let what = "each turn of the loop needs a label of its own";
        let call = self.program.text(place);
        let label = call.rfind('@').map(|at| &call[at..]);
        let label = label.filter(|label| !label.contains([' ', ')', '\n']));
        let new = label.zip(self.iterations(place)).map(|(label, variables)| {
            let holes = variables.iter().map(|name| format!(".{{{name}}}"));
            let is_new = |hole: &String| !label.contains(&hole[1..]);
            (label, holes.filter(is_new).collect::<String>())
        });
        let Some((label, new)) = new.filter(|(_, new)| !new.is_empty()) else {
            return fault.help(format!("{what}: `{block}(…) @name.{{i}}`"));
        };
        let end = Span {
            start: place.end,
            ..place
        };
        fault.help(format!("{what}: `{label}{new}`")).edit(end, new)
    }

    /// The variables of the loops around a place, outer ones first. None: there are none, or one goes over a list.
    fn iterations(&self, place: Span) -> Option<Vec<&'a str>> {
        let mut variables = vec![];
        let mut is_counted = true;
        for def in &self.program.defs {
            walk::each_statement(def.body, &mut |stmt| {
                let around = stmt.span.file == place.file
                    && (stmt.span.start..stmt.span.end).contains(&place.start);
                if let (true, ast::StmtKind::For { names, domain, .. }) = (around, &stmt.kind) {
                    is_counted &= matches!(domain, ast::Domain::Range(..));
                    variables.extend(names.iter().map(|name| name.text.as_str()));
                }
            });
        }
        (is_counted && !variables.is_empty()).then_some(variables)
    }
}
