//! Results, and how they are trained.

use super::Grower;
use crate::random::check::is_accepted;
use crate::random::program::{GRADIENT, Tensor, Train};

impl Grower {
    /// Results, and how they are trained.
    pub(super) fn finish(&mut self) {
        if self.program.lines.is_empty() {
            self.whole();
        }
        let made = self.known();
        let made: Vec<&Tensor> = made.iter().filter(|t| t.name.starts_with('t')).collect();
        let last = match made.last() {
            Some(t) => t.name.clone(),
            None => self.program.weights[0].name.clone(),
        };
        let mut outputs = vec![last];
        for _ in 0..[0, 0, 0, 1, 2][self.rng.below(5)] {
            let name = self.tensor().name;
            if !outputs.contains(&name) {
                outputs.push(name);
            }
        }
        let term = |g: &mut Grower| {
            [
                "mean({})",
                "mean({}**2)",
                "sum({})",
                "mean(tanh({}))",
                "0.5*mean({}*stop({}))",
                "mean(abs({}))",
            ][g.rng.below(6)]
            .to_string()
        };
        let terms = outputs.iter().map(|_| term(self)).collect();
        self.program.outputs = outputs;
        let optimizer = match self.rng.below(10) {
            0..=5 => GRADIENT,
            6 => "Sgd()",
            7 => "Sgd(momentum=0)",
            _ => "Adam()",
        };
        let gradient = optimizer == GRADIENT;
        self.program.train = self.rng.chance(85).then(|| Train {
            optimizer: optimizer.into(),
            terms,
            clip: (!gradient && self.rng.chance(30)).then_some(0.5),
            ema: (!gradient && self.rng.chance(30)).then_some(0.75),
            metric: self.rng.chance(20),
        });
        self.program.tidy();
        if self.program.train.is_some() && !is_accepted(&self.program.to_string()) {
            self.reach_a_weight();
        }
    }

    /// A loss that reaches no weight is refused: one of them enters it as it is.
    pub(super) fn reach_a_weight(&mut self) {
        let outputs = &self.program.outputs;
        let found = self
            .program
            .weights
            .iter()
            .find(|w| !outputs.contains(&w.name));
        let name = match found.map(|w| w.name.clone()) {
            Some(name) => name,
            None => self.weight(vec![3]),
        };
        self.program.outputs.push(name);
        if let Some(train) = &mut self.program.train {
            train.terms.push("sum({})".into());
        }
        if !is_accepted(&self.program.to_string()) {
            self.program.train = None;
        }
    }
}
