//! Parses a step in a file.

use std::time::Duration;

use indexmap::IndexMap;
use serde_json::Value;

use super::claim;
use super::model::{Claim, Expectation, Step};
use super::phrase;
use super::schema::{SCHEMA, step_name};
use crate::steps::{VERBS, Verb};
use crate::vocabulary::ExpectationKind;
use crate::vocabulary::duration;
use crate::vocabulary::similar::{nearest, suggestion};
use crate::yaml::checker::Checker;
use crate::yaml::node::{Key, Kind, Node};
use crate::yaml::shape;

/// Keys that every step can have beside its verb's own.
pub(super) const COMMON: [&str; 10] = [
    "as",
    "given",
    "until",
    "needs",
    "check",
    "fact",
    "reason",
    "within",
    "every",
    "holds-for",
];

/// A step with what the checks over the whole scenario need of the file.
pub(super) struct Read<'n> {
    pub step: Step,
    pub verb: &'static Verb,
    pub node: &'n Node,
}

/// Reads a step. Nothing where it has no verb; other problems leave a step behind.
pub(super) fn read<'n>(node: &'n Node, checker: &mut Checker) -> Option<Read<'n>> {
    let Kind::Map(entries) = &node.kind else {
        let message = format!("a step must be a map with a verb's key, not {}", node.describe());
        checker.report_with_help(node.span, message, "as `- attach: ${s}`");
        return None;
    };
    let verb = verb_of(entries, node, checker)?;
    let before = checker.problems.len();
    // The schema is made when it is first looked at.
    if !checker.checked {
        let definition = SCHEMA["definitions"].get(step_name(verb.name))?;
        shape::check(&SCHEMA, definition, node, &format!("`{}`", verb.name), checker);
    }
    let well_shaped = checker.problems.len() == before;

    let mut args = serde_json::Map::new();
    let mut expectations = Vec::new();
    // Where nothing can be expected the keys for it are unknown ones, reported with the shape.
    let expects = !verb.phrases.is_empty() || !verb.fields.is_empty();
    for (key, value) in entries {
        match key.name.as_str() {
            name if COMMON.contains(&name) && !expects => {}
            "check" => expect(ExpectationKind::Check, value, verb, &mut expectations, checker),
            "given" | "until" => expect(ExpectationKind::Given, value, verb, &mut expectations, checker),
            "needs" => expect(ExpectationKind::Needs, value, verb, &mut expectations, checker),
            "fact" => fact(value, verb, &mut expectations, checker),
            name if COMMON.contains(&name) => {}
            name => {
                args.insert(name.to_owned(), value.to_value());
            }
        }
    }
    if let Some(phrase) = verb.default_given
        && !COMMON[1..6].iter().any(|key| node.get(key).is_some())
    {
        expectations.push(Expectation {
            kind: ExpectationKind::Given,
            claim: Claim::Phrase(phrase::said(verb, phrase)),
            place: checker.place(node.span),
        });
    }
    if well_shaped && !checker.checked {
        times_and_reasons(entries, node, checker);
    }
    let step = Step {
        verb: verb.name,
        args: Value::Object(args),
        bind: node.get("as").and_then(Node::as_text).map(str::to_owned),
        expectations,
        within: time(node, "within"),
        every: time(node, "every"),
        holds_for: time(node, "holds-for"),
        reason: node.get("reason").and_then(Node::as_text).map(str::to_owned),
        place: checker.place(node.span),
    };
    Some(Read { step, verb, node })
}

