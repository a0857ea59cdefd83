//! Whether a scenario can prove what it says: that the road was open where it says that a door
//! was shut, and that it does no more than it says.

use indexmap::IndexMap;
use serde_json::Value;

use super::field::Found;
use super::model::{Claim, Expectation, Predicate};
use super::phrase;
use super::predicate::Truth;
use super::step::Read;
use crate::vocabulary::{ExpectationKind, Intrusion};
use crate::yaml::Span;
use crate::yaml::checker::Checker;
use crate::yaml::node::Node;

/// The least intrusion that a step is.
fn least(read: &Read<'_>) -> Intrusion {
    match read.verb.name {
        "http" if changes(read.step.args.get("http")) => Intrusion::Use,
        "session" | "restart-session" | "delete-session" | "attach" | "type" | "resize" | "exec" | "websocket" => {
            Intrusion::Use
        }
        "patch-secret" | "seed-token" | "restart" | "delete" | "login" | "upgrade" | "delete-pods" => {
            Intrusion::Disrupt
        }
        "raw" | "timing" | "load" | "turn-load" | "await-load" => Intrusion::Attack,
        _ => Intrusion::Observe,
    }
}

/// Whether a request may change something (RFC 9110 §9.2.1); one whose method is a variable's may.
fn changes(request: Option<&Value>) -> bool {
    let method = request.and_then(Value::as_str).and_then(|text| text.split_once(' '));
    method.is_some_and(|(method, _)| !["GET", "HEAD", "OPTIONS"].contains(&method))
}

/// A platform that isn't ours is protected by what scenarios say of themselves.
pub(super) fn intrusion<'r>(
    root: &Node,
    declared: Intrusion,
    steps: impl Iterator<Item = &'r Read<'r>>,
    checker: &mut Checker,
) {
    let greatest = steps.map(|read| (least(read), read)).max_by_key(|(least, _)| *least);
    let Some((least, read)) = greatest.filter(|(least, _)| *least > declared) else {
        return;
    };
    let span = match root.get("intrusion") {
        Some(node) => node.span,
        None => read.node.span,
    };
    let message = format!(
        "`{}` in line {} does more to a platform than `{}`",
        read.verb.name,
        read.node.span.line,
        declared.name()
    );
    checker.report_with_help(span, message, format!("say `intrusion: {}`", least.name()));
}

