//! Made-up runs for the tests of reporters: every verdict, every odd character.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::RunFolder;
use crate::events::*;
use crate::vocabulary::{ExpectationKind, Level};

/// The folder of the run that all of them are of: `reports/20260102T030405Z`.
pub(super) fn folder() -> RunFolder {
    RunFolder::new("reports".into(), STARTED.parse().unwrap())
}

const STARTED: &str = "2026-01-02T03:04:05Z";

fn at(file: &str, line: u32, text: &str) -> At {
    let before = text.len() - text.trim_start().len();
    At {
        file: format!("scenarios/{file}.yaml"),
        line,
        column: u32::try_from(before).unwrap() + 1,
        text: text.to_owned(),
        before: vec!["  - step: before it".to_owned()],
    }
}

fn run(id: &str, parameters: &[(&str, &str)]) -> RunOf {
    RunOf {
        id: id.to_owned(),
        parameters: parameters.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect(),
        repetition: None,
    }
}

fn scenario(run: RunOf, title: &str, verdict: Verdict, millis: u64) -> ScenarioResult {
    ScenarioResult {
        at: Some(at(&run.id, 2, &format!("apiVersion: gauntlet/v1 # {title}"))),
        run,
        title: title.to_owned(),
        spec: "litellm-agent-platform, HARNESS_AUTH_TOKEN, \"Authentication\"".to_owned(),
        level: Level::Core,
        verdict,
        reason: None,
        interrupted: false,
        duration: Duration::from_millis(millis),
        attaches: Vec::new(),
        checks: Vec::new(),
        facts: Vec::new(),
        evidence: Vec::new(),
        reproduce: Vec::new(),
        expected_failure: None,
        expired_expectation: None,
        flaky: None,
    }
}

struct Words {
    what: &'static str,
    expected: &'static str,
    got: &'static str,
}

fn check(result: &ScenarioResult, step: &str, verdict: Verdict, words: Words, at: At) -> CheckResult {
    CheckResult {
        id: format!("{}#{step}", result.run),
        kind: ExpectationKind::Check,
        verdict,
        what: words.what.to_owned(),
        expected: words.expected.to_owned(),
        got: words.got.to_owned(),
        reason: None,
        at,
    }
}

fn accept() -> ScenarioResult {
    let run = run("harness-token/token/accept", &[("road", "direct")]);
    let mut result = scenario(run, "The right token opens a working terminal", Verdict::Pass, 12);
    result.checks = vec![check(
        &result,
        "2.1",
        Verdict::Pass,
        Words {
            what: "attach s via direct",
            expected: "opens",
            got: "101, and the nonce was seen on the screen",
        },
        at("harness-token/token/accept", 14, "    check: opens"),
    )];
    result
}

pub(super) fn stale() -> ScenarioResult {
    let mut result = scenario(
        run("harness-token/warm/stale", &[]),
        "Warm pods older than the token refuse it until they are deleted",
        Verdict::Fail,
        1234,
    );
    result.spec = "litellm-agent-platform, HARNESS_AUTH_TOKEN, \"Bootstrap\"".to_owned();
    result.reason = Some("attach old: expected refused 401, got 101".to_owned());
    result.checks = vec![
        check(
            &result,
            "1.1",
            Verdict::Pass,
            Words {
                what: "pods warm",
                expected: "count: 2",
                got: "2 pods",
            },
            at("harness-token/warm/stale", 10, "    given: { count: 2 }"),
        ),
        check(
            &result,
            "3.1",
            Verdict::Fail,
            Words {
                what: "attach old (warm-7xk2p) with the token of the secret",
                expected: "refused 401",
                got: "opened: 101 Switching Protocols, and what was typed came back on the screen",
            },
            at("harness-token/warm/stale", 14, "    check: refused 401"),
        ),
    ];
    result.reason = result.checks.last().map(CheckResult::why);
    result.evidence = vec![
        Evidence {
            title: "wire transcript".to_owned(),
            file_name: "wire.txt".to_owned(),
            text: "> GET /tty?token=$HARNESS_AUTH_TOKEN HTTP/1.1\n> Host: 10.0.0.7:4096\n\
                   > Upgrade: websocket\n> Connection: Upgrade\n\
                   < HTTP/1.1 101 Switching Protocols\n< upgrade: websocket\n"
                .to_owned(),
        },
        Evidence {
            title: "log of pod warm-7xk2p".to_owned(),
            file_name: "pod-warm-7xk2p.log".to_owned(),
            text: "listening on 4096\n".to_owned(),
        },
    ];
    result.reproduce = vec![
        "HARNESS_AUTH_TOKEN=$(kubectl get secret litellm-env -o jsonpath='{.data.HARNESS_AUTH_TOKEN}' | base64 -d)".to_owned(),
        "curl -i \"http://10.0.0.7:4096/tty?token=$HARNESS_AUTH_TOKEN\" -H 'Upgrade: websocket' -H 'Connection: Upgrade'".to_owned(),
        "gauntlet run harness-token/warm/stale --seed 42".to_owned(),
    ];
    result
}

