//! `gauntlet run`: verdicts, reports, evidence, and an end by a signal that leaves nothing behind.

mod interrupted;
mod secrets;

use std::path::Path;
use std::process::Stdio;

use crate::binary::{MINE, Ran, files_below, folder, gauntlet, json, run_in};
use serde_json::Value;

const ACCEPT: &str = "harness-token/token/accept";

/// Asserts that tags are closed in order, that there is one root, and that no `&` or `<` stands bare.
#[track_caller]
pub fn assert_well_formed(xml: &str) {
    let entity = regex::Regex::new("^&(amp|lt|gt|quot|apos|#[0-9]+|#x[0-9a-fA-F]+);").expect("a pattern");
    for (at, _) in xml.match_indices('&') {
        assert!(entity.is_match(&xml[at..]), "a bare & at byte {at}");
    }
    let tag = regex::Regex::new(r#"^<(/?)([A-Za-z][\w.-]*)((?:\s+[\w.:-]+="[^"<]*")*)\s*(/?)>"#).expect("a pattern");
    let body = xml
        .strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>")
        .expect("an XML declaration");
    let (mut rest, mut open, mut roots) = (body, Vec::new(), 0);
    while let Some(at) = rest.find('<') {
        assert!(
            !open.is_empty() || rest[..at].trim().is_empty(),
            "text outside of the root: {:?}",
            &rest[..at]
        );
        rest = &rest[at..];
        if let Some(data) = rest.strip_prefix("<![CDATA[") {
            rest = &data[data.find("]]>").expect("the end of the CDATA section") + 3..];
            continue;
        }
        let found = tag.captures(rest).unwrap_or_else(|| panic!("not a tag: {:.60}", rest));
        match (&found[1], &found[4]) {
            ("/", _) => assert_eq!(open.pop(), Some(found[2].to_owned()), "closed out of order"),
            (_, "/") => roots += usize::from(open.is_empty()),
            _ => {
                roots += usize::from(open.is_empty());
                open.push(found[2].to_owned());
            }
        }
        rest = &rest[found[0].len()..];
    }
    assert_eq!((open.len(), roots), (0, 1), "open: {open:?}");
}

/// Asserts that nothing that could be a token is in any output: 64 hexadecimal digits, as the contract makes them.
#[track_caller]
fn assert_no_token(ran: &Ran, folder: &Path) {
    let token = regex::Regex::new("[0-9a-fA-F]{64}").expect("a pattern");
    let printed = [
        ("standard output".into(), ran.stdout.clone()),
        ("standard error".into(), ran.stderr.clone()),
    ];
    for (path, text) in files_below(folder).into_iter().chain(printed) {
        assert!(!token.is_match(&text), "something like a token in {}", path.display());
    }
}

#[test]
fn a_right_platform_passes() {
    let folder = folder();
    let ran = run_in(folder.path(), &["run", ACCEPT]).exits(0);
    assert!(
        ran.stdout.contains("3 passed, 0 failed, 0 errors, 0 skipped"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("PASSED"), "{}", ran.stdout);
    assert_eq!(ran.stderr, "");
    assert!(
        files_below(folder.path()).is_empty(),
        "files of a run in which nothing failed"
    );
}

#[test]
fn a_broken_platform_fails_and_the_console_says_why() {
    let folder = folder();
    let ran = run_in(folder.path(), &["run", ACCEPT, "--mutant", "keystrokes-lost"]).exits(1);
    let out = &ran.stdout;
    assert!(out.contains("0 passed, 3 failed"), "{out}");
    for part in [
        "a screen that shows what was typed",
        "no screen that shows what was typed",
        "in  scenarios/harness-token/token/accept.yaml:16",
        "16 |     check: opens",
        "curl -i -N ",
        "?token=$HARNESS_AUTH_TOKEN\"",
        "HARNESS_AUTH_TOKEN=$(kubectl ",
    ] {
        assert!(out.contains(part), "{part} is missing in\n{out}");
    }
    let evidence: Vec<&str> = out
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("reports/") && line.contains("/evidence/"))
        .collect();
    assert!(evidence.iter().any(|path| path.ends_with("/wire.txt")), "{out}");
    for path in evidence {
        let length = std::fs::metadata(folder.path().join(path)).map(|found| found.len());
        assert!(length.is_ok(), "{path}: {length:?}");
    }
    assert_no_token(&ran, folder.path());
}

/// The pasted line must show the failure, not a right platform.
#[test]
fn the_command_to_see_it_again_does_so() {
    let folder = folder();
    let arguments = ["run", ACCEPT, "--mutant", "token-with-newline"];
    let reports = ["--report", "console", "--report", "json=r.json"];
    let ran = run_in(folder.path(), &[&arguments[..], &reports].concat()).exits(1);
    let report = json(&folder.path().join("r.json"));
    assert_eq!(report["mutants"], serde_json::json!(["token-with-newline"]));
    let note = "the platform was broken on purpose, by --mutant token-with-newline";
    assert_eq!(report["notes"], serde_json::json!([note]));
    assert!(ran.stdout.contains(note), "{}", ran.stdout);
    let line = ran
        .stdout
        .lines()
        .find_map(|line| line.trim().strip_prefix("gauntlet run "))
        .map(|rest| format!("run {rest}"))
        .expect("a command to paste");
    assert!(line.starts_with(&format!("run '{ACCEPT}[")), "{line}");
    let words: Vec<&str> = line.split_whitespace().map(|word| word.trim_matches('\'')).collect();
    let again = run_in(folder.path(), &words).exits(1);
    assert!(again.stdout.contains("0 passed, 1 failed"), "{}", again.stdout);
}

#[test]
fn reports_are_written_and_can_be_read() {
    let folder = folder();
    let reports = [
        "--report",
        "json=a/r.json",
        "--report",
        "junit=a/r.xml",
        "--report",
        "markdown=a/r.md",
    ];
    let arguments = [
        &["run", ACCEPT, "--seed", "7", "--mutant", "keystrokes-lost"][..],
        &reports,
    ]
    .concat();
    let ran = run_in(folder.path(), &arguments).exits(1);
    assert!(
        ran.stdout.contains("0 passed, 3 failed"),
        "reports silence the console: {}",
        ran.stdout
    );

    let report = json(&folder.path().join("a/r.json"));
    assert_eq!(report["kind"], "Report");
    assert_eq!(report["seed"], 7);
    assert_eq!(report["summary"]["verdict"], "failed");
    assert_eq!(report["summary"]["fail"], 3);
    let scenarios = report["scenarios"].as_array().expect("a list");
    assert_eq!(scenarios.len(), 3);
    for scenario in scenarios {
        assert_eq!(scenario["verdict"], "fail");
        let failed = scenario["checks"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|check| check["verdict"] == "fail");
        assert_eq!(failed.expect("a failed check")["at"]["line"], 16);
        assert!(!scenario["evidence"].as_array().expect("a list").is_empty());
    }

    let xml = std::fs::read_to_string(folder.path().join("a/r.xml")).expect("the report");
    assert_well_formed(&xml);
    assert!(
        xml.contains(r#"<testsuites name="gauntlet" tests="3" skipped="0" failures="3" errors="0""#),
        "{xml}"
    );
    assert_eq!(xml.matches("<failure ").count(), 3);

    let markdown = std::fs::read_to_string(folder.path().join("a/r.md")).expect("the report");
    assert!(markdown.starts_with("# gauntlet: FAILED\n"), "{markdown}");
    assert_eq!(
        markdown.matches("```").count() % 2,
        0,
        "a block of code is not closed:\n{markdown}"
    );
    assert_no_token(&ran, folder.path());
}

#[test]
fn a_report_that_cannot_be_written_is_said_and_is_no_pass() {
    let folder = folder();
    std::fs::write(folder.path().join("file"), "").expect("written");
    let quick = ["run", "--scenarios", MINE, "mine/token/quick", "--report"];
    for (report, why) in [
        (
            "json=/dev/full",
            "cannot write /dev/full: there is no space left on its disk",
        ),
        (
            "junit=/dev/full",
            "cannot write /dev/full: there is no space left on its disk",
        ),
        (
            "json=file/r.json",
            "cannot write file/r.json: a part of the path before the file name is a file",
        ),
        ("markdown=.", "it is a folder; name a file in it"),
    ] {
        let ran = run_in(folder.path(), &[&quick[..], &[report]].concat()).exits(3);
        assert!(
            ran.stderr.starts_with("gauntlet: ") && ran.stderr.contains(why),
            "{report}: {}",
            ran.stderr
        );
    }
    // What can be known before the run is: no time is lost on a run without a report.
    for (report, reports) in [
        ("json=file/r.json", "e"),
        ("markdown=.", "e"),
        ("json=r.json", "file/e"),
    ] {
        let ran = run_in(
            folder.path(),
            &[&quick[..], &[report, "--reports", reports, "--report", "console"]].concat(),
        );
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""), "{report}, {reports}");
        assert!(
            ran.stderr
                .ends_with("gauntlet: nothing was run, as there would be no report of it\n")
        );
    }
    let full = "gauntlet: json=/dev/full: cannot write /dev/full: there is no space left on its disk
gauntlet: exit code 3 instead of 0, for the reason above
";
    // What is known only at the end doesn't take the verdict along.
    let ran = run_in(folder.path(), &[&quick[..], &["json=/dev/full"]].concat()).exits(3);
    assert!(ran.stdout.contains("PASSED: every scenario held"), "{}", ran.stdout);
    assert_eq!(ran.stderr, full);
    // A failure of the platform is still what the exit code tells.
    let wrong = [
        "run",
        "--scenarios",
        MINE,
        "mine/token/wrong",
        "--report",
        "json=/dev/full",
    ];
    let ran = run_in(folder.path(), &wrong).exits(1);
    assert!(ran.stderr.contains("cannot write /dev/full"), "{}", ran.stderr);
}

