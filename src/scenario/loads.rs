//! Validates the texts of a `load`: its ramp and its objectives.

use std::str::FromStr;

use super::step::Read;
use crate::load::objective::{self, Objective};
use crate::load::schedule::{self, Arrivals};
use crate::template::expression::is_template;
use crate::yaml::checker::Checker;
use crate::yaml::node::{Kind, Node};

/// Reports what the engine would not take. Templates are filled in only when it runs.
pub(super) fn check<'r>(steps: impl Iterator<Item = &'r Read<'r>>, checker: &mut Checker) {
    let steps: Vec<&Read<'_>> = steps.collect();
    goes_on(&steps, checker);
    for read in steps.into_iter().filter(|read| read.verb.name == "load") {
        if let Some((ramp, text, _)) = read.node.get("ramp").and_then(wrong::<Arrivals>) {
            let message = format!("`{text}` is not right for `ramp`");
            checker.report_with_help(ramp.span, message, format!("it is {}", schedule::FORM));
        }
        let objectives = match read.node.get("objectives").map(|node| &node.kind) {
            Some(Kind::List(objectives)) => objectives.as_slice(),
            _ => &[],
        };
        for (objective, text, why) in objectives.iter().filter_map(wrong::<Objective>) {
            // What is wanted is the help's to say.
            let why = why.split("; wanted is ").next().unwrap_or_default();
            let message = format!("`{text}` isn't an objective: {why}");
            checker.report_with_help(objective.span, message, format!("it is {}", objective::FORM));
        }
    }
}

/// Reports a background load that no step waits for: nobody would judge it.
fn goes_on(steps: &[&Read<'_>], checker: &mut Checker) {
    for (number, read) in steps.iter().enumerate() {
        let Some(key) = read.node.get("until-open").filter(|_| read.verb.name == "load") else {
            continue;
        };
        let waits = |name: &str| {
            let waits = |later: &&Read<'_>| {
                let awaited = later.node.get("await-load").and_then(Node::as_text);
                awaited.and_then(variable) == Some(name)
            };
            steps[number + 1..].iter().any(waits)
        };
        match &read.step.bind {
            Some(name) if waits(name) => {}
            Some(name) => {
                let message = format!("the load `{name}` runs in the background, and no step waits for its end");
                checker.report_with_help(key.span, message, format!("add a step `await-load: ${{{name}}}`"));
            }
            None => {
                let message = "a load in the background has no name";
                checker.report_with_help(key.span, message, "say `as: l`, and `await-load: ${l}` in a later step");
            }
        }
    }
}

/// The variable that a text is.
fn variable(text: &str) -> Option<&str> {
    Some(text.strip_prefix("${")?.strip_suffix('}')?.trim())
}

/// An invalid text, with the reason.
fn wrong<T: FromStr<Err = String>>(node: &Node) -> Option<(&Node, &str, String)> {
    let text = node.as_text().filter(|text| !is_template(text))?;
    let why = text.parse::<T>().err()?;
    Some((node, text, why))
}

#[cfg(test)]
mod tests {
    use crate::scenario::parse::parse_with_id;
    use crate::yaml::{Problems, Source};

    /// What is wrong with a scenario that has these steps.
    fn told(steps: &str) -> String {
        let text = format!(
            "apiVersion: gauntlet/v1\nid: harness-token/a/b\ntitle: A title\nspec: A source\nlevel: extended\n\
             intrusion: attack\nsteps:\n  - {{ session: new, as: s }}\n{steps}"
        );
        match parse_with_id(&Source::new("harness-token/a/b.yaml", text)) {
            Ok(_) => String::new(),
            Err(problems) => Problems(problems).render_plain(),
        }
    }

    #[test]
    fn a_load_that_goes_on_is_waited_for() {
        let load = |more: &str| format!("  - {{ load: \"${{s}}\", attaches: 9, until-open: 3{more}, given: runs }}\n");
        let awaited = "  - { await-load: \"${l}\", check: passes }\n";
        assert_eq!(told(&(load(", as: l") + awaited)), "");
        for (steps, said) in [
            (load(""), "a load in the background has no name"),
            (
                load(", as: l"),
                "the load `l` runs in the background, and no step waits for its end",
            ),
            (
                load(", as: l") + "  - { turn-load: \"${l}\" }\n",
                "add a step `await-load: ${l}`",
            ),
            (
                load(", as: l") + awaited + &load(", as: m"),
                "the load `m` runs in the background, and no step waits for its end",
            ),
        ] {
            let told = told(&steps);
            assert!(told.contains(said), "{steps}: {told}");
        }
    }
}
