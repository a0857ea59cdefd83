//! What a `load` says in words of its own: how attaches arrive, and what has to hold of them.

use std::str::FromStr;

use super::step::Read;
use crate::load::objective::{self, Objective};
use crate::load::schedule::{self, Arrivals};
use crate::template::expression::is_template;
use crate::yaml::checker::Checker;
use crate::yaml::node::{Kind, Node};

/// Reports what the engine would not take. Templates are filled in only when it runs.
pub(super) fn check<'r>(steps: impl Iterator<Item = &'r Read<'r>>, checker: &mut Checker) {
    for read in steps.filter(|read| read.verb.name == "load") {
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
            let message = format!("`{text}` is no objective: {why}");
            checker.report_with_help(objective.span, message, format!("it is {}", objective::FORM));
        }
    }
}

/// A text that is none of a kind, with why.
fn wrong<T: FromStr<Err = String>>(node: &Node) -> Option<(&Node, &str, String)> {
    let text = node.as_text().filter(|text| !is_template(text))?;
    let why = text.parse::<T>().err()?;
    Some((node, text, why))
}