#[test]
fn a_console_that_nobody_reads_changes_no_verdict() {
    let folder = folder();
    for (scenario, code) in [("mine/token/quick", 0), ("mine/token/wrong", 1)] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = gauntlet();
        command
            .current_dir(folder.path())
            .args(["run", "--scenarios", MINE, scenario]);
        let ran = Ran::of(
            command
                .stdout(writer)
                .stderr(Stdio::piped())
                .output()
                .expect("it starts"),
        )
        .exits(code);
        assert_eq!(ran.stderr, "");
    }
}

/// Standard output that takes nothing more: the verdict is told on standard error.
#[test]
fn a_console_without_space_is_said() {
    let folder = folder();
    for (scenario, code) in [("mine/token/quick", 3), ("mine/token/wrong", 1)] {
        let full = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("/dev/full");
        let mut command = gauntlet();
        command
            .current_dir(folder.path())
            .args(["run", "--scenarios", MINE, scenario]);
        let ran = Ran::of(command.stdout(full).stderr(Stdio::piped()).output().expect("it starts")).exits(code);
        let verdict = if code == 1 {
            "gauntlet: FAILED: "
        } else {
            "gauntlet: PASSED: "
        };
        assert!(ran.stderr.contains(verdict), "{}", ran.stderr);
        assert!(ran.stderr.contains("gauntlet: console: "), "{}", ran.stderr);
    }
}

