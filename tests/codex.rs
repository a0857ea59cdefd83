//! The codex login: with the stand-in and with the real CLI, and by hand.
//!
//! `tests/codex/install` gets the real one into `target/codex`. Where it is not there its tests say so and are
//! skipped; with `CI` set that is an error.

mod atomic;
mod logins;
mod rotators;
mod vendor;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binary::{Ran, Running, folder, gauntlet, gauntlet_with_signals, json, run_in, until};
use crate::up::kubectl;
use rustix::process::Signal;

const DOCUMENT: &str = include_str!("../docs/codex-auth.md");

/// The real codex; none where it isn't installed.
pub fn real() -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(target);
    let program = root.join("codex/node_modules/.bin/codex");
    let works = Command::new(&program).arg("--version").output();
    if works.is_ok_and(|output| output.status.success()) {
        return Some(program);
    }
    let message = "codex is not there; tests/codex/install gets it";
    assert!(std::env::var_os("CI").is_none(), "{message}");
    eprintln!("skipped: {message}");
    None
}

/// What a report says of the run.
fn notes(report: &Path) -> String {
    json(report)["notes"].to_string()
}

#[test]
fn the_stand_in_holds() {
    let folder = folder();
    let run = ["run", "codex-auth", "--codex", "stand-in", "--report", "json=r.json"];
    run_in(folder.path(), &run).exits(0);
    assert_eq!(
        notes(&folder.path().join("r.json")),
        r#"["codex is gauntlet's stand-in"]"#
    );
}

#[test]
fn the_real_one_holds() {
    let Some(program) = real() else { return };
    let folder = folder();
    let program = program.display().to_string();
    let run = [
        "run",
        "codex-auth/login/writes",
        "codex-auth/model/reply",
        "codex-auth/agent/*",
        "codex-auth/pod/codex-installed",
        "--jobs",
        "2",
        "--codex",
        &program,
        "--report",
        "json=r.json",
    ];
    run_in(folder.path(), &run).exits(0);
    let notes = notes(&folder.path().join("r.json"));
    assert!(notes.contains(&format!("codex is {program} (codex-cli 0.")), "{notes}");
}

#[test]
fn the_codex_of_path_is_found_and_told_of() {
    let folder = folder();
    let run = |path: &Path, arguments: &[&str]| {
        let mut command = gauntlet();
        command.current_dir(folder.path()).env("PATH", path).args(arguments);
        Ran::of(command.output().expect("gauntlet starts"))
    };
    let one = ["run", "codex-auth/pod/shape", "--report", "json=r.json"];
    run(folder.path(), &one).exits(0);
    let said = notes(&folder.path().join("r.json"));
    assert!(
        said.contains("stand-in: no codex on PATH; `tests/codex/install`"),
        "{said}"
    );

    // Written by another process: what this one has open for writing others may have inherited, and then it can't
    // be run.
    let script = "#!/bin/sh\\necho codex-cli 7.8.9\\n";
    let made = Command::new("sh")
        .current_dir(folder.path())
        .args(["-c", &format!("printf '{script}' >codex && chmod 755 codex")])
        .status();
    assert!(made.expect("a shell").success());
    run(folder.path(), &one).exits(0);
    let said = notes(&folder.path().join("r.json"));
    let file = folder.path().join("codex");
    assert!(
        said.contains(&format!("codex is {} (codex-cli 7.8.9)", file.display())),
        "{said}"
    );
    let doctor = run(folder.path(), &["doctor"]);
    assert!(doctor.stdout.contains("codex-cli 7.8.9"), "{}", doctor.stdout);

    // Nothing else needs one.
    let nowhere = ["run", "agent-service/jwt/none", "--codex", "nowhere/codex"];
    run(folder.path(), &nowhere).exits(0);
    let nowhere = ["run", "codex-auth/pod/shape", "--codex", "nowhere/codex"];
    let said = run(folder.path(), &nowhere).exits(3).stderr;
    assert!(said.contains("starting `nowhere/codex --version`"), "{said}");
    assert!(said.contains("`--codex stand-in` does without it"), "{said}");
    let on_kind = ["run", "codex-auth", "--target", "kind", "--codex", "nowhere/codex"];
    let said = run(folder.path(), &on_kind).exits(3).stderr;
    assert!(said.contains("starting `nowhere/codex --version`"), "{said}");
    let based = [&on_kind[..], &["--base-image", "debian"]].concat();
    let said = run(folder.path(), &based).exits(2).stderr;
    assert!(
        said.contains("the one of --base-image brings a codex or none"),
        "{said}"
    );
}

