use super::*;
use crate::scenario::{Claim, Predicate};
use crate::vocabulary::ExpectationKind;
use proptest::prelude::*;
use serde_json::json;
use std::time::Duration;

const STORY: &str = r#"
apiVersion: gauntlet/v1
id: a/b/c
title: All that a file can say
spec: Nowhere
level: extended
intrusion: disrupt
tags: [x, y]
world: { secret: without-token, warm-pool: 2, balancer: { idle-timeout: 500ms } }
vars: { wrong: "${token()}", again: "${wrong}" }
matrix:
  road: [direct, proxy]
  token: { nearly: "${secret.token[:-1]}", 1: x }
timeout: 2m
steps:
  - pods: warm
    as: old
    until: { ready: 2, "items[*].ready": true }
    within: 30s
    every: 20ms
  - session: new
    as: s
  - attach: ${s}
    road: ${road}
    token: ${again}
    path: ${door}/
    as: t
    check:
      - opens
      - { status: { at-least: 100, not: 500 }, body.x: null, header.a-b: { absent: true } }
      - policy: token.scope
        platform: opens
        session: refused 401 or 403
    needs: refused ${wrong}
    reason: because
    fact: { shown: body.tty_token }
    holds-for: 1.5s
  - terminal: ${t}
    keep-alive: true
finally:
  - delete-session: ${s}
"#;

fn read(text: &str) -> Scenario {
    let read = parse_with_id(&Source::new("a/b/c.yaml", text));
    read.unwrap_or_else(|problems| panic!("{}", crate::yaml::Problems(problems)))
        .0
}

#[test]
fn all_that_a_file_can_say() {
    let scenario = read(STORY);
    assert_eq!((scenario.row(), scenario.contract()), ("a/b/c", "a"));
    assert_eq!(scenario.world.warm_pool, 2);
    assert_eq!(scenario.world.web_replicas, 1);
    assert_eq!(scenario.timeout, Some(Duration::from_secs(120)));
    let runs: Vec<Vec<&str>> = scenario
        .combinations()
        .iter()
        .map(|run| run.iter().map(|(_, choice)| choice.name.as_str()).collect())
        .collect();
    assert_eq!(
        runs,
        [
            ["direct", "nearly"],
            ["direct", "1"],
            ["proxy", "nearly"],
            ["proxy", "1"]
        ]
    );
    let [pods, session, attach, terminal] = &scenario.steps[..] else {
        panic!("four steps")
    };
    assert_eq!(pods.expectations[0].kind, ExpectationKind::Given);
    assert_eq!(pods.every, Some(Duration::from_millis(20)));
    assert!(matches!(&session.expectations[0].claim, Claim::Phrase(said) if said.text == "ready"));
    assert_eq!(
        attach.args,
        json!({"attach": "${s}", "road": "${road}", "token": "${again}", "path": "${door}/"})
    );
    let kinds: Vec<ExpectationKind> = attach.expectations.iter().map(|e| e.kind).collect();
    use ExpectationKind::{Check, Fact, Needs};
    assert_eq!(kinds, [Check, Check, Check, Needs, Fact]);
    let Claim::Fields(fields) = &attach.expectations[1].claim else {
        panic!("fields")
    };
    assert_eq!(fields["body.x"], Predicate::Null);
    assert_eq!(fields["header.a-b"], Predicate::Absent);
    let place = &attach.expectations[1].place;
    assert_eq!(
        place.text().trim(),
        "- { status: { at-least: 100, not: 500 }, body.x: null, header.a-b: { absent: true } }"
    );
    assert_eq!(place.column, 9);
    assert_eq!(attach.holds_for, Some(Duration::from_millis(1500)));
    assert_eq!(terminal.args, json!({"terminal": "${t}", "keep-alive": true}));
}

proptest! {
    #[test]
    fn never_panics(text in "\\PC{0,200}") {
        let _ = parse_with_id(&Source::new("a/b/c.yaml", text));
    }

    /// A good file with something done to it.
    #[test]
    fn never_panics_near_a_good_file(at in 0usize..1600, cut in 0usize..60, put in "[ \n:{}\\[\\]\"'$a-c&*!|>-]{0,6}") {
        let mut text: Vec<char> = STORY.chars().collect();
        let start = at.min(text.len());
        let end = (start + cut).min(text.len());
        text.splice(start..end, put.chars());
        let source = Source::new("a/b/c.yaml", text.into_iter().collect::<String>());
        if let Err(problems) = parse_with_id(&source) {
            prop_assert!(!problems.is_empty());
            for problem in &problems {
                prop_assert!(problem.span.end <= source.text.len());
            }
            let _ = crate::yaml::Problems(problems).render();
        }
    }
}
