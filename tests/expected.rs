//! `--expected-failures` and `--rerun-failed`: what is known to fail, and what failed before.

use std::path::Path;

use crate::binary::{MINE, Ran, folder, json, run_in};
use serde_json::Value;

const ACCEPT: &str = "harness-token/token/accept";
const REFUSE: &str = "harness-token/token/refuse";
const FLOW: &str = "harness-token/token/flow";
/// With it `flow` fails.
const MADE_UP: &str = "tty-token-made-up";
/// With it `accept` fails on every road.
const MUTANT: &str = "keystrokes-lost";

/// Writes `known.yaml` with these entries: scenario, reason, day.
fn known(folder: &Path, entries: &[[&str; 3]]) {
    let entries = entries.iter().map(|[scenario, reason, expires]| {
        format!("  - scenario: \"{scenario}\"\n    reason: {reason}\n    expires: {expires}\n")
    });
    let head = "apiVersion: gauntlet/v1\nkind: ExpectedFailures\nfailures:\n";
    let text = format!("{head}{}", entries.collect::<String>());
    std::fs::write(folder.join("known.yaml"), text).expect("written");
}

fn run(folder: &Path, code: i32, arguments: &[&str]) -> Ran {
    run_in(
        folder,
        &[&["run"], arguments, &["--expected-failures", "known.yaml"]].concat(),
    )
    .exits(code)
}

/// The end of what the console says, from the notes on.
fn end(out: &str) -> &str {
    out.find("\nnote: ").map_or(out, |at| &out[at + 1..])
}

/// What a person reads, less what is of this machine and this moment.
fn snapshot(name: &str, text: &str) {
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false,
        snapshot_path => "expected", filters => [
            (r"[0-9]+\.[0-9]+s", "[time]"),
            (r"\b[0-9a-f]{16}\b", "[id]"),
            (r"127\.[0-9]+\.[0-9]+\.[0-9]+", "[address]"),
        ] }, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn a_failure_that_is_known_fails_no_run() {
    let folder = folder();
    known(
        folder.path(),
        &[[FLOW, "tty_token is another one (BUG-1)", "9999-12-31"]],
    );
    // The known failure comes first, and is none to stop at.
    let arguments = [
        FLOW,
        "harness-token/warm/stale",
        "--mutant",
        MADE_UP,
        "--jobs",
        "1",
        "--fail-fast",
    ];
    let reports = ["--report", "console", "--report", "json=r.json"];
    let ran = run(folder.path(), 0, &[&arguments[..], &reports].concat());
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let end = lines.iter().rposition(|line| line.is_empty()).map_or(0, |at| at + 1);
    let xfail = lines.iter().filter(|line| line.contains("XFAIL"));
    let shown: Vec<&str> = xfail.chain(&lines[end..]).copied().collect();
    snapshot("known", &shown.join("\n"));
    let report = json(&folder.path().join("r.json"));
    assert_eq!(
        (&report["summary"]["expected"], &report["summary"]["fail"]),
        (&1.into(), &0.into())
    );
    let first = &report["scenarios"][0];
    assert_eq!(first["verdict"], "fail");
    assert_eq!(first["expected_failure"], "tty_token is another one (BUG-1)");
}

#[test]
fn one_case_of_a_matrix() {
    let folder = folder();
    known(
        folder.path(),
        &[["harness-token/*/accept[proxy]", "only there", "9999-12-31"]],
    );
    let out = run(folder.path(), 1, &[ACCEPT, "--mutant", MUTANT]).stdout;
    assert!(
        out.contains("0 passed, 2 failed, 0 errors, 0 skipped, 1 expected failure"),
        "{out}"
    );
}

#[test]
fn a_pass_that_is_not_expected_fails_the_run() {
    let folder = folder();
    known(
        folder.path(),
        &[[
            "harness-token/token/accept[direct]",
            "keystrokes get lost",
            "9999-12-31",
        ]],
    );
    let ran = run(folder.path(), 1, &[ACCEPT, "--jobs", "1", "-q"]);
    snapshot("unexpected_pass", &ran.stdout);
}

#[test]
fn what_has_expired_counts_no_more_and_says_so() {
    let folder = folder();
    known(
        folder.path(),
        &[
            [
                "mine/token/wrong",
                "tty_token is what it should be (BUG-2)",
                "2020-02-29",
            ],
            ["mine/token/quick", "long gone, and passing", "2019-01-01"],
        ],
    );
    let arguments = ["--scenarios", MINE, "mine/token/wrong", "mine/token/quick", "--report"];
    let ran = run(
        folder.path(),
        1,
        &[&arguments[..], &["console", "--report", "json=r.json"]].concat(),
    );
    let words: Vec<&str> = ran.stdout.split_whitespace().collect();
    let told = "it was expected to fail until 2020-02-29 (tty_token is what it should be (BUG-2)); that day is over, so \
                the failure counts: known.yaml:4:15";
    assert!(words.join(" ").contains(told), "{}", ran.stdout);
    assert!(ran.stdout.contains("1 passed, 1 failed"), "{}", ran.stdout);
    let reason = json(&folder.path().join("r.json"))["scenarios"][1]["reason"].clone();
    assert!(reason.as_str().is_some_and(|reason| reason.ends_with(told)), "{reason}");
}

