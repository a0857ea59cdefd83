//! What the documents say is what there is.

use gauntlet::profile::operations::Operation;
use gauntlet::scenario::predicate::OPERATORS;
use gauntlet::steps::VERBS;

use crate::binary::{folder, json, run_in};

const README: &str = include_str!("../README.md");
const SCENARIOS: &str = include_str!("../docs/scenarios.md");
const TARGETS: &str = include_str!("../docs/targets.md");

/// Whether the document has a name as code, alone.
fn names(document: &str, name: &str) -> bool {
    document.contains(&format!("`{name}`"))
}

#[test]
fn every_verb_and_each_of_its_phrases_is_named() {
    for verb in VERBS {
        assert!(
            names(SCENARIOS, verb.name),
            "docs/scenarios.md has no verb `{}`",
            verb.name
        );
        for phrase in verb.phrases {
            let pattern = phrase.pattern;
            assert!(
                names(SCENARIOS, pattern),
                "docs/scenarios.md has no phrase `{pattern}` of {}",
                verb.name
            );
        }
    }
}

#[test]
fn every_operation_of_a_profile_is_named() {
    for operation in Operation::ALL {
        let name = operation.name();
        assert!(names(TARGETS, name), "docs/targets.md has no operation `{name}`");
    }
}

#[test]
fn every_operator_is_named() {
    for (operator, _) in OPERATORS {
        assert!(
            names(SCENARIOS, operator),
            "docs/scenarios.md has no operator `{operator}`"
        );
    }
}

#[test]
fn every_key_of_a_scenario_and_of_a_step_is_named() {
    let schema = gauntlet::scenario::schema();
    for place in [
        "/properties",
        "/definitions/WorldSpec/properties",
        "/definitions/step-type/properties",
    ] {
        let keys = schema.pointer(place).and_then(|keys| keys.as_object()).expect(place);
        for key in keys.keys() {
            // A verb's own keys are the schema's to tell.
            if place.contains("step-type") && ["on", "enter"].contains(&key.as_str()) {
                continue;
            }
            assert!(names(SCENARIOS, key), "docs/scenarios.md doesn't name the key `{key}`");
        }
    }
}

/// The fenced blocks of YAML that are whole scenarios, each with its id.
fn whole_scenarios(document: &str) -> Vec<(String, String)> {
    let blocks = document.split("\n```yaml\n").skip(1);
    let whole = blocks.filter_map(|rest| {
        let (block, _) = rest.split_once("\n```").expect("a block ends");
        let value = |key: &str| block.lines().find_map(|line| line.strip_prefix(key));
        value("apiVersion: gauntlet/")?;
        value("steps:")?;
        Some((value("id: ")?.trim().to_owned(), format!("{block}\n")))
    });
    whole.collect()
}

#[test]
fn scenarios_that_are_shown_pass() {
    for (document, text) in [("README.md", README), ("docs/scenarios.md", SCENARIOS)] {
        let folder = folder();
        let shown = whole_scenarios(text);
        assert!(!shown.is_empty(), "{document} shows no whole scenario");
        for (id, scenario) in &shown {
            let path = folder.path().join("shown").join(format!("{id}.yaml"));
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, scenario).expect("written");
        }
        let arguments = [
            "run",
            "--scenarios",
            "shown",
            "--level",
            "all",
            "--report",
            "json=r.json",
        ];
        run_in(folder.path(), &arguments).exits(0);
        let report = json(&folder.path().join("r.json"));
        let ran = report["scenarios"].as_array().expect("a list");
        for run in ran {
            assert_eq!(run["verdict"], "pass", "{document}: {run}");
        }
        for (id, _) in &shown {
            assert!(
                ran.iter().any(|run| run["id"] == id.as_str()),
                "{document}: {id} did not run"
            );
        }
    }
}

/// How many scenarios, runs, mutants and rules there are changes often; the README keeps up.
#[test]
fn the_counts_of_the_readme_are_those_of_today() {
    let folder = crate::binary::folder();
    let passed = |arguments: &[&str]| {
        let out = crate::binary::run_in(folder.path(), arguments).exits(0).stdout;
        let (count, _) = out.split_once(" passed").expect("a summary");
        count.rsplit('\n').next().unwrap_or_default().trim().to_owned()
    };
    let core = passed(&["run", "-q"]);
    let all = passed(&["run", "-q", "--level", "all", "!tag:timing"]);
    // Those of nginx and Envoy need their programs.
    let mutants: Vec<_> = gauntlet::platform::mutant::all()
        .filter(|mutant| mutant.gateway().is_none())
        .collect();
    let rules: std::collections::BTreeSet<_> = mutants.iter().map(|mutant| mutant.row).collect();
    let scenarios = gauntlet::scenario::load(None).expect("the built-in scenarios").len();
    let readme = include_str!("../README.md");
    for part in [
        format!("{core} scenarios on target embedded, level core"),
        format!("all core scenarios, {core} runs"),
        format!("all levels less the `timing` tag, {all} runs"),
        format!("`gauntlet list`, {scenarios} scenarios"),
        format!("{0} of {0}; each of {1} rules has a killer", mutants.len(), rules.len()),
    ] {
        assert!(readme.contains(&part), "README.md doesn't say {part:?}");
    }
}