/// All that could upset a format.
fn odd() -> ScenarioResult {
    let mut result = scenario(
        run(
            "harness-token/token/odd",
            &[("value", "a|b"), ("road", "<proxy> & `co`")],
        ),
        "Odd | characters <b>&amp;</b> `` ``` \u{7}\u{fffe} $x$",
        Verdict::Fail,
        7,
    );
    result.level = Level::Extended;
    result.checks = vec![check(
        &result,
        "1.1",
        Verdict::Fail,
        Words {
            what: "http GET /<script>|`x`",
            expected: "body contains \"```\"\nand more",
            got: "\x1b[2J\x1b]0;title\x07 </testcase> ]]> ::error::x | \u{202e}drowssap\n::set-env\n```\n# no heading",
        },
        at(
            "odd | file",
            3,
            "\t- http: \"GET /<script>|`x`\" # a very long line indeed, which goes on beyond the width of any terminal that a person would have",
        ),
    )];
    result.evidence = vec![
        Evidence {
            title: "wire | transcript <raw>".to_owned(),
            file_name: "../../wire.txt".to_owned(),
            text: (1..=30).map(|n| format!("line {n} \u{0}\u{1b}[31m ````\r\n")).collect(),
        },
        Evidence {
            title: "screen".to_owned(),
            file_name: "../../wire.txt".to_owned(),
            text: String::new(),
        },
    ];
    result
}

fn could_not_tell() -> ScenarioResult {
    let mut result = scenario(
        run("codex-auth/login/first", &[]),
        "The first login stores the credentials",
        Verdict::Error,
        30_000,
    );
    result.reason = Some("the deployment codex-login had no ready pod within 30s".to_owned());
    let mut given = check(
        &result,
        "1.1",
        Verdict::Error,
        Words {
            what: "rollout codex-login",
            expected: "ready within 30s",
            got: "0 of 1 pods ready: ImagePullBackOff",
        },
        at("codex-auth/login/first", 9, "    given: ready"),
    );
    given.kind = ExpectationKind::Given;
    result.checks = vec![given];
    result.evidence = vec![Evidence {
        title: "events".to_owned(),
        file_name: "events.yaml".to_owned(),
        text: "- reason: Failed\n  message: image not found\n".to_owned(),
    }];
    result.reproduce = vec!["gauntlet run codex-auth/login/first --seed 42".to_owned()];
    result
}

fn skipped() -> ScenarioResult {
    let mut result = scenario(
        run("agent-service/jwt/rotate", &[]),
        "Keys can be rotated",
        Verdict::Skip,
        0,
    );
    result.level = Level::Extended;
    result.reason = Some("policy jwt.unknown-kid not declared".to_owned());
    result
}

pub(super) fn fact(road: &str, value: serde_json::Value) -> ScenarioResult {
    let mut result = scenario(
        run("harness-token/token/both", &[("road", road)]),
        "Header and query that disagree",
        Verdict::Pass,
        20,
    );
    result.level = Level::Extended;
    result.facts = vec![FactResult {
        name: "token.precedence".to_owned(),
        value,
        at: at("harness-token/token/both", 8, "    fact: status"),
    }];
    result
}

fn known() -> ScenarioResult {
    let mut result = stale();
    result.run = run("harness-token/rotate/direct", &[]);
    result.title = "The old value is refused by the old pod".to_owned();
    result.expected_failure = Some("upstream bug, fixed in the next release".to_owned());
    result
}

fn not_known_any_more() -> ScenarioResult {
    let mut result = accept();
    result.run.id = "harness-token/token/flow".to_owned();
    result.run.repetition = Some(3);
    result.expected_failure = Some("tty_token was null".to_owned());
    result
}

fn started(scenarios: usize) -> Event {
    Event::RunStarted(Arc::new(RunInfo {
        version: "0.1.0".to_owned(),
        commit: Some("abc1234".to_owned()),
        started: STARTED.to_owned(),
        seed: 42,
        target: "embedded".to_owned(),
        selection: vec!["harness-token/**".to_owned()],
        level: "all".to_owned(),
        profile_digest: None,
        mutants: Vec::new(),
        scenarios,
    }))
}