/// What could not be told is not known to be the failure that was expected.
#[test]
fn an_error_is_never_expected() {
    let folder = folder();
    known(folder.path(), &[["mine/token/long", "takes long", "9999-12-31"]]);
    let ran = run(
        folder.path(),
        3,
        &["--scenarios", MINE, "mine/token/long", "--timeout", "1s"],
    );
    assert!(ran.stdout.contains("1 error"), "{}", ran.stdout);
}

#[test]
fn what_is_not_selected_is_no_matter() {
    let folder = folder();
    known(folder.path(), &[["harness-token/warm/**", "another day", "9999-12-31"]]);
    run(folder.path(), 0, &[ACCEPT]);
}

#[test]
fn wrong_files() {
    let folder = folder();
    let refused = |name: &str, text: &str| {
        std::fs::write(folder.path().join("known.yaml"), text).expect("written");
        let ran = run(folder.path(), 2, &[ACCEPT]);
        assert_eq!(ran.stdout, "");
        snapshot(name, &ran.stderr);
        // A file of another kind is checked as what it says it is.
        if text.contains("kind: ExpectedFailures") {
            let checked = run_in(folder.path(), &["check", "known.yaml"]).exits(2);
            assert_eq!(checked.stderr, ran.stderr);
        }
    };
    let head = "apiVersion: gauntlet/v1\nkind: ExpectedFailures\n";
    refused(
        "file_of_another_kind",
        "apiVersion: gauntlet/v1\nkind: Profile\nnames: {}\n",
    );
    refused(
        "file_with_mistakes",
        &format!(
            "{head}failures:\n  - scenario: {ACCEPT}\n    raeson: lost\n    expires: tomorrow\n  - scenario: {REFUSE}\n    \
             reason: \"\"\n    expires: 2026-02-30\n  - reason: which?\n    expires: 2026-12-31\n    until: now\n"
        ),
    );
    let entry = |scenario: &str| format!("  - {{ scenario: \"{scenario}\", reason: lost, expires: 9999-12-31 }}\n");
    let unknown = [
        "harness-token/token/acept",
        "harness-token/token",
        "codex/**",
        "harness-token/token/accept[proxi]",
        "harness-token/token/flow[proxy]",
        "harness-token/*/accept[nowhere]",
    ];
    let entries: String = unknown.map(entry).concat();
    refused("unknown_scenarios", &format!("{head}failures:\n{entries}"));
    let entries: String = [ACCEPT, ACCEPT, "a{b"].map(entry).concat();
    refused("twice_and_no_pattern", &format!("{head}failures:\n{entries}"));
    let ran = run_in(folder.path(), &["run", "--expected-failures", "missing.yaml"]).exits(2);
    snapshot("file_not_there", &ran.stderr);
}

#[test]
fn check_knows_the_scenarios_beside_it() {
    let folder = folder();
    known(folder.path(), &[["mine/token/wrong", "lost", "9999-12-31"]]);
    run_in(folder.path(), &["check", "known.yaml"]).exits(2);
    let ran = run_in(folder.path(), &["check", MINE, "known.yaml"]).exits(0);
    let told = "scenarios and 1 file of expected failures: nothing wrong\n";
    assert!(ran.stdout.ends_with(told), "{}", ran.stdout);
}

/// Names of the runs in a report.
fn names(report: &Value) -> Vec<&str> {
    let scenarios = report["scenarios"].as_array().expect("a list").iter();
    scenarios
        .map(|scenario| scenario["name"].as_str().expect("a name"))
        .collect()
}

#[test]
fn what_failed_runs_again() {
    let folder = folder();
    let first = [
        "run",
        "mine/token",
        "--scenarios",
        MINE,
        "--timeout",
        "2s",
        "--repeat",
        "2",
        "--seed",
        "7",
        "--report",
        "json=first.json",
    ];
    run_in(folder.path(), &first).exits(1);
    let rerun = [
        "run",
        "--scenarios",
        MINE,
        "--timeout",
        "2s",
        "--rerun-failed",
        "first.json",
        "--report",
        "json=r.json",
    ];
    run_in(folder.path(), &rerun).exits(1);
    let report = json(&folder.path().join("r.json"));
    assert_eq!(
        names(&report),
        ["mine/token/long", "mine/token/wrong"],
        "the error and the failure, once each"
    );
    assert_ne!(report["seed"], 7, "a seed of its own");
    // Both must choose it.
    run_in(folder.path(), &[&rerun[..], &["mine/token/wrong"]].concat()).exits(1);
    assert_eq!(names(&json(&folder.path().join("r.json"))), ["mine/token/wrong"]);
    let ran = run_in(
        folder.path(),
        &[&rerun[..], &["mine/token/quick", "--report", "console"]].concat(),
    )
    .exits(4);
    snapshot("nothing_of_it_selected", end(&ran.stdout));
}

