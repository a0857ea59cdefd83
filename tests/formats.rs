//! The formats of reports: each of a run that fails, and made again of its JSON report.

use std::path::Path;
use std::process::Command;

use crate::binary::{MINE, Ran, folder, gauntlet, json, run_in};

const WRONG: [&str; 6] = ["run", "--scenarios", MINE, "mine/token/wrong", "--seed", "7"];
const QUICK: [&str; 4] = ["run", "--scenarios", MINE, "mine/token/quick"];

/// The line of the check that fails.
const LINE: &str = "10";

fn text(folder: &Path, name: &str) -> String {
    let path = folder.join("reports/latest").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn shown(folder: &Path, arguments: &[&str]) -> Ran {
    run_in(
        folder,
        &[&["show", "reports/latest/report.json"][..], arguments].concat(),
    )
}

#[test]
fn every_format_of_a_failure() {
    let folder = folder();
    let formats = ["html", "sarif", "tap", "openmetrics", "junit", "json"];
    let reports = formats.iter().flat_map(|format| ["--report", *format]);
    let arguments: Vec<&str> = WRONG.into_iter().chain(reports).collect();
    let ran = run_in(folder.path(), &arguments).exits(1);
    assert_eq!(ran.stderr, "");

    let page = text(folder.path(), "report.html");
    assert!(page.contains("<h1 class=\"fail\">FAILED</h1>"), "{page}");
    assert!(page.contains("check: { tty_token: made up }"), "{page}");
    assert!(page.contains("gauntlet run mine/token/wrong"), "{page}");
    let report = json(&folder.path().join("reports/latest/report.json"));
    let evidence = report["scenarios"][0]["evidence"].as_array().expect("a list");
    assert_eq!(page.matches("<summary>Evidence: ").count(), evidence.len(), "{page}");
    for reference in ["src=", "url(", "@import", "<link", "<img", "fetch(", "unsafe-inline"] {
        assert!(!page.contains(reference), "{reference}: {page}");
    }

    let sarif = json(&folder.path().join("reports/latest/gauntlet.sarif"));
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "mine/token/wrong");
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["region"]["startLine"].to_string(), LINE);
    let uri = place["artifactLocation"]["uri"].as_str().expect("a URI");
    assert!(uri.ends_with("mine/token/wrong.yaml"), "{uri}");

    let tap = text(folder.path(), "report.tap");
    assert!(
        tap.starts_with("TAP version 13\n1..1\nnot ok 1 - mine/token/wrong\n  ---\n"),
        "{tap}"
    );

    let metrics = text(folder.path(), "metrics.txt");
    assert!(
        metrics.contains("\ngauntlet_verdict{rule=\"mine/token/wrong\",case=\"\",verdict=\"fail\"} 1\n"),
        "{metrics}"
    );
    assert!(metrics.ends_with("\n# EOF\n"), "{metrics}");

    let junit = text(folder.path(), "junit.xml");
    assert!(
        junit.contains(&format!("mine/token/wrong.yaml\" line=\"{LINE}\">")),
        "{junit}"
    );
}

#[test]
fn perl_reads_the_tap() {
    let is_there = Command::new("prove").arg("--version").output();
    if !is_there.is_ok_and(|output| output.status.success()) {
        let message = "prove is not there; it comes with Perl";
        assert!(std::env::var_os("CI").is_none(), "{message}");
        eprintln!("skipped: {message}");
        return;
    }
    let folder = folder();
    let proved = || {
        let mut prove = Command::new("prove");
        prove
            .current_dir(folder.path())
            .args(["--exec", "cat", "reports/latest/report.tap"]);
        Ran::of(prove.output().expect("prove starts"))
    };
    let run = |arguments: &[&str]| run_in(folder.path(), &[arguments, &["--report", "tap"]].concat());
    run(&[&WRONG[..], &["mine/token/quick"]].concat()).exits(1);
    // Had it not understood something it would say so, and count less.
    let failed = proved();
    assert!(failed.stdout.contains("Failed 1/2 subtests"), "{}", failed.stdout);
    assert!(!failed.stdout.contains("Parse errors"), "{}", failed.stdout);
    run(&QUICK).exits(0);
    let passed = proved().exits(0);
    assert!(passed.stdout.ends_with("Result: PASS\n"), "{}", passed.stdout);
}

#[test]
fn github_gets_commands_and_a_summary() {
    let folder = folder();
    let summary = folder.path().join("summary.md");
    std::fs::write(&summary, "before\n").expect("written");
    let output = gauntlet()
        .current_dir(folder.path())
        .args(WRONG)
        .args(["--report", "github"])
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", &summary)
        .output()
        .expect("it starts");
    let ran = Ran::of(output).exits(1);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{}", ran.stdout);
    assert!(
        lines[0].starts_with("::error title=gauntlet::FAILED: "),
        "{}",
        ran.stdout
    );
    let place = format!("mine/token/wrong.yaml,line={LINE},");
    assert!(
        lines[1].starts_with("::error file=") && lines[1].contains(&place),
        "{}",
        ran.stdout
    );
    // What is for a person, without a command in it.
    assert!(ran.stderr.contains("FAILED: "), "{}", ran.stderr);
    assert!(!ran.stderr.lines().any(|line| line.starts_with("::")), "{}", ran.stderr);
    let text = std::fs::read_to_string(&summary).expect("the summary");
    assert!(text.starts_with("before\n\n# gauntlet: FAILED\n"), "{text}");
}

