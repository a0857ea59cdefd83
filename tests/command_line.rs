//! The command line as a person or a pipeline meets it: exit codes, messages, what is printed.

use std::process::Stdio;

use crate::binary::{Ran, gauntlet, run_in};
use serde_json::Value;

/// An error of the command line: code 2, nothing on standard output, and the message of the golden file.
macro_rules! refused {
    ($($name:ident: $($argument:expr),+;)+) => {$(
        #[test]
        fn $name() {
            let folder = tempfile::tempdir().expect("a folder");
            let ran = run_in(folder.path(), &[$($argument),+]).exits(2);
            assert_eq!(ran.stdout, "");
            assert!(std::fs::read_dir(folder.path()).expect("read").next().is_none(), "it left files");
            insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false,
                snapshot_path => "command_line", description => [$($argument),+].join(" ") }, {
                insta::assert_snapshot!(stringify!($name), ran.stderr);
            });
        }
    )+};
}

refused! {
    unknown_selector: "run", "harness-token/token/acept";
    unknown_selector_far_from_all: "list", "zzzzzzzz";
    unknown_mutant: "run", "--mutant", "keystroke-lost";
    unknown_second_mutant: "run", "--mutant", "keystrokes-lost,nonsense-of-all-kinds";
    unknown_report_format: "run", "--report", "jnuit";
    report_without_file_name: "run", "--report", "json=";
    unknown_component: "platform", "snadbox";
    unknown_component_far_from_all: "platform", "zzzzzzzz";
    partition_beyond_its_parts: "run", "--partition", "4/2";
    partition_of_nothing: "run", "--partition", "1/0";
    partition_of_words: "run", "--partition", "half";
    duration_without_unit: "run", "--timeout", "5";
    duration_of_another_unit: "run", "--timeout", "5 weeks";
    duration_of_nothing: "run", "--timeout", "0s";
    duration_too_long: "prove", "--timeout", "1000000000m";
    mutant_of_a_row_that_is_not_selected: "prove", "harness-token/token/refuse", "--mutant", "keystrokes-lost";
    mutants_that_none_matches: "prove", "--mutant", "nginx-x*";
    unknown_mutant_to_prove: "prove", "--mutant", "keystroke-lost";
    prove_with_a_flag_of_another_target: "prove", "--reuse";
    jobs_of_none: "run", "--jobs", "0";
    jobs_below_none: "run", "--jobs", "-1";
    repeat_beyond_counting: "run", "--repeat", "99999999999";
    seed_below_nought: "run", "--seed", "-1";
    seed_that_others_would_change: "run", "--seed", "9007199254740992";
    seed_that_others_would_change_to_prove: "prove", "--seed", "9007199254740992";
    selectors_leave_nothing: "run", "!*";
    case_unknown: "run", "harness-token/token/accept[prxoy]";
    case_of_no_matrix: "list", "harness-token/bootstrap/seeded[proxy]";
    tag_unknown: "run", "tag:nope";
    level_as_selector: "run", "level:all";
    two_reports_in_one_file: "run", "--report", "json=r", "--report", "junit=./r";
    two_reports_on_standard_output: "run", "--report", "json=-", "--report", "junit=-";
    no_reports_to_keep: "run", "--keep-reports", "0";
    console_twice: "run", "--report", "console", "--report", "console";
    scenarios_not_there: "run", "--scenarios", "missing";
    list_scenarios_not_there: "list", "--scenarios", "missing";
    check_file_not_there: "check", "missing.yaml";
    explain_unknown: "explain", "harness-token/token/acept";
    explain_several: "explain", "harness-token/token";
    level_leaves_nothing: "run", "--level", "extended", "harness-token/token/accept";
    level_leaves_nothing_to_list: "list", "--level", "core", "harness-token/token/both";
    unknown_level: "run", "--level", "cor";
    unknown_command: "rnu";
    unknown_flag: "run", "--mutants", "keystrokes-lost";
    completions_of_another_shell: "completions", "tcsh";
    man_page_unknown: "man", "rnu";
    colours_at_another_time: "list", "--color", "sometimes";
    road_that_is_no_address: "init", "--road", "balancer=nowhere";
    road_unknown: "init", "--road", "balancr=https://a.example";
    contract_misspelt: "up", "harness-tokn";
    contract_misspelt_as_selector: "run", "harnes-token";
    gateway_misspelt: "run", "--gateway", "ngnix";
    tag_misspelt: "run", "tag:timin";
    quiet_and_verbose: "run", "--quiet", "--verbose";
    capacity_of_fan_out: "capacity", "capacity/terminal/fan-out";
    load_beside_other_steps: "load", "harness-token/load/refuses/restarted";
    load_of_a_scenario_without_one: "load", "harness-token/token/refuse";
    load_of_no_scenario: "load", "harness-token/load/hold";
    load_of_several_cases: "load", "harness-token/load/holds";
    load_of_several_scenarios: "load", "harness-token/load";
    load_on_another_road: "load", "harness-token/load/holds[proxy]";
    load_with_tokens_of_a_scenario: "load", "harness-token/load/refuses/old[direct]";
    watch_on_kind: "watch", "--target", "kind";
    watch_of_what_disrupts: "watch", "harness-token/rotate/live";
    watch_that_may_disrupt: "watch", "--target", "url", "--allow", "disrupt";
    watch_of_a_platform_that_is_broken_on_purpose: "watch", "--target", "url", "--mutant", "keystrokes-lost";
}