/// The cases that failed, whatever their level.
#[test]
fn cases_and_levels_of_what_failed() {
    let folder = folder();
    let first = [
        "run",
        "harness-token/token",
        "--level",
        "all",
        "--mutant",
        "header-wins",
        "--report",
        "json=first.json",
    ];
    let code = run_in(folder.path(), &first).code;
    let before = json(&folder.path().join("first.json"));
    let failed: Vec<&str> = before["scenarios"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|scenario| scenario["verdict"] != "pass")
        .map(|scenario| scenario["name"].as_str().expect("a name"))
        .collect();
    assert!(code == Some(1) && !failed.is_empty(), "{before}");
    run_in(
        folder.path(),
        &["run", "--rerun-failed", "first.json", "--report", "json=r.json"],
    )
    .exits(0);
    assert_eq!(names(&json(&folder.path().join("r.json"))), failed);
}

#[test]
fn a_report_without_failures_runs_nothing() {
    let folder = folder();
    run_in(folder.path(), &["run", ACCEPT, "--report", "json=first.json"]).exits(0);
    let ran = run_in(folder.path(), &["run", "--rerun-failed", "first.json"]).exits(4);
    snapshot("nothing_failed", end(&ran.stdout));
}

#[test]
fn a_run_that_ended_early_does_not_tell_of_everything() {
    let folder = folder();
    let first = [
        "run",
        "--scenarios",
        MINE,
        "mine/token/wrong",
        "mine/token/quick",
        "--repeat",
        "2",
        "--jobs",
        "1",
    ];
    run_in(
        folder.path(),
        &[&first[..], &["--fail-fast", "--report", "json=first.json"]].concat(),
    )
    .exits(1);
    let ran = run_in(
        folder.path(),
        &["run", "--scenarios", MINE, "--rerun-failed", "first.json"],
    )
    .exits(1);
    let words: Vec<&str> = ran.stdout.split_whitespace().collect();
    let told = "note: the run of first.json ended early: unstarted scenarios are not rerun";
    assert!(words.join(" ").contains(told), "{}", ran.stdout);
    assert!(ran.stdout.contains("0 passed, 1 failed"), "{}", ran.stdout);
}

#[test]
fn an_expected_failure_does_not_run_again() {
    let folder = folder();
    known(folder.path(), &[[ACCEPT, "lost", "9999-12-31"]]);
    run(
        folder.path(),
        0,
        &[ACCEPT, "--mutant", MUTANT, "--report", "json=first.json"],
    );
    run_in(folder.path(), &["run", "--rerun-failed", "first.json"]).exits(4);
}

#[test]
fn reports_that_cannot_be_used() {
    let folder = folder();
    run_in(
        folder.path(),
        &["run", ACCEPT, "--mutant", MUTANT, "--report", "json=good.json"],
    )
    .exits(1);
    let good = std::fs::read_to_string(folder.path().join("good.json")).expect("the report");
    let refused = |name: &str, text: &str| {
        std::fs::write(folder.path().join("r.json"), text).expect("written");
        let ran = run_in(folder.path(), &["run", "--rerun-failed", "r.json"]).exits(2);
        assert_eq!(ran.stdout, "");
        snapshot(name, &ran.stderr);
    };
    refused("report_is_empty", "");
    refused("report_is_cut_off", &good[..20]);
    refused("report_is_junit", "<?xml version=\"1.0\"?>\n<testsuites/>\n");
    refused(
        "report_of_another_version",
        &good.replacen("gauntlet/v1", "gauntlet/v9", 1),
    );
    refused(
        "report_of_other_scenarios",
        &good
            .replace("token/accept[proxy]\"", "token/accept[tunnel]\"")
            .replacen("\"road\": \"proxy\"", "\"road\": \"tunnel\"", 1)
            .replacen(
                "\"id\": \"harness-token/token/accept\"",
                "\"id\": \"harness-token/token/acept\"",
                1,
            ),
    );
    let ran = run_in(folder.path(), &["run", "--rerun-failed", "missing.json"]).exits(2);
    snapshot("report_not_there", &ran.stderr);
    // A report of a run with another profile is good, and that is said.
    let ran = run_in(
        folder.path(),
        &["run", "--rerun-failed", "good.json", "--set", "secret.name=x"],
    )
    .exits(0);
    assert!(
        ran.stdout.contains("had another profile than this one"),
        "{}",
        ran.stdout
    );
}
