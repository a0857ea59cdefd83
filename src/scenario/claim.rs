//! Parses expectations in a file.

use indexmap::IndexMap;
use regex::Regex;
use serde_json::Value;

use super::field::FieldPath;
use super::model::{Claim, Predicate};
use super::phrase;
use super::predicate::OPERATORS;
use crate::steps::Verb;
use crate::template::expression::is_template;
use crate::vocabulary::ExpectationKind;
use crate::vocabulary::policy::{POLICIES, Policy, policy};
use crate::vocabulary::similar::{nearest, suggestion};
use crate::yaml::checker::Checker;
use crate::yaml::node::{Kind, Node};
use crate::yaml::{Source, Span};

/// Reads what stands at `check`, `given`, `until`, `needs`: one claim or a list of them.
pub(super) fn claims(node: &Node, kind: ExpectationKind, verb: &Verb, checker: &mut Checker) -> Vec<(Claim, Span)> {
    match &node.kind {
        Kind::List(items) if items.is_empty() => {
            checker.report(node.span, "an empty list expects nothing");
            Vec::new()
        }
        Kind::List(items) => items
            .iter()
            .filter_map(|item| Some((claim(item, kind, verb, checker)?, item.span)))
            .collect(),
        _ => claim(node, kind, verb, checker)
            .map(|claim| (claim, node.span))
            .into_iter()
            .collect(),
    }
}

fn claim(node: &Node, kind: ExpectationKind, verb: &Verb, checker: &mut Checker) -> Option<Claim> {
    match &node.kind {
        Kind::Text(text) => phrase_claim(text, node.span, verb, checker),
        Kind::Map(_) if node.get("policy").is_some() => match kind {
            ExpectationKind::Check => policy_claim(node, verb, checker),
            _ => {
                let message = "only a `check` can depend on a policy";
                checker.report(node.span, message);
                None
            }
        },
        Kind::Map(_) => fields(node, verb, checker).map(Claim::Fields),
        _ => {
            let message = format!(
                "expected a phrase, or a map of fields and what they must be, got {}",
                node.describe()
            );
            checker.report_with_help(node.span, message, phrases_help(verb));
            None
        }
    }
}

fn phrase_claim(text: &str, span: Span, verb: &Verb, checker: &mut Checker) -> Option<Claim> {
    // A phrase that is a variable is known when the scenario runs.
    let variable = text.starts_with("${") && text.ends_with('}');
    let said = phrase::said(verb, text);
    if said.fields.is_some() || variable || phrase::recognise(verb, text).is_some() {
        return Some(Claim::Phrase(said));
    }
    let message = format!("`{text}` isn't a phrase of `{}`", verb.name);
    let help = match phrase::suggest(verb, text) {
        Some(pattern) => format!("did you mean `{pattern}`?"),
        None => phrases_help(verb),
    };
    checker.report_with_help(span, message, help);
    None
}

fn phrases_help(verb: &Verb) -> String {
    let phrases: Vec<&str> = verb.phrases.iter().map(|phrase| phrase.pattern).collect();
    match (phrases.is_empty(), verb.fields.is_empty()) {
        (true, true) => format!("`{}` shows nothing that could be expected", verb.name),
        (true, false) => {
            format!("`{}` has no phrases; its fields: {}", verb.name, verb.fields.join(", "))
        }
        _ => format!("phrases of `{}`: {}", verb.name, phrases.join(", ")),
    }
}

fn policy_claim(node: &Node, verb: &Verb, checker: &mut Checker) -> Option<Claim> {
    let name = node.get("policy")?;
    let policy = policy_named(name, checker)?;
    let known = policy.choices();
    if known.is_empty() {
        let message = format!("`{}` has no choices that a check could depend on", policy.name);
        checker.report(name.span, message);
        return None;
    }
    let mut choices = IndexMap::new();
    for (key, value) in node.as_map().unwrap_or_default() {
        if key.name == "policy" {
            continue;
        }
        if !known.contains(&key.name.as_str()) {
            let message = format!("`{}` isn't a choice of the policy `{}`", key.name, policy.name);
            let help = suggestion(&key.name, known.iter().copied(), "choices");
            checker.report_with_help(key.span, message, help);
            continue;
        }
        if let Some(claim) = claim(value, ExpectationKind::Given, verb, checker) {
            choices.insert(key.name.clone(), claim);
        }
    }
    let missing: Vec<&str> = known
        .iter()
        .copied()
        .filter(|choice| node.get(choice).is_none())
        .collect();
    if !missing.is_empty() {
        let message = format!("no expectation for `{}`", missing.join("`, `"));
        let help = format!(
            "a check that depends on `{}` says what must be true for each of {}",
            policy.name,
            known.join(", ")
        );
        checker.report_with_help(name.span, message, help);
    }
    Some(Claim::Policy {
        name: policy.name.to_owned(),
        choices,
    })
}

fn policy_named(name: &Node, checker: &mut Checker) -> Option<&'static Policy> {
    let Some(text) = name.as_text() else {
        let message = format!("expected the name of a policy, got {}", name.describe());
        checker.report(name.span, message);
        return None;
    };
    let found = policy(text);
    if found.is_none() {
        let help = suggestion(text, POLICIES.iter().map(|p| p.name), "policies");
        checker.report_with_help(name.span, format!("no policy `{text}`"), help);
    }
    found
}

