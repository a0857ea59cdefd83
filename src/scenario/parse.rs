//! From a file's text to a scenario, or to everything that is wrong with it.

use std::sync::Arc;

use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::file::API_VERSION;
use super::model::{Choice, Scenario, Step};
use super::references::Known;
use super::roads;
use super::schema::SCHEMA;
use super::soundness;
use super::step::{self, Read};
use super::step_list::StepList;
use crate::steps::AUTHORITY;
use crate::vocabulary::duration;
use crate::vocabulary::{Intrusion, Level, WorldSpec};
use crate::yaml::checker::Checker;
use crate::yaml::node::{self, Kind, Node};
use crate::yaml::problem::Problem;
use crate::yaml::shape;
use crate::yaml::{Source, Span};

/// Reads a scenario, with the place of its id; all that is wrong with it otherwise, in the order of the file.
pub(super) fn parse_with_id(source: &Arc<Source>) -> Result<(Scenario, Span), Vec<Problem>> {
    let (root, problems) = node::read(source);
    let mut checker = Checker::new(source);
    checker.problems = problems;
    let scenario = root.and_then(|root| {
        let id = root.get("id").map_or(root.span, |id| id.span);
        Some((read(&root, &mut checker)?, id))
    });
    ended(scenario, checker)
}

/// As [`parse_with_id`], of a built-in file, which was checked when this program was built: what only looks for
/// mistakes is left out, and the steps are read when they are first needed. That is most of the work.
pub(super) fn parse_checked(source: &Arc<Source>) -> Result<Scenario, Vec<Problem>> {
    let (root, problems) = node::read(&before_steps(source));
    let mut checker = Checker::new(source);
    checker.problems = problems;
    checker.checked = true;
    let later = Arc::clone(source);
    let (steps, finally) = StepList::read_later(move || read_steps(&later));
    let scenario = root.map(|root| described(&root, steps, finally, &mut checker));
    ended(scenario, checker)
}

/// The part of a file that says what a scenario is, without its steps.
fn before_steps(source: &Arc<Source>) -> Arc<Source> {
    match source.text.find("\nsteps:") {
        Some(end) => Source::new(source.name.clone(), &source.text[..=end]),
        None => Arc::clone(source),
    }
}

/// The steps of a built-in file, and those of its `finally`.
fn read_steps(source: &Arc<Source>) -> (Vec<Step>, Vec<Step>) {
    let (root, problems) = node::read(source);
    let mut checker = Checker::new(source);
    checker.problems = problems;
    checker.checked = true;
    let mut part = |key| root.as_ref().map(|root| only_steps(steps_of(root, key, &mut checker)));
    let (steps, finally) = (part("steps"), part("finally"));
    debug_assert!(checker.problems.is_empty(), "{}: {:?}", source.name, checker.problems);
    (steps.unwrap_or_default(), finally.unwrap_or_default())
}

fn only_steps(read: Vec<Read<'_>>) -> Vec<Step> {
    read.into_iter().map(|read| read.step).collect()
}

/// What was read, or all that is wrong with it, in the order of the file.
fn ended<T>(read: Option<T>, checker: Checker) -> Result<T, Vec<Problem>> {
    let mut problems = checker.problems;
    match read {
        Some(read) if problems.is_empty() => Ok(read),
        _ => {
            problems.sort_by_key(|problem| problem.span.start);
            Err(problems)
        }
    }
}