#[test]
fn a_failure_is_shown_again_with_the_same_codex() {
    let folder = folder();
    let run = [
        "run",
        "codex-auth/login/mode",
        "--level",
        "all",
        "--mutant",
        "login-file-for-all",
        "--codex",
        "stand-in",
    ];
    let ran = run_in(folder.path(), &run).exits(1);
    assert!(ran.stdout.contains(" --codex stand-in"), "{}", ran.stdout);
}

/// The commands of a document's section, without those of others.
fn documented() -> Vec<&'static str> {
    let (_, section) = DOCUMENT.split_once("**Logging in by hand**").expect("the section");
    let (section, _) = section.split_once("\n## ").expect("its end");
    let blocks = section.split("\n```\n").skip(1).step_by(2);
    blocks.flat_map(str::lines).collect()
}

/// What a command that `gauntlet up codex-auth` prints has to show once the login is there.
fn shown_by(line: &str) -> &'static str {
    let known = [
        ("get pods", "cloud-codex-nova-"),
        ("ls -l", "auth-1.json"),
        ("kubectl logs", "active account-1"),
        ("codex exec", "Hello from acct-1."),
        ("/control/records", "acct-1"),
        ("/v1/models", "gpt-5-codex"),
    ];
    let found = known.into_iter().find(|(part, _)| line.contains(part));
    found
        .unwrap_or_else(|| panic!("nobody knows what {line:?} is to show"))
        .1
}

/// All that is printed and documented is run.
#[test]
fn a_login_by_hand() {
    if kubectl().is_none() {
        return;
    }
    let folder = folder();
    let mut command = gauntlet_with_signals();
    command
        .current_dir(folder.path())
        .args(["up", "codex-auth", "--kubeconfig", "k.yaml", "--codex", "stand-in"]);
    let mut up = Running::start(&mut command).expect("gauntlet starts");
    until("the platform is up", || match up.stdout().contains("Ctrl-C ends it") {
        true => Ok(()),
        false => Err(up.stdout() + &up.stderr()),
    });
    let out = up.stdout();
    let lines: Vec<&str> = out.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    let vendor = out
        .lines()
        .find_map(|line| line.strip_prefix("vendor "))
        .expect("its address")
        .trim();
    let documented = documented();
    assert!(documented.len() > 4, "{documented:?}");
    for line in documented {
        let told = line.replace("VENDOR", vendor);
        assert!(lines.contains(&told.as_str()), "{told}: not among {lines:#?}");
    }

    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command
            .current_dir(folder.path())
            .env("KUBECACHEDIR", folder.path().join("cache"))
            .stdin(std::process::Stdio::null())
            .args(["-c", script]);
        command
    };
    let (mut before, mut login, mut code) = (String::new(), None, String::new());
    let variable = regex::Regex::new("^(export )?[A-Z_]+=").expect("a pattern");
    let pattern = regex::Regex::new("[A-Z0-9]{4}-[A-Z0-9]{4,5}").expect("a pattern");
    for line in lines.iter().filter(|line| !line.starts_with('#')) {
        if variable.is_match(line) {
            before.push_str(&format!("{line}\n"));
            continue;
        }
        let script = format!("{before}{}", line.replace("\"CODE\"", &format!("\"{code}\"")));
        if line.contains("auth-login") {
            let begun = Running::start(&mut shell(&script)).expect("a shell");
            until("the code is shown", || {
                let out = begun.stdout();
                code = pattern
                    .find(&out)
                    .map(|found| found.as_str().to_owned())
                    .unwrap_or_default();
                match code.is_empty() {
                    true => Err(out + &begun.stderr()),
                    false => Ok(()),
                }
            });
            login = Some(begun);
            continue;
        }
        if line.contains("/control/approve") {
            Ran::of(shell(&script).output().expect("a shell")).exits(0);
            let mut login: Running = login.take().expect("it was begun before");
            assert_eq!(login.ends().code(), Some(0), "{}{}", login.stdout(), login.stderr());
            continue;
        }
        // The rotator needs a moment to see the login.
        until(line, || {
            let ran = Ran::of(shell(&script).output().expect("a shell"));
            match ran.code == Some(0) && ran.stdout.contains(shown_by(line)) {
                true => Ok(()),
                false => Err(ran.stdout + &ran.stderr),
            }
        });
    }
    assert!(!code.is_empty(), "nobody logged in: {lines:#?}");
    up.signal(Signal::INT);
    assert_eq!(up.ends().code(), Some(0), "{}", up.stderr());
}
