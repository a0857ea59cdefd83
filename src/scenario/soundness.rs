//! Whether a scenario can prove what it says: that the road was open where it says that a door
//! was shut, and that it does no more than it says.

use indexmap::IndexMap;
use serde_json::Value;

use super::field::Found;
use super::model::{Claim, Expectation, Predicate, Said};
use super::phrase;
use super::predicate::Truth;
use super::step::Read;
use crate::steps::{Proof, Verb};
use crate::vocabulary::{ExpectationKind, Intrusion};
use crate::yaml::Span;
use crate::yaml::checker::Checker;
use crate::yaml::node::Node;

/// A platform that isn't ours is protected by what scenarios say of themselves.
pub(super) fn intrusion<'r>(
    root: &Node,
    declared: Intrusion,
    steps: impl Iterator<Item = &'r Read<'r>>,
    checker: &mut Checker,
) {
    let greatest = steps
        .map(|read| ((read.verb.intrusion)(&read.step.args), read))
        .max_by_key(|(least, _)| *least);
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

/// What verbs look for in steps of theirs.
pub(super) fn by_verb<'r>(steps: impl Iterator<Item = &'r Read<'r>>, checker: &mut Checker) {
    let steps: Vec<&Read<'_>> = steps.collect();
    let nodes: Vec<&Node> = steps.iter().map(|read| read.node).collect();
    for (number, read) in steps.iter().enumerate() {
        if let Some(check) = read.verb.check {
            check(read.node, &nodes[number + 1..], checker);
        }
    }
}

