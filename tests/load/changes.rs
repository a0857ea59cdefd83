//! Scenarios whose platform changes, or is shared by many, while a load goes on.

use serde_json::Value;

use crate::binary::{folder, json, run_in};

/// Runs a scenario with these mutants; gives the result of its load, where it kept that as evidence.
fn run(id: &str, mutants: &[&str], code: i32) -> Value {
    let folder = folder();
    let mut arguments = vec!["run", "--level", "all", id, "--report", "json=r.json"];
    for mutant in mutants {
        arguments.extend(["--mutant", mutant]);
    }
    run_in(folder.path(), &arguments).exits(code);
    let report = json(&folder.path().join("r.json"));
    let evidence = report["scenarios"][0]["evidence"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let load = evidence
        .iter()
        .find_map(|path| path.as_str().filter(|path| path.ends_with("/load.json")));
    load.map_or(Value::Null, |load| json(&folder.path().join(load)))
}

#[test]
fn a_platform_may_change_under_load() {
    for id in [
        "harness-token/load/refuses/rotated",
        "harness-token/load/refuses/restarted",
    ] {
        run(id, &[], 0);
    }
}

/// Only those who still have the token of before come in, and only where there are many.
#[test]
fn a_token_of_before_that_opens_under_load_is_found() {
    let load = run("harness-token/load/refuses/rotated", &["accepted-tokens-inherited"], 1);
    assert!(load["counts"]["probesOpened"].as_u64() >= Some(1), "{load}");
    let examples = load["examples"].as_array().expect("a list");
    let opened = "opened with an old token";
    assert!(examples.iter().any(|example| example["failure"] == opened), "{load}");
}

#[test]
fn a_web_that_lets_in_what_it_has_no_time_for_is_found() {
    let load = run("harness-token/load/refuses/restarted", &["start-overrun-opens"], 1);
    assert!(load["counts"]["probesOpened"].as_u64() >= Some(1), "{load}");
    assert!(load["counts"]["unsettled"].as_u64() >= Some(1), "{load}");
}

/// Without a load nothing tells these from a platform that is right.
#[test]
fn a_rotation_without_a_load_finds_neither() {
    for id in ["harness-token/rotate/live", "harness-token/rotate/new[proxy]"] {
        run(id, &["accepted-tokens-inherited", "start-overrun-opens"], 0);
    }
}

#[test]
fn a_shared_terminal_that_leaves_some_out_is_found() {
    run("harness-token/load/holds/shared[proxy]", &[], 0);
    let load = run("harness-token/load/holds/shared[proxy]", &["fan-out-to-few"], 1);
    assert!(load["counts"]["undelivered"].as_u64() >= Some(1), "{load}");
}
