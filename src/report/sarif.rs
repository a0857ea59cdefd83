//! SARIF 2.1.0, for what collects the findings of many tools.

use std::io;
use std::path::Path;

use indexmap::IndexMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::collect::Run;
use super::text::printable;
use super::words::{self, Outcome};
use crate::events::{At, CheckResult, RunVerdict, ScenarioResult};
use crate::vocabulary::Level;

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// What stays as it is in the path of a URI.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

/// The report of a run as text.
pub(super) fn render(run: &Run, _evidence: &Path) -> io::Result<String> {
    Ok(serde_json::to_string_pretty(&log(run))? + "\n")
}

fn log(run: &Run) -> Value {
    let Run {
        info,
        scenarios,
        result,
    } = run;
    let mut rules: IndexMap<&str, &ScenarioResult> = IndexMap::new();
    for scenario in scenarios {
        rules.entry(&scenario.run.id).or_insert(scenario);
    }
    let results: Vec<Value> = scenarios
        .iter()
        .flat_map(|scenario| findings(scenario, rules.get_index_of(scenario.run.id.as_str())))
        .collect();
    let notes: Vec<Value> = result
        .notes
        .iter()
        .map(|note| json!({ "level": "note", "message": message(note) }))
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "gauntlet",
                "version": info.version,
                "rules": rules.values().map(|scenario| rule(scenario)).collect::<Vec<_>>(),
            } },
            "automationDetails": { "id": format!("gauntlet/{}/", info.target) },
            "invocations": [{
                // Whether gauntlet could do its work, whatever the platform did.
                "executionSuccessful": !matches!(result.verdict, RunVerdict::Error | RunVerdict::Interrupted),
                "startTimeUtc": info.started,
                "toolExecutionNotifications": notes,
            }],
            "columnKind": "unicodeCodePoints",
            "results": results,
            "properties": {
                "verdict": words::verdict(result.verdict),
                "target": info.target,
                "level": info.level,
                "selection": info.selection,
                "seed": info.seed,
                "mutants": info.mutants,
            },
        }],
    })
}

fn rule(scenario: &ScenarioResult) -> Value {
    let level = match scenario.level {
        Level::Core => "core",
        Level::Extended => "extended",
    };
    json!({
        "id": scenario.run.id,
        "shortDescription": message(&scenario.title),
        "fullDescription": message(&scenario.title),
        "help": message(&format!("Rule from: {}", scenario.spec)),
        "defaultConfiguration": { "level": "error" },
        "properties": { "tags": [level] },
    })
}

/// A finding for each bad check, or one for a scenario that is bad without such; none for what is as it should be.
fn findings(scenario: &ScenarioResult, rule: Option<usize>) -> Vec<Value> {
    let level = match Outcome::of(scenario) {
        Outcome::Fail | Outcome::UnexpectedPass | Outcome::ExpectedFailure | Outcome::Flaky => "error",
        // Nothing is said of the platform.
        Outcome::Error => "warning",
        Outcome::ToleratedFlaky => "note",
        Outcome::Pass | Outcome::Skip | Outcome::Interrupted => return Vec::new(),
    };
    let (reason, bad) = words::story(scenario);
    if bad.is_empty() {
        let reason = reason.unwrap_or_else(|| scenario.title.clone());
        let found = finding(scenario, rule, level, &reason, scenario.at.as_ref(), "");
        return vec![found];
    }
    let found = bad.into_iter().map(|check| {
        let step = check.id.rsplit('#').next().unwrap_or_default();
        finding(scenario, rule, level, &explain(check), Some(&check.at), step)
    });
    found.collect()
}

fn explain(check: &CheckResult) -> String {
    let mut text = format!("{}: expected {}, got {}", check.what, check.expected, check.got);
    if let Some(reason) = &check.reason {
        text += &format!(" ({reason})");
    }
    text
}

fn finding(
    scenario: &ScenarioResult,
    rule: Option<usize>,
    level: &str,
    text: &str,
    at: Option<&At>,
    step: &str,
) -> Value {
    let name = scenario.run.to_string();
    let mut found = json!({
        "ruleId": scenario.run.id,
        "level": level,
        "message": message(&format!("{name}: {text}")),
        "locations": at.map(location).into_iter().collect::<Vec<_>>(),
        // By the case and the number of the step: lines move, and repetitions are the same finding.
        "partialFingerprints": { "gauntletCheck/v1": digest(&format!("{}#{step}", scenario.run.case())) },
        "properties": { "run": name, "reproduce": scenario.reproduce },
    });
    if let Some(rule) = rule {
        found["ruleIndex"] = rule.into();
    }
    if let Some(why) = &scenario.expected_failure
        && Outcome::of(scenario) == Outcome::ExpectedFailure
    {
        found["suppressions"] = json!([{ "kind": "external", "justification": why }]);
    }
    found
}