fn ran(arguments: &[&str]) -> Ran {
    let folder = tempfile::tempdir().expect("a folder");
    run_in(folder.path(), arguments)
}

#[test]
fn no_command_shows_help_and_is_an_error() {
    let ran = ran(&[]).exits(2);
    assert_eq!(ran.stdout, "");
    assert!(
        ran.stderr.contains("Usage: gauntlet [OPTIONS] <COMMAND>"),
        "{}",
        ran.stderr
    );
}

#[test]
fn help_names_the_exit_codes() {
    let ran = ran(&["--help"]).exits(0);
    for code in ["0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "130"] {
        assert!(ran.stdout.contains(&format!("\n  {code}")), "{code} in\n{}", ran.stdout);
    }
}

/// What help says in the place of a selector is no selector: `all` matches nothing.
#[test]
fn help_says_what_is_meant_without_a_selector() {
    for command in ["run", "list", "prove"] {
        let ran = ran(&[command, "--help"]).exits(0);
        let text: Vec<&str> = ran.stdout.split_whitespace().collect();
        let text = text.join(" ");
        let (_, behind) = text.split_once("Which scenarios: ").expect("its selectors");
        let (selectors, _) = behind.split_once(" Options:").expect("its options");
        assert!(
            selectors.ends_with("! excludes; without any, all of them"),
            "{command}: {selectors}"
        );
    }
}

