//! Reports of `gauntlet load`, and `gauntlet compare` of what it keeps.

use std::path::Path;

use quick_junit::Report;

use crate::binary::{Ran, folder, run_in};

const LOAD: [&str; 7] = ["load", "-n", "20", "--hold", "1s", "--echo-every", "200ms"];

fn load(folder: &Path, arguments: &[&str]) -> Ran {
    run_in(folder, &[&LOAD[..], arguments].concat())
}

fn text(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn junit(text: &str) -> Report {
    Report::deserialize_from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Every element that is opened is closed, and in its turn.
#[track_caller]
fn is_well_formed(page: &str) {
    let mut open = Vec::new();
    for part in page.split('<').skip(1) {
        let (tag, _) = part
            .split_once('>')
            .unwrap_or_else(|| panic!("<{part} has no end in {page}"));
        if tag.starts_with('!') || tag.ends_with('/') {
            continue;
        }
        let name = tag.split_whitespace().next().unwrap_or_default();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{page}"),
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?} are open in {page}");
}

#[test]
fn every_report_of_a_load() {
    let folder = folder();
    let reports = ["--report", "html", "--report", "markdown", "--report", "junit"];
    let ran = load(folder.path(), &[&reports[..], &["--out", "result.json"]].concat()).exits(0);
    assert!(ran.stdout.contains("PASSED in "), "{}", ran.stdout);
    let page = text(folder.path(), "load.html");
    is_well_formed(&page);
    assert!(page.contains("<h1 class=\"pass\">PASSED</h1>"), "{page}");
    for chart in [
        "Terminals",
        "Attaches and errors",
        "Attach",
        "Echo",
        "Lag of the generator",
        "Attach and echo",
    ] {
        assert!(page.contains(&format!("<strong>{chart}</strong>")), "{chart}: {page}");
    }
    for reference in ["http://", "https://", "src=", "href=", "url(", "@import", "<script"] {
        assert!(!page.contains(reference), "{reference}: {page}");
    }
    let comment = text(folder.path(), "load.md");
    assert!(comment.starts_with("# gauntlet load: PASSED\n"), "{comment}");
    assert!(comment.contains("\n| `errors == 0` | kept | 0 |\n"), "{comment}");
    let report = junit(&text(folder.path(), "load-junit.xml"));
    assert_eq!((report.tests, report.failures, report.errors), (3, 0, 0));

    let same = ["compare", "result.json", "result.json", "--fail-on", "errors > +0%"];
    let same = run_in(folder.path(), &same).exits(0);
    assert!(
        same.stdout.ends_with("\n\nNO DIFFERENCE that is more than chance\n"),
        "{}",
        same.stdout
    );
    assert!(
        same.stdout
            .contains("\n  kept  errors > +0%  (+0.0 %, within chance)\n"),
        "{}",
        same.stdout
    );
    assert!(!same.stdout.contains("warning"), "{}", same.stdout);
    let not_one = run_in(folder.path(), &["compare", "result.json", "load-junit.xml"]).exits(2);
    assert_eq!(
        not_one.stderr,
        "gauntlet: load-junit.xml isn't a result of `gauntlet load`: it looks like HTML or XML, as a report does; give a \
         file that `gauntlet load --out` wrote\n"
    );
}

#[test]
fn a_door_that_opened_is_in_every_report() {
    let folder = folder();
    let arguments = [
        "--mutant",
        "empty-token-opens",
        "--report",
        "junit=reports/load.xml",
        "--report",
        "html=-",
    ];
    let ran = load(folder.path(), &arguments).exits(1);
    is_well_formed(&ran.stdout);
    assert!(
        ran.stdout.starts_with("<!doctype html>") && ran.stdout.contains("<h1 class=\"fail\">FAILED</h1>"),
        "{}",
        ran.stdout
    );
    // What is for a person went to standard error.
    assert!(ran.stderr.contains("\nFAILED in "), "{}", ran.stderr);
    let report = text(folder.path(), "reports/load.xml");
    assert!(report.contains("type=\"opened\""), "{report}");
    // The door's, and the whole load's.
    assert_eq!(junit(&report).failures, 2, "{report}");
}

#[test]
fn reports_that_cannot_be_are_told_before_the_load() {
    let folder = folder();
    std::fs::write(folder.path().join("file"), "mine").expect("written");
    let into_a_file = load(folder.path(), &["--report", "html=file/load.html"]).exits(3);
    let said: Vec<&str> = into_a_file.stderr.lines().collect();
    assert!(
        said[0].starts_with("gauntlet: cannot write file/load.html: "),
        "{said:?}"
    );
    assert_eq!(said[1..], ["gauntlet: no load was made"]);
    let twice = load(folder.path(), &["--report", "html", "--report", "html"]).exits(2);
    assert_eq!(twice.stderr, "gauntlet: `--report html` is given twice\n");
    let result = load(folder.path(), &["--report", "html=r", "--out", "./r"]).exits(2);
    assert_eq!(
        result.stderr,
        "gauntlet: `--report html=r` and `--out` would be one file; give each a file of its own\n"
    );
    let unknown = load(folder.path(), &["--report", "json"]).exits(2);
    let said = "there is no report format `json` (there are html, markdown, junit)";
    assert!(unknown.stderr.contains(said), "{}", unknown.stderr);
    for ran in [into_a_file, twice, result, unknown] {
        assert_eq!(ran.stdout, "");
    }
}

/// A platform that takes its time for every message is worse, and not by chance.
#[test]
fn a_slower_platform_is_worse() {
    let folder = folder();
    load(folder.path(), &["--out", "before.json"]).exits(0);
    load(folder.path(), &["--out", "after.json", "--echo-time", "5ms"]).exits(0);
    let compare = |arguments: &[&str]| run_in(folder.path(), &[&["compare"][..], arguments].concat());
    let limit = ["--fail-on", "echo.p50 > +20%"];
    let worse = compare(&[&["before.json", "after.json"][..], &limit].concat()).exits(1);
    assert!(
        worse.stdout.ends_with("\n\nWORSE than is allowed: echo.p50 > +20%\n"),
        "{}",
        worse.stdout
    );
    compare(&["before.json", "after.json"]).exits(0);
    compare(&[&["after.json", "before.json"][..], &limit].concat()).exits(0);
    // Twenty attaches have no such percentile.
    let few = compare(&["before.json", "after.json", "--fail-on", "attach.p99.9 > +20%"]).exits(3);
    assert!(few.stdout.ends_with("\n\nCOULD NOT TELL\n"), "{}", few.stdout);
}

#[test]
fn what_cannot_be_compared_is_said() {
    let folder = folder();
    let cases: [(&[&str], &str); 3] = [
        (
            &["a.json", "b.json"],
            "gauntlet: cannot read a.json: there is no such file or folder\n",
        ),
        (
            &["/dev/null", "b.json"],
            "gauntlet: cannot read /dev/null: this isn't a regular file; copy its output into a file\n",
        ),
        (
            &["a.json", "b.json", "--fail-on", "attach.p99"],
            "error: invalid value 'attach.p99' for '--fail-on <LIMIT>': there is no >, and more is what is worse; \
             wanted is a limit like `attach.p99 > +10%`, `steady.echo.p99.9 > +5%` or `errors > +0%`\n",
        ),
    ];
    for (arguments, said) in cases {
        let ran = run_in(folder.path(), &[&["compare"][..], arguments].concat()).exits(2);
        assert!(ran.stderr.starts_with(said), "{arguments:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "");
    }
}
