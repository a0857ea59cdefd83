//! Surroundings that are not as one would wish: proxies, limits, folders, terminals, closed outputs.

use std::process::{Command, Stdio};

use crate::binary::{Ran, gauntlet, json, run_in};

const ACCEPT: &str = "harness-token/token/accept";

fn ran(command: &mut Command) -> Ran {
    let folder = tempfile::tempdir().expect("a folder");
    Ran::of(command.current_dir(folder.path()).output().expect("it starts"))
}

/// The binary behind a shell's line, `$0` in it.
fn behind(line: &str, arguments: &[&str]) -> Ran {
    let mut shell = Command::new("bash");
    shell
        .args(["-c", line, env!("CARGO_BIN_EXE_gauntlet")])
        .args(arguments)
        .stdin(Stdio::null());
    ran(&mut shell)
}

#[test]
fn proxies_are_not_used() {
    let mut command = gauntlet();
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        // An address for documentation, where nobody answers (RFC 5737).
        command
            .env(name, "http://192.0.2.1:9")
            .env(name.to_lowercase(), "http://192.0.2.1:9");
    }
    ran(command.args(["run", ACCEPT])).exits(0);
}

#[test]
fn no_environment_at_all() {
    let mut command = gauntlet();
    ran(command.env_clear().args(["run", ACCEPT])).exits(0);
}

#[test]
fn an_environment_of_nonsense() {
    use std::os::unix::ffi::OsStrExt;
    let not_text = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    let mut command = gauntlet();
    command
        .env("TMPDIR", "/nonexistent")
        .env("LANG", "xx_YY.nonsense")
        .env("LC_ALL", not_text)
        .env("COLUMNS", "20");
    ran(command.args(["run", ACCEPT])).exits(0);
    // A component reads all of its environment; here it says what it misses.
    let mut command = gauntlet();
    let ran = ran(command.env("ODD", not_text).args(["platform", "web"])).exits(1);
    assert!(ran.stdout.contains("web: "), "{}", ran.stdout);
}

#[test]
fn no_colour_where_none_is_wanted() {
    let mut command = gauntlet();
    let ran = ran(command.env("NO_COLOR", "1").args(["run", ACCEPT])).exits(0);
    assert!(!ran.stdout.contains('\u{1b}'), "{:?}", ran.stdout);
}

/// As many scenarios at once as there are descriptors for.
#[test]
fn few_descriptors() {
    behind(
        "ulimit -n 100; exec \"$0\" \"$@\"",
        &["run", "-q", "harness-token/token", "harness-token/bootstrap"],
    )
    .exits(0);
    for few in [16, 48, 95] {
        let ran = behind(
            &format!("ulimit -n {few}; exec \"$0\" \"$@\""),
            &["run", "--repeat", "4", ACCEPT],
        )
        .exits(3);
        assert_eq!(ran.stdout, "");
        let said = format!(
            "gauntlet: this process may open {few} files, and a scenario on the embedded target needs 96: \
             raise the limit, as with `ulimit -n 1024`\ngauntlet: nothing was run\n"
        );
        assert_eq!(ran.stderr, said);
    }
    // Before there is a runtime to say it.
    let ran = behind("ulimit -n 8; exec \"$0\" \"$@\"", &["run", ACCEPT]).exits(3);
    assert!(ran.stderr.contains("open"), "{}", ran.stderr);
}

/// A platform that has too few descriptors to come up says so, and does not try.
#[test]
fn few_descriptors_for_a_platform() {
    for (few, contract) in [(20, "harness-token"), (95, "agent-service")] {
        let started = std::time::Instant::now();
        let ran = behind(&format!("ulimit -n {few}; exec \"$0\" \"$@\""), &["up", contract]).exits(3);
        let took = started.elapsed();
        assert!(took < std::time::Duration::from_secs(10), "it waited: {took:?}");
        assert_eq!(ran.stdout, "");
        let said = format!(
            "gauntlet: this process may open {few} files, and a platform on the embedded target needs 96: \
             raise the limit, as with `ulimit -n 1024`\n"
        );
        assert_eq!(ran.stderr, said);
    }
}