/// What is done at the end comes whatever the verdict is, and can't be part of it.
pub(super) fn no_judgement_in_finally(finally: &[Read<'_>], checker: &mut Checker) {
    let keys = finally.iter().filter_map(|read| read.node.as_map()).flatten();
    for (key, _) in keys.filter(|(key, _)| ["check", "needs", "fact"].contains(&key.name.as_str())) {
        let message = format!("`{}` in `finally`, which isn't part of the verdict", key.name);
        let help = "judge it in `steps`; conditions of the clean-up are `given`";
        checker.report_with_help(key.span, message, help);
    }
}

/// A refusal says nothing where nothing could have been let in. Where a policy decides what is
/// expected, that is so for each of its choices.
pub(super) fn open_road(root: &Node, steps: &[Read<'_>], checker: &mut Checker) {
    if root.get("open-road").is_some() {
        return;
    }
    let expectations = || steps.iter().flat_map(|read| &read.step.expectations);
    let mut worlds: Vec<Option<(&str, &str)>> = vec![None];
    for expectation in expectations() {
        if let Claim::Policy { name, choices } = &expectation.claim {
            worlds.extend(choices.keys().map(|choice| Some((name.as_str(), choice.as_str()))));
        }
    }
    for world in worlds {
        let judged = |e: &&Expectation| matches!(e.kind, ExpectationKind::Check | ExpectationKind::Given);
        if expectations().filter(judged).any(|e| opens(&e.claim, world)) {
            continue;
        }
        let refusal = expectations()
            .filter(|e| e.kind == ExpectationKind::Check)
            .find(|e| refuses(&e.claim, world));
        let Some(refusal) = refusal else { continue };
        let span = rest_of_line(checker, refusal.place.line, refusal.place.column);
        let message = match world {
            None => "a refusal, and nothing shows that the road was open".to_owned(),
            Some((policy, choice)) => {
                format!("a refusal where {policy} is {choice}, and nothing shows that the road was open then")
            }
        };
        let help = "attach with what is right too (`check: opens` or `given: opens`), \
                    or say at the top why that can't be: `open-road: …`";
        checker.report_with_help(span, message, help);
        return;
    }
}

/// That nothing was found says nothing where nothing could be read.
pub(super) fn proof_of_search(steps: &[Read<'_>], checker: &mut Checker) {
    for read in steps.iter().filter(|read| read.verb.name == "search") {
        let proof = read.step.args.get("proof").and_then(Value::as_str);
        if proof.is_some_and(|text| !text.is_empty()) {
            continue;
        }
        let judged = |e: &&Expectation| matches!(e.kind, ExpectationKind::Check | ExpectationKind::Given);
        let absence = read
            .step
            .expectations
            .iter()
            .filter(judged)
            .find(|e| holds_of_nothing(&e.claim, read));
        if let Some(absence) = absence {
            let span = rest_of_line(checker, absence.place.line, absence.place.column);
            let message = "a search that must find nothing has no `proof` that it read the right place";
            let help = "add a text that is certainly there: `proof: …`";
            checker.report_with_help(span, message, help);
        }
    }
}

/// Whether a claim of a search holds where nothing was found.
fn holds_of_nothing(claim: &Claim, read: &Read<'_>) -> bool {
    let holds = |fields: &IndexMap<String, Predicate>| {
        let nothing = Value::Array(Vec::new());
        fields
            .get("found")
            .is_some_and(|predicate| predicate.test(&Found::Value(&nothing)) == Ok(Truth::Holds))
    };
    match claim {
        Claim::Phrase(text) => phrase::fields(read.verb, text).is_some_and(|fields| holds(&fields)),
        Claim::Fields(fields) => holds(fields),
        Claim::Policy { choices, .. } => choices.values().any(|claim| holds_of_nothing(claim, read)),
        Claim::Facts(_) => false,
    }
}

/// The bytes of the rest of a line from a column on.
fn rest_of_line(checker: &Checker, line: u32, column: u32) -> Span {
    let text = &checker.source.text;
    let before: usize = text.split_inclusive('\n').take(line as usize - 1).map(str::len).sum();
    let rest = checker.source.line(line);
    let skipped: usize = rest.chars().take(column as usize - 1).map(char::len_utf8).sum();
    Span {
        start: before + skipped,
        end: before + rest.len(),
        line,
        column,
    }
}

/// Whether a claim shows that the road was open, with a policy declared so; of other policies
/// whatever is declared.
fn opens(claim: &Claim, world: Option<(&str, &str)>) -> bool {
    match claim {
        Claim::Phrase(phrase) => ["opens", "begins"].contains(&phrase.trim()),
        Claim::Fields(fields) => is(fields, true),
        Claim::Policy { name, choices } => match world {
            Some((policy, choice)) if policy == name => choices.get(choice).is_some_and(|c| opens(c, world)),
            _ => choices.values().all(|claim| opens(claim, world)),
        },
        Claim::Facts(_) => false,
    }
}

/// Whether a claim is that a door was shut.
fn refuses(claim: &Claim, world: Option<(&str, &str)>) -> bool {
    match claim {
        Claim::Phrase(phrase) => phrase.trim().starts_with("refused") || phrase.trim() == "not opened",
        Claim::Fields(fields) => is(fields, false),
        Claim::Policy { name, choices } => match world {
            Some((policy, choice)) if policy == name => choices.get(choice).is_some_and(|c| refuses(c, world)),
            // Looked at for each choice of its own.
            _ => false,
        },
        Claim::Facts(_) => false,
    }
}

fn is(fields: &IndexMap<String, Predicate>, yes: bool) -> bool {
    fields.get("opened") == Some(&Predicate::Equals(Value::Bool(yes)))
}