#[test]
fn in_github_actions_annotations_are_the_default() {
    let folder = folder();
    let summary = folder.path().join("summary.md");
    std::fs::write(&summary, "").expect("written");
    let run = |summary: &Path, arguments: &[&str]| {
        let output = gauntlet()
            .current_dir(folder.path())
            .args(WRONG)
            .args(arguments)
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_STEP_SUMMARY", summary)
            .output()
            .expect("it starts");
        Ran::of(output).exits(1)
    };
    let ran = run(&summary, &[]);
    assert!(
        ran.stdout.starts_with("::error title=gauntlet::FAILED: "),
        "{}",
        ran.stdout
    );
    assert!(ran.stderr.contains("FAILED: "), "{}", ran.stderr);
    let text = std::fs::read_to_string(&summary).expect("the summary");
    assert!(text.contains("# gauntlet: FAILED\n"), "{text}");
    // Asked for elsewhere, or nowhere to go: standard output has what it has otherwise.
    let ran = run(&summary, &["--report", "github=annotations.txt"]);
    assert!(
        !ran.stdout.contains("\n::error") && ran.stdout.contains("FAILED: "),
        "{}",
        ran.stdout
    );
    let ran = run(&summary, &["--report", "json=-"]);
    assert!(ran.stdout.starts_with('{'), "{}", ran.stdout);
    // Nobody asked for a summary where there can't be one.
    let missing = folder.path().join("no/such/summary.md");
    assert!(run(&missing, &[]).stdout.starts_with("::error title="));
}

#[test]
fn elsewhere_there_is_no_summary() {
    let folder = folder();
    let summary = folder.path().join("summary.md");
    let output = gauntlet()
        .current_dir(folder.path())
        .args(QUICK)
        .args(["--report", "github"])
        .env("GITHUB_STEP_SUMMARY", &summary)
        .output()
        .expect("it starts");
    let ran = Ran::of(output).exits(0);
    assert!(
        ran.stdout.starts_with("::notice title=gauntlet::PASSED: "),
        "{}",
        ran.stdout
    );
    assert!(!summary.exists());
}

#[test]
fn a_summary_that_cannot_be_written_is_told_before_the_run() {
    let folder = folder();
    let output = gauntlet()
        .current_dir(folder.path())
        .args(QUICK)
        .args(["--report", "github"])
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", "no/such/folder/summary.md")
        .output()
        .expect("it starts");
    let ran = Ran::of(output).exits(3);
    assert!(
        ran.stderr
            .starts_with("gauntlet: the step's summary: cannot append to no/such/folder/summary.md"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("nothing was run"), "{}", ran.stderr);
}

#[test]
fn a_report_is_shown_in_any_format() {
    let folder = folder();
    let accept = [
        "run",
        "harness-token/token/accept[direct]",
        "--mutant",
        "keystrokes-lost",
    ];
    let arguments = [&accept[..], &["--report", "json", "--report", "openmetrics"]].concat();
    run_in(folder.path(), &arguments).exits(1);
    let console = shown(folder.path(), &[]).exits(0);
    assert!(
        console.stdout.contains("FAIL harness-token/token/accept[direct]"),
        "{}",
        console.stdout
    );
    assert!(console.stdout.contains("FAILED: in 1 scenario"), "{}", console.stdout);
    let metrics = shown(folder.path(), &["--report", "openmetrics"]).exits(0);
    // A JSON report has durations to the microsecond.
    let names = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| line.rsplit_once(' ').expect("a value").0.to_owned())
            .collect()
    };
    assert_eq!(names(&metrics.stdout), names(&text(folder.path(), "metrics.txt")));
    let again = shown(folder.path(), &["--report", "json"]).exits(0);
    assert_eq!(again.stdout, text(folder.path(), "report.json"));
    let files = ["--report", "html=page.html", "--report", "tap=-"];
    let both = shown(folder.path(), &files).exits(0);
    assert!(both.stdout.starts_with("TAP version 13\n"), "{}", both.stdout);
    let page = std::fs::read_to_string(folder.path().join("page.html")).expect("the page");
    let named = json(&folder.path().join("reports/latest/report.json"));
    let evidence = named["scenarios"][0]["evidence"][0]
        .as_str()
        .expect("a path")
        .to_owned();
    assert!(page.contains(&evidence), "{evidence}: {page}");
    assert!(page.contains("evidence is named by its path"), "{page}");
}

