//! Folders of runs: none takes from another what it left.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::binary::{MINE, Ran, files_below, folder, gauntlet, json, run_in};

const WRONG: [&str; 4] = ["run", "--scenarios", MINE, "mine/token/wrong"];
const QUICK: [&str; 4] = ["run", "--scenarios", MINE, "mine/token/quick"];

/// What is in `reports`, without the link to the newest.
fn runs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("reports")).expect("reports");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut runs: Vec<PathBuf> = paths.filter(|path| !path.ends_with("latest")).collect();
    runs.sort();
    runs
}

/// The paths of evidence that are printed.
fn evidence(ran: &Ran) -> Vec<&str> {
    let lines = ran.stdout.lines().map(str::trim);
    lines
        .filter(|line| line.starts_with("reports/") && line.contains("/evidence/"))
        .collect()
}

#[test]
fn a_pass_leaves_the_evidence_of_the_failure_before_it() {
    let folder = folder();
    let accept = "harness-token/token/accept[direct]";
    let failed = run_in(folder.path(), &["run", accept, "--mutant", "keystrokes-lost"]).exits(1);
    let told = evidence(&failed);
    assert!(!told.is_empty(), "{}", failed.stdout);
    let first = folder.path().join(told[0]);
    let beside = first.with_file_name("notes.txt");
    std::fs::write(&beside, "mine").expect("written");
    let before = files_below(folder.path());
    let passed = run_in(folder.path(), &["run", accept]).exits(0);
    assert_eq!(passed.stderr, "");
    run_in(folder.path(), &["run", accept, "--report", "json"]).exits(0);
    for path in told.iter().map(|path| folder.path().join(path)).chain([beside]) {
        assert!(path.is_file(), "{} is gone", path.display());
    }
    for (path, text) in before {
        // What `latest` led to is still there by its own name.
        if !path.starts_with(folder.path().join("reports/latest")) {
            assert_eq!(std::fs::read_to_string(&path).ok(), Some(text), "{}", path.display());
        }
    }
}

#[test]
fn latest_leads_to_the_newest() {
    let folder = folder();
    for seed in ["1", "2", "3"] {
        let arguments = [&QUICK[..], &["--report", "json", "--seed", seed]].concat();
        run_in(folder.path(), &arguments).exits(0);
        let report = json(&folder.path().join("reports/latest/report.json"));
        assert_eq!(report["seed"].to_string(), seed);
    }
    assert_eq!(runs(folder.path()).len(), 3);
    let link = std::fs::read_link(folder.path().join("reports/latest")).expect("a link");
    assert_eq!(link.components().count(), 1, "{}", link.display());
}

#[test]
fn runs_at_once_in_one_folder() {
    let folder = folder();
    let start = || {
        let mut command: Command = gauntlet();
        command.current_dir(folder.path()).args(WRONG);
        command.args(["--report", "json", "--repeat", "4"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("it starts")
    };
    let running = [(); 3].map(|()| start());
    for child in running {
        let ran = Ran::of(child.wait_with_output().expect("it ends")).exits(1);
        assert_eq!(ran.stderr, "");
        for path in evidence(&ran) {
            assert!(folder.path().join(path).exists(), "{path}");
        }
    }
    let runs = runs(folder.path());
    assert_eq!(runs.len(), 3, "{runs:?}");
    for run in &runs {
        let report = json(&run.join("report.json"));
        let scenarios = report["scenarios"].as_array().expect("a list");
        assert_eq!(scenarios.len(), 4);
        for path in scenarios.iter().flat_map(|s| s["evidence"].as_array().expect("a list")) {
            let path = folder.path().join(path.as_str().expect("a path"));
            assert!(path.starts_with(run) && path.is_file(), "{}", path.display());
        }
    }
}

#[test]
fn only_so_many_are_kept_where_that_is_asked_for() {
    let folder = folder();
    let foreign = folder.path().join("reports/20000101T000000Z");
    std::fs::create_dir_all(&foreign).expect("made");
    std::fs::write(foreign.join("file"), "mine").expect("written");
    let arguments = [&QUICK[..], &["--report", "json"]].concat();
    for _ in 0..3 {
        run_in(folder.path(), &arguments).exits(0);
    }
    let before = runs(folder.path());
    assert_eq!(before.len(), 4, "{before:?}");
    let keep = [&arguments[..], &["--keep-reports", "2"]].concat();
    assert_eq!(run_in(folder.path(), &keep).exits(0).stderr, "");
    let left = runs(folder.path());
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(left.contains(&foreign) && foreign.join("file").is_file(), "{left:?}");
    assert!(left.contains(&before[3]), "the newest of before: {left:?}");
    assert!(folder.path().join("reports/latest/report.json").is_file());
}

#[test]
fn a_latest_of_somebody_elses_is_left_and_said() {
    let folder = folder();
    let latest = folder.path().join("r/latest");
    std::fs::create_dir_all(&latest).expect("made");
    let arguments = [&QUICK[..], &["--report", "junit", "--reports", "r"]].concat();
    let ran = run_in(folder.path(), &arguments).exits(0);
    assert!(ran.stderr.contains("r/latest isn't a link"), "{}", ran.stderr);
    assert!(std::fs::read_dir(&latest).expect("a folder").next().is_none());
}

#[test]
fn a_link_of_somebody_elses_is_left_and_said() {
    let folder = folder();
    std::fs::create_dir_all(folder.path().join("r")).expect("made");
    let latest = folder.path().join("r/latest");
    std::os::unix::fs::symlink("../mine", &latest).expect("made");
    let arguments = [&QUICK[..], &["--report", "junit", "--reports", "r"]].concat();
    let ran = run_in(folder.path(), &arguments).exits(0);
    assert!(ran.stderr.contains("r/latest leads to ../mine"), "{}", ran.stderr);
    assert_eq!(std::fs::read_link(&latest).expect("a link"), Path::new("../mine"));
}

#[test]
fn runs_at_once_of_which_one_is_kept() {
    let folder = folder();
    let start = || {
        let mut command: Command = gauntlet();
        command.current_dir(folder.path()).args(WRONG);
        command.args(["--report", "json", "--keep-reports", "1"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("it starts")
    };
    let running = [(); 4].map(|()| start());
    for child in running {
        let ran = Ran::of(child.wait_with_output().expect("it ends")).exits(1);
        assert_eq!(ran.stderr, "");
    }
    let runs = runs(folder.path());
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert!(runs[0].join("report.json").is_file());
    assert!(folder.path().join("reports/latest/report.json").is_file());
}

#[test]
fn a_file_that_somebody_put_into_a_runs_folder_is_kept() {
    let folder = folder();
    let arguments = [&WRONG[..], &["--report", "json", "--keep-reports", "1"]].concat();
    run_in(folder.path(), &arguments).exits(1);
    let first = runs(folder.path()).remove(0);
    std::fs::write(first.join("notes.txt"), "mine").expect("written");
    let ran = run_in(folder.path(), &arguments).exits(1);
    assert!(ran.stderr.contains("gauntlet did not write"), "{}", ran.stderr);
    let names: Vec<PathBuf> = files_below(&first).into_iter().map(|(path, _)| path).collect();
    assert_eq!(names, [first.join("notes.txt")]);
    assert_eq!(run_in(folder.path(), &arguments).exits(1).stderr, "");
    assert_eq!(runs(folder.path()).len(), 2);
}