/// More at once than there are descriptors for is no platform's failure.
#[test]
fn fewer_descriptors_than_scenarios_at_once_want() {
    let ran = behind(
        "ulimit -n 200; exec \"$0\" \"$@\"",
        &["run", "-q", "--jobs", "50", "--repeat", "4", "harness-token/token"],
    )
    .exits(0);
    assert!(ran.stdout.contains("2 at once in place of --jobs 50"), "{}", ran.stdout);
}

/// Connections that this process can't make say nothing of the platform.
#[test]
fn descriptors_that_run_out_in_mid_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let report = folder.path().join("r.json");
    let spec = format!("json={}", report.display());
    let id = "mine/descriptors/run-out";
    let scenarios = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/trouble/scenarios");
    let arguments = ["run", "--scenarios", scenarios, id, "--report", &spec];
    behind("ulimit -n 100; exec \"$0\" \"$@\"", &arguments).exits(3);
    let report = json(&report);
    assert_eq!(report["summary"]["verdict"], "error");
    assert_eq!(report["scenarios"][0]["verdict"], "error", "{report}");
    let reason = report["scenarios"][0]["reason"].as_str().expect("a text");
    assert!(reason.contains("connecting to "), "{reason}");
    let what = "this process has no file descriptor left (EMFILE): raise the limit, as with `ulimit -n 20000`, or run \
                fewer scenarios at once with `--jobs`";
    assert!(reason.ends_with(what), "{reason}");
}

#[test]
fn outputs_that_are_closed() {
    for line in ["\"$0\" \"$@\" >&-", "\"$0\" \"$@\" 2>&-", "\"$0\" \"$@\" <&- >&- 2>&-"] {
        behind(line, &["run", ACCEPT]).exits(0);
        behind(line, &["list"]).exits(0);
        behind(line, &["check", "missing.yaml"]).exits(2);
    }
    let ran = behind("\"$0\" \"$@\" | head -n 1; echo ${PIPESTATUS[0]}", &["run", ACCEPT]).exits(0);
    assert!(ran.stdout.ends_with("\n0\n"), "{}", ran.stdout);
    assert_eq!(ran.stderr, "");
    // A report that its reader didn't wait for.
    let line = "\"$0\" \"$@\" | true; echo ${PIPESTATUS[0]}";
    let ran = behind(line, &["run", ACCEPT, "--report", "json=/dev/stdout"]).exits(0);
    assert_eq!(ran.stdout, "0\n");
    assert!(!ran.stderr.contains("gauntlet: "), "{}", ran.stderr);
}

#[test]
fn outputs_that_are_full() {
    for arguments in [&["run", ACCEPT][..], &["prove", ACCEPT, "--jobs", "4"]] {
        let ran = behind("\"$0\" \"$@\" >/dev/full", arguments);
        assert!(
            ran.code.is_some_and(|code| code != 0),
            "{arguments:?} says that all is well"
        );
        assert!(ran.stderr.contains("No space left"), "{arguments:?}: {}", ran.stderr);
    }
}

/// Reports and evidence that can't be written: said with the path, and never a pass.
#[test]
fn folders_that_are_none() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("file"), "").expect("written");
    for report in ["json=file/r.json", "junit=/proc/r.xml", "markdown=/dev/full"] {
        let ran = run_in(folder.path(), &["run", ACCEPT, "--report", report]);
        assert!(
            ran.code.is_some_and(|code| code == 2 || code == 3),
            "{report}: {:?}",
            ran.code
        );
        let path = report.split_once('=').map(|(_, path)| path).expect("a path");
        assert!(ran.stderr.contains(path), "{report}: {}", ran.stderr);
    }
    let ran = run_in(folder.path(), &["prove", ACCEPT, "--report", "file/matrix.md"]).exits(3);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("cannot write file/matrix.md: "), "{}", ran.stderr);
    assert!(ran.stderr.contains("nothing was run"), "{}", ran.stderr);
    let arguments = ["run", ACCEPT, "--mutant", "token-with-newline", "--reports", "file"];
    let ran = run_in(folder.path(), &arguments);
    assert!(ran.code.is_some_and(|code| code != 0), "{:?}", ran.code);
    assert!(
        ran.stderr.contains("evidence") && ran.stderr.contains("file"),
        "{}",
        ran.stderr
    );
}
