//! What a run is made of: the artifact and the footage, in words that a checkpoint keeps. Enters: a manifest, lists of
//! clips. Leaves: one line on what differs between a checkpoint and now. Nothing is refused here.

use crate::data::find::Listed;
use std::collections::BTreeMap;
use vsr_artifact::manifest::{Manifest, Port};
use vsr_artifact::shown;

/// Names of facts and what they are.
pub type Facts = BTreeMap<String, String>;

/// Clips that a line names before it only counts.
const NAMED: usize = 3;

/// What of an artifact decides a run. Hashes stand for what has no words.
pub fn facts(m: &Manifest) -> Facts {
    let ports = |ports: &[Port]| {
        let all = ports.iter().map(|p| format!("{} {:?}", p.name, p.shape));
        all.collect::<Vec<_>>().join(", ")
    };
    let parameters = m.model.parameters.iter();
    let parameters: Vec<String> = parameters.map(|(k, v)| format!("{k}={v}")).collect();
    let mut facts = vec![
        ("model", m.model.name.clone()),
        ("parameters", parameters.join(" ")),
        ("source", m.source_hash.clone()),
        ("code", m.code_hash.clone()),
        ("constants", m.consts_hash.clone()),
        ("compiler", m.compiler.clone()),
        ("target", m.target.name.clone()),
        ("frozen weights", m.frozen.files.join(" ")),
    ];
    if let Some(train) = &m.train {
        facts.push(("training", train.name.clone()));
        facts.push(("data", ports(&train.data)));
    }
    let owned = facts.into_iter().map(|(k, v)| (k.to_string(), v));
    owned.collect()
}

/// What differs between two artifacts; none where nothing does.
pub fn artifact_change(before: &Facts, now: &Facts) -> Option<String> {
    let is_hash = |key: &str| ["source", "code", "constants"].contains(&key);
    let changed = now.iter().filter(|(k, v)| before.get(*k) != Some(v));
    let words: Vec<String> = changed
        .map(|(key, value)| match before.get(key) {
            _ if is_hash(key) => key.clone(),
            Some(old) => format!("{key} ({}, was {})", shown(value), shown(old)),
            None => format!("{key} ({})", shown(value)),
        })
        .collect();
    let differ = if words.len() == 1 {
        "differs"
    } else {
        "differ"
    };
    (!words.is_empty()).then(|| {
        format!(
            "the run began with another artifact: {} {differ}",
            words.join(", ")
        )
    })
}

/// What differs between the footage of then and now; none where nothing does.
pub fn data_change(before: &[Listed], now: &[Listed]) -> Option<String> {
    let names = |clips: &[Listed], other: &[Listed], is_it: fn(&Listed, &[Listed]) -> bool| {
        let mut names: Vec<String> = clips
            .iter()
            .filter(|c| is_it(c, other))
            .map(|c| shown(&c.name))
            .collect();
        names.dedup();
        names
    };
    let absent = |c: &Listed, other: &[Listed]| other.iter().all(|o| o.name != c.name);
    let changed =
        |c: &Listed, other: &[Listed]| !other.contains(c) && other.iter().any(|o| o.name == c.name);
    let parts = [
        ("new", names(now, before, absent)),
        ("gone", names(before, now, absent)),
        ("changed", names(now, before, changed)),
    ];
    let said = parts.iter().filter(|(_, names)| !names.is_empty());
    let words: Vec<String> = said
        .map(|(what, names)| format!("{} {what} ({})", names.len(), few(names)))
        .collect();
    (!words.is_empty()).then(|| format!("the run began with other data: {}", words.join(", ")))
}

fn few(names: &[String]) -> String {
    let shown = names[..names.len().min(NAMED)].join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        n => format!("{shown} and {n} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(name: &str, n_frames: usize, held_out: bool) -> Listed {
        Listed {
            name: name.into(),
            held_out,
            width: 16,
            height: 16,
            first: 0,
            n_frames,
        }
    }

    #[test]
    fn what_differs_is_named() {
        let before = [clip("a", 9, false), clip("b", 9, false), clip("c", 9, true)];
        assert_eq!(data_change(&before, &before), None);
        let now = [
            clip("a", 9, false),
            clip("b", 7, false),
            clip("d\n", 9, true),
        ];
        assert_eq!(
            data_change(&before, &now).unwrap(),
            r"the run began with other data: 1 new (d\u000a), 1 gone (c), 1 changed (b)"
        );
        let many: Vec<Listed> = (0..9).map(|i| clip(&i.to_string(), 1, false)).collect();
        assert!(
            data_change(&[], &many)
                .unwrap()
                .ends_with("9 new (0, 1, 2 and 6 more)")
        );
    }

    #[test]
    fn artifacts_differ_by_their_facts() {
        let facts = |source: &str, ch: &str| {
            let all = [("source", source), ("parameters", ch)];
            Facts::from(all.map(|(k, v)| (k.to_string(), v.to_string())))
        };
        assert_eq!(
            artifact_change(&facts("1", "ch=2"), &facts("1", "ch=2")),
            None
        );
        assert_eq!(
            artifact_change(&facts("1", "ch=2"), &facts("2", "ch=3")).unwrap(),
            "the run began with another artifact: parameters (ch=3, was ch=2), source differ"
        );
    }
}