fn finished(verdict: RunVerdict, summary: Summary, notes: &[&str]) -> Event {
    Event::RunFinished(Arc::new(RunResult {
        summary,
        verdict,
        duration: Duration::from_millis(31_234),
        notes: notes.iter().map(|n| n.to_string()).collect(),
    }))
}

fn scenario_events(result: ScenarioResult) -> Vec<Event> {
    let mut events = vec![Event::ScenarioStarted(result.run.clone())];
    for (n, check) in result.checks.iter().enumerate() {
        events.push(Event::StepStarted {
            run: result.run.clone(),
            number: n + 1,
            of: result.checks.len(),
            what: check.what.clone(),
        });
    }
    events.push(Event::ScenarioFinished(Arc::new(result)));
    events
}

fn events(results: Vec<ScenarioResult>, end: Event) -> Vec<Event> {
    let mut events = vec![started(results.len())];
    events.extend(results.into_iter().flat_map(scenario_events));
    events.push(end);
    events
}

/// Everything that can happen in one run.
pub(super) fn failing() -> Vec<Event> {
    let results = vec![
        accept(),
        stale(),
        fact("proxy", json!("query-wins")),
        fact(
            "direct",
            json!({"status": 401, "headers": ["a", "b"], "body": "unauthorized, and more"}),
        ),
        skipped(),
        could_not_tell(),
        known(),
        odd(),
        not_known_any_more(),
    ];
    let summary = Summary {
        pass: 3,
        fail: 3,
        error: 1,
        skip: 1,
        expected: 1,
        ..Summary::default()
    };
    events(results, finished(RunVerdict::Failed, summary, &[]))
}

/// One failure among what passes, as a newcomer meets it.
pub(super) fn one_failure() -> Vec<Event> {
    let summary = Summary {
        pass: 2,
        fail: 1,
        skip: 1,
        ..Summary::default()
    };
    let results = vec![accept(), stale(), fact("proxy", json!("query-wins")), skipped()];
    events(results, finished(RunVerdict::Failed, summary, &[]))
}

pub(super) fn passing() -> Vec<Event> {
    let summary = Summary {
        pass: 1,
        ..Summary::default()
    };
    events(vec![accept()], finished(RunVerdict::Passed, summary, &[]))
}

pub(super) fn partial() -> Vec<Event> {
    let mut core = skipped();
    core.level = Level::Core;
    core.reason = Some("the target url cannot change secrets (intrusion disrupt was not allowed)".to_owned());
    let summary = Summary {
        pass: 1,
        skip: 1,
        ..Summary::default()
    };
    let notes = ["1 core scenario of agent-service was skipped: 1 for lack of --allow disrupt"];
    events(vec![accept(), core], finished(RunVerdict::Partial, summary, &notes))
}

pub(super) fn interrupted() -> Vec<Event> {
    let summary = Summary {
        pass: 1,
        interrupted: 1,
        not_started: 7,
        ..Summary::default()
    };
    let mut stopped = stale();
    stopped.verdict = Verdict::Error;
    stopped.interrupted = true;
    stopped.reason = Some("interrupted in step 3 of 5 (`attach`)".to_owned());
    stopped.checks.pop();
    let results = vec![accept(), stopped];
    let mut events = events(results, finished(RunVerdict::Interrupted, summary, &[]));
    events[0] = started(9);
    events
}

/// The events left if gauntlet itself crashes.
pub(super) fn broken_off() -> Vec<Event> {
    let mut events = passing();
    events.pop();
    events[0] = started(9);
    events.push(Event::ScenarioStarted(run("harness-token/warm/stale", &[])));
    events
}

/// One failure with `text` wherever a platform's or user's text can stand.
pub(super) fn with_text(text: &str) -> Vec<Event> {
    let mut result = odd();
    result.title = text.to_owned();
    result.reason = Some(text.to_owned());
    for check in &mut result.checks {
        check.got = text.to_owned();
        check.at.text = text.to_owned();
    }
    for evidence in &mut result.evidence {
        evidence.title = text.to_owned();
        evidence.file_name = text.to_owned();
        evidence.text = text.to_owned();
    }
    result.reproduce = vec![text.to_owned()];
    result.facts = vec![FactResult {
        name: text.to_owned(),
        value: json!({ text: text }),
        at: at("odd", 1, ""),
    }];
    let summary = Summary {
        fail: 1,
        ..Summary::default()
    };
    events(vec![result], finished(RunVerdict::Failed, summary, &[text]))
}
