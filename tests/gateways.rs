//! Real gateways before the agent service: nginx and Envoy, as programs of this machine.
//!
//! `tests/gateways/install` gets them into `target/gateways`. Where one is not there its tests say so and are
//! skipped; with `CI` set that is an error.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binary::{Ran, Running, folder, gauntlet, gauntlet_with_signals, json, until};
use rustix::process::Signal;

/// `PATH` with what was installed for the tests before all else.
pub fn path() -> String {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let installed = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(target).join("gateways");
    format!("{}:{}", installed.display(), std::env::var("PATH").unwrap_or_default())
}

#[track_caller]
fn snapshot(name: &str, message: String) {
    insta::with_settings!({ snapshot_path => "gateways", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, message);
    });
}

/// Whether a program is there; says so and is false where it isn't.
pub fn is_there(program: &str) -> bool {
    let found = Command::new(program)
        .env("PATH", path())
        .arg(if program == "nginx" { "-v" } else { "--version" })
        .output();
    if found.is_ok_and(|output| output.status.success()) {
        return true;
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{program} is not there; tests/gateways/install gets it"
    );
    println!("skipped: {program} is not there; tests/gateways/install gets it");
    false
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = gauntlet();
    command.current_dir(folder).env("PATH", path()).args(arguments);
    command
}

/// All of the contract holds through a gateway, and defects of its configuration are noticed.
#[track_caller]
fn holds(gateway: &str, mutants: &str) {
    if !is_there(gateway) {
        return;
    }
    let folder = folder();
    let all = [
        "run",
        "agent-service",
        "--level",
        "all",
        "--gateway",
        gateway,
        "--report",
        "json=r.json",
    ];
    Ran::of(command(folder.path(), &all).output().expect("gauntlet starts")).exits(0);
    let report = json(&folder.path().join("r.json"));
    let of_gateway = |result: &&serde_json::Value| result["parameters"]["road"] == gateway;
    let runs = report["scenarios"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(of_gateway)
        .count();
    assert!(runs > 50, "{runs} runs through {gateway}");
    let prove = ["prove", "agent-service", "--gateway", gateway, "--mutant", mutants];
    let proved = Ran::of(command(folder.path(), &prove).output().expect("gauntlet starts")).exits(0);
    let all = mutants.split(',').count();
    let said = format!("{all} mutants: {all} dead, 0 survived");
    assert!(proved.stdout.contains(&said), "{}", proved.stdout);
}

#[test]
fn nginx_holds() {
    holds(
        "nginx",
        "nginx-only-get-guarded,nginx-decisions-cached,nginx-health-not-routed,nginx-conversations-unguarded,\
         nginx-upgrade-lost,nginx-asks-without-query,nginx-email-not-set,nginx-user-role-kept,nginx-underscores-kept,\
         nginx-other-host-unguarded,nginx-models-unguarded,nginx-upgrade-one-case,nginx-query-in-log,nginx-quiet-cut,\
         nginx-body-limit,nginx-open-on-error",
    );
}

#[test]
fn envoy_holds() {
    holds(
        "envoy",
        "envoy-wrong-route,envoy-health-asked,envoy-conversations-unguarded,envoy-upgrade-lost,\
         envoy-user-headers-appended,envoy-user-role-kept,envoy-omitted-keeps-clients,envoy-other-host-unguarded,\
         envoy-models-unguarded,envoy-token-in-log,envoy-quiet-cut,envoy-body-limit,envoy-open-on-error",
    );
}

/// A failure has what the gateway was told as evidence, and the command to see it again.
#[test]
fn a_failure_shows_what_the_gateway_was_told() {
    if !is_there("nginx") {
        return;
    }
    let folder = folder();
    let run = [
        "run",
        "agent-service/headers/trusted[nginx]",
        "--gateway",
        "nginx",
        "--mutant",
        "nginx-email-not-set",
    ];
    let ran = Ran::of(command(folder.path(), &run).output().expect("gauntlet starts")).exits(1);
    let again =
        "gauntlet run 'agent-service/headers/trusted[nginx]' --mutant nginx-email-not-set --gateway nginx --seed ";
    assert!(ran.stdout.contains(again), "{}", ran.stdout);
    let file = folder
        .path()
        .join("reports/latest/evidence/agent-service__headers__trusted__nginx/nginx.conf");
    let told = std::fs::read_to_string(file).expect("the evidence");
    assert!(told.contains("auth_request /.authorize;"), "{told}");
    assert!(!told.contains("X-User-Email $user_email"), "{told}");
}

/// Nothing is left when a run ends, also where it is interrupted.
#[test]
fn interrupted_it_leaves_no_gateway() {
    if !is_there("nginx") {
        return;
    }
    let folder = folder();
    let mut command = gauntlet_with_signals();
    command
        .current_dir(folder.path())
        .env("PATH", path())
        .env("TMPDIR", folder.path())
        .args(["run", "agent-service", "--gateway", "nginx", "--repeat", "1000"]);
    let mut running = Running::start(&mut command).expect("it starts");
    until("scenarios pass", || {
        let out = running.stdout();
        out.contains(" PASS ").then_some(()).ok_or(out)
    });
    let of_all_threads = |pid: u32| -> Vec<String> {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten()
            .flatten();
        let children =
            threads.map(|thread| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default());
        children
            .flat_map(|all| all.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    };
    let gateways = of_all_threads(running.child.id());
    assert!(!gateways.is_empty(), "nginx runs");
    running.signal(Signal::INT);
    assert_eq!(running.ends().code(), Some(130), "{}", running.stderr());
    for pid in gateways {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{pid} is left");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .filter(|name| name != "reports")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Runs with this script as nginx; what is said of it.
#[track_caller]
fn refused(script: Option<&str>) -> String {
    let folder = folder();
    if let Some(script) = script {
        let file = folder.path().join("nginx");
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("set");
    }
    let mut command = gauntlet();
    command.current_dir(folder.path()).env("PATH", folder.path()).args([
        "run",
        "agent-service/jwt/none",
        "--gateway",
        "nginx",
    ]);
    let ran = Ran::of(command.output().expect("gauntlet starts")).exits(3);
    assert_eq!(ran.stdout, "", "nothing was run");
    let place = regex::Regex::new("/[^ ]*/\\.tmp[^/]*").expect("a pattern");
    place.replace_all(&ran.stderr, "FOLDER").into_owned()
}

#[test]
fn gateways_that_can_not_be() {
    snapshot("missing", refused(None));
    snapshot("of-another-program", refused(Some("echo 'somebody else 7'")));
    snapshot(
        "without-auth-request",
        refused(Some("echo 'nginx version: nginx/1.22.1'")),
    );
    let rejects = "case $1 in -V) echo 'nginx version: nginx/1.22.1'; echo --with-http_auth_request_module ;; \
                   *) echo \"nginx: [emerg] unknown directive in $2:3\" >&2; exit 1 ;; esac";
    snapshot("rejected", refused(Some(rejects)));
}

#[test]
fn gateways_that_no_run_goes_through() {
    let folder = folder();
    let said = |arguments: &[&str]| crate::binary::run_in(folder.path(), arguments).exits(2).stderr;
    snapshot(
        "no-run",
        said(&["run", "agent-service/headers/trusted/upgrades[nginx]"]),
    );
    snapshot(
        "mutant-of-another",
        said(&["prove", "agent-service", "--mutant", "envoy-upgrade-lost"]),
    );
    snapshot("image-of-another-target", said(&["run", "--envoy-image", "x"]));
}