/// A refusal says nothing where nothing could have been let in. Where a policy decides what is
/// expected, that is so for each of its choices.
pub(super) fn open_road(root: &Node, steps: &[Read<'_>], checker: &mut Checker) {
    if root.get("open-road").is_some() {
        return;
    }
    let expectations = || {
        steps.iter().flat_map(|read| {
            let verb = read.verb;
            read.step
                .expectations
                .iter()
                .map(move |expectation| (expectation, verb))
        })
    };
    let mut worlds: Vec<Option<(&str, &str)>> = vec![None];
    for (expectation, _) in expectations() {
        if let Claim::Policy { name, choices } = &expectation.claim {
            worlds.extend(choices.keys().map(|choice| Some((name.as_str(), choice.as_str()))));
        }
    }
    for world in worlds {
        let opens = |(e, verb): (&Expectation, &Verb)| is_judged(e) && opens(&e.claim, verb, world);
        if expectations().any(opens) {
            continue;
        }
        let refusal = expectations()
            .filter(|(e, _)| e.kind == ExpectationKind::Check)
            .find(|(e, verb)| refuses(&e.claim, verb, world));
        let Some((refusal, _)) = refusal else { continue };
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
pub(super) fn proof_of_absence(steps: &[Read<'_>], checker: &mut Checker) {
    for read in steps {
        let Some(Proof { field, key }) = read.verb.proof else {
            continue;
        };
        let proof = read.step.args.get(key).and_then(Value::as_str);
        if proof.is_some_and(|text| !text.is_empty()) {
            continue;
        }
        let absence = read
            .step
            .expectations
            .iter()
            .filter(|e| is_judged(e))
            .find(|e| holds_of_nothing(&e.claim, field));
        if let Some(absence) = absence {
            let span = rest_of_line(checker, absence.place.line, absence.place.column);
            let message = format!("a search that must find nothing has no `{key}` that it read the right place");
            let help = format!("add a text that is certainly there: `{key}: …`");
            checker.report_with_help(span, message, help);
        }
    }
}

fn is_judged(expectation: &Expectation) -> bool {
    matches!(expectation.kind, ExpectationKind::Check | ExpectationKind::Given)
}

/// Whether a claim holds where a field lists nothing.
fn holds_of_nothing(claim: &Claim, field: &str) -> bool {
    let holds = |fields: &IndexMap<String, Predicate>| {
        let nothing = Value::Array(Vec::new());
        fields
            .get(field)
            .is_some_and(|predicate| predicate.test(&Found::Value(&nothing)) == Ok(Truth::Holds))
    };
    match claim {
        Claim::Phrase(said) => said.fields.as_ref().is_some_and(holds),
        Claim::Fields(fields) => holds(fields),
        Claim::Policy { choices, .. } => choices.values().any(|claim| holds_of_nothing(claim, field)),
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
fn opens(claim: &Claim, verb: &Verb, world: Option<(&str, &str)>) -> bool {
    match claim {
        Claim::Policy { name, choices } => match world {
            Some((policy, choice)) if policy == name => choices.get(choice).is_some_and(|c| opens(c, verb, world)),
            _ => choices.values().all(|claim| opens(claim, verb, world)),
        },
        claim => opened(claim, verb) == Some(true),
    }
}

/// Whether a claim is that a door was shut.
fn refuses(claim: &Claim, verb: &Verb, world: Option<(&str, &str)>) -> bool {
    match claim {
        Claim::Policy { name, choices } => match world {
            Some((policy, choice)) if policy == name => choices.get(choice).is_some_and(|c| refuses(c, verb, world)),
            // Looked at for each choice of its own.
            _ => false,
        },
        claim => opened(claim, verb) == Some(false),
    }
}

/// The field of observations that says whether a door was open.
const OPENED: &str = "opened";

/// What a claim that depends on no policy says of whether a door was open, where it says that.
fn opened(claim: &Claim, verb: &Verb) -> Option<bool> {
    let said_of = |fields: &IndexMap<String, Predicate>| match fields.get(OPENED) {
        Some(Predicate::Equals(Value::Bool(yes))) => Some(*yes),
        _ => None,
    };
    match claim {
        Claim::Phrase(Said {
            fields: Some(fields), ..
        }) => said_of(fields),
        Claim::Phrase(Said { text, fields: None }) => (phrase::recognise(verb, text)?.fields)()[OPENED].as_bool(),
        Claim::Fields(fields) => said_of(fields),
        Claim::Policy { .. } | Claim::Facts(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::scenario::parse::parse_with_id;
    use crate::yaml::{Problems, Source};

    /// What is wrong with a scenario that has these steps.
    fn told(steps: &[&str]) -> String {
        let steps: Vec<String> = steps.iter().map(|step| format!("  - {{ {step} }}\n")).collect();
        let text = format!(
            "apiVersion: gauntlet/v1\nid: harness-token/a/b\ntitle: A title\nspec: A source\nlevel: extended\n\
             intrusion: attack\nvars: {{ status: 401 }}\nsteps:\n  - {{ session: new, as: s }}\n{}",
            steps.concat()
        );
        match parse_with_id(&Source::new("harness-token/a/b.yaml", text)) {
            Ok(_) => String::new(),
            Err(problems) => Problems(problems).render_plain(),
        }
    }

    #[test]
    fn a_refusal_needs_a_road_that_was_open() {
        let open = r#"attach: "${s}", token: x, given: opens"#;
        for refusal in [
            r#"attach: "${s}", check: refused 401"#,
            r#"attach: "${s}", check: "refused ${status}""#,
            r#"attach: "${s}", check: not opened"#,
            r#"attach: "${s}", check: { opened: false }"#,
            r#"raw: "${s}", send: [x], check: refused 400"#,
        ] {
            let shut = told(&[refusal]);
            assert!(
                shut.contains("nothing shows that the road was open"),
                "{refusal}: {shut}"
            );
            assert_eq!(told(&[refusal, open]), "", "{refusal}");
        }
        assert_eq!(told(&[r#"raw: "${s}", send: [x], check: answers 400"#]), "");
    }

    #[test]
    fn that_nothing_was_found_needs_a_proof() {
        for expected in ["finds nothing", "{ found: { count: 0 } }"] {
            let unproven = told(&[&format!("search: x, in: [logs], check: {expected}")]);
            assert!(unproven.contains("`proof: …`"), "{expected}: {unproven}");
        }
        assert_eq!(told(&["search: x, in: [logs], check: finds nothing, proof: y"]), "");
    }

    /// What each looks for is its own; that it is asked is told here.
    #[test]
    fn a_verb_is_asked_what_is_wrong_with_a_step() {
        let load = r#"load: "${s}", attaches: 9, until-open: 3, as: l, given: runs"#;
        assert!(told(&[load]).contains("no step waits for its end"));
        assert_eq!(told(&[load, r#"await-load: "${l}", check: passes"#]), "");
    }
}
