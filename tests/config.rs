//! Flags that are set in `gauntlet.toml` and by variables, and which of them counts.

use std::path::Path;

use crate::binary::{MINE, Ran, folder, gauntlet, json, run_in};

/// Writes a file of settings into a folder.
fn settings(folder: &Path, text: &str) {
    std::fs::write(folder.join("gauntlet.toml"), text).expect("written");
}

fn run_with(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Ran {
    let mut command = gauntlet();
    command.current_dir(folder).envs(variables.iter().copied());
    Ran::of(command.args(arguments).output().expect("gauntlet starts"))
}

/// What is said of a file of settings.
fn refused(text: &str, arguments: &[&str]) -> String {
    let folder = folder();
    settings(folder.path(), text);
    let ran = run_in(folder.path(), arguments).exits(2);
    assert_eq!(ran.stdout, "");
    ran.stderr
}

/// Files that are wrong, with what is said of them.
macro_rules! wrong {
    ($($name:ident: $text:expr;)+) => {$(
        #[test]
        fn $name() {
            insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false,
                snapshot_path => "config", description => $text }, {
                insta::assert_snapshot!(stringify!($name), refused($text, &["list"]));
            });
        }
    )+};
}

wrong! {
    unknown_flag: "color = \"never\"\n\n[run]\njbos = 3\n";
    unknown_table: "[lits]\nformat = \"json\"\n";
    flag_above_all_tables: "jobs = 3\n";
}

#[test]
fn the_command_line_counts_before_variables_and_these_before_the_file() {
    let root = folder();
    settings(root.path(), "[list]\nformat = \"json\"\n");
    let below = root.path().join("a/b");
    std::fs::create_dir_all(&below).expect("made");
    let is_json = |variables: &[(&str, &str)], flags: &[&str]| {
        let arguments = [&["list", "harness-token/token/accept"], flags].concat();
        let ran = run_with(&below, variables, &arguments).exits(0);
        ran.stdout.starts_with('[')
    };
    assert!(is_json(&[], &[]), "the file above counts");
    assert!(!is_json(&[], &["--format", "text"]));
    let text = ("GAUNTLET_LIST_FORMAT", "text");
    assert!(!is_json(&[text], &[]));
    assert!(is_json(&[text], &["--format", "json"]));
    assert!(!is_json(&[], &["--no-config"]));
    assert!(is_json(&[text], &["--no-config", "--format=json"]));
    settings(&below, "[list]\nformat = \"text\"\n");
    assert!(!is_json(&[], &[]), "the nearest file counts, and no other");
    assert!(is_json(&[], &["--config", "../../gauntlet.toml"]));
    // Other commands' flags are theirs.
    let run = run_with(
        &below,
        &[("GAUNTLET_RUN_SEED", "7")],
        &["list", "harness-token/token/accept"],
    )
    .exits(0);
    assert!(run.stdout.starts_with("harness-token/token/accept"), "{}", run.stdout);
}

#[test]
fn paths_of_the_file_are_relative_to_it() {
    let root = folder();
    let scenarios =
        format!("[run]\nscenarios = \"{MINE}\"\nreports = \"out\"\nreport = [\"json=r.json\", \"junit\"]\n");
    settings(root.path(), &scenarios);
    let below = root.path().join("below");
    std::fs::create_dir(&below).expect("made");
    run_in(&below, &["run", "mine/token/quick"]).exits(0);
    assert!(root.path().join("r.json").is_file() && root.path().join("out/latest/junit.xml").is_file());
    let left = std::fs::read_dir(&below).expect("read").count();
    assert_eq!(left, 0, "it left files where it was called");
    // Those of the command line are relative to where it is called, and take the place of the file's.
    run_in(&below, &["run", "mine/token/quick", "--report", "json=mine.json"]).exits(0);
    assert_eq!(json(&below.join("mine.json"))["summary"]["pass"], 1);
}

#[test]
fn switches_counts_and_lists() {
    let folder = folder();
    let run = ["run", "mine/token/quick", "--scenarios", MINE];
    settings(folder.path(), "[run]\nquiet = true\n");
    let quiet = run_in(folder.path(), &run).exits(0).stdout;
    assert!(!quiet.contains("] mine/token/quick"), "{quiet}");
    // What is typed can't be together with it, and counts.
    let verbose = run_in(folder.path(), &[&run[..], &["--verbose"]].concat())
        .exits(0)
        .stdout;
    assert!(verbose.contains(" step "), "{verbose}");
    let loud = run_with(folder.path(), &[("GAUNTLET_RUN_QUIET", "false")], &run)
        .exits(0)
        .stdout;
    assert!(loud.contains("] mine/token/quick"), "{loud}");
    settings(folder.path(), "color = \"always\"\n[run]\nverbose = 1\n");
    let verbose = run_in(folder.path(), &run).exits(0).stdout;
    assert!(
        verbose.contains(" step ") && verbose.contains("\x1b[1;32mPASS"),
        "{verbose}"
    );
}