fn read(root: &Node, checker: &mut Checker) -> Option<Scenario> {
    shape::check(&SCHEMA, &SCHEMA, root, "a scenario", checker);
    if root
        .get("apiVersion")
        .is_some_and(|version| version.as_text() != Some(API_VERSION))
    {
        // Another version has other keys: what else is wrong would not be true of it.
        checker
            .problems
            .retain(|problem| problem.message.contains("apiVersion"));
        return None;
    }
    let steps = steps_of(root, "steps", checker);
    let finally = steps_of(root, "finally", checker);
    check_names(root, checker);
    check_path(root, checker);
    check_references(root, &steps, &finally, checker);
    roads::check(root, steps.iter().chain(&finally), checker);
    soundness::by_verb(steps.iter().chain(&finally), checker);
    let intrusion = value(root, "intrusion").unwrap_or(Intrusion::Observe);
    soundness::intrusion(root, intrusion, steps.iter().chain(&finally), checker);
    soundness::no_judgement_in_finally(&finally, checker);
    soundness::open_road(root, &steps, checker);
    soundness::proof_of_absence(&steps, checker);
    let (steps, finally) = StepList::of(only_steps(steps), only_steps(finally));
    Some(described(root, steps, finally, checker))
}

/// A scenario with what the file says beside its steps.
fn described(root: &Node, steps: StepList, finally: StepList, checker: &mut Checker) -> Scenario {
    let text = |key: &str| root.get(key).and_then(Node::as_text).unwrap_or_default().to_owned();
    Scenario {
        id: text("id"),
        title: text("title"),
        spec: text("spec"),
        level: value(root, "level").unwrap_or(Level::Core),
        intrusion: value(root, "intrusion").unwrap_or(Intrusion::Observe),
        tags: texts(root, "tags"),
        world: world(root, checker),
        vars: entries(root, "vars")
            .map(|(name, value)| (name.to_owned(), value.to_value()))
            .collect(),
        matrix: matrix(root, checker),
        timeout: root.get("timeout").and_then(Node::as_text).and_then(duration::parse),
        steps,
        finally,
        open_road: root.get("open-road").and_then(Node::as_text).map(str::to_owned),
        place: checker.place(root.span),
    }
}

fn entries<'n>(root: &'n Node, key: &str) -> impl Iterator<Item = (&'n str, &'n Node)> {
    let entries = root.get(key).and_then(Node::as_map).unwrap_or_default();
    entries.iter().map(|(key, value)| (key.name.as_str(), value))
}

