//! Scenarios whose platform changes, or is shared by many, while a load goes on.

use serde_json::Value;

use super::ran;
use crate::binary::{Ran, folder, gauntlet_with_signals, json, run_in};

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

/// `gauntlet load` through sessions of the reference platform, which changes.
fn load(sessions: [&str; 2], arguments: &[&str]) -> (Ran, Value) {
    let folder = folder();
    let mut command = gauntlet_with_signals();
    command
        .current_dir(folder.path())
        .args(["load", "--sessions", sessions[0], "--attaches-per-session", sessions[1]])
        .args(["--hold", "1s", "--probe-every", "20ms", "--echo-every", "never"])
        .args(["--out", "result.json"])
        .args(arguments);
    let ran = ran(command);
    let result = match ran.code {
        Some(2) => Value::Null,
        _ => json(&folder.path().join("result.json")),
    };
    (ran, result)
}

/// Attaches come before and after the change, and with the right token alone.
#[test]
fn the_reference_platform_may_change_while_it_is_loaded() {
    for (flag, said) in [
        ("--rotate-at", "the token is rotated"),
        ("--restart-web-at", "web is restarted"),
    ] {
        let (ran, result) = load(["2", "25"], &["--ramp", "25/s", flag, "400ms"]);
        let (ran, counts) = (ran.exits(0), &result["counts"]);
        let count = |name: &str| counts[name].as_u64().expect(name);
        assert_eq!(count("probesOpened") + count("probesOtherwise"), 0, "{flag}: {counts}");
        assert!(count("probesRefused") >= 20, "{flag}: {counts}");
        assert_eq!(count("refused") + count("failed"), 0, "{flag}: {counts}");
        // Before it there were ten or so.
        assert!(count("opened") >= 40, "{flag}: {counts}");
        let target = result["load"]["target"].as_str().expect("a text");
        assert!(target.ends_with(&format!("; {said} at 400ms")), "{target}");
        let done = format!("{said}: that is done, and the right token opens");
        assert!(ran.stderr.contains(&done), "{}", ran.stderr);
    }
}

/// The token of before is refused by a web that is right.
#[test]
fn a_token_of_before_that_opens_after_a_rotation_is_found() {
    let mutant = ["--mutant", "accepted-tokens-inherited"];
    let arguments = [&mutant[..], &["--ramp", "60/s", "--rotate-at", "200ms"]].concat();
    let (ran, result) = load(["2", "60"], &arguments);
    let ran = ran.exits(1);
    assert!(result["counts"]["probesOpened"].as_u64() >= Some(1), "{}", ran.stdout);
    let examples = result["examples"].as_array().expect("a list");
    let opened = "opened with an old token";
    assert!(examples.iter().any(|example| example["failure"] == opened), "{result}");
}

#[test]
fn a_load_that_is_over_before_the_change_does_not_pass() {
    let (ran, _) = load(["1", "2"], &["--restart-web-at", "10m"]);
    let ran = ran.exits(3);
    assert!(
        ran.stderr.contains("the load was over before the platform had changed"),
        "{}",
        ran.stderr
    );
}

#[test]
fn only_the_reference_platform_is_changed_and_by_one_process() {
    for (arguments, said) in [
        (
            &["--workers", "2", "--rotate-at", "1s"][..],
            "gauntlet: --workers and a change of the platform exclude each other",
        ),
        (
            &[
                "--api",
                "http://127.0.0.1:1",
                "--api-key-env",
                "KEY",
                "--rotate-at",
                "1s",
            ],
            "gauntlet: --rotate-at is of the reference platform, and the target is one that isn't ours",
        ),
    ] {
        let (ran, _) = load(["1", "2"], arguments);
        let ran = ran.exits(2);
        assert!(ran.stderr.starts_with(said), "{}", ran.stderr);
    }
    let ran = run_in(folder().path(), &["load", "--restart-web-at", "1s"]).exits(2);
    assert!(
        ran.stderr.starts_with("gauntlet: --restart-web-at requires --sessions"),
        "{}",
        ran.stderr
    );
}
