//! No token in anything that a run puts out.

use super::assert_no_token;
use crate::binary::{MINE, files_below, folder, run_in};

#[test]
fn no_token_in_anything_that_leaks_it() {
    let folder = folder();
    let leaks = "token-in-access-log,token-in-error-body,token-in-event,token-in-argv";
    for mutant in [leaks, "tty-token-made-up"] {
        let arguments = [
            "run",
            "harness-token/leak",
            "harness-token/token",
            "--mutant",
            mutant,
            "--level",
            "all",
        ];
        let reports = [
            "--report", "console", "--report", "json", "--report", "junit", "--report", "markdown",
        ];
        let ran = run_in(folder.path(), &[&arguments[..], &reports].concat()).exits(1);
        assert_no_token(&ran, folder.path());
    }
}

/// Tokens of sessions in a list, seen and used again.
#[test]
fn no_token_of_a_list_of_sessions() {
    let folder = folder();
    let arguments = [
        "run",
        "--scenarios",
        MINE,
        "mine/leak/list",
        "--mutant",
        "tty-token-made-up",
        "--verbose",
    ];
    let reports = [
        "--report", "console", "--report", "json", "--report", "junit", "--report", "markdown",
    ];
    let ran = run_in(folder.path(), &[&arguments[..], &reports].concat()).exits(1);
    assert!(ran.stdout.contains("expected  text \"$TTY_TOKEN\""), "{}", ran.stdout);
    assert_no_token(&ran, folder.path());
}

/// The redactor doesn't know the form; the search for the run's own secrets finds it all the same.
#[test]
fn a_secret_in_an_unknown_form_is_found_and_is_no_pass() {
    let folder = folder();
    let arguments = ["run", "--scenarios", MINE, "mine/leak/half-escaped", "--seed", "7"];
    let reports = ["--report", "console", "--report", "json=r.json"];
    let ran = run_in(folder.path(), &[&arguments[..], &reports].concat()).exits(3);
    let evidence = "/evidence/mine__leak__half-escaped/wire.txt:";
    for place in ["gauntlet: standard output:", "gauntlet: r.json:", evidence] {
        let line = ran.stderr.lines().find(|line| line.contains(place));
        let line = line.unwrap_or_else(|| panic!("{place} in\n{}", ran.stderr));
        assert!(
            line.ends_with(": contains the secret $HARNESS_AUTH_TOKEN (in an unusual encoding)"),
            "{line}"
        );
    }
    assert!(
        ran.stderr.ends_with("delete what is named above, or keep it private\n"),
        "{}",
        ran.stderr
    );
    // A failure of the platform still has its own code.
    let failing = ["run", "--scenarios", MINE, "mine/leak", "--seed", "7"];
    let ran = run_in(folder.path(), &failing).exits(1);
    assert!(ran.stderr.contains(evidence), "{}", ran.stderr);
}

/// Near misses are nearly the token.
#[test]
fn no_part_of_a_token() {
    let part = regex::Regex::new("[0-9a-fA-F]{30}").expect("a pattern");
    for (mutant, parts) in [
        ("prefix-compare", &[":0:63}", ":0:32}"][..]),
        ("case-insensitive-compare", &["^^}"]),
    ] {
        let folder = folder();
        let near = [
            "run",
            "harness-token/token/near-misses",
            "--level=all",
            "--mutant",
            mutant,
        ];
        let ran = run_in(folder.path(), &near).exits(1);
        for part in parts {
            let shown = format!("token=${{HARNESS_AUTH_TOKEN{part}");
            assert!(ran.stdout.contains(&shown), "{shown} in\n{}", ran.stdout);
        }
        for (path, text) in files_below(folder.path()) {
            assert!(
                !part.is_match(&text),
                "something like a part of a token in {}",
                path.display()
            );
        }
        assert!(!part.is_match(&ran.stdout), "{}", ran.stdout);
    }
}