fn texts(root: &Node, key: &str) -> Vec<String> {
    match root.get(key).map(|node| &node.kind) {
        Some(Kind::List(items)) => items
            .iter()
            .filter_map(|item| item.as_text().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    }
}

/// A key's value as a type; nothing where it is left out or its shape was reported as wrong.
fn value<T: DeserializeOwned>(root: &Node, key: &str) -> Option<T> {
    serde_json::from_value(root.get(key)?.to_value()).ok()
}

fn world(root: &Node, checker: &mut Checker) -> WorldSpec {
    let Some(node) = root.get("world") else {
        return WorldSpec::default();
    };
    match serde_json::from_value(node.to_value()) {
        Ok(world) => world,
        Err(error) => {
            // The schema says the same of the same type; where it doesn't, say at least this.
            if checker.problems.is_empty() {
                checker.report(node.span, error.to_string());
            }
            WorldSpec::default()
        }
    }
}

fn matrix(root: &Node, checker: &mut Checker) -> IndexMap<String, Vec<Choice>> {
    let mut matrix = IndexMap::new();
    for (name, values) in entries(root, "matrix") {
        let choices: Vec<(Choice, Span)> = match &values.kind {
            Kind::List(items) => items
                .iter()
                .map(|item| {
                    let value = item.to_value();
                    let name = match &value {
                        Value::String(text) => text.clone(),
                        value => value.to_string(),
                    };
                    (Choice { name, value }, item.span)
                })
                .collect(),
            Kind::Map(named) => named
                .iter()
                .map(|(key, node)| {
                    let choice = Choice {
                        name: key.name.clone(),
                        value: node.to_value(),
                    };
                    (choice, key.span)
                })
                .collect(),
            _ => Vec::new(),
        };
        for (index, (choice, span)) in choices.iter().enumerate() {
            if choices[..index].iter().any(|(known, _)| known.name == choice.name) {
                let message = format!(
                    "`{}` is twice in the matrix: its runs could not be told apart",
                    choice.name
                );
                checker.report(*span, message);
            }
        }
        matrix.insert(name.to_owned(), choices.into_iter().map(|(choice, _)| choice).collect());
    }
    matrix
}

/// Names of variables that say something else already.
fn check_names(root: &Node, checker: &mut Checker) {
    for section in ["matrix", "vars"] {
        for (key, _) in root.get(section).and_then(Node::as_map).unwrap_or_default() {
            if Known::is_built_in(&key.name) {
                let message = format!("`{}` is a variable that every scenario has", key.name);
                checker.report_with_help(key.span, message, "give it another name");
            }
            let twice = section == "vars" && root.get("matrix").is_some_and(|m| m.get(&key.name).is_some());
            if twice {
                checker.report(key.span, format!("`{}` is already in `matrix`", key.name));
            }
        }
    }
}

/// A file's path is its id: what is read in a report can be found.
fn check_path(root: &Node, checker: &mut Checker) {
    let Some(id) = root.get("id") else { return };
    let Some(text) = id.as_text() else { return };
    let path = checker.source.name.replace('\\', "/");
    let wanted = format!("{text}.yaml");
    if checker.problems.iter().any(|problem| problem.span == id.span) {
        return;
    }
    let right = path
        .strip_suffix(&wanted)
        .is_some_and(|before| before.is_empty() || before.ends_with('/'));
    if !right {
        let message = format!("the id `{text}` doesn't fit the file's path");
        checker.report_with_help(id.span, message, format!("the file of this id is …/{wanted}"));
    }
}

fn steps_of<'n>(root: &'n Node, key: &str, checker: &mut Checker) -> Vec<Read<'n>> {
    match root.get(key).map(|node| &node.kind) {
        Some(Kind::List(items)) => items.iter().filter_map(|item| step::read(item, checker)).collect(),
        _ => Vec::new(),
    }
}

/// The names that steps set which could not be read: their verb is wrong, not those that use
/// the name.
fn set_by_unread(root: &Node, steps: &[Read<'_>]) -> Vec<String> {
    let Some(Kind::List(items)) = root.get("steps").map(|node| &node.kind) else {
        return Vec::new();
    };
    items
        .iter()
        .filter(|item| !steps.iter().any(|read| read.node.span == item.span))
        .filter_map(|item| item.get("as")?.as_text().map(str::to_owned))
        .collect()
}

fn check_references(root: &Node, steps: &[Read<'_>], finally: &[Read<'_>], checker: &mut Checker) {
    let mut known = Known::built_in();
    for (name, values) in entries(root, "matrix") {
        known.check(values, checker);
        known.set_later(name, values.span.line);
    }
    for (name, _) in entries(root, "matrix") {
        known.set(name);
    }
    for (name, value) in entries(root, "vars") {
        known.set_later(name, value.span.line);
    }
    for read in steps.iter().chain(finally) {
        if let Some(name) = &read.step.bind {
            known.set_later(name, read.step.place.line);
        }
    }
    for (name, value) in entries(root, "vars") {
        known.check(value, checker);
        known.set(name);
    }
    for name in set_by_unread(root, steps) {
        known.set(&name);
    }
    for read in steps.iter().chain(finally) {
        let mut here = known.clone();
        if read.verb.has_door {
            here.set("door");
            here.set(AUTHORITY);
        }
        for (_, value) in read.node.as_map().unwrap_or_default() {
            here.check(value, checker);
        }
        here.check_texts(read, checker);
        if let Some(name) = &read.step.bind {
            if Known::is_built_in(name) || name == "door" || name == AUTHORITY {
                let message = format!("`{name}` is a variable that every scenario has");
                checker.report_with_help(read.node.span, message, "give it another name");
            }
            known.bind(name, read.verb);
        }
    }
}

#[cfg(test)]
mod tests;