fn fields(node: &Node, verb: &Verb, checker: &mut Checker) -> Option<IndexMap<String, Predicate>> {
    let entries = node.as_map()?;
    if entries.is_empty() {
        checker.report(node.span, "an empty map expects nothing");
        return None;
    }
    let mut fields = IndexMap::new();
    for (key, value) in entries {
        field_path(&key.name, key.span, verb, checker);
        if let Some(predicate) = predicate(value, checker) {
            fields.insert(key.name.clone(), predicate);
        }
    }
    Some(fields)
}

/// Checks the path of a field of what a verb observes.
pub(super) fn field_path(text: &str, span: Span, verb: &Verb, checker: &mut Checker) {
    if checker.checked {
        return;
    }
    match FieldPath::parse(text) {
        Err(error) => {
            let message = format!("`{text}` isn't a field path: {error}");
            checker.report_with_help(span, message, "as `body.items[0].name`");
        }
        Ok(path) if !verb.fields.contains(&path.root()) => {
            let message = format!("`{}` has no field `{}`", verb.name, path.root());
            let help = suggestion(path.root(), verb.fields.iter().copied(), "fields");
            checker.report_with_help(span, message, help);
        }
        Ok(_) => {}
    }
}

/// The predicates of a map of fields that is known to be good; none if it isn't.
pub(super) fn fields_of_value(node: &Node) -> Option<IndexMap<String, Predicate>> {
    let mut checker = Checker::new(&Source::new("", ""));
    let fields: Option<IndexMap<String, Predicate>> = node
        .as_map()?
        .iter()
        .map(|(key, value)| Some((key.name.clone(), predicate(value, &mut checker)?)))
        .collect();
    fields.filter(|_| checker.problems.is_empty())
}

/// Reads a predicate: a value that it must be, or operators that must all hold.
pub(super) fn predicate(node: &Node, checker: &mut Checker) -> Option<Predicate> {
    let Kind::Map(entries) = &node.kind else {
        return Some(match node.to_value() {
            Value::Null => Predicate::Null,
            value => Predicate::Equals(value),
        });
    };
    if entries.is_empty() {
        checker.report_with_help(
            node.span,
            "an empty map expects nothing",
            "to expect an empty map: `equals: {}`",
        );
        return None;
    }
    let mut all = Vec::new();
    let mut good = true;
    for (key, operand) in entries {
        if !OPERATORS.iter().any(|(name, _)| *name == key.name) {
            let known = OPERATORS.iter().map(|(name, _)| *name);
            let help = match nearest(&key.name, known.clone()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!(
                    "operators: {}; to compare with a map: `equals: {{…}}`",
                    known.collect::<Vec<_>>().join(", ")
                ),
            };
            checker.report_with_help(key.span, format!("no operator `{}`", key.name), help);
            good = false;
            continue;
        }
        match operator(&key.name, operand, checker) {
            Some(predicate) => all.push(predicate),
            None => good = false,
        }
    }
    if !good {
        return None;
    }
    match all.len() {
        1 => all.pop(),
        _ => Some(Predicate::All(all)),
    }
}

fn operator(name: &str, operand: &Node, checker: &mut Checker) -> Option<Predicate> {
    let mut wrong = |what: &str| {
        let message = format!("`{name}` takes {what}, not {}", operand.describe());
        checker.report(operand.span, message);
        None
    };
    let template = operand.as_text().is_some_and(is_template);
    Some(match name {
        "equals" => Predicate::Equals(operand.to_value()),
        "contains" => Predicate::Contains(operand.to_value()),
        "not" => Predicate::Not(Box::new(predicate(operand, checker)?)),
        "absent" | "present" | "null" => {
            let Kind::Bool(yes) = operand.kind else {
                return wrong("true or false");
            };
            match (name, yes) {
                ("absent", true) | ("present", false) => Predicate::Absent,
                ("absent", false) | ("present", true) => Predicate::Present,
                (_, true) => Predicate::Null,
                (_, false) => Predicate::Not(Box::new(Predicate::Null)),
            }
        }
        "one-of" => match &operand.kind {
            Kind::List(items) if !items.is_empty() => Predicate::OneOf(items.iter().map(Node::to_value).collect()),
            _ => return wrong("a list of values"),
        },
        "any" => match &operand.kind {
            Kind::List(items) if !items.is_empty() => {
                let items: Vec<Option<Predicate>> = items.iter().map(|item| predicate(item, checker)).collect();
                Predicate::Any(items.into_iter().collect::<Option<Vec<Predicate>>>()?)
            }
            _ => return wrong("a list of predicates"),
        },
        "matches" => {
            let Some(pattern) = operand.as_text() else {
                return wrong("a regular expression");
            };
            if !template && !regex(pattern, operand.span, checker) {
                return None;
            }
            Predicate::Matches(pattern.to_owned())
        }
        "count" => {
            let whole = matches!(&operand.kind, Kind::Number(n) if n.is_u64());
            if !whole && !template {
                return wrong("a whole number");
            }
            Predicate::Count(operand.to_value())
        }
        _ => {
            if !matches!(operand.kind, Kind::Number(_) | Kind::Text(_)) {
                return wrong("a number");
            }
            let value = operand.to_value();
            match name {
                "less-than" => Predicate::LessThan(value),
                _ => Predicate::AtLeast(value),
            }
        }
    })
}

/// Checks a regular expression.
fn regex(pattern: &str, span: Span, checker: &mut Checker) -> bool {
    if checker.checked {
        return true;
    }
    match Regex::new(pattern) {
        Ok(_) => true,
        Err(error) => {
            // The last line says what; the lines before draw the pattern again.
            let error = error.to_string();
            let what = error.lines().last().unwrap_or("").trim_start_matches("error: ");
            checker.report(span, format!("not a regular expression: {what}"));
            false
        }
    }
}