/// The verb of a step. A key that is a verb's name and another verb's key (`ping` of
/// `terminal`) doesn't count beside that other.
fn verb_of(entries: &[(Key, Node)], node: &Node, checker: &mut Checker) -> Option<&'static Verb> {
    let named: Vec<&'static Verb> = entries
        .iter()
        .filter_map(|(key, _)| crate::steps::verb(&key.name))
        .collect();
    if let [verb] = named.as_slice() {
        return Some(*verb);
    }
    let owns = |verb: &Verb, key: &str| {
        SCHEMA["definitions"][step_name(verb.name)]["properties"]
            .get(key)
            .is_some()
    };
    let whole: Vec<&&'static Verb> = named
        .iter()
        .filter(|verb| named.iter().all(|other| owns(verb, other.name)))
        .collect();
    if let [verb] = whole.as_slice() {
        return Some(**verb);
    }
    let verbs = VERBS.iter().map(|verb| verb.name);
    match named.as_slice() {
        [] => {
            let keys: Vec<&(Key, Node)> = entries
                .iter()
                .filter(|(key, _)| !COMMON.contains(&key.name.as_str()))
                .collect();
            let meant = keys
                .iter()
                .find_map(|(key, _)| Some((key, nearest(&key.name, verbs.clone())?)));
            match (meant, keys.first()) {
                (Some((key, near)), _) => {
                    let message = format!("no verb `{}`", key.name);
                    checker.report_with_help(key.span, message, format!("did you mean `{near}`?"));
                }
                (None, Some((key, _))) => {
                    let help = suggestion(&key.name, verbs, "verbs");
                    checker.report_with_help(key.span, format!("no verb `{}`", key.name), help);
                }
                (None, None) => {
                    let help = suggestion("", verbs, "verbs");
                    checker.report_with_help(node.span, "a step needs a verb", help);
                }
            }
        }
        several => {
            let names: Vec<String> = several.iter().map(|verb| format!("`{}`", verb.name)).collect();
            let message = format!("a step has one verb, and this one has {}", names.join(" and "));
            checker.report_with_help(node.span, message, "make it several steps, each with its `-`");
        }
    }
    None
}

fn expect(kind: ExpectationKind, node: &Node, verb: &Verb, out: &mut Vec<Expectation>, checker: &mut Checker) {
    for (claim, span) in claim::claims(node, kind, verb, checker) {
        let place = checker.place(span);
        out.push(Expectation { kind, claim, place });
    }
}

fn fact(node: &Node, verb: &Verb, out: &mut Vec<Expectation>, checker: &mut Checker) {
    let Kind::Map(entries) = &node.kind else {
        return expect(ExpectationKind::Fact, node, verb, out, checker);
    };
    let mut fields = IndexMap::new();
    for (key, path) in entries {
        match path.as_text() {
            Some(text) => {
                claim::field_path(text, path.span, verb, checker);
                fields.insert(key.name.clone(), text.to_owned());
            }
            None => {
                let message = format!("a fact is the path of a field, not {}", path.describe());
                checker.report_with_help(path.span, message, "as `shown-token: body.tty_token`");
            }
        }
    }
    if entries.is_empty() {
        checker.report(node.span, "an empty map reports nothing");
        return;
    }
    out.push(Expectation {
        kind: ExpectationKind::Fact,
        claim: Claim::Facts(fields),
        place: checker.place(node.span),
    });
}

/// Keys that mean nothing without others.
fn times_and_reasons(entries: &[(Key, Node)], node: &Node, checker: &mut Checker) {
    let has = |name: &str| node.get(name).is_some();
    let rules: [(&str, bool, &str, &str); 4] = [
        (
            "until",
            has("within"),
            "`until` needs `within`",
            "say how long it may take: `within: 30s`",
        ),
        (
            "needs",
            has("reason"),
            "`needs` lacks a `reason`",
            "say why the scenario can't run without: `reason: …`",
        ),
        (
            "reason",
            has("needs"),
            "a `reason` without `needs`",
            "`reason` says why `needs` is needed",
        ),
        (
            "every",
            has("within") || has("holds-for"),
            "`every` without `within` or `holds-for`",
            "a step is repeated where one of them says for how long",
        ),
    ];
    for (key, _) in entries {
        for (name, good, message, help) in rules {
            if key.name == name && !good {
                checker.report_with_help(key.span, message, help);
            }
        }
    }
}

fn time(node: &Node, key: &str) -> Option<Duration> {
    duration::parse(node.get(key)?.as_text()?)
}
