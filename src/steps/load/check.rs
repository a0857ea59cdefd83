//! What a `load` says in words of its own: how attaches arrive, and what has to hold of them; and who waits for it.

use std::str::FromStr;

use crate::load::objective::{self, Objective};
use crate::load::schedule::{self, Arrivals};
use crate::template::expression::is_template;
use crate::yaml::checker::Checker;
use crate::yaml::node::{Kind, Node};

/// Reports what the engine would not take, and a load that nobody would judge. Templates are filled in only when it
/// runs.
pub(super) fn check(step: &Node, later: &[&Node], checker: &mut Checker) {
    goes_on(step, later, checker);
    if let Some((ramp, text, _)) = step.get("ramp").and_then(wrong::<Arrivals>) {
        let message = format!("`{text}` is not right for `ramp`");
        checker.report_with_help(ramp.span, message, format!("it is {}", schedule::FORM));
    }
    let objectives = match step.get("objectives").map(|node| &node.kind) {
        Some(Kind::List(objectives)) => objectives.as_slice(),
        _ => &[],
    };
    for (objective, text, why) in objectives.iter().filter_map(wrong::<Objective>) {
        // What is wanted is the help's to say.
        let message = format!("`{text}` isn't an objective: {}", why.why);
        checker.report_with_help(objective.span, message, format!("it is {}", objective::FORM));
    }
}

/// Reports a load that goes on beside other steps, and that none of them waits for.
fn goes_on(step: &Node, later: &[&Node], checker: &mut Checker) {
    let Some(key) = step.get("until-open") else {
        return;
    };
    let waits = |name: &str| {
        let awaited = |step: &&Node| step.get("await-load").and_then(Node::as_text).and_then(variable) == Some(name);
        later.iter().any(awaited)
    };
    match step.get("as").and_then(Node::as_text) {
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

/// The variable that a text is.
fn variable(text: &str) -> Option<&str> {
    Some(text.strip_prefix("${")?.strip_suffix('}')?.trim())
}

/// A text that is none of a kind, with why.
fn wrong<T: FromStr>(node: &Node) -> Option<(&Node, &str, T::Err)> {
    let text = node.as_text().filter(|text| !is_template(text))?;
    let why = text.parse::<T>().err()?;
    Some((node, text, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{Problems, Source, node};

    /// What is wrong with the first of these steps.
    fn told(steps: &str) -> String {
        let source = Source::new("steps.yaml", steps);
        let (root, _) = node::read(&source);
        let Some(Kind::List(steps)) = root.map(|root| root.kind) else {
            panic!("a list of steps");
        };
        let later: Vec<&Node> = steps.iter().skip(1).collect();
        let mut checker = Checker::new(&source);
        check(&steps[0], &later, &mut checker);
        match checker.problems.is_empty() {
            true => String::new(),
            false => Problems(checker.problems).render_plain(),
        }
    }

    #[test]
    fn a_load_that_goes_on_is_waited_for() {
        let load = |more: &str| format!("- {{ load: \"${{s}}\", attaches: 9, until-open: 3{more}, given: runs }}\n");
        let awaited = "- { await-load: \"${l}\", check: passes }\n";
        assert_eq!(told(&(load(", as: l") + awaited)), "");
        for (steps, said) in [
            (load(""), "a load in the background has no name"),
            (
                load(", as: l"),
                "the load `l` runs in the background, and no step waits for its end",
            ),
            (
                load(", as: l") + "- { turn-load: \"${l}\" }\n",
                "add a step `await-load: ${l}`",
            ),
            (
                load(", as: m") + awaited,
                "the load `m` runs in the background, and no step waits for its end",
            ),
        ] {
            let told = told(&steps);
            assert!(told.contains(said), "{steps}: {told}");
        }
    }
}