#[test]
fn version() {
    let ran = ran(&["--version"]).exits(0);
    let commit = option_env!("GAUNTLET_COMMIT").map_or_else(String::new, |commit| format!(" ({commit})"));
    assert_eq!(ran.stdout, format!("gauntlet {}{commit}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn list_has_a_line_for_each() {
    let ran = ran(&["list", "harness-token/token"]).exits(0);
    assert_eq!(ran.stderr, "");
    let ids: Vec<_> = ran
        .stdout
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    assert_eq!(ids, sorted);
    assert!(ids.contains(&"harness-token/token/accept"), "{ids:?}");
    assert!(ids.iter().all(|id| id.starts_with("harness-token/token/")), "{ids:?}");
}

#[test]
fn list_as_json() {
    let ran = ran(&["list", "--format", "json"]).exits(0);
    let list: Vec<Value> = serde_json::from_str(&ran.stdout).expect("a JSON list");
    assert!(!list.is_empty());
    for entry in &list {
        let keys: Vec<_> = entry
            .as_object()
            .expect("an object")
            .keys()
            .map(String::as_str)
            .collect();
        let expected = [
            "id",
            "title",
            "level",
            "contract",
            "needs",
            "intrusion",
            "tags",
            "spec",
            "runs",
        ];
        assert_eq!(keys, expected, "{entry}");
    }
    let accept = list
        .iter()
        .find(|entry| entry["id"] == "harness-token/token/accept")
        .expect("it is listed");
    assert_eq!(accept["level"], "core");
    assert_eq!(accept["intrusion"], "use");
    assert_eq!(accept["runs"], 3);
}

#[test]
fn levels_of_the_list_make_up_the_whole() {
    let count = |level| ran(&["list", "--level", level]).exits(0).stdout.lines().count();
    assert_eq!(count("core") + count("extended"), count("all"));
}

#[test]
fn explain_shows_source_steps_and_mutants() {
    let ran = ran(&["explain", "harness-token/token/accept"]).exits(0);
    for part in [
        "harness-token/token/accept\n",
        "HARNESS_AUTH_TOKEN",
        "attach ${s}",
        "keystrokes-lost",
    ] {
        assert!(ran.stdout.contains(part), "{part} in\n{}", ran.stdout);
    }
}

#[test]
fn what_is_listed_can_be_explained() {
    let listed = ran(&["list", "harness-token/token"]).exits(0).stdout;
    for id in listed.lines().filter_map(|line| line.split_whitespace().next()) {
        assert!(ran(&["explain", id]).exits(0).stdout.starts_with(id));
    }
}

#[test]
fn schema_is_the_committed_one() {
    let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/scenario.schema.json"));
    let printed = ran(&["schema"]).exits(0).stdout;
    assert!(
        printed == committed.expect("the schema can be read"),
        "the committed schema is not current"
    );
}

#[test]
fn check_of_the_built_in_ones() {
    let ran = ran(&["check"]).exits(0);
    assert!(ran.stdout.ends_with(" scenarios: nothing wrong\n"), "{}", ran.stdout);
    assert_eq!(ran.stderr, "");
}

#[test]
fn check_shows_the_place_of_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mine/token/broken.yaml");
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    let text = "apiVersion: gauntlet/v1
id: mine/token/broken
title: A step that nobody knows
spec: none, written for a test
level: core
intrusion: use
steps:
  - session: new
    as: s
  - atach: ${s}
    check: opens
";
    std::fs::write(&path, text).expect("written");
    // The whole folder, so that the file's path is its id.
    let ran = run_in(folder.path(), &["check", "."]).exits(2);
    assert_eq!(ran.stdout, "");
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false,
        snapshot_path => "command_line" }, {
        insta::assert_snapshot!("check_broken_file", ran.stderr);
    });
    assert!(ran.stderr.contains("mine/token/broken.yaml:10:"), "{}", ran.stderr);
}

/// The reader has gone before the first byte: an end like any other, without a panic.
#[test]
fn output_that_nobody_reads() {
    for arguments in [
        &["list"][..],
        &["list", "--format", "json"],
        &["schema"],
        &["check"],
        &["explain", "harness-token/token/accept"],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = gauntlet()
            .args(arguments)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .expect("it starts");
        let ran = Ran::of(output).exits(0);
        assert_eq!(ran.stderr, "", "{arguments:?}");
    }
}

#[test]
fn output_that_cannot_be_written() {
    for arguments in [&["list"][..], &["schema"], &["check"]] {
        let full = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("/dev/full");
        let output = gauntlet()
            .args(arguments)
            .stdout(full)
            .stderr(Stdio::piped())
            .output()
            .expect("it starts");
        let ran = Ran::of(output);
        assert!(
            ran.code.is_some_and(|code| code != 0),
            "{arguments:?} says that all is well"
        );
        assert!(
            ran.stderr.contains("writing to standard output"),
            "{arguments:?}: {}",
            ran.stderr
        );
    }
}
