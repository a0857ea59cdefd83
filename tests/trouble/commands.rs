//! Commands and flags of which the verdict, the exit code or the order is the point.

use serde_json::Value;

use crate::binary::{gauntlet, json, run_in};

const ACCEPT: &str = "harness-token/token/accept";
/// `mine/run/skip` is a core scenario whose `needs` is not met, `mine/run/fails` fails at once, `mine/run/first` and
/// `mine/run/second` pass.
const MINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/trouble/selected");

/// Runs scenarios of the tests' own; gives the report.
#[track_caller]
fn run(arguments: &[&str], code: i32) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let all = [&["run", "--scenarios", MINE, "--report", "json=r.json"], arguments].concat();
    run_in(folder.path(), &all).exits(code);
    json(&folder.path().join("r.json"))
}

fn names(report: &Value) -> Vec<String> {
    let scenarios = report["scenarios"].as_array().expect("a list").iter();
    let mut names: Vec<String> = scenarios
        .map(|s| s["name"].as_str().expect("a name").to_owned())
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn prove_writes_the_matrix() {
    let folder = tempfile::tempdir().expect("a folder");
    let ran = run_in(folder.path(), &["prove", ACCEPT, "--report", "m.json"]).exits(0);
    assert!(ran.stdout.contains("2 mutants: 2 dead, 0 survived"), "{}", ran.stdout);
    assert!(json(&folder.path().join("m.json")).is_object());
}

#[test]
fn prove_of_mutants_that_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let ran = run_in(
        folder.path(),
        &["prove", "--mutant", "keystrokes-lost", "--report", "m.json"],
    )
    .exits(0);
    assert!(ran.stdout.contains("1 mutant: 1 dead, 0 survived"), "{}", ran.stdout);
    let rows = json(&folder.path().join("m.json"))["rows"].clone();
    let rows: Vec<&Value> = rows.as_array().expect("a list").iter().map(|row| &row["id"]).collect();
    assert_eq!(rows, [ACCEPT]);
}

/// A scenario with the id of a row, and checks that notice nothing.
#[test]
fn prove_of_a_check_that_notices_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("s/harness-token/token/accept.yaml");
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
    let blind = format!(
        "apiVersion: gauntlet/v1\nid: {ACCEPT}\ntitle: Blind\nspec: none, written for a test\nlevel: core\n\
         intrusion: use\nsteps:\n  - session: new\n    as: s\n    check: ready\n"
    );
    std::fs::write(file, blind).expect("written");
    let ran = run_in(
        folder.path(),
        &["prove", "--scenarios", "s", ACCEPT, "--report", "m.md"],
    )
    .exits(1);
    assert!(ran.stdout.contains("2 survived"), "{}", ran.stdout);
    let markdown = std::fs::read_to_string(folder.path().join("m.md")).expect("the matrix");
    assert!(markdown.contains("keystrokes-lost"), "{markdown}");
}

#[test]
fn a_skipped_core_scenario_makes_a_run_partial() {
    let report = run(&["mine/run/skip", "mine/run/first"], 5);
    assert_eq!(report["summary"]["verdict"], "partial");
    assert_eq!(report["summary"]["skip"], 1);
    assert_eq!(
        run(&["mine/run/skip", "mine/run/first", "--allow-partial"], 0)["summary"]["verdict"],
        "passed"
    );
    assert_eq!(run(&["mine/run/skip"], 4)["summary"]["verdict"], "nothing-ran");
    // A failure and an error come before.
    assert_eq!(
        run(&["mine/run/skip", "mine/run/fails"], 1)["summary"]["verdict"],
        "failed"
    );
    assert_eq!(
        run(&["mine/run/skip", "mine/run/given"], 3)["summary"]["verdict"],
        "error"
    );
    assert_eq!(
        run(&["mine/run/given", "mine/run/fails"], 1)["summary"]["verdict"],
        "failed"
    );
}

