//! A load whose HTTP side goes through a gateway to the reference platform's agent service: the doors that must be shut
//! stay shut, and one that opens under load fails it.

use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::binary::{Ran, Running, folder, gauntlet, gauntlet_with_signals, json, until};
use crate::gateways::{is_there, path};

/// What asks with a token that must not open, by its name in the result.
const SHUT: [&str; 6] = [
    "models-bad-jwt",
    "models-without-jwt",
    "models-inactive-jwt",
    "agent-list-bad-jwt",
    "agent-list-without-jwt",
    "agent-list-inactive-jwt",
];

/// A JWT's header begins with one of its two fields.
#[track_caller]
fn tells_no_jwt(text: &str) {
    for header in ["eyJhbGci", "eyJ0eXAi"] {
        assert!(!text.contains(header), "a JWT is told: {text}");
    }
}

/// A small load with these users before a gateway.
fn load(folder: &Path, gateway: &str, users: &str, more: &[&str]) -> Ran {
    let mut command = gauntlet();
    command
        .current_dir(folder)
        .env("PATH", path())
        .args(["load", "-n", "20", "--hold", "4s", "--out", "result.json"])
        .args(["--http-users", users, "--http-gateway", gateway])
        .args(more);
    let ran = Ran::of(command.output().expect("gauntlet starts"));
    tells_no_jwt(&ran.stdout);
    tells_no_jwt(&ran.stderr);
    ran
}

fn side(folder: &Path) -> Value {
    let result = json(&folder.join("result.json"));
    tells_no_jwt(&result.to_string());
    result["http"].clone()
}

fn count(side: &Value, request: &str, of: &str) -> u64 {
    side["requests"][request][of]
        .as_u64()
        .unwrap_or_else(|| panic!("{request} {of}: {side}"))
}

/// All kinds of tokens come, and each gets what is right.
#[track_caller]
fn stays_shut(gateway: &str) {
    let folder = folder();
    let ran = load(folder.path(), gateway, "30", &[]).exits(0);
    let behind = format!("the reference platform's behind {gateway}");
    assert!(ran.stdout.contains(&behind), "{}", ran.stdout);
    let side = side(folder.path());
    for (request, status) in ["models", "agent-list"]
        .into_iter()
        .map(|request| (request, "200"))
        .chain(SHUT.map(|request| (request, if request.contains("inactive") { "403" } else { "401" })))
    {
        let all = count(&side, request, "count");
        assert!(all >= 1, "{request}: {side}");
        assert_eq!(count(&side, request, "right"), all, "{request}: {side}");
        assert_eq!(
            side["requests"][request]["statuses"][status].as_u64(),
            Some(all),
            "{request}"
        );
    }
}

#[test]
fn the_builtin_gateway_stays_shut_under_load() {
    stays_shut("builtin");
}

#[test]
fn nginx_stays_shut_under_load() {
    if is_there("nginx") {
        stays_shut("nginx");
    }
}

#[test]
fn envoy_stays_shut_under_load() {
    if is_there("envoy") {
        stays_shut("envoy");
    }
}

/// Fails with the door that opened as its evidence, whatever the objectives say.
#[track_caller]
fn opens(gateway: &str, mutant: &str, users: &str) {
    let folder = folder();
    let arguments = ["--mutant", mutant, "--objective", "opened >= 1"];
    let ran = load(folder.path(), gateway, users, &arguments).exits(1);
    let evidence = regex::Regex::new(
        "HTTP side: a shut door opened .*, at [0-9.]+ s, GET /api/agents(/models)? with a JWT of role INACTIVE, answered \
         with 200: a shut door opened",
    );
    let evidence = evidence.expect("a pattern");
    assert!(evidence.is_match(&ran.stdout), "{}", ran.stdout);
    let side = side(folder.path());
    let opened: u64 = SHUT.iter().map(|request| count(&side, request, "opened")).sum();
    assert!(opened >= 1, "{side}");
}

#[test]
fn a_role_that_nobody_checks_is_seen() {
    opens("builtin", "role-unchecked", "5");
}

/// Requests one after the other never show it.
#[test]
fn a_decision_that_is_shared_between_requests_is_seen() {
    opens("builtin", "questions-merged", "60");
}

#[test]
fn a_defect_of_nginx_is_seen() {
    if is_there("nginx") {
        opens("nginx", "nginx-decisions-cached", "10");
    }
}

#[test]
fn a_gateway_that_is_not_there_is_said() {
    let folder = folder();
    let mut command = gauntlet();
    command.current_dir(folder.path()).env("PATH", folder.path()).args([
        "load",
        "-n",
        "5",
        "--http-users",
        "2",
        "--http-gateway",
        "nginx",
    ]);
    let ran = Ran::of(command.output().expect("gauntlet starts")).exits(3);
    for part in [
        "gauntlet: starting the platform: `nginx` is not on PATH; `apt-get install nginx` gets it\n",
        "gauntlet: starting the reference platform: it has ended\ngauntlet: no load was made\n",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    assert_eq!(ran.stdout, "");
}

#[test]
fn a_gateway_and_models_exclude_each_other() {
    let folder = folder();
    let mut command = gauntlet();
    command.current_dir(folder.path()).env("THE_JWT", "x").args([
        "load",
        "--http-users",
        "2",
        "--http-gateway",
        "builtin",
        "--http-models",
        "http://127.0.0.1:1",
        "--http-jwt-env",
        "THE_JWT",
    ]);
    let ran = Ran::of(command.output().expect("gauntlet starts")).exits(2);
    assert!(ran.stderr.contains("cannot be used with"), "{}", ran.stderr);
}

/// Whoever was started for it is gone after Ctrl-C.
#[test]
fn nothing_of_it_outlives_ctrl_c() {
    let folder = folder();
    let mut command = gauntlet_with_signals();
    command
        .current_dir(folder.path())
        .env("TMPDIR", folder.path())
        .args(["load", "-n", "10", "--hold", "60s", "--out", "result.json"])
        .args(["--http-users", "2", "--http-gateway", "builtin"]);
    let mut running = Running::start(&mut command).expect("gauntlet starts");
    until("it holds", || {
        let err = running.stderr();
        err.contains(" 10 open ").then_some(()).ok_or(err)
    });
    let id = running.child.id();
    let started = crate::load::workers::children(id);
    assert!(started.len() >= 3, "a sandbox, a worker and a platform: {started:?}");
    running.signal(Signal::INT);
    assert_eq!(running.ends().code(), Some(130), "{}", running.stderr());
    until("all that it started is gone", || {
        let left: Vec<_> = started
            .iter()
            .filter(|pid| Path::new(&format!("/proc/{pid}")).exists())
            .collect();
        left.is_empty().then_some(()).ok_or(format!("{left:?}"))
    });
    let side = side(folder.path());
    let opened: u64 = SHUT.iter().map(|request| count(&side, request, "opened")).sum();
    assert_eq!(opened, 0, "{side}");
}