#[test]
fn every_flag_of_a_command_is_a_key() {
    let flag = regex::Regex::new(r"(?m)^ {2,6}(?:-\w, )?--([a-z0-9-]+)").expect("a pattern");
    for command in [
        "run",
        "prove",
        "load",
        "capacity",
        "list",
        "check-manifests",
        "up",
        "recover",
    ] {
        let folder = folder();
        let help = run_in(folder.path(), &[command, "--help"]).exits(0).stdout;
        let of_all = ["help", "color", "config", "no-config"];
        let flags: Vec<&str> = flag
            .captures_iter(&help)
            .filter_map(|found| found.get(1))
            .map(|name| name.as_str())
            .filter(|name| !of_all.contains(name))
            .collect();
        assert!(!flags.is_empty(), "{help}");
        // No flag has a table as its value, and each says so.
        let lines: String = flags.iter().map(|flag| format!("{flag} = {{}}\n")).collect();
        let arguments: &[&str] = match command {
            "check-manifests" => &["check-manifests", "-"],
            command => &[command],
        };
        let said = refused(&format!("[{command}]\n{lines}"), arguments);
        assert!(!said.contains("has no flag"), "{said}");
        let counted = match flags.len() {
            1 => "1 problem in 1 file".to_owned(),
            n => format!("{n} problems in 1 file"),
        };
        assert!(said.contains(&counted), "{counted}: {said}");
    }
}

#[test]
fn values_that_are_not_right_are_told_with_their_place() {
    let cases = [
        (
            "[list]\nlevel = \"cor\"\n",
            "gauntlet.toml:2:9",
            "`level` has no value `cor`",
        ),
        (
            "[list]\nlevel = [\"all\"]\n",
            "gauntlet.toml:2:9",
            "`level` is one text or number",
        ),
        (
            "[list]\nlevel = \"cor\"\n",
            "gauntlet.toml:2:9",
            "help: did you mean `core`?",
        ),
    ];
    for (text, place, part) in cases {
        let said = refused(text, &["list"]);
        assert!(
            said.contains(place) && said.contains(part),
            "{place}, {part} in\n{said}"
        );
    }
    let cases = [
        (
            "[run]\njobs = 0\n",
            "gauntlet.toml:2:8",
            "`0` is not right for `jobs`: not a whole number from 1 on",
        ),
        ("[run]\nquiet = 1\n", "gauntlet.toml:2:9", "`quiet` is true or false"),
        (
            "[run]\ntimeout = \"5\"\n",
            "gauntlet.toml:2:11",
            "`5` is not right for `timeout`: not a number",
        ),
        (
            "[run]\nquiet = true\nverbose = 1\n",
            "gauntlet.toml:3:1",
            "`verbose` can't be set together with `quiet`",
        ),
        (
            "[run]\nquiet = true\nquiet = true\n",
            "gauntlet.toml:3:",
            "duplicate key",
        ),
    ];
    for (text, place, part) in cases {
        let said = refused(text, &["run", "mine/none"]);
        assert!(
            said.contains(place) && said.contains(part),
            "{place}, {part} in\n{said}"
        );
    }
}

#[test]
fn variables_that_are_not_right_are_named() {
    let folder = folder();
    let said = |name: &str, value: &str| {
        let ran = run_with(folder.path(), &[(name, value)], &["run"]).exits(2);
        assert_eq!(ran.stdout, "");
        ran.stderr
    };
    assert_eq!(
        said("GAUNTLET_RUN_JBOS", "3"),
        "gauntlet: GAUNTLET_RUN_JBOS: `run` has no such flag; did you mean GAUNTLET_RUN_JOBS?\n"
    );
    assert_eq!(
        said("GAUNTLET_RUN_JOBS", "0"),
        "gauntlet: GAUNTLET_RUN_JOBS: `0` is not right for `jobs`: not a whole number from 1 on\n"
    );
    assert_eq!(
        said("GAUNTLET_COLOR", "alwys"),
        "gauntlet: GAUNTLET_COLOR: `color` has no value `alwys`; did you mean `always`?\n"
    );
}

#[test]
fn a_file_that_is_named_has_to_be_there() {
    let folder = folder();
    let ran = run_in(folder.path(), &["list", "--config", "none.toml"]).exits(2);
    assert_eq!(ran.stderr, "gauntlet: none.toml: there is no such file or folder\n\n");
    // Help is given whatever the file says.
    settings(folder.path(), "nonsense");
    assert!(
        run_in(folder.path(), &["list", "--help"])
            .exits(0)
            .stdout
            .contains("Usage: gauntlet list")
    );
}
