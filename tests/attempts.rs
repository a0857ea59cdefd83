//! `gauntlet run --retries`: what passes only when it is tried again.

use std::path::Path;

use crate::binary::{MINE, Ran, folder, json, run_in};
use crate::run::assert_well_formed;

/// A scenario that fails whenever it runs for the first time in a folder, and passes after that.
fn flaky_in(folder: &Path) -> Vec<String> {
    let scenarios = folder.join("scenarios");
    let mark = folder.join("it has run");
    let scenario = format!(
        "apiVersion: gauntlet/v1\n\
         id: mine/token/second\n\
         title: It passes the second time\n\
         spec: none, written for a test\n\
         level: core\n\
         intrusion: use\n\
         steps:\n\
         \x20 - session: new\n\
         \x20   as: s\n\
         \x20 - exec: [sh, -c, 'test -e \"$0\" || {{ touch \"$0\"; exit 7; }}', '{}']\n\
         \x20   in: ${{s}}\n\
         \x20   check: {{ exit_code: 0 }}\n\
         finally:\n\
         \x20 - delete-session: ${{s}}\n",
        mark.display()
    );
    std::fs::create_dir_all(scenarios.join("mine/token")).expect("made");
    std::fs::write(scenarios.join("mine/token/second.yaml"), scenario).expect("written");
    let _none = std::fs::remove_file(mark);
    ["run", "--scenarios", "scenarios"].map(str::to_owned).to_vec()
}

fn run_flaky(folder: &Path, arguments: &[&str]) -> Ran {
    let run = flaky_in(folder);
    let run: Vec<&str> = run.iter().map(String::as_str).collect();
    run_in(folder, &[&run[..], arguments].concat())
}

#[test]
fn what_passes_only_when_tried_again_is_flaky_and_fails_the_run() {
    let folder = folder();
    let once = run_flaky(folder.path(), &[]).exits(1);
    assert!(once.stdout.contains("0 passed, 1 failed"), "{}", once.stdout);
    let reports = ["--retries", "2", "--report", "json=r.json", "--report", "junit=r.xml"];
    let ran = run_flaky(folder.path(), &reports).exits(1);
    for part in [
        "FLAKY [",
        "FLAKY mine/token/second ──",
        "it passed on attempt 2",
        "0 passed, 0 failed, 0 errors, 0 skipped, 1 flaky in ",
        "FAILED: 1 scenario failed, and passed only when tried again",
    ] {
        assert!(ran.stdout.contains(part), "{part} in\n{}", ran.stdout);
    }
    let report = json(&folder.path().join("r.json"));
    assert_eq!(report["summary"]["flaky"], 1);
    assert_eq!(report["summary"]["fail"], 0);
    let flaky = &report["scenarios"][0];
    assert_eq!(flaky["flaky"], serde_json::json!({"passed_on": 2, "tolerated": false}));
    assert_eq!(flaky["verdict"], "fail", "what is told is of the first attempt");
    let junit = std::fs::read_to_string(folder.path().join("r.xml")).expect("a report");
    assert_well_formed(&junit);
    assert!(
        junit.contains("<failure ") && junit.contains("type=\"flaky\""),
        "{junit}"
    );
}

#[test]
fn what_is_flaky_may_pass() {
    let folder = folder();
    let reports = [
        "--retries",
        "1",
        "--flaky",
        "pass",
        "--report",
        "json=r.json",
        "--report",
        "junit=r.xml",
    ];
    let ran = run_flaky(folder.path(), &reports).exits(0);
    for part in [
        "FLAKY [",
        "it passed on attempt 2",
        "0 passed, 0 failed, 0 errors, 0 skipped, 1 flaky in ",
        "PASSED: 1 scenario passed only when tried again, which --flaky pass allows",
    ] {
        assert!(ran.stdout.contains(part), "{part} in\n{}", ran.stdout);
    }
    let junit = std::fs::read_to_string(folder.path().join("r.xml")).expect("a report");
    assert_well_formed(&junit);
    assert!(
        junit.contains("<flakyFailure ") && !junit.contains("<failure "),
        "{junit}"
    );
    // As the report has it, in every other form.
    let shown = run_in(folder.path(), &["show", "r.json"]).exits(0).stdout;
    assert!(shown.contains("FLAKY [") && shown.contains("1 flaky in "), "{shown}");
}

#[test]
fn what_fails_every_time_is_no_flake() {
    let folder = folder();
    let arguments = [
        "run",
        "mine/token/wrong",
        "--scenarios",
        MINE,
        "--retries",
        "2",
        "--flaky",
        "pass",
    ];
    let ran = run_in(folder.path(), &arguments).exits(1);
    assert!(ran.stdout.contains("FAIL mine/token/wrong"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("FLAKY"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("0 passed, 1 failed, 0 errors, 0 skipped in "),
        "{}",
        ran.stdout
    );
}
