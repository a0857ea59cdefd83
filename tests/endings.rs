//! How runs end that don't go well: what is judged, what is said of it, what is cleaned up.

use crate::binary::{Ran, folder, json, run_in};
use serde_json::Value;

/// Scenarios that end in all ways.
const ENDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/endings");

/// Runs one of them, with further arguments; what was printed, and what the JSON report says of it.
fn ended(id: &str, further: &[&str], code: i32) -> (Ran, Value) {
    let folder = folder();
    let fixed = [
        "run",
        id,
        "--scenarios",
        ENDINGS,
        "--report",
        "console",
        "--report",
        "json=r.json",
    ];
    let ran = run_in(folder.path(), &[&fixed, further].concat()).exits(code);
    let report = json(&folder.path().join("r.json"));
    (ran, report["scenarios"][0].clone())
}

fn verdicts(scenario: &Value) -> Vec<(&str, &str)> {
    let checks = scenario["checks"].as_array().expect("a list");
    let text = |check: &'_ Value, key: &str| check[key].as_str().map(str::to_owned).expect("a text").leak() as &str;
    checks
        .iter()
        .map(|check| (text(check, "kind"), text(check, "verdict")))
        .collect()
}

#[test]
fn a_clean_up_that_fails_is_an_error() {
    let (ran, scenario) = ended("mine/clean-up/fails", &[], 3);
    assert_eq!(scenario["verdict"], "error");
    assert_eq!(verdicts(&scenario), [("check", "pass"), ("given", "error")]);
    assert!(ran.stdout.contains("expected  status 418"), "{}", ran.stdout);
    assert!(ran.stdout.contains("fails.yaml:13"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("this expectation is of the clean-up"),
        "{}",
        ran.stdout
    );
    let evidence = scenario["evidence"].as_array().expect("a list");
    assert!(
        evidence
            .iter()
            .any(|file| file.as_str().is_some_and(|file| file.ends_with("/wire.txt"))),
        "{evidence:?}"
    );
}

#[test]
fn a_failure_stays_one_whatever_becomes_of_the_clean_up() {
    let (ran, scenario) = ended("mine/clean-up/after-a-failure", &[], 1);
    assert_eq!(scenario["verdict"], "fail");
    assert_eq!(verdicts(&scenario), [("check", "fail"), ("given", "error")]);
    let reason = scenario["reason"].as_str().expect("a text");
    assert!(
        reason.starts_with("make a session: expected tty_token \"made up\""),
        "{reason}"
    );
    assert!(reason.contains("; and then, in `finally`: "), "{reason}");
    assert!(reason.ends_with("not found (404 NotFound)"), "{reason}");
    for part in ["tty_token \"made up\"", "status 418"] {
        assert!(ran.stdout.contains(part), "{part} is missing in\n{}", ran.stdout);
    }
}

#[test]
fn nothing_is_cleaned_up_that_never_was() {
    let (_, scenario) = ended("mine/clean-up/of-nothing", &["--allow-partial"], 4);
    assert_eq!(scenario["verdict"], "skip");
    assert_eq!(scenario["reason"], "this is about a warm pool of five");
}

#[test]
fn a_wrong_answer_is_a_failure_also_where_a_later_step_uses_it() {
    let (_, scenario) = ended("mine/used/after-a-failure", &[], 1);
    assert_eq!(verdicts(&scenario), [("check", "fail")]);
}

#[test]
fn what_was_seen_of_one_pod_stands_where_another_breaks_the_step() {
    let (_, scenario) = ended("mine/each/one-fails-one-breaks", &[], 1);
    assert_eq!(verdicts(&scenario), [("given", "pass"), ("check", "fail")]);
    let reason = scenario["reason"].as_str().expect("a text");
    assert!(reason.contains("; and then, "), "{reason}");
    assert!(reason.ends_with("there is none"), "{reason}");
}

#[test]
fn needs_are_waited_for() {
    let (_, scenario) = ended("mine/needs/waited-for", &[], 0);
    assert_eq!(
        verdicts(&scenario),
        [("given", "pass"), ("needs", "pass"), ("check", "pass")]
    );
}

#[test]
fn the_time_of_a_scenario_covers_the_start_of_its_world() {
    let (_, scenario) = ended("mine/needs/waited-for", &["--timeout", "20us"], 3);
    assert_eq!(
        scenario["reason"],
        "the scenario exceeded its time limit of 20us while its world was starting"
    );
    let again = scenario["reproduce"][0].as_str().expect("a command");
    assert!(again.contains(" --timeout 20us --seed "), "{again}");
}

#[test]
fn a_step_that_is_too_slow_is_named() {
    let (_, scenario) = ended("mine/slow/too-slow", &[], 3);
    assert_eq!(
        scenario["reason"],
        "the scenario exceeded its time limit of 5s in step 1 of 1 (`exec`)"
    );
}

/// Each repetition is another one, and each can be had again alone.
#[test]
fn a_repetition_is_seen_again_alone() {
    let folder = folder();
    let report = "json=r.json";
    let id = "mine/clean-up/after-a-failure";
    let run = [
        "run",
        id,
        "--scenarios",
        ENDINGS,
        "--repeat",
        "2",
        "--seed",
        "41",
        "--report",
        report,
    ];
    run_in(folder.path(), &run).exits(1);
    let report = json(&folder.path().join("r.json"));
    let again = |index: usize| report["scenarios"][index]["reproduce"][0].as_str().expect("a command");
    assert!(again(0).ends_with(" --seed 41"), "{}", again(0));
    assert!(again(1).ends_with(" --seed 42"), "{}", again(1));
    assert!(!again(1).contains("--repeat"), "{}", again(1));
}

#[test]
fn only_what_a_command_names_is_to_be_had_before_it() {
    let (_, scenario) = ended("mine/used/after-a-failure", &[], 1);
    let lines = scenario["reproduce"].as_array().expect("a list");
    let lines: Vec<&str> = lines.iter().map(|line| line.as_str().expect("a text")).collect();
    let [run, comment, up, _, export, door, curl] = lines.as_slice() else {
        panic!("{lines:?}")
    };
    assert!(run.starts_with("gauntlet run mine/used/after-a-failure "), "{run}");
    assert!(
        comment.starts_with("# The last request; the world of that run is gone"),
        "{comment}"
    );
    assert!(up.starts_with("gauntlet up | tee "), "{up}");
    assert_eq!(*export, "export KUBECONFIG=gauntlet.kubeconfig");
    assert!(door.starts_with("DOOR="), "{door}");
    assert!(curl.starts_with("curl "), "{curl}");
    let (_, scenario) = ended("mine/clean-up/after-a-failure", &[], 1);
    let lines = scenario["reproduce"].to_string();
    assert!(lines.contains("MASTER_KEY=$(kubectl "), "{lines}");
    assert!(!lines.contains("HARNESS_AUTH_TOKEN="), "{lines}");
}