/// A report can go down a pipe, and the console makes room for it.
#[test]
fn a_report_on_standard_output() {
    let folder = folder();
    for report in ["json=-", "json=/dev/stdout"] {
        let quick = ["run", "--scenarios", MINE, "mine/token/quick", "--report", report];
        let ran = run_in(folder.path(), &quick).exits(0);
        let read: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        assert_eq!(read["summary"]["verdict"], "passed");
        assert!(ran.stderr.contains("PASSED: every scenario held"), "{}", ran.stderr);
    }
    let copy = [
        "run",
        "--scenarios",
        MINE,
        "mine/token/quick",
        "--report",
        "console=c.txt",
    ];
    let ran = run_in(folder.path(), &copy).exits(0);
    let copied = std::fs::read_to_string(folder.path().join("c.txt")).expect("the copy");
    assert_eq!(copied, ran.stdout);
}

/// A road that is known only when it runs: that the scenario's world lacks it says nothing of the platform.
#[test]
fn a_road_that_the_world_lacks_is_an_error() {
    let folder = folder();
    let arguments = [
        "run",
        "--scenarios",
        MINE,
        "mine/door",
        "--report",
        "console",
        "--report",
        "json=r.json",
    ];
    let ran = run_in(folder.path(), &arguments).exits(3);
    assert!(ran.stdout.contains("0 passed, 0 failed, 3 errors"), "{}", ran.stdout);
    let report = json(&folder.path().join("r.json"));
    for scenario in report["scenarios"].as_array().expect("a list") {
        assert_eq!(scenario["verdict"], "error", "{scenario:#}");
        let reason = scenario["reason"].as_str().expect("a text");
        let said = "the scenario's world has no road balancer: add `balancer: {}` to its `world`";
        assert!(reason.contains(said), "{reason}");
    }
}