#[test]
fn what_cannot_be_shown_is_said() {
    let folder = folder();
    std::fs::write(
        folder.path().join("load.json"),
        "{\"apiVersion\": \"gauntlet/v1\", \"kind\": \"LoadResult\"}",
    )
    .expect("written");
    let ran = run_in(folder.path(), &["show", "load.json"]).exits(2);
    assert_eq!(
        ran.stderr,
        "gauntlet: load.json isn't a JSON report of gauntlet: its kind is LoadResult, not Report\n"
    );
    let twice = run_in(
        folder.path(),
        &["show", "r.json", "--report", "html", "--report", "tap"],
    )
    .exits(2);
    assert!(
        twice.stderr.contains("would both go to standard output"),
        "{}",
        twice.stderr
    );
    let missing = run_in(folder.path(), &["show", "r.json"]).exits(2);
    assert!(
        missing.stderr.starts_with("gauntlet: cannot read the report r.json: "),
        "{}",
        missing.stderr
    );
}

#[test]
fn two_runs_are_compared() {
    let folder = folder();
    let run = |report: &str, mutant: &[&str], code| {
        let accept = ["run", "harness-token/token/accept[direct]", "--report", report];
        run_in(folder.path(), &[&accept[..], mutant].concat()).exits(code)
    };
    run("json=good.json", &[], 0);
    run("json=bad.json", &["--mutant", "keystrokes-lost"], 1);
    let compare = |arguments: &[&str]| run_in(folder.path(), &[&["compare"][..], arguments].concat());
    let fail_on = ["--fail-on", "new-failures"];
    let worse = compare(&[&["good.json", "bad.json"][..], &fail_on].concat()).exits(1);
    assert!(
        worse
            .stdout
            .contains("\nnew failures (1)\n   PASS → FAIL   harness-token/token/accept[direct]\n"),
        "{}",
        worse.stdout
    );
    assert!(
        worse.stdout.contains("mutants `none` and `keystrokes-lost`"),
        "{}",
        worse.stdout
    );
    assert!(worse.stdout.ends_with("\n1 NEW FAILURE\n"), "{}", worse.stdout);
    compare(&["good.json", "bad.json"]).exits(0);
    let better = compare(&[&["bad.json", "good.json"][..], &fail_on].concat()).exits(0);
    assert!(better.stdout.contains("\nfixed (1)\n"), "{}", better.stdout);
    let same = compare(&[&["bad.json", "bad.json"][..], &fail_on].concat()).exits(0);
    assert!(same.stdout.ends_with("\nNO DIFFERENCE\n"), "{}", same.stdout);

    let of_loads = compare(&["good.json", "bad.json", "--fail-on", "errors > +0%"]).exits(2);
    assert!(
        of_loads
            .stderr
            .contains("is of loads, and good.json is the report of a run"),
        "{}",
        of_loads.stderr
    );
    std::fs::write(
        folder.path().join("other.json"),
        "{\"apiVersion\": \"gauntlet/v1\", \"kind\": \"LoadResult\"}",
    )
    .expect("written");
    let mixed = compare(&["good.json", "other.json"]).exits(2);
    assert!(
        mixed.stderr.contains("its kind is LoadResult, not Report"),
        "{}",
        mixed.stderr
    );
    let near = compare(&["good.json", "bad.json", "--fail-on", "new-failure"]).exits(2);
    assert!(near.stderr.contains("did you mean `new-failures`?"), "{}", near.stderr);
}

#[test]
fn mutants_and_tags_are_listed() {
    let folder = folder();
    let list = |arguments: &[&str]| run_in(folder.path(), arguments).exits(0).stdout;
    let all = list(&["mutants"]);
    assert_eq!(all.lines().count(), gauntlet::platform::mutant::all().count());
    let one = list(&["mutants", "keystrokes-lost"]);
    assert!(
        one.starts_with("keystrokes-lost  harness-token/token/accept  ") && one.lines().count() == 1,
        "{one}"
    );
    let of_row: serde_json::Value =
        serde_json::from_str(&list(&["mutants", "harness-token/token/refuse", "--format", "json"])).expect("JSON");
    let rows = of_row.as_array().expect("a list");
    assert!(
        !rows.is_empty() && rows.iter().all(|mutant| mutant["row"] == "harness-token/token/refuse"),
        "{of_row}"
    );
    let unknown = run_in(folder.path(), &["mutants", "keystroke-lost"]).exits(2);
    assert!(
        unknown.stderr.ends_with("; there is a mutant keystrokes-lost\n"),
        "{}",
        unknown.stderr
    );

    let tags = list(&["tags"]);
    assert!(tags.lines().any(|line| line.starts_with("tag:timing")), "{tags}");
    for line in tags.lines() {
        let tag = line.split_whitespace().next().expect("a tag");
        assert!(!list(&["list", tag]).is_empty(), "{tag}");
    }
    let unknown = run_in(folder.path(), &["tags", "tag:timng"]).exits(2);
    assert!(
        unknown.stderr.contains("did you mean `tag:timing`?"),
        "{}",
        unknown.stderr
    );
}
