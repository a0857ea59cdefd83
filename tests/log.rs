//! What gauntlet tells of itself on standard error, where it is asked to.

use std::path::Path;

use crate::binary::{Ran, folder, gauntlet, run_in};

const REFUSE: &str = "harness-token/token/refuse";

/// Runs it with the variable that says how much is told.
fn told(folder: &Path, level: &str, arguments: &[&str]) -> Ran {
    let mut command = gauntlet();
    command.current_dir(folder).args(arguments).env("GAUNTLET_LOG", level);
    Ran::of(command.output().expect("gauntlet starts"))
}

/// Asserts that nothing that could be a token is in it: 64 hexadecimal digits, as the contract makes them.
#[track_caller]
fn assert_no_token(text: &str) {
    let token = regex::Regex::new("[0-9a-fA-F]{64}").expect("a pattern");
    assert!(!token.is_match(text), "something like a token in\n{text}");
}

#[test]
fn what_it_does_is_told_on_standard_error_alone() {
    let folder = folder();
    let arguments = ["run", REFUSE, "--jobs", "1", "--seed", "1"];
    let silent = run_in(folder.path(), &arguments).exits(0);
    assert_eq!(silent.stderr, "");
    let ran = told(folder.path(), "debug", &arguments).exits(0);
    let time = regex::Regex::new(r"[0-9]+\.[0-9]+s").expect("a pattern");
    let timeless = |text: &str| time.replace_all(text, "[time]").into_owned();
    assert_eq!(timeless(&ran.stdout), timeless(&silent.stdout));
    for part in [
        "the run begins",
        "the world has started",
        "the step begins",
        "the world has ended",
        "run=harness-token/token/refuse",
        // What is asked of the API server.
        "requesting",
    ] {
        assert!(ran.stderr.contains(part), "{part} is missing in\n{}", ran.stderr);
    }
    assert_no_token(&ran.stderr);
}

#[test]
fn only_as_much_is_told_as_is_asked_for() {
    let folder = folder();
    let ran = told(folder.path(), "gauntlet=debug,gauntlet::world=off", &["run", REFUSE]).exits(0);
    assert!(ran.stderr.contains("the run is over"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("requesting"), "{}", ran.stderr);
    let ran = run_in(folder.path(), &["run", REFUSE, "-vv"]).exits(0);
    assert!(ran.stderr.contains("the run is over"), "{}", ran.stderr);
    let ran = told(folder.path(), "debgu", &["run", REFUSE]).exits(2);
    assert!(
        ran.stderr
            .starts_with("gauntlet: GAUNTLET_LOG: \"debgu\" is not a level"),
        "{}",
        ran.stderr
    );
}

/// The command is in the address that the client of Kubernetes asks for, and in why the step could not be carried out.
#[test]
fn a_secret_that_is_told_is_taken_out() {
    let folder = folder();
    let own = folder.path().join("own/mine");
    std::fs::create_dir_all(&own).expect("a folder");
    let scenario = "apiVersion: gauntlet/v1\nid: own/mine/told\ntitle: A command with a secret in it\n\
                    spec: none, written for a test\nlevel: core\nintrusion: use\nsteps:\n\
                    \x20 - session: new\n\
                    \x20   as: s\n\
                    \x20 - exec: [echo, \"${secret.token}\"]\n\
                    \x20   in: ${s}\n\
                    \x20   container: nobody\n\
                    \x20   check: { exit_code: 0 }\n";
    std::fs::write(own.join("told.yaml"), scenario).expect("written");
    let ran = told(folder.path(), "debug", &["run", "--scenarios", "own"]).exits(3);
    let line = ran
        .stderr
        .lines()
        .find(|line| line.contains("the step could not be carried out"));
    let line = line.unwrap_or_else(|| panic!("no such line in\n{}", ran.stderr));
    assert!(line.contains("exec echo $HARNESS_AUTH_TOKEN in "), "{line}");
    assert!(ran.stderr.contains("command=$HARNESS_AUTH_TOKEN"), "{}", ran.stderr);
    assert_no_token(&ran.stderr);
}