#[test]
fn a_folder_of_ones_own() {
    let folder = folder();
    let ran = run_in(
        folder.path(),
        &["run", "--scenarios", MINE, "mine/token/quick", "mine/token/wrong"],
    )
    .exits(1);
    for part in [
        "1 passed, 1 failed",
        "expected  tty_token \"made up\"",
        "mine/token/wrong.yaml:10",
    ] {
        assert!(ran.stdout.contains(part), "{part} in\n{}", ran.stdout);
    }
    assert_no_token(&ran, folder.path());
}

#[test]
fn a_scenario_over_its_time_is_an_error() {
    let folder = folder();
    let arguments = ["run", "--scenarios", MINE, "mine/token/long", "--timeout", "1s"];
    let reports = ["--report", "console", "--report", "json=r.json"];
    let ran = run_in(folder.path(), &[&arguments[..], &reports].concat()).exits(3);
    assert!(
        ran.stdout.contains("the scenario exceeded its time limit of 1s"),
        "{}",
        ran.stdout
    );
    let report = json(&folder.path().join("r.json"));
    assert_eq!(report["scenarios"][0]["verdict"], "error");
    assert_eq!(report["summary"]["verdict"], "error");
    assert_no_token(&ran, folder.path());
}

#[test]
fn a_part_with_nothing_in_it_is_code_4() {
    let folder = folder();
    let ran = run_in(folder.path(), &["run", ACCEPT, "--partition", "9/9"]).exits(4);
    assert!(ran.stdout.contains("NOTHING RAN"), "{}", ran.stdout);
}

#[test]
fn parts_make_up_the_whole() {
    let folder = folder();
    let mut names = Vec::new();
    for part in ["1/2", "2/2"] {
        run_in(
            folder.path(),
            &["run", ACCEPT, "--partition", part, "--report", "json=r.json"],
        )
        .exits(0);
        let report = json(&folder.path().join("r.json"));
        let scenarios = report["scenarios"].as_array().expect("a list").iter();
        names.extend(scenarios.map(|s| s["name"].as_str().expect("a name").to_owned()));
    }
    names.sort_unstable();
    assert_eq!(
        names,
        ["balancer", "direct", "proxy"].map(|road| format!("{ACCEPT}[{road}]"))
    );
}