fn location(at: &At) -> Value {
    let mut region = json!({ "startLine": at.line, "startColumn": at.column });
    if !at.text.is_empty() {
        region["snippet"] = json!({ "text": printable(&at.text) });
    }
    json!({ "physicalLocation": { "artifactLocation": { "uri": uri(&at.file) }, "region": region } })
}

/// A path as a URI reference: what is absolute gets its scheme.
fn uri(path: &str) -> String {
    let encoded = utf8_percent_encode(path, PATH).to_string();
    match path.starts_with('/') {
        true => format!("file://{encoded}"),
        false => encoded,
    }
}

/// What the platform has said, for a viewer to show: `[…](…)` would be a link.
fn message(text: &str) -> Value {
    json!({ "text": printable(text).replace("](", "] (") })
}

fn digest(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::file::written;
    use crate::report::sample;

    fn read(events: &[crate::events::Event]) -> Value {
        let log: Value = serde_json::from_str(&written(render, events)).unwrap();
        assert_eq!(log["version"], "2.1.0");
        assert_eq!(log["runs"].as_array().unwrap().len(), 1);
        log["runs"][0].clone()
    }

    #[test]
    fn what_is_bad_is_a_finding_of_its_rule() {
        let run = read(&sample::failing());
        let results = run["results"].as_array().unwrap();
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        for result in results {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
        }
        let found: Vec<(&str, &str, u64)> = results
            .iter()
            .map(|result| {
                let region = &result["locations"][0]["physicalLocation"]["region"];
                let text = |key: &str| result[key].as_str().unwrap();
                (text("ruleId"), text("level"), region["startLine"].as_u64().unwrap())
            })
            .collect();
        assert_eq!(
            found,
            [
                ("codex-auth/login/first", "warning", 9),
                ("harness-token/rotate/direct", "error", 14),
                ("harness-token/token/flow", "error", 2),
                ("harness-token/token/odd", "error", 3),
                ("harness-token/warm/stale", "error", 14),
            ]
        );
        // One rule for the cases of a matrix.
        assert_eq!(rules.len(), 8);
        assert_eq!(results[1]["suppressions"][0]["kind"], "external");
        assert!(results[4].get("suppressions").is_none());
        assert_eq!(
            results[3]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            "scenarios/odd%20%7C%20file.yaml"
        );
    }

    #[test]
    fn a_finding_is_the_same_in_every_repetition_and_on_every_line() {
        let of = |change: fn(&mut ScenarioResult)| {
            let mut result = sample::stale();
            change(&mut result);
            let found = findings(&result, None);
            found[0]["partialFingerprints"]["gauntletCheck/v1"].clone()
        };
        let plain = of(|_| {});
        let repeated = of(|result| {
            result.run.repetition = Some(3);
            let id = format!("{}#3.1", result.run);
            result.checks.last_mut().unwrap().id = id;
        });
        assert_eq!(plain, repeated);
        assert_eq!(plain, of(|result| result.checks.last_mut().unwrap().at.line = 99));
        assert_ne!(plain, of(|result| result.run.id = "another/rule/this".to_owned()));
    }

    #[test]
    fn paths_are_uris_and_nothing_is_a_link() {
        assert_eq!(uri("/tmp/a b/c.yaml"), "file:///tmp/a%20b/c.yaml");
        assert_eq!(uri("c:d/#e?.yaml"), "c%3Ad/%23e%3F.yaml");
        assert_eq!(message("x[y] [a](b)")["text"], "x[y] [a] (b)");
    }

    #[test]
    fn a_run_that_broke_off_was_no_success() {
        assert_eq!(
            read(&sample::broken_off())["invocations"][0]["executionSuccessful"],
            false
        );
        let good = read(&sample::passing());
        assert_eq!(good["invocations"][0]["executionSuccessful"], true);
        assert_eq!(good["results"], json!([]));
    }
}