#[test]
fn fail_fast_starts_nothing_after_a_failure() {
    let report = run(
        &[
            "mine/run/fails",
            "mine/run/first",
            "mine/run/second",
            "--jobs",
            "1",
            "--fail-fast",
        ],
        1,
    );
    let ran = names(&report);
    assert_eq!(ran, ["mine/run/fails"], "in the order of the ids");
    assert_eq!(
        names(&run(
            &["mine/run/fails", "mine/run/first", "mine/run/second", "--jobs", "1"],
            1
        ))
        .len(),
        3
    );
}

#[test]
fn repeat_runs_each_so_many_times() {
    let report = run(&["mine/run/first", "mine/run/second", "--repeat", "3"], 0);
    assert_eq!(report["summary"]["pass"], 6);
    let of = |id: &str| {
        report["scenarios"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|s| s["id"] == id)
            .count()
    };
    assert_eq!((of("mine/run/first"), of("mine/run/second")), (3, 3));
}

#[test]
fn parts_cover_everything_once() {
    let selection = [
        "mine/run/first",
        "mine/run/second",
        "mine/run/fails",
        "--repeat",
        "2",
        "--partition",
    ];
    let mut parts: Vec<String> = ["1/2", "2/2"]
        .iter()
        .flat_map(|part| {
            let arguments = [&selection[..], &[part]].concat();
            let folder = tempfile::tempdir().expect("a folder");
            let all = [&["run", "--scenarios", MINE, "--report", "json=r.json"], &arguments[..]].concat();
            run_in(folder.path(), &all);
            let report = json(&folder.path().join("r.json"));
            let scenarios = report["scenarios"].as_array().expect("a list").clone();
            scenarios
                .into_iter()
                .map(|s| format!("{} {}", s["name"], s["repetition"]))
        })
        .collect();
    let all = parts.len();
    parts.sort_unstable();
    parts.dedup();
    assert_eq!((parts.len(), all), (6, 6), "{parts:?}");
}

#[test]
fn a_seed_is_kept() {
    let seeded = |seed| {
        let report = run(&["mine/run/first", "--seed", seed], 0);
        assert_eq!(report["seed"].to_string(), seed);
        report["scenarios"][0]["checks"][1]["expected"].clone()
    };
    let first = seeded("7");
    assert!(first.is_string(), "{first}");
    assert_eq!(first, seeded("7"));
    assert_ne!(first, seeded("8"));
}

/// A component that lacks what it needs says what, and ends.
#[test]
fn platform_without_its_environment() {
    let bad: [(&str, &[(&str, &str)]); 4] = [
        ("web", &[]),
        ("worker", &[]),
        ("balancer", &[("PORT", "seventy")]),
        ("sandbox", &[("PORT", "seventy"), ("HARNESS_AUTH_TOKEN", "x")]),
    ];
    for (component, env) in bad {
        let output = gauntlet()
            .args(["platform", component])
            .env_remove("HOME")
            .envs(env.iter().copied())
            .output();
        let ran = crate::binary::Ran::of(output.expect("it starts")).exits(1);
        assert!(
            ran.stdout.starts_with(&format!("{component}: ")),
            "{component}: {}",
            ran.stdout
        );
    }
}

/// Two components are programs with words behind their names; the others take none.
#[test]
fn words_behind_a_component() {
    let ran = |words: &[&str]| {
        let output = gauntlet().arg("platform").args(words).output();
        crate::binary::Ran::of(output.expect("it starts"))
    };
    let version = ran(&["codex", "--version"]).exits(0);
    assert_eq!(version.stdout, "codex-cli 0.0.0 (gauntlet stand-in)\n");
    let unknown = ran(&["codex", "login", "--device-auth", "--nonsense"]).exits(1);
    assert!(unknown.stdout.contains("\"--nonsense\""), "{}", unknown.stdout);
    for words in [&["auth-login"][..], &["auth-login", "4"], &["auth-login", "../x"]] {
        let usage = ran(words).exits(1).stdout;
        assert!(usage.contains("usage: auth-login N"), "{usage}");
    }
    let refused = ran(&["web", "now"]).exits(2).stderr;
    assert!(refused.contains("web takes no arguments"), "{refused}");
}
